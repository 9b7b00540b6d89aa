import { type CircuitParts, readingOf } from './circuit-reading.ts';
import type { CircuitMemory, CircuitNote, CircuitReason, CircuitSettings, CircuitState, Standing } from './circuit-state.ts';
import { Health } from './health.ts';
import { Isolations } from './isolations.ts';
import { Openings } from './openings.ts';
import { ProbeRound } from './probes.ts';
import { type RampSettings, rampShare } from './ramp.ts';
import type { Window } from './window.ts';

/** Where a circuit stands, and how it gets from one state to another. Each change begins a new epoch. */
export class CircuitStates implements CircuitParts {
  readonly notes: CircuitNote[] = [];
  /** The last failure that was counted: an error, or a result judged bad. */
  lastFailure: unknown = undefined;
  state: CircuitState = 'closed';
  epoch = 0;
  /** Closed, and with nothing to see to on the way in. */
  plain: boolean;
  readonly settings: CircuitSettings;
  readonly health: Health;
  readonly openings: Openings = new Openings();
  readonly isolations: Isolations = new Isolations();
  round: ProbeRound | undefined = undefined;
  since: number;
  closedAt: number;
  rejected = 0;
  late = 0;
  /** Whether it has closed and only lets a share of the calls in. */
  ramping = false;

  constructor(settings: CircuitSettings, now: number) {
    this.settings = settings;
    this.health = new Health(settings, now);
    this.plain = !settings.slowInFlight;
    this.since = this.closedAt = now;
  }

  /** Where it stands beneath an isolation. */
  get standing(): Standing {
    return this.state === 'isolated' ? this.isolations.beneath : this.state;
  }

  /** Milliseconds until an open circuit may be tried. */
  remaining(now: number): number {
    return this.state === 'open' ? Math.max(0, this.openings.until - now) : 0;
  }

  /** When something falls due though nobody calls; `Infinity` if nothing does. */
  get nextDue(): number {
    if (this.state === 'open') return this.openings.until;
    return this.state === 'half-open' && this.round !== undefined ? Math.min(this.round.nextDue, this.round.until) : Infinity;
  }

  /** Share of the calls that is let in. */
  share(now: number): number {
    return this.ramping ? rampShare(this.settings.rampUp as RampSettings, now - this.closedAt) : 1;
  }

  /** Number of the next opening in a row: after it has been closed for long they count anew. */
  nextCount(now: number): number {
    const rested = this.standing === 'closed' && now - this.closedAt >= this.settings.resetAfter;
    return rested ? 1 : this.openings.count + 1;
  }

  /** Moves all times by so many ms: the clock is read from elsewhere from now on. */
  shift(ms: number): void {
    this.since += ms;
    this.closedAt += ms;
    this.openings.at += ms;
    this.openings.until += ms;
    this.health.shift(ms);
    if (this.round !== undefined) this.round.until += ms;
  }

  /** Stands where it stood `elapsed` ms ago, by what was remembered of it; with this window, or an empty one. */
  recall(memory: CircuitMemory, window: Window | undefined, now: number, elapsed: number): void {
    const { state, standing, openFor = Infinity, openLeft = Infinity } = memory;
    this.isolations.clear();
    this.lastFailure = memory.lastFailure;
    // Those who were probing it are gone: it may be tried again at once.
    this.openings.add(memory.openCount, now, standing === 'half-open' ? 0 : Math.max(0, openLeft - elapsed));
    this.openings.ms = openFor;
    this.become(standing === 'half-open' ? 'open' : standing, 'restored', now);
    this.health.recall(memory.consecutiveFailures, memory.consecutiveSuccesses, window);
    this.openings.at = now - elapsed - memory.openedAgo;
    this.closedAt = now - elapsed - memory.closedAgo;
    this.ramp(memory.ramping && this.settings.rampUp !== undefined);
    if (state === 'isolated') this.hold({}, memory.why, now);
    this.since = now - elapsed - memory.age;
  }

  /** Refuses all calls until every token is released. */
  protected hold(token: object, reason: string | undefined, now: number): void {
    if (!this.isolations.hold) this.isolations.beneath = this.state as Standing;
    this.isolations.add(token, reason);
    if (this.state !== 'isolated') this.#show('isolated', 'manual', now);
  }

  /** Gives an isolation back; with the last one it stands again where it stood. */
  restore(token: object, now: number): void {
    if (!this.isolations.remove(token)) return;
    const { beneath } = this.isolations;
    if (beneath === 'half-open') this.round = new ProbeRound(this.settings.probes, now);
    this.#show(beneath, 'resumed', now);
  }

  /** Opens, for `ms` or as long as the settings and the failures say. */
  protected trip(reason: CircuitReason, now: number, ms?: number): void {
    const { epoch, openings } = this;
    const count = this.nextCount(now);
    const reading = readingOf(this, now);
    const lasting = ms ?? Math.max(this.settings.openFor(count, reading, this.lastFailure), openings.asked - now);
    if (this.epoch !== epoch) return; // a function of the user's gave a command meanwhile
    const { calls, failures, slow, slowInFlight } = reading;
    openings.add(count, now, lasting);
    this.become('open', reason, now, { calls, failures, slow, ...(slowInFlight > 0 && { slowInFlight }) });
  }

  protected become(to: Standing, reason: CircuitReason, now: number, counts?: object): void {
    if (to === 'closed') this.closedAt = now;
    this.openings.asked = -Infinity;
    this.health.clear();
    this.round = to === 'half-open' ? new ProbeRound(this.settings.probes, now) : undefined;
    this.ramping = to === 'closed' && reason !== 'manual' && this.settings.rampUp !== undefined;
    if (this.isolations.hold) this.isolations.beneath = to;
    else this.#show(to, reason, now, counts);
  }

  /** Begins or ends the ramp of a closed circuit. */
  protected ramp(ramping: boolean): void {
    this.ramping = ramping;
    this.plain = this.state === 'closed' && !ramping && this.health.inFlight === undefined;
  }

  protected note(type: CircuitNote['type'], fields: object): void {
    this.notes.push({ type, fields });
  }

  #show(to: CircuitState, reason: CircuitReason, now: number, counts?: object): void {
    const from = this.state;
    this.epoch++;
    this.state = to;
    this.health.inFlight?.clear();
    this.ramp(this.ramping);
    this.since = now;
    this.rejected = this.late = 0;
    if (to === from) return;
    const { count: openCount, ms: openFor } = this.openings;
    const opening = to === 'open' && { openCount, openFor, error: this.lastFailure };
    this.note(to, { from, reason, ...opening, ...counts, ...(to === 'isolated' && { why: this.isolations.reason }) });
  }
}
