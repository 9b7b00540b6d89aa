/** The words of a circuit breaker: its states, settings and what it tells. */

import type { ProbeSettings } from './probes.ts';
import type { WindowSettings } from './windows.ts';

/** Where a circuit stands of its own accord, or by an operator's command. */
export type Standing = 'closed' | 'open' | 'half-open' | 'disabled' | 'metrics-only';

/**
 * `closed` (calls pass and are judged), `open` (refused), `half-open` (a few probes pass), `isolated` (refused until released), `disabled` (all
 * pass, nothing is counted), `metrics-only` (all pass and are counted, nothing trips).
 */
export type CircuitState = Standing | 'isolated';

/** What brought a change of state about. */
export type CircuitReason =
  'failure-rate' | 'slow-rate' | 'consecutive-failures' | 'elapsed' | 'probes' | 'half-open-expired' | 'resumed' | 'manual';

/** Settings of a circuit. Rates are 0 to 1 and trip when reached; times are ms; `Infinity` switches a condition off. */
export interface CircuitSettings {
  readonly window: WindowSettings;
  /** Judged calls in the window before a rate can trip. */
  readonly minCalls: number;
  readonly failureRate: number;
  /** A call that takes longer is slow. */
  readonly slowCall: number;
  readonly slowRate: number;
  readonly consecutiveFailures: number;
  /** How long to stay open for the n-th time in a row, ms. */
  readonly openFor: (openCount: number) => number;
  /** After so long closed the count of openings starts again. */
  readonly resetAfter: number;
  readonly probes: ProbeSettings;
}

/** How a state came about. */
export interface CircuitChange {
  readonly from: CircuitState;
  readonly reason: CircuitReason;
}

/** Something that happened: a state began, or what is named. */
export interface CircuitNote {
  readonly type: CircuitState | 'probe-expired' | 'starved';
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
  readonly calls: number;
  readonly successes: number;
  readonly failures: number;
  readonly slow: number;
  readonly slowFailures: number;
  readonly ignored: number;
  /** Calls refused since the state began. */
  readonly rejected: number;
  /** Results of earlier epochs since the state began; they count nowhere else. */
  readonly late: number;
  /** 0 to 1; `undefined` below `minCalls`. */
  readonly failureRate: number | undefined;
  readonly slowRate: number | undefined;
  /** Mean time of the calls in the window, ms. */
  readonly averageMs: number | undefined;
  readonly consecutiveFailures: number;
  readonly consecutiveSuccesses: number;
  readonly probes: { readonly admitted: number; readonly succeeded: number; readonly failed: number; readonly inFlight: number };
};

/** The state of a circuit as plain data. */
export type CircuitSnapshot = CircuitReading & {
  /** The last failure that was counted, in words. */
  readonly lastFailure: string | undefined;
  /** Why it is isolated, if it is and somebody said so. */
  readonly why: string | undefined;
};
