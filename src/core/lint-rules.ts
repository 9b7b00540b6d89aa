/** The rules of {@link lintLayers}, as data: the docs make their table of them, and tests go through all. */

import {
  type LintLayer,
  breaker,
  holdsBack,
  limitOf,
  limited,
  limiters,
  longestWait,
  number,
  repeats,
  retries,
  slots,
  timeouts,
  turnsAway,
} from './lint-layer.ts';

/** A doubtful pair: `inner` stands further in than `outer`. */
export interface LintRule {
  /** Stable word for it. */
  readonly rule: string;
  readonly outer: readonly string[];
  /** Absent: the rule is about one policy alone. */
  readonly inner?: readonly string[];
  /** Whether the pair is doubtful; always, if absent. `between`: what stands between the two; `within`: what stands inside the inner one. */
  readonly when?: (outer: LintLayer, inner: LintLayer, around: Surroundings) => boolean;
  readonly message: string | ((outer: LintLayer, inner: LintLayer) => string);
}

/** What stands around a pair. */
export interface Surroundings {
  readonly outside: readonly LintLayer[];
  readonly between: readonly LintLayer[];
  readonly within: readonly LintLayer[];
}

/** What makes calls wait less. */
const shorten: Readonly<Record<string, string>> = {
  'leaky-bucket': 'set a shorter maxQueueTime',
  bottleneck: 'put it outside, or bound its queue by highWater',
};

