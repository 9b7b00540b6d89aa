/** What the algorithms of an adaptive limiter accept. */

import type { AimdSettings } from '../../algorithms/limits/aimd.ts';
import type { CorrelatedSettings } from '../../algorithms/limits/correlated.ts';
import type { GradientSettings } from '../../algorithms/limits/gradient.ts';
import type { WindowSettings } from '../../algorithms/limits/learner.ts';
import type { VegasSettings } from '../../algorithms/limits/vegas.ts';
import { type Duration, Field, type Fields, count, duration, field, group, numeric, oneOf, ratio, show } from '../../core/options.ts';

/** How single calls become one sample. */
export interface SampleWindow<Time = number> {
  /** How long samples are collected, at least, and at least twice as long as the quickest took. @defaultValue `'1s'` */
  readonly minWindow: Time;
  /** Samples of a window that has too few of them by then are dropped, unless it is the limit that keeps them few. @defaultValue `'30s'` */
  readonly maxWindow: Time;
  /** So many samples a window must have. @defaultValue `10`, of the correlated algorithm `50` */
  readonly minSamples: number;
  /** With more than this share of drops the window counts as dropped. @defaultValue `0.05` */
  readonly maxDrops: number;
}

/** Settings of `'correlated'`. */
export interface CorrelatedAlgorithm<Time = number> extends CorrelatedSettings, SampleWindow<Time> {
  /** Which quantile of the round trips stands for a window. @defaultValue `0.9` */
  readonly quantile: number;
}

/** Settings of `'gradient'`. */
export interface GradientAlgorithm<Time = number> extends GradientSettings, SampleWindow<Time> {}

/** Settings of `'vegas'`. */
export interface VegasAlgorithm<Time = number> extends VegasSettings, SampleWindow<Time> {}

/** Settings of `'aimd'`. */
export interface AimdAlgorithm<Time = number> extends Omit<AimdSettings, 'timeout'> {
  /** Who takes longer counts as dropped. @defaultValue `'5s'` */
  readonly timeout: Time;
}

/** How the limit is found, with all settings. `Time` is what a length of time is given as: ms, once read. */
export type LimitAlgorithm<Time = number> =
  CorrelatedAlgorithm<Time> | GradientAlgorithm<Time> | VegasAlgorithm<Time> | AimdAlgorithm<Time>;

type Some<Settings extends { readonly kind: unknown }> = Pick<Settings, 'kind'> & {
  readonly [Name in keyof Settings]?: Settings[Name] | undefined;
};

/** How the limit is found, as a user says it: what is left out has its default. */
export type LimitAlgorithmOptions =
  Some<CorrelatedAlgorithm<Duration>> | Some<GradientAlgorithm<Duration>> | Some<VegasAlgorithm<Duration>> | Some<AimdAlgorithm<Duration>>;

const windowFields = {
  minWindow: duration({ min: 1 }).or('1s'),
  maxWindow: duration({ min: 1 }).or('30s'),
  minSamples: count({ min: 1 }).or(10),
  maxDrops: ratio().or(0.05),
};

/** A share that leaves something and takes something. */
const part: Field<number> = field('a number above 0 and below 1', (value) =>
  typeof value === 'number' && value > 0 && value < 1 ? value : undefined,
);

const queue: Field<number | 'sqrt'> = field("a number of at least 0, or 'sqrt'", (value) =>
  value === 'sqrt' || (typeof value === 'number' && value >= 0 && value < Infinity) ? value : undefined,
);

/** Their tables. */
export const algorithmFields: {
  readonly correlated: Fields<CorrelatedAlgorithm>;
  readonly gradient: Fields<GradientAlgorithm>;
  readonly vegas: Fields<VegasAlgorithm>;
  readonly aimd: Fields<AimdAlgorithm>;
} = {
  correlated: {
    kind: oneOf('correlated'),
    ...windowFields,
    minSamples: count({ min: 1 }).or(50),
    quantile: ratio({ above: true }).or(0.9),
    baselineAge: count({ min: 1 }).or(10),
    correlationWindow: count({ min: 3 }).or(50),
    maxLimitFactor: numeric({ min: 1 }).or(5),
    trust: count({ min: 1 }).or(300),
  },
  gradient: {
    kind: oneOf('gradient'),
    ...windowFields,
    smoothing: ratio({ above: true }).or(0.2),
    tolerance: numeric({ min: 1 }).or(1.5),
    longWindow: count({ min: 1 }).or(600),
    queue: queue.or(4),
    backoff: ratio({ above: true }).or(0.9),
  },
  vegas: {
    kind: oneOf('vegas'),
    ...windowFields,
    alpha: numeric({ min: 0 }).optional(),
    beta: numeric({ min: 0 }).optional(),
    decrease: part.optional(),
    smoothing: ratio({ above: true }).or(1),
    probe: numeric({ above: 0 }).or(30),
  },
  aimd: { kind: oneOf('aimd'), backoff: part.or(0.9), timeout: duration({ min: 1, infinite: true }).or('5s') },
};

const kinds = ['correlated', 'gradient', 'vegas', 'aimd'] as const;
const groups: Readonly<Record<string, Field<LimitAlgorithm>>> = {
  correlated: group(algorithmFields.correlated),
  gradient: group(algorithmFields.gradient),
  vegas: group(algorithmFields.vegas),
  aimd: group(algorithmFields.aimd),
};
const names = kinds.map((kind) => `'${kind}'`).join(', ');

/** The name of an algorithm, or its name and settings. */
export const algorithmField: Field<LimitAlgorithm> = new Field<LimitAlgorithm>(
  `${names}, or an object with one of them as its kind and its settings`,
  (value, path, problems) => {
    const given: unknown = typeof value === 'string' ? { kind: value } : value;
    const { kind } = Object(given) as { readonly kind?: unknown };
    const known = typeof kind === 'string' && Object.hasOwn(groups, kind) ? groups[kind] : undefined;
    if (known !== undefined) return known.read(given, path, problems);
    problems.push({ path, expected: names, got: show(kind ?? value) });
    return undefined as unknown as LimitAlgorithm;
  },
);

/** How its samples are collected; AIMD takes each call by itself. */
export function windowOf(algorithm: LimitAlgorithm): WindowSettings | undefined {
  if (algorithm.kind === 'aimd') return undefined;
  const { minWindow: min, maxWindow: max, minSamples, maxDrops } = algorithm;
  return { min, max, minSamples, maxDrops, take: algorithm.kind === 'correlated' ? algorithm.quantile : 'mean' };
}
