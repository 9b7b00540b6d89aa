/** Circuits and time: idle hours, wall clocks, starved timers. */

import { describe, expect, test } from 'vitest';
import { circuitBreaker } from 'breakwater';
import { arrange, work } from 'breakwater/testing';

const fail = (): Promise<never> => Promise.reject(new Error('down'));

describe('an idle hour', () => {
  test('leaves no old failures to add the next one to (K6; cockatiel)', async () => {
    const { run, clock, policy } = arrange(circuitBreaker({ minCalls: 5 }));
    for (let i = 0; i < 4; i++) await run(fail).catch(() => undefined);
    await clock.advance('1h');
    expect(policy.snapshot()).toMatchObject({ calls: 0, failures: 0 });
    await run(fail).catch(() => undefined);
    expect(policy.snapshot()).toMatchObject({ state: 'closed', calls: 1, failures: 1 });
  });

  test('does not end a row of failures: that is no matter of the window (solace PR 296)', async () => {
    const { run, clock, policy } = arrange(circuitBreaker({ consecutiveFailures: 3, window: '1s' }));
    for (let i = 0; i < 3; i++) {
      await run(fail).catch(() => undefined);
      await clock.advance('1h');
    }
    expect(policy.snapshot()).toMatchObject({ state: 'half-open', openCount: 1 });
  });

  test('in the open state ends with a probe, whoever comes first and whenever (cockatiel 91, zentinel 261)', async () => {
    const { run, clock, policy } = arrange(circuitBreaker({ openFor: '5s', halfOpen: { calls: 1 } }));
    policy.open();
    await clock.advance('240h');
    expect(await run(work('ok'))).toBe('ok');
    expect(policy.state).toBe('closed');
  });

  test('of quiet after closing makes the next opening a first one again (envoy 40697)', async () => {
    const { run, clock, policy } = arrange(circuitBreaker({ consecutiveFailures: 1, openFor: { jitter: 'none' }, halfOpen: { calls: 1 } }));
    const remaining: unknown[] = [];
    const open = async (): Promise<void> => {
      await run(fail).catch(() => undefined);
      remaining.push(policy.snapshot().remaining);
    };
    await open();
    await clock.advance('5s');
    await open();
    await clock.advance('10s');
    await run(work('ok'));
    await open(); // closed for a moment only: it flaps
    await clock.advance('20s');
    await run(work('ok'));
    await clock.advance('1h');
    await open();
    expect(remaining).toEqual([5000, 10_000, 20_000, 5000]);
  });
});

describe('the wall clock', () => {
  test.each([-3_600_000, 3_600_000, -1e12, 1e12])('moved by %i ms changes nothing (K2)', async (shift) => {
    const { run, clock, policy } = arrange(circuitBreaker({ minCalls: 4, openFor: '5s' }));
    for (let i = 0; i < 4; i++) {
      clock.shiftWall(shift);
      await run(fail).catch(() => undefined);
    }
    expect(policy.state).toBe('open');
    clock.shiftWall(shift);
    await clock.advance(4999);
    await expect(run(work('ok'))).rejects.toMatchObject({ retryAfter: 1 });
    clock.shiftWall(-2 * shift);
    await clock.advance(1);
    expect(await run(work('ok'))).toBe('ok');
  });
});

test('a clock that steps back loses no counts and opens nothing', async () => {
  const { run, clock, policy } = arrange(circuitBreaker({ minCalls: 4, window: '10s' }));
  await clock.advance('1m');
  for (let i = 0; i < 2; i++) await run(fail).catch(() => undefined);
  clock.rewind('30s');
  await run(fail).catch(() => undefined);
  expect(policy.snapshot()).toMatchObject({ state: 'closed', calls: 3, failures: 3 });
  await clock.advance('1m');
  expect(policy.snapshot()).toMatchObject({ calls: 0 });
});

test('a flood of promise jobs that starves every timer does not keep it open (opossum 580)', async () => {
  const { run, clock, policy } = arrange(circuitBreaker({ openFor: '5s' }));
  policy.open();
  clock.jump('5s'); // time passes, no timer runs
  let probed: unknown;
  for (let i = 0; i < 1000 && probed === undefined; i++) probed = await run(() => 'probe').catch(() => undefined);
  expect(probed).toBe('probe');
  expect(clock.pending).toBe(0);
});

test('open times beyond what a timer can hold are kept', async () => {
  for (const time of [2 ** 31, Number.MAX_SAFE_INTEGER]) {
    const { run, clock, policy } = arrange(circuitBreaker({ openFor: time }));
    policy.open();
    await clock.advance('1h');
    await expect(run(work('ok'))).rejects.toMatchObject({ code: 'ERR_CIRCUIT_OPEN', retryAfter: time - 3_600_000 });
  }
});
