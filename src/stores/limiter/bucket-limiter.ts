import type { CountedMeter } from '../../algorithms/meters/meter.ts';
import { CountedLimiter } from './counted-limiter.ts';

/** A meter to which something comes back all the time. */
interface BucketMeter<Receipt> extends CountedMeter<Receipt> {
  /** Up to when it has, by the clock, ms. */
  readonly at: number;
}

/** A rate limiter of so much per time. */
export abstract class BucketLimiter<Kind extends BucketMeter<Receipt>, Receipt> extends CountedLimiter<Kind, Receipt> {
  /** By its clock; before it has one, that of its meter stands still. */
  protected override get present(): number {
    return this.now ?? this.meter.at;
  }
}
