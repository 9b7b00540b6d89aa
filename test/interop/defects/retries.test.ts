/** Retries; see ../defects.ts. */

import * as cockatiel from 'cockatiel';
import pRetry from 'p-retry';
import { expect, vi } from 'vitest';
import { RetryExhaustedError, pipeline, retry } from 'breakwater';
import { seededRandom } from 'breakwater/testing';
import { useProcessTime } from '../../support/process-clock.ts';
import { Fate, HOUR, Held, demonstrate, errorWithin, fails, pass, succeeds, within } from './demonstration.ts';

useProcessTime();

type Work = () => Promise<unknown>;

/** Aborts a call 20 ms into a wait of a second, and lets that second pass. */
async function abortedInBackoff(run: (work: Work, signal: AbortSignal) => Promise<unknown>) {
  const caller = new AbortController();
  const reason = new Error('no longer needed');
  const work = vi.fn(fails);
  const call = new Fate(run(work, caller.signal));
  await pass(20);
  caller.abort(reason);
  await pass(0);
  const atOnce = call.state;
  await pass(1000);
  return { atOnce, attempts: work.mock.calls.length, got: call.got, reason };
}

/** How often work that fails has been called after so many ms. */
async function attemptsAfter(ms: number, run: (work: Work) => Promise<unknown>): Promise<number> {
  const work = vi.fn(fails);
  void run(work).catch(() => undefined);
  await pass(ms);
  return work.mock.calls.length;
}

/** When ten callers who failed together come back, in ms. */
async function returns(run: (work: Work) => Promise<unknown>): Promise<number[]> {
  const start = Date.now();
  const times: number[] = [];
  for (let i = 0; i < 10; i++) {
    let attempt = 0;
    void run(async () => {
      if (attempt++ === 0) return fails();
      times.push(Date.now() - start);
      return 1;
    });
  }
  await pass(10_000);
  expect(times).toHaveLength(10);
  return times;
}

/** How often the work of a hundred calls to a service that is down is run. */
async function load(run: (work: Work) => Promise<unknown>): Promise<number> {
  const work = vi.fn(fails);
  for (let i = 0; i < 100; i++) void run(work).catch(() => undefined);
  await pass(HOUR);
  return work.mock.calls.length;
}

