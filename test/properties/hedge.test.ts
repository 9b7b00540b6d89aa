import fc from 'fast-check';
import { describe, expect, test, vi } from 'vitest';
import '../support/properties.ts';
import { type HedgeOptions, bulkhead, hedge, pipeline, retryBudget } from 'breakwater';
import { VirtualClock, arrange, seededRandom } from 'breakwater/testing';

/** What one attempt does. */
const attempt = fc.record({
  after: fc.integer({ min: 0, max: 60 }),
  how: fc.constantFrom('value', 'value', 'fail', 'fatal', 'pushback', 'stop'),
  heeds: fc.boolean(),
});

const settings = fc.record({
  maxHedges: fc.integer({ min: 0, max: 4 }),
  delay: fc.oneof(fc.integer({ min: 0, max: 40 }), fc.constant('onFailure' as const)),
});

/** What ends a call from outside, if anything does. */
const ending = fc.option(fc.record({ at: fc.integer({ min: 0, max: 80 }), how: fc.constantFrom('abort', 'deadline') }), { nil: undefined });

class Scripted extends Error {
  readonly retryAfter: number | undefined;

  constructor(how: string) {
    super(how);
    this.retryAfter = how === 'pushback' ? 15 : how === 'stop' ? -1 : undefined;
  }
}

const classify: HedgeOptions['classify'] = (outcome) =>
  !outcome.ok && (outcome.error as Error).message === 'fatal' ? { verdict: 'failure', retryable: false } : undefined;

describe('whatever attempts do, and whatever ends the call', () => {
  test('there are no more of them than allowed, exactly one answer, and nothing is left behind (H1, H2, law 11)', async () => {
    const unhandled = vi.fn();
    process.on('unhandledRejection', unhandled);
    await fc.assert(
      fc.asyncProperty(settings, fc.array(attempt, { minLength: 5, maxLength: 5 }), ending, async ({ maxHedges, delay }, scripts, end) => {
        const slots = bulkhead({ maxConcurrent: 100 });
        const {
          pipeline: guarded,
          clock,
          events,
        } = arrange([hedge({ maxHedges, delay, idempotent: true, classify, budget: false }), slots]);
        const released = new Map<object, number>();
        const values: object[] = [];
        let begun = 0;
        const caller = new AbortController();
        const outcome = guarded.executeOutcome(
          async ({ signal }) => {
            const { after, how, heeds } = scripts[begun++] as (typeof scripts)[number];
            await new Promise<void>((resolve, reject) => {
              const timer = clock.setTimeout(resolve, after);
              if (heeds)
                signal.addEventListener('abort', () => {
                  clock.clearTimeout(timer);
                  reject(signal.reason as Error);
                });
            });
            if (how !== 'value') throw new Scripted(how);
            const value = { [Symbol.dispose]: () => void released.set(value, (released.get(value) ?? 0) + 1) };
            values.push(value);
            return value;
          },
          { signal: caller.signal, deadline: end?.how === 'deadline' ? end.at : Infinity },
        );
        if (end?.how === 'abort') clock.setTimeout(() => caller.abort('enough'), end.at);
        const settled = await clock.until(outcome);
        await clock.advance('1m');

        expect(begun).toBeLessThanOrEqual(1 + maxHedges);
        for (const value of values) expect(released.get(value) ?? 0).toBe(settled.ok && settled.value === value ? 0 : 1);
        expect(values.length).toBeGreaterThanOrEqual(settled.ok ? 1 : 0);
        expect(events.filter(({ type }) => type === 'pipeline.settled')).toHaveLength(1);
        expect(events.filter(({ type }) => type === 'pipeline.callback-failed')).toEqual([]);
        expect([slots.active, clock.pending, guarded.snapshot().active]).toEqual([0, 0, 0]);
      }),
      { numRuns: 400 },
    );
    await new Promise((resolve) => setImmediate(resolve));
    expect(unhandled).not.toHaveBeenCalled();
    process.off('unhandledRejection', unhandled);
  });
});

