/** Draws one of several things, each as often as its weight says. */
export class Lottery<T> {
  readonly #tickets: readonly { readonly prize: T; readonly weight: number }[];
  readonly #total: number;

  constructor(tickets: readonly { readonly prize: T; readonly weight: number }[]) {
    this.#tickets = tickets.filter(({ weight }) => weight > 0);
    this.#total = this.#tickets.reduce((sum, { weight }) => sum + weight, 0);
  }

  /** The thing that `u`, in [0, 1), falls on; `undefined` if there is none. */
  draw(u: number): T | undefined {
    let left = u * this.#total;
    for (const { prize, weight } of this.#tickets) {
      if (left < weight) return prize;
      left -= weight;
    }
    return this.#tickets.at(-1)?.prize;
  }
}
