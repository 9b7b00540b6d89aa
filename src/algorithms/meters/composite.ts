import type { Meter } from './meter.ts';

/** What a call takes of each part; `undefined`: nothing of this one. */
export type Costs = readonly unknown[];

/** Several limits that are one: a call fits when it fits all of them, and takes from all of them or from none. */
export class Composite implements Meter<Costs, readonly unknown[]> {
  readonly parts: readonly Meter<unknown>[];

  constructor(parts: readonly Meter<unknown>[]) {
    this.parts = parts;
  }

  /** As long as the slowest of them takes: whoever waits for that fits the others too. */
  wait(costs: Costs, now: number): number {
    return Math.max(0, ...this.waits(costs, now));
  }

  /** What each of them says. */
  waits(costs: Costs, now: number): number[] {
    return this.parts.map((part, i) => (costs[i] === undefined ? 0 : part.wait(costs[i], now)));
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
    return new Composite(this.parts.map((part) => part.copy()));
  }
}
