/**
 * Priority threshold: which calls are turned away while more come than can be served, in any number of limiters, together.
 *
 * @example
 * ```ts
 * import { adaptiveLimiter, priorityThreshold } from 'breakwater';
 *
 * const threshold = priorityThreshold({ interval: '500ms' });
 * const reads = adaptiveLimiter({ maxQueue: 100, priority: true, threshold });
 * const writes = adaptiveLimiter({ maxQueue: 100, priority: true, threshold });
 * console.log(threshold.snapshot(), reads.kind === writes.kind); // => { threshold: undefined, rate: 0, share: 0 } true
 * ```
 *
 * @module
 */

import { RankThreshold } from '../algorithms/limits/rank-threshold.ts';
import { type Duration, type Fields, duration, readOptions } from '../core/options.ts';
import type { PlainData } from '../core/policy.ts';

/** Options of {@link priorityThreshold}. */
export interface PriorityThresholdOptions {
  /** How often the threshold is worked out anew. @defaultValue `'1s'` */
  readonly interval?: Duration;
}

/** The option table. */
export const priorityThresholdFields: Fields<{ readonly interval: number }> = {
  interval: duration({ min: 1 }).or('1s'),
};

/** The threshold, the share of calls that is too many, and the share of the calls of late that rank below the threshold. */
export type PriorityThresholdSnapshot = PlainData & {
  readonly threshold: number | undefined;
  readonly rate: number;
  readonly share: number;
};

/** From which rank on calls may wait. Give the same one to all limiters that share a load. */
export interface PriorityThreshold {
  readonly kind: 'priority-threshold';
  /** Calls of a lower rank that find no slot free are turned away; `undefined` while nobody is. */
  readonly threshold: number | undefined;
  snapshot(): PriorityThresholdSnapshot;
  /** A call of this rank came, and finds the queue this full: 0, as far as nobody is turned away, to 1. Answers whether the threshold has moved. */
  arrived(rank: number, pressure: number, now: number): boolean;
  /** A call got a slot. */
  started(): void;
}

/**
 * A threshold for the ranks of calls that limiters turn away first while more come than can be served; each limiter keeps its own unless they are given one.
 *
 * @throws OptionsError if an option is wrong
 */
export function priorityThreshold(options: PriorityThresholdOptions = {}): PriorityThreshold {
  const { interval } = readOptions('priorityThreshold', priorityThresholdFields, options);
  return new SharedThreshold(new RankThreshold(interval));
}

class SharedThreshold implements PriorityThreshold {
  readonly kind = 'priority-threshold';
  readonly #ranks: RankThreshold;

  constructor(ranks: RankThreshold) {
    this.#ranks = ranks;
  }

  get threshold(): number | undefined {
    const { threshold } = this.#ranks;
    return threshold === -Infinity ? undefined : threshold;
  }

  arrived(rank: number, pressure: number, now: number): boolean {
    return this.#ranks.arrive(rank, pressure, now);
  }

  started(): void {
    this.#ranks.start();
  }

  snapshot(): PriorityThresholdSnapshot {
    const { rate, share } = this.#ranks;
    return { threshold: this.threshold, rate, share };
  }
}
