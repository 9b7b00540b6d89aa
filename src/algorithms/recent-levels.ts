/** So many of the latest levels are remembered: enough for shares of a hundredth. */
const remembered = 128;

/** The levels (0 to 99) of the latest calls of one class: to turn away so many of them, and of those the ones that matter least. */
export class RecentLevels {
  readonly #latest: Uint8Array = new Uint8Array(remembered);
  readonly #counts: Uint8Array = new Uint8Array(100);
  #size = 0;
  #next = 0;

  /** Takes a call in. */
  add(level: number): void {
    if (this.#size === remembered) (this.#counts[this.#latest[this.#next] as number] as number)--;
    else this.#size++;
    this.#latest[this.#next] = level;
    this.#next = (this.#next + 1) % remembered;
    (this.#counts[level] as number)++;
  }

  /**
   * How likely a call of this level, taken in before, is to be turned away if `share` of all are, the lowest levels first: 1 below the level that the share
   * ends in, 0 above, and for those of that level whatever is left. Over many calls just `share` of them are, however their levels are spread.
   */
  lot(level: number, share: number): number {
    let below = 0;
    for (let lower = 0; lower < level; lower++) below += this.#counts[lower] as number;
    return Math.min(1, Math.max(0, (share * this.#size - below) / (this.#counts[level] as number)));
  }
}
