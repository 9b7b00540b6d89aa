/** How long calls may take: the limit of each, fixed, computed or learned, and the timers that ring when it is over. */

import { AdaptiveTimeout } from '../../algorithms/adaptive-timeout.ts';
import type { Expiring } from '../../algorithms/deadlines.ts';
import type { Alarm } from '../../core/alarm.ts';
import type { Call } from '../../core/call.ts';
import { classify } from '../../core/classification.ts';
import { span } from '../../core/clock.ts';
import { discard } from '../../core/disposal.ts';
import { TimeoutError } from '../../core/errors.ts';
import { made } from '../../core/made.ts';
import { Failure, type Outcome } from '../../core/outcome.ts';
import type { Scope } from '../../core/scope.ts';
import type { Narrowing } from '../../core/stage.ts';
import { ExpiryLine } from '../../stores/expiry-line.ts';

/** A call under a limit. */
export class Timed implements Expiring, Narrowing {
  readonly inner: Call;
  readonly since: number;
  due: number;
  before: Expiring | undefined = undefined;
  after: Expiring | undefined = undefined;
  listed = false;
  readonly line: ExpiryLine<Timed>;
  /** Set when its time is up. */
  expired: Failure | undefined = undefined;
  /** Rings when the time it has after that is over, too. */
  grace: Alarm | undefined = undefined;

  constructor(inner: Call, since: number, due: number, line: ExpiryLine<Timed>) {
    this.inner = inner;
    this.since = since;
    this.due = due;
    this.line = line;
  }
}

/** The limit for each call, ms. */
export type Limit = number | ((call: Call) => number) | AdaptiveTimeout;

/** What a limit at work tells its policy. */
export interface TimeLimitOwner {
  /** Calls under the limit now. */
  pending: number;
  /** Gets a value that came too late; without it, what knows how to is disposed of. */
  readonly onLate: ((value: unknown) => void) | undefined;
}

/** A limit at work in one pipeline. */
export class TimeLimit {
  readonly #limit: Limit;
  readonly #scope: Scope;
  readonly #owner: TimeLimitOwner;
  /** Cuts a call short whose time is up. */
  readonly #cut: (timed: Timed, failure: Failure) => void;
  /** The line of the calls with the latest limit; those with others keep theirs. */
  #line: ExpiryLine<Timed>;
  #after: number;

  constructor(limit: Limit, scope: Scope, owner: TimeLimitOwner, cut: (timed: Timed, failure: Failure) => void) {
    this.#limit = limit;
    this.#scope = scope;
    this.#owner = owner;
    this.#cut = cut;
    this.#line = new ExpiryLine(scope.clock, this.#expire);
    this.#after = typeof limit === 'number' ? limit : -1;
  }

  /** Puts a call under the limit. @throws RangeError if a function says anything but ms */
  start(call: Call, now: number): Timed {
    const after = typeof this.#limit === 'number' ? this.#limit : this.#ask(this.#limit, call, now);
    if (after !== this.#after) {
      this.#after = after;
      this.#line = new ExpiryLine(this.#scope.clock, this.#expire);
    }
    const timed = new Timed(call.derive(call.attempt, now + after), now, now + after, this.#line);
    this.#owner.pending++;
    this.#line.add(timed, now);
    return timed;
  }

  /** The call is over. */
  end(timed: Timed): void {
    this.#owner.pending--;
    timed.line.remove(timed);
  }

  /**
   * Learns from how a call ended: what counts as a success took as long as it took; a failure, a timeout or an abort says that an answer would have
   * taken longer. What is ignored otherwise says nothing.
   */
  learn(timed: Timed, outcome: Outcome, now: number): void {
    if (!(this.#limit instanceof AdaptiveTimeout)) return;
    const { latencies } = this.#limit;
    const ms = now - timed.since;
    const { verdict } = classify(outcome, timed.inner, this.#scope);
    if (verdict === 'success') latencies.record(ms, now);
    else if (verdict === 'failure' || (outcome instanceof Failure && outcome.kind === 'aborted')) latencies.recordCensored(ms, now);
  }

  /** Hands over a value that came too late. */
  late(outcome: Outcome): void {
    if (outcome instanceof Failure) return;
    const { onLate } = this.#owner;
    if (onLate === undefined) {
      discard(outcome);
      return;
    }
    try {
      onLate(outcome);
    } catch (error) {
      this.#scope.report('onLate', error);
    }
  }

  readonly #expire = (timed: Timed, _now: number, stalled: boolean): void => {
    const { inner, since, due } = timed;
    if (inner.failure !== undefined) return;
    const { pipeline, policy, stack, listening } = this.#scope;
    const { key } = inner;
    // A shadowed limit meets a call derived from the one whose work runs.
    const { started } = this.#scope.shadow ? (inner.parent?.parent ?? inner) : inner;
    const after = span(since, due);
    const message = `${pipeline}: ${policy} after ${after} ms${started ? '' : ', before the work had started'}${stalled ? ' (the event loop was blocked)' : ''}`;
    const error = made(TimeoutError, message, { pipeline, policy, key, after, started, loopStalled: stalled }, stack);
    timed.expired = new Failure(error, 'timeout');
    inner.onLate = (outcome) => this.late(outcome);
    this.#cut(timed, timed.expired);
    if (listening) this.#scope.emit('timeout.expired', 'warn', inner, { after, started, loopStalled: stalled });
  };

  #ask(limit: Exclude<Limit, number>, call: Call, now: number): number {
    if (limit instanceof AdaptiveTimeout) return limit.limit(now);
    const after: unknown = limit(call);
    if (typeof after === 'number' && after > 0) return after;
    throw new RangeError(`timeout.after: expected a function that answers with ms above 0, got ${String(after)}`);
  }
}
