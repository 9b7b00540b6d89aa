import { Fifo, type Linked } from '../fifo.ts';
import { LATENESS, type Meter, leeway } from './meter.ts';

/** A place in a {@link WaitingLine}. */
export class Turn<Cost, Receipt> implements Linked {
  readonly cost: Cost;
  /** Its wait is in vain if its turn comes later than this, ms. */
  readonly until: number;
  /** Called once, unless it leaves before: its turn has come, and this is what it paid with; or, with `undefined`, it never will. */
  readonly end: (receipt: Receipt | undefined) => void;
  ahead: Linked | undefined = undefined;
  behind: Linked | undefined = undefined;
  standsIn: object | undefined = undefined;

  constructor(cost: Cost, until: number, end: (receipt: Receipt | undefined) => void) {
    this.cost = cost;
    this.until = until;
    this.end = end;
  }
}

/** Rings at the time set or earlier. */
export interface Bell {
  set(due: number, now: number): void;
  clear(): void;
}

/**
 * Those who wait for a meter, first come, first served. Nobody is given a fixed time: when one leaves, all behind it move up at once, and a change of the
 * limit is a change for those who wait too. How long a newcomer would wait is known all the same: a copy of the meter rehearses what those ahead will take, and when.
 *
 * A turn is granted when what it costs is really there. A bell that rings a little late, as timers do, makes nobody slower: the turn is booked for when it was due. If a
 * blocked event loop held the bell up for longer, it is booked for now, so that no crowd is let through.
 */
export class WaitingLine<Cost, Receipt> {
  readonly #meter: Meter<Cost, Receipt>;
  readonly #bell: Bell;
  readonly #lateness: number;
  readonly #turns = new Fifo<Turn<Cost, Receipt>>();
  /** The meter as it will be when all who wait have had their turns, and when the last one has. */
  #rehearsal: Meter<Cost, Receipt> | undefined = undefined;
  #last = 0;
  /** When the first turn is due, as the bell was set. */
  #due = Infinity;

  /** `lateness`: how late the bell may ring for a turn to be booked for when it was due, ms. */
  constructor(meter: Meter<Cost, Receipt>, bell: (ring: (now: number) => void) => Bell, lateness: number = LATENESS) {
    this.#meter = meter;
    this.#bell = bell((now) => this.advance(now));
    this.#lateness = lateness;
  }

  get size(): number {
    return this.#turns.size;
  }

  /** Milliseconds that a newcomer would wait behind all who stand here. */
  wait(cost: Cost, now: number): number {
    if (this.#turns.size === 0) return this.#meter.wait(cost, now);
    const rehearsal = this.#rehearse(now);
    const from = Math.max(now, this.#last);
    return from - now + rehearsal.wait(cost, from);
  }

  /** Milliseconds until the first turn is due; 0 if nobody waits. */
  next(now: number): number {
    return this.#turns.size === 0 ? 0 : Math.max(0, this.#due - now);
  }

  /** Joins at the end. */
  join(turn: Turn<Cost, Receipt>, now: number): void {
    if (this.#turns.size > 0) this.#play(this.#rehearse(now), turn, now);
    this.#turns.push(turn);
    if (this.#turns.size === 1) this.advance(now);
  }

  /** Gives up a place; all behind move up. */
  leave(turn: Turn<Cost, Receipt>, now: number): void {
    if (!this.#turns.remove(turn)) return;
    this.#rehearsal = undefined;
    this.advance(now);
  }

  /** Grants the turns whose cost is there, ends those whose turn would come too late, and sets the bell for the next. */
  advance(now: number): void {
    const late = now - this.#due;
    if (late > this.#lateness) this.#rehearsal = undefined;
    let at = late >= 0 && late <= this.#lateness ? this.#due : now;
    for (let turn = this.#turns.oldest; turn !== undefined; turn = this.#turns.oldest) {
      const ready = at + this.#meter.wait(turn.cost, at);
      if (ready > now && ready <= turn.until + LATENESS) {
        this.#ringAt(ready, now);
        return;
      }
      this.#turns.remove(turn);
      if (ready > now) {
        this.#rehearsal = undefined;
        turn.end(undefined);
      } else {
        at = ready;
        turn.end(this.#meter.take(turn.cost, at));
      }
    }
    this.#rehearsal = undefined;
    this.#due = Infinity;
    this.#bell.clear();
  }

  /** Ends the turns that a change of the limit has made hopeless, and goes on with the others. */
  review(now: number): void {
    this.#due = Infinity;
    const rehearsal = this.#meter.copy();
    const hopeless: Turn<Cost, Receipt>[] = [];
    this.#last = now;
    for (let turn = this.#turns.oldest; turn !== undefined;) {
      const behind = turn.behind as Turn<Cost, Receipt> | undefined;
      if (this.#last + rehearsal.wait(turn.cost, this.#last) <= turn.until + LATENESS) {
        this.#play(rehearsal, turn, now);
      } else {
        this.#turns.remove(turn);
        hopeless.push(turn);
      }
      turn = behind;
    }
    this.#rehearsal = undefined;
    this.advance(now);
    for (const turn of hopeless) turn.end(undefined); // by now it can be told how long it would have to wait
  }

  /** What was taken or given back past the line makes the rehearsal worthless. */
  forget(): void {
    this.#rehearsal = undefined;
  }

  #rehearse(now: number): Meter<Cost, Receipt> {
    if (this.#rehearsal !== undefined) return this.#rehearsal;
    const rehearsal = this.#meter.copy();
    this.#last = now;
    for (let turn = this.#turns.oldest; turn !== undefined; turn = turn.behind as typeof turn | undefined) {
      this.#play(rehearsal, turn, now);
    }
    this.#rehearsal = rehearsal;
    return rehearsal;
  }

  #play(rehearsal: Meter<Cost, Receipt>, { cost }: Turn<Cost, Receipt>, now: number): void {
    const from = Math.max(now, this.#last);
    this.#last = from + rehearsal.wait(cost, from);
    rehearsal.take(cost, this.#last);
  }

  #ringAt(due: number, now: number): void {
    this.#due = due;
    this.#bell.set(due - leeway(now) / 2, now); // or a rounding upward would cost a whole millisecond
  }
}
