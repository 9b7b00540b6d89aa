import type { Limit } from './limit.ts';
import { Samples } from './samples.ts';

/** How single samples become one that a limit learns from. */
export interface WindowSettings {
  /** A window lasts at least so long (ms), and at least twice its shortest round trip. */
  readonly min: number;
  /** At most so long (ms), while there are too few samples; then it is dropped, unless the limit keeps them few. */
  readonly max: number;
  /** So many samples a window must have. */
  readonly minSamples: number;
  /** What stands for the window: the mean, or the time that this share of the samples does not exceed. */
  readonly take: 'mean' | number;
  /** With more than this share of drops the window counts as dropped. */
  readonly maxDrops: number;
}

/**
 * Brings calls to a limit's notice: the first ones, which are cold, not at all, the others one by one or in windows. Calls that began before the limit last changed
 * tell of another regime, and are ignored; a window opens a while after that, when calls that take long have had the time to end, too.
 */
export class Learner {
  readonly limit: Limit;
  readonly #window: WindowSettings | undefined;
  readonly #coldSamples: number;
  readonly #start: number | undefined;
  readonly #samples = new Samples();
  #cold: number;
  #drops = 0;
  #inflight = 0;
  /** When the window opens, and when the limit last changed, ms. */
  #opens: number | undefined = undefined;
  #changed = -Infinity;
  /** How far a slow start has come; `Infinity` once it is over. */
  #ramp: number;
  /** What the last round trip, or window of round trips, took, ms. */
  recent: number | undefined = undefined;

  /** @param start - where a slow start begins, if there is to be one: the limit grows by one with each success until it is where the algorithm is */
  constructor(limit: Limit, window: WindowSettings | undefined, coldSamples: number, start?: number) {
    this.limit = limit;
    this.#window = window;
    this.#coldSamples = this.#cold = coldSamples;
    this.#start = start;
    this.#ramp = start ?? Infinity;
  }

  /** How many calls may be under way: the limit, or what a slow start allows of it. */
  get allowed(): number {
    return Math.min(this.#ramp, this.limit.limit);
  }

  /** Takes a call in that `begun` (ms) and is over now. Parameters as for a {@link Limit}. */
  sample(begun: number, inflight: number, dropped: boolean, now: number, u?: number): void {
    const { limit } = this.limit;
    // Another clock, or one that went back.
    if (now < this.#changed) this.#clear(undefined, -Infinity);
    if (!dropped && this.#ramp !== Infinity && ++this.#ramp >= limit) this.#ramp = Infinity;
    if (begun < this.#changed) return;
    if (this.#cold > 0) {
      this.#cold--;
      return;
    }
    if (this.#window !== undefined) this.#collect(this.#window, now - begun, inflight, dropped, now, u);
    else {
      this.recent = now - begun;
      this.limit.sample(now - begun, inflight, dropped, now, u);
    }
    if (this.limit.limit !== limit) this.#turn(now);
  }

  reset(): void {
    this.limit.reset();
    this.#cold = this.#coldSamples;
    this.#ramp = this.#start ?? Infinity;
    this.recent = undefined;
    this.#clear(undefined, -Infinity);
  }

  #collect(window: WindowSettings, rtt: number, inflight: number, dropped: boolean, now: number, u?: number): void {
    const opens = (this.#opens ??= now);
    if (now < opens) return;
    if (dropped) this.#drops++;
    else if (rtt > 0) this.#samples.add(rtt);
    this.#inflight = Math.max(inflight, this.#inflight);
    const { count, min } = this.#samples;
    const lasts = Math.min(window.max, Math.max(window.min, count === 0 ? 0 : 2 * min));
    if (now - opens < lasts) return;
    const all = count + this.#drops;
    if (all >= window.minSamples) this.#close(window, now, u);
    // Where the limit itself keeps samples few, without them it would stay where it is for ever.
    else if (now - opens >= window.max && this.#inflight < this.allowed) this.#clear(now);
  }

  #close({ take, maxDrops }: WindowSettings, now: number, u?: number): void {
    const samples = this.#samples;
    const { count, mean = NaN } = samples;
    const rtt = take === 'mean' ? mean : (samples.quantile(take) ?? NaN);
    const dropped = this.#drops > maxDrops * (count + this.#drops);
    const inflight = this.#inflight;
    this.#clear(now);
    if (count > 0) this.recent = rtt;
    this.limit.sample(rtt, inflight, dropped, now, u, mean);
  }

  /** The limit has changed: a window opens when calls that began before that have had the time to end. */
  #turn(now: number): void {
    this.#clear(now + 2 * (this.recent ?? 0), now);
  }

  #clear(opens: number | undefined, changed: number = this.#changed): void {
    this.#changed = changed;
    this.#samples.clear();
    this.#drops = this.#inflight = 0;
    this.#opens = opens;
  }
}
