import type { CountedMeter } from '../../algorithms/meters/meter.ts';
import type { Quota } from '../../core/quota.ts';

/** What a meter allows, and what is left at `now`. */
export function remainderOf(policy: string, meter: CountedMeter, now: number): Quota {
  const { capacity: limit, period: window } = meter;
  let remaining = Math.max(0, meter.available(now));
  let more = Math.min(Math.floor(remaining) + 1, limit);
  if (remaining < limit && meter.reach(more, now) === 0) {
    // It fits: what is missing comes of rounding, or of a window that closes now.
    remaining = meter.reach(limit, now) === 0 ? limit : more;
    more = Math.min(remaining + 1, limit);
  }
  const reset = remaining < limit ? meter.reach(more, now) : 0;
  return { policy, limit, window, remaining, reset: reset === Infinity ? 0 : reset };
}
