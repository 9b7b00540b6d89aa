import type { Call } from './call.ts';
import { Failure, type Outcome, thrown } from './outcome.ts';
import { Passage } from './passage.ts';
import type { Handler } from './policy.ts';
import type { ReactionStage, Stage } from './stage.ts';

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

  /** Takes a call through the frame and hands its outcome to `edge`, whose answer (or throw) is the promise's. */
  run<R>(call: Call, edge: Edge<R>): Promise<R> {
    const passage = new Passage(this.#stages, call);
    const answer = passage.advance();
    if (answer === undefined) return this.#inside(passage, edge);
    if (answer instanceof Failure) return Promise.resolve(answer).then((failure) => this.#finish(passage, failure, edge));
    return this.#afterWait(passage, answer, edge);
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
    const place = passage.retreat(outcome);
    if (place < 0) return edge(outcome, passage.call);
    return this.#react(passage.leave(place), place, outcome).then((answer) => this.#finish(passage, answer, edge));
  }

  async #react(call: Call, place: number, outcome: Outcome): Promise<Outcome> {
    const { reaction, scope } = this.#stages[place] as ReactionStage;
    try {
      return await reaction.react(outcome, call, this.#again[place] as Handler);
    } catch (error) {
      scope.report('react', error);
      return outcome;
    }
  }
}

function same(outcome: Outcome): Outcome {
  return outcome;
}
