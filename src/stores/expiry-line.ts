import { Deadlines, type Expiring } from '../algorithms/deadlines.ts';
import { Alarm } from '../core/alarm.ts';
import type { Clock } from '../core/clock.ts';

/** Entries that all have the same time: they expire in the order they came, and one timer rings for the oldest. */
export class ExpiryLine<Entry extends Expiring> {
  readonly #deadlines = new Deadlines<Entry>();
  readonly #alarm: Alarm;

  /** `stalled`: a blocked event loop held the timer up. */
  constructor(clock: Clock, expire: (entry: Entry, now: number, stalled: boolean) => void) {
    this.#alarm = new Alarm(clock, (now, stalled) => {
      this.#deadlines.expire(now, (entry) => expire(entry, now, stalled));
      this.#alarm.set(this.#deadlines.next, now);
    });
  }

  /** Adds an entry that is due at `entry.due`. */
  add(entry: Entry, now: number): void {
    this.#deadlines.add(entry);
    this.#alarm.set(entry.due, now);
  }

  /** Takes an entry out, if it is still there; no timer is left for an empty line. */
  remove(entry: Entry): void {
    if (this.#deadlines.remove(entry) && this.#deadlines.size === 0) this.#alarm.clear();
  }
}
