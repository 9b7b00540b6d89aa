import { sfc32 } from '../algorithms/sfc32.ts';
import type { Random } from '../core/clock.ts';

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
  return sfc32(seed);
}
