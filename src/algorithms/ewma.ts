import { type Window, type WindowRows, areRows } from './window.ts';

/** So few calls that it is as if there had been none. */
const NOTHING = 0.5;

/** Places of the averages: shares of failed, slow, and slow failed calls, and the mean time, ms. */
const failed = 0;
const slow = 1;
const both = 2;
const ms = 3;
const averages = 4;

/**
 * Exponentially weighted moving averages of outcomes, in time or by calls: what happened one half-life ago counts half. In time it is the
 * average over time and not over calls, so a burst weighs what the time it took weighs; calls that end at the same instant count together, in
 * any order (after the success rates of Finagle's failure accrual). `failures` and `slow` are the averages times `calls`.
 *
 * In time `calls` fades as well, so after a quiet time there are too few of them to judge by; by calls it counts all since the last clearing.
 */
export class EwmaWindow implements Window {
  calls = 0;
  failures = 0;
  slow = 0;
  slowFailures = 0;
  ignored = 0;
  readonly #halfLife: number;
  readonly #inTime: boolean;
  /** Averages now, those before the latest instant, and sums of what ended in it. */
  readonly #now = new Float64Array(averages);
  readonly #before = new Float64Array(averages);
  readonly #sums = new Float64Array(averages);
  /** Calls that ended at the latest instant, when that was, and what it weighs against all before. */
  #tally = 0;
  #at = -Infinity;
  #weight = 1;
  /** Up to when `calls` has faded. */
  #faded = -Infinity;

  constructor(halfLife: number, by: 'time' | 'calls') {
    this.#halfLife = halfLife;
    this.#inTime = by === 'time';
  }

  get totalMs(): number {
    return (this.#now[ms] as number) * this.calls;
  }

  record(wasFailed: boolean, wasSlow: boolean, took: number, now: number): void {
    if (this.#inTime) this.expire(now);
    this.#step(this.#inTime ? now : this.calls + 1);
    this.calls++;
    this.#tally++;
    this.#add(failed, wasFailed ? 1 : 0);
    this.#add(slow, wasSlow ? 1 : 0);
    this.#add(both, wasFailed && wasSlow ? 1 : 0);
    this.#add(ms, took);
    this.#multiply();
  }

  ignore(): void {
    this.ignored++;
  }

  expire(now: number): void {
    if (!this.#inTime || this.calls === 0 || now <= this.#faded) return;
    this.calls *= 2 ** ((this.#faded - now) / this.#halfLife);
    this.#faded = now;
    if (this.calls < NOTHING) this.#forget();
    else this.#multiply();
  }

  clear(): void {
    this.ignored = 0;
    this.#forget();
  }

  save(now: number): WindowRows {
    this.expire(now);
    if (this.calls === 0 && this.ignored === 0) return [];
    return [[this.calls === 0 ? 0 : Math.max(0, this.#inTime ? now - this.#at : 0), this.calls, this.ignored, ...this.#now]];
  }

  load(rows: WindowRows, now: number, elapsed: number): boolean {
    if (!areRows(rows, 3 + averages) || rows.length > 1) return false;
    const [age = 0, calls = 0, ignored = 0, ...shares] = rows[0] ?? [];
    if (shares.some((share, i) => i !== ms && share > 1)) return false;
    this.ignored = ignored;
    if (calls === 0) return true;
    this.calls = calls;
    this.#now.set(shares);
    this.#before.set(shares);
    this.#weight = 0; // what else ended at that very instant is in the averages already
    this.#at = this.#inTime ? now - elapsed - age : calls;
    this.#faded = now - elapsed;
    this.#multiply();
    this.expire(now);
    return true;
  }

  /** Goes on to this instant, if it is a later one. */
  #step(at: number): void {
    if (this.calls === 0) {
      this.#weight = 1;
    } else if (at > this.#at) {
      this.#before.set(this.#now);
      this.#weight = 1 - 2 ** ((this.#at - at) / this.#halfLife);
    } else {
      return;
    }
    this.#at = this.#faded = at;
    this.#tally = 0;
    this.#sums.fill(0);
  }

  #add(which: number, value: number): void {
    const sum = ((this.#sums[which] as number) += value);
    const before = this.#before[which] as number;
    this.#now[which] = this.#weight === 1 ? sum / this.#tally : before + this.#weight * (sum / this.#tally - before);
  }

  #multiply(): void {
    this.failures = (this.#now[failed] as number) * this.calls;
    this.slow = (this.#now[slow] as number) * this.calls;
    this.slowFailures = (this.#now[both] as number) * this.calls;
  }

  #forget(): void {
    this.calls = this.failures = this.slow = this.slowFailures = 0;
    this.#now.fill(0);
    this.#before.fill(0);
    this.#at = this.#faded = -Infinity;
    this.#tally = 0;
    this.#sums.fill(0);
  }
}
