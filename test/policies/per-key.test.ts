import { AsyncLocalStorage } from 'node:async_hooks';
import { afterEach, describe, expect, test, vi } from 'vitest';
import {
  type CallOptions,
  type GatePolicy,
  OptionsError,
  RateLimitedError,
  RejectedError,
  definePolicy,
  fallback,
  pipeline,
  refuse,
  timeout,
} from 'breakwater';
import { VirtualClock, arrange, gateContract, policyContract } from 'breakwater/testing';
import { bulkhead } from '../../src/policies/bulkhead.ts';
import { leakyBucket } from '../../src/policies/leaky-bucket.ts';
import { type PerKeyOptions, perKey } from '../../src/policies/per-key.ts';
import { tokenBucket } from '../../src/policies/token-bucket.ts';
import { reasonOf } from '../support/answers.ts';
import { sameKey } from './per-key-same.ts';

const slots = (): GatePolicy => bulkhead({ maxConcurrent: 300 });
policyContract(() => perKey(slots), { describe, it: test, name: 'perKey for calls without a key' });
gateContract(() => perKey(slots), { describe, it: test, name: 'perKey for calls without a key' });

gateContract(() => sameKey(() => tokenBucket({ rate: 1, per: '1h', burst: 300 })), {
  describe,
  it: test,
  name: 'a token bucket kept per key',
  waits: () => sameKey(() => tokenBucket({ rate: 1, per: '2m', burst: 1, maxWait: Infinity })),
  refuses: () => sameKey(() => tokenBucket({ rate: 1, per: '1h', burst: 1, initial: 0 })),
});

/** A limit of so many per minute for each key, and what asking for one is answered. */
function limited(burst: number, options?: PerKeyOptions): ReturnType<typeof limitedBy<ReturnType<typeof tokenBucket>>> {
  return limitedBy(() => tokenBucket({ rate: burst, per: '1m', burst }), options);
}
function limitedBy<P extends GatePolicy>(factory: (key: string) => P, options?: PerKeyOptions) {
  const arranged = arrange(perKey(factory, options));
  const { pipeline: p } = arranged;
  const ask = (key?: string): boolean => {
    const answer = p.tryAcquire(key === undefined ? {} : { key });
    if (answer.admitted) answer.success();
    return answer.admitted;
  };
  return { ...arranged, keys: arranged.policy, ask };
}

