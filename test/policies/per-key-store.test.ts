/** Policies of keys that stand in a user's own LRUCache. */

import fc from 'fast-check';
import { LRUCache } from 'lru-cache';
import { describe, expect, test, vi } from 'vitest';
import { type Bulkhead, type GatePolicy, OptionsError, type TokenBucket, bulkhead, pipeline, timeout, tokenBucket } from 'breakwater';
import { VirtualClock, arrange, gateContract, policyContract } from 'breakwater/testing';
import { type PerKeyOptions, type PerKeyStore, perKey } from '../../src/policies/per-key.ts';
import { problemsOf, reasonOf } from '../support/answers.ts';
import { sameKey } from './per-key-same.ts';

type Given<V extends object> = LRUCache.Options<string, V, unknown>;

const cacheOf = (options: Partial<Given<GatePolicy>> = { max: 1000 }): LRUCache<string, GatePolicy> =>
  new LRUCache<string, GatePolicy>(options as Given<GatePolicy>);

const slots = (): GatePolicy => bulkhead({ maxConcurrent: 300 });
policyContract(() => perKey(slots, { store: cacheOf() }), { describe, it: test, name: 'perKey in a given cache, for calls without a key' });
const inStore = (make: () => GatePolicy): GatePolicy => sameKey(make, { store: cacheOf() });
gateContract(() => inStore(() => tokenBucket({ rate: 1, per: '1h', burst: 300 })), {
  describe,
  it: test,
  name: 'a token bucket kept in a given cache',
  waits: () => inStore(() => tokenBucket({ rate: 1, per: '2m', burst: 1, maxWait: Infinity })),
  refuses: () => inStore(() => tokenBucket({ rate: 1, per: '1h', burst: 1, initial: 0 })),
});

/** So many per minute for each key, in a cache whose time is that of the pipeline. */
function limited(burst: number, cached: Partial<Given<TokenBucket>> = { max: 100 }, more: PerKeyOptions<TokenBucket> = {}) {
  const clock = new VirtualClock();
  // An entry made at 0 never grows old in an lru-cache.
  const perf = { now: () => clock.now() + 1 };
  const cache = new LRUCache<string, TokenBucket>({ perf, ttlResolution: 0, ...cached } as Given<TokenBucket>);
  const keys = perKey(() => tokenBucket({ rate: burst, per: '1m', burst }), { store: cache, ...more });
  const arranged = arrange(keys, { clock });
  const ask = (key: string): boolean => {
    const answer = arranged.pipeline.tryAcquire({ key });
    if (answer.admitted) answer.success();
    return answer.admitted;
  };
  return { ...arranged, cache, keys, ask };
}

