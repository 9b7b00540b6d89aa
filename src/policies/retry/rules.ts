/** How a retry decides, in one pipeline: whether to try again, after what wait, and what the caller gets when there is no more. */

import { Backoff, type BackoffSettings } from '../../algorithms/backoff.ts';
import type { ExtraCause } from '../../algorithms/retry-budget.ts';
import type { Call } from '../../core/call.ts';
import { type Classification, type Classifier, classify } from '../../core/classification.ts';
import type { CommonSettings } from '../../core/mode.ts';
import { show } from '../../core/options.ts';
import { Failure, type Outcome, type Settled, type Verdict, settled } from '../../core/outcome.ts';
import type { Scope } from '../../core/scope.ts';
import { isThenable } from '../../core/thenable.ts';
import type { RetryBudget } from '../../stores/retry-budget.ts';

/** What a retry's functions are told. */
export interface RetryContext {
  readonly call: Call;
  /** Attempts made so far, from 1. */
  readonly attempt: number;
}

/**
 * Why there was no further attempt. `exhausted`: all were made. `not-retryable`: the outcome is not worth one. `aborted`, `deadline`, `duration`: the time was over, or would
 * have been. `budget`: not paid for. `stopped`: `delayFor` said so. `retry-after`: the service asks for a longer wait than is allowed, or for none at all. `refused`: turned
 * away by a policy further in. `nested`: a retry further out does it. `not-idempotent`: it may have been done already.
 */
export type GiveUpReason =
  | 'exhausted'
  | 'not-retryable'
  | 'aborted'
  | 'deadline'
  | 'duration'
  | 'budget'
  | 'stopped'
  | 'retry-after'
  | 'refused'
  | 'nested'
  | 'not-idempotent';

/** What is done about waits that the service asks for. */
export interface RetryAfterSettings {
  readonly honour: boolean;
  readonly max: number;
  readonly jitter: number;
  readonly onExceed: 'stop' | 'clamp' | 'ignore';
}

/** Options of a retry, as read. */
export interface RetrySettings extends CommonSettings {
  readonly maxAttempts: number;
  readonly backoff: BackoffSettings | ((retry: number) => number);
  readonly when: ((outcome: Settled<never>, context: RetryContext) => boolean | PromiseLike<boolean>) | undefined;
  readonly classify: Classifier<never> | undefined;
  readonly delayFor: ((outcome: Settled<never>, context: RetryContext) => number | undefined | false) | undefined;
  readonly retryAfter: RetryAfterSettings;
  readonly maxDuration: number;
  readonly deadlineAware: boolean;
  readonly minAttemptTime: number;
  readonly idempotent: boolean | ((call: Call) => boolean) | undefined;
  readonly idempotencyKey: string | undefined;
  readonly budget: RetryBudget | undefined;
  readonly attemptHeader: string | undefined;
  readonly nested: 'suppress' | 'warn' | 'allow';
  readonly onExhausted: 'error' | 'wrap' | 'last';
}

/** What an outcome means to a retry. */
export interface Judgement {
  readonly classification: Classification;
  /** Whether another attempt is asked for; a promise if the user's function takes its time. */
  readonly wanted: boolean | PromiseLike<boolean>;
}

/** The rules of a retry in one pipeline. */
export class RetryRules {
  readonly settings: RetrySettings;
  readonly #scope: Scope;

  constructor(settings: RetrySettings, scope: Scope) {
    this.settings = settings;
    this.#scope = scope;
  }

  /** The waits of one call, if they are a schedule. */
  schedule(): Backoff | undefined {
    const { backoff } = this.settings;
    return typeof backoff === 'function' ? undefined : new Backoff(backoff);
  }

