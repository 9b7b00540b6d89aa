/** The native policies that options of opossum come to. */

import { type OptionProblem, OptionsError } from '../../core/errors.ts';
import type { FailureTest } from '../../core/judgement.ts';
import { show } from '../../core/options.ts';
import { type Bulkhead, bulkhead } from '../../policies/bulkhead.ts';
import type { CircuitBreaker, CircuitBreakerOptions } from '../../policies/circuit-breaker.ts';
import { type RacingTimeout, timeout } from '../../policies/timeout.ts';
import { type OpossumSettings, readOpossumOptions } from './fields.ts';
import { type NativeCircuitOptions, circuitOf } from './native-state.ts';
import type { BreakerOptions } from './options.ts';

/** A place in the tuple, or none. */
type Slots<Capacity> = [Capacity] extends [undefined] ? [] : undefined extends Capacity ? [] | [Bulkhead] : [Bulkhead];
type Limit<Time> = [Time] extends [false] ? [] : false extends Time ? [] | [RacingTimeout] : [RacingTimeout];

/** The policies that {@link fromOpossumOptions} makes of these options, outermost first. */
export type OpossumNative<Given = object> = [
  CircuitBreaker,
  ...(Given extends { readonly capacity?: infer Capacity } ? ('capacity' extends keyof Given ? Slots<Capacity> : []) : []),
  ...(Given extends { readonly timeout?: infer Time } ? ('timeout' extends keyof Given ? Limit<Time> : [RacingTimeout]) : [RacingTimeout]),
];

const owner = 'fromOpossumOptions';

/**
 * The native policies for the same options, to be spread into a pipeline: a circuit breaker, inside it a bulkhead if there is a `capacity`, and innermost a
 * timeout unless that is `false`. They decide as opossum does, but for its faults (see the guide, come-from-opossum). Results are successes and errors are failures, as
 * there, whatever they say of themselves; what `errorFilter` lets pass is a success.
 *
 * @throws OptionsError if an option is wrong, or there is nothing native that does the same: `cache`, `coalesce`, `abortController`, a `state` that is shut down
 *
 * @example
 * ```ts
 * import { pipeline } from 'breakwater';
 * import { fromOpossumOptions } from 'breakwater/opossum';
 *
 * const [breaker, limit] = fromOpossumOptions({ timeout: 3000, errorThresholdPercentage: 50, volumeThreshold: 2, resetTimeout: '30s' });
 * const users = pipeline([breaker, limit], { name: 'users' });
 * for (let i = 0; i < 2; i++) await users.executeOutcome(() => Promise.reject(new Error('down')));
 * console.log(breaker.state, limit.limit); // => 'open' 3000
 * ```
 */
export function fromOpossumOptions<const Given extends BreakerOptions = object>(options?: Given): OpossumNative<Given> {
  const settings = readOpossumOptions(owner, 'options', options);
  const [problem, ...more] = withoutEqual(settings);
  if (problem !== undefined) throw new OptionsError([problem, ...more]);
  const { capacity, timeout: limit } = settings;
  const named = naming(settings);
  // A state that was saved says itself whether the breaker was in force.
  const enabled = settings.state === undefined ? settings.enabled : settings.state.enabled !== false;
  const mode = enabled ? settings.mode : 'off';
  const bounded = options?.capacity !== undefined;
  return [
    circuitOf({ ...circuitOptions(settings), ...named(), mode }, settings, owner),
    ...(bounded ? [bulkhead({ maxConcurrent: Math.min(capacity, Number.MAX_SAFE_INTEGER), ...named('-capacity'), mode })] : []),
    ...(limit === false ? [] : [timeout({ after: limit === 0 ? Infinity : limit, ...named('-timeout'), mode })]),
  ] as unknown as OpossumNative<Given>;
}

/** What no native policy does, or does in another way. */
function withoutEqual({ cache, coalesce, abortController, autoRenewAbortController, state }: OpossumSettings): OptionProblem[] {
  const problems: OptionProblem[] = [];
  const none = (path: string, wrong: boolean, given: unknown, expected: string): void => {
    if (wrong) problems.push({ path: `${owner}.${path}`, expected, got: show(given) });
  };
  const answers = 'false, since no native policy does that yet: keep opossumBreaker() with these options for as long as you need it';
  const signals =
    'for each call, which aborts when its time is up (fetch(url, { signal: call.signal })); or keep opossumBreaker() with this one';
  none('cache', cache, cache, answers);
  none('coalesce', coalesce, coalesce, answers);
  none('abortController', abortController !== undefined, abortController, `nothing: there is a signal ${signals}`);
  none('autoRenewAbortController', autoRenewAbortController, true, `false: there is a new signal ${signals}`);
  none(
    'state.shutdown',
    state?.shutdown === true,
    true,
    'the state of a breaker that was not shut down; close() the pipeline to shut it down',
  );
  return problems;
}

/** Names for the policies: the breaker's own, with the group in front, and what the others are for behind it. */
function naming({ name, group }: OpossumSettings): (suffix?: string) => { readonly name?: string } {
  const whole = [group, name].filter((part) => part !== undefined).join('/');
  return (suffix = '') => (whole === '' ? {} : { name: `${whole}${suffix}` });
}

function circuitOptions(settings: OpossumSettings): NativeCircuitOptions {
  const { rollingCountTimeout, rollingCountBuckets: buckets, resetTimeout, volumeThreshold, allowWarmUp, timeout: limit, state } = settings;
  // A bucket of opossum is a whole number of ms long.
  const duration = Math.floor(rollingCountTimeout / buckets) * buckets;
  const warming = allowWarmUp || state?.warmUp === true;
  return {
    window: { duration, buckets },
    ...threshold(settings.errorThresholdPercentage),
    minCalls: Math.max(1, volumeThreshold),
    openFor: Math.max(1, resetTimeout),
    maxRetryAfter: 0,
    // The timeout ends a probe; where there is none, the lease of a native probe does.
    halfOpen: { calls: 1, concurrency: 1, ...(limit !== false && limit !== 0 && { probeTimeout: Infinity }) },
    ...(warming && { warmUp: rollingCountTimeout }),
    isFailure: failureTest(settings.errorFilter),
  };
}

/** Any failure at all is a rate above 0, and no rate is above 100 %: such a breaker opens by hand only. */
function threshold(percentage: number): Pick<CircuitBreakerOptions, 'failureRate' | 'comparison' | 'tripWhen'> {
  if (percentage === 100) return { tripWhen: () => false };
  return { failureRate: percentage === 0 ? Number.EPSILON : percentage / 100, comparison: 'above' };
}

function failureTest(errorFilter: OpossumSettings['errorFilter']): FailureTest<unknown> {
  return (outcome, call) => !outcome.ok && !(errorFilter?.(outcome.error, call) as boolean);
}
