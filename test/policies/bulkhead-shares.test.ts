import { describe, expect, test } from 'vitest';
import { BulkheadFullError, type BulkheadOptions, bulkhead, pipeline } from 'breakwater';
import { policyContract } from 'breakwater/testing';
import { reasonOf } from '../support/answers.ts';
import { type Crowded, arranged } from '../support/crowd.ts';

policyContract(() => bulkhead({ maxConcurrent: 300, maxQueue: 300, partitions: { a: 0.2, b: 0.5 }, partitionBy: ({ key }) => key }), {
  describe,
  it: test,
  name: 'bulkhead with partitions',
});

const byTag: Pick<BulkheadOptions, 'weight'> = { weight: ({ tags }) => Number(tags['weight'] ?? 1) };
const heavy = (weight: number): { readonly tags: Readonly<Record<string, unknown>> } => ({ tags: { weight } });

describe('weight', () => {
  test('is how many slots a call takes', async () => {
    const { crowd, slots, end } = arranged({ maxConcurrent: 5, ...byTag });
    void crowd.come(1, heavy(3));
    void crowd.come(2, heavy(2));
    expect(slots.snapshot()).toMatchObject({ active: 2, taken: 5 });
    expect(await reasonOf(crowd.come(3))).toMatchObject({
      message: 'shop: bulkhead has 5 of 5 slots taken and has no queue (maxQueue is 0)',
    });
    await end(1);
    expect(slots.snapshot()).toMatchObject({ active: 1, taken: 2 });
    void crowd.come(4, heavy(3));
    expect(crowd.started).toEqual([1, 2, 4]);
  });

  test('may be one number for all calls', () => {
    const { crowd, slots } = arranged({ maxConcurrent: 5, weight: 2 });
    for (const id of [1, 2, 3]) void crowd.come(id);
    expect(slots.snapshot()).toMatchObject({ active: 2, taken: 4, refused: 1 });
  });

  test('starves nobody: slots that come free are kept for the heavy call whose turn it is, and no light one passes it', async () => {
    const { crowd, slots, end } = arranged({ maxConcurrent: 4, maxQueue: 10, ...byTag });
    for (const id of [1, 2, 3, 4]) void crowd.come(id);
    void crowd.come(5, heavy(3));
    void crowd.come(6);
    await end(1, 2);
    void crowd.come(7);
    expect([crowd.started, slots.active, slots.queued]).toEqual([[1, 2, 3, 4], 2, 3]);
    await end(3);
    expect(crowd.started).toEqual([1, 2, 3, 4, 5]);
    await end(4);
    expect(crowd.started).toEqual([1, 2, 3, 4, 5, 6]);
    await end(5);
    expect(crowd.started).toEqual([1, 2, 3, 4, 5, 6, 7]);
  });

  test('keeps nobody waiting behind a heavy call of a lower rank: who goes first and fits goes at once', async () => {
    const { crowd, slots } = arranged({ maxConcurrent: 4, maxQueue: 10, priority: true, ...byTag });
    void crowd.come(1, heavy(2));
    void crowd.come(2, { ...heavy(3), priority: 'sheddable' });
    void crowd.come(3, { priority: 'critical-plus' });
    void crowd.come(4, { priority: 'best-effort' });
    await Promise.resolve();
    expect(slots.snapshot()).toMatchObject({ active: 2, taken: 3, queued: 2, waits: { count: 1, longest: 0 } });
  });

  test('keeps nothing for a heavy call that has left: those behind it go in at once (B4)', async () => {
    const { crowd, end, clock, slots } = arranged({ maxConcurrent: 4, maxQueue: 10, maxWait: 100, ...byTag });
    const caller = new AbortController();
    for (const id of [1, 2, 3]) void crowd.come(id);
    void crowd.come(4, { ...heavy(4), signal: caller.signal });
    void crowd.come(5);
    expect(crowd.started).toEqual([1, 2, 3]);
    caller.abort();
    expect([slots.active, slots.queued]).toEqual([4, 0]);
    await end(1, 2);
    void crowd.come(6, heavy(4));
    await clock.advance(50);
    void crowd.come(7);
    await clock.advance(50);
    expect(crowd.started).toEqual([1, 2, 3, 5, 7]);
    expect(slots.snapshot()).toMatchObject({ timedOut: 1, taken: 3 });
  });

  test('of more than there are slots can never be had: refused at once, and so is one that waits when a resize makes it so', async () => {
    const { crowd, slots, clock } = arranged({ maxConcurrent: 4, maxQueue: 10, ...byTag });
    const message = 'shop: bulkhead has 4 slots (maxConcurrent) and the call takes 5 (weight), so it can never run';
    expect(await reasonOf(crowd.come(1, heavy(5)))).toMatchObject({ code: 'ERR_BULKHEAD_FULL', message });
    void crowd.come(2, heavy(2));
    const waiting = crowd.come(3, heavy(4));
    void crowd.come(4);
    slots.resize(3);
    const reason = await reasonOf(waiting);
    expect(reason).toBeInstanceOf(BulkheadFullError);
    expect(reason).toMatchObject({
      message: 'shop: bulkhead has 3 slots (maxConcurrent) and the call takes 4 (weight), so it can never run',
    });
    await clock.advance(0);
    expect(crowd.started).toEqual([2, 4]);
    expect(slots.snapshot()).toMatchObject({ refused: 2, taken: 3 });
  });

  test('of whatever size waits at a closed gate: nobody knows yet how many slots there will be', async () => {
    const { crowd, slots, clock } = arranged({ maxConcurrent: 0, maxQueue: 10, ...byTag });
    const [fits, never] = [crowd.come(1, heavy(3)), crowd.come(2, heavy(9))];
    expect(slots.queued).toBe(2);
    slots.resize(4);
    expect(await reasonOf(never)).toMatchObject({ message: /so it can never run$/ });
    await clock.advance(0);
    expect(crowd.started).toEqual([1]);
    crowd.end(1);
    expect(await fits).toBe(1);
  });

  test.each([0, -1, 1.5, NaN, '2', undefined])('of %s, which is none, counts as 1, and is reported (G5)', async (wrong) => {
    const { crowd, slots, events } = arranged({ maxConcurrent: 5, weight: () => wrong as number });
    void crowd.come(1);
    expect(slots.snapshot()).toMatchObject({ taken: 1 });
    expect(events.find(({ type }) => type === 'pipeline.callback-failed')).toMatchObject({ callback: 'weight' });
  });
});

