import { describe, expect, test } from 'vitest';
import { Composite } from '../../../src/algorithms/meters/composite.ts';
import { Bucket } from '../../../src/algorithms/meters/token-bucket.ts';

/** Ten a second, five at once; and one a second, of which three at once. */
function pair(): { readonly fast: Bucket; readonly slow: Bucket; readonly both: Composite } {
  const fast = new Bucket({ rate: 10, per: 1000, burst: 5 }, 5, 0);
  const slow = new Bucket({ rate: 1, per: 1000, burst: 3 }, 3, 0);
  return { fast, slow, both: new Composite([fast, slow]) };
}

describe('several meters as one', () => {
  test('have to be waited for as long as the slowest, and all take together', () => {
    const { fast, slow, both } = pair();
    expect(both.wait([5, 3], 0)).toBe(0);
    both.take([5, 3], 0);
    expect([fast.available(0), slow.available(0)]).toEqual([0, 0]);
    expect([both.wait([1, undefined], 0), both.slowest]).toEqual([100, 0]);
    expect([both.wait([1, 1], 0), both.slowest]).toEqual([1000, 1]);
    expect([both.copy().wait([9, 1], 0), both.slowest]).toEqual([Infinity, 0]);
    expect([both.wait([1, 9], 0), both.slowest]).toEqual([Infinity, 1]);
    expect([fast.available(0), slow.available(0)]).toEqual([0, 0]);
  });

  test('a part that is not asked for anything has no say and takes nothing', () => {
    const { fast, slow, both } = pair();
    both.take([1, 3], 0);
    expect(both.wait([1, undefined], 0)).toBe(0);
    const receipts = both.take([1, undefined], 0);
    expect([fast.available(0), slow.available(0)]).toEqual([3, 0]);
    both.giveBack(receipts, 0);
    expect([fast.available(0), slow.available(0)]).toEqual([4, 0]);
  });

  test('all get back what they gave, all are drained, and all have to be fresh', () => {
    const { fast, slow, both } = pair();
    const receipts = both.take([2, 2], 0);
    expect(both.isFresh(0)).toBe(false);
    both.giveBack(receipts, 0);
    expect(both.isFresh(0)).toBe(true);
    both.drain(0);
    expect([fast.available(0), slow.available(0)]).toEqual([0, 0]);
    expect([both.isFresh(500), both.isFresh(3000)]).toEqual([false, true]);
  });

  test('a copy goes its own way, and time begins for all of them', () => {
    const { fast, slow, both } = pair();
    const copy = both.copy();
    copy.take([5, 3], 0);
    expect([fast.available(0), slow.available(0), copy.wait([1, 1], 0)]).toEqual([5, 3, 1000]);
    both.take([5, 3], 0);
    both.begin(77_000);
    expect([both.wait([1, undefined], 77_000), both.wait([1, 1], 77_000)]).toEqual([100, 1000]);
  });
});
