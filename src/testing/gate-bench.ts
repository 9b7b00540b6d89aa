import { noOptions } from '../core/call-options.ts';
import { Call } from '../core/call.ts';
import { Outlet } from '../core/events.ts';
import { Failure, type Outcome } from '../core/outcome.ts';
import type { GatePolicy } from '../core/policy.ts';
import { Scope } from '../core/scope.ts';
import type { Gate } from '../core/stage.ts';
import type { LawClock, Subject } from './contract.ts';
import { seededRandom } from './random.ts';
import { VirtualClock } from './virtual-clock.ts';

/** Every way a call can end, for a gate. */
export const endings: readonly Outcome[] = [
  undefined,
  { a: 'value' },
  new Failure(undefined, 'thrown'),
  new Failure('a string', 'aborted'),
  new Failure(new Error('late'), 'timeout'),
  new Failure(null, 'refused'),
];

/** A gate by itself, without a pipeline around it. */
export class GateBench {
  readonly clock: LawClock;
  readonly policy: GatePolicy;
  readonly gate: Gate;
  readonly #scope: Scope;

  constructor(clock: Subject['clock'], policy: GatePolicy) {
    this.clock = clock?.() ?? new VirtualClock();
    this.policy = policy;
    this.#scope = new Scope('bench', this.clock, seededRandom(1), false, new Outlet(), undefined, policy.name ?? policy.kind);
    this.gate = policy.gate(this.#scope);
  }

  /** Sends a call in; answers with its pass. */
  enter(): unknown {
    const now = this.clock.now();
    const pass = this.gate.enter(new Call(this.#scope, () => undefined, noOptions, true, now, Infinity), now);
    if (pass instanceof Promise) throw new Error('a roomy gate should let a call in without a wait');
    if (pass instanceof Failure) throw new Error(`a roomy gate should let a call in, and refused with ${String(pass.error)}`);
    return pass;
  }
}
