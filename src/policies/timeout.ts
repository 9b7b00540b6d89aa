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

import { Alarm } from '../core/alarm.ts';
import type { Call } from '../core/call.ts';
import { span } from '../core/clock.ts';
import { TimeoutError, made } from '../core/errors.ts';
import { type Duration, type Fields, duration, fn, readOptions, text } from '../core/options.ts';
import { Failure, type Outcome } from '../core/outcome.ts';
import { type GatePolicy, mountAlone } from '../core/policy.ts';
import type { Scope } from '../core/scope.ts';
import type { Gate } from '../core/stage.ts';
import { Deadlines, type Expiring } from '../algorithms/deadlines.ts';

/** Options of {@link timeout}. */
export interface TimeoutOptions {
  /** How long what lies inside may take, or a function of the call that says so (`Infinity`: no limit for this one). */
  readonly after: Duration | ((call: Call) => number);
  /** Called with a value that arrives after the timeout, so that a late connection or stream can be closed. @defaultValue none */
  readonly onLate?: (value: unknown) => void;
  /** @defaultValue the kind */
  readonly name?: string;
}

declare module '../core/events.ts' {
  interface EventFields {
    'timeout.expired': { readonly after: number; readonly started: boolean };
  }
}

/** A timeout; it has no state of its own beyond the calls under way. */
export interface Timeout extends GatePolicy {
  readonly kind: 'timeout';
  /** Calls that are under this timeout now. */
  readonly pending: number;
}

/** Options as read. */
export interface TimeoutSettings {
  readonly after: number | ((call: Call) => number);
  readonly onLate: ((value: unknown) => void) | undefined;
  readonly name: string | undefined;
}

/** The option table. */
export const timeoutFields: Fields<TimeoutSettings> = {
  after: duration({ min: 0.001, infinite: true }).orFunction<(call: Call) => number>('(call) => ms'),
  onLate: fn<(value: unknown) => void>('(value) => void').optional(),
  name: text().optional(),
};

/**
 * Limits how long what lies inside may take. When time is up the caller gets a {@link TimeoutError} at once and the work's signal aborts with
 * that same error; work that goes on regardless still holds what it took from bulkheads until it really ends.
 *
 * All calls under one timeout share one timer. A result that was received before the timer could run (a blocked event loop) still counts.
 *
 * @throws OptionsError if an option is wrong
 */
export function timeout(options: TimeoutOptions): Timeout {
  return new TimeoutPolicy(readOptions('timeout', timeoutFields, options));
}

/** A call under a timeout. */
class Timed implements Expiring {
  readonly inner: Call;
  readonly since: number;
  due: number;
  before: Expiring | undefined = undefined;
  after: Expiring | undefined = undefined;
  listed = false;
  /** True once this timeout has cut it. */
  expired = false;
  /** Its own timer, if its time was computed for it alone. */
  alarm: Alarm | undefined = undefined;

  constructor(inner: Call, since: number, due: number) {
    this.inner = inner;
    this.since = since;
    this.due = due;
  }
}

class TimeoutPolicy implements Timeout {
  readonly kind = 'timeout';
  readonly name: string | undefined;
  readonly #settings: TimeoutSettings;
  pending = 0;

  constructor(settings: TimeoutSettings) {
    this.#settings = settings;
    this.name = settings.name;
  }

  gate(scope: Scope): Gate {
    return new TimeoutGate(this, this.#settings, scope);
  }

  mount: Timeout['mount'] = (next, scope) => mountAlone(this, next, scope);

  snapshot(): { pending: number } {
    return { pending: this.pending };
  }

  describe(): { after: number | string } {
    const { after } = this.#settings;
    return { after: typeof after === 'function' ? 'computed' : after };
  }
}

class TimeoutGate implements Gate<Timed> {
  readonly narrows = true;
  readonly timeless = true;
  readonly #policy: TimeoutPolicy;
  readonly #after: number | ((call: Call) => number);
  readonly #onLate: ((value: unknown) => void) | undefined;
  readonly #scope: Scope;
  readonly #deadlines = new Deadlines<Timed>();
  readonly #alarm: Alarm;

  constructor(policy: TimeoutPolicy, settings: TimeoutSettings, scope: Scope) {
    this.#policy = policy;
    this.#after = settings.after;
    this.#onLate = settings.onLate;
    this.#scope = scope;
    this.#alarm = new Alarm(scope.clock, (now) => {
      this.#deadlines.expire(now, (timed) => this.#expire(timed));
      this.#alarm.set(this.#deadlines.next, now);
    });
  }

  enter(call: Call, now: number): Timed {
    const computed = typeof this.#after === 'function';
    const after = computed ? this.#compute(call) : this.#after;
    const inner = call.derive(call.attempt, now + after);
    const timed = new Timed(inner, now, now + after);
    if (this.#onLate !== undefined) inner.onLate = (outcome) => (timed.expired ? this.#late(outcome) : undefined);
    this.#policy.pending++;
    if (computed) {
      timed.alarm = new Alarm(this.#scope.clock, () => this.#expire(timed));
      timed.alarm.set(timed.due, now);
    } else {
      this.#deadlines.add(timed);
      this.#alarm.set(timed.due, now);
    }
    return timed;
  }

  settle(timed: Timed): void {
    this.#leave(timed);
  }

  cancel(timed: Timed): void {
    this.#leave(timed);
  }

  #leave(timed: Timed): void {
    this.#policy.pending--;
    if (timed.alarm !== undefined) timed.alarm.clear();
    else if (this.#deadlines.remove(timed) && this.#deadlines.size === 0) this.#alarm.clear();
  }

  #expire(timed: Timed): void {
    const { inner, since, due } = timed;
    if (inner.failure !== undefined) return;
    timed.expired = true;
    const { pipeline, policy, stack } = this.#scope;
    const after = span(since, due);
    const message = `${pipeline}: ${policy} after ${after} ms`;
    inner.cut(new Failure(made(TimeoutError, message, { pipeline, policy, key: inner.key, after }, stack), 'timeout'));
    if (this.#scope.listening) this.#scope.emit('timeout.expired', 'warn', inner, { after, started: inner.started });
  }

  #compute(call: Call): number {
    const after = (this.#after as (call: Call) => number)(call);
    if (typeof after === 'number' && after > 0) return after;
    throw new RangeError(`timeout.after: expected a function that answers with ms above 0, got ${String(after)}`);
  }

  #late(outcome: Outcome): void {
    if (outcome instanceof Failure) return;
    try {
      this.#onLate?.(outcome);
    } catch (error) {
      this.#scope.report('onLate', error);
    }
  }
}
