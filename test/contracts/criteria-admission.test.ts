/** What it takes to stand beside the peers, second part: bulkheads, queues and rate limits. Numbers as in the comparison. */

import { AsyncLocalStorage } from 'node:async_hooks';
import { describe, expect, test } from 'vitest';
import {
  BulkheadFullError,
  OverloadedError,
  QueueTimeoutError,
  RateLimitedError,
  adaptiveLimiter,
  bulkhead,
  composite,
  fixedWindow,
  leakyBucket,
  perKey,
  pipeline,
  slidingLog,
  slidingWindow,
  systemGuard,
  timeout,
  tokenBucket,
  type GatePolicy,
  type Pipeline,
  type Work,
} from 'breakwater';
import { VirtualClock, seededRandom, work } from 'breakwater/testing';

const start = (...policies: GatePolicy[]): { clock: VirtualClock; p: Pipeline } => {
  const clock = new VirtualClock();
  return { clock, p: pipeline<readonly GatePolicy[]>(policies, { clock, random: seededRandom(1) }) };
};

const errorOf = (call: Promise<unknown>): Promise<unknown> =>
  call.then(
    () => undefined,
    (error: unknown) => error,
  );

describe('bulkhead and queue', () => {
  test('19: work that waited runs in the AsyncLocalStorage context of its own caller, and so does what follows', async () => {
    const storage = new AsyncLocalStorage<number>();
    const slots = bulkhead({ maxConcurrent: 2, maxQueue: 10, maxWait: '1h' });
    const { clock, p } = start(slots);
    const seen: [number, number | undefined, number | undefined][] = [];
    const calls = Array.from({ length: 10 }, (_, i) =>
      storage.run(i, async () => {
        let inside: number | undefined;
        await p.execute(async (call) => {
          inside = storage.getStore();
          await work({ after: 10, value: 1 })(call);
        });
        seen.push([i, inside, storage.getStore()]);
      }),
    );
    await clock.until(Promise.all(calls));
    expect(seen.sort(([a], [b]) => a - b)).toEqual(Array.from({ length: 10 }, (_, i) => [i, i, i]));
  });

  test('20: a slot is held until the work has really ended, or with releaseOn until the caller has its answer', async () => {
    const running: Record<string, number> = {};
    for (const releaseOn of ['settle', 'timeout'] as const) {
      const slots = bulkhead({ maxConcurrent: 1, releaseOn });
      const { clock, p } = start(slots, timeout({ after: 20 }));
      let now = 0;
      let most = 0;
      for (let i = 0; i < 5; i++) {
        void p.executeOutcome(async (call) => {
          most = Math.max(most, ++now);
          await work({ after: 100, value: 1 })(call);
          now--;
        });
        await clock.advance(20);
      }
      await clock.advance(1000);
      running[releaseOn] = most;
    }
    expect(running).toEqual({ settle: 1, timeout: 5 });
  });

  test('21: who aborts or waits too long leaves the queue at once, and the place is free', async () => {
    const slots = bulkhead({ maxConcurrent: 1, maxQueue: 1, maxWait: '50ms' });
    const { clock, p } = start(slots);
    void p.executeOutcome(work('hang'));
    const caller = new AbortController();
    const aborted = errorOf(p.execute(work('ok'), { signal: caller.signal }));
    expect(await errorOf(p.execute(work('ok')))).toBeInstanceOf(BulkheadFullError);
    caller.abort('bored');
    expect([slots.queued, await aborted]).toEqual([0, 'bored']);
    const expired = errorOf(p.execute(work('ok')));
    await clock.advance(50);
    expect([slots.queued, await expired]).toEqual([0, expect.any(QueueTimeoutError)]);
  });

  test('22: who matters more goes first and takes the place of who matters less; nobody waits for ever', async () => {
    const slots = bulkhead({ maxConcurrent: 1, maxQueue: 3, priority: true, aging: '1s', whenFull: 'evict-lowest' });
    const { clock, p } = start(slots);
    const order: string[] = [];
    const call = (name: string, priority: 'critical-plus' | 'critical' | 'sheddable' | 'best-effort'): Promise<unknown> =>
      p.executeOutcome(
        async (own) => {
          order.push(name);
          await work({ after: 100, value: name })(own);
        },
        { priority, priorityLevel: 0 },
      );
    const first = call('first', 'critical');
    const evicted = call('best effort', 'best-effort');
    const others = [call('sheddable', 'sheddable'), call('critical', 'critical'), call('plus', 'critical-plus')];
    expect(await evicted).toMatchObject({ ok: false, error: expect.any(BulkheadFullError) as unknown });
    await clock.until(Promise.all([first, ...others]));
    expect(order).toEqual(['first', 'plus', 'critical', 'sheddable']);
  });

  test.each(['fifo', 'lifo', 'adaptive-lifo', 'codel'] as const)('22: four ways to shed, of which %s', async (queue) => {
    const slots = bulkhead({ maxConcurrent: 1, maxQueue: 2, queue });
    const { clock, p } = start(slots);
    const calls = Array.from({ length: 4 }, (_, i) => p.executeOutcome(work({ after: 10, value: i })));
    const outcomes = await clock.until(Promise.all(calls));
    expect(outcomes.map(({ ok }) => ok)).toEqual([true, true, true, false]);
  });

  test('23: who is let in is let in at once, without a turn of the event loop', () => {
    const { p } = start(bulkhead({ maxConcurrent: 1 }));
    let ran = false;
    void p.execute(() => (ran = true));
    expect(ran).toBe(true);
    expect(p.tryAcquire().admitted).toBe(false);
  });
});

