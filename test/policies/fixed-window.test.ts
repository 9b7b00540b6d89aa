import { describe, expect, test } from 'vitest';
import { OptionsError, RateLimitedError, pipeline } from 'breakwater';
import { VirtualClock, arrange, gateContract, policyContract } from 'breakwater/testing';
import { fixedWindow } from '../../src/policies/fixed-window.ts';
import { perKey } from '../../src/policies/per-key.ts';
import { ask, problemsOf, reasonOf } from '../support/answers.ts';

const dry = (): ReturnType<typeof fixedWindow> => {
  const limiter = fixedWindow({ limit: 1, window: '1h' });
  limiter.block('1h');
  return limiter;
};
const contract = {
  waits: () => fixedWindow({ limit: 1, window: '2m', maxWait: Infinity }),
  refuses: dry,
  factory: {
    create: fixedWindow,
    options: { limit: 300, window: '1h', maxWait: '1s', cost: 1, aligned: '5m', refused: 'count' as const, name: 'limit' },
  },
  describe,
  it: test,
};
policyContract(() => fixedWindow({ limit: 300, window: '1h' }), { ...contract, name: 'fixedWindow' });
gateContract(() => fixedWindow({ limit: 300, window: '1h', maxWait: Infinity }), { ...contract, name: 'fixedWindow' });
policyContract(() => fixedWindow({ limit: 300, window: '1h', refused: 'backoff' }), {
  ...contract,
  name: 'fixedWindow that counts refusals',
});
gateContract(() => fixedWindow({ limit: 300, window: '1h', refused: 'backoff' }), {
  ...contract,
  name: 'fixedWindow that counts refusals',
});

