/**
 * Advice on doubtful orders and values. It knows policies only by kind and described options, so a policy adds its advice here
 * without anybody importing it. Advice never refuses: there are reasons for every order.
 */

import type { LayerDescription } from './compose.ts';
import type { PlainData } from './policy.ts';

/** One piece of advice. */
export interface Advice {
  /** Stable word for the rule. */
  readonly rule: string;
  /** What is doubtful, why, and what to do. */
  readonly message: string;
  /** Names of the policies concerned, outermost first. */
  readonly policies: readonly string[];
}

interface PairRule {
  readonly rule: string;
  readonly outer: string;
  readonly inner: string;
  /** Whether the pair is doubtful; always, if absent. */
  readonly when?: (outer: LayerDescription, inner: LayerDescription) => boolean;
  readonly message: string;
}

/** A number among the described options, `NaN` (which no comparison holds for) if it is none. */
function number(layer: LayerDescription, option: string, within?: string): number {
  const options = within === undefined ? layer.options : (layer.options[within] as PlainData | undefined);
  return Number(options?.[option]);
}

const pairs: readonly PairRule[] = [
  {
    rule: 'breaker-outside-retry',
    outer: 'circuit-breaker',
    inner: 'retry',
    message:
      'the circuit breaker stands outside the retry, so it judges whole calls and an open circuit does not end the retries; put it inside',
  },
  { rule: 'retry-inside-retry', outer: 'retry', inner: 'retry', message: 'two retries multiply their attempts; keep one' },
  {
    rule: 'fallback-inside-retry',
    outer: 'retry',
    inner: 'fallback',
    message: 'the fallback stands inside the retry, which then only ever sees successes; put it outside',
  },
  {
    rule: 'bulkhead-outside-retry',
    outer: 'bulkhead',
    inner: 'retry',
    message: 'the bulkhead stands outside the retry, so a call keeps its slot while it waits between attempts; put it inside',
  },
  {
    rule: 'fallback-inside-breaker',
    outer: 'circuit-breaker',
    inner: 'fallback',
    message: 'the fallback stands inside the circuit breaker, which then only ever sees successes; put it outside',
  },
  {
    rule: 'inner-timeout-longer',
    outer: 'timeout',
    inner: 'timeout',
    when: (outer, inner) => number(inner, 'after') >= number(outer, 'after'),
    message: 'the inner timeout is not shorter than the outer one and can never fire first; shorten it',
  },
  {
    rule: 'window-shorter-than-timeout',
    outer: 'circuit-breaker',
    inner: 'timeout',
    when: (breaker, timeout) => number(breaker, 'duration', 'window') < 2 * number(timeout, 'after'),
    message: "the circuit breaker's window is shorter than twice the timeout, so slow failures leave it before they add up; lengthen it",
  },
  {
    rule: 'queue-waits-longer-than-timeout',
    outer: 'timeout',
    inner: 'bulkhead',
    when: (timeout, bulkhead) => number(bulkhead, 'maxQueue') > 0 && number(bulkhead, 'maxWait') >= number(timeout, 'after'),
    message: 'a call may queue for as long as the timeout around it allows, and has no time left to run; set a shorter maxWait',
  },
  {
    rule: 'retries-outlast-timeout',
    outer: 'timeout',
    inner: 'retry',
    when: (timeout, retry) => number(retry, 'longestBackoff') >= number(timeout, 'after'),
    message: "the retry's waits alone may take longer than the timeout around it; allow fewer attempts or shorter delays",
  },
];

/** Looks over layers, outermost first. */
export function lintLayers(layers: readonly LayerDescription[]): readonly Advice[] {
  const flat = flatten(layers);
  return flat.flatMap((outer, i) =>
    flat
      .slice(i + 1)
      .flatMap((inner) =>
        pairs
          .filter((pair) => pair.outer === outer.kind && pair.inner === inner.kind && (pair.when?.(outer, inner) ?? true))
          .map(({ rule, message }) => ({ rule, message, policies: [outer.name, inner.name] })),
      ),
  );
}

function flatten(layers: readonly LayerDescription[]): LayerDescription[] {
  return layers.flatMap((layer) => (layer.layers === undefined ? [layer] : flatten(layer.layers)));
}
