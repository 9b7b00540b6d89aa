import type { Call } from './call.ts';
import { inFull } from './incoming.ts';
import { type Failure, type Outcome, retryAfterOf, thrown } from './outcome.ts';
import type { Scope } from './scope.ts';
import type { Gate, Reaction, Stage } from './stage.ts';

/**
 * A stage in its place in a frame. All places have one shape, whatever stands there, so that the engine's inline caches hold on the way
 * in and out: with the gates' own shapes each look at one would be a search (measured: a quarter of what three gates cost).
 */
export class Place {
  readonly scope: Scope;
  readonly isGate: boolean;
  /** What stands there passes on a call of its own. */
  readonly narrows: boolean;
  /** What it gives is held until the work has really ended. */
  readonly holds: boolean;
  /** It is told as soon as there is an answer, also if that is still coming in. */
  readonly hasty: boolean;
  /** It wants to know of calls on their way in, though it only acts on outcomes. */
  readonly begins: boolean;
  /** It asks for the time when the outcome is there. */
  readonly timed: boolean;
  readonly #gate: Gate;
  readonly #reaction: Reaction;
  readonly #enter: Gate['enter'];
  readonly #settle: Gate['settle'];
  readonly #cancel: Gate['cancel'];
  readonly #handles: Reaction['handles'];

  constructor({ gate, reaction, scope }: Stage) {
    this.scope = scope;
    this.isGate = gate !== undefined;
    this.narrows = gate?.narrows === true;
    this.holds = gate?.until === 'work';
    this.hasty = gate?.until === 'answer';
    this.begins = reaction?.begin !== undefined;
    this.timed = gate !== undefined && gate.timeless !== true;
    this.#gate = gate ?? noGate;
    this.#reaction = reaction ?? noReaction;
    this.#enter = this.#gate.enter;
    this.#settle = this.#gate.settle;
    this.#cancel = this.#gate.cancel;
    this.#handles = this.#reaction.handles;
  }

  /** The gate's answer; what it throws is a failure. */
  enter(call: Call): unknown {
    try {
      return this.#enter.call(this.#gate, call, call.at);
    } catch (error) {
      return thrown(error);
    }
  }

  /** Tells the reaction that a call comes by. */
  begin(call: Call): void {
    try {
      this.#reaction.begin?.(call);
    } catch (error) {
      this.scope.report('begin', error);
    }
  }

  /** Tells the gate how the call ended: that its work ran, at once or when what is left of it has ended, or that it did not. */
  tell(call: Call, pass: unknown, outcome: Outcome, now: number): void {
    if (!call.started) this.takeBack(pass, now);
    else if (call.leftovers === undefined || this.hasty || !this.#later(call, pass, outcome)) this.#settleNow(pass, outcome, now);
  }

  /** Whether the reaction has something to do about the outcome. */
  handles(outcome: Outcome, call: Call): boolean {
    try {
      return this.#handles.call(this.#reaction, outcome, call);
    } catch (error) {
      this.scope.report('handles', error);
      return false;
    }
  }

  /** Tells listeners that the gate turned a call away. */
  refused(failure: Failure, call: Call): void {
    const { scope } = this;
    if (failure.kind !== 'refused' || !scope.listening) return;
    scope.emit('gate.refused', 'warn', call, { error: failure.error, retryAfter: retryAfterOf(failure.error) });
  }

  #later(call: Call, pass: unknown, outcome: Outcome): boolean {
    return call.whenQuiet(() => this.#settleNow(pass, inFull(outcome), this.scope.clock.now()), !this.holds);
  }

  #settleNow(pass: unknown, outcome: Outcome, now: number): void {
    try {
      this.#settle.call(this.#gate, pass, outcome, now);
    } catch (error) {
      this.scope.report('settle', error);
    }
  }

  /** Tells the gate that the work did not run. */
  takeBack(pass: unknown, now: number): void {
    try {
      this.#cancel.call(this.#gate, pass, now);
    } catch (error) {
      this.scope.report('cancel', error);
    }
  }
}

/** What stands where a reaction does, or a gate. */
const noGate: Gate = { enter: () => 'pass', settle: () => undefined, cancel: () => undefined };
const noReaction: Reaction = { handles: () => false, react: (outcome) => outcome };

/** Places for the stages of one frame. */
export function placesFor(stages: readonly Stage[]): readonly Place[] {
  return stages.map((stage) => new Place(stage));
}
