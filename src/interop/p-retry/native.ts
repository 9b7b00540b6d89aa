/** The native policies that options of p-retry come to. */

import { type Fields, field } from '../../core/options.ts';
import { type BackoffOptions, type Retry, type RetryOptions, retry } from '../../policies/retry.ts';
import { type UnwrappedAborts, unwrappedAborts } from './errors.ts';
import { decisionOf, waitsOf } from './decision.ts';
import { type RepeatOptions, type RepeatSettings, longestWait, pRetryFields, plannedWait, readRepeatOptions } from './options.ts';

/** The policies that {@link fromPRetryOptions} makes, outermost first: what takes the error out of an AbortError, and the retry. */
export type NativeRetry = [UnwrappedAborts, Retry<unknown>];

/** The option table, but for what has no native equal. */
const nativeFields: Fields<RepeatSettings> = {
  ...pRetryFields,
  unref: field(
    'false: a native wait that a caller waits for keeps the process alive; abort the call to end it, or keep pRetryPolicy()',
    (value) => (value === false ? false : undefined),
  ).or(false),
  shouldConsumeRetry: field(
    'nothing: native retries count every attempt; say in shouldRetry which failures are worth one, or keep pRetryPolicy() with this one',
    () => undefined,
  ).optional(),
};

/**
 * The native policies for the same options, to be spread into a pipeline: a retry with the same attempts, waits and decisions, no budget and no regard for what the service asks
 * for, and around it one that takes the error out of p-retry's AbortErrors. The guide, come-from-p-retry, lists what differs, and what a native retry does better when let.
 *
 * @throws OptionsError if an option is wrong, or there is nothing native that does the same: `shouldConsumeRetry`, `unref`
 *
 * @example
 * ```ts
 * import { pipeline } from 'breakwater';
 * import { fromPRetryOptions } from 'breakwater/p-retry';
 *
 * const steady = pipeline([...fromPRetryOptions({ retries: 3, minTimeout: 1 })]);
 * const attempts = await steady.execute(({ attempt }) => {
 *   if (attempt < 3) throw new Error('not yet');
 *   return attempt;
 * });
 * console.log(attempts); // => 3
 * ```
 */
export function fromPRetryOptions(options: RepeatOptions = {}): NativeRetry {
  const settings = readRepeatOptions('fromPRetryOptions', options, nativeFields);
  const { name, mode, retries, maxRetryTime, randomize } = settings;
  const exact = maxRetryTime !== Infinity || (randomize && !isGrowth(settings.factor));
  const native: RetryOptions = {
    maxAttempts: retries + 1,
    backoff: scheduleOf(settings),
    when: decisionOf(settings),
    ...(exact && { delayFor: waitsOf(settings) }),
    // The waits keep to it: one that ends with it is too long for the retry by the time that deciding took.
    maxDuration: Infinity,
    retryAfter: exact ? { honour: false, max: Infinity } : false,
    deadlineAware: false,
    idempotent: true,
    budget: false,
    mode,
    ...(name !== undefined && { name }),
  };
  return [unwrappedAborts({ mode, ...(name !== undefined && { name: `${name}-aborts` }) }), retry(native)];
}

/** What the factor of a native schedule may be. */
function isGrowth(factor: number): boolean {
  return factor === 0 || (factor >= 1 && factor <= 1000);
}

/** The waits as a schedule of a native retry, in numbers where those come to whole ms, as p-retry's do. */
function scheduleOf(settings: RepeatSettings): BackoffOptions | ((retry: number) => number) {
  const { minTimeout, factor, randomize } = settings;
  const maxDelay = longestWait(settings);
  const growth = { kind: 'exponential', factor: factor || 1, maxDelay } as const;
  if (!isGrowth(factor)) return (number) => plannedWait(settings, number - 1);
  // Half above and below the middle between once and twice as long.
  if (randomize) return { ...growth, delay: Math.min(1.5 * minTimeout, maxDelay), jitter: 'proportional', spread: 1 / 3 };
  if (Number.isInteger(minTimeout) && Number.isInteger(factor)) return { ...growth, delay: Math.min(minTimeout, maxDelay), jitter: 'none' };
  return (number) => plannedWait(settings, number - 1);
}
