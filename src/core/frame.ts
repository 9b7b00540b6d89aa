import type { Call } from './call.ts';
import { Failure, type Outcome, thrown } from './outcome.ts';
import { Passage } from './passage.ts';
import { type Place, placesFor } from './place.ts';
import type { Handler } from './policy.ts';
import type { ReactionStage, Stage } from './stage.ts';

/** What is done with an outcome once all stages know it. */
type Edge = (outcome: Outcome, call: Call) => Outcome;

/** A promise that is kept already: its reactions run in the next microtask. */
const turn = Promise.resolve();

/**
 * A run of neighbouring gates and reactions around whatever lies inside: n policies, one promise. Stages are entered outermost
 * first; the outcome goes back through them innermost first, and whoever was entered is told exactly once.
 */
export class Frame {
  readonly #stages: readonly Stage[];
  readonly #places: readonly Place[];
  readonly #next: Handler;
  /** For each reaction, what lies inside it. */
  readonly #again: readonly (Handler | undefined)[];

  /** `next` may reject: what it throws becomes a failure here. */
  constructor(stages: readonly Stage[], next: Handler) {
    this.#stages = stages;
    this.#places = placesFor(stages);
    this.#next = next;
    this.#again = stages.map(({ reaction }, i) => (reaction === undefined ? undefined : new Frame(stages.slice(i + 1), next).handle));
  }

  /** The frame as a handler. */
  readonly handle: Handler = (call) => this.run(call, same, false);

  /**
   * Takes a call through the frame and hands its outcome to `edge`. With `unwraps` the promise rejects with the error of a failure, else it
   * resolves to the failure. A refusal is rejected without a throw, which would be most of its cost.
   */
  run(call: Call, edge: Edge, unwraps: boolean): Promise<Outcome> {
    const passage = new Passage(this.#places, call);
    const answer = passage.advance();
    if (answer === undefined) return this.#inside(passage, edge, unwraps);
    if (answer instanceof Promise) return this.#afterWait(passage, answer, edge, unwraps);
    return new Promise((resolve, reject) => {
      void turn.then(() => {
        const outcome = this.#finish(passage, answer, edge, false);
        if (unwraps && outcome instanceof Failure) reject(outcome.error);
        else resolve(unwraps && outcome instanceof Promise ? outcome.then(unwrap) : outcome);
      });
    });
  }

  #inside(passage: Passage, edge: Edge, unwraps: boolean): Promise<Outcome> {
    return this.#next(passage.inner).then(
      (outcome) => this.#finish(passage, outcome, edge, unwraps),
      (error: unknown) => this.#finish(passage, thrown(error), edge, unwraps),
    );
  }

  async #afterWait(passage: Passage, waiting: Promise<undefined | Failure>, edge: Edge, unwraps: boolean): Promise<Outcome> {
    const failure = await waiting;
    return await (failure === undefined ? this.#inside(passage, edge, unwraps) : this.#finish(passage, failure, edge, unwraps));
  }

  #finish(passage: Passage, outcome: Outcome, edge: Edge, unwraps: boolean): Outcome | Promise<Outcome> {
    passage.inner.waiter = undefined;
    const reacting = passage.retreat(outcome);
    if (reacting >= 0) return this.#react(passage, reacting, outcome).then((answer) => this.#finish(passage, answer, edge, unwraps));
    const last = edge(outcome, passage.call);
    return unwraps ? unwrap(last) : last;
  }

  async #react(passage: Passage, number: number, outcome: Outcome): Promise<Outcome> {
    const { reaction, scope } = this.#stages[number] as ReactionStage;
    try {
      return await reaction.react(outcome, passage.leave(number), this.#again[number] as Handler);
    } catch (error) {
      scope.report('react', error);
      return outcome;
    }
  }
}

function unwrap(outcome: Outcome): Outcome {
  if (outcome instanceof Failure) throw outcome.error;
  return outcome;
}

function same(outcome: Outcome): Outcome {
  return outcome;
}
