import { expect, test } from 'vitest';
import { type GatePolicy, RateLimitedError, adaptiveRate, composite, leakyBucket, tokenBucket, warmUp } from 'breakwater';
import { arrange } from 'breakwater/testing';
import { reasonOf } from '../support/answers.ts';

// Elsewhere a caller waits its full time for permits that cannot come in time, and only then hears of it.
/** Limits of one call per second, for which calls may wait five. */
const limiters: readonly [string, () => GatePolicy][] = [
  ['tokenBucket', () => tokenBucket({ rate: 1, burst: 1, maxWait: '5s' })],
  ['leakyBucket', () => leakyBucket({ rate: 1, maxQueueTime: '5s' })],
  ['warmUp', () => warmUp({ rate: 1, warmUpPeriod: 0, pacing: true, maxWait: '5s' })],
  ['composite', () => composite([tokenBucket({ rate: 1, burst: 1 }), tokenBucket({ rate: 5 })], { maxWait: '5s' })],
  ['adaptiveRate', () => adaptiveRate({ minRate: 1, maxWait: '5s' })],
];
/** What the first call is answered with: an adaptive rate is no limit before that. */
const tooMany = (): object => ({ status: 429, headers: {} });

test.each(limiters)(
  '%s: a call that could not be let in before its deadline is refused at once, not at its deadline',
  async (_name, make) => {
    const { run, clock } = arrange(make());
    await run(tooMany);
    for (const deadline of [500, 999, 1000]) {
      expect(await reasonOf(run(() => 1, { deadline }))).toBeInstanceOf(RateLimitedError);
      expect(clock.now()).toBe(0);
    }
    expect(await clock.until(run(() => 'in time', { deadline: 1001 }))).toBe('in time');
    expect(clock.pending).toBe(0);
  },
);

test.each(limiters)('%s: a call that would wait longer than is allowed is refused at once, and takes nothing', async (name, make) => {
  const { run, clock } = arrange(make());
  await run(tooMany);
  const calls = [1, 2, 3, 4, 5].map(() => run(() => clock.now()));
  for (let i = 0; i < 100; i++) expect(await reasonOf(run(() => 1))).toBeInstanceOf(RateLimitedError);
  expect(clock.now()).toBe(0);
  const left = await clock.until(Promise.all(calls));
  // An adaptive rate recovers while they wait.
  if (name === 'adaptiveRate') expect([left[0], left.every((at) => at <= 5000)]).toEqual([1000, true]);
  else expect(left).toEqual([1000, 2000, 3000, 4000, 5000]);
});

test.each(limiters)('%s: aborted callers keep no place in the queue', async (_name, make) => {
  const { run, clock } = arrange(make());
  await run(tooMany);
  const callers = [1, 2, 3, 4].map(() => new AbortController());
  const gone = callers.map(({ signal }) => reasonOf(run(() => 'ran', { signal })));
  const last = run(() => clock.now());
  for (const caller of callers) caller.abort('gone');
  expect(await Promise.all(gone)).toEqual(['gone', 'gone', 'gone', 'gone']);
  expect(await clock.until(last)).toBe(1000);
  expect(clock.pending).toBe(0);
});
