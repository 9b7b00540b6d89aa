/** So many samples of a window are kept at most. */
const CAPACITY = 4096;

/**
 * Round-trip times of one window. Of many, every second, fourth, ... is kept, so that they stand for the whole window.
 */
export class Samples {
  #times = new Float64Array(64);
  #kept = 0;
  #stride = 1;
  #count = 0;
  #sum = 0;
  /** The shortest; `Infinity` of none. */
  min: number = Infinity;

  /** How many came in. */
  get count(): number {
    return this.#count;
  }

  add(rtt: number): void {
    this.min = Math.min(this.min, rtt);
    this.#sum += rtt;
    if (this.#count++ % this.#stride !== 0) return;
    if (this.#kept === CAPACITY) this.#thin();
    if (this.#kept === this.#times.length) this.#grow();
    this.#times[this.#kept++] = rtt;
  }

  /** The value that a share of `p` does not exceed; `undefined` of none. */
  quantile(p: number): number | undefined {
    return quantileOf(this.#times.slice(0, this.#kept).sort(), p);
  }

  /** The mean; `undefined` of none. */
  get mean(): number | undefined {
    return this.#count === 0 ? undefined : this.#sum / this.#count;
  }

  clear(): void {
    this.#kept = this.#count = this.#sum = 0;
    this.#stride = 1;
    this.min = Infinity;
  }

  #grow(): void {
    const more = new Float64Array(2 * this.#times.length);
    more.set(this.#times);
    this.#times = more;
  }

  #thin(): void {
    this.#kept /= 2;
    this.#stride *= 2;
    for (let i = 0; i < this.#kept; i++) this.#times[i] = this.#times[2 * i] as number;
  }
}

/** The value at `p` of sorted ones: number `round(n * p)` of them, at least the first. `undefined` of none. */
export function quantileOf(sorted: ArrayLike<number>, p: number): number | undefined {
  return sorted[Math.max(0, Math.round(sorted.length * p) - 1)];
}

/** The mean; `undefined` of none. */
export function meanOf(values: ArrayLike<number>): number | undefined {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i] as number;
  return values.length === 0 ? undefined : sum / values.length;
}
