import { describe, expect, test } from 'vitest';
import { type Gate, OptionsError, RateLimitedError, definePolicy, pipeline, refuse } from 'breakwater';
import { type Arranged, VirtualClock, arrange, gateContract, policyContract } from 'breakwater/testing';
import { type HotKey, type HotKeyOptions, hotKey } from '../../src/policies/hot-key.ts';

const options = { limit: 10, window: '2s', threshold: 3, top: 20, values: { vip: { limit: 50 }, internal: false } } as const;
const contract = {
  describe,
  it: test,
  refuses: () => hotKey({ limit: 1, key: () => 'shut', values: { shut: { limit: 0 } } }),
  factory: { create: hotKey, options },
};
policyContract(() => hotKey({ limit: 1000, key: () => 'the same' }), contract);
gateContract(() => hotKey({ limit: 1000, key: () => ['one', 'two'] }), { ...contract, name: 'hot-key with two keys' });

type Outside = Arranged<readonly [HotKey]>;

/** Calls of these keys, one after the other; answers with the keys of those that were refused. */
async function ask({ run }: Pick<Outside, 'run'>, keys: readonly string[]): Promise<string[]> {
  const refused: string[] = [];
  for (const key of keys)
    await run(() => 'served', { key }).catch((error: unknown) => {
      if (error instanceof RateLimitedError) refused.push(key);
    });
  return refused;
}
const times = (n: number, key: string): string[] => new Array<string>(n).fill(key);
const problems = (wanted: object): unknown => {
  try {
    hotKey(wanted as HotKeyOptions);
    return 'accepted';
  } catch (error) {
    return error instanceof OptionsError ? error.problems.map(({ path }) => path) : error;
  }
};

describe('a hot key', () => {
  test('is limited as soon as it is known, and no call before that is forgotten', async () => {
    const it = arrange(hotKey({ limit: 10, window: '1s' }));
    expect(await ask(it, times(10, 'a'))).toEqual([]);
    expect(await ask(it, times(5, 'a'))).toEqual(times(5, 'a'));
    expect(it.policy.hottest()).toEqual([{ key: 'a', calls: 15, hot: true }]);
    expect(it.policy.snapshot()).toEqual({ watched: 1, hot: 1, crowded: 0 });
  });

  test('is told when it may come again, exactly (L4)', async () => {
    const it = arrange(hotKey({ limit: 10, window: '1s' }));
    await ask(it, times(10, 'a'));
    const error = await it.run(() => 'served', { key: 'a' }).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(RateLimitedError);
    expect(error).toMatchObject({ code: 'ERR_RATE_LIMITED', pipeline: 'test', policy: 'hot-key', key: 'a', retryAfter: 100 });
    expect((error as Error).message).toBe('test: hot-key allows a key 10 calls per 1000 ms, and "a" has used them');
    await it.clock.advance(99);
    expect(await ask(it, ['a'])).toEqual(['a']);
    await it.clock.advance(1);
    expect(await ask(it, ['a', 'a'])).toEqual(['a']);
  });

  test('is told of when it is found and when it has cooled', async () => {
    const it = arrange(hotKey({ limit: 10, window: '1s' }));
    await ask(it, times(20, 'a'));
    for (let second = 0; second < 5; second++) {
      await it.clock.advance('1s');
      await ask(it, ['b', 'b']);
    }
    expect(it.events.filter(({ type }) => type.startsWith('hot-key.'))).toMatchObject([
      { type: 'hot-key.detected', level: 'warn', key: 'a', hot: 'a', calls: 5, at: 0, policy: 'hot-key' },
      { type: 'hot-key.cooled', level: 'info', hot: 'a', at: 2000 },
    ]);
    expect(it.policy.hottest()).toEqual([{ key: 'b', calls: 2, hot: false }]);
  });

  test('stays hot while it is asked for, also if nearly all of that is refused', async () => {
    const it = arrange(hotKey({ limit: 10, window: '1s' }));
    let served = 0;
    for (let ms = 0; ms < 20_000; ms += 10) {
      served += 1 - (await ask(it, ['a'])).length;
      await it.clock.advance(10);
    }
    expect(served).toBeLessThanOrEqual(10 + 20 * 10);
    expect(served).toBeGreaterThanOrEqual(20 * 10);
    expect(it.policy.hottest()).toEqual([{ key: 'a', calls: 100, hot: true }]);
    expect(it.events.filter(({ type }) => type.startsWith('hot-key.'))).toHaveLength(1);
  });

  test('of yesterday is cold today', async () => {
    const it = arrange(hotKey({ limit: 10, window: '1s', top: 1 }));
    await ask(it, times(500, 'yesterday'));
    await it.clock.advance('24h');
    expect(it.policy.hottest()).toEqual([]);
    expect(await ask(it, times(20, 'today'))).toHaveLength(10);
    expect(it.policy.hottest()).toEqual([{ key: 'today', calls: 20, hot: true }]);
  });

  test('does not hold up others: cold keys pass, and nothing is kept for them', async () => {
    const it = arrange(hotKey({ limit: 10, window: '1s', top: 5 }));
    const keys = Array.from({ length: 2000 }, (_, i) => (i % 4 === 0 ? 'a' : `cold ${i}`));
    const refused = await ask(it, keys);
    expect(new Set(refused)).toEqual(new Set(['a']));
    expect(refused).toHaveLength(490);
    expect(it.policy.snapshot()).toMatchObject({ watched: 1, hot: 1 });
  });

  test('is one of at most `top`; what is hot besides passes and is counted', async () => {
    const it = arrange(hotKey({ limit: 10, window: '1s', top: 2 }));
    expect(await ask(it, [...times(20, 'a'), ...times(20, 'b'), ...times(20, 'c')])).toEqual([...times(10, 'a'), ...times(10, 'b')]);
    expect(it.policy.snapshot()).toEqual({ watched: 2, hot: 2, crowded: 16 });
  });

  test('gives way to a hotter one once it owes nothing, and not before', async () => {
    const it = arrange(hotKey({ limit: 10, window: '1s', top: 1 }));
    await ask(it, times(10, 'a'));
    expect(await ask(it, times(40, 'b'))).toEqual([]);
    expect(await ask(it, ['a'])).toEqual(['a']);
    await it.clock.advance('1s');
    // It was asked for eleven times in the last window, so the twelfth call makes the other one hotter.
    expect(await ask(it, times(40, 'b'))).toHaveLength(28);
    expect(it.policy.hottest()[0]?.key).toBe('b');
  });

  test('in shadow is only told of', async () => {
    const it = arrange(hotKey({ limit: 10, mode: 'shadow' }));
    expect(await ask(it, times(20, 'a'))).toEqual([]);
    expect(it.events.filter(({ type }) => type === 'gate.would-refuse')).toHaveLength(10);
  });
});

