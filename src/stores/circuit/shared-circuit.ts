import { Circuit } from '../../algorithms/circuit.ts';
import type { CircuitSettings, CircuitSnapshot, CircuitState, FailureHint } from '../../algorithms/circuit-state.ts';
import { type OpenTimeSettings, openTime } from '../../algorithms/openings.ts';
import type { Pass } from '../../algorithms/pass.ts';
import type { Call } from '../../core/call.ts';
import { type Clock, type Random, systemClock, systemRandom, wallTime } from '../../core/clock.ts';
import { ResilienceError } from '../../core/errors.ts';
import { type Duration, duration, readOptions } from '../../core/options.ts';
import type { Failure, Verdict } from '../../core/outcome.ts';
import type { Scope } from '../../core/scope.ts';
import type { CircuitControls, Isolation } from './controls.ts';
import { CircuitLine, type HalfOpenSettings, type Refuse } from './line.ts';
import { CircuitNews } from './news.ts';
import { type OpenFor, safeOpenFor, safeTripTest } from './questions.ts';
import { type Past, type Taken, pastOf, readSnapshot, snapshotOf } from './snapshot.ts';
import { Recovery, type RecoverySettings } from './recovery.ts';

/** Settings of a circuit whose open time is a schedule or a user's function, and of what is around it. */
export type SharedCircuitSettings = Omit<CircuitSettings, 'openFor'> & {
  readonly openFor: OpenTimeSettings | OpenFor;
  readonly probes: HalfOpenSettings;
  readonly recover: RecoverySettings;
  /** What `snapshot()` said of the circuit that this one goes on from. */
  readonly initialState: object | undefined;
};

/**
 * A circuit that is kept in this process for any number of pipelines, with the commands of its operators. It is read by the clock of the
 * first pipeline that it is mounted in and that has a clock of its own; the process clock serves until then.
 */
export class SharedCircuit implements CircuitControls {
  readonly circuit: Circuit;
  readonly #settings: SharedCircuitSettings;
  readonly #news = new CircuitNews();
  #clock: Clock = systemClock;
  #random: Random = systemRandom;
  #mounted = false;
  #line: CircuitLine | undefined = undefined;
  #recovery: Recovery;
  #serving = false;
  /** What it goes on from, and the epoch that this began. */
  readonly #initial: { readonly taken: Taken; readonly epoch: number } | undefined;

