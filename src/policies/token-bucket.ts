/**
 * Token bucket: so many calls per second, and bursts up to a size of your choice.
 *
 * @example
 * ```ts
 * import { pipeline, tokenBucket } from 'breakwater';
 *
 * const mails = pipeline([tokenBucket({ rate: 2, per: '1m' })]);
 * const outcomes = await Promise.all([1, 2, 3].map(() => mails.executeOutcome(() => 'sent')));
 * console.log(outcomes.map(({ ok }) => ok)); // => [true, true, false]
 * ```
 *
 * @module
 */

import { Sharing } from '../algorithms/sharing.ts';
import { Bucket, type Charge, type Limit } from '../algorithms/meters/token-bucket.ts';
import type { OptionProblem } from '../core/errors.ts';
import { type Duration, type Fields, duration, numeric, readOptions } from '../core/options.ts';
import type { GatePolicy, PlainData } from '../core/policy.ts';
import { STRAIN } from '../core/strain.ts';
import { BucketLimiter } from '../stores/limiter/bucket-limiter.ts';
import { type LimiterOptions, type LimiterTerms, described, limiterFields } from '../stores/limiter/terms.ts';

/** Options of {@link tokenBucket}. */
export interface TokenBucketOptions extends LimiterOptions {
  /** How many tokens come back in each `per`, one by one and not all at once: 60 per minute is one each second. Fractions are fine. */
  readonly rate: number;
  /** The time that `rate` is counted over. @defaultValue `'1s'` */
  readonly per?: Duration;
  /** How many tokens the bucket holds: what may pass at once after a quiet time. @defaultValue `rate`, at least 1 */
  readonly burst?: number;
  /** Tokens to begin with. @defaultValue a full bucket */
  readonly initial?: number;
}

declare module '../core/events.ts' {
  interface EventFields {
    'token-bucket.delayed': { readonly wait: number; readonly cost: number };
  }
}

/** The state of a token bucket: tokens there now, calls that wait, and the limit as it stands (`per` in ms). */
export type TokenBucketSnapshot = PlainData & Readonly<Record<'available' | 'waiting' | 'rate' | 'per' | 'burst', number>>;

/** A token bucket. Several pipelines that hold the same one share its tokens. */
export interface TokenBucket extends GatePolicy {
  readonly kind: 'token-bucket';
  /** Tokens there now, fractions included; 0 while calls wait. */
  readonly available: number;
  /** Calls waiting for tokens now. */
  readonly waiting: number;
  /**
   * Changes the limit for everybody, those who wait included, and keeps the tokens: a larger burst fills up at the rate, a smaller one loses what no
   * longer fits. What is not given stays.
   *
   * @throws OptionsError if a value is wrong
   */
  update(change: Partial<Pick<TokenBucketOptions, 'rate' | 'per' | 'burst'>>): void;
  /** Whether the bucket is as good as new: full, with nobody waiting and its limit never changed. */
  atRest(now: number): boolean;
  snapshot(): TokenBucketSnapshot;
}

/** Options as read. */
export interface TokenBucketSettings extends LimiterTerms {
  readonly rate: number;
  readonly per: number;
  readonly burst: number | undefined;
  readonly initial: number | undefined;
}

/** The option table. */
export const tokenBucketFields: Fields<TokenBucketSettings> = {
  rate: numeric({ above: 0 }),
  per: duration({ min: 0.000_001 }).or('1s'),
  burst: numeric({ above: 0 }).optional(),
  initial: numeric({ min: 0 }).optional(),
  ...limiterFields,
};

/**
 * Lets a call pass for `cost` tokens, of which `rate` come back in each `per`, continuously. A call that finds too few is refused with a
 * {@link RateLimitedError}, whose `retryAfter` (ms) says exactly when it would have passed; with `maxWait` it takes tokens of the future and waits
 * instead, first come, first served. One that costs more than `burst` can never pass: its `retryAfter` is `Infinity`.
 *
 * Refusing changes nothing, and a call that was let in but never ran (something further in refused it) gives its tokens back. In any time t at most
 * `burst + rate * t` pass. Kept as two numbers, after Turner (1986); the generic cell rate algorithm (ITU-T I.371) is the same bucket seen from
 * the other side.
 *
 * @throws OptionsError if an option is wrong, or `cost` or `initial` is more than `burst`
 */
export function tokenBucket(options: TokenBucketOptions): TokenBucket {
  const holdsCost = ({ cost = 1, ...limit }: TokenBucketSettings): OptionProblem | undefined => holds('cost', cost, burstOf(limit));
  const holdsInitial = ({ initial, ...limit }: TokenBucketSettings): OptionProblem | undefined => holds('initial', initial, burstOf(limit));
  const settings = readOptions('tokenBucket', tokenBucketFields, options, holdsCost, holdsInitial);
  return new TokenBucketPolicy(alike.share({ ...settings, burst: burstOf(settings) }));
}

type Terms = TokenBucketSettings & Limit;
const alike = new Sharing<Terms>();

function burstOf({ rate, burst = Math.max(1, rate) }: Pick<TokenBucketSettings, 'rate' | 'burst'>): number {
  return burst;
}

/** The bucket must be able to hold as many tokens as this option says. */
function holds(path: string, tokens: unknown, burst: number): OptionProblem | undefined {
  if (typeof tokens !== 'number' || tokens <= burst) return undefined;
  return { path, expected: `at most ${burst} tokens (the burst), all that the bucket ever holds`, got: String(tokens) };
}

class TokenBucketPolicy extends BucketLimiter<Bucket, Charge> implements TokenBucket {
  readonly kind = 'token-bucket';
  declare readonly terms: Terms;

  constructor(terms: Terms) {
    super(new Bucket(terms, terms.initial ?? terms.burst, 0), terms);
  }

  get law(): string {
    const { rate, per, burst } = this.meter.limit;
    return `${rate} per ${per} ms and ${burst} at once`;
  }

  update(change: Parameters<TokenBucket['update']>[0]): void {
    const { rate, per, burst } = tokenBucketFields;
    const was = this.meter.limit;
    const fields = { rate: rate.or(was.rate), per: per.or(was.per), burst: burst.or(was.burst) };
    const is = readOptions('tokenBucket.update', fields, change, (limit) => holds('cost', this.terms.cost ?? 1, burstOf(limit)));
    const now = this.present;
    this.meter.change({ ...is, burst: burstOf(is) }, now);
    this.review(now);
  }

  override atRest(now: number): boolean {
    return this.meter.limit === this.terms && super.atRest(now);
  }

  strained(): boolean {
    return this.available < (1 - STRAIN) * this.meter.limit.burst;
  }

  snapshot(): TokenBucketSnapshot {
    const { available, waiting } = this;
    const { rate, per, burst } = this.meter.limit;
    return { available, waiting, rate, per, burst };
  }

  describe(): PlainData {
    const { rate, per, burst } = this.terms;
    return { rate, per, burst, ...described(this.terms) };
  }
}
