import { describe, expect, test } from 'vitest';
import { seededRandom } from 'breakwater/testing';

const draw = (seed: number, n: number): number[] => {
  const random = seededRandom(seed);
  return Array.from({ length: n }, () => random());
};

describe('a seeded source of chance', () => {
  test('gives the same numbers for the same seed, for ever', () => {
    expect(draw(42, 100)).toEqual(draw(42, 100));
    expect(draw(1, 3)).toEqual([0.4684900725260377, draw(1, 2)[1], draw(1, 3)[2]]);
  });

  test('gives others for another seed, also one that differs in high bits or in sign', () => {
    const firsts = [0, 1, 2, -1, 2 ** 32, 2 ** 32 + 1, Number.MAX_SAFE_INTEGER].map((seed) => draw(seed, 1)[0]);
    expect(new Set(firsts).size).toBe(firsts.length);
  });

  test('stays in [0, 1), fills its tenths evenly and does not follow itself', () => {
    const numbers = draw(7, 100_000);
    expect(numbers.every((x) => x >= 0 && x < 1)).toBe(true);
    const tenths = Array.from({ length: 10 }, (_, i) => numbers.filter((x) => Math.floor(x * 10) === i).length);
    for (const count of tenths) expect(Math.abs(count - 10_000)).toBeLessThan(500);
    const mean = numbers.reduce((sum, x) => sum + x) / numbers.length;
    const drift = numbers.slice(1).reduce((sum, x, i) => sum + (x - mean) * ((numbers[i] as number) - mean), 0) / numbers.length;
    expect(Math.abs(drift * 12)).toBeLessThan(0.02);
  });

  test('is the published generator: first words of PractRand for the seed 0, counted from its definition', () => {
    let [a, b, c, counter] = [0n, 0n, 0n, 1n];
    const mask = (x: bigint): bigint => BigInt.asUintN(32, x);
    const word = (): bigint => {
      const sum = mask(a + b + counter++);
      a = b ^ (b >> 9n);
      b = mask(c + (c << 3n));
      c = mask((mask(c << 21n) | (c >> 11n)) + sum);
      return sum;
    };
    for (let i = 0; i < 12; i++) word();
    expect(draw(0, 20).map((x) => BigInt(x * 2 ** 32))).toEqual(Array.from({ length: 20 }, word));
  });

  test('refuses a seed that is no whole number', () => {
    for (const wrong of [0.5, Number.NaN, Infinity, '1', undefined])
      expect(() => seededRandom(wrong as never)).toThrow('seededRandom: expected a whole number as the seed');
  });
});
