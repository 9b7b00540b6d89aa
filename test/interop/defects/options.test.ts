/** Options that are changed, taken unread, or without effect; see ../defects.ts. */

import Bottleneck from 'bottleneck';
import * as cockatiel from 'cockatiel';
import { expect, vi } from 'vitest';
import { OptionsError, bulkhead, circuitBreaker, pipeline, retry } from 'breakwater';
import { useProcessTime } from '../../support/process-clock.ts';
import { Fate, HOUR, Held, demonstrate, errorWithin, fails, pass, succeeds, within } from './demonstration.ts';
import CircuitBreaker from './opossum.mjs';

useProcessTime();

/** The delays of cockatiel's exponential backoff, with chance taken out. */
function delaysOf(generator: cockatiel.GeneratorFn<number>, exponent: number): number[] {
  let backoff: cockatiel.IBackoff<unknown> = new cockatiel.ExponentialBackoff({
    generator,
    exponent,
    initialDelay: 100,
    maxDelay: HOUR,
  }).next();
  return Array.from({ length: 4 }, () => {
    const { duration } = backoff;
    backoff = (backoff as cockatiel.IBackoff<unknown> & cockatiel.IBackoffFactory<unknown>).next(undefined);
    return duration;
  });
}

demonstrate('options', {
  'The caller’s options object is changed': {
    there: {
      bottleneck: () => {
        const options = { maxConcurrent: 1 };
        new Bottleneck.Group(options).key('somebody');
        expect(options).toMatchObject({ id: 'group-key-somebody', timeout: 300_000 });
        expect(() => new Bottleneck.Group(Object.freeze({ maxConcurrent: 1 })).key('somebody')).toThrow(TypeError);
      },
      opossum: async () => {
        const options = { timeout: false, cache: true };
        const [one, other] = ['one', 'other'].map((answer) => new CircuitBreaker(async () => answer, options));
        expect(options).toMatchObject({ resetTimeout: 30_000, capacity: Number.MAX_SAFE_INTEGER });
        expect(await within(0, one?.fire('key') as Promise<unknown>)).toBe('one');
        expect(await within(0, other?.fire('key') as Promise<unknown>)).toBe('one');
        expect(() => new CircuitBreaker(succeeds, Object.freeze({}))).toThrow(TypeError);
      },
    },
    here: async () => {
      const options = Object.freeze({ consecutiveFailures: 1 });
      const [one, other] = [circuitBreaker(options), circuitBreaker(options)];
      await errorWithin(0, pipeline([one]).execute(fails));
      expect([one.state, other.state]).toEqual(['open', 'closed']);
      expect(options).toEqual({ consecutiveFailures: 1 });
    },
  },

  'NaN is taken for a limit': {
    there: {
      bottleneck: async () => {
        const job = new Fate(new Bottleneck({ maxConcurrent: NaN }).schedule(succeeds));
        await pass(HOUR);
        expect(job.state).toBe('pending');
      },
      cockatiel: async () => {
        expect(await errorWithin(0, cockatiel.bulkhead(NaN).execute(succeeds))).toBeInstanceOf(cockatiel.BulkheadRejectedError);
      },
      opossum: async () => {
        const work = new Held();
        const breaker = new CircuitBreaker(work.work, { timeout: false, capacity: NaN });
        for (let i = 0; i < 1000; i++) void breaker.fire();
        expect(work.running).toBe(1000);
      },
    },
    here: () => {
      expect(() => bulkhead({ maxConcurrent: NaN })).toThrow(OptionsError);
      expect(() => bulkhead({ maxConcurrent: NaN })).toThrow(/maxConcurrent.*expected a whole number.*got NaN/s);
    },
  },

  'An option without effect': {
    there: {
      cockatiel: () => {
        const random = vi.spyOn(Math, 'random').mockReturnValue(0.5);
        for (const exponent of [1, 3, 10]) {
          expect(delaysOf(cockatiel.noJitterGenerator, exponent)).toEqual([100, 200, 400, 800]);
          expect(delaysOf(cockatiel.fullJitterGenerator, exponent)).toEqual([50, 100, 200, 400]);
          expect(delaysOf(cockatiel.halfJitterGenerator, exponent)).toEqual([75, 150, 300, 600]);
        }
        random.mockRestore();
      },
    },
    here: async () => {
      const guarded = pipeline([retry({ maxAttempts: 4, backoff: { delay: 100, factor: 3, jitter: 'none' } })]);
      const delays: number[] = [];
      guarded.on('retry.scheduled', ({ delay }) => delays.push(delay));
      await errorWithin(HOUR, guarded.execute(fails));
      expect(delays).toEqual([100, 300, 900]);
    },
  },
});