describe('a policy per key', () => {
  test('keeps one for each key, and keys never affect each other (L5)', () => {
    const { ask, keys } = limited(2);
    expect(['a', 'a', 'b', 'a', 'b', 'b', 'c'].map(ask)).toEqual([true, true, true, false, true, false, true]);
    expect([keys.size, keys.keys()]).toEqual([3, ['c', 'b', 'a']]);
    expect(keys.get('a')?.available).toBe(0);
    expect(keys.get('nobody')).toBeUndefined();
    expect(keys.size).toBe(3);
  });

  test('lets a call without a key pass, or refuses it if told to', async () => {
    const { ask, keys } = limited(1);
    expect([ask(), ask(), ask(), keys.size]).toEqual([true, true, true, 0]);
    const strict = limited(1, { missing: 'refuse', name: 'tenants' });
    const reason = await reasonOf(strict.run(() => 1));
    expect(reason).toBeInstanceOf(RejectedError);
    expect(reason).toMatchObject({ message: "test: tenants refuses calls without a key (missing: 'refuse')", policy: 'tenants' });
    expect(await strict.run(() => 1, { key: '' })).toBe(1);
  });

  test('says in the error whose limit it was', async () => {
    const { run } = limited(1);
    await run(() => 1, { key: 'ada' });
    expect(await reasonOf(run(() => 1, { key: 'ada' }))).toMatchObject({
      code: 'ERR_RATE_LIMITED',
      key: 'ada',
      policy: 'per-key (token-bucket)',
      retryAfter: 60_000,
    });
  });

  test('refuses a factory that hands out one policy for all keys: their limits would be one', () => {
    const one = tokenBucket({ rate: 1 });
    const { run } = limitedBy(() => one);
    return expect(run(() => 1, { key: 'ada' })).rejects.toThrow(
      'perKey: expected a function that makes a new policy each time, got the same one again',
    );
  });

  test('tells the factory the key, so that limits can differ', () => {
    const { ask } = limitedBy((key) => tokenBucket({ rate: key.startsWith('gold') ? 3 : 1, per: '1m' }));
    expect(['gold-1', 'gold-1', 'gold-1', 'gold-1', 'tin', 'tin'].map(ask)).toEqual([true, true, true, false, true, false]);
  });

  test('any policy will do: what waits, waits in its own key and in its own context (G7)', async () => {
    const { run, clock } = limitedBy(() => leakyBucket({ rate: 10 }));
    const context = new AsyncLocalStorage<string>();
    const calls = ['a', 'b', 'a', 'b', 'a'].map((key) => context.run(key, () => run(() => [context.getStore(), clock.now()], { key })));
    expect(await clock.until(Promise.all(calls))).toEqual([
      ['a', 0],
      ['b', 0],
      ['a', 100],
      ['b', 100],
      ['a', 200],
    ]);
    expect(clock.pending).toBe(0);
  });

  test('an abort ends a wait in the same tick, and nothing of the call is left', async () => {
    const { run, clock, keys } = limitedBy(() => tokenBucket({ rate: 1, burst: 1, maxWait: Infinity }), { max: 1 });
    await run(() => 1, { key: 'a' });
    const caller = new AbortController();
    const done = reasonOf(run(() => 1, { key: 'a', signal: caller.signal }));
    expect(keys.get('a')?.waiting).toBe(1);
    caller.abort('gone');
    expect(keys.get('a')?.waiting).toBe(0);
    expect(await done).toBe('gone');
    await clock.advance('1s');
    await run(() => 1, { key: 'b' });
    expect(keys.keys()).toEqual(['b']);
  });

  test('a pass is given back to the key that gave it when something further in refuses (L6)', () => {
    const shut = definePolicy({ kind: 'shut', gate: { enter: () => refuse(new Error('shut')), settle() {}, cancel() {} } });
    const keys = perKey(() => tokenBucket({ rate: 1, burst: 2 }));
    const { pipeline: p } = arrange([keys, shut]);
    for (let i = 0; i < 50; i++) p.tryAcquire({ key: 'a' });
    expect(keys.get('a')?.available).toBe(2);
  });

  test('several pipelines share the policies of all keys', () => {
    const clock = new VirtualClock();
    const keys = perKey(() => tokenBucket({ rate: 2, per: '1m' }));
    const [a, b] = [pipeline([keys], { clock, name: 'a' }), pipeline([keys], { clock, name: 'b' })];
    expect([a, b, a].map((p) => p.tryAcquire({ key: 'k' }).admitted)).toEqual([true, true, false]);
    expect(b.tryAcquire({ key: 'other' }).admitted).toBe(true);
    expect(a.tryAcquire({ key: 'k' })).toMatchObject({ error: { pipeline: 'a' } });
    expect(b.tryAcquire({ key: 'k' })).toMatchObject({ error: { pipeline: 'b' } });
  });

  test('shows its state and its options as plain data, and not every key', () => {
    const { ask, pipeline: p } = limited(2, { max: 5, idle: '1m' });
    ['a', 'b'].forEach(ask);
    expect(p.snapshot()['policies']).toEqual([{ kind: 'per-key', name: 'per-key', size: 2, max: 5, shared: 0 }]);
    const options = { max: 5, idle: 60_000, missing: 'pass', each: { kind: 'token-bucket', rate: 2, burst: 2 } };
    expect(p.describe()).toMatchObject({ layers: [{ options }] });
    const byKey = limitedBy((key) => tokenBucket({ rate: key.length }));
    expect(byKey.pipeline.describe()).toMatchObject({ layers: [{ options: { each: 'by key' } }] });
  });
});

