import type { Meter } from '../../algorithms/meters/meter.ts';
import type { Call } from '../../core/call.ts';
import { SharedLimiter } from './shared-limiter.ts';

/** A rate limiter whose calls cost a number each. */
export abstract class CountedLimiter<Kind extends Meter<number, Receipt>, Receipt> extends SharedLimiter<Kind, number, Receipt> {
  priceOf(call: Call): number {
    const { cost } = this.terms;
    if (typeof cost === 'number') return cost;
    const price: unknown = cost(call);
    // Endlessly much, where a call pays afterwards, would be paid for by all that come later, for ever.
    if (typeof price === 'number' && price >= 0 && price < Infinity) return price;
    throw new RangeError(`${this.kind}.cost: expected a function that answers with a number of at least 0, got ${String(price)}`);
  }

  isFree(cost: number): boolean {
    return cost === 0;
  }
}
