import { AsyncLocalStorage } from 'node:async_hooks';
import { getEventListeners } from 'node:events';
import { describe, expect, test, vi } from 'vitest';
import {
  type BulkheadOptions,
  BulkheadFullError,
  OptionsError,
  type Policy,
  QueueTimeoutError,
  RejectedError,
  bulkhead,
  definePolicy,
  pipeline,
  timeout,
} from 'breakwater';
import { VirtualClock, arrange, gateContract, policyContract } from 'breakwater/testing';
import { reasonOf } from '../support/answers.ts';
import { Crowd, arranged } from '../support/crowd.ts';

const contract = {
  waits: () => bulkhead({ maxConcurrent: 1, maxQueue: 10_000, maxWait: '1h' }),
  refuses: () => bulkhead({ maxConcurrent: 0 }),
  factory: { create: bulkhead, options: { maxConcurrent: 300, maxQueue: 10, maxWait: '1s', releaseOn: 'settle', name: 'slots' } },
  describe,
  it: test,
};
policyContract(() => bulkhead({ maxConcurrent: 300 }), { ...contract, name: 'bulkhead' });
policyContract(() => bulkhead({ maxConcurrent: 300, maxQueue: 300, releaseOn: 'timeout' }), { ...contract, name: 'bulkhead with a queue' });
gateContract(() => bulkhead({ maxConcurrent: 300, maxQueue: 300 }), { ...contract, name: 'bulkhead' });

describe('slots', () => {
  test('are taken by calls that run, and no more than there are (B1, B2)', async () => {
    const { slots, crowd, clock } = arranged({ maxConcurrent: 2 });
    const one = crowd.come(1);
    void crowd.come(2);
    expect(await reasonOf(crowd.come(3))).toBeInstanceOf(BulkheadFullError);
    expect([crowd.started, slots.active]).toEqual([[1, 2], 2]);
    crowd.end(1);
    expect(await one).toBe(1);
    expect(slots.active).toBe(1);
    void crowd.come(4);
    expect(crowd.started).toEqual([1, 2, 4]);
    expect(clock.pending).toBe(0);
  });

  test.each([
    ['an error', () => Promise.reject(new Error('no'))],
    [
      'an error thrown at once',
      () => {
        throw new Error('no');
      },
    ],
    ['a plain value', () => 1],
    ['a thenable', () => ({ then: (resolve: (value: number) => void) => resolve(1) })],
  ])('are given back after %s', async (_, work) => {
    const { slots, pipeline: shop } = arranged({ maxConcurrent: 1 });
    for (let i = 0; i < 3; i++) await shop.executeOutcome<unknown>(work);
    expect(slots.snapshot()).toMatchObject({ active: 0, refused: 0 });
  });

  test('are given back by a gate inside that refuses, as if the call had never been', async () => {
    const slots = bulkhead({ maxConcurrent: 1 });
    const both = pipeline([slots, bulkhead({ maxConcurrent: 0, name: 'shut' })]);
    for (let i = 0; i < 3; i++) expect(await reasonOf(both.execute(() => 1))).toMatchObject({ policy: 'shut' });
    expect(slots.active).toBe(0);
  });

  test('are shared by all pipelines that hold the bulkhead (law 8)', async () => {
    const slots = bulkhead({ maxConcurrent: 1, maxQueue: 1 });
    const [a, b] = [arrange(slots), arrange(slots)];
    const [one, two] = [new Crowd((work) => a.run(work)), new Crowd((work) => b.run(work))];
    void one.come(1);
    const waiting = two.come(2);
    expect([slots.active, slots.queued]).toEqual([1, 1]);
    one.end(1);
    await a.clock.advance(0);
    expect(two.started).toEqual([2]);
    two.end(2);
    expect(await waiting).toBe(2);
  });

  test('can be held without a function to run', async () => {
    const { pipeline: shop, slots } = arranged({ maxConcurrent: 1, maxQueue: 1 });
    const held = shop.tryAcquire();
    if (!held.admitted) throw new Error('should be admitted');
    const next = shop.acquire();
    expect(slots.snapshot()).toMatchObject({ active: 1, queued: 1 });
    held.success();
    (await next).ignore();
    expect(slots.active).toBe(0);
  });
});

