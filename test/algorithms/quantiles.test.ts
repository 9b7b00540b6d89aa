import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import '../support/properties.ts';
import { LONGEST_LATENCY, LatencyQuantiles, QUANTILE_ERROR, SteadyQuantile } from '../../src/algorithms/quantiles.ts';
import { seededRandom } from '../../src/testing/random.ts';

/** The middle of the bucket that a duration falls into. */
function rounded(ms: number): number {
  const one = new LatencyQuantiles({ window: 1000, slices: 1 });
  one.record(ms, 0);
  return one.quantile(1, 0) as number;
}

/** The q-quantile of a list: its element number ceil(q n), from 1. */
function exact(list: readonly number[], q: number): number {
  const sorted = [...list].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(q * sorted.length - 1e-6) - 1)] as number;
}

interface Sample {
  readonly ms: number;
  readonly cut: boolean;
}

/** The product-limit estimator as the textbook has it: the product of (1 - deaths / at risk) over the times of death. */
function productLimit(samples: readonly Sample[], q: number): number {
  const times = [...new Set(samples.map(({ ms }) => ms))].sort((a, b) => a - b);
  let survival = 1;
  for (const time of times) {
    const atRisk = samples.filter(({ ms }) => ms >= time).length;
    const finished = samples.filter(({ ms, cut }) => ms === time && !cut).length;
    survival *= 1 - finished / atRisk;
    if (finished > 0 && survival <= 1 - q + 1e-9) return time;
  }
  return times.at(-1) as number;
}

const durations = fc.oneof(fc.double({ min: 1, max: 2_000_000, noNaN: true }), fc.integer({ min: 1, max: 300 }));
const shares = fc.constantFrom(0, 0.1, 0.5, 0.9, 0.95, 0.99, 0.999, 1);

describe('latency quantiles', () => {
  test('miss the true quantile by at most 1/64 of it, from 1 ms up to 35 minutes', () => {
    fc.assert(
      fc.property(fc.array(durations, { minLength: 1, maxLength: 300 }), shares, (list, q) => {
        const latencies = new LatencyQuantiles();
        for (const ms of list) latencies.record(ms, 0);
        const truth = exact(list, q);
        expect(Math.abs((latencies.quantile(q, 0) as number) - truth)).toBeLessThanOrEqual(truth * QUANTILE_ERROR + 1e-9);
      }),
    );
  });

  test('below 1 ms they miss by at most 1/64 ms, and beyond 35 minutes all is one', () => {
    for (let ms = 0; ms < 1; ms += 0.001) expect(Math.abs(rounded(ms) - ms)).toBeLessThanOrEqual(QUANTILE_ERROR + 1e-9);
    expect(rounded(Infinity)).toBe(rounded(LONGEST_LATENCY));
    expect(rounded(LONGEST_LATENCY)).toBeCloseTo(LONGEST_LATENCY, -5);
    expect(rounded(-5)).toBe(rounded(0));
  });

  test('buckets follow one another without a gap: a longer duration never counts as a shorter one', () => {
    let last = 0;
    for (let ms = 0.5; ms < 3_000_000; ms *= 1.003) {
      const now = rounded(ms);
      expect(now).toBeGreaterThanOrEqual(last);
      last = now;
    }
    for (let power = 0; power <= 21; power++) {
      const at = 2 ** power;
      expect(rounded(at - at / 1024)).toBeLessThanOrEqual(at);
      if (power < 21) expect(rounded(at)).toBeGreaterThan(at);
    }
  });

  test('say nothing without samples, and take no nonsense', () => {
    const latencies = new LatencyQuantiles();
    latencies.record(Number.NaN, 0);
    latencies.recordCensored(Number.NaN, 0);
    expect(latencies.count(0)).toBe(0);
    expect(latencies.quantile(0.5, 0)).toBeUndefined();
  });

  test('0.95 of 100 samples is the 95th, whatever the arithmetic of fractions says', () => {
    const latencies = new LatencyQuantiles();
    for (let ms = 1; ms <= 100; ms++) latencies.record(ms * 10, 0);
    for (const [q, ms] of [
      [0.07, 70],
      [0.29, 290],
      [0.5, 500],
      [0.95, 950],
      [0.99, 990],
      [1, 1000],
    ] as const)
      expect(latencies.quantile(q, 0)).toBe(rounded(ms));
  });
});

