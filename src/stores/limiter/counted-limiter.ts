import type { CountedMeter } from '../../algorithms/meters/meter.ts';
import type { Call } from '../../core/call.ts';
import { type Quota, noQuotas } from '../../core/quota.ts';
import { remainderOf } from './remainder.ts';
import { SharedLimiter } from './shared-limiter.ts';

/** A rate limiter whose calls cost a number each. */
export abstract class CountedLimiter<Kind extends CountedMeter<Receipt>, Receipt> extends SharedLimiter<Kind, number, Receipt> {
  /** What is left now; 0 while calls wait. */
  get available(): number {
    return this.waiting > 0 ? 0 : Math.max(0, this.meter.available(this.present));
  }

  priceOf(call: Call): number {
    const { fixedPrice } = this;
    if (fixedPrice !== undefined) return fixedPrice;
    const { cost } = this.terms;
    if (typeof cost !== 'function') return call.cost;
    const price: unknown = cost(call);
    // Endlessly much, where a call pays afterwards, would be paid for by all that come later, for ever.
    if (typeof price === 'number' && price >= 0 && price < Infinity) return price;
    throw new RangeError(`${this.kind}.cost: expected a function that answers with a number of at least 0, got ${String(price)}`);
  }

  override get fixedPrice(): number | undefined {
    const { cost } = this.terms;
    return typeof cost === 'number' ? cost : undefined;
  }

  override get takesWhatCallsSay(): boolean {
    return this.terms.cost === undefined;
  }

  isFree(cost: number): boolean {
    return cost === 0;
  }

  get unit(): number {
    return Math.min(1, this.meter.capacity);
  }

  remainders(policy: string, now: number, patience: number): readonly Quota[] {
    if (this.meter.capacity === Infinity) return noQuotas;
    const at = this.begun ? now : this.present;
    const quota = remainderOf(policy, this.meter, at);
    if (this.waiting === 0 && quota.remaining >= this.unit) return [quota];
    const { limit, window, remaining } = quota;
    return [{ policy, limit, window, remaining: this.waiting > 0 ? 0 : remaining, reset: this.turn(at, patience) }];
  }

  /** By its clock; 0 before it has one. */
  protected get present(): number {
    return this.now ?? 0;
  }
}
