import { type CountedMeter, type Portable, ROUNDING } from './meter.ts';
import { OwnTime } from './own-time.ts';

/** So much in each window of so many ms. */
export interface WindowLimit {
  readonly limit: number;
  readonly window: number;
}

/** What was taken, and from the window that opened when, own time. */
export interface Share {
  readonly opens: number;
  readonly cost: number;
}

/**
 * Counts what is taken in one window after the other. A window opens with the first call that comes when none is open or, if windows are aligned, at
 * multiples of their length; it closes exactly one length later. What does not fit goes into windows to come, whole if one can hold it, and
 * nobody gets in before it.
 */
export class FixedWindow extends OwnTime implements CountedMeter<Share>, Portable {
  limit: WindowLimit;
  /** The last window that something was taken from: from when to when, and how much. */
  #opens = 0;
  #closes = 0;
  #used = 0;
  /** It stays open until then at least, whatever its length. */
  #least = 0;
  /** Nothing fits before that. */
  #shut = 0;
  /** A time at which an aligned window opens, own time; `undefined` if they are not aligned. */
  #phase: number | undefined;
  #latest: Share | undefined = undefined;

  constructor(limit: WindowLimit, aligned: boolean = false) {
    super();
    this.limit = limit;
    this.#phase = aligned ? 0 : undefined;
  }

  get capacity(): number {
    return this.limit.limit;
  }

  get period(): number {
    return this.limit.window;
  }

  /** What is left of the window at `now`, less what was taken from windows to come. */
  available(now: number): number {
    const { limit, window } = this.limit;
    const time = this.present(now);
    if (time < this.#shut) return 0;
    if (!this.#runs(time)) return limit;
    const ahead = Math.max(0, Math.ceil((this.#opens - time) / window));
    const left = limit - this.#used;
    return ahead === 0 ? Math.max(0, left) : left - ahead * limit;
  }

  /** What was counted in the window that is open at `now`, over the limit included. */
  used(now: number): number {
    return this.#runs(this.present(now)) ? this.#used : 0;
  }

  /** Milliseconds until the window closes that is open at `now`, or would open. */
  left(now: number): number {
    const time = this.present(now);
    return Math.max(this.#runs(time) ? this.#closes : this.#end(time), this.#shut) - time;
  }

  reach(level: number, now: number): number {
    return this.wait(level, now);
  }

  wait(cost: number, now: number): number {
    const time = this.present(now);
    const slack = this.slack(now);
    const { limit } = this.limit;
    if (cost > limit) return Infinity;
    let from = this.#shut;
    if (this.#runs(time + slack)) from = Math.max(from, this.#holds(cost) ? this.#opens : this.#closes);
    return from - time <= slack ? 0 : from - time;
  }

  take(cost: number, now: number): Share {
    const { limit, window } = this.limit;
    this.#open(now);
    if (this.#holds(cost)) {
      this.#used += cost;
    } else {
      // What costs more than a window holds is paid from several, the present one included.
      const sum = cost > limit ? Math.min(limit, this.#used) + cost : cost;
      const windows = Math.ceil(sum / limit);
      const past = windows - (cost > limit ? 2 : 1);
      this.#opens = this.#closes + past * window;
      this.#closes = this.#end(this.#opens);
      this.#used = sum - (windows - 1) * limit;
    }
    return this.#share(cost);
  }

  giveBack({ opens, cost }: Share): void {
    if (opens === this.#opens) this.#used = Math.max(0, this.#used - cost);
  }

  drain(now: number): void {
    this.#open(now);
    this.#used = Math.max(this.#used, this.limit.limit);
  }

  isFresh(now: number): boolean {
    const time = this.present(now);
    return time >= this.#shut && !this.#runs(time);
  }

  copy(): FixedWindow {
    const copy = new FixedWindow(this.limit);
    copy.tellLike(this);
    copy.#opens = this.#opens;
    copy.#closes = this.#closes;
    copy.#used = this.#used;
    copy.#least = this.#least;
    copy.#shut = this.#shut;
    copy.#phase = this.#phase;
    return copy;
  }

  get width(): number {
    return 8;
  }

  save(to: Float64Array, at: number): void {
    this.saveTime(to, at);
    to[at + 2] = this.#opens;
    to[at + 3] = this.#closes;
    to[at + 4] = this.#used;
    to[at + 5] = this.#least;
    to[at + 6] = this.#shut;
    to[at + 7] = this.#phase ?? NaN;
  }

  load(from: Float64Array, at: number): void {
    this.loadTime(from, at);
    this.#opens = from[at + 2] as number;
    this.#closes = from[at + 3] as number;
    this.#used = from[at + 4] as number;
    this.#least = from[at + 5] as number;
    this.#shut = from[at + 6] as number;
    const phase = from[at + 7] as number;
    this.#phase = Number.isNaN(phase) ? undefined : phase;
  }

  /** Aligns the windows: one opened `ms` before `now`. */
  align(ms: number, now: number): void {
    this.#phase = this.present(now) - ms;
  }

  /**
   * Changes the limit and keeps what was counted. The open window lasts as long as it would have, had the new length held when it opened; an aligned one
   * until a window of the new length opens after that; one that was made to last longer, no less than it would have.
   */
  change(limit: WindowLimit, now: number): void {
    const slack = this.slack(now);
    const runs = this.#runs(this.present(now));
    const other = limit.window !== this.limit.window;
    this.limit = limit;
    if (!runs || !other) return;
    const end = this.#opens + limit.window;
    this.#closes = Math.max(this.#least, this.#phase === undefined ? end : this.#end(end - slack));
  }

  /** Counts what was not let in: over the limit, if need be. */
  penalize(cost: number, now: number): void {
    this.#open(now);
    this.#used += cost;
  }

  /** Makes the window last for another `ms` from now, whatever its length. */
  prolong(ms: number, now: number): void {
    this.#open(now);
    this.#least = Math.max(this.#least, this.at + ms);
    this.#closes = Math.max(this.#closes, this.#least);
  }

  /** Lets nobody in for `ms`. */
  block(ms: number, now: number): void {
    this.prolong(ms, now);
    this.#shut = Math.max(this.#shut, this.at + ms);
  }

  /** Whether nobody is let in at `now`. */
  isBlocked(now: number): boolean {
    return this.present(now) < this.#shut;
  }

  /** Whether the last window still counts. */
  #runs(time: number): boolean {
    return this.#used > 0 || time < this.#shut ? time < this.#closes : time < this.#opens;
  }

  #holds(cost: number): boolean {
    const { limit } = this.limit;
    return this.#used + cost <= limit + limit * ROUNDING;
  }

  /** Opens a window if none is. */
  #open(now: number): void {
    this.at = this.present(now);
    if (this.#runs(this.at + this.slack(now))) return;
    // Who comes a hair before a window closes is of the next one.
    const from = this.#used > 0 ? Math.max(this.at, this.#closes) : this.at;
    this.#closes = this.#end(from);
    this.#opens = this.#phase === undefined ? from : this.#closes - this.limit.window;
    this.#used = 0;
  }

  /** When a window closes that is open at `time`. */
  #end(time: number): number {
    const { window } = this.limit;
    if (this.#phase === undefined) return time + window;
    const passed = (time - this.#phase) / window;
    return this.#phase + (Math.floor(passed + passed * ROUNDING) + 1) * window;
  }

  #share(cost: number): Share {
    if (this.#latest?.cost !== cost || this.#latest.opens !== this.#opens) this.#latest = { opens: this.#opens, cost };
    return this.#latest;
  }
}