describe('a cache of the user', () => {
  test('holds the policies themselves, under the keys as the user knows them', () => {
    const { ask, cache, keys } = limited(2);
    expect(['ada', 'ada', 'ada', 'bob'].map(ask)).toEqual([true, true, false, true]);
    expect([...cache.keys()]).toEqual(['bob', 'ada']);
    expect(keys.keys()).toEqual(['bob', 'ada']);
    expect(cache.get('ada')).toBe(keys.get('ada'));
    expect([cache.peek('ada')?.available, cache.peek('bob')?.available, cache.size, keys.size]).toEqual([0, 1, 2, 2]);
  });

  test('is looked into by the user without the user having a key of it', () => {
    const { ask, cache, keys } = limited(1);
    ask('ada');
    expect([cache.has('nobody'), keys.get('nobody'), cache.size]).toEqual([false, undefined, 1]);
  });

  test('decides like a cache of its own, whoever comes and whenever', async () => {
    const step = fc.record({ key: fc.nat(12), wait: fc.constantFrom(0, 0, 0, 1000, 20_000, 61_000) });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 120 }), fc.integer({ min: 1, max: 8 }), async (steps, max) => {
        const clock = new VirtualClock();
        const make = (): TokenBucket => tokenBucket({ rate: 2, per: '1m', burst: 2 });
        const given = arrange(perKey(make, { store: new LRUCache<string, TokenBucket>({ max }), idle: '5m' }), { clock });
        const own = arrange(perKey(make, { max, idle: '5m' }), { clock });
        for (const { key, wait } of steps) {
          await clock.advance(wait);
          const answers = [given, own].map((each) => each.pipeline.tryAcquire({ key: `k${key}` }).admitted);
          expect(answers[0]).toBe(answers[1]);
        }
        expect(given.policy.snapshot()).toEqual(own.policy.snapshot());
      }),
      { numRuns: 40 },
    );
  });

  test('is the same for all pipelines that hold the policy', () => {
    const store = new LRUCache<string, TokenBucket>({ max: 10 });
    const keys = perKey(() => tokenBucket({ rate: 2, per: '1m' }), { store });
    const clock = new VirtualClock();
    const [a, b] = [pipeline([keys], { clock }), pipeline([keys], { clock })];
    expect([a, b, a].map((p) => p.tryAcquire({ key: 'k' }).admitted)).toEqual([true, true, false]);
    expect(store.size).toBe(1);
  });

  test('is told of in the snapshot and the description, as plain data', () => {
    const { ask, pipeline: p } = limited(2, { max: 7 });
    ask('ada');
    expect(p.snapshot()['policies']).toEqual([{ kind: 'per-key', name: 'per-key', size: 1, max: 7, shared: 0 }]);
    const options = { max: 7, store: 'given', each: { kind: 'token-bucket' } };
    expect(JSON.parse(JSON.stringify(p.describe()))).toMatchObject({ layers: [{ options }] });
  });

  test('tells what a key has left to those who ask for quotas, and of a key that is not there what a new one would have', () => {
    const { ask, cache, pipeline: p } = limited(3);
    ask('ada');
    const left = (key: string): unknown => p.quotas({ key })[0]?.remaining;
    expect([left('ada'), left('bob')]).toEqual([2, 3]);
    cache.delete('ada');
    expect(left('ada')).toBe(3);
  });
});

describe('what the cache lets go by itself is gone', () => {
  test('its ttl: a used up limit is forgotten, whether at rest or not', async () => {
    const { ask, clock, cache, keys } = limited(1, { max: 10, ttl: 10_000 });
    expect([ask('ada'), ask('ada')]).toEqual([true, false]);
    await clock.advance('9s');
    expect(ask('ada')).toBe(false);
    await clock.advance('2s');
    expect(keys.get('ada')).toBeUndefined();
    expect([ask('ada'), ask('ada'), cache.size]).toEqual([true, false, 1]);
  });

  test('with updateAgeOnGet whoever keeps asking is not forgotten, and our own looking around keeps nobody young', async () => {
    const { ask, clock, cache } = limited(1, { max: 2, ttl: 10_000, updateAgeOnGet: true });
    ask('ada');
    ask('bob');
    for (let i = 0; i < 3; i++) {
      await clock.advance('6s');
      expect(ask('ada')).toBe(false);
      ask(`new-${i}`); // looks for room: bob is not at rest, and is put to the end of the line
    }
    expect([...cache.keys()]).not.toContain('bob');
  });

  test('calls under way keep the pass they have, and settle on the policy that gave it', async () => {
    const cache = new LRUCache<string, Bulkhead>({ max: 10 });
    const { run, policy } = arrange(perKey(() => bulkhead({ maxConcurrent: 1 }), { store: cache }));
    let end = (): void => undefined;
    const first = run(() => new Promise<string>((resolve) => (end = () => resolve('done'))), { key: 'ada' });
    const before = cache.get('ada');
    cache.delete('ada');
    expect(await run(() => 'as well', { key: 'ada' })).toBe('as well'); // this is what is forgotten
    const after = cache.get('ada');
    expect(after).not.toBe(before);
    expect([before?.active, after?.active]).toEqual([1, 0]);
    end();
    expect(await first).toBe('done');
    expect([before?.active, after?.active, policy.size]).toEqual([0, 0, 1]);
  });

  test('those who wait in the line of a policy that is gone have their turn', async () => {
    const cache = new LRUCache<string, Bulkhead>({ max: 10 });
    const { run } = arrange(perKey(() => bulkhead({ maxConcurrent: 1, maxQueue: 5 }), { store: cache }));
    let end = (): void => undefined;
    const first = run(() => new Promise<number>((resolve) => (end = () => resolve(1))), { key: 'ada' });
    const waiting = run(() => 2, { key: 'ada' });
    cache.clear();
    end();
    expect(await Promise.all([first, waiting])).toEqual([1, 2]);
  });

  test('also when a timeout inside gave the work up: its slot is held until it ends, at the policy it had (law 6)', async () => {
    const cache = new LRUCache<string, Bulkhead>({ max: 10 });
    const { run, clock } = arrange([perKey(() => bulkhead({ maxConcurrent: 1 }), { store: cache }), timeout({ after: 10 })]);
    let end = (): void => undefined;
    const first = reasonOf(run(() => new Promise<void>((resolve) => (end = resolve)), { key: 'ada' }));
    const before = cache.get('ada');
    cache.clear();
    await clock.advance(10);
    expect([await first, before?.active]).toMatchObject([{ code: 'ERR_TIMEOUT' }, 1]);
    end();
    await clock.advance(0);
    expect(before?.active).toBe(0);
  });

  test('maxSize: what there is no room for by its measure goes, and the latest stays', () => {
    const { ask, cache, keys } = limited(1, { maxSize: 30, sizeCalculation: (_, key) => key.length });
    for (let i = 0; i < 20; i++) ask(`key-${String(i).padStart(2, '0')}`);
    expect([cache.size, cache.calculatedSize, keys.keys()[0], keys.snapshot()['max']]).toEqual([5, 30, 'key-19', 10_000]);
  });

  test('a policy that is put back by the user counts on', () => {
    const { ask, cache } = limited(1);
    ask('ada');
    const ada = cache.get('ada') as TokenBucket;
    cache.delete('ada');
    cache.set('ada', ada);
    expect(ask('ada')).toBe(false);
  });
});

