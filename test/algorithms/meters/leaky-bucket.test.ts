import { describe, expect, test } from 'vitest';
import { type Leak, PacedBucket } from '../../../src/algorithms/meters/leaky-bucket.ts';

const leak = (changes: Partial<Leak> = {}): Leak => ({ rate: 10, per: 1000, burst: 3, delay: 0, ...changes });

/** What each of `count` calls that come at once is told: how long it is held, or that it is refused. */
function holds(bucket: PacedBucket, count: number, now = 0): (number | 'refused')[] {
  return Array.from({ length: count }, () => {
    const hold = bucket.reach(1, now);
    if (hold > bucket.longest) return 'refused';
    bucket.take(1, now);
    return Math.round(hold);
  });
}

describe('a leaky bucket', () => {
  test('lets calls leave one by one and bears so many ahead of the rate', () => {
    expect(holds(new PacedBucket(leak(), 0), 6)).toEqual([0, 100, 200, 300, 'refused', 'refused']);
  });

  test('lets some of them pass at once before it holds any', () => {
    expect(holds(new PacedBucket(leak({ delay: 2 }), 0), 6)).toEqual([0, 0, 0, 100, 'refused', 'refused']);
    expect(holds(new PacedBucket(leak({ delay: Infinity }), 0), 6)).toEqual([0, 0, 0, 0, 'refused', 'refused']);
    expect(holds(new PacedBucket(leak({ burst: Infinity }), 0), 6)).toEqual([0, 100, 200, 300, 400, 500]);
  });

  test('tells the excess, which leaks away at the rate', () => {
    const bucket = new PacedBucket(leak({ delay: 1 }), 0);
    expect(bucket.excess(0)).toBe(0);
    holds(bucket, 3);
    expect(bucket.excess(0)).toBe(3);
    expect(bucket.excess(150)).toBeCloseTo(1.5, 12);
    expect(bucket.excess(10_000)).toBe(0);
  });

  test('keeps the excess when what it allows changes (L8)', () => {
    const bucket = new PacedBucket(leak({ burst: 5, delay: 5 }), 0);
    holds(bucket, 5);
    bucket.reshape(leak({ rate: 100, burst: 8, delay: 0 }), 0);
    expect(bucket.excess(0)).toBe(5);
    expect(holds(bucket, 5)).toEqual([50, 60, 70, 80, 'refused']);
    bucket.reshape(leak({ rate: 1, burst: 20, delay: 20 }), 1000);
    expect(bucket.excess(1000)).toBe(0);
    expect(holds(bucket, 22, 1000).filter((hold) => hold === 0)).toHaveLength(21);
  });
});
