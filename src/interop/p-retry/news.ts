/** What a p-retry tells and counts. */

import type { Call } from '../../core/call.ts';
import { type Classification, classify } from '../../core/classification.ts';
import { span } from '../../core/clock.ts';
import { Failure, type Outcome, errorIn } from '../../core/outcome.ts';
import type { Scope } from '../../core/scope.ts';

/**
 * Why there was no further attempt. `exhausted`: all `retries` were made. `not-retryable`: `shouldRetry` said so, or it was an AbortError, a TypeError or no Error at all.
 * `stopped`: one of its functions threw. `aborted`, `deadline`, `duration`: the time was over. `refused`: turned away by a policy further in. `nested`: a retry further out does it.
 */
export type PRetryEnd = 'exhausted' | 'not-retryable' | 'stopped' | 'aborted' | 'deadline' | 'duration' | 'refused' | 'nested';

/** What it counts, in all its pipelines together. */
export interface RepeatCounts {
  /** Attempts beyond the first. */
  retries: number;
  /** Calls that ended without success though another attempt was asked for, or made. */
  gaveUp: number;
}

/** Ends that have nothing to do with attempts that are used up. */
const asItIs: ReadonlySet<PRetryEnd> = new Set(['not-retryable', 'aborted', 'nested']);

/** Tells the listeners of one pipeline. */
export class RepeatNews {
  readonly #scope: Scope;
  readonly #counts: RepeatCounts;

  constructor(scope: Scope, counts: RepeatCounts) {
    this.#scope = scope;
    this.#counts = counts;
  }

  /** An attempt that began at `since` has ended. */
  ended(call: Call, attempt: number, since: number, outcome: Outcome): void {
    const scope = this.#scope;
    if (!scope.listening) return;
    const { verdict } = classify(outcome, call, scope);
    scope.emit('p-retry.attempt', 'debug', call, { attempt, duration: span(since, scope.clock.now()), verdict });
  }

  /** The call waits for its next attempt. */
  scheduled(call: Call, attempt: number, delay: number, outcome: Outcome): void {
    const scope = this.#scope;
    if (!scope.listening) return;
    scope.emit('p-retry.scheduled', 'warn', call, { attempt, delay, reason: this.#reason(outcome, call), error: errorIn(outcome) });
  }

  /** An attempt beyond the first begins, after this outcome. */
  started(call: Call, attempt: number, outcome: Outcome): void {
    const scope = this.#scope;
    this.#counts.retries++;
    if (scope.listening) scope.emit('p-retry.started', 'info', call, { attempt, reason: this.#reason(outcome, call) });
  }

  /** There is no further attempt; `attempts`: those that were not turned away. */
  gaveUp(outcome: Outcome, call: Call, attempts: number, reason: PRetryEnd): void {
    const scope = this.#scope;
    const plain = asItIs.has(reason);
    if (attempts > 1 || (reason !== 'refused' && !plain)) this.#counts.gaveUp++;
    if (!scope.listening) return;
    scope.emit('p-retry.gave-up', plain || attempts === 0 ? 'info' : 'error', call, { attempts, reason, error: errorIn(outcome) });
  }

  /** What another attempt is for, in a word. */
  #reason(outcome: Outcome, call: Call): string {
    const { throttled, timeout, dispatched, overload }: Classification = classify(outcome, call, this.#scope);
    if (throttled) return 'throttled';
    if (timeout) return 'timeout';
    if (!dispatched) return 'not-dispatched';
    return overload ? 'overload' : 'error';
  }
}

/** Why an outcome is not retried for which p-retry is not even asked; `undefined` if it is. */
export function endsAtOnce(outcome: Failure, call: Call): PRetryEnd | undefined {
  if (outcome.kind === 'aborted') return 'aborted';
  if (call.failure !== undefined) return call.failure.kind === 'aborted' ? 'aborted' : 'deadline';
  return outcome.kind === 'refused' ? 'refused' : undefined;
}
