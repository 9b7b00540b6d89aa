import { Descent } from './descent.ts';
import { type Bounds, type Limit, isTime, within } from './limit.ts';
import { MaxWindow } from './max-window.ts';
import { MovingAverage } from './moving-average.ts';
import { Correlation, LastValues } from './rolling.ts';
import { log10Root } from './roots.ts';
import { quantileOf } from './samples.ts';

/** Settings of {@link Correlated}. */
export interface CorrelatedSettings {
  readonly kind: 'correlated';
  /** Over about how many samples the baseline is averaged. */
  readonly baselineAge: number;
  /** How many samples are looked at for what rises and falls together. */
  readonly correlationWindow: number;
  /** The limit stays below so many times the calls that were under way at most in the last five minutes. */
  readonly maxLimitFactor: number;
  /** After about so many samples at the limit the baseline is measured anew. */
  readonly trust: number;
}

/** Samples are smoothed by the median of so many, and an average of about as many of those. */
const SMOOTHED = 5;
/** The first samples are of a queue that is only just building up; after so many the baseline is measured. */
const SETTLING = 2;
/** Fewer samples than this say nothing about correlation. */
const WARM_UP = 10;
/** How long the busiest moment is remembered, ms. */
const MEMORY = 300_000;
/** What a drop leaves of the limit. */
const BACKOFF = 0.9;
/** A measurement as uncertain as this is trusted half as long. */
const ERROR = 0.2;
/** From the least of these errors on a baseline may turn out to be higher than measured, by what the error is more, up to the most. */
const LEAST = 0.15;
const MOST = 0.3;
/** The baseline is measured anew if it fell to this share of what was measured, or the limit did to this share of where it was then. */
const FELL = 0.8;
const SHRANK = 0.67;

/**
 * Keeps a short queue at the server, as TCP Vegas does: `limit * (1 - baseline / recent)` calls are estimated to wait; short of alpha (3, times the digits of
 * the limit after the first) the limit grows, beyond beta (6) it shrinks. Three things keep it from taking an overload for the usual state:
 *
 * - While the limit is in the way the baseline only falls. From time to time, and at first, it is measured by a {@link Descent}.
 * - It does not grow while round trips rise with the load and throughput does not.
 * - It grows only while it is in the way, and never beyond a multiple of what was under way.
 *
 * After the adaptive limiter of failsafe-go and Uber's Cinnamon, from which the correlations are.
 */
export class Correlated implements Limit {
  baseline: number | undefined = undefined;
  gradient = 1;
  readonly #settings: CorrelatedSettings;
  readonly #bounds: Bounds;
  readonly #maxBaseline: number;
  readonly #last = new LastValues(SMOOTHED);
  readonly #recent = new MovingAverage(SMOOTHED, 1);
  readonly #busiest = new MaxWindow(MEMORY);
  readonly #latency: Correlation;
  readonly #throughput: Correlation;
  #estimate: number;
  #descent: Descent | undefined = undefined;
  /** Samples at the limit until the baseline is doubted, and what baseline and limit were when it was measured. */
  #trust = SETTLING;
  #measured = 0;
  #settled = 0;
  /** What the baseline may rise to while the limit is in the way, because the measurement was uncertain, ms. */
  #highest = 0;

  constructor(settings: CorrelatedSettings, bounds: Bounds, maxBaseline: number = Infinity) {
    this.#settings = settings;
    this.#bounds = bounds;
    this.#maxBaseline = maxBaseline;
    this.#latency = new Correlation(settings.correlationWindow, WARM_UP);
    this.#throughput = new Correlation(settings.correlationWindow, WARM_UP);
    this.#estimate = bounds.initial;
  }

