/**
 * Controlled delay: says at the moment when somebody's turn comes whether it has waited in a queue that stands, and is to be let go so that those behind
 * it are served in time. A queue that drains within the interval is left alone, however long it was.
 */
export interface DelayControl {
  /** Whether the one whose turn it is at `now`, after `delay` ms, is to be let go. To be asked about everybody, once. */
  sheds(delay: number, now: number): boolean;
  /** It would have been somebody's turn, and nobody waited. */
  idle(): void;
}

/** Times of a {@link DelayControl}, ms. */
export interface DelaySettings {
  /** The delay that a queue may have for long. */
  readonly target: number;
  /** How long it may stand above that; about the time that a call takes in the worst case. */
  readonly interval: number;
}

/**
 * As folly does it (`folly/executors/Codel`): if in an interval even the shortest delay was above the target, those who waited for more than twice the
 * target are let go during the next one. The first after an interval is never let go.
 */
export class Codel implements DelayControl {
  readonly #target: number;
  readonly #interval: number;
  #end = 0;
  #shortest = 0;
  #fresh = true;
  #overloaded = false;

  constructor({ target, interval }: DelaySettings) {
    this.#target = target;
    this.#interval = interval;
  }

  sheds(delay: number, now: number): boolean {
    if (now > this.#end && !this.#fresh) {
      this.#end = now + this.#interval;
      this.#overloaded = this.#shortest > this.#target;
      this.#fresh = true;
    }
    if (this.#fresh) {
      this.#fresh = false;
      this.#shortest = delay;
      return false;
    }
    if (delay < this.#shortest) this.#shortest = delay;
    return this.#overloaded && delay > 2 * this.#target;
  }

  /** A delay of nothing. */
  idle(): void {
    this.#fresh = false;
    this.#shortest = 0;
  }
}

/** When the next is to be let go after `count`: sooner and sooner (RFC 8289, section 5.7). */
export function controlLaw(at: number, interval: number, count: number): number {
  return at + interval / Math.sqrt(count);
}

/** After so many intervals without overload the count starts anew. */
const MEMORY = 16;

/**
 * As RFC 8289 has it (section 5): once the delay has been above the target for a whole interval one is let go, and as long as it stays there more at
 * shrinking distances, `interval / sqrt(count)`.
 */
export class StandardCodel implements DelayControl {
  readonly #target: number;
  readonly #interval: number;
  /** When the delay will have been above the target for an interval; 0 while it is not. */
  #firstAbove = 0;
  #dropping = false;
  /** One was let go; what follows tells whether the next is due. */
  #undecided = false;
  #next = 0;
  #count = 0;
  #lastCount = 0;

  constructor({ target, interval }: DelaySettings) {
    this.#target = target;
    this.#interval = interval;
  }

  sheds(delay: number, now: number): boolean {
    const late = this.#isLate(delay, now);
    if (!this.#dropping) return late && this.#begin(now);
    if (!late) {
      this.#dropping = this.#undecided = false;
      return false;
    }
    if (this.#undecided) this.#next = controlLaw(this.#next, this.#interval, this.#count);
    this.#undecided = now >= this.#next;
    if (this.#undecided) this.#count++;
    return this.#undecided;
  }

  /** An empty queue is below any target. */
  idle(): void {
    this.#firstAbove = 0;
    this.#dropping = this.#undecided = false;
  }

  #isLate(delay: number, now: number): boolean {
    if (delay < this.#target) {
      this.#firstAbove = 0;
      return false;
    }
    if (this.#firstAbove !== 0) return now >= this.#firstAbove;
    this.#firstAbove = now + this.#interval;
    return false;
  }

  #begin(now: number): true {
    const dropped = this.#count - this.#lastCount;
    this.#count = dropped > 1 && now - this.#next < MEMORY * this.#interval ? dropped : 1;
    this.#lastCount = this.#count;
    this.#next = controlLaw(now, this.#interval, this.#count);
    return (this.#dropping = true);
  }
}