describe('a fixed window', () => {
  test('lets in the limit, then nobody until the window is over (L1)', async () => {
    const { pipeline: p, clock, policy } = arrange(fixedWindow({ limit: 2, window: '1s' }));
    await clock.advance(700);
    expect(ask(p, 3)).toEqual([true, true, false]);
    await clock.advance(999);
    expect([ask(p, 1), policy.resetAfter]).toEqual([[false], 1]);
    await clock.advance(1);
    expect(ask(p, 3)).toEqual([true, true, false]);
  });

  test('refuses with an error that says when the next window opens, to the millisecond (L4)', async () => {
    const { run, pipeline: p, clock } = arrange(fixedWindow({ limit: 1, window: '1h' }), { name: 'mail' });
    await run(() => 1);
    await clock.advance('20m');
    const reason = (await reasonOf(run(() => 1, { key: 'k' }))) as RateLimitedError;
    expect(reason).toBeInstanceOf(RateLimitedError);
    expect(reason).toMatchObject({
      message: 'mail: fixed-window allows 1 per 3600000 ms',
      code: 'ERR_RATE_LIMITED',
      pipeline: 'mail',
      policy: 'fixed-window',
      key: 'k',
      retryAfter: 40 * 60_000,
    });
    await clock.advance(40 * 60_000 - 1);
    expect(ask(p, 1)).toEqual([false]);
    await clock.advance(1);
    expect(ask(p, 1)).toEqual([true]);
  });

  test('aligned windows begin at multiples of their length by the wall clock, or so much later', async () => {
    const wall = Date.UTC(2026, 0, 5, 14, 40);
    for (const [aligned, minutes, hours] of [
      [true, 20, 33],
      ['30m', 50, 33],
      ['45m', 5, 34],
      ['145m', 45, 35],
    ] as const) {
      const clock = new VirtualClock({ start: 12_345.5, wall });
      const limiter = fixedWindow({ limit: 1, window: '1h', aligned });
      const p = pipeline([limiter], { clock });
      expect(ask(p, 2)).toEqual([true, false]);
      expect(limiter.resetAfter).toBeCloseTo(minutes * 60_000, 6);
      await clock.advance(minutes * 60_000);
      expect(ask(p, 2)).toEqual([true, false]);
      limiter.update({ window: '24h' }); // the open window lasts for a day at least, and on to where days begin
      expect(limiter.resetAfter).toBeCloseTo(hours * 3_600_000, 6);
    }
  });

  test('setting the wall clock moves no window', async () => {
    const clock = new VirtualClock({ wall: Date.UTC(2026, 0, 5, 14, 40) });
    const limiter = fixedWindow({ limit: 1, window: '1h', aligned: true });
    const p = pipeline([limiter], { clock });
    ask(p, 1);
    clock.shiftWall(-86_400_000);
    expect(limiter.resetAfter).toBe(20 * 60_000);
    clock.shiftWall(9 * 86_400_000);
    expect([ask(p, 1), limiter.resetAfter]).toEqual([[false], 20 * 60_000]);
  });

  test('a call that can never pass is refused with a retryAfter of Infinity, with all the patience in the world too (L9)', async () => {
    const { run, clock, policy } = arrange(
      fixedWindow({ limit: 3, window: '1s', maxWait: Infinity, cost: ({ tags }) => Number(tags['n']) }),
    );
    const reason = (await reasonOf(run(() => 1, { tags: { n: 4 } }))) as RateLimitedError;
    expect(reason.retryAfter).toBe(Infinity);
    expect(reason.message).toBe('test: fixed-window allows 3 per 1000 ms; a call that costs 4 can never pass');
    expect([clock.pending, policy.used]).toEqual([0, 0]);
    expect(await run(() => 'fits', { tags: { n: 3 } })).toBe('fits');
  });

  test('shows its state and its options as plain data', async () => {
    const {
      pipeline: p,
      clock,
      policy,
    } = arrange(fixedWindow({ limit: 30, window: '1m', refused: 'backoff', blockFor: '5m', aligned: true }));
    p.tryAcquire();
    await clock.advance('20s');
    expect(policy.snapshot()).toEqual({ available: 29, used: 1, resetAfter: 40_000, waiting: 0, limit: 30, window: 60_000 });
    expect(p.describe()).toMatchObject({
      layers: [
        {
          options: {
            limit: 30,
            window: 60_000,
            cost: 'of the call',
            maxWait: 0,
            aligned: true,
            refused: 'backoff',
            maxBackoff: 86_400_000,
            blockFor: 300_000,
          },
        },
      ],
    });
    expect(fixedWindow({ limit: 1.5, window: 10 }).snapshot()).toEqual({
      available: 1.5,
      used: 0,
      resetAfter: 10,
      waiting: 0,
      limit: 1.5,
      window: 10,
    });
  });

  test('is at rest when no window is open, and strained when little is left', async () => {
    const limiter = fixedWindow({ limit: 10, window: '1s' });
    const { pipeline: p, clock } = arrange(limiter);
    const strained = (): boolean => (limiter as unknown as { strained(): boolean }).strained();
    expect([limiter.atRest(0), strained()]).toEqual([true, false]);
    ask(p, 8);
    expect([limiter.atRest(999), limiter.atRest(1000), strained()]).toEqual([false, true, false]);
    ask(p, 1);
    expect(strained()).toBe(true);
    await clock.advance('1s');
    limiter.update({ limit: 5 });
    expect(limiter.atRest(1e9)).toBe(false);
  });
});

describe('a fixed window that lets calls wait', () => {
  test('they get in as the next windows open, the limit in each, first come, first served (L1)', async () => {
    const { run, clock, policy } = arrange(fixedWindow({ limit: 2, window: '1s', maxWait: '1h' }));
    const at: number[] = [];
    const calls = Array.from({ length: 7 }, (_, i) => run(() => at.push(i, clock.now())));
    expect([policy.waiting, policy.available, clock.pending]).toEqual([5, 0, 1]);
    await clock.until(Promise.all(calls));
    expect(at).toEqual([0, 0, 1, 0, 2, 1000, 3, 1000, 4, 2000, 5, 2000, 6, 3000]);
    expect(clock.pending).toBe(0);
  });

  test('what does not fit into what is left of a window waits for the next, and nobody overtakes it', async () => {
    const {
      run,
      clock,
      pipeline: p,
    } = arrange(fixedWindow({ limit: 5, window: '1s', maxWait: '1h', cost: ({ tags }) => Number(tags['n'] ?? 1) }));
    const at: number[] = [];
    const calls = [3, 4, 1, 1].map((n) => run(() => at.push(n, clock.now()), { tags: { n } }));
    expect(p.tryAcquire().admitted).toBe(false);
    await clock.until(Promise.all(calls));
    expect(at).toEqual([3, 0, 4, 1000, 1, 1000, 1, 2000]);
  });

  test('windows keep their time though timers are late', async () => {
    const { run, clock } = arrange(fixedWindow({ limit: 1, window: 10.25, maxWait: '1h' }));
    const calls = Array.from({ length: 101 }, () => run(() => 1));
    await clock.until(Promise.all(calls));
    expect(clock.now()).toBeGreaterThanOrEqual(1025);
    expect(clock.now()).toBeLessThan(1027);
  });
});

