/**
 * Adaptive limiter: bounds how many calls run at once, and finds out by itself how many that should be.
 *
 * @example
 * ```ts
 * import { adaptiveLimiter, pipeline } from 'breakwater';
 *
 * const limiter = adaptiveLimiter({ max: 500, maxQueue: 100, maxWait: '200ms' });
 * const search = pipeline([limiter]);
 * console.log(await search.execute(async () => limiter.inflight), limiter.limit); // => 1 20
 * ```
 *
 * @module
 */

import type { Call } from '../core/call.ts';
import type { Classifier } from '../core/classification.ts';
import { BulkheadFullError, OptionsError, QueueTimeoutError } from '../core/errors.ts';
import { type Mode, type PolicyOptions, commonFields } from '../core/mode.ts';
import { type Duration, type Fields, count, duration, flag, fn, numeric, oneOf, readOptions } from '../core/options.ts';
import { type GatePolicy, type PlainData, type Policy, mountAlone } from '../core/policy.ts';
import type { Scope } from '../core/scope.ts';
import type { Gate } from '../core/stage.ts';
import type { PriorityThreshold } from '../stores/priority-threshold.ts';
import { type QueueOptions, describeQueue, queueFields, uselessIn } from '../stores/slots/queue-options.ts';
import type { SlotsReading } from '../stores/slots/shared-slots.ts';
import { slotWords } from '../stores/slots/slot-gate.ts';
import { type LimitAlgorithm, type LimitAlgorithmOptions, algorithmField } from './adaptive-limiter/fields.ts';
import { AdaptiveGate } from './adaptive-limiter/gate.ts';
import { LearningSlots } from './adaptive-limiter/learning-slots.ts';
import { type AdaptiveLimiterSettings, initialOf, rules, thresholdField } from './adaptive-limiter/rules.ts';

/** Options of {@link adaptiveLimiter}. */
export interface AdaptiveLimiterOptions<Sees = unknown> extends QueueOptions, PolicyOptions {
  /**
   * How the limit is found: `'correlated'`, by a baseline that is measured and watched; `'gradient'`, by latency against its long average; `'vegas'`, against its
   * minimum; `'aimd'`, by drops alone. Or an object with that as its `kind`, and settings. @defaultValue `'correlated'`
   */
  readonly algorithm?: LimitAlgorithm['kind'] | LimitAlgorithmOptions;
  /** The limit never goes below. @defaultValue `1` */
  readonly min?: number;
  /** The limit never goes beyond. @defaultValue `200` */
  readonly max?: number;
  /** Where the limit begins. @defaultValue `20`, or what is nearest to it between `min` and `max` */
  readonly initial?: number;
  /** Begins at `min` instead, and grows by one with each call that has come back until it is at `initial`. @defaultValue `false` */
  readonly slowStart?: boolean;
  /** So many calls at the start, when everything is cold, teach nothing. @defaultValue `10` */
  readonly coldSamples?: number;
  /** No call that does not wait at the service takes longer: what a long incident teaches beyond that is not believed. @defaultValue `Infinity` */
  readonly maxBaseline?: Duration;
  /** From so many times the limit on, waiting calls are too many: newcomers are turned away, at first only some. @defaultValue `2` */
  readonly initialRejectionFactor?: number;
  /** With so many times the limit waiting, all newcomers are turned away. @defaultValue `3` */
  readonly maxRejectionFactor?: number;
  /** With `priority`: which ranks may wait, worked out together with other limiters that are given the same. @defaultValue one of its own */
  readonly threshold?: PriorityThreshold;
  /** Calls that go by: they take no slot, never wait and teach nothing. @defaultValue none */
  readonly bypass?: (call: Call) => boolean;
  /**
   * When a slot is free again, and how long a call took is known: `'settle'`, when the work has really ended, also if a timeout or an abort answered long
   * before; `'timeout'`, when the caller has its answer. @defaultValue `'settle'`
   */
  readonly releaseOn?: 'settle' | 'timeout';
  /** What outcomes mean here; asked before the pipeline's own. @defaultValue what is known of errors and HTTP responses */
  readonly classify?: Classifier<Sees>;
}

declare module '../core/events.ts' {
  interface EventFields {
    'adaptive-limiter.limit-changed': {
      readonly from: number;
      readonly to: number;
      readonly inflight: number;
      readonly gradient: number;
      readonly baseline: number | undefined;
      readonly recent: number | undefined;
    };
    /** Calls of a lower rank than `threshold` may not wait now; `undefined`: all may. */
    'adaptive-limiter.threshold-changed': { readonly threshold: number | undefined };
    'adaptive-limiter.queued': { readonly active: number; readonly queued: number };
    'adaptive-limiter.admitted': { readonly waited: number };
    'adaptive-limiter.timed-out': { readonly waited: number };
    /** Its turn came, and it was let go because the queue stood (codel). */
    'adaptive-limiter.shed': { readonly waited: number };
    /** A call of a higher rank took its place. */
    'adaptive-limiter.evicted': { readonly waited: number };
  }
}

/**
 * The limit and its bounds; slots taken now and at most so far; what calls take when nothing queues and what they took lately (ms, or `undefined` while not known), and the
 * ratio of the two; the rank below which calls may not wait; and all that a bulkhead tells of its slots.
 */
