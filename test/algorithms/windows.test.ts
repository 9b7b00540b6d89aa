import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CountWindow } from '../../src/algorithms/count-window.ts';
import { TimeWindow } from '../../src/algorithms/time-window.ts';
import type { Window } from '../../src/algorithms/window.ts';
import { windowOf } from '../../src/algorithms/windows.ts';

const sums = (window: Window): object => {
  const { calls, failures, slow, slowFailures, ignored, totalMs } = window;
  return { calls, failures, slow, slowFailures, ignored, totalMs };
};
const empty = { calls: 0, failures: 0, slow: 0, slowFailures: 0, ignored: 0, totalMs: 0 };

describe('a window of time', () => {
  test('counts each kind, and slow failures once more', () => {
    const window = new TimeWindow(1000, 10);
    window.record(false, false, 1, 0);
    window.record(true, false, 2, 0);
    window.record(false, true, 3, 0);
    window.record(true, true, 4, 0);
    window.ignore(0);
    expect(sums(window)).toEqual({ calls: 4, failures: 2, slow: 2, slowFailures: 1, ignored: 1, totalMs: 10 });
  });

  test('has buckets aligned to time 0, and the oldest leaves whole', () => {
    const window = new TimeWindow(1000, 10);
    window.record(true, false, 5, 99);
    window.record(true, false, 5, 100);
    window.expire(999);
    expect(window.calls).toBe(2);
    window.expire(1000);
    expect(window.calls).toBe(1);
    window.expire(1099);
    expect(window.calls).toBe(1);
    window.expire(1100);
    expect(sums(window)).toEqual(empty);
  });

  test.each([
    ['an idle hour, then a reading', (window: Window) => window.expire(3_600_000), empty],
    [
      'an idle hour, then one call',
      (window: Window) => window.record(true, false, 7, 3_600_000),
      { ...empty, calls: 1, failures: 1, totalMs: 7 },
    ],
    ['an idle hour, then an ignored call', (window: Window) => window.ignore(3_600_000), { ...empty, ignored: 1 }],
  ])('keeps nothing old after %s (K6)', (_, then, expected) => {
    const window = new TimeWindow(10_000, 10);
    for (let at = 0; at < 10_000; at += 500) window.record(true, true, 100, at);
    then(window);
    expect(sums(window)).toEqual(expected);
  });

  test('clears every bucket in between, not only the next, on a gap shorter than the window', () => {
    const window = new TimeWindow(10_000, 10);
    for (let second = 0; second < 10; second++) window.record(true, false, 0, second * 1000);
    window.record(false, false, 0, 16_500); // the buckets of seconds 0 to 6 are over
    expect(window.failures).toBe(3);
    window.expire(25_999);
    expect(sums(window)).toMatchObject({ calls: 1, failures: 0 });
  });

  test('counts into the newest bucket while the clock stands behind it', () => {
    const window = new TimeWindow(1000, 10);
    window.record(true, false, 0, 5000);
    window.record(true, false, 0, 4000);
    window.ignore(100);
    window.expire(0);
    expect(sums(window)).toMatchObject({ calls: 2, ignored: 1 });
    window.expire(5999);
    expect(window.calls).toBe(2);
    window.expire(6000);
    expect(sums(window)).toEqual(empty);
  });

  test('works before time 0 as after it', () => {
    const window = new TimeWindow(1000, 4);
    window.record(true, false, 0, -900);
    window.record(true, false, 0, -100);
    window.expire(-1);
    expect(window.calls).toBe(2);
    window.expire(0);
    expect(window.calls).toBe(1);
    window.expire(749);
    expect(window.calls).toBe(1);
    window.expire(750);
    expect(window.calls).toBe(0);
  });

  test('of one bucket starts anew each time it is over', () => {
    const window = new TimeWindow(1000, 1);
    window.record(true, false, 0, 999);
    window.expire(1000);
    expect(window.calls).toBe(0);
  });

  test('without an end never forgets, whatever buckets were asked for', () => {
    const window = windowOf({ duration: Infinity, buckets: 10 });
    for (let at = 0; at < 1e12; at += 1e11) window.record(true, false, 1, at);
    window.expire(Number.MAX_SAFE_INTEGER);
    expect(sums(window)).toMatchObject({ calls: 10, failures: 10, totalMs: 10 });
    window.clear();
    expect(sums(window)).toEqual(empty);
  });

  test('cleared, it counts on from nothing', () => {
    const window = new TimeWindow(1000, 10);
    window.record(true, true, 9, 50);
    window.clear();
    window.record(false, false, 1, 60);
    expect(sums(window)).toEqual({ ...empty, calls: 1, totalMs: 1 });
    window.expire(1000);
    expect(sums(window)).toEqual(empty);
  });

  test('equals a list of all outcomes with times, filtered by bucket (K6)', () => {
    const entry = fc.record({
      gap: fc.integer({ min: 0, max: 900 }),
      failed: fc.boolean(),
      slow: fc.boolean(),
      ignored: fc.boolean(),
      ms: fc.nat(50),
    });
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 2000 }), fc.integer({ min: 1, max: 12 }), fc.array(entry), (duration, buckets, entries) => {
        const window = new TimeWindow(duration, buckets);
        const width = duration / buckets;
        let now = 0;
        const all: ((typeof entries)[number] & { readonly at: number })[] = [];
        for (const each of entries) {
          now += each.gap;
          all.push({ ...each, at: now });
          if (each.ignored) window.ignore(now);
          else window.record(each.failed, each.slow, each.ms, now);
          const fresh = all.filter(({ at }) => Math.floor(now / width) - Math.floor(at / width) < buckets);
          const judged = fresh.filter(({ ignored }) => !ignored);
          expect(sums(window)).toEqual({
            calls: judged.length,
            failures: judged.filter(({ failed }) => failed).length,
            slow: judged.filter(({ slow }) => slow).length,
            slowFailures: judged.filter(({ failed, slow }) => failed && slow).length,
            ignored: fresh.length - judged.length,
            totalMs: judged.reduce((sum, { ms }) => sum + ms, 0),
          });
        }
      }),
    );
  });
});

