import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Lottery } from '../../src/algorithms/lottery.ts';
import { SafetyValve } from '../../src/algorithms/safety-valve.ts';

test('a lottery gives each prize the share of chance that its weight says', () => {
  const lottery = new Lottery([
    { prize: 'a', weight: 1 },
    { prize: 'never', weight: 0 },
    { prize: 'b', weight: 3 },
  ]);
  expect([0, 0.249, 0.25, 0.999].map((u) => lottery.draw(u))).toEqual(['a', 'a', 'b', 'b']);
});

test('a lottery without tickets draws nothing, and one with tickets always something', () => {
  expect(new Lottery([{ prize: 'a', weight: 0 }]).draw(0.5)).toBeUndefined();
  fc.assert(
    fc.property(
      fc.array(fc.double({ min: 1e-9, max: 1e9, noNaN: true }), { minLength: 1 }),
      fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
      (weights, u) => {
        expect(new Lottery(weights.map((weight, prize) => ({ prize, weight }))).draw(u)).toBeTypeOf('number');
      },
    ),
  );
});

test('a safety valve lets through as much as fits, and no more in any span', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 5 }), fc.array(fc.integer({ min: 0, max: 60 })), (most, gaps) => {
      const valve = new SafetyValve(most, 100);
      const through: number[] = [];
      let now = 0;
      for (const gap of gaps) {
        now += gap;
        const room = through.filter((time) => now - time < 100).length < most;
        expect(valve.admit(now)).toBe(room);
        if (room) through.push(now);
      }
    }),
  );
  expect(Array.from({ length: 5000 }, () => new SafetyValve(Infinity, 1).admit(0)).every(Boolean)).toBe(true);
});
