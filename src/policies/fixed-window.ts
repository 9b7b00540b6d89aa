/**
 * Fixed window: so many calls in each minute, hour or day, all at once if they like.
 *
 * @example
 * ```ts
 * import { fixedWindow, pipeline } from 'breakwater';
 *
 * const reports = pipeline([fixedWindow({ limit: 2, window: '1h' })]);
 * const outcomes = await Promise.all([1, 2, 3].map(() => reports.executeOutcome(() => 'sent')));
 * console.log(outcomes.map(({ ok }) => ok)); // => [true, true, false]
 * ```
 *
 * @module
 */

import { FixedWindow as Meter, type Share, type WindowLimit } from '../algorithms/meters/fixed-window.ts';
import { Sharing } from '../algorithms/sharing.ts';
import { type Clock, wallTime } from '../core/clock.ts';
import { type Duration, type Field, type Fields, duration, field, numeric, oneOf, parseDuration, readOptions } from '../core/options.ts';
import type { PlainData } from '../core/policy.ts';
import type { Scope } from '../core/scope.ts';
import type { Gate } from '../core/stage.ts';
import {
  type WindowHandle,
  WindowLimiter,
  type WindowOptions,
  type WindowTerms,
  holdsCost,
  windowFields,
} from '../stores/limiter/window-limiter.ts';
import { FixedWindowGate, type Strictness, spacing } from './fixed-window/gate.ts';

/** Options of {@link fixedWindow}. */
export interface FixedWindowOptions extends WindowOptions {
  /**
   * `false`: a window begins with the first call that comes when none is open. `true`: windows begin at multiples of their length after 1970 (UTC), so that a `'1h'` begins
   * on the hour; a duration: so much later than that.
   *
   * @defaultValue `false`
   */
  readonly aligned?: boolean | Duration;
  /**
   * What a call that is refused does to the limit. `'ignore'`: nothing. `'count'`: it counts like one that was let in. `'backoff'`: it counts, and it prolongs the window: the first
   * one beyond the limit to one length from now, each further one to twice as much.
   *
   * @defaultValue `'ignore'`
   */
  readonly refused?: 'ignore' | 'count' | 'backoff';
  /** With `'backoff'`: what the window is prolonged to at most. @defaultValue `'24h'` */
  readonly maxBackoff?: Duration;
  /** When a call is refused, everybody is for so long, and until the window closes at least. @defaultValue `0` */
  readonly blockFor?: Duration;
  /**
   * `true`: calls that are let in are held so that they spread over the window, the first one excepted; a duration: for that long at least. A leaky bucket spaces calls better.
   *
   * @defaultValue `false`
   */
  readonly spread?: boolean | Duration;
}

declare module '../core/events.ts' {
  interface EventFields {
    'fixed-window.delayed': { readonly wait: number; readonly cost: number };
  }
}

/**
 * The state of a fixed window: what is left of it, what was counted in it, ms until it closes, calls that wait, and the limit as it stands (`window` in ms).
 */
export type FixedWindowSnapshot = PlainData &
  Readonly<Record<'available' | 'used' | 'resetAfter' | 'waiting' | 'limit' | 'window', number>>;

/**
 * A fixed window. Several pipelines that hold the same one share its limit. After an `update` a window that is open lasts as long as one of the new length that opened
 * when it did.
 */
export interface FixedWindow extends WindowHandle {
  readonly kind: 'fixed-window';
  /** What was counted in the window that is open, penalties included. */
  readonly used: number;
  /** Milliseconds until the window closes that is open, or would open now. */
  readonly resetAfter: number;
  /**
   * Counts `cost` more (1 if not given) in the window that is open, beyond the limit too: for a failed login that is to count several times, say.
   *
   * @throws OptionsError if it is no number above 0
   */
  penalize(cost?: number): void;
  /**
   * Refuses everybody for so long; what was counted so far stays counted until then.
   *
   * @throws OptionsError if it is no duration
   */
  block(time: Duration): void;
  snapshot(): FixedWindowSnapshot;
}

/** Options as read. */
export interface FixedWindowSettings extends WindowTerms {
  readonly aligned: boolean | number;
  readonly refused: 'ignore' | 'count' | 'backoff';
  readonly maxBackoff: number;
  readonly blockFor: number;
  readonly spread: boolean | number;
}

/** The option table. */
export const fixedWindowFields: Fields<FixedWindowSettings> = {
  aligned: flagOrDuration('6h').or(false),
  refused: oneOf('ignore', 'count', 'backoff').or('ignore'),
  maxBackoff: duration({ min: 1 }).or('24h'),
  blockFor: duration().or(0),
  spread: flagOrDuration('20ms').or(false),
  ...windowFields,
};

