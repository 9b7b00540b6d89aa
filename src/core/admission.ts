import type { Call } from './call.ts';
import { Passage } from './passage.ts';
import { Failure, type Outcome, thrown } from './outcome.ts';
import type { Stage } from './stage.ts';

/**
 * A call that was let in without a function to run: whoever holds it says how it ended, once. Made by `acquire` and `tryAcquire`.
 *
 * @typeParam V - what a success may be reported with
 */
export interface Admission<V = unknown> extends Disposable {
  readonly admitted: true;
  /** Aborts when the caller's signal does or a timeout among the gates expires. */
  readonly signal: AbortSignal;
  /** It went well. */
  success(value?: V): void;
  /** It failed. */
  failure(error?: unknown): void;
  /** It counts as neither; the same as leaving a `using` block without a word. */
  ignore(): void;
}

/** A call that was turned away. */
export interface Refusal {
  readonly admitted: false;
  readonly error: unknown;
  /** Milliseconds after which a new call has a chance, where that is known. */
  readonly retryAfter?: number;
}

/** Takes a call through the gates and hands out what settles it. `over` is called once it is settled or was refused. */
export function admit(
  gates: readonly Stage[],
  call: Call,
  over: (outcome: Outcome) => void,
): Admission | Refusal | Promise<Admission | Refusal> {
  const passage = new Passage(gates, call);
  const conclude = (failure: Failure | undefined): Admission | Refusal => {
    if (failure !== undefined) {
      passage.retreat(failure);
      over(failure);
      return refused(failure);
    }
    return admitted(passage, over);
  };
  const answer = call.failure ?? passage.advance();
  return answer instanceof Promise ? answer.then(conclude) : conclude(answer);
}

function refused({ error }: Failure): Refusal {
  const retryAfter = (error as { retryAfter?: unknown } | null | undefined)?.retryAfter;
  return { admitted: false, error, ...(typeof retryAfter === 'number' && { retryAfter }) };
}

function admitted(passage: Passage, over: (outcome: Outcome) => void): Admission {
  const { inner } = passage;
  let open = true;
  const settle = (outcome: Outcome): void => {
    if (!open) return;
    open = false;
    passage.retreat(outcome);
    over(outcome);
  };
  inner.markStarted();
  return {
    admitted: true,
    get signal() {
      return inner.signal;
    },
    success: (value) => settle(value),
    failure: (error = new Error('The admitted work failed')) => settle(thrown(error)),
    ignore: () => settle(new Failure(undefined, 'aborted')),
    [Symbol.dispose]: () => settle(new Failure(undefined, 'aborted')),
  };
}
