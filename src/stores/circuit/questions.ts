import type { CircuitReading } from '../../algorithms/circuit-state.ts';
import { show } from '../../core/options.ts';

/** How long a circuit stays open, ms, as its user says it. */
export type OpenFor = (openCount: number, circuit: CircuitReading, failure: unknown) => number;

/** Whether a circuit opens, as its user says it. */
export type TripTest = (circuit: CircuitReading) => boolean;

/** How long a circuit stays open if the function that should say so fails, ms. */
const substitute = 5000;

type Report = (callback: string, error: unknown) => void;

/** The same function, made safe: if it fails that is reported, and the circuit stays open for 5 s. */
export function safeOpenFor(openFor: OpenFor, report: Report): OpenFor {
  return (...given) => {
    try {
      const ms: unknown = openFor(...given);
      if (typeof ms === 'number' && ms >= 0) return ms;
      throw new RangeError(`circuit-breaker.openFor: expected a function that answers with ms, got ${show(ms)}`);
    } catch (error) {
      report('openFor', error);
      return substitute;
    }
  };
}

/** The same function, made safe: if it fails that is reported, and the circuit does not open for it. */
export function safeTripTest(tripWhen: TripTest, report: Report): TripTest {
  return (circuit) => {
    try {
      const trips: unknown = tripWhen(circuit);
      if (typeof trips === 'boolean') return trips;
      throw new TypeError(`circuit-breaker.tripWhen: expected true or false as its answer, got ${show(trips)}`);
    } catch (error) {
      report('tripWhen', error);
      return false;
    }
  };
}
