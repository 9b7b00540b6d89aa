import { describe, expect, test } from 'vitest';
import { BulkheadFullError, type BulkheadOptions, OptionsError, QueueTimeoutError, bulkhead } from 'breakwater';
import { policyContract } from 'breakwater/testing';
import { reasonOf } from '../support/answers.ts';
import { type Crowded, arranged } from '../support/crowd.ts';

const contract = { describe, it: test };
policyContract(
  () =>
    bulkhead({
      maxConcurrent: 300,
      maxQueue: 300,
      queue: 'codel',
      priority: true,
      whenFull: 'evict-lowest',
      fairBy: ({ key }) => key,
      shed: true,
    }),
  { ...contract, name: 'bulkhead with a queue by key, rank and delay' },
);
policyContract(() => bulkhead({ maxConcurrent: 300, maxQueue: 300, queue: 'adaptive-lifo', weight: () => 2 }), {
  ...contract,
  name: 'bulkhead with weights and a stack',
});

/** Calls 1 to n at a bulkhead of one slot that call 0 holds. */
function waiting(options: Omit<BulkheadOptions, 'maxConcurrent'>, n: number): Crowded {
  const all = arranged({ maxConcurrent: 1, maxQueue: 10, ...options });
  void all.crowd.come(0);
  for (let id = 1; id <= n; id++) void all.crowd.come(id);
  return all;
}

describe("queue: 'lifo'", () => {
  test('serves the newest first', async () => {
    const { crowd, end } = waiting({ queue: 'lifo' }, 4);
    await end(0, 4, 3);
    expect(crowd.started).toEqual([0, 4, 3, 2]);
  });
});

describe("queue: 'adaptive-lifo'", () => {
  test('serves the newest while more wait than there are slots, then the oldest', async () => {
    const { crowd, end } = waiting({ queue: 'adaptive-lifo' }, 3);
    await end(0, 3, 2);
    expect(crowd.started).toEqual([0, 3, 2, 1]);
    const few = arranged({ maxConcurrent: 3, maxQueue: 10, queue: 'adaptive-lifo' });
    for (let id = 1; id <= 6; id++) void few.crowd.come(id);
    await few.end(1);
    expect(few.crowd.started.at(-1)).toBe(4);
  });

  test('has a threshold of its own', async () => {
    const { crowd, end } = waiting({ queue: { kind: 'adaptive-lifo', threshold: 2 } }, 4);
    await end(0, 4, 3, 1);
    expect(crowd.started).toEqual([0, 4, 3, 1, 2]);
  });

  test('follows a resize: as many as there are slots', async () => {
    const { crowd, slots, clock } = waiting({ queue: 'adaptive-lifo' }, 5);
    slots.resize(2);
    await clock.advance(0);
    expect(crowd.started).toEqual([0, 5]);
    slots.resize(4);
    await clock.advance(0);
    expect(crowd.started).toEqual([0, 5, 1, 2]);
  });
});