describe('a full bulkhead', () => {
  test('refuses at once, and says what is full, where, and what would help', async () => {
    const { crowd, slots } = arranged({ maxConcurrent: 1 });
    void crowd.come(1);
    const reason = await reasonOf(crowd.come(2, { key: 'tenant' }));
    expect(reason).toBeInstanceOf(BulkheadFullError);
    expect(reason).toBeInstanceOf(RejectedError);
    expect(reason).toMatchObject({
      code: 'ERR_BULKHEAD_FULL',
      message: 'shop: bulkhead has 1 of 1 slots taken and has no queue (maxQueue is 0)',
      pipeline: 'shop',
      policy: 'bulkhead',
      key: 'tenant',
      retryAfter: undefined,
    });
    expect(slots.snapshot()).toMatchObject({ refused: 1, timedOut: 0 });
  });

  test('has no queue unless told otherwise', () => {
    expect(bulkhead({ maxConcurrent: 1 }).snapshot()).toMatchObject({ maxQueue: 0 });
  });

  test('refuses when its queue is full too (B3)', async () => {
    const { crowd, slots } = arranged({ maxConcurrent: 1, maxQueue: 2 });
    for (const id of [1, 2, 3]) void crowd.come(id);
    expect(await reasonOf(crowd.come(4))).toMatchObject({ message: 'shop: bulkhead has 1 of 1 slots taken and its queue of 2 is full' });
    expect(slots.snapshot()).toMatchObject({ active: 1, queued: 2, refused: 1 });
  });

  test('refuses rather than let tryAcquire wait', () => {
    const { pipeline: shop, slots } = arranged({ maxConcurrent: 1, maxQueue: 9 });
    shop.tryAcquire();
    expect(shop.tryAcquire()).toMatchObject({
      admitted: false,
      error: { message: 'shop: bulkhead has 1 of 1 slots taken and tryAcquire does not wait' },
    });
    expect(slots.queued).toBe(0);
  });

  test('is closed with no slots at all, until it gets some', async () => {
    const { crowd, slots, run } = arranged({ maxConcurrent: 0 });
    expect(await reasonOf(crowd.come(1))).toMatchObject({
      message: 'shop: bulkhead is closed (maxConcurrent is 0) and has no queue (maxQueue is 0)',
    });
    slots.resize(1);
    expect(await run(() => 'in')).toBe('in');
  });

  test('keeps calls waiting while closed, if it has a queue', async () => {
    const { crowd, slots, clock } = arranged({ maxConcurrent: 0, maxQueue: 2 });
    void crowd.come(1);
    void crowd.come(2);
    expect(await reasonOf(crowd.come(3))).toMatchObject({
      message: 'shop: bulkhead is closed (maxConcurrent is 0) and its queue of 2 is full',
    });
    slots.resize(1);
    await clock.advance(0);
    expect(crowd.started).toEqual([1]);
  });

  test('carries a stack trace only where the pipeline asks for it', async () => {
    const slots = bulkhead({ maxConcurrent: 0 });
    const stackOf = async (stack: boolean): Promise<string> =>
      String(((await reasonOf(arrange(slots, { stack }).run(() => 1))) as Error).stack);
    expect((await stackOf(false)).split('\n')).toHaveLength(1);
    expect((await stackOf(true)).split('\n').length).toBeGreaterThan(1);
  });
});