  judge(outcome: Outcome, context: RetryContext): Judgement {
    const { when, classify: own } = this.settings;
    const { call } = context;
    const classification = classify(outcome, call, this.#scope, own);
    if (call.failure !== undefined || (outcome instanceof Failure && outcome.kind === 'aborted')) return { classification, wanted: false };
    if (when === undefined) return { classification, wanted: classification.verdict === 'failure' && classification.retryable };
    const wanted = this.#scope.ask<Judgement['wanted']>('when', false, () => {
      const answer: unknown = when(settled(outcome) as Settled<never>, context);
      return isThenable(answer) ? (answer as PromiseLike<boolean>) : Boolean(answer);
    });
    return { classification, wanted };
  }

  /** What a function that takes its time says about another attempt; a call that is cut meanwhile does not wait for it. */
  answer(wanted: PromiseLike<boolean>, call: Call): Promise<boolean | Failure> {
    return new Promise((resolve) => {
      let over = false;
      const end = (answer: boolean | Failure): void => {
        // An answer that comes after the cut finds others waiting for this call.
        if (!over) call.waiter = undefined;
        over = true;
        resolve(answer);
      };
      if (call.failure !== undefined) end(call.failure);
      else call.waiter = end;
      Promise.resolve(wanted).then(
        (answer) => end(call.failure ?? Boolean(answer as unknown)),
        (error: unknown) => {
          this.#scope.report('when', error);
          end(call.failure ?? false);
        },
      );
    });
  }

  /** The wait before the next attempt, ms, or why there is none. Says nothing about what it costs. */
  next(outcome: Outcome, classification: Classification, context: RetryContext, schedule: Backoff | undefined): number | GiveUpReason {
    const { maxAttempts, maxDuration, deadlineAware, minAttemptTime } = this.settings;
    const { call, attempt } = context;
    if (attempt >= maxAttempts) return 'exhausted';
    const delay = this.#delay(outcome, classification, context, schedule);
    if (typeof delay === 'string') return delay;
    const start = this.#scope.clock.now() + delay;
    if (start > call.begun + maxDuration) return 'duration';
    if (deadlineAware && start + minAttemptTime >= call.deadline) return 'deadline';
    return classification.dispatched && !this.#mayRepeat(call) ? 'not-idempotent' : delay;
  }

  #delay(outcome: Outcome, classification: Classification, context: RetryContext, schedule: Backoff | undefined): number | GiveUpReason {
    const { delayFor, backoff, retryAfter } = this.settings;
    return this.#scope.ask<number | GiveUpReason>('delay', 'stopped', () => {
      const planned = schedule?.next(this.#scope.random());
      const chosen = delayFor?.(settled(outcome) as Settled<never>, context);
      if (chosen === false) return 'stopped';
      const delay = chosen ?? planned ?? (backoff as (retry: number) => number)(context.attempt);
      if (!(delay >= 0)) throw new RangeError(`retry: expected a function that answers with ms, got ${show(delay)}`);
      return chosen === undefined ? this.#atLeast(delay, classification.retryAfter) : Math.min(delay, retryAfter.max);
    });
  }

  /** The delay, or the longer wait that the service asks for. */
  #atLeast(delay: number, asked: number | undefined): number | GiveUpReason {
    const { honour, max, jitter, onExceed } = this.settings.retryAfter;
    if (!honour || asked === undefined || !(asked >= 0)) return delay;
    if (asked === Infinity) return 'retry-after';
    if (asked > max) return onExceed === 'stop' ? 'retry-after' : onExceed === 'clamp' ? Math.max(delay, max) : delay;
    return Math.max(delay, Math.min(asked * (1 + this.#scope.random() * (jitter - 1)), max));
  }

  #mayRepeat(call: Call): boolean {
    const { idempotent } = this.settings;
    if (typeof idempotent !== 'function') return (idempotent ?? call.idempotent) !== false;
    return this.#scope.ask('idempotent', false, () => idempotent(call));
  }
}

/** What an extra attempt is for, as budgets have it. */
export function causeOf({ timeout, throttled }: Classification): ExtraCause {
  return throttled ? 'throttled' : timeout ? 'timeout' : 'failure';
}

/** The same for the service, in a word. */
export function reasonOf(outcome: Outcome, { timeout, throttled, overload, dispatched }: Classification): string {
  if (throttled) return 'throttled';
  if (timeout) return 'timeout';
  if (!dispatched) return 'not-dispatched';
  if (overload) return 'overload';
  return outcome instanceof Failure ? 'error' : 'result';
}

/** Why an outcome that is not retried is not. */
export function whyNot(outcome: Outcome, call: Call): GiveUpReason {
  if (!(outcome instanceof Failure)) return 'not-retryable';
  if (outcome.kind === 'aborted') return 'aborted';
  if (call.failure !== undefined) return call.failure.kind === 'aborted' ? 'aborted' : 'deadline';
  return outcome.kind === 'refused' ? 'refused' : 'not-retryable';
}

/** Whether an outcome is one that somebody may want retried. */
export function isFailed(outcome: Outcome, verdict: Verdict): boolean {
  return outcome instanceof Failure || verdict === 'failure';
}

/** How an attempt counts for budgets: failures that no other attempt would help against say nothing. */
export function countsAs({ classification: { verdict, retryAfter, dispatched } }: Judgement, wanted: boolean): Verdict {
  if (wanted || (retryAfter === Infinity && dispatched)) return 'failure';
  return verdict === 'success' ? 'success' : 'ignored';
}
