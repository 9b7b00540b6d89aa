/** What a retry tells and counts. */

import type { Call } from '../../core/call.ts';
import { span } from '../../core/clock.ts';
import { Failure, type Outcome, type Verdict, errorIn } from '../../core/outcome.ts';
import type { Scope } from '../../core/scope.ts';
import type { GiveUpReason } from './rules.ts';

/** What a retry counts, in all its pipelines together. */
export interface RetryCounts {
  /** Attempts beyond the first. */
  retries: number;
  /** Calls that ended without success though another attempt was asked for, or made. */
  gaveUp: number;
}

const attemptsByError = new WeakMap<object, number>();

/** How many attempts the retry made whose call rejected with this error; `undefined` if no retry saw it, or the work never ran. */
export function attemptsOf(error: unknown): number | undefined {
  return attemptsByError.get(Object(error) as object);
}

/** Takes down how many attempts led to an error. */
export function rememberAttempts(error: unknown, attempts: number): void {
  if ((typeof error === 'object' && error !== null) || typeof error === 'function') attemptsByError.set(error, attempts);
}

/** Reasons that have nothing to do with attempts that are used up: what came is what the caller gets. */
export const asItIs: ReadonlySet<GiveUpReason> = new Set(['not-retryable', 'aborted', 'nested', 'not-idempotent']);

/** Tells the listeners of one pipeline. */
export class RetryNews {
  readonly #scope: Scope;
  readonly #counts: RetryCounts;

  constructor(scope: Scope, counts: RetryCounts) {
    this.#scope = scope;
    this.#counts = counts;
  }

  /** An attempt that began at `since` has ended. */
  ended(call: Call, attempt: number, since: number, verdict: Verdict): void {
    const scope = this.#scope;
    if (scope.listening) scope.emit('retry.attempt', 'debug', call, { attempt, duration: span(since, scope.clock.now()), verdict });
  }

  /** The call waits for its next attempt. */
  scheduled(call: Call, attempt: number, delay: number, reason: string, outcome: Outcome): void {
    const scope = this.#scope;
    if (scope.listening) scope.emit('retry.scheduled', 'warn', call, { attempt, delay, reason, error: errorIn(outcome) });
  }

  /** An attempt beyond the first begins. */
  started(call: Call, attempt: number, reason: string): void {
    const scope = this.#scope;
    this.#counts.retries++;
    if (scope.listening) scope.emit('retry.started', 'info', call, { attempt, reason });
  }

  /** A retry further out stands around this one, which goes on all the same. */
  nested(call: Call): void {
    const scope = this.#scope;
    if (scope.listening) scope.emit('retry.nested', 'warn', call, {});
  }

  /** There is no further attempt. */
  gaveUp(outcome: Outcome, call: Call, attempts: number, reason: GiveUpReason): void {
    const scope = this.#scope;
    if (outcome instanceof Failure && attempts > 0) rememberAttempts(outcome.error, attempts);
    if (attempts > 1 || (reason !== 'refused' && !asItIs.has(reason))) this.#counts.gaveUp++;
    if (scope.listening)
      scope.emit('retry.gave-up', asItIs.has(reason) || attempts === 0 ? 'info' : 'error', call, {
        attempts,
        reason,
        error: errorIn(outcome),
      });
  }
}