describe('what a policy asks of the kernel it gets per key too', () => {
  const never = (): Promise<never> => new Promise(() => undefined);

  test('a slot is held until abandoned work really ends (law 6)', async () => {
    const keys = perKey(() => bulkhead({ maxConcurrent: 1 }));
    const { run, clock } = arrange([timeout({ after: 10 }), keys]);
    let end = (): void => undefined;
    const first = reasonOf(run(() => new Promise<void>((resolve) => (end = resolve)), { key: 'a' }));
    await clock.advance(10);
    expect(await first).toMatchObject({ code: 'ERR_TIMEOUT' });
    expect(keys.get('a')?.active).toBe(1);
    expect(await reasonOf(run(() => 1, { key: 'a' }))).toMatchObject({ code: 'ERR_BULKHEAD_FULL' });
    expect(await run(() => 'free', { key: 'b' })).toBe('free');
    end();
    await clock.advance(0);
    expect(keys.get('a')?.active).toBe(0);
    expect(await run(() => 'free', { key: 'a' })).toBe('free');
  });

  test('and with a timeout inside it as well, also for a policy that is kept with others for want of room', async () => {
    const keys = perKey(() => bulkhead({ maxConcurrent: 1 }), { max: 1 });
    const { run, clock } = arrange([keys, timeout({ after: 10 })]);
    void reasonOf(run(never, { key: 'a' }));
    void reasonOf(run(never, { key: 'b' }));
    await clock.advance(10);
    expect(keys.snapshot()).toMatchObject({ size: 1, shared: 1 });
    for (const key of ['a', 'b', 'c']) expect(await reasonOf(run(() => 1, { key }))).toMatchObject({ code: 'ERR_BULKHEAD_FULL' });
  });

  test('a slot that is not held for the work is free when the caller has its answer', async () => {
    const keys = perKey(() => bulkhead({ maxConcurrent: 1, releaseOn: 'timeout' }));
    const { run, clock } = arrange([keys, timeout({ after: 10 })]);
    void reasonOf(run(never, { key: 'a' }));
    await clock.advance(10);
    expect(await run(() => 'free', { key: 'a' })).toBe('free');
  });

  test('a timeout per key narrows what lies inside it', async () => {
    const { run, clock } = limitedBy((key) => timeout({ after: Number(key) }));
    const calls = ['30', '10', '20'].map((key) =>
      reasonOf(
        run(({ signal }) => new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error))), { key }),
      ),
    );
    expect(await clock.until(Promise.all(calls))).toMatchObject([{ after: 30 }, { after: 10 }, { after: 20 }]);
    expect(clock.pending).toBe(0);
    expect(await run(() => 'in time', { key: '10' })).toBe('in time');
  });

  test('a bulkhead per key knows calls from inside its own work', async () => {
    const { run } = limitedBy(() => bulkhead({ maxConcurrent: 1, maxQueue: 10 }));
    const inner = await run(() => reasonOf(run(() => 1, { key: 'a' })), { key: 'a' });
    expect(inner).toMatchObject({ code: 'ERR_BULKHEAD_FULL' });
    expect(await run(() => run(() => 'another key', { key: 'b' }), { key: 'a' })).toBe('another key');
  });
});

describe('keys are data', () => {
  const long = 'k'.repeat(65_536);
  const awkward = [
    ...[
      '__proto__',
      'constructor',
      'prototype',
      'toString',
      'hasOwnProperty',
      'valueOf',
      '__defineGetter__',
      '',
      ' ',
      '\0',
      '0',
      '-0',
      'NaN',
    ],
    ...['undefined', 'null', '\u00e1', 'a\u0301', '🙂', '\ud800', '\udc00', '\ufffd', 'a:b', '{a}', '*', '../..', long, `${long}k`],
    ...[`${long}\ud800`, `${long}\udc00`, `${long}\ufffd`, 'x'.repeat(256), 'x'.repeat(257)],
  ];

  test('every string is a key of its own (9.1)', () => {
    const { ask, keys } = limited(1);
    for (const key of awkward) expect([ask(key), ask(key)]).toEqual([true, false]);
    expect(keys.size).toBe(awkward.length);
    for (const key of awkward) expect(keys.get(key)?.available).toBe(0);
    expect(({} as { available?: unknown }).available).toBeUndefined();
  });

  test('of a long key a hash is kept, which is no key that anybody could send', () => {
    const { ask, keys } = limited(1);
    ask(long);
    const [shown = ''] = keys.keys();
    expect(shown).toMatch(/^sha256:[0-9a-f]{32}$/);
    for (const key of [shown, shown.slice(7), BigInt(`0x${shown.slice(7)}`).toString()]) expect(ask(key)).toBe(true);
    expect(keys.get(long)?.available).toBe(0);
  });

  test('the text of a key is kept as it was', () => {
    const { ask, keys } = limited(1);
    const header = `${'x'.repeat(10_000)} tenant-\ud83d`;
    ask(header.slice(10_001));
    expect(keys.keys()).toEqual(['tenant-\ud83d']);
  });
});

