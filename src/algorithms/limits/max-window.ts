/** The largest value of the last `duration` ms: a queue of what may still become the largest, each smaller than the one before (Lemire, "Streaming Maximum-Minimum Filter", 2006). */
export class MaxWindow {
  readonly #duration: number;
  readonly #values: number[] = [];
  readonly #times: number[] = [];
  #first = 0;

  constructor(duration: number) {
    this.#duration = duration;
  }

  /** The largest value in the window; 0 if it is empty. */
  get value(): number {
    return this.#values[this.#first] ?? 0;
  }

  /** Takes a value in, lets go of those that are `duration` old, and answers with the largest. */
  add(value: number, now: number): number {
    while (this.#values.length > this.#first && (this.#values.at(-1) as number) <= value) {
      this.#values.pop();
      this.#times.pop();
    }
    this.#values.push(value);
    this.#times.push(now);
    this.#expire(now);
    return this.value;
  }

  clear(): void {
    this.#values.length = this.#times.length = this.#first = 0;
  }

  #expire(now: number): void {
    while ((this.#times[this.#first] as number) <= now - this.#duration) this.#first++;
    if (this.#first < 64) return;
    this.#values.splice(0, this.#first);
    this.#times.splice(0, this.#first);
    this.#first = 0;
  }
}
