/** Outputs thrown away at the start, until every bit of the seed has reached every bit of the state. */
const WARM_UP = 12;

/**
 * Numbers in [0, 1) from a seed, a whole number: the same seed gives the same numbers on every machine, 32 random bits each. Another `stream` (a whole number too) gives others
 * that have nothing to do with the first. Not for secrets.
 *
 * After Doty-Humphrey, "PractRand": sfc32, a small fast counting generator with 32-bit words.
 */
export function sfc32(seed: number, stream: number = 0): () => number {
  let a = stream | 0;
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
