/**
 * What a rate limiter keeps: how much has been taken, and when that counts no more. Time is in ms, on one clock; time that goes back counts as standing
 * still. Whoever may have waited long enough finds that it fits: while nobody takes, what is available never becomes less.
 *
 * @typeParam Cost - what a call takes: mostly a number
 * @typeParam Receipt - what gives it back
 */
export interface Meter<Cost = number, Receipt = unknown> {
  /** Milliseconds until `cost` fits if nobody else comes; 0 if it does now, `Infinity` if it never will. Changes nothing that anybody could see. */
  wait(cost: Cost, now: number): number;
  /** Takes `cost` at `now`, whether it fits or not; what does not fit is a debt that comes first. */
  take(cost: Cost, now: number): Receipt;
  /** Puts back what was taken and not used after all, as far as it still counts. */
  giveBack(receipt: Receipt, now: number): void;
  /** Takes all that is left: the next call fits no sooner than after a full limit has been taken. */
  drain(now: number): void;
  /** Whether it is as good as new. */
  isFresh(now: number): boolean;
  /** Time begins, or begins anew on another clock; nothing has come in since it last was looked at. */
  begin(now: number): void;
  /** The same state by itself: what is taken there is not taken here. */
  copy(): Meter<Cost, Receipt>;
}

/** A meter of something that can be counted. */
export interface CountedMeter<Receipt = unknown> extends Meter<number, Receipt> {
  /** The most that is ever there; `Infinity` if there is no limit. */
  readonly capacity: number;
  /** How long it takes until that is there again after all was taken, ms. */
  readonly period: number;
  /** What is left at `now`; below 0: what is owed. */
  available(now: number): number;
  /** Milliseconds until `level` is left, if nobody takes any; 0 if it is now, `Infinity` if waiting does not help. `level` is at most the capacity. */
  reach(level: number, now: number): number;
}

/** A meter whose state is so many numbers and nothing else: written down, it can be taken on by another one with the same limit. */
export interface Portable {
  /** How many; 0 if this one's state is more than that. */
  readonly width: number;
  /** Writes them down from `at` on. */
  save(to: Float64Array, at: number): void;
  /** Takes them on, in place of its own. */
  load(from: Float64Array, at: number): void;
}

/** A timer that fires up to this much late (ms) is no news; later, it was held up by a blocked event loop. */
export const LATENESS = 20;
/** Whoever comes early by this much (ms) is let in: it is less than clocks can tell, and it stays on the books. */
const NANOSECOND = 1e-6;
/** Four times the spacing of the numbers next to 1: what a few roundings may add up to. */
export const ROUNDING: number = 2 ** -50;

/** How exactly time is told around `now`, ms. */
export function leeway(now: number): number {
  return NANOSECOND + Math.abs(now) * ROUNDING;
}

/** Whether a wait is longer than the caller's patience, both in ms; one without end is, whatever the patience. */
export function exceeds(wait: number, patience: number, now: number): boolean {
  return wait === Infinity || wait - patience > leeway(now);
}
