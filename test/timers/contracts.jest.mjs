/** The exported suites under jest, whose describe and it are globals. */

import { bulkhead } from 'breakwater';
import { gateContract, policyContract } from 'breakwater/testing';

const given = {
  waits: () => bulkhead({ maxConcurrent: 1, maxQueue: 2000 }),
  refuses: () => bulkhead({ maxConcurrent: 0 }),
  factory: { create: bulkhead, options: { maxConcurrent: 20 } },
};

policyContract(() => bulkhead({ maxConcurrent: 20 }), given);
gateContract(() => bulkhead({ maxConcurrent: 20 }), given);
