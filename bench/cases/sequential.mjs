/** One call after the other, work that answers at once: the cost of the policies alone. */

import { bulkhead, circuitBreaker, fallback, pipeline, retry, timeout } from 'breakwater';
import * as cockatiel from 'cockatiel';
import pRetry from 'p-retry';
import pTimeout from 'p-timeout';
import {
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
