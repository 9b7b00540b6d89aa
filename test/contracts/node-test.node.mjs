/** The exported suites under node:test, on the built package: for `scripts/test-timers.mjs`. */

import { describe, it } from 'node:test';
import { bulkhead, retry } from 'breakwater';
import { gateContract, policyContract } from 'breakwater/testing';

const single = () => bulkhead({ maxConcurrent: 1, maxQueue: 2000 });
const full = { maxConcurrent: 20, maxQueue: 5 };
const given = { describe, it, waits: single, refuses: () => bulkhead({ maxConcurrent: 0 }), factory: { create: bulkhead, options: full } };

policyContract(() => bulkhead(full), given);
gateContract(() => bulkhead(full), given);
policyContract(() => retry(), { describe, it, waits: () => retry({ backoff: { delay: '1m', maxDelay: '1h', jitter: 'none' } }) });