describe("queue: 'codel'", () => {
  test('lets go of calls that waited in a queue that stands, with a QueueTimeoutError, and their work never runs (C7)', async () => {
    const { crowd, clock, slots, events } = arranged({
      maxConcurrent: 1,
      maxQueue: 100,
      queue: { kind: 'codel', target: 5, interval: '100ms' },
    });
    const reasons: unknown[] = [];
    void crowd.come(0);
    for (let id = 1; id <= 20; id++) crowd.come(id).catch((reason: unknown) => reasons.push(reason));
    for (let id = 0; id < 8; id++) {
      await clock.advance(20);
      crowd.end(id);
      await clock.advance(0);
      if (!crowd.started.includes(id + 1)) break;
    }
    // For 100 ms even the shortest wait was above 5 ms; from then on all who have waited for 10 ms go, but for the first of each 100 ms.
    expect(crowd.started).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
    expect(slots.snapshot()).toMatchObject({ active: 0, queued: 0, shed: 13, timedOut: 0, refused: 0, waits: { count: 20 } });
    expect(reasons[0]).toBeInstanceOf(QueueTimeoutError);
    expect(reasons[0]).toMatchObject({
      message: 'shop: bulkhead let the call go after 160 ms in a queue that stands (codel), so the work never ran',
    });
    expect(events.filter(({ type }) => type === 'bulkhead.shed')).toHaveLength(13);
    expect(events.find(({ type }) => type === 'bulkhead.shed')).toMatchObject({ level: 'warn', waited: 160 });
    expect(clock.pending).toBe(0);
  });

  test('leaves a queue alone that is gone within the interval', async () => {
    const { end, clock, slots } = waiting({ queue: 'codel' }, 9);
    await clock.advance(90);
    await end(0, 1, 2, 3, 4, 5, 6, 7, 8, 9);
    expect(slots.snapshot()).toMatchObject({ shed: 0, active: 0 });
  });

  test('knows that a queue does not stand if a slot came free with nobody waiting', async () => {
    const { crowd, clock, slots, end } = arranged({ maxConcurrent: 1, maxQueue: 100, queue: 'codel' });
    // Two bursts, each of which costs waits of 20 ms and more, and all is quiet between them.
    for (const first of [0, 10]) {
      for (let id = first; id < first + 4; id++) void crowd.come(id);
      for (let id = first; id < first + 4; id++) {
        await clock.advance(20);
        await end(id);
      }
      await clock.advance(20);
    }
    expect(crowd.started).toEqual([0, 1, 2, 3, 10, 11, 12, 13]);
    expect(slots.snapshot()).toMatchObject({ shed: 0, active: 0 });
  });

  test('by the law of RFC 8289 lets go one after the other, faster and faster', async () => {
    const { crowd, clock, slots } = arranged({ maxConcurrent: 1, maxQueue: 10_000, queue: { kind: 'codel', law: 'rfc8289' } });
    let [next, shed] = [0, 0];
    const drops: number[] = [];
    for (; next < 1000; next++) void crowd.come(next);
    for (let ms = 1; ms < 450; ms++) {
      await clock.advance(1);
      crowd.end(crowd.started.at(-1) as number);
      await clock.advance(0);
      if (slots.snapshot().shed > shed) drops.push(ms);
      ({ shed } = slots.snapshot());
    }
    // The first wait of 5 ms or more is that of the call whose turn comes after 5 ms.
    expect(drops).toEqual([105, 205, 276, 334, 384, 429]);
  });
});

describe('priority', () => {
  test('lets the higher class go first, the higher level within a class, and first come, first served among equals (C6)', async () => {
    const { crowd, end } = waiting({ priority: true }, 0);
    void crowd.come(1, { priority: 'sheddable', priorityLevel: 50 });
    void crowd.come(2, { priority: 'critical', priorityLevel: 10 });
    void crowd.come(3, { priority: 'critical', priorityLevel: 90 });
    void crowd.come(4, { priority: 'critical', priorityLevel: 10 });
    void crowd.come(5, { priority: 'critical-plus', priorityLevel: 0 });
    await end(0, 5, 3, 2, 4);
    expect(crowd.started).toEqual([0, 5, 3, 2, 4, 1]);
  });

  test('is asked for only where a call has to wait', async () => {
    let asked = 0;
    const { crowd } = arranged({ maxConcurrent: 2, maxQueue: 5, priority: () => ++asked });
    for (const id of [1, 2]) void crowd.come(id);
    expect(asked).toBe(0);
    void crowd.come(3);
    expect(asked).toBe(1);
  });

  test('is off unless asked for', async () => {
    const { crowd, end } = waiting({}, 0);
    void crowd.come(1, { priority: 'best-effort' });
    void crowd.come(2, { priority: 'critical-plus' });
    await end(0);
    expect(crowd.started).toEqual([0, 1]);
  });

  test('may be what a function says', async () => {
    const { crowd, end } = waiting({ priority: ({ tags }) => Number(tags['rank']) }, 0);
    for (const [id, rank] of [
      [1, -5],
      [2, 1.5],
      [3, 1],
    ] as const)
      void crowd.come(id, { tags: { rank } });
    await end(0, 2, 3);
    expect(crowd.started).toEqual([0, 2, 3, 1]);
  });

  test.each([
    ['throws', () => expect.fail('no')],
    ['answers with no number', () => 'high' as unknown as number],
    ['answers with NaN', () => NaN],
  ])('of a function that %s is 0, and it is reported (G5)', async (_, priority) => {
    const { end, crowd, events } = waiting({ priority }, 1);
    await end(0);
    expect(crowd.started).toEqual([0, 1]);
    expect(events.find(({ type }) => type === 'pipeline.callback-failed')).toMatchObject({ callback: 'priority' });
  });

  test('starves nobody: a waiting call gains a class for every `aging`', async () => {
    const { crowd, end, clock } = waiting({ priority: true, aging: '100ms' }, 0);
    void crowd.come(1, { priority: 'best-effort', priorityLevel: 0 });
    await clock.advance(399);
    void crowd.come(2, { priority: 'critical-plus', priorityLevel: 0 });
    await clock.advance(2);
    void crowd.come(3, { priority: 'critical-plus', priorityLevel: 0 });
    await end(0, 2, 1);
    expect(crowd.started).toEqual([0, 2, 1, 3]);
  });

  test('does not age where aging is Infinity', async () => {
    const { crowd, end, clock } = waiting({ priority: true, aging: Infinity }, 0);
    void crowd.come(1, { priority: 'best-effort' });
    await clock.advance('1h');
    void crowd.come(2, { priority: 'sheddable' });
    await end(0);
    expect(crowd.started).toEqual([0, 2]);
  });

  test('is that of the call in whose work a call is made', async () => {
    const all = waiting({ priority: true, maxWait: '1h' }, 0);
    const { crowd, end, clock } = all;
    void crowd.come(1, { priority: 'critical', priorityLevel: 99 });
    const { pipeline: outer } = arranged({ maxConcurrent: 5 });
    void outer.execute(() => crowd.come(2), { priority: 'critical-plus' });
    await clock.advance(0);
    await end(0);
    expect(crowd.started).toEqual([0, 2]);
  });
});

