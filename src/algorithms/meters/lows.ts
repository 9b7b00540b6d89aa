/** So many lows are told apart; beyond that, older ones are taken for lower than they were. */
const MOST = 16;

/**
 * How low something was since any time in the past: the lowest it has been since then, of what was noted. Lows that a later one undercuts tell nothing any more and are forgotten, so few are kept.
 */
export class Lows {
  readonly #times: number[] = [];
  readonly #lows: number[] = [];

  note(low: number, at: number): void {
    const times = this.#times;
    const lows = this.#lows;
    while (lows.length > 0 && (lows[lows.length - 1] as number) >= low) {
      lows.pop();
      times.pop();
    }
    lows.push(low);
    times.push(at);
    if (lows.length <= MOST) return;
    times.shift();
    lows.splice(1, 1);
  }

  /** The lowest after the time `at`; `Infinity` if nothing was noted since. */
  since(at: number): number {
    let lowest = Infinity;
    for (let i = this.#times.length - 1; i >= 0; i--)
      if ((this.#times[i] as number) > at) lowest = Math.min(lowest, this.#lows[i] as number);
    return lowest;
  }

  /** All that was noted after the time `at` would have been lower by so much. */
  lower(by: number, at: number): void {
    this.#times.forEach((time, i) => {
      if (time > at) this.#lows[i] = (this.#lows[i] as number) - by;
    });
  }
}