const byKey = { partitions: { batch: 0.3, live: 0.7 }, partitionBy: ({ key }: { readonly key: string | undefined }) => key };

/** So many calls of a partition, numbered from `first`. */
function come({ crowd }: Crowded, key: string | undefined, n: number, first: number): void {
  for (let id = first; id < first + n; id++) void crowd.come(id, key === undefined ? {} : { key });
}

describe('partitions', () => {
  test('lend what nobody uses, and give each its share when it asks (B8)', () => {
    const all = arranged({ maxConcurrent: 10, ...byKey });
    come(all, 'batch', 11, 100);
    expect(all.slots.snapshot()).toMatchObject({ active: 10, refused: 1 });
    come(all, 'live', 8, 200);
    expect(all.slots.snapshot()).toMatchObject({
      active: 17,
      refused: 2,
      partitions: { batch: { limit: 3, taken: 10, queued: 0 }, live: { limit: 7, taken: 7, queued: 0 } },
    });
  });

  test('run together at most the limit and the shares of those that came late, and the limit as soon as what was lent is back (B1, B8)', async () => {
    const all = arranged({ maxConcurrent: 10, maxQueue: 100, ...byKey });
    come(all, 'batch', 10, 100);
    come(all, 'live', 7, 200);
    come(all, 'batch', 20, 300);
    come(all, 'live', 20, 400);
    expect(all.slots.active).toBe(17);
    for (let round = 0; round < 7; round++) {
      await all.end(100 + round);
      expect(all.slots.active).toBe(16 - round);
    }
    // Now each has what is its own, and what comes free goes to whose it was.
    expect(all.slots.snapshot()).toMatchObject({ active: 10, partitions: { batch: { taken: 3 }, live: { taken: 7 } } });
    await all.end(107, 200, 201);
    expect(all.crowd.started.slice(-3)).toEqual([300, 400, 401]);
  });

  test('let a call in under its own share though others wait, and behind those of its own', async () => {
    const all = arranged({ maxConcurrent: 4, maxQueue: 10, partitions: { a: 0.5, b: 0.5 }, partitionBy: ({ key }) => key });
    come(all, 'a', 5, 1);
    expect(all.slots.queued).toBe(1);
    come(all, 'b', 3, 10);
    expect(all.crowd.started).toEqual([1, 2, 3, 4, 10, 11]);
    expect(all.slots.snapshot()).toMatchObject({ queued: 2, partitions: { a: { queued: 1 }, b: { queued: 1 } } });
    await all.end(10);
    expect(all.crowd.started.at(-1)).toBe(12);
  });

  test('lend to calls of no partition, and to unknown ones, which have no share of their own', async () => {
    const all = arranged({ maxConcurrent: 4, maxQueue: 10, ...byKey });
    come(all, undefined, 2, 1);
    come(all, 'constructor', 2, 3);
    expect(all.crowd.started).toEqual([1, 2, 3, 4]);
    come(all, undefined, 1, 5);
    come(all, 'live', 4, 10);
    expect(all.crowd.started).toEqual([1, 2, 3, 4, 10, 11, 12]);
    await all.end(1, 2, 3, 4);
    expect(all.crowd.started.slice(7)).toEqual([13]);
    await all.end(10);
    expect(all.crowd.started.slice(8)).toEqual([5]);
  });

  test('follow a resize', async () => {
    const all = arranged({ maxConcurrent: 10, maxQueue: 10, ...byKey });
    come(all, 'batch', 10, 100);
    come(all, 'live', 10, 200);
    expect(all.slots.snapshot()).toMatchObject({ active: 17, queued: 3 });
    all.slots.resize(20);
    await all.clock.advance(0);
    expect(all.slots.snapshot()).toMatchObject({ active: 20, queued: 0, partitions: { batch: { limit: 6 }, live: { limit: 14 } } });
    all.slots.resize(5);
    expect(all.slots.snapshot()).toMatchObject({ partitions: { batch: { limit: 2 }, live: { limit: 4 } } });
    come(all, 'live', 1, 300);
    await all.end(200);
    expect(all.slots.snapshot()).toMatchObject({ active: 19, queued: 1 });
    all.slots.resize(0);
    expect(all.slots.snapshot()).toMatchObject({ partitions: { batch: { limit: 0 }, live: { limit: 0 } } });
  });

  test('take what is asked for by weight', () => {
    const all = arranged({ maxConcurrent: 10, maxQueue: 10, ...byKey, ...byTag });
    come(all, 'live', 10, 100);
    void all.crowd.come(1, { key: 'batch', ...heavy(3) });
    void all.crowd.come(2, { key: 'batch', ...heavy(2) });
    expect(all.slots.snapshot()).toMatchObject({ active: 11, taken: 13, queued: 1, partitions: { batch: { taken: 3, queued: 1 } } });
  });

  test('whose function throws count as none, and it is reported (G5)', () => {
    const { crowd, slots, events } = arranged({ maxConcurrent: 4, ...byKey, partitionBy: () => expect.fail('no') });
    void crowd.come(1);
    expect(slots.active).toBe(1);
    expect(events.find(({ type }) => type === 'pipeline.callback-failed')).toMatchObject({ callback: 'partitionBy' });
  });

  test('with names that mean something to JavaScript are like any other', () => {
    const partitions = JSON.parse('{ "__proto__": 0.5, "toString": 0.5 }') as Record<string, number>;
    const { slots } = arranged({ maxConcurrent: 4, partitions, partitionBy: ({ key }) => key });
    expect(Object.keys(slots.snapshot().partitions ?? {})).toEqual(['__proto__', 'toString']);
    expect(Object.keys(slots.describe()['partitions'] as object)).toEqual(['__proto__', 'toString']);
  });
});

