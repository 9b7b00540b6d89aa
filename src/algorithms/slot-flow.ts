/** Weight of the latest distance in the average. */
const WEIGHT = 0.1;

/** So many distances make an average worth acting on. */
const ENOUGH = 10;

/**
 * How fast slots come free while all are taken: a moving average of the time between two, ms for one slot. Times when a slot was free tell nothing, as then it is
 * the calls that were slow to come.
 */
export class SlotFlow {
  #average = 0;
  #samples = 0;
  /** When the last slot came free while all were taken. */
  #last: number | undefined = undefined;

  /** `weight` slots have come free; `busy` if all had been taken. */
  freed(weight: number, busy: boolean, now: number): void {
    const last = this.#last;
    this.#last = busy ? now : undefined;
    if (!busy || last === undefined) return;
    this.#samples++;
    this.#average = this.#with(Math.max(0, now - last) / weight, Math.max(WEIGHT, 1 / this.#samples));
  }

  /** How long it takes until so many slots have come free, ms; `undefined` while that is not known. A slot that does not come lengthens it. */
  estimate(slots: number, now: number): number | undefined {
    if (this.#samples < ENOUGH) return undefined;
    const since = this.#last === undefined ? 0 : now - this.#last;
    return slots * (since > this.#average ? this.#with(since, WEIGHT) : this.#average);
  }

  #with(distance: number, weight: number): number {
    return this.#average + weight * (distance - this.#average);
  }
}
