import { describe, expect, test } from 'vitest';
import { type HotKeysSettings, HotKeys } from '../../src/algorithms/hot-keys.ts';
import { Bucket } from '../../src/algorithms/meters/token-bucket.ts';

const hotKeys = (settings: Partial<HotKeysSettings> = {}): HotKeys => {
  const all = { window: 1000, top: 10, threshold: 5, limit: 10, ...settings };
  const keys = new HotKeys(
    all,
    (now) => new Bucket({ rate: all.limit, per: all.window, burst: all.limit }, all.limit, now),
    (id) => id,
    4,
  );
  keys.advance(0);
  return keys;
};

describe('hot keys', () => {
  test('a million keys are counted in the memory of a few, and one that is hot among them is found', () => {
    const keys = hotKeys({ top: 100 });
    for (let i = 0; i < 1_000_000; i++) {
      keys.pass(`flood ${i}`, 0);
      if (i % 10_000 === 0) keys.pass('hot', 0);
    }
    expect(keys.accounts.size).toBeLessThanOrEqual(100);
    expect(keys.find('hot')?.hot).toBe(true);
  });

  test('what a key did before it had an account counts from the beginning of its window, what it does after from then', () => {
    const keys = hotKeys();
    keys.advance(1900);
    for (let i = 0; i < 6; i++) keys.pass('a', 1900);
    // Two of ten tokens were taken at 1000, and are back; four at 1900.
    expect(keys.find('a')?.meter.available(1900)).toBe(6);
    expect(keys.find('a')?.hot).toBe(true);
  });

  test('a clock that begins anew holds nobody to what was before', () => {
    const keys = hotKeys();
    keys.advance(1e9);
    for (let i = 0; i < 20; i++) keys.pass('a', 1e9);
    expect(keys.find('a')?.meter.wait(1, 1e9)).toBeGreaterThan(0);
    keys.advance(5000);
    expect(keys.find('a')?.calls).toBe(0);
    expect(keys.find('a')?.meter.wait(1, 7000)).toBe(0);
  });

  test('time that goes back a little stands still', () => {
    const keys = hotKeys();
    keys.advance(5000);
    for (let i = 0; i < 3; i++) keys.pass('a', 5000);
    expect(keys.advance(4999)).toEqual([]);
    keys.pass('a', 4999);
    expect(keys.find('a')?.calls).toBe(4);
  });
});
