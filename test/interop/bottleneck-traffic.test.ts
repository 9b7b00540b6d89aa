import Bottleneck from 'bottleneck';
import { pipeline } from 'breakwater';
import { bottleneckLimiter } from 'breakwater/bottleneck';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { hop } from '../../src/testing/hop.ts';
import { pass, useTurns } from './bottleneck-turns.ts';

useTurns();

const setup = fc.record({
  maxConcurrent: fc.integer({ min: 1, max: 4 }),
  minTime: fc.constantFrom(0, 0, 7),
  highWater: fc.option(fc.integer({ min: 0, max: 5 }), { nil: null }),
  strategy: fc.constantFrom(1, 2, 3, 4),
  penalty: fc.constant(50),
  rejectOnDrop: fc.boolean(),
});

const traffic = fc.array(
  fc.record({
    at: fc.integer({ min: 0, max: 100 }),
    takes: fc.integer({ min: 0, max: 40 }),
    weight: fc.integer({ min: 1, max: 3 }),
    fails: fc.boolean(),
    aborts: fc.option(fc.integer({ min: 0, max: 60 }), { nil: undefined }),
    expiration: fc.option(fc.integer({ min: 1, max: 30 }), { nil: undefined }),
    heedless: fc.boolean(),
    priority: fc.integer({ min: 0, max: 9 }),
  }),
  { minLength: 1, maxLength: 25 },
);

test('whatever the traffic: each call settles once, no more runs than may, no job is left, and another call gets through', async () => {
  await fc.assert(
    fc.asyncProperty(setup, traffic, fc.integer({ min: 0, max: 2 }), async (options, calls, retries) => {
      const yours = new Bottleneck(options);
      yours.on('failed', (_error, { retryCount }) => (retryCount < retries ? 5 : null));
      const term = (name: 'weight' | 'expiration' | 'priority') => (call: { readonly tags: object }) =>
        (call.tags as Record<string, number | undefined>)[name];
      const limiter = bottleneckLimiter(yours, { weight: term('weight'), expiration: term('expiration'), priority: term('priority') });
      const api = pipeline([limiter]);
      const expires = calls.some(({ expiration }) => expiration !== undefined);
      let [atWork, most, settled] = [0, 0, 0];
      for (const { at, takes, fails, aborts, heedless, ...tags } of calls) {
        setTimeout(() => {
          const caller = new AbortController();
          const work = ({ signal }: { readonly signal: AbortSignal }): Promise<string> =>
            new Promise((resolve, reject) => {
              atWork += tags.weight;
              most = Math.max(most, atWork);
              let over = false;
              const end = (): void => {
                if (over) return;
                over = true;
                atWork -= tags.weight;
                if (fails) reject(new Error('no'));
                else resolve('yes');
              };
              setTimeout(end, takes);
              if (!heedless) signal.addEventListener('abort', end);
            });
          if (aborts !== undefined) setTimeout(() => caller.abort('enough'), aborts);
          void api.executeOutcome(work, { signal: caller.signal, tags }).then(() => settled++);
        }, at);
      }
      await pass(5000);
      await hop();
      expect(settled).toBe(calls.length);
      expect(atWork).toBe(0);
      if (!expires) expect(most).toBeLessThanOrEqual(options.maxConcurrent);
      expect(yours.counts()).toEqual({ RECEIVED: 0, QUEUED: 0, RUNNING: 0, EXECUTING: 0 });
      const next = api.execute(() => 'through', { tags: { weight: 1 } });
      await pass(1000);
      expect(await next).toBe('through');
      expect((yours as unknown as { _store: { _running: number } })._store._running).toBe(0);
    }),
    { numRuns: 60 },
  );
});