describe('the queue', () => {
  test('is first come, first served (B3)', async () => {
    const { crowd, clock } = arranged({ maxConcurrent: 1, maxQueue: 10 });
    for (const id of [1, 2, 3, 4]) void crowd.come(id);
    for (const id of [1, 2, 3]) {
      crowd.end(id);
      await clock.advance(0);
    }
    expect(crowd.started).toEqual([1, 2, 3, 4]);
  });

  test('hands a slot over in the tick in which it is given back: it is never seen free', async () => {
    const { crowd, slots, pipeline: shop } = arranged({ maxConcurrent: 1, maxQueue: 10 });
    const first = shop.tryAcquire();
    void crowd.come(2);
    if (first.admitted) first.success();
    expect([slots.active, slots.queued]).toEqual([1, 0]);
    expect(shop.tryAcquire().admitted).toBe(false);
    await Promise.resolve();
    await vi.waitFor(() => expect(crowd.started).toEqual([2]));
  });

  test('ends a wait after maxWait with a QueueTimeoutError, and the work never runs (G1)', async () => {
    const { crowd, clock, slots, events } = arranged({ maxConcurrent: 1, maxQueue: 10, maxWait: '200ms' });
    void crowd.come(1);
    const reason = reasonOf(crowd.come(2, { key: 'tenant' }));
    await clock.advance(199);
    expect(slots.queued).toBe(1);
    await clock.advance(1);
    expect(await reason).toBeInstanceOf(QueueTimeoutError);
    expect(await reason).toBeInstanceOf(RejectedError);
    expect(await reason).toMatchObject({
      code: 'ERR_QUEUE_TIMEOUT',
      message: 'shop: bulkhead had no slot free for 200 ms (maxWait), so the work never ran',
      pipeline: 'shop',
      policy: 'bulkhead',
      key: 'tenant',
    });
    crowd.end(1);
    await clock.advance('1h');
    expect(crowd.started).toEqual([1]);
    expect(slots.snapshot()).toMatchObject({ active: 0, queued: 0, refused: 0, timedOut: 1 });
    expect(events.map(({ type }) => type)).toContain('bulkhead.timed-out');
    expect(clock.pending).toBe(0);
  });

  test('times every wait by itself, with one timer for all of them (G4)', async () => {
    const { crowd, clock, slots } = arranged({ maxConcurrent: 1, maxQueue: 1000, maxWait: 500 });
    void crowd.come(0);
    const gone: [number, number][] = [];
    for (let id = 1; id <= 200; id++) {
      crowd.come(id).catch(() => gone.push([id, clock.now()]));
      await clock.advance(1);
    }
    expect(clock.pending).toBe(1);
    await clock.advance(500);
    expect(gone).toEqual(Array.from({ length: 200 }, (_, i) => [i + 1, i + 500]));
    expect([slots.queued, clock.pending]).toEqual([0, 0]);
  });

  test('has no timer when nobody waits, and none at all when waits have no end', async () => {
    const { crowd, clock } = arranged({ maxConcurrent: 1, maxQueue: 10, maxWait: '1h' });
    void crowd.come(1);
    expect(clock.pending).toBe(0);
    void crowd.come(2);
    expect(clock.pending).toBe(1);
    crowd.end(1);
    await clock.advance(0);
    expect(clock.pending).toBe(0);
    const patient = arranged({ maxConcurrent: 1, maxQueue: 10 });
    for (const id of [1, 2]) void patient.crowd.come(id);
    expect(patient.clock.pending).toBe(0);
  });

  test('gives a slot to nobody whose time is up, even if the event loop was blocked and no timer has come to say so', async () => {
    const { crowd, clock, slots, pipeline: shop } = arranged({ maxConcurrent: 1, maxQueue: 10, maxWait: 100 });
    const first = shop.tryAcquire();
    const late = reasonOf(crowd.come(2));
    await clock.advance(50);
    void crowd.come(3);
    clock.jump(50);
    if (first.admitted) first.success();
    expect(await late).toBeInstanceOf(QueueTimeoutError);
    await clock.advance(0);
    expect(crowd.started).toEqual([3]);
    expect(slots.snapshot()).toMatchObject({ active: 1, queued: 0, timedOut: 1 });
  });

  test('is left in the same tick by a call that is aborted, with its very reason, and its place is free (B4)', async () => {
    const { crowd, slots, clock } = arranged({ maxConcurrent: 1, maxQueue: 1, maxWait: '1s' });
    void crowd.come(1);
    const caller = new AbortController();
    const reason = reasonOf(crowd.come(2, { signal: caller.signal }));
    const why = { why: 'the caller left' };
    caller.abort(why);
    expect([slots.queued, clock.pending]).toEqual([0, 0]);
    void crowd.come(3);
    expect(slots.queued).toBe(1);
    expect(await reason).toBe(why);
    expect(getEventListeners(caller.signal, 'abort')).toHaveLength(0);
    crowd.end(1);
    await clock.advance(0);
    expect(crowd.started).toEqual([1, 3]);
    expect(slots.snapshot()).toMatchObject({ refused: 0, timedOut: 0 });
  });

  test('gives a slot back that was granted to a call aborted in the same tick, and the next one gets it (B2)', async () => {
    const { crowd, slots, clock, pipeline: shop } = arranged({ maxConcurrent: 1, maxQueue: 10 });
    const first = shop.tryAcquire();
    const caller = new AbortController();
    const reason = reasonOf(crowd.come(2, { signal: caller.signal }));
    void crowd.come(3);
    if (first.admitted) first.success();
    caller.abort('too late');
    expect(await reason).toBe('too late');
    await clock.advance(0);
    expect(crowd.started).toEqual([3]);
    expect([slots.active, slots.queued]).toEqual([1, 0]);
  });

  test('is not joined by a call that was cut short on its way in', async () => {
    const caller = new AbortController();
    const outer = definePolicy({
      kind: 'spoiler',
      gate: { enter: () => (caller.abort('on the way in'), 'pass'), settle: () => undefined, cancel: () => undefined },
    });
    const slots = bulkhead({ maxConcurrent: 0, maxQueue: 10 });
    expect(await reasonOf(pipeline([outer, slots]).execute(() => 1, { signal: caller.signal }))).toBe('on the way in');
    expect(slots.snapshot()).toMatchObject({ queued: 0, refused: 0 });
  });

  test('is left by a call whose deadline comes before its turn, with a DeadlineExceededError', async () => {
    const { crowd, clock, slots } = arranged({ maxConcurrent: 1, maxQueue: 10, maxWait: '10s' });
    void crowd.come(1);
    const reason = reasonOf(crowd.come(2, { deadline: '2s' }));
    await clock.advance('2s');
    expect(await reason).toMatchObject({ code: 'ERR_DEADLINE' });
    expect([slots.queued, clock.pending]).toEqual([0, 0]);
    crowd.end(1);
    await clock.advance(0);
    expect(crowd.started).toEqual([1]);
  });

  test('is left by a call when a timeout around it expires, and the timeout is what it gets', async () => {
    const slots = bulkhead({ maxConcurrent: 1, maxQueue: 10 });
    const { run, clock } = arrange([timeout({ after: 50 }), slots]);
    void run(() => new Promise<number>(() => undefined)).catch(() => undefined);
    await clock.advance(10);
    const reason = reasonOf(run(() => 1));
    await clock.advance(50);
    expect(await reason).toMatchObject({ code: 'ERR_TIMEOUT', after: 50 });
    expect(slots.snapshot()).toMatchObject({ active: 1, queued: 0 });
  });

  test('is emptied when the pipeline closes and the time to drain is over (G10)', async () => {
    const { crowd, clock, slots, pipeline: shop } = arranged({ maxConcurrent: 1, maxQueue: 10 });
    void crowd.come(1);
    const reason = reasonOf(crowd.come(2));
    const closed = shop.close({ drain: '1s' });
    await clock.advance('1s');
    await closed;
    expect(await reason).toMatchObject({ code: 'ERR_SHUTDOWN' });
    expect([slots.queued, crowd.started]).toEqual([0, [1]]);
  });

  test('is served by the clock of the pipeline a call came through', async () => {
    const slots = bulkhead({ maxConcurrent: 1, maxQueue: 10, maxWait: 100 });
    const [a, b] = [arrange(slots, { name: 'a', clock: new VirtualClock({ start: 5000 }) }), arrange(slots, { name: 'b' })];
    const [early, late] = [new Crowd((work) => a.run(work)), new Crowd((work) => b.run(work))];
    void early.come(1);
    const first = reasonOf(early.come(2));
    const second = late.come(3);
    await b.clock.advance(99);
    await a.clock.advance(60);
    expect(slots.snapshot()).toMatchObject({ queued: 2, oldestWait: 60 });
    await a.clock.advance(40);
    expect(await first).toMatchObject({ code: 'ERR_QUEUE_TIMEOUT', pipeline: 'a' });
    expect(slots.snapshot()).toMatchObject({ queued: 1, oldestWait: 99 });
    early.end(1);
    await a.clock.advance(0);
    late.end(3);
    expect(await second).toBe(3);
    expect([a.clock.pending, b.clock.pending]).toEqual([0, 0]);
  });

  test('runs the work of ten callers, two at a time, each in the context of its own caller (law 10, G7)', async () => {
    const { run, clock } = arranged({ maxConcurrent: 2, maxQueue: 10, maxWait: '1m' });
    const context = new AsyncLocalStorage<number>();
    const seen: [number, number | undefined][] = [];
    const callers = Array.from({ length: 10 }, (_, caller) =>
      context.run(caller, async () => {
        await run(async () => {
          seen.push([caller, context.getStore()]);
          await new Promise<void>((resolve) => void clock.setTimeout(resolve, 5));
          seen.push([caller, context.getStore()]);
        });
        seen.push([caller, context.getStore()]);
      }),
    );
    await clock.until(Promise.all(callers));
    expect(seen).toHaveLength(30);
    expect(seen.filter(([caller, store]) => caller !== store)).toEqual([]);
  });

  test('keeps the async stack of a call that waited (law 9)', async () => {
    const { crowd, run, clock } = arranged({ maxConcurrent: 1, maxQueue: 10 });
    void crowd.come(1);
    async function theCallerThatWaited(): Promise<unknown> {
      return await run(async () => {
        await Promise.resolve();
        throw new Error('deep inside');
      });
    }
    const error = theCallerThatWaited().catch((thrown: unknown) => thrown);
    crowd.end(1);
    await clock.advance(0);
    expect(((await error) as Error).stack).toMatch(/at (async )?theCallerThatWaited/);
  });
});

