/**
 * Retry: runs the work again when it failed, after a wait that grows and is spread by chance.
 *
 * @example
 * ```ts
 * import { pipeline, retry } from 'breakwater';
 *
 * const steady = pipeline([retry({ maxAttempts: 3, backoff: { delay: 1, jitter: 'none' } })]);
 * const attempts = await steady.execute(({ attempt }) => {
 *   if (attempt < 3) throw new Error('not yet');
 *   return attempt;
 * });
 * console.log(attempts); // => 3
 * ```
 *
 * @module
 */

import { Backoff, type BackoffSettings, type Growth, type Jitter, longestBackoff } from '../algorithms/backoff.ts';
import type { Call } from '../core/call.ts';
import { type Duration, type Fields, count, duration, fn, group, numeric, oneOf, ratio, readOptions, text } from '../core/options.ts';
import { Failure, type Outcome, type Settled, retryAfterOf, settled } from '../core/outcome.ts';
import { type Handler, type PlainData, type ReactionPolicy, mountAlone } from '../core/policy.ts';
import type { Scope } from '../core/scope.ts';
import type { Reaction } from '../core/stage.ts';
import { pause } from '../core/wait.ts';

/** How long to wait before each retry. */
export interface BackoffOptions {
  /** How the delay grows. @defaultValue `'exponential'` */
  readonly kind?: Growth;
  /** Before the first retry. @defaultValue `'100ms'` */
  readonly delay?: Duration;
  /** What each delay is multiplied by to get the next; exponential only. @defaultValue `2` */
  readonly factor?: number;
  /** No delay is longer, jitter included. @defaultValue `'20s'` */
  readonly maxDelay?: Duration;
  /** How chance spreads the delays. @defaultValue `'full'` */
  readonly jitter?: Jitter;
  /** Half the width of proportional jitter, 0..1. @defaultValue `0.25` */
  readonly spread?: number;
}

/** What a retry's functions are told. */
export interface RetryContext {
  readonly call: Call;
  /** Attempts made so far, from 1. */
  readonly attempt: number;
}

/** Options of {@link retry}. */
export interface RetryOptions<Sees = unknown> {
  /** Runs of the work in all, the first one included; `Infinity` is allowed. @defaultValue `3` */
  readonly maxAttempts?: number;
  /** The schedule of waits, or a function of the retry's number (from 1) that answers with ms. */
  readonly backoff?: BackoffOptions | ((retry: number) => number);
  /**
   * Whether to try again after this outcome. @defaultValue after errors and timeouts; not after refusals (trying again at once makes overload
   * worse), never after an abort by the caller, and nothing at all if the call says `idempotent: false`
   */
  readonly when?: (outcome: Settled<Sees>, context: RetryContext) => boolean;
  /** The wait before the next attempt: ms, `undefined` for what `backoff` says, `false` to stop. @defaultValue none */
  readonly delayFor?: (outcome: Settled<Sees>, context: RetryContext) => number | undefined | false;
  /** No retry is begun that could not start within this time from the beginning of the call. @defaultValue none */
  readonly maxDuration?: Duration;
  /** @defaultValue the kind */
  readonly name?: string;
}

/** Why a retry gave up. */
export type GiveUpReason = 'exhausted' | 'stopped' | 'duration' | 'deadline';

declare module '../core/events.ts' {
  interface EventFields {
    'retry.scheduled': { readonly attempt: number; readonly delay: number; readonly error?: unknown };
    'retry.gave-up': { readonly attempts: number; readonly reason: GiveUpReason; readonly error?: unknown };
  }
}

/** A retry. */
export interface Retry<Sees> extends ReactionPolicy<Sees> {
  readonly kind: 'retry';
}

/** Options as read. */
export interface RetrySettings {
  readonly maxAttempts: number;
  readonly backoff: BackoffSettings | ((retry: number) => number);
  readonly when: ((outcome: Settled<never>, context: RetryContext) => boolean) | undefined;
  readonly delayFor: ((outcome: Settled<never>, context: RetryContext) => number | undefined | false) | undefined;
  readonly maxDuration: number;
  readonly name: string | undefined;
}

/** The table of a schedule. */
export const backoffFields: Fields<BackoffSettings> = {
  kind: oneOf('constant', 'linear', 'exponential').or('exponential'),
  delay: duration().or('100ms'),
  factor: numeric({ min: 1, max: 1000 }).or(2),
  maxDelay: duration({ infinite: true }).or('20s'),
  jitter: oneOf('none', 'full', 'equal', 'proportional', 'decorrelated', 'decorrelated-v2').or('full'),
  spread: ratio().or(0.25),
};

/** The option table. */
export const retryFields: Fields<RetrySettings> = {
  maxAttempts: count({ min: 1, infinite: true }).or(3),
  backoff: group(backoffFields).orFunction<(retry: number) => number>('(retry) => ms').or({}),
  when: fn<NonNullable<RetrySettings['when']>>('(outcome, { call, attempt }) => boolean').optional(),
  delayFor: fn<NonNullable<RetrySettings['delayFor']>>('(outcome, { call, attempt }) => ms, undefined or false').optional(),
  maxDuration: duration({ infinite: true }).or(Infinity),
  name: text().optional(),
};

/**
 * Runs what lies inside again when it failed. The last error is rethrown as it is. An abort during a wait ends the call in the same tick; a wait that
 * would outlast the deadline is not begun; a refusal's `retryAfter` is kept if `when` asks to retry it.
 *
 * Jitter after Brooker, "Exponential Backoff and Jitter", AWS Architecture Blog 2015.
 *
 * @throws OptionsError if an option is wrong
 */