/**
 * Lets calls pass for `cost` each, up to `limit` in each `window`. When a window is used up, calls are refused with a {@link RateLimitedError} whose `retryAfter` (ms) says
 * exactly when the next one opens; with `maxWait` they wait for it instead, first come, first served. A call that costs more than `limit` can never pass: its
 * `retryAfter` is `Infinity`.
 *
 * Up to `limit` pass in each window, so up to twice that within one length that spans two of them. Refusing changes nothing unless `refused` says otherwise, and a call that was let in but
 * never ran gives back what it took while its window is open. Windows are counted on the steady clock: setting the wall clock moves none of them.
 *
 * @throws OptionsError if an option is wrong, or `cost` is more than `limit`
 */
export function fixedWindow(options: FixedWindowOptions): FixedWindow {
  return new FixedWindowPolicy(alike.share(readOptions('fixedWindow', fixedWindowFields, options, holdsCost)));
}

const alike = new Sharing<FixedWindowSettings>();

function flagOrDuration(example: string): Field<boolean | number> {
  return field<boolean | number>(`true, false, or a duration such as '${example}'`, (value) => {
    const read = typeof value === 'boolean' ? value : parseDuration(value);
    return read === Infinity ? undefined : read;
  });
}

class FixedWindowPolicy extends WindowLimiter<Meter, Share> implements FixedWindow, Strictness {
  readonly kind = 'fixed-window';
  declare readonly terms: FixedWindowSettings;
  #wall: Clock | undefined = undefined;

  constructor(terms: FixedWindowSettings) {
    super(new Meter(terms, terms.aligned !== false), terms);
  }

  get used(): number {
    return this.meter.used(this.present);
  }

  get resetAfter(): number {
    return this.meter.left(this.present);
  }

  override gate(scope: Scope): Gate {
    const { refused, blockFor, spread } = this.terms;
    if (refused === 'ignore' && blockFor === 0 && spread === false) return super.gate(scope);
    this.join(scope);
    return new FixedWindowGate(this, scope);
  }

  hold(now: number): number {
    const { spread } = this.terms;
    const { meter } = this;
    const left = meter.left(now);
    if (spread === false || left >= meter.limit.window) return 0;
    return spacing(left, Math.floor(meter.available(now)), spread === true ? 0 : spread);
  }

  offend(cost: number, now: number): void {
    const { refused, maxBackoff, blockFor } = this.terms;
    const { meter } = this;
    if (refused !== 'ignore') meter.penalize(cost, now);
    if (refused === 'backoff') {
      const { limit, window } = meter.limit;
      const over = Math.ceil(meter.used(now) - limit);
      if (over > 0) meter.prolong(Math.max(window, Math.min(maxBackoff, window * 2 ** (over - 1))), now);
    }
    if (blockFor > 0 && !meter.isBlocked(now)) meter.block(blockFor, now);
    this.review(now);
  }

  penalize(cost?: number): void {
    const now = this.present;
    this.meter.penalize(readOptions('fixedWindow.penalize', { cost: numeric({ above: 0 }).or(1) }, { cost }).cost, now);
    this.review(now);
  }

  block(time: Duration): void {
    const now = this.present;
    this.meter.block(readOptions('fixedWindow.block', { time: duration() }, { time }).time, now);
    this.review(now);
  }

  override snapshot(): FixedWindowSnapshot {
    const { available, used, resetAfter, waiting } = this;
    const { limit, window } = this.meter.limit;
    return { available, used, resetAfter, waiting, limit, window };
  }

  override describe(): PlainData {
    const { aligned, refused, maxBackoff, blockFor, spread } = this.terms;
    return {
      ...super.describe(),
      aligned,
      refused,
      ...(refused === 'backoff' ? { maxBackoff } : {}),
      ...(blockFor > 0 ? { blockFor } : {}),
      ...(spread === false ? {} : { spread }),
    };
  }

  protected override started(clock: Clock, now: number): void {
    super.started(clock, now);
    this.#wall = clock;
    this.#align(this.meter.limit, now);
  }

  protected override change(limit: WindowLimit, now: number): void {
    this.#align(limit, now);
    super.change(limit, now);
  }

  #align({ window }: WindowLimit, now: number): void {
    const { aligned } = this.terms;
    if (aligned === false || this.#wall === undefined) return;
    const since = wallTime(this.#wall) - (aligned === true ? 0 : aligned);
    this.meter.align(((since % window) + window) % window, now);
  }
}
