import type { Call } from './call.ts';
import { Passage } from './passage.ts';
import { RejectedError } from './errors.ts';
import { made } from './made.ts';
import { Failure, type Outcome, refuse, retryAfterOf, thrown } from './outcome.ts';
import type { Place } from './place.ts';

/**
 * A call that was let in without a function to run: whoever holds it says how it ended, once. Made by `acquire` and `tryAcquire`.
 *
 * @typeParam V - what a success may be reported with
 */
export interface Admission<V = unknown> extends Disposable {
  readonly admitted: true;
  /** Aborts when the caller's signal does or a timeout among the gates expires. */
  readonly signal: AbortSignal;
  /** Milliseconds left until the deadline, or a timeout among the gates, never negative; `Infinity` if nothing bounds it. */
  remaining(): number;
  /** It went well. */
  success(value?: V): void;
  /** It failed. */
  failure(error?: unknown): void;
  /** It counts as neither; the same as leaving a `using` block without a word. */
  ignore(): void;
}

/** An admission as adapters hold it: they hear that it was cut short without a signal being made for that. */
export interface HeldAdmission extends Admission {
  /** Why it was cut short, once it was. */
  readonly cut: Failure | undefined;
  /** Called when it is; once, and by one. */
  onCut: ((failure: Failure) => void) | undefined;
}

/** A call that was turned away. */
export interface Refusal {
  readonly admitted: false;
  readonly error: unknown;
  /** Milliseconds after which a new call has a chance, where that is known; `Infinity`: never. */
  readonly retryAfter?: number;
}

/** Takes a call through the gates and hands out what settles it. `over` is called once it is settled or was refused. */
export function admit(places: readonly Place[], call: Call, over: Over): Admission | Refusal | Promise<Admission | Refusal> {
  const passage = new Passage(places, call);
  const answer = passage.advance();
  if (answer === undefined) return new Admitted(passage, over);
  if (!(answer instanceof Promise)) return refused(passage, answer, over);
  const waiting = afterWait(passage, answer, over);
  if (call.waits) return waiting;
  const { pipeline, stack } = call.scope;
  const failure = refuse(made(RejectedError, `${pipeline}: the call would have to wait, and tryAcquire does not`, { pipeline }, stack));
  call.cut(failure);
  return { admitted: false, error: failure.error };
}

type Over = (outcome: Outcome, call: Call) => unknown;

async function afterWait(passage: Passage, waiting: Promise<undefined | Failure>, over: Over): Promise<Admission | Refusal> {
  const failure = await waiting;
  return failure === undefined ? new Admitted(passage, over) : refused(passage, failure, over);
}

function refused(passage: Passage, failure: Failure, over: Over): Refusal {
  passage.retreat(failure);
  over(failure, passage.call);
  const { error } = failure;
  const retryAfter = retryAfterOf(error);
  return retryAfter === undefined ? { admitted: false, error } : { admitted: false, error, retryAfter };
}

class Admitted implements HeldAdmission {
  readonly admitted = true;
  readonly #passage: Passage;
  readonly #over: Over;
  #open = true;

  constructor(passage: Passage, over: Over) {
    this.#passage = passage;
    this.#over = over;
    passage.inner.markStarted();
  }

  get signal(): AbortSignal {
    return this.#passage.inner.signal;
  }

  get cut(): Failure | undefined {
    return this.#passage.inner.failure;
  }

  get onCut(): ((failure: Failure) => void) | undefined {
    return this.#passage.inner.waiter;
  }

  /** Nobody else waits on behalf of a call that was let in and has no work to run. */
  set onCut(tell: ((failure: Failure) => void) | undefined) {
    this.#passage.inner.waiter = tell;
  }

  remaining(): number {
    return this.#passage.inner.remaining();
  }

  success(value?: unknown): void {
    this.#settle(value);
  }

  failure(error: unknown = new Error('The admitted work failed')): void {
    this.#settle(thrown(error));
  }

  ignore(): void {
    this.#settle(new Failure(undefined, 'aborted'));
  }

  [Symbol.dispose](): void {
    this.ignore();
  }

  #settle(outcome: Outcome): void {
    if (!this.#open) return;
    this.#open = false;
    // Work that ended because its caller gave up is nobody's failure, also if its holder passes the error on.
    const { failure } = this.#passage.inner;
    const gaveUp = failure?.kind === 'aborted' && outcome instanceof Failure && outcome.kind === 'thrown';
    const last = gaveUp ? failure : outcome;
    this.#passage.retreat(last);
    this.#over(last, this.#passage.call);
  }
}
