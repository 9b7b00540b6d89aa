import type { Circuit } from '../../algorithms/circuit.ts';
import { Deadlines } from '../../algorithms/deadlines.ts';
import { Fifo } from '../../algorithms/fifo.ts';
import type { Pass } from '../../algorithms/pass.ts';
import type { ProbeSettings } from '../../algorithms/probes.ts';
import { Waiter } from '../../algorithms/slots.ts';
import { Alarm } from '../../core/alarm.ts';
import type { Call } from '../../core/call.ts';
import type { Clock } from '../../core/clock.ts';
import type { Failure } from '../../core/outcome.ts';

/** Makes the refusal of a call by the circuit as it stands; `waited` if its time in the line was up. */
export type Refuse = (call: Call, now: number, waited?: boolean) => Failure;

/** How a circuit is tried out, and what becomes of calls for which there is no place meanwhile. `Time` is what a length of time is given as: ms, once read. */
export interface HalfOpenSettings<Time = number> extends ProbeSettings<Time> {
  /** Whether a call that finds all places taken is refused, or waits for the round to be decided. @defaultValue `'refuse'` */
  readonly overflow: 'refuse' | 'wait';
  /** How long it waits at most; its deadline bounds the wait too. @defaultValue `'5s'` */
  readonly maxWait: Time;
  /** How many may wait; more are refused at once. @defaultValue `100` */
  readonly maxWaiting: number;
}

type Waiting = Waiter<Call, Refuse, Pass | Failure>;

/**
 * Calls that wait for a half-open circuit: a place that a probe gives back is theirs, first come, first served, and once the round is decided they are
 * let in or refused. While somebody waits there is a timer for what falls due by itself (the end of a wait, of a lease, of the round).
 */
export class CircuitLine {
  readonly #circuit: Circuit;
  readonly #settings: HalfOpenSettings;
  readonly #chance: () => number;
  readonly #line = new Fifo<Waiting>();
  readonly #deadlines = new Deadlines<Waiting>();
  readonly #alarm: Alarm;

  /** `look(now)` is called when something is due; it is to come back with `serve`. */
  constructor(circuit: Circuit, settings: HalfOpenSettings, clock: Clock, chance: () => number, look: (now: number) => void) {
    this.#circuit = circuit;
    this.#settings = settings;
    this.#chance = chance;
    this.#alarm = new Alarm(clock, look);
  }

  get size(): number {
    return this.#line.size;
  }

  /** Lets a call wait; `undefined` if it need not (there is a place, and nobody before it) or cannot. */
  join(call: Call, refuse: Refuse, now: number): Promise<Pass | Failure> | undefined {
    const { size } = this.#line;
    if (size === 0 && this.#circuit.round?.hasPlace === true) return undefined;
    if (size >= this.#settings.maxWaiting || !call.waits) return undefined;
    return new Promise((resolve) => {
      const waiter: Waiting = new Waiter(call, refuse, now, now + this.#settings.maxWait, resolve);
      this.#line.push(waiter);
      this.#deadlines.add(waiter);
      call.waiter = (failure) => this.#leave(waiter, failure);
      this.#wind(now);
    });
  }

  /** Lets in whoever can be, refuses whoever has waited in vain. */
  serve(now: number): void {
    const circuit = this.#circuit;
    this.#deadlines.expire(now, (waiter) => {
      circuit.rejected++;
      this.#end(waiter, waiter.way(waiter.owner, now, true));
    });
    for (let waiter = this.#line.oldest; waiter !== undefined; waiter = this.#line.oldest) {
      if (circuit.state === 'half-open' && circuit.round?.hasPlace !== true) break;
      const pass = circuit.enter(now, circuit.ramping ? this.#chance() : 0);
      if (pass !== undefined) pass.subject = waiter.owner;
      this.#end(waiter, pass ?? waiter.way(waiter.owner, now));
    }
    this.#wind(now);
  }

  /** Refuses all who wait: the clock by which they do is no longer the circuit's. */
  dissolve(now: number): void {
    for (let waiter = this.#line.oldest; waiter !== undefined; waiter = this.#line.oldest) {
      this.#circuit.rejected++;
      this.#end(waiter, waiter.way(waiter.owner, now));
    }
    this.#alarm.clear();
  }

  #leave(waiter: Waiting, failure: Failure): void {
    this.#end(waiter, failure);
    if (this.#line.size === 0) this.#alarm.clear();
  }

  #end(waiter: Waiting, answer: Pass | Failure): void {
    this.#line.remove(waiter);
    this.#deadlines.remove(waiter);
    waiter.tell(answer);
  }

  #wind(now: number): void {
    if (this.#line.size === 0) this.#alarm.clear();
    else this.#alarm.set(Math.min(this.#deadlines.next, this.#circuit.nextDue), now);
  }
}
