import { expect, test } from 'vitest';
import { RateLimitedError } from 'breakwater';
import { arrange } from 'breakwater/testing';
import { leakyBucket } from '../../src/policies/leaky-bucket.ts';
import { tokenBucket } from '../../src/policies/token-bucket.ts';

// Elsewhere a caller waits its full time for permits that cannot come in time, and only then hears of it.
const limiters = [
  ['tokenBucket', () => tokenBucket({ rate: 1, burst: 1, maxWait: '5s' })],
  ['leakyBucket', () => leakyBucket({ rate: 1, maxQueueTime: '5s' })],
] as const;

test.each(limiters)(
  '%s: a call that could not be let in before its deadline is refused at once, not at its deadline',
  async (_name, make) => {
    const { run, clock } = arrange(make());
    await run(() => 1);
    for (const deadline of [500, 999, 1000]) {
      const outcome: unknown = await run(() => 1, { deadline }).catch((error: unknown) => error);
      expect(outcome).toBeInstanceOf(RateLimitedError);
      expect(clock.now()).toBe(0);
    }
    expect(await clock.until(run(() => 'in time', { deadline: 1001 }))).toBe('in time');
    expect(clock.pending).toBe(0);
  },
);

test.each(limiters)('%s: a call that would wait longer than is allowed is refused at once, and takes nothing', async (_name, make) => {
  const { run, clock } = arrange(make());
  const calls = [0, 1, 2, 3, 4, 5].map(() => run(() => clock.now()));
  for (let i = 0; i < 100; i++) expect(await run(() => 1).catch((error: unknown) => error)).toBeInstanceOf(RateLimitedError);
  expect(clock.now()).toBe(0);
  expect(await clock.until(Promise.all(calls))).toEqual([0, 1000, 2000, 3000, 4000, 5000]);
});
