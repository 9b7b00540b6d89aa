import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { limitOf } from '../../src/algorithms/limits/kinds.ts';
import { MaxWindow } from '../../src/algorithms/limits/max-window.ts';
import { MovingAverage } from '../../src/algorithms/limits/moving-average.ts';
import { shareBelow } from '../../src/algorithms/limits/ranks.ts';
import { rejectionShare } from '../../src/algorithms/limits/rejection.ts';
import { Correlation, LastValues } from '../../src/algorithms/limits/rolling.ts';
import { log10Root, sqrtRoot } from '../../src/algorithms/limits/roots.ts';
import { Samples } from '../../src/algorithms/limits/samples.ts';
import { algorithmField } from '../../src/policies/adaptive-limiter/fields.ts';
import { replay } from './replay.mjs';

interface Config {
  readonly kind: 'vegas' | 'aimd' | 'gradient2';
  readonly initial?: number;
  readonly min?: number;
  readonly max?: number;
  readonly smoothing?: number;
  readonly alpha?: number;
  readonly beta?: number;
  readonly decrease?: number | string;
  readonly backoff?: number;
  readonly queue?: number;
  readonly longWindow?: number;
  readonly tolerance?: number;
}

interface Step {
  readonly at?: number;
  readonly op: 'sample';
  readonly rttMs: number;
  readonly inflight: number;
  readonly drop: boolean;
}

interface Input {
  readonly fn: string;
  readonly n: number;
  readonly floor?: number;
  readonly p: number;
  readonly window: number;
  readonly warmup: number;
  readonly capacity: number;
  readonly windowMs: number;
  readonly values: readonly number[];
  readonly xs: readonly number[];
  readonly ys: readonly number[];
  readonly samples: readonly (readonly [number, number])[];
  readonly queued: number;
  readonly threshold: number;
  readonly max: number;
  readonly usage: number;
  readonly sorted: readonly number[];
}

function sampled(values: readonly number[]): Samples {
  const samples = new Samples();
  for (const value of values) samples.add(value);
  return samples;
}

const functions: Readonly<Record<string, (input: Input) => object>> = {
  log10Root: ({ n }) => ({ v: log10Root(n) }),
  sqrtRoot: ({ n, floor }) => ({ v: sqrtRoot(n, floor) }),
  percentile: ({ p, values }) => ({ v: sampled(values).quantile(p) }),
  // Theirs are whole nanoseconds.
  meanInt: ({ values }) => ({ v: Math.trunc(sampled(values).mean as number) }),
  expAvg: ({ window, warmup, values }) => {
    const average = new MovingAverage(window, warmup);
    return { out: values.map((value) => average.add(value)) };
  },
  movingAverage: ({ window, warmup, values }) => {
    const average = new MovingAverage(window, warmup);
    for (const value of values) average.add(value);
    return { last: average.value };
  },
  variation: ({ capacity, values }) => {
    const sum = new LastValues(capacity);
    for (const value of values) sum.add(value);
    return { v: sum.variation };
  },
  correlation: ({ capacity, xs, ys }) => {
    const correlation = new Correlation(capacity);
    xs.forEach((x, i) => correlation.add(x, ys[i] as number));
    return { v: correlation.value };
  },
  maxWindow: ({ windowMs, samples }) => {
    const window = new MaxWindow(windowMs);
    return { out: samples.map(([at, value]) => window.add(value, at)) };
  },
  queueRejection: ({ queued, threshold, max }) => ({ v: rejectionShare(queued, threshold, max) }),
  // Theirs is rounded to hundredths.
  usageQuantile: ({ usage, sorted }) => ({ v: Math.round(100 * shareBelow(usage, sorted)) / 100 }),
};

/** What a decrease leaves: they are given functions. */
function leaves(decrease: number | string | undefined): number | undefined {
  return typeof decrease === 'string' ? 0.5 : decrease;
}

const adapter = {
  make({ kind, initial = 20, min = 1, max = kind === 'vegas' ? 1000 : 200, ...rest }: Config) {
    const { smoothing, alpha, beta, backoff, queue, longWindow, tolerance } = rest;
    const options = {
      vegas: { kind, alpha, beta, decrease: leaves(rest.decrease), smoothing },
      aimd: { kind, backoff },
      // Theirs does not look at drops.
      gradient2: { kind: 'gradient', smoothing, queue, longWindow, tolerance, backoff: 1 },
    }[kind];
    const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
    const limit = limitOf(algorithmField.read(given, 'algorithm', []), { initial, min, max }, Infinity);
    return {
      step: ({ at = 0, rttMs, inflight, drop }: Step): object => ({ limit: limit.sample(rttMs, inflight, drop, at) }),
    };
  },
  fn: (input: Input): object => (functions[input.fn] as (input: Input) => object)(input),
};

test('third-party vectors 16: adaptive concurrency', async () => {
  const file = JSON.parse(readFileSync(new URL('16-adaptive-concurrency.json', import.meta.url), 'utf8')) as object;
  const result = await replay(file, adapter, { has: () => true });
  expect(result.failures).toEqual([]);
  expect(result.skipped).toEqual([]);
  expect(result.cases).toBe(28);
});
