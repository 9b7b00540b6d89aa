/** What the options of opossum accept. */

import type { EventEmitter } from 'node:events';
import { LONGEST_TIMER } from '../../core/clock.ts';
import { OptionsError } from '../../core/errors.ts';
import { type CommonSettings, commonFields } from '../../core/mode.ts';
import {
  type Field,
  type Fields,
  type Rule,
  count,
  duration,
  field,
  flag,
  fn,
  group,
  numeric,
  parseDuration,
  readOptions,
  show,
  text,
} from '../../core/options.ts';
import { checkOptions } from './mistaken.ts';
import type { AbortControllerLike, BreakerOptions, BreakerState, CacheTransport, CoalesceReset } from './options.ts';

/** Options as read: durations in ms. */
export interface OpossumSettings extends CommonSettings {
  /** `0` and `false` are both none. */
  readonly timeout: number | false;
  readonly resetTimeout: number;
  readonly errorThresholdPercentage: number;
  readonly rollingCountTimeout: number;
  readonly rollingCountBuckets: number;
  readonly rollingPercentilesEnabled: boolean;
  readonly capacity: number;
  readonly volumeThreshold: number;
  readonly allowWarmUp: boolean;
  readonly enabled: boolean;
  readonly errorFilter: BreakerOptions['errorFilter'];
  readonly group: string | undefined;
  readonly cache: boolean;
  readonly cacheTTL: number;
  readonly cacheSize: number;
  readonly cacheGetKey: BreakerOptions['cacheGetKey'];
  readonly cacheTransport: CacheTransport | undefined;
  readonly coalesce: boolean;
  /** As long as `timeout`, if it is not given. */
  readonly coalesceTTL: number | undefined;
  readonly coalesceSize: number;
  readonly coalesceResetOn: readonly CoalesceReset[] | undefined;
  readonly abortController: AbortControllerLike | undefined;
  readonly autoRenewAbortController: boolean;
  readonly enableSnapshots: boolean;
  readonly rotateBucketController: EventEmitter | undefined;
  readonly status: object | undefined;
  readonly state: BreakerState | undefined;
}

/** A time that a timer of the process can take; beyond it they fire at once. */
function span(min = 0): Field<number> {
  return field(`${duration({ min }).expected}, up to ${LONGEST_TIMER} ms`, (value) => {
    const ms = parseDuration(value);
    return ms === undefined || ms < min || ms > LONGEST_TIMER ? undefined : ms;
  });
}

const limit: Field<number | false> = field<number | false>(`${span().expected}, or false`, (value) => {
  const ms = value === false ? value : parseDuration(value);
  return typeof ms === 'number' && ms > LONGEST_TIMER ? undefined : ms;
});

/** An object that has these methods. */
function having<T extends object>(what: string, ...methods: readonly (keyof T & string)[]): Field<T> {
  return field(what, (value) => {
    const found = Object(value) as Record<string, unknown>;
    return methods.every((method) => typeof found[method] === 'function') ? (value as T) : undefined;
  });
}

const resets: readonly unknown[] = ['error', 'success', 'timeout'] satisfies readonly CoalesceReset[];

const resetOn: Field<readonly CoalesceReset[]> = field("an array of 'error', 'success', 'timeout'", (value) =>
  Array.isArray(value) && value.every((each) => resets.includes(each)) ? [...(value as CoalesceReset[])] : undefined,
);

const stateField: Field<BreakerState> = group<Required<{ [Name in keyof BreakerState]: BreakerState[Name] | undefined }>>({
  name: text().optional(),
  enabled: flag().optional(),
  closed: flag().optional(),
  open: flag().optional(),
  halfOpen: flag().optional(),
  warmUp: flag().optional(),
  shutdown: flag().optional(),
  lastTimerAt: numeric({ min: 0 }).optional(),
}) as Field<BreakerState>;

const object: Field<object> = field('an object', (value) => (typeof value === 'object' && value !== null ? value : undefined));

/** As many entries as a Map takes. */
const MOST = 2 ** 24 - 1;

/** The option table. */
export const opossumFields: Fields<OpossumSettings> = {
  timeout: limit.or(10_000),
  resetTimeout: span().or(30_000),
  errorThresholdPercentage: numeric({ min: 0, max: 100 }).or(50),
  rollingCountTimeout: span(1).or(10_000),
  rollingCountBuckets: count({ min: 1 }).or(10),
  rollingPercentilesEnabled: flag().or(true),
  capacity: count({ infinite: true }).or(Infinity),
  volumeThreshold: count().or(0),
  allowWarmUp: flag().or(false),
  enabled: flag().or(true),
  errorFilter: fn<NonNullable<BreakerOptions['errorFilter']>>('(error, call) => true or false').optional(),
  group: text().optional(),
  cache: flag().or(false),
  cacheTTL: duration().or(0),
  cacheSize: count({ min: 1 }).or(MOST),
  cacheGetKey: fn<NonNullable<BreakerOptions['cacheGetKey']>>('(call) => string or undefined').optional(),
  cacheTransport: having<CacheTransport>('an object with get, set and flush', 'get', 'set', 'flush').optional(),
  coalesce: flag().or(false),
  coalesceTTL: duration().optional(),
  coalesceSize: count({ min: 1 }).or(MOST),
  coalesceResetOn: resetOn.optional(),
  abortController: having<AbortControllerLike>('an AbortController', 'abort').optional(),
  autoRenewAbortController: flag().or(false),
  enableSnapshots: flag().or(true),
  rotateBucketController: having<EventEmitter>('an EventEmitter', 'on', 'removeListener', 'listenerCount').optional(),
  status: object.optional(),
  state: stateField.optional(),
  ...commonFields,
};

const rules: readonly Rule<OpossumSettings>[] = [
  ({ rollingCountTimeout, rollingCountBuckets }) =>
    rollingCountBuckets > rollingCountTimeout
      ? {
          path: 'rollingCountBuckets',
          expected: `at most one for each ms of rollingCountTimeout (${rollingCountTimeout})`,
          got: show(rollingCountBuckets),
        }
      : undefined,
];

/**
 * Reads options of opossum; `owner` is who asks, and `expected` what may stand there.
 *
 * @throws OptionsError if they are none, an option is wrong, or `maxFailures` is given
 */
export function readOpossumOptions(owner: string, expected: string, given: unknown): Readonly<OpossumSettings> {
  checkOptions(owner, expected, Object.keys(opossumFields), given);
  const { maxFailures } = Object(given) as { readonly maxFailures?: unknown };
  if (maxFailures !== undefined) {
    const instead = 'errorThresholdPercentage and volumeThreshold in its place: opossum takes no notice of maxFailures';
    throw new OptionsError([{ path: `${owner}.maxFailures`, expected: instead, got: show(maxFailures) }]);
  }
  return readOptions(owner, opossumFields, given, ...rules);
}