describe('censored samples', () => {
  test('are weighed as by the product-limit estimator', () => {
    const samples = fc.array(fc.record({ ms: durations.map(rounded), cut: fc.boolean() }), { minLength: 1, maxLength: 60 });
    fc.assert(
      fc.property(samples, shares, (list, q) => {
        const latencies = new LatencyQuantiles();
        for (const { ms, cut } of list) {
          if (cut) latencies.recordCensored(ms, 0);
          else latencies.record(ms, 0);
        }
        expect(latencies.quantile(q, 0)).toBe(productLimit(list, q));
      }),
    );
  });

  test('never make a quantile shorter than if they had not been seen', () => {
    const list = fc.array(durations, { minLength: 1, maxLength: 50 });
    fc.assert(
      fc.property(list, list, shares, (finished, cut, q) => {
        const latencies = new LatencyQuantiles();
        for (const ms of finished) latencies.record(ms, 0);
        const before = latencies.quantile(q, 0) as number;
        for (const ms of cut) latencies.recordCensored(ms, 0);
        expect(latencies.quantile(q, 0)).toBeGreaterThanOrEqual(before);
      }),
    );
  });

  test('a timeout does not teach its own limit: the quantile below it stays, the one beyond it is at least the limit', () => {
    const latencies = new LatencyQuantiles();
    for (let i = 0; i < 90; i++) latencies.record(10, 0);
    for (let i = 0; i < 10; i++) latencies.recordCensored(500, 0);
    expect(latencies.estimate(0.9, 0)).toEqual({ ms: rounded(10), known: true });
    expect(latencies.estimate(0.95, 0)).toEqual({ ms: rounded(500), known: false });
  });

  test('what hedging cuts short is made up for: the p95 is that of the service, not that of the winners', () => {
    const random = seededRandom(3);
    const draw = (): number => -100 * Math.log(1 - random());
    const [fair, winners] = [new LatencyQuantiles(), new LatencyQuantiles()];
    for (let i = 0; i < 20_000; i++) {
      const [first, hedge] = [draw(), draw()];
      const delay = 120;
      const won = Math.min(first, delay + hedge);
      winners.record(won === first ? first : hedge, 0);
      if (first <= delay) {
        fair.record(first, 0);
      } else if (first <= delay + hedge) {
        fair.record(first, 0);
        fair.recordCensored(first - delay, 0);
      } else {
        fair.record(hedge, 0);
        fair.recordCensored(delay + hedge, 0);
      }
    }
    const p95 = -100 * Math.log(0.05);
    expect(Math.abs((fair.quantile(0.95, 0) as number) - p95) / p95).toBeLessThan(0.04);
    expect(winners.quantile(0.95, 0)).toBeLessThan(p95 * 0.75);
  });

  test('only censored ones: the longest that was seen', () => {
    const latencies = new LatencyQuantiles();
    latencies.recordCensored(20, 0);
    latencies.recordCensored(80, 0);
    expect(latencies.quantile(0.5, 0)).toBe(rounded(80));
    expect([latencies.count(0), latencies.finished(0)]).toEqual([2, 0]);
  });

  test('calls that failed at once, as censored ones, do not make the answers look quick', () => {
    const latencies = new LatencyQuantiles();
    for (let i = 0; i < 1000; i++) latencies.recordCensored(1, 0);
    for (let i = 0; i < 10; i++) latencies.record(100, 0);
    expect(latencies.estimate(0.5, 0)).toEqual({ ms: rounded(100), known: true });
  });
});

describe('the window', () => {
  test('forgets slice by slice, and everything after a long silence', () => {
    const latencies = new LatencyQuantiles({ window: 60_000, slices: 6 });
    latencies.record(1000, 5_000);
    latencies.recordCensored(1000, 9_999);
    latencies.record(10, 10_000);
    expect(latencies.count(59_999)).toBe(3);
    expect(latencies.count(60_000)).toBe(1);
    expect(latencies.quantile(1, 60_000)).toBe(rounded(10));
    latencies.record(20, 60_001);
    expect(latencies.count(69_999)).toBe(2);
    expect(latencies.count(70_000)).toBe(1);
    latencies.record(20, 10_000_000);
    expect(latencies.count(10_000_000)).toBe(1);
  });

  test('a clock that goes back loses nothing', () => {
    const latencies = new LatencyQuantiles({ window: 1000, slices: 4 });
    latencies.record(10, 5000);
    latencies.record(20, 100);
    expect(latencies.count(100)).toBe(2);
    expect(latencies.count(5000)).toBe(2);
  });

  test('holds what a list of the same samples holds, whatever the times', () => {
    const steps = fc.array(fc.record({ wait: fc.integer({ min: 0, max: 700 }), ms: durations, cut: fc.boolean() }), { maxLength: 80 });
    fc.assert(
      fc.property(steps, (list) => {
        const latencies = new LatencyQuantiles({ window: 1000, slices: 4 });
        const kept: { at: number; ms: number; cut: boolean }[] = [];
        let now = 0;
        for (const { wait, ms, cut } of list) {
          now += wait;
          if (cut) latencies.recordCensored(ms, now);
          else latencies.record(ms, now);
          kept.push({ at: now, ms: rounded(ms), cut });
          const live = kept.filter(({ at }) => Math.floor(at / 250) > Math.floor(now / 250) - 4);
          expect(latencies.count(now)).toBe(live.length);
          expect(latencies.finished(now)).toBe(live.filter(({ cut: early }) => !early).length);
          expect(latencies.quantile(0.9, now)).toBe(productLimit(live, 0.9));
        }
        latencies.clear();
        expect([latencies.count(now), latencies.quantile(0.9, now)]).toEqual([0, undefined]);
      }),
    );
  });
});

describe('a steady quantile', () => {
  test('is there from the first moment with enough samples, and is looked at anew after a while', () => {
    const latencies = new LatencyQuantiles();
    const steady = new SteadyQuantile(latencies, 0.5, 3, 3000);
    latencies.record(10, 0);
    latencies.record(10, 0);
    latencies.recordCensored(5, 0);
    expect(steady.at(0)).toBeUndefined();
    latencies.record(10, 0);
    expect(steady.at(1)).toBe(rounded(10));
    for (let i = 0; i < 10; i++) latencies.record(50, 1);
    expect(steady.at(3000)).toBe(rounded(10));
    expect(steady.at(3001)).toBe(rounded(50));
    expect(steady.at(70_000)).toBeUndefined();
  });
});