describe('a window of calls', () => {
  test('keeps the last so many, however long ago they were', () => {
    const window = new CountWindow(3);
    const seen: number[] = [];
    for (const failed of [true, true, false, false, true, true, true, false]) {
      window.record(failed, !failed, 10);
      window.expire();
      seen.push(window.failures);
    }
    expect(seen).toEqual([1, 2, 2, 1, 1, 2, 3, 2]);
    expect(sums(window)).toEqual({ calls: 3, failures: 2, slow: 1, slowFailures: 0, ignored: 0, totalMs: 30 });
  });

  test('gives ignored calls no place', () => {
    const window = windowOf({ calls: 2 });
    window.record(true, true, 1, 0);
    for (let i = 0; i < 5; i++) window.ignore(0);
    window.record(true, true, 1, 0);
    expect(sums(window)).toEqual({ calls: 2, failures: 2, slow: 2, slowFailures: 2, ignored: 5, totalMs: 2 });
  });

  test('equals the end of a list of all outcomes, also after a clearing', () => {
    const outcomes = fc.array(fc.tuple(fc.boolean(), fc.boolean(), fc.nat(9), fc.integer({ min: 0, max: 19 })));
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 7 }), outcomes, (size, entries) => {
        const window = new CountWindow(size);
        let all: [boolean, boolean, number][] = [];
        for (const [failed, slow, ms, clear] of entries) {
          if (clear === 0) {
            window.clear();
            all = [];
          }
          window.record(failed, slow, ms);
          all.push([failed, slow, ms]);
          const last = all.slice(-size);
          expect(sums(window)).toEqual({
            calls: last.length,
            failures: last.filter(([each]) => each).length,
            slow: last.filter(([, each]) => each).length,
            slowFailures: last.filter(([one, other]) => one && other).length,
            ignored: 0,
            totalMs: last.reduce((sum, [, , each]) => sum + each, 0),
          });
        }
      }),
    );
  });
});
