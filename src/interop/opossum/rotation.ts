import { EventEmitter } from 'node:events';
import { Alarm } from '../../core/alarm.ts';
import { systemClock } from '../../core/clock.ts';
import type { Inside } from './breaker.ts';
import type { OpossumSettings } from './fields.ts';

/**
 * Opossum moves a window on by a timer that holds it for good, and snapshots by another one: a breaker that nobody holds any more, such as that of a key that was let go, would
 * leave them behind. Here they are one, which ends with its breaker.
 */
export function rotate(breaker: Inside, { rollingCountTimeout, rollingCountBuckets, enableSnapshots }: OpossumSettings): void {
  const every = Math.floor(rollingCountTimeout / rollingCountBuckets);
  const held = new WeakRef(breaker);
  let due = systemClock.now() + every;
  const alarm = new Alarm(
    systemClock,
    (now) => {
      const { status, isShutdown = true } = held.deref() ?? {};
      if (status === undefined || isShutdown) return;
      status.rotateBucket();
      // A blocked event loop is not made up for, as by a timer of the process.
      due = Math.max(due + every, now);
      alarm.set(due, now);
      if (enableSnapshots && status.listenerCount('snapshot') > 0) status.emit('snapshot', status.stats);
    },
    true,
  );
  alarm.set(due, systemClock.now());
}

/** Whether opossum's own timer would move the window on, and which options make it leave that to us. */
export function withoutTimers({ rotateBucketController, status }: OpossumSettings): object | undefined {
  return rotateBucketController === undefined && status === undefined
    ? { rotateBucketController: new EventEmitter(), enableSnapshots: false }
    : undefined;
}
