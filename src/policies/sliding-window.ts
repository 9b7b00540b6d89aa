/**
 * Sliding window: about so many calls within the last minute, whenever it is asked, for a few numbers of memory.
 *
 * @example
 * ```ts
 * import { pipeline, slidingWindow } from 'breakwater';
 *
 * const search = pipeline([slidingWindow({ limit: 2, window: '1m' })]);
 * const outcomes = await Promise.all([1, 2, 3].map(() => search.executeOutcome(() => 'found')));
 * console.log(outcomes.map(({ ok }) => ok)); // => [true, true, false]
 * ```
 *
 * @module
 */

import { type Entry, SlidingWindow as Meter } from '../algorithms/meters/sliding-window.ts';
import { Sharing } from '../algorithms/sharing.ts';
import { type Fields, field, readOptions } from '../core/options.ts';
import type { PlainData } from '../core/policy.ts';
import {
  type WindowHandle,
  WindowLimiter,
  type WindowOptions,
  type WindowTerms,
  holdsCost,
  windowFields,
} from '../stores/limiter/window-limiter.ts';

/** Options of {@link slidingWindow}. */
export interface SlidingWindowOptions extends WindowOptions {
  /**
   * How many parts of the window are counted by themselves: more tell more exactly when calls came, and cost one number each. With one, a limit of one or two that is used up all
   * the time lets only half of it pass; with ten, nine tenths at least.
   *
   * @defaultValue `10`
   */
  readonly segments?: number;
}

declare module '../core/events.ts' {
  interface EventFields {
    'sliding-window.delayed': { readonly wait: number; readonly cost: number };
  }
}

/** The state of a sliding window: what is left of the limit now, what is estimated to count, calls that wait, and the limit as it stands (`window` in ms). */
export type SlidingWindowSnapshot = PlainData & Readonly<Record<'available' | 'estimate' | 'waiting' | 'limit' | 'window', number>>;

/** A sliding window. Several pipelines that hold the same one share its limit. If `update` changes the window, all that counts does so as if it had just come. */
export interface SlidingWindow extends WindowHandle {
  readonly kind: 'sliding-window';
  /** What is estimated to have passed within the last window. */
  readonly estimate: number;
  snapshot(): SlidingWindowSnapshot;
}

/** Options as read. */
export interface SlidingWindowSettings extends WindowTerms {
  readonly segments: number;
}

/** The most segments: more is what a log is for. */
const FINEST = 1000;

/** The option table. */
export const slidingWindowFields: Fields<SlidingWindowSettings> = {
  segments: field(`a whole number from 1 to ${FINEST}`, (value) =>
    typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= FINEST ? value : undefined,
  ).or(10),
  ...windowFields,
};

/**
 * Lets calls pass for `cost` each, about up to `limit` within any one `window`. What passed within the last window is estimated: what was counted in the segment that the
 * window has partly left behind counts for the part that it has not, as if calls had come evenly. A call that does not fit is refused with a {@link RateLimitedError} whose
 * `retryAfter` (ms) says exactly when it would have passed; with `maxWait` it waits instead, first come, first served. A call that costs more than `limit` can never pass: its
 * `retryAfter` is `Infinity`.
 *
 * Refusing changes nothing, and a call that was let in but never ran gives back what it took. After Cloudflare's rate limiting (Desgats, 2017), which is the one with one segment.
 *
 * @throws OptionsError if an option is wrong, or `cost` is more than `limit`
 */
export function slidingWindow(options: SlidingWindowOptions): SlidingWindow {
  return new SlidingWindowPolicy(alike.share(readOptions('slidingWindow', slidingWindowFields, options, holdsCost)));
}

const alike = new Sharing<SlidingWindowSettings>();

class SlidingWindowPolicy extends WindowLimiter<Meter, Entry> implements SlidingWindow {
  readonly kind = 'sliding-window';
  declare readonly terms: SlidingWindowSettings;

  constructor(terms: SlidingWindowSettings) {
    super(new Meter(terms, terms.segments), terms);
  }

  get estimate(): number {
    return this.meter.estimate(this.present);
  }

  override snapshot(): SlidingWindowSnapshot {
    const { available, estimate, waiting } = this;
    const { limit, window } = this.meter.limit;
    return { available, estimate, waiting, limit, window };
  }

  override describe(): PlainData {
    return { ...super.describe(), segments: this.terms.segments };
  }
}
