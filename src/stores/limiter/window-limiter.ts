import type { WindowLimit } from '../../algorithms/meters/fixed-window.ts';
import type { CountedMeter } from '../../algorithms/meters/meter.ts';
import type { OptionProblem } from '../../core/errors.ts';
import { type Duration, type Field, type Fields, duration, numeric, readOptions } from '../../core/options.ts';
import type { GatePolicy, PlainData } from '../../core/policy.ts';
import { STRAIN } from '../../core/strain.ts';
import { CountedLimiter } from './counted-limiter.ts';
import { type LimiterOptions, type LimiterTerms, described, limiterFields } from './terms.ts';

/** Options that limiters of so much per window share. */
export interface WindowOptions extends LimiterOptions {
  /** How much may pass in one window. Fractions are fine. */
  readonly limit: number;
  /** How long a window is. */
  readonly window: Duration;
}

/** The same, as read. */
export interface WindowTerms extends LimiterTerms, WindowLimit {}

/** What can be changed while calls run. */
export type WindowChange = Partial<Pick<WindowOptions, 'limit' | 'window'>>;

/** What all limiters of so much per window show, and can be asked to do. */
export interface WindowHandle extends GatePolicy {
  /** What is left of the limit now, fractions included; 0 while calls wait. */
  readonly available: number;
  /** Calls waiting now. */
  readonly waiting: number;
  /**
   * Changes the limit for everybody, those who wait included, and keeps what counts. What is not given stays.
   *
   * @throws OptionsError if a value is wrong
   */
  update(change: WindowChange): void;
  /** Whether it is as good as new: nothing counts, nobody waits or is kept out, and its limit was never changed. */
  atRest(now: number): boolean;
}

/** Their fields, for each limiter's table. */
export const windowFields: Fields<WindowTerms> = {
  limit: numeric({ above: 0 }),
  window: duration({ min: 1 }),
  ...limiterFields,
};

/** A meter of windows. */
export interface WindowMeter<Receipt> extends CountedMeter<Receipt> {
  readonly limit: WindowLimit;
  /** Changes the limit and keeps what counts. */
  change(limit: WindowLimit, now: number): void;
}

/** The limit must be able to hold what each call costs. */
export function holdsCost({ limit, cost = 1 }: WindowTerms): OptionProblem | undefined {
  if (typeof cost !== 'number' || cost <= limit) return undefined;
  return { path: 'cost', expected: `at most ${limit} (the limit), all that a window ever holds`, got: String(cost) };
}

/** A limiter of so much per window. */
export abstract class WindowLimiter<Kind extends WindowMeter<Receipt>, Receipt> extends CountedLimiter<Kind, Receipt> {
  declare readonly terms: WindowTerms;

  get law(): string {
    const { limit, window } = this.meter.limit;
    return `${limit} per ${window} ms`;
  }

  update(change: WindowChange): void {
    const { cost } = this.terms;
    const { limit, window } = this.meter.limit;
    const fields = { limit: this.limitField.or(limit), window: windowFields.window.or(window) };
    const is = readOptions(`${this.kind}.update`, fields, change, (now) => holdsCost({ ...this.terms, ...now, cost }));
    const now = this.present;
    this.change(is, now);
    this.review(now);
  }

  override atRest(now: number): boolean {
    return this.meter.limit === this.terms && super.atRest(now);
  }

  strained(): boolean {
    return this.available < (1 - STRAIN) * this.meter.limit.limit;
  }

  snapshot(): PlainData {
    const { available, waiting } = this;
    const { limit, window } = this.meter.limit;
    return { available, waiting, limit, window };
  }

  describe(): PlainData {
    const { limit, window } = this.terms;
    return { limit, window, ...described(this.terms) };
  }

  protected change(limit: WindowLimit, now: number): void {
    this.meter.change(limit, now);
  }

  /** What it accepts as a limit. */
  protected get limitField(): Field<number> {
    return windowFields.limit;
  }
}
