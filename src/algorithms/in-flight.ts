/** Calls under way, and which of them are slow already: a dependency that hangs is known before its calls have ended. Pure: time comes in as `now`. */

import { Fifo, type Linked } from './fifo.ts';
import { Pass } from './pass.ts';

/** A pass that stands in the line of those under way. */
export class TimedPass extends Pass implements Linked {
  ahead: Linked | undefined = undefined;
  behind: Linked | undefined = undefined;
  standsIn: object | undefined = undefined;
  /** Whether it counts as slow, though it has not ended. */
  overdue = false;
}

/** The calls of one epoch that are under way, by when they began. */
export class InFlight {
  #line = new Fifo<TimedPass>();
  /** Calls under way that are slow already. */
  overdue = 0;

  enter(epoch: number, now: number): TimedPass {
    const pass = new TimedPass(epoch, now);
    this.#line.push(pass);
    return pass;
  }

  /** Takes out a call that has ended; how slow it was is for the window to count now. */
  leave(pass: Pass): void {
    if (!(pass instanceof TimedPass) || this.#line.remove(pass) || !pass.overdue) return;
    pass.overdue = false;
    this.overdue--;
  }

  /** Counts those that take longer than `slowCall` by now; true if there are more than before. */
  look(now: number, slowCall: number): boolean {
    const before = this.overdue;
    for (let pass = this.#line.oldest; pass !== undefined && now - pass.at > slowCall; pass = this.#line.oldest) {
      this.#line.remove(pass);
      pass.overdue = true;
      this.overdue++;
    }
    return this.overdue > before;
  }

  /** Forgets them all: what comes of them belongs to another time. */
  clear(): void {
    this.#line = new Fifo<TimedPass>();
    this.overdue = 0;
  }
}