describe('memory is bounded', () => {
  test('no more than `max` keys have a policy of their own, and those at rest go first, the longest unused before others (9.2)', async () => {
    const { ask, keys, clock } = limited(2, { max: 3 });
    ['a', 'b', 'c'].forEach(ask);
    await clock.advance('1m');
    ask('a');
    ask('d');
    expect(keys.keys()).toEqual(['d', 'a', 'c']);
  });

  test('an offender is not forgotten in a flood of new keys (9.2, L5)', async () => {
    const { ask, keys, clock, events } = limited(5, { max: 100 });
    for (let i = 0; i < 5; i++) expect(ask('victim of nobody')).toBe(true);
    let most = 0;
    for (let i = 0; i < 20_000; i++) {
      ask(`attacker-${i}`);
      most = Math.max(most, keys.size);
      if (i % 1000 === 0) await clock.advance(10);
    }
    expect(most).toBe(100);
    expect(ask('victim of nobody')).toBe(false);
    expect(keys.snapshot()).toEqual({ size: 100, max: 100, shared: 100 });
    expect(events.filter(({ type }) => type === 'per-key.shared')).toHaveLength(100);
    expect(events.find(({ type }) => type === 'per-key.shared')).toMatchObject({ level: 'warn', policy: 'per-key', size: 100 });
  });

  test('keys that share a policy may be refused for what others did, and never get more than it allows', () => {
    const { ask } = limited(2, { max: 1 });
    ask('first');
    expect(['a', 'b', 'c', 'd', 'a'].map(ask)).toEqual([true, true, false, false, false]);
    expect([ask('first'), ask('first')]).toEqual([true, false]);
  });

  test('a key that shared a policy gets one of its own only once nothing is forgotten by it', async () => {
    const { ask, keys, clock } = limited(2, { max: 1 });
    ['first', 'a', 'a', 'a'].forEach(ask);
    await clock.advance('30s'); // `first` is at rest and there is room, but `a` has just had its two
    expect([ask('a'), ask('a')]).toEqual([true, false]);
    expect(keys.keys()).toEqual(['first']);
    await clock.advance('1m');
    expect([ask('a'), ask('a'), ask('a')]).toEqual([true, true, false]);
    expect([keys.keys(), keys.snapshot()]).toEqual([['a'], { size: 1, max: 1, shared: 0 }]);
  });

  test('newcomers are served while an attacker floods, if the limit refills faster than the keys run out', async () => {
    const { ask, clock } = limitedBy(() => tokenBucket({ rate: 50, burst: 5 }), { max: 1000 });
    let honest = 0;
    for (let i = 0; i < 30_000; i++) {
      ask(`attacker-${i}`);
      if (i % 10 === 0) await clock.advance(1);
      if (i % 100 === 0 && ask(`newcomer-${i}`)) honest++;
    }
    expect(honest).toBe(300);
  });

  test('a key with a call under way or waiting keeps its policy', async () => {
    const { run, keys, clock } = limitedBy(() => bulkhead({ maxConcurrent: 1, maxQueue: 1 }), { max: 1, idle: 0 });
    let end = (): void => undefined;
    const first = run(() => new Promise<void>((resolve) => (end = resolve)), { key: 'a' });
    await run(() => 1, { key: 'b' });
    expect(keys.keys()).toEqual(['a']);
    end();
    await clock.until(first);
    await run(() => 1, { key: 'b' });
    await run(() => 1, { key: 'c' });
    expect(keys.keys()).toEqual(['c']);
  });

  test('idle keys are let go in passing, a few at a time, however much room there is', async () => {
    const { ask, keys, clock } = limited(1, { idle: '10m' });
    for (let i = 0; i < 20; i++) ask(`k${i}`);
    await clock.advance('9m');
    ask('k0');
    await clock.advance('5m');
    ask('new-1');
    expect(keys.size).toBe(17);
    for (let i = 2; i < 8; i++) ask(`new-${i}`);
    expect(keys.keys().toSorted()).toEqual(['k0', 'new-1', 'new-2', 'new-3', 'new-4', 'new-5', 'new-6', 'new-7']);
  });

  test('a policy that cannot say whether it is at rest counts as such when unused for the time of `idle`', async () => {
    const open = (): GatePolicy => definePolicy({ kind: 'open', gate: { enter: () => 'pass', settle() {}, cancel() {} } });
    const { run, keys, clock } = limitedBy(open, { max: 1, idle: '1m' });
    const ask = (key: string): Promise<number> => run(() => 1, { key });
    await ask('a');
    await clock.advance('59s');
    await ask('b');
    expect([keys.keys(), keys.snapshot()['shared']]).toEqual([['a'], 1]);
    await clock.advance('1m');
    await ask('b');
    expect(keys.keys()).toEqual(['b']);
  });

  test('a policy somebody changed by hand is never let go', async () => {
    const { ask, keys, clock } = limited(1, { max: 1 });
    ask('a');
    keys.get('a')?.update({ rate: 1000 });
    await clock.advance('1h');
    ask('b');
    expect(keys.keys()).toEqual(['a']);
  });
});

