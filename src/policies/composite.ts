/**
 * Composite: several rate limits that are one. A call is charged to all of them or to none.
 *
 * @example
 * ```ts
 * import { composite, pipeline, tokenBucket } from 'breakwater';
 *
 * const perSecond = tokenBucket({ rate: 10 });
 * const perHour = tokenBucket({ rate: 1000, per: '1h', burst: 15 });
 * const api = pipeline([composite([perSecond, perHour])]);
 *
 * const admitted = Array.from({ length: 30 }, () => api.tryAcquire().admitted);
 * console.log(admitted.filter(Boolean).length, Math.round(perHour.available)); // => 10 5
 * ```
 *
 * @module
 */

import { Composite as Meters, type Costs } from '../algorithms/meters/composite.ts';
import { WaitingLine } from '../algorithms/meters/waiting-line.ts';
import type { Alarm } from '../core/alarm.ts';
import type { Call } from '../core/call.ts';
import { type Fields, count, readOptions } from '../core/options.ts';
import type { GatePolicy, PlainData } from '../core/policy.ts';
import type { Quota } from '../core/quota.ts';
import type { Scope } from '../core/scope.ts';
import type { Gate } from '../core/stage.ts';
import { strainedAmong } from '../core/strain.ts';
import { SharedLimiter } from '../stores/limiter/shared-limiter.ts';
import { type LimiterOptions, type LimiterTerms, described, limiterFields } from '../stores/limiter/terms.ts';
import { type AnyLimiter, Part, limitersOf } from './composite/part.ts';

/** Options of {@link composite}. What a call costs is said by each limit for itself. */
export interface CompositeOptions extends Omit<LimiterOptions, 'cost'> {
  /** How many calls may wait. @defaultValue `1000` */
  readonly maxQueue?: number;
}

declare module '../core/events.ts' {
  interface EventFields {
    /** `cost`: what the call takes of each limit; `undefined`: nothing. */
    'composite.delayed': { readonly wait: number; readonly cost: readonly unknown[] };
  }
}

/** The state of a composite: the least that is there of any limit, calls that wait, and the state of each of its limits. */
export interface CompositeSnapshot extends PlainData {
  readonly available: number;
  readonly waiting: number;
  readonly limits: readonly PlainData[];
}

/** Several limits that are one. */
export interface Composite extends GatePolicy {
  readonly kind: 'composite';
  /** What is available now in the limit that has least; 0 while calls wait here. Each limit counts in its own units. */
  readonly available: number;
  /** Calls waiting here now; those that wait for one of the limits by itself are not among them. */
  readonly waiting: number;
  /** The limits, to look at or to change one by one. */
  readonly limits: readonly GatePolicy[];
  /** Whether all of the limits are as good as new, with nobody waiting. */
  atRest(now: number): boolean;
  snapshot(): CompositeSnapshot;
}

/** Options as read. */
export type CompositeSettings = Omit<LimiterTerms, 'cost'>;

const { maxWait, borrow, refundOnAbort, refundIf, drainOn, name, mode } = limiterFields;

/** The option table. */
export const compositeFields: Fields<CompositeSettings> = {
  maxWait,
  maxQueue: count({ infinite: true }).or(1000),
  borrow,
  refundOnAbort,
  refundIf,
  drainOn,
  name,
  mode,
};

/**
 * Lets a call pass when it fits all of the limits at once, and then charges it to all of them, each with its own `cost`; if it does not fit one of them, none is
 * charged. (Limiters one behind the other charge the outer ones for calls that the inner one refuses or holds back.) A call that does not fit is refused with a
 * {@link RateLimitedError}; its message names the limit that it has to wait for longest, and its `retryAfter` (ms) says until when. With `maxWait` it waits, first come,
 * first served, and is charged when it passes.
 *
 * The limits may be shared: mounted elsewhere by themselves, or part of other composites. Those who wait for one of them there come first. Of their options only the limit itself
 * and `cost` count here; what concerns waiting, refunds and draining is said for all together, and a refund goes to all.
 *
 * @throws OptionsError if an option is wrong, or one of the policies is no rate limiter
 */
