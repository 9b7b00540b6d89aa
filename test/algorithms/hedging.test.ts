import { describe, expect, test } from 'vitest';
import { Hedging, LearnedDelay } from '../../src/algorithms/hedging.ts';

describe('when attempts begin', () => {
  test('each after the delay that follows the one before it, and no more than allowed', () => {
    const plan = new Hedging(2);
    expect([plan.begin(0, 10), plan.due, plan.open]).toEqual([0, 10, true]);
    expect([plan.begin(10, 20), plan.due, plan.open]).toEqual([1, 30, true]);
    expect([plan.begin(30, 10), plan.due, plan.open]).toEqual([2, Infinity, false]);
    expect([plan.begun, plan.running]).toEqual([3, 3]);
  });

  test('a failure begins the next at once, and the delay counts from there', () => {
    const plan = new Hedging(2);
    plan.begin(0, 500);
    expect(plan.failed(100)).toBe('begin');
    plan.begin(100, 500);
    expect(plan.due).toBe(600);
  });

  test('with no hedge left a failure waits for those that run, and the last one is the end', () => {
    const plan = new Hedging(1);
    plan.begin(0, 10);
    plan.begin(10, 10);
    expect([plan.failed(20), plan.failed(30)]).toEqual(['wait', 'over']);
  });

  test('a pushback puts the next off by what it says; a negative, endless or senseless one ends it', () => {
    const patient = new Hedging(1);
    patient.begin(0, 500);
    expect([patient.failed(100, 70), patient.due]).toEqual(['wait', 170]);
    const prompt = new Hedging(1);
    prompt.begin(0, 500);
    expect(prompt.failed(100, 0)).toBe('begin');
    for (const pushback of [-1, Infinity, Number.NaN]) {
      const plan = new Hedging(3);
      plan.begin(0, 500);
      plan.begin(500, 500);
      expect([plan.failed(600, pushback), plan.open, plan.due]).toEqual(['wait', false, Infinity]);
      expect(plan.failed(700)).toBe('over');
    }
  });

  test('closed, nothing is due any more', () => {
    const plan = new Hedging(3);
    plan.begin(0, 500);
    plan.close();
    expect([plan.due, plan.open, plan.failed(1)]).toEqual([Infinity, false, 'over']);
  });
});

describe('a learned delay', () => {
  const settings = { quantile: undefined, maxExtraLoad: undefined, minSamples: 20, min: 1, fallback: undefined, window: 60_000 };
  const fed = (change: object, count = 100): LearnedDelay => {
    const delay = new LearnedDelay({ ...settings, ...change });
    for (let ms = 1; ms <= count; ms++) delay.latencies.record(ms * 10, 0);
    return delay;
  };

  test('is the 0.95 quantile by default, and what share of attempts may be doubled says the same', () => {
    for (const change of [{}, { quantile: 0.95 }, { maxExtraLoad: 0.05 }]) {
      const delay = fed(change).at(0);
      expect(Math.abs(delay - 950)).toBeLessThan(950 / 64);
    }
  });

  test('is not known before there are samples enough, and then what stands for it counts', () => {
    expect(fed({}, 19).at(0)).toBe(Infinity);
    expect(fed({ fallback: 40 }, 19).at(0)).toBe(40);
    expect(fed({ fallback: 40 }, 20).at(0)).toBeGreaterThan(100);
  });

  test('is never shorter than its minimum; no extra load means never, doubling all means at once', () => {
    expect(fed({ quantile: 0.05, min: 300 }).at(0)).toBe(300);
    expect(fed({ maxExtraLoad: 0 }).at(0)).toBe(Infinity);
    expect(fed({ maxExtraLoad: 1, min: 2 }).at(0)).toBe(2);
  });

  test('is looked at anew every three seconds', () => {
    const delay = fed({});
    const before = delay.at(0);
    for (let i = 0; i < 1000; i++) delay.latencies.record(5000, 1);
    expect([delay.at(2999), delay.current]).toEqual([before, before]);
    expect(delay.at(3000)).toBeGreaterThan(4000);
  });
});
