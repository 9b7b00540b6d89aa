/** Circuits that never came back because nobody called: the balancer had taken the target out, or the callers had gone elsewhere. */

import { expect, test } from 'vitest';
import { circuitBreaker } from 'breakwater';
import { arrange } from 'breakwater/testing';

test('an open circuit that nobody calls finds out by itself that the dependency is back (turnstone PR 152, zentinel 261, cockatiel 91)', async () => {
  let up = false;
  const { clock, policy } = arrange(circuitBreaker({ openFor: '1h', recover: { probe: () => up, interval: '5s', closes: true } }));
  policy.open();
  await clock.advance('1m');
  expect(policy.state).toBe('open');
  up = true;
  await clock.advance('5s');
  expect(policy.state).toBe('closed');
  expect(clock.pending).toBe(0);
});

test('a circuit says by itself that it may be tried, so that a balancer gives it a call again', async () => {
  const { clock, events, policy } = arrange(circuitBreaker({ openFor: '5s', recover: { auto: true } }));
  policy.open();
  await clock.advance('5s');
  expect(events.at(-1)).toMatchObject({ type: 'circuit-breaker.half-opened', at: 5000 });
});
