/** Rate limits; see ../defects.ts. */

import Bottleneck from 'bottleneck';
import { MemoryStore } from 'express-rate-limit';
import { RateLimiterMemory } from 'rate-limiter-flexible';
import { expect, vi } from 'vitest';
import { BulkheadFullError, RateLimitedError, bulkhead, fixedWindow, perKey, pipeline, retry, tokenBucket } from 'breakwater';
import { hop } from '../../../src/testing/hop.ts';
import { useProcessTime } from '../../support/process-clock.ts';
import { Fate, HOUR, demonstrate, errorWithin, fails, hangs, pass, succeeds, within } from './demonstration.ts';

useProcessTime();

type Work = () => Promise<unknown>;

/** When each of four calls that are made at once begins, in ms. */
async function beginnings(run: (work: Work) => Promise<unknown>): Promise<number[]> {
  const start = Date.now();
  const times: number[] = [];
  const calls = Array.from({ length: 4 }, () => run(async () => times.push(Date.now() - start)));
  await within(10_000, Promise.all(calls));
  return times;
}

/** When each attempt of a call that keeps failing begins, in ms. */
async function attempts(run: (work: Work) => Promise<unknown>): Promise<number[]> {
  const start = Date.now();
  const times: number[] = [];
  const call = run(() => {
    times.push(Date.now() - start);
    return fails();
  });
  await errorWithin(10_000, call);
  return times;
}

const names = ['constructor', 'toString', 'hasOwnProperty'];

