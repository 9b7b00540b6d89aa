import { OptionsError } from '../core/errors.ts';
import { type PolicyOptions, commonFields } from '../core/mode.ts';
import { type Duration, type Fields, count, duration, flag, numeric, readOptions } from '../core/options.ts';
import type { Settled } from '../core/outcome.ts';
import { type FixedWindow, fixedWindow } from '../policies/fixed-window.ts';
import type { PerKey } from '../policies/per-key.ts';
import { keyed } from './parts.ts';

/** Options of {@link rateLimit}. */
export interface RateLimitPresetOptions extends PolicyOptions {
  /** How many requests of each key may come in one window. @defaultValue `5` */
  readonly limit?: number;
  /** How long a window is; one opens with the first request of a key that comes when none is open. @defaultValue `'1m'` */
  readonly window?: Duration;
  /** Another name of `limit`. @defaultValue none */
  readonly max?: number;
  /** Another name of `window`. @defaultValue none */
  readonly windowMs?: Duration;
  /** Requests that failed, or whose caller went away, do not count: an error, or a status of 400 or above as the value. @defaultValue `false` */
  readonly skipFailedRequests?: boolean;
  /** The others do not count: so that only failed logins do, say. @defaultValue `false` */
  readonly skipSuccessfulRequests?: boolean;
  /** How many keys are counted by themselves; beyond that new ones share what they are allowed. @defaultValue `10_000` */
  readonly maxKeys?: number;
}

/** Options as read. */
interface RateLimitSettings extends Required<Omit<RateLimitPresetOptions, 'name' | 'max' | 'window' | 'windowMs'>> {
  readonly name: string | undefined;
  readonly window: number;
  readonly max: number | undefined;
  readonly windowMs: number | undefined;
}

/** The option table. */
export const rateLimitFields: Fields<RateLimitSettings> = {
  limit: numeric({ above: 0 }).or(5),
  window: duration({ min: 1 }).or('1m'),
  max: numeric({ above: 0 }).optional(),
  windowMs: duration({ min: 1 }).optional(),
  skipFailedRequests: flag().or(false),
  skipSuccessfulRequests: flag().or(false),
  maxKeys: count({ min: 1 }).or(10_000),
  ...commonFields,
};

/**
 * A rate limit for each `call.key`, in the words of `express-rate-limit`: so many requests in each window, as an array of one policy to edit or to put others beside.
 *
 * @throws OptionsError if an option is wrong, or given under both of its names
 *
 * @example
 * ```ts
 * import { pipeline, presets } from 'breakwater';
 *
 * const logins = pipeline(presets.rateLimit({ limit: 2, windowMs: 60_000, skipSuccessfulRequests: true }));
 * const statuses = [200, 401, 200, 401, 200];
 * const outcomes = [];
 * for (const status of statuses) outcomes.push(await logins.executeOutcome(() => status, { key: 'ada' }));
 * console.log(outcomes.map(({ ok }) => ok)); // => [true, true, true, true, false]
 * ```
 */
export function rateLimit(options: RateLimitPresetOptions = {}): [PerKey<FixedWindow>] {
  const settings = readOptions('presets.rateLimit', rateLimitFields, options);
  once(options, 'limit', 'max');
  once(options, 'window', 'windowMs');
  const { name, mode, maxKeys: max, skipFailedRequests, skipSuccessfulRequests } = settings;
  const limit = { limit: settings.max ?? settings.limit, window: settings.windowMs ?? settings.window };
  const skips = (outcome: Settled<unknown>): boolean => (isFailed(outcome) ? skipFailedRequests : skipSuccessfulRequests);
  const refunds = skipFailedRequests || skipSuccessfulRequests ? { refundIf: skips, refundOnAbort: skipFailedRequests } : {};
  const make = keyed('rate-limit', () => fixedWindow({ ...limit, ...refunds }), { max });
  return [make({ ...(name !== undefined && { name }), mode })];
}

/** @throws OptionsError if both names of an option are used */
function once(given: RateLimitPresetOptions, name: keyof RateLimitPresetOptions, other: keyof RateLimitPresetOptions): void {
  if (given[name] === undefined || given[other] === undefined) return;
  throw new OptionsError([{ path: `presets.rateLimit.${other}`, expected: `either ${name} or ${other}: they are the same`, got: 'both' }]);
}

/** Whether a request failed: an error, or a value that is a status, or has one, of 400 or above. */
function isFailed(outcome: Settled<unknown>): boolean {
  if (!outcome.ok) return true;
  const { value } = outcome;
  const { status, statusCode = status } = Object(value) as { readonly status?: unknown; readonly statusCode?: unknown };
  const code = typeof value === 'number' ? value : statusCode;
  return typeof code === 'number' && code >= 400;
}
