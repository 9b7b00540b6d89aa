/** What calls hold while they are under way, and what they leave behind. */

import { bulkhead, pipeline, timeout } from 'breakwater';
import * as cockatiel from 'cockatiel';
import PQueue from 'p-queue';
import { heapInUse } from '../heap.mjs';
import { freshLoop, freshWork, Tally } from '../loops.mjs';
import { LIMIT, cockatielBreaker, cockatielStack, fourPackages, opossumAround, ourBreaker, ourStack } from '../stacks.mjs';
import { median } from '../figures.mjs';

const SLOTS = 1_000_000;

/** A pipeline or one of cockatiel's policies around the work. */
function around(name, policy) {
  return {
    name,
    make: (work) => {
      const guarded = policy();
      return { call: () => guarded.execute(work) };
    },
  };
}

async function measureInFlight({ make }, n) {
  const releases = [];
  const { call, close } = make(() => new Promise((resolve) => releases.push(resolve)));
  for (const answer of [call(), call()].map((first) => Promise.resolve(first))) void answer;
  await settledAfter(releases, 2);
  const calls = new Array(n);
  releases.length = 0;
  const before = await heapInUse();
  for (let i = 0; i < n; i++) calls[i] = call();
  await settledAfter(releases, n, false);
  const held = ((await heapInUse()) - before) / n;
  const ran = releases.length;
  for (const release of releases) release(1);
  const answered = (await Promise.all(calls)).filter((answer) => answer === 1).length;
  await close?.();
  return { held, ran, answered };
}

/** Waits until `n` works have begun, and lets them go if asked to. */
async function settledAfter(releases, n, letGo = true) {
  while (releases.length < n) await new Promise((resolve) => setImmediate(resolve));
  if (letGo) for (const release of releases) release(1);
}

export const inFlight = {
  id: 'in-flight',
  title: 'Heap held by a call under way',
  size: 10_000,
  columns: [{ key: 'held', title: 'bytes a call', ratio: true }],
  measure: measureInFlight,
  expected({ ran, answered }, n, name) {
    if (ran !== n || answered !== n) throw new Error(`${name}: of ${n} calls, ${ran} ran, ${answered} answered`);
  },
  contestants: [
    around('breakwater six policies', () => ourStack(SLOTS)),
    around('breakwater timeout', () => pipeline([timeout({ after: LIMIT })])),
    around('breakwater circuitBreaker', () => pipeline([ourBreaker()])),
    { name: 'bare await', make: (work) => ({ call: () => work() }) },
    { ...around('cockatiel five policies', () => cockatielStack(SLOTS)), share: 0.2 },
    { ...around('cockatiel timeout (aggressive)', () => cockatiel.timeout(LIMIT, cockatiel.TimeoutStrategy.Aggressive)), share: 0.2 },
    around('cockatiel circuitBreaker (sampling)', cockatielBreaker),
    {
      name: 'opossum with timeout',
      make: (work) => {
        const breaker = opossumAround(work, { timeout: LIMIT });
        return { call: () => breaker.fire(), close: () => breaker.shutdown() };
      },
    },
    { name: 'opossum(p-retry(p-timeout(bottleneck)))', share: 0.05, make: (work) => fourPackages(SLOTS, work) },
  ],
};

async function measureFlatness({ make }, n) {
  const tally = new Tally();
  const { call, close } = make(freshWork('immediate', tally));
  const loop = freshLoop('sequential', call, tally);
  await loop(Math.ceil(n * 0.2));
  const early = await steadyHeap();
  await loop(Math.floor(n * 0.8));
  const late = await steadyHeap();
  await close?.();
  return { grown: (late - early) / Math.floor(n * 0.8), answered: tally.answered };
}

/** The median of five looks. */
async function steadyHeap() {
  const looks = [];
  for (let i = 0; i < 5; i++) looks.push(await heapInUse());
  return median(looks);
}

export const flatness = {
  id: 'flatness',
  title: 'Heap growth over a million calls',
  size: 1_000_000,
  rounds: 1,
  columns: [{ key: 'grown', title: 'bytes a call, from 20 % to 100 % of the calls' }],
  measure: measureFlatness,
  expected({ answered }, n, name) {
    if (answered < n) throw new Error(`${name}: of ${n} calls, ${answered} answered`);
  },
  contestants: [
    around('breakwater six policies', () => ourStack(100)),
    around('breakwater timeout', () => pipeline([timeout({ after: LIMIT })])),
    around('breakwater circuitBreaker', () => pipeline([ourBreaker()])),
    around('breakwater bulkhead', () => pipeline([bulkhead({ maxConcurrent: 10 })])),
    around('cockatiel circuitBreaker (sampling)', cockatielBreaker),
    { ...around('cockatiel five policies (a tenth of the calls)', () => cockatielStack(100)), share: 0.1 },
    {
      name: 'opossum without timeout',
      make: (work) => {
        const breaker = opossumAround(work, { timeout: false });
        return { call: () => breaker.fire(), close: () => breaker.shutdown() };
      },
    },
    {
      name: 'p-queue',
      make: (work) => {
        const queue = new PQueue({ concurrency: 10 });
        return { call: () => queue.add(work) };
      },
    },
  ],
};
