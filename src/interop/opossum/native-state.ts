/** The state of a breaker of opossum, for a native circuit to go on from. */

import type { CircuitMemory, Standing } from '../../algorithms/circuit-state.ts';
import { systemClock, wallTime } from '../../core/clock.ts';
import { OptionsError } from '../../core/errors.ts';
import { show } from '../../core/options.ts';
import { type CircuitBreaker, type CircuitBreakerOptions, circuitBreaker } from '../../policies/circuit-breaker.ts';
import type { OpossumSettings } from './fields.ts';
import type { BreakerState } from './options.ts';

/** Options of the circuit, those that matter here in plain numbers. */
export interface NativeCircuitOptions extends CircuitBreakerOptions {
  readonly window: { readonly duration: number; readonly buckets: number };
  readonly openFor: number;
}

/** What opossum counts of the calls of one part of its window, or of all of it. */
interface Counts {
  readonly successes?: unknown;
  readonly failures?: unknown;
  readonly latencyTimes?: unknown;
}

/**
 * A circuit that goes on from what `toJSON()` of a breaker said, if that was given, as opossum would: one that is open opens anew, for the whole time, unless more than
 * that has passed since `lastTimerAt`; then it may be tried out.
 *
 * @throws OptionsError if `status` holds no counts
 */
export function circuitOf(options: NativeCircuitOptions, { state, status, resetTimeout }: OpossumSettings, owner: string): CircuitBreaker {
  const fresh = circuitBreaker(options);
  if (state === undefined && status === undefined) return fresh;
  const { window, openFor } = options;
  const standing = state === undefined ? 'closed' : standingOf(state, resetTimeout);
  const rows = status === undefined ? [] : partsOf(status).map((part, i) => rowOf(part, (i * window.duration) / window.buckets, owner));
  const snapshot = fresh.snapshot();
  const memory: CircuitMemory = {
    ...snapshot.memory,
    state: standing,
    standing,
    openCount: standing === 'closed' ? 0 : 1,
    openFor,
    openLeft: standing === 'open' ? openFor : 0,
    window: rows,
  };
  return circuitBreaker({ ...options, initialState: { ...snapshot, memory } });
}

function standingOf({ closed, halfOpen, lastTimerAt }: BreakerState, resetTimeout: number): Standing {
  if (closed !== false) return 'closed';
  const over = lastTimerAt !== undefined && wallTime(systemClock) - lastTimerAt > resetTimeout;
  return halfOpen === true || over ? 'half-open' : 'open';
}

/** The parts of its window, newest first: a Status has them all, what one said of itself is their sum. */
function partsOf(status: object): readonly Counts[] {
  const { window } = status as { readonly window?: unknown };
  return Array.isArray(window) ? (window as Counts[]) : [status];
}

/** The same as a row of a native window. Calls that were refused are in neither count. */
function rowOf(part: Counts, age: number, owner: string): readonly number[] {
  const { successes = 0, failures = 0, latencyTimes } = Object(part) as Counts;
  for (const [name, count] of Object.entries({ successes, failures }))
    if (!Number.isSafeInteger(count) || (count as number) < 0)
      throw new OptionsError([{ path: `${owner}.status.${name}`, expected: 'a whole number of at least 0', got: show(count) }]);
  const calls = (successes as number) + (failures as number);
  const times = Array.isArray(latencyTimes) ? (latencyTimes as unknown[]) : [];
  const ms = times.reduce<number>((sum, time) => sum + (typeof time === 'number' && time >= 0 ? time : 0), 0);
  return [age, calls, failures as number, 0, 0, 0, Number.isFinite(ms) ? ms : 0];
}
