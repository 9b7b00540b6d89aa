import fc from 'fast-check';
import { expect, test } from 'vitest';
import { FixedWindow } from '../../../src/algorithms/meters/fixed-window.ts';
import { type Meter, type Portable, exceeds } from '../../../src/algorithms/meters/meter.ts';
import { SlidingWindow } from '../../../src/algorithms/meters/sliding-window.ts';
import { Bucket } from '../../../src/algorithms/meters/token-bucket.ts';
import '../../support/properties.ts';

const limit = { limit: 3, window: 100 };
const meters: [string, () => Meter & Portable][] = [
  ['a bucket', () => new Bucket({ rate: 3, per: 100, burst: 3 }, 3, 0)],
  ['a fixed window', () => new FixedWindow(limit)],
  ['aligned windows', () => new FixedWindow(limit, true)],
  ['a sliding window', () => new SlidingWindow(limit, 7)],
];
const steps = fc.array(
  fc.record({ ms: fc.oneof(fc.constant(0), fc.nat(60), fc.double({ min: 0, max: 40, noNaN: true })), cost: fc.constantFrom(0.1, 1, 1, 2) }),
  {
    minLength: 5,
    maxLength: 60,
  },
);

test.each(meters)(
  '%s is all in its numbers: another that takes them on goes on the same; and no wait is too short to tell',
  (_name, make) => {
    const property = fc.property(steps, fc.constantFrom(0, 1e3, 1.7e9), (list, start) => {
      const [one, other] = [make(), make()];
      const numbers = new Float64Array(2 * one.width);
      let now = start;
      one.begin(now);
      for (const { ms, cost } of list) {
        now += ms;
        one.save(numbers, one.width);
        other.load(numbers, one.width);
        const wait = one.wait(cost, now);
        expect(other.wait(cost, now)).toBe(wait);
        expect(wait === 0 || exceeds(wait, 0, now)).toBe(true);
        if (wait === 0) other.giveBack(other.take(cost, now), now);
        if (wait === 0) one.take(cost, now);
        expect(numbers.subarray(0, one.width).every((number) => number === 0)).toBe(true);
      }
    });
    fc.assert(property, { numRuns: 200 });
  },
);
