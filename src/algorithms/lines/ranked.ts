import type { Linked } from '../fifo.ts';
import { Heap } from './heap.ts';
import type { Line, Standing, Wants } from './line.ts';

/** So many ranks are one class. */
const CLASS = 100;

/** An entry in its place in the order. */
interface Place<Entry> {
  readonly entry: Entry;
  readonly rank: number;
  /** Rank and age as one number: the highest has its turn first. */
  readonly merit: number;
  readonly number: number;
  /** Where it stands in the heaps. */
  byMerit: number;
  byRank: number;
}

/**
 * The highest rank first; among equals first come, first served. With age: a waiting entry gains one class for every `aging` ms, evenly, so it is passed
 * only by those who rank higher by more than it has gained since; nobody waits for ever. As all age alike, the order of two entries never changes, and a heap is enough.
 */
export class Ranked<Entry extends Linked & Standing> implements Line<Entry> {
  readonly #perMs: number;
  #arrivals = 0;
  readonly #turns = new Heap<Place<Entry>>(
    (a, b) => a.merit > b.merit || (a.merit === b.merit && a.number < b.number),
    (place, at) => (place.byMerit = at),
  );
  readonly #least = new Heap<Place<Entry>>(
    (a, b) => a.rank < b.rank || (a.rank === b.rank && a.number > b.number),
    (place, at) => (place.byRank = at),
  );

  /** `aging`: in how many ms a waiting entry gains one class; `Infinity` if never. */
  constructor(aging: number) {
    this.#perMs = CLASS / aging;
  }

  get size(): number {
    return this.#turns.size;
  }

  get oldest(): Entry | undefined {
    let oldest: Place<Entry> | undefined;
    for (const place of this.#turns.items) if (oldest === undefined || place.number < oldest.number) oldest = place;
    return oldest?.entry;
  }

  get next(): Entry | undefined {
    return this.#turns.top?.entry;
  }

  get least(): Entry | undefined {
    return this.#least.top?.entry;
  }

  push(entry: Entry): void {
    const rank = entry.wants?.rank ?? 0;
    const place = { entry, rank, merit: this.#merit(rank, entry.since), number: this.#arrivals++, byMerit: 0, byRank: 0 };
    entry.standsIn = place;
    this.#turns.add(place);
    this.#least.add(place);
  }

  shift(): Entry | undefined {
    const { next } = this;
    if (next !== undefined) this.remove(next);
    return next;
  }

  remove(entry: Entry): boolean {
    const place = entry.standsIn as Place<Entry> | undefined;
    if (place === undefined || this.#turns.items[place.byMerit] !== place) return false;
    entry.standsIn = undefined;
    this.#turns.removeAt(place.byMerit);
    this.#least.removeAt(place.byRank);
    return true;
  }

  ahead({ rank }: Wants, now: number): number {
    const merit = this.#merit(rank, now);
    let count = 0;
    for (const place of this.#turns.items) if (place.merit >= merit) count++;
    return count;
  }

  some(test: (entry: Entry) => boolean): boolean {
    return this.#turns.items.some(({ entry }) => test(entry));
  }

  #merit(rank: number, since: number): number {
    return rank - since * this.#perMs;
  }
}
