/** The last few values, and how much they vary. A value of 0 stands for nothing measured and is left out. */
export class LastValues {
  readonly #values: Float64Array;
  #size = 0;
  #next = 0;

  constructor(capacity: number) {
    this.#values = new Float64Array(capacity);
  }

  get size(): number {
    return this.#size;
  }

  /** The last values, in no particular order. */
  get values(): Float64Array {
    return this.#values.subarray(0, this.#size);
  }

  add(value: number): void {
    if (value === 0) return;
    this.#values[this.#next] = value;
    this.#next = (this.#next + 1) % this.#values.length;
    this.#size = Math.min(this.#size + 1, this.#values.length);
  }

  /** The mean; `NaN` of nothing. */
  get mean(): number {
    let sum = 0;
    for (const value of this.values) sum += value;
    return sum / this.#size;
  }

  /** The coefficient of variation: the standard deviation in parts of the mean. `NaN` of fewer than two values, or about a mean of 0. */
  get variation(): number {
    const { mean } = this;
    if (this.#size < 2 || mean === 0) return NaN;
    let squares = 0;
    for (const value of this.values) squares += (value - mean) ** 2;
    return Math.sqrt(squares / this.#size) / mean;
  }

  clear(): void {
    this.#size = this.#next = 0;
  }
}

/** What varies less than this, as a part of the mean, is taken for standing still. */
const STILL = 0.01;

/** Whether two values rise and fall together, over the last few pairs: Pearson's coefficient of correlation. */
export class Correlation {
  readonly xs: LastValues;
  readonly ys: LastValues;
  readonly #warmUp: number;

  /** @param warmUp - with fewer pairs nothing is said */
  constructor(capacity: number, warmUp = 0) {
    this.xs = new LastValues(capacity);
    this.ys = new LastValues(capacity);
    this.#warmUp = warmUp;
  }

  /** Takes a pair in; one with a 0 is none. */
  add(x: number, y: number): void {
    if (x === 0 || y === 0) return;
    this.xs.add(x);
    this.ys.add(y);
  }

  /** -1 to 1; 0 if there are too few pairs, or one of the two stands still. */
  get value(): number {
    const { xs, ys } = this;
    const [varyX, varyY] = [xs.variation, ys.variation];
    if (xs.size < this.#warmUp || !(varyX >= STILL && varyY >= STILL)) return 0;
    const [meanX, meanY] = [xs.mean, ys.mean];
    let products = 0;
    xs.values.forEach((x, i) => (products += (x - meanX) * ((ys.values[i] as number) - meanY)));
    return products / xs.size / (varyX * meanX * varyY * meanY);
  }

  clear(): void {
    this.xs.clear();
    this.ys.clear();
  }
}
