import { describe, it } from 'vitest';
import { bulkhead, circuitBreaker, fallback, leakyBucket, perKey, pipeline, retry, timeout, tokenBucket } from 'breakwater';
import { gateContract, policyContract } from 'breakwater/testing';

const given = { describe, it };

policyContract(() => timeout({ after: '1h' }), { ...given, factory: { create: timeout, options: { after: '1h' } } });
gateContract(() => timeout({ after: '1h' }), given);

policyContract(() => retry(), {
  ...given,
  waits: () => retry({ maxAttempts: 2, backoff: { delay: '1m', maxDelay: '1m', jitter: 'none' } }),
  factory: { create: retry, options: { maxAttempts: 5 } },
});

policyContract(() => fallback({ value: 'never', when: () => false }), {
  ...given,
  factory: { create: fallback, options: { value: 1 } },
});
policyContract(() => fallback({ run: () => 'never', when: () => false }), { ...given, name: 'fallback that computes' });

const strict = { consecutiveFailures: 3, minCalls: 1, window: '1h', openFor: '1h' } as const;
policyContract(() => circuitBreaker(strict), {
  ...given,
  refuses: () => {
    const circuit = circuitBreaker();
    circuit.isolate();
    return circuit;
  },
  factory: { create: circuitBreaker, options: strict },
});
gateContract(() => circuitBreaker({ minCalls: 300 }), given);
policyContract(() => circuitBreaker({ window: { calls: 10 }, minCalls: 1, failureRate: 1 }), {
  ...given,
  name: 'circuit-breaker by calls',
});

const full = { maxConcurrent: 20, maxQueue: 5 };
const single = (): ReturnType<typeof bulkhead> => bulkhead({ maxConcurrent: 1, maxQueue: 2000 });
const shut = (): ReturnType<typeof bulkhead> => bulkhead({ maxConcurrent: 0 });
policyContract(() => bulkhead(full), { ...given, waits: single, refuses: shut, factory: { create: bulkhead, options: full } });
gateContract(() => bulkhead(full), { ...given, waits: single, refuses: shut });

const wide = { rate: 1, per: '1h', burst: 300 } as const;
const drop = (): ReturnType<typeof tokenBucket> => tokenBucket({ rate: 1, per: '2m', burst: 1, maxWait: Infinity });
const dry = (): ReturnType<typeof tokenBucket> => tokenBucket({ rate: 1, per: '1m', burst: 1, initial: 0 });
policyContract(() => tokenBucket(wide), { ...given, waits: drop, refuses: dry, factory: { create: tokenBucket, options: wide } });
gateContract(() => tokenBucket(wide), { ...given, waits: drop, refuses: dry });

const spacious = { rate: 1, per: '1h', burst: 300, delay: 300 } as const;
const spaced = (): ReturnType<typeof leakyBucket> => leakyBucket({ rate: 1, per: '2m', maxQueueTime: Infinity, burst: 5000 });
policyContract(() => leakyBucket(spacious), { ...given, waits: spaced, factory: { create: leakyBucket, options: spacious } });
gateContract(() => leakyBucket(spacious), { ...given, waits: spaced });

// The calls of the contract have no key, so they pass a policy per key unless told to share one.
policyContract(() => perKey(() => bulkhead(full)), {
  ...given,
  factory: { create: (options: never) => perKey(() => bulkhead(full), options), options: { max: 10 } },
});
gateContract(() => perKey(() => bulkhead(full)), given);

/** All six around one another, as the front page shows them. */
const six = (inside: ReturnType<typeof bulkhead> = bulkhead(full)): ReturnType<typeof pipeline> =>
  pipeline([
    fallback({ value: 'never', when: () => false }),
    timeout({ after: '2h' }),
    retry({ maxAttempts: 2, backoff: { delay: '1s' } }),
    circuitBreaker({ minCalls: 300 }),
    inside,
    tokenBucket({ rate: 1, per: '1h', burst: 300 }),
    timeout({ after: '1h' }),
  ]);
policyContract(() => six(), { ...given, name: 'six policies', waits: () => six(single()), refuses: () => six(shut()) });