describe('keys', () => {
  test('are those of the calls; a call without one passes', async () => {
    const it = arrange(hotKey({ limit: 1 }));
    for (let i = 0; i < 50; i++) expect(await it.run(() => i)).toBe(i);
    expect(it.policy.hottest()).toEqual([]);
  });

  test('or what a function says; if that throws or answers with nonsense, it is reported and the call passes', async () => {
    const it = arrange(
      hotKey({
        limit: 2,
        key: ({ tags }) => {
          if (tags['bad'] === 'throws') throw new Error('no');
          return tags['bad'] === undefined ? (tags['product'] as string | undefined) : (7 as never);
        },
      }),
    );
    const run = (tags: object): Promise<unknown> =>
      it.run(() => 'served', { tags: tags as Record<string, unknown> }).catch((error: unknown) => (error as RateLimitedError).code);
    for (let i = 0; i < 2; i++) expect(await run({ product: 'x' })).toBe('served');
    expect([await run({ product: 'x' }), await run({})]).toEqual(['ERR_RATE_LIMITED', 'served']);
    expect([await run({ bad: 'throws' }), await run({ bad: 1 })]).toEqual(['served', 'served']);
    expect(it.events.filter(({ type }) => type === 'pipeline.callback-failed')).toMatchObject([{ callback: 'key' }, { callback: 'key' }]);
  });

  test('of a list must each allow the call, and are charged all or none', async () => {
    const it = arrange(hotKey({ limit: 10, key: ({ tags }) => tags['keys'] as string[] }));
    const run = (...keys: string[]): Promise<unknown> =>
      it.run(() => 'served', { tags: { keys } }).catch((error: unknown) => (error as RateLimitedError).key);
    for (let i = 0; i < 10; i++) await run('a');
    for (let i = 0; i < 5; i++) await run('b');
    for (let i = 0; i < 50; i++) expect(await run('b', 'a', 'c')).toBe('a');
    for (let i = 0; i < 5; i++) expect(await run('b', 'c')).toBe('served');
    expect(await run('c', 'b')).toBe('b');
    expect(await run()).toBe('served');
  });

  test('named twice in one call count once', async () => {
    const it = arrange(hotKey({ limit: 4, key: () => ['a', 'a'] }));
    const outcomes = [];
    for (let i = 0; i < 6; i++) outcomes.push((await it.pipeline.executeOutcome(() => 1)).ok);
    expect(outcomes).toEqual([true, true, true, true, false, false]);
  });

  test.each(['__proto__', 'constructor', '', '\ud800', 'a\u0000b'])('%j is one like any other', async (key) => {
    const it = arrange(hotKey({ limit: 3 }));
    expect(await ask(it, times(5, key))).toEqual([key, key]);
    expect(it.policy.hottest()).toEqual([{ key, calls: 5, hot: true }]);
  });

  test('of a megabyte are told apart, and not kept', async () => {
    const it = arrange(hotKey({ limit: 3 }));
    const [one, other] = ['x'.repeat(1e6) + '1', 'x'.repeat(1e6) + '2'];
    expect(await ask(it, [...times(5, one), other])).toHaveLength(2);
    const [hottest] = it.policy.hottest();
    expect(hottest?.key).toMatch(/^sha256:[0-9a-f]{32}$/);
    const error = await it.run(() => 1, { key: one }).catch((thrown: unknown) => thrown);
    expect((error as RateLimitedError).key).toBe(hottest?.key);
  });

  test('have limits of their own where told, hot or not, or none at all', async () => {
    const values = JSON.parse(
      '{"vip": {"limit": 30}, "__proto__": {"limit": 2}, "internal": false, "banned": {"limit": 0}}',
    ) as NonNullable<HotKeyOptions['values']>;
    const it = arrange(hotKey({ limit: 10, window: '1s', values }));
    expect(await ask(it, times(35, 'vip'))).toHaveLength(5);
    expect(await ask(it, times(5, '__proto__'))).toHaveLength(3);
    expect(await ask(it, times(100, 'internal'))).toHaveLength(0);
    expect(await ask(it, ['banned'])).toHaveLength(1);
    const banned = await it.run(() => 1, { key: 'banned' }).catch((thrown: unknown) => thrown);
    expect((banned as RateLimitedError).retryAfter).toBe(Infinity);
    expect(it.policy.hottest().map(({ key, calls }) => [key, calls])).toEqual([
      ['vip', 35],
      ['__proto__', 5],
      ['banned', 2],
    ]);
    expect(JSON.parse(JSON.stringify(it.policy.describe()))).toEqual(it.policy.describe());
    await it.clock.advance('500ms');
    expect(await ask(it, times(20, 'vip'))).toHaveLength(5);
  });
});

