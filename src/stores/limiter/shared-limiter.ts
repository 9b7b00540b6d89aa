import { LATENESS, type Meter, exceeds } from '../../algorithms/meters/meter.ts';
import { Turn, WaitingLine } from '../../algorithms/meters/waiting-line.ts';
import { Alarm } from '../../core/alarm.ts';
import type { Call } from '../../core/call.ts';
import type { Clock } from '../../core/clock.ts';
import type { Mode } from '../../core/mode.ts';
import type { Failure } from '../../core/outcome.ts';
import { type GatePolicy, type Handler, type PlainData, mountAlone } from '../../core/policy.ts';
import { rankOf } from '../../core/priority.ts';
import type { Quota } from '../../core/quota.ts';
import type { Scope } from '../../core/scope.ts';
import type { Gate } from '../../core/stage.ts';
import { Door, LimiterGate, type Limiting } from './limiter-gate.ts';
import type { LimiterTerms } from './terms.ts';

/**
 * A rate limiter that is kept in this process for any number of pipelines: its meter, which clock that is read by, and who waits. Each kind of limiter adds its options, what it
 * says about itself, and how its limit is changed.
 */
export abstract class SharedLimiter<Kind extends Meter<Cost, Receipt>, Cost, Receipt> implements Limiting<Cost, Receipt>, GatePolicy {
  abstract readonly kind: string;
  readonly name: string | undefined;
  readonly mode: Mode;
  readonly terms: LimiterTerms;
  readonly meter: Kind;
  readonly door: Door = new Door();
  #line: WaitingLine<Cost, Receipt> | undefined = undefined;
  #clock: Clock | undefined = undefined;

  constructor(meter: Kind, terms: LimiterTerms) {
    this.meter = meter;
    this.terms = terms;
    this.name = terms.name;
    this.mode = terms.mode;
  }

  abstract get law(): string;

  abstract snapshot(): PlainData;

  abstract describe(): PlainData;

  abstract priceOf(call: Call): Cost;

  abstract isFree(cost: Cost): boolean;

  /** What a call costs that costs 1, or all that there ever is. */
  abstract get unit(): Cost;

  /** What it allows and what is left, for calls that are kept waiting no longer than `patience` (ms). */
  abstract remainders(policy: string, now: number, patience: number): readonly Quota[];

  get fixedPrice(): Cost | undefined {
    return undefined;
  }

  get takesWhatCallsSay(): boolean {
    return false;
  }

  get waiting(): number {
    return this.#line?.size ?? 0;
  }

  gate(scope: Scope): Gate {
    this.join(scope);
    return new LimiterGate<Cost, Receipt>(this, scope);
  }

  mount(next: Handler, scope: Scope): Handler {
    return mountAlone(this, next, scope);
  }

  /** A pipeline mounts it. Time begins with the first one or, if the first call comes by another clock, then. */
  join({ clock }: Scope): void {
    if (this.#clock === undefined) this.#begin(clock, clock.now());
  }

  arrive({ clock }: Scope, read: number): number {
    const latest = this.door.latest;
    // A reading from before others came, who were called from a callback or listener meanwhile, is stale: that is no clock that goes back.
    const now = read < latest && latest - read <= LATENESS ? latest : read;
    if (!this.door.used) {
      this.door.used = true;
      if (clock !== this.#clock) this.#begin(clock, now);
    } else if (now < latest) {
      this.setBack(now);
    }
    this.door.latest = now;
    this.#line?.advance(now);
    return now;
  }

  wait(cost: Cost, now: number): number {
    return this.#line === undefined ? this.meter.wait(cost, now) : this.#line.wait(cost, now);
  }

  next(now: number): number {
    return this.#line?.next(now) ?? 0;
  }

  quotasFor(_key: string | undefined, name: string, now: number): readonly Quota[] {
    return this.remainders(name, now, this.patience(undefined));
  }

  patience(call: Call | undefined): number {
    const { maxWait, borrow } = this.terms;
    return borrow === undefined || call === undefined || call.rank < rankOf(borrow.priority) ? maxWait : Math.max(maxWait, borrow.maxWait);
  }

  giveBack(receipt: Receipt, now: number): void {
    this.#line?.advance(now);
    this.meter.giveBack(receipt, now);
    this.#changed(now);
  }

  drain(now: number): void {
    this.#line?.advance(now);
    this.meter.drain(now);
    this.#changed(now);
  }

  queue(call: Call, cost: Cost, until: number, now: number, refuse: () => Failure): Promise<Receipt | Failure> {
    const { clock } = call.scope;
    const line = (this.#line ??= this.newLine((ring) => new Alarm(clock, ring)));
    this.door.line = line;
    return new Promise((resolve) => {
      const turn = new Turn<Cost, Receipt>(cost, until, (receipt) => {
        call.waiter = undefined;
        resolve(receipt === undefined ? refuse() : receipt);
      });
      call.waiter = (failure) => {
        line.leave(turn, clock.now());
        resolve(failure);
      };
      line.join(turn, now);
    });
  }

  /** Whether it is as good as new, those who wait aside. */
  atRest(now: number): boolean {
    return this.waiting === 0 && this.meter.isFresh(now);
  }

  /** How long until a call that costs 1 is let in or, if it may be kept waiting, would be; 0 if it passes. */
  protected turn(now: number, patience: number): number {
    const wait = this.wait(this.unit, now);
    const next = this.waiting >= this.terms.maxQueue ? this.next(now) : 0;
    if (exceeds(wait, patience, now)) return Math.max(wait - patience, next);
    return next > 0 ? next : wait;
  }

  /** Whether a pipeline has mounted it. */
  protected get begun(): boolean {
    return this.#clock !== undefined;
  }

  /** The present, by its clock; `undefined` before it has one. */
  protected get now(): number | undefined {
    return this.#clock?.now();
  }

  /** The limit has changed at `now`: what that means for those who wait. */
  protected review(now: number): void {
    this.#line?.review(now);
  }

  protected newLine(bell: (ring: (now: number) => void) => Alarm): WaitingLine<Cost, Receipt> {
    return new WaitingLine<Cost, Receipt>(this.meter, bell);
  }

  /** The clock was set back: whoever waited for it to catch up would wait for long. */
  protected setBack(now: number): void {
    this.meter.begin(now);
  }

  /** Time begins for the meter. */
  protected started(_clock: Clock, now: number): void {
    this.meter.begin(now);
  }

  #begin(clock: Clock, now: number): void {
    this.#clock = clock;
    this.started(clock, now);
  }

  #changed(now: number): void {
    this.#line?.forget();
    this.#line?.advance(now);
  }
}
