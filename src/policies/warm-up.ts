/**
 * Warm-up: a rate limit that begins low and rises to its full rate while it is used.
 *
 * @example
 * ```ts
 * import { pipeline, warmUp } from 'breakwater';
 *
 * const started = pipeline([warmUp({ rate: 30, warmUpPeriod: '1m' })]);
 * const cold = Array.from({ length: 100 }, () => started.tryAcquire().admitted);
 * console.log(cold.filter(Boolean).length); // => 10
 * ```
 *
 * @module
 */

import { type Charge, Warming, type Warmth } from '../algorithms/meters/warm-up.ts';
import { Sharing } from '../algorithms/sharing.ts';
import { type Duration, type Fields, duration, flag, numeric, readOptions } from '../core/options.ts';
import type { GatePolicy, PlainData } from '../core/policy.ts';
import { STRAIN } from '../core/strain.ts';
import { BucketLimiter } from '../stores/limiter/bucket-limiter.ts';
import { type LimiterOptions, type LimiterTerms, chargeFields, described } from '../stores/limiter/terms.ts';

/** Options of {@link warmUp}. */
export interface WarmUpOptions extends Omit<LimiterOptions, 'maxWait'> {
  /** How many calls pass in each `per` once it is warm. Fractions are fine. */
  readonly rate: number;
  /** The time that `rate` is counted over. @defaultValue `'1s'` */
  readonly per?: Duration;
  /** How long it takes to get warm if there is always something to do, and to get cold again if there is nothing. @defaultValue `'10s'` */
  readonly warmUpPeriod?: Duration;
  /** The rate when cold is `rate / coldFactor`; at least 1 (never cold). @defaultValue `3` */
  readonly coldFactor?: number;
  /** Whether calls are spaced out one by one; otherwise those of one `per` may pass at once. @defaultValue `false` */
  readonly pacing?: boolean;
  /** How long a call may wait for its turn; one that would have to wait longer, or beyond its deadline, is refused at once. @defaultValue `0`; with `pacing` `'500ms'` */
  readonly maxWait?: Duration;
}

declare module '../core/events.ts' {
  interface EventFields {
    'warm-up.delayed': { readonly wait: number; readonly cost: number };
  }
}

/**
 * The state of a warm-up: calls that would pass at once now, calls that wait, how many it lets pass in each `per` now (`pace`), how cold it is (0 to 1), and
 * the limit as it stands (times in ms).
 */
export type WarmUpSnapshot = PlainData &
  Readonly<Record<'available' | 'waiting' | 'pace' | 'coldness' | 'rate' | 'per' | 'warmUpPeriod' | 'coldFactor', number>>;

/** A warm-up. Several pipelines that hold the same one share it. */
export interface WarmUp extends GatePolicy {
  readonly kind: 'warm-up';
  /** How many calls would pass at once now, fractions included; 0 while calls wait. */
  readonly available: number;
  /** How many calls pass in each `per` now: `rate / coldFactor` when cold, `rate` when warm. */
  readonly pace: number;
  /** 0: warm, 1: as cold as can be. */
  readonly coldness: number;
  /** Calls waiting for their turn now. */
  readonly waiting: number;
  /**
   * Changes the limit for everybody, those who wait included. It stays as cold as it was, and what was charged so far is still waited for. What is not given stays.
   *
   * @throws OptionsError if a value is wrong
   */
  update(change: Partial<Pick<WarmUpOptions, 'rate' | 'per' | 'warmUpPeriod' | 'coldFactor'>>): void;
  /** Whether it is as good as new: cold, with nobody waiting and its limit never changed. */
  atRest(now: number): boolean;
  snapshot(): WarmUpSnapshot;
}

/** Options as read. */
export interface WarmUpSettings extends Omit<LimiterTerms, 'maxWait'>, Omit<Warmth, 'slack'> {
  readonly pacing: boolean;
  readonly maxWait: number | undefined;
}

