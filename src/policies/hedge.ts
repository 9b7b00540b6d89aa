/**
 * Hedge: begins the same work once more when the first attempt takes longer than most, and takes the first good answer.
 *
 * @example
 * ```ts
 * import { setTimeout as sleep } from 'node:timers/promises';
 * import { hedge, pipeline } from 'breakwater';
 *
 * const lookup = pipeline([hedge({ delay: '20ms', idempotent: true })]);
 * const answer = await lookup.execute(async ({ hedge: n, signal }) => {
 *   if (n === 0) await sleep(5_000, undefined, { signal }); // one slow replica
 *   return `attempt ${n}`;
 * });
 * console.log(answer); // => 'attempt 1'
 * ```
 *
 * @module
 */

import { LearnedDelay, type LearnedDelaySettings } from '../algorithms/hedging.ts';
import type { Call, Work } from '../core/call.ts';
import type { Classifier } from '../core/classification.ts';
import type { OptionProblem } from '../core/errors.ts';
import { type PolicyOptions, commonFields } from '../core/mode.ts';
import { type Duration, Field, type Fields, count, duration, field, fn, group, numeric, ratio, readOptions } from '../core/options.ts';
import type { Settled } from '../core/outcome.ts';
import type { PlainData, Policy } from '../core/policy.ts';
import { HedgeRules, type HedgeSettings, type HedgeState, type SuppressionReason } from './hedge/rules.ts';
import type { HedgeCause } from './hedge/race.ts';
import { type RetryBudget, isRetryBudget, retryBudget } from '../stores/retry-budget.ts';

/** A delay learned from how long calls take: give `quantile`, or `maxExtraLoad`. */
export interface LearnedDelayOptions {
  /** Hedges begin when so large a share of the attempts would have answered. @defaultValue `0.95` */
  readonly quantile?: number;
  /** The same, said the other way round: so large a share of the attempts may be doubled, 0..1. Also bounds the default budget. @defaultValue none */
  readonly maxExtraLoad?: number;
  /** So many attempts must have answered before. @defaultValue `100` */
  readonly minSamples?: number;
  /** The delay is never shorter. @defaultValue `'1ms'` */
  readonly min?: Duration;
  /** The delay until there are enough samples. @defaultValue none: no hedges by time until then */
  readonly fallback?: Duration;
  /** How long a sample counts. @defaultValue `'5m'` */
  readonly window?: Duration;
}

/** When hedges begin. */
export type HedgeDelay = Duration | 'onFailure' | LearnedDelayOptions | ((hedge: number, call: Call) => number);

/** Options of {@link hedge}. */
export interface HedgeOptions<Sees = unknown, Adds = never> extends PolicyOptions {
  /** Attempts besides the first, up to 10. @defaultValue `1` */
  readonly maxHedges?: number;
  /**
   * How long after the attempt before it a hedge begins: a duration (`0`: all side by side), a quantile of the latency, a function of the hedge's number (from 1) and the call;
   * `'onFailure'`: only when an attempt has failed. @defaultValue the 0.95 quantile of the latency, once 100 attempts have answered
   */
  readonly delay?: HedgeDelay;
  /** Whether this outcome ends the call. @defaultValue successes, and failures that another attempt would not change */
  readonly accept?: (outcome: Settled<Sees>, call: Call) => boolean;
  /** What outcomes mean, asked before the pipeline's own classifier. @defaultValue none */
  readonly classify?: Classifier<Sees>;
  /** Which calls may run twice. @defaultValue those that say so: `execute(work, { idempotent: true })` */
  readonly idempotent?: true | ((call: Call) => boolean);
  /** What a hedge runs in place of the work (another replica, another region); `null`: no more hedges, `undefined`: the work. @defaultValue the work */
  readonly action?: (hedge: number, call: Call) => Work<Adds> | null | undefined;
  /** What bounds the load that hedges add; share it with retries. `false`: nothing does. @defaultValue one of its own: a hedge for every fifth call, and 10 a second; with `maxExtraLoad` that share */
  readonly budget?: RetryBudget | false;
  /** Whether to leave this hedge out. @defaultValue while a policy further in refuses calls, or is close to it */
  readonly suppressWhen?: (call: Call, hedge: number) => boolean;
}

declare module '../core/events.ts' {
  interface EventFields {
    'hedge.started': { readonly hedge: number; readonly cause: HedgeCause; readonly after: number };
    'hedge.would-start': { readonly hedge: number; readonly cause: HedgeCause; readonly after: number };
    'hedge.won': { readonly hedge: number };
    'hedge.failed': { readonly errors: readonly unknown[] };
    'hedge.suppressed': { readonly hedge: number; readonly reason: SuppressionReason; readonly by?: string | undefined };
  }
}

/** A hedge. */
export interface Hedge<Sees = unknown, Adds = never> extends Policy<Sees, Adds> {
  readonly kind: 'hedge';
  /** The delay that stands, ms: `Infinity` while hedges only begin on failure, `undefined` if it is computed for each call. */
  readonly delay: number | undefined;
}

/** The table of a delay that is learned. */
export const learnedDelayFields: Fields<LearnedDelaySettings> = {
  quantile: numeric({ above: 0, max: 1 }).optional(),
  maxExtraLoad: ratio().optional(),
  minSamples: count({ min: 1 }).or(100),
  min: duration().or('1ms'),
  fallback: duration({ infinite: true }).optional(),
  window: duration({ min: 1 }).or('5m'),
};

