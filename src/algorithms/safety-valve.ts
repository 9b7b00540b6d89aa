/** At most so many in any span of time, exactly: remembers when each of the latest ones happened. */
export class SafetyValve {
  readonly #most: number;
  readonly #span: number;
  /** Times of the latest ones, as a ring once it is full. */
  readonly #times: number[] = [];
  #oldest = 0;

  /** `most` may be `Infinity`; nothing is remembered then. `span` in ms. */
  constructor(most: number, span: number) {
    this.#most = most;
    this.#span = span;
  }

  /** Whether one more fits at `now` (ms); it counts if so. */
  admit(now: number): boolean {
    if (this.#most === Infinity) return true;
    if (this.#times.length < this.#most) {
      this.#times.push(now);
      return true;
    }
    const oldest = this.#times[this.#oldest];
    if (oldest === undefined || now - oldest < this.#span) return false;
    this.#times[this.#oldest] = now;
    this.#oldest = (this.#oldest + 1) % this.#most;
    return true;
  }
}
