import type { CountedMeter } from './meter.ts';
import { Bucket, Charge } from './token-bucket.ts';

/** How a rate follows what a service bears. Rates are per second. */
export interface Cubic {
  /** What is left of the rate after the service said that it is too much, 0 to 1. */
  readonly beta: number;
  /** How steeply it rises again. */
  readonly scale: number;
  /** How much the latest half second weighs in the measured rate, 0 to 1. */
  readonly smoothing: number;
  /** The rate is never less. */
  readonly minRate: number;
}

/** The measured rate is taken over so many ms at a time. */
const SPAN = 500;
/** The rate is never more than so many times the measured one: what is not used does not pile up. */
const HEADROOM = 2;
const SECOND = 1000;

/**
 * The rate so many seconds after one of `former` turned out to be too much: at first it rises fast, is slow around `former`, and then goes looking for more.
 * The window curve of CUBIC (Ha, Rhee, Xu 2008; RFC 9438).
 */
export function cubicRate(former: number, seconds: number, { beta, scale }: Pick<Cubic, 'beta' | 'scale'>): number {
  return scale * (seconds - plateau(former, { beta, scale })) ** 3 + former;
}

/** Seconds until the curve is back at the former rate. */
function plateau(former: number, { beta, scale }: Pick<Cubic, 'beta' | 'scale'>): number {
  return Math.cbrt((former * (1 - beta)) / scale);
}

/**
 * A limit that finds itself. Until the service says for the first time that it is asked too often there is none; from then on there is a token bucket, whose
 * rate drops at every such answer, and rises along a cubic curve with the others. As in the AWS SDKs ("adaptive" retry mode), save one thing: calls that
 * were sent before the rate last dropped do not make it drop again, or all that were under way at the time would bring it down to nothing.
 */
export class CubicRate implements CountedMeter<Charge> {
  readonly cubic: Cubic;
  /** Whether the service has ever said that it is asked too often. */
  engaged = false;
  /** Answers per second as measured. */
  measured = 0;
  readonly #bucket: Bucket;
  /** Answers since `#since`, a whole half second. */
  #answers = 0;
  #since: number;
  /** The rate that was too much, and when it turned out to be, ms. */
  #former = 0;
  #throttledAt: number;

  constructor(cubic: Cubic, now: number) {
    this.cubic = cubic;
    this.#bucket = new Bucket({ rate: cubic.minRate, per: SECOND, burst: 1 }, 0, now);
    this.#since = Math.floor(now / SPAN) * SPAN;
    this.#throttledAt = now;
  }

  /** Calls per second that it allows; `Infinity` until it is engaged. */
  get rate(): number {
    return this.engaged ? this.#bucket.limit.rate : Infinity;
  }

  /** How many calls can be saved up. */
  get burst(): number {
    return this.engaged ? this.#bucket.limit.burst : Infinity;
  }

  get capacity(): number {
    return this.burst;
  }

  get period(): number {
    return this.#bucket.period;
  }

  /** The latest time that it knows of, ms. */
  get at(): number {
    return this.#bucket.at;
  }

  /** Calls that may pass at once at `now`. */
  available(now: number): number {
    return this.engaged ? this.#bucket.available(now) : Infinity;
  }

  reach(level: number, now: number): number {
    return this.engaged ? this.#bucket.reach(level, now) : 0;
  }

  /** A call that costs more than the bucket holds waits for a full one, and what is missing comes out of what follows. */
  wait(cost: number, now: number): number {
    return this.engaged ? this.#bucket.reach(Math.min(cost, this.#bucket.limit.burst), now) : 0;
  }

  take(cost: number, now: number): Charge {
    return this.engaged ? this.#bucket.take(cost, now) : new Charge(0, now);
  }

  giveBack(charge: Charge, now: number): void {
    this.#bucket.giveBack(charge, now);
  }

  drain(now: number): void {
    if (this.engaged) this.#bucket.drain(now);
  }

  /** A call that was let in at `sent` was answered. Says whether the rate dropped for it. */
  answer(throttled: boolean, sent: number, now: number): boolean {
    this.#measure(now);
    const slower = throttled && (!this.engaged || sent >= this.#throttledAt);
    if (slower) {
      this.#former = this.engaged ? Math.min(this.measured, this.#bucket.limit.rate) : this.measured;
      this.#throttledAt = now;
      if (!this.engaged) this.#engage(now);
    }
    if (slower || !throttled) this.#follow(now);
    return slower;
  }

  /** There is no limit any more, until the service says again that it is asked too often. */
  release(): void {
    this.engaged = false;
  }

  isFresh(now: number): boolean {
    if (!this.engaged) return true;
    const { scale } = this.cubic;
    const recovered = plateau(this.#former, this.cubic) + Math.cbrt(((HEADROOM - 1) * this.#former) / scale);
    return now - this.#throttledAt > recovered * SECOND && this.wait(Infinity, now) === 0;
  }

  begin(now: number): void {
    const passed = now - this.#bucket.at;
    this.#bucket.begin(now);
    this.#throttledAt += passed;
    this.#since = Math.floor(now / SPAN) * SPAN;
  }

  copy(): CubicRate {
    const copy = new CubicRate(this.cubic, this.#bucket.at);
    copy.engaged = this.engaged;
    copy.measured = this.measured;
    copy.#bucket.change(this.#bucket.limit, this.#bucket.at);
    copy.#bucket.tokens = this.#bucket.tokens;
    copy.#answers = this.#answers;
    copy.#since = this.#since;
    copy.#former = this.#former;
    copy.#throttledAt = this.#throttledAt;
    return copy;
  }

  /** There is a limit from now on, and nothing saved up. */
  #engage(now: number): void {
    this.engaged = true;
    this.#bucket.tokens = 0;
    this.#bucket.begin(now);
  }

  #measure(now: number): void {
    this.#answers++;
    const span = Math.floor(now / SPAN) * SPAN;
    if (span <= this.#since) return;
    const { smoothing } = this.cubic;
    const latest = (this.#answers * SECOND) / (span - this.#since);
    this.measured = latest * smoothing + this.measured * (1 - smoothing);
    this.#answers = 0;
    this.#since = span;
  }

  /** The rate goes to where the curve is. */
  #follow(now: number): void {
    const { minRate } = this.cubic;
    const curve = cubicRate(this.#former, Math.max(0, now - this.#throttledAt) / SECOND, this.cubic);
    const rate = Math.min(curve, HEADROOM * this.measured);
    this.#bucket.change({ rate: Math.max(rate, minRate), per: SECOND, burst: Math.max(rate, 1) }, now);
  }
}
