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

import { type Leak, PacedBucket } from '../algorithms/leaky-bucket.ts';
import { Sharing } from '../algorithms/sharing.ts';
import { exceeds } from '../algorithms/token-bucket.ts';
import type { Call } from '../core/call.ts';
import { type OptionProblem, RateLimitedError } from '../core/errors.ts';
import { made } from '../core/made.ts';
import { type Duration, type Fields, count, duration, numeric, readOptions } from '../core/options.ts';
import { type CommonSettings, type Mode, type PolicyOptions, commonFields } from '../core/mode.ts';
import { type Failure, refuse } from '../core/outcome.ts';
import { type GatePolicy, type Handler, type PlainData, mountAlone } from '../core/policy.ts';
import type { Scope } from '../core/scope.ts';
import type { Gate } from '../core/stage.ts';
import { STRAIN } from '../core/strain.ts';
import { SharedBucket } from '../stores/shared-bucket.ts';

/** Options of {@link leakyBucket}. */
export interface LeakyBucketOptions extends PolicyOptions {
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
    'leaky-bucket.delayed': { readonly wait: number; readonly excess: number };
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
export interface LeakyBucketSettings extends Leak, CommonSettings {
  readonly maxQueueTime: number;
}

/** The option table. */
export const leakyBucketFields: Fields<LeakyBucketSettings> = {
  rate: numeric({ above: 0 }),
  per: duration({ min: 0.000_001 }).or('1s'),
  burst: count({ infinite: true }).or(Infinity),
  delay: count({ infinite: true }).or(0),
  maxQueueTime: duration({ infinite: true }).or('500ms'),
  ...commonFields,
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
  return new LeakyBucketPolicy(alike.share(readOptions('leakyBucket', leakyBucketFields, options, bounded)));
}

const alike = new Sharing<LeakyBucketSettings>();

function bounded({ burst, delay, maxQueueTime }: LeakyBucketSettings): OptionProblem | undefined {
  if (burst < Infinity || (delay < Infinity && maxQueueTime < Infinity)) return undefined;
  const others = delay === Infinity ? 'with a delay of Infinity' : 'with a maxQueueTime of Infinity';
  return { path: 'burst', expected: `a bound ${others}: otherwise nothing is ever refused`, got: String(burst) };
}

class LeakyBucketPolicy extends SharedBucket<PacedBucket> implements LeakyBucket {
  readonly kind = 'leaky-bucket';
  readonly name: string | undefined;
  readonly mode: Mode;
  readonly settings: LeakyBucketSettings;

  constructor(settings: LeakyBucketSettings) {
    super(new PacedBucket(settings, 0));
    this.name = settings.name;
    this.mode = settings.mode;
    this.settings = settings;
  }

  get excess(): number {
    return this.bucket.excess(this.now);
  }

  get available(): number {
    return Math.max(0, this.bucket.available(this.now));
  }

  gate(scope: Scope): Gate {
    this.join(scope);
    return new LeakyBucketGate(this, scope);
  }

  mount(next: Handler, scope: Scope): Handler {
    return mountAlone(this, next, scope);
  }

  update(change: Parameters<LeakyBucket['update']>[0]): void {
    const { rate, per, burst, delay } = leakyBucketFields;
    const was = this.bucket.leak;
    const fields = { rate: rate.or(was.rate), per: per.or(was.per), burst: burst.or(was.burst), delay: delay.or(was.delay) };
    const rule = (leak: Leak): OptionProblem | undefined => bounded({ ...this.settings, ...leak });
    this.bucket.reshape(readOptions('leakyBucket.update', fields, change, rule), this.now);
    this.review();
  }

  atRest(now: number): boolean {
    return this.waiting === 0 && this.bucket.leak === this.settings && this.bucket.reach(this.bucket.limit.burst, now) === 0;
  }

  /** Calls are held, or the burst is nearly used up. */
  strained(): boolean {
    return this.waiting > 0 || this.excess > STRAIN * this.bucket.leak.burst;
  }

  snapshot(): LeakyBucketSnapshot {
    const { excess, waiting } = this;
    const { rate, per, burst, delay } = this.bucket.leak;
    return { excess, waiting, rate, per, burst, delay };
  }

  describe(): PlainData {
    const { rate, per, burst, delay, maxQueueTime } = this.settings;
    return { rate, per, burst, delay, maxQueueTime };
  }
}

/** The bucket as one pipeline sees it. A pass is the one place that the call took. */
class LeakyBucketGate implements Gate<number> {
  readonly timeless = true;
  readonly policy: LeakyBucketPolicy;
  readonly scope: Scope;

  constructor(policy: LeakyBucketPolicy, scope: Scope) {
    this.policy = policy;
    this.scope = scope;
  }

  enter(call: Call, now: number): number | Failure | Promise<number | Failure> {
    const { bucket, settings } = this.policy;
    this.policy.arrive(this.scope, now);
    const hold = bucket.reach(1, now);
    if (hold === 0) {
      bucket.take(1, now);
      return 1;
    }
    const patience = call.waits ? Math.min(bucket.longest, settings.maxQueueTime, call.deadline - now) : 0;
    if (exceeds(hold, patience, now) || now + hold >= call.deadline) return this.#refuse(call, hold - patience);
    return this.#hold(call, hold, now);
  }

  settle(): void {} // the call ran: its place is used

  cancel(): void {
    this.policy.giveBack(1, this.scope.clock.now());
  }

  #hold(call: Call, wait: number, now: number): Promise<number | Failure> {
    const { policy, scope } = this;
    const excess = policy.bucket.excess(now);
    const refuse = (): Failure => this.#refuse(call, policy.bucket.reach(1, scope.clock.now()));
    const waiting = policy.wait(call, 1, now + policy.settings.maxQueueTime, now, refuse);
    if (scope.listening) scope.emit('leaky-bucket.delayed', 'debug', call, { wait, excess });
    return waiting;
  }

  #refuse(call: Call, retryAfter: number): Failure {
    const { pipeline, policy, stack } = this.scope;
    const { rate, per, burst } = this.policy.bucket.leak;
    const message = `${pipeline}: ${policy} lets ${rate} calls leave per ${per} ms and bears ${burst} ahead of that`;
    return refuse(made(RateLimitedError, message, { pipeline, policy, key: call.key, retryAfter }, stack));
  }
}
