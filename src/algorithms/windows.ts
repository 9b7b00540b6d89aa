/**
 * What has happened lately: outcomes of the last minutes or of the last calls, as counts. Writing costs a few additions; nothing is
 * allocated after construction.
 */

/** Outcomes counted together. The fields are plain numbers so that they can be read on every call. */
export interface Window {
  /** Judged calls, that is successes and failures. */
  readonly calls: number;
  readonly failures: number;
  /** Slow calls, however they ended. */
  readonly slow: number;
  /** Calls that were slow and failed. */
  readonly slowFailures: number;
  /** Calls that count as neither success nor failure. */
  readonly ignored: number;
  /** Time that the judged calls took, ms. */
  readonly totalMs: number;
  /** Counts a judged call that ended at `now` after `ms`. */
  record(failed: boolean, slow: boolean, ms: number, now: number): void;
  /** Counts a call that is to be ignored. */
  ignore(now: number): void;
  /** Forgets what is too old at `now`. To be called before reading; writing does it by itself. */
  expire(now: number): void;
  /** Forgets everything. */
  clear(): void;
}

/** A window of time, in equal buckets. `Time` is what a length of time is given as: ms, once read. */
export interface TimeWindowSettings<Time = number> {
  /** How long an outcome counts. `Infinity`: until the state changes. */
  readonly duration: Time;
  /** Parts of the window; the oldest leaves whole. One bucket makes a window that starts anew each time it is over. @defaultValue `10` */
  readonly buckets: number;
}

/** A window of the last calls, whenever they were. */
export interface CountWindowSettings {
  /** How many judged calls count. */
  readonly calls: number;
}

export type WindowSettings = TimeWindowSettings | CountWindowSettings;

/** Makes a window. In an endless one (`duration: Infinity`) the first bucket never ends. */
export function windowOf(settings: WindowSettings): Window {
  return 'calls' in settings ? new CountWindow(settings.calls) : new TimeWindow(settings.duration, settings.buckets);
}

/** Columns of a bucket. */
const calls = 0;
const failures = 1;
const slowCalls = 2;
const slowFailures = 3;
const ignored = 4;
const columns = 5;

/**
 * The last `duration` ms in equal buckets aligned to time 0; the oldest bucket leaves whole. Every expired bucket is cleared before
 * anything is written or read, however long nothing happened. A clock that steps back loses nothing: what comes meanwhile is counted in
 * the newest bucket.
 */
export class TimeWindow implements Window {
  calls = 0;
  failures = 0;
  slow = 0;
  slowFailures = 0;
  ignored = 0;
  readonly #width: number;
  readonly #buckets: number;
  readonly #counts: Uint32Array;
  readonly #ms: Float64Array;
  /** Number of the newest bucket since time 0, and when it ends. */
  #newest = -Infinity;
  #end = -Infinity;
  /** Its place in the arrays. */
  #slot = 0;

  constructor(duration: number, buckets: number) {
    this.#buckets = buckets;
    this.#width = duration / buckets;
    this.#counts = new Uint32Array(buckets * columns);
    this.#ms = new Float64Array(buckets);
  }

  get totalMs(): number {
    return this.#ms.reduce((sum, ms) => sum + ms, 0);
  }

  record(failed: boolean, slow: boolean, ms: number, now: number): void {
    if (now >= this.#end) this.expire(now);
    (this.#ms[this.#slot] as number) += ms;
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
    if (now >= this.#end) this.expire(now);
    this.#add(ignored);
    this.ignored++;
  }

  expire(now: number): void {
    if (now < this.#end) return;
    const number = Math.floor(now / this.#width);
    const passed = number - this.#newest;
    if (passed >= this.#buckets) {
      this.clear();
    } else {
      for (let i = 0; i < passed; i++) this.#turn();
    }
    this.#newest = number;
    this.#end = (number + 1) * this.#width;
  }

  clear(): void {
    this.#counts.fill(0);
    this.#ms.fill(0);
    this.calls = this.failures = this.slow = this.slowFailures = this.ignored = 0;
  }

  #add(column: number): void {
    (this.#counts[this.#slot * columns + column] as number)++;
  }

  /** Empties the oldest bucket, which becomes the newest. */
  #turn(): void {
    this.#slot = (this.#slot + 1) % this.#buckets;
    this.calls -= this.#take(calls);
    this.failures -= this.#take(failures);
    this.slow -= this.#take(slowCalls);
    this.slowFailures -= this.#take(slowFailures);
    this.ignored -= this.#take(ignored);
    this.#ms[this.#slot] = 0;
  }

  #take(column: number): number {
    const at = this.#slot * columns + column;
    const taken = this.#counts[at] as number;
    this.#counts[at] = 0;
    return taken;
  }
}

/** Bits of an outcome in a count window. */
const failedBit = 1;
const slowBit = 2;

/** The last `size` judged calls, whenever they were. Ignored calls take no place; they are counted since the last clearing. */
export class CountWindow implements Window {
  calls = 0;
  failures = 0;
  slow = 0;
  slowFailures = 0;
  ignored = 0;
  readonly #outcomes: Uint8Array;
  readonly #ms: Float64Array;
  #next = 0;

  constructor(size: number) {
    this.#outcomes = new Uint8Array(size);
    this.#ms = new Float64Array(size);
  }

  get totalMs(): number {
    return this.#ms.reduce((sum, ms) => sum + ms, 0);
  }

  record(failed: boolean, slow: boolean, ms: number): void {
    const at = this.#next;
    if (this.calls === this.#outcomes.length) this.#count(this.#outcomes[at] as number, -1);
    const outcome = (failed ? failedBit : 0) | (slow ? slowBit : 0);
    this.#outcomes[at] = outcome;
    this.#ms[at] = ms;
    this.#count(outcome, 1);
    this.#next = at + 1 === this.#outcomes.length ? 0 : at + 1;
  }

  ignore(): void {
    this.ignored++;
  }

  expire(): void {
    // Calls do not age; they make room for others.
  }

  clear(): void {
    this.#ms.fill(0);
    this.#next = 0;
    this.calls = this.failures = this.slow = this.slowFailures = this.ignored = 0;
  }

  #count(outcome: number, by: number): void {
    this.calls += by;
    if (outcome & failedBit) this.failures += by;
    if (outcome & slowBit) this.slow += by;
    if (outcome === (failedBit | slowBit)) this.slowFailures += by;
  }
}