export function composite(limits: readonly GatePolicy[], options: CompositeOptions = {}): Composite {
  const settings = readOptions('composite', compositeFields, options);
  return new CompositePolicy(limitersOf('composite', limits), { ...settings, cost: undefined });
}

class CompositePolicy extends SharedLimiter<Meters, Costs, readonly unknown[]> implements Composite {
  readonly kind = 'composite';
  readonly limits: readonly AnyLimiter[];
  #ownLine: WaitingLine<Costs, readonly unknown[]> | undefined = undefined;

  constructor(limits: readonly AnyLimiter[], terms: LimiterTerms) {
    super(new Meters(limits.map((limit) => new Part(limit))), terms);
    this.limits = limits;
  }

  get law(): string {
    const slowest = this.limits[this.meter.slowest] as AnyLimiter;
    return `what all of its limits allow; ${slowest.name ?? slowest.kind} says no, with ${slowest.law}`;
  }

  get available(): number {
    return this.waiting > 0 ? 0 : Math.min(...this.limits.map((limit) => (limit as AnyLimiter & Pick<Composite, 'available'>).available));
  }

  override gate(scope: Scope): Gate {
    for (const limit of this.limits) limit.join(scope);
    return super.gate(scope);
  }

  priceOf(call: Call): Costs {
    return this.limits.map((limit) => {
      const cost = limit.priceOf(call);
      return limit.isFree(cost) ? undefined : cost;
    });
  }

  get unit(): Costs {
    return this.limits.map((limit) => limit.unit);
  }

  /** Of each limit by itself; where no call passes, none of them is away for longer than the call would be. */
  remainders(policy: string, now: number, patience: number): readonly Quota[] {
    const quotas: Quota[] = [];
    for (const limit of this.limits) quotas.push(...limit.remainders(limit.name ?? `${policy} (${limit.kind})`, now, patience));
    const waits = this.waiting > 0;
    if (!this.begun || (!waits && quotas.every(passes))) return quotas;
    const turn = this.turn(now, patience);
    if (waits) return quotas.map((quota) => ({ ...quota, remaining: 0, reset: turn }));
    return quotas.map((quota) => (passes(quota) ? quota : { ...quota, reset: Math.min(quota.reset, turn) }));
  }

  isFree(costs: Costs): boolean {
    return costs.every((cost) => cost === undefined);
  }

  override arrive(scope: Scope, read: number): number {
    let now = read;
    for (const limit of this.limits) now = Math.max(now, limit.arrive(scope, now));
    return super.arrive(scope, now);
  }

  /** Others may have used the limits meanwhile, so what was rehearsed for those who wait is played anew. */
  override wait(costs: Costs, now: number): number {
    this.#ownLine?.forget();
    return super.wait(costs, now);
  }

  strained(call: Call): boolean {
    return this.waiting > 0 || strainedAmong(this.limits, call) !== undefined;
  }

  snapshot(): CompositeSnapshot {
    const { available, waiting } = this;
    return { available, waiting, limits: this.limits.map((limit) => ({ ...nameOf(limit), ...limit.snapshot() })) };
  }

  describe(): PlainData {
    const limits = this.limits.map((limit) => ({ ...nameOf(limit), ...limit.describe() }));
    return { limits, ...described(this.terms), cost: 'of each limit' };
  }

  protected override newLine(bell: (ring: (now: number) => void) => Alarm): WaitingLine<Costs, readonly unknown[]> {
    // Others use the limits too: a turn cannot be booked for an earlier time than now.
    return (this.#ownLine = new WaitingLine(this.meter, bell, 0));
  }
}

/** Whether a call that costs 1 would pass. */
function passes({ remaining, limit }: Quota): boolean {
  return remaining >= Math.min(1, limit);
}

function nameOf({ kind, name = kind }: AnyLimiter): PlainData {
  return { kind, name };
}
