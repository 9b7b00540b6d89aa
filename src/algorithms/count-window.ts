import { type Window, type WindowRows, areRows } from './window.ts';

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

  save(): WindowRows {
    const size = this.#outcomes.length;
    const first = this.calls === size ? this.#next : 0;
    const rows = Array.from({ length: this.calls }, (_, i) => {
      const at = (first + i) % size;
      return [this.#outcomes[at] as number, this.#ms[at] as number];
    });
    return [[this.ignored, 0], ...rows];
  }

  load(rows: WindowRows): boolean {
    const [first, ...others] = rows;
    const [ignored] = first ?? [];
    if (ignored === undefined || !areRows(rows, 2) || others.length > this.#outcomes.length) return false;
    if (
      !Number.isSafeInteger(ignored) ||
      others.some(([outcome]) => ![0, failedBit, slowBit, failedBit | slowBit].includes(outcome as number))
    )
      return false;
    for (const [outcome = 0, ms = 0] of others) this.record((outcome & failedBit) !== 0, (outcome & slowBit) !== 0, ms);
    this.ignored = ignored;
    return true;
  }

  #count(outcome: number, by: number): void {
    this.calls += by;
    if (outcome & failedBit) this.failures += by;
    if (outcome & slowBit) this.slow += by;
    if (outcome === (failedBit | slowBit)) this.slowFailures += by;
  }
}
