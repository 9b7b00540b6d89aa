import { Wheel } from './wheel.ts';
import { type Window, type WindowRows, areRows } from './window.ts';

/** Columns of a bucket. */
const calls = 0;
const failures = 1;
const slowCalls = 2;
const slowFailures = 3;
const ignored = 4;
const columns = 5;

/** Outcomes of the last `duration` ms, in equal buckets. */
export class TimeWindow extends Wheel implements Window {
  calls = 0;
  failures = 0;
  slow = 0;
  slowFailures = 0;
  ignored = 0;
  readonly #counts: Uint32Array;
  readonly #ms: Float64Array;

  constructor(duration: number, buckets: number) {
    super(duration / buckets, buckets);
    this.#counts = new Uint32Array(buckets * columns);
    this.#ms = new Float64Array(buckets);
  }

  get totalMs(): number {
    return this.#ms.reduce((sum, ms) => sum + ms, 0);
  }

  record(failed: boolean, slow: boolean, ms: number, now: number): void {
    if (now >= this.end) this.expire(now);
    (this.#ms[this.slot] as number) += ms;
    this.#add(calls);
    this.calls++;
    if (failed) {
      this.#add(failures);
      this.failures++;
    }
    if (slow) {
      this.#add(slowCalls);
      this.slow++;
    }
    if (slow && failed) {
      this.#add(slowFailures);
      this.slowFailures++;
    }
  }

  ignore(now: number): void {
    if (now >= this.end) this.expire(now);
    this.#add(ignored);
    this.ignored++;
  }

  clear(): void {
    this.#counts.fill(0);
    this.#ms.fill(0);
    this.calls = this.failures = this.slow = this.slowFailures = this.ignored = 0;
  }

  save(now: number): WindowRows {
    this.expire(now);
    const rows: number[][] = [];
    for (let back = this.size - 1; back >= 0; back--) {
      const slot = (this.slot + this.size - back) % this.size;
      const counts = this.#counts.subarray(slot * columns, (slot + 1) * columns);
      // A bucket is as old as its middle: a boundary could fall into the next one by a rounding.
      const age = this.width === Infinity ? 0 : Math.max(0, now - this.end + (back + 0.5) * this.width);
      if (counts.some((count) => count > 0)) rows.push([age, ...counts, this.#ms[slot] as number]);
    }
    return rows;
  }

  load(rows: WindowRows, now: number, elapsed: number): boolean {
    const sound = ([, n, failed, slow, both, rest]: readonly number[]): boolean =>
      [n, failed, slow, both, rest].every((count) => Number.isSafeInteger(count)) &&
      Math.max(failed as number, slow as number) <= (n as number) &&
      (both as number) <= Math.min(failed as number, slow as number);
    if (!areRows(rows, columns + 2) || !rows.every(sound)) return false;
    this.expire(now);
    for (const [age = 0, ...counts] of rows) {
      const back = this.newest - Math.floor((now - elapsed - age) / this.width);
      if (back >= 0 && back < this.size) this.#fill((this.slot + this.size - back) % this.size, counts);
    }
    return true;
  }

  #fill(slot: number, counts: readonly number[]): void {
    for (let column = 0; column < columns; column++) (this.#counts[slot * columns + column] as number) += counts[column] as number;
    (this.#ms[slot] as number) += counts[columns] as number;
    this.calls += counts[calls] as number;
    this.failures += counts[failures] as number;
    this.slow += counts[slowCalls] as number;
    this.slowFailures += counts[slowFailures] as number;
    this.ignored += counts[ignored] as number;
  }

  #add(column: number): void {
    (this.#counts[this.slot * columns + column] as number)++;
  }

  protected empty(slot: number): void {
    this.calls -= this.#take(slot, calls);
    this.failures -= this.#take(slot, failures);
    this.slow -= this.#take(slot, slowCalls);
    this.slowFailures -= this.#take(slot, slowFailures);
    this.ignored -= this.#take(slot, ignored);
    this.#ms[slot] = 0;
  }

  #take(slot: number, column: number): number {
    const at = slot * columns + column;
    const taken = this.#counts[at] as number;
    this.#counts[at] = 0;
    return taken;
  }
}
