/** What the options of p-timeout are. */

import { type CommonSettings, type PolicyOptions, commonFields } from '../../core/mode.ts';
import { type Field, type Fields, field, fn } from '../../core/options.ts';
import { type Strangers, readAmongStrangers } from '../strangers.ts';

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

const limit = 'milliseconds, a number of ms';

/** What p-timeout takes for one promise, a pipeline takes for each call; and names that other packages have for the limit. */
const strangers: Strangers = {
  signal: 'nothing: each call has its own, as in execute(work, { signal })',
  after: limit,
  ms: limit,
  timeout: limit,
};

/** Reads them; `fields` if fewer are allowed than there are. @throws OptionsError */
export function readLimitOptions(owner: string, options: unknown, fields: Fields<LimitSettings> = pTimeoutFields): Readonly<LimitSettings> {
  return readAmongStrangers(owner, fields, options, strangers);
}

/** Whether something is answered in place of the work. */
export function answers({ fallback, message }: LimitSettings): boolean {
  return fallback !== undefined || message === false;
}
