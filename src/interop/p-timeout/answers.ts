import type { Call } from '../../core/call.ts';
import { discard } from '../../core/disposal.ts';
import { isGentle } from '../../core/gentle.ts';
import { Failure, type Outcome } from '../../core/outcome.ts';
import type { Scope } from '../../core/scope.ts';
import type { Reaction } from '../../core/stage.ts';
import { Expired, type TimeLimit } from './time-limit.ts';

/** Next to the limit, outside: gives the caller what the package makes of a call whose time was up. */
export class Answers implements Reaction {
  readonly #limit: TimeLimit;
  readonly #scope: Scope;
  readonly #finds: boolean;

  /** `finds`: whether a fallback is asked. */
  constructor(limit: TimeLimit, finds: boolean) {
    this.#limit = limit;
    this.#scope = limit.scope;
    this.#finds = finds;
  }

  handles(outcome: Outcome): boolean {
    return outcome instanceof Expired && outcome.limit === this.#limit;
  }

  /** Waits for the package; a call that is cut meanwhile does not. */
  react(outcome: Outcome, call: Call): Promise<Outcome> {
    const expired = outcome as Expired;
    return new Promise((resolve) => {
      let over = false;
      const cut = (failure: Failure): void => {
        if (isGentle(failure)) {
          call.waiter = cut;
          return;
        }
        over = true;
        resolve(failure);
      };
      call.waiter = cut;
      void expired.answer.then((answer) => {
        if (over) {
          discard(answer);
          return;
        }
        call.waiter = undefined;
        this.#tell(answer, expired, call);
        resolve(answer);
      });
    });
  }

  #tell(answer: Outcome, expired: Expired, call: Call): void {
    const scope = this.#scope;
    if (!(answer instanceof Failure)) {
      call.markDegraded();
      if (scope.listening) scope.emit('p-timeout.fallback-used', 'warn', call, { error: expired.error });
    } else if (this.#finds && scope.listening) {
      scope.emit('p-timeout.fallback-failed', 'error', call, { error: answer.error });
    }
  }
}
