import { type Bounds, type Limit, isTime, within } from './limit.ts';

/** Settings of {@link Aimd}. */
export interface AimdSettings {
  readonly kind: 'aimd';
  /** What a drop leaves of the limit, 0 to 1. */
  readonly backoff: number;
  /** Who takes longer (ms) counts as dropped. */
  readonly timeout: number;
}

/**
 * Additive increase, multiplicative decrease: one more for each success while the limit is used, `backoff` times as many after a drop. It knows nothing
 * of latency, so it finds out about a limit by running into it, again and again (Chiu and Jain, 1989; the form of Netflix's concurrency-limits).
 */
export class Aimd implements Limit {
  limit: number;
  readonly baseline = undefined;
  readonly gradient = 1;
  readonly #settings: AimdSettings;
  readonly #bounds: Bounds;

  constructor(settings: AimdSettings, bounds: Bounds) {
    this.#settings = settings;
    this.#bounds = bounds;
    this.limit = bounds.initial;
  }

  sample(rtt: number, inflight: number, dropped: boolean): number {
    const { backoff, timeout } = this.#settings;
    let { limit } = this;
    if (dropped || rtt > timeout) limit = Math.min(limit - 1, Math.floor(limit * backoff));
    else if (isTime(rtt) && 2 * inflight >= limit) limit++;
    this.limit = within(limit, this.#bounds);
    return this.limit;
  }

  reset(): void {
    this.limit = this.#bounds.initial;
  }
}
