/** Calls that are turned away: the path that runs when there is no time to lose. */

import { bulkhead, circuitBreaker, pipeline, tokenBucket } from 'breakwater';
import * as cockatiel from 'cockatiel';
import { RateLimiterMemory } from 'rate-limiter-flexible';
import { opossumAround } from '../stacks.mjs';

const HOUR = 3_600_000;

function fail() {
  return Promise.reject(new Error('down'));
}

const ready = new Error('refused');

/** What any refusal costs: the error is there already. */
async function rejection() {
  throw ready;
}

/** Work that keeps its slot until it is let go. */
function held() {
  let release;
  const work = () => new Promise((resolve) => (release = resolve));
  return { work, release: () => release(1) };
}

export const refusals = [
  {
    id: 'open-circuit',
    title: 'Refused by an open circuit',
    kind: 'refused',
    contestants: [
      {
        name: 'breakwater circuitBreaker',
        refusal: /^CircuitOpenError/,
        make: async (work) => {
          const guarded = pipeline([circuitBreaker({ consecutiveFailures: 1, openFor: HOUR })]);
          await guarded.execute(fail).catch(() => undefined);
          return { call: () => guarded.execute(work) };
        },
      },
      {
        name: 'breakwater circuitBreaker, `stack: true`',
        refusal: /^CircuitOpenError/,
        make: async (work) => {
          const guarded = pipeline([circuitBreaker({ consecutiveFailures: 1, openFor: HOUR })], { stack: true });
          await guarded.execute(fail).catch(() => undefined);
          return { call: () => guarded.execute(work) };
        },
      },
      { name: 'bare await of a rejection', refusal: /refused/, make: () => ({ call: () => rejection() }) },
      {
        name: 'cockatiel circuitBreaker',
        refusal: /breaker is open/,
        make: async (work) => {
          const breaker = new cockatiel.ConsecutiveBreaker(1);
          const guarded = cockatiel.circuitBreaker(cockatiel.handleAll, { halfOpenAfter: HOUR, breaker });
          await guarded.execute(fail).catch(() => undefined);
          return { call: () => guarded.execute(work) };
        },
      },
      {
        name: 'opossum',
        refusal: /Breaker is open/,
        make: async (work) => {
          const breaker = opossumAround((run) => run(), { timeout: false, errorThresholdPercentage: 1 });
          await breaker.fire(fail).catch(() => undefined);
          return { call: () => breaker.fire(work), close: () => breaker.shutdown() };
        },
      },
    ],
  },
  {
    id: 'full-bulkhead',
    title: 'Refused by a full bulkhead',
    kind: 'refused',
    contestants: [
      {
        name: 'breakwater bulkhead',
        refusal: /^BulkheadFullError/,
        make: (work) => {
          const guarded = pipeline([bulkhead({ maxConcurrent: 1, maxQueue: 0 })]);
          const holder = held();
          const holding = guarded.execute(holder.work);
          return { call: () => guarded.execute(work), close: () => (holder.release(), holding) };
        },
      },
      {
        name: 'cockatiel bulkhead',
        refusal: /[Bb]ulkhead/,
        make: (work) => {
          const guarded = cockatiel.bulkhead(1, 0);
          const holder = held();
          const holding = guarded.execute(holder.work);
          return { call: () => guarded.execute(work), close: () => (holder.release(), holding) };
        },
      },
      {
        name: 'opossum (capacity 1)',
        refusal: /Semaphore locked/,
        make: (work) => {
          const holder = held();
          // For opossum a refusal is a failure: without this the circuit would open and refuse instead.
          const breaker = opossumAround((run) => run(), { timeout: false, capacity: 1, volumeThreshold: Infinity });
          const holding = breaker.fire(holder.work);
          return { call: () => breaker.fire(work), close: () => (holder.release(), holding.then(() => breaker.shutdown())) };
        },
      },
    ],
  },
  {
    id: 'empty-bucket',
    title: 'Refused by an empty bucket',
    kind: 'refused',
    contestants: [
      {
        name: 'breakwater tokenBucket',
        refusal: /^RateLimitedError/,
        make: async (work) => {
          const guarded = pipeline([tokenBucket({ rate: 1, per: HOUR, burst: 1 })]);
          await guarded.execute(() => 1);
          return { call: () => guarded.execute(work) };
        },
      },
      {
        name: 'rate-limiter-flexible (memory)',
        refusal: /^RateLimiterRes/,
        make: async (work) => {
          const limiter = new RateLimiterMemory({ points: 1, duration: HOUR / 1000 });
          await limiter.consume('key');
          const limited = async () => {
            await limiter.consume('key');
            return work();
          };
          return { call: () => limited(), close: () => limiter.delete('key') };
        },
      },
    ],
  },
];
