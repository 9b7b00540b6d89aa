import { describe, expect, test } from 'vitest';
import { type Cubic, CubicRate, cubicRate } from '../../../src/algorithms/meters/cubic-rate.ts';

const usual: Cubic = { beta: 0.7, scale: 0.4, smoothing: 0.8, minRate: 0.5 };

describe('the cubic curve', () => {
  test.each([
    [0, 7],
    [1, 9.64893601],
    [2, 10.00003085],
    [3, 10.45328452],
    [4, 13.40869703],
    [5, 21.26626836],
    [6, 36.42599853],
  ])('%d s after a rate of 10 was too much it is at %d', (seconds, rate) => {
    expect(cubicRate(10, seconds, usual)).toBeCloseTo(rate, 7);
  });

  test('begins at the share that is left of the former rate, is flat around it, and never falls', () => {
    for (const former of [0, 0.5, 3, 1000]) {
      expect(cubicRate(former, 0, usual)).toBeCloseTo(0.7 * former, 9);
      let before = 0;
      for (let seconds = 0; seconds < 30; seconds += 0.1) {
        const rate = cubicRate(former, seconds, usual);
        expect(rate).toBeGreaterThanOrEqual(before - 1e-9);
        before = rate;
      }
    }
  });
});

describe('a rate that finds itself', () => {
  test('measures and follows as the SDKs do, to six places', () => {
    const meter = new CubicRate(usual, 0);
    const found: number[][] = [];
    for (const [throttled, at] of [
      [0, 200],
      [0, 400],
      [0, 600],
      [0, 800],
      [0, 1000],
      [0, 1200],
      [0, 1400],
      [0, 1600],
      [0, 1800],
      [1, 2000],
      [0, 2200],
      [0, 2400],
      [0, 2600],
      [0, 2800],
      [0, 3000],
      [1, 3200],
      [0, 3400],
    ] as const) {
      meter.answer(throttled === 1, at, at);
      found.push([meter.measured, Math.min(meter.rate, 99)].map((value) => Number(value.toFixed(6))));
    }
    expect(found).toEqual([
      [0, 99],
      [0, 99],
      [4.8, 99],
      [4.8, 99],
      [4.16, 99],
      [4.16, 99],
      [4.16, 99],
      [5.632, 99],
      [5.632, 99],
      [4.3264, 3.02848],
      [4.3264, 3.486639],
      [4.3264, 3.821874],
      [5.66528, 4.053386],
      [5.66528, 4.200373],
      [4.333056, 4.282037],
      [4.333056, 2.997426],
      [4.333056, 3.452226],
    ]);
  });

  test.each([
    [500, 892.8571428571428],
    [1000, 1785.7142857142856],
    [2000, 2000],
  ])('throttled after %d ms of one call, the next waits %d ms: the bucket begins empty', (at, wait) => {
    const meter = new CubicRate(usual, 0);
    expect(meter.answer(true, 0, at)).toBe(true);
    expect(meter.wait(1, at)).toBeCloseTo(wait, 9);
  });

  test('is no limit at all until the service says that it is asked too often', () => {
    const meter = new CubicRate(usual, 0);
    for (let now = 0; now < 5000; now++) {
      expect(meter.wait(1, now)).toBe(0);
      meter.take(1, now);
      meter.answer(false, now, now);
    }
    expect([meter.rate, meter.available(5000), meter.engaged]).toEqual([Infinity, Infinity, false]);
    expect(meter.measured).toBeCloseTo(1000, 0);
  });

  /** A service is asked 1000 times a second for 3 s, and then says no. */
  function throttled(): CubicRate {
    const meter = new CubicRate(usual, 0);
    for (let now = 0; now < 3000; now++) meter.answer(false, now, now);
    meter.answer(true, 2990, 3000);
    return meter;
  }

  test('calls that were under way when the rate dropped do not make it drop again', () => {
    const meter = throttled();
    expect(meter.rate).toBeCloseTo(700, 0);
    for (let i = 0; i < 50; i++) expect(meter.answer(true, 2999, 3010)).toBe(false);
    expect(meter.rate).toBeCloseTo(700, 0);
    expect(meter.answer(true, 3000, 3050)).toBe(true);
    expect(meter.rate).toBeLessThan(500);
  });

  test('never allows more than twice what is really sent, nor less than its least', () => {
    const meter = throttled();
    for (let now = 3500; now < 60_000; now += 500) {
      meter.answer(false, now, now);
      expect(meter.rate).toBeLessThanOrEqual(Math.max(0.5, 2 * meter.measured));
    }
    for (let now = 60_000; now < 70_000; now += 100) {
      meter.answer(true, now, now);
      expect(meter.rate).toBeGreaterThanOrEqual(0.5);
    }
    expect(meter.rate).toBe(0.5);
  });

  test('a call that costs more than the bucket holds waits for a full one and owes the rest', () => {
    const meter = new CubicRate(usual, 0);
    meter.answer(true, 0, 2000);
    expect(meter.wait(3, 2000)).toBe(2000);
    const charge = meter.take(3, 4000);
    expect(meter.wait(1, 4000)).toBe(6000);
    meter.giveBack(charge, 4000);
    expect(meter.wait(1, 4000)).toBe(0);
    meter.drain(4000);
    expect(meter.wait(1, 4000)).toBe(2000);
  });

  test('a copy goes its own way, and another clock changes nothing but the time', () => {
    const meter = throttled();
    const copy = meter.copy();
    copy.take(1, 3100);
    copy.answer(true, 3100, 3100);
    expect(copy.rate).toBeLessThan(meter.rate);
    const other = meter.copy();
    other.begin(1_000_000);
    expect(other.wait(1, 1_000_000)).toBeCloseTo(meter.wait(1, 3000), 9);
    other.answer(false, 1_000_100, 1_000_100);
    meter.answer(false, 3100, 3100);
    expect(other.rate).toBeCloseTo(meter.rate, 6);
  });

  test('is as good as new before it is engaged, and once its curve would be past twice the rate that was too much', () => {
    expect(new CubicRate(usual, 0).isFresh(0)).toBe(true);
    const meter = throttled();
    const seconds = Math.cbrt((0.3 * 1000) / 0.4) + Math.cbrt(1000 / 0.4);
    expect(meter.isFresh(3000 + seconds * 1000 - 200)).toBe(false);
    expect(meter.isFresh(3000 + seconds * 1000 + 200)).toBe(true);
  });
});
