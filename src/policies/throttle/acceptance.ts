import type { Call } from '../../core/call.ts';
import { type Classifier, classify } from '../../core/classification.ts';
import { TimeoutError } from '../../core/errors.ts';
import { show } from '../../core/options.ts';
import { Failure, type Outcome, type Settled, settled } from '../../core/outcome.ts';
import type { Scope } from '../../core/scope.ts';

/** Says whether the service accepted a call; `'ignored'` counts as nothing at all. */
export type AcceptanceTest<Sees = unknown> = (outcome: Settled<Sees>, call: Call) => boolean | 'ignored';

/** What keeps a call from counting as accepted: signs of overload, any failure, or what a function says. */
export type Accepts = 'overload' | 'failure' | AcceptanceTest<never>;

/**
 * Whether the service accepted a call; `undefined` where its outcome says nothing about the service: the caller gave up, or something of ours further in turned
 * the call away.
 */
export function acceptanceOf(
  outcome: Outcome,
  call: Call,
  scope: Scope,
  accepts: Accepts,
  own: Classifier<never> | undefined,
): boolean | undefined {
  if (outcome instanceof Failure && isOurs(outcome)) return undefined;
  if (typeof accepts === 'function') return asked(outcome, call, scope, accepts);
  const { verdict, overload, throttled, timeout, dispatched } = classify(outcome, call, scope, own);
  if (accepts === 'failure') return verdict === 'ignored' ? undefined : verdict === 'success';
  if (overload || throttled || timeout) return false;
  return verdict === 'ignored' || !dispatched ? undefined : true;
}

/** Ended on this side, before the service had anything to do with it or whatever it did. */
function isOurs({ error, kind }: Failure): boolean {
  return kind === 'refused' || kind === 'aborted' || (kind === 'timeout' && error instanceof TimeoutError && !error.started);
}

function asked(outcome: Outcome, call: Call, scope: Scope, accepts: AcceptanceTest<never>): boolean | undefined {
  return scope.ask<boolean | undefined>('accepts', undefined, () => {
    const answer: unknown = accepts(settled(outcome) as Settled<never>, call);
    if (typeof answer === 'boolean') return answer;
    if (answer === 'ignored') return undefined;
    throw new TypeError(`accepts: expected true, false or 'ignored' as its answer, got ${show(answer)}`);
  });
}
