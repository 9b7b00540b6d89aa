import type { Call } from './call.ts';
import { modeOf } from './mode.ts';
import type { AnyPolicy } from './policy.ts';

/** A policy that can say that it refuses calls like this one, or is close to it: extra work should then be left undone. */
export interface Strainable {
  strained(call: Call): boolean;
}

/** From this share of what it allows a policy counts as strained. */
export const STRAIN = 0.8;

/** The first of these policies that is strained and would act on this call. */
export function strainedAmong(policies: readonly AnyPolicy[], call: Call): AnyPolicy | undefined {
  return policies.find((policy) => {
    const { strained, mode = 'enforce' } = policy as Partial<Strainable> & AnyPolicy;
    return (
      typeof strained === 'function' && strained.call(policy, call) && (mode === 'enforce' || modeOf(mode, call, call.scope) === 'enforce')
    );
  });
}
