import type { Call } from '../../core/call.ts';
import { type Classifier, classify } from '../../core/classification.ts';
import { Failure, type Outcome } from '../../core/outcome.ts';
import type { Scope } from '../../core/scope.ts';

/** What an outcome says about load: how long a call takes, that there is too much of it, or nothing. */
export type LoadSign = 'time' | 'drop' | 'nothing';

/**
 * Successes tell how long a call takes. Timeouts and signs of overload (429, 503, `RESOURCE_EXHAUSTED`) are drops. Other failures take as long as they like, mostly no
 * time at all; they say nothing, and neither do aborts, refusals further in and what is ignored.
 */
export function loadSignOf(outcome: Outcome, call: Call, scope: Scope, own: Classifier<never> | undefined): LoadSign {
  if (outcome instanceof Failure && (outcome.kind === 'aborted' || outcome.kind === 'refused')) return 'nothing';
  const { verdict, overload, timeout, throttled } = classify(outcome, call, scope, own);
  if (verdict === 'ignored') return 'nothing';
  if (overload || timeout || throttled) return 'drop';
  return verdict === 'success' ? 'time' : 'nothing';
}
