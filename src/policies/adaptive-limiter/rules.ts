import type { Call } from '../../core/call.ts';
import type { Classifier } from '../../core/classification.ts';
import type { OptionProblem } from '../../core/errors.ts';
import type { CommonSettings } from '../../core/mode.ts';
import { type Field, type Rule, field } from '../../core/options.ts';
import type { PriorityThreshold } from '../../stores/priority-threshold.ts';
import { type QueueSettings, queueRules } from '../../stores/slots/queue-options.ts';
import type { LimitAlgorithm } from './fields.ts';

/** Options as read. */
export interface AdaptiveLimiterSettings extends CommonSettings, QueueSettings {
  readonly algorithm: LimitAlgorithm;
  readonly min: number;
  readonly max: number;
  readonly initial: number | undefined;
  readonly slowStart: boolean;
  readonly coldSamples: number;
  readonly maxBaseline: number;
  readonly initialRejectionFactor: number;
  readonly maxRejectionFactor: number;
  readonly threshold: PriorityThreshold | undefined;
  readonly bypass: ((call: Call) => boolean) | undefined;
  readonly releaseOn: 'settle' | 'timeout';
  readonly classify: Classifier<never> | undefined;
}

/** What `priorityThreshold()` makes. */
export const thresholdField: Field<PriorityThreshold> = field('what priorityThreshold() makes', (value) =>
  (Object(value) as { readonly kind?: unknown }).kind === 'priority-threshold' ? (value as PriorityThreshold) : undefined,
);

/** Where the limit begins if nobody says. */
const INITIAL = 20;

/** Where the limit begins. */
export function initialOf({ min, max, initial }: Pick<AdaptiveLimiterSettings, 'min' | 'max' | 'initial'>): number {
  return initial ?? Math.min(max, Math.max(min, INITIAL));
}

type Holds = (settings: AdaptiveLimiterSettings) => OptionProblem | undefined;

const bounds: Holds = ({ min, max }) =>
  min <= max ? undefined : { path: 'max', expected: `a whole number of at least ${min} (min)`, got: String(max) };

const beginning: Holds = ({ min, max, initial }) =>
  initial === undefined || (initial >= min && initial <= max)
    ? undefined
    : { path: 'initial', expected: `a whole number between ${min} (min) and ${max} (max)`, got: String(initial) };

const factors: Holds = ({ initialRejectionFactor: from, maxRejectionFactor: to }) =>
  from <= to ? undefined : { path: 'maxRejectionFactor', expected: `at least ${from} (initialRejectionFactor)`, got: String(to) };

const ranked: Holds = ({ threshold, priority }) =>
  threshold === undefined || priority !== false ? undefined : { path: 'priority', expected: 'ranks to go with threshold', got: 'none' };

const windows: Holds = ({ algorithm }) =>
  algorithm.kind === 'aimd' || algorithm.minWindow <= algorithm.maxWindow
    ? undefined
    : { path: 'algorithm.maxWindow', expected: `at least ${algorithm.minWindow} ms (minWindow)`, got: String(algorithm.maxWindow) };

/** What must hold between options. */
export const rules: readonly Rule<AdaptiveLimiterSettings>[] = [bounds, beginning, factors, ranked, windows, ...queueRules];
