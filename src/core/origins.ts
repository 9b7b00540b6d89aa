import type { Call } from './call.ts';
import { currentCall } from './context.ts';

/** For the outermost call of a pipeline, the call inside whose work it was made. */
const origins = new WeakMap<Call, Call>();

/** Remembers inside which call's work this call was made, if its pipeline keeps track. */
export function noteOrigin(call: Call): void {
  const maker = currentCall();
  if (maker === undefined) return;
  let outermost = call;
  while (outermost.parent !== undefined) outermost = outermost.parent;
  origins.set(outermost, maker);
}

/** The calls whose work this code runs in, from the inside outward: the current one, those it derives from, the one it was made in, and so on. */
export function currentCalls(): ReadonlySet<Call> {
  const calls = new Set<Call>();
  for (let call = currentCall(); call !== undefined && !calls.has(call); call = call.parent ?? origins.get(call)) calls.add(call);
  return calls;
}

/** Whether a call is `outer` or derives from it. */
export function isWithin(call: Call, outer: Call): boolean {
  let each: Call | undefined = call;
  while (each !== undefined && each !== outer) each = each.parent;
  return each !== undefined;
}