  get limit(): number {
    return Math.floor(this.#estimate);
  }

  sample(rtt: number, inflight: number, dropped: boolean, now: number, u = 1, mean: number = rtt): number {
    if (dropped) {
      this.#descent = undefined;
      this.#move(Math.min(this.#estimate - 1, this.#estimate * BACKOFF));
    } else if (isTime(rtt)) {
      this.#latency.add(inflight, rtt);
      this.#throughput.add(inflight, inflight / rtt);
      const busiest = this.#busiest.add(inflight, now);
      if (this.#descent === undefined) this.#track(rtt, inflight, busiest, mean, u);
      else if (inflight >= this.limit) this.#descend(this.#descent, rtt, mean, inflight, u);
      else this.#giveUp(this.#descent, inflight);
    }
    return this.limit;
  }

  reset(): void {
    this.baseline = this.#descent = undefined;
    this.gradient = 1;
    this.#estimate = this.#bounds.initial;
    this.#trust = SETTLING;
    this.#measured = this.#settled = this.#highest = 0;
    this.#busiest.clear();
    this.#forget();
  }

  #track(rtt: number, inflight: number, busiest: number, mean: number, u: number): void {
    this.#last.add(rtt);
    const recent = this.#recent.add(quantileOf(this.#last.values.slice().sort(), 0.5) as number);
    const limit = this.#estimate;
    const full = inflight >= this.limit;
    const baseline = this.#learn(recent, full);
    this.gradient = Math.min(1, baseline / recent);
    if (full && this.#doubts() && limit > this.#bounds.min) {
      this.#descent = new Descent(limit, recent);
      this.#descend(this.#descent, rtt, mean, inflight, u);
      return;
    }
    const load = Math.min(limit, inflight);
    const queue = Math.ceil(load * (1 - this.gradient));
    // What is smoothed lags behind: the latest sample has to agree, or each change would go too far.
    const latest = Math.ceil(load * (1 - baseline / rtt));
    const root = log10Root(limit);
    const [alpha, beta] = [3 * root, 6 * root];
    if (limit > this.#settings.maxLimitFactor * busiest) this.#move(limit - root);
    else if (queue > beta && latest > beta) this.#move(limit - Math.max(root, Math.floor(Math.min(queue, latest) / 4)));
    else if (full && queue < alpha && latest < alpha && !this.#queues()) this.#move(limit + (queue <= root ? alpha : root));
  }

  /** The baseline with this sample in it. While the limit is in the way, longer round trips may be our own doing. */
  #learn(recent: number, full: boolean): number {
    const { baseline = recent } = this;
    const moves = recent < baseline || !full || (baseline < this.#highest && !this.#answers());
    this.baseline = Math.min(this.#maxBaseline, moves ? baseline + (2 / (this.#settings.baselineAge + 1)) * (recent - baseline) : baseline);
    return this.baseline;
  }

  /** Whether round trips answer to the load: false only if it is throughput that does. */
  #answers(): boolean {
    return !(this.#throughput.value > 0.5 && this.#latency.value < 0.5);
  }

  #doubts(): boolean {
    this.#trust--;
    return this.#trust <= 0 || (this.baseline as number) < FELL * this.#measured || this.#estimate < SHRANK * this.#settled;
  }

  /** Whether more calls under way take longer and get no more done. */
  #queues(): boolean {
    const latency = this.#latency.value;
    const throughput = this.#throughput.value;
    return throughput < 0 || (latency > 0.5 && (throughput < 0.3 || this.#throughput.ys.variation < 0.2));
  }

  #descend(descent: Descent, rtt: number, mean: number, inflight: number, u: number): void {
    const next = descent.step(this.#estimate, this.#bounds.min, rtt, mean, inflight);
    if (next !== undefined) {
      this.#estimate = next;
      return;
    }
    this.#descent = undefined;
    this.#measured = this.baseline = Math.min(descent.baseline, this.#maxBaseline);
    this.gradient = 1;
    this.#move(Math.min(descent.from, Math.max(this.#estimate, descent.knee)));
    this.#settled = this.#estimate;
    this.#highest = this.#measured * (1 + Math.max(0, Math.min(MOST, descent.error) - LEAST));
    this.#trust = (this.#settings.trust * (0.75 + u / 2)) / (1 + (descent.error / ERROR) ** 2);
    this.#forget();
  }

  /** Too little to do to find out anything; the limit comes back if there is any use for it. */
  #giveUp({ from }: Descent, inflight: number): void {
    if (2 * inflight >= this.#estimate) this.#estimate = from;
    this.#descent = undefined;
  }

  #forget(): void {
    this.#last.clear();
    this.#recent.reset();
    this.#latency.clear();
    this.#throughput.clear();
  }

  #move(to: number): void {
    this.#estimate = within(to, this.#bounds);
  }
}