/** Every rule there is, in the order of the recommended pipeline. */
export const lintRules: readonly LintRule[] = [
  {
    rule: 'fallback-inside-retry',
    outer: retries,
    inner: ['fallback', 'opossum', 'p-timeout'],
    when: (_outer, { kind, options }) => kind === 'fallback' || options['fallback'] !== undefined,
    message: (_outer, { kind, name }) =>
      kind === 'fallback'
        ? 'the fallback stands inside the retry, which then only ever sees successes; put it outside'
        : `${name} has a fallback of its own and stands inside the retry, which then only ever sees successes; put a fallback outside instead`,
  },
  {
    rule: 'fallback-inside-hedge',
    outer: ['hedge'],
    inner: ['fallback'],
    message: 'the fallback stands inside the hedge, where a lesser answer wins against a good one that is still under way; put it outside',
  },
  {
    rule: 'fallback-inside-breaker',
    outer: breaker,
    inner: ['fallback'],
    message: 'the fallback stands inside the circuit breaker, which then only ever sees successes; put it outside',
  },
  {
    rule: 'fallback-not-outermost',
    outer: turnsAway,
    inner: ['fallback'],
    when: (_outer, _inner, { outside, between }) =>
      ![...outside, ...between].some(({ kind }) => kind === 'fallback' || retries.includes(kind)),
    message: ({ kind }) => `what the ${kind} turns away or ends is not covered by the fallback further in; put the fallback outside`,
  },
  {
    rule: 'inner-timeout-longer',
    outer: limited,
    inner: limited,
    when: (outer, inner) => limitOf(inner) >= limitOf(outer),
    message: 'the inner timeout is not shorter than the outer one and can never fire first; shorten it',
  },
  {
    rule: 'retries-outlast-timeout',
    outer: timeouts,
    inner: retries,
    when: (timeout, retry) => number(retry, 'longestBackoff') >= number(timeout, 'after'),
    message: "the retry's waits alone may take longer than the timeout around it; allow fewer attempts or shorter delays",
  },
  {
    rule: 'last-attempt-too-late',
    outer: timeouts,
    inner: retries,
    when: (timeout, retry, { within }) => {
      const total = number(timeout, 'after');
      const waits = number(retry, 'longestBackoff');
      const attempt = Math.min(...within.filter(({ kind }) => timeouts.includes(kind)).map((each) => number(each, 'after')));
      return waits < total && attempt < total && waits + (number(retry, 'maxAttempts') - 1) * attempt >= total;
    },
    message:
      'if every attempt takes all of its own timeout, the timeout around the retry ends the call before the last attempt can begin; shorten the attempts, allow fewer, or give the whole more time',
  },
  {
    rule: 'hedges-outlast-timeout',
    outer: timeouts,
    inner: ['hedge'],
    when: (timeout, hedge) => number(hedge, 'delay') * number(hedge, 'maxHedges') >= number(timeout, 'after'),
    message: 'the last hedge would begin when the timeout around it has ended the call; shorten the delay or allow fewer hedges',
  },
  {
    rule: 'hedge-after-attempt-timeout',
    outer: ['hedge'],
    inner: timeouts,
    when: (hedge, timeout) => number(hedge, 'delay') >= number(timeout, 'after'),
    message:
      "an attempt ends by its own timeout before the hedge would begin, so the hedge only ever answers to failures; shorten the hedge's delay",
  },
  {
    rule: 'queue-waits-longer-than-timeout',
    outer: [...timeouts, 'opossum'],
    inner: [...slots, ...limiters],
    when: (timeout, queue) => longestWait(queue) >= limitOf(timeout),
    message: ({ name }, inner) =>
      `a call may wait in ${inner.name} for as long as ${name} around it allows, and has no time left to run; ${shorten[inner.kind] ?? 'set a shorter maxWait'}`,
  },
  {
    rule: 'throttle-window-too-short',
    outer: ['throttle'],
    inner: timeouts,
    when: (throttle, timeout) => number(throttle, 'window') < 2 * number(timeout, 'after'),
    message: "the throttle's window is shorter than twice the timeout, so calls have left it before their outcomes arrive; lengthen it",
  },
  {
    rule: 'adaptive-rate-outside-retry',
    outer: ['adaptive-rate'],
    inner: repeats,
    message: ({ name }, inner) =>
      `${name} stands outside ${inner.name}, so it never learns of attempts that were throttled and tried again; put it inside`,
  },
  {
    rule: 'retry-inside-retry',
    outer: retries,
    inner: retries,
    message: (_outer, { options }) =>
      options['nested'] === 'suppress'
        ? 'two retries around one call: the inner one does nothing, as it is told to stand back (nested); keep one'
        : 'two retries multiply their attempts; keep one',
  },
  {
    rule: 'retry-inside-hedge',
    outer: ['hedge'],
    inner: retries,
    message: 'the retry stands inside the hedge, so attempts side by side each bring retries of their own; put it outside',
  },
  {
    rule: 'hedge-inside-hedge',
    outer: ['hedge'],
    inner: ['hedge'],
    message: 'two hedges multiply their attempts; keep one, with more hedges',
  },
  {
    rule: 'hedge-of-every-call',
    outer: ['hedge'],
    when: ({ options }) => options['idempotent'] === 'all calls',
    message:
      'every call is hedged, whether it may run twice or not: what writes, writes twice; say idempotent for each call, or choose by a function',
  },
  {
    rule: 'breaker-outside-retry',
    outer: breaker,
    inner: retries,
    message:
      'the circuit breaker stands outside the retry, so it judges whole calls and an open circuit does not end the retries; put it inside',
  },
  {
    rule: 'breaker-outside-hedge',
    outer: breaker,
    inner: ['hedge'],
    message: 'the circuit breaker stands outside the hedge, so it only sees the attempt that won and never the slow one; put it inside',
  },
  {
    rule: 'breaker-shared-by-endpoints',
    outer: breaker,
    inner: [...breaker, ...slots],
    when: (outer, inner) => !outer.keyed && inner.keyed,
    message:
      'one circuit breaker stands outside policies for each key, so one bad endpoint shuts the good ones off too; put it into perKey',
  },
  {
    rule: 'window-shorter-than-timeout',
    outer: breaker,
    inner: timeouts,
    when: (outer, timeout) => number(outer, 'duration', 'window') < 2 * number(timeout, 'after'),
    message: "the circuit breaker's window is shorter than twice the timeout, so slow failures leave it before they add up; lengthen it",
  },
  {
    rule: 'bulkhead-outside-retry',
    outer: slots,
    inner: retries,
    message: 'the bulkhead stands outside the retry, so a call keeps its slot while it waits between attempts; put it inside',
  },
  {
    rule: 'bulkhead-outside-hedge',
    outer: slots,
    inner: ['hedge'],
    message: 'the bulkhead stands outside the hedge, so one slot stands for several attempts at once; put it inside',
  },
  {
    rule: 'bulkhead-outside-breaker',
    outer: slots,
    inner: breaker,
    // The timeout of opossum would count what lies inside as too slow while it only waits.
    when: (_outer, inner) => inner.kind === 'circuit-breaker' || Number.isNaN(limitOf(inner)),
    message: 'the bulkhead stands outside the circuit breaker, so calls queue for a slot only to find the circuit open; put it inside',
  },
  {
    rule: 'quota-outside-bulkhead',
    outer: limiters,
    inner: slots,
    when: (_outer, _inner, { outside }) => outside.some(({ kind }) => repeats.includes(kind)),
    message:
      'the rate limiter counts attempts, and stands outside the bulkhead: quota is spent on attempts that then find no slot; put it inside',
  },
  {
    rule: 'first-failure-opens',
    outer: ['opossum'],
    when: (layer) => number(layer, 'volumeThreshold') === 0,
    message: 'the first failure after a quiet time opens the circuit, being all of the calls in the window; set a volumeThreshold',
  },
  {
    rule: 'queue-without-bound',
    outer: ['bottleneck'],
    when: (layer) => holdsBack(layer) && number(layer, 'maxQueue') === Infinity,
    message: 'calls that wait gather without bound, and each has waited longer than the one before; set a highWater',
  },
  {
    rule: 'chaos-not-innermost',
    outer: ['chaos'],
    inner: [...turnsAway, ...repeats, ...breaker, 'fallback', 'degrade'],
    message: (_outer, { name }) => `what chaos injects is never met by ${name}, which stands further in; put chaos innermost`,
  },
];
