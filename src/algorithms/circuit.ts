/**
 * The state machine of a circuit breaker. Pure: time comes in as `now` (monotonic ms), nothing waits and nothing is scheduled. What is due
 * is done when somebody next looks, as of the time it was due. Each change of state begins a new epoch, and a result that belongs to an
 * earlier one is never counted (after the generations of sony/gobreaker).
 */

import { readingOf } from './circuit-reading.ts';
import type { CircuitReading, CircuitReason, FailureHint } from './circuit-state.ts';
import { CircuitStates } from './circuit-states.ts';
import { Pass } from './pass.ts';

const noHint: FailureHint = { throttled: false, retryAfter: undefined };

/** A circuit. Whoever uses it empties `notes` after each call. */
export class Circuit extends CircuitStates {
  /** Admits a call or (`undefined`) does not; `u` is chance, in [0, 1). */
  enter(now: number, u = 0): Pass | undefined {
    if (this.plain) return new Pass(this.epoch, now);
    this.advance(now);
    const pass = this.#passOf(now, u);
    if (pass === undefined) this.rejected++;
    return pass;
  }

  /** Counts the end of an admitted call; false if it began in an earlier epoch or its lease had ended, and so does not count. */
  settle(pass: Pass, verdict: 'success' | 'failure' | 'ignored', failure: unknown, now: number, hint: FailureHint = noHint): boolean {
    if (!this.plain) this.#leave(pass, now);
    if (pass.epoch !== this.epoch || (this.state === 'half-open' && this.round?.leave(pass) !== true)) {
      this.late++;
      return false;
    }
    if (verdict !== 'ignored') this.#count(verdict === 'failure', failure, Math.max(0, now - pass.at), now, hint);
    else if (this.state === 'half-open') this.#discount();
    else if (this.state !== 'disabled') this.health.window.ignore(now);
    return true;
  }

  /** Takes back a pass whose call did not run. */
  release(pass: Pass, now: number): void {
    this.#leave(pass, now);
    if (pass.epoch === this.epoch && this.round?.leave(pass) === true) this.#discount();
  }

  /** Does what is due: leases and rounds that ended, open time that is over, a ramp that is complete, calls under way that are slow by now. */
  advance(now: number): void {
    const { round } = this;
    const { probeTimeout, onExpire } = this.settings.probes;
    while (this.state === 'half-open' && round !== undefined && this.round === round) {
      const { nextDue, until } = round;
      if (Math.min(nextDue, until) > now) return;
      if (nextDue <= until) {
        this.note('probe-expired', { after: probeTimeout, probes: round.expire(nextDue) });
        this.#decide(nextDue);
      } else if (onExpire === 'close') this.become('closed', 'half-open-expired', until);
      else this.trip('half-open-expired', until);
    }
    if (this.state === 'open' && now >= this.openings.until) this.become('half-open', 'elapsed', now);
    if (this.ramping && this.share(now) === 1) this.ramp(false);
    if (this.#isCounting && this.health.look(now)) this.#judge(now, 0, noHint);
  }

  /** The numbers at `now`. */
  read(now: number): CircuitReading {
    this.advance(now);
    return readingOf(this, now);
  }

  /** Opens, for `ms` or as long as the settings say. An open circuit is only touched if `ms` is given. */
  open(now: number, ms?: number): void {
    this.advance(now);
    if (this.standing !== 'open') this.trip('manual', now, ms);
    else if (ms !== undefined) this.openings.last(now, ms);
  }

  /** Begins a round of probes; false if the circuit is not open. */
  halfOpen(now: number, reason: CircuitReason = 'manual'): boolean {
    this.advance(now);
    if (this.standing === 'open') this.become('half-open', reason, now);
    return this.standing === 'half-open';
  }

  /** Closes, disables or disarms; closing from elsewhere starts with an empty window. Who closes a closed one lets all calls in. */
  put(to: 'closed' | 'disabled' | 'metrics-only', now: number, reason: CircuitReason = 'manual'): void {
    this.advance(now);
    if (this.standing !== to) this.become(to, reason, now);
    else this.ramp(false);
  }

  /** As new, whatever held it. */
  reset(now: number): void {
    this.advance(now);
    this.isolations.clear();
    this.openings.count = 0;
    this.lastFailure = undefined;
    this.become('closed', 'manual', now);
  }

  /** Refuses all calls until every token is released. */
  isolate(token: object, reason: string | undefined, now: number): void {
    this.advance(now);
    this.hold(token, reason, now);
  }

  /** Whether calls pass and are counted. */
  get #isCounting(): boolean {
    return this.state === 'closed' || this.state === 'metrics-only';
  }

  #passOf(now: number, u: number): Pass | undefined {
    if (this.state === 'half-open') return this.round?.enter(this.epoch, now);
    if (this.state === 'open' || this.state === 'isolated' || (this.ramping && u >= this.share(now))) return undefined;
    return (this.#isCounting ? this.health.inFlight?.enter(this.epoch, now) : undefined) ?? new Pass(this.epoch, now);
  }

  /** A call has ended, and is under way no more: what is due is looked for among the others. */
  #leave(pass: Pass, now: number): void {
    if (pass.epoch === this.epoch) this.health.inFlight?.leave(pass);
    this.advance(now);
  }

  #count(failed: boolean, failure: unknown, ms: number, now: number, hint: FailureHint): void {
    const { health, state } = this;
    if (state === 'disabled') return;
    const slow = health.isSlow(ms, now);
    if (failed) this.#blame(failure, now, hint);
    health.extend(failed, failed && hint.throttled);
    if (state === 'half-open') {
      this.round?.count(failed, slow);
      this.#decide(now);
    } else {
      health.record(failed, slow, ms, now);
      // A success among successes trips nothing.
      if (failed || slow || health.isSuspect || this.settings.tripWhen !== undefined) this.#judge(now, 1, failed ? hint : noHint);
    }
  }

  #blame(failure: unknown, now: number, { retryAfter }: FailureHint): void {
    this.lastFailure = failure;
    if (retryAfter !== undefined && retryAfter > 0) this.openings.ask(now, Math.min(retryAfter, this.settings.maxRetryAfter));
  }

  /** Opens if a condition is met, `judged` more calls having been judged. */
  #judge(now: number, judged: number, hint: FailureHint): void {
    const { health, epoch } = this;
    const { tripWhen } = this.settings;
    if (health.isCold(now, judged) || this.state !== 'closed') return;
    const symptom = health.symptom(this.share(now), hint) ?? (tripWhen?.(readingOf(this, now)) === true ? 'trip-when' : undefined);
    if (symptom !== undefined && this.epoch === epoch) this.trip(symptom, now); // else the user's function gave a command meanwhile
  }

  #decide(now: number): void {
    const decision = this.round?.decision;
    if (decision === 'close') this.become('closed', 'probes', now);
    else if (decision === 'open') this.trip('probes', now);
  }

  #discount(): void {
    if (this.round?.discount() === true) this.note('starved', { ignored: this.round.ignored });
  }
}
