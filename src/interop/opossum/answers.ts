import type { Call } from '../../core/call.ts';
import { BulkheadFullError } from '../../core/errors.ts';
import { Frame } from '../../core/frame.ts';
import { made } from '../../core/made.ts';
import { Failure, type Outcome, refuse, thrown } from '../../core/outcome.ts';
import type { Handler } from '../../core/policy.ts';
import { follow } from '../../core/run.ts';
import type { Scope } from '../../core/scope.ts';
import type { Reaction } from '../../core/stage.ts';
import { type Inside, fieldOf } from './breaker.ts';
import { type Entry, type Hit, timeoutError } from './entry.ts';
import type { SharedBreaker } from './shared.ts';

/** What a gate answers with if the call has its answer from elsewhere; it never gets past the reaction around it. */
export const elsewhere: Failure = new Failure(undefined, 'aborted');

/** An answer that opossum gives in place of the work, or may give. */
type Pending =
  | { readonly hit: Hit; readonly answer: unknown; readonly entry?: undefined }
  | { readonly hit?: undefined; readonly answer: unknown; readonly entry: Entry; readonly error: unknown };

/** Answers in place of the work: kept ones, those of other calls, and fallbacks. Stands around the gate, which says what there is. */
export class Answers implements Reaction {
  readonly #shared: SharedBreaker;
  readonly #scope: Scope;
  readonly #pending = new WeakMap<Call, Pending>();

  constructor(shared: SharedBreaker, scope: Scope) {
    this.#shared = shared;
    this.#scope = scope;
  }

  /** The call was answered from a cache, or gets what another call gets. */
  hit(call: Call, answer: unknown, hit: Hit): void {
    this.#pending.set(call, { hit, answer });
  }

  /** The call has failed with this error, and opossum may answer otherwise. */
  cover(entry: Entry, error: unknown): void {
    this.#pending.set(entry.call, { answer: entry.answer, entry, error });
  }

  handles(outcome: Outcome, call: Call): boolean {
    if (outcome === elsewhere) return true;
    return outcome instanceof Failure && outcome.kind !== 'aborted' && call.failure === undefined && this.#pending.has(call);
  }

  async react(outcome: Outcome, call: Call, again: Handler): Promise<Outcome> {
    let last = outcome;
    // Whoever went ahead may have given up, and then the one who went ahead next, and so on; what comes in place of an answer may be a fallback once more.
    while (this.handles(last, call)) last = await this.#find(last, call, again);
    return last;
  }

  async #find(outcome: Outcome, call: Call, again: Handler): Promise<Outcome> {
    const pending = this.#pending.get(call) as Pending;
    this.#pending.delete(call);
    const found = await this.#await(call, pending.answer);
    if (call.failure !== undefined) return call.failure;
    if (pending.hit === undefined) return this.#covered(outcome as Failure, found, pending.entry, pending.error, call);
    const leader = this.#shared.leaders.get(Object(pending.answer) as object);
    // Whoever went ahead gave up, was turned away further in, or ran out of time of their own: that is no answer for others.
    if (pending.hit === 'coalesce' && leader !== undefined && (leader.ignored || leader.call.failure !== undefined)) {
      this.#shared.forget(leader);
      return again(call);
    }
    if (leader?.substituted === true) call.markDegraded();
    if (this.#scope.listening)
      this.#scope.emit(pending.hit === 'cache' ? 'opossum.cache-used' : 'opossum.coalesce-used', 'debug', call, {});
    return found instanceof Failure ? this.#inOurWords(found, call) : found;
  }

  /** The answer, unless the call is cut short before it is there. */
  #await(call: Call, answer: unknown): Promise<Outcome> {
    const own = call.derive();
    return new Frame([], (inner) => follow(inner, () => answer)).handle(own).finally(() => call.release(own));
  }

  #covered(outcome: Failure, found: Outcome, entry: Entry, error: unknown, call: Call): Outcome {
    if (found instanceof Failure) {
      // Opossum passes the error on where no fallback was asked, such as that of a filtered one.
      if (Object.is(found.error, error)) return outcome;
      if (this.#scope.listening) this.#scope.emit('opossum.fallback-failed', 'error', call, { error: found.error });
      return found;
    }
    if (!entry.substituted) return outcome;
    call.markDegraded();
    if (this.#scope.listening) this.#scope.emit('opossum.fallback-used', 'warn', call, { error: outcome.error });
    return found;
  }

  /** What another call failed with, in our words. */
  #inOurWords({ error }: Failure, call: Call): Failure {
    const { code } = Object(error) as { readonly code?: unknown };
    const { pipeline, policy, stack } = this.#scope;
    if (!isOpossums(error)) return thrown(error);
    if (code === 'ETIMEDOUT')
      return new Failure(timeoutError(error, call, this.#scope, Number(this.#shared.real.options.timeout), true), 'timeout');
    const message = `${pipeline}: ${policy} had all its places taken when the call came whose answer this one shares`;
    return refuse(made(BulkheadFullError, message, { pipeline, policy, key: call.key, cause: error }, stack));
  }
}

/** Whether opossum made this error itself. */
function isOpossums(error: unknown): boolean {
  return typeof error === 'object' && error !== null && fieldOf(error, 'our-error') !== undefined;
}

/** Whether it may have a fallback: one whose secret is not known here may. */
export function hasFallback(breaker: Inside): boolean {
  const field = fieldOf(breaker, 'fallback');
  return field === undefined || typeof Reflect.get(breaker, field) === 'function';
}
