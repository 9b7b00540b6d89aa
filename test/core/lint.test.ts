import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import {
  type AnyPolicy,
  adaptiveRate,
  bulkhead,
  chaos,
  circuitBreaker,
  definePolicy,
  fallback,
  hedge,
  leakyBucket,
  perKey,
  pipeline,
  retry,
  timeout,
  tokenBucket,
} from 'breakwater';
import { bottleneckLimiter } from 'breakwater/bottleneck';
import { type OpossumBreaker, opossumBreaker } from 'breakwater/opossum';
import { pRetryPolicy } from 'breakwater/p-retry';
import { pTimeoutPolicy } from 'breakwater/p-timeout';
import { lintRules } from '../../src/core/lint-rules.ts';

const rulesOf = (...policies: readonly AnyPolicy[]): readonly string[] =>
  pipeline<readonly AnyPolicy[]>(policies)
    .lint()
    .map(({ rule }) => rule);

const plan = fallback({ value: 'plan b' });
const breaker = (): AnyPolicy => circuitBreaker({ window: '1h' });
const slots = (): AnyPolicy => bulkhead({ maxConcurrent: 5 });
const throttle = definePolicy({ kind: 'throttle', describe: () => ({ window: 1000 }), gate: { enter: () => 1, settle() {}, cancel() {} } });

/** For each rule: what brings it up, and a neighbour that does not. */
const cases: Readonly<Record<string, readonly [doubtful: readonly AnyPolicy[], sound: readonly AnyPolicy[]]>> = {
  'fallback-inside-retry': [
    [retry(), plan],
    [plan, retry()],
  ],
  'fallback-inside-hedge': [
    [hedge(), plan],
    [plan, hedge()],
  ],
  'fallback-inside-breaker': [
    [breaker(), plan],
    [plan, breaker()],
  ],
  'fallback-not-outermost': [
    [timeout({ after: '1s' }), plan],
    [plan, timeout({ after: '1s' }), plan],
  ],
  'inner-timeout-longer': [
    [timeout({ after: '1s' }), timeout({ after: '1s' })],
    [timeout({ after: '2s' }), timeout({ after: '1s' })],
  ],
  'retries-outlast-timeout': [
    [timeout({ after: 300 }), retry({ backoff: { delay: 100 } })],
    [timeout({ after: 301 }), retry({ backoff: { delay: 100 } })],
  ],
  'last-attempt-too-late': [
    [timeout({ after: 2300 }), retry({ backoff: { delay: 100 } }), timeout({ after: '1s' })],
    [timeout({ after: 2301 }), retry({ backoff: { delay: 100 } }), timeout({ after: '1s' })],
  ],
  'hedges-outlast-timeout': [
    [timeout({ after: '1s' }), hedge({ delay: 500, maxHedges: 2 })],
    [timeout({ after: '1s' }), hedge({ delay: 499, maxHedges: 2 })],
  ],
  'hedge-after-attempt-timeout': [
    [hedge({ delay: '1s' }), timeout({ after: '1s' })],
    [hedge({ delay: 'onFailure' }), timeout({ after: '1s' })],
  ],
  'queue-waits-longer-than-timeout': [
    [timeout({ after: '1s' }), bulkhead({ maxConcurrent: 1, maxQueue: 1, maxWait: '1s' })],
    [timeout({ after: '1s' }), bulkhead({ maxConcurrent: 1, maxQueue: 1, maxWait: 999 })],
  ],
  'throttle-window-too-short': [
    [throttle, timeout({ after: 501 })],
    [throttle, timeout({ after: 500 })],
  ],
  'adaptive-rate-outside-retry': [
    [adaptiveRate(), retry()],
    [retry(), adaptiveRate()],
  ],
  'retry-inside-retry': [[retry(), retry()], [retry()]],
  'retry-inside-hedge': [
    [hedge(), retry()],
    [retry(), hedge()],
  ],
  'hedge-inside-hedge': [[hedge(), hedge()], [hedge()]],
  'hedge-of-every-call': [[hedge({ idempotent: true })], [hedge({ idempotent: ({ operation }) => operation === 'read' })]],
  'breaker-outside-retry': [
    [breaker(), retry()],
    [retry(), breaker()],
  ],
  'breaker-outside-hedge': [
    [breaker(), hedge()],
    [hedge(), breaker()],
  ],
  'breaker-shared-by-endpoints': [
    [breaker(), perKey(() => bulkhead({ maxConcurrent: 5 }))],
    [perKey(() => circuitBreaker({ window: '1h' })), perKey(() => bulkhead({ maxConcurrent: 5 }))],
  ],
  'window-shorter-than-timeout': [
    [circuitBreaker({ window: '10s' }), timeout({ after: 5001 })],
    [circuitBreaker({ window: '10s' }), timeout({ after: 5000 })],
  ],
  'bulkhead-outside-retry': [
    [slots(), retry()],
    [retry(), slots()],
  ],
  'bulkhead-outside-hedge': [
    [slots(), hedge()],
    [hedge(), slots()],
  ],
  'bulkhead-outside-breaker': [
    [slots(), breaker()],
    [breaker(), slots()],
  ],
  'quota-outside-bulkhead': [
    [retry(), tokenBucket({ rate: 1, per: '1s' }), slots()],
    [tokenBucket({ rate: 1, per: '1s' }), retry(), slots()],
  ],
  'first-failure-opens': [[opossumBreaker()], [opossumBreaker({ volumeThreshold: 1 })]],
  'queue-without-bound': [
    [bottleneckLimiter({ maxConcurrent: 1 })],
    [bottleneckLimiter({ maxConcurrent: 1, highWater: 10 }), bottleneckLimiter({}, { name: 'holds nothing back' })],
  ],
  'chaos-not-innermost': [
    [chaos(), timeout({ after: '2s' })],
    [timeout({ after: '2s' }), chaos(), chaos()],
  ],
};

