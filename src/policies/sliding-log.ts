/**
 * Sliding log: never more than so many calls within any minute, to the millisecond, for one entry of memory per call that counts.
 *
 * @example
 * ```ts
 * import { pipeline, slidingLog } from 'breakwater';
 *
 * const texts = pipeline([slidingLog({ limit: 2, window: '1m' })]);
 * const outcomes = await Promise.all([1, 2, 3].map(() => texts.executeOutcome(() => 'sent')));
 * console.log(outcomes.map(({ ok }) => ok)); // => [true, true, false]
 * ```
 *
 * @module
 */

import { type LogEntry, SlidingLog as Meter } from '../algorithms/meters/sliding-log.ts';
import { Sharing } from '../algorithms/sharing.ts';
import { type Field, type Fields, numeric, readOptions } from '../core/options.ts';
import type { PlainData } from '../core/policy.ts';
import {
  type WindowHandle,
  WindowLimiter,
  type WindowOptions,
  type WindowTerms,
  holdsCost,
  windowFields,
} from '../stores/limiter/window-limiter.ts';

/** Options of {@link slidingLog}. */
export interface SlidingLogOptions extends WindowOptions {
  /** How much may pass within any one window, 1 000 000 at most: so many entries are kept. Fractions are fine. */
  readonly limit: number;
}

declare module '../core/events.ts' {
  interface EventFields {
    'sliding-log.delayed': { readonly wait: number; readonly cost: number };
  }
}

/** The state of a sliding log: what is left of the limit now, entries that it keeps, calls that wait, and the limit as it stands (`window` in ms). */
export type SlidingLogSnapshot = PlainData & Readonly<Record<'available' | 'entries' | 'waiting' | 'limit' | 'window', number>>;

/** A sliding log. Several pipelines that hold the same one share its limit. */
export interface SlidingLog extends WindowHandle {
  readonly kind: 'sliding-log';
  snapshot(): SlidingLogSnapshot;
}

/** Options as read. */
export type SlidingLogSettings = WindowTerms;

/** The largest limit: so many entries take 16 MB. */
const MOST = 1_000_000;

/** The option table. */
export const slidingLogFields: Fields<SlidingLogSettings> = { ...windowFields, limit: numeric({ above: 0, max: MOST }) };

/**
 * Lets calls pass for `cost` each, never more than `limit` within any one `window`, wherever it begins. A call that does not fit is refused with a {@link RateLimitedError} whose
 * `retryAfter` (ms) says exactly when it would have passed; with `maxWait` it waits instead, first come, first served. A call that costs more than `limit` can never pass: its
 * `retryAfter` is `Infinity`.
 *
 * The time of each call that counts is kept: memory for `limit` entries of 16 bytes at most, and as little as is needed. Refusing changes nothing, and a call that was let in but never ran gives back what it took.
 *
 * @throws OptionsError if an option is wrong, or `cost` is more than `limit`
 */
export function slidingLog(options: SlidingLogOptions): SlidingLog {
  return new SlidingLogPolicy(alike.share(readOptions('slidingLog', slidingLogFields, options, holdsCost)));
}

const alike = new Sharing<SlidingLogSettings>();

class SlidingLogPolicy extends WindowLimiter<Meter, LogEntry> implements SlidingLog {
  readonly kind = 'sliding-log';

  constructor(terms: SlidingLogSettings) {
    super(new Meter(terms), terms);
  }

  protected override get limitField(): Field<number> {
    return slidingLogFields.limit;
  }

  override snapshot(): SlidingLogSnapshot {
    const { available, waiting } = this;
    const { limit, window } = this.meter.limit;
    return { available, entries: this.meter.size, waiting, limit, window };
  }
}
