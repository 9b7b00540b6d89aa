import type { WindowLimit } from './fixed-window.ts';
import { type CountedMeter, ROUNDING } from './meter.ts';
import { OwnTime } from './own-time.ts';

/** What was taken, and when, own time. */
export interface LogEntry {
  readonly at: number;
  readonly cost: number;
}

/** However small the limit, so many entries are told apart. */
const FINEST = 64;

/**
 * Remembers when what was taken, for one window, and so counts exactly. What does not fit is booked for the time at which it will, and nobody gets in
 * before it.
 *
 * Memory is bounded by the limit, or 64: calls that cost less than 1 may be more than that, and then those that come close after one another count as
 * one, which came with the last of them.
 */
export class SlidingLog extends OwnTime implements CountedMeter<LogEntry> {
  limit: WindowLimit;
  /** Times and costs of the entries, two rings; times never go down. */
  #times: number[] = [];
  #costs: number[] = [];
  #first = 0;
  #size = 0;
  /** What they cost together. */
  #sum = 0;
  /** Entries that have left since that was added up anew: so that roundings do not add up. */
  #gone = 0;
  /** When the newest entry began, if it stands for several. */
  #began = 0;
  #latest: LogEntry | undefined = undefined;

  constructor(limit: WindowLimit) {
    super();
    this.limit = limit;
  }

  get capacity(): number {
    return this.limit.limit;
  }

  get period(): number {
    return this.limit.window;
  }

  /** Entries that it remembers. */
  get size(): number {
    return this.#size;
  }

  /** What is left at `now`; nothing while something is booked ahead. */
  available(now: number): number {
    const time = this.present(now);
    if (this.#last > time) return 0;
    let sum = this.#sum;
    for (let i = 0; i < this.#size && this.#time(i) + this.limit.window <= time; i++) sum -= this.#cost(i);
    return Math.max(0, this.limit.limit - sum);
  }

  reach(level: number, now: number): number {
    return this.wait(level, now);
  }

  wait(cost: number, now: number): number {
    if (cost > this.limit.limit) return Infinity;
    const time = this.present(now);
    const slack = this.slack(now);
    const ready = this.#ready(cost, Math.max(time, this.#last));
    return ready - time <= slack ? 0 : ready - time;
  }

  take(cost: number, now: number): LogEntry {
    this.at = this.present(now);
    const slack = this.slack(now);
    while (this.#size > 0 && this.#time(0) + this.limit.window <= this.at + slack) this.#forget();
    const ready = this.#ready(cost, Math.max(this.at, this.#last));
    this.#remember(ready, cost);
    if (this.#latest?.cost !== cost || this.#latest.at !== ready) this.#latest = { at: ready, cost };
    return this.#latest;
  }

  giveBack({ at, cost }: LogEntry): void {
    const i = this.#find(at);
    if (i === this.#size || this.#time(i) !== at) return; // gone, or one with others that came later
    const back = Math.min(cost, this.#cost(i));
    this.#costs[this.#slot(i)] = this.#cost(i) - back;
    this.#sum -= back;
    while (this.#size > 0 && this.#cost(this.#size - 1) === 0) this.#size--;
    if (this.#size === 0) this.#sum = 0;
  }

  drain(now: number): void {
    const left = this.available(now);
    if (left > 0) this.take(left, now);
  }

  isFresh(now: number): boolean {
    return this.#size === 0 || this.#last + this.limit.window <= this.present(now);
  }

  copy(): SlidingLog {
    const copy = new SlidingLog(this.limit);
    copy.tellLike(this);
    for (let i = 0; i < this.#size; i++) {
      copy.#times.push(this.#time(i));
      copy.#costs.push(this.#cost(i));
    }
    copy.#size = this.#size;
    copy.#sum = this.#sum;
    copy.#gone = this.#gone;
    copy.#began = this.#began;
    return copy;
  }

  /** Changes the limit; the log stays. */
  change(limit: WindowLimit): void {
    this.limit = limit;
  }

  /** The time of the newest entry; later than the present where something was booked ahead. */
  get #last(): number {
    return this.#size === 0 ? -Infinity : this.#time(this.#size - 1);
  }

  /** The first time from `from` on at which `cost` fits; what costs more than the limit does when nothing else counts. */
  #ready(cost: number, from: number): number {
    const { limit, window } = this.limit;
    const most = limit - Math.min(cost, limit);
    const rounding = 2 * limit * this.#several * ROUNDING;
    let sum = this.#sum;
    let i = 0;
    if (sum <= most + 2 * rounding) return from;
    for (; i < this.#size && sum > most + rounding; i++) sum -= this.#cost(i);
    return Math.max(from, this.#time(i - 1) + window);
  }

  /** How many entries are told apart. */
  get #several(): number {
    return Math.max(FINEST, Math.ceil(this.limit.limit));
  }

  #remember(at: number, cost: number): void {
    const several = this.#several;
    const newest = this.#size - 1;
    if (newest >= 0 && (at === this.#time(newest) || (this.#size >= several && at - this.#began < this.limit.window / several))) {
      this.#times[this.#slot(newest)] = at;
      this.#costs[this.#slot(newest)] = this.#cost(newest) + cost;
    } else {
      if (this.#size === this.#times.length) this.#grow();
      this.#times[this.#slot(this.#size)] = at;
      this.#costs[this.#slot(this.#size)] = cost;
      this.#size++;
      this.#began = at;
    }
    this.#sum += cost;
  }

  #forget(): void {
    this.#sum -= this.#cost(0);
    this.#first = this.#slot(1);
    this.#size--;
    if (++this.#gone <= this.#size) return;
    this.#gone = 0;
    this.#sum = 0;
    for (let i = 0; i < this.#size; i++) this.#sum += this.#cost(i);
  }

  /** Twice the room, the oldest first. */
  #grow(): void {
    const length = Math.max(4, 2 * this.#size);
    const at = (i: number): number => (this.#first + i) % this.#size;
    this.#times = Array.from({ length }, (_, i) => (i < this.#size ? (this.#times[at(i)] as number) : 0));
    this.#costs = Array.from({ length }, (_, i) => (i < this.#size ? (this.#costs[at(i)] as number) : 0));
    this.#first = 0;
  }

  /** The first entry from `at` on. */
  #find(at: number): number {
    let low = 0;
    let high = this.#size;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#time(middle) < at) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #time(i: number): number {
    return this.#times[this.#slot(i)] as number;
  }

  #cost(i: number): number {
    return this.#costs[this.#slot(i)] as number;
  }

  #slot(i: number): number {
    return (this.#first + i) % this.#times.length;
  }
}
