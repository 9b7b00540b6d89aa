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

import { type Growth, type Jitter, longestBackoff } from '../algorithms/backoff.ts';
import type { Call } from '../core/call.ts';
import type { Classifier } from '../core/classification.ts';
import { type Mode, type PolicyOptions, commonFields } from '../core/mode.ts';
import { type Duration, type Fields, count, duration, flag, fn, oneOf, readOptions } from '../core/options.ts';
import type { Settled, Verdict } from '../core/outcome.ts';
import { type PlainData, type ReactionPolicy, mountAlone } from '../core/policy.ts';
import type { Scope } from '../core/scope.ts';
import type { Reaction } from '../core/stage.ts';
import type { RetryBudgetOptions } from '../stores/budget-kinds.ts';
import type { RetryBudget } from '../stores/retry-budget.ts';
import { backoffField, budgetField, headerField, retryAfterField } from './retry/fields.ts';
import type { RetryCounts } from './retry/news.ts';
import { RetryReaction } from './retry/reaction.ts';
import type { GiveUpReason, RetryContext, RetrySettings } from './retry/rules.ts';

/** How long to wait before each retry. */
export interface BackoffOptions {
  /** How the delay grows. @defaultValue `'exponential'` */
  readonly kind?: Growth;
  /** Before the first retry. @defaultValue `'100ms'` */
  readonly delay?: Duration;
  /** The delays themselves, the last one again and again; then `kind`, `delay` and `factor` say nothing. @defaultValue none */
  readonly delays?: readonly Duration[];
  /** What each delay is multiplied by to get the next; exponential only. @defaultValue `2` */
  readonly factor?: number;
  /** No delay is longer, jitter included. @defaultValue `'20s'`, or the longest of `delay` and `delays` if that is longer */
  readonly maxDelay?: Duration;
  /** How chance spreads the delays. @defaultValue `'full'` */
  readonly jitter?: Jitter;
  /** Half the width of proportional jitter, 0..1. @defaultValue `0.25` */
  readonly spread?: number;
  /** The first retry does not wait; the schedule begins with the second. @defaultValue `false` */
  readonly firstRetryFast?: boolean;
}

/** What is done about waits that the service asks for: `Retry-After` and its relatives, and the `retryAfter` of errors. */
export interface RetryAfterOptions {
  /** Whether they count. @defaultValue `true` */
  readonly honour?: boolean;
  /** Longer waits are not waited for; also the longest that `delayFor` may ask for. @defaultValue `'60s'` */
  readonly max?: Duration;
  /** Chance makes a wait up to so many times as long, never shorter, or all who were sent away would return together. @defaultValue `1.5` */
  readonly jitter?: number;
  /** What to do about a longer wait: give up, wait for `max`, or go by `backoff`. @defaultValue `'stop'` */
  readonly onExceed?: 'stop' | 'clamp' | 'ignore';
}

/** Options of {@link retry}. */
export interface RetryOptions<Sees = unknown> extends PolicyOptions {
  /** Runs of the work in all, the first one included; `Infinity` is allowed. @defaultValue `3` */
  readonly maxAttempts?: number;
  /** The schedule of waits, a list of them, or a function of the retry's number (from 1) that answers with ms. */
  readonly backoff?: BackoffOptions | readonly Duration[] | ((retry: number) => number);
  /**
   * Whether to try again after this outcome; may be asynchronous. @defaultValue after failures that the classification calls retryable, not after refusals (trying again at once
   * makes overload worse); never after an abort by the caller
   */
  readonly when?: (outcome: Settled<Sees>, context: RetryContext) => boolean | PromiseLike<boolean>;
  /** What outcomes mean here, asked before the pipeline's own `classify`. @defaultValue none */
  readonly classify?: Classifier<Sees>;
  /** The wait before the next attempt: ms (at most `retryAfter.max`), `undefined` for what `backoff` says, `false` to stop. @defaultValue none */
  readonly delayFor?: (outcome: Settled<Sees>, context: RetryContext) => number | undefined | false;
  /** What is done about waits that the service asks for; `false` ignores them. */
  readonly retryAfter?: RetryAfterOptions | false;
  /** No retry is begun that could not start within this time from the beginning of the call. @defaultValue none */
  readonly maxDuration?: Duration;
  /** A wait that would outlast the call's deadline is not begun. @defaultValue `true` */
  readonly deadlineAware?: boolean;
  /** Nor one that would leave less than this for the attempt. @defaultValue `0` */
  readonly minAttemptTime?: Duration;
  /**
   * Whether attempts may be repeated that may have done something already; otherwise only what never reached the service is tried again.
   * @defaultValue unless the call says `idempotent: false`
   */
  readonly idempotent?: boolean | ((call: Call) => boolean);
  /** Puts the call's `idempotencyKey`, the same for all attempts, into `call.headers`: `true`, or the name of the header. @defaultValue `false` */
  readonly idempotencyKey?: boolean | string;
  /** What attempts beyond the first are paid from: one to share, the options of an own one, or `false` for no bound. */
  readonly budget?: RetryBudget | RetryBudgetOptions | false;
  /** Puts the attempt's number (from the second on) and an `x-retry-reason` into `call.headers`: `true`, or the name of the header. @defaultValue `false` */
  readonly attemptHeader?: boolean | string;
  /** Inside another retry, or in the work of a call that is retried: make one attempt, retry with a warning, or just retry. @defaultValue `'suppress'` */
  readonly nested?: 'suppress' | 'warn' | 'allow';
  /**
   * After the last attempt: `'error'` rethrows the last error as it is and makes a `RetryExhaustedError` of a result that was to be retried (an HTTP response is returned as it
   * is); `'wrap'` makes one of errors too; `'last'` gives the last outcome, whatever it is. @defaultValue `'error'`
   */
  readonly onExhausted?: 'error' | 'wrap' | 'last';
}

