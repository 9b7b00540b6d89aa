import { Wheel } from './wheel.ts';

/** What happened lately, counted in buckets of equal width: how many, and how long those took that were timed. */
export class LoadBuckets extends Wheel {
  /** All in the buckets that are looked at, the newest included. */
  count = 0;
  timed = 0;
  readonly #counts: Uint32Array;
  readonly #timed: Uint32Array;
  readonly #ms: Float64Array;
  /** Told, when a bucket is full, how many were timed in it, how long they took together, ms, and when it ended. */
  readonly #full: ((timed: number, ms: number, end: number) => void) | undefined;

  constructor(width: number, size: number, full?: (timed: number, ms: number, end: number) => void) {
    super(width, size);
    this.#counts = new Uint32Array(size);
    this.#timed = new Uint32Array(size);
    this.#ms = new Float64Array(size);
    this.#full = full;
  }

  /** Counts one at `now`. */
  add(now: number): void {
    if (now >= this.end) this.expire(now);
    (this.#counts[this.slot] as number)++;
    this.count++;
  }

  /** Says of one that it took `ms`. */
  time(ms: number, now: number): void {
    if (now >= this.end) this.expire(now);
    (this.#timed[this.slot] as number)++;
    (this.#ms[this.slot] as number) += ms;
    this.timed++;
  }

  /** Takes one back that was counted at `at`, if that is still looked at. */
  remove(at: number): void {
    const slot = this.placeOf(Math.floor(at / this.width));
    if (slot === undefined || this.#counts[slot] === 0) return;
    (this.#counts[slot] as number)--;
    this.count--;
  }

  /** Goes on to `now`: what is too old leaves. */
  override expire(now: number): void {
    if (now < this.end) return;
    const { slot } = this;
    if (this.#full !== undefined && this.#timed[slot] !== 0) this.#full(this.#timed[slot] as number, this.#ms[slot] as number, this.end);
    super.expire(now);
  }

  /** The most in any bucket that is full. */
  most(now: number): number {
    this.expire(now);
    let most = 0;
    for (let slot = 0; slot < this.size; slot++) if (slot !== this.slot) most = Math.max(most, this.#counts[slot] as number);
    return most;
  }

  /** The least mean time of any bucket that is full, ms; `Infinity` if nothing was timed. */
  quickest(now: number): number {
    this.expire(now);
    let least = Infinity;
    for (let slot = 0; slot < this.size; slot++)
      if (slot !== this.slot && this.#timed[slot] !== 0) least = Math.min(least, this.#mean(slot));
    return least;
  }

  /** The mean time of all, ms; 0 if nothing was timed. */
  mean(now: number): number {
    this.expire(now);
    if (this.timed === 0) return 0;
    let sum = 0;
    for (const ms of this.#ms) sum += ms;
    return sum / this.timed;
  }

  clear(): void {
    this.#counts.fill(0);
    this.#timed.fill(0);
    this.#ms.fill(0);
    this.count = this.timed = 0;
  }

  protected empty(slot: number): void {
    this.count -= this.#counts[slot] as number;
    this.timed -= this.#timed[slot] as number;
    this.#counts[slot] = this.#timed[slot] = this.#ms[slot] = 0;
  }

  #mean(slot: number): number {
    return (this.#ms[slot] as number) / (this.#timed[slot] as number);
  }
}