describe('work that was abandoned', () => {
  test('holds its slot until it has really ended (B6, law 6)', async () => {
    const slots = bulkhead({ maxConcurrent: 1 });
    const { run, clock } = arrange([timeout({ after: 50 }), slots]);
    const crowd = new Crowd((work) => run(work));
    const done = reasonOf(crowd.come(1));
    await clock.advance(50);
    expect(await done).toMatchObject({ code: 'ERR_TIMEOUT' });
    expect(slots.active).toBe(1);
    expect(await reasonOf(crowd.come(2))).toMatchObject({ code: 'ERR_BULKHEAD_FULL' });
    crowd.end(1, new Error('at last'));
    await clock.advance(0);
    expect(slots.active).toBe(0);
  });

  test('holds its slot also when its caller aborted, and hands it on when it ends (B6)', async () => {
    const { crowd, slots, clock } = arranged({ maxConcurrent: 1, maxQueue: 1 });
    const caller = new AbortController();
    const done = reasonOf(crowd.come(1, { signal: caller.signal }));
    caller.abort('enough');
    expect(await done).toBe('enough');
    void crowd.come(2);
    await clock.advance('1h');
    expect([slots.active, slots.queued, crowd.started]).toEqual([1, 1, [1]]);
    crowd.end(1);
    await clock.advance(0);
    expect(crowd.started).toEqual([1, 2]);
  });

  test("gives its slot back when the caller has its answer, with releaseOn 'timeout' (B6)", async () => {
    const slots = bulkhead({ maxConcurrent: 1, releaseOn: 'timeout' });
    const { run, clock } = arrange([slots, timeout({ after: 50 })]);
    const crowd = new Crowd((work) => run(work));
    void crowd.come(1);
    await clock.advance(50);
    expect(slots.active).toBe(0);
    void crowd.come(2);
    crowd.end(1);
    await clock.advance(0);
    expect([slots.active, crowd.started]).toEqual([1, [1, 2]]);
  });
});

