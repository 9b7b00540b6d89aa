import { describe, expect, test } from 'vitest';
import { type Policy, circuitBreaker, hedge, retry, retryBudget } from 'breakwater';
import { arrange } from 'breakwater/testing';

const biting = {
  'a result whose headers throw': {
    get headers(): never {
      throw new Error('do not look');
    },
  },
  'a proxy that throws': new Proxy(
    {},
    {
      get(_, name) {
        if (name === 'then') return undefined;
        throw new Error('do not look');
      },
    },
  ),
};

// Looking whether it is a response threw: hedged calls failed with that (and left an unhandled rejection), breakers and budgets never heard of the end of the call.
describe('a result that throws when it is looked at is a result like any other', () => {
  test.each(Object.entries(biting))('%s', async (_, result) => {
    const budget = retryBudget({ kind: 'concurrent', ratio: 0.5, minConcurrent: 0 });
    const circuit = circuitBreaker({ window: { calls: 10 } });
    const policies: readonly Policy[] = [retry({ budget }), hedge({ idempotent: true, delay: 50, budget }), circuit];
    const { pipeline, clock, events } = arrange(policies);
    const { balance } = budget;
    const answer = await pipeline.execute(() => result);
    expect(Object.is(answer, result)).toBe(true);
    expect([budget.balance, clock.pending, circuit.snapshot().calls]).toEqual([balance, 0, 1]);
    expect(events.filter(({ type }) => type === 'pipeline.callback-failed')).toEqual([]);
  });
});
