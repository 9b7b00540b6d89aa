/** How p-retry decides, for a native retry. */

import type { Call } from '../../core/call.ts';
import { RejectedError } from '../../core/errors.ts';
import type { Settled } from '../../core/outcome.ts';
import type { RetryOptions } from '../../policies/retry.ts';
import { isAbortError, isWorthIt } from './errors.ts';
import { type PRetryContext, type RepeatSettings, longestWait, plannedWait } from './options.ts';

type When = NonNullable<RetryOptions['when']>;
type DelayFor = NonNullable<RetryOptions['delayFor']>;

/** Whether to try again: `when` of a native retry. */
export function decisionOf(settings: RepeatSettings): When {
  const { onFailedAttempt, shouldRetry } = settings;
  const plain = onFailedAttempt === undefined && shouldRetry === undefined;
  return (outcome, { call, attempt }) => {
    if (outcome.ok || outcome.error instanceof RejectedError || isAbortError(outcome.error)) return false;
    const error = asError(outcome.error);
    return plain ? isWorthIt(error) : asked(settings, error, call, attempt);
  };
}

async function asked(settings: RepeatSettings, error: Error, call: Call, attempt: number): Promise<boolean> {
  const { retries, onFailedAttempt, shouldRetry } = settings;
  const context: PRetryContext = Object.freeze({
    error,
    attemptNumber: attempt,
    retriesLeft: Math.max(0, retries - (attempt - 1)),
    retriesConsumed: attempt - 1,
  });
  await onFailedAttempt?.(context, call);
  if (!isWorthIt(error)) return false;
  // The retry itself knows that there are none left, or no time.
  if (context.retriesLeft === 0 || timeLeft(settings, call) <= 0) return true;
  return shouldRetry === undefined || Boolean(await shouldRetry(context, call));
}

/** p-retry puts a TypeError in the place of what is no Error. */
function asError(error: unknown): Error {
  return error instanceof Error ? error : new TypeError(`expected an Error to be thrown, got ${typeof error}`);
}

/** The wait before the next attempt, where no schedule of the native retry is the same: `delayFor`. */
export function waitsOf(settings: RepeatSettings): DelayFor {
  const { randomize } = settings;
  return (_outcome: Settled<unknown>, { call, attempt }) => {
    const left = timeLeft(settings, call);
    if (left <= 0) return false;
    const planned = randomize ? randomWait(settings, attempt - 1, call.scope.random()) : plannedWait(settings, attempt - 1);
    return Math.min(planned, left);
  };
}

/** What is left of `maxRetryTime`, ms. */
function timeLeft({ maxRetryTime }: RepeatSettings, call: Call): number {
  return maxRetryTime === Infinity ? Infinity : call.begun + maxRetryTime - call.scope.clock.now();
}

function randomWait(settings: RepeatSettings, consumed: number, u: number): number {
  const { minTimeout, factor } = settings;
  if (minTimeout === 0) return 0;
  return Math.min(Math.round((1 + u) * minTimeout * (factor || 1) ** consumed), longestWait(settings));
}