describe('resize', () => {
  test('to more lets waiting calls in at once, in order (B1, B3)', async () => {
    const { crowd, slots, clock } = arranged({ maxConcurrent: 1, maxQueue: 10 });
    for (const id of [1, 2, 3, 4]) void crowd.come(id);
    slots.resize(3);
    expect(slots.snapshot()).toMatchObject({ maxConcurrent: 3, active: 3, queued: 1 });
    await clock.advance(0);
    expect(crowd.started).toEqual([1, 2, 3]);
  });

  test('to less lets what runs finish and nobody in until there is room (B5)', async () => {
    const { crowd, slots, clock } = arranged({ maxConcurrent: 3, maxQueue: 10 });
    for (const id of [1, 2, 3, 4]) void crowd.come(id);
    slots.resize(1);
    expect(slots.snapshot()).toMatchObject({ maxConcurrent: 1, active: 3, queued: 1 });
    crowd.end(1);
    crowd.end(2);
    await clock.advance(0);
    expect(crowd.started).toEqual([1, 2, 3]);
    crowd.end(3);
    await clock.advance(0);
    expect(crowd.started).toEqual([1, 2, 3, 4]);
  });

  test.each([[-1], [1.5], [Number.NaN], [Infinity], ['5'], [undefined]])('to %s is refused, and nothing changes', (wrong) => {
    const slots = bulkhead({ maxConcurrent: 3 });
    expect(() => slots.resize(wrong as number)).toThrow(OptionsError);
    expect(() => slots.resize(wrong as number)).toThrow(/^bulkhead\.resize\.maxConcurrent: expected a whole number of at least 0/);
    expect(slots.snapshot()).toMatchObject({ maxConcurrent: 3 });
  });
});

