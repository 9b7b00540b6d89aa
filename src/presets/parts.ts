/** Parts of presets: each is a policy that can be set up otherwise or left out. */

import { type Field, field } from '../core/options.ts';
import { type Bulkhead, type BulkheadOptions, bulkhead } from '../policies/bulkhead.ts';
import { type CircuitBreaker, type CircuitBreakerOptions, circuitBreaker } from '../policies/circuit-breaker.ts';
import { type PerKey, perKey } from '../policies/per-key.ts';
import { type Timeout, type TimeoutOptions, timeout } from '../policies/timeout.ts';

/** A part that is there unless it is switched off: a place in the tuple, or none. */
export type Part<Given, Name extends string, Policy> = Name extends keyof Given
  ? false extends Given[Name]
    ? [Given[Name]] extends [false]
      ? []
      : [] | [Policy]
    : [Policy]
  : [Policy];

/** A part that is there only if it is set up. */
export type Extra<Given, Name extends string, Policy> = Name extends keyof Given
  ? [Given[Name]] extends [false | undefined]
    ? []
    : [Extract<Given[Name], false | undefined>] extends [never]
      ? [Policy]
      : [] | [Policy]
  : [];

/** Options of a part, or `false` for no such part; the part itself says what is wrong with them. */
export function partField<Options extends object>(): Field<Options | false> {
  return field<Options | false>('an object with its options, or false', (value) =>
    value === false || (typeof value === 'object' && value !== null && !Array.isArray(value)) ? (value as Options | false) : undefined,
  );
}

/** The policy of a part, if there is to be one. */
export function part<Options extends object, Policy>(given: Options | false | undefined, make: (given: Options) => Policy): Policy[] {
  return given === false || given === undefined ? [] : [make(given)];
}

/** Bounds the whole call. */
export function total(given: TimeoutOptions): Timeout {
  return timeout({ after: '30s', name: 'total-timeout', ...given });
}

/** Bounds one attempt. */
export function attempt(given: TimeoutOptions): Timeout {
  return timeout({ after: '10s', name: 'attempt-timeout', ...given });
}

/** A circuit for each key. */
export function circuits(given: CircuitBreakerOptions): PerKey<CircuitBreaker> {
  const { name = 'circuit-breaker', mode = 'enforce', ...own } = given;
  return perKey(() => circuitBreaker({ window: '30s', ...own }), { name, mode });
}

/** Slots for each key. */
export function slots(given: Partial<BulkheadOptions>): PerKey<Bulkhead> {
  const { name = 'bulkhead', mode = 'enforce', ...own } = given;
  return perKey(() => bulkhead({ maxConcurrent: 100, ...own }), { name, mode });
}