describe('perKey itself lets go only of what is at rest', () => {
  test('an offender is not forgotten in a flood of new keys, as in any LRUCache that is left alone (9.2)', async () => {
    const dispose = vi.fn();
    const { ask, cache, keys, clock } = limited(5, { max: 50, dispose });
    for (let i = 0; i < 5; i++) ask('offender');
    for (let i = 0; i < 2000; i++) {
      ask(`flood-${i}`);
      if (i % 500 === 0) await clock.advance(10);
    }
    expect([ask('offender'), cache.size, keys.snapshot()['shared']]).toEqual([false, 50, 50]);
    expect(dispose).not.toHaveBeenCalled();
    await clock.advance('2m');
    ask('later');
    expect(dispose.mock.calls.map(([, , reason]) => reason as string)).toEqual(['delete']);
  });

  test('those whose time is up make room, however many there are, and it takes no long search', async () => {
    const { ask, cache, clock, keys } = limited(1, { max: 5000, ttl: 10_000 }, { idle: Infinity });
    for (let i = 0; i < 5000; i++) ask(`old-${i}`);
    await clock.advance('11s');
    const peek = vi.spyOn(cache, 'peek');
    ask('new');
    expect(peek.mock.calls.length).toBeLessThan(150);
    expect([keys.snapshot()['shared'], cache.allowStale, cache.has('new')]).toEqual([0, false, true]);
  });

  test('idle ones go in passing, and the user hears of it from the cache and from the events', async () => {
    const dispose = vi.fn();
    const { ask, cache, clock, events } = limited(1, { max: 100, dispose }, { idle: '5m' });
    const ada = (ask('ada'), cache.get('ada'));
    await clock.advance('6m');
    ask('bob');
    expect([...cache.keys()]).toEqual(['bob']);
    expect(dispose).toHaveBeenCalledExactlyOnceWith(ada, 'ada', 'delete');
    expect(events.filter(({ type }) => type === 'per-key.dropped')).toMatchObject([{ key: 'ada', size: 1 }]);
  });

  test('its own max may be smaller than that of the cache', () => {
    const { ask, cache, keys } = limited(1, { max: 100 }, { max: 2 });
    ['a', 'b', 'c'].forEach(ask);
    expect([cache.size, keys.snapshot()]).toEqual([2, { size: 2, max: 2, shared: 1 }]);
  });
});

