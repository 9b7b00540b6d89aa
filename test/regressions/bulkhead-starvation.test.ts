import { AsyncLocalStorage } from 'node:async_hooks';
import { describe, expect, test } from 'vitest';
import { type BulkheadOptions, bulkhead } from 'breakwater';
import { arrange } from 'breakwater/testing';

/** Calls that take 10 ms each, one slot, and more of them than fit, for a second; one stranger among them. Answers with when the stranger's work began. */
async function crowded(
  options: Omit<BulkheadOptions, 'maxConcurrent'>,
  crowd: object,
  stranger: object,
  maxConcurrent = 1,
): Promise<{ readonly began: number | undefined; readonly served: number }> {
  const { run, clock } = arrange(bulkhead({ maxConcurrent, maxQueue: 1000, ...options }));
  const work = (): Promise<void> => new Promise((resolve) => void clock.setTimeout(resolve, 10));
  let began: number | undefined;
  let served = 0;
  const come = (): void => {
    if (clock.now() < 1000) clock.setTimeout(come, 7 / maxConcurrent);
    void run(() => (served++, work()), crowd);
    if (clock.now() >= 100 && began === undefined) {
      began = Infinity;
      void run(() => ((began = clock.now()), work()), stranger);
    }
  };
  come();
  await clock.advance(1000);
  return { began, served };
}

describe('nobody starves', () => {
  test('a call of the lowest class among ones of the highest that never stop: it gains a class for every `aging`', async () => {
    const [crowd, stranger] = [{ priority: 'critical-plus' }, { priority: 'best-effort' }];
    expect((await crowded({ priority: true, aging: Infinity }, crowd, stranger)).began).toBe(Infinity);
    const { began } = await crowded({ priority: true, aging: 50 }, crowd, stranger);
    expect(began).toBeGreaterThan(250);
    expect(began).toBeLessThan(600);
  });

  test('a heavy call among light ones that never stop: what comes free is kept for it', async () => {
    const weight: BulkheadOptions['weight'] = ({ tags }) => Number(tags['weight'] ?? 1);
    const { began, served } = await crowded({ weight, maxWait: '1h' }, {}, { tags: { weight: 4 } }, 4);
    expect(began).toBeLessThan(200);
    expect(served).toBeGreaterThan(350);
  });

  test('one tenant beside another that sends without end', async () => {
    const [crowd, stranger] = [{ key: 'greedy' }, { key: 'modest' }];
    expect((await crowded({}, crowd, stranger)).began).toBeGreaterThan(130);
    expect((await crowded({ fairBy: ({ key }) => key }, crowd, stranger)).began).toBeLessThanOrEqual(130);
  });
});

describe('what a queued call is promised, whatever the order of the queue (criteria 19 to 23 of the comparison with others)', () => {
  const orders: readonly (readonly [string, Partial<BulkheadOptions>])[] = [
    ['fifo', {}],
    ['lifo', { queue: 'lifo' }],
    ['adaptive-lifo', { queue: 'adaptive-lifo' }],
    ['codel', { queue: 'codel' }],
    ['priority', { priority: true, whenFull: 'evict-lowest' }],
    ['fairBy', { fairBy: ({ key }) => key }],
    ['weight and partitions', { weight: 2, partitions: { a: 0.5 }, partitionBy: ({ key }) => key }],
  ];

  test.each(orders)("%s: its work runs in its own caller's async context", async (_, options) => {
    const { run, clock } = arrange(bulkhead({ maxConcurrent: 2, maxQueue: 10, maxWait: '1m', ...options }));
    const context = new AsyncLocalStorage<number>();
    const strangers: number[] = [];
    const callers = Array.from({ length: 10 }, (__, caller) =>
      context.run(caller, () =>
        run(
          async () => {
            if (context.getStore() !== caller) strangers.push(caller);
            await new Promise<void>((resolve) => void clock.setTimeout(resolve, 1));
            if (context.getStore() !== caller) strangers.push(caller);
          },
          { key: caller % 2 === 0 ? 'a' : 'b' },
        ),
      ),
    );
    await clock.until(Promise.all(callers));
    expect(strangers).toEqual([]);
  });

  test.each(orders)('%s: aborted, it leaves in the same tick, and the next gets its turn', async (_, options) => {
    const { run, clock, policy } = arrange(bulkhead({ maxConcurrent: 2, maxQueue: 1, ...options }));
    let end = (): void => undefined;
    const first = run(() => new Promise<void>((resolve) => (end = resolve)));
    if (policy.snapshot().taken < 2) void run(() => new Promise<void>(() => undefined));
    const caller = new AbortController();
    const gone = run(() => 'never', { signal: caller.signal }).catch((reason: unknown) => reason);
    expect(policy.queued).toBe(1);
    caller.abort('left');
    expect(policy.queued).toBe(0);
    const next = run(() => 'next');
    expect(policy.queued).toBe(1);
    end();
    await clock.advance(0);
    expect([await gone, await next, await first]).toEqual(['left', 'next', undefined]);
  });

  test.each(orders)('%s: with a slot free it is admitted in the very tick in which it comes', (_, options) => {
    const { run, policy } = arrange(bulkhead({ maxConcurrent: 2, maxQueue: 10, ...options }));
    let began = false;
    void run(() => {
      began = true;
      return new Promise<void>(() => undefined);
    });
    expect([began, policy.active, policy.queued]).toEqual([true, 1, 0]);
  });
});
