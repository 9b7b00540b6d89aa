import { describe, expect, test } from 'vitest';
import { seededRandom } from 'breakwater/testing';
import { HeavyKeeper } from '../../src/algorithms/heavy-keeper.ts';

/** Draws keys by Zipf's law: the nth is asked for in proportion to 1 / n^skew. */
function zipf(keys: number, skew: number, random: () => number): () => number {
  const sums = new Float64Array(keys);
  let sum = 0;
  for (let n = 0; n < keys; n++) sums[n] = sum += (n + 1) ** -skew;
  return () => {
    const wanted = random() * sum;
    let [low, high] = [0, keys - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((sums[middle] as number) < wanted) low = middle + 1;
      else high = middle;
    }
    return low;
  };
}

describe('a HeavyKeeper', () => {
  test('counts ids that are alone exactly, takes back, and forgets', () => {
    const keeper = new HeavyKeeper(1024, 1);
    const [a, b] = [keeper.trace('a'), keeper.trace('b')];
    expect([keeper.add(a), keeper.add(a), keeper.add(b), keeper.add(a)]).toEqual([1, 2, 1, 3]);
    keeper.remove(a);
    expect(keeper.add(a)).toBe(3);
    keeper.clear();
    expect(keeper.add(a)).toBe(1);
  });

  test('tells a text from the hash of a long one that reads the same', () => {
    const keeper = new HeavyKeeper(1024, 1);
    const hash = 123_456_789n;
    for (let i = 0; i < 10; i++) keeper.add(keeper.trace(hash));
    expect(keeper.add(keeper.trace(hash.toString(36)))).toBe(1);
  });

  test('another id in the same place takes one away at most, and the place once nothing is left', () => {
    let worn = 0;
    for (let seed = 1; seed <= 50; seed++) {
      const keeper = new HeavyKeeper(1, seed);
      const [a, b] = [keeper.trace('a'), keeper.trace('b')];
      for (let i = 0; i < 3; i++) keeper.add(a);
      keeper.add(b);
      const left = keeper.add(a) - 1;
      expect(left).toBeGreaterThanOrEqual(2);
      expect(left).toBeLessThanOrEqual(3);
      worn += 3 - left;
      let estimate = 0;
      for (let i = 0; i < 100; i++) estimate = keeper.add(b);
      expect(estimate).toBeGreaterThan(50);
      expect(keeper.add(a)).toBe(0);
    }
    // Both rows at once, each with 1.08^-3.
    expect(worn).toBeGreaterThan(20);
    expect(worn).toBeLessThan(45);
  });

  test.each([0.8, 1, 1.3])('never says more than there was, and of ids asked for often little less, in traffic by Zipf with %d', (skew) => {
    const draw = zipf(100_000, skew, seededRandom(3));
    const keeper = new HeavyKeeper(4096, 7);
    const [seen, said] = [new Map<number, number>(), new Map<number, number>()];
    const calls = 200_000;
    for (let i = 0; i < calls; i++) {
      const key = draw();
      const count = (seen.get(key) ?? 0) + 1;
      seen.set(key, count);
      const estimate = keeper.add(keeper.trace(`key ${key}`));
      if (estimate > count) expect.fail(`said ${estimate} for ${count}`);
      said.set(key, estimate);
    }
    const often = [...seen].filter(([, count]) => count > calls / 500);
    expect(often.length).toBeGreaterThan(3);
    for (const [key, count] of often) expect(said.get(key)).toBeGreaterThan(0.9 * count);
  });

  test('finds what comes often among a million that come once', () => {
    const keeper = new HeavyKeeper(4096, 9);
    let estimate = 0;
    for (let i = 0; i < 1_000_000; i++) {
      keeper.add(keeper.trace(`flood ${i}`));
      if (i % 2000 === 0) estimate = keeper.add(keeper.trace('hot'));
    }
    expect(estimate).toBeGreaterThan(450);
    expect(estimate).toBeLessThanOrEqual(500);
  });
});
