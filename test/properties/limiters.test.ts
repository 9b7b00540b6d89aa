import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { pipeline } from 'breakwater';
import { VirtualClock } from 'breakwater/testing';
import { leakyBucket } from '../../src/policies/leaky-bucket.ts';
import { perKey } from '../../src/policies/per-key.ts';
import { type TokenBucket, tokenBucket } from '../../src/policies/token-bucket.ts';
import { comesInWhenTold, keepsKeysApart } from '../support/limiter-laws.ts';
import { type Admitted, Traffic, commands, tagged } from '../support/traffic.ts';

/** The most that was let in beyond what the rate allows, over all windows. */
function excess(calls: readonly Admitted[], perMs: number): number {
  let most = 0;
  for (const [i, { at: from }] of calls.entries()) {
    let sum = 0;
    for (const { at, cost } of calls.slice(i)) {
      sum += cost;
      most = Math.max(most, sum - (at - from) * perMs);
    }
  }
  return most;
}

describe('a token bucket', () => {
  const setting = fc.record({
    rate: fc.constantFrom(1, 3, 10, 1000 / 3),
    burst: fc.constantFrom(1, 2, 3.5, 10),
    maxWait: fc.constantFrom(0, 100, 1000, Infinity),
  });

  test('never lets in more than the burst and what the rate allows, in any window, whatever happens (L1, L2)', async () => {
    await fc.assert(
      fc.asyncProperty(setting, commands, async ({ rate, burst, maxWait }, list) => {
        const bucket = tokenBucket({ rate, burst, maxWait, cost: tagged });
        const traffic = new Traffic(bucket);
        await traffic.run(list);
        // Those who waited may get in late by what timers are late: 20 ms at most.
        const late = maxWait > 0 ? (20 * rate) / 1000 : 0;
        expect(excess(traffic.admitted, rate / 1000)).toBeLessThanOrEqual(burst + late + 1e-6);
        expect(traffic.order).toEqual(traffic.order.toSorted((a, b) => a - b));
        expect([bucket.waiting, bucket.available >= 0, bucket.available <= burst]).toEqual([0, true, true]);
        await traffic.clock.advance((burst / rate) * 1000 + 30);
        expect(bucket.atRest(traffic.clock.now())).toBe(true);
      }),
      { numRuns: 300 },
    );
  });

  test('never lets in more than the larger of the settings it had, however often they change (L8)', async () => {
    const change = fc.record({ rate: fc.constantFrom(1, 5, 20), burst: fc.constantFrom(1, 2, 8) });
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(change, commands), { minLength: 1, maxLength: 4 }), async (rounds) => {
        const bucket = tokenBucket({ rate: 5, burst: 2, maxWait: 500, cost: tagged });
        const traffic = new Traffic(bucket);
        for (const [limit, list] of rounds) {
          bucket.update(limit);
          await traffic.run(list);
        }
        const rate = Math.max(5, ...rounds.map(([limit]) => limit.rate));
        const burst = Math.max(2, ...rounds.map(([limit]) => limit.burst));
        expect(excess(traffic.admitted, rate / 1000)).toBeLessThanOrEqual(burst + (20 * rate) / 1000 + 1e-6);
      }),
      { numRuns: 100 },
    );
  });

  test('what it does not let in leaves no trace: calls that give up or are turned away might as well not have come (L3, L6)', async () => {
    await fc.assert(
      fc.asyncProperty(setting, commands, async ({ rate, burst }, list) => {
        const make = (): TokenBucket => tokenBucket({ rate, burst, cost: tagged });
        const [bucket, other] = [make(), make()];
        const [traffic, calm] = [new Traffic(bucket), new Traffic(other)];
        await traffic.run(list);
        await calm.run(list.filter((command) => command.do !== 'turned away further in' && command.do !== 'abort'));
        expect(traffic.letIn).toEqual(calm.letIn);
        expect(bucket.available).toBeCloseTo(other.available, 9);
      }),
      { numRuns: 100 },
    );
  });

  test('a call at the time it was told gets in, if nobody else came; a millisecond earlier it does not (L4)', async () => {
    const rates = fc.double({ min: 0.001, max: 900, noNaN: true });
    await fc.assert(
      fc.asyncProperty(
        rates,
        fc.array(fc.double({ min: 0, max: 5000, noNaN: true }), { minLength: 1, maxLength: 20 }),
        async (rate, pauses) => {
          const clock = new VirtualClock({ start: 123_456.789 });
          const p = pipeline([tokenBucket({ rate, burst: 2 })], { clock });
          for (const ms of pauses) {
            await clock.advance(ms);
            await comesInWhenTold(p, clock);
          }
        },
      ),
      { numRuns: 100 },
    );
  });
});

