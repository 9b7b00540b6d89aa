import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { composite, fixedWindow, leakyBucket, pipeline, tokenBucket, warmUp } from 'breakwater';
import { VirtualClock } from 'breakwater/testing';
import { Traffic, commands, tagged } from '../support/traffic.ts';

/** Limits that let in what the traffic brings, a part of it or next to nothing. */
const gates = [
  () => tokenBucket({ rate: 10, burst: 2, cost: tagged }),
  () => fixedWindow({ limit: 5, window: 700, cost: tagged }),
  () => leakyBucket({ rate: 8, delay: 1, cost: tagged }),
  () => warmUp({ rate: 20, warmUpPeriod: 1000, cost: tagged }),
] as const;
const chosen = fc.subarray([0, 1, 2, 3], { minLength: 1 });
const waiting = fc.record({ maxWait: fc.constantFrom(0, 100, 2000, Infinity), maxQueue: fc.constantFrom(0, 2, 1000) });

describe('a composite', () => {
  test('charges all of its limits or none, at any time: under waits, aborts, deadlines, refunds, refusals and stalls', async () => {
    await fc.assert(
      fc.asyncProperty(chosen, waiting, commands, fc.nat(3), async (which, options, list, place) => {
        const calls = tokenBucket({ rate: 1, per: '100000h', burst: 1000 });
        const amounts = fixedWindow({ limit: 100_000, window: '100000h', cost: (call) => 7 * tagged(call) });
        const some = which.map((i) => (gates[i] as () => ReturnType<(typeof gates)[number]>)());
        const limits = [calls, ...some.slice(0, place), amounts, ...some.slice(place)];
        const limit = composite(limits, { ...options, refundIf: ({ ok }) => !ok });
        const traffic = new Traffic(limit);
        const balanced = (): void => {
          const { spent } = traffic;
          expect(1000 - calls.available).toBeCloseTo(spent.length, 3);
          expect(100_000 - amounts.available).toBeCloseTo(7 * spent.reduce((sum, { cost }) => sum + cost, 0), 6);
        };
        await traffic.run(list, balanced);
        balanced();
        expect(limit.waiting).toBe(0);
        expect(traffic.order).toEqual(traffic.order.toSorted((a, b) => a - b));
      }),
      { numRuns: 200 },
    );
  });

  test('lets in no more than each of its limits would, in any window, also where others use them by themselves (L1)', async () => {
    await fc.assert(
      fc.asyncProperty(waiting, commands, commands, async (options, list, others) => {
        const shared = tokenBucket({ rate: 10, burst: 3, maxWait: 500, cost: tagged });
        const window = fixedWindow({ limit: 6, window: 500, cost: tagged });
        const traffic = new Traffic(composite([shared, window], options));
        const alone = new Traffic(shared, traffic.clock);
        for (const [i, command] of list.entries()) {
          await traffic.step(command);
          const other = others[i];
          if (other !== undefined && other.do !== 'stall') await alone.step(other);
        }
        await traffic.clock.advance(5000);
        await Promise.all([traffic.finish(), alone.finish()]);
        const both = [...traffic.admitted, ...alone.admitted].sort((a, b) => a.at - b.at);
        expect(most(both, (span) => 3 + ((span + 20) * 10) / 1000)).toBeLessThanOrEqual(1e-6);
        expect(most(traffic.admitted, (span) => 6 * (Math.ceil((span + 20) / 500) + 1))).toBeLessThanOrEqual(1e-6);
      }),
      { numRuns: 150 },
    );
  });

  test('a call at the time it was told gets in, if nobody else came; a millisecond earlier it does not (L4)', async () => {
    const steps = fc.array(fc.record({ pause: fc.nat(900), cost: fc.constantFrom(1, 1, 2, 3) }), { minLength: 1, maxLength: 30 });
    await fc.assert(
      fc.asyncProperty(chosen, steps, async (which, list) => {
        const clock = new VirtualClock();
        const limits = which.map((i) => (gates[i] as () => ReturnType<(typeof gates)[number]>)());
        const p = pipeline([composite(limits)], { clock });
        for (const { pause, cost } of list) {
          await clock.advance(pause);
          const tags = { cost };
          const answer = p.tryAcquire({ tags });
          if (answer.admitted || answer.retryAfter === undefined || answer.retryAfter === Infinity) continue;
          if (answer.retryAfter > 1) {
            await clock.advance(answer.retryAfter - 1);
            expect(p.tryAcquire({ tags }).admitted).toBe(false);
          }
          await clock.advance(Math.min(1, answer.retryAfter));
          expect(p.tryAcquire({ tags }).admitted).toBe(true);
        }
      }),
      { numRuns: 150 },
    );
  });
});

/** By how much the most that was let in exceeds what may be, over all windows. */
function most(calls: readonly { readonly at: number; readonly cost: number }[], law: (span: number) => number): number {
  let beyond = -Infinity;
  for (const [i, { at: from }] of calls.entries()) {
    let sum = 0;
    for (const { at, cost } of calls.slice(i)) {
      sum += cost;
      beyond = Math.max(beyond, sum - law(at - from));
    }
  }
  return beyond;
}