describe('where the cache does not take a policy', () => {
  test('its key shares one, and the limit holds: too large for it', () => {
    const { ask, cache, keys } = limited(1, { max: 10, maxSize: 10, sizeCalculation: () => 11 });
    expect([ask('ada'), ask('ada'), ask('ada')]).toEqual([true, false, false]);
    expect([cache.size, keys.snapshot()['shared']]).toEqual([0, 1]);
  });

  test('and also where its size cannot be told, which is reported', () => {
    const wrong = new Error('no size');
    const { ask, events } = limited(1, {
      maxSize: 10,
      sizeCalculation: () => {
        throw wrong;
      },
    });
    expect([ask('ada'), ask('ada')]).toEqual([true, false]);
    expect(events.filter(({ type }) => type === 'pipeline.callback-failed')).toMatchObject([{ callback: 'store', error: wrong }]);
  });

  test('a dispose that throws fails no call: its key shares until the cache can let go, and it is reported', async () => {
    const wrong = new Error('dispose');
    let broken = true;
    const dispose = (): void => {
      if (broken) throw wrong;
    };
    const { ask, cache, clock, events } = limited(1, { max: 2, dispose });
    expect(['ada', 'bob'].map(ask)).toEqual([true, true]);
    await clock.advance('2m');
    expect([ask('cy'), ask('cy')]).toEqual([true, false]); // ada should go, and cannot
    const failed = events.filter(({ type }) => type === 'pipeline.callback-failed');
    expect(failed.length).toBeGreaterThan(0);
    expect(failed).toMatchObject(failed.map(() => ({ callback: 'store', error: wrong })));
    broken = false;
    await clock.advance('2m');
    expect([ask('cy'), ask('cy'), cache.has('cy')]).toEqual([true, false, true]);
  });

  test('and one that throws when time is up leaves its key a limit all the same', async () => {
    const dispose = (): never => {
      throw new Error('dispose');
    };
    const { ask, clock, events } = limited(1, { max: 5, ttl: 10_000, dispose });
    ask('ada');
    await clock.advance('1m');
    expect([ask('ada'), ask('ada')]).toEqual([true, false]);
    expect(events.filter(({ type }) => type === 'pipeline.callback-failed').length).toBeGreaterThan(0);
  });
});

describe('keys are data in a given cache too', () => {
  const long = 'k'.repeat(65_536);
  const awkward = ['__proto__', 'constructor', 'toString', '', ' ', '\0', '-0', 'undefined', '🙂', '\ud800', '\udc00', long, `${long}k`];

  test('every string is a key of its own (9.1)', () => {
    const { ask, cache, keys } = limited(1);
    for (const key of awkward) expect([ask(key), ask(key)]).toEqual([true, false]);
    expect([cache.size, keys.size]).toEqual([awkward.length, awkward.length]);
    for (const key of awkward) expect(keys.get(key)?.available).toBe(0);
    for (const key of awkward.slice(0, -2)) expect(cache.get(key)).toBe(keys.get(key));
  });

  test('of a long key its hash stands there, as a text that keys() shows too', () => {
    const { ask, cache, keys } = limited(1);
    ask(long);
    const [text = ''] = cache.keys();
    expect(text).toMatch(/^sha256:[0-9a-f]{32}$/);
    expect(keys.keys()).toEqual([text]);
    expect(cache.get(text)).toBe(keys.get(long));
  });

  test('nobody gets at the limit of a long key by sending what stands there for it', async () => {
    const { ask, cache, keys, clock } = limited(1, { max: 100 }, { idle: '5m' });
    ask(long);
    const [text = ''] = cache.keys();
    const others = [text, `sha256:${text}`, `sha256:sha256:${text}`, text.slice(7), 'sha256:', `sha256:${'0'.repeat(32)}`, `${text}0`];
    for (const key of others) expect([ask(key), ask(key)]).toEqual([true, false]);
    expect(cache.size).toBe(1 + others.length);
    expect(keys.keys().toSorted()).toEqual([text, ...others].toSorted()); // as without a store, one that looks like a hash is shown as it is
    for (const key of [long, ...others]) expect(keys.get(key)?.available).toBe(0);
    await clock.advance('6m');
    for (let i = 0; i < 4; i++) ask('another'); // all these can be let go again
    expect([...cache.keys()]).toEqual(['another']);
  });
});

