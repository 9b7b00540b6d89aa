import { describe, expect, test } from 'vitest';
import { OptionsError, RateLimitedError } from 'breakwater';
import { arrange, gateContract, policyContract } from 'breakwater/testing';
import { slidingWindow } from '../../src/policies/sliding-window.ts';
import { ask, problemsOf, reasonOf } from '../support/answers.ts';

const shut = (): ReturnType<typeof slidingWindow> => slidingWindow({ limit: 1, window: '1h', cost: () => 2 });
const contract = {
  waits: () => slidingWindow({ limit: 1, window: '2m', maxWait: Infinity }),
  refuses: shut,
  factory: { create: slidingWindow, options: { limit: 300, window: '1h', maxWait: '1s', cost: 1, segments: 6, name: 'limit' } },
  describe,
  it: test,
};
policyContract(() => slidingWindow({ limit: 300, window: '1h' }), { ...contract, name: 'slidingWindow' });
gateContract(() => slidingWindow({ limit: 300, window: '1h', maxWait: Infinity }), { ...contract, name: 'slidingWindow' });

describe('a sliding window', () => {
  test('lets in about the limit in any window: after a burst at its end only what has slid out', async () => {
    const { pipeline: p, clock, policy } = arrange(slidingWindow({ limit: 10, window: '1s', segments: 1 }));
    await clock.advance(990);
    expect(ask(p, 20).filter(Boolean)).toHaveLength(10);
    await clock.advance(20);
    expect([policy.estimate, ...ask(p, 1)]).toEqual([9.9, false]);
    await clock.advance(490);
    expect([policy.estimate, ask(p, 20).filter(Boolean).length]).toEqual([5, 5]);
  });

  test('refuses with an error that says when it fits, to the millisecond (L4)', async () => {
    const { run, pipeline: p, clock } = arrange(slidingWindow({ limit: 4, window: '1m', segments: 1 }), { name: 'search' });
    await clock.advance('30s');
    for (let i = 0; i < 4; i++) await run(() => 1);
    await clock.advance('10s');
    const reason = (await reasonOf(run(() => 1, { key: 'k' }))) as RateLimitedError;
    expect(reason).toMatchObject({
      message: 'search: sliding-window allows 4 per 60000 ms',
      code: 'ERR_RATE_LIMITED',
      policy: 'sliding-window',
      key: 'k',
      retryAfter: 20_000 + 15_000,
    });
    await clock.advance(35_000 - 1);
    expect(ask(p, 1)).toEqual([false]);
    await clock.advance(1);
    expect(ask(p, 2)).toEqual([true, false]);
  });

  test('a call that can never pass is refused with a retryAfter of Infinity (L9)', async () => {
    const { run, clock } = arrange(slidingWindow({ limit: 3, window: '1s', maxWait: Infinity, cost: ({ tags }) => Number(tags['n']) }));
    const reason = (await reasonOf(run(() => 1, { tags: { n: 4 } }))) as RateLimitedError;
    expect([reason.retryAfter, clock.pending]).toEqual([Infinity, 0]);
    expect(reason.message).toBe('test: sliding-window allows 3 per 1000 ms; a call that costs 4 can never pass');
  });

  test('calls that wait get in as those before slide out, first come, first served', async () => {
    const { run, clock, policy } = arrange(slidingWindow({ limit: 2, window: '1s', maxWait: '1h', segments: 1 }));
    const at: number[] = [];
    const calls = Array.from({ length: 6 }, (_, i) => run(() => at.push(i, clock.now())));
    expect([policy.waiting, policy.available, clock.pending]).toEqual([4, 0, 1]);
    await clock.until(Promise.all(calls));
    expect(at).toEqual([0, 0, 1, 0, 2, 1500, 3, 2000, 4, 3000, 5, 4000]);
    expect(clock.pending).toBe(0);
  });

  test('segments, ten where nobody says, keep more of the limit in use, and let nobody in too early', async () => {
    for (const [segments, passed] of [
      [1, 1000],
      [undefined, 1820],
      [100, 1980],
    ] as const) {
      const options = segments === undefined ? {} : { segments };
      const { run, clock } = arrange(slidingWindow({ limit: 2, window: '1s', maxWait: Infinity, ...options }));
      let count = 0;
      for (let i = 0; i < 4000; i++) void run(() => count++);
      await clock.advance('1000s');
      expect(count).toBeGreaterThanOrEqual(passed);
      expect(count).toBeLessThan(passed + 10);
    }
  });

  test('a changed limit holds at once, for those who wait too (L8)', async () => {
    const { run, pipeline: p, clock, policy } = arrange(slidingWindow({ limit: 2, window: '1s', maxWait: '10s' }));
    ask(p, 2);
    policy.update({ limit: 3 });
    expect(ask(p, 2)).toEqual([true, false]);
    const calls = [1, 2].map(() => run(() => clock.now()));
    policy.update({ limit: 6, window: '2s' });
    expect([policy.waiting, ...(await Promise.all(calls))]).toEqual([0, 0, 0]);
    for (const change of [{ limit: 0 }, { limit: '5' }, { window: 0 }, { segments: 2 }])
      expect(() => policy.update(change as never)).toThrow(OptionsError);
    expect(policy.snapshot()).toEqual({ available: 1, estimate: 5, waiting: 0, limit: 6, window: 2000 });
  });

  test('shows its options as plain data; is at rest when nothing counts, strained when little is left', async () => {
    const limiter = slidingWindow({ limit: 10, window: '1s', segments: 5 });
    const { pipeline: p, clock } = arrange(limiter);
    const strained = (): boolean => (limiter as unknown as { strained(): boolean }).strained();
    expect(p.describe()).toMatchObject({
      layers: [{ options: { limit: 10, window: 1000, segments: 5, maxWait: 0, cost: 'of the call' } }],
    });
    expect([limiter.atRest(0), strained()]).toEqual([true, false]);
    ask(p, 9);
    expect([limiter.atRest(1199), limiter.atRest(1200), strained()]).toEqual([false, true, true]);
    await clock.advance('2s');
    limiter.update({ limit: 5 });
    expect(limiter.atRest(1e9)).toBe(false);
  });
});

describe('the options of a sliding window (G9)', () => {
  test.each([
    [{}, 'limit window'],
    [{ limit: 0, window: 1 }, 'limit'],
    [{ limit: 1, window: 0 }, 'window'],
    [{ limit: 1, window: 1, cost: 2 }, 'cost'],
    [{ limit: 1, window: 1, segments: 0 }, 'segments'],
    [{ limit: 1, window: 1, segments: 1.5 }, 'segments'],
    [{ limit: 1, window: 1, segments: 1001 }, 'segments'],
    [{ limit: 1, window: 1, segment: 1 }, 'segment'],
  ])('%j: %s', (options, wrong) => {
    expect(problemsOf(slidingWindow, options)).toEqual(wrong.split(' ').map((path) => `slidingWindow.${path}`));
  });
});
