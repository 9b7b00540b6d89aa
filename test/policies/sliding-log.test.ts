import { describe, expect, test } from 'vitest';
import { OptionsError, RateLimitedError } from 'breakwater';
import { arrange, gateContract, policyContract } from 'breakwater/testing';
import { slidingLog } from '../../src/policies/sliding-log.ts';
import { ask, problemsOf, reasonOf } from '../support/answers.ts';

const shut = (): ReturnType<typeof slidingLog> => slidingLog({ limit: 1, window: '1h', cost: () => 2 });
const contract = {
  waits: () => slidingLog({ limit: 1, window: '2m', maxWait: Infinity }),
  refuses: shut,
  factory: { create: slidingLog, options: { limit: 300, window: '1h', maxWait: '1s', cost: 1, name: 'limit' } },
  describe,
  it: test,
};
policyContract(() => slidingLog({ limit: 300, window: '1h' }), { ...contract, name: 'slidingLog' });
gateContract(() => slidingLog({ limit: 300, window: '1h', maxWait: Infinity }), { ...contract, name: 'slidingLog' });

describe('a sliding log', () => {
  test('lets in the limit within any window, and the next when the first of them is one window old (L1)', async () => {
    const { pipeline: p, clock, policy } = arrange(slidingLog({ limit: 2, window: '1s' }));
    expect(ask(p, 1)).toEqual([true]);
    await clock.advance(990);
    expect(ask(p, 2)).toEqual([true, false]);
    await clock.advance(10);
    expect(ask(p, 2)).toEqual([true, false]);
    await clock.advance(989);
    expect([policy.available, ...ask(p, 1)]).toEqual([0, false]);
    await clock.advance(1);
    expect(ask(p, 2)).toEqual([true, false]);
  });

  test('refuses with an error that says when it fits, to the millisecond (L4)', async () => {
    const { run, pipeline: p, clock } = arrange(slidingLog({ limit: 2, window: '1m' }), { name: 'texts' });
    await run(() => 1);
    await clock.advance('20s');
    await run(() => 1);
    const reason = (await reasonOf(run(() => 1, { key: 'k' }))) as RateLimitedError;
    expect(reason).toMatchObject({
      message: 'texts: sliding-log allows 2 per 60000 ms',
      code: 'ERR_RATE_LIMITED',
      policy: 'sliding-log',
      key: 'k',
      retryAfter: 40_000,
    });
    await clock.advance(39_999);
    expect(ask(p, 1)).toEqual([false]);
    await clock.advance(1);
    expect(ask(p, 2)).toEqual([true, false]);
  });

  test('a call that can never pass is refused with a retryAfter of Infinity (L9)', async () => {
    const { run, clock } = arrange(slidingLog({ limit: 3, window: '1s', maxWait: Infinity, cost: ({ tags }) => Number(tags['n']) }));
    const reason = (await reasonOf(run(() => 1, { tags: { n: 4 } }))) as RateLimitedError;
    expect([reason.retryAfter, clock.pending]).toEqual([Infinity, 0]);
    expect(reason.message).toBe('test: sliding-log allows 3 per 1000 ms; a call that costs 4 can never pass');
  });

  test('calls that wait get in one window after those that they follow, first come, first served, whatever they cost', async () => {
    const { run, clock, policy } = arrange(
      slidingLog({ limit: 3, window: '1s', maxWait: '1h', cost: ({ tags }) => Number(tags['n'] ?? 1) }),
    );
    const at: number[] = [];
    const calls = [1, 1, 2, 3, 1].map((n) => run(() => at.push(n, clock.now()), { tags: { n } }));
    expect([policy.waiting, policy.available, clock.pending]).toEqual([3, 0, 1]);
    await clock.until(Promise.all(calls));
    expect(at).toEqual([1, 0, 1, 0, 2, 1000, 3, 2000, 1, 3000]);
    expect(clock.pending).toBe(0);
  });

  test('a changed limit holds at once, for those who wait too (L8)', async () => {
    const { run, pipeline: p, clock, policy } = arrange(slidingLog({ limit: 2, window: '1s', maxWait: '10s' }));
    ask(p, 2);
    policy.update({ limit: 3 });
    expect(ask(p, 2)).toEqual([true, false]);
    const calls = [1, 2].map(() => run(() => clock.now()));
    policy.update({ window: 400 });
    expect(await clock.until(Promise.all(calls))).toEqual([400, 400]);
    for (const change of [{ limit: 0 }, { limit: 1e6 + 1 }, { window: 0 }, { segments: 2 }])
      expect(() => policy.update(change as never)).toThrow(OptionsError);
    expect(policy.snapshot()).toEqual({ available: 1, entries: 1, waiting: 0, limit: 3, window: 400 });
  });

  test('shows its options as plain data; is at rest when nothing counts, strained when little is left', async () => {
    const limiter = slidingLog({ limit: 10, window: '1s' });
    const { pipeline: p, clock } = arrange(limiter);
    const strained = (): boolean => (limiter as unknown as { strained(): boolean }).strained();
    expect(p.describe()).toMatchObject({ layers: [{ options: { limit: 10, window: 1000, maxWait: 0, cost: 'of the call' } }] });
    expect([limiter.atRest(0), strained()]).toEqual([true, false]);
    ask(p, 9);
    expect([limiter.atRest(999), limiter.atRest(1000), strained()]).toEqual([false, true, true]);
    await clock.advance('2s');
    limiter.update({ limit: 5 });
    expect(limiter.atRest(1e9)).toBe(false);
  });
});

describe('the options of a sliding log (G9)', () => {
  test.each([
    [{}, 'limit window'],
    [{ limit: 0, window: 1 }, 'limit'],
    [{ limit: 1_000_001, window: 1 }, 'limit'],
    [{ limit: 1, window: 0 }, 'window'],
    [{ limit: 1, window: 1, cost: 2 }, 'cost'],
    [{ limit: 1, window: 1, segments: 1 }, 'segments'],
  ])('%j: %s', (options, wrong) => {
    expect(problemsOf(slidingLog, options)).toEqual(wrong.split(' ').map((path) => `slidingLog.${path}`));
  });
});
