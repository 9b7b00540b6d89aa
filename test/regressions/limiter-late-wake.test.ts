import { expect, test } from 'vitest';
import { arrange } from 'breakwater/testing';
import { leakyBucket } from '../../src/policies/leaky-bucket.ts';
import { tokenBucket } from '../../src/policies/token-bucket.ts';

// Elsewhere everybody whose time has come is let in when a late timer fires at last, all of them at once.
test('after the event loop was blocked, waiting calls get in at the rate, not all at once', async () => {
  const { run, clock } = arrange(tokenBucket({ rate: 10, burst: 2, maxWait: '1h' }));
  const calls = Array.from({ length: 50 }, () => run(() => clock.now()));
  await clock.stall('3s');
  const at = await clock.until(Promise.all(calls));
  expect(at.filter((time) => time <= 3000)).toHaveLength(2 + 2);
  for (let i = 5; i < at.length; i++) expect((at[i] as number) - (at[i - 1] as number)).toBeCloseTo(100, -1);
});

test('a newcomer that comes before the late timer does not overtake those who wait', async () => {
  const { run, clock, pipeline: p } = arrange(tokenBucket({ rate: 10, burst: 1, maxWait: '1h' }));
  const order: string[] = [];
  const calls = ['a', 'b', 'c'].map((name) => run(() => order.push(name)));
  clock.jump('1s');
  expect(p.tryAcquire().admitted).toBe(false);
  calls.push(run(() => order.push('newcomer')));
  await clock.until(Promise.all(calls));
  expect(order).toEqual(['a', 'b', 'c', 'newcomer']);
});

test('nor does it take tokens before those who wait have theirs, if there are enough for all', async () => {
  for (const limiter of [
    tokenBucket({ rate: 10, burst: 4, initial: 0, maxWait: '1h' }),
    leakyBucket({ rate: 10, delay: 3, maxQueueTime: '1h' }),
  ]) {
    const { run, clock, pipeline: p } = arrange(limiter);
    const calls = Array.from({ length: limiter.kind === 'token-bucket' ? 2 : 6 }, () => run(() => 1));
    expect(limiter.waiting).toBe(2);
    clock.jump('1s');
    expect([p.tryAcquire().admitted, limiter.waiting]).toEqual([true, 0]);
    await Promise.all(calls);
    await clock.runAll();
  }
});

test('timers that are whole milliseconds cost no rate: five thousand a second are', async () => {
  for (const limiter of [tokenBucket({ rate: 5000, burst: 1, maxWait: '1s' }), leakyBucket({ rate: 5000, maxQueueTime: '1s' })]) {
    const { run, clock } = arrange(limiter);
    await clock.until(Promise.all(Array.from({ length: 5000 }, () => run(() => 1))));
    expect(clock.now()).toBe(1000);
  }
});