demonstrate('limits', {
  'Timers for each call': {
    there: {
      bottleneck: async () => {
        const limiter = new Bottleneck();
        const set = vi.spyOn(globalThis, 'setTimeout');
        const call = new Fate(limiter.schedule(succeeds));
        let turns = 0;
        for (await hop(); call.state === 'pending'; await hop()) {
          expect(vi.getTimerCount(), 'one after the other').toBe(1);
          vi.advanceTimersToNextTimer();
          turns++;
        }
        // Node makes a millisecond of each 0.
        expect([turns, set.mock.calls.map(([, ms]) => ms)]).toEqual([4, [0, 0, 0, 0]]);
        set.mockRestore();
      },
    },
    here: async () => {
      const guarded = pipeline([bulkhead({ maxConcurrent: 1, maxQueue: 10 }), tokenBucket({ rate: 10, per: '1s' })]);
      const set = vi.spyOn(globalThis, 'setTimeout');
      const work = vi.fn(succeeds);
      const call = guarded.execute(work);
      expect(work).toHaveBeenCalledTimes(1);
      expect(await call).toBe(1);
      expect(set).not.toHaveBeenCalled();
      set.mockRestore();
    },
  },

  'A queue bound that is passed': {
    there: {
      bottleneck: async () => {
        const limiter = new Bottleneck({ maxConcurrent: 1, highWater: 10, strategy: Bottleneck.strategy.OVERFLOW });
        void limiter.schedule(hangs);
        await pass(1000);
        for (let i = 0; i < 10; i++) void limiter.schedule(succeeds).catch(() => undefined);
        await pass(1000);
        expect(limiter.queued()).toBe(10);
        limiter.updateSettings({ highWater: 3 });
        await pass(1000);
        for (let i = 0; i < 20; i++) void limiter.schedule(succeeds).catch(() => undefined);
        await pass(1000);
        expect(limiter.queued()).toBe(30);
      },
    },
    here: async () => {
      const slots = bulkhead({ maxConcurrent: 5, maxQueue: 10 });
      const guarded = pipeline([slots]);
      for (let i = 0; i < 15; i++) void guarded.execute(hangs);
      slots.resize(1);
      for (let i = 0; i < 20; i++) expect(await errorWithin(0, guarded.execute(succeeds))).toBeInstanceOf(BulkheadFullError);
      expect(slots.queued).toBe(10);
    },
  },

  'Waiters that are never let in': {
    there: {
      bottleneck: async () => {
        for (const [settings, state] of [
          [undefined, 'value'],
          [{ maxConcurrent: 5 }, 'pending'],
        ] as const) {
          const limiter = new Bottleneck({ reservoir: 1, reservoirRefreshInterval: 1000, reservoirRefreshAmount: 1 });
          await within(100, limiter.schedule(succeeds));
          const waiting = new Fate(limiter.schedule(succeeds));
          if (settings !== undefined) limiter.updateSettings(settings);
          await pass(HOUR);
          expect(waiting.state).toBe(state);
        }
      },
    },
    here: async () => {
      const bucket = tokenBucket({ rate: 1, per: '1m', burst: 1, maxWait: '1h' });
      const guarded = pipeline([bucket]);
      await within(0, guarded.execute(succeeds));
      const waiting = new Fate(guarded.execute(succeeds));
      await pass(100);
      bucket.update({ rate: 60 });
      await pass(1000);
      expect(waiting.state).toBe('value');
    },
  },

  'Intervals are rounded up': {
    there: {
      bottleneck: async () => {
        const limiter = new Bottleneck({ reservoir: 1, reservoirRefreshInterval: 50, reservoirRefreshAmount: 1 });
        const times = await beginnings((work) => limiter.schedule(work));
        expect(times.map((time) => Math.floor(time / 50) * 50)).toEqual([0, 250, 500, 750]);
      },
    },
    here: async () => {
      const guarded = pipeline([tokenBucket({ rate: 1, per: 50, burst: 1, maxWait: '1m' })]);
      expect(await beginnings((work) => guarded.execute(work))).toEqual([0, 50, 100, 150]);
    },
  },

  'Retries pass the limit by': {
    there: {
      bottleneck: async () => {
        const limiter = new Bottleneck({ minTime: 200 });
        limiter.on('failed', (_error, { retryCount }) => (retryCount < 3 ? 0 : undefined));
        const times = await attempts((work) => limiter.schedule(work));
        expect(times).toHaveLength(4);
        expect(Math.max(...times)).toBeLessThan(10);
      },
    },
    here: async () => {
      const often = retry({ maxAttempts: 4, backoff: { delay: 0 }, budget: false });
      const guarded = pipeline([often, tokenBucket({ rate: 1, per: 200, burst: 1, maxWait: '1m' })]);
      expect(await attempts((work) => guarded.execute(work))).toEqual([0, 200, 400, 600]);
    },
  },

  'Keys that are names of the language': {
    there: {
      bottleneck: () => {
        const group = new Bottleneck.Group({ maxConcurrent: 1 });
        for (const name of names) {
          const limiter = group.key(name);
          expect(limiter).toBeTypeOf('function');
          expect(() => limiter.schedule(succeeds)).toThrow(TypeError);
        }
      },
    },
    here: async () => {
      const guarded = pipeline([perKey(() => tokenBucket({ rate: 1, per: '1h', burst: 1 }))]);
      for (const key of [...names, '__proto__']) {
        expect(await within(0, guarded.execute(succeeds, { key }))).toBe(1);
        expect(await errorWithin(0, guarded.execute(succeeds, { key }))).toBeInstanceOf(RateLimitedError);
      }
    },
  },

  'A window of a month': {
    there: {
      'rate-limiter-flexible': async () => {
        const limiter = new RateLimiterMemory({ points: 1, duration: 30 * 24 * 3600 });
        for (let i = 0; i < 5; i++) {
          expect(await within(0, limiter.consume('somebody'))).toMatchObject({ remainingPoints: 0 });
          await pass(1);
        }
      },
    },
    here: async () => {
      const guarded = pipeline([fixedWindow({ limit: 1, window: 30 * 24 * HOUR })]);
      await within(0, guarded.execute(succeeds));
      await pass(24 * HOUR);
      expect(await errorWithin(0, guarded.execute(succeeds))).toMatchObject({ retryAfter: 29 * 24 * HOUR });
    },
  },

  'Refused calls cost': {
    there: {
      'rate-limiter-flexible': async () => {
        const limiter = new RateLimiterMemory({ points: 10, duration: 3600 });
        await within(0, limiter.consume('somebody', 6));
        await errorWithin(0, limiter.consume('somebody', 5));
        expect(await errorWithin(0, limiter.consume('somebody', 1))).toMatchObject({ consumedPoints: 12 });
      },
    },
    here: async () => {
      const guarded = pipeline([tokenBucket({ rate: 10, per: '1h', burst: 10 })]);
      await within(0, guarded.execute(succeeds, { cost: 6 }));
      expect(await errorWithin(0, guarded.execute(succeeds, { cost: 5 }))).toBeInstanceOf(RateLimitedError);
      expect(await within(0, guarded.execute(succeeds, { cost: 4 }))).toBe(1);
    },
  },

  'The wall clock is set back': {
    there: {
      'express-rate-limit': async () => {
        const store = new MemoryStore();
        store.init({ windowMs: 60_000 } as Parameters<typeof store.init>[0]);
        await within(0, store.increment('somebody'));
        vi.setSystemTime(Date.now() - HOUR);
        const { totalHits, resetTime } = await within(0, store.increment('somebody'));
        store.shutdown();
        expect([totalHits, (resetTime as Date).getTime() - Date.now()]).toEqual([2, HOUR + 60_000]);
      },
      'rate-limiter-flexible': async () => {
        const limiter = new RateLimiterMemory({ points: 1, duration: 60 });
        await within(0, limiter.consume('somebody'));
        vi.setSystemTime(Date.now() - HOUR);
        expect(await errorWithin(0, limiter.consume('somebody'))).toMatchObject({ msBeforeNext: HOUR + 60_000 });
      },
    },
    here: async () => {
      const guarded = pipeline([fixedWindow({ limit: 1, window: '1m' })]);
      await within(0, guarded.execute(succeeds));
      vi.setSystemTime(Date.now() - HOUR);
      const refusal = (await errorWithin(0, guarded.execute(succeeds))) as RateLimitedError;
      expect(refusal.retryAfter).toBeLessThanOrEqual(60_000);
      await pass(60_000);
      expect(await within(0, guarded.execute(succeeds))).toBe(1);
    },
  },
});
