import { type Clock, LONGEST_TIMER, type TimerHandle, afterMicrotasks, afterPoll, mayArmLater } from './clock.ts';

/** A timer that fires later than this (ms) was held up by a blocked event loop: answers already received are seen first. */
const STALL_TOLERANCE = 20;

/** Sums of times with fractions miss a whole millisecond by less than this (ms); a timer takes whole ones. */
const ROUNDING = 1e-3;

/**
 * One timer for whoever waits for the earliest of many due times. Setting it later than it stands costs nothing (it rings early,
 * its owner looks at what is due and sets it again), delays beyond 2^31 ms are chained, and clearing it leaves nothing behind.
 */
export class Alarm {
  readonly #clock: Clock;
  readonly #ring: (now: number, stalled: boolean) => void;
  #due = Infinity;
  #armedFor = Infinity;
  #handle: TimerHandle = undefined;
  #armingLater = false;
  readonly #letsGo: boolean;

  /**
   * `ring(now, stalled)` is called when the time set has come; `now` is never before it, and `stalled` says that the timer was held up by a
   * blocked event loop. With `letsGo` the process may end before: nobody waits for it.
   */
  constructor(clock: Clock, ring: (now: number, stalled: boolean) => void, letsGo = false) {
    this.#clock = clock;
    this.#ring = ring;
    this.#letsGo = letsGo;
  }

  /** Rings at `due` or earlier; `now` is the present. */
  set(due: number, now: number): void {
    if (due >= this.#due || due === Infinity) return;
    this.#due = due;
    if (this.#handle !== undefined) {
      this.#disarm();
      this.#arm(now);
    } else if (!mayArmLater(this.#clock)) {
      this.#arm(now);
    } else if (!this.#armingLater) {
      this.#armingLater = true;
      afterMicrotasks(() => {
        this.#armingLater = false;
        if (this.#due !== Infinity && this.#handle === undefined) this.#arm(this.#clock.now());
      });
    }
  }

  /** Forgets the due time; no timer is left. */
  clear(): void {
    this.#due = Infinity;
    if (this.#handle !== undefined) this.#disarm();
  }

  #arm(now: number): void {
    const wait = Math.min(Math.max(this.#due - now, 0), LONGEST_TIMER);
    this.#armedFor = now + wait;
    this.#handle = this.#clock.setTimeout(this.#fired, Math.ceil(wait - ROUNDING));
    if (this.#letsGo) letGo(this.#handle);
  }

  #disarm(): void {
    this.#clock.clearTimeout(this.#handle);
    this.#handle = undefined;
  }

  readonly #fired = (): void => {
    this.#handle = undefined;
    // A timer never fires early: a clock that says so is a clock that the fake timers at hand do not move.
    const now = Math.max(this.#clock.now(), this.#armedFor);
    const stalled = now - this.#due > STALL_TOLERANCE;
    if (now < this.#due) {
      this.#arm(now);
    } else if (stalled && mayArmLater(this.#clock)) {
      afterPoll(() => this.#sound(true));
    } else {
      this.#sound(stalled, now);
    }
  };

  #sound(stalled: boolean, now: number = this.#clock.now()): void {
    const due = this.#due;
    if (due === Infinity) return;
    this.#due = Infinity;
    this.#ring(Math.max(now, due), stalled);
  }
}

/** Lets the process end though this timer is set, if the clock's handles can do that. */
function letGo(handle: TimerHandle): void {
  const timer = Object(handle) as { unref?: () => unknown };
  if (typeof timer.unref === 'function') timer.unref();
}