describe('nested use never waits for itself (B7)', () => {
  const message =
    'shop: bulkhead has 1 of 1 slots taken and the call comes from work that holds one, so it could wait for itself; give inner calls slots of their own';

  test('work that calls its own pipeline is refused at once when no slot is free', async () => {
    const { run, slots } = arranged({ maxConcurrent: 1, maxQueue: 10 });
    const inner = await run(async () => {
      await Promise.resolve();
      return await reasonOf(run(() => 'never'));
    });
    expect(inner).toBeInstanceOf(BulkheadFullError);
    expect(inner).toMatchObject({ message });
    expect(slots.snapshot()).toMatchObject({ active: 0, queued: 0, refused: 1 });
  });

  test('work that calls its own pipeline gets a slot if one is free', async () => {
    const { run } = arranged({ maxConcurrent: 2, maxQueue: 10 });
    expect(await run(() => run(() => 'inside'))).toBe('inside');
  });

  test('it is found out however deep: through another pipeline, and through a pipeline that does not keep track', async () => {
    const { run, slots } = arranged({ maxConcurrent: 1, maxQueue: 10 });
    const other = pipeline([bulkhead({ maxConcurrent: 5, maxQueue: 5 })], { name: 'other' });
    const plain = pipeline([timeout({ after: '1h' })], { clock: new VirtualClock() });
    const reason = await run(() => other.execute(() => plain.execute(() => reasonOf(run(() => 'never')))));
    expect(reason).toMatchObject({ message });
    expect([slots.active, slots.queued]).toEqual([0, 0]);
  });

  test('it is found out where timeouts stand around and inside the bulkheads', async () => {
    const hours = (name: string): Policy => timeout({ after: '1h', name });
    const { run, clock } = arrange([hours('outer'), bulkhead({ maxConcurrent: 1, maxQueue: 10 }), hours('inner')], { name: 'shop' });
    expect(await run(() => reasonOf(run(() => 'never')))).toMatchObject({ message });
    const other = pipeline([hours('outer'), bulkhead({ maxConcurrent: 5, maxQueue: 5 }), hours('inner')], { clock });
    expect(await run(() => other.execute(() => reasonOf(run(() => 'never'))))).toMatchObject({ message });
    expect(clock.pending).toBe(0);
  });

  test('it is found out through two pipelines that keep track, the outer of which has called the inner before', async () => {
    const { run } = arranged({ maxConcurrent: 1, maxQueue: 10 });
    const a = pipeline([bulkhead({ maxConcurrent: 5, maxQueue: 5 })], { name: 'a' });
    const b = pipeline([bulkhead({ maxConcurrent: 5, maxQueue: 5 })], { name: 'b' });
    expect(await a.execute(() => b.execute(() => run(() => 1)))).toBe(1);
    expect(await run(() => a.execute(() => b.execute(() => reasonOf(run(() => 'never')))))).toMatchObject({ message });
  });

  test('it is found out for a call of the same pipeline by two pipelines that share the bulkhead', async () => {
    const slots = bulkhead({ maxConcurrent: 1, maxQueue: 10 });
    const [a, b] = [pipeline([slots], { name: 'a' }), pipeline([slots], { name: 'shop' })];
    expect(await a.execute(() => reasonOf(b.execute(() => 'never')))).toMatchObject({ message });
  });

  test('it is found out when one bulkhead stands twice around the same work', async () => {
    const slots = bulkhead({ maxConcurrent: 1, maxQueue: 10 });
    const twice = pipeline([slots, timeout({ after: '1h' }), pipeline([slots], { name: 'inner' })], { clock: new VirtualClock() });
    expect(await reasonOf(twice.execute(() => 'never'))).toMatchObject({ code: 'ERR_BULKHEAD_FULL', pipeline: 'inner' });
    expect(slots.snapshot()).toMatchObject({ active: 0, queued: 0 });
  });

  test('ten nested calls at once do not lock each other out', async () => {
    const { run, slots } = arranged({ maxConcurrent: 3, maxQueue: 100 });
    const outcomes = await Promise.allSettled(
      Array.from({ length: 10 }, () =>
        run(async () => {
          await Promise.resolve();
          return await run(() => 'inside');
        }),
      ),
    );
    expect(outcomes).toHaveLength(10);
    expect(slots.snapshot()).toMatchObject({ active: 0, queued: 0 });
  });

  test('a call whose outer work has ended may wait like any other', async () => {
    const { crowd, run, slots, clock } = arranged({ maxConcurrent: 1, maxQueue: 10 });
    let later: Promise<unknown> = Promise.resolve();
    let go = (): void => undefined;
    await run(() => {
      later = new Promise<void>((resolve) => (go = resolve)).then(() => run(() => 'after all'));
      return 1;
    });
    void crowd.come(1);
    go();
    await clock.advance(0);
    expect(slots.queued).toBe(1);
    crowd.end(1);
    expect(await later).toBe('after all');
  });

  test('a caller of one that holds a slot is a stranger to another: calls side by side wait', async () => {
    const { run, clock, slots } = arranged({ maxConcurrent: 1, maxQueue: 10 });
    const other = pipeline([bulkhead({ maxConcurrent: 5, maxQueue: 5 })]);
    const both = other.execute(() => Promise.all([run(async () => (await Promise.resolve(), 'one')), run(() => 'two')]));
    await clock.advance(0);
    expect(await both).toEqual(['one', 'two']);
    expect(slots.snapshot()).toMatchObject({ refused: 0 });
  });

  test('two bulkheads crossed hold each other up no longer than maxWait, and no slot stays behind', async () => {
    const clock = new VirtualClock();
    const [a, b] = [bulkhead({ maxConcurrent: 1, maxQueue: 10, maxWait: 100 }), bulkhead({ maxConcurrent: 1, maxQueue: 10, maxWait: 100 })];
    const [alpha, beta] = [pipeline([a], { clock }), pipeline([b], { clock })];
    const pause = (): Promise<void> => new Promise((resolve) => void clock.setTimeout(resolve, 5));
    const outcomes = Promise.allSettled([
      alpha.execute(() => pause().then(() => beta.execute(() => 1))),
      beta.execute(() => pause().then(() => alpha.execute(() => 2))),
    ]);
    await clock.advance(105);
    await outcomes;
    expect([a.active, a.queued, b.active, b.queued, clock.pending]).toEqual([0, 0, 0, 0, 0]);
  });
});

