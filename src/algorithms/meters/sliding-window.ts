import type { WindowLimit } from './fixed-window.ts';
import { type CountedMeter, type Portable, ROUNDING } from './meter.ts';
import { OwnTime } from './own-time.ts';

/** What was taken, and in which segment. */
export interface Entry {
  readonly segment: number;
  readonly cost: number;
}

/** Segments. */
const MOST_WRITTEN = 64;

/**
 * Estimates what was taken within the last window from one number for each of its segments: the oldest segment lies partly behind the window, and of
 * what was taken in it that part counts as gone which lies behind. With one segment this is the weighted count of the previous window and the
 * present one. Segments are counted from when the meter begins.
 *
 * What does not fit is booked for the time at which it will, and nobody gets in before it.
 *
 * After Desgats, "How we built rate limiting capable of scaling to millions of domains", Cloudflare, 2017.
 */
export class SlidingWindow extends OwnTime implements CountedMeter<Entry>, Portable {
  limit: WindowLimit;
  readonly #segments: number;
  /** What was taken in the segment `#head`, and in those before it; a ring, by number. */
  readonly #counts: number[];
  #head = 0;
  /** The time of the last entry, own time; later than the present where something was booked ahead. */
  #last = 0;
  #latest: Entry | undefined = undefined;

  constructor(limit: WindowLimit, segments: number = 1) {
    super();
    this.limit = limit;
    this.#segments = segments;
    this.#counts = Array<number>(segments + 1).fill(0);
  }

  get capacity(): number {
    return this.limit.limit;
  }

  get period(): number {
    return this.limit.window;
  }

  /** What counts at `now`. */
  estimate(now: number): number {
    return this.#estimate(Math.max(this.present(now), this.#last));
  }

  /** What is left at `now`; nothing while something is booked ahead. */
  available(now: number): number {
    return this.#last > this.present(now) ? 0 : Math.max(0, this.limit.limit - this.estimate(now));
  }

  reach(level: number, now: number): number {
    return this.wait(level, now);
  }

  wait(cost: number, now: number): number {
    if (cost > this.limit.limit) return Infinity;
    const time = this.present(now);
    const slack = this.slack(now);
    const ready = this.#ready(cost, Math.max(time, this.#last), slack);
    return ready - time <= slack ? 0 : ready - time;
  }

  take(cost: number, now: number): Entry {
    this.at = this.present(now);
    this.#last = this.#ready(cost, Math.max(this.at, this.#last), this.slack(now));
    return this.#add(cost);
  }

  giveBack({ segment, cost }: Entry): void {
    if (segment > this.#head || segment < this.#head - this.#segments) return;
    const slot = this.#slot(segment);
    this.#counts[slot] = Math.max(0, this.#count(segment) - cost);
  }

  drain(now: number): void {
    const left = this.available(now);
    if (left > 0) this.take(left, now);
  }

  isFresh(now: number): boolean {
    return this.#last <= this.present(now) && this.estimate(now) === 0;
  }

  copy(): SlidingWindow {
    const copy = new SlidingWindow(this.limit, this.#segments);
    copy.tellLike(this);
    for (const [slot, count] of this.#counts.entries()) copy.#counts[slot] = count;
    copy.#head = this.#head;
    copy.#last = this.#last;
    return copy;
  }

  /** With very many segments it would cost more to write them down than it saves. */
  get width(): number {
    return this.#segments > MOST_WRITTEN ? 0 : 4 + this.#counts.length;
  }

  save(to: Float64Array, at: number): void {
    this.saveTime(to, at);
    to[at + 2] = this.#head;
    to[at + 3] = this.#last;
    for (let i = 0; i < this.#counts.length; i++) to[at + 4 + i] = this.#counts[i] as number;
  }

  load(from: Float64Array, at: number): void {
    this.loadTime(from, at);
    this.#head = from[at + 2] as number;
    this.#last = from[at + 3] as number;
    for (let i = 0; i < this.#counts.length; i++) this.#counts[i] = from[at + 4 + i] as number;
  }

  /** Changes the limit and keeps what counts. If the window changes, that counts as if it had just come: when exactly it came is not known. */
  change(limit: WindowLimit, now: number): void {
    if (limit.window !== this.limit.window) {
      this.at = this.present(now);
      const counted = this.estimate(now);
      this.limit = limit;
      this.#counts.fill(0);
      this.#last = Math.max(this.at, this.#last);
      this.#head = this.#segmentAt(this.#last);
      this.#counts[this.#slot(this.#head)] = counted;
    }
    this.limit = limit;
  }

  #estimate(time: number): number {
    const segment = this.#segmentAt(time);
    const oldest = segment - this.#segments;
    if (segment !== this.#head) {
      let sum = this.#count(oldest) * this.#ahead(oldest, time);
      for (let each = oldest + 1; each <= this.#head; each++) sum += this.#count(each);
      return sum;
    }
    // All that is kept counts, but for what the window has left behind.
    let sum = 0;
    for (let slot = 0; slot <= this.#segments; slot++) sum += this.#counts[slot] as number;
    return sum - this.#count(oldest) * (1 - this.#ahead(oldest, time));
  }

  /** The first time from `from` on at which `cost` fits; what costs more than the limit does when nothing else counts. */
  #ready(cost: number, from: number, slack: number): number {
    const { limit, window } = this.limit;
    const length = this.#length;
    const rounding = limit * this.#segments * ROUNDING;
    const last = this.#segmentAt(from);
    let oldest = last - this.#segments;
    let whole = this.#count(oldest);
    let excess = this.#estimate(from) + Math.min(cost, limit) - limit;
    if (excess <= (whole / length) * slack + 2 * rounding) return from;
    let counts = whole * this.#ahead(oldest, from);
    while (excess > counts + rounding && oldest < last) {
      excess -= counts;
      counts = whole = this.#count(++oldest);
    }
    // It fits once that much of the oldest segment that counts then has been left behind.
    return Math.max(from, this.#start(oldest) + window) + (Math.min(excess, counts) / whole) * length;
  }

  #add(cost: number): Entry {
    const segment = this.#segmentAt(this.#last);
    if (segment > this.#head) {
      for (let each = Math.max(this.#head, segment - this.#counts.length) + 1; each <= segment; each++) this.#counts[this.#slot(each)] = 0;
      this.#head = segment;
    }
    this.#counts[this.#slot(this.#head)] = this.#count(this.#head) + cost;
    if (this.#latest?.cost !== cost || this.#latest.segment !== this.#head) this.#latest = { segment: this.#head, cost };
    return this.#latest;
  }

  get #length(): number {
    return this.limit.window / this.#segments;
  }

  #segmentAt(time: number): number {
    return Math.floor(time / this.#length);
  }

  #start(segment: number): number {
    return segment * this.#length;
  }

  /** The share of a segment that the window that ends at `time` has not left behind. */
  #ahead(segment: number, time: number): number {
    const behind = (time - this.limit.window - this.#start(segment)) / this.#length;
    return Math.min(1, Math.max(0, 1 - behind));
  }

  #count(segment: number): number {
    return segment < 0 || segment > this.#head || segment <= this.#head - this.#counts.length
      ? 0
      : (this.#counts[this.#slot(segment)] as number);
  }

  #slot(segment: number): number {
    return segment % this.#counts.length;
  }
}
