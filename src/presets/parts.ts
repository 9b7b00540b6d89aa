/** Parts of presets: each is a policy that can be set up otherwise or left out. */

import type { PolicyOptions } from '../core/mode.ts';
import { type Field, type Fields, field } from '../core/options.ts';
import type { GatePolicy } from '../core/policy.ts';
import { type Bulkhead, type BulkheadOptions, bulkhead } from '../policies/bulkhead.ts';
import { type CircuitBreaker, type CircuitBreakerOptions, circuitBreaker } from '../policies/circuit-breaker.ts';
import { type PerKey, type PerKeyOptions, perKey } from '../policies/per-key.ts';
import { type Timeout, type TimeoutOptions, timeout } from '../policies/timeout.ts';
import { type TokenBucket, type TokenBucketOptions, tokenBucket } from '../policies/token-bucket.ts';

/** What bounds whole calls to a service, outermost. */
export interface OuterPartOptions {
  /** Bounds the whole call. @defaultValue `{ after: '30s' }` */
  readonly timeout?: TimeoutOptions | false;
  /** Bounds how many calls begin. @defaultValue `false` */
  readonly rateLimit?: TokenBucketOptions | false;
}

/** What bounds each attempt, innermost. */
export interface InnerPartOptions {
  /** A circuit for each `call.key`. @defaultValue `{ window: '30s' }` */
  readonly circuitBreaker?: CircuitBreakerOptions | false;
  /** Slots for each `call.key`. @defaultValue `{ maxConcurrent: 100 }` */
  readonly bulkhead?: Partial<BulkheadOptions> | false;
  /** Bounds one attempt. @defaultValue `{ after: '10s' }` */
  readonly attemptTimeout?: TimeoutOptions | false;
}

/** Options as read: each part has some, or is switched off. */
export type PartSettings<Options> = { readonly [Name in keyof Options]-?: NonNullable<Options[Name]> | false };

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

/** Their policies, as places in a tuple. */
export type OuterParts<Given> = [...Part<Given, 'timeout', Timeout>, ...Extra<Given, 'rateLimit', TokenBucket>];

/** Their policies, as places in a tuple. */
export type InnerParts<Given> = [
  ...Part<Given, 'circuitBreaker', PerKey<CircuitBreaker>>,
  ...Part<Given, 'bulkhead', PerKey<Bulkhead>>,
  ...Part<Given, 'attemptTimeout', Timeout>,
];

export const outerFields: Fields<PartSettings<OuterPartOptions>> = {
  timeout: partField<TimeoutOptions>().or({}),
  rateLimit: partField<TokenBucketOptions>().or(false),
};

export const innerFields: Fields<PartSettings<InnerPartOptions>> = {
  circuitBreaker: partField<CircuitBreakerOptions>().or({}),
  bulkhead: partField<Partial<BulkheadOptions>>().or({}),
  attemptTimeout: partField<TimeoutOptions>().or({}),
};

/** What bounds whole calls. */
export function outer(given: PartSettings<OuterPartOptions>): (Timeout | TokenBucket)[] {
  return [
    ...part(given.timeout, (own) => timeout({ after: '30s', name: 'total-timeout', ...own })),
    ...part(given.rateLimit, (own) => tokenBucket({ name: 'rate-limit', ...own })),
  ];
}

/** What bounds each attempt. */
export function inner(given: PartSettings<InnerPartOptions>): (PerKey<CircuitBreaker> | PerKey<Bulkhead> | Timeout)[] {
  return [
    ...part(
      given.circuitBreaker,
      keyed('circuit-breaker', (own: CircuitBreakerOptions) => circuitBreaker({ window: '30s', ...own })),
    ),
    ...part(
      given.bulkhead,
      keyed('bulkhead', (own: Partial<BulkheadOptions>) => bulkhead({ maxConcurrent: 100, ...own })),
    ),
    ...part(given.attemptTimeout, (own) => timeout({ after: '10s', name: 'attempt-timeout', ...own })),
  ];
}

/** A policy for each key: what it is called, and whether it acts, is said of all of them together. */
export function keyed<Options extends PolicyOptions, Child extends GatePolicy>(
  name: string,
  make: (own: Options) => Child,
  bounds: Pick<PerKeyOptions, 'max'> = {},
): (given: Options) => PerKey<Child> {
  return ({ name: own = name, mode = 'enforce', ...others }) => perKey(() => make(others as Options), { name: own, mode, ...bounds });
}
