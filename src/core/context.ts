import { AsyncLocalStorage } from 'node:async_hooks';
import type { Call } from './call.ts';

/**
 * Which call's work this code runs in. On Node 20 and 22 the first use turns on promise hooks, which slow every promise in the process by a
 * multiple; so only pipelines with a policy that asks for it are tracked, and policies ask only where nothing else would do.
 */
const running = new AsyncLocalStorage<Call>();

/** The call whose work this code runs in, if its pipeline keeps track (one of its policies asks for it). */
export function currentCall(): Call | undefined {
  return running.getStore();
}

/** Runs the work of a call so that {@link currentCall} finds it, also after awaits. */
export function runAs<T>(call: Call, work: (call: Call) => T): T {
  call.madeIn = running.getStore();
  return running.run(call, work, call);
}

/** The calls whose work this code runs in: the current one and those it derives from, then the one it was made in, and so on outward. */
export function currentCalls(): ReadonlySet<Call> {
  const calls = new Set<Call>();
  for (let run = currentCall(); run !== undefined && !calls.has(run); run = run.madeIn) {
    for (let call: Call | undefined = run; call !== undefined; call = call.parent) calls.add(call);
  }
  return calls;
}
