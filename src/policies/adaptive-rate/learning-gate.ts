import type { Call } from '../../core/call.ts';
import { Failure, type Outcome } from '../../core/outcome.ts';
import type { Gate } from '../../core/stage.ts';

/** A call that was let in, and when. */
class Sent {
  readonly pass: unknown;
  readonly call: Call;
  readonly at: number;

  constructor(pass: unknown, call: Call, at: number) {
    this.pass = pass;
    this.call = call;
    this.at = at;
  }
}

/** A limiter's gate that is also told what came of the calls it let in. */
export class LearningGate implements Gate<Sent> {
  readonly #limiter: Gate;
  readonly #learn: (outcome: Outcome, call: Call, sent: number, now: number) => void;

  constructor(limiter: Gate, learn: (outcome: Outcome, call: Call, sent: number, now: number) => void) {
    this.#limiter = limiter;
    this.#learn = learn;
  }

  enter(call: Call, now: number): Sent | Failure | Promise<Sent | Failure> {
    const pass = this.#limiter.enter(call, now);
    if (pass instanceof Failure) return pass;
    if (pass instanceof Promise) return pass.then((late: unknown) => (late instanceof Failure ? late : sentLater(late, call)));
    return new Sent(pass, call, now);
  }

  settle({ pass, call, at }: Sent, outcome: Outcome, now: number): void {
    this.#limiter.settle(pass, outcome, now);
    this.#learn(outcome, call, at, now);
  }

  cancel({ pass }: Sent, now: number): void {
    this.#limiter.cancel(pass, now);
  }
}

function sentLater(pass: unknown, call: Call): Sent {
  return new Sent(pass, call, call.scope.clock.now());
}
