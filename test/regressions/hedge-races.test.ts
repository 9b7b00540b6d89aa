import { describe, expect, test, vi } from 'vitest';
import { HedgeLostError, bulkhead, circuitBreaker, hedge, pipeline, retry, retryBudget, timeout } from 'breakwater';
import { VirtualClock, arrange, seededRandom, work } from 'breakwater/testing';

const always = { idempotent: true } as const;

describe('the winner', () => {
  // One library awaited the losers, so that a hedged call took as long as its slowest attempt.
  test('returns at once, whatever the losers do with their signals; what they hold stays held until they end (law 6)', async () => {
    const slots = bulkhead({ maxConcurrent: 5 });
    const { run, clock } = arrange([hedge({ delay: 10, ...always }), slots]);
    expect(await clock.until(run(work('hang', { after: 5, value: 'hedge' })))).toBe('hedge');
    expect([clock.now(), slots.active]).toEqual([15, 1]);
    const late = run(work({ after: 300, value: 'late' }, { after: 5, value: 'hedge' }));
    await clock.until(late);
    expect(slots.active).toBe(2);
    await clock.advance(300);
    expect(slots.active).toBe(1);
  });

  test('a slot around the hedge is held until the last attempt has ended', async () => {
    const slots = bulkhead({ maxConcurrent: 1 });
    const { run, clock } = arrange([slots, hedge({ delay: 10, ...always })]);
    expect(await clock.until(run(work({ after: 200, value: 'slow' }, { after: 5, value: 'hedge' })))).toBe('hedge');
    expect([clock.now(), slots.active]).toEqual([15, 1]);
    await clock.advance(185);
    expect(slots.active).toBe(0);
  });

  // One took whatever came first, also a failure.
  test('is never a failure that another attempt may not have', async () => {
    const { run, clock } = arrange(hedge({ delay: 10, ...always }));
    expect(await clock.until(run(work({ after: 100, value: 'good' }, 'fail')))).toBe('good');
    expect(await clock.until(run(work({ after: 20, error: new Error('no') }, { after: 100, value: 'good' })))).toBe('good');
  });
});

describe('signals', () => {
  // One captured the signal once, for all attempts.
  test('each attempt has one of its own, and it is the one that its own policies abort', async () => {
    const { run, clock } = arrange([hedge({ delay: 10, maxHedges: 2, ...always }), timeout({ after: 25 })]);
    const script = work('hang-until-abort', 'hang-until-abort', { after: 10, value: 'third' });
    expect(await clock.until(run(script))).toBe('third');
    const [first, second, third] = script.runs.map(({ call }) => call.signal);
    expect(first?.reason).toMatchObject({ code: 'ERR_TIMEOUT' });
    expect(second?.reason).toBeInstanceOf(HedgeLostError);
    expect([second?.reason === first?.reason, third?.aborted]).toEqual([false, false]);
  });

  test("attempts that lost are nobody's failure: no circuit opens, no retry follows", async () => {
    const breaker = circuitBreaker({ consecutiveFailures: 1 });
    const { run, clock } = arrange([hedge({ delay: 10, ...always }), retry({ maxAttempts: 3 }), breaker]);
    for (let i = 0; i < 20; i++) {
      const script = work('hang-until-abort', { after: 5, value: i });
      expect(await clock.until(run(script))).toBe(i);
      expect(script.calls).toBe(2);
    }
    expect(breaker.state).toBe('closed');
    expect(clock.pending).toBe(0);
  });
});

// Elsewhere an exhausted budget ended the hedges that ran already.
test('a budget that is used up lets running hedges go on: only new ones are left out', async () => {
  const budget = retryBudget({ ratio: 0, minPerSecond: 0.1 });
  const { run, clock } = arrange(hedge({ delay: 10, maxHedges: 5, ...always, budget }));
  const script = work('hang', { after: 200, value: 'the only hedge' });
  expect(await clock.until(run(script))).toBe('the only hedge');
  expect([clock.now(), script.calls, budget.balance]).toEqual([210, 2, 0]);
});

// A delay learned from winners alone creeps down: each hedge that wins hides how slow the other attempt was.
test('a learned delay stays at the quantile of the service, though slow attempts are cut short', async () => {
  const clock = new VirtualClock();
  const random = seededRandom(5);
  const policy = hedge({ ...always, budget: false, delay: { quantile: 0.9, minSamples: 200 } });
  const service = pipeline([policy], { clock });
  const call = (): Promise<unknown> =>
    service.execute(
      ({ signal }) =>
        new Promise((resolve) => {
          const timer = clock.setTimeout(() => resolve(1), 1 - 100 * Math.log(1 - random()));
          signal.addEventListener('abort', () => clock.clearTimeout(timer));
        }),
    );
  for (let round = 0; round < 20; round++) {
    await clock.until(Promise.all(Array.from({ length: 200 }, call)));
    await clock.advance('4s');
  }
  const p90 = 1 - 100 * Math.log(0.1);
  expect(Math.abs((policy.delay as number) - p90) / p90).toBeLessThan(0.06);
  expect(policy.snapshot()['hedges']).toBeGreaterThan(300);
});

// "Average plus ten per cent" turned out to be ten per cent of the average.
test('a quantile is what its name says: the delay that so large a share of attempts does not exceed', async () => {
  for (const quantile of [0.5, 0.9, 0.95, 0.99]) {
    const policy = hedge({ ...always, delay: { quantile, minSamples: 100 } });
    const { run, clock } = arrange(policy);
    await clock.until(
      Promise.all(Array.from({ length: 100 }, (_, i) => run(work({ after: 1000 + i * 10, value: i }), { idempotent: true }))),
    );
    await clock.until(run(work('ok')));
    const exact = 1000 + (quantile * 100 - 1) * 10;
    expect(Math.abs((policy.delay as number) - exact)).toBeLessThanOrEqual(exact / 64);
  }
});

test('an outer abort, a timeout and a deadline during a race leave no promise that nobody hears (G3)', async () => {
  const unhandled = vi.fn();
  process.on('unhandledRejection', unhandled);
  const { run, clock } = arrange([timeout({ after: 30 }), hedge({ delay: 10, maxHedges: 3, ...always })]);
  for (let i = 0; i < 10; i++) {
    await expect(clock.until(run(work({ after: 100, error: new Error('late') })))).rejects.toMatchObject({ code: 'ERR_TIMEOUT' });
  }
  await clock.advance('1s');
  await new Promise((resolve) => setImmediate(resolve));
  expect([unhandled.mock.calls.length, clock.pending]).toEqual([0, 0]);
  process.off('unhandledRejection', unhandled);
});

test('all of several attempts side by side fail: V8 finds the callers of the error, and does not walk in a circle looking for them', async () => {
  const { pipeline: p, clock } = arrange([hedge({ maxHedges: 2, delay: 0, idempotent: true, budget: false })]);
  const after = [27, 1, 15];
  let begun = 0;
  const outcome = p.executeOutcome(async () => {
    const ms = after[begun++] as number;
    await new Promise<void>((resolve) => void clock.setTimeout(resolve, ms));
    throw new Error(`after ${ms}`); // captured here, with the async callers
  });
  expect(await clock.until(outcome)).toMatchObject({ ok: false, error: { message: 'after 27' } });
});
