/** What was promised, as ratios of one run, and whether it was kept. */

import { ratio, show } from './figures.mjs';

const SIX = 'breakwater six policies';
const REFUSAL =
  'half of it is the error, made without a stack but with its own message and the time to come back; the other half is the promise and its rejection';
const FOUR = 'opossum(p-retry(p-timeout(bottleneck)))';

/** At most `limit` times the other. */
function atMost(limit, claim, id, own, other, why) {
  return {
    claim,
    ids: [id],
    want: `≤ ${show(limit)}`,
    kept: (value) => value <= limit,
    value: (of) => ratio(of(id, own), of(id, other)),
    why,
  };
}

/** At least `limit` times as fast as the other. */
function atLeast(limit, claim, id, own, other, why) {
  return {
    claim,
    ids: [id],
    want: `≥ ${show(limit)}`,
    kept: (value) => value >= limit,
    value: (of) => ratio(of(id, other), of(id, own)),
    why,
  };
}

export const targets = [
  atMost(
    1,
    'three gates cost at most what one cockatiel breaker costs',
    'three-gates',
    'breakwater circuitBreaker, bulkhead, tokenBucket',
    'cockatiel circuitBreaker (sampling)',
    'two readings of the clock (0.12 µs), the call object and the one promise of the frame are most of it; the three gates themselves add about 0.13 µs',
  ),
  atMost(
    6,
    'six policies cost at most 6 bare awaits',
    'six',
    SIX,
    'bare await',
    'a bare await takes 0.07 µs on this machine and one reading of the clock 0.06: two readings and the race that lets a timeout answer come to five bare awaits by themselves',
  ),
  atLeast(12, "six policies are 12 times as fast as cockatiel's like stack", 'six', SIX, 'cockatiel five policies'),
  atLeast(
    0.7,
    'six policies keep 0.7 of the bare throughput at 100 callers',
    'callers',
    SIX,
    'bare await',
    'the work is one `setImmediate`, about 0.3 µs a call in a batch of 100, which leaves 0.13 µs for six policies; two readings of the clock take 0.12 µs and one promise reaction with its closures 0.07 µs, so an empty pipeline already keeps no more than half',
  ),
  atLeast(500, 'and have 500 times that of the four-package stack, 100 slots', 'callers', SIX, FOUR),
  atLeast(
    500,
    'the same with 10 slots',
    'ten-slots',
    SIX,
    FOUR,
    'nine of ten calls queue here: their wait is a promise, an async frame and a place in the line each',
  ),
  atMost(
    0.25,
    "a refusal costs a quarter of cockatiel's",
    'open-circuit',
    'breakwater circuitBreaker',
    'cockatiel circuitBreaker',
    REFUSAL,
  ),
  atMost(0.25, "a refusal costs a quarter of opossum's", 'open-circuit', 'breakwater circuitBreaker', 'opossum', REFUSAL),
  atLeast(10, 'a timeout is 10 times as fast as p-timeout', 'timeout', 'breakwater timeout', 'p-timeout'),
  {
    claim: '100 000 pending timeouts take one timer',
    ids: ['pending'],
    want: '1',
    kept: (value) => value === 1,
    value: (of) => Math.max(...of('pending', 'breakwater timeout', 'timers')),
  },
  {
    claim: 'the heap is flat over a million calls through six policies (bytes a call)',
    ids: ['flatness'],
    want: '≤ 0.5',
    kept: (value) => value <= 0.5,
    value: (of) =>
      ratio(
        of('flatness', SIX, 'grown'),
        of('flatness', SIX, 'grown').map(() => 1),
      ),
  },
];

/**
 * Judges the targets whose cases ran.
 *
 * @param of - the figures of a contestant: `of(caseId, name, key?)`
 */
export function judge(ran, of) {
  return targets
    .filter(({ ids }) => ids.every((id) => ran.has(id)))
    .map(({ claim, want, kept, value, why }) => {
      const measured = value(of);
      const met = kept(measured);
      return { claim, want, measured, met, why: met ? undefined : why };
    });
}
