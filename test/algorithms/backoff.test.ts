import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Backoff, type BackoffSettings, longestBackoff, plainDelay } from '../../src/algorithms/backoff.ts';
import { seededRandom } from 'breakwater/testing';

const settings = (given: Partial<BackoffSettings> = {}): BackoffSettings => ({
  kind: 'exponential',
  delay: 100,
  factor: 2,
  maxDelay: 20_000,
  jitter: 'none',
  spread: 0.25,
  delays: undefined,
  firstRetryFast: false,
  ...given,
});
const anySettings = fc.record({
  kind: fc.constantFrom('constant', 'linear', 'exponential', 'fibonacci'),
  delay: fc.double({ min: 0, max: 1e6, noNaN: true }),
  factor: fc.double({ min: 1, max: 1000, noNaN: true }),
  maxDelay: fc.oneof(fc.double({ min: 0, max: 1e9, noNaN: true }), fc.constant(Infinity)),
  jitter: fc.constantFrom('none', 'full', 'equal', 'proportional', 'decorrelated', 'decorrelated-v2'),
  spread: fc.double({ min: 0, max: 1, noNaN: true }),
  delays: fc.constant(undefined),
  firstRetryFast: fc.boolean(),
}) as fc.Arbitrary<BackoffSettings>;
const chance = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });

describe('backoff', () => {
  test.each(['full', 'equal', 'proportional', 'decorrelated', 'decorrelated-v2'] as const)(
    'with %s jitter and no cap stays a number when chance is 0 (regression: 0 times Infinity)',
    (jitter) => {
      const backoff = new Backoff(settings({ jitter, maxDelay: Infinity }));
      for (let n = 0; n < 3000; n++) {
        const delay = backoff.next(n < 2000 ? 0.999 : 0);
        if (!Number.isFinite(delay)) expect.fail(`retry ${n + 1}: ${delay}`);
      }
    },
  );

  test('no delay leaves 0..cap, whatever the attempt: nothing overflows and nothing is NaN (R4)', () => {
    fc.assert(
      fc.property(
        anySettings,
        fc.oneof(fc.integer({ min: 1, max: 3000 }), fc.constant(10_000)),
        fc.array(chance, { minLength: 1, maxLength: 5 }),
        (given, retries, us) => {
          const backoff = new Backoff(given);
          for (let n = 0; n < retries; n++) {
            const delay = backoff.next(us[n % us.length] as number);
            if (!(delay >= 0 && delay <= given.maxDelay)) expect.fail(`retry ${n + 1}: ${delay}`);
          }
        },
      ),
      { numRuns: 300 },
    );
  });

  test('without jitter it never shrinks from one retry to the next', () => {
    fc.assert(
      fc.property(anySettings, fc.integer({ min: 1, max: 1000 }), (given, n) => {
        expect(plainDelay(given, n + 1)).toBeGreaterThanOrEqual(plainDelay(given, n));
      }),
    );
  });

  test.each([
    ['full', 0.5, 1 / 12],
    ['equal', 0.75, 1 / 48],
  ] as const)('%s jitter has the mean and the spread of its formula within 2 % over a million draws (R5)', (jitter, mean, variance) => {
    const random = seededRandom(7);
    const backoff = new Backoff(settings({ jitter, delay: 1, maxDelay: 1 }));
    let sum = 0;
    let squares = 0;
    for (let i = 0; i < 1_000_000; i++) {
      const delay = backoff.next(random());
      sum += delay;
      squares += delay * delay;
    }
    const found = sum / 1_000_000;
    expect(found / mean).toBeCloseTo(1, 2);
    expect((squares / 1_000_000 - found * found) / variance).toBeGreaterThan(0.98);
    expect((squares / 1_000_000 - found * found) / variance).toBeLessThan(1.02);
  });

  test('decorrelated jitter goes on from the delay before, between the first delay and three times the last', () => {
    fc.assert(
      fc.property(chance, chance, (first, second) => {
        const backoff = new Backoff(settings({ jitter: 'decorrelated' }));
        const previous = backoff.next(first);
        const delay = backoff.next(second);
        expect(delay).toBeGreaterThanOrEqual(100);
        expect(delay).toBeLessThanOrEqual(3 * previous);
      }),
    );
  });

  test('the longest schedule is at least any schedule that chance can make, also for a million retries', () => {
    fc.assert(
      fc.property(anySettings, fc.integer({ min: 0, max: 30 }), fc.array(chance, { minLength: 1, maxLength: 30 }), (given, retries, us) => {
        const backoff = new Backoff(given);
        let sum = 0;
        for (let n = 1; n <= retries; n++) sum += backoff.next(us[n % us.length] as number);
        expect(longestBackoff(given, retries)).toBeGreaterThanOrEqual(sum * (1 - 1e-9));
      }),
    );
    expect(longestBackoff(settings(), 1_000_000)).toBeCloseTo(
      100 + 200 + 400 + 800 + 1600 + 3200 + 6400 + 12_800 + (1_000_000 - 8) * 20_000,
    );
    expect(longestBackoff(settings(), Infinity)).toBe(Infinity);
    expect(longestBackoff(settings({ delay: 0 }), Infinity)).toBe(0);
  });
});
