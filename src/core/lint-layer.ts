/** What the rules of {@link lintLayers} read off a layer: its kind, its limits, how long it lets calls wait. */

import type { LayerDescription } from './compose.ts';
import type { PlainData } from './policy.ts';

/** A layer as the rules see it: policies per key count as what they keep for each key. */
export interface LintLayer extends LayerDescription {
  /** True if there is one for each key. */
  readonly keyed: boolean;
}

/** Kinds of circuits. */
export const breaker: readonly string[] = ['circuit-breaker', 'opossum'];
/** Kinds of time limits. */
export const timeouts: readonly string[] = ['timeout', 'p-timeout'];
/** Kinds that try again. */
export const retries: readonly string[] = ['retry', 'p-retry'];
/** Kinds of policies that limit rates. */
export const limiters: readonly string[] = [
  'token-bucket',
  'leaky-bucket',
  'fixed-window',
  'sliding-window',
  'sliding-log',
  'warm-up',
  'composite',
  'adaptive-rate',
  'hot-key',
];
/** Kinds that limit how many run at once. */
export const slots: readonly string[] = ['bulkhead', 'adaptive-limiter', 'worker-pool', 'bottleneck'];
/** Kinds that run the work more than once. */
export const repeats: readonly string[] = [...retries, 'hedge'];
/** What can turn a call away or end it, so that a fallback further in cannot cover it. */
export const turnsAway: readonly string[] = [...timeouts, ...slots, ...limiters, 'throttle', 'system-guard', 'authority'];

/** A number among the described options, `NaN` (which no comparison holds for) if it is none. */
export function number({ options }: LintLayer, option: string, within?: string): number {
  const described = within === undefined ? options : (options[within] as PlainData | undefined);
  return Number(described?.[option] ?? NaN);
}

/** What other packages call their own time limit, where they have one. */
const limitOption: Readonly<Record<string, string>> = { opossum: 'timeout', bottleneck: 'expiration' };
/** Kinds that may have a time limit. */
export const limited: readonly string[] = [...timeouts, ...Object.keys(limitOption)];

/** How long what lies inside may take, ms; `NaN` if nothing says so. */
export function limitOf({ kind, options }: LintLayer): number {
  const limit = options[limitOption[kind] ?? 'after'];
  return typeof limit === 'number' && limit > 0 ? limit : NaN;
}

/** Whether a limiter of bottleneck holds anything back, as far as is known. */
export function holdsBack(layer: LintLayer): boolean {
  return ['maxConcurrent', 'minTime', 'reservoir'].some((option) => number(layer, option) > 0 && number(layer, option) < Infinity);
}

/** How long a call may be kept waiting before it goes on, ms. */
export function longestWait(layer: LintLayer): number {
  if (layer.kind === 'bottleneck') return holdsBack(layer) && number(layer, 'maxQueue') > 0 ? Infinity : 0;
  if (slots.includes(layer.kind) && !(number(layer, 'maxQueue') > 0)) return 0;
  return number(layer, layer.kind === 'leaky-bucket' ? 'maxQueueTime' : 'maxWait');
}