export function retry<Sees = unknown>(options: RetryOptions<Sees> = {}): Retry<Sees> {
  return new RetryPolicy<Sees>(
    readOptions('retry', retryFields, options, ({ backoff }) =>
      typeof backoff === 'function' || backoff.delay <= backoff.maxDelay
        ? undefined
        : { path: 'backoff.maxDelay', expected: `at least backoff.delay (${backoff.delay} ms)`, got: `${backoff.maxDelay} ms` },
    ),
  );
}

class RetryPolicy<Sees> implements Retry<Sees> {
  readonly kind = 'retry';
  readonly name: string | undefined;
  readonly #settings: RetrySettings;
  #retries = 0;
  #gaveUp = 0;

  constructor(settings: RetrySettings) {
    this.#settings = settings;
    this.name = settings.name;
  }

  reaction(scope: Scope): Reaction {
    return {
      handles: (outcome, call) => this.#wants(outcome, { call, attempt: 1 }),
      react: (outcome, call, again) => this.#retry(outcome, call, again, scope),
    };
  }

  mount: Retry<Sees>['mount'] = (next, scope) => mountAlone(this, next, scope);

  snapshot(): PlainData {
    return { retries: this.#retries, gaveUp: this.#gaveUp };
  }

  describe(): PlainData {
    const { maxAttempts, backoff, when, maxDuration } = this.#settings;
    const computed = typeof backoff === 'function';
    return {
      maxAttempts,
      backoff: computed ? 'computed' : { ...backoff },
      when: when === undefined ? 'errors and timeouts' : 'chosen',
      maxDuration,
      longestBackoff: computed ? undefined : longestBackoff(backoff, maxAttempts - 1),
    };
  }

  #wants(outcome: Outcome, context: RetryContext): boolean {
    const { when } = this.#settings;
    const { call } = context;
    if (
      outcome instanceof Failure
        ? outcome.kind === 'aborted' || call.failure !== undefined || call.idempotent === false
        : when === undefined
    )
      return false;
    if (when !== undefined) return when(settled(outcome) as Settled<never>, context);
    return (outcome as Failure).kind !== 'refused';
  }

  async #retry(first: Outcome, call: Call, again: Handler, scope: Scope): Promise<Outcome> {
    const { backoff } = this.#settings;
    const schedule = typeof backoff === 'function' ? undefined : new Backoff(backoff);
    let outcome = first;
    for (let attempt = 1; ; attempt++) {
      const delay = this.#delay(outcome, { call, attempt }, schedule, scope);
      if (typeof delay === 'string') return this.#giveUp(outcome, call, attempt, delay, scope);
      if (scope.listening) scope.emit('retry.scheduled', 'warn', call, { attempt: attempt + 1, delay, error: errorOf(outcome) });
      const cut = await pause(call, delay);
      if (cut !== undefined) return cut;
      this.#retries++;
      call.degraded = false;
      const next = call.derive(attempt + 1);
      next.at = scope.clock.now();
      outcome = await again(next);
      call.release(next);
      if (!this.#wantsAgain(outcome, { call, attempt: attempt + 1 }, scope)) return outcome;
    }
  }

  /** As `#wants`, but a predicate that throws leaves the outcome as it is: it happened after the first attempt. */
  #wantsAgain(outcome: Outcome, context: RetryContext, scope: Scope): boolean {
    try {
      return this.#wants(outcome, context);
    } catch (error) {
      scope.report('when', error);
      return false;
    }
  }

  /** The wait before the next attempt, or why there is none. */
  #delay(outcome: Outcome, context: RetryContext, schedule: Backoff | undefined, scope: Scope): number | GiveUpReason {
    const { maxAttempts, maxDuration } = this.#settings;
    const { call, attempt } = context;
    if (attempt >= maxAttempts) return 'exhausted';
    let delay: number;
    try {
      const chosen = this.#chosen(outcome, context, schedule, scope);
      if (chosen === false) return 'stopped';
      delay = chosen;
    } catch (error) {
      scope.report('delay', error);
      return 'stopped';
    }
    const start = scope.clock.now() + delay;
    if (start > call.begun + maxDuration) return 'duration';
    return start >= call.deadline ? 'deadline' : delay;
  }

  #chosen(outcome: Outcome, context: RetryContext, schedule: Backoff | undefined, scope: Scope): number | false {
    const { delayFor, backoff } = this.#settings;
    const planned = schedule?.next(scope.random());
    const chosen = delayFor?.(settled(outcome) as Settled<never>, context);
    if (chosen === false) return false;
    const delay = chosen ?? planned ?? (backoff as (retry: number) => number)(context.attempt);
    if (!(delay >= 0)) throw new RangeError(`retry: expected a function that answers with ms, got ${String(delay)}`);
    return chosen === undefined ? Math.max(delay, waitAskedBy(outcome)) : delay;
  }

  #giveUp(outcome: Outcome, call: Call, attempts: number, reason: GiveUpReason, scope: Scope): Outcome {
    this.#gaveUp++;
    if (scope.listening) scope.emit('retry.gave-up', 'error', call, { attempts, reason, error: errorOf(outcome) });
    return outcome;
  }
}

function errorOf(outcome: Outcome): unknown {
  return outcome instanceof Failure ? outcome.error : undefined;
}

/** The wait that a refusal asks for, ms. */
function waitAskedBy(outcome: Outcome): number {
  return outcome instanceof Failure && outcome.kind === 'refused' ? (retryAfterOf(outcome.error) ?? 0) : 0;
}