describe('a cache is the store of one perKey alone', () => {
  const bucket = (): TokenBucket => tokenBucket({ rate: 1, per: '1m' });
  const told = (options: object): unknown => {
    try {
      return perKey(bucket, options as PerKeyOptions<TokenBucket>).kind;
    } catch (error) {
      return error instanceof OptionsError ? error.message : error;
    }
  };

  test('a second one is refused: the limits of the one would be those of the other', () => {
    const store = new LRUCache<string, TokenBucket>({ max: 10 });
    expect(told({ store })).toBe('per-key');
    expect(told({ store })).toBe('perKey.store: expected a cache for this perKey alone, got the store of another perKey');
  });

  test('but not after one that could not be made', () => {
    const store = new LRUCache<string, TokenBucket>({ max: 10 });
    expect(problemsOf(() => perKey(() => tokenBucket({ rate: 0 }), { store }), {})).not.toBe('accepted');
    expect(told({ store })).toBe('per-key');
  });

  test('one that holds something already is refused', () => {
    const store = new LRUCache<string, object>({ max: 10 });
    store.set('settings', {});
    expect(told({ store })).toBe('perKey.store: expected an empty cache, which perKey alone puts something in, got one that holds 1');
    expect(store.size).toBe(1);
  });

  test('what somebody else puts there later is left alone, and a call with that key is told', async () => {
    const { ask, cache, run, keys, clock, pipeline: p } = limited(1, { max: 3 }, { idle: '5m' });
    const settings = { mine: true };
    (cache as unknown as LRUCache<string, object>).set('settings', settings);
    (cache as unknown as LRUCache<string, object>).set('stranger', bucket());
    const reason = await reasonOf(run(() => 1, { key: 'settings' }));
    expect(reason).toBeInstanceOf(OptionsError);
    expect(String(reason)).toContain('a cache that perKey alone puts something in, got a value of somebody else under the key "settings"');
    expect(await reasonOf(run(() => 1, { key: 'stranger' }))).toBeInstanceOf(OptionsError);
    expect([keys.get('settings'), p.quotas({ key: 'settings' })[0]?.remaining]).toEqual([undefined, 1]);
    for (const key of ['a', 'b', 'c']) expect(ask(key)).toBe(true);
    await clock.advance('10m');
    for (const key of ['d', 'e']) expect(ask(key)).toBe(true);
    expect([cache.size, cache.peek('settings')]).toEqual([3, settings]);
  });

  test('whatever it is, and whatever its key', () => {
    const { ask, cache, keys, pipeline: p } = limited(1, { max: 6 });
    const others = cache as unknown as LRUCache<string | number | bigint | symbol | object, number>;
    for (const key of [7, Symbol('mine'), {}, 1n]) others.set(key, 5);
    others.set('five', 5);
    expect(['a', 'a', 'b', 'b'].map(ask)).toEqual([true, false, true, false]);
    expect([keys.keys(), keys.get('five'), keys.size, keys.snapshot()['shared']]).toEqual([['a'], undefined, 6, 1]);
    expect(p.tryAcquire({ key: 'five' })).toMatchObject({ admitted: false, error: { code: 'ERR_OPTIONS' } });
  });

  test('however much of it there is, nobody looks through all of it', () => {
    const { ask, cache } = limited(1, { max: 2000 });
    for (let i = 0; i < 2000; i++) (cache as unknown as LRUCache<string, object>).set(`s${i}`, {});
    const peek = vi.spyOn(cache, 'peek');
    expect([ask('ada'), ask('ada')]).toEqual([true, false]);
    expect(peek.mock.calls.length).toBeLessThan(150);
    expect(cache.size).toBe(2000);
  });
});

