import type { Call } from './call.ts';
import { Failure, type Outcome } from './outcome.ts';
import { type GatePolicy, stageOf } from './policy.ts';
import type { Scope } from './scope.ts';
import type { Gate, Narrowing } from './stage.ts';

/**
 * A gate policy that another policy keeps and takes calls through: what the kernel does for a gate that stands in a pipeline by itself
 * (`until`, `narrows`, one gate for each pipeline) is done here for one that does not.
 */
export class Kept<Child extends GatePolicy = GatePolicy> {
  readonly policy: Child;
  /** Calls that entered it, or wait to, and have not been settled. */
  calls = 0;
  /** When it was last asked for, ms. */
  seen: number;
  /** The pipeline it was made for, which mostly is the only one, and its gate there. */
  readonly scope: Scope;
  readonly gate: Gate;
  others: WeakMap<Scope, Gate> | undefined = undefined;

  constructor(policy: Child, scope: Scope, now: number) {
    this.policy = policy;
    this.seen = now;
    this.scope = scope;
    this.gate = gateOf(policy, scope);
  }

  /** Takes a call through its gate. It counts from before: the gate may ask a function of the user's, which may do whatever it likes. */
  enter(call: Call, scope: Scope, now: number): KeptPass | Failure | Promise<KeptPass | Failure> {
    const gate = this.gateIn(scope);
    let entered = false;
    this.calls++;
    try {
      const pass = gate.enter(call, now);
      entered = !(pass instanceof Failure);
      if (pass instanceof Failure) return pass;
      return pass instanceof Promise ? this.#wait(gate, pass, call) : new KeptPass(this, gate, pass, call);
    } finally {
      if (!entered) this.calls--;
    }
  }

  gateIn(scope: Scope): Gate {
    if (scope === this.scope) return this.gate;
    this.others ??= new WeakMap();
    let gate = this.others.get(scope);
    if (gate === undefined) this.others.set(scope, (gate = gateOf(this.policy, scope)));
    return gate;
  }

  async #wait(gate: Gate, waiting: Promise<unknown>, call: Call): Promise<KeptPass | Failure> {
    try {
      const pass = await waiting;
      if (!(pass instanceof Failure)) return new KeptPass(this, gate, pass, call);
      this.calls--;
      return pass;
    } catch (error) {
      this.calls--;
      throw error;
    }
  }
}

/**
 * A pass through a kept policy's gate: whose it is, the pass that the gate gave, and the call as it goes on inward.
 */
export class KeptPass implements Narrowing {
  readonly kept: Kept;
  readonly gate: Gate;
  readonly pass: unknown;
  readonly inner: Call;

  constructor(kept: Kept, gate: Gate, pass: unknown, call: Call) {
    this.kept = kept;
    this.gate = gate;
    this.pass = pass;
    this.inner = gate.narrows === true ? (pass as Narrowing).inner : call;
  }

  /** The work ran; where its gate waits for the work's real end, so does this. */
  settle(outcome: Outcome): void {
    if (this.gate.until !== 'work' || !this.inner.whenQuiet(() => this.#over(outcome))) this.#over(outcome);
  }

  cancel(): void {
    this.kept.calls--;
    this.gate.cancel(this.pass, this.#now());
  }

  #over(outcome: Outcome): void {
    this.kept.calls--;
    this.gate.settle(this.pass, outcome, this.#now());
  }

  #now(): number {
    return this.gate.timeless === true ? 0 : this.inner.scope.clock.now();
  }
}

function gateOf(policy: GatePolicy, scope: Scope): Gate {
  return stageOf(policy, scope)?.gate as Gate;
}
