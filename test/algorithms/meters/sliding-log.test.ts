import { describe, expect, test } from 'vitest';
import { seededRandom } from 'breakwater/testing';
import { type LogEntry, SlidingLog } from '../../../src/algorithms/meters/sliding-log.ts';

const year = 365 * 86_400_000;

/** Takes it if it fits. */
function allow(meter: SlidingLog, now: number, cost = 1): boolean {
  if (meter.wait(cost, now) > 0) return false;
  meter.take(cost, now);
  return true;
}

/** How many of `count` that come at once get in. */
const rush = (meter: SlidingLog, now: number, count: number): number =>
  Array.from({ length: count }, () => allow(meter, now)).filter(Boolean).length;

describe('a sliding log', () => {
  test('lets in the limit within any one length, to the millisecond (L1)', () => {
    const meter = new SlidingLog({ limit: 3, window: 1000 });
    expect([allow(meter, 100), allow(meter, 600), allow(meter, 900), allow(meter, 1099)]).toEqual([true, true, true, false]);
    expect([allow(meter, 1100), allow(meter, 1599), allow(meter, 1600), rush(meter, 1900, 5)]).toEqual([true, false, true, 1]);
  });

  test('a look or a refusal changes nothing (L3)', () => {
    const meter = new SlidingLog({ limit: 1, window: 1000 });
    allow(meter, 0);
    for (let now = 0; now < 1000; now += 13) expect([allow(meter, now), meter.size]).toEqual([false, 1]);
    expect(meter.wait(1, 990)).toBe(10);
  });

  test('what costs more than the limit never fits; what costs several waits until enough of them have gone (L9)', () => {
    const meter = new SlidingLog({ limit: 3, window: 1000 });
    expect([meter.wait(3, 0), meter.wait(3.01, 0)]).toEqual([0, Infinity]);
    for (const now of [0, 100, 200]) meter.take(1, now);
    expect([1, 1.5, 2, 3].map((cost) => meter.wait(cost, 300))).toEqual([700, 800, 800, 900]);
  });

  test('what does not fit is booked for when it does, and nobody gets in before it; cancelled, it leaves no trace (L6)', () => {
    const meter = new SlidingLog({ limit: 2, window: 1000 });
    meter.take(1, 0);
    meter.take(1, 300);
    const [first, second] = [meter.take(1, 400), meter.take(2, 400)]; // for 1000 and 2000
    expect([first, second].map(({ at }) => at)).toEqual([1000, 2000]);
    expect([meter.wait(1, 400), meter.available(400)]).toEqual([2600, 0]);
    meter.giveBack(second);
    expect(meter.wait(1, 400)).toBe(900);
    meter.giveBack(first);
    expect([meter.wait(1, 400), meter.wait(2, 400), meter.available(1100)]).toEqual([600, 900, 1]);
    meter.take(9, 400); // more than it ever holds: once nothing else counts
    expect([meter.wait(1, 400), meter.isFresh(2299), meter.isFresh(2300)]).toEqual([1900, false, true]);
  });

  test('giving back counts only while it is remembered (L6)', () => {
    const meter = new SlidingLog({ limit: 2, window: 1000 });
    const [first, second] = [meter.take(1, 0), meter.take(1, 0)];
    meter.giveBack(first);
    expect(meter.available(0)).toBe(1);
    meter.giveBack(second);
    expect([meter.isFresh(0), meter.size]).toEqual([true, 0]);
    const early = meter.take(2, 100);
    meter.take(2, 1100);
    meter.giveBack(early);
    expect(meter.available(1100)).toBe(0);
  });

  test('emptied, nothing fits until one length has passed; a new limit or length leaves the log as it is (L8)', () => {
    const meter = new SlidingLog({ limit: 5, window: 1000 });
    expect(rush(meter, 0, 2)).toBe(2);
    meter.drain(500);
    meter.drain(600);
    expect([meter.wait(1, 600), meter.wait(3, 600)]).toEqual([400, 900]);
    meter.change({ limit: 8, window: 1000 });
    expect(rush(meter, 600, 9)).toBe(3);
    meter.change({ limit: 2, window: 300 });
    expect([meter.wait(1, 700), rush(meter, 900, 9)]).toEqual([200, 2]);
  });

  test('remembers no more entries than its limit, whatever comes and however long (bounded memory)', () => {
    const random = seededRandom(5);
    const meter = new SlidingLog({ limit: 200, window: 1000 });
    for (let now = 0, most = 0; now < 60_000; now += random() * 3) {
      allow(meter, now);
      most = Math.max(most, meter.size);
      expect(most).toBeLessThanOrEqual(200);
    }
  });

  test('however little calls cost, memory stays bounded, and what it lets in never exceeds the limit (L1)', () => {
    const random = seededRandom(6);
    const meter = new SlidingLog({ limit: 2, window: 1000 });
    const admitted: { at: number; cost: number }[] = [];
    for (let now = 0; now < 20_000; now += random() * 2) {
      const cost = random() * 0.004;
      if (allow(meter, now, cost)) admitted.push({ at: now, cost });
      expect(meter.size).toBeLessThanOrEqual(2 * 64 + 1);
    }
    let sum = 0;
    let first = 0;
    for (const { at, cost } of admitted) {
      sum += cost;
      while ((admitted[first] as LogEntry).at + 1000 <= at) sum -= (admitted[first++] as LogEntry).cost;
      expect(sum).toBeLessThanOrEqual(2 + 1e-9);
    }
    expect(admitted.reduce((all, { cost }) => all + cost, 0)).toBeGreaterThan(2 * 19 * 0.95);
  });

  test('the wait it tells is exact at any hour and for any length, fractions and years: then it fits, a millisecond earlier it does not (L4)', () => {
    const random = seededRandom(7);
    for (const window of [61, 10_000 / 3, 86_400_000, 3 * year + 0.1]) {
      for (const limit of [3, 100]) {
        for (const start of [0, 12_345.678, 30 * 86_400_000 + 0.1, 4e9 + 0.7]) {
          const meter = new SlidingLog({ limit, window });
          meter.begin(start);
          let now = start;
          for (let i = 0; i < 300; i++) {
            const cost = [1, 0.7, 2.3][i % 3] as number;
            const wait = meter.wait(cost, now);
            if (wait > 1) expect([i, meter.wait(cost, now + wait - 1) > 0]).toEqual([i, true]);
            now += wait;
            expect([i, meter.wait(cost, now)]).toEqual([i, 0]);
            meter.take(cost, now);
            now += (random() * window) / limit;
          }
        }
      }
    }
  });

  test('ten million calls over thirty days get exactly the rate (L10)', () => {
    const days = 30 * 86_400_000;
    const meter = new SlidingLog({ limit: 60, window: 60_000 });
    let admitted = 0;
    for (let now = 0; now < days; now += 250) if (allow(meter, now)) admitted++;
    expect(admitted).toBe(days / 1000);
  });

  test('time that goes back stands still: nothing is gained, and nobody is locked out until it has caught up', () => {
    const hour = 3_600_000;
    const meter = new SlidingLog({ limit: 1, window: 1000 });
    meter.begin(2 * hour);
    expect(allow(meter, 2 * hour + 500)).toBe(true);
    expect([allow(meter, hour), meter.wait(1, hour)]).toEqual([false, 1000]);
    expect([allow(meter, hour + 999), allow(meter, hour + 1000)]).toEqual([false, true]);
  });

  test('a copy goes its own way', () => {
    const meter = new SlidingLog({ limit: 3, window: 1000 });
    for (const now of [0, 100, 1050]) meter.take(1, now);
    const copy = meter.copy();
    copy.take(1, 1200);
    copy.take(1, 1200);
    expect([meter.available(1200), meter.size, copy.available(1200)]).toEqual([2, 2, 0]);
  });
});