demonstrate('retries', {
  'An abort is slept through': {
    there: {
      cockatiel: async () => {
        const policy = cockatiel.retry(cockatiel.handleAll, { maxAttempts: 1, backoff: new cockatiel.ConstantBackoff(1000) });
        const { atOnce, attempts } = await abortedInBackoff((work, signal) => policy.execute(work, signal));
        expect([atOnce, attempts]).toEqual(['pending', 2]);
      },
    },
    here: async () => {
      const guarded = pipeline([retry({ maxAttempts: 2, backoff: { delay: 1000, jitter: 'none' } })]);
      const { atOnce, attempts, got, reason } = await abortedInBackoff((work, signal) => guarded.execute(work, { signal }));
      expect([atOnce, attempts]).toEqual(['error', 1]);
      expect(got).toBe(reason);
    },
  },

  'An aborted call runs': {
    there: {
      cockatiel: async () => {
        const work = vi.fn(succeeds);
        await within(0, cockatiel.retry(cockatiel.handleAll, { maxAttempts: 1 }).execute(work, AbortSignal.abort()));
        expect(work).toHaveBeenCalledTimes(1);
      },
    },
    here: async () => {
      const work = vi.fn(succeeds);
      const { signal } = new AbortController();
      await errorWithin(0, pipeline([retry()]).execute(work, { signal: AbortSignal.abort() }));
      expect(work).not.toHaveBeenCalled();
      expect(await within(0, pipeline([retry()]).execute(work, { signal }))).toBe(1);
    },
  },

  'Retries without end or wait': {
    there: {
      cockatiel: async () => {
        let down = true;
        const work = vi.fn(() => (down ? fails() : succeeds()));
        const call = new Fate(cockatiel.retry(cockatiel.handleAll, {}).execute(work));
        await pass(1000);
        expect(work.mock.calls.length).toBeGreaterThanOrEqual(1000);
        expect(call.state).toBe('pending');
        down = false;
        await pass(10);
        expect(call.state).toBe('value');
      },
    },
    here: async () => {
      const guarded = pipeline([retry()], { random: () => 0.5 });
      const delays: number[] = [];
      guarded.on('retry.scheduled', ({ delay }) => delays.push(delay));
      expect(await attemptsAfter(HOUR, (work) => guarded.execute(work))).toBe(3);
      expect(delays).toEqual([50, 100]);
    },
  },

  'The last bad result is the answer': {
    there: {
      cockatiel: async () => {
        const bad = cockatiel.handleWhenResult((result) => result === 'bad');
        expect(
          await within(
            1000,
            cockatiel.retry(bad, { maxAttempts: 2 }).execute(() => 'bad'),
          ),
        ).toBe('bad');
      },
    },
    here: async () => {
      const when = (outcome: { readonly ok: boolean; readonly value?: unknown }): boolean => outcome.value === 'bad';
      const error = await errorWithin(
        10_000,
        pipeline([retry({ when })]).execute(() => 'bad'),
      );
      expect(error).toBeInstanceOf(RetryExhaustedError);
      expect(error).toMatchObject({ value: 'bad' });
      expect(
        await within(
          10_000,
          pipeline([retry({ when, onExhausted: 'last' })]).execute(() => 'bad'),
        ),
      ).toBe('bad');
    },
  },

  'The work is not told of the abort': {
    there: {
      'p-retry': async () => {
        const held = new Held();
        const work = vi.fn<(...given: unknown[]) => Promise<unknown>>(held.work);
        const caller = new AbortController();
        const call = new Fate(pRetry(work, { signal: caller.signal }));
        await pass(0);
        caller.abort();
        await pass(HOUR);
        expect([call.state, held.running]).toEqual(['pending', 1]);
        expect(work.mock.calls).toEqual([[1]]);
        await held.end();
        expect(call.state).toBe('error');
      },
    },
    here: async () => {
      const held = new Held();
      let given: AbortSignal | undefined;
      const caller = new AbortController();
      const reason = new Error('no longer needed');
      const call = pipeline([retry()]).execute(
        ({ signal }) => {
          given = signal;
          return held.work();
        },
        { signal: caller.signal },
      );
      caller.abort(reason);
      expect(await errorWithin(0, call)).toBe(reason);
      expect([given?.aborted, given?.reason]).toEqual([true, reason]);
    },
  },

  'A long wait is none': {
    there: {
      cockatiel: async () => {
        const policy = cockatiel.retry(cockatiel.handleAll, { maxAttempts: 5, backoff: new cockatiel.ConstantBackoff(2 ** 31) });
        expect(await attemptsAfter(100, (work) => policy.execute(work))).toBe(6);
      },
      'p-retry': async () => {
        expect(await attemptsAfter(100, (work) => pRetry(work, { retries: 5, minTimeout: 2 ** 31 }))).toBe(6);
      },
    },
    mended: {
      'p-retry': async () => {
        expect(await attemptsAfter(24 * HOUR, (work) => pRetry(work, { retries: 5, minTimeout: 2 ** 31 }))).toBe(1);
      },
    },
    here: async () => {
      const guarded = pipeline([retry({ maxAttempts: 6, backoff: { delay: 2 ** 31, maxDelay: Infinity, jitter: 'none' } })]);
      expect(await attemptsAfter(2 ** 31 - 1, (work) => guarded.execute(work))).toBe(1);
      expect(await attemptsAfter(2 ** 31, (work) => guarded.execute(work))).toBe(2);
    },
  },

  'Two clocks': {
    there: {
      'p-retry': async () => {
        const options = { retries: 5, minTimeout: 400, factor: 1, maxRetryTime: 1000 };
        expect(await attemptsAfter(HOUR, (work) => pRetry(work, options))).toBeLessThan(6);
        fakeDateAndTimers();
        expect(await attemptsAfter(HOUR, (work) => pRetry(work, options))).toBe(6);
      },
    },
    here: async () => {
      const guarded = (): ((work: Work) => Promise<unknown>) => {
        const steady = pipeline([retry({ maxAttempts: 6, backoff: { kind: 'constant', delay: 400, jitter: 'none' }, maxDuration: 1000 })]);
        return (work) => steady.execute(work);
      };
      expect(await attemptsAfter(HOUR, guarded())).toBe(3);
      fakeDateAndTimers();
      expect(await attemptsAfter(HOUR, guarded())).toBe(3);
    },
  },

  'What was thrown is replaced': {
    there: {
      'p-retry': async () => {
        const error = await errorWithin(
          0,
          pRetry(() => Promise.reject('busy'), { retries: 0 }),
        );
        expect(error).toBeInstanceOf(TypeError);
        expect((error as TypeError).cause).toBe(undefined);
      },
    },
    here: async () => {
      const thrown = { code: 'busy' };
      expect(
        await errorWithin(
          0,
          pipeline([retry({ maxAttempts: 1 })]).execute(() => Promise.reject(thrown)),
        ),
      ).toBe(thrown);
    },
  },

  'All come back together': {
    there: {
      'p-retry': async () => expect(await returns((work) => pRetry(work))).toEqual(Array.from({ length: 10 }, () => 1000)),
    },
    here: async () => {
      const guarded = pipeline([retry({ backoff: { delay: 1000 } })], { random: seededRandom(1) });
      const times = await returns((work) => guarded.execute(work));
      expect(new Set(times.map((time) => Math.floor(time / 100))).size).toBeGreaterThan(4);
    },
  },

  'An outage multiplies the load': {
    there: {
      'p-retry': async () => expect(await load((work) => pRetry(work))).toBe(1100),
    },
    here: async () => {
      const guarded = pipeline([retry({ maxAttempts: 11 })], { random: seededRandom(1) });
      expect(await load((work) => guarded.execute(work))).toBeLessThanOrEqual(220);
    },
  },
});

/** As those of node:test: `performance` goes on. */
function fakeDateAndTimers(): void {
  vi.useRealTimers();
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'] });
}
