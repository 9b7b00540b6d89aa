/** How hard pressed the process is, as one guard sees it: the latest sample, and what the guard counts itself. */

import { Bbr, type BbrSettings } from '../../algorithms/bbr.ts';
import { LoadBuckets } from '../../algorithms/load-buckets.ts';
import { Failure, type Outcome } from '../../core/outcome.ts';
import { type SystemReading, type SystemReadings, calm } from '../../stores/system/readings.ts';
import {
  type GuardReading,
  type OwnReading,
  type Thresholds,
  ambiguous,
  heaviest,
  loadOf,
  plain,
  tell,
  wantedOf,
  whole,
} from './conditions.ts';

/** When calls under way are asked whether the load matters. */
export interface CheckSettings extends BbrSettings {
  /** So long after the load was last at a threshold it counts as if it still were, ms. */
  readonly coolOff: number;
  /** From this load on nobody is asked. */
  readonly upTo: number;
}

/** The second that rates and times are looked at, in buckets; with the newest, which has only begun, never less than it. */
const BUCKET = 100;
const BUCKETS = 11;

/**
 * An event loop at its threshold may begin this share of what it finished at best, and less the later it is (by the root of that: what is turned away leaves the queue at next to no
 * cost, so a little less is enough). What waits in it is a queue that nobody can count. From a share of {@link ALL} on, at some half of the threshold, nobody minds.
 */
const KEEPS_UP = 0.9;
const ALL = 1.25;

/** Whose load is the heaviest. */
export interface Heaviest {
  readonly name: GuardReading | undefined;
  readonly load: number;
}

/** The state of one guard. */
export class Pressure {
  readonly check: CheckSettings | undefined;
  readings: SystemReadings = calm;
  wanted: ReadonlySet<SystemReading>;
  inFlight = 0;
  #limits: Thresholds;
  readonly #bbr: Bbr | undefined;
  /** Calls let in lately, and how long those took that ended. */
  readonly #calls: LoadBuckets = new LoadBuckets(BUCKET, BUCKETS);
  /** Loads by the latest sample: by what is high in a busy server, and by what tells by itself. */
  #ambiguous = 0;
  #plain = 0;
  /** A load that was at a threshold stands until then. */
  #held = 0;
  #heldUntil = -Infinity;
  #counts = false;
  /** The share of what it finishes that a late event loop may begin. */
  #late = Infinity;
  /** Of the latest sample, once somebody has asked. */
  #worst: Heaviest | undefined = undefined;
  #words: string | undefined = undefined;

  constructor(limits: Thresholds, check: CheckSettings | undefined) {
    this.check = check;
    this.#bbr = check === undefined ? undefined : new Bbr(check);
    this.#limits = limits;
    this.wanted = wantedOf(limits);
    this.#review();
  }

  get limits(): Thresholds {
    return this.#limits;
  }

  set limits(limits: Thresholds) {
    this.#limits = limits;
    this.wanted = wantedOf(limits);
    this.#review();
    this.#weigh();
  }

  /** Whether the end of a call is of interest, and when it comes. */
  get times(): boolean {
    return this.#bbr !== undefined || this.#limits.averageTime !== false;
  }

