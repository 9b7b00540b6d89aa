import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { pipeline } from 'breakwater';
import { VirtualClock, seededRandom } from 'breakwater/testing';
import '../support/properties.ts';
import { hotKey } from '../../src/policies/hot-key.ts';

const WINDOW = 1000;

/** When a key was let in, and when it came at all. */
type Times = readonly { readonly at: number; readonly ok: boolean }[];

/** The most of these that lie in one span of a window's length. */
function densest(times: readonly number[]): number {
  let most = 0;
  for (let first = 0, last = 0; last < times.length; last++) {
    while ((times[last] as number) - (times[first] as number) >= WINDOW) first++;
    most = Math.max(most, last - first + 1);
  }
  return most;
}

const step = fc.record({
  key: fc.nat(4),
  times: fc.integer({ min: 1, max: 12 }),
  wait: fc.oneof(fc.constant(0), fc.nat(400), fc.nat(3000)),
});

describe('whatever comes when, of a few keys among many', () => {
  test('a key that keeps within the limit in every span of a window is never refused; one that does not gets no more than two limits and what it was not watched for', () => {
    fc.assert(
      fc.property(
        fc.array(step, { minLength: 5, maxLength: 60 }),
        fc.integer({ min: 1, max: 20 }),
        fc.integer({ min: 1, max: 4 }),
        (steps, limit, top) => {
          const clock = new VirtualClock();
          let [now, cold] = [0, 0];
          clock.now = () => now;
          const p = pipeline([hotKey({ limit, window: WINDOW, top })], { clock, random: seededRandom(2) });
          const came = new Map<number, { at: number; ok: boolean }[]>();
          for (const { key, times, wait } of steps) {
            for (let i = 0; i < times; i++) {
              p.tryAcquire({ key: `cold ${cold++}` });
              const { admitted } = p.tryAcquire({ key: `${key}` });
              came.set(key, [...(came.get(key) ?? []), { at: now, ok: admitted }]);
            }
            now += wait;
          }
          for (const times of came.values()) {
            const all: Times = times;
            if (densest(all.map(({ at }) => at)) <= limit) expect(all.every(({ ok }) => ok)).toBe(true);
            // With room for all that are hot.
            if (top === 4 && came.size <= 4)
              expect(densest(all.filter(({ ok }) => ok).map(({ at }) => at))).toBeLessThanOrEqual(2 * limit + 2);
          }
        },
      ),
    );
  });
});

describe('traffic by Zipf', () => {
  /** So many calls a second to a hundred thousand keys, for so many seconds. */
  function traffic(seconds: number, perSecond: number, skew: number, policy: ReturnType<typeof hotKey>, seed: number) {
    const random = seededRandom(seed);
    const sums: number[] = [];
    let sum = 0;
    for (let n = 1; n <= 100_000; n++) sums.push((sum += n ** -skew));
    let now = 0;
    const clock = new VirtualClock();
    clock.now = () => now;
    const p = pipeline([policy], { clock, random: seededRandom(seed + 1) });
    /** Of each second, how often each key came and was let in. */
    const counts: Map<number, { came: number; passed: number }>[] = [];
    for (let i = 0; i < seconds * perSecond; i++) {
      now = (i * 1000) / perSecond;
      const wanted = random() * sum;
      let [low, high] = [0, sums.length - 1];
      while (low < high) {
        const middle = (low + high) >> 1;
        if ((sums[middle] as number) < wanted) low = middle + 1;
        else high = middle;
      }
      const second = (counts[Math.floor(now / 1000)] ??= new Map<number, { came: number; passed: number }>());
      const entry = second.get(low) ?? { came: 0, passed: 0 };
      second.set(low, entry);
      entry.came++;
      if (p.tryAcquire({ key: `key ${low}` }).admitted) entry.passed++;
    }
    return counts;
  }

  test.each([0.9, 1.1, 1.4])('with %d: at least nine of the ten hottest are known, with their counts', (skew) => {
    for (const seed of [1, 2]) {
      const policy = hotKey({ limit: 1000 });
      const counts = traffic(2, 20_000, skew, policy, seed).at(-1) as Map<number, { came: number }>;
      const truly = [...counts].sort(([, one], [, other]) => other.came - one.came).slice(0, 10);
      const known = new Map(
        policy
          .hottest()
          .slice(0, 10)
          .map(({ key, calls }) => [key, calls]),
      );
      expect(truly.filter(([key]) => known.has(`key ${key}`)).length).toBeGreaterThanOrEqual(9);
    }
  });

  test('every key that is clearly hot is limited, and none that is below the limit', () => {
    const limit = 40;
    const counts = traffic(3, 20_000, 1.1, hotKey({ limit }), 5);
    for (const [second, keys] of counts.entries())
      for (const { came, passed } of keys.values()) {
        // By a token bucket whoever asks for more gets at most twice the limit, and what was missed before the key was found.
        if (came > 2 * limit) expect(passed).toBeLessThanOrEqual(second === 0 ? 2.1 * limit : 2 * limit);
        if (came <= limit / 2) expect(passed).toBe(came);
      }
    const hot = [...(counts.at(-1) ?? [])].filter(([, { came }]) => came > 2 * limit);
    expect(hot.length).toBeGreaterThan(10);
    for (const [, { passed }] of hot) expect(passed).toBeLessThanOrEqual(1.1 * limit);
  });
});
