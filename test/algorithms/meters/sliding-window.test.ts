import { describe, expect, test } from 'vitest';
import { SlidingWindow } from '../../../src/algorithms/meters/sliding-window.ts';

const year = 365 * 86_400_000;

/** Takes it if it fits. */
function allow(meter: SlidingWindow, now: number, cost = 1): boolean {
  if (meter.wait(cost, now) > 0) return false;
  meter.take(cost, now);
  return true;
}

/** How many of `count` that come at once get in. */
const rush = (meter: SlidingWindow, now: number, count: number): number =>
  Array.from({ length: count }, () => allow(meter, now)).filter(Boolean).length;

describe('a sliding window', () => {
  test('weighs the previous window by the part of it that is still within one length, and does not round', () => {
    const meter = new SlidingWindow({ limit: 100, window: 60_000 });
    meter.take(42, 30_000);
    meter.take(18, 61_000);
    expect([meter.estimate(75_000), meter.available(75_000)]).toEqual([49.5, 50.5]);
    expect(meter.wait(50.5, 75_000)).toBe(0);
    expect(meter.wait(51, 75_000)).toBeCloseTo((0.5 / 42) * 60_000, 9);
  });

  test('segments tell more exactly when it was', () => {
    const meter = new SlidingWindow({ limit: 100, window: 1000 }, 4);
    meter.take(40, 100); // in the first quarter
    meter.take(20, 900);
    expect([1000, 1125, 1250, 1750, 1900, 2000].map((now) => meter.estimate(now))).toEqual([60, 40, 20, 20, 8, 0]);
  });

  test('spread over a minute it lets in about the limit; across a boundary not twice that, as a fixed one does', () => {
    const meter = new SlidingWindow({ limit: 10, window: 1000 });
    expect(rush(meter, 999, 100)).toBe(10);
    expect([rush(meter, 1000, 100), rush(meter, 1050, 100), rush(meter, 1100, 100), rush(meter, 1500, 100)]).toEqual([0, 0, 1, 4]);
  });

  test('a look or a refusal changes nothing (L3)', () => {
    const meter = new SlidingWindow({ limit: 1, window: 1000 }, 3);
    allow(meter, 0);
    for (let now = 0; now < 1000; now += 13) expect(allow(meter, now)).toBe(false);
    expect(meter.estimate(999)).toBe(1);
  });

  test('what costs more than the limit never fits (L9)', () => {
    const meter = new SlidingWindow({ limit: 3, window: 1000 });
    expect([meter.wait(3, 0), meter.wait(3.01, 0), meter.wait(3.01, 1e12)]).toEqual([0, Infinity, Infinity]);
  });

  test('the wait is told in closed form across boundaries: through the rest of the oldest segment, those after it, and those where nothing came', () => {
    const meter = new SlidingWindow({ limit: 10, window: 1000 });
    meter.take(10, 400);
    expect(meter.wait(1, 400)).toBe(700); // at 1100 a tenth of it has gone
    expect(meter.wait(10, 400)).toBe(1600);
    meter.take(4, 1400);
    expect(meter.wait(8, 1500)).toBe(1000); // 2 of those 4 have gone at 2500
    const fine = new SlidingWindow({ limit: 10, window: 1000 }, 10);
    fine.take(5, 50);
    fine.take(5, 850);
    expect(fine.wait(1, 900)).toBeCloseTo(120, 9);
    expect(fine.wait(5, 900)).toBeCloseTo(200, 9);
    expect(fine.wait(6, 900)).toBeCloseTo(920, 9);
  });

  test('what does not fit is booked for when it does, and nobody gets in before it', () => {
    const meter = new SlidingWindow({ limit: 10, window: 1000 });
    meter.take(10, 0);
    const wait = meter.wait(5, 500);
    expect(wait).toBe(1000);
    meter.take(5, 500);
    expect([meter.wait(1, 500), meter.available(500), meter.isFresh(1000)]).toEqual([1000 + 100, 0, false]);
    meter.take(25, 500); // more than it ever holds: once nothing else counts
    expect(meter.wait(1, 500)).toBeGreaterThan(2500);
    expect(meter.isFresh(20_000)).toBe(true);
  });

  test('giving back leaves no trace; what has left the window takes nothing back (L6)', () => {
    const meter = new SlidingWindow({ limit: 4, window: 1000 }, 2);
    const taken = [0, 300, 700, 1200].map((now) => meter.take(1, now));
    expect(meter.estimate(1200)).toBeCloseTo(1 + 1 + 2 * 0.6, 12);
    meter.giveBack(taken[0] as never);
    expect(meter.estimate(1200)).toBeCloseTo(1 + 1 + 0.6, 12);
    for (const entry of taken.slice(1)) meter.giveBack(entry);
    expect([meter.estimate(1200), meter.isFresh(1200)]).toEqual([0, true]);
    const early = meter.take(4, 1300);
    meter.take(4, 3500);
    meter.giveBack(early);
    expect(meter.available(3500)).toBe(0);
  });

  test('emptied, it fills as if a full limit had been taken', () => {
    const meter = new SlidingWindow({ limit: 4, window: 1000 });
    meter.take(1, 0);
    meter.drain(500);
    meter.drain(600);
    expect([meter.available(600), meter.wait(1, 600)]).toEqual([0, 650]);
  });

  test('a new limit keeps what counts; a new length does too, as if it had just come (L8)', () => {
    const meter = new SlidingWindow({ limit: 5, window: 1000 });
    expect(rush(meter, 0, 9)).toBe(5);
    meter.change({ limit: 8, window: 1000 }, 100);
    expect(rush(meter, 100, 9)).toBe(3);
    meter.change({ limit: 2, window: 1000 }, 200);
    expect(rush(meter, 1000, 9)).toBe(0);
    meter.change({ limit: 8, window: 500 }, 1250);
    expect([meter.estimate(1250), meter.available(1250)]).toEqual([6, 2]);
    meter.change({ limit: 8, window: 5000 }, 1300);
    expect([meter.estimate(1300), meter.estimate(5000), meter.estimate(10_000)]).toEqual([6, 6, 0]);
  });

  test('the wait it tells is exact at any hour and for any length, fractions and years: then it fits, a millisecond earlier it does not (L4)', () => {
    for (const window of [61, 10_000 / 3, 86_400_000, 3 * year + 0.1]) {
      for (const segments of [1, 2, 7, 60]) {
        for (const start of [0, 12_345.678, 30 * 86_400_000 + 0.1, 4e9 + 0.7]) {
          const meter = new SlidingWindow({ limit: 5, window }, segments);
          meter.begin(start);
          let now = start + window / 7;
          for (let i = 0; i < 60; i++) {
            const cost = [1, 0.7, 2.3, 5][i % 4] as number;
            const wait = meter.wait(cost, now);
            expect(wait).toBeLessThanOrEqual(2 * window);
            // Where the estimate falls steeply a millisecond earlier it is clearly too much; the wait is no later than need be.
            if (wait > 1) expect([i, meter.wait(cost, now + wait - 1) > 0]).toEqual([i, true]);
            now += wait;
            expect([i, meter.wait(cost, now)]).toEqual([i, 0]);
            meter.take(cost, now);
            now += (i % 3) * window * 0.11;
          }
        }
      }
    }
  });

  test('ten million calls over thirty days get the rate, less what rounding to whole calls costs (L10)', () => {
    const days = 30 * 86_400_000;
    const meter = new SlidingWindow({ limit: 60, window: 60_000 });
    let admitted = 0;
    for (let i = 0; i < 10_000_000; i++) if (allow(meter, (i * days) / 10_000_000)) admitted++;
    expect(admitted / (days / 1000)).toBeGreaterThan(0.97);
    expect(admitted / (days / 1000)).toBeLessThanOrEqual(1);
  });

  test('time that goes back stands still: nothing is gained, and nobody is locked out until it has caught up', () => {
    const hour = 3_600_000;
    const meter = new SlidingWindow({ limit: 1, window: 1000 });
    meter.begin(2 * hour);
    expect(allow(meter, 2 * hour + 500)).toBe(true);
    expect([allow(meter, hour), meter.wait(1, hour)]).toEqual([false, 1500]);
    expect([allow(meter, hour + 1499), allow(meter, hour + 1500)]).toEqual([false, true]);
  });

  test('a copy goes its own way', () => {
    const meter = new SlidingWindow({ limit: 2, window: 1000 }, 3);
    meter.take(1, 300);
    const copy = meter.copy();
    copy.take(1, 400);
    expect([meter.available(400), copy.available(400)]).toEqual([1, 0]);
  });
});
