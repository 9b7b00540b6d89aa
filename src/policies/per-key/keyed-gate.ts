import type { Call } from '../../core/call.ts';
import { RejectedError } from '../../core/errors.ts';
import { made } from '../../core/made.ts';
import { type Failure, type Outcome, refuse } from '../../core/outcome.ts';
import type { GatePolicy } from '../../core/policy.ts';
import type { Scope } from '../../core/scope.ts';
import type { Gate, Narrowing } from '../../core/stage.ts';
import type { Entered } from './holdings.ts';
import type { Registry } from './registry.ts';

/** A pass: that of the key's own policy, or for a call without a key just the call as it goes on inward. */
type Pass = Exclude<Entered, Failure> | Unkeyed;

/** The policies of all keys as one pipeline sees them. */
export class KeyedGate implements Gate<Pass> {
  readonly narrows = true;
  readonly timeless = true;
  readonly #registry: Registry<GatePolicy>;
  readonly #refuses: boolean;
  readonly #scope: Scope;
  /** What the policies of the keys see: their refusals and events name their kind too. */
  readonly #inner: Scope;

  /** `refuses`: calls without a key. */
  constructor(registry: Registry<GatePolicy>, refuses: boolean, scope: Scope, inner: Scope) {
    this.#registry = registry;
    this.#refuses = refuses;
    this.#scope = scope;
    this.#inner = inner;
  }

  enter(call: Call, now: number): Pass | Failure | Promise<Pass | Failure> {
    const { key } = call;
    if (key !== undefined) return this.#registry.enter(key, call, this.#scope, this.#inner, now);
    return this.#refuses ? this.#refuse() : new Unkeyed(call);
  }

  settle(pass: Pass, outcome: Outcome): void {
    pass.settle(outcome);
  }

  cancel(pass: Pass): void {
    pass.cancel();
  }

  #refuse(): Failure {
    const { pipeline, policy, stack } = this.#scope;
    const message = `${pipeline}: ${policy} refuses calls without a key (missing: 'refuse')`;
    return refuse(made(RejectedError, message, { pipeline, policy, retryAfter: Infinity }, stack));
  }
}

/** The pass of a call without a key, of which nobody keeps count. */
class Unkeyed implements Narrowing {
  readonly inner: Call;

  constructor(call: Call) {
    this.inner = call;
  }

  settle(): void {
    // nothing was counted
  }

  cancel(): void {
    // nothing is to be given back
  }
}
