import { describe, test } from 'vitest';
import { bulkhead, circuitBreaker, pipeline } from 'breakwater';
import { pRetryPolicy } from 'breakwater/p-retry';
import { policyContract } from 'breakwater/testing';
import { ProcessClock, useProcessTime } from '../support/process-clock.ts';
import { exceptions } from './p-retry-exceptions.ts';

useProcessTime();

const given = {
  describe,
  it: test,
  exceptions,
  clock: () => new ProcessClock(),
  factory: { create: pRetryPolicy, options: { retries: 2, minTimeout: 5, shouldRetry: () => true } },
};
const waits = (): ReturnType<typeof pRetryPolicy> => pRetryPolicy({ retries: 1, minTimeout: 60_000 });

policyContract(() => pRetryPolicy(), { ...given, waits });
policyContract(() => pRetryPolicy({ retries: 2, minTimeout: 0, maxRetryTime: 1000, randomize: true }), {
  ...given,
  name: 'p-retry without waits',
});
policyContract(() => pRetryPolicy({ retries: 3, minTimeout: 1, onFailedAttempt: async () => Promise.resolve() }), {
  ...given,
  name: 'p-retry with a function that takes its time',
});
policyContract(
  () => pipeline([pRetryPolicy({ retries: 1, minTimeout: 1 }), circuitBreaker({ minCalls: 900 }), bulkhead({ maxConcurrent: 200 })]),
  {
    ...given,
    name: 'p-retry around a circuit breaker and a bulkhead',
    waits,
  },
);
