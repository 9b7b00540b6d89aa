import type { Line } from './lines/line.ts';

/** An entry of a {@link Fifo}; it carries its own links, so that joining allocates nothing. Only the queue touches them. */
export interface Linked {
  ahead: Linked | undefined;
  behind: Linked | undefined;
  /** The queue it stands in; one at a time. */
  standsIn: object | undefined;
}

/** First come, first served: an intrusive doubly linked list. Joining, leaving from anywhere and taking the oldest are constant time. */
export class Fifo<Entry extends Linked> implements Line<Entry> {
  #oldest: Linked | undefined = undefined;
  #newest: Linked | undefined = undefined;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get oldest(): Entry | undefined {
    return this.#oldest as Entry | undefined;
  }

  get newest(): Entry | undefined {
    return this.#newest as Entry | undefined;
  }

  get next(): Entry | undefined {
    return this.#oldest as Entry | undefined;
  }

  /** All matter alike. */
  get least(): undefined {
    return undefined;
  }

  /** All who are here already. */
  ahead(): number {
    return this.#size;
  }

  /** Adds an entry at the end. */
  push(entry: Entry): void {
    const last = this.#newest;
    if (last === undefined) this.#oldest = entry;
    else last.behind = entry;
    entry.ahead = last;
    entry.standsIn = this;
    this.#newest = entry;
    this.#size++;
  }

  /** Takes out the oldest entry. */
  shift(): Entry | undefined {
    const entry = this.oldest;
    if (entry !== undefined) this.remove(entry);
    return entry;
  }

  /** Takes an entry out, wherever it stands; false if it does not stand here. */
  remove(entry: Entry): boolean {
    if (entry.standsIn !== this) return false;
    const { ahead, behind } = entry;
    if (ahead === undefined) this.#oldest = behind;
    else ahead.behind = behind;
    if (behind === undefined) this.#newest = ahead;
    else behind.ahead = ahead;
    entry.ahead = entry.behind = entry.standsIn = undefined;
    this.#size--;
    return true;
  }

  /** Whether `test` holds for one of the entries; asks from the oldest on. */
  some(test: (entry: Entry) => boolean): boolean {
    for (let entry = this.#oldest; entry !== undefined; entry = entry.behind) if (test(entry as Entry)) return true;
    return false;
  }
}
