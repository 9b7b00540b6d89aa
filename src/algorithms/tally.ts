/** Parts of the window: as many as the length is told in, and two for what is on its way in and out. */
const slots = 12;
const parts = 10;

/**
 * Counts what happened in the last `length` ms, in buckets of a tenth of that. A bucket leaves whole: `'early'` as soon as its first event is too old, `'late'` when its
 * last one is. So an early tally never counts too much and a late one never too little, whatever the moment. A clock that steps back loses nothing.
 */
export class Tally {
  /** Events counted; asked after {@link expire}. */
  total = 0;
  readonly #length: number;
  readonly #late: boolean;
  readonly #counts: Uint32Array = new Uint32Array(slots);
  /** Of each bucket, the time of the event that says when it leaves. */
  readonly #times: Float64Array = new Float64Array(slots);
  #oldest = 0;
  #newest = 0;
  /** When the newest bucket is over. */
  #until = -Infinity;

  constructor(length: number, leaves: 'early' | 'late') {
    this.#length = length;
    this.#late = leaves === 'late';
  }

  /** Counts an event at `now`. */
  add(now: number): void {
    if (now >= this.#until) this.#begin(now);
    else if (this.#late) this.#times[this.#newest] = Math.max(now, this.#times[this.#newest] as number);
    (this.#counts[this.#newest] as number)++;
    this.total++;
  }

  /** Takes one event back, an oldest one: it would have left first. */
  remove(): void {
    if (this.total === 0) return;
    let slot = this.#oldest;
    while (this.#counts[slot] === 0) slot = (slot + 1) % slots;
    (this.#counts[slot] as number)--;
    this.total--;
  }

  /** Forgets what is too old at `now`. */
  expire(now: number): void {
    while (this.total > 0 && now - (this.#times[this.#oldest] as number) >= this.#length) {
      this.total -= this.#counts[this.#oldest] as number;
      this.#counts[this.#oldest] = 0;
      if (this.#oldest === this.#newest) this.#until = -Infinity;
      else this.#oldest = (this.#oldest + 1) % slots;
    }
  }

  #begin(now: number): void {
    this.expire(now);
    if (this.total === 0) this.#oldest = this.#newest;
    else this.#newest = (this.#newest + 1) % slots;
    this.#counts[this.#newest] = 0;
    this.#times[this.#newest] = now;
    this.#until = now + this.#length / parts;
  }
}
