import { describe, expect, test } from 'vitest';
import { FixedWindow } from '../../../src/algorithms/meters/fixed-window.ts';

const minute = 60_000;
const year = 365 * 86_400_000;

/** Takes it if it fits. */
function allow(meter: FixedWindow, now: number, cost = 1): boolean {
  if (meter.wait(cost, now) > 0) return false;
  meter.take(cost, now);
  return true;
}

/** How many of `count` that come at once get in. */
const rush = (meter: FixedWindow, now: number, count: number): number =>
  Array.from({ length: count }, () => allow(meter, now)).filter(Boolean).length;

describe('a fixed window', () => {
  test('opens with the first call that comes when none is open, and the next one opens exactly one length later', () => {
    const meter = new FixedWindow({ limit: 2, window: 1000 });
    expect([allow(meter, 300), allow(meter, 1200), allow(meter, 1299.999)]).toEqual([true, true, false]);
    expect(meter.wait(1, 1200)).toBe(100);
    expect([allow(meter, 1300), meter.left(1300), meter.left(1700)]).toEqual([true, 1000, 600]);
    // After a quiet time it is the next call that opens one.
    expect([allow(meter, 5555), meter.left(5555)]).toEqual([true, 1000]);
  });

  test('aligned windows open at multiples of their length, whenever calls come', () => {
    const meter = new FixedWindow({ limit: 2, window: 1000 }, true);
    expect([meter.left(300), allow(meter, 300), allow(meter, 999), allow(meter, 999.9)]).toEqual([700, true, true, false]);
    expect(rush(meter, 1000, 3)).toBe(2);
    expect(meter.wait(1, 1999)).toBe(1);
    expect(meter.left(7777)).toBe(223);
    meter.align(250, 10_000); // as it turns out, one opened a quarter of a second ago
    expect([meter.left(10_000), rush(meter, 10_749, 3), rush(meter, 10_750, 3)]).toEqual([750, 2, 2]);
  });

  test('lets in no more than the limit in a window and twice that within one length, however the calls lie (L1)', () => {
    const meter = new FixedWindow({ limit: 10, window: 1000 });
    expect(allow(meter, 0)).toBe(true);
    expect([rush(meter, 999, 100), rush(meter, 1000, 100), rush(meter, 1999, 100)]).toEqual([9, 10, 0]);
  });

  test('a look or a refusal changes nothing (L3)', () => {
    const meter = new FixedWindow({ limit: 1, window: 1000 });
    allow(meter, 0);
    for (let now = 0; now < 1000; now += 13) expect([allow(meter, now), meter.used(now), meter.available(now)]).toEqual([false, 1, 0]);
    expect(meter.wait(1, 990)).toBe(10);
  });

  test('what costs more than the limit never fits (L9)', () => {
    const meter = new FixedWindow({ limit: 3, window: 1000 });
    expect([meter.wait(3, 0), meter.wait(3.01, 0), meter.wait(3.01, 1e12)]).toEqual([0, Infinity, Infinity]);
  });

  test('what does not fit is taken from windows to come, whole, and nobody gets in before it', () => {
    const meter = new FixedWindow({ limit: 5, window: 1000 });
    meter.take(3, 0);
    expect(meter.wait(4, 100)).toBe(900);
    meter.take(4, 100);
    expect([meter.wait(1, 100), meter.wait(2, 100)]).toEqual([900, 1900]); // two more would have fitted in the first window
    meter.take(2, 100);
    expect(meter.available(100)).toBe(5 - 2 - 2 * 5);
    expect([meter.used(2100), meter.wait(3, 2000), meter.wait(4, 2000)]).toEqual([2, 0, 1000]);
  });

  test('a reservation of more than the limit is paid from several windows, the present one included', () => {
    const meter = new FixedWindow({ limit: 2, window: 1000 }, true);
    meter.take(1, 0);
    meter.take(6, 0); // 1 now, 2, 2, and the last of them at 3000
    expect([meter.available(0), meter.wait(1, 0), meter.wait(2, 0)]).toEqual([-5, 3000, 4000]);
  });

  test('giving back leaves no trace; a window that is over takes nothing back (L6)', () => {
    const meter = new FixedWindow({ limit: 2, window: 1000 });
    const [first, second] = [meter.take(1, 0), meter.take(1, 500)];
    meter.giveBack(second);
    expect(meter.available(500)).toBe(1);
    meter.giveBack(first);
    expect([meter.isFresh(500), meter.available(500), meter.left(700)]).toEqual([true, 2, 1000]);
    const early = meter.take(2, 700);
    meter.take(2, 1700);
    meter.giveBack(early);
    expect(meter.available(1700)).toBe(0);
  });

  test('emptied, it is full again when the window closes', () => {
    const meter = new FixedWindow({ limit: 5, window: 1000 });
    meter.drain(100);
    expect([meter.available(100), meter.wait(1, 100), meter.available(1100)]).toEqual([0, 1000, 5]);
  });

  test('a raised limit lets in what is left of it, a lowered one nothing until the window closes; counts stay (L8)', () => {
    const meter = new FixedWindow({ limit: 5, window: 1000 });
    expect(rush(meter, 0, 9)).toBe(5);
    meter.change({ limit: 8, window: 1000 }, 100);
    expect(rush(meter, 100, 9)).toBe(3);
    meter.change({ limit: 2, window: 1000 }, 200);
    expect([meter.available(200), rush(meter, 999, 9), rush(meter, 1000, 9)]).toEqual([0, 0, 2]);
  });

  test('a new length holds for the open window too: it is never cut shorter than that, aligned or not', () => {
    const meter = new FixedWindow({ limit: 1, window: minute });
    allow(meter, 1000);
    meter.change({ limit: 1, window: 1000 }, 1500);
    expect([meter.wait(1, 1500), meter.wait(1, 2000)]).toEqual([500, 0]);
    allow(meter, 2000);
    meter.change({ limit: 1, window: minute }, 2500);
    expect(meter.wait(1, 2500)).toBe(59_500);
    const aligned = new FixedWindow({ limit: 1, window: 1000 }, true);
    allow(aligned, 1500);
    aligned.change({ limit: 1, window: 700 }, 1600);
    expect(aligned.wait(1, 1600)).toBe(500); // a window of the new length opens at 2100
    aligned.change({ limit: 1, window: 1000 }, 1700);
    expect(aligned.wait(1, 1700)).toBe(300);
  });

  test('penalties count beyond the limit, and a blocked meter lets nobody in for so long, and what was counted stays until then', () => {
    const meter = new FixedWindow({ limit: 2, window: 1000 });
    meter.penalize(5, 0);
    expect([meter.used(0), meter.available(0), meter.wait(1, 400)]).toEqual([5, 0, 600]);
    expect(meter.wait(1, 1000)).toBe(0);
    meter.block(3000, 1500);
    expect([meter.wait(1, 1500), meter.left(1500), meter.isFresh(4499), meter.available(2000)]).toEqual([3000, 3000, false, 0]);
    expect([meter.isFresh(4500), meter.wait(1, 4500), meter.available(4500)]).toEqual([true, 0, 2]);
    meter.take(1, 5000);
    meter.block(100, 5000);
    expect([meter.wait(1, 5000), meter.available(5100), meter.left(5100)]).toEqual([100, 1, 900]);
    meter.block(9000, 5200);
    meter.change({ limit: 100, window: 10 }, 5300);
    expect(meter.wait(1, 5300)).toBe(8900);
  });

  test('a prolonged window stays open however its length changes', () => {
    const meter = new FixedWindow({ limit: 1, window: 500 });
    meter.take(1, 0);
    meter.prolong(4000, 100);
    meter.change({ limit: 1, window: 100 }, 200);
    expect([meter.wait(1, 200), meter.wait(1, 4100)]).toEqual([3900, 0]);
  });

  test('the wait it tells is exact at any hour and for any length, fractions and years: then it fits, a millisecond earlier it does not (L4)', () => {
    for (const window of [7, 1000 / 3, 1000, 86_400_000, 3 * year + 0.1]) {
      for (const aligned of [false, true]) {
        for (const start of [0, 12_345.678, 30 * 86_400_000 + 0.1, 4e9 + 0.7]) {
          const meter = new FixedWindow({ limit: 2, window }, aligned);
          meter.begin(start);
          let now = start + window / 7;
          for (let i = 0; i < 20; i++) {
            expect(rush(meter, now, 3)).toBe(2);
            const wait = meter.wait(1, now);
            if (wait > 1) expect(allow(meter, now + wait - 1)).toBe(false);
            now += wait;
            expect(meter.wait(1, now)).toBe(0);
          }
        }
      }
    }
  });

  test('ten million calls over thirty days get exactly the limit of each window (L10)', () => {
    const days = 30 * 86_400_000;
    const meter = new FixedWindow({ limit: 100, window: 77_000 }, true);
    let admitted = 0;
    for (let i = 0; i < 10_000_000; i++) if (allow(meter, (i * days) / 10_000_000)) admitted++;
    expect(admitted).toBe(Math.ceil(days / 77_000) * 100);
  });

  test('time that goes back stands still: nothing is gained, and nobody is locked out until it has caught up', () => {
    const hour = 3_600_000;
    const meter = new FixedWindow({ limit: 1, window: 1000 });
    meter.begin(2 * hour);
    expect(allow(meter, 2 * hour + 500)).toBe(true);
    expect(allow(meter, hour)).toBe(false);
    expect(meter.wait(1, hour)).toBe(1000);
    expect([allow(meter, hour + 999), allow(meter, hour + 1000)]).toEqual([false, true]);
    expect(meter.wait(1, hour + 990)).toBe(1000); // a stale reading is the present
    expect(meter.wait(1, hour + 1500)).toBe(500);
    meter.begin(0); // another clock
    expect(meter.wait(1, 0)).toBe(1000);
  });

  test('a copy goes its own way', () => {
    const meter = new FixedWindow({ limit: 2, window: 1000 }, true);
    meter.begin(50_000);
    meter.take(1, 50_300);
    const copy = meter.copy();
    copy.take(1, 50_400);
    expect([meter.available(50_400), copy.available(50_400), copy.wait(1, 50_400), copy.left(53_100)]).toEqual([1, 0, 600, 900]);
  });
});
