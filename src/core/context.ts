import { AsyncLocalStorage } from 'node:async_hooks';
import type { Call } from './call.ts';

const running = new AsyncLocalStorage<Call>();

/** The call whose work this code runs in, if its pipeline keeps track (one of its policies asks for it). */
export function currentCall(): Call | undefined {
  return running.getStore();
}

/** Runs the work of a call so that {@link currentCall} finds it, also after awaits. */
export function runAs<T>(call: Call, work: (call: Call) => T): T {
  return running.run(call, work, call);
}
