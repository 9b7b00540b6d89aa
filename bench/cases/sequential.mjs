/** One call after the other, work that answers at once: the cost of the policies alone. */

import { bulkhead, circuitBreaker, fallback, pipeline, retry, timeout } from 'breakwater';
import Bottleneck from 'bottleneck';
import * as cockatiel from 'cockatiel';
import pLimit from 'p-limit';
import PQueue from 'p-queue';
import pRetry from 'p-retry';
import pTimeout from 'p-timeout';
import { RateLimiterMemory } from 'rate-limiter-flexible';
import {
  AMPLE,
  LIMIT,
  ampleBucket,
  cockatielBreaker,
  cockatielRetry,
  cockatielStack,
  fourPackages,
  opossumAround,
  ourBreaker,
  ourStack,
} from '../stacks.mjs';
import { bare, cockatiels, ours } from './contestants.mjs';

function opossums(name, options) {
  return {
    name: `opossum ${name}`,
    make: (work) => {
      const breaker = opossumAround(work, options);
      return { call: () => breaker.fire(), close: () => breaker.shutdown() };
    },
  };
}

export const sequential = [
  {
    id: 'three-gates',
    title: 'Three gates against one breaker',
    kind: 'sequential',
    contestants: [
      ours('circuitBreaker, bulkhead, tokenBucket', () => [ourBreaker(), bulkhead({ maxConcurrent: 100 }), ampleBucket()]),
      bare,
      cockatiels('circuitBreaker (sampling)', cockatielBreaker),
    ],
  },
  {
    id: 'nothing',
    title: 'An empty pipeline, and the ways into it',
    kind: 'sequential',
    contestants: [
      ours('pipeline([])', () => []),
      ours('pipeline([]), with a key', () => [], { key: 'tenant' }),
      ours('pipeline([]), with a signal', () => [], { signal: new AbortController().signal }),
      {
        name: 'breakwater pipeline([]).wrap',
        make: (work) => {
          const guarded = pipeline([]).wrap(work);
          return { call: () => guarded() };
        },
      },
      bare,
      cockatiels('noop', () => cockatiel.noop),
    ],
  },
  {
    id: 'timeout',
    title: 'Timeout',
    kind: 'sequential',
    contestants: [
      ours('timeout', () => [timeout({ after: LIMIT })]),
      { name: 'p-timeout', make: (work) => ({ call: () => pTimeout(work(), { milliseconds: LIMIT }) }) },
      cockatiels('timeout (cooperative)', () => cockatiel.timeout(LIMIT, cockatiel.TimeoutStrategy.Cooperative)),
      cockatiels('timeout (aggressive)', () => cockatiel.timeout(LIMIT, cockatiel.TimeoutStrategy.Aggressive)),
    ],
  },
  {
    id: 'retry',
    title: 'Retry, first attempt succeeds',
    kind: 'sequential',
    contestants: [
      ours('retry', () => [retry({ maxAttempts: 3 })]),
      { name: 'p-retry', make: (work) => ({ call: () => pRetry(work, { retries: 2 }) }) },
      cockatiels('retry', cockatielRetry),
    ],
  },
  {
    id: 'fallback',
    title: 'Fallback, not needed',
    kind: 'sequential',
    contestants: [
      ours('fallback', () => [fallback({ value: 0 })]),
      cockatiels('fallback', () => cockatiel.fallback(cockatiel.handleAll, 0)),
    ],
  },
  {
    id: 'breaker',
    title: 'Circuit breaker, closed',
    kind: 'sequential',
    contestants: [
      ours('circuitBreaker (30 s window)', () => [ourBreaker()]),
      ours('circuitBreaker (consecutive failures)', () => [circuitBreaker({ consecutiveFailures: 5 })]),
      cockatiels('circuitBreaker (sampling)', cockatielBreaker),
      cockatiels('circuitBreaker (consecutive failures)', () =>
        cockatiel.circuitBreaker(cockatiel.handleAll, { halfOpenAfter: LIMIT, breaker: new cockatiel.ConsecutiveBreaker(5) }),
      ),
      opossums('without timeout', { timeout: false }),
      opossums('with timeout', { timeout: LIMIT }),
    ],
  },
  {
    id: 'bulkhead',
    title: 'Bulkhead, a slot is free',
    kind: 'sequential',
    contestants: [
      ours('bulkhead', () => [bulkhead({ maxConcurrent: 10, maxQueue: 1000, maxWait: '1m' })]),
      {
        name: 'p-limit',
        make: (work) => {
          const limit = pLimit(10);
          return { call: () => limit(work) };
        },
      },
      {
        name: 'p-queue',
        make: (work) => {
          const queue = new PQueue({ concurrency: 10 });
          return { call: () => queue.add(work) };
        },
      },
      cockatiels('bulkhead', () => cockatiel.bulkhead(10, 1000)),
      {
        name: 'bottleneck',
        make: (work) => {
          const limiter = new Bottleneck({ maxConcurrent: 10 });
          return { call: () => limiter.schedule(work), close: () => limiter.disconnect() };
        },
      },
    ],
  },
  {
    id: 'bucket',
    title: 'Rate limit, not reached',
    kind: 'sequential',
    contestants: [
      ours('tokenBucket', () => [ampleBucket()]),
      {
        name: 'breakwater tokenBucket, tryAcquire',
        make: (work) => {
          const limits = pipeline([ampleBucket()]);
          const limited = async () => {
            const answer = limits.tryAcquire();
            if (!answer.admitted) throw answer.error;
            const value = await work();
            answer.success();
            return value;
          };
          return { call: () => limited() };
        },
      },
      {
        name: 'rate-limiter-flexible (memory)',
        make: (work) => {
          const limiter = new RateLimiterMemory({ points: AMPLE, duration: 1 });
          const limited = async () => {
            await limiter.consume('key');
            return work();
          };
          return { call: () => limited(), close: () => limiter.delete('key') };
        },
      },
    ],
  },
  {
    id: 'six',
    title: 'Six policies',
    kind: 'sequential',
    contestants: [
      {
        name: 'breakwater six policies',
        make: (work) => {
          const guarded = ourStack(100);
          return { call: () => guarded.execute(work) };
        },
      },
      bare,
      cockatiels('five policies', () => cockatielStack(100)),
      { name: 'opossum(p-retry(p-timeout(bottleneck)))', make: (work) => fourPackages(100, work) },
    ],
  },
];