describe('a fixed window and outcomes', () => {
  test('a refund counts while its window is open, and in no other', async () => {
    const { run, clock, policy } = arrange(fixedWindow({ limit: 2, window: '1s', refundIf: ({ ok }) => ok }));
    for (let i = 0; i < 5; i++) await run(() => 'welcome');
    expect([policy.used, policy.available]).toEqual([0, 2]);
    let finish = (): void => undefined;
    const slow = run(() => new Promise<void>((resolve) => (finish = resolve)));
    await clock.advance('1s');
    await reasonOf(run(() => Promise.reject(new Error('wrong'))));
    expect(policy.used).toBe(1);
    finish();
    await slow;
    expect(policy.used).toBe(1);
  });

  test('drainOn: when the service says that it has too much to do, the rest of the window is gone', async () => {
    const { run, clock, policy } = arrange(fixedWindow({ limit: 10, window: '1s', drainOn: ({ ok }) => !ok }));
    await run(() => 1);
    await clock.advance(300);
    await reasonOf(run(() => Promise.reject(new Error('429'))));
    expect([policy.available, await reasonOf(run(() => 1))]).toMatchObject([0, { retryAfter: 700 }]);
    await clock.advance(700);
    expect(policy.available).toBe(10);
  });

  test('borrow: calls that matter most may wait for the next window, and it is theirs first', async () => {
    const { run, clock, pipeline: p } = arrange(fixedWindow({ limit: 2, window: '1s', borrow: { maxWait: '500ms' } }));
    expect(ask(p, 2)).toEqual([true, true]);
    await clock.advance(400);
    expect(await reasonOf(run(() => 1, { priority: 'critical-plus' }))).toMatchObject({ retryAfter: 100 });
    await clock.advance(100);
    const vital = run(() => clock.now(), { priority: 'critical-plus' });
    expect(await reasonOf(run(() => 1))).toMatchObject({ retryAfter: 500 });
    await clock.advance(499);
    expect(ask(p, 1)).toEqual([false]);
    expect(await clock.until(vital)).toBe(1000);
    expect(ask(p, 2)).toEqual([true, false]);
  });
});

describe('a fixed window that changes', () => {
  test('keeps what was counted: a raised limit lets in the difference, a lowered one nobody (L8)', async () => {
    const { pipeline: p, clock, policy } = arrange(fixedWindow({ limit: 2, window: '1m' }));
    ask(p, 2);
    policy.update({ limit: 5 });
    expect(ask(p, 4)).toEqual([true, true, true, false]);
    policy.update({ limit: 1, window: '2m' });
    expect(policy.snapshot()).toEqual({ available: 0, used: 5, resetAfter: 120_000, waiting: 0, limit: 1, window: 120_000 });
    await clock.advance('2m');
    expect(ask(p, 2)).toEqual([true, false]);
  });

  test('those who wait wait for the new limit, and those who cannot any more are told at once', async () => {
    const { run, clock, policy } = arrange(
      fixedWindow({ limit: 3, window: '1s', maxWait: '5s', cost: ({ tags }) => Number(tags['n'] ?? 1) }),
    );
    await run(() => 1, { tags: { n: 3 } });
    const large = reasonOf(run(() => 1, { tags: { n: 3 } }));
    const calls = [1, 1, 1].map(() => run(() => clock.now()));
    policy.update({ limit: 1, window: '2s' });
    expect(await large).toBeInstanceOf(RateLimitedError);
    const last = reasonOf(calls[2] as Promise<number>);
    expect(await clock.until(Promise.all(calls.slice(0, 2)))).toEqual([2000, 4000]);
    expect(await last).toMatchObject({ code: 'ERR_RATE_LIMITED' });
    expect(clock.pending).toBe(0);
  });

  test('refuses wrong changes and keeps what it was', () => {
    const { policy } = arrange(fixedWindow({ limit: 10, window: '1s', cost: 4 }));
    for (const change of [{ limit: 0 }, { limit: '5' }, { limit: 3 }, { window: 0 }, { window: Infinity }, { rate: 5 }, { aligned: true }])
      expect(() => policy.update(change as never)).toThrow(OptionsError);
    expect(policy.snapshot()).toMatchObject({ limit: 10, window: 1000, available: 10 });
  });
});

