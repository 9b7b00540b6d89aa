import { type Band, Degradation, type Sign } from '../../algorithms/degradation.ts';
import type { Window } from '../../algorithms/window.ts';
import { windowOf } from '../../algorithms/windows.ts';

/** A measure of one's own, and what to make of it. */
export interface LoadSettings extends Band {
  readonly measure: () => number;
}

/** By what a feature is degraded without anybody's doing. */
export interface AutomaticSettings {
  readonly failureRate: Band | undefined;
  readonly timeoutRate: Band | undefined;
  readonly load: LoadSettings | undefined;
  /** Circuit breakers, or whatever has their states. */
  readonly openCircuits: readonly { readonly state: string; readonly mode?: unknown }[] | undefined;
  readonly window: number;
  readonly minCalls: number;
  readonly minDwell: number;
  /** The deepest level it may go to. */
  readonly deepest: number;
}

/** How often the signs are read while nothing fails, ms. */
const INTERVAL = 250;

/** How far circuits are from working: an open one is bad, a half-open one is not good yet. */
const trouble: Readonly<Record<string, number>> = { open: 1, isolated: 1, 'half-open': 0.5 };

/** Reads the signs of trouble with a feature, and moves its level by them. It counts how calls fared at the level that stands. */
export class AutomaticDegradation {
  readonly #settings: AutomaticSettings;
  readonly #window: Window;
  readonly #degradation: Degradation;
  #readAt = -Infinity;

  constructor(settings: AutomaticSettings) {
    this.#settings = settings;
    this.#window = windowOf({ duration: settings.window, buckets: 10 });
    this.#degradation = new Degradation(settings);
  }

  get level(): number {
    return this.#degradation.level;
  }

  /** Counts a call that was served at the level that stands. */
  record(failed: boolean, timedOut: boolean, now: number): void {
    this.#window.record(failed, timedOut, 0, now);
    if (failed) this.#readAt = -Infinity;
  }

  /** Forgets how calls fared: the level has changed, by whomever. */
  restart(): void {
    this.#window.clear();
  }

  /** Reads the signs, if they may have changed; answers with why the level has moved, if it has. What `measure` throws goes to `report`. */
  look(now: number, report: (error: unknown) => void): string | undefined {
    if (now < this.#readAt) return undefined;
    const why = this.#degradation.step(this.#signs(now, report), now);
    if (why !== undefined) this.#window.clear();
    const { restsUntil } = this.#degradation;
    this.#readAt = restsUntil > now ? Math.min(restsUntil, now + INTERVAL) : now + INTERVAL;
    return why;
  }

  #signs(now: number, report: (error: unknown) => void): Sign[] {
    const { failureRate, timeoutRate, load, openCircuits, minCalls } = this.#settings;
    const window = this.#window;
    window.expire(now);
    const { calls, failures, slow: timeouts } = window;
    const share = (count: number): number | undefined => (calls < minCalls ? undefined : count / calls);
    const signs: Sign[] = [];
    if (failureRate !== undefined) signs.push({ ...failureRate, name: 'failure-rate', reading: share(failures), reach: Infinity });
    if (timeoutRate !== undefined) signs.push({ ...timeoutRate, name: 'timeout-rate', reading: share(timeouts), reach: Infinity });
    if (load !== undefined)
      signs.push({ enterAt: load.enterAt, leaveAt: load.leaveAt, name: 'load', reading: measured(load, report), reach: Infinity });
    if (openCircuits !== undefined) {
      const reading = openCircuits.reduce((worst, { state, mode }) => Math.max(worst, bites(mode) ? (trouble[state] ?? 0) : 0), 0);
      signs.push({ enterAt: 1, leaveAt: 0, name: 'open-circuit', reading, reach: 1 });
    }
    return signs;
  }
}

/** Whether a circuit in this mode turns calls away when it is open. */
function bites(mode: unknown): boolean {
  return mode !== 'shadow' && mode !== 'off';
}

function measured({ measure }: LoadSettings, report: (error: unknown) => void): number | undefined {
  try {
    const load: unknown = measure();
    if (typeof load === 'number' && !Number.isNaN(load)) return load;
    throw new TypeError(`degrade.auto.load: expected a function that answers with a number, got ${String(load)}`);
  } catch (error) {
    report(error);
    return undefined;
  }
}