export type AdaptiveLimiterSnapshot = PlainData &
  SlotsReading &
  Readonly<Record<'limit' | 'min' | 'max' | 'inflight' | 'maxInflight' | 'gradient', number>> &
  Readonly<Record<'baseline' | 'recent' | 'threshold', number | undefined>>;

/** An adaptive limiter: slots whose number follows what the service can bear. Several pipelines that hold the same one share its slots. */
export interface AdaptiveLimiter<Sees = unknown> extends Policy<Sees>, Pick<GatePolicy, 'gate'> {
  readonly kind: 'adaptive-limiter';
  /** How many calls may run at once now. */
  readonly limit: number;
  /** Slots taken now; above the limit for a while after it shrank. */
  readonly inflight: number;
  /** Calls waiting now. */
  readonly queued: number;
  /** Forgets all it has learned and begins anew at `initial`: after a deployment, say. Calls under way keep their slots. */
  reset(): void;
  snapshot(): AdaptiveLimiterSnapshot;
}

/** The option table. */
export const adaptiveLimiterFields: Fields<AdaptiveLimiterSettings> = {
  algorithm: algorithmField.or('correlated'),
  min: count({ min: 1 }).or(1),
  max: count({ min: 1 }).or(200),
  initial: count({ min: 1 }).optional(),
  slowStart: flag().or(false),
  coldSamples: count().or(10),
  maxBaseline: duration({ min: 0.001, infinite: true }).or(Infinity),
  ...queueFields,
  initialRejectionFactor: numeric({ min: 1 }).or(2),
  maxRejectionFactor: numeric({ min: 1 }).or(3),
  threshold: thresholdField.optional(),
  bypass: fn<(call: Call) => boolean>('(call) => true or false').optional(),
  releaseOn: oneOf('settle', 'timeout').or('settle'),
  classify: fn<Classifier<never>>('(outcome, call) => verdict, flags or undefined').optional(),
  ...commonFields,
};

/**
 * Lets as many calls run at once as the service can bear, which it learns from how long they take and from drops (timeouts, 429, 503), and refuses the rest with a
 * {@link BulkheadFullError}: it is a bulkhead whose size is not given. Calls may wait, too, up to `maxQueue`; one that waited `maxWait` gets a
 * {@link QueueTimeoutError}.
 *
 * Only work that ran and was successful teaches how long calls take. What is under way when the limit changes teaches nothing any more, nor do calls while there is too little
 * to do to tell: the limit never grows while less than half of it is used.
 *
 * Algorithms after Netflix's concurrency-limits, failsafe-go, and Uber's Cinnamon; see each of them.
 *
 * @throws OptionsError if an option is wrong, or one that makes calls wait is given without a `maxQueue`
 */
export function adaptiveLimiter<Sees = unknown>(options: AdaptiveLimiterOptions<Sees> = {}): AdaptiveLimiter<Sees> {
  const settings = readOptions('adaptiveLimiter', adaptiveLimiterFields, options, ...rules);
  const useless = uselessIn('adaptiveLimiter', options);
  if (useless !== undefined) throw new OptionsError([useless]);
  return new AdaptiveLimiterPolicy<Sees>(settings);
}

class AdaptiveLimiterPolicy<Sees> extends LearningSlots implements AdaptiveLimiter<Sees> {
  readonly kind = 'adaptive-limiter';
  readonly name: string | undefined;
  readonly mode: Mode;
  readonly tracks: boolean;

  constructor(settings: AdaptiveLimiterSettings) {
    super(settings);
    this.name = settings.name;
    this.mode = settings.mode;
    this.tracks = settings.maxQueue > 0 && settings.maxWait === Infinity;
  }

  gate(scope: Scope): Gate {
    this.join(scope);
    return new AdaptiveGate(this, scope, words, this.settings.releaseOn === 'settle');
  }

  mount: AdaptiveLimiter['mount'] = (next, scope) => mountAlone(this, next, scope);

  snapshot(): AdaptiveLimiterSnapshot {
    const { min, max } = this.settings;
    const { limit, inflight, maxInflight } = this;
    return { limit, min, max, inflight, maxInflight, ...this.learned(), threshold: this.threshold?.threshold, ...this.reading() };
  }

  describe(): PlainData {
    const { algorithm, min, max, slowStart, coldSamples, maxBaseline, bypass, releaseOn } = this.settings;
    const { initialRejectionFactor, maxRejectionFactor } = this.settings;
    const own = { algorithm: { ...algorithm }, min, max, initial: initialOf(this.settings), slowStart, coldSamples, maxBaseline };
    const queue = { ...describeQueue(this.settings), initialRejectionFactor, maxRejectionFactor };
    return { ...own, ...queue, ...(bypass !== undefined && { bypass: 'by call' }), releaseOn };
  }
}

const words = slotWords('limit', BulkheadFullError, QueueTimeoutError, {
  queued: { type: 'adaptive-limiter.queued', level: 'debug' },
  admitted: { type: 'adaptive-limiter.admitted', level: 'debug' },
  'timed-out': { type: 'adaptive-limiter.timed-out', level: 'warn' },
  shed: { type: 'adaptive-limiter.shed', level: 'warn' },
  evicted: { type: 'adaptive-limiter.evicted', level: 'warn' },
});