describe('a fixed window that holds refusals against callers', () => {
  test("'count': what is refused counts, and a window that is over forgets it", async () => {
    const { pipeline: p, clock, policy } = arrange(fixedWindow({ limit: 2, window: '1s', refused: 'count' }));
    ask(p, 5);
    expect([policy.used, policy.available, policy.resetAfter]).toEqual([5, 0, 1000]);
    policy.update({ limit: 4 });
    expect(ask(p, 1)).toEqual([false]);
    await clock.advance('1s');
    expect([policy.used, ...ask(p, 1)]).toEqual([0, true]);
  });

  test("'backoff': each refusal doubles the wait, up to a bound, and the wait that is told is the real one (L4)", async () => {
    const { pipeline: p, clock } = arrange(fixedWindow({ limit: 1, window: '1s', refused: 'backoff', maxBackoff: '5s' }));
    ask(p, 1);
    await clock.advance(400);
    const waits = Array.from({ length: 5 }, () => (p.tryAcquire() as { retryAfter?: number }).retryAfter);
    expect(waits).toEqual([1000, 2000, 4000, 5000, 5000]);
    await clock.advance(4999);
    expect((p.tryAcquire() as { retryAfter?: number }).retryAfter).toBe(5000);
    await clock.advance(5000);
    expect(ask(p, 2)).toEqual([true, false]);
  });

  test('blockFor: whoever is refused is refused for so long, and not longer for trying', async () => {
    const { pipeline: p, clock } = arrange(fixedWindow({ limit: 1, window: '1s', blockFor: '10s' }));
    expect(ask(p, 1)).toEqual([true]);
    await clock.advance(500);
    expect((p.tryAcquire() as { retryAfter?: number }).retryAfter).toBe(10_000);
    await clock.advance(9999);
    expect(p.tryAcquire()).toMatchObject({ admitted: false, retryAfter: 1 });
    await clock.advance(1);
    expect(ask(p, 1)).toEqual([true]);
  });

  test('penalties count beyond the limit, blocks refuse everybody; a key that is held back is not forgotten', async () => {
    const { pipeline: p, clock, policy } = arrange(fixedWindow({ limit: 5, window: '1m' }));
    policy.penalize();
    policy.penalize(7);
    expect([policy.used, policy.available, ...ask(p, 1)]).toEqual([8, 0, false]);
    policy.block('1h');
    await clock.advance('1m');
    expect([policy.resetAfter, policy.atRest(clock.now()), ...ask(p, 1)]).toEqual([59 * 60_000, false, false]);
    await clock.advance('59m');
    expect([policy.atRest(clock.now()), ...ask(p, 1)]).toEqual([true, true]);
    for (const wrong of [0, -1, NaN, '1']) expect(() => policy.penalize(wrong as number)).toThrow(OptionsError);
    for (const wrong of [-1, Infinity, 'long', undefined]) expect(() => policy.block(wrong as number)).toThrow(OptionsError);
  });

  test('those who wait wait out a block, or are refused when it is too long for them', async () => {
    const { run, clock, policy } = arrange(fixedWindow({ limit: 1, window: '1s', maxWait: '5s' }));
    await run(() => 1);
    const patient = run(() => clock.now());
    policy.block('3s');
    expect(await clock.until(patient)).toBe(3000);
    const hopeless = reasonOf(run(() => 1));
    policy.block('1h');
    expect(await hopeless).toMatchObject({ retryAfter: 3_600_000 });
    expect(clock.pending).toBe(0);
  });

  test('spread: calls that are let in are held over the window, the first excepted; a call that is cut meanwhile leaves no trace (L6)', async () => {
    const { run, clock, policy, events } = arrange(fixedWindow({ limit: 4, window: '1s', spread: true }));
    const at: number[] = [];
    void run(() => at.push(clock.now()));
    await clock.advance(100);
    const caller = new AbortController();
    const cut = reasonOf(run(() => 1, { signal: caller.signal }));
    expect([policy.used, events.filter(({ type }) => type === 'fixed-window.delayed')]).toMatchObject([2, [{ wait: 225, cost: 1 }]]);
    caller.abort('gone');
    expect([await cut, policy.used, clock.pending]).toEqual(['gone', 1, 0]);
    const calls = [1, 2, 3].map(() => run(() => at.push(clock.now())));
    const refused = reasonOf(run(() => 1));
    await clock.until(Promise.all(calls));
    expect([at, await refused]).toMatchObject([[0, 325, 400, 550], { retryAfter: 900 }]);
  });

  test('spread: nobody is held beyond a deadline, and each for so long at least', async () => {
    const { run, clock, pipeline: p } = arrange(fixedWindow({ limit: 100, window: '1s', spread: '50ms' }));
    await run(() => 1);
    await clock.advance(10);
    const held = run(() => clock.now());
    expect(await run(() => clock.now(), { deadline: 40 })).toBe(10);
    expect(p.tryAcquire().admitted).toBe(true);
    expect(await clock.until(held)).toBe(60);
  });

  test('windows longer than a timer can wait, and years, hold as well', async () => {
    const year = 365 * 86_400_000;
    const { run, clock, pipeline: p } = arrange(fixedWindow({ limit: 1, window: year, maxWait: Infinity }));
    await run(() => 1);
    await clock.advance(year - 1);
    expect(ask(p, 1)).toEqual([false]);
    const late = run(() => clock.now());
    expect(await clock.until(late)).toBe(year);
  });

  test('one window per key', () => {
    const p = pipeline([perKey(() => fixedWindow({ limit: 1, window: '1m' }))], { clock: new VirtualClock() });
    expect(['a', 'b', 'a', '__proto__', '__proto__'].map((key) => p.tryAcquire({ key }).admitted)).toEqual([
      true,
      true,
      false,
      true,
      false,
    ]);
  });
});

