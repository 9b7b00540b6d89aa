/** The two forms of policy that need no promise of their own: gates admit, reactions answer to what happened. */

import type { Call } from './call.ts';
import type { Failure, Outcome } from './outcome.ts';
import type { Handler } from './policy.ts';
import type { Scope } from './scope.ts';

/**
 * A policy that only admits and accounts. `enter` answers with a pass (anything of the gate's own choosing but `undefined`), a
 * {@link Failure} made by `refuse(error)`, or a promise of one of the two if it may wait. After a pass follows exactly one of
 * `settle` (the work ran) or `cancel` (it did not: give back, do not judge), exactly once, in reverse order of entering.
 */
export interface Gate<Pass = unknown> {
  /** Decides at `now` (ms) whether the call may go on. Whoever waits sets `call.waiter` meanwhile, to be told of an abort. */
  enter(call: Call, now: number): Pass | Failure | Promise<Pass | Failure>;
  settle(pass: Pass, outcome: Outcome, now: number): void;
  cancel(pass: Pass, now: number): void;
  /**
   * `'work'`: what the pass holds is held until the work really ends, also when a timeout or an abort answered before. `'answer'`: it is told as soon as there is an answer, also if
   * that is still coming in, such as the body of a response; others are told when it is there in full.
   */
  readonly until?: 'work' | 'answer' | undefined;
  /** True if `settle` and `cancel` do not look at `now`, which saves reading the clock for them. */
  readonly timeless?: boolean;
  /** True if passes are {@link Narrowing}: what lies inside runs under a call of its own. */
  readonly narrows?: true;
}

/** A pass that brings the call with which it goes on inward. */
export interface Narrowing {
  readonly inner: Call;
}

/** A policy that does nothing until an outcome is there, and then may answer by other means: retry, fallback. */
export interface Reaction {
  /** A call comes by, on its way in. Afterwards `handles` is asked about its outcome exactly once. */
  begin?(call: Call): void;
  /** Whether there is anything to do about this outcome. Asked for every one, so it should be quick about success. */
  handles(outcome: Outcome, call: Call): boolean;
  /** Finds another answer; `again` runs what lies inside once more, with a call derived for it. */
  react(outcome: Outcome, call: Call, again: Handler): Outcome | Promise<Outcome>;
  /** Told instead of `react` where the policy only shows what it would do. */
  passOver?(outcome: Outcome, call: Call): void;
}

/** A gate or a reaction in its place, with the scope that knows its policy's name. */
export type Stage = GateStage | ReactionStage;

export interface GateStage {
  readonly scope: Scope;
  readonly gate: Gate;
  readonly reaction?: undefined;
}

export interface ReactionStage {
  readonly scope: Scope;
  readonly gate?: undefined;
  readonly reaction: Reaction;
}
