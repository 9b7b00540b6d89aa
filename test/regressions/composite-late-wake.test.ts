import { expect, test } from 'vitest';
import { composite, fixedWindow, pipeline, tokenBucket } from 'breakwater';
import { VirtualClock } from 'breakwater/testing';

// Elsewhere everybody whose wait is over is let in, whether or not there is anything left by then.

test('after the event loop was blocked, those who waited are let in as far as their limits go, and not all at once', async () => {
  const clock = new VirtualClock();
  const p = pipeline([composite([tokenBucket({ rate: 10, burst: 2 }), fixedWindow({ limit: 100, window: '1m' })], { maxWait: '1m' })], {
    clock,
  });
  const begun: number[] = [];
  const calls = Array.from({ length: 12 }, () => p.execute(() => begun.push(clock.now())));
  await clock.advance(0);
  expect(begun).toEqual([0, 0]);
  await clock.stall(900);
  await clock.advance(0);
  expect(begun).toHaveLength(4); // not eleven, which is what the time would have been enough for
  await clock.until(Promise.all(calls));
  for (const [i, at] of begun.slice(4).entries()) expect(at - (begun[3] as number)).toBeGreaterThanOrEqual((i + 1) * 100 - 1);
});

test('a limit that others used up meanwhile is looked at again before anybody is let in', async () => {
  const clock = new VirtualClock();
  const shared = tokenBucket({ rate: 1, burst: 5 });
  const both = pipeline([composite([shared, tokenBucket({ rate: 1, per: '10s', burst: 1 })], { maxWait: '1m' })], { clock });
  const alone = pipeline([shared], { clock });
  await both.execute(() => 1);
  const second = both.execute(() => clock.now());
  await clock.advance(9500);
  for (let i = 0; i < 5; i++) expect(alone.tryAcquire().admitted).toBe(true);
  expect(await clock.until(second)).toBe(10_500);
});
