/**
 * How long calls took lately, as quantiles. A call that was cut short (a timeout, a lost hedge, a caller who left) tells only that it would have
 * taken longer; leaving it out would learn from the quick ones alone, and counting it as finished would learn the limit instead of the
 * latency. It is therefore kept as what it is, a censored sample, and quantiles are read by the product-limit estimator (Kaplan and Meier,
 * "Nonparametric Estimation from Incomplete Observations", 1958), in Efron's form: its weight goes to the samples that lasted longer.
 *
 * Durations are kept in log-linear buckets, 32 to each doubling. Writing costs a few additions; nothing is allocated after construction.
 */

import { Wheel } from './wheel.ts';

/** Buckets to each doubling; a power of two. */
const PARTS = 32;

/** Doublings above 1 ms that are told apart: up to 2^21 ms, about 35 minutes. */
const DOUBLINGS = 21;

const BUCKETS = PARTS * (DOUBLINGS + 1);

/** Durations from here on (ms) share the last bucket. */
export const LONGEST_LATENCY: number = 2 ** DOUBLINGS;

/** A quantile misses the true one by at most this share of it, from 1 ms on; below, by at most this many ms. */
export const QUANTILE_ERROR: number = 1 / (2 * PARTS);

/** Sums of shares miss a whole number of samples by less than this part of them. */
const ROUNDING = 1e-9;

/** How far back to look. */
export interface LatencySettings {
  /** How long a sample counts, ms. */
  readonly window: number;
  /** Parts of the window; the oldest leaves whole, so between `1 - 1/slices` of the window and all of it is looked at. */
  readonly slices: number;
}

/** A quantile as read. */
export interface LatencyEstimate {
  readonly ms: number;
  /** False if so much was cut short that `ms` is only the longest that was seen: the true one is longer. */
  readonly known: boolean;
}

/** Durations of the last minute, and what share of them was how long. */
export class LatencyQuantiles extends Wheel {
  /** Finished and censored samples for each slice and bucket, and the sum over the slices. */
  readonly #finished: Uint32Array;
  readonly #censored: Uint32Array;
  readonly #allFinished: Uint32Array = new Uint32Array(BUCKETS);
  readonly #allCensored: Uint32Array = new Uint32Array(BUCKETS);
  #finishedCount = 0;
  #censoredCount = 0;

  constructor({ window = 60_000, slices = 6 }: Partial<LatencySettings> = {}) {
    super(window / slices, slices);
    this.#finished = new Uint32Array(slices * BUCKETS);
    this.#censored = new Uint32Array(slices * BUCKETS);
  }

  /** Counts a call that took `ms` and ended at `now`. */
  record(ms: number, now: number): void {
    if (this.#add(this.#finished, this.#allFinished, ms, now)) this.#finishedCount++;
  }

  /** Counts a call that was cut short after `ms`: it would have taken longer. */
  recordCensored(ms: number, now: number): void {
    if (this.#add(this.#censored, this.#allCensored, ms, now)) this.#censoredCount++;
  }

  /** Samples of both kinds. */
  count(now: number): number {
    this.expire(now);
    return this.#finishedCount + this.#censoredCount;
  }

  /** Samples that are not censored. */
  finished(now: number): number {
    this.expire(now);
    return this.#finishedCount;
  }

  /** The duration (ms) that the share `q` of calls does not exceed, or the longest that was seen if it is not known; `undefined` without samples. */
  quantile(q: number, now: number): number | undefined {
    return this.estimate(q, now)?.ms;
  }

  /** As {@link quantile}, and says whether it is known. */
  estimate(q: number, now: number): LatencyEstimate | undefined {
    this.expire(now);
    let left = this.#finishedCount + this.#censoredCount;
    if (left === 0) return undefined;
    const wanted = Math.max(q * left * (1 - ROUNDING), Number.MIN_VALUE);
    let weight = 1;
    let sum = 0;
    for (let i = 0; ; i++) {
      const finished = this.#allFinished[i] as number;
      const censored = this.#allCensored[i] as number;
      sum += finished * weight;
      left -= finished;
      const known = finished > 0 && sum >= wanted;
      // Nothing lasted longer than what was cut short in this bucket.
      if (known || left === censored) return { ms: middle(i), known };
      weight *= left / (left - censored);
      left -= censored;
    }
  }

  clear(): void {
    this.#finished.fill(0);
    this.#censored.fill(0);
    this.#allFinished.fill(0);
    this.#allCensored.fill(0);
    this.#finishedCount = this.#censoredCount = 0;
  }

  #add(slices: Uint32Array, all: Uint32Array, ms: number, now: number): boolean {
    if (Number.isNaN(ms)) return false;
    if (now >= this.end) this.expire(now);
    const bucket = bucketOf(ms);
    (slices[this.slot * BUCKETS + bucket] as number)++;
    (all[bucket] as number)++;
    return true;
  }

  protected empty(slot: number): void {
    this.#finishedCount -= empty(this.#finished, slot, this.#allFinished);
    this.#censoredCount -= empty(this.#censored, slot, this.#allCensored);
  }
}

/** Takes the samples of one slice off the sum; answers with how many there were. */
function empty(slices: Uint32Array, slot: number, all: Uint32Array): number {
  const from = slot * BUCKETS;
  let taken = 0;
  for (let i = 0; i < BUCKETS; i++) {
    const count = slices[from + i] as number;
    (all[i] as number) -= count;
    taken += count;
  }
  slices.fill(0, from, from + BUCKETS);
  return taken;
}

function bucketOf(ms: number): number {
  if (!(ms > 0)) return 0;
  if (ms >= LONGEST_LATENCY) return BUCKETS - 1;
  const doubling = ms < 1 ? 0 : 31 - Math.clz32(ms);
  return PARTS * doubling + Math.floor((ms * PARTS) / (1 << doubling));
}

function middle(bucket: number): number {
  const doubling = bucket < PARTS ? 0 : Math.floor(bucket / PARTS) - 1;
  return ((bucket - PARTS * doubling + 0.5) * (1 << doubling)) / PARTS;
}

/** One quantile for many calls: worked out anew every `every` ms, and from the moment there are enough finished samples. */
export class SteadyQuantile {
  readonly #latencies: LatencyQuantiles;
  readonly #q: number;
  readonly #minSamples: number;
  readonly #every: number;
  #value: number | undefined = undefined;
  #next = -Infinity;

  constructor(latencies: LatencyQuantiles, q: number, minSamples: number, every: number) {
    this.#latencies = latencies;
    this.#q = q;
    this.#minSamples = minSamples;
    this.#every = every;
  }

  /** The quantile; `undefined` while fewer than `minSamples` calls have finished. */
  at(now: number): number | undefined {
    if (this.#value !== undefined && now < this.#next) return this.#value;
    this.#value = this.#latencies.finished(now) < this.#minSamples ? undefined : this.#latencies.quantile(this.#q, now);
    this.#next = now + this.#every;
    return this.#value;
  }
}
