/**
 * The state machine of a circuit breaker. Pure: time comes in as `now` (monotonic ms), nothing waits and nothing is scheduled. What is due
 * is done when somebody next looks, as of the time it was due. Each change of state begins a new epoch, and a result that belongs to an
 * earlier one is never counted (after the generations of sony/gobreaker).
 */

import type { CircuitNote, CircuitReason, CircuitSettings, CircuitReading, CircuitState, Standing } from './circuit-state.ts';
import { Health } from './health.ts';
import { Openings } from './openings.ts';
import { Pass, ProbeRound } from './probes.ts';
import type { Window } from './windows.ts';

const noProbes = { admitted: 0, succeeded: 0, failed: 0, inFlight: 0 };

/** A circuit. Whoever uses it empties `notes` after each call. */
export class Circuit {
  readonly notes: CircuitNote[] = [];
  /** The last failure that was counted: an error, or a result judged bad. */
  lastFailure: unknown = undefined;
  state: CircuitState = 'closed';
  epoch = 0;
  readonly #settings: CircuitSettings;
  readonly #health: Health;
  readonly #openings = new Openings();
  /** What an isolated circuit goes back to. */
  #beneath: Standing = 'closed';
  /** Reasons of the isolations that hold, by their tokens. */
  readonly #isolations = new Map<object, string | undefined>();
  #round: ProbeRound | undefined = undefined;
  #since: number;
  #closedAt: number;
  #rejected = 0;
  #late = 0;

  constructor(settings: CircuitSettings, now: number) {
    this.#settings = settings;
    this.#health = new Health(settings);
    this.#since = this.#closedAt = now;
  }

  /** Admits a call or (`undefined`) does not. */
  enter(now: number): Pass | undefined {
    if (this.state === 'closed') return new Pass(this.epoch, now);
    this.advance(now);
    const pass = this.#passOf(now);
    if (pass === undefined) this.#rejected++;
    return pass;
  }