describe("whenFull: 'evict-lowest'", () => {
  const evicting = { maxQueue: 2, priority: true, whenFull: 'evict-lowest', aging: Infinity } as const;

  test('gives the place of the lowest of those who wait to a newcomer of a higher rank (A5)', async () => {
    const { crowd, slots, events, end } = waiting(evicting, 0);
    const low = crowd.come(1, { priority: 'sheddable', key: 'low' });
    void crowd.come(2, { priority: 'critical', priorityLevel: 5 });
    void crowd.come(3, { priority: 'critical-plus' });
    const reason = await reasonOf(low);
    expect(reason).toBeInstanceOf(BulkheadFullError);
    expect(reason).toMatchObject({
      message: "shop: bulkhead gave the call's place in its queue to one of a higher rank (whenFull), so the work never ran",
      key: 'low',
    });
    expect(slots.snapshot()).toMatchObject({ queued: 2, evicted: 1, refused: 0 });
    expect(events.find(({ type }) => type === 'bulkhead.evicted')).toMatchObject({ level: 'warn', key: 'low', waited: 0 });
    await end(0, 3);
    expect(crowd.started).toEqual([0, 3, 2]);
  });

  test('refuses a newcomer that ranks no higher than anybody who waits', async () => {
    const { crowd, slots } = waiting(evicting, 0);
    for (const id of [1, 2]) void crowd.come(id, { priority: 'sheddable', priorityLevel: 50 });
    expect(await reasonOf(crowd.come(3, { priority: 'sheddable', priorityLevel: 50 }))).toMatchObject({
      message: /its queue of 2 is full$/,
    });
    expect(await reasonOf(crowd.come(4, { priority: 'best-effort' }))).toBeInstanceOf(BulkheadFullError);
    expect(slots.snapshot()).toMatchObject({ queued: 2, evicted: 0, refused: 2 });
  });

  test('evicts of equals the one that came last', async () => {
    const { crowd, end } = waiting(evicting, 0);
    for (const id of [1, 2]) void crowd.come(id, { priority: 'sheddable', priorityLevel: 50 });
    void crowd.come(3, { priority: 'critical' });
    await end(0, 3);
    expect(crowd.started).toEqual([0, 3, 1]);
  });

  test('evicts nobody for a call that is refused for another reason', async () => {
    const { crowd, slots, pipeline: shop } = waiting(evicting, 0);
    for (const id of [1, 2]) void crowd.come(id, { priority: 'sheddable' });
    expect(shop.tryAcquire({ priority: 'critical-plus' })).toMatchObject({
      admitted: false,
      error: { message: /tryAcquire does not wait$/ },
    });
    expect(slots.snapshot()).toMatchObject({ queued: 2, evicted: 0 });
  });

  test('is not what happens unless asked for', async () => {
    const { crowd } = waiting({ maxQueue: 1, priority: true }, 0);
    void crowd.come(1, { priority: 'best-effort' });
    expect(await reasonOf(crowd.come(2, { priority: 'critical-plus' }))).toMatchObject({ message: /its queue of 1 is full$/ });
  });
});