const fixedDelay = duration();
const learnedDelay = group(learnedDelayFields);

const delayField = new Field<HedgeSettings['delay']>(
  `${fixedDelay.expected}; 'onFailure'; ${learnedDelay.expected}; or (hedge, call) => ms`,
  (value, path, problems) => {
    if (value === 'onFailure') return value;
    if (typeof value === 'function') return value as (hedge: number, call: Call) => number;
    return typeof value === 'object' ? learnedDelay.read(value, path, problems) : fixedDelay.read(value, path, problems);
  },
  {},
  false,
  learnedDelayFields,
);

/** The option table. */
export const hedgeFields: Fields<HedgeSettings> = {
  maxHedges: field('a whole number from 0 to 10', (value) =>
    Number.isInteger(value) && (value as number) >= 0 && (value as number) <= 10 ? (value as number) : undefined,
  ).or(1),
  delay: delayField,
  accept: fn<NonNullable<HedgeSettings['accept']>>('(outcome, call) => boolean').optional(),
  classify: fn<Classifier<never>>('(outcome, call) => classification').optional(),
  idempotent: field<true>('true', (value) => (value === true ? value : undefined))
    .orFunction<(call: Call) => boolean>('(call) => boolean')
    .optional(),
  action: fn<NonNullable<HedgeSettings['action']>>('(hedge, call) => function, null or undefined').optional(),
  budget: field<RetryBudget | false>('a retry budget, or false', (value) =>
    value === false || isRetryBudget(value) ? value : undefined,
  ).optional(),
  suppressWhen: fn<NonNullable<HedgeSettings['suppressWhen']>>('(call, hedge) => boolean').optional(),
  ...commonFields,
};

/**
 * Begins what lies inside once more when an attempt takes longer than most (or has failed), and answers with the first good outcome; the other attempts are cut short, with
 * a `HedgeLostError` as the reason of their signals, and what they answer with later is released. Only calls that may run twice are hedged.
 *
 * After Dean and Barroso, "The Tail at Scale", Communications of the ACM 56(2), 2013.
 *
 * @throws OptionsError if an option is wrong
 */
export function hedge<Sees = unknown, Adds = never>(options: HedgeOptions<Sees, Adds> = {}): Hedge<Sees, Adds> {
  return new HedgePolicy<Sees, Adds>(readOptions('hedge', hedgeFields, options, oneMeasure));
}

function oneMeasure({ delay }: HedgeSettings): OptionProblem | undefined {
  if (typeof delay !== 'object' || delay.quantile === undefined || delay.maxExtraLoad === undefined) return undefined;
  return { path: 'delay.maxExtraLoad', expected: 'either quantile or maxExtraLoad', got: 'both' };
}

const fellows = new WeakMap<object, readonly unknown[]>();

/** The errors of the other attempts, if this error is the one that a hedged call rejected with because all its attempts failed. */
export function hedgeErrors(error: unknown): readonly unknown[] {
  return fellows.get(Object(error) as object) ?? [];
}

/** The budget of a hedge that was given none. */
function ownBudget(delay: HedgeSettings['delay']): RetryBudget {
  const share = typeof delay === 'object' ? delay.maxExtraLoad : undefined;
  return retryBudget(share === undefined ? {} : { ratio: share, minPerSecond: 0 });
}

class HedgePolicy<Sees, Adds> implements Hedge<Sees, Adds>, HedgeState {
  readonly kind = 'hedge';
  readonly name: string | undefined;
  readonly mode: HedgeSettings['mode'];
  readonly settings: HedgeSettings;
  readonly learned: LearnedDelay | undefined;
  readonly budget: RetryBudget | undefined;
  readonly fellows = fellows;
  hedges = 0;
  won = 0;
  suppressed = 0;

  constructor(settings: HedgeSettings) {
    this.settings = settings;
    this.name = settings.name;
    this.mode = settings.mode;
    this.learned = typeof settings.delay === 'object' ? new LearnedDelay(settings.delay) : undefined;
    this.budget = settings.budget === undefined ? ownBudget(settings.delay) : settings.budget || undefined;
  }

  mount: Hedge['mount'] = (next, scope, inside = []) => new HedgeRules(this, next, scope, inside).handle;

  get delay(): number | undefined {
    const { delay } = this.settings;
    if (typeof delay === 'function') return undefined;
    return typeof delay === 'number' ? delay : (this.learned?.current ?? Infinity);
  }

  snapshot(): PlainData {
    const { hedges, won, suppressed, delay, budget } = this;
    return { hedges, won, suppressed, delay, budget: budget?.snapshot() };
  }

  describe(): PlainData {
    const { maxHedges, delay, idempotent, accept, suppressWhen } = this.settings;
    return {
      maxHedges,
      delay: typeof delay === 'function' ? 'computed' : delay,
      idempotent: idempotent === undefined ? 'calls that say so' : idempotent === true ? 'all calls' : 'chosen',
      accept: accept === undefined ? 'what another attempt would not change' : 'chosen',
      suppressWhen: suppressWhen === undefined ? 'something inside is strained' : 'chosen',
    };
  }
}
