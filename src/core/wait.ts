import { Alarm } from './alarm.ts';
import type { Call } from './call.ts';
import type { Failure } from './outcome.ts';

/**
 * Waits `ms` on behalf of a call, on its pipeline's clock. Ends at once, with the cut, if the call is cut short; leaves no timer behind.
 * A wait of `Infinity` only ends that way.
 */
export function pause(call: Call, ms: number): Promise<Failure | undefined> {
  if (call.failure !== undefined || ms <= 0) return Promise.resolve(call.failure);
  const { clock } = call.scope;
  return new Promise((resolve) => {
    const end = (failure: Failure | undefined): void => {
      alarm.clear();
      call.waiter = undefined;
      resolve(failure);
    };
    const alarm = new Alarm(clock, () => end(undefined));
    call.waiter = end;
    const now = clock.now();
    alarm.set(now + ms, now);
  });
}
