/** Policies that decide whether a call may start, each by itself: it may. */

import {
  adaptiveLimiter,
  adaptiveRate,
  authority,
  bulkhead,
  composite,
  fixedWindow,
  hotKey,
  leakyBucket,
  pipeline,
  slidingLog,
  slidingWindow,
  systemGuard,
  throttle,
  warmUp,
} from 'breakwater';
import Bottleneck from 'bottleneck';
import * as cockatiel from 'cockatiel';
import { RateLimiter } from 'limiter';
import pLimit from 'p-limit';
import PQueue from 'p-queue';
import { RateLimiterMemory } from 'rate-limiter-flexible';
import { AMPLE, ampleBucket } from '../stacks.mjs';
import { bare, cockatiels, ours } from './contestants.mjs';

const SLOTS = { maxConcurrent: 10, maxQueue: 1000, maxWait: '1m' };
/** A window that nobody fills. */
const WINDOW = { limit: AMPLE, window: '1h' };

/** Some other limiter, that is asked before the work begins. */
function asked(name, make) {
  return {
    name,
    make: (work) => {
      const { ask, close } = make();
      const limited = async () => {
        await ask();
        return work();
      };
      return { call: () => limited(), ...(close === undefined ? {} : { close }) };
    },
  };
}

const peers = [
  asked('rate-limiter-flexible (memory)', () => {
    const limiter = new RateLimiterMemory({ points: AMPLE, duration: 3600 });
    return { ask: () => limiter.consume('key'), close: () => limiter.delete('key') };
  }),
  asked('limiter', () => {
    const limiter = new RateLimiter({ tokensPerInterval: AMPLE, interval: 'hour' });
    return { ask: () => limiter.removeTokens(1) };
  }),
  {
    name: 'bottleneck (reservoir)',
    make: (work) => {
      const limiter = new Bottleneck({ reservoir: AMPLE });
      return { call: () => limiter.schedule(work), close: () => limiter.disconnect() };
    },
  },
];

export const gates = [
  {
    id: 'bulkhead',
    title: 'Bulkhead, a slot is free',
    kind: 'sequential',
    contestants: [
      ours('bulkhead', () => [bulkhead(SLOTS)]),
      {
        name: 'p-limit',
        make: (work) => {
          const limit = pLimit(10);
          return { call: () => limit(work) };
        },
      },
      {
        name: 'p-queue',
        make: (work) => {
          const queue = new PQueue({ concurrency: 10 });
          return { call: () => queue.add(work) };
        },
      },
      cockatiels('bulkhead', () => cockatiel.bulkhead(10, 1000)),
      {
        name: 'bottleneck',
        make: (work) => {
          const limiter = new Bottleneck({ maxConcurrent: 10 });
          return { call: () => limiter.schedule(work), close: () => limiter.disconnect() };
        },
      },
    ],
  },
  {
    id: 'bucket',
    title: 'Rate limit, not reached',
    kind: 'sequential',
    contestants: [
      ours('tokenBucket', () => [ampleBucket()]),
      {
        name: 'breakwater tokenBucket, tryAcquire',
        make: (work) => {
          const limits = pipeline([ampleBucket()]);
          const limited = async () => {
            const answer = limits.tryAcquire();
            if (!answer.admitted) throw answer.error;
            const value = await work();
            answer.success();
            return value;
          };
          return { call: () => limited() };
        },
      },
      ...peers,
    ],
  },
  {
    id: 'queues',
    field: 'gates',
    title: 'Slots of every kind, all in one process, one is free',
    kind: 'sequential',
    contestants: [
      ours('bulkhead', () => [bulkhead(SLOTS)]),
      ours('bulkhead by priority', () => [bulkhead({ ...SLOTS, priority: true })]),
      ours('bulkhead with codel', () => [bulkhead({ ...SLOTS, queue: 'codel' })]),
      ours('bulkhead, fair by key', () => [bulkhead({ ...SLOTS, fairBy: ({ key }) => key })], { key: 'tenant' }),
      ours('adaptiveLimiter', () => [adaptiveLimiter()]),
    ],
  },
  {
    id: 'limiters',
    field: 'gates',
    title: 'Rate limits of every kind, all in one process, not reached',
    kind: 'sequential',
    contestants: [
      ours('tokenBucket', () => [ampleBucket()]),
      ours('leakyBucket', () => [leakyBucket({ rate: AMPLE, burst: AMPLE, delay: AMPLE })]),
      ours('fixedWindow', () => [fixedWindow(WINDOW)]),
      ours('slidingWindow', () => [slidingWindow(WINDOW)]),
      ours('slidingLog', () => [slidingLog({ limit: 100_000, window: 1 })]),
      ours('warmUp', () => [warmUp({ rate: AMPLE, warmUpPeriod: 1 })]),
      ours('composite of two', () => [composite([ampleBucket(), fixedWindow(WINDOW)])]),
      ours('adaptiveRate', () => [adaptiveRate()]),
    ],
  },
  {
    id: 'guards',
    field: 'gates',
    title: 'Throttle, system guard, hot keys, origins: nothing to do',
    kind: 'sequential',
    contestants: [
      ours('throttle', () => [throttle()]),
      // A loop that only runs microtasks stalls the event loop, and the guard would rightly refuse.
      ours('systemGuard', () => [systemGuard({ monitor: { read: () => ({}) } })]),
      ours('hotKey', () => [hotKey({ limit: AMPLE })], { key: 'tenant' }),
      ours('authority', () => [authority({ allow: ['tenant'], origin: ({ key }) => key })], { key: 'tenant' }),
      ours('pipeline([])', () => []),
      bare,
    ],
  },
];