  /** Takes a new sample. */
  sample(readings: Partial<SystemReadings>, now: number): void {
    this.readings = whole(readings);
    this.#weigh();
    if (this.check === undefined || this.#ambiguous < 1) return;
    this.#held = this.#ambiguous;
    this.#heldUntil = now + this.check.coolOff;
  }

  /** The load, whatever may be done about it; 1 is at a threshold. */
  load(now: number): number {
    return Math.max(this.#ambiguous, this.#plain, this.#counts ? this.#own(now) : 0);
  }

  /**
   * The load that counts: that of a busy server only if it has more to do than it carries, or is far too much. `matters`: what is less is of no interest; `share`: the
   * part of what it carries that calls like this one may use.
   */
  effective(now: number, matters: number, share = 1): number {
    const sure = this.#counts ? Math.max(this.#plain, this.#own(now)) : this.#plain;
    const busy = this.#busy(now);
    if (busy <= sure || busy < matters || this.#bbr === undefined) return Math.max(sure, busy);
    const late = this.#late * share;
    const isTooMuch = this.#bbr.isExceeded(now, share) || (late < ALL && this.#bbr.isOutrun(now, late));
    return isTooMuch || this.#ambiguous >= (this.check as CheckSettings).upTo ? busy : sure;
  }

  /** Whether there is a load that calls under way may speak against. */
  isBusy(now: number, matters: number): boolean {
    return this.#bbr !== undefined && this.#busy(now) >= matters;
  }

  /** Whose load is the heaviest now. */
  heaviest(now: number): Heaviest {
    const system = (this.#worst ??= heaviest([...ambiguous, ...plain], this.readings, this.#limits));
    if (!this.#counts) return system;
    const own = heaviest<OwnReading>(['inFlight', 'qps', 'averageTime'], this.own(now), this.#limits);
    return own.load > system.load ? own : system;
  }

  /** The same in words: why calls are refused. Of the process it is told once for each sample. */
  reason(now: number): string {
    const { name } = this.heaviest(now);
    if (name === undefined) return 'the process was overloaded a moment ago';
    if (name === 'inFlight' || name === 'qps' || name === 'averageTime') return tell(name, this.own(now)[name], this.#limits);
    return (this.#words ??= tell(name, this.readings[name], this.#limits));
  }

  /** What the guard counts itself. */
  own(now: number): Readonly<Record<OwnReading, number>> {
    return { inFlight: this.inFlight, qps: this.#rate(now), averageTime: this.#calls.mean(now) };
  }

  /** So many calls the process was seen to carry without a queue; `undefined` without the check. */
  carries(now: number): number | undefined {
    return this.#bbr?.limit(now);
  }

  /** Whether nothing is under way, and nothing was lately. */
  isIdle(now: number): boolean {
    this.#calls.expire(now);
    return this.inFlight === 0 && this.#calls.count === 0 && now >= this.#heldUntil && this.#bbr?.isIdle(now) !== false;
  }

  begin(now: number): void {
    this.inFlight++;
    this.#bbr?.begin(now);
    if (this.#counts) this.#calls.add(now);
  }

  /** The work ran. What was cut short, or refused further in, does not tell how long a call takes, and a failure may be quicker than any answer. */
  end(since: number, outcome: Outcome, now: number): void {
    this.inFlight--;
    const failed = outcome instanceof Failure;
    if (!this.times) return;
    const ms = Math.max(0, now - since);
    if (failed && outcome.kind !== 'thrown') this.#bbr?.drop();
    else this.#bbr?.end(failed ? undefined : ms, now);
    if (this.#limits.averageTime !== false && !(failed && outcome.kind === 'refused')) this.#calls.time(ms, now);
  }

  /** It did not run. */
  drop(since: number): void {
    this.inFlight--;
    this.#bbr?.drop();
    if (this.#counts) this.#calls.remove(since);
  }

  #busy(now: number): number {
    return now < this.#heldUntil ? Math.max(this.#ambiguous, this.#held) : this.#ambiguous;
  }

  #own(now: number): number {
    const { inFlight, qps, averageTime } = this.#limits;
    const load = Math.max(loadOf(this.inFlight, inFlight), qps === false ? 0 : loadOf(this.#rate(now), qps));
    return averageTime === false ? load : Math.max(load, loadOf(this.#calls.mean(now), averageTime));
  }

  #rate(now: number): number {
    this.#calls.expire(now);
    return this.#calls.count;
  }

  #review(): void {
    const { inFlight, qps, averageTime } = this.#limits;
    this.#counts = inFlight !== false || qps !== false || averageTime !== false;
  }

  #weigh(): void {
    this.#worst = this.#words = undefined;
    const late = loadOf(this.readings.eventLoopDelay, this.#limits.eventLoopDelay);
    this.#late = late === 0 ? Infinity : KEEPS_UP / Math.sqrt(late);
    this.#ambiguous = heaviest(ambiguous, this.readings, this.#limits).load;
    this.#plain = heaviest(plain, this.readings, this.#limits).load;
  }
}
