import type { CircuitSettings, CircuitSymptom, FailureHint } from './circuit-state.ts';
import { InFlight } from './in-flight.ts';
import { Slowness } from './slowness.ts';
import type { Window } from './window.ts';
import { windowOf } from './windows.ts';

/** What a circuit knows of the calls that it judged, and whether that is bad enough to open it. Failures in a row do not age with the window. */
export class Health {
  window: Window;
  failuresInRow = 0;
  successesInRow = 0;
  /** Calls under way, if those that hang count as slow. */
  readonly inFlight: InFlight | undefined;
  readonly #settings: CircuitSettings;
  readonly #slowness: Slowness;
  /** New circuits only record, until this time and for so many judged calls. */
  #coldUntil: number;
  #coldCalls: number;

  constructor(settings: CircuitSettings, now: number) {
    const { warmUp, slowCall, slowInFlight, window } = settings;
    this.#settings = settings;
    this.window = windowOf(window);
    this.inFlight = slowInFlight ? new InFlight() : undefined;
    this.#slowness = new Slowness(slowCall);
    this.#coldUntil = warmUp.duration === 0 ? -Infinity : now + warmUp.duration;
    this.#coldCalls = warmUp.calls;
  }

  /** Whether a call that took so long is slow. */
  isSlow(ms: number, now: number): boolean {
    return ms > this.#slowness.limit(now);
  }

  /** Goes on with the row of successes or failures. A throttled call is neither: it says that the service is there, and has had enough. */
  extend(failed: boolean, throttled: boolean): void {
    if (!throttled) this.failuresInRow = failed ? this.failuresInRow + 1 : 0;
    this.successesInRow = failed ? 0 : this.successesInRow + 1;
  }

  /** Counts a judged call. */
  record(failed: boolean, slow: boolean, ms: number, now: number): void {
    this.window.record(failed, slow, ms, now);
    this.#slowness.learn(failed, ms, now);
  }

  /** Looks for calls under way that have become slow; true if there are some. */
  look(now: number): boolean {
    if (this.inFlight?.look(now, this.#slowness.limit(now)) !== true) return false;
    this.window.expire(now);
    return true;
  }

  /** Whether there is anything that could trip, or calls to be counted until something may. */
  get isSuspect(): boolean {
    const { failures, slow } = this.window;
    return failures + slow > 0 || this.inFlight !== undefined || this.#coldCalls > 0;
  }

  /** Whether it is new, so that nothing trips. `judged` more calls have been judged. */
  isCold(now: number, judged: number): boolean {
    if (this.#coldCalls === 0 && now >= this.#coldUntil) return false;
    const cold = this.#coldCalls > 0 || now < this.#coldUntil;
    this.#coldCalls = Math.max(0, this.#coldCalls - judged);
    return cold;
  }

  /** The first condition that is met, of what has been recorded up to now; asked after each record. A `share` of the usual calls are let in. */
  symptom(share: number, hint: FailureHint): CircuitSymptom | undefined {
    const { minCalls, failureRate, slowRate, badRate, consecutiveFailures, failures: most, tripOnRetryAfter } = this.#settings;
    if (this.failuresInRow >= consecutiveFailures) return 'consecutive-failures';
    const { calls, failures, slow, slowFailures } = this.window;
    const overdue = this.inFlight === undefined ? 0 : this.inFlight.overdue;
    if (failures + slow + overdue === 0) return undefined;
    if (tripOnRetryAfter && hint.retryAfter !== undefined && hint.retryAfter > 0) return 'retry-after';
    if (failures >= most) return 'failures';
    const needed = leastCalls(minCalls, share);
    if (calls >= needed && this.#meets(failures / calls, failureRate)) return 'failure-rate';
    const seen = calls + overdue;
    if (seen < needed) return undefined;
    if (this.#meets((slow + overdue) / seen, slowRate)) return 'slow-rate';
    return this.#meets((failures + slow - slowFailures + overdue) / seen, badRate) ? 'bad-rate' : undefined;
  }

  clear(): void {
    this.window.clear();
    this.failuresInRow = this.successesInRow = 0;
  }

  /** Goes on with what was known of it before; with this window, or an empty one. */
  recall(failuresInRow: number, successesInRow: number, window: Window | undefined): void {
    if (window !== undefined) this.window = window;
    this.failuresInRow = failuresInRow;
    this.successesInRow = successesInRow;
  }

  /** Moves all times by so many ms. */
  shift(ms: number): void {
    this.#coldUntil += ms;
  }

  #meets(rate: number, limit: number): boolean {
    return this.#settings.comparison === 'above' ? rate > limit : rate >= limit;
  }
}

/** Calls that are enough to judge by when only a `share` of the usual ones is let in. */
export function leastCalls(minCalls: number, share: number): number {
  return share === 1 ? minCalls : Math.max(1, Math.ceil(minCalls * share));
}