declare module '../core/events.ts' {
  interface EventFields {
    /** An attempt ended, the first and the last included. */
    'retry.attempt': { readonly attempt: number; readonly duration: number; readonly verdict: Verdict };
    /** The wait before a further attempt begins. */
    'retry.scheduled': { readonly attempt: number; readonly delay: number; readonly reason: string; readonly error?: unknown };
    /** That attempt begins. */
    'retry.started': { readonly attempt: number; readonly reason: string };
    /** A call failed and there is no further attempt. */
    'retry.gave-up': { readonly attempts: number; readonly reason: GiveUpReason; readonly error?: unknown };
    /** It retries inside another retry, as `nested: 'warn'` says. */
    'retry.nested': object;
  }
}

/** A retry. */
export interface Retry<Sees> extends ReactionPolicy<Sees> {
  readonly kind: 'retry';
}

/** The option table. */
export const retryFields: Fields<RetrySettings> = {
  maxAttempts: count({ min: 1, infinite: true }).or(3),
  backoff: backoffField.or({}).orFunction<(retry: number) => number>('(retry) => ms'),
  when: fn<NonNullable<RetrySettings['when']>>('(outcome, { call, attempt }) => boolean').optional(),
  classify: fn<NonNullable<RetrySettings['classify']>>('(outcome, call) => verdict').optional(),
  delayFor: fn<NonNullable<RetrySettings['delayFor']>>('(outcome, { call, attempt }) => ms, undefined or false').optional(),
  retryAfter: retryAfterField.or({}),
  maxDuration: duration({ infinite: true }).or(Infinity),
  deadlineAware: flag().or(true),
  minAttemptTime: duration().or(0),
  idempotent: flag().orFunction<(call: Call) => boolean>('(call) => boolean').optional(),
  idempotencyKey: headerField('Idempotency-Key'),
  budget: budgetField.or({}),
  attemptHeader: headerField('x-retry-attempt'),
  nested: oneOf('suppress', 'warn', 'allow').or('suppress'),
  onExhausted: oneOf('error', 'wrap', 'last').or('error'),
  ...commonFields,
};

/**
 * Runs what lies inside again when it failed. The last error is rethrown as it is. An abort during a wait ends the call in the same tick; a wait that would outlast the deadline
 * is not begun; a wait that the service asks for is kept or the retry gives up; and what all calls add in attempts is bounded by a budget.
 *
 * Jitter after Brooker, "Exponential Backoff and Jitter", AWS Architecture Blog 2015.
 *
 * @throws OptionsError if an option is wrong
 */
export function retry<Sees = unknown>(options: RetryOptions<Sees> = {}): Retry<Sees> {
  return new RetryPolicy<Sees>(readOptions('retry', retryFields, options));
}

class RetryPolicy<Sees> implements Retry<Sees> {
  readonly kind = 'retry';
  readonly name: string | undefined;
  readonly mode: Mode;
  readonly #settings: RetrySettings;
  readonly #counts: RetryCounts = { retries: 0, gaveUp: 0 };

  constructor(settings: RetrySettings) {
    this.#settings = settings;
    this.name = settings.name;
    this.mode = settings.mode;
  }

  reaction(scope: Scope): Reaction {
    return new RetryReaction(this.#settings, this.#counts, scope);
  }

  mount: Retry<Sees>['mount'] = (next, scope) => mountAlone(this, next, scope);

  snapshot(): PlainData {
    return { ...this.#counts, budget: this.#settings.budget?.snapshot() };
  }

  describe(): PlainData {
    const { backoff, when, classify, delayFor, idempotent, budget, ...others } = this.#settings;
    const computed = typeof backoff === 'function';
    return {
      ...others,
      name: undefined,
      mode: undefined,
      backoff: computed ? 'computed' : { ...backoff },
      when: when === undefined ? 'errors and timeouts' : 'chosen',
      classify: classify === undefined ? undefined : 'chosen',
      delayFor: delayFor === undefined ? undefined : 'chosen',
      idempotent: typeof idempotent === 'function' ? 'computed' : idempotent,
      budget: budget?.describe(),
      longestBackoff: computed ? undefined : longestBackoff(backoff, others.maxAttempts - 1),
    };
  }
}
