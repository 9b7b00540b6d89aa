/** The native policies that options of p-timeout come to. */

import type { OptionProblem } from '../../core/errors.ts';
import { type Fallback, fallback } from '../../policies/fallback.ts';
import { type RacingTimeout, timeout } from '../../policies/timeout.ts';
import { type LimitOptions, type LimitSettings, readLimitOptions } from './options.ts';
import { effective } from './time-limit.ts';

/** The policies that {@link fromPTimeoutOptions} makes of these options, outermost first. */
export type NativeTimeout<Given = object> = Given extends { readonly fallback: () => infer Answer }
  ? [Fallback<unknown, Awaited<Answer>>, RacingTimeout]
  : Given extends { readonly message: false }
    ? [Fallback<unknown, undefined>, RacingTimeout]
    : 'fallback' extends keyof Given
      ? [RacingTimeout] | [Fallback<unknown, unknown>, RacingTimeout]
      : [RacingTimeout];

const owner = 'fromPTimeoutOptions';

/**
 * The native policies for the same options, to be spread into a pipeline: a timeout, and around it a fallback for timeouts if there is a `fallback` or `message` is `false`. They
 * decide as p-timeout does; the guide, come-from-p-timeout, lists what differs.
 *
 * @throws OptionsError if an option is wrong, or there is nothing native that does the same: `customTimers`, a `message` of one's own
 *
 * @example
 * ```ts
 * import { pipeline } from 'breakwater';
 * import { fromPTimeoutOptions } from 'breakwater/p-timeout';
 *
 * const quick = pipeline([...fromPTimeoutOptions({ milliseconds: 10, fallback: () => 'too late' })]);
 * console.log(await quick.execute(() => new Promise<string>(() => {}))); // => 'too late'
 * ```
 */
export function fromPTimeoutOptions<const Given extends LimitOptions>(options: Given): NativeTimeout<Given> {
  const { name, mode, milliseconds, message, fallback: find } = readLimitOptions(owner, options, timers, words);
  const limit = timeout({ after: effective(milliseconds), mode, ...(name !== undefined && { name }) });
  // A value would answer for a deadline further out as well, a function does not.
  const answer = find ?? (message === false ? nothing : undefined);
  if (answer !== undefined) {
    const named = name === undefined ? {} : { name: `${name}-fallback` };
    return [fallback({ run: () => answer(), when: 'timeout', maxConcurrent: Infinity, mode, ...named }), limit] as never;
  }
  return [limit] as never;
}

function nothing(): undefined {
  return undefined;
}

function timers({ customTimers }: LimitSettings): OptionProblem | undefined {
  if (customTimers === undefined) return undefined;
  const expected = 'nothing: native policies take their time from the pipeline, pipeline([...], { clock }); or keep pTimeoutPolicy()';
  return { path: 'customTimers', expected, got: 'timers' };
}

function words({ message, fallback: find }: LimitSettings): OptionProblem | undefined {
  if (message === undefined || message === false || find !== undefined) return undefined;
  const expected =
    "false, or nothing: native timeouts throw a TimeoutError that is known by its code, 'ERR_TIMEOUT'; or keep pTimeoutPolicy() with this one";
  return { path: 'message', expected, got: typeof message === 'string' ? JSON.stringify(message) : 'an Error' };
}
