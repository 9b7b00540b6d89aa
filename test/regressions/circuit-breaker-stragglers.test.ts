/** Results of an earlier state that moved a later one (Polly 217 to 219, deno std PR 7306, opossum and cockatiel). */

import { expect, test } from 'vitest';
import { circuitBreaker } from 'breakwater';
import { arrange, work } from 'breakwater/testing';

/** A circuit with a call under way that began while it was closed, and that has opened since. */
async function withStraggler(ends: { readonly value: unknown } | { readonly error: unknown }, after: number) {
  const guarded = arrange(circuitBreaker({ consecutiveFailures: 2, openFor: '5s', halfOpen: { calls: 2 } }));
  const straggler = guarded.run(work({ ...ends, after })).catch(() => 'failed');
  for (let i = 0; i < 2; i++) await guarded.run(work('fail')).catch(() => undefined);
  expect(guarded.policy.state).toBe('open');
  return { ...guarded, straggler };
}

test.each([{ value: 1 }, { error: new Error('late') }])(
  '%o of the closed time leaves a half-open circuit as it is, and is told (K3)',
  async (ends) => {
    const { clock, policy, events, straggler } = await withStraggler(ends, 6000);
    await clock.advance('5s');
    expect(policy.state).toBe('half-open');
    await clock.until(straggler);
    expect(policy.snapshot()).toMatchObject({ state: 'half-open', calls: 0, late: 1, probes: { admitted: 0 } });
    expect(events.filter(({ type }) => type === 'circuit-breaker.late')).toMatchObject([{ ok: 'value' in ends, age: 6000 }]);
  },
);

test('failures that come in after the first one that opened it neither restart nor extend the open time (opossum 385)', async () => {
  const { run, clock, policy, events } = arrange(circuitBreaker({ consecutiveFailures: 1, openFor: '5s' }));
  const together = Array.from({ length: 20 }, (_, i) => run(work({ after: 100 * i, error: new Error('down') })).catch(() => undefined));
  await clock.advance(1900);
  await Promise.all(together);
  expect(policy.snapshot()).toMatchObject({ state: 'open', since: 0, openCount: 1, remaining: 3100, late: 19 });
  expect(events.filter(({ type }) => type === 'circuit-breaker.opened')).toHaveLength(1);
  await clock.advance(3100);
  expect(policy.state).toBe('half-open');
});

test('a failure of the time before does not count against a circuit that has closed again', async () => {
  const { run, clock, policy, straggler } = await withStraggler({ error: new Error('late') }, 6000);
  await clock.advance('5s');
  for (let i = 0; i < 2; i++) await run(work('ok'));
  expect(policy.state).toBe('closed');
  await clock.until(straggler);
  await run(work('fail')).catch(() => undefined);
  expect(policy.snapshot(), 'one failure in a row, not two').toMatchObject({ state: 'closed', calls: 1, consecutiveFailures: 1 });
});

test('a dropped result does not go without a sign (gobreaker 122)', async () => {
  const { clock, events, straggler, policy } = await withStraggler({ value: 1 }, 100);
  await clock.until(straggler);
  expect(policy.snapshot().late).toBe(1);
  expect(events.map(({ type }) => type)).toContain('circuit-breaker.late');
});
