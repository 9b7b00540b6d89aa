import type { Expiring } from './deadlines.ts';
import { Fifo, type Linked } from './fifo.ts';
import type { Line, Standing, Wants } from './lines/line.ts';
import type { Partitions } from './lines/partitions.ts';

/** Who holds a slot, and by which way it came. */
export class Holder<Owner, Way> implements Linked {
  readonly owner: Owner;
  readonly way: Way;
  /** What it asks for; without, one slot like everybody. */
  readonly wants: Wants | undefined;
  /** When it got its slot, ms, where somebody wants to know. */
  begun: number | undefined = undefined;
  ahead: Linked | undefined = undefined;
  behind: Linked | undefined = undefined;
  standsIn: object | undefined = undefined;

  constructor(owner: Owner, way: Way, wants?: Wants) {
    this.owner = owner;
    this.way = way;
    this.wants = wants;
  }
}

/** Who waits for a slot: when it came, when its time is up, and how it is told what became of it. */
export class Waiter<Owner, Way, Answer> extends Holder<Owner, Way> implements Expiring, Standing {
  readonly since: number;
  due: number;
  readonly tell: (answer: Answer) => void;
  before: Expiring | undefined = undefined;
  after: Expiring | undefined = undefined;
  listed = false;

  constructor(owner: Owner, way: Way, since: number, due: number, tell: (answer: Answer) => void, wants?: Wants) {
    super(owner, way, wants);
    this.since = since;
    this.due = due;
    this.tell = tell;
  }
}

/** Whatever can hold slots. */
export type Holding = Linked & { readonly wants: Wants | undefined };

/**
 * So many slots, and a line of so many places in front of them. No slot stays free while somebody who fits waits: one that is given back goes to whoever's
 * turn it is before anybody else can ask, so nobody is overtaken. Whose turn it is and who needs more slots than are free keeps those that are free until the
 * others come. Who holds a slot is in the books until it gives it back, also while the limit shrinks.
 */
export class Slots<Held extends Holding, Waiting extends Held & Standing> {
  readonly #held = new Fifo<Held>();
  readonly #line: Line<Waiting>;
  readonly #partitions: Partitions<Waiting> | undefined;
  readonly #places: number;
  readonly #admit: (waiter: Waiting) => boolean;
  /** Calls for each key that has some, waiting or running. */
  #perKey: Map<string, number> | undefined = undefined;
  #limit: number;
  #taken = 0;

  /**
   * @param places - how many may wait
   * @param admit - told that it is a waiter's turn, with the slot in its hand; false if it wants it no more, so that the next one gets it
   * @param line - in which order they wait
   * @param partitions - the same line, if it is one of partitions: a call gets in if its own share has room, whatever the others took
   */
  constructor(
    limit: number,
    places: number,
    admit: (waiter: Waiting) => boolean,
    line: Line<Waiting> = new Fifo<Waiting & Linked>(),
    partitions?: Partitions<Waiting>,
  ) {
    this.#limit = limit;
    this.#places = places;
    this.#admit = admit;
    this.#line = line;
    this.#partitions = partitions;
  }

  get limit(): number {
    return this.#limit;
  }

  /** Calls that hold slots. */
  get active(): number {
    return this.#held.size;
  }

  /** Slots taken; above the limit for a while after a `resize` to less. */
  get taken(): number {
    return this.#taken;
  }

  get queued(): number {
    return this.#line.size;
  }

  /** Who waits. */
  get line(): Line<Waiting> {
    return this.#line;
  }

  /** Whether there is a place in the line. */
  get hasPlace(): boolean {
    return this.#line.size < this.#places;
  }

  /** How many calls of this key wait or hold slots. */
  ofKey(key: string): number {
    return this.#perKey?.get(key) ?? 0;
  }

  /** Takes what a newcomer asks for; false if that is not free, or somebody came before it. */
  take(holder: Held): boolean {
    const { wants } = holder;
    if (wants === undefined) {
      if (this.#taken >= this.#limit || this.#line.size > 0) return false;
      this.#taken++;
      this.#held.push(holder);
      return true;
    }
    const { partition } = wants;
    const own = partition !== undefined && partition.waiting === 0 && partition.taken + wants.weight <= partition.limit;
    if (!own && (this.#taken + wants.weight > this.#limit || this.#line.size > 0)) return false;
    this.#note(wants, 1);
    this.#hold(holder, wants);
    return true;
  }

  /** Stands in line. Ask `hasPlace` before, and `serve` afterwards if it wants something: its turn may be at once, before somebody for whom too few are free. */
  wait(waiter: Waiting): void {
    this.#line.push(waiter);
    if (waiter.wants !== undefined) this.#note(waiter.wants, 1);
  }

  /** Leaves the line; false if it does not stand there. */
  leave(waiter: Waiting): boolean {
    if (!this.#line.remove(waiter)) return false;
    const { wants } = waiter;
    if (wants === undefined) return true;
    this.#note(wants, -1);
    // It may have kept slots free that were too few for it.
    this.serve();
    return true;
  }

  /** Gives a slot back; false if it was given back before. */
  release(holder: Held): boolean {
    if (!this.#drop(holder)) return false;
    this.serve();
    return true;
  }

  /**
   * Changes the limit. More slots go to those who wait at once; with fewer, nobody gets one until enough have been given back. `hopeless` is told who
   * waits for more slots than there are now, and has to make it leave.
   */
  resize(limit: number, hopeless?: (waiter: Waiting) => void): void {
    this.#limit = limit;
    this.#partitions?.resize(limit);
    if (hopeless !== undefined && limit > 0) {
      const heavy: Waiting[] = [];
      this.#line.some((waiter) => {
        if (waiter.wants !== undefined && waiter.wants.weight > limit) heavy.push(waiter);
        return false;
      });
      for (const waiter of heavy) hopeless(waiter);
    }
    this.serve();
  }

  /** Gives free slots to those whose turn it is. */
  serve(): void {
    const line = this.#line;
    for (let next = line.next; next !== undefined && this.#hasRoom(next.wants); next = line.next) {
      const waiter = line.shift() as Waiting;
      this.#hold(waiter, waiter.wants);
      if (!this.#admit(waiter)) this.#drop(waiter);
    }
  }

  /** Whether `test` holds for one of those who hold a slot. */
  someHolder(test: (holder: Held) => boolean): boolean {
    return this.#held.some(test);
  }

  #hasRoom(wants: Wants | undefined): boolean {
    const { weight, partition } = wants ?? one;
    if (this.#taken + weight <= this.#limit) return true;
    return partition !== undefined && partition.taken + weight <= partition.limit;
  }

  #hold(holder: Held, wants: Wants = one): void {
    this.#taken += wants.weight;
    if (wants.partition !== undefined) wants.partition.taken += wants.weight;
    this.#held.push(holder);
  }

  #drop(holder: Held): boolean {
    if (!this.#held.remove(holder)) return false;
    const { wants } = holder;
    if (wants === undefined) {
      this.#taken--;
      return true;
    }
    this.#taken -= wants.weight;
    if (wants.partition !== undefined) wants.partition.taken -= wants.weight;
    this.#note(wants, -1);
    return true;
  }

  #note({ key }: Wants, by: 1 | -1): void {
    if (key === undefined) return;
    const calls = this.ofKey(key) + by;
    this.#perKey ??= new Map();
    if (calls === 0) this.#perKey.delete(key);
    else this.#perKey.set(key, calls);
  }
}

/** What everybody wants who does not say. */
const one: Wants = { weight: 1, rank: 0, key: undefined, partition: undefined };
