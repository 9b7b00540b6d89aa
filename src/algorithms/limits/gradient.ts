import { type Bounds, type Limit, isTime, within } from './limit.ts';
import { MovingAverage } from './moving-average.ts';
import { sqrtRoot } from './roots.ts';

/** Settings of {@link Gradient}. */
export interface GradientSettings {
  readonly kind: 'gradient';
  /** How much of a change is made at once, 0 to 1. */
  readonly smoothing: number;
  /** So many times the usual round-trip time is still no queue. */
  readonly tolerance: number;
  /** Over how many samples the usual round-trip time is averaged. */
  readonly longWindow: number;
  /** How long a queue is allowed to stand at the server; `'sqrt'`: the square root of the limit, at least 4. */
  readonly queue: number | 'sqrt';
  /** What a drop leaves of the limit, 0 to 1; 1: drops are not looked at. */
  readonly backoff: number;
}

/** So many samples count alike at first. */
const WARM_UP = 10;

/**
 * The limit follows the ratio of the usual round-trip time, a long average, to the latest, with room for a short queue (the Gradient2 limit of Netflix's
 * concurrency-limits). A long average learns the latency of an overload that lasts: without a bound on the baseline the limit then climbs to its maximum.
 */
export class Gradient implements Limit {
  gradient = 1;
  readonly #settings: GradientSettings;
  readonly #bounds: Bounds;
  readonly #maxBaseline: number;
  readonly #usual: MovingAverage;
  #estimate: number;

  constructor(settings: GradientSettings, bounds: Bounds, maxBaseline: number = Infinity) {
    this.#settings = settings;
    this.#bounds = bounds;
    this.#maxBaseline = maxBaseline;
    this.#usual = new MovingAverage(settings.longWindow, WARM_UP);
    this.#estimate = bounds.initial;
  }

  get limit(): number {
    return Math.floor(this.#estimate);
  }

  get baseline(): number | undefined {
    const { value } = this.#usual;
    return value === 0 ? undefined : Math.min(value, this.#maxBaseline);
  }

  sample(rtt: number, inflight: number, dropped: boolean): number {
    const { backoff, smoothing, tolerance, queue } = this.#settings;
    if (isTime(rtt)) {
      // After a long overload the average is far above what is usual again; it comes down in its own time otherwise.
      if (this.#usual.add(rtt) > 2 * rtt) this.#usual.scale(0.95);
      this.gradient = Math.min(1, Math.max(0.5, (tolerance * (this.baseline as number)) / rtt));
    }
    if (dropped && backoff < 1) this.#estimate = within(this.#estimate * backoff, this.#bounds);
    else if (isTime(rtt) && 2 * inflight >= this.#estimate) {
      const next = this.#estimate * this.gradient + (queue === 'sqrt' ? sqrtRoot(this.#estimate, 4) : queue);
      this.#estimate = within((1 - smoothing) * this.#estimate + smoothing * next, this.#bounds);
    }
    return this.limit;
  }

  reset(): void {
    this.#usual.reset();
    this.#estimate = this.#bounds.initial;
    this.gradient = 1;
  }
}
