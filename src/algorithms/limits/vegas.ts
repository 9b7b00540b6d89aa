import { type Bounds, type Limit, isTime, within } from './limit.ts';
import { log10Root } from './roots.ts';

/** Settings of {@link Vegas}. */
export interface VegasSettings {
  readonly kind: 'vegas';
  /** With a shorter queue than this the limit grows. Left out: 3 for each digit of the limit after the first. */
  readonly alpha: number | undefined;
  /** With a longer queue than this the limit shrinks. Left out: 6 for each digit of the limit after the first. */
  readonly beta: number | undefined;
  /** What a decrease leaves of the limit, 0 to 1. Left out: 1 less, from 100 on 2 less, and so on. */
  readonly decrease: number | undefined;
  /** How much of a change is made at once, 0 to 1. */
  readonly smoothing: number;
  /** The baseline is measured anew about every `probe * limit` samples. */
  readonly probe: number;
}

/** What a probe leaves of the limit while it measures: as much as bandwidth probing leaves of a rate (BBR, Cardwell et al., 2016). */
const DIP = 0.75;
/** A probe that makes round trips this much shorter found a queue: there may be more of it. */
const FOUND = 0.85;
/** The first probe comes after so many samples, for it may all have begun in an overload; one that found a queue is repeated after so many. */
const FIRST = 30;
const AGAIN = 10;

/**
 * How long a queue of ours stands at the server is seen from how much longer round trips take than the quickest ever did: `limit * (1 - baseline / rtt)`.
 * Short of alpha the limit grows, beyond beta it shrinks (TCP Vegas, Brakmo and Peterson, 1995; the form of Netflix's concurrency-limits).
 *
 * A minimum only ever falls, so from time to time it is measured anew. Under load that would take the queue of the moment for none at all and let
 * the limit creep up; therefore the limit goes down by a quarter for the one sample that counts as the baseline.
 */
export class Vegas implements Limit {
  baseline: number | undefined = undefined;
  gradient = 1;
  readonly #settings: VegasSettings;
  readonly #bounds: Bounds;
  readonly #maxBaseline: number;
  #estimate: number;
  /** Samples until the next probe. */
  #next = FIRST;
  /** The limit to come back to, `undefined` while nothing is probed, and what round trips took before. */
  #resume: number | undefined = undefined;
  #before = 0;

  constructor(settings: VegasSettings, bounds: Bounds, maxBaseline: number = Infinity) {
    this.#settings = settings;
    this.#bounds = bounds;
    this.#maxBaseline = maxBaseline;
    this.#estimate = bounds.initial;
  }

  get limit(): number {
    return Math.floor(this.#estimate);
  }

  sample(rtt: number, inflight: number, dropped: boolean, _now: number, u = 1): number {
    if (!isTime(rtt)) {
      if (dropped) this.#move(this.#less());
      return this.limit;
    }
    if (this.#resume !== undefined) this.#measured(rtt, inflight, dropped);
    else if (--this.#next <= 0) this.#probe(rtt, inflight, u);
    else if (this.baseline === undefined || rtt < this.baseline) this.#setBaseline(rtt);
    else this.#adjust(rtt, inflight, dropped);
    return this.limit;
  }

  reset(): void {
    this.#estimate = this.#bounds.initial;
    this.baseline = this.#resume = undefined;
    this.gradient = 1;
    this.#next = FIRST;
  }

  #adjust(rtt: number, inflight: number, dropped: boolean): void {
    const limit = this.#estimate;
    const root = log10Root(limit);
    const { alpha = 3 * root, beta = 6 * root } = this.#settings;
    this.gradient = Math.min(1, (this.baseline as number) / rtt);
    const queue = Math.ceil(limit * (1 - this.gradient));
    if (dropped) this.#move(this.#less());
    else if (2 * inflight < limit) return;
    else if (queue <= root) this.#move(limit + beta);
    else if (queue < alpha) this.#move(limit + root);
    else if (queue > beta) this.#move(this.#less());
  }

  #less(): number {
    const { decrease } = this.#settings;
    return decrease === undefined ? this.#estimate - log10Root(this.#estimate) : this.#estimate * decrease;
  }

  #move(to: number): void {
    const { smoothing } = this.#settings;
    this.#estimate = within((1 - smoothing) * this.#estimate + smoothing * within(to, this.#bounds), this.#bounds);
  }

  #setBaseline(rtt: number): void {
    if (rtt < FOUND * Math.max(this.baseline ?? 0, this.#before)) this.#next = Math.min(this.#next, AGAIN);
    this.#before = 0;
    this.baseline = Math.min(rtt, this.#maxBaseline);
    this.gradient = Math.min(1, this.baseline / rtt);
  }

  /** Time for a new baseline. With little to do this sample is one already. */
  #probe(rtt: number, inflight: number, u: number): void {
    this.#next = (0.5 + u / 2) * this.#settings.probe * this.#estimate;
    if (2 * inflight < this.#estimate) {
      this.#setBaseline(rtt);
    } else {
      this.#resume = this.#estimate;
      this.#before = rtt;
      this.#estimate = within(this.#estimate * DIP, this.#bounds);
    }
  }

  /** What there is while the limit is low is the baseline. Where there is little to do by now, the limit grows back when it is needed. */
  #measured(rtt: number, inflight: number, dropped: boolean): void {
    if (2 * inflight >= this.#estimate) this.#estimate = this.#resume as number;
    this.#resume = undefined;
    if (!dropped) this.#setBaseline(rtt);
  }
}