describe('fairBy', () => {
  const byTenant = { fairBy: ({ key }: { readonly key: string | undefined }) => key };

  test('serves keys in turn, so that one who calls much holds up only itself', async () => {
    const { crowd, end } = waiting(byTenant, 0);
    for (const id of [1, 2, 3]) void crowd.come(id, { key: 'greedy' });
    void crowd.come(4, { key: 'modest' });
    void crowd.come(5, {});
    await end(0, 1, 4, 5, 2);
    expect(crowd.started).toEqual([0, 1, 4, 5, 2, 3]);
  });

  test('refuses a call of a key that has as many waiting and running as it may (maxPerKey)', async () => {
    const { crowd, slots, end } = waiting({ ...byTenant, maxPerKey: 2 }, 0);
    for (const id of [1, 2]) void crowd.come(id, { key: 'greedy' });
    const reason = await reasonOf(crowd.come(3, { key: 'greedy' }));
    expect(reason).toMatchObject({
      message: 'shop: bulkhead has 1 of 1 slots taken and "greedy" has as many calls as a key may have (maxPerKey)',
    });
    void crowd.come(4, { key: 'modest' });
    await end(0, 1);
    void crowd.come(5, { key: 'greedy' });
    expect(slots.snapshot()).toMatchObject({ active: 1, queued: 2, refused: 1 });
  });

  test('counts what runs, also where slots are free, and calls without a key never', async () => {
    const { crowd, slots, end } = arranged({ maxConcurrent: 5, ...byTenant, maxPerKey: 1 });
    void crowd.come(1, { key: 'a' });
    expect(await reasonOf(crowd.come(2, { key: 'a' }))).toBeInstanceOf(BulkheadFullError);
    for (const id of [3, 4]) void crowd.come(id);
    expect(slots.active).toBe(3);
    await end(1);
    void crowd.come(5, { key: 'a' });
    expect(slots.active).toBe(3);
  });

  test('forgets keys that have no calls, however many and hostile they are', async () => {
    const { run, slots, clock } = arranged({ maxConcurrent: 1, maxQueue: 100_000, ...byTenant, maxPerKey: 3 });
    const keys = ['__proto__', 'constructor', 'x'.repeat(1_000_000), '\ud800', ''];
    const calls = Array.from({ length: 20_000 }, (_, i) => run(() => i, { key: keys[i] ?? String(i) }));
    expect(slots.queued).toBe(19_999);
    await clock.until(Promise.all(calls));
    expect(slots.snapshot()).toMatchObject({ active: 0, queued: 0, refused: 0 });
    for (const key of keys) expect(await run(() => key.length, { key })).toBe(key.length);
  });

  test('puts calls whose function throws into the line of those without a key', async () => {
    const { crowd, end, events } = waiting({ fairBy: () => expect.fail('no') }, 2);
    await end(0, 1);
    expect(crowd.started).toEqual([0, 1, 2]);
    expect(events.find(({ type }) => type === 'pipeline.callback-failed')).toMatchObject({ callback: 'fairBy' });
  });

  test('goes before rank: a key gets no more turns by calling its calls important, only another order among them', async () => {
    const { crowd, end } = waiting({ ...byTenant, priority: true }, 0);
    void crowd.come(1, { key: 'loud', priority: 'critical' });
    void crowd.come(2, { key: 'loud', priority: 'critical-plus' });
    void crowd.come(3, { key: 'quiet', priority: 'best-effort' });
    await end(0, 2, 3);
    expect(crowd.started).toEqual([0, 2, 3, 1]);
  });
});

describe('waits', () => {
  test('are told as a histogram with quantiles, and how long the oldest has waited', async () => {
    const { slots, clock, end } = waiting({ maxWait: '1s' }, 3);
    await clock.advance(40);
    await end(0);
    await clock.advance(80);
    await end(1);
    expect(slots.snapshot()).toMatchObject({ oldestWait: 120, waits: { count: 2, sum: 160, longest: 120, p50: 50, p95: 120, p99: 120 } });
    await clock.advance(880);
    expect(slots.snapshot()).toMatchObject({ timedOut: 1, oldestWait: 0, waits: { count: 3, longest: 1000 } });
  });

  test('that were cut short are not counted', async () => {
    const { slots, crowd } = waiting({}, 0);
    const caller = new AbortController();
    void crowd.come(1, { signal: caller.signal });
    caller.abort();
    expect(slots.snapshot()).toMatchObject({ queued: 0, waits: { count: 0 } });
  });
});

