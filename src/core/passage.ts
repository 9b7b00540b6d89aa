import type { Call } from './call.ts';
import { Failure, type Outcome, thrown } from './outcome.ts';
import type { Scope } from './scope.ts';
import type { Gate, Narrowing, Stage } from './stage.ts';

/** One call's way through a run of stages: how far it has come, and with which passes. */
export class Passage {
  readonly call: Call;
  /** The call as it goes on inward. */
  inner: Call;
  readonly stages: readonly Stage[];
  /** For a gate its pass, for a reaction the call as it was there. */
  readonly passes: unknown[];
  /** Stages entered and not told of the outcome yet. */
  depth = 0;

  constructor(stages: readonly Stage[], call: Call) {
    this.stages = stages;
    this.passes = stages.length === 0 ? none : new Array<unknown>(stages.length);
    this.call = call;
    this.inner = call;
  }

  /** Enters the stages that are left: `undefined` when all are behind, a failure if one refused, a promise if one makes the call wait. */
  advance(): undefined | Failure | Promise<undefined | Failure> {
    const { stages } = this;
    if (this.inner.failure !== undefined) return this.inner.failure;
    while (this.depth < stages.length) {
      const { gate, scope } = stages[this.depth] as Stage;
      if (gate === undefined) {
        this.passes[this.depth++] = this.inner;
        continue;
      }
      let pass: unknown;
      try {
        pass = gate.enter(this.inner, this.inner.at);
      } catch (error) {
        pass = thrown(error);
      }
      if (pass instanceof Failure) return refused(scope, pass, this.call);
      if (pass instanceof Promise) return this.wait(gate, scope, pass);
      this.take(gate, pass);
    }
    return undefined;
  }

  async wait(gate: Gate, scope: Scope, waiting: Promise<unknown>): Promise<undefined | Failure> {
    const { inner } = this;
    let pass: unknown;
    try {
      pass = await waiting;
    } catch (error) {
      pass = thrown(error);
    }
    inner.waiter = undefined;
    inner.at = inner.scope.clock.now();
    if (pass instanceof Failure) return refused(scope, pass, this.call);
    this.take(gate, pass);
    return this.advance();
  }

  take(gate: Gate, pass: unknown): void {
    this.passes[this.depth++] = pass;
    if (gate.narrows === true) this.inner = (pass as Narrowing).inner;
  }

  /**
   * Tells the stages how it ended, innermost first. Stops at the first reaction that has something to do about it and answers with its
   * place; -1 when all are told.
   */
  retreat(outcome: Outcome): number {
    const { call, stages, passes } = this;
    let now: number | undefined;
    for (let i = this.depth - 1; i >= 0; i--) {
      const { gate, reaction, scope } = stages[i] as Stage;
      if (gate === undefined) {
        try {
          if (reaction.handles(outcome, passes[i] as Call)) return i;
        } catch (error) {
          scope.report('handles', error);
        }
        this.depth = i;
        continue;
      }
      this.depth = i;
      now ??= scope.clock.now();
      const pass = passes[i];
      if (!call.started) cancel(gate, scope, pass, now);
      else if (gate.until !== 'work' || !call.whenQuiet(() => settle(gate, scope, pass, outcome, scope.clock.now())))
        settle(gate, scope, pass, outcome, now);
    }
    return -1;
  }

  /** Counts the reaction at `place` as told; answers with the call as it was there. */
  leave(place: number): Call {
    this.depth = place;
    return this.passes[place] as Call;
  }
}

/** Passes of a passage through nothing. */
const none: unknown[] = [];

function refused(scope: Scope, failure: Failure, call: Call): Failure {
  if (failure.kind === 'refused' && scope.listening) {
    const { retryAfter } = (failure.error ?? {}) as { readonly retryAfter?: number };
    scope.emit('gate.refused', 'warn', call, { error: failure.error, retryAfter });
  }
  return failure;
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
