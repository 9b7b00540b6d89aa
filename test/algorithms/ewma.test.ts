import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { EwmaWindow } from '../../src/algorithms/ewma.ts';
import { windowOf } from '../../src/algorithms/windows.ts';

const rate = (window: { readonly failures: number; readonly calls: number }): number => window.failures / window.calls;

describe('averages in time', () => {
  test('what happened one half-life ago counts half', () => {
    const window = new EwmaWindow(1000, 'time');
    window.record(false, false, 10, 0);
    window.record(true, true, 30, 1000);
    expect(rate(window)).toBeCloseTo(0.5, 12);
    expect(window.slow / window.calls).toBeCloseTo(0.5, 12);
    expect(window.slowFailures / window.calls).toBeCloseTo(0.5, 12);
    expect(window.totalMs / window.calls).toBeCloseTo(20, 12);
    window.record(true, false, 30, 2000);
    expect(rate(window)).toBeCloseTo(0.75, 12);
    expect(window.slow / window.calls).toBeCloseTo(0.25, 12);
  });

  test('calls that end at the same instant count together, in whatever order', () => {
    for (const order of [
      [true, false, false, false],
      [false, false, true, false],
    ]) {
      const window = new EwmaWindow(1000, 'time');
      window.record(false, false, 0, 0);
      for (const failed of order) window.record(failed, false, 0, 1000);
      expect(rate(window)).toBeCloseTo(0.125, 12);
    }
  });

  test('calls fade with time, until there are too few to judge by and then none (K6)', () => {
    const window = new EwmaWindow(1000, 'time');
    for (let i = 0; i < 8; i++) window.record(true, false, 0, 0);
    window.expire(1000);
    expect(window.calls).toBeCloseTo(4, 12);
    expect(rate(window)).toBeCloseTo(1, 12);
    window.expire(3_600_000);
    expect(window).toMatchObject({ calls: 0, failures: 0, slow: 0, totalMs: 0 });
    window.record(false, false, 0, 3_600_000);
    expect(window).toMatchObject({ calls: 1, failures: 0 });
  });

  test('a clock that steps back loses nothing', () => {
    const window = new EwmaWindow(1000, 'time');
    window.record(true, false, 0, 5000);
    window.record(false, false, 0, 10);
    window.expire(0);
    expect(window).toMatchObject({ calls: 2, failures: 1 });
  });

  test('looking changes nothing, however often', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.boolean(), fc.integer({ min: 0, max: 500 }))),
        fc.array(fc.integer({ min: 0, max: 500 })),
        (calls, looks) => {
          const seen = new EwmaWindow(700, 'time');
          const unseen = new EwmaWindow(700, 'time');
          let now = 0;
          for (const [i, [failed, wait]] of calls.entries()) {
            seen.expire(now + Math.min(wait, looks[i] ?? 0));
            now += wait;
            for (const window of [seen, unseen]) window.record(failed, false, 1, now);
          }
          expect(seen.failures).toBeCloseTo(unseen.failures, 9);
          expect(seen.calls).toBeCloseTo(unseen.calls, 9);
          expect(seen.failures >= 0 && seen.failures <= seen.calls * (1 + 1e-12)).toBe(true);
        },
      ),
    );
  });
});

describe('averages by calls', () => {
  test('what happened so many calls ago counts half, whenever that was', () => {
    const window = new EwmaWindow(2, 'calls');
    window.record(true, false, 0, 0);
    window.record(false, false, 0, 0);
    window.record(false, false, 0, 9_999_999);
    expect(rate(window)).toBeCloseTo(0.5, 12);
    expect(window.calls).toBe(3);
    window.expire(Number.MAX_SAFE_INTEGER);
    expect(window.calls).toBe(3);
  });

  test('ignored calls move nothing', () => {
    const window = new EwmaWindow(2, 'calls');
    window.record(true, false, 0, 0);
    for (let i = 0; i < 50; i++) window.ignore();
    expect(window).toMatchObject({ calls: 1, failures: 1, ignored: 50 });
    window.clear();
    expect(window).toMatchObject({ calls: 0, failures: 0, ignored: 0 });
  });
});

describe('every kind of window', () => {
  const kinds = [
    { duration: 1000, buckets: 10 },
    { duration: Infinity, buckets: 10 },
    { duration: 777, buckets: 3 },
    { calls: 5 },
    { halfLife: 500 },
    { halfLifeCalls: 3 },
  ] as const;
  const fields = (window: object): object =>
    Object.fromEntries(
      ['calls', 'failures', 'slow', 'slowFailures', 'ignored', 'totalMs'].map((name) => [name, (window as Record<string, number>)[name]]),
    );

  test.each(kinds)('%o holds after JSON what it held before', (settings) => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.constantFrom('success', 'failure', 'ignored'), fc.boolean(), fc.integer({ min: 0, max: 300 })), {
          maxLength: 40,
        }),
        fc.integer({ min: 0, max: 900 }),
        (calls, gone) => {
          const window = windowOf(settings);
          let now = 12_345;
          for (const [what, slow, wait] of calls) {
            now += wait;
            if (what === 'ignored') window.ignore(now);
            else window.record(what === 'failure', slow, wait, now);
          }
          const rows = JSON.parse(JSON.stringify(window.save(now))) as number[][];
          const copy = windowOf(settings);
          expect(copy.load(rows, now + gone, gone)).toBe(true);
          window.expire(now + gone);
          for (const [name, value] of Object.entries(fields(window)))
            expect((fields(copy) as Record<string, number>)[name], name).toBeCloseTo(value as number, 6);
        },
      ),
    );
  });

  test.each(kinds)('%o refuses rows that are none', (settings) => {
    const window = windowOf(settings);
    for (const rows of [
      [[1]],
      [[-1, 0, 0, 0, 0, 0, 0]],
      [['a']],
      [[Number.NaN, 0]],
      [[0, 1, 0, 2, 0, 0, 0]],
      [
        [0, 0],
        [9, 0],
      ],
    ])
      expect(window.load(rows as number[][], 0, 0), JSON.stringify(rows)).toBe(false);
    expect(fields(window)).toEqual({ calls: 0, failures: 0, slow: 0, slowFailures: 0, ignored: 0, totalMs: 0 });
  });
});