const toA = (): string => 'a';

describe('options', () => {
  test.each([
    [{ queue: 'random' }, 'bulkhead.queue'],
    [{ queue: { kind: 'codel', target: '5 ms' } }, 'bulkhead.queue.target'],
    [{ queue: { kind: 'codel', law: 'rfc' } }, 'bulkhead.queue.law'],
    [{ queue: { kind: 'fifo', threshold: 1 } }, 'bulkhead.queue.threshold'],
    [{ queue: { kind: 'adaptive-lifo', threshold: -1 } }, 'bulkhead.queue.threshold'],
    [{ queue: { target: 5 } }, 'bulkhead.queue'],
    [{ queue: 5 }, 'bulkhead.queue'],
    [{ priority: 'high' }, 'bulkhead.priority'],
    [{ priority: true, queue: 'lifo' }, 'bulkhead.priority'],
    [{ priority: true, aging: 0 }, 'bulkhead.aging'],
    [{ aging: '5s' }, 'bulkhead.aging'],
    [{ whenFull: 'evict-lowest' }, 'bulkhead.whenFull'],
    [{ priority: true, whenFull: 'evict' }, 'bulkhead.whenFull'],
    [{ fairBy: 'key' }, 'bulkhead.fairBy'],
    [{ maxPerKey: 3 }, 'bulkhead.maxPerKey'],
    [{ fairBy: toA, maxPerKey: 0 }, 'bulkhead.maxPerKey'],
    [{ weight: 0 }, 'bulkhead.weight'],
    [{ weight: 1.5 }, 'bulkhead.weight'],
    [{ shed: 1 }, 'bulkhead.shed'],
    [{ partitions: { a: 0.5 } }, 'bulkhead.partitions'],
    [{ partitionBy: toA }, 'bulkhead.partitionBy'],
    [{ partitions: {}, partitionBy: toA }, 'bulkhead.partitions'],
    [{ partitions: { a: 0 }, partitionBy: toA }, 'bulkhead.partitions'],
    [{ partitions: { a: 0.6, b: 0.6 }, partitionBy: toA }, 'bulkhead.partitions'],
    [{ partitions: ['a'], partitionBy: toA }, 'bulkhead.partitions'],
  ])('%j are refused at construction (G9)', (wrong, path) => {
    try {
      bulkhead({ maxConcurrent: 1, maxQueue: 5, ...wrong } as BulkheadOptions);
      expect.fail('should have been refused');
    } catch (error) {
      expect(error).toBeInstanceOf(OptionsError);
      expect(error).toMatchObject({ path });
    }
  });

  test.each([{ queue: 'lifo' }, { priority: true }, { shed: true }, { maxWait: 5 }] as const)('%j needs a queue', (useless) => {
    const [name] = Object.keys(useless);
    expect(() => bulkhead({ maxConcurrent: 1, ...useless })).toThrow(
      `bulkhead.maxQueue: expected a queue to go with ${name}, got none (by default no call waits)`,
    );
    expect(bulkhead({ maxConcurrent: 1, maxQueue: 0, ...useless }).queued).toBe(0);
  });

  test('are told as they were read, functions in words', () => {
    const full = bulkhead({
      maxConcurrent: 10,
      maxQueue: 5,
      queue: 'codel',
      priority: () => 1,
      fairBy: () => 'a',
      weight: () => 1,
      partitions: { a: 0.5 },
      partitionBy: () => 'a',
    });
    expect(full.describe()).toEqual({
      maxConcurrent: 10,
      maxQueue: 5,
      maxWait: Infinity,
      queue: { kind: 'codel', target: 5, interval: 100, law: 'folly' },
      priority: 'by call',
      aging: 1000,
      whenFull: 'refuse',
      fairBy: 'by call',
      maxPerKey: Infinity,
      weight: 'by call',
      shed: false,
      partitions: { a: 0.5 },
      releaseOn: 'settle',
    });
    expect(bulkhead({ maxConcurrent: 1 }).describe()).toEqual({
      maxConcurrent: 1,
      maxQueue: 0,
      maxWait: Infinity,
      queue: { kind: 'fifo' },
      priority: false,
      weight: 1,
      shed: false,
      releaseOn: 'settle',
    });
  });
});
