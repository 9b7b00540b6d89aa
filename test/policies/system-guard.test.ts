import { describe, test } from 'vitest';
import { gateContract, policyContract } from 'breakwater/testing';
import { systemGuard } from '../../src/policies/system-guard.ts';

const overloaded = (): ReturnType<typeof systemGuard> => systemGuard({ heapUsed: 0.9, monitor: { read: () => ({ heapUsed: 0.99 }) } });
const given = { describe, it: test, refuses: overloaded };
policyContract(() => systemGuard({ inFlight: 1000, qps: 10_000, averageTime: '1h' }), {
  ...given,
  factory: { create: systemGuard, options: { cpu: 0.8, inFlight: 500, actions: { shed: 0.7, close: false }, name: 'door' } },
});
policyContract(
  () => systemGuard({ inFlight: 1000, actions: { tighten: 0.01, spare: 0.01 }, monitor: { read: () => ({ eventLoopDelay: 190 }) } }),
  {
    ...given,
    name: 'systemGuard under load',
  },
);
gateContract(() => systemGuard(), given);