  /** Counts the end of an admitted call; false if it began in an earlier epoch or its lease had ended, and so does not count. */
  settle(pass: Pass, verdict: 'success' | 'failure' | 'ignored', failure: unknown, now: number): boolean {
    if (this.state !== 'closed') this.advance(now);
    const { state } = this;
    if (pass.epoch !== this.epoch || (state === 'half-open' && this.#round?.leave(pass) !== true)) {
      this.#late++;
      return false;
    }
    if (state === 'disabled') return true;
    if (verdict === 'ignored') {
      if (state === 'half-open') this.#discount();
      else this.#health.window.ignore(now);
      return true;
    }
    const failed = verdict === 'failure';
    const ms = Math.max(0, now - pass.at);
    const slow = ms > this.#settings.slowCall;
    if (failed) this.lastFailure = failure;
    this.#health.extend(failed);
    if (state === 'half-open') {
      this.#round?.count(failed, slow);
      this.#decide(now);
    } else {
      this.#health.window.record(failed, slow, ms, now);
      const symptom = state === 'closed' ? this.#health.symptom : undefined;
      if (symptom !== undefined) this.#open(symptom, now);
    }
    return true;
  }

  /** Takes back a pass whose call did not run. */
  release(pass: Pass, now: number): void {
    this.advance(now);
    if (pass.epoch === this.epoch && this.#round?.leave(pass) === true) this.#discount();
  }

  /** Does what is due: leases and rounds that ended, open time that is over. */
  advance(now: number): void {
    const round = this.#round;
    while (this.state === 'half-open' && round !== undefined && this.#round === round) {
      const { nextDue, until } = round;
      if (Math.min(nextDue, until) > now) return;
      if (nextDue > until) {
        this.#open('half-open-expired', until);
      } else {
        this.#note('probe-expired', { after: this.#settings.probes.probeTimeout, probes: round.expire(nextDue) });
        this.#decide(nextDue);
      }
    }
    if (this.state === 'open' && now >= this.#openings.until) this.#become('half-open', 'elapsed', now);
  }

  /** Milliseconds until an open circuit may be tried. */
  remaining(now: number): number {
    return this.state === 'open' ? Math.max(0, this.#openings.until - now) : 0;
  }

  /** Why it is isolated, if somebody said so: the latest reason that still holds. */
  get isolationReason(): string | undefined {
    return [...this.#isolations.values()].findLast((reason) => reason !== undefined);
  }

  /** Opens, for `ms` or as long as the settings say. An open circuit is only touched if `ms` is given. */
  open(now: number, ms?: number): void {
    this.advance(now);
    if (this.standing !== 'open') this.#open('manual', now, ms);
    else if (ms !== undefined) this.#openings.last(now, ms);
  }

  /** Begins a round of probes; false if the circuit is not open. */
  halfOpen(now: number): boolean {
    this.advance(now);
    if (this.standing === 'open') this.#become('half-open', 'manual', now);
    return this.standing === 'half-open';
  }

  /** Closes, disables or disarms; closing from elsewhere starts with an empty window. */
  put(to: 'closed' | 'disabled' | 'metrics-only', now: number): void {
    this.advance(now);
    if (this.standing !== to) this.#become(to, 'manual', now);
  }

  /** As new, whatever held it. */
  reset(now: number): void {
    this.advance(now);
    this.#isolations.clear();
    this.#openings.count = 0;
    this.lastFailure = undefined;
    this.#become('closed', 'manual', now);
  }

  /** Refuses all calls until every token is released. */
  isolate(token: object, reason: string | undefined, now: number): void {
    this.advance(now);
    if (this.#isolations.size === 0) this.#beneath = this.state as Standing;
    this.#isolations.set(token, reason);
    if (this.state !== 'isolated') this.#show('isolated', 'manual', now);
  }

  /** Gives an isolation back; with the last one the circuit stands again where it stood. */
  restore(token: object, now: number): void {
    if (!this.#isolations.delete(token) || this.#isolations.size > 0) return;
    if (this.#beneath === 'half-open') this.#round = new ProbeRound(this.#settings.probes, now);
    this.#show(this.#beneath, 'resumed', now);
  }

  /** Moves all times by so many ms: the clock is read from elsewhere from now on. */
  shift(ms: number): void {
    this.#since += ms;
    this.#closedAt += ms;
    this.#openings.until += ms;
    if (this.#round !== undefined) this.#round.until += ms;
  }

  /** The numbers at `now`. */
  read(now: number): CircuitReading {
    this.advance(now);
    const { window, failuresInRow, successesInRow } = this.#health;
    window.expire(now);
    const { minCalls } = this.#settings;
    const { calls, failures, slow, slowFailures, ignored } = this.#counts;
    const { admitted, succeeded, failed, inFlight } = this.#round ?? noProbes;
    const remaining = this.remaining(now);
    return {
      state: this.state,
      since: this.#since,
      openCount: this.#rested(now) ? 0 : this.#openings.count,
      remaining: remaining === Infinity ? undefined : remaining,
      calls,
      successes: calls - failures,
      failures,
      slow,
      slowFailures,
      ignored,
      rejected: this.#rejected,
      late: this.#late,
      failureRate: calls < minCalls ? undefined : failures / calls,
      slowRate: calls < minCalls ? undefined : slow / calls,
      averageMs: window.calls === 0 ? undefined : window.totalMs / window.calls,
      consecutiveFailures: failuresInRow,
      consecutiveSuccesses: successesInRow,
      probes: { admitted, succeeded, failed, inFlight },
    };
  }

  /** What counts now: the probes of the round, or what is in the window. */
  get #counts(): Pick<Window, 'calls' | 'failures' | 'slow' | 'slowFailures' | 'ignored'> {
    return this.#round ?? this.#health.window;
  }

  /** Where it stands beneath an isolation. */
  get standing(): Standing {
    return this.state === 'isolated' ? this.#beneath : this.state;
  }

  /** Whether it has been closed for so long that openings count anew. */
  #rested(now: number): boolean {
    return this.standing === 'closed' && now - this.#closedAt >= this.#settings.resetAfter;
  }

  #passOf(now: number): Pass | undefined {
    if (this.state === 'half-open') return this.#round?.enter(this.epoch, now);
    return this.state === 'open' || this.state === 'isolated' ? undefined : new Pass(this.epoch, now);
  }

  #decide(now: number): void {
    const decision = this.#round?.decision;
    if (decision === 'close') this.#become('closed', 'probes', now);
    else if (decision === 'open') this.#open('probes', now);
  }

  #discount(): void {
    if (this.#round?.discount() === true) this.#note('starved', { ignored: this.#round.ignored });
  }

  #open(reason: CircuitReason, now: number, ms?: number): void {
    const { epoch } = this;
    const count = this.#rested(now) ? 1 : this.#openings.count + 1;
    const lasting = ms ?? this.#settings.openFor(count);
    if (this.epoch !== epoch) return; // a function of the user's gave a command meanwhile
    const { calls, failures, slow } = this.#counts;
    this.#openings.add(count, now, lasting);
    this.#become('open', reason, now, { calls, failures, slow });
  }

  #become(to: Standing, reason: CircuitReason, now: number, counts?: object): void {
    if (to === 'closed') this.#closedAt = now;
    this.#health.clear();
    this.#round = to === 'half-open' ? new ProbeRound(this.#settings.probes, now) : undefined;
    if (this.#isolations.size > 0) this.#beneath = to;
    else this.#show(to, reason, now, counts);
  }

  #show(to: CircuitState, reason: CircuitReason, now: number, counts?: object): void {
    const from = this.state;
    this.epoch++;
    this.state = to;
    this.#since = now;
    this.#rejected = this.#late = 0;
    if (to === from) return;
    const opening = to === 'open' && { openCount: this.#openings.count, openFor: this.#openings.ms, error: this.lastFailure };
    this.#note(to, { from, reason, ...opening, ...counts, ...(to === 'isolated' && { why: this.isolationReason }) });
  }

  #note(type: CircuitNote['type'], fields: object): void {
    this.notes.push({ type, fields });
  }
}
