/** What the options of p-retry are. */

import { longestBackoff } from '../../algorithms/backoff.ts';
import type { Call } from '../../core/call.ts';
import { LONGEST_TIMER } from '../../core/clock.ts';
import { type CommonSettings, type PolicyOptions, commonFields } from '../../core/mode.ts';
import { type Field, type Fields, count, field, flag, fn, numeric } from '../../core/options.ts';
import { type Strangers, readAmongStrangers } from '../strangers.ts';

/** What p-retry tells the functions among its options. */
export interface PRetryContext {
  /** What was thrown; in place of what is no Error, a `TypeError` that says so. */
  readonly error: Error;
  /** Attempts made so far, from 1. */
  readonly attemptNumber: number;
  readonly retriesLeft: number;
  /** Retries made so far, but for those that `shouldConsumeRetry` let go free. */
  readonly retriesConsumed: number;
  /** The wait that would follow, ms. From p-retry 9 on. */
  readonly retryDelay?: number;
}

/** Functions may also be written for the context of the package's own types. */
type Asked<Answer> = { asked(context: PRetryContext, call: Call): Answer }['asked'];

/** Options of p-retry, by its names and with its defaults. */
export interface RepeatOptions extends PolicyOptions {
  /** Attempts beyond the first; `Infinity` is allowed. @defaultValue `10` */
  readonly retries?: number | undefined;
  /** What each wait is multiplied by to get the next; `0` stands for `1`. @defaultValue `2` */
  readonly factor?: number | undefined;
  /** The wait before the first retry, ms. @defaultValue `1000` */
  readonly minTimeout?: number | undefined;
  /** No wait is longer, ms; nor longer than a timer can hold (`2 ** 31 - 1`). @defaultValue `Infinity` */
  readonly maxTimeout?: number | undefined;
  /** No retry follows a failure that comes later than this after the beginning, ms; the last wait is cut to what is left. @defaultValue `Infinity` */
  readonly maxRetryTime?: number | undefined;
  /** Multiplies each wait by a chance between 1 and 2. @defaultValue `false` */
  readonly randomize?: boolean | undefined;
  /** Lets the process end during a wait. @defaultValue `false` */
  readonly unref?: boolean | undefined;
  /** Called after each failed attempt, the last included, and waited for; what it throws ends the call. @defaultValue none */
  readonly onFailedAttempt?: Asked<unknown> | undefined;
  /** Whether to try again; what it throws ends the call. @defaultValue after every Error but TypeErrors that are none of the network's */
  readonly shouldRetry?: Asked<boolean | PromiseLike<boolean>> | undefined;
  /** Whether this failure counts among the `retries`; if not, the next attempt follows without a wait. @defaultValue each does */
  readonly shouldConsumeRetry?: Asked<unknown> | undefined;
}

/** Options as read. */
export interface RepeatSettings extends CommonSettings {
  readonly retries: number;
  readonly factor: number;
  readonly minTimeout: number;
  readonly maxTimeout: number;
  readonly maxRetryTime: number;
  readonly randomize: boolean;
  readonly unref: boolean;
  readonly onFailedAttempt: Asked<unknown> | undefined;
  readonly shouldRetry: Asked<unknown> | undefined;
  readonly shouldConsumeRetry: Asked<unknown> | undefined;
}

const time: Field<number> = field('a number of ms of at least 0, or Infinity', (value) =>
  typeof value === 'number' && value >= 0 ? value : undefined,
);

/** The option table. */
export const pRetryFields: Fields<RepeatSettings> = {
  retries: count({ infinite: true }).or(10),
  factor: numeric({ min: 0 }).or(2),
  minTimeout: numeric({ min: 0 }).or(1000),
  maxTimeout: time.or(Infinity),
  maxRetryTime: time.or(Infinity),
  randomize: flag().or(false),
  unref: flag().or(false),
  onFailedAttempt: fn<Asked<unknown>>('({ error, attemptNumber, retriesLeft, retriesConsumed }, call) => void').optional(),
  shouldRetry: fn<Asked<unknown>>('({ error, attemptNumber, retriesLeft, retriesConsumed }, call) => boolean').optional(),
  shouldConsumeRetry: fn<Asked<unknown>>('({ error, attemptNumber, retriesLeft, retriesConsumed }, call) => boolean').optional(),
  ...commonFields,
};

const counts = 'p-retry counts the retries after the first call';

/** What p-retry takes for one run, a pipeline takes for each call; and names that other packages have for attempts. */
const strangers: Strangers = {
  signal: 'nothing: each call has its own, as in execute(work, { signal })',
  forever: 'retries: Infinity in its place',
  maxAttempts: `retries, which is one less: ${counts}`,
  attempts: `retries, which is one less: ${counts}`,
  maxRetries: `retries: ${counts}`,
  retry: `retries: ${counts}`,
};

/** Reads them; `fields` if fewer are allowed than there are. @throws OptionsError */
export function readRepeatOptions(
  owner: string,
  options: unknown,
  fields: Fields<RepeatSettings> = pRetryFields,
): Readonly<RepeatSettings> {
  return readAmongStrangers(owner, fields, options, strangers);
}

/** The longest wait, ms: p-retry 7 takes what a timer cannot hold for 1 ms. */
export function longestWait({ maxTimeout }: RepeatSettings): number {
  return Math.min(maxTimeout, LONGEST_TIMER);
}

/** The wait after so many retries, ms, without chance. */
export function plannedWait(settings: RepeatSettings, consumed: number): number {
  const { minTimeout, factor } = settings;
  const planned = minTimeout === 0 ? 0 : Math.round(minTimeout * (factor || 1) ** consumed);
  return Math.min(planned, longestWait(settings));
}

/** An upper bound for the sum of all waits, ms. */
export function longestWaits(settings: RepeatSettings): number {
  const { minTimeout, factor, randomize, retries, maxRetryTime } = settings;
  const sum = longestBackoff(
    {
      kind: 'exponential',
      delay: randomize ? 2 * minTimeout : minTimeout,
      delays: undefined,
      factor: factor || 1,
      maxDelay: longestWait(settings),
      jitter: 'none',
      spread: 0,
      firstRetryFast: false,
    },
    retries,
  );
  return Math.min(sum, maxRetryTime);
}