describe('the options of a fixed window (G9)', () => {
  test.each([
    [{}, 'limit window'],
    [{ limit: 1 }, 'window'],
    [{ limit: 0, window: 1 }, 'limit'],
    [{ limit: NaN, window: 1 }, 'limit'],
    [{ limit: Infinity, window: 1 }, 'limit'],
    [{ limit: '10', window: 1 }, 'limit'],
    [{ limit: 1, window: 0 }, 'window'],
    [{ limit: 1, window: Infinity }, 'window'],
    [{ limit: 1, window: '1 minute' }, 'window'],
    [{ limit: 1, window: 1, cost: 2 }, 'cost'],
    [{ limit: 1, window: 1, aligned: 'epoch' }, 'aligned'],
    [{ limit: 1, window: 1, aligned: -1 }, 'aligned'],
    [{ limit: 1, window: 1, spread: 'evenly' }, 'spread'],
    [{ limit: 1, window: 1, spread: Infinity }, 'spread'],
    [{ limit: 1, window: 1, refused: 'punish' }, 'refused'],
    [{ limit: 1, window: 1, maxBackoff: 0 }, 'maxBackoff'],
    [{ limit: 1, window: 1, blockFor: '-1s' }, 'blockFor'],
    [{ limit: 1, window: 1, windowMs: 1 }, 'windowMs'],
  ])('%j: %s', (options, wrong) => {
    expect(problemsOf(fixedWindow, options)).toEqual(wrong.split(' ').map((path) => `fixedWindow.${path}`));
  });
});