describe('a budget', () => {
  test('hedges never cost more than the budget, also while everything is slow', async () => {
    await fc.assert(
      fc.asyncProperty(fc.double({ min: 0, max: 0.5, noNaN: true }), fc.integer({ min: 1, max: 300 }), async (ratio, calls) => {
        const budget = retryBudget({ ratio, minPerSecond: 1 });
        const { pipeline: guarded, clock, policy } = arrange(hedge({ delay: 10, maxHedges: 3, idempotent: true, budget }));
        const slow = (): Promise<void> => new Promise((resolve) => void clock.setTimeout(resolve, 5000));
        await clock.until(Promise.all(Array.from({ length: calls }, () => guarded.execute(slow))));
        expect(policy.snapshot()['hedges']).toBeLessThanOrEqual(ratio * calls + 10 + 1e-6);
      }),
      { numRuns: 30 },
    );
  });
});

/** Latency of one of a hundred parts of a large read: log-linear between these shares that take longer than so many ms. */
const tail: readonly (readonly [ms: number, share: number])[] = [
  [10, 0.02],
  [65, 0.00335],
  [1800, 1e-5],
];

function latency(u: number): number {
  if (u > 0.02) return 1 + 9 * ((1 - u) / 0.98);
  let i = u > 0.00335 ? 0 : 1;
  const [[x1, p1], [x2, p2]] = [tail[i] as readonly [number, number], tail[++i] as readonly [number, number]];
  return x1 * (x2 / x1) ** (Math.log(u / p1) / Math.log(p2 / p1));
}

function percentile(list: readonly number[], p: number): number {
  return [...list].sort((a, b) => a - b)[Math.ceil(p * list.length) - 1] as number;
}

describe('the tail at scale (Dean and Barroso, Communications of the ACM 56(2), 2013)', () => {
  /** Reads of a hundred parts each: how long they took, and how many requests each part cost. */
  async function read(
    reads: number,
    options: HedgeOptions | undefined,
    seed: number,
    scale = 1,
  ): Promise<{ times: number[]; requests: number }> {
    const clock = new VirtualClock();
    const random = seededRandom(seed);
    const part = pipeline(options === undefined ? [] : [hedge({ idempotent: true, budget: false, ...options })], { clock });
    let requests = 0;
    const times: number[] = [];
    const one = ({ signal }: { readonly signal: AbortSignal }): Promise<void> => {
      requests++;
      return new Promise((resolve) => {
        const timer = clock.setTimeout(resolve, scale * latency(1 - random()));
        signal.addEventListener('abort', () => clock.clearTimeout(timer));
      });
    };
    for (let i = 0; i < reads; i++) {
      const from = clock.now();
      await clock.until(Promise.all(Array.from({ length: 100 }, () => part.execute(one))));
      times.push(clock.now() - from);
    }
    return { times, requests: requests / (reads * 100) };
  }

  test('a second request after 10 ms costs 2 % more and takes the p99 of the whole from half a second to a few hundredths of one', async () => {
    const plain = await read(400, undefined, 11);
    const hedged = await read(400, { delay: 10 }, 11);
    expect(hedged.requests).toBeGreaterThan(1.015);
    expect(hedged.requests).toBeLessThan(1.025);
    expect(percentile(plain.times, 0.99)).toBeGreaterThan(200);
    expect(percentile(hedged.times, 0.99)).toBeLessThan(40);
    expect(percentile(hedged.times, 0.5)).toBeLessThan(percentile(plain.times, 0.5) * 0.65);
  });

  test('at the learned p95 it costs 5 % more, and the tail is cut as much', async () => {
    const plain = await read(200, undefined, 12, 100);
    const hedged = await read(200, { delay: { quantile: 0.95 } }, 12, 100);
    expect(hedged.requests).toBeGreaterThan(1.04);
    expect(hedged.requests).toBeLessThan(1.065);
    expect(percentile(hedged.times, 0.99)).toBeLessThan(percentile(plain.times, 0.99) / 5);
  });
});
