import type { Call } from './call.ts';
import { Failure, type Outcome, thrown } from './outcome.ts';
import type { Handler } from './policy.ts';
import type { Scope } from './scope.ts';
import type { Gate, Narrowing, Stage } from './stage.ts';

/** What is done with the outcome once all stages know it. */
type Edge<R> = (outcome: Outcome, call: Call) => R;

/**
 * A run of neighbouring gates and reactions around whatever lies inside: n policies, one promise. Stages are entered outermost
 * first; the outcome goes back through them innermost first, and whoever was entered is told exactly once.
 */
export class Frame {
  readonly #stages: readonly Stage[];
  readonly #next: Handler;
  /** For each reaction, what lies inside it. */
  readonly #again: readonly (Handler | undefined)[];

  /** `next` may reject: what it throws becomes a failure here. */
  constructor(stages: readonly Stage[], next: Handler) {
    this.#stages = stages;
    this.#next = next;
    this.#again = stages.map(({ reaction }, i) => (reaction === undefined ? undefined : new Frame(stages.slice(i + 1), next).handle));
  }

  /** The frame as a handler. */
  readonly handle: Handler = (call) => this.run(call, same);

  /** Takes a call through the frame and hands its outcome to `edge`. */
  run<R>(call: Call, edge: Edge<R>): Promise<R> {
    const passage = new Passage(this.#stages, call);
    const answer = passage.advance();
    if (answer === undefined) return this.#inside(passage, edge);
    if (answer instanceof Promise) return this.#afterWait(passage, answer, edge);
    return Promise.resolve(answer).then((failure) => this.#finish(passage, failure, edge));
  }

  #inside<R>(passage: Passage, edge: Edge<R>): Promise<R> {
    return this.#next(passage.inner).then(
      (outcome) => this.#finish(passage, outcome, edge),
      (error: unknown) => this.#finish(passage, thrown(error), edge),
    );
  }

  async #afterWait<R>(passage: Passage, waiting: Promise<undefined | Failure>, edge: Edge<R>): Promise<R> {
    const failure = await waiting;
    return await (failure === undefined ? this.#inside(passage, edge) : this.#finish(passage, failure, edge));
  }

  #finish<R>(passage: Passage, outcome: Outcome, edge: Edge<R>): R | Promise<R> {
    passage.inner.waiter = undefined;
    const reacting = passage.retreat(outcome);
    if (reacting < 0) return edge(outcome, passage.call);
    return this.#react(passage, reacting, outcome).then((answer) => this.#finish(passage, answer, edge));
  }

  async #react(passage: Passage, at: number, outcome: Outcome): Promise<Outcome> {
    const { reaction, scope } = this.#stages[at] as Extract<Stage, { reaction: object }>;
    try {
      return await reaction.react(outcome, passage.callAt(at), this.#again[at] as Handler);
    } catch (error) {
      scope.report('react', error);
      return outcome;
    }
  }
}

/** One call's way through a run of stages: which it has entered, and with which passes. */
export class Passage {
  readonly call: Call;
  /** The call as it goes on inward. */
  inner: Call;
  readonly #stages: readonly Stage[];
  /** For a gate its pass, for a reaction the call as it was there. Settled stages are taken off. */
  readonly #passes: unknown[] = [];

  constructor(stages: readonly Stage[], call: Call) {
    this.#stages = stages;
    this.call = call;
    this.inner = call;
  }

  /** Enters the stages that are left: `undefined` when all are behind, a failure if one refused, a promise if one makes the call wait. */
  advance(): undefined | Failure | Promise<undefined | Failure> {
    const stages = this.#stages;
    const passes = this.#passes;
    for (let i = passes.length; i < stages.length; i++) {
      const { gate, scope } = stages[i] as Stage;
      if (gate === undefined) {
        passes.push(this.inner);
        continue;
      }
      let pass: unknown;
      try {
        pass = gate.enter(this.inner, this.inner.at);
      } catch (error) {
        pass = thrown(error);
      }
      if (pass instanceof Promise) return this.#wait(gate, scope, pass);
      if (pass instanceof Failure) return this.#refused(scope, pass);
      this.#take(gate, pass);
    }
    return undefined;
  }

  async #wait(gate: Gate, scope: Scope, waiting: Promise<unknown>): Promise<undefined | Failure> {
    const { inner } = this;
    let pass: unknown;
    try {
      pass = await waiting;
    } catch (error) {
      pass = thrown(error);
    }
    inner.waiter = undefined;
    inner.at = inner.scope.clock.now();
    if (pass instanceof Failure) return this.#refused(scope, pass);
    this.#take(gate, pass);
    return inner.failure ?? this.advance();
  }

  #take(gate: Gate, pass: unknown): void {
    this.#passes.push(pass);
    if (gate.narrows === true) this.inner = (pass as Narrowing).inner;
  }

  #refused(scope: Scope, failure: Failure): Failure {
    if (failure.kind === 'refused' && scope.listening) {
      const { retryAfter } = (failure.error ?? {}) as { readonly retryAfter?: number };
      scope.emit('gate.refused', 'warn', this.call, { error: failure.error, retryAfter });
    }
    return failure;
  }

  /**
   * Tells the stages how it ended, innermost first. Stops at the first reaction that has something to do about it and answers with its
   * place; -1 when all are told.
   */
  retreat(outcome: Outcome): number {
    const passes = this.#passes;
    const { call } = this;
    let now: number | undefined;
    for (let i = passes.length - 1; i >= 0; i--) {
      const { gate, reaction, scope } = this.#stages[i] as Stage;
      if (gate !== undefined) {
        now ??= scope.clock.now();
        const pass = passes.pop();
        if (!call.started) cancel(gate, scope, pass, now);
        else if (gate.until !== 'work' || !call.whenQuiet(() => settle(gate, scope, pass, outcome, scope.clock.now())))
          settle(gate, scope, pass, outcome, now);
      } else {
        try {
          if (reaction.handles(outcome, passes[i] as Call)) return i;
        } catch (error) {
          scope.report('handles', error);
        }
        passes.pop();
      }
    }
    return -1;
  }

  /** The call as it was where the reaction stands that stopped the retreat, which is then over with. */
  callAt(place: number): Call {
    return this.#passes.splice(place)[0] as Call;
  }
}

function cancel(gate: Gate, scope: Scope, pass: unknown, now: number): void {
  try {
    gate.cancel(pass, now);
  } catch (error) {
    scope.report('cancel', error);
  }
}

function settle(gate: Gate, scope: Scope, pass: unknown, outcome: Outcome, now: number): void {
  try {
    gate.settle(pass, outcome, now);
  } catch (error) {
    scope.report('settle', error);
  }
}

function same(outcome: Outcome): Outcome {
  return outcome;
}
