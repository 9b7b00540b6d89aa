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
import { Bucket, type Limit, exceeds } from '../algorithms/token-bucket.ts';
import type { Call } from '../core/call.ts';
import { type OptionProblem, RateLimitedError } from '../core/errors.ts';
import { made } from '../core/made.ts';
import { type Duration, type Fields, duration, numeric, readOptions } from '../core/options.ts';
import { type CommonSettings, type Mode, type PolicyOptions, commonFields } from '../core/mode.ts';
import { type Failure, refuse } from '../core/outcome.ts';
import { type GatePolicy, type Handler, type PlainData, mountAlone } from '../core/policy.ts';
import type { Scope } from '../core/scope.ts';
import type { Gate } from '../core/stage.ts';
import { STRAIN } from '../core/strain.ts';
import { SharedBucket } from '../stores/shared-bucket.ts';

/** Options of {@link tokenBucket}. */
export interface TokenBucketOptions extends PolicyOptions {
  /** How many tokens come back in each `per`, one by one and not all at once: 60 per minute is one each second. Fractions are fine. */
  readonly rate: number;
  /** The time that `rate` is counted over. @defaultValue `'1s'` */
  readonly per?: Duration;
  /** How many tokens the bucket holds: what may pass at once after a quiet time. @defaultValue `rate`, at least 1 */
  readonly burst?: number;
  /** How long a call may wait for its tokens; one that would have to wait longer, or beyond its deadline, is refused at once. @defaultValue `0` */
  readonly maxWait?: Duration;
  /** How many tokens a call takes, or a function of the call that says so (`0`: this one is free). @defaultValue `1` */
  readonly cost?: number | ((call: Call) => number);
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
export interface TokenBucketSettings extends CommonSettings {
  readonly rate: number;
  readonly per: number;
  readonly burst: number | undefined;
  readonly maxWait: number;
  readonly cost: number | ((call: Call) => number);
  readonly initial: number | undefined;
}

/** The option table. */
export const tokenBucketFields: Fields<TokenBucketSettings> = {
  rate: numeric({ above: 0 }),
  per: duration({ min: 0.000_001 }).or('1s'),
  burst: numeric({ above: 0 }).optional(),
  maxWait: duration({ infinite: true }).or(0),
  cost: numeric({ above: 0 }).orFunction<(call: Call) => number>('(call) => tokens').or(1),
  initial: numeric({ min: 0 }).optional(),
  ...commonFields,
};

/**
 * Lets a call pass for `cost` tokens, of which `rate` come back in each `per`, continuously. A call that finds too few is refused with a
 * {@link RateLimitedError}, whose `retryAfter` (ms) says exactly when it would have passed; with `maxWait` it takes tokens of the future and waits
 * instead, first come, first served. One that costs more than `burst` can never pass: it is refused without a `retryAfter`.
 *
 * Refusing changes nothing, and a call that was let in but never ran (something further in refused it) gives its tokens back. In any time t at most
 * `burst + rate * t` pass. Kept as two numbers, after Turner (1986); the generic cell rate algorithm (ITU-T I.371) is the same bucket seen from
 * the other side.
 *
 * @throws OptionsError if an option is wrong, or `cost` or `initial` is more than `burst`
 */
export function tokenBucket(options: TokenBucketOptions): TokenBucket {
  const rules = (['cost', 'initial'] as const).map((name) => (given: TokenBucketSettings) => holds(name, given[name], burstOf(given)));
  const settings = readOptions('tokenBucket', tokenBucketFields, options, ...rules);
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

class TokenBucketPolicy extends SharedBucket<Bucket> implements TokenBucket {
  readonly kind = 'token-bucket';
  readonly name: string | undefined;
  readonly mode: Mode;
  readonly terms: Terms;

  constructor(terms: Terms) {
    super(new Bucket(terms, terms.initial ?? terms.burst, 0));
    this.name = terms.name;
    this.mode = terms.mode;
    this.terms = terms;
  }

  get available(): number {
    return Math.max(0, this.bucket.available(this.now));
  }

  gate(scope: Scope): Gate {
    this.join(scope);
    return new TokenBucketGate(this, scope);
  }

  mount(next: Handler, scope: Scope): Handler {
    return mountAlone(this, next, scope);
  }

  update(change: Parameters<TokenBucket['update']>[0]): void {
    const { rate, per, burst } = tokenBucketFields;
    const was = this.bucket.limit;
    const fields = { rate: rate.or(was.rate), per: per.or(was.per), burst: burst.or(was.burst) };
    const is = readOptions('tokenBucket.update', fields, change, (limit) => holds('cost', this.terms.cost, burstOf(limit)));
    this.bucket.change({ ...is, burst: burstOf(is) }, this.now);
    this.review();
  }

  atRest(now: number): boolean {
    return this.waiting === 0 && this.bucket.limit === this.terms && this.bucket.reach(this.terms.burst, now) === 0;
  }

  strained(): boolean {
    return this.available < (1 - STRAIN) * this.bucket.limit.burst;
  }

  snapshot(): TokenBucketSnapshot {
    const { available, waiting } = this;
    const { rate, per, burst } = this.bucket.limit;
    return { available, waiting, rate, per, burst };
  }

  describe(): PlainData {
    const { rate, per, burst, maxWait, cost } = this.terms;
    return { rate, per, burst, maxWait, cost: typeof cost === 'function' ? 'computed' : cost };
  }
}

/** The bucket as one pipeline sees it. A pass is what the call paid. */
class TokenBucketGate implements Gate<number> {
  readonly timeless = true;
  readonly policy: TokenBucketPolicy;
  readonly scope: Scope;

  constructor(policy: TokenBucketPolicy, scope: Scope) {
    this.policy = policy;
    this.scope = scope;
  }

  enter(call: Call, now: number): number | Failure | Promise<number | Failure> {
    const { bucket, terms } = this.policy;
    const cost = typeof terms.cost === 'number' ? terms.cost : checked(terms.cost(call));
    if (cost === 0) return cost;
    this.policy.arrive(this.scope, now);
    const wait = bucket.wait(cost, now);
    if (wait === 0) return bucket.take(cost, now);
    const patience = call.waits ? Math.min(terms.maxWait, call.deadline - now) : 0;
    if (exceeds(wait, patience, now) || now + wait >= call.deadline) return this.#refuse(call, cost, wait - patience);
    return this.#wait(call, cost, wait, now);
  }

  settle(): void {} // the call ran: its tokens are spent

  cancel(cost: number): void {
    this.policy.giveBack(cost, this.scope.clock.now());
  }

  #wait(call: Call, cost: number, wait: number, now: number): Promise<number | Failure> {
    const { policy, scope } = this;
    const refuse = (): Failure => this.#refuse(call, cost, policy.bucket.wait(cost, scope.clock.now()));
    const waiting = policy.wait(call, cost, now + policy.terms.maxWait, now, refuse);
    if (scope.listening) scope.emit('token-bucket.delayed', 'debug', call, { wait, cost });
    return waiting;
  }

  #refuse(call: Call, cost: number, retryAfter: number): Failure {
    const { pipeline, policy, stack } = this.scope;
    const { rate, per, burst } = this.policy.bucket.limit;
    const limit = `${pipeline}: ${policy} allows ${rate} per ${per} ms and ${burst} at once`;
    const never = cost > burst;
    const message = never ? `${limit}; a call that costs ${cost} can never pass` : limit;
    return refuse(made(RateLimitedError, message, { pipeline, policy, key: call.key, retryAfter: never ? undefined : retryAfter }, stack));
  }
}

function checked(cost: number): number {
  if (cost >= 0 && typeof cost === 'number') return cost;
  throw new RangeError(`tokenBucket.cost: expected a function that answers with a number of at least 0, got ${String(cost)}`);
}