describe('a bulkhead tells', () => {
  test('how it stands, as plain data', async () => {
    const { crowd, slots, clock, pipeline: shop } = arranged({ maxConcurrent: 1, maxQueue: 5, maxWait: '1s', name: 'reports' });
    for (const id of [1, 2, 3]) {
      void crowd.come(id);
      await clock.advance(100);
    }
    const snapshot = { maxConcurrent: 1, maxQueue: 5, active: 1, queued: 2, oldestWait: 200, refused: 0, timedOut: 0 };
    expect(slots.snapshot()).toMatchObject(snapshot);
    expect(shop.snapshot().policies).toMatchObject([{ kind: 'bulkhead', name: 'reports', ...snapshot }]);
    expect(slots.describe()).toMatchObject({ maxConcurrent: 1, maxQueue: 5, maxWait: 1000, releaseOn: 'settle' });
    expect(bulkhead({ maxConcurrent: 1 }).snapshot()).toMatchObject({ oldestWait: 0 });
  });

  test('nothing of a wait below zero when a clock goes back', async () => {
    const { crowd, slots, clock } = arranged({ maxConcurrent: 1, maxQueue: 5 });
    for (const id of [1, 2]) void crowd.come(id);
    await clock.advance(10);
    clock.rewind('1s');
    expect(slots.snapshot()).toMatchObject({ oldestWait: 0 });
  });

  test('who queues, who gets in after how long, and who waited in vain', async () => {
    const { crowd, clock, events } = arranged({ maxConcurrent: 1, maxQueue: 5, maxWait: 100 });
    void crowd.come(1);
    void crowd.come(2, { key: 'two' });
    await clock.advance(30);
    void crowd.come(3);
    crowd.end(1);
    await clock.advance(100);
    const told = events.filter(({ type }) => type.startsWith('bulkhead.'));
    const own = { pipeline: 'shop', policy: 'bulkhead' };
    expect(told).toEqual([
      { type: 'bulkhead.queued', level: 'debug', at: 0, key: 'two', operation: undefined, active: 1, queued: 1, ...own },
      { type: 'bulkhead.queued', level: 'debug', at: 30, key: undefined, operation: undefined, active: 1, queued: 2, ...own },
      { type: 'bulkhead.admitted', level: 'debug', at: 30, key: 'two', operation: undefined, waited: 30, ...own },
      { type: 'bulkhead.timed-out', level: 'warn', at: 130, key: undefined, operation: undefined, waited: 100, ...own },
    ]);
  });

  test('every pipeline that holds it of a new limit, once, when the calls that it lets in are in', () => {
    const slots = bulkhead({ maxConcurrent: 1, maxQueue: 5 });
    const [a, b] = [arrange(slots, { name: 'a' }), arrange([slots, timeout({ after: '1h' })], { name: 'b' })];
    for (const { pipeline: each } of [a, b, b]) void each.executeOutcome(() => new Promise(() => undefined));
    const actives: number[] = [];
    a.pipeline.on('bulkhead.resized', () => actives.push(slots.active));
    slots.resize(3);
    expect(() => slots.resize(-1)).toThrow(OptionsError);
    expect(actives).toEqual([3]);
    for (const [name, { events }] of Object.entries({ a, b })) {
      const told = events.filter(({ type }) => type === 'bulkhead.resized');
      expect(told).toMatchObject([{ level: 'info', pipeline: name, policy: 'bulkhead', from: 1, to: 3 }]);
    }
  });

  test('the first refusal of a bulkhead without a queue by an event too', async () => {
    const { crowd, events } = arranged({ maxConcurrent: 0 });
    await reasonOf(crowd.come(1));
    expect(events.map(({ type }) => type)).toEqual(['gate.refused', 'pipeline.settled']);
  });

  test('a listener that calls back in the middle cannot overtake (K9)', async () => {
    const { crowd, slots, clock, pipeline: shop } = arranged({ maxConcurrent: 0, maxQueue: 5 });
    const answers: boolean[] = [];
    shop.on('bulkhead.admitted', () => answers.push(shop.tryAcquire().admitted));
    for (const id of [1, 2, 3]) void crowd.come(id);
    slots.resize(3);
    await clock.advance(0);
    expect([answers, crowd.started]).toEqual([
      [false, false, false],
      [1, 2, 3],
    ]);
  });
});