describe('shed', () => {
  /** A bulkhead of two slots on which a call takes 20 ms, so that one comes free every 10 ms, with a queue of so many. */
  async function flowing(options: Partial<BulkheadOptions>, queued: number): Promise<Crowded & { readonly call: () => Promise<unknown> }> {
    const all = arranged({ maxConcurrent: 2, maxQueue: 100, shed: true, ...options });
    const call = (): Promise<unknown> => all.run(() => new Promise((resolve) => void all.clock.setTimeout(() => resolve(1), 20)));
    void call();
    await all.clock.advance(10);
    for (let i = 0; i < 20 + queued; i++) void call().catch(() => undefined);
    await all.clock.advance(190);
    return { ...all, call };
  }

  test('refuses a call at once whose deadline would pass before its turn, and says why', async () => {
    const { run, slots } = await flowing({}, 10);
    expect(slots.queued).toBe(10);
    const reason = await reasonOf(run(() => 1, { deadline: 100 }));
    expect(reason).toBeInstanceOf(BulkheadFullError);
    expect(reason).toMatchObject({
      message:
        'shop: bulkhead has 2 of 2 slots taken and at the rate at which slots come free the call would wait about 110 ms, and it has 100 (shed)',
    });
    void run(() => 1, { deadline: 115 }).catch(() => undefined);
    expect(slots.snapshot()).toMatchObject({ queued: 11, refused: 1 });
  });

  test('refuses a call at once that would have to wait longer than maxWait', async () => {
    const { call, slots } = await flowing({ maxWait: 300 }, 29);
    expect(slots.queued).toBe(29);
    void call().catch(() => undefined);
    expect(slots.queued).toBe(30);
    expect(await reasonOf(call())).toMatchObject({ message: /about 310 ms, and it has 300 \(shed\)$/ });
  });

  test('refuses nobody who has all the time there is', async () => {
    const { call, slots } = await flowing({}, 50);
    void call();
    expect(slots.snapshot()).toMatchObject({ queued: 51, refused: 0 });
  });

  test('knows that the newest goes first in a stack', async () => {
    const { run, slots } = await flowing({ queue: 'lifo' }, 50);
    void run(() => 1, { deadline: 20 }).catch(() => undefined);
    expect(slots.snapshot()).toMatchObject({ queued: 51, refused: 0 });
  });

  test('knows that those of higher rank go first', async () => {
    const { run, slots } = await flowing({ priority: ({ tags }) => (tags['urgent'] === true ? 900 : 0) }, 50);
    const urgent = { tags: { urgent: true } };
    void run(() => 1, { deadline: 20, ...urgent }).catch(() => undefined);
    expect(slots.queued).toBe(51);
    expect(await reasonOf(run(() => 1, { deadline: 20 }))).toBeInstanceOf(BulkheadFullError);
  });

  test('does not take a time without calls for a time in which slots were slow to come', async () => {
    const { run, slots, call, clock } = await flowing({}, 0);
    await clock.advance(500);
    expect(slots.active).toBe(0);
    for (const lull of [500, 500, 500]) {
      void call();
      await clock.advance(lull);
    }
    for (let i = 0; i < 5; i++) void call();
    void run(() => 1, { deadline: 60 }).catch(() => undefined);
    expect(slots.snapshot()).toMatchObject({ queued: 4, refused: 0 });
  });

  test('refuses nobody before it knows how fast slots come free', () => {
    const { crowd, slots } = arranged({ maxConcurrent: 1, maxQueue: 100, shed: true });
    for (let id = 0; id < 50; id++) void crowd.come(id, { deadline: 1 });
    expect(slots.snapshot()).toMatchObject({ queued: 49, refused: 0 });
  });

  test('is not what happens unless asked for', async () => {
    const { run, slots } = await flowing({ shed: false }, 10);
    void run(() => 1, { deadline: 1 }).catch(() => undefined);
    expect(slots.snapshot()).toMatchObject({ queued: 11, refused: 0 });
  });
});

describe('shared by pipelines', () => {
  test('slots with weights, keys and partitions are the same for all of them', async () => {
    const slots = bulkhead({ maxConcurrent: 4, maxQueue: 5, fairBy: ({ key }) => key, maxPerKey: 2, ...byTag });
    const [a, b] = [pipeline([slots], { name: 'a' }), pipeline([slots], { name: 'b' })];
    const one = a.tryAcquire({ key: 'k', ...heavy(2) });
    const two = b.tryAcquire({ key: 'k', ...heavy(2) });
    expect([one.admitted, two.admitted, slots.snapshot().taken]).toEqual([true, true, 4]);
    expect(await reasonOf(b.execute(() => 1, { key: 'k' }))).toMatchObject({ message: /^b: .*"k" has as many calls as a key may have/ });
    const other = a.execute(() => 1, { key: 'other' });
    if (two.admitted) two.success();
    expect(await other).toBe(1);
    if (one.admitted) one.success();
    expect(slots.snapshot()).toMatchObject({ taken: 0, active: 0 });
  });
});
