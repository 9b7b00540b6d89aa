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
import { Turn, WaitingLine } from '../algorithms/waiting-line.ts';
import { Alarm } from '../core/alarm.ts';
import type { Call } from '../core/call.ts';
import type { Clock } from '../core/clock.ts';
import { type OptionProblem, RateLimitedError, made } from '../core/errors.ts';
import { type Duration, type Fields, duration, numeric, readOptions, text } from '../core/options.ts';
import { type Failure, refuse } from '../core/outcome.ts';
import { type GatePolicy, type Handler, type PlainData, mountAlone } from '../core/policy.ts';
import type { Scope } from '../core/scope.ts';
import type { Gate } from '../core/stage.ts';

/** Options of {@link tokenBucket}. */
export interface TokenBucketOptions {
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
  /** @defaultValue the kind */
  readonly name?: string;
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
export interface TokenBucketSettings {
  readonly rate: number;
  readonly per: number;
  readonly burst: number | undefined;
  readonly maxWait: number;
  readonly cost: number | ((call: Call) => number);
  readonly initial: number | undefined;
  readonly name: string | undefined;
}

/** The option table. */
export const tokenBucketFields: Fields<TokenBucketSettings> = {
  rate: numeric({ above: 0 }),
  per: duration({ min: 0.000_001 }).or('1s'),
  burst: numeric({ above: 0 }).optional(),
  maxWait: duration({ infinite: true }).or(0),
  cost: numeric({ above: 0 }).orFunction<(call: Call) => number>('(call) => tokens').or(1),
  initial: numeric({ min: 0 }).optional(),
  name: text().optional(),
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

class TokenBucketPolicy implements TokenBucket {
  readonly kind = 'token-bucket';
  readonly name: string | undefined;
  readonly terms: Terms;
  readonly bucket: Bucket;
  line: WaitingLine | undefined = undefined;
  clock: Clock | undefined = undefined;
  used = false;

  constructor(terms: Terms) {
    this.name = terms.name;
    this.terms = terms;
    this.bucket = new Bucket(terms, terms.initial ?? terms.burst, 0);
  }

  get available(): number {
    return Math.max(0, this.bucket.available(this.#now()));
  }

  get waiting(): number {
    return this.line?.size ?? 0;
  }

  gate(scope: Scope): Gate {
    if (this.clock === undefined) this.begin(scope.clock, scope.clock.now(), false);
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
    this.bucket.change({ ...is, burst: burstOf(is) }, this.#now());
    this.line?.review(this.#now());
  }

  atRest(now: number): boolean {
    return this.waiting === 0 && this.bucket.limit === this.terms && this.bucket.reach(this.terms.burst, now) === 0;
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

  /** Time begins when the bucket is first mounted, or if the first call comes by another clock, then. */
  begin(clock: Clock, now: number, used = true): void {
    this.used = used;
    if (clock !== this.clock) this.bucket.at = now;
    this.clock = clock;
  }

  #now(): number {
    return this.clock === undefined ? this.bucket.at : this.clock.now();
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
    const { bucket, terms, line } = this.policy;
    const cost = typeof terms.cost === 'number' ? terms.cost : checked(terms.cost(call));
    if (cost === 0) return cost;
    if (!this.policy.used) this.policy.begin(this.scope.clock, now);
    if (line !== undefined) line.advance(now);
    const wait = bucket.wait(cost, now);
    if (wait === 0) return bucket.take(cost, now);
    const patience = call.waits ? Math.min(terms.maxWait, call.deadline - now) : 0;
    if (exceeds(wait, patience, now) || now + wait >= call.deadline) return this.#refuse(call, cost, wait - patience);
    return this.#wait(call, cost, wait, now);
  }

  settle(): void {} // the call ran: its tokens are spent

  cancel(cost: number): void {
    const now = this.scope.clock.now();
    this.policy.bucket.giveBack(cost, now);
    this.policy.line?.advance(now);
  }

  #wait(call: Call, cost: number, wait: number, now: number): Promise<number | Failure> {
    const { policy, scope } = this;
    const { clock } = scope;
    const line = (policy.line ??= new WaitingLine(policy.bucket, (ring) => new Alarm(clock, ring)));
    return new Promise((resolve) => {
      const turn = new Turn(cost, now + policy.terms.maxWait, (granted) => {
        call.waiter = undefined;
        resolve(granted ? cost : this.#refuse(call, cost, policy.bucket.wait(cost, clock.now())));
      });
      call.waiter = (failure) => {
        line.leave(turn, clock.now());
        resolve(failure);
      };
      line.join(turn, now);
      if (scope.listening) scope.emit('token-bucket.delayed', 'debug', call, { wait, cost });
    });
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
