import { Fifo, type Linked } from '../fifo.ts';
import type { Line } from './line.ts';

/**
 * Last come, first served, as soon as more than `threshold` stand here; up to there first come, first served. In a long queue the newest are those whose
 * callers still want an answer (adaptive LIFO: Maurer, "Fail at Scale", ACM Queue 13(8), 2015). With a threshold of 0 it is a stack.
 */
export class Lifo<Entry extends Linked> implements Line<Entry> {
  readonly #threshold: () => number;
  readonly #list = new Fifo<Entry>();

  constructor(threshold: () => number = () => 0) {
    this.#threshold = threshold;
  }

  get size(): number {
    return this.#list.size;
  }

  get oldest(): Entry | undefined {
    return this.#list.oldest;
  }

  get next(): Entry | undefined {
    return this.#turned ? this.#list.newest : this.#list.oldest;
  }

  /** All matter alike. */
  get least(): undefined {
    return undefined;
  }

  push(entry: Entry): void {
    this.#list.push(entry);
  }

  shift(): Entry | undefined {
    const { next } = this;
    if (next !== undefined) this.#list.remove(next);
    return next;
  }

  remove(entry: Entry): boolean {
    return this.#list.remove(entry);
  }

  /** Nobody, once a newcomer would be the first. */
  ahead(): number {
    return this.size + 1 > this.#threshold() ? 0 : this.size;
  }

  some(test: (entry: Entry) => boolean): boolean {
    return this.#list.some(test);
  }

  /** Whether the newest go first. */
  get #turned(): boolean {
    return this.#list.size > this.#threshold();
  }
}
