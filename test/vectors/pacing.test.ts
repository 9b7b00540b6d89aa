import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { exceeds } from '../../src/algorithms/meters/meter.ts';
import { Warming, type Warmth } from '../../src/algorithms/meters/warm-up.ts';
import { warmUp } from '../../src/policies/warm-up.ts';
import { type VectorFile, replay } from './replay.mjs';

/** A limiter that makes calls wait, by either of the names that the two files give its options. */
interface Config {
  readonly kind?: 'bursty' | 'warmup';
  readonly ratePerSec: number | 'Infinity';
  readonly maxBurstSec?: number;
  readonly warmupMs?: number;
  readonly coldFactor?: number;
  readonly slack?: number;
  readonly maxQueueMs?: number;
}

interface Step {
  readonly at?: number;
  readonly op: string;
  readonly n?: number;
  readonly ms: number;
  readonly timeoutMs: number;
  readonly ratePerSec: number | 'Infinity';
}

const SECOND = 1000;

function warmthOf({ kind, ratePerSec, maxBurstSec = 0, warmupMs = 0, coldFactor = 3, slack = 0 }: Config): Warmth {
  const rate = Number(ratePerSec);
  return {
    rate,
    per: SECOND,
    warmUpPeriod: kind === 'warmup' ? warmupMs : 0,
    coldFactor,
    slack: slack > 0 ? (slack * SECOND) / rate : maxBurstSec * 1000,
  };
}

/** A serial caller, and the time that passes because of it. */
class Caller {
  readonly #meter: Warming;
  readonly #patience: number;
  #now = 0;

  constructor(config: Config) {
    this.#meter = new Warming(warmthOf(config), 0);
    this.#patience = config.maxQueueMs ?? Infinity;
  }

  step({ at = this.#now, op, n = 1, ms, timeoutMs, ratePerSec }: Step): object {
    this.#now = Math.max(this.#now, at);
    switch (op) {
      case 'acquire':
        return { waitedSec: Number(this.#acquire(checked(n), Infinity)) / 1000 };
      case 'tryAcquire':
        return { ok: this.#acquire(checked(n), timeoutMs) !== undefined };
      case 'take': {
        const waited = this.#acquire(n, this.#patience);
        return waited === undefined ? { refused: true } : { actAt: this.#now };
      }
      case 'sleep':
        this.#now += ms;
        return {};
      case 'setRate': {
        const rate = Number(ratePerSec);
        if (rate < Infinity) warmUp({ rate }); // what the policy takes as a rate
        this.#meter.change({ ...this.#meter.warmth, rate }, this.#now);
        return {};
      }
      default:
        throw new Error(`not offered: ${op}`);
    }
  }

  /** Waits for its turn; `undefined` if that would take too long. */
  #acquire(cost: number, patience: number): number | undefined {
    const wait = this.#meter.wait(cost, this.#now);
    if (exceeds(wait, Math.max(0, patience), this.#now)) return undefined;
    this.#now += wait;
    this.#meter.take(cost, this.#now);
    return wait;
  }
}

/** What the policy takes as a cost. */
function checked(cost: number): number {
  warmUp({ rate: 1, cost });
  return cost;
}

const adapter = { make: (config: Config): object => new Caller(config) };

test.each([
  ['03', '03-rate-limiter-guava', 5],
  ['06', '06-pacing-uber-sentinel', 3],
])('third-party vectors %s: limiters that make calls wait', async (_, name, cases) => {
  const file = JSON.parse(readFileSync(new URL(`${name}.json`, import.meta.url), 'utf8')) as VectorFile;
  const result = await replay(file, adapter);
  expect(result.failures).toEqual([]);
  expect(result.skipped).toEqual([]);
  expect(result.cases).toBe(cases);
});
