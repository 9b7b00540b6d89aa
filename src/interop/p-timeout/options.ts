/** What the options of p-timeout are. */

import { OptionsError } from '../../core/errors.ts';
import { type CommonSettings, type PolicyOptions, commonFields } from '../../core/mode.ts';
import { type Field, type Fields, type Rule, field, fn, readOptions, show } from '../../core/options.ts';

/** What p-timeout takes its timers from: the two functions that every runtime has. */
export interface TimersLike {
  readonly setTimeout: (run: () => void, ms: number) => unknown;
  readonly clearTimeout: (timer: never) => unknown;
}

/** Options of p-timeout, by its names. `Answer` is what `fallback` may answer with. */
export interface LimitOptions<Answer = unknown> extends PolicyOptions {
  /** How long what lies inside may take, ms. `Infinity`, and whatever is more than a timer can hold (`2 ** 31 - 1`), is no limit. Required. */
  readonly milliseconds: number;
  /** Finds an answer once the time is up; the answer is marked as degraded, and what it throws is thrown. @defaultValue none */
  readonly fallback?: (() => Answer | PromiseLike<Answer>) | undefined;
  /**
   * What is thrown when the time is up: a `TimeoutError` with this message, or this very error; `false`: nothing, the answer is `undefined` and marked as degraded.
   * @defaultValue a `TimeoutError` that names the pipeline
   */
  readonly message?: string | Error | false | undefined;
  /** Timers to use in place of the pipeline's clock. @defaultValue the clock of the pipeline */
  readonly customTimers?: TimersLike | undefined;
}

/** Options as read. */
export interface LimitSettings extends CommonSettings {
  readonly milliseconds: number;
  readonly fallback: (() => unknown) | undefined;
  readonly message: string | Error | false | undefined;
  readonly customTimers: TimersLike | undefined;
}

const timers: Field<TimersLike> = field('an object with setTimeout and clearTimeout', (value) => {
  const given = Object(value) as Partial<TimersLike>;
  return typeof given.setTimeout === 'function' && typeof given.clearTimeout === 'function' ? (value as TimersLike) : undefined;
});

/** The option table. */
export const pTimeoutFields: Fields<LimitSettings> = {
  milliseconds: field('a number of ms above 0, or Infinity', (value) => (typeof value === 'number' && value > 0 ? value : undefined)),
  fallback: fn<() => unknown>('() => value').optional(),
  message: field<string | Error | false>('a text, an Error, or false', (value) =>
    typeof value === 'string' || value instanceof Error || value === false ? value : undefined,
  ).optional(),
  customTimers: timers.optional(),
  ...commonFields,
};

/** Reads them; what p-timeout takes for one promise, a pipeline takes for each call. @throws OptionsError */
export function readLimitOptions(owner: string, options: unknown, ...rules: readonly Rule<LimitSettings>[]): Readonly<LimitSettings> {
  const { signal, ...others } = Object(options) as Readonly<Record<string, unknown>>;
  if (signal !== undefined) {
    const expected = 'nothing: each call has its own, as in execute(work, { signal })';
    throw new OptionsError([{ path: `${owner}.signal`, expected, got: show(signal) }]);
  }
  const plain = typeof options === 'object' && options !== null && !Array.isArray(options);
  return readOptions(owner, pTimeoutFields, plain ? others : options, ...rules);
}

/** Whether something is answered in place of the work. */
export function answers({ fallback, message }: LimitSettings): boolean {
  return fallback !== undefined || message === false;
}