/** The option table. */
export const warmUpFields: Fields<WarmUpSettings> = {
  rate: numeric({ above: 0 }),
  per: duration({ min: 0.000_001 }).or('1s'),
  warmUpPeriod: duration().or('10s'),
  coldFactor: numeric({ min: 1 }).or(3),
  pacing: flag().or(false),
  maxWait: duration({ infinite: true }).optional(),
  ...chargeFields,
};

/**
 * Lets calls pass at a rate that begins at `rate / coldFactor` and rises to `rate` while calls keep coming: for a service that has just started, or has had nothing to
 * do for so long that its caches are stale and its connections closed. A call that comes too soon is refused with a {@link RateLimitedError} whose `retryAfter` (ms) says
 * exactly when it would pass; with `maxWait` it waits, first come, first served.
 *
 * A call that costs much passes as soon as any other would, and the next one waits for it. In any time t at most `rate + rate * t / per` pass, with `pacing` 1 +
 * `rate * t / per`. The curve is that of Guava's `RateLimiter` (`SmoothWarmingUp`), which Alibaba Sentinel took over.
 *
 * @throws OptionsError if an option is wrong
 */
export function warmUp(options: WarmUpOptions): WarmUp {
  const settings = readOptions('warmUp', warmUpFields, options);
  const { maxWait = settings.pacing ? PATIENCE : 0 } = settings;
  return new WarmUpPolicy(alike.share({ ...settings, maxWait, slack: slackOf(settings) }));
}

/** How long paced calls may be held where nobody says, ms. */
const PATIENCE = 500;

type Terms = WarmUpSettings & LimiterTerms & Warmth;
const alike = new Sharing<Terms>();

/** Time for which so many calls may pass at once that, with the one that comes when it is used up, it is those of one `per`. */
function slackOf({ rate, per, pacing }: Pick<WarmUpSettings, 'rate' | 'per' | 'pacing'>): number {
  return pacing ? 0 : Math.max(0, per - per / rate);
}

class WarmUpPolicy extends BucketLimiter<Warming, Charge> implements WarmUp {
  readonly kind = 'warm-up';
  declare readonly terms: Terms;

  constructor(terms: Terms) {
    super(new Warming(terms, 0, terms.slack), terms);
  }

  get law(): string {
    const { rate, per } = this.meter.warmth;
    return `${rate} per ${per} ms once it is warm, and ${Number(this.pace.toPrecision(3))} now`;
  }

  get pace(): number {
    return this.meter.pace(this.present);
  }

  get coldness(): number {
    return this.meter.coldness(this.present);
  }

  update(change: Parameters<WarmUp['update']>[0]): void {
    const { rate, per, warmUpPeriod, coldFactor } = warmUpFields;
    const was = this.meter.warmth;
    const fields = {
      rate: rate.or(was.rate),
      per: per.or(was.per),
      warmUpPeriod: warmUpPeriod.or(was.warmUpPeriod),
      coldFactor: coldFactor.or(was.coldFactor),
    };
    const is = readOptions('warmUp.update', fields, change);
    const now = this.present;
    this.meter.change({ ...is, slack: slackOf({ ...is, pacing: this.terms.pacing }) }, now);
    this.review(now);
  }

  override atRest(now: number): boolean {
    return this.meter.warmth === this.terms && super.atRest(now);
  }

  /** Calls wait, or few more would pass now. */
  strained(): boolean {
    return this.waiting > 0 || (!this.terms.pacing && this.available < (1 - STRAIN) * this.pace);
  }

  snapshot(): WarmUpSnapshot {
    const { available, waiting, pace, coldness } = this;
    const { rate, per, warmUpPeriod, coldFactor } = this.meter.warmth;
    return { available, waiting, pace, coldness, rate, per, warmUpPeriod, coldFactor };
  }

  describe(): PlainData {
    const { rate, per, warmUpPeriod, coldFactor, pacing } = this.terms;
    return { rate, per, warmUpPeriod, coldFactor, pacing, ...described(this.terms) };
  }
}
