import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { exceeds } from '../../../src/algorithms/meters/meter.ts';
import { Bucket, type Charge, type Limit } from '../../../src/algorithms/meters/token-bucket.ts';

const full = (limit: Limit, now = 0): Bucket => new Bucket(limit, limit.burst, now);

/** Takes one token if it is there. */
function allow(bucket: Bucket, now: number, cost = 1): boolean {
  if (bucket.wait(cost, now) > 0) return false;
  bucket.take(cost, now);
  return true;
}

describe('a bucket', () => {
  test('fills up continuously, in fractions, and never beyond its burst (L2)', () => {
    const bucket = full({ rate: 3, per: 1000, burst: 2 });
    bucket.take(2, 0);
    expect(bucket.available(0)).toBe(0);
    expect(bucket.available(100)).toBeCloseTo(0.3, 12);
    expect(bucket.available(500)).toBeCloseTo(1.5, 12);
    expect(bucket.available(10_000)).toBe(2);
  });

  test('a look or a refusal changes nothing (L3)', () => {
    const bucket = full({ rate: 3, per: 1000, burst: 1 });
    bucket.take(1, 0);
    const before = structuredClone(bucket);
    for (let now = 0; now < 300; now += 7) expect(allow(bucket, now)).toBe(false);
    expect(structuredClone(bucket)).toEqual(before);
  });

  test.each([
    [1, 1000],
    [3, 1000],
    [7, 1000],
    [10, 60_000],
    [1000 / 3, 1000],
    [1, 86_400_000],
    [999_983, 1000],
    [1e-3, 1],
  ])(
    'the wait it tells for a rate of %d per %d ms is exact at any hour: then it is let in, a millisecond earlier it is not (L4)',
    (rate, per) => {
      for (const start of [0, 1, 12_345.678, 1e6 + 1 / 3, 86_400_000.5, 30 * 86_400_000 + 0.1, 4e9 + 0.7]) {
        for (const cost of [1, 0.7, 2.3]) {
          const bucket = full({ rate, per, burst: 5 }, start);
          let now = start;
          for (let i = 0; i < 50; i++) {
            const wait = bucket.wait(cost, now);
            if (wait > 1) expect(allow(bucket, now + wait - 1, cost)).toBe(false);
            now += wait;
            expect(allow(bucket, now, cost)).toBe(true);
            now += (i * 7919) % 13 === 0 ? per / rate / 3 : 0;
          }
        }
      }
    },
  );

  test('ten million calls over thirty days get exactly what the rate allows (L10)', () => {
    const days = 30 * 86_400_000;
    const calls = 10_000_000;
    const rate = 3;
    const bucket = new Bucket({ rate, per: 1000, burst: 10 }, 0, 0);
    let admitted = 0;
    for (let i = 1; i <= calls; i++) if (allow(bucket, (i * days) / calls)) admitted++;
    expect(Math.abs(admitted - (rate * days) / 1000)).toBeLessThanOrEqual(1);
  });

  test('fractions that no millisecond hits are not rounded away (L10)', () => {
    const bucket = new Bucket({ rate: 7, per: 1100, burst: 2 }, 0, 0);
    let admitted = 0;
    for (let now = 1; now <= 11_000_000; now++) if (allow(bucket, now)) admitted++;
    expect(Math.abs(admitted - 70_000)).toBeLessThanOrEqual(1);
  });

  test('time that goes back counts as no time: nothing is gained by it, and it goes on from there', () => {
    const bucket = full({ rate: 10, per: 1000, burst: 2 }, 5000);
    bucket.take(2, 5000);
    expect(bucket.available(1000)).toBe(0);
    bucket.take(1, 1000);
    expect(bucket.available(1000)).toBe(-1);
    expect(bucket.available(1100)).toBe(0);
  });

  test('what costs more than it holds never fits (L9)', () => {
    const bucket = full({ rate: 10, per: 1000, burst: 3 });
    expect(bucket.wait(3, 0)).toBe(0);
    expect(bucket.wait(3.001, 0)).toBe(Infinity);
    expect(bucket.wait(3.001, 1e15)).toBe(Infinity);
  });

  test('giving back leaves no trace, and never more than it holds (L2, L6)', () => {
    const bucket = full({ rate: 1, per: 1000, burst: 2 });
    const untouched = full({ rate: 1, per: 1000, burst: 2 });
    bucket.giveBack(bucket.take(1, 0), 0);
    expect(bucket).toEqual(untouched);
    bucket.giveBack(bucket.take(1, 0), 5000);
    expect(bucket.available(5000)).toBe(2);
  });

  test('what had come in again before others took more does not come twice: a late refund lets no crowd through (L1)', () => {
    const bucket = full({ rate: 1, per: 1000, burst: 1 });
    const held = bucket.take(1, 0);
    bucket.take(1, 1000);
    bucket.giveBack(held, 1000);
    expect(bucket.available(1000)).toBe(0);
    const roomy = full({ rate: 1, per: 1000, burst: 2 });
    const first = roomy.take(1, 0);
    roomy.take(1, 500);
    roomy.giveBack(first, 1000);
    expect(roomy.available(1000)).toBe(1.5); // without the first, half a token would have found no room
  });

  test('giving back is as if nothing had been taken, whatever happened since (L6)', () => {
    const step = fc.record({ after: fc.integer({ min: 0, max: 1500 }), cost: fc.integer({ min: 1, max: 3 }), undo: fc.option(fc.nat(9)) });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 14 }), (steps) => {
        const limit = { rate: 2, per: 1000, burst: 4 };
        const bucket = full(limit);
        const taken: { charge: Charge; undone: boolean }[] = [];
        let now = 0;
        for (const { after, cost, undo } of steps) {
          now += after;
          taken.push({ charge: bucket.take(cost, now), undone: false });
          const other = undo === null ? undefined : taken[undo % taken.length];
          if (other === undefined || other.undone) continue;
          other.undone = true;
          bucket.giveBack(other.charge, now);
        }
        const without = full(limit);
        for (const { charge, undone } of taken) if (!undone) without.take(charge.cost, charge.at);
        expect(bucket.available(now)).toBeCloseTo(without.available(now), 9);
      }),
      { numRuns: 2000, seed: 1 },
    );
  });

  test('what was taken before a bucket was drained does not fill it up again', () => {
    const bucket = full({ rate: 1, per: 1000, burst: 5 });
    const held = [1, 2, 3].map(() => bucket.take(1, 0));
    bucket.drain(10);
    for (const charge of held) bucket.giveBack(charge, 20);
    expect(bucket.available(20)).toBeCloseTo(0.01, 12);
  });

  test('a state that was written down knows less, and gives back no more', () => {
    const bucket = full({ rate: 1, per: 1000, burst: 3 });
    const charge = bucket.take(2, 0);
    const row = new Float64Array(bucket.width);
    bucket.save(row, 0);
    bucket.load(row, 0);
    bucket.take(1, 500);
    bucket.giveBack(charge, 500);
    expect(bucket.available(500)).toBe(2);
  });

  test('changing the limit makes no gift and takes what no longer fits (L8)', () => {
    const bucket = full({ rate: 1, per: 1000, burst: 2 });
    bucket.change({ rate: 1, per: 1000, burst: 10 }, 0);
    expect(bucket.available(0)).toBe(2);
    expect(bucket.available(3000)).toBe(5);
    bucket.change({ rate: 100, per: 1000, burst: 4 }, 3000);
    expect(bucket.available(3000)).toBe(4);
    bucket.take(4, 3000);
    expect(bucket.available(3010)).toBe(1);
  });

  test('what a later promise depends on stays taken when an earlier one is given back', () => {
    const bucket = full({ rate: 10, per: 1000, burst: 5 });
    bucket.take(5, 0);
    bucket.take(3, 0); // to act at 300
    bucket.take(1, 0); // to act at 400
    bucket.cancel(3, 300, 0);
    expect(bucket.available(0)).toBe(-2);
    bucket.cancel(1, 400, 500);
    expect(bucket.available(500)).toBe(3);
  });
});

test('no wait is too long for a patience without end, except one without end', () => {
  expect(exceeds(5, 5, 0)).toBe(false);
  expect(exceeds(5 + 1e-9, 5, 0)).toBe(false);
  expect(exceeds(5.001, 5, 0)).toBe(true);
  expect(exceeds(1e12, Infinity, 0)).toBe(false);
  expect(exceeds(Infinity, Infinity, 0)).toBe(true);
});
