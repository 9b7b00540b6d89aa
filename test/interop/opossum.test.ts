import { describe, it } from 'vitest';
import { gateContract, policyContract } from 'breakwater/testing';
import { type OpossumOptions, opossumBreaker } from 'breakwater/opossum';
import { ProcessClock, useProcessTime } from '../support/process-clock.ts';
import { exceptions } from './opossum-exceptions.ts';

useProcessTime();

const options: OpossumOptions = { volumeThreshold: 10_000, timeout: '1h', resetTimeout: '1m', capacity: 5000 };

function open(): ReturnType<typeof opossumBreaker> {
  const breaker = opossumBreaker();
  breaker.open();
  return breaker;
}

const contract = {
  describe,
  it,
  refuses: open,
  factory: { create: (given: OpossumOptions) => opossumBreaker(given), options },
  clock: () => new ProcessClock(),
  exceptions,
  name: 'opossum',
};

policyContract(() => opossumBreaker(options), contract);
gateContract(() => opossumBreaker(options), contract);
policyContract(() => opossumBreaker({ ...options, cache: true, coalesce: true }), { ...contract, name: 'opossum with a cache' });
