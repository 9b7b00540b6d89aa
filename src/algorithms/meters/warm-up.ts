import { type CountedMeter, type Portable, ROUNDING, leeway } from './meter.ts';

/** What a warm-up allows. */
export interface Warmth {
  /** So many permits in each `per` ms, once warm; with `Infinity` there is no limit, with 0 nothing passes that costs anything. */
  readonly rate: number;
  readonly per: number;
  /** How long (ms) it takes to get warm when there is always something to do, and to get cold again when there is nothing. */
  readonly warmUpPeriod: number;
  /** How many times further apart calls are when all is cold. */
  readonly coldFactor: number;
  /** So much time (ms) that was not used is saved up, and used for calls at once; 0: all are spaced. */
  readonly slack: number;
}

/** What a call was charged. */
export interface Charge {
  /** For how long others wait on account of it, ms, and when that is over. */
  readonly time: number;
  readonly end: number;
  /** By how much it made things warmer, as a share of the way from cold to warm. */
  readonly warmth: number;
}

/**
 * The warm-up: a rate that begins low and rises while it is used, for what has caches to fill and connections to open. Rest puts permits aside, and those cost
 * more time than fresh ones: at first `coldFactor` times as much, less from one to the next, and the last ones as much as fresh ones. So it takes
 * `warmUpPeriod` of constant use to get from cold to the full rate, and as long a rest to get cold again. Whoever comes is let in as soon as what was charged
 * for those before is over in time, whatever it costs itself: that is for the next to wait for.
 *
 * Two numbers of state: how far takings are ahead of time, and how cold it is. With no warm-up and some slack it is a bucket that is paid for afterwards. After
 * `SmoothWarmingUp` and `SmoothBursty` in Guava's `RateLimiter`.
 */
export class Warming implements CountedMeter<Charge>, Portable {
  warmth: Warmth;
  /** 0: warm, 1: as cold as can be; at the time `at`. */
  cold: number;
  /** How far ahead of time it was at the time `at`, ms; less than 0: time that was not used. */
  ahead: number;
  at: number;
  /** Time that a fresh permit costs, ms. */
  #interval = 0;
  /** How many permits are put aside when all is cold, and how many of those cost as much as fresh ones. */
  #most = 0;
  #plain = 0;
  /** How much more (ms) each of the others costs than the one after it. */
  #slope = 0;

  /** `saved`: time that counts as not used at the start, ms. */
  constructor(warmth: Warmth, now: number, saved = 0) {
    this.warmth = warmth;
    this.ahead = -saved;
    this.at = now;
    this.#draw();
    this.cold = this.#coldest;
  }

