import Bottleneck from 'bottleneck';
import { type GatePolicy, type Settled, perKey, pipeline } from 'breakwater';
import { bottleneckLimiter } from 'breakwater/bottleneck';
import { describe, expect, test } from 'vitest';
import { hop } from '../../src/testing/hop.ts';
import { pass, useTurns } from './bottleneck-turns.ts';

useTurns();

/** Begins a call with each of these keys that does not end, and answers with the keys whose work began. */
async function begun(policy: GatePolicy, keys: readonly (string | undefined)[]): Promise<unknown[]> {
  const api = pipeline([policy]);
  const seen: unknown[] = [];
  for (const key of keys)
    void api.execute(
      (call) => {
        seen.push(call.key);
        return new Promise(() => undefined);
      },
      { key },
    );
  await hop();
  return seen;
}

/** Names that a plain object has before anybody puts anything into it. */
const inherited = ['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'valueOf', '__defineGetter__'];

describe('a group', () => {
  test('has a limiter for each key, and calls without one share that of the empty key', async () => {
    const group = new Bottleneck.Group({ maxConcurrent: 1 });
    const limiter = bottleneckLimiter(group);
    expect(await begun(limiter, ['ada', 'ada', 'bob', undefined, undefined, ''])).toEqual(['ada', 'bob', undefined]);
    expect(limiter.limiter).toBe(group);
    expect(group.keys().toSorted()).toEqual(['', 'ada', 'bob']);
    expect(limiter.snapshot()).toMatchObject({ keys: 3, active: 3, queued: 3 });
    expect(group.key('ada').counts().QUEUED).toBe(1);
  });

  test('keys that every object has are keys like any other (bottleneck by itself breaks on them)', async () => {
    const bare = new Bottleneck.Group({ maxConcurrent: 1 });
    for (const key of inherited) expect(() => bare.key(key).schedule(() => Promise.resolve(1))).toThrow('is not a function');
    const group = new Bottleneck.Group({ maxConcurrent: 1 });
    expect(await begun(bottleneckLimiter(group), [...inherited, ...inherited])).toEqual(inherited);
    expect(group.keys()).toHaveLength(inherited.length);
    expect(group.key('__proto__').counts()).toMatchObject({ EXECUTING: 1, QUEUED: 1 });
    expect(Object.getPrototypeOf({})).toBe(Object.prototype);
  });

  test('a flood of keys makes no more limiters than maxKeys says, and some that are shared', async () => {
    const group = new Bottleneck.Group({ maxConcurrent: 1 });
    const limiter = bottleneckLimiter(group, { maxKeys: 10 });
    const first = await begun(limiter, ['mine']);
    const flood = await begun(
      limiter,
      Array.from({ length: 1000 }, (_, i) => `flood ${i}`),
    );
    expect(group.keys().length).toBeLessThanOrEqual(20);
    expect(group.keys().filter((key) => !key.startsWith('shared:'))).toHaveLength(10);
    expect(flood.length).toBeLessThanOrEqual(19);
    expect(first).toEqual(['mine']);
    expect(await begun(limiter, ['mine'])).toEqual([]);
  });

  test('of long keys only a hash is kept', async () => {
    const group = new Bottleneck.Group({ maxConcurrent: 1 });
    const [one, other] = ['a', 'b'].map((end) => 'x'.repeat(10_000) + end);
    expect(await begun(bottleneckLimiter(group), [one, one, other])).toEqual([one, other]);
    for (const key of group.keys()) expect(key).toMatch(/^sha256:[0-9a-f]{32}$/);
  });

  test('lets limiters go that were not used for its timeout', async () => {
    const group = new Bottleneck.Group({ maxConcurrent: 1, timeout: 1000 });
    const api = pipeline([bottleneckLimiter(group)]);
    await api.execute(() => 1, { key: 'ada' });
    await pass(3000);
    expect(group.keys()).toEqual([]);
    expect(await api.execute(() => 2, { key: 'ada' })).toBe(2);
  });

  test('told events of its limiters, stopped as a whole, and with listeners for failures', async () => {
    const group = new Bottleneck.Group({ maxConcurrent: 1 });
    group.on('created', (limiter) => {
      limiter.on('failed', (_error, { retryCount }) => (retryCount === 0 ? 5 : null));
    });
    const limiter = bottleneckLimiter(group);
    const api = pipeline([limiter]);
    const events: string[] = [];
    api.on('*', ({ type, key }) => void events.push(`${type} ${key ?? ''}`.trim()));
    const call = api.execute(({ attempt }) => (attempt === 1 ? Promise.reject(new Error('no')) : attempt), { key: 'ada' });
    await pass(5);
    expect(await call).toBe(2);
    await hop();
    expect(events).toEqual(
      expect.arrayContaining(['bottleneck.queued ada', 'bottleneck.admitted ada', 'bottleneck.retried ada', 'bottleneck.idled']),
    );
    await limiter.stop();
    for (const key of ['ada', 'new']) {
      const outcome: Settled<number> = await api.executeOutcome(() => 1, { key });
      expect(outcome).toMatchObject({ ok: false, error: { code: 'ERR_SHUTDOWN' } });
    }
    await limiter.disconnect();
  });

  test('options that are of no use to a group, or wrong, are refused', () => {
    const group = new Bottleneck.Group();
    expect(() => bottleneckLimiter(group, { maxKeys: 0 })).toThrow('bottleneckLimiter.maxKeys: expected a whole number of at least 1');
    expect(() => bottleneckLimiter({}, { maxKeys: 5 } as never)).toThrow('it is of a Group only');
    expect(() => bottleneckLimiter(new Bottleneck(), { maxKeys: 5 } as never)).toThrow('it is of a Group only');
    expect(bottleneckLimiter(group, { weight: 2 }).describe()).toMatchObject({ group: true, maxKeys: 10_000, weight: 2 });
  });
});

test('a group tells the limits that each of its keys has, also after they were changed', () => {
  const group = new Bottleneck.Group({ maxConcurrent: 2, minTime: 5, highWater: 7 });
  const limiter = bottleneckLimiter(group);
  expect(limiter.snapshot()).toMatchObject({ maxConcurrent: 2, maxQueue: 7, keys: 0 });
  expect(limiter.describe()).toMatchObject({ group: true, maxConcurrent: 2, minTime: 5, maxQueue: 7 });
  group.updateSettings({ maxConcurrent: 3, highWater: null });
  expect(limiter.snapshot()).toMatchObject({ maxConcurrent: 3, maxQueue: Infinity });
  expect(limiter.describe()).toMatchObject({ maxConcurrent: 3, maxQueue: Infinity });
  expect(bottleneckLimiter(new Bottleneck.Group()).describe()).toMatchObject({ maxConcurrent: Infinity, minTime: 0, maxQueue: Infinity });
});

describe('perKey(() => bottleneckLimiter(…))', () => {
  test('keeps a limiter for each key, any string among them', async () => {
    const policy = perKey(() => bottleneckLimiter({ maxConcurrent: 1 }));
    expect(await begun(policy, ['ada', 'ada', ...inherited, ...inherited])).toEqual(['ada', ...inherited]);
    expect(policy.get('ada')?.snapshot()).toMatchObject({ active: 1, queued: 1 });
  });

  test('lets go of a limiter only when nothing runs or waits in it and its reservoir is full again', async () => {
    const options = { reservoir: 1, reservoirRefreshInterval: 1000, reservoirRefreshAmount: 1 };
    const policy = perKey(() => bottleneckLimiter(options), { idle: 10 });
    const api = pipeline([policy]);
    await api.execute(() => 1, { key: 'ada' });
    await pass(500);
    await api.execute(() => 1, { key: 'bob' });
    expect(policy.keys().toSorted()).toEqual(['ada', 'bob']);
    await pass(700);
    await api.execute(() => 1, { key: 'eve' });
    await pass(1000);
    await api.execute(() => 1, { key: 'eve' });
    expect(policy.keys()).toEqual(['eve']);
  });
});
