/** The words of a circuit breaker: its states, settings and what it tells. */

import type { ProbeSettings } from './probes.ts';
import type { RampSettings } from './ramp.ts';
import type { WindowRows } from './window.ts';
import type { WindowSettings } from './windows.ts';

/** Where a circuit stands of its own accord, or by an operator's command. */
export type Standing = 'closed' | 'open' | 'half-open' | 'disabled' | 'metrics-only';

/**
 * `closed` (calls pass and are judged), `open` (refused), `half-open` (a few probes pass), `isolated` (refused until released), `disabled` (all
 * pass, nothing is counted), `metrics-only` (all pass and are counted, nothing trips).
 */
export type CircuitState = Standing | 'isolated';

/** Conditions that open a circuit. */
export type CircuitSymptom = 'failure-rate' | 'slow-rate' | 'bad-rate' | 'consecutive-failures' | 'failures' | 'trip-when' | 'retry-after';

/** What brought a change of state about. */
export type CircuitReason =
  CircuitSymptom | 'elapsed' | 'probes' | 'half-open-expired' | 'recovery-probe' | 'resumed' | 'restored' | 'manual';

/** Settings of a circuit. Rates are 0 to 1; times are ms; `Infinity` switches a condition off. */
export interface CircuitSettings {
  readonly window: WindowSettings;
  /** Judged calls in the window before a rate can trip. */
  readonly minCalls: number;
  readonly failureRate: number;
  readonly slowRate: number;
  /** Share of calls that failed or were slow. */
  readonly badRate: number;
  /** Whether a rate trips when it is reached, or only above. */
  readonly comparison: 'at-least' | 'above';
  readonly consecutiveFailures: number;
  /** Failures in the window, however many calls there were. */
  readonly failures: number;
  /** A call that takes longer is slow. */
  readonly slowCall: number | SlowSettings;
  /** Whether calls under way count as slow as soon as they are. */
  readonly slowInFlight: boolean;
  /** A condition of the user's own, asked after each judged call. */
  readonly tripWhen: ((circuit: CircuitReading) => boolean) | undefined;
  /** Whether a failure that asks for a wait opens at once. */
  readonly tripOnRetryAfter: boolean;
  /** A wait that a failure asks for is kept up to so many ms. */
  readonly maxRetryAfter: number;
  /** How long to stay open for the n-th time in a row, ms. */
  readonly openFor: (openCount: number, circuit: CircuitReading, failure: unknown) => number;
  /** After so long closed the count of openings starts again. */
  readonly resetAfter: number;
  readonly probes: ProbeSettings;
  readonly rampUp: RampSettings | undefined;
  /** Records and does not trip, for so long or so many judged calls from the beginning. */
  readonly warmUp: WarmUpSettings;
}

/** What is slow, measured by what is usual. `Time` is what a length of time is given as: ms, once read. */
export interface SlowSettings<Time = number> {
  /** Quantile of the calls of the last minute, 0 to 1. */
  readonly quantile: number;
  /** So many times as long is slow. @defaultValue `3` */
  readonly factor: number;
  /** Nothing shorter is slow. @defaultValue `'100ms'` */
  readonly min: Time;
  /** Calls that must have ended in the last minute before anything is slow. @defaultValue `100` */
  readonly minSamples: number;
}

/** For how long a new circuit only records: both must be over. `Time` is what a length of time is given as: ms, once read. */
export interface WarmUpSettings<Time = number> {
  /** How long from its making. @defaultValue `0` */
  readonly duration: Time;
  /** How many judged calls. @defaultValue `0` */
  readonly calls: number;
}

/** What is known of a failure beside its verdict. */
export interface FailureHint {
  /** The service said that it is asked too often: counts in rates, is none of the failures in a row. */
  readonly throttled: boolean;
  /** The wait that it asks for, ms. */
  readonly retryAfter: number | undefined;
}

/** How a state came about. */
export interface CircuitChange {
  readonly from: CircuitState;
  readonly reason: CircuitReason;
}

/** Something that happened: a state began, or what is named. */
export interface CircuitNote {
  readonly type: CircuitState | 'probe-expired' | 'starved' | 'restored';
  readonly fields: object;
}

/** The numbers of a circuit. Counts are of the window; while half-open, of the probes judged. */
export type CircuitReading = {
  readonly state: CircuitState;
  /** When the state began, ms on the clock. */
  readonly since: number;
  /** Times it opened without staying closed for long in between. */
  readonly openCount: number;
  /** ms until it may be tried; 0 unless open, `undefined` if it stays open until told otherwise. */
  readonly remaining: number | undefined;
  /** Share of the calls that is let in after closing, 0 to 1; `undefined` when it does not ramp up. */
  readonly ramp: number | undefined;
  readonly calls: number;
  readonly successes: number;
  readonly failures: number;
  readonly slow: number;
  readonly slowFailures: number;
  /** Calls under way that are slow already; in `slowRate` and in no other count. */
  readonly slowInFlight: number;
  readonly ignored: number;
  /** Calls refused since the state began. */
  readonly rejected: number;
  /** Results of earlier epochs since the state began; they count nowhere else. */
  readonly late: number;
  /** 0 to 1; `undefined` below `minCalls`. */
  readonly failureRate: number | undefined;
  readonly slowRate: number | undefined;
  /** Share of the calls that failed or were slow. */
  readonly badRate: number | undefined;
  /** Mean time of the calls in the window, ms. */
  readonly averageMs: number | undefined;
  readonly consecutiveFailures: number;
  readonly consecutiveSuccesses: number;
  readonly probes: { readonly admitted: number; readonly succeeded: number; readonly failed: number; readonly inFlight: number };
};

/** What a circuit must know to go on where it stopped, in another process too: times are lengths of time. */
export interface CircuitMemory {
  readonly state: CircuitState;
  /** Where it stands beneath an isolation. */
  readonly standing: Standing;
  /** Why it is isolated. */
  readonly why: string | undefined;
  readonly openCount: number;
  /** How long the latest opening lasts, and what is left of it, ms; `undefined` if it has no end. */
  readonly openFor: number | undefined;
  readonly openLeft: number | undefined;
  /** How long ago its state began, it opened and it closed, each for the last time, ms. */
  readonly age: number;
  readonly openedAgo: number;
  readonly closedAgo: number;
  readonly ramping: boolean;
  readonly consecutiveFailures: number;
  readonly consecutiveSuccesses: number;
  /** What the window holds. */
  /** The last failure that was counted, in words. */
  readonly lastFailure: string | undefined;
  readonly window: WindowRows;
}

/** The state of a circuit as plain data. */
export type CircuitSnapshot = CircuitReading & {
  /** The last failure that was counted, in words. */
  readonly lastFailure: string | undefined;
  /** Why it is isolated, if it is and somebody said so. */
  readonly why: string | undefined;
  /** When it was taken, epoch ms. */
  readonly takenAt: number;
  /** Stands for the settings that say what the counts mean: `window` and `slowCall`. */
  readonly config: string;
  /** All that `restore()` and `initialState` need beside. */
  readonly memory: CircuitMemory;
};
