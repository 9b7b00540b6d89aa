/** Native policies, four packages, and policies that stand on these packages: processor time and elapsed time of a call, with like options. */

import { bulkhead, circuitBreaker, pipeline, retry, timeout } from 'breakwater';
import { bottleneckLimiter } from 'breakwater/bottleneck';
import { opossumBreaker } from 'breakwater/opossum';
import { pRetryPolicy } from 'breakwater/p-retry';
import { pTimeoutPolicy } from 'breakwater/p-timeout';
import Bottleneck from 'bottleneck';
import pRetry from 'p-retry';
import pTimeout from 'p-timeout';
import { median } from '../figures.mjs';
import { freshLoop, freshWork, Tally } from '../loops.mjs';
import { LIMIT, WINDOW, ampleBucket, fourPackages, opossumAround, ourBreaker, ourStack } from '../stacks.mjs';

/** So often each side has its turn; the sides take turns so that a slow spell of the machine is one for both. */
const turnsOf = (n) => (n < 1000 ? 1 : 7);
const HOUR = 3_600_000;
/** As `opossumAround` has it. */
const CIRCUIT = { rollingCountTimeout: WINDOW, errorThresholdPercentage: 50, resetTimeout: 2 ** 30 };
const AMPLE_RESERVOIR = { reservoir: 1e9, reservoirRefreshInterval: 1000, reservoirRefreshAmount: 1e9 };

function around(policies) {
  return (work) => {
    const guarded = pipeline(policies());
    return { call: () => guarded.execute(work) };
  };
}

function opossum(options) {
  return (work) => {
    const breaker = opossumAround(work, options);
    return { call: () => breaker.fire(), close: () => breaker.shutdown() };
  };
}

function bottleneck(options) {
  return (work) => {
    const limiter = new Bottleneck(options);
    return { call: () => limiter.schedule(work), close: () => limiter.disconnect() };
  };
}

const down = new Error('down');
const fail = () => Promise.reject(down);

/** Fails the first time of each call. */
function everySecond(work) {
  let attempt = 0;
  return () => (attempt++ % 2 === 0 ? fail() : work());
}

/** Calls that fail, with 10 000 successes in the window. */
async function filled(call) {
  for (let i = 0; i < 10_000; i++) await call(() => 1);
}

/** Runs a side once: `n` calls. */
async function turn({ loop, tally, kind }, n, name) {
  tally.ran = tally.answered = tally.refused = 0;
  const before = process.cpuUsage();
  const elapsed = await loop(n);
  const { user, system } = process.cpuUsage(before);
  const ended = kind === 'refused' ? tally.refused : tally.answered;
  if (ended !== n) throw new Error(`${name}: of ${n} calls, ${ended} ended as expected`);
  return { processor: Math.max(1, user + system) / n, elapsed: (elapsed * 1000) / n };
}

async function side(make, kind, work) {
  const tally = new Tally();
  const { call, close } = await make(freshWork(work, tally));
  return { loop: freshLoop(kind, call, tally), tally, kind, close };
}

async function measure({ name, kind = 'sequential', work = 'immediate', ours, theirs, beside, slower = 1 }, n) {
  const sides = [];
  for (const make of [ours, theirs, beside]) sides.push(await side(make, kind, work));
  const step = kind === 'callers' ? 100 : 1;
  const times = turnsOf(n);
  const sizes = [n, n / slower, n / slower].map((size) => Math.max(1, Math.round(size / times / step)) * step);
  for (const [i, each] of sides.entries()) await turn(each, sizes[i], name);
  const turns = [];
  for (let i = 0; i < times; i++) {
    const taken = [];
    for (const [k, each] of sides.entries()) taken.push(await turn(each, sizes[k], name));
    turns.push(taken);
  }
  for (const { close } of sides) await close?.();
  const of = (pick) => median(turns.map(pick));
  return {
    ours: of(([own]) => own.processor),
    theirs: of(([, other]) => other.processor),
    times: of(([own, other]) => other.processor / own.processor),
    beside: of(([, , bridged]) => bridged.processor),
    oursElapsed: of(([own]) => own.elapsed),
    theirsElapsed: of(([, other]) => other.elapsed),
  };
}

