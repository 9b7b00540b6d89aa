/** Policies that answer to what happened: on the happy path, and where they have something to do. */

import { chaos, circuitBreaker, degrade, fallback, hedge, pipeline, retry, switchboard, timeout, tokenBucket } from 'breakwater';
import * as cockatiel from 'cockatiel';
import pRetry from 'p-retry';
import { AMPLE, LIMIT, WINDOW, cockatielBreaker, ourBreaker } from '../stacks.mjs';
import { bare, cockatiels, ours } from './contestants.mjs';

/** Fails once before it runs the work. */
function failingOnce(run, work) {
  let failed = false;
  return run(() => {
    if (failed) return work();
    failed = true;
    throw failure;
  });
}

const failure = new Error('once');

export const reactive = [
  {
    id: 'retry-once',
    title: 'Retry, the second attempt succeeds, no delay',
    kind: 'sequential',
    contestants: [
      {
        name: 'breakwater retry',
        make: (work) => {
          const guarded = pipeline([retry({ maxAttempts: 3, backoff: { delay: 0 }, budget: false })]);
          return { call: () => failingOnce((task) => guarded.execute(task), work) };
        },
      },
      {
        name: 'p-retry',
        make: (work) => ({ call: () => failingOnce((task) => pRetry(task, { retries: 2, minTimeout: 0, maxTimeout: 0 }), work) }),
      },
      {
        name: 'cockatiel retry',
        make: (work) => {
          const policy = cockatiel.retry(cockatiel.handleAll, { maxAttempts: 2 });
          return { call: () => failingOnce((task) => policy.execute(task), work) };
        },
      },
    ],
  },
  {
    id: 'budget',
    title: 'Retry with a budget and without, first attempt succeeds',
    kind: 'sequential',
    contestants: [ours('retry', () => [retry()]), ours('retry, no budget', () => [retry({ budget: false })]), bare],
  },
  {
    id: 'hedge',
    title: 'Hedge, first attempt answers in time',
    kind: 'sequential',
    contestants: [
      ours('hedge', () => [hedge({ delay: LIMIT, idempotent: true })]),
      ours('hedge, learned delay', () => [hedge({ idempotent: true })]),
      ours('nothing', () => []),
      bare,
    ],
  },
  {
    id: 'timeouts',
    title: 'Forms of timeout',
    kind: 'sequential',
    contestants: [
      ours('timeout', () => [timeout({ after: LIMIT })]),
      ours('timeout (cooperative)', () => [timeout({ after: LIMIT, strategy: 'cooperative' })]),
      ours('timeout (adaptive)', () => [timeout({ after: LIMIT, adaptive: {} })]),
      cockatiels('timeout (cooperative)', () => cockatiel.timeout(LIMIT, cockatiel.TimeoutStrategy.Cooperative)),
    ],
  },
  {
    id: 'breakers',
    title: 'Circuit breaker, closed, with more conditions',
    kind: 'sequential',
    contestants: [
      ours('circuitBreaker', () => [ourBreaker()]),
      ours('circuitBreaker, slow calls under way', () => [circuitBreaker({ window: WINDOW, slowCall: '1s', badRate: 0.5 })]),
      ours('circuitBreaker, average', () => [circuitBreaker({ window: { halfLife: WINDOW } })]),
      cockatiels('circuitBreaker (sampling)', cockatielBreaker),
    ],
  },
  {
    id: 'switches',
    title: 'Switches: a feature at full, chaos at rate 0, a limiter enforced, shadowed and off',
    kind: 'sequential',
    contestants: [
      ours('degrade', () => [degrade({ feature: 'search', board: switchboard() })]),
      ours('fallback in tiers', () => [fallback({ tiers: [{ run: () => 0 }, { value: 0 }] })]),
      ours('chaos', () => [chaos({ rate: 0, fault: failure })]),
      ours('tokenBucket', () => [tokenBucket({ rate: AMPLE, burst: AMPLE })]),
      ours('tokenBucket, shadow', () => [tokenBucket({ rate: AMPLE, burst: AMPLE, mode: 'shadow' })]),
      ours('tokenBucket, off', () => [tokenBucket({ rate: AMPLE, burst: AMPLE, mode: 'off' })]),
      ours('nothing', () => []),
    ],
  },
];
