import type { Random } from '../core/clock.ts';

/** Outputs thrown away at the start, until every bit of the seed has reached every bit of the state. */
const WARM_UP = 12;

/**
 * A repeatable source of chance: the same seed gives the same numbers in [0, 1), on every machine. The generator is sfc32 (Doty-Humphrey,
 * "PractRand", small fast counting generator with 32-bit words); each number carries 32 random bits. Not for secrets.
 *
 * @throws RangeError if the seed is no whole number
 *
 * @example
 * ```ts
 * import { seededRandom } from 'breakwater/testing';
 *
 * const [one, other] = [seededRandom(7), seededRandom(7)];
 * console.log(one() === other()); // => true
 * ```
 */
export function seededRandom(seed: number): Random {
  if (!Number.isSafeInteger(seed)) throw new RangeError(`seededRandom: expected a whole number as the seed, got ${String(seed)}`);
  let a = 0;
  let b = seed | 0;
  let c = Math.floor(seed / 2 ** 32) | 0;
  let counter = 1;
  const next = (): number => {
    const sum = (a + b + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (((c << 21) | (c >>> 11)) + sum) | 0;
    return (sum >>> 0) / 2 ** 32;
  };
  for (let i = 0; i < WARM_UP; i++) next();
  return next;
}
