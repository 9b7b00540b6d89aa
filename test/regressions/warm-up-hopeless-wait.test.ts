import { expect, test } from 'vitest';
import { type GatePolicy, RateLimitedError, adaptiveRate, composite, tokenBucket, warmUp } from 'breakwater';
import { arrange } from 'breakwater/testing';

// Elsewhere a caller waits its full time for permits that cannot come in time, and only then hears of it.
const limiters: readonly [string, () => GatePolicy][] = [
  ['warmUp', () => warmUp({ rate: 1, warmUpPeriod: 0, pacing: true, maxWait: '5s' })],
  ['composite', () => composite([tokenBucket({ rate: 1, burst: 1 }), tokenBucket({ rate: 5 })], { maxWait: '5s' })],
  ['adaptiveRate', () => adaptiveRate({ minRate: 1, maxWait: '5s' })],
];
const first = (): object => ({ status: 429, headers: {} });

test.each(limiters)(
  '%s: a call that could not be let in before its deadline is refused at once, not at its deadline',
  async (_name, make) => {
    const { run, clock } = arrange(make());
    await run(first);
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
  await run(first);
  const calls = [1, 2, 3, 4, 5].map(() => run(() => clock.now()));
  for (let i = 0; i < 100; i++) expect(await run(() => 1).catch((error: unknown) => error)).toBeInstanceOf(RateLimitedError);
  expect(clock.now()).toBe(0);
  const left = await clock.until(Promise.all(calls));
  expect(left.slice(0, 1)).toEqual([1000]);
  expect(left.at(-1)).toBeLessThanOrEqual(5000);
});

test.each(limiters)('%s: aborted callers keep no place in the queue', async (_name, make) => {
  const { run, clock } = arrange(make());
  await run(first);
  const callers = [1, 2, 3, 4].map(() => new AbortController());
  const gone = callers.map(({ signal }) => run(() => 'ran', { signal }).catch((reason: unknown) => reason));
  const last = run(() => clock.now());
  for (const caller of callers) caller.abort('gone');
  expect(await Promise.all(gone)).toEqual(['gone', 'gone', 'gone', 'gone']);
  expect(await clock.until(last)).toBe(1000);
  expect(clock.pending).toBe(0);
});
