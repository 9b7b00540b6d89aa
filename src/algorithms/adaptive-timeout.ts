import { LatencyQuantiles } from './quantiles.ts';

/** How a time limit follows what was seen. `Time` is what a length of time is given as: ms, once read. */
export interface AdaptiveTimeoutSettings<Time = number> {
  /** The share of calls that are to be in time, were they as quick as lately. */
  readonly quantile: number;
  /** What that duration is multiplied by. */
  readonly factor: number;
  /** The limit is never shorter. */
  readonly min: Time;
  /** The limit is never longer. */
  readonly max: Time;
  /** So many samples have to be there. */
  readonly minSamples: number;
  /** How long a sample counts. */
  readonly window: Time;
}

/** The limit stands so long (ms) before it is worked out anew. */
const REFRESH = 1000;

/**
 * A time limit learned from how long calls take. Those that were cut short count as what they are, lower bounds: else each timeout would teach
 * a shorter one. Where so many were cut short that the quantile is not known, the limit grows by `factor` from the longest that was seen, and
 * never shrinks: a service that has become slow is waited for again, up to `max`.
 */
export class AdaptiveTimeout {
  readonly latencies: LatencyQuantiles;
  readonly #settings: AdaptiveTimeoutSettings;
  /** What stands until there are enough samples. */
  readonly #first: number;
  #limit: number;
  #next = -Infinity;

  constructor(settings: AdaptiveTimeoutSettings, first: number) {
    this.#settings = settings;
    this.#first = first;
    this.#limit = first;
    this.latencies = new LatencyQuantiles({ window: settings.window });
  }

  /** The limit that stands, ms. */
  get current(): number {
    return this.#limit;
  }

  /** The limit at `now`, ms. */
  limit(now: number): number {
    if (now >= this.#next) {
      this.#next = now + REFRESH;
      this.#limit = this.#learned(now);
    }
    return this.#limit;
  }

  #learned(now: number): number {
    const { quantile, factor, min, max, minSamples } = this.#settings;
    if (this.latencies.count(now) < minSamples) return this.#first;
    const estimate = this.latencies.estimate(quantile, now);
    if (estimate === undefined) return this.#first;
    const wanted = Math.ceil(estimate.ms * factor);
    return Math.min(Math.max(estimate.known ? wanted : Math.max(wanted, this.#limit), min), max);
  }
}
