/**
 * How many calls may be under way at once, learned from how long they take. Limits are told round-trip times and answer with a whole number; none of them
 * knows a clock, a queue or a caller.
 */
export interface Limit {
  /** How many calls may be under way: a whole number between the bounds. */
  readonly limit: number;
  /** What round trips take when nothing queues, ms; `undefined` where that is not known, or not asked. */
  readonly baseline: number | undefined;
  /** The baseline over what round trips take now: 1 while nothing queues, 0.5 if they take twice as long. */
  readonly gradient: number;
  /**
   * Learns from one sample, or from what a window of samples came to.
   *
   * @param rtt - how long it took, ms; what is no time (0, negative, `NaN`) is ignored unless it was dropped
   * @param inflight - how many calls were under way with it, itself included; of a window, the most
   * @param dropped - it was turned away or timed out: a sign of overload, whatever the time
   * @param now - ms
   * @param u - chance, in [0, 1)
   * @param mean - of a window whose `rtt` is a quantile, the mean
   * @returns the limit from now on
   */
  sample(rtt: number, inflight: number, dropped: boolean, now: number, u?: number, mean?: number): number;
  /** Begins anew. */
  reset(): void;
}

/** Between what a limit moves, and where it begins. Whole numbers, `1 <= min <= initial <= max`. */
export interface Bounds {
  readonly min: number;
  readonly max: number;
  readonly initial: number;
}

/** The nearest number between the bounds. */
export function within(limit: number, { min, max }: Bounds): number {
  return Math.min(max, Math.max(min, limit));
}

/** Whether a round trip took a time at all. A clock that stood still or went back says nothing about latency. */
export function isTime(rtt: number): boolean {
  return rtt > 0 && rtt < Infinity;
}
