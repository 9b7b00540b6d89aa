/**
 * What comes back up through a pipeline. Success costs nothing: it is the bare value. Only when something went wrong is an
 * object made, a {@link Failure}, which carries the very error that was thrown and says how it came about.
 */

import { RejectedError, TimeoutError } from './errors.ts';

/**
 * How a call failed: `thrown` by the work, `timeout` (started and abandoned), `refused` by a policy (never started), or `aborted` by its caller.
 */
export type FailureKind = 'thrown' | 'timeout' | 'refused' | 'aborted';

/** An unsuccessful outcome. Policies pass it along; nobody throws it. */
class FailedOutcome {
  /** The object the caller will see, untouched. */
  readonly error: unknown;
  readonly kind: FailureKind;

  constructor(error: unknown, kind: FailureKind) {
    this.error = error;
    this.kind = kind;
  }
}

/** An unsuccessful outcome: see {@link isFailure}. */
export type Failure = FailedOutcome;

/** Where all copies of the package in one process find the one class, so that a policy made by one is understood by a pipeline of another. */
const shared = globalThis as unknown as Record<symbol, typeof FailedOutcome | undefined>;

/** An unsuccessful outcome. Policies pass it along; nobody throws it. */
export const Failure: typeof FailedOutcome = (shared[Symbol.for('breakwater.Failure/1')] ??= FailedOutcome);

/** What a handler answers with: the bare value, or a {@link Failure}. */
export type Outcome<T = unknown> = T | Failure;

/** An outcome as plain data, for users: predicates get it and `executeOutcome` resolves to it. */
export type Settled<T> = Succeeded<T> | Failed;

/** The work answered. */
export interface Succeeded<T> {
  readonly ok: true;
  readonly value: T;
  /** True if a fallback answered instead of the work. */
  readonly degraded?: true;
}

/** The work failed, or never ran. */
export interface Failed {
  readonly ok: false;
  readonly error: unknown;
}

/** How an outcome counts: a success, a failure, or not at all. */
export type Verdict = 'success' | 'failure' | 'ignored';

/** Narrows an outcome to a failure. */
export function isFailure(outcome: unknown): outcome is Failure {
  return outcome instanceof Failure;
}

/** The error of an outcome, if it is a failure. */
export function errorIn(outcome: Outcome): unknown {
  return outcome instanceof Failure ? outcome.error : undefined;
}

/** Wraps what was thrown; refusals and timeouts of nested pipelines are recognised by their class. */
export function thrown(error: unknown): Failure {
  try {
    if (error instanceof RejectedError) return new Failure(error, 'refused');
    if (error instanceof TimeoutError) return new Failure(error, 'timeout');
  } catch {
    // A proxy that throws when it is looked at.
  }
  return new Failure(error, 'thrown');
}

/** A policy's "no": the call is turned away with this error. */
export function refuse(error: unknown): Failure {
  return new Failure(error, 'refused');
}

/**
 * How an outcome counts where nobody says otherwise: refusals and the caller's own aborts are nobody's failure, timeouts and
 * whatever the work throws are.
 */
export function verdictOf(outcome: Outcome): Verdict {
  if (!(outcome instanceof Failure)) return 'success';
  return outcome.kind === 'thrown' || outcome.kind === 'timeout' ? 'failure' : 'ignored';
}

/** The wait (ms) that an error asks for; errors of users may throw when they are looked at. */
export function retryAfterOf(error: unknown): number | undefined {
  try {
    const { retryAfter } = (error ?? {}) as { readonly retryAfter?: unknown };
    return typeof retryAfter === 'number' ? retryAfter : undefined;
  } catch {
    return undefined;
  }
}

/** The outcome as users see it. */
export function settled<T>(outcome: Outcome<T>): Settled<T> {
  return outcome instanceof Failure ? { ok: false, error: outcome.error } : { ok: true, value: outcome };
}
