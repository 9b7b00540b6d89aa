import { expect, test } from 'vitest';
import { composite, fixedWindow, pipeline, tokenBucket } from 'breakwater';
import { VirtualClock } from 'breakwater/testing';

// Limiters one behind the other leak: the outer one is charged for calls that the inner one holds back or that are aborted meanwhile, and a caller that hammers uses it up for others.

test('calls that the minute refuses do not use up the day: a caller that hammers leaves the slower limit as it was', async () => {
  const clock = new VirtualClock();
  const day = fixedWindow({ limit: 1000, window: '24h' });
  const minute = tokenBucket({ rate: 10, per: '1m', burst: 10 });
  const p = pipeline([composite([day, minute])], { clock });
  for (let i = 0; i < 5000; i++) p.tryAcquire();
  expect(day.available).toBe(990);
  await clock.advance('1m');
  for (let i = 0; i < 5000; i++) p.tryAcquire();
  expect(day.available).toBe(980);
});

test('a call that waits for the slower limit holds nothing of the faster one, and one that gives up has taken nothing', async () => {
  const clock = new VirtualClock();
  const fast = tokenBucket({ rate: 1, per: '1h', burst: 100 });
  const slow = tokenBucket({ rate: 1, per: '1m', burst: 1 });
  const p = pipeline([composite([fast, slow], { maxWait: '1h' })], { clock });
  await p.execute(() => 1);
  const callers = Array.from({ length: 50 }, () => new AbortController());
  const calls = callers.map(({ signal }) => p.execute(() => clock.now(), { signal }).catch((reason: unknown) => reason));
  expect(fast.available).toBe(99);
  for (const caller of callers.slice(1)) caller.abort('gone');
  expect(await clock.until(Promise.all(calls))).toEqual([60_000, ...Array.from({ length: 49 }, () => 'gone')]);
  expect(fast.available).toBeCloseTo(98, 1);
  expect(clock.pending).toBe(0);
});