describe('options', () => {
  test.each([
    [{}, 'bulkhead.maxConcurrent'],
    [{ maxConcurrent: -1 }, 'bulkhead.maxConcurrent'],
    [{ maxConcurrent: 1.5 }, 'bulkhead.maxConcurrent'],
    [{ maxConcurrent: Number.NaN }, 'bulkhead.maxConcurrent'],
    [{ maxConcurrent: Infinity }, 'bulkhead.maxConcurrent'],
    [{ maxConcurrent: '10' }, 'bulkhead.maxConcurrent'],
    [{ maxConcurrent: 1, maxQueue: Number.NaN }, 'bulkhead.maxQueue'],
    [{ maxConcurrent: 1, maxQueue: '10' }, 'bulkhead.maxQueue'],
    [{ maxConcurrent: 1, maxQueue: -1 }, 'bulkhead.maxQueue'],
    [{ maxConcurrent: 1, maxQueue: 5, maxWait: 0 }, 'bulkhead.maxWait'],
    [{ maxConcurrent: 1, maxQueue: 5, maxWait: '5 parsecs' }, 'bulkhead.maxWait'],
    [{ maxConcurrent: 1, maxQueue: 5, releaseOn: 'never' }, 'bulkhead.releaseOn'],
    [{ maxConcurrent: 1, maxWait: 100 }, 'bulkhead.maxQueue'],
    [{ maxConcurrent: 1, queue: 5 }, 'bulkhead.queue'],
  ])('%j are refused at construction (G9)', (wrong, path) => {
    expect(() => bulkhead(wrong as BulkheadOptions)).toThrow(OptionsError);
    try {
      bulkhead(wrong as BulkheadOptions);
    } catch (error) {
      expect(error).toMatchObject({ code: 'ERR_OPTIONS', path });
    }
  });

  test('a queue may be switched off and its maxWait left standing', () => {
    expect(bulkhead({ maxConcurrent: 1, maxQueue: 0, maxWait: 100 }).describe()).toMatchObject({ maxQueue: 0, maxWait: 100 });
  });

  test('a wait of centuries does not end at once', async () => {
    const { crowd, clock, slots } = arranged({ maxConcurrent: 1, maxQueue: 5, maxWait: Number.MAX_SAFE_INTEGER });
    for (const id of [1, 2]) void crowd.come(id);
    await clock.advance('1h');
    expect(slots.queued).toBe(1);
    crowd.end(1);
    await clock.advance(0);
    expect([crowd.started, clock.pending]).toEqual([[1, 2], 0]);
  });

  test('only a bulkhead with a queue asks its pipeline to keep track of calls', () => {
    expect([bulkhead({ maxConcurrent: 1 }).tracks, bulkhead({ maxConcurrent: 1, maxQueue: 1 }).tracks]).toEqual([false, true]);
  });
});
