import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { LoadBuckets } from '../../src/algorithms/load-buckets.ts';
import '../support/properties.ts';

describe('load buckets', () => {
  test('count what came within the time they cover, in whole buckets', () => {
    const buckets = new LoadBuckets(100, 5);
    for (const at of [0, 50, 120, 499]) buckets.add(at);
    expect(buckets.count).toBe(4);
    buckets.expire(500);
    expect(buckets.count).toBe(2);
    buckets.expire(10_000);
    expect(buckets.count).toBe(0);
  });

  test('the bucket that has only begun is no measure: neither for the most nor for the quickest', () => {
    const buckets = new LoadBuckets(100, 5);
    for (let i = 0; i < 9; i++) {
      buckets.add(10);
      buckets.time(4, 10);
    }
    expect([buckets.most(50), buckets.quickest(50)]).toEqual([0, Infinity]);
    expect([buckets.most(150), buckets.quickest(150)]).toEqual([9, 4]);
    expect(buckets.mean(150)).toBe(4);
    expect([buckets.most(700), buckets.quickest(700), buckets.mean(700)]).toEqual([0, Infinity, 0]);
  });

  test('tells of each bucket as it is full, once', () => {
    const told: number[][] = [];
    const buckets = new LoadBuckets(100, 5, (timed, ms, end) => told.push([timed, ms, end]));
    buckets.time(10, 30);
    buckets.time(30, 40);
    buckets.time(7, 110);
    buckets.expire(1e6);
    buckets.expire(2e6);
    expect(told).toEqual([
      [2, 40, 100],
      [1, 7, 200],
    ]);
  });

  test('what is taken back was counted at its own time, if that is still looked at', () => {
    const buckets = new LoadBuckets(100, 3);
    buckets.remove(0);
    for (const at of [10, 110, 210]) buckets.add(at);
    buckets.remove(110);
    buckets.remove(110);
    expect(buckets.count).toBe(2);
    buckets.remove(-500);
    expect(buckets.count).toBe(2);
    buckets.expire(310);
    expect(buckets.count).toBe(1);
  });

  test('a clock that steps back loses nothing and forgets nothing early', () => {
    const buckets = new LoadBuckets(100, 5);
    buckets.add(1000);
    buckets.add(200);
    expect(buckets.count).toBe(2);
    buckets.remove(1000);
    expect(buckets.count).toBe(1);
    expect(buckets.end).toBe(1100);
  });

  test('whatever comes when, the counts are those of a plain list', () => {
    const step = fc.record({ after: fc.integer({ min: 0, max: 400 }), ms: fc.integer({ min: 0, max: 50 }) });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
        const buckets = new LoadBuckets(100, 5);
        const list: { bucket: number; ms: number }[] = [];
        let now = 0;
        for (const { after, ms } of steps) {
          now += after;
          buckets.add(now);
          buckets.time(ms, now);
          list.push({ bucket: Math.floor(now / 100), ms });
          const newest = Math.floor(now / 100);
          const kept = list.filter(({ bucket }) => bucket > newest - 5);
          const full = groups(kept);
          full.delete(newest);
          expect([buckets.count, buckets.timed]).toEqual([kept.length, kept.length]);
          expect(buckets.most(now)).toBe(Math.max(0, ...[...full.values()].map(({ length }) => length)));
          expect(buckets.mean(now)).toBeCloseTo(mean(kept.map((each) => each.ms)), 9);
          expect(buckets.quickest(now)).toBe(Math.min(Infinity, ...[...full.values()].map(mean)));
        }
      }),
    );
  });
});

function groups(list: readonly { readonly bucket: number; readonly ms: number }[]): Map<number, number[]> {
  const found = new Map<number, number[]>();
  for (const { bucket, ms } of list) found.set(bucket, [...(found.get(bucket) ?? []), ms]);
  return found;
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