const limiters = {
  tokenBucket: () => tokenBucket({ rate: 5, burst: 5, cost: ({ tags }) => Number(tags['n'] ?? 1) }),
  leakyBucket: () => leakyBucket({ rate: 5, burst: 4, delay: 4, cost: ({ tags }) => Number(tags['n'] ?? 1) }),
  fixedWindow: () => fixedWindow({ limit: 5, window: '1s', cost: ({ tags }) => Number(tags['n'] ?? 1) }),
  slidingWindow: () => slidingWindow({ limit: 5, window: '1s', cost: ({ tags }) => Number(tags['n'] ?? 1) }),
  slidingLog: () => slidingLog({ limit: 5, window: '1s', cost: ({ tags }) => Number(tags['n'] ?? 1) }),
};

describe('rate limit', () => {
  test.each(Object.entries(limiters))('24: %s lets as much in as it says, and says when to come back', async (_name, make) => {
    const { clock, p } = start(make());
    const admitted = Array.from({ length: 8 }, () => p.tryAcquire());
    expect(admitted.filter((answer) => answer.admitted)).toHaveLength(5);
    const refusal = admitted.at(-1);
    const retryAfter = refusal?.admitted === false ? (refusal.retryAfter as number) : 0;
    expect(retryAfter).toBeGreaterThan(0);
    await clock.advance(retryAfter);
    expect(p.tryAcquire().admitted).toBe(true);
  });

  test.each(Object.entries(limiters))('25: %s charges nothing for what it refuses, and a weight as a whole or not at all', (name, make) => {
    const { p } = start(make());
    p.tryAcquire({ tags: { n: 3 } });
    if (name !== 'leakyBucket') for (let i = 0; i < 10; i++) expect(p.tryAcquire({ tags: { n: 3 } }).admitted).toBe(false);
    expect([1, 2, 3].map(() => p.tryAcquire().admitted)).toEqual([true, true, false]);
  });

  test('25: several limits are asked as one', () => {
    const second = tokenBucket({ rate: 10, burst: 10 });
    const { p } = start(composite([second, fixedWindow({ limit: 2, window: '1m' })]));
    expect([1, 2, 3, 4].map(() => p.tryAcquire().admitted)).toEqual([true, true, false, false]);
    expect(second.available).toBe(8);
  });

  test('26: milliseconds count, a window may last for years, and a flood of keys makes no offence forgotten', async () => {
    const fine = start(fixedWindow({ limit: 1, window: 1.5 }));
    expect(fine.p.tryAcquire().admitted).toBe(true);
    await fine.clock.advance(1.4);
    expect(fine.p.tryAcquire().admitted).toBe(false);
    await fine.clock.advance(0.1);
    expect(fine.p.tryAcquire().admitted).toBe(true);

    const years = 3 * 365 * 24 * 3_600_000;
    const long = start(slidingLog({ limit: 1, window: years }));
    expect([1, 2].map(() => long.p.tryAcquire()).map((answer) => (answer.admitted ? 0 : answer.retryAfter))).toEqual([0, years]);

    const keyed = perKey(() => fixedWindow({ limit: 2, window: '1h' }), { max: 100 });
    const { p } = start(keyed);
    const ask = (key: string): boolean => p.tryAcquire({ key }).admitted;
    expect([ask('offender'), ask('offender'), ask('offender')]).toEqual([true, true, false]);
    for (let i = 0; i < 5000; i++) ask(`other ${i}`);
    expect(ask('offender')).toBe(false);
    expect(keyed.size).toBeLessThanOrEqual(100);
    expect(await errorOf(p.execute(() => 1, { key: 'offender' }))).toBeInstanceOf(RateLimitedError);
  });
});

describe('overload', () => {
  test('32: a busy event loop, by a sliding sample, sheds the calls that matter least first', async () => {
    const readings = { eventLoopDelay: 0 };
    const { clock, p } = start(systemGuard({ monitor: { read: () => ({ ...readings }) }, bbr: false }));
    const served = async (): Promise<Record<string, boolean>> => {
      await clock.advance(500);
      const answers = (['best-effort', 'sheddable', 'critical', 'critical-plus'] as const).map(async (priority) => {
        const error = await errorOf(p.execute(() => 1, { priority, priorityLevel: 50 }));
        if (error !== undefined) expect(error).toBeInstanceOf(OverloadedError);
        return [priority, error === undefined] as const;
      });
      return Object.fromEntries(await Promise.all(answers));
    };
    expect(Object.values(await served())).toEqual([true, true, true, true]);
    readings.eventLoopDelay = 175; // of 200 ms
    expect(await served()).toEqual({ 'best-effort': false, sheddable: true, critical: true, 'critical-plus': true });
    readings.eventLoopDelay = 205;
    expect(await served()).toEqual({ 'best-effort': false, sheddable: false, critical: false, 'critical-plus': true });
    readings.eventLoopDelay = 0;
    expect(Object.values(await served())).toEqual([true, true, true, true]);
  });

  test('32: a limit that finds itself: it falls when calls time out, and grows while they are quick', async () => {
    const limiter = adaptiveLimiter({ algorithm: 'aimd', min: 5, max: 100, initial: 40 });
    const { clock, p } = start(limiter, timeout({ after: '1s' }));
    const round = async (task: Work<unknown>): Promise<void> => {
      await clock.until(Promise.all(Array.from({ length: 40 }, () => p.executeOutcome(task))));
    };
    await round(({ signal }) => new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error('cut')))));
    const low = limiter.limit;
    expect(low).toBeLessThan(40);
    for (let i = 0; i < 5; i++) await round(work({ after: 10, value: 1 }));
    expect(limiter.limit).toBeGreaterThan(low);
  });
});
