import { describe, test } from 'vitest';
import { definePolicy, fallback, refuse, retry, timeout, RateLimitedError } from 'breakwater';
import { gateContract, policyContract } from 'breakwater/testing';

const it = test;

policyContract(() => timeout({ after: '1h' }), { describe, it, factory: { create: timeout, options: { after: '1h' } } });
gateContract(() => timeout({ after: '1h' }), { describe, it });

policyContract(() => retry(), {
  describe,
  it,
  waits: () => retry({ maxAttempts: 2, backoff: { delay: '1m', maxDelay: '1m', jitter: 'none' } }),
  factory: { create: retry, options: { maxAttempts: 3 } },
});
