/**
 * Timeout: answers in time, whatever the work does, and tells the work to stop through its signal.
 *
 * @example
 * ```ts
 * import { pipeline, timeout } from 'breakwater';
 *
 * const quick = pipeline([timeout({ after: '1s' })]);
 * console.log(await quick.execute(async ({ signal }) => (signal.aborted ? 'late' : 'in time'))); // => 'in time'
 * ```
 *
 * @module
 */

import { AdaptiveTimeout, type AdaptiveTimeoutSettings } from '../algorithms/adaptive-timeout.ts';
import type { Call } from '../core/call.ts';
import { type OptionProblem, OptionsError } from '../core/errors.ts';
import { type CommonSettings, type PolicyOptions, commonFields } from '../core/mode.ts';
import {
  type Duration,
  type Fields,
  count,
  duration,
  fn,
  group,
  numeric,
  oneOf,
  parseDuration,
  readOptions,
  show,
} from '../core/options.ts';
import type { Outcome } from '../core/outcome.ts';
import { type GatePolicy, type PlainData, type Policy, mountAlone } from '../core/policy.ts';
import type { Scope } from '../core/scope.ts';
import type { Gate } from '../core/stage.ts';
import { Patience } from './timeout/patience.ts';
import { type Limit, TimeLimit, type Timed } from './timeout/time-limit.ts';

/** A limit that is learned from how long calls take. */
export type AdaptiveTimeoutOptions = Partial<AdaptiveTimeoutSettings<Duration>>;

/** Options of {@link timeout}. */
export interface TimeoutOptions extends PolicyOptions {
  /**
   * How long what lies inside may take, or a function of the call that says so (`Infinity`: no limit for this one). With `adaptive`, what stands until enough
   * calls were seen. @defaultValue required without `adaptive`; with it, its `max`
   */
  readonly after?: Duration | ((call: Call) => number);
  /** Learns the limit: a quantile of the latency, times a factor. @defaultValue none: `after` stands */
  readonly adaptive?: AdaptiveTimeoutOptions;
  /**
   * `'race'`: the caller is answered when the time is up. `'cooperative'`: the signal aborts, and what the work then answers with, or fails with, is
   * the outcome. @defaultValue `'race'`
   */
  readonly strategy?: 'race' | 'cooperative';
  /** How long the work may clean up, once its signal has aborted, before the caller is answered. @defaultValue `0` with `'race'`, no bound with `'cooperative'` */
  readonly grace?: Duration;
  /** Called with a value that arrives after the timeout, so that a late connection or stream can be closed. @defaultValue what knows how to is disposed of */
  readonly onLate?: (value: unknown) => void;
}

/** One of the two says how long. */
type Limited = Required<Pick<TimeoutOptions, 'after'>> | Required<Pick<TimeoutOptions, 'adaptive'>>;

declare module '../core/events.ts' {
  interface EventFields {
    'timeout.expired': { readonly after: number; readonly started: boolean; readonly loopStalled: boolean };
  }
}

/** A timeout; it has no state of its own beyond the calls under way, and what it has learned. */
export interface Timeout extends Policy {
  readonly kind: 'timeout';
  /** Calls that are under this timeout now. */
  readonly pending: number;
  /** The limit that stands, ms; `undefined` if it is computed for each call. */
  readonly limit: number | undefined;
}

/** A timeout that answers at once when the time is up. */
export interface RacingTimeout extends Timeout, GatePolicy {
  readonly kind: 'timeout';
}

/** Options as read. */
export interface TimeoutSettings extends CommonSettings {
  readonly after: number | ((call: Call) => number) | undefined;
  readonly adaptive: AdaptiveTimeoutSettings | undefined;
  readonly strategy: 'race' | 'cooperative';
  readonly grace: number | undefined;
  readonly onLate: ((value: unknown) => void) | undefined;
}

/** The table of a limit that is learned. */
export const adaptiveTimeoutFields: Fields<AdaptiveTimeoutSettings> = {
  quantile: numeric({ above: 0, max: 1 }).or(0.99),
  factor: numeric({ min: 1, max: 1000 }).or(1.5),
  min: duration({ min: 0.001 }).or('10ms'),
  max: duration({ min: 0.001, infinite: true }).or('30s'),
  minSamples: count({ min: 1 }).or(100),
  window: duration({ min: 1 }).or('5m'),
};

const after = duration({ min: 0.001, infinite: true }).orFunction<(call: Call) => number>('(call) => ms');

/** The option table. */
export const timeoutFields: Fields<TimeoutSettings> = {
  after: after.optional(),
  adaptive: group(adaptiveTimeoutFields).optional(),
  strategy: oneOf('race', 'cooperative').or('race'),
  grace: duration({ infinite: true }).optional(),
  onLate: fn<(value: unknown) => void>('(value) => void').optional(),
  ...commonFields,
};

