import type { CircuitParts } from './circuit-reading.ts';
import type { CircuitMemory } from './circuit-state.ts';

/** What this circuit must know to go on; its last failure in words. */
export function remember(circuit: CircuitParts, lastFailure: string | undefined, now: number): CircuitMemory {
  const { state, standing, openings, health } = circuit;
  const left = standing === 'open' ? Math.max(0, openings.until - now) : 0;
  return {
    state,
    standing,
    why: circuit.isolations.reason,
    openCount: openings.count,
    openFor: openings.ms === Infinity ? undefined : openings.ms,
    openLeft: left === Infinity ? undefined : left,
    age: Math.max(0, now - circuit.since),
    openedAgo: Math.max(0, now - openings.at),
    closedAgo: Math.max(0, now - circuit.closedAt),
    ramping: circuit.ramping,
    consecutiveFailures: health.failuresInRow,
    consecutiveSuccesses: health.successesInRow,
    lastFailure,
    window: health.window.save(now),
  };
}
