import { Alarm } from '../../core/alarm.ts';
import type { Call } from '../../core/call.ts';
import { Failure, type Outcome } from '../../core/outcome.ts';
import type { Handler } from '../../core/policy.ts';
import type { Scope } from '../../core/scope.ts';
import { type Limit, TimeLimit, type TimeLimitOwner, type Timed } from './time-limit.ts';

/** Tells the work that its time is up, and waits for it a while. */
export class Patience {
  readonly #limit: TimeLimit;
  readonly #scope: Scope;
  readonly #next: Handler;
  readonly #cooperative: boolean;

  constructor(limit: Limit, scope: Scope, owner: TimeLimitOwner, next: Handler, cooperative: boolean, grace: number) {
    this.#scope = scope;
    this.#next = next;
    this.#cooperative = cooperative;
    this.#limit = new TimeLimit(limit, scope, owner, (timed, failure) => {
      timed.inner.windDown(failure);
      if (grace === Infinity) return;
      timed.grace = new Alarm(scope.clock, () => timed.inner.cut(new Failure(failure.error, 'timeout')));
      timed.grace.set(timed.due + grace, timed.due);
    });
  }

  readonly handle: Handler = (call) => (this.#scope.shadow ? this.#watch(call) : this.#keep(call));

  /** In shadow the limit stands beside the call, where its end is nobody's. */
  async #watch(call: Call): Promise<Outcome> {
    const beside = call.derive();
    let timed: Timed | undefined;
    try {
      timed = this.#limit.start(beside, call.at);
    } catch (error) {
      this.#scope.report('after', error);
    }
    const outcome = await this.#next(call);
    call.release(beside);
    if (timed === undefined) return outcome;
    timed.inner.degraded = call.degraded;
    timed.grace?.clear();
    this.#limit.end(timed);
    if (call.started) this.#limit.learn(timed, outcome, this.#scope.clock.now());
    return outcome;
  }

  async #keep(call: Call): Promise<Outcome> {
    const timed = this.#limit.start(call, call.at);
    const outcome = await this.#next(timed.inner);
    timed.grace?.clear();
    this.#limit.end(timed);
    call.release(timed.inner);
    if (timed.inner.started) this.#limit.learn(timed, outcome, this.#scope.clock.now());
    const { expired } = timed;
    // A caller that gave up meanwhile has the last word.
    return expired === undefined || call.failure !== undefined ? outcome : this.#verdict(outcome, expired);
  }

  /** What comes of a call that was told to stop. */
  #verdict(outcome: Outcome, expired: Failure): Outcome {
    if (!(outcome instanceof Failure)) {
      if (this.#cooperative) return outcome;
      this.#limit.late(outcome);
      return expired;
    }
    return this.#cooperative && outcome.error !== expired.error && !isAbort(outcome.error) ? outcome : expired;
  }
}

/** Whether this is how work says that it stopped because its signal aborted. */
function isAbort(error: unknown): boolean {
  try {
    return error instanceof Error && error.name === 'AbortError';
  } catch {
    // An error that throws when it is looked at.
    return false;
  }
}
