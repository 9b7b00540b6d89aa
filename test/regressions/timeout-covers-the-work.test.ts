import { AsyncLocalStorage } from 'node:async_hooks';
import { describe, expect, test, vi } from 'vitest';
import { type Timeout, TimeoutError, bulkhead, circuitBreaker, retry, timeout } from 'breakwater';
import { arrange, work } from 'breakwater/testing';

const kinds: readonly [string, (after: number) => Timeout][] = [
  ['a race', (after) => timeout({ after })],
  ['a race with grace', (after) => timeout({ after, grace: 5 })],
  ['a cooperative one', (after) => timeout({ after, strategy: 'cooperative' })],
];

describe.each(kinds)('%s', (_, make) => {
  // Some only stopped waiting: the request went on, its connection and its slot with it.
  test('cancels the work, to the very end of it: a body that is still being read is told, too', async () => {
    const { run, clock } = arrange(make(100));
    const chunks: number[] = [];
    const done = run(async ({ signal }) => {
      for (let i = 0; ; i++) {
        await new Promise<void>((resolve, reject) => {
          signal.addEventListener('abort', () => reject(signal.reason as Error));
          clock.setTimeout(resolve, 30);
        });
        chunks.push(i);
      }
    });
    await expect(clock.until(done)).rejects.toBeInstanceOf(TimeoutError);
    await clock.advance('1s');
    expect([chunks, clock.pending]).toEqual([[0, 1, 2], 0]);
  });

  // Others aborted when the function returned, and cut off bodies that were read later.
  test('never aborts work that was in time: a body may be read after the call has returned', async () => {
    const { run, clock } = arrange(make(100));
    let signal: AbortSignal | undefined;
    const body = await clock.until(run((call) => ((signal = call.signal), { read: () => call.signal.aborted })));
    await clock.advance('1s');
    expect([body.read(), signal?.aborted]).toEqual([false, false]);
  });

  test('work never starts when its time ran out in a queue, also if the slot comes free in that very moment', async () => {
    const { run, clock } = arrange([make(100), bulkhead({ maxConcurrent: 1, maxQueue: 1 })]);
    const first = run(work({ after: 100, value: 'first' }), { key: 'first' }).catch(() => 'late');
    const queued = vi.fn();
    await clock.advance(0.5);
    const second = run(queued).catch((error: unknown) => error);
    await clock.advance(20);
    const third = vi.fn();
    await expect(run(third)).rejects.toMatchObject({ code: 'ERR_BULKHEAD_FULL' });
    await clock.until(Promise.all([first, second]));
    expect(third).not.toHaveBeenCalled();
    const { run: again, clock: later } = arrange([make(10), bulkhead({ maxConcurrent: 1, maxQueue: 1 })]);
    const holder = again(work({ after: 50, value: 1 })).catch(() => undefined);
    const never = vi.fn();
    await expect(later.until(again(never))).rejects.toMatchObject({ code: 'ERR_TIMEOUT', started: false });
    await later.until(holder);
    expect(never).not.toHaveBeenCalled();
  });

  // A parent's abort was once told as a timeout of one's own, with an event and all.
  test("a caller's abort is passed through untouched: no timeout, no event, no failure of a circuit", async () => {
    const breaker = circuitBreaker({ consecutiveFailures: 1 });
    const { run, clock, events } = arrange([breaker, make(100)]);
    const caller = new AbortController();
    const done = run(work('hang'), { signal: caller.signal }).catch((reason: unknown) => reason);
    await clock.advance(50);
    const reason = new Error('the user left');
    caller.abort(reason);
    expect(await done).toBe(reason);
    await clock.advance('1s');
    expect(events.filter(({ type }) => type === 'timeout.expired')).toEqual([]);
    expect(breaker.state).toBe('closed');
  });

  test('the slot of a bulkhead is not freed at the timeout while the work runs on', async () => {
    const slots = bulkhead({ maxConcurrent: 1 });
    for (const order of [
      [slots, make(20)],
      [make(20), slots],
    ] as const) {
      const { run, clock } = arrange<readonly [typeof slots, Timeout] | readonly [Timeout, typeof slots]>(order);
      const done = run(work({ after: 200, value: 1 })).catch(() => undefined);
      await clock.advance(30);
      expect(slots.active).toBe(1);
      await clock.until(done);
      await clock.advance('1s');
      expect(slots.active).toBe(0);
    }
  });

  test("what runs on the timer's path still sees its caller's context", async () => {
    const context = new AsyncLocalStorage<string>();
    const { run, clock } = arrange([retry({ maxAttempts: 2, backoff: { delay: 10 }, when: () => true }), make(20)]);
    const seen: unknown[] = [];
    const call = (who: string): Promise<unknown> =>
      run(async ({ signal }) => {
        seen.push([who, context.getStore()]);
        await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
        seen.push([who, context.getStore()]);
        throw new Error('stopped');
      }).catch(() => seen.push([who, context.getStore()]));
    await clock.until(Promise.all(['a', 'b'].map((who) => context.run(who, call, who))));
    expect(seen).toHaveLength(10);
    expect(seen.filter((pair) => (pair as string[])[0] !== (pair as string[])[1])).toEqual([]);
  });
});

test('a late value of an attempt inside a retry is handed to the timeout around it, once, and to no other', async () => {
  const [inner, outer] = [vi.fn(), vi.fn()];
  const { run, clock } = arrange([
    timeout({ after: 100, onLate: outer, name: 'total' }),
    retry({ maxAttempts: 5, backoff: { delay: 0 } }),
    timeout({ after: 40, onLate: inner, name: 'attempt' }),
  ]);
  await expect(
    clock.until(run(work({ after: 500, value: 'a' }, { after: 500, value: 'b' }, { after: 500, value: 'c' }))),
  ).rejects.toMatchObject({
    policy: 'total',
  });
  await clock.advance('1s');
  expect([inner.mock.calls, outer.mock.calls]).toEqual([[['a'], ['b']], [['c']]]);
});

test('a late value that nobody asked for is disposed of, once', async () => {
  const { run, clock } = arrange([timeout({ after: 100, name: 'total' }), timeout({ after: 40, name: 'attempt' })]);
  const connection = { [Symbol.dispose]: vi.fn() };
  await expect(clock.until(run(work({ after: 200, value: connection })))).rejects.toMatchObject({ policy: 'attempt' });
  expect(connection[Symbol.dispose]).not.toHaveBeenCalled();
  await clock.advance('1s');
  expect(connection[Symbol.dispose]).toHaveBeenCalledTimes(1);
});
