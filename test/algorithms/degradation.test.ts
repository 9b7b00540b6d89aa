import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Degradation, type Sign } from '../../src/algorithms/degradation.ts';

const sign = (reading: number | undefined, more: Partial<Sign> = {}): Sign => ({
  name: 'load',
  reading,
  enterAt: 0.9,
  leaveAt: 0.5,
  reach: Infinity,
  ...more,
});
const settings = { deepest: 2, minDwell: 10 };

describe('going down and up', () => {
  test('a bad sign takes it down one level at once, and further only after the dwell time', () => {
    const degradation = new Degradation(settings);
    expect(degradation.step([sign(0.89)], 0)).toBeUndefined();
    expect(degradation.step([sign(0.9)], 0)).toBe('load');
    expect(degradation.step([sign(1)], 9)).toBeUndefined();
    expect(degradation.step([sign(1)], 10)).toBe('load');
    expect(degradation.level).toBe(2);
    expect(degradation.step([sign(1)], 20)).toBeUndefined();
  });

  test('between entering and leaving nothing moves; good or unknown signs take it up, one level in each dwell time', () => {
    const degradation = new Degradation(settings);
    degradation.step([sign(1)], 0);
    degradation.step([sign(1)], 10);
    expect(degradation.step([sign(0.51)], 30)).toBeUndefined();
    expect(degradation.step([sign(0.5)], 30)).toBe('recovered');
    expect(degradation.step([sign(undefined)], 39)).toBeUndefined();
    expect(degradation.step([sign(undefined)], 40)).toBe('recovered');
    expect(degradation.level).toBe(0);
  });

  test('one sign that is not good keeps it where it is', () => {
    const degradation = new Degradation(settings);
    degradation.step([sign(1), sign(0)], 0);
    expect(degradation.step([sign(0), sign(0.7)], 50)).toBeUndefined();
  });

  test('a sign leads no further than it reaches', () => {
    const degradation = new Degradation(settings);
    const near = sign(1, { reach: 1 });
    expect([degradation.step([near], 0), degradation.step([near], 100)]).toEqual(['load', undefined]);
    expect(degradation.level).toBe(1);
  });
});

test('a relapse soon after recovery doubles the dwell time, up to eight times; a quiet while makes it short again', () => {
  const degradation = new Degradation({ deepest: 1, minDwell: 10 });
  let now = 0;
  const stays: number[] = [];
  for (let i = 0; i < 6; i++) {
    degradation.step([sign(1)], now);
    stays.push(degradation.restsUntil - now);
    now = degradation.restsUntil;
    degradation.step([sign(0)], now);
    now += 1;
  }
  expect(stays).toEqual([10, 20, 40, 80, 80, 80]);
  degradation.step([sign(1)], now + 80);
  expect(degradation.restsUntil - (now + 80)).toBe(10);
});

test('property: whatever the signs say, it moves by one level, never too soon, and stays within its levels', () => {
  const step = fc.record({
    wait: fc.integer({ min: 0, max: 30 }),
    readings: fc.array(fc.option(fc.double({ min: 0, max: 1, noNaN: true }), { nil: undefined }), { minLength: 1, maxLength: 3 }),
  });
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 4 }), fc.array(step, { maxLength: 60 }), (deepest, steps) => {
      const degradation = new Degradation({ deepest, minDwell: 10 });
      let now = 0;
      for (const { wait, readings } of steps) {
        now += wait;
        const { level, since } = degradation;
        const why = degradation.step(
          readings.map((reading) => sign(reading)),
          now,
        );
        const moved = degradation.level - level;
        expect(Math.abs(moved)).toBe(why === undefined ? 0 : 1);
        expect(degradation.level).toBeGreaterThanOrEqual(0);
        expect(degradation.level).toBeLessThanOrEqual(deepest);
        if (moved !== 0 && level > 0) expect(now - since).toBeGreaterThanOrEqual(10);
        if (moved > 0) expect(readings.some((reading) => (reading ?? 0) >= 0.9)).toBe(true);
        if (moved < 0) expect(readings.every((reading) => (reading ?? 0) <= 0.5)).toBe(true);
      }
    }),
  );
});