export const native = {
  id: 'native',
  title: 'Native policies and the packages, µs a call',
  about: [
    'Processor time (user and system), in µs a call: of the native policy, of the package, how many times native that is, and of the policy that stands on the package. Then the time elapsed, for what waits without a processor: it includes whatever else ran on the machine.',
  ],
  size: 100_000,
  columns: [
    { key: 'ours', title: 'native' },
    { key: 'theirs', title: 'package' },
    { key: 'times', title: 'times native' },
    { key: 'beside', title: 'policy on the package' },
    { key: 'oursElapsed', title: 'elapsed, native' },
    { key: 'theirsElapsed', title: 'elapsed, package' },
  ],
  measure,
  contestants: [
    {
      name: 'a closed circuit: `circuitBreaker`, opossum',
      ours: around(() => [ourBreaker()]),
      theirs: opossum({ timeout: false }),
      beside: around(() => [opossumBreaker({ ...CIRCUIT, timeout: false })]),
    },
    {
      name: 'a closed circuit and a time limit: `circuitBreaker` and `timeout`, opossum',
      ours: around(() => [ourBreaker(), timeout({ after: LIMIT })]),
      theirs: opossum({ timeout: LIMIT }),
      beside: around(() => [opossumBreaker({ ...CIRCUIT, timeout: LIMIT })]),
    },
    {
      name: 'refused by an open circuit: `circuitBreaker`, opossum',
      kind: 'refused',
      ours: async (work) => {
        const guarded = pipeline([circuitBreaker({ consecutiveFailures: 1, openFor: HOUR })]);
        await guarded.executeOutcome(fail);
        return { call: () => guarded.execute(work) };
      },
      theirs: async (work) => {
        const breaker = opossumAround((run) => run(), { timeout: false, errorThresholdPercentage: 1 });
        await breaker.fire(fail).catch(() => undefined);
        return { call: () => breaker.fire(work), close: () => breaker.shutdown() };
      },
      beside: async (work) => {
        const guarded = pipeline([opossumBreaker({ ...CIRCUIT, timeout: false, errorThresholdPercentage: 1 })]);
        await guarded.executeOutcome(fail);
        return { call: () => guarded.execute(work) };
      },
    },
    {
      name: 'a failure after 10 000 successes: `circuitBreaker`, opossum',
      kind: 'refused',
      slower: 200,
      ours: async () => {
        const guarded = pipeline([circuitBreaker({ window: WINDOW, failureRate: 1 })]);
        await filled((work) => guarded.execute(work));
        return { call: () => guarded.execute(fail) };
      },
      theirs: async () => {
        const breaker = opossumAround((run) => run(), { timeout: false, errorThresholdPercentage: 100 });
        await filled((work) => breaker.fire(async () => work()));
        return { call: () => breaker.fire(fail), close: () => breaker.shutdown() };
      },
      beside: async () => {
        const guarded = pipeline([opossumBreaker({ ...CIRCUIT, timeout: false, errorThresholdPercentage: 100 })]);
        await filled((work) => guarded.execute(work));
        return { call: () => guarded.execute(fail) };
      },
    },
    {
      name: 'a free slot: `bulkhead`, bottleneck',
      slower: 500,
      ours: around(() => [bulkhead({ maxConcurrent: 10, maxQueue: 1000, maxWait: '1m' })]),
      theirs: bottleneck({ maxConcurrent: 10 }),
      beside: around(() => [bottleneckLimiter({ maxConcurrent: 10 })]),
    },
    {
      name: '100 callers, 10 slots: `bulkhead`, bottleneck',
      kind: 'callers',
      work: 'turn',
      slower: 100,
      ours: around(() => [bulkhead({ maxConcurrent: 10, maxQueue: 1000, maxWait: '1m' })]),
      theirs: bottleneck({ maxConcurrent: 10 }),
      beside: around(() => [bottleneckLimiter({ maxConcurrent: 10 })]),
    },
    {
      name: 'a rate that is not reached: `tokenBucket`, bottleneck',
      slower: 500,
      ours: around(() => [ampleBucket()]),
      theirs: bottleneck(AMPLE_RESERVOIR),
      beside: around(() => [bottleneckLimiter(AMPLE_RESERVOIR)]),
    },
    {
      name: 'the first attempt succeeds: `retry`, p-retry',
      ours: around(() => [retry({ maxAttempts: 3 })]),
      theirs: (work) => ({ call: () => pRetry(work, { retries: 2 }) }),
      beside: around(() => [pRetryPolicy({ retries: 2 })]),
    },
    {
      name: 'the second attempt succeeds, no wait: `retry`, p-retry',
      ours: (work) => around(() => [retry({ maxAttempts: 3, backoff: { delay: 0 }, budget: false })])(everySecond(work)),
      theirs: (work) => {
        const halting = everySecond(work);
        return { call: () => pRetry(halting, { retries: 2, minTimeout: 0 }) };
      },
      beside: (work) => around(() => [pRetryPolicy({ retries: 2, minTimeout: 0 })])(everySecond(work)),
    },
    {
      name: 'an answer in time: `timeout`, p-timeout',
      ours: around(() => [timeout({ after: LIMIT })]),
      theirs: (work) => ({ call: () => pTimeout(work(), { milliseconds: LIMIT }) }),
      beside: around(() => [pTimeoutPolicy({ milliseconds: LIMIT })]),
    },
    {
      name: 'all of it: six policies, opossum(p-retry(p-timeout(bottleneck)))',
      slower: 500,
      ours: (work) => {
        const guarded = ourStack(100);
        return { call: () => guarded.execute(work) };
      },
      theirs: (work) => fourPackages(100, work),
      beside: around(() => [
        opossumBreaker({ ...CIRCUIT, timeout: false }),
        pRetryPolicy({ retries: 2 }),
        pTimeoutPolicy({ milliseconds: LIMIT }),
        bottleneckLimiter({ maxConcurrent: 100 }),
      ]),
    },
  ],
};
