import { describe, expect, test } from 'vitest';
import { ThrottledError, timeout } from 'breakwater';
import { type Arranged, arrange, work } from 'breakwater/testing';
import { type Throttle, throttle } from '../../src/policies/throttle.ts';

/** Sends a call every `gap` ms for a time; answers with how many were turned away by the throttle. */
async function traffic(
  { run, clock }: Pick<Arranged<readonly [Throttle]>, 'run' | 'clock'>,
  gap: number,
  calls: number,
  each: () => ReturnType<typeof work>,
): Promise<number> {
  let refused = 0;
  const under: Promise<unknown>[] = [];
  for (let i = 0; i < calls; i++) {
    under.push(run(each()).catch((error: unknown) => (refused += Number(error instanceof ThrottledError))));
    await clock.advance(gap);
  }
  await clock.until(Promise.all(under));
  return refused;
}

describe('a service that is slow and healthy is never sent less', () => {
  // The window is 10 s, in buckets of half a second, and it is known that calls may take as long.
  test.each([
    ['longer than a bucket', 1800],
    ['of half the window', 5000],
    ['of nearly the window', 9900],
  ])('with a latency %s, from a cold start on', async (_what, after) => {
    const it = arrange(throttle({ window: '10s', k: 1.1, overdueAfter: '10s' }), { random: () => 0 });
    expect(await traffic(it, 50, 600, () => work({ after, value: 1 }))).toBe(0);
    expect(it.policy.rejectionProbability).toBe(0);
  });

  test('nor when it becomes slow from one moment to the next, nor when it is asked for ten times as much', async () => {
    const it = arrange(throttle({ window: '10s', k: 1.1, overdueAfter: '10s' }), { random: () => 0 });
    expect(await traffic(it, 100, 100, () => work({ after: 10, value: 1 }))).toBe(0);
    expect(await traffic(it, 100, 100, () => work({ after: 6000, value: 1 }))).toBe(0);
    expect(await traffic(it, 10, 1000, () => work({ after: 6000, value: 1 }))).toBe(0);
  });

  test('nor when a crowd comes at once after an idle night', async () => {
    const it = arrange(throttle({ window: '10s', k: 1.1, buckets: 2 }), { random: () => 0 });
    await it.clock.advance('8h');
    expect(await traffic(it, 0, 300, () => work({ after: 3000, value: 1 }))).toBe(0);
  });
});

describe('a service that hangs is sent less, though nothing comes back that could be counted (go-zero #5011)', () => {
  test('as soon as its calls have outlasted a bucket of the window, with no timeout at all', async () => {
    const it = arrange(throttle({ window: '10s', maxRejection: 1 }), { random: () => 0 });
    const hanging = Array.from({ length: 50 }, () => it.run(work('hang')));
    await it.clock.advance(499);
    expect(it.policy.rejectionProbability).toBe(0);
    await it.clock.advance(1);
    expect(it.policy.snapshot()).toMatchObject({ requests: 50, accepts: 0, pending: 50, rejectionProbability: 50 / 51 });
    expect(hanging).toHaveLength(50);
  });

  test('sooner if told when a call is overdue; one that is accepted after all is counted as accepted', async () => {
    const it = arrange(throttle({ window: '60s', overdueAfter: '2s' }), { random: () => 0 });
    for (let i = 0; i < 30; i++) void it.run(work('hang'));
    const late = Array.from({ length: 30 }, () => it.run(work({ after: '5s', value: 'late' })));
    await it.clock.advance('2s');
    expect(it.policy.rejectionProbability).toBe(0.9);
    await it.clock.until(Promise.all(late));
    expect(it.policy.snapshot()).toMatchObject({ requests: 60, accepts: 30, pending: 30, rejectionProbability: 0 });
  });

  test('and though the window is shorter than the timeout: what timed out counts when it does, not when it began', async () => {
    const it = arrange([throttle({ window: '5s', overdueAfter: Infinity }), timeout({ after: '20s' })], { random: () => 0 });
    const calls = Array.from({ length: 40 }, () => it.pipeline.executeOutcome(work('hang')));
    await it.clock.until(Promise.all(calls));
    expect(it.policy.snapshot()).toMatchObject({ requests: 40, accepts: 0, rejectionProbability: 0.9 });
    expect(it.pipeline.lint()).toMatchObject([{ rule: 'throttle-window-too-short' }]);
  });
});
