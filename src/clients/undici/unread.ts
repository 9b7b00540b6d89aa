import { Alarm } from '../../core/alarm.ts';
import type { Clock } from '../../core/clock.ts';
import type { Line } from './line.ts';

/** Waits for a caller who has stopped reading and does not go on: its answer keeps its connection, but not what policies hold for it. */
export class Unread {
  readonly #line: Line;
  readonly #idle: number;
  readonly #alarm: Alarm;
  #since = 0;
  #set = false;

  /** `letGo` is called once it has not been read for `idle` ms. */
  constructor(line: Line, clock: Clock, idle: number, letGo: () => void) {
    this.#line = line;
    this.#idle = idle;
    this.#alarm = new Alarm(
      clock,
      (now) => {
        this.#set = false;
        if (!line.paused) return;
        if (this.#since + idle <= now) letGo();
        else this.#watch(now);
      },
      true,
    );
    line.onPause = () => {
      this.#since = clock.now();
      // It stays set while the caller reads on: that is cheaper than to set it at each pause.
      if (!this.#set) this.#watch(this.#since);
    };
  }

  end(): void {
    this.#line.onPause = undefined;
    this.#alarm.clear();
  }

  #watch(now: number): void {
    this.#set = true;
    this.#alarm.set(this.#since + this.#idle, now);
  }
}
