import { expect, test } from 'vitest';
import { arrange } from 'breakwater/testing';
import { type AdaptiveLimiterOptions, adaptiveLimiter } from '../../src/policies/adaptive-limiter.ts';

/** A limiter, and rounds of calls that all take the same time. */
function arranged(options: AdaptiveLimiterOptions) {
  const { policy: limiter, clock, run } = arrange(adaptiveLimiter({ coldSamples: 0, ...options }));
  const round = async (calls: number, ms: number, error?: Error): Promise<void> => {
    const work = (): Promise<void> =>
      new Promise((resolve, reject) => {
        clock.setTimeout(() => (error === undefined ? resolve() : reject(error)), ms);
      });
    const all = Array.from({ length: calls }, () => run(work).catch(() => undefined));
    await clock.advance(ms);
    await Promise.all(all);
  };
  return { limiter, clock, round };
}

const kinds = ['correlated', 'gradient', 'vegas', 'aimd'] as const;

test.each(kinds)('%s: a quiet service does not raise its limit for ever (elsewhere a constant queue term did)', async (algorithm) => {
  const { limiter, round } = arranged({ algorithm });
  for (let i = 0; i < 600; i++) await round(6, 100);
  expect(limiter.limit).toBe(20);
});

test.each(kinds)('%s: a limit above its need never keeps it from shrinking again', async (algorithm) => {
  const { limiter, round } = arranged({ algorithm, initial: 100 });
  const busy = Object.assign(new Error('busy'), { status: 503 });
  for (let i = 0; i < 400; i++) await round(6, 100, busy);
  expect(limiter.limit).toBeLessThanOrEqual(60);
});

test('a few slow calls at night do not move the limit (elsewhere a window of one sample did)', async () => {
  const { limiter, round, clock } = arranged({ algorithm: 'vegas', max: 50 });
  for (let i = 0; i < 100; i++) await round(10, 20);
  const before = limiter.snapshot();
  for (let i = 0; i < 50; i++) {
    await round(1, 2000);
    await clock.advance(15_000);
  }
  expect(limiter.limit).toBe(before.limit);
  expect(limiter.snapshot().baseline).toBe(before.baseline);
});

test('a window without a single success holds the limit where it is (elsewhere an empty histogram gave 0)', async () => {
  const { limiter, round } = arranged({});
  for (let i = 0; i < 100; i++) await round(20, 50, new Error('no such thing'));
  expect(limiter.snapshot()).toMatchObject({ limit: 20, baseline: undefined, recent: undefined, gradient: 1 });
});

test('answers to calls from before a cut of the limit do not cut it again', async () => {
  const { limiter, clock, round } = arranged({ algorithm: { kind: 'aimd', timeout: 100 }, initial: 100 });
  await round(100, 150);
  expect(limiter.limit).toBe(90);
  expect(clock.pending).toBe(0);
});

test('calls that come back at once, failed, are not taken for a quick service', async () => {
  const { limiter, round } = arranged({ algorithm: 'vegas', max: 50, initial: 50 });
  for (let i = 0; i < 200; i++) await round(50, 20);
  const { limit } = limiter;
  for (let i = 0; i < 200; i++) await round(50, 1, new Error('refused by the kernel'));
  for (let i = 0; i < 100; i++) await round(50, 20);
  expect(limiter.limit).toBe(limit);
  expect(limiter.snapshot().baseline).toBe(20);
});
