/** A limiter per key, 100 000 keys and a million: what a decision costs and what a key holds. */

import { bulkhead, perKey, pipeline, slidingWindow, tokenBucket } from 'breakwater';
import { RateLimiter } from 'limiter';
import { LRUCache } from 'lru-cache';
import pLimit from 'p-limit';
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

/** Bytes in use, those of typed arrays too, which stand outside the heap. */
async function memoryInUse() {
  const heap = await heapInUse();
  return heap + process.memoryUsage().external;
}

async function measure({ make }, n, rounds = 2) {
  const before = await memoryInUse();
  const { take, close } = make(n);
  await take('another');
  let keys = Array.from({ length: n }, (_, i) => keyOf(i));
  const first = await takeAll(take, keys);
  let admitted = first.admitted;
  let again = Infinity;
  for (let round = 0; round < rounds; round++) {
    const taken = await takeAll(take, keys);
    again = Math.min(again, taken.took);
    admitted += taken.admitted;
  }
  keys = undefined;
  const held = ((await memoryInUse()) - before) / n;
  await close?.(n);
  return { first: first.took, again, held, admitted };
}

const columns = [
  { key: 'first', title: 'first take of a key, ns' },
  { key: 'again', title: 'take of a known key, ns', ratio: true },
  { key: 'held', title: 'bytes a key, with the key' },
];

/** All takes must have been admitted. */
function expecting(times) {
  return ({ admitted }, n, name) => {
    if (admitted !== times * n) throw new Error(`${name}: of ${times * n} takes, ${admitted} admitted`);
  };
}

/** One of our gates for each key, asked without a function to run. */
const asked = (kind, make) => ({
  name: `breakwater perKey(${kind}), tryAcquire`,
  make: (n) => {
    const limits = pipeline([perKey(make, { max: n + 1 })]);
    return {
      take: (key) => {
        const answer = limits.tryAcquire({ key });
        if (!answer.admitted) return 0;
        answer.success();
        return 1;
      },
    };
  },
});

const ours = asked('tokenBucket', () => tokenBucket({ rate: AMPLE, per: '1s', burst: AMPLE }));

/** What knows no keys, one for each in a map. */
const mapped = (name, make, take) => ({
  name: `${name}, one for each key in a Map`,
  make: () => {
    const all = new Map();
    return {
      take: (key) => {
        let own = all.get(key);
        if (own === undefined) all.set(key, (own = make()));
        return take(own);
      },
    };
  },
});

const flexible = {
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
};

export const keyed = {
  id: 'keyed',
  title: 'A rate limit per key, 100 000 keys',
  size: 100_000,
  columns,
  measure,
  expected: expecting(3),
  contestants: [
    ours,
    {
      name: 'breakwater perKey(tokenBucket), execute',
      make: (n) => {
        const limits = pipeline([perKey(() => tokenBucket({ rate: AMPLE, per: '1s', burst: AMPLE }), { max: n + 1 })]);
        const work = () => 1;
        return { take: (key) => limits.execute(work, { key }) };
      },
    },
    asked('slidingWindow', () => slidingWindow({ limit: AMPLE, window: '1h' })),
    asked('bulkhead', () => bulkhead({ maxConcurrent: 10 })),
    flexible,
    mapped(
      'limiter',
      () => new RateLimiter({ tokensPerInterval: AMPLE, interval: 'hour' }),
      (limiter) => Number(limiter.tryRemoveTokens(1)),
    ),
    mapped(
      'p-limit',
      () => pLimit(10),
      (limit) => limit(() => 1),
    ),
  ],
};

/** What is under it and nothing else: a number for each key, in the order of use. */
const floor = {
  name: 'lru-cache alone, one number a key',
  make: (n) => {
    const cache = new LRUCache({ max: n + 1 });
    return {
      take: (key) => {
        const taken = cache.get(key);
        if (taken === undefined) cache.set(key, 1);
        return 1;
      },
    };
  },
};

export const keyedMillion = {
  id: 'keyed-million',
  title: 'A rate limit per key, 1 000 000 keys',
  size: 1_000_000,
  rounds: 1,
  columns,
  measure: (contestant, n) => measure(contestant, n, 1),
  expected: expecting(2),
  contestants: [ours, floor, flexible],
};
