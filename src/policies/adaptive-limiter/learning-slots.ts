import { limitOf } from '../../algorithms/limits/kinds.ts';
import { Learner } from '../../algorithms/limits/learner.ts';
import { rejectionShare } from '../../algorithms/limits/rejection.ts';
import type { Call } from '../../core/call.ts';
import type { Outcome } from '../../core/outcome.ts';
import { drawnRankOf } from '../../core/priority.ts';
import type { Scope } from '../../core/scope.ts';
import { type PriorityThreshold, priorityThreshold } from '../../stores/priority-threshold.ts';
import { SharedSlots } from '../../stores/slots/shared-slots.ts';
import { windowOf } from './fields.ts';
import { type AdaptiveLimiterSettings, initialOf } from './rules.ts';
import { loadSignOf } from './verdict.ts';

/** What was learned is that old when nothing is lost by forgetting it, ms. */
const STALE = 300_000;

/** What snapshots and events tell of what was learned. */
export interface Learned {
  readonly gradient: number;
  readonly baseline: number | undefined;
  readonly recent: number | undefined;
}

/** Slots whose number is learned from the calls that hold them. */
export class LearningSlots extends SharedSlots {
  readonly settings: AdaptiveLimiterSettings;
  readonly threshold: PriorityThreshold | undefined;
  /** The most slots that were taken at once. */
  maxInflight = 0;
  readonly #learner: Learner;
  #learned = -Infinity;

  constructor(settings: AdaptiveLimiterSettings) {
    const { algorithm, min, max, maxBaseline, coldSamples, slowStart } = settings;
    const initial = initialOf(settings);
    const ranked = settings.priority !== false;
    // Who is turned away where ranks count, the gate decides alone: the queue is never full before that.
    const priority = settings.priority === true ? drawnRankOf : settings.priority;
    super(slowStart ? min : initial, ranked ? { ...settings, priority, maxQueue: settings.maxQueue + 1 } : settings);
    this.settings = settings;
    const limit = limitOf(algorithm, { min, max, initial }, maxBaseline);
    this.#learner = new Learner(limit, windowOf(algorithm), coldSamples, slowStart ? min : undefined);
    this.threshold = settings.threshold ?? (ranked ? priorityThreshold() : undefined);
  }

  get limit(): number {
    return this.slots.limit;
  }

  get inflight(): number {
    return this.slots.taken;
  }

  /** The share of newcomers that are too many, 0 to 1, by how many wait. */
  get pressure(): number {
    const { initialRejectionFactor, maxRejectionFactor, maxQueue } = this.settings;
    const most = Math.min(maxQueue, Math.floor(maxRejectionFactor * this.limit));
    return rejectionShare(this.queued, Math.min(most, Math.floor(initialRejectionFactor * this.limit)), most);
  }

  /** Whether a call goes by without taking part. */
  passesBy(call: Call, scope: Scope): boolean {
    const { bypass } = this.settings;
    return bypass !== undefined && scope.ask('bypass', false, () => bypass(call));
  }

  /** A call that had a slot since `begun` is over. */
  learn(call: Call, begun: number, outcome: Outcome, scope: Scope, now: number): void {
    const { inflight } = this;
    this.maxInflight = Math.max(this.maxInflight, inflight);
    const sign = loadSignOf(outcome, call, scope, this.settings.classify);
    if (sign === 'nothing') return;
    this.#learned = now;
    this.#learner.sample(begun, inflight, sign === 'drop', now, scope.random());
    this.#follow();
  }

  learned(): Learned {
    const { recent, limit } = this.#learner;
    return { gradient: limit.gradient, baseline: limit.baseline, recent };
  }

  reset(): void {
    this.#learner.reset();
    this.maxInflight = 0;
    this.#learned = -Infinity;
    this.#follow();
  }

  /** Whether it is as good as new: with nobody in it, and what it has learned is old. */
  atRest(now: number): boolean {
    return this.active + this.queued === 0 && now - this.#learned >= STALE;
  }

  /** The slots follow the limit. */
  #follow(): void {
    const { limit: from, inflight } = this;
    const to = this.#learner.allowed;
    if (from === to) return;
    this.setLimit(to);
    this.audience.emit('adaptive-limiter.limit-changed', 'debug', undefined, { from, to, inflight, ...this.learned() });
  }
}
