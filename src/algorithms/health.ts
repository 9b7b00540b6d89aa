import type { CircuitReason, CircuitSettings } from './circuit-state.ts';
import { type Window, windowOf } from './windows.ts';

/** What a circuit knows of the calls that it judged, and whether that is bad enough to open it. Failures in a row do not age with the window. */
export class Health {
  readonly window: Window;
  failuresInRow = 0;
  successesInRow = 0;
  readonly #settings: CircuitSettings;

  constructor(settings: CircuitSettings) {
    this.#settings = settings;
    this.window = windowOf(settings.window);
  }

  /** Goes on with the row of successes or failures. */
  extend(failed: boolean): void {
    this.failuresInRow = failed ? this.failuresInRow + 1 : 0;
    this.successesInRow = failed ? 0 : this.successesInRow + 1;
  }

  /** The first condition that is met, of what has been recorded up to now; asked after each record. */
  get symptom(): CircuitReason | undefined {
    const { minCalls, failureRate, slowRate, consecutiveFailures } = this.#settings;
    if (this.failuresInRow >= consecutiveFailures) return 'consecutive-failures';
    const { calls, failures, slow } = this.window;
    if (calls < minCalls) return undefined;
    if (failures / calls >= failureRate) return 'failure-rate';
    return slow / calls >= slowRate ? 'slow-rate' : undefined;
  }

  clear(): void {
    this.window.clear();
    this.failuresInRow = this.successesInRow = 0;
  }
}