describe('the factory', () => {
  afterEach(() => vi.restoreAllMocks());

  test('one that takes no key is tried at the start: wrong options are refused then', () => {
    expect(() => perKey(() => tokenBucket({ rate: 0 }))).toThrow(OptionsError);
  });

  test('one that takes the key may throw for keys it does not know, at the start too; what it throws is what the call gets', async () => {
    const plans = new Map([['ada', 3]]);
    const { run, keys } = limitedBy((key) => tokenBucket({ rate: plans.get(key) as number }));
    expect(await reasonOf(run(() => 1, { key: 'x' }))).toBeInstanceOf(OptionsError);
    expect(keys.size).toBe(0);
    expect(await run(() => 1, { key: 'ada' })).toBe(1);
  });

  test.each([
    [() => undefined, 'undefined'],
    [() => ({}), 'an object'],
    [() => fallback({ value: 1 }), 'a fallback'],
    [() => pipeline([]), 'a pipeline'],
  ])('must make a gate policy: %o does not', (factory, got) => {
    expect(() => perKey(factory as never)).toThrow(
      `perKey: expected a function that makes a limiter, bulkhead, circuit breaker or other gate, got ${got}`,
    );
  });

  test('is called once for each key, and once at the start', () => {
    const factory = vi.fn((key: string) => tokenBucket({ rate: key.length + 1 }));
    const { ask } = limitedBy((key) => factory(key));
    ['a', 'b', 'a', 'b', 'a'].forEach((key) => ask(key));
    expect(factory.mock.calls).toEqual([[''], ['a'], ['b']]);
  });

  test('says at the start whether calls must be told apart by whose work they come from', () => {
    const queue = { maxConcurrent: 1, maxQueue: 10 };
    expect(perKey(() => bulkhead(queue)).tracks).toBe(true);
    expect(perKey((key) => bulkhead({ ...queue, maxConcurrent: key.length + 1 })).tracks).toBe(true);
    expect(perKey(() => tokenBucket({ rate: 1 })).tracks).toBe(false);
    expect(perKey((key) => tokenBucket({ rate: key.length })).tracks).toBe(false);
  });

  test.each<[unknown, object, string]>([
    [undefined, {}, 'perKey'],
    [tokenBucket({ rate: 1 }), {}, 'perKey'],
    [slots, { max: 0 }, 'perKey.max'],
    [slots, { max: NaN }, 'perKey.max'],
    [slots, { max: -Infinity }, 'perKey.max'],
    [slots, { max: null }, 'perKey.max'],
    [slots, { max: 1.5 }, 'perKey.max'],
    [slots, { max: Infinity }, 'perKey.max'],
    [slots, { idle: -1 }, 'perKey.idle'],
    [slots, { idle: '10 minutes' }, 'perKey.idle'],
    [slots, { missing: 'share' }, 'perKey.missing'],
    [slots, { maxKeys: 5 }, 'perKey.maxKeys'],
  ])('wrong arguments are refused (G9) %#', (factory, options, path) => {
    expect(() => perKey(factory as never, options)).toThrow(expect.objectContaining({ path }) as Error);
  });
});

test('a refusal per key is a refusal like any other', async () => {
  const { run } = limited(1);
  const options: CallOptions = { key: 'a' };
  await run(() => 1, options);
  expect(await reasonOf(run(() => 1, options))).toBeInstanceOf(RateLimitedError);
});
