import type { CircuitReading, CircuitSettings, CircuitState, Standing } from './circuit-state.ts';
import { type Health, leastCalls } from './health.ts';
import type { Isolations } from './isolations.ts';
import type { Openings } from './openings.ts';
import type { ProbeRound } from './probes.ts';

/** What a circuit is made of, for those who read it. */
export interface CircuitParts {
  readonly state: CircuitState;
  readonly standing: Standing;
  readonly settings: CircuitSettings;
  readonly health: Health;
  readonly openings: Openings;
  readonly isolations: Isolations;
  readonly round: ProbeRound | undefined;
  readonly since: number;
  readonly closedAt: number;
  readonly rejected: number;
  readonly late: number;
  readonly ramping: boolean;
  /** Share of the calls that is let in. */
  share(now: number): number;
  /** Milliseconds until an open circuit may be tried. */
  remaining(now: number): number;
  /** Openings in a row, if there were one more now. */
  nextCount(now: number): number;
}

const noProbes = { admitted: 0, succeeded: 0, failed: 0, inFlight: 0 };

/** The numbers of a circuit at `now`, as they stand. */
export function readingOf(circuit: CircuitParts, now: number): CircuitReading {
  const { window, failuresInRow, successesInRow } = circuit.health;
  window.expire(now);
  const { calls, failures, slow, slowFailures, ignored } = circuit.round ?? window;
  const { admitted, succeeded, failed, inFlight } = circuit.round ?? noProbes;
  const remaining = circuit.remaining(now);
  const overdue = circuit.health.inFlight?.overdue ?? 0;
  const seen = calls + overdue;
  const share = circuit.share(now);
  const needed = leastCalls(circuit.settings.minCalls, share);
  return {
    state: circuit.state,
    since: circuit.since,
    openCount: circuit.nextCount(now) - 1,
    remaining: remaining === Infinity ? undefined : remaining,
    ramp: circuit.ramping ? share : undefined,
    calls,
    successes: calls - failures,
    failures,
    slow,
    slowFailures,
    slowInFlight: overdue,
    ignored,
    rejected: circuit.rejected,
    late: circuit.late,
    failureRate: calls < needed ? undefined : failures / calls,
    slowRate: seen < needed ? undefined : (slow + overdue) / seen,
    badRate: seen < needed ? undefined : (failures + slow - slowFailures + overdue) / seen,
    averageMs: window.calls === 0 ? undefined : window.totalMs / window.calls,
    consecutiveFailures: failuresInRow,
    consecutiveSuccesses: successesInRow,
    probes: { admitted, succeeded, failed, inFlight },
  };
}
