/** Calls under a p-timeout. */

import { Alarm } from '../../core/alarm.ts';
import type { Call } from '../../core/call.ts';
import { LONGEST_TIMER } from '../../core/clock.ts';
import { TimeoutError } from '../../core/errors.ts';
import { made } from '../../core/made.ts';
import { Failure, type Outcome, thrown } from '../../core/outcome.ts';
import type { Scope } from '../../core/scope.ts';
import type { Gate, Narrowing } from '../../core/stage.ts';
import type { LimitSettings, TimersLike } from './options.ts';

/** A promise of p-timeout's. */
export interface ClearablePromise extends Promise<unknown> {
  clear(): void;
}

/** What p-timeout is given. */
export interface PackageOptions {
  readonly milliseconds: number;
  readonly fallback?: () => unknown;
  readonly message?: string | Error | false;
  readonly customTimers: TimersLike;
}

/** The function that the package is. */
export type PTimeoutLike = (input: PromiseLike<never>, options: PackageOptions) => ClearablePromise;

/** What a limit tells its policy. */
export interface LimitCounts {
  /** Calls under the limit now. */
  pending: number;
  /** Calls whose time was up. */
  expired: number;
}

/** What p-timeout sees of the work: it is not done yet. The work itself runs where all work runs, and when it ends the timer is cleared. */
const notYet: PromiseLike<never> = { then: () => notYet };

/** The failure of a call whose time was up, and what the package makes of that. */
export class Expired extends Failure {
  /** Where it was. */
  readonly limit: TimeLimit;
  /** What the package answers with; never rejects. */
  answer: Promise<Outcome>;

  constructor(error: unknown, limit: TimeLimit) {
    super(error, 'timeout');
    this.limit = limit;
    this.answer = Promise.resolve(this);
  }
}

/** A call under the limit. */
export interface LimitedCall extends Narrowing {
  readonly promise: ClearablePromise;
}

/** The gate of one pipeline: every call is raced by a promise of the package. */
export class TimeLimit implements Gate<LimitedCall> {
  readonly narrows = true;
  readonly until = 'answer';
  readonly timeless = true;
  readonly scope: Scope;
  readonly #settings: LimitSettings;
  readonly #counts: LimitCounts;
  readonly #limit: PTimeoutLike;

  constructor(limit: PTimeoutLike, settings: LimitSettings, counts: LimitCounts, scope: Scope) {
    this.#limit = limit;
    this.#settings = settings;
    this.#counts = counts;
    this.scope = scope;
  }

  enter(call: Call, now: number): LimitedCall {
    const { message } = this.#settings;
    const fallback = this.scope.shadow ? undefined : this.#settings.fallback;
    const milliseconds = effective(this.#settings.milliseconds);
    const inner = call.derive(call.attempt, now + milliseconds);
    let limited: ClearablePromise | undefined;
    const rung = (ring: () => void, stalled: boolean): void => {
      if (limited !== undefined) this.#expire(inner, limited, ring, stalled);
      // Timers of the user may ring before the package has a promise to answer with.
      else void Promise.resolve().then(() => rung(ring, stalled));
    };
    const timers = this.#timers(now, rung);
    const promise = (limited = this.#limit(notYet, {
      milliseconds,
      customTimers: timers,
      ...(fallback !== undefined && { fallback: () => fallback() }),
      ...(message !== undefined && { message }),
    }));
    // Timers of the user may throw, which is what the package then rejects with.
    if (this.#settings.customTimers !== undefined) promise.catch((error: unknown) => inner.cut(thrown(error)));
    this.#counts.pending++;
    return { inner, promise };
  }

  settle({ promise }: LimitedCall): void {
    this.#counts.pending--;
    promise.clear();
  }

  cancel(limited: LimitedCall): void {
    this.settle(limited);
  }

  /** Timers for one call: the pipeline's clock, or the user's. */
  #timers(now: number, expire: (ring: () => void, stalled: boolean) => void): TimersLike {
    const { customTimers } = this.#settings;
    if (customTimers === undefined) {
      return {
        setTimeout: (ring, ms) => {
          const alarm = new Alarm(this.scope.clock, (_now, stalled) => expire(ring, stalled));
          alarm.set(now + ms, now);
          return alarm;
        },
        clearTimeout: (alarm: Alarm | undefined) => alarm?.clear(),
      };
    }
    const set = customTimers.setTimeout;
    const clear = customTimers.clearTimeout;
    return {
      setTimeout: (ring, ms) => set(() => expire(ring, false), ms),
      clearTimeout: (timer) => clear(timer),
    };
  }

  /** The time is up. The package decides what the caller gets, which shows a few promise jobs later; the work is told at once. */
  #expire(inner: Call, promise: ClearablePromise, ring: () => void, stalled: boolean): void {
    if (inner.failure !== undefined) return;
    ring();
    const { scope } = this;
    // A shadowed limit meets a call derived from the one whose work runs.
    const { started } = scope.shadow ? (inner.parent?.parent ?? inner) : inner;
    const after = this.#settings.milliseconds;
    const expired = new Expired(this.#error(inner, after, started, stalled), this);
    expired.answer = promise.then(undefined, (error: unknown) => this.#rejected(expired, error));
    this.#counts.expired++;
    inner.cut(expired);
    if (scope.listening) scope.emit('p-timeout.expired', 'warn', inner, { after, started, loopStalled: stalled });
  }

  #error({ key }: Call, after: number, started: boolean, loopStalled: boolean): Error {
    const { message } = this.#settings;
    if (message instanceof Error) return message;
    const { pipeline, policy, stack } = this.scope;
    const where = `${pipeline}: ${policy} timed out after ${after} ms${started ? '' : ', before the work had started'}${loopStalled ? ' (the event loop was blocked)' : ''}`;
    const text = typeof message === 'string' ? message : where;
    return made(TimeoutError, text, { pipeline, policy, key, after, started, loopStalled }, stack);
  }

  /** What a fallback throws is thrown; the package's own error is the cause of ours. */
  #rejected(expired: Expired, error: unknown): Outcome {
    const { fallback, message } = this.#settings;
    if (fallback !== undefined && !this.scope.shadow) return thrown(error);
    if (!(message instanceof Error)) Object.defineProperty(expired.error, 'cause', { value: error, configurable: true, writable: true });
    return expired;
  }
}

/** The limit that stands: p-timeout 7 takes what a timer cannot hold for 1 ms, and p-timeout 8 for no limit, which it is here with both. */
export function effective(milliseconds: number): number {
  return milliseconds > LONGEST_TIMER ? Infinity : milliseconds;
}
