/** Work that a timeout or an abort left behind and that still runs: who wants to know when it ends. */
export type Leftover = (() => void)[];

/** What calls left behind, and who waits for the end of it. */
export class Leftovers {
  readonly #running = new Set<Leftover>();

  add(leftover: Leftover): void {
    this.#running.add(leftover);
  }

  delete(leftover: Leftover): void {
    this.#running.delete(leftover);
  }

  /** Runs `then` once nothing is left; answers false (and forgets `then`) if nothing is. */
  whenQuiet(then: () => void): boolean {
    let count = this.#running.size;
    const ended = (): void => {
      if (--count === 0) then();
    };
    for (const leftover of this.#running) leftover.push(ended);
    return this.#running.size > 0;
  }
}