describe('a leaky bucket', () => {
  test('calls leave no closer together than the rate allows, whatever happens, and in the order they came', async () => {
    const setting = fc.record({ rate: fc.constantFrom(2, 10, 125), maxQueueTime: fc.constantFrom(0, 100, 2000) });
    await fc.assert(
      fc.asyncProperty(setting, commands, async ({ rate, maxQueueTime }, list) => {
        const bucket = leakyBucket({ rate, maxQueueTime });
        const traffic = new Traffic(bucket);
        await traffic.run(list.map((command) => ('cost' in command ? { ...command, cost: 1 } : command)));
        expect(excess(traffic.admitted, rate / 1000)).toBeLessThanOrEqual(1 + (20 * rate) / 1000 + 1e-6);
        expect(traffic.order).toEqual(traffic.order.toSorted((a, b) => a - b));
        expect(bucket.waiting).toBe(0);
      }),
      { numRuns: 200 },
    );
  });

  test('without a stall the spacing is exact, to the millisecond that timers have', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 400 }), fc.array(fc.nat(40), { minLength: 1, maxLength: 40 }), async (rate, gaps) => {
        const clock = new VirtualClock();
        const p = pipeline([leakyBucket({ rate, maxQueueTime: Infinity, burst: 1000 })], { clock });
        const left: number[] = [];
        for (const gap of gaps) {
          void p.execute(() => left.push(clock.now()));
          await clock.advance(gap);
        }
        await clock.runAll();
        expect(left).toHaveLength(gaps.length);
        for (let i = 1; i < left.length; i++) expect((left[i] as number) - (left[i - 1] as number)).toBeGreaterThan(1000 / rate - 1 - 1e-6);
        for (let i = 0; i < left.length; i++)
          expect((left.at(-1) as number) - (left[i] as number)).toBeGreaterThan(((left.length - 1 - i) * 1000) / rate - 1 - 1e-6);
      }),
      { numRuns: 100 },
    );
  });
});

describe('policies per key', () => {
  const keys = fc.constantFrom('a', 'b', '__proto__', '', 'k'.repeat(300));

  test('keys never affect each other: each is let in as if it were alone (L5)', async () => {
    const happening = fc.record({ key: keys, ms: fc.nat(80) });
    await fc.assert(
      fc.asyncProperty(fc.array(happening, { maxLength: 60 }), async (list) => {
        await keepsKeysApart(() => tokenBucket({ rate: 10, burst: 2 }), list);
      }),
      { numRuns: 50 },
    );
  });

  test('never more than `max` keys have their own, and no key ever gets more than its limit, whatever comes and goes (L1, 9.2)', async () => {
    const happening = fc.record({ key: fc.nat(30), ms: fc.oneof(fc.constant(0), fc.nat(60)), times: fc.integer({ min: 1, max: 4 }) });
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 8 }), fc.array(happening, { maxLength: 120 }), async (max, list) => {
        const clock = new VirtualClock();
        const limits = perKey(() => tokenBucket({ rate: 10, burst: 2 }), { max, idle: 100 });
        const p = pipeline([limits], { clock });
        const admitted = new Map<string, number[]>();
        for (const { key, ms, times } of list) {
          await clock.advance(ms);
          for (let i = 0; i < times; i++) {
            const answer = p.tryAcquire({ key: `k${key}` });
            if (!answer.admitted) continue;
            answer.success();
            admitted.set(`k${key}`, [...(admitted.get(`k${key}`) ?? []), clock.now()]);
          }
          expect(limits.size).toBeLessThanOrEqual(max);
          expect(limits.snapshot()['shared']).toBeLessThanOrEqual(max);
        }
        for (const times of admitted.values())
          for (const [i, from] of times.entries())
            for (const [j, at] of times.slice(i).entries()) expect(j + 1 - ((at - from) * 10) / 1000).toBeLessThanOrEqual(2 + 1e-9);
      }),
      { numRuns: 100 },
    );
  });
});
