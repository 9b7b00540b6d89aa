import type { Meter } from './meter.ts';

/** What a call takes of each part; `undefined`: nothing of this one. */
export type Costs = readonly unknown[];

/** Several limits that are one: a call fits when it fits all of them, and takes from all of them or from none. */
export class Composite implements Meter<Costs, readonly unknown[]> {
  readonly parts: readonly Meter<unknown>[];
  /** Shared with all copies. */
  readonly #asked: { slowest: number };

  constructor(parts: readonly Meter<unknown>[], asked: { slowest: number } = { slowest: 0 }) {
    this.parts = parts;
    this.#asked = asked;
  }

  /** Which of them the latest question came to wait for longest, asked here or of a copy. */
  get slowest(): number {
    return this.#asked.slowest;
  }

  /** As long as the slowest of them takes: whoever waits for that fits the others too. */
  wait(costs: Costs, now: number): number {
    let longest = 0;
    for (let i = 0; i < this.parts.length; i++) {
      const wait = costs[i] === undefined ? 0 : (this.parts[i] as Meter<unknown>).wait(costs[i], now);
      if (wait <= longest) continue;
      longest = wait;
      this.#asked.slowest = i;
    }
    return longest;
  }

  take(costs: Costs, now: number): readonly unknown[] {
    return this.parts.map((part, i) => (costs[i] === undefined ? undefined : part.take(costs[i], now)));
  }

  giveBack(receipts: readonly unknown[], now: number): void {
    for (const [i, part] of this.parts.entries()) if (receipts[i] !== undefined) part.giveBack(receipts[i], now);
  }

  drain(now: number): void {
    for (const part of this.parts) part.drain(now);
  }

  isFresh(now: number): boolean {
    return this.parts.every((part) => part.isFresh(now));
  }

  begin(now: number): void {
    for (const part of this.parts) part.begin(now);
  }

  copy(): Composite {
    return new Composite(
      this.parts.map((part) => part.copy()),
      this.#asked,
    );
  }
}
