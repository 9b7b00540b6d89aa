/** An entry of a {@link Deadlines} list; it carries its own links, so that joining allocates nothing. */
export interface Expiring {
  /** When it expires, ms. */
  due: number;
  /** Links of the list it stands in; only the list touches them. */
  before: Expiring | undefined;
  after: Expiring | undefined;
  listed: boolean;
}

/**
 * Things that expire in the order they came: with one duration for all, the oldest is always the next, so joining, leaving and expiring
 * take constant time and one timer serves any number (Varghese and Lauck, "Hashed and Hierarchical Timing Wheels", 1987: the ordered
 * list, which needs no search when all durations are equal).
 */
export class Deadlines<Entry extends Expiring> {
  #first: Expiring | undefined = undefined;
  #last: Expiring | undefined = undefined;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** When the next entry expires; `Infinity` if there is none. */
  get next(): number {
    return this.#first === undefined ? Infinity : this.#first.due;
  }

  /** Adds an entry at the end. One that is due before the last (a clock that went back) waits for its turn. */
  add(entry: Entry): void {
    const last = this.#last;
    if (last === undefined) {
      this.#first = entry;
    } else {
      last.after = entry;
      entry.before = last;
      if (entry.due < last.due) entry.due = last.due;
    }
    entry.listed = true;
    this.#last = entry;
    this.#size++;
  }

  /** Takes an entry out; false if it had left already. */
  remove(entry: Entry): boolean {
    if (!entry.listed) return false;
    const { before, after } = entry;
    if (before === undefined) this.#first = after;
    else before.after = after;
    if (after === undefined) this.#last = before;
    else after.before = before;
    entry.listed = false;
    entry.before = entry.after = undefined;
    this.#size--;
    return true;
  }

  /** Takes out and hands over, oldest first, what is due at `now`. */
  expire(now: number, expired: (entry: Entry) => void): void {
    for (let entry = this.#first; entry !== undefined && entry.due <= now; entry = this.#first) {
      this.remove(entry as Entry);
      expired(entry as Entry);
    }
  }
}
