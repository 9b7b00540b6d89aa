import type { Call } from '../../core/call.ts';
import { Failure } from '../../core/outcome.ts';
import type { Scope } from '../../core/scope.ts';
import { pause } from '../../core/wait.ts';
import { LimiterGate, type Limiting } from '../../stores/limiter/limiter-gate.ts';

/** A limiter that holds a refusal against those who come next, or spreads calls over the window. */
export interface Strictness extends Limiting<number, unknown> {
  /** A call was refused at `now`. */
  offend(cost: number, now: number): void;
  /** How long a call is held that was let in at `now`, ms. */
  hold(now: number): number;
}

/** A fixed window as one pipeline sees it, where it does more than to count: a call is told the wait that it has earned. */
export class FixedWindowGate extends LimiterGate<number, unknown> {
  readonly #limiter: Strictness;
  readonly #scope: Scope;

  constructor(limiter: Strictness, scope: Scope) {
    super(limiter, scope);
    this.#limiter = limiter;
    this.#scope = scope;
  }

  override enter(call: Call, now: number): unknown {
    const entered = super.enter(call, now);
    if (entered instanceof Failure) {
      this.#limiter.offend(this.#limiter.priceOf(call), now);
      return super.enter(call, now);
    }
    if (entered instanceof Promise || !call.waits) return entered;
    const wait = this.#limiter.hold(now);
    return wait > 0 && now + wait < call.deadline ? this.#hold(call, entered, wait) : entered;
  }

  async #hold(call: Call, pass: unknown, wait: number): Promise<unknown> {
    const scope = this.#scope;
    if (scope.listening) scope.emit('fixed-window.delayed', 'debug', call, { wait, cost: this.#limiter.priceOf(call) });
    const cut = await pause(call, wait);
    if (cut === undefined) return pass;
    this.cancel(pass);
    return cut;
  }
}

/**
 * How long a call is held so that those that are left spread over the time that is left, whole ms: `left` ms, shared by `remaining` calls and two more, but `least` ms at least. As
 * rate-limiter-flexible does it.
 */
export function spacing(left: number, remaining: number, least: number): number {
  return Math.max(least, Math.ceil(left / (remaining + 2)));
}
