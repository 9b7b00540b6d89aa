import { getEventListeners } from 'node:events';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { pipeline, retry, retryBudget } from 'breakwater';
import { VirtualClock } from 'breakwater/testing';
import '../support/properties.ts';

const failing = (): Promise<never> => Promise.reject(new Error('down'));

test('ten thousand retried calls, half of them aborted in their wait, leave no listener on a long-lived signal and no timer', async () => {
  const clock = new VirtualClock();
  const caller = new AbortController();
  const steady = pipeline([retry({ maxAttempts: 2, backoff: { delay: 10, jitter: 'none' }, budget: false })], { clock });
  for (let round = 0; round < 100; round++) {
    const all = Array.from({ length: 50 }, () => steady.execute(failing, { signal: caller.signal }).catch(() => undefined));
    await clock.advance(20);
    await Promise.all(all);
  }
  expect([getEventListeners(caller.signal, 'abort').length, clock.pending]).toEqual([0, 0]);
  for (let round = 0; round < 100; round++) {
    const gone = new AbortController();
    const all = Array.from({ length: 50 }, () => steady.execute(failing, { signal: gone.signal }).catch(() => undefined));
    await clock.advance(5);
    gone.abort();
    await Promise.all(all);
    expect([getEventListeners(gone.signal, 'abort').length, clock.pending]).toEqual([0, 0]);
  }
});

test('a request whose body has been read is not sent again empty', async () => {
  const request = new Request('http://localhost/', { method: 'PUT', body: 'order' });
  const bodies: string[] = [];
  const failed = await pipeline([retry({ maxAttempts: 5, backoff: { delay: 0 } })])
    .execute(async () => {
      bodies.push(await request.text());
      throw new Error('connection lost');
    })
    .catch((error: unknown) => error);
  expect(bodies).toEqual(['order']);
  expect(failed).toBeInstanceOf(TypeError);
});

test('neither attempts nor what the budget pays for are ever exceeded, however calls, failures and aborts fall', async () => {
  const calls = fc.array(
    fc.record({
      at: fc.integer({ min: 0, max: 3000 }),
      takes: fc.integer({ min: 0, max: 300 }),
      fails: fc.integer({ min: 0, max: 6 }),
      abortAfter: fc.option(fc.integer({ min: 0, max: 1500 })),
    }),
    { minLength: 1, maxLength: 25 },
  );
  await fc.assert(
    fc.asyncProperty(calls, fc.integer({ min: 0, max: 3 }), async (script, minPerSecond) => {
      const clock = new VirtualClock();
      const started: number[] = [];
      const paid: number[] = [];
      const exceeded: number[] = [];
      const budget = retryBudget({ ratio: 0.5, minPerSecond, ttl: 1000 });
      const concurrent = retryBudget({ kind: 'concurrent' });
      const both = [budget, concurrent].map((each) =>
        pipeline([retry({ maxAttempts: 4, budget: each, backoff: { delay: 50 } })], { clock }),
      );
      both[0]?.on('retry.scheduled', ({ at }) => {
        paid.push(at);
        const within = (times: number[]): number => times.filter((time) => at - time < 1000).length;
        // Listeners' errors change nothing, so what is wrong is kept for later.
        if (within(paid) > 0.5 * within(started) + minPerSecond + 1e-6) exceeded.push(at);
      });
      const done = script.map(async ({ at, takes, fails, abortAfter }) => {
        await new Promise<void>((resolve) => clock.setTimeout(resolve, at));
        await Promise.all(
          both.map(async (steady, i) => {
            const caller = new AbortController();
            // What is aborted gets back what it paid, which this count would not know.
            if (abortAfter !== null && i === 1) clock.setTimeout(() => caller.abort(), abortAfter);
            if (i === 0) started.push(clock.now());
            let attempts = 0;
            await steady
              .execute(
                async () => {
                  expect(++attempts).toBeLessThanOrEqual(4);
                  await new Promise<void>((resolve) => clock.setTimeout(resolve, takes));
                  if (attempts <= fails) throw new Error('down');
                },
                { signal: caller.signal },
              )
              .catch((error: unknown) => {
                if ((error as Error).message.includes('expected')) throw error;
              });
          }),
        );
      });
      await clock.runAll();
      await Promise.all(done);
      expect(exceeded).toEqual([]);
      expect(concurrent.snapshot()).toMatchObject({ balance: 3, usage: 0 });
    }),
    { numRuns: 40 },
  );
});
