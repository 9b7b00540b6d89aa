/** Upper bounds of the classes, ms; what is longer is counted in one more. */
const bounds: readonly number[] = Object.freeze([1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000]);

/** How long waits were, since counting began. */
export type Waits = Readonly<{
  /** Waits that have ended. */
  count: number;
  /** All of them together, ms. */
  sum: number;
  /** The longest, ms. */
  longest: number;
  /** Upper bounds of the classes, ms. */
  bounds: readonly number[];
  /** How many waits fell into each class; the last counts those beyond all bounds. */
  counts: readonly number[];
  /** Quantiles, ms: the upper bound of the class that they fall into, or the longest wait, if that is less. 0 before the first. */
  p50: number;
  p95: number;
  p99: number;
}>;

/** Counts waits by their length, in classes of growing width: 1, 2, 5, 10 ms and so on. */
export class WaitHistogram {
  #counts: Uint32Array | undefined = undefined;
  #count = 0;
  #sum = 0;
  #longest = 0;

  record(ms: number): void {
    this.#counts ??= new Uint32Array(bounds.length + 1);
    let i = 0;
    while (i < bounds.length && ms > (bounds[i] as number)) i++;
    (this.#counts[i] as number)++;
    this.#count++;
    this.#sum += ms;
    if (ms > this.#longest) this.#longest = ms;
  }

  read(): Waits {
    const counts = [...(this.#counts ?? new Uint32Array(bounds.length + 1))];
    const quantile = (q: number): number => {
      const wanted = Math.ceil(q * this.#count);
      let sum = 0;
      const i = counts.findIndex((count) => (sum += count) >= wanted);
      return Math.min(bounds[i] ?? Infinity, this.#longest);
    };
    const [p50, p95, p99] = [quantile(0.5), quantile(0.95), quantile(0.99)];
    return { count: this.#count, sum: this.#sum, longest: this.#longest, bounds, counts, p50, p95, p99 };
  }
}