  constructor(settings: SharedCircuitSettings) {
    const { openFor, tripWhen, initialState } = settings;
    const report = (callback: string, error: unknown): void => this.#news.report(callback, error);
    this.#settings = settings;
    const time = typeof openFor === 'function' ? safeOpenFor(openFor, report) : (n: number) => openTime(openFor, n, this.#random());
    const test = tripWhen === undefined ? undefined : safeTripTest(tripWhen, report);
    this.circuit = new Circuit({ ...settings, openFor: time, tripWhen: test }, this.#clock.now());
    this.#recovery = new Recovery(this.circuit, settings.recover, this.#clock, this.#news, () => this.#look());
    if (initialState === undefined) return;
    const taken = readSnapshot(initialState, owner);
    this.#recall(taken, owner);
    this.#initial = { taken, epoch: this.circuit.epoch };
  }

  /** Takes a pipeline among those that are told. */
  join(scope: Scope): void {
    this.#news.add(scope);
    if (this.#mounted && (this.#clock !== systemClock || scope.clock === systemClock)) return;
    const initial = this.#mounted || this.#initial?.epoch !== this.circuit.epoch ? undefined : this.#initial;
    this.#mounted = true;
    this.#line?.dissolve(this.#clock.now());
    this.circuit.shift(scope.clock.now() - this.#clock.now());
    this.#clock = scope.clock;
    this.#random = scope.random;
    this.#recovery = this.#recovery.on(this.#clock);
    this.#line = undefined;
    // How long ago that was is for the clock to say that it is read by.
    if (initial !== undefined) this.#note(this.#recall(initial.taken, owner));
    this.#recovery.follow(); // nobody can listen yet: news wait until somebody looks
  }

  /** Lets a call in, makes it wait for its turn, or refuses it. */
  admit(call: Call, now: number, refuse: Refuse): Pass | Failure | Promise<Pass | Failure> {
    const { circuit } = this;
    if (!circuit.plain) {
      // What is due is told before the call is let in, so that a listener who opens the circuit turns this call away too.
      circuit.advance(now);
      this.#after(call);
      const waiting = circuit.state === 'half-open' ? this.#waitingLine()?.join(call, refuse, now) : undefined;
      if (waiting !== undefined) return waiting;
    }
    const pass = circuit.enter(now, circuit.ramping ? this.#random() : 0);
    if (pass === undefined) return refuse(call, now);
    pass.subject = call;
    return pass;
  }

  /** Counts how an admitted call ended; false if that comes too late to count. */
  settle(pass: Pass, verdict: Verdict, failure: unknown, now: number, hint?: FailureHint): boolean {
    const counted = this.circuit.settle(pass, verdict, failure, now, hint);
    if (!this.circuit.plain || this.circuit.notes.length > 0) this.#after(pass.subject as Call);
    return counted;
  }

  /** Takes back an admission whose call did not run. */
  release(pass: Pass, now: number): void {
    this.circuit.release(pass, now);
    this.#after(pass.subject as Call);
  }

  get state(): CircuitState {
    this.#command((now) => this.circuit.advance(now));
    return this.circuit.state;
  }

  /** Whether it refuses calls, or may soon. */
  strained(): boolean {
    const { state, ramping } = this.circuit;
    return ramping || state === 'open' || state === 'half-open' || state === 'isolated';
  }

  snapshot(): CircuitSnapshot {
    return this.#command((now) => snapshotOf(this.circuit, now, wallTime(this.#clock)));
  }

  restore(snapshot: object): boolean {
    const past = this.#recall(readSnapshot(snapshot, 'restore'), 'restore');
    this.#note(past);
    this.#after(undefined);
    return past.window !== undefined;
  }

  /** Whether it is as good as new: closed, with nothing to remember (see `perKey`). */
  atRest(now: number): boolean {
    const { state, calls, openCount, consecutiveFailures, ramp } = this.circuit.read(now);
    return state === 'closed' && ramp === undefined && calls + openCount + consecutiveFailures === 0;
  }

  isolate(reason?: string): Isolation {
    const token = {};
    this.#command((now) => this.circuit.isolate(token, reason, now));
    const release = (): void => this.#command((now) => this.circuit.restore(token, now));
    return { release, [Symbol.dispose]: release };
  }

  open(span?: Duration): void {
    const { ms } = readOptions<{ ms: number | undefined }>('open', { ms: duration({ infinite: true }).optional() }, { ms: span });
    this.#command((now) => this.circuit.open(now, ms));
  }

  halfOpen(): void {
    const { circuit } = this;
    if (this.#command((now) => circuit.halfOpen(now))) return;
    throw new ResilienceError(`halfOpen(): the circuit is ${circuit.state}, and only an open one can be tried out; call open() first`);
  }

  close(): void {
    this.#command((now) => this.circuit.put('closed', now));
  }

  disable(): void {
    this.#command((now) => this.circuit.put('disabled', now));
  }

  metricsOnly(): void {
    this.#command((now) => this.circuit.put('metrics-only', now));
  }

  enable(): void {
    const { standing } = this.circuit;
    if (standing === 'disabled' || standing === 'metrics-only') this.close();
  }

  reset(): void {
    this.#command((now) => this.circuit.reset(now));
  }

  [Symbol.dispose](): void {
    this.#recovery.end();
  }

  /** A line for calls to wait in, if they may. */
  #waitingLine(): CircuitLine | undefined {
    const { probes } = this.#settings;
    if (probes.overflow === 'refuse') return undefined;
    return (this.#line ??= new CircuitLine(this.circuit, probes, this.#clock, this.#random, () => this.#look()));
  }

  #look(): void {
    this.#command((now) => this.circuit.advance(now));
  }

  #command<T>(act: (now: number) => T): T {
    const answer = act(this.#clock.now());
    this.#after(undefined);
    return answer;
  }

  /** Tells what has happened, and sees to those who wait for it. */
  #after(call: Call | undefined): void {
    const { notes } = this.circuit;
    this.#news.tell(notes, call);
    if (this.#line !== undefined && !this.#serving) {
      this.#serving = true;
      this.#line.serve(this.#clock.now());
      this.#serving = false;
      this.#news.tell(notes, call);
    }
    this.#recovery.follow();
  }

  #recall(taken: Taken, path: string): Past {
    const now = this.#clock.now();
    const past = pastOf(taken, path, this.circuit.settings, now, wallTime(this.#clock));
    this.circuit.recall(past.memory, past.window, now, past.elapsed);
    return past;
  }

  #note({ window, elapsed }: Past): void {
    const { state } = this.circuit;
    this.circuit.notes.push({ type: 'restored', fields: { state, elapsed, window: window === undefined ? 'dropped' : 'kept' } });
  }
}

/** Where the snapshot stands that a circuit goes on from. */
const owner = 'circuit-breaker.initialState';
