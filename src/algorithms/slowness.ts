import type { SlowSettings } from './circuit-state.ts';
import { LatencyQuantiles, SteadyQuantile } from './quantiles.ts';

/** How often a limit by quantile is worked out anew, ms. */
const EVERY = 1000;

/** From when on a call is slow: after a fixed time, or after so many times what is usual. */
export class Slowness {
  readonly #fixed: number;
  readonly #settings: SlowSettings | undefined;
  readonly #latencies: LatencyQuantiles | undefined;
  readonly #quantile: SteadyQuantile | undefined;

  constructor(slowCall: number | SlowSettings) {
    this.#fixed = typeof slowCall === 'number' ? slowCall : Infinity;
    if (typeof slowCall === 'number') return;
    this.#settings = slowCall;
    this.#latencies = new LatencyQuantiles();
    this.#quantile = new SteadyQuantile(this.#latencies, slowCall.quantile, slowCall.minSamples, EVERY);
  }

  /** A call that takes longer (ms) is slow; `Infinity` while there is nothing to measure it by. */
  limit(now: number): number {
    if (this.#settings === undefined) return this.#fixed;
    const usual = this.#quantile?.at(now);
    return usual === undefined ? Infinity : Math.max(this.#settings.min, this.#settings.factor * usual);
  }

  /** Learns what is usual. How long a failed call would have taken is not known. */
  learn(failed: boolean, ms: number, now: number): void {
    if (failed) this.#latencies?.recordCensored(ms, now);
    else this.#latencies?.record(ms, now);
  }
}
