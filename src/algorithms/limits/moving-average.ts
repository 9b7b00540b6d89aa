/** A plain mean of the first few values, then an exponentially weighted one in which a value counts `2 / (window + 1)`. */
export class MovingAverage {
  readonly #factor: number;
  readonly #warmUp: number;
  #count = 0;
  #value = 0;

  /**
   * @param window - about how many values it looks back on
   * @param warmUp - so many values count alike; 0: the first counts as one among zeros
   */
  constructor(window: number, warmUp: number) {
    this.#factor = 2 / (window + 1);
    this.#warmUp = warmUp;
  }

  /** The average; 0 as long as there is nothing to average. */
  get value(): number {
    return this.#value;
  }

  /** Takes a value in, and answers with the average. */
  add(value: number): number {
    const weight = this.#count < this.#warmUp ? 1 / ++this.#count : this.#factor;
    this.#value += weight * (value - this.#value);
    return this.#value;
  }

  /** Moves the average itself. */
  scale(by: number): void {
    this.#value *= by;
  }

  reset(): void {
    this.#count = this.#value = 0;
  }
}
