/**
 * Adaptive rate: calls go out as fast as they come until the service says that it is asked too often; from then on at the rate that it turns out to bear.
 *
 * @example
 * ```ts
 * import { adaptiveRate, pipeline } from 'breakwater';
 *
 * const limit = adaptiveRate();
 * const api = pipeline([limit]);
 * await api.execute(() => new Response('here', { status: 200 }));
 * console.log(limit.rate); // => Infinity
 * await api.execute(() => new Response('too many', { status: 429 }));
 * console.log(limit.rate); // => 0.5
 * ```
 *
 * @module
 */

import { type Cubic, CubicRate } from '../algorithms/meters/cubic-rate.ts';
import type { Charge } from '../algorithms/meters/token-bucket.ts';
import { Audience } from '../core/audience.ts';
import type { Call } from '../core/call.ts';
import { type Classifier, classify } from '../core/classification.ts';
import { type Duration, type Fields, count, duration, fn, numeric, readOptions } from '../core/options.ts';
import type { Outcome } from '../core/outcome.ts';
import type { GatePolicy, PlainData, Policy } from '../core/policy.ts';
import type { Scope } from '../core/scope.ts';
import type { Gate } from '../core/stage.ts';
import { STRAIN } from '../core/strain.ts';
import { BucketLimiter } from '../stores/limiter/bucket-limiter.ts';
import { type LimiterOptions, type LimiterTerms, chargeFields, described } from '../stores/limiter/terms.ts';
import { LearningGate } from './adaptive-rate/learning-gate.ts';

/** Options of {@link adaptiveRate}. */
export interface AdaptiveRateOptions<Sees = unknown> extends LimiterOptions {
  /** The share of the rate, 0 to 1, that is left after the service said that it is asked too often. @defaultValue `0.7` */
  readonly beta?: number;
  /** How steeply the rate rises again. @defaultValue `0.4` */
  readonly scale?: number;
  /** How much the latest half second weighs in the measured rate, 0 to 1. @defaultValue `0.8` */
  readonly smoothing?: number;
  /** Calls per second; the rate is never less. @defaultValue `0.5` */
  readonly minRate?: number;
  /** What outcomes mean here, asked before the pipeline's own `classify`: those with `throttled: true` slow it down. @defaultValue none */
  readonly classify?: Classifier<Sees>;
  /** How long a call may wait for its turn; one that would have to wait longer, or beyond its deadline, is refused at once. @defaultValue `'5s'` */
  readonly maxWait?: Duration;
  /** How many calls may wait. @defaultValue `1000` */
  readonly maxQueue?: number;
}

declare module '../core/events.ts' {
  interface EventFields {
    'adaptive-rate.delayed': { readonly wait: number; readonly cost: number };
    /** The service said for the first time that it is asked too often. */
    'adaptive-rate.engaged': { readonly rate: number; readonly measured: number };
    /** It said so again. */
    'adaptive-rate.slowed': { readonly rate: number; readonly from: number; readonly measured: number };
  }
}

/** The state of an adaptive rate: whether there is a limit, calls per second that it allows (`null`: no limit) and that were answered, and calls that wait. */
export interface AdaptiveRateSnapshot extends PlainData {
  readonly engaged: boolean;
  readonly rate: number | null;
  readonly measured: number;
  readonly available: number | null;
  readonly waiting: number;
}

/** An adaptive rate. Several pipelines that hold the same one share what it has learned. */
export interface AdaptiveRate<Sees = unknown> extends Policy<Sees>, Pick<GatePolicy, 'gate'> {
  readonly kind: 'adaptive-rate';
  /** Whether the service has said that it is asked too often; until then there is no limit. */
  readonly engaged: boolean;
  /** Calls per second that it allows now; `Infinity` without a limit. */
  readonly rate: number;
  /** Calls per second that were answered lately. */
  readonly measured: number;
  /** How many calls would pass at once now, fractions included; 0 while calls wait. */
  readonly available: number;
  /** Calls waiting for their turn now. */
  readonly waiting: number;
  /** Forgets the limit, until the service says again that it is asked too often; those who wait go. */
  reset(): void;
  /** Whether it is as good as new: without a limit, or with one that would long have risen past all that it learned. */
  atRest(now: number): boolean;
  snapshot(): AdaptiveRateSnapshot;
}

