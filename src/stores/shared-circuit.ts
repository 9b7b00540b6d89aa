import { Circuit } from '../algorithms/circuit.ts';
import type { CircuitNote, CircuitSettings, CircuitSnapshot, CircuitState } from '../algorithms/circuit-state.ts';
import { type OpenTimeSettings, openTime } from '../algorithms/openings.ts';
import type { Pass } from '../algorithms/probes.ts';
import { Audience } from '../core/audience.ts';
import type { Call } from '../core/call.ts';
import { type Clock, type Random, systemClock, systemRandom } from '../core/clock.ts';
import { ResilienceError } from '../core/errors.ts';
import type { Level } from '../core/events.ts';
import { type Duration, duration, readOptions, show } from '../core/options.ts';
import type { Verdict } from '../core/outcome.ts';
import type { Scope } from '../core/scope.ts';

/** Settings of a circuit whose open time is a schedule or a user's function. */
export type SharedCircuitSettings = Omit<CircuitSettings, 'openFor'> & {
  readonly openFor: OpenTimeSettings | ((openCount: number) => number);
};

/** What is told when a state begins, and besides. */
const news: Readonly<Record<CircuitNote['type'], { readonly type: string; readonly level: Level }>> = {
  closed: { type: 'circuit-breaker.closed', level: 'info' },
  open: { type: 'circuit-breaker.opened', level: 'error' },
  'half-open': { type: 'circuit-breaker.half-opened', level: 'warn' },
  isolated: { type: 'circuit-breaker.isolated', level: 'warn' },
  disabled: { type: 'circuit-breaker.disabled', level: 'warn' },
  'metrics-only': { type: 'circuit-breaker.disarmed', level: 'warn' },
  'probe-expired': { type: 'circuit-breaker.probe-expired', level: 'warn' },
  starved: { type: 'circuit-breaker.starved', level: 'warn' },
};

/** An isolation that somebody asked for, until it is released. */
export interface Isolation extends Disposable {
  /** Lets go; the circuit is back where it stood once all who isolated it have. A second call does nothing. */
  release(): void;
}

/** What operators can ask of a circuit and tell it. Looking at it carries out what is due; commands take effect at once. */
export interface CircuitControls {
  readonly state: CircuitState;
  snapshot(): CircuitSnapshot;
  /** Refuses all calls until released; then it stands again where it stood, with the same counts. Isolations add up. */
  isolate(reason?: string): Isolation;
  /** Opens, for the given time or as `openFor` says. */
  open(time?: Duration): void;
  /** Lets probes in before the open time is over. @throws ResilienceError if it is not open */
  halfOpen(): void;
  /** Closes with an empty window, from any state. */
  close(): void;
  /** Lets all calls pass and counts none, until `enable()` or another command. */
  disable(): void;
  /** Lets all calls pass, counts them, and never opens, until `enable()` or another command. */
  metricsOnly(): void;
  /** Ends `disable()` and `metricsOnly()`: closed, with an empty window. */
  enable(): void;
  /** Makes it as new: closed, nothing counted, no isolation. */
  reset(): void;
}

/**
 * A circuit that is kept in this process for any number of pipelines, with the commands of its operators. It is read by the clock of the
 * first pipeline that it is mounted in and that has a clock of its own; the process clock serves until then.
 */
export class SharedCircuit implements CircuitControls {
  readonly circuit: Circuit;
  readonly #audience = new Audience();
  #clock: Clock = systemClock;
  #random: Random = systemRandom;
  #mounted = false;
  #telling = false;

  constructor({ openFor, ...settings }: SharedCircuitSettings) {
    const given =
      typeof openFor === 'function' ? (n: number) => this.#ask(openFor, n) : (n: number) => openTime(openFor, n, this.#random());
    this.circuit = new Circuit({ ...settings, openFor: given }, this.#clock.now());
  }

  /** Takes a pipeline among those that are told. */
  join(scope: Scope): void {
    this.#audience.add(scope);
    if (this.#mounted && (this.#clock !== systemClock || scope.clock === systemClock)) return;
    this.#mounted = true;
    this.circuit.shift(scope.clock.now() - this.#clock.now());
    this.#clock = scope.clock;
    this.#random = scope.random;
  }

  /** Lets a call in or (`undefined`) does not. */
  admit(call: Call, now: number): Pass | undefined {
    const { circuit } = this;
    if (circuit.state !== 'closed') {
      // What is due is told before the call is let in, so that a listener who opens the circuit turns this call away too.
      circuit.advance(now);
      this.#tell(call);
    }
    const pass = circuit.enter(now);
    if (pass !== undefined) pass.subject = call;
    return pass;
  }

  /** Counts how an admitted call ended; false if that comes too late to count. */
  settle(pass: Pass, verdict: Verdict, failure: unknown, now: number): boolean {
    const counted = this.circuit.settle(pass, verdict, failure, now);
    this.#tell(pass.subject as Call);
    return counted;
  }

  /** Takes back an admission whose call did not run. */
  release(pass: Pass, now: number): void {
    this.circuit.release(pass, now);
    this.#tell(pass.subject as Call);
  }

  get state(): CircuitState {
    this.#command((now) => this.circuit.advance(now));
    return this.circuit.state;
  }

  snapshot(): CircuitSnapshot {
    const { circuit } = this;
    const reading = this.#command((now) => circuit.read(now));
    const failure = circuit.lastFailure;
    const lastFailure =
      failure instanceof Error ? `${failure.name}: ${failure.message}` : failure === undefined ? undefined : show(failure);
    return { ...reading, lastFailure, why: circuit.isolationReason };
  }

  /** Whether it is as good as new: closed, with nothing to remember (see `perKey`). */
  atRest(now: number): boolean {
    const { state, calls, openCount, consecutiveFailures } = this.circuit.read(now);
    return state === 'closed' && calls + openCount + consecutiveFailures === 0;
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

  /**
   * Sends out what has happened, each event after its change and in order: a listener that gives a command of its own only adds to the
   * queue. `call` lends the events its key.
   */
  #tell(call?: Call): void {
    if (this.circuit.notes.length === 0 || this.#telling) return;
    this.#telling = true;
    try {
      for (let note = this.circuit.notes.shift(); note !== undefined; note = this.circuit.notes.shift()) {
        const { type, level } = news[note.type];
        this.#audience.emit(type, level, call, note.fields);
      }
    } finally {
      this.#telling = false;
    }
  }

  #command<T>(act: (now: number) => T): T {
    const answer = act(this.#clock.now());
    this.#tell();
    return answer;
  }

  #ask(openFor: (openCount: number) => number, openCount: number): number {
    try {
      const ms: unknown = openFor(openCount);
      if (typeof ms === 'number' && ms >= 0) return ms;
      throw new RangeError(`circuit-breaker.openFor: expected a function that answers with ms, got ${show(ms)}`);
    } catch (error) {
      this.#audience.report('openFor', error);
      return substitute;
    }
  }
}

/** How long a circuit stays open if the function that should say so fails, ms. */
const substitute = 5000;
