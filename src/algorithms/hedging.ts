import { LatencyQuantiles, SteadyQuantile } from './quantiles.ts';

/** What follows when an attempt has failed: begin the next at once, wait (for others, or until the next is due), or it is over. */
export type AfterFailure = 'begin' | 'wait' | 'over';

/**
 * When attempts at one call begin side by side: the next after a delay, or at once when one has failed; the delay then counts from there
 * (gRPC proposal A6, "Client Retries", hedging policy).
 */
export class Hedging {
  readonly maxHedges: number;
  closed = false;
  /** Attempts begun, the first one included. */
  begun = 0;
  /** Attempts that have not ended. */
  running = 0;
  /** When the next attempt is due, ms; `Infinity` if none is. */
  due: number = Infinity;

  constructor(maxHedges: number) {
    this.maxHedges = maxHedges;
  }

  /** Whether another attempt may begin. */
  get open(): boolean {
    return !this.closed && this.begun <= this.maxHedges;
  }

  /** Begins an attempt; the one after it is due `delay` ms later. Answers with its number, from 0. */
  begin(now: number, delay: number): number {
    this.running++;
    const number = this.begun++;
    this.due = this.open ? now + delay : Infinity;
    return number;
  }

  /** No attempt begins any more; those that run go on. */
  close(): void {
    this.closed = true;
    this.due = Infinity;
  }

  /**
   * An attempt failed so that another may succeed. `pushback` is what the service asked for: to wait so many ms, or, if negative or endless, not to be
   * asked again.
   */
  failed(now: number, pushback?: number): AfterFailure {
    this.running--;
    if (pushback !== undefined && !(pushback >= 0 && pushback < Infinity)) this.close();
    if (!this.open) return this.running > 0 ? 'wait' : 'over';
    if (pushback === undefined || pushback === 0) return 'begin';
    this.due = now + pushback;
    return 'wait';
  }
}

/** A delay learned from how long attempts take. `Time` is what a length of time is given as: ms, once read. */
export interface LearnedDelaySettings<Time = number> {
  readonly quantile: number | undefined;
  readonly maxExtraLoad: number | undefined;
  readonly minSamples: number;
  readonly min: Time;
  readonly fallback: Time | undefined;
  readonly window: Time;
}

/** A learned delay stands so long (ms) before it is worked out anew. */
const REFRESH = 3000;

/** After so long (ms) so large a share of attempts would have answered that beginning the rest again costs no more than was allowed. */
export class LearnedDelay {
  readonly latencies: LatencyQuantiles;
  readonly #quantile: SteadyQuantile;
  readonly #settings: LearnedDelaySettings;
  /** The delay that stood last, ms. */
  current: number = Infinity;

  constructor(settings: LearnedDelaySettings) {
    const { window, minSamples, maxExtraLoad, quantile = 1 - (maxExtraLoad ?? 0.05) } = settings;
    this.#settings = settings;
    this.latencies = new LatencyQuantiles({ window });
    this.#quantile = new SteadyQuantile(this.latencies, quantile, minSamples, REFRESH);
  }

  /** The delay, ms; `Infinity` while it is not known and nothing stands for it. */
  at(now: number): number {
    return (this.current = this.#learned(now));
  }

  #learned(now: number): number {
    const { min, fallback = Infinity, maxExtraLoad } = this.#settings;
    if (maxExtraLoad === 0) return Infinity;
    if (maxExtraLoad === 1) return min;
    const learned = this.#quantile.at(now);
    return learned === undefined ? fallback : Math.max(learned, min);
  }
}