/** Options as read. */
export interface AdaptiveRateSettings extends LimiterTerms, Cubic {
  readonly classify: Classifier<never> | undefined;
}

/** The option table. */
export const adaptiveRateFields: Fields<AdaptiveRateSettings> = {
  beta: numeric({ above: 0, max: 1 }).or(0.7),
  scale: numeric({ above: 0 }).or(0.4),
  smoothing: numeric({ above: 0, max: 1 }).or(0.8),
  minRate: numeric({ above: 0 }).or(0.5),
  classify: fn<Classifier<never>>('(outcome, call) => verdict, flags or undefined').optional(),
  ...chargeFields,
  maxWait: duration({ infinite: true }).or('5s'),
  maxQueue: count({ infinite: true }).or(1000),
};

/**
 * Finds out how often a service may be asked. There is no limit until an answer says that it is asked too often (429, `RESOURCE_EXHAUSTED`: `throttled` in the
 * classification); then the rate drops to `beta` times what was sent, and with each further answer it follows a cubic curve: fast up to near the former rate, slowly
 * around it, then on to more, and never beyond twice what is really sent. Calls wait for their turn, first come, first served; one that would have to wait longer than
 * `maxWait` or beyond its deadline is refused at once with a {@link RateLimitedError}.
 *
 * The client-side rate limiting of the AWS SDKs ("adaptive" retry mode), except that calls which were under way when the rate dropped do not make it drop again. Stand it
 * inside the retry, so that each attempt counts. The curve is that of CUBIC (RFC 9438).
 *
 * @throws OptionsError if an option is wrong
 */
export function adaptiveRate<Sees = unknown>(options: AdaptiveRateOptions<Sees> = {}): AdaptiveRate<Sees> {
  return new AdaptiveRatePolicy(readOptions('adaptiveRate', adaptiveRateFields, options));
}

class AdaptiveRatePolicy extends BucketLimiter<CubicRate, Charge> implements AdaptiveRate {
  readonly kind = 'adaptive-rate';
  declare readonly terms: AdaptiveRateSettings;
  readonly #audience = new Audience();

  constructor(settings: AdaptiveRateSettings) {
    super(new CubicRate(settings, 0), settings);
  }

  get law(): string {
    const rate = Number(this.rate.toPrecision(3));
    return `${rate} per second now, as the service has said that it is asked too often`;
  }

  get engaged(): boolean {
    return this.meter.engaged;
  }

  get rate(): number {
    return this.meter.rate;
  }

  get measured(): number {
    return this.meter.measured;
  }

  override gate(scope: Scope): Gate {
    this.#audience.add(scope);
    return new LearningGate(super.gate(scope), (outcome, call, sent, now) => this.#learn(scope, outcome, call, sent, now));
  }

  reset(): void {
    this.meter.release();
    this.review(this.present);
  }

  /** Calls wait, or few more would pass now. */
  strained(): boolean {
    return this.engaged && (this.waiting > 0 || this.available < (1 - STRAIN) * this.meter.burst);
  }

  snapshot(): AdaptiveRateSnapshot {
    const { engaged, rate, measured, available, waiting } = this;
    return { engaged, rate: engaged ? rate : null, measured, available: engaged ? available : null, waiting };
  }

  describe(): PlainData {
    const { beta, scale, smoothing, minRate, classify: own } = this.terms;
    return { beta, scale, smoothing, minRate, ...described(this.terms), ...(own === undefined ? {} : { classify: 'chosen' }) };
  }

  /** A call that was let in at `sent` has its answer. */
  #learn(scope: Scope, outcome: Outcome, call: Call, sent: number, now: number): void {
    const { meter } = this;
    const { engaged, rate: from } = meter;
    const { throttled } = classify(outcome, call, scope, this.terms.classify);
    const slower = meter.answer(throttled, sent, now);
    if (meter.engaged && this.waiting > 0) this.review(now);
    if (!slower) return;
    const { rate, measured } = meter;
    if (engaged) this.#audience.emit('adaptive-rate.slowed', 'info', call, { rate, from, measured });
    else this.#audience.emit('adaptive-rate.engaged', 'warn', call, { rate, measured });
  }
}
