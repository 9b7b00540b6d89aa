import { shareBelow } from './ranks.ts';

/** So many of the latest ranks are looked at. */
const KNOWN = 1024;
/** Of fewer calls nothing is made. */
const FEW = 10;
/** A smaller share of calls too many is chance. */
const CHANCE = 0.05;
/** So much of those that would be let in is turned away, too, while the queue is full, so that it gets shorter. */
const PUSH = 0.1;

/**
 * From which rank on calls may wait while more come than can be served: the share of calls that is too many, as a quantile of the ranks of late. Worked out
 * anew for each interval, so what matters least goes first and no more of it than must (after Uber's Cinnamon and failsafe-go; the target share is what came in
 * and did not get out).
 */
export class RankThreshold {
  /** Calls of a lower rank are turned away; `-Infinity`: none. */
  threshold: number = -Infinity;
  /** The share of calls that is too many, 0 to 1. */
  rate = 0;
  readonly #interval: number;
  readonly #ranks = new Float64Array(KNOWN);
  #known = 0;
  #sorted = new Float64Array();
  #arrivals = 0;
  #starts = 0;
  #pressure = 0;
  #ends = -Infinity;

  /** @param interval - how often the threshold moves, ms */
  constructor(interval: number) {
    this.#interval = interval;
  }

  /** What share of the calls of late has a lower rank than the threshold. */
  get share(): number {
    return this.threshold === -Infinity ? 0 : shareBelow(this.threshold, this.#sorted);
  }

  /** A call has come. `pressure`: how full the queue is, from 0 where calls begin to be turned away to 1. Answers whether the threshold has moved. */
  arrive(rank: number, pressure: number, now: number): boolean {
    const before = this.threshold;
    if (now >= this.#ends || now < this.#ends - this.#interval) this.#calibrate(now);
    this.#ranks[this.#known++ % KNOWN] = rank;
    this.#arrivals++;
    this.#pressure = Math.max(this.#pressure, pressure);
    return this.threshold !== before;
  }

  /** A call has got a slot. */
  start(): void {
    this.#starts++;
  }

  #calibrate(now: number): void {
    // Nobody came for longer than an interval (or on this clock): what was too much then is not any more.
    const late = now >= this.#ends + this.#interval || now < this.#ends;
    const excess = late || this.#arrivals < FEW ? 0 : Math.max(0, 1 - this.#starts / this.#arrivals);
    this.rate = excess < CHANCE ? 0 : excess + PUSH * this.#pressure * (1 - excess);
    this.#sorted = this.#ranks.slice(0, Math.min(this.#known, KNOWN)).sort();
    const place = Math.min(this.#sorted.length - 1, Math.floor(this.rate * this.#sorted.length));
    this.threshold = this.rate === 0 ? -Infinity : (this.#sorted[place] as number);
    this.#arrivals = this.#starts = this.#pressure = 0;
    this.#ends = now + this.#interval;
  }
}