/**
 * Limits how long what lies inside may take. When time is up the caller gets a {@link TimeoutError} at once and the work's signal aborts with
 * that same error; work that goes on regardless still holds what it took from bulkheads until it really ends.
 *
 * All calls with one limit share one timer. A result that was received before the timer could run (a blocked event loop) still counts.
 *
 * @throws OptionsError if an option is wrong
 */
export function timeout(options: TimeoutOptions & Limited & { readonly strategy?: 'race'; readonly grace?: 0 }): RacingTimeout;
export function timeout(options: TimeoutOptions & Limited): Timeout;
export function timeout(options: TimeoutOptions): Timeout {
  return new TimeoutPolicy(readOptions('timeout', timeoutFields, meant(options), hasLimit, inBounds));
}

/** A bare duration, as in `timeout('2s')`, is what many write first. */
function meant(options: unknown): unknown {
  if (parseDuration(options) === undefined) return options;
  const expected = `an object with ${Object.keys(timeoutFields).join(', ')} (did you mean timeout({ after: ${show(options)} })?)`;
  throw new OptionsError([{ path: 'timeout', expected, got: show(options) }]);
}

function hasLimit({ after: given, adaptive }: TimeoutSettings): OptionProblem | undefined {
  if (given === undefined && adaptive === undefined) return { path: 'after', expected: `${after.expected}; or adaptive`, got: 'nothing' };
  if (typeof given !== 'function' || adaptive === undefined) return undefined;
  return { path: 'after', expected: 'a duration, since adaptive is given', got: 'a function' };
}

function inBounds({ adaptive }: TimeoutSettings): OptionProblem | undefined {
  if (adaptive === undefined || adaptive.min <= adaptive.max) return undefined;
  return { path: 'adaptive.max', expected: `at least adaptive.min (${adaptive.min} ms)`, got: `${adaptive.max} ms` };
}

class TimeoutPolicy implements Timeout {
  readonly kind = 'timeout';
  readonly name: string | undefined;
  readonly mode: TimeoutSettings['mode'];
  readonly onLate: TimeoutSettings['onLate'];
  /** Only a timeout that answers at once is a gate; the others have to wait for the work. */
  readonly gate: ((scope: Scope) => Gate) | undefined;
  readonly #settings: TimeoutSettings;
  readonly #limit: Limit;
  readonly #grace: number;
  pending = 0;

  constructor(settings: TimeoutSettings) {
    const { after: first, adaptive, strategy, grace = strategy === 'race' ? 0 : Infinity } = settings;
    this.name = settings.name;
    this.mode = settings.mode;
    this.onLate = settings.onLate;
    this.#settings = settings;
    this.#limit = adaptive === undefined ? (first as Limit) : new AdaptiveTimeout(adaptive, (first as number | undefined) ?? adaptive.max);
    this.#grace = grace;
    this.gate = grace === 0 ? (scope) => new TimeoutGate(this.#limit, scope, this) : undefined;
  }

  mount: Timeout['mount'] = (next, scope) => {
    if (this.gate !== undefined) return mountAlone(this, next, scope);
    const patient = new Patience(this.#limit, scope, this, next, this.#settings.strategy === 'cooperative', this.#grace);
    return patient.handle;
  };

  get limit(): number | undefined {
    if (typeof this.#limit === 'function') return undefined;
    return typeof this.#limit === 'number' ? this.#limit : this.#limit.current;
  }

  snapshot(): PlainData {
    return this.#settings.adaptive === undefined ? { pending: this.pending } : { pending: this.pending, limit: this.limit };
  }

  describe(): PlainData {
    const { after: first, adaptive, strategy } = this.#settings;
    const standing = first ?? adaptive?.max;
    return { after: typeof standing === 'function' ? 'computed' : standing, adaptive, strategy, grace: this.#grace };
  }
}

/** Answers at once: the work is cut short. */
class TimeoutGate implements Gate<Timed> {
  readonly narrows = true;
  readonly until = 'answer';
  readonly timeless: boolean;
  readonly #limit: TimeLimit;

  constructor(limit: Limit, scope: Scope, owner: TimeoutPolicy) {
    this.timeless = !(limit instanceof AdaptiveTimeout);
    this.#limit = new TimeLimit(limit, scope, owner, ({ inner }, failure) => inner.cut(failure));
  }

  enter(call: Call, now: number): Timed {
    return this.#limit.start(call, now);
  }

  settle(timed: Timed, outcome: Outcome, now: number): void {
    this.#limit.end(timed);
    if (!this.timeless) this.#limit.learn(timed, outcome, now);
  }

  cancel(timed: Timed): void {
    this.#limit.end(timed);
  }
}
