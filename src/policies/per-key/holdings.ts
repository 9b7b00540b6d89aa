import { quotasOf } from '../../core/allowance.ts';
import type { Call } from '../../core/call.ts';
import { Kept, type KeptPass } from '../../core/kept.ts';
import type { Failure } from '../../core/outcome.ts';
import type { GatePolicy } from '../../core/policy.ts';
import type { Quota } from '../../core/quota.ts';
import type { Scope } from '../../core/scope.ts';
import { strainedAmong } from '../../core/strain.ts';
import { type Ledger, type RowPass, ledgerFor } from '../../stores/ledger.ts';

/** What is held for a key: a policy, or the number of a row in the ledger. */
export type Held<Child extends GatePolicy> = Kept<Child> | number;

/**
 * A policy that can say whether it is as good as new at `now` (ms), calls under way aside: letting it go and making a new one for the same key changes
 * nothing. One that cannot say so counts as at rest when it was not asked for the time of `idle`.
 */
export interface Resting {
  atRest(now: number): boolean;
}

/** Holds policies; where policies are all alike and nothing but a law and some numbers, only the numbers. */
export class Holdings<Child extends GatePolicy> {
  readonly #alike: boolean;
  #ledger: Ledger<Child> | undefined = undefined;

  /** `alike`: whether policies are expected to be. */
  constructor(alike: boolean) {
    this.#alike = alike;
  }

  /** Holds a new policy from now on. */
  hold(policy: Child, scope: Scope, now: number): Held<Child> {
    if (this.#alike && (this.#ledger?.size ?? 0) === 0 && this.#ledger?.suits(policy, scope) !== true)
      this.#ledger = ledgerFor(policy, scope, now);
    return this.#ledger?.suits(policy, scope) === true ? this.#ledger.open(policy, scope, now) : new Kept(policy, scope, now);
  }

  /** Lets go of what is at rest. */
  letGo(held: Held<Child>): void {
    if (typeof held === 'number') this.#rows.close(held);
  }

  /** Takes a call through its gate. */
  enter(held: Held<Child>, call: Call, scope: Scope, now: number): Entered | Promise<Entered> {
    return typeof held === 'number' ? this.#rows.enter(held, call, scope, now) : held.enter(call, scope, now);
  }

  /** When it was last asked for, ms. */
  seen(held: Held<Child>): number {
    return typeof held === 'number' ? this.#rows.seen(held) : held.seen;
  }

  see(held: Held<Child>, now: number): void {
    if (typeof held === 'number') this.#rows.see(held, now);
    else held.seen = now;
  }

  /** Whether it may be let go; one that cannot say so itself may if it was not asked for since `unused`, ms. */
  isAtRest(held: Held<Child>, unused: number, now: number): boolean {
    if (typeof held === 'number') return this.#rows.isAtRest(held, now);
    if (held.calls > 0) return false;
    const { atRest } = held.policy as Partial<Resting>;
    return typeof atRest === 'function' ? atRest.call(held.policy, now) : held.seen <= unused;
  }

  isStrained(held: Held<Child>, call: Call): boolean {
    if (typeof held === 'number') return this.#rows.isStrained(held, call);
    return strainedAmong([held.policy], call) !== undefined;
  }

  /** What a key is allowed for whom this is held. */
  quotas(held: Held<Child>, key: string, name: string, now: number): readonly Quota[] {
    return typeof held === 'number' ? this.#rows.quotas(held, name, now) : quotasOf(held.policy, key, name, now);
  }

  /** The policy. Where only its numbers were held, one that `make` makes takes them on, if it can, and is held from now on. */
  policyOf(held: Held<Child>, make: () => Child): Child | undefined {
    return typeof held === 'number' ? this.#rows.policyOf(held, make) : held.policy;
  }

  get #rows(): Ledger<Child> {
    return this.#ledger as Ledger<Child>;
  }
}

/** What a call gets at the gate of its key. */
export type Entered = KeptPass | RowPass | Failure;
