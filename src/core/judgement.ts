import type { Call } from './call.ts';
import { show } from './options.ts';
import { type Outcome, type Settled, type Verdict, settled, verdictOf } from './outcome.ts';
import type { Scope } from './scope.ts';

/** Judges what came of a call that ran: `true` is a failure, `false` a success, `'ignored'` counts as neither. */
export type FailureTest<Sees> = (outcome: Settled<Sees>, call: Call) => boolean | 'ignored';

/**
 * How an outcome counts where the user may say so. Refusals and aborts never reach the user's function: they are nobody's failure. If it throws
 * or answers anything else, that is reported and the outcome counts as neither.
 */
export function judge(isFailure: FailureTest<never> | undefined, outcome: Outcome, call: Call, scope: Scope): Verdict {
  const verdict = verdictOf(outcome);
  if (isFailure === undefined || verdict === 'ignored') return verdict;
  return scope.ask<Verdict>('isFailure', 'ignored', () => {
    const answer: unknown = isFailure(settled(outcome) as Settled<never>, call);
    if (typeof answer === 'boolean') return answer ? 'failure' : 'success';
    if (answer === 'ignored') return answer;
    throw new TypeError(`isFailure: expected true, false or 'ignored' as its answer, got ${show(answer)}`);
  });
}
