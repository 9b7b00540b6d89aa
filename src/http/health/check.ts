import { Alarm } from '../../core/alarm.ts';
import { systemClock } from '../../core/clock.ts';

/** Asks whether something works. `false`, a throw and a rejection say no. The signal aborts when the answer is no longer waited for. */
export type Check = (signal: AbortSignal) => unknown;

/**
 * One check, run at most once at a time and once per interval however many ask: what it says is kept, and probes that come together wait for the same
 * run. One that takes too long has failed; no other is started beside it, and what it says in the end counts again.
 */
export class HealthCheck {
  readonly #check: Check;
  readonly #timeout: number;
  readonly #interval: number;
  #said: boolean | undefined = undefined;
  #askAgain = -Infinity;
  /** What those who ask wait for; resolves when the check has answered or its time is up. */
  #answer: Promise<boolean> | undefined = undefined;
  #running = false;

  constructor(check: Check, timeout: number, interval: number) {
    this.#check = check;
    this.#timeout = timeout;
    this.#interval = interval;
  }

  /** Whether it works, as far as is known. Never rejects. */
  async passes(): Promise<boolean> {
    if (this.#answer !== undefined) return this.#answer;
    if (this.#said !== undefined && (this.#running || systemClock.now() < this.#askAgain)) return this.#said;
    return (this.#answer = this.#run().finally(() => (this.#answer = undefined)));
  }

  #run(): Promise<boolean> {
    const begun = systemClock.now();
    this.#askAgain = begun + this.#interval;
    this.#running = true;
    return new Promise((resolve) => {
      const patience = new AbortController();
      const said = (passed: boolean): void => {
        this.#said = passed;
        resolve(passed);
      };
      const alarm = new Alarm(systemClock, () => {
        said(false);
        patience.abort();
      });
      alarm.set(begun + this.#timeout, begun);
      void verdict(this.#check, patience.signal).then((passed) => {
        alarm.clear();
        this.#running = false;
        said(passed);
      });
    });
  }
}

async function verdict(check: Check, signal: AbortSignal): Promise<boolean> {
  try {
    return (await check(signal)) !== false;
  } catch {
    return false;
  }
}
