import { Fifo, type Linked } from './fifo.ts';
import { type Bucket, LATENESS, leeway } from './token-bucket.ts';

/** A place in a {@link WaitingLine}. */
export class Turn implements Linked {
  /** Tokens it waits for. */
  readonly cost: number;
  /** Its wait is in vain if its turn comes later than this, ms. */
  readonly until: number;
  /** Called once, unless it leaves before: its turn has come, or it never will. */
  readonly end: (granted: boolean) => void;
  ahead: Linked | undefined = undefined;
  behind: Linked | undefined = undefined;
  standsIn: object | undefined = undefined;

  constructor(cost: number, until: number, end: (granted: boolean) => void) {
    this.cost = cost;
    this.until = until;
    this.end = end;
  }
}

/** Rings `advance` at the time set or earlier. */
export interface Bell {
  set(due: number, now: number): void;
  clear(): void;
}

/**
 * Those who wait for tokens of a bucket, first come, first served. Nobody is given a fixed time: only how many tokens are owed is kept, so
 * when one leaves, all behind it move up at once, and a change of the limit is a change for those who wait too. A turn is granted
 * when the tokens are really there, also if the bell rang late: a blocked event loop lets no crowd through.
 */
export class WaitingLine {
  readonly #bucket: Bucket;
  readonly #bell: Bell;
  readonly #turns = new Fifo<Turn>();

  constructor(bucket: Bucket, bell: (ring: (now: number) => void) => Bell) {
    this.#bucket = bucket;
    this.#bell = bell((now) => this.advance(now));
  }

  get size(): number {
    return this.#turns.size;
  }

  /** Joins at the end. */
  join(turn: Turn, now: number): void {
    this.#bucket.take(turn.cost, now);
    this.#bucket.owed += turn.cost;
    this.#turns.push(turn);
    if (this.#turns.size === 1) this.advance(now);
  }

  /** Gives up a place; all behind move up. */
  leave(turn: Turn, now: number): void {
    if (!this.#drop(turn)) return;
    this.#bucket.giveBack(turn.cost, now);
    this.advance(now);
  }

  /** Grants the turns whose tokens are there, ends those whose turn would come too late, and sets the bell for the next. */
  advance(now: number): void {
    const bucket = this.#bucket;
    const turns = this.#turns;
    if (turns.size > 0) bucket.take(0, now); // what a full bucket could not hold is lost, for whomever it was
    for (let turn = turns.oldest; turn !== undefined; turn = turns.oldest) {
      const wait = bucket.reach(turn.cost - bucket.owed, now);
      if (wait > 0 && now + wait <= turn.until + LATENESS) {
        this.#bell.set(now + wait - leeway(now) / 2, now); // or a rounding upward would cost a whole millisecond
        return;
      }
      this.#drop(turn);
      if (wait > 0) bucket.giveBack(turn.cost, now);
      turn.end(wait === 0);
    }
    this.#bell.clear();
  }

  /** Ends the turns that a change of the limit has made hopeless, and goes on with the others. */
  review(now: number): void {
    const bucket = this.#bucket;
    let ahead = 0;
    for (let turn = this.#turns.oldest; turn !== undefined;) {
      const { cost, until, behind } = turn;
      if (cost <= bucket.limit.burst && now + bucket.reach(ahead + cost - bucket.owed, now) <= until + LATENESS) {
        ahead += cost;
      } else {
        this.#drop(turn);
        bucket.giveBack(cost, now);
        turn.end(false);
      }
      turn = behind as Turn | undefined;
    }
    this.advance(now);
  }

  #drop(turn: Turn): boolean {
    if (!this.#turns.remove(turn)) return false;
    this.#bucket.owed = this.#turns.size === 0 ? 0 : this.#bucket.owed - turn.cost;
    return true;
  }
}