  /** How many pass at once when it is warm and has saved up all it can. */
  get capacity(): number {
    if (this.#interval === 0) return Infinity;
    const most = 1 + this.warmth.slack / this.#interval;
    const whole = Math.round(most);
    return Math.abs(most - whole) <= whole * ROUNDING ? whole : most;
  }

  get period(): number {
    return this.capacity * this.#interval;
  }

  /** How many permits per `per` it gives at `now`: from `rate / coldFactor` when cold to `rate` when warm. */
  pace(now: number): number {
    const above = Math.max(0, this.coldness(now) * this.#most - this.#plain);
    return this.warmth.per / (this.#interval + above * this.#slope);
  }

  /** How cold it is at `now`, 0 to 1. */
  coldness(now: number): number {
    const idle = -this.#debt(now) - this.warmth.slack;
    return idle > 0 ? Math.min(this.#coldest, this.cold + idle / this.warmth.warmUpPeriod) : this.cold;
  }

  /** How many permits could be taken one by one at `now`, fractions included. */
  available(now: number): number {
    const saved = -this.#debt(now);
    if (this.#interval === 0) return Infinity;
    if (saved < -leeway(now) || this.warmth.rate === 0) return 0;
    const stored = this.coldness(now) * this.#most;
    const left = this.#worth(stored) - Math.min(this.warmth.slack, Math.max(0, saved));
    return 1 + stored - (left < 0 ? left / this.#interval : this.#bought(left));
  }

  /** The last one of them may be paid for afterwards. */
  reach(level: number, now: number): number {
    if (level <= 0 || this.#interval === 0) return 0;
    const time = this.#price(level - 1, this.coldness(now));
    if (this.warmth.rate === 0 || time > this.warmth.slack + leeway(now)) return Infinity;
    const missing = time + this.#debt(now);
    return missing <= leeway(now) ? 0 : missing;
  }

  wait(cost: number, now: number): number {
    if (cost === 0) return 0;
    if (this.warmth.rate === 0) return Infinity;
    const debt = this.#debt(now);
    return debt <= leeway(now) ? 0 : debt;
  }

  take(cost: number, now: number): Charge {
    this.#come(now);
    const { cold } = this;
    const time = this.#price(cost);
    this.ahead += time;
    if (this.#most > 0) this.cold = Math.max(0, cold - cost / this.#most);
    return { time, end: now + this.ahead, warmth: cold - this.cold };
  }

  /** If nothing was taken since, it is as if the call had never come; otherwise only what is not over yet comes back. */
  giveBack({ time, end, warmth }: Charge, now: number): void {
    const left = end - now + this.warmth.slack;
    if (left <= 0) return;
    this.ahead -= end === this.at + this.ahead ? time : Math.min(time, left);
    this.cold = Math.min(this.#coldest, this.cold + warmth);
  }

  drain(now: number): void {
    this.#come(now);
    this.ahead = Math.max(this.ahead, this.#price(1));
  }

  isFresh(now: number): boolean {
    return this.wait(1, now) === 0 && this.coldness(now) >= this.#coldest;
  }

  begin(now: number): void {
    this.at = now;
  }

  copy(): Warming {
    const copy = new Warming(this.warmth, this.at);
    copy.cold = this.cold;
    copy.ahead = this.ahead;
    return copy;
  }

  get width(): number {
    return 3;
  }

  save(to: Float64Array, at: number): void {
    to[at] = this.cold;
    to[at + 1] = this.ahead;
    to[at + 2] = this.at;
  }

  load(from: Float64Array, at: number): void {
    this.cold = from[at] as number;
    this.ahead = from[at + 1] as number;
    this.at = from[at + 2] as number;
  }

  /** Changes what is allowed. It stays as cold as it was, and what was charged was charged. Who knew no limit is warm and has saved up all the slack there is. */
  change(warmth: Warmth, now: number): void {
    this.#come(now);
    const unlimited = this.#interval === 0;
    this.warmth = warmth;
    this.#draw();
    this.cold = unlimited ? 0 : Math.min(this.#coldest, this.cold);
    if (unlimited && this.ahead <= 0) this.ahead = -warmth.slack;
  }

  get #coldest(): number {
    return this.#most > 0 ? 1 : 0;
  }

  #debt(now: number): number {
    return this.ahead - Math.max(0, now - this.at);
  }

  /** Time goes on to `now`: what was not used of it makes colder. */
  #come(now: number): void {
    this.cold = this.coldness(now);
    this.ahead = Math.max(this.#debt(now), -this.warmth.slack);
    this.at = now;
  }

  /** Time that `cost` permits take, ms: first those that were put aside, then fresh ones. */
  #price(cost: number, cold: number = this.cold): number {
    if (cost <= 0) return 0;
    const stored = cold * this.#most;
    return this.#worth(stored) - this.#worth(Math.max(0, stored - cost)) + Math.max(0, cost - stored) * this.#interval;
  }

  /** Time that so many of the permits put aside take, the cheapest, ms. */
  #worth(permits: number): number {
    const above = Math.max(0, permits - this.#plain);
    return permits * this.#interval + (above * above * this.#slope) / 2;
  }

  /** How many of the permits put aside take that much time, the cheapest, ms. */
  #bought(time: number): number {
    const rest = time - this.#plain * this.#interval;
    if (rest <= 0 || this.#slope === 0) return time / this.#interval;
    return this.#plain + (Math.sqrt(this.#interval ** 2 + 2 * this.#slope * rest) - this.#interval) / this.#slope;
  }

  #draw(): void {
    const { rate, per, warmUpPeriod, coldFactor } = this.warmth;
    this.#interval = Math.min(per / rate, Number.MAX_VALUE);
    const steps = this.#interval > 0 ? warmUpPeriod / this.#interval : 0;
    const dear = (2 * steps) / (1 + coldFactor);
    this.#plain = steps / 2;
    this.#most = this.#plain + dear;
    this.#slope = dear > 0 ? ((coldFactor - 1) * this.#interval) / dear : 0;
  }
}
