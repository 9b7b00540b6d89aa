import { describe, expect, test } from 'vitest';
import { type GatePolicy, type Mode, bulkhead, circuitBreaker, degrade, hedge, perKey, switchboard, tokenBucket } from 'breakwater';
import { arrange, work } from 'breakwater/testing';

// A policy in shadow, or off, was asked whether it is strained, and its answer kept hedges from starting: it changed what it should only have watched.
describe('a policy that does not act', () => {
  const isolated = (mode: Mode): GatePolicy => {
    const breaker = circuitBreaker({ mode });
    breaker.open('1h');
    return breaker;
  };

  const strained: readonly [string, (mode: Mode) => GatePolicy][] = [
    ['a bulkhead with one slot', (mode) => bulkhead({ maxConcurrent: 1, mode })],
    ['a nearly empty bucket', (mode) => tokenBucket({ rate: 1, per: '1h', burst: 1, mode })],
    ['an open circuit', isolated],
    ['one of them under a key', (mode) => perKey(() => bulkhead({ maxConcurrent: 1 }), { mode })],
  ];

  test.each(strained)('suppresses no hedge: %s', async (_, make) => {
    for (const mode of ['shadow', 'off', 0, () => 'shadow' as const] as const) {
      const { run, clock } = arrange([hedge({ delay: 10, idempotent: true, budget: false }), make(mode)]);
      expect(await clock.until(run(work({ after: 100, value: 'first' }, { after: 10, value: 'hedge' }), { key: 'a' }))).toBe('hedge');
    }
  });

  test('a bulkhead that acts suppresses it', async () => {
    const { run, clock } = arrange([hedge({ delay: 10, idempotent: true, budget: false }), bulkhead({ maxConcurrent: 1 })]);
    expect(await clock.until(run(work({ after: 100, value: 'first' }, 'ok')))).toBe('first');
  });

  test('degrades no feature by its open circuit', async () => {
    for (const [mode, level] of [
      ['shadow', 'full'],
      ['off', 'full'],
      ['enforce', 'off'],
    ] as const) {
      const circuit = circuitBreaker({ mode });
      const feature = degrade({ feature: 'search', board: switchboard(), auto: { openCircuits: [circuit] } });
      const { run } = arrange([feature, circuit]);
      circuit.open('1h');
      await run(work('ok')).catch(() => undefined);
      expect([mode, feature.level]).toEqual([mode, level]);
    }
  });

  test('says of everything it tells that it is a shadow: nobody is woken by a circuit that only would have opened', async () => {
    for (const policy of [
      circuitBreaker({ consecutiveFailures: 1, mode: 'shadow' }),
      perKey(() => circuitBreaker({ consecutiveFailures: 1, mode: 'shadow' })),
    ]) {
      const { run, events } = arrange(policy);
      await run(work('fail'), { key: 'a' }).catch(() => undefined);
      expect(events.find(({ type }) => type === 'circuit-breaker.opened')).toMatchObject({ shadow: true });
    }
  });
});
