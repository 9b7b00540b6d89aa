/** A limiter per key, 100 000 keys: what a decision costs and what a key holds. */

import { perKey, pipeline, tokenBucket } from 'breakwater';
import { RateLimiterMemory } from 'rate-limiter-flexible';
import { heapInUse } from '../heap.mjs';
import { AMPLE } from '../stacks.mjs';

/** As it would be read from a socket: 24 characters in one piece, not a rope. */
function keyOf(i) {
  return Buffer.from(`client-${String(i).padStart(17, '0')}`).toString('latin1');
}

/** A way through all keys that is no order they were made in; 7919 is prime, so every key has its turn. */
async function takeAll(take, keys) {
  let admitted = 0;
  const start = performance.now();
  for (let i = 0, at = 0; i < keys.length; i++, at = (at + 7919) % keys.length) admitted += await take(keys[at]);
  return { took: ((performance.now() - start) * 1e6) / keys.length, admitted };
}

async function measure({ make }, n) {
  const { take, close } = make();
  await take('another');
  const before = await heapInUse();
  let keys = Array.from({ length: n }, (_, i) => keyOf(i));
  const first = await takeAll(take, keys);
  const again = await takeAll(take, keys);
  const third = await takeAll(take, keys);
  const admitted = first.admitted + again.admitted + third.admitted;
  keys = undefined;
  const held = ((await heapInUse()) - before) / n;
  await close?.(n);
  return { first: first.took, again: Math.min(again.took, third.took), held, admitted };
}

export const keyed = {
  id: 'keyed',
  title: 'A rate limit per key, 100 000 keys',
  size: 100_000,
  columns: [
    { key: 'first', title: 'first take of a key, ns' },
    { key: 'again', title: 'take of a known key, ns', ratio: true },
    { key: 'held', title: 'bytes a key, with the key' },
  ],
  measure,
  expected({ admitted }, n, name) {
    if (admitted !== 3 * n) throw new Error(`${name}: of ${3 * n} takes, ${admitted} admitted`);
  },
  contestants: [
    {
      name: 'breakwater perKey(tokenBucket), tryAcquire',
      make: () => {
        const limits = pipeline([perKey(() => tokenBucket({ rate: AMPLE, per: '1s', burst: AMPLE }), { max: 200_000 })]);
        return {
          take: (key) => {
            const answer = limits.tryAcquire({ key });
            if (!answer.admitted) return 0;
            answer.success();
            return 1;
          },
        };
      },
    },
    {
      name: 'breakwater perKey(tokenBucket), execute',
      make: () => {
        const limits = pipeline([perKey(() => tokenBucket({ rate: AMPLE, per: '1s', burst: AMPLE }), { max: 200_000 })]);
        const work = () => 1;
        return { take: (key) => limits.execute(work, { key }) };
      },
    },
    {
      name: 'rate-limiter-flexible (memory)',
      make: () => {
        const limiter = new RateLimiterMemory({ points: AMPLE, duration: 3600 });
        return {
          take: async (key) => ((await limiter.consume(key)).remainingPoints > 0 ? 1 : 0),
          // Each of its keys holds a timer, which would hold the memory for the rounds to come.
          close: async (n) => {
            for (let i = 0; i < n; i++) await limiter.delete(keyOf(i));
          },
        };
      },
    },
  ],
};
