/** The native policies that options of p-timeout come to. */

import { type Fields, field } from '../../core/options.ts';
import { type Fallback, fallback } from '../../policies/fallback.ts';
import { type RacingTimeout, timeout } from '../../policies/timeout.ts';
import { type LimitOptions, type LimitSettings, pTimeoutFields, readLimitOptions } from './options.ts';
import { effective } from './time-limit.ts';

/** The policies that {@link fromPTimeoutOptions} makes of these options, outermost first. */
export type NativeTimeout<Given = object> = Given extends { readonly fallback: () => infer Answer }
  ? [Fallback<unknown, Awaited<Answer>>, RacingTimeout]
  : Given extends { readonly message: false }
    ? [Fallback<unknown, undefined>, RacingTimeout]
    : 'fallback' extends keyof Given
      ? [RacingTimeout] | [Fallback<unknown, unknown>, RacingTimeout]
      : [RacingTimeout];

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
  const { name, mode, milliseconds, message, fallback: find } = readLimitOptions('fromPTimeoutOptions', options, fieldsFor(options));
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

/** The option table, but for what has no native equal. */
const nativeFields: Fields<LimitSettings> = {
  ...pTimeoutFields,
  customTimers: field(
    'nothing: native policies take their time from the pipeline, pipeline([...], { clock }); or keep pTimeoutPolicy()',
    () => undefined,
  ).optional(),
};

/** With a fallback a message says nothing. */
const throwingFields: Fields<LimitSettings> = {
  ...nativeFields,
  message: field(
    "false, or nothing: native timeouts throw a TimeoutError that is known by its code, 'ERR_TIMEOUT'; or keep pTimeoutPolicy() with this one",
    (value) => (value === false ? false : undefined),
  ).optional(),
};

function fieldsFor(options: unknown): Fields<LimitSettings> {
  return (Object(options) as Partial<LimitSettings>).fallback === undefined ? throwingFields : nativeFields;
}
