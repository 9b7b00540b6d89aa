import type { Expiring } from './deadlines.ts';
import { Fifo, type Line, type Linked } from './fifo.ts';

/** Who holds a slot, and by which way it came. */
export class Holder<Owner, Way> implements Linked {
  readonly owner: Owner;
  readonly way: Way;
  ahead: Linked | undefined = undefined;
  behind: Linked | undefined = undefined;
  standsIn: object | undefined = undefined;

  constructor(owner: Owner, way: Way) {
    this.owner = owner;
    this.way = way;
  }
}

/** Who waits for a slot: when it came, when its time is up, and how it is told what became of it. */
export class Waiter<Owner, Way, Answer> extends Holder<Owner, Way> implements Expiring {
  readonly since: number;
  due: number;
  readonly tell: (answer: Answer) => void;
  before: Expiring | undefined = undefined;
  after: Expiring | undefined = undefined;
  listed = false;

  constructor(owner: Owner, way: Way, since: number, due: number, tell: (answer: Answer) => void) {
    super(owner, way);
    this.since = since;
    this.due = due;
    this.tell = tell;
  }
}

/**
 * So many slots, and a line of so many places in front of them. No slot stays free while somebody waits: one that is given back goes to the head of the
 * line before anybody else can ask, so nobody is overtaken. Who holds a slot is in the books until it gives it back, also while the limit shrinks.
 */
export class Slots<Held extends Linked, Waiting extends Held> {
  readonly #held = new Fifo<Held>();
  readonly #line: Line<Waiting>;
  readonly #places: number;
  readonly #admit: (waiter: Waiting) => boolean;
  #limit: number;

  /**
   * @param places - how many may wait
   * @param admit - told that it is a waiter's turn, with the slot in its hand; false if it wants it no more, so that the next one gets it
   * @param line - in which order they wait
   */
  constructor(limit: number, places: number, admit: (waiter: Waiting) => boolean, line: Line<Waiting> = new Fifo<Waiting>()) {
    this.#limit = limit;
    this.#places = places;
    this.#admit = admit;
    this.#line = line;
  }

  get limit(): number {
    return this.#limit;
  }

  /** Slots taken; above the limit for a while after a `resize` to less. */
  get active(): number {
    return this.#held.size;
  }

  get queued(): number {
    return this.#line.size;
  }

  /** Who has waited longest. */
  get oldest(): Waiting | undefined {
    return this.#line.oldest;
  }

  /** Whether there is a place in the line. */
  get hasPlace(): boolean {
    return this.#line.size < this.#places;
  }

  /** Takes a slot for a newcomer; false if none is free, or somebody came before it. */
  take(holder: Held): boolean {
    if (this.#held.size >= this.#limit || this.#line.size > 0) return false;
    this.#held.push(holder);
    return true;
  }

  /** Stands in line. Ask `hasPlace` before. */
  wait(waiter: Waiting): void {
    this.#line.push(waiter);
  }

  /** Leaves the line; false if it does not stand there. */
  leave(waiter: Waiting): boolean {
    return this.#line.remove(waiter);
  }

  /** Gives a slot back; false if it was given back before. */
  release(holder: Held): boolean {
    if (!this.#held.remove(holder)) return false;
    this.#fill();
    return true;
  }

  /** Changes the limit. More slots go to those who wait at once; with fewer, nobody gets one until enough have been given back. */
  resize(limit: number): void {
    this.#limit = limit;
    this.#fill();
  }

  /** Whether `test` holds for one of those who hold a slot. */
  someHolder(test: (holder: Held) => boolean): boolean {
    return this.#held.some(test);
  }

  #fill(): void {
    while (this.#held.size < this.#limit) {
      const waiter = this.#line.shift();
      if (waiter === undefined) return;
      this.#held.push(waiter);
      if (!this.#admit(waiter)) this.#held.remove(waiter);
    }
  }
}
