/**
 * Leaky bucket: calls leave at a constant rate; those that come faster are held back, and beyond a bound refused.
 *
 * @example
 * ```ts
 * import { leakyBucket, pipeline } from 'breakwater';
 *
 * const paced = pipeline([leakyBucket({ rate: 100 })]);
 * const start = performance.now();
 * await Promise.all([1, 2, 3].map(() => paced.execute(() => 'sent')));
 * console.log(performance.now() - start >= 19); // => true
 * ```
 *
 * @module
 */

import { type Leak, PacedBucket } from '../algorithms/meters/leaky-bucket.ts';
import type { Charge } from '../algorithms/meters/token-bucket.ts';
import { Sharing } from '../algorithms/sharing.ts';
import type { Call } from '../core/call.ts';
import type { OptionProblem } from '../core/errors.ts';
import { type Duration, type Fields, count, duration, numeric, readOptions } from '../core/options.ts';
import type { GatePolicy, PlainData } from '../core/policy.ts';
import { STRAIN } from '../core/strain.ts';
import { BucketLimiter } from '../stores/limiter/bucket-limiter.ts';
import { type LimiterOptions, type LimiterTerms, chargeFields, described } from '../stores/limiter/terms.ts';

/** Options of {@link leakyBucket}. */
export interface LeakyBucketOptions extends Omit<LimiterOptions, 'maxWait'> {
  /** How many calls leave in each `per`, evenly spaced: 60 per minute is one each second. Fractions are fine. */
  readonly rate: number;
  /** The time that `rate` is counted over. @defaultValue `'1s'` */
  readonly per?: Duration;
  /** How many calls ahead of the rate are borne, passed at once and held together; the next one is refused. @defaultValue `Infinity` */
  readonly burst?: number;
  /** How many of those pass at once before calls are held; with `Infinity` none is ever held. @defaultValue `0` */
  readonly delay?: number;
  /** No call is held longer; one that would have to be, or beyond its deadline, is refused at once. @defaultValue `'500ms'` */
  readonly maxQueueTime?: Duration;
}

declare module '../core/events.ts' {
  interface EventFields {
    'leaky-bucket.delayed': { readonly wait: number; readonly cost: number };
  }
}

/** The state of a leaky bucket: how many calls ahead of the rate it is, calls that are held, and the limit as it stands (`per` in ms). */
export type LeakyBucketSnapshot = PlainData & Readonly<Record<'excess' | 'waiting' | 'rate' | 'per' | 'burst' | 'delay', number>>;

/** A leaky bucket. Several pipelines that hold the same one share its rate. */
export interface LeakyBucket extends GatePolicy {
  readonly kind: 'leaky-bucket';
  /** How many calls ahead of the rate a call would come now; 0 if it is on time. */
  readonly excess: number;
  /** How many calls would pass at once now, fractions included; 0 while calls are held. */
  readonly available: number;
  /** Calls held now. */
  readonly waiting: number;
  /**
   * Changes the limit for everybody, those who are held included, and keeps the excess. What is not given stays.
   *
   * @throws OptionsError if a value is wrong
   */
  update(change: Partial<Pick<LeakyBucketOptions, 'rate' | 'per' | 'burst' | 'delay'>>): void;
  /** Whether the bucket is as good as new: empty, with nobody held and its limit never changed. */
  atRest(now: number): boolean;
  snapshot(): LeakyBucketSnapshot;
}

/** Options as read. */
export interface LeakyBucketSettings extends Leak, Omit<LimiterTerms, 'maxWait'> {
  readonly maxQueueTime: number;
}

/** The option table. */
export const leakyBucketFields: Fields<LeakyBucketSettings> = {
  rate: numeric({ above: 0 }),
  per: duration({ min: 0.000_001 }).or('1s'),
  burst: count({ infinite: true }).or(Infinity),
  delay: count({ infinite: true }).or(0),
  maxQueueTime: duration({ infinite: true }).or('500ms'),
  ...chargeFields,
};

/**
 * Spaces calls out: after each that passes, the next one leaves `per / rate` later, first come, first served. One that would be held longer than
 * `maxQueueTime`, or comes when `burst` calls are ahead of the rate, is refused with a {@link RateLimitedError} that says when it may come
 * back (`retryAfter`, ms). Up to `delay` calls pass at once before any is held.
 *
 * With the defaults it is the pacer of Alibaba Sentinel; `burst`, `delay` and `delay: Infinity` are `burst`, `delay` and `nodelay` of nginx's `limit_req`.
 *
 * @throws OptionsError if an option is wrong, or nothing bounds how long calls are held
 */
export function leakyBucket(options: LeakyBucketOptions): LeakyBucket {
  const settings = readOptions('leakyBucket', leakyBucketFields, options, bounded);
  return new LeakyBucketPolicy(alike.share({ ...settings, maxWait: settings.maxQueueTime }));
}

type Terms = LeakyBucketSettings & LimiterTerms;
const alike = new Sharing<Terms>();

function bounded({ burst, delay, maxQueueTime }: LeakyBucketSettings): OptionProblem | undefined {
  if (burst < Infinity || (delay < Infinity && maxQueueTime < Infinity)) return undefined;
  const others = delay === Infinity ? 'with a delay of Infinity' : 'with a maxQueueTime of Infinity';
  return { path: 'burst', expected: `a bound ${others}: otherwise nothing is ever refused`, got: String(burst) };
}

class LeakyBucketPolicy extends BucketLimiter<PacedBucket, Charge> implements LeakyBucket {
  readonly kind = 'leaky-bucket';
  declare readonly terms: Terms;

  constructor(terms: Terms) {
    super(new PacedBucket(terms, 0), terms);
  }

  get law(): string {
    const { rate, per, burst } = this.meter.leak;
    return `${rate} to leave per ${per} ms and bears ${burst} ahead of that`;
  }

  get excess(): number {
    const now = this.present;
    const { rate, per, burst, delay } = this.meter.leak;
    return this.waiting === 0 ? this.meter.excess(now) : Math.min(delay, burst) + (this.wait(1, now) * rate) / per;
  }

  override patience(call: Call | undefined): number {
    return Math.min(this.meter.longest, super.patience(call));
  }

  update(change: Parameters<LeakyBucket['update']>[0]): void {
    const { rate, per, burst, delay } = leakyBucketFields;
    const was = this.meter.leak;
    const fields = { rate: rate.or(was.rate), per: per.or(was.per), burst: burst.or(was.burst), delay: delay.or(was.delay) };
    const rule = (leak: Leak): OptionProblem | undefined => bounded({ ...this.terms, ...leak });
    const now = this.present;
    this.meter.reshape(readOptions('leakyBucket.update', fields, change, rule), now);
    this.review(now);
  }

  override atRest(now: number): boolean {
    return this.meter.leak === this.terms && super.atRest(now);
  }

  /** The excess stays until the clock is where it was, as nginx has it. */
  protected override setBack(): void {}

  /** Calls are held, or the burst is nearly used up. */
  strained(): boolean {
    return this.waiting > 0 || this.excess > STRAIN * this.meter.leak.burst;
  }

  snapshot(): LeakyBucketSnapshot {
    const { excess, waiting } = this;
    const { rate, per, burst, delay } = this.meter.leak;
    return { excess, waiting, rate, per, burst, delay };
  }

  describe(): PlainData {
    const { rate, per, burst, delay, maxQueueTime } = this.terms;
    return { rate, per, burst, delay, maxQueueTime, ...described(this.terms) };
  }
}