describe('advice', () => {
  test('has a case for every rule, and every rule has words of its own', () => {
    expect(lintRules.map(({ rule }) => rule)).toEqual(Object.keys(cases));
  });

  test.each(Object.entries(cases))('%s is told where it is so, once, and not where it just is not', (rule, [doubtful, sound]) => {
    expect(rulesOf(...doubtful)).toEqual([rule]);
    expect(rulesOf(...sound)).toEqual([]);
  });

  test('has nothing to say about the recommended order', () => {
    const sound = [
      plan,
      timeout({ after: '10s' }),
      tokenBucket({ rate: 100, per: '1s' }),
      retry(),
      hedge({ delay: '100ms' }),
      perKey(() => circuitBreaker()),
      perKey(() => bulkhead({ maxConcurrent: 20, maxQueue: 20, maxWait: '1s' })),
      leakyBucket({ rate: 100, per: '1s' }),
      timeout({ after: '1s' }),
      chaos(),
    ];
    expect(rulesOf(...sound)).toEqual([]);
  });

  test('looks into nested pipelines and into policies per key, and names the policies', () => {
    expect(rulesOf(retry(), pipeline([plan]))).toEqual(['fallback-inside-retry']);
    const [found] = pipeline([perKey(() => circuitBreaker(), { name: 'hosts' }), retry({ name: 'again' })]).lint();
    expect(found).toMatchObject({ rule: 'breaker-outside-retry', policies: ['hosts', 'again'] });
  });

  test('looks at policies on other packages as at the native ones', () => {
    const outer = pTimeoutPolicy({ milliseconds: 1000 });
    const circuit = (timeoutAfter: number | false = false): OpossumBreaker => opossumBreaker({ volumeThreshold: 9, timeout: timeoutAfter });
    const limiter = (): AnyPolicy => bottleneckLimiter({ maxConcurrent: 1, highWater: 9 });
    expect(rulesOf(circuit(), plan)).toEqual(['fallback-inside-breaker']);
    expect(rulesOf(pRetryPolicy({ retries: 1 }), plan)).toEqual(['fallback-inside-retry']);
    expect(rulesOf(outer, timeout({ after: '1s' }))).toEqual(['inner-timeout-longer']);
    expect(rulesOf(outer, pRetryPolicy())).toEqual(['retries-outlast-timeout']);
    expect(rulesOf(circuit(), pRetryPolicy())).toEqual(['breaker-outside-retry']);
    expect(rulesOf(limiter(), retry())).toEqual(['bulkhead-outside-retry']);
    expect(rulesOf(limiter(), circuit())).toEqual(['bulkhead-outside-breaker']);
    expect(
      rulesOf(
        perKey(() => circuit()),
        limiter(),
      ),
    ).toEqual([]);
    const [suppressed] = pipeline([retry(), pRetryPolicy()]).lint();
    expect(suppressed?.message).toContain('stand back');
  });

  test('knows the time limits and fallbacks that other packages have of their own', () => {
    const circuit = opossumBreaker({ volumeThreshold: 9, timeout: 100 });
    const limiter = bottleneckLimiter({ maxConcurrent: 1, highWater: 9 });
    // Its timeout counts what lies inside as too slow while it only waits: a queue belongs outside.
    expect(rulesOf(circuit, limiter)).toEqual(['queue-waits-longer-than-timeout']);
    expect(rulesOf(limiter, circuit)).toEqual([]);
    expect(rulesOf(circuit, pTimeoutPolicy({ milliseconds: 100 }))).toEqual(['inner-timeout-longer']);
    expect(rulesOf(pTimeoutPolicy({ milliseconds: 100 }), circuit)).toEqual(['inner-timeout-longer']);
    expect(rulesOf(pTimeoutPolicy({ milliseconds: 101 }), circuit)).toEqual([]);
    expect(rulesOf(opossumBreaker({ volumeThreshold: 9, timeout: false }), timeout({ after: '1s' }))).toEqual([]);
    expect(rulesOf(timeout({ after: 100 }), bottleneckLimiter({}, { expiration: 100 }))).toEqual(['inner-timeout-longer']);
    const [covered] = pipeline([retry(), pTimeoutPolicy({ milliseconds: 5, fallback: () => 'lesser' })]).lint();
    expect(covered).toMatchObject({
      rule: 'fallback-inside-retry',
      message: expect.stringContaining('p-timeout has a fallback of its own') as string,
    });
  });

  test('says of two retries what becomes of the inner one', () => {
    const [multiplied] = pipeline([retry(), retry({ nested: 'allow' })]).lint();
    const [suppressed] = pipeline([retry(), retry({ nested: 'suppress' })]).lint();
    expect(multiplied?.message).toContain('multiply');
    expect(suppressed?.message).toContain('stand back');
  });

  test('knows how long limiters let calls wait', () => {
    const whole = timeout({ after: '1s' });
    expect(rulesOf(whole, tokenBucket({ rate: 1, per: '1s', maxWait: '2s' }))).toEqual(['queue-waits-longer-than-timeout']);
    expect(rulesOf(whole, leakyBucket({ rate: 1, per: '1s', maxQueueTime: '2s' }))).toEqual(['queue-waits-longer-than-timeout']);
    expect(rulesOf(whole, tokenBucket({ rate: 1, per: '1s' }))).toEqual([]);
  });
});

test('every rule stands in the table of the page about order, with what it says', () => {
  const page = readFileSync(join(import.meta.dirname, '..', '..', 'docs', 'explanation', 'choosing-an-order.md'), 'utf8');
  const told = [...page.matchAll(/^\| `([a-z-]+)`\s+\|/gm)].map(([, rule]) => rule);
  expect(told).toEqual(lintRules.map(({ rule }) => rule));
});