describe('what comes to nothing', () => {
  /** Turns away what is tagged so. */
  const doorkeeper = definePolicy({
    kind: 'doorkeeper',
    gate: { enter: ({ tags }) => (tags['away'] === true ? refuse(new Error('away')) : 'pass'), settle() {}, cancel() {} },
  });

  test('further in is given back, before a key is hot and after', async () => {
    const { pipeline: both, policy } = arrange([hotKey({ limit: 10, window: '1s' }), doorkeeper]);
    const run = async (n: number, away: boolean): Promise<number> => {
      let refused = 0;
      for (let i = 0; i < n; i++) {
        const outcome = await both.executeOutcome(() => 1, { key: 'a', tags: { away } });
        refused += Number(!outcome.ok && outcome.error instanceof RateLimitedError);
      }
      return refused;
    };
    expect(await run(100, true)).toBe(0);
    expect(await run(5, false)).toBe(0);
    expect(policy.hottest()).toEqual([{ key: 'a', calls: 5, hot: true }]);
    expect(await run(100, true)).toBe(0);
    expect(await run(8, false)).toBe(3);
  });

  test('after its key has become hot, or its window is over, is given back all the same', async () => {
    const policy = hotKey({ limit: 10, window: '1s' });
    const clock = new VirtualClock();
    let gate: Gate | undefined;
    const spy = definePolicy({
      kind: 'spy',
      mount: (next, scope) => {
        gate = policy.gate(scope);
        return next;
      },
    });
    pipeline([spy], { clock });
    const call = { key: 'a' } as never;
    const early = [gate?.enter(call, 0), gate?.enter(call, 0)];
    for (let i = 0; i < 8; i++) gate?.enter(call, 0);
    for (const pass of early) gate?.cancel(pass, 0);
    expect(policy.hottest()).toEqual([{ key: 'a', calls: 8, hot: true }]);
    expect(gate?.enter(call, 0)).toHaveLength(1);
    expect(gate?.enter(call, 0)).toHaveLength(1);
    expect(gate?.enter(call, 0)).toMatchObject({ kind: 'refused' });
  });
});

describe('options', () => {
  test.each([
    [{}, ['hotKey.limit']],
    [{ limit: 0 }, ['hotKey.limit']],
    [{ limit: 5, threshold: 6 }, ['hotKey.threshold']],
    [{ limit: 5, top: 0, window: 0 }, ['hotKey.window', 'hotKey.top']],
    [
      { limit: 5, values: { a: true, b: { limit: -1 }, c: { limt: 1 } } },
      ['hotKey.values["a"]', 'hotKey.values["b"].limit', 'hotKey.values["c"].limt', 'hotKey.values["c"].limit'],
    ],
    [{ limit: 5, values: [] }, ['hotKey.values']],
    [{ limit: 5, key: 'id' }, ['hotKey.key']],
  ])('%j is refused', (wanted, paths) => expect(problems(wanted)).toEqual(paths));

  test('are described as they were read', () => {
    expect(hotKey(options).describe()).toEqual({
      limit: 10,
      window: 2000,
      threshold: 3,
      top: 20,
      key: 'call.key',
      values: { vip: { limit: 50 }, internal: false },
    });
    expect(hotKey({ limit: 5, key: () => 'a' }).describe()).toMatchObject({ threshold: 3, key: 'computed', window: 1000, top: 100 });
  });
});