describe('which caches can be a store', () => {
  const bucket = (): TokenBucket => tokenBucket({ rate: 1, per: '1m' });
  const check = (options: object): unknown => problemsOf((given: PerKeyOptions<TokenBucket>) => perKey(bucket, given), options);

  test('`max` is that of the cache, unless said, and not more', () => {
    expect(perKey(bucket, { store: new LRUCache<string, TokenBucket>({ max: 20 }) }).snapshot()['max']).toBe(20);
    expect(perKey(bucket, { store: new LRUCache<string, TokenBucket>({ max: 20 }), max: 5 }).snapshot()['max']).toBe(5);
    expect(check({ store: new LRUCache({ max: 20 }), max: 21 })).toEqual(['perKey.max']);
    expect(check({ store: new LRUCache({ max: 20 }), max: 0 })).toEqual(['perKey.max']);
  });

  test('one that callers could fill without end is refused, unless `max` bounds it', () => {
    const endless = (): LRUCache<string, TokenBucket> => new LRUCache({ ttl: 1000, ttlAutopurge: true });
    expect(() => perKey(bucket, { store: endless() })).toThrow(
      'perKey.store: expected a cache with max or maxSize, or max for perKey: otherwise callers could fill it without end, got neither',
    );
    const bounded = arrange(perKey(bucket, { store: endless(), max: 3 }));
    for (let i = 0; i < 10; i++) bounded.pipeline.tryAcquire({ key: `k${i}` });
    expect(bounded.policy.size).toBe(3);
  });

  test('one that measures must know how, since policies come without a size', () => {
    const measured = { maxSize: 100, sizeCalculation: () => 1 };
    expect(check({ store: new LRUCache(measured) })).toBe('accepted');
    expect(check({ store: new LRUCache({ maxSize: 100 }) })).toEqual(['perKey.store']);
    expect(check({ store: new LRUCache({ max: 10, maxEntrySize: 100 }) })).toEqual(['perKey.store']);
  });

  const methods = { get: () => 0, peek: () => 0, set: () => 0, delete: () => 0, keys: () => [], rkeys: () => [] };
  test.each([
    ['a Map', new Map()],
    ['an array', []],
    ['null', null],
    ['a text', 'lru'],
    ['its options', { max: 100 }],
    ['one of lru-cache 6 or older: no rkeys, and a length for a size', { ...methods, rkeys: undefined, length: 0, max: 10 }],
    ['one whose size is asked for', { ...methods, size: () => 0, max: 10 }],
  ])('%s is none', (_, store) => {
    expect(check({ store })).toEqual(['perKey.store']);
    expect(() => perKey(bucket, { store: store as never, max: 5 })).toThrow(
      'perKey.store: expected an LRUCache of lru-cache 7 or newer, or what has its get, peek, set, delete, keys, rkeys and size, got',
    );
  });

  test('wrong options are wrong with a store as without', () => {
    expect(check({ store: new LRUCache({ max: 10 }), idle: -1, stroe: 1 })).toEqual(['perKey.stroe', 'perKey.idle']);
    for (const options of [null, 5, 'x', []]) expect(check(options as never)).toEqual(['perKey']);
  });

  test('any other that has what it takes will do', () => {
    /** A Map is in the order of use if what is used is put to its end. */
    class Plain implements PerKeyStore<TokenBucket> {
      readonly map = new Map<string, TokenBucket>();
      get size(): number {
        return this.map.size;
      }
      get(key: string): TokenBucket | undefined {
        const found = this.map.get(key);
        if (found !== undefined && this.map.delete(key)) this.map.set(key, found);
        return found;
      }
      peek(key: string): TokenBucket | undefined {
        return this.map.get(key);
      }
      set(key: string, policy: TokenBucket): void {
        this.map.set(key, policy);
      }
      delete(key: string): boolean {
        return this.map.delete(key);
      }
      keys(): Iterable<string> {
        return [...this.map.keys()].reverse();
      }
      rkeys(): Iterable<string> {
        return this.map.keys();
      }
    }
    const store = new Plain();
    const { pipeline: p } = arrange(perKey(bucket, { store, max: 2 }));
    expect(['a', 'a', 'b', 'c', 'c'].map((key) => p.tryAcquire({ key }).admitted)).toEqual([true, false, true, true, false]);
    expect([...store.keys()]).toEqual(['b', 'a']);
  });
});
