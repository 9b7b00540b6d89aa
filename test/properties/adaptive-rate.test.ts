import fc from 'fast-check';
import { expect, test } from 'vitest';
import { adaptiveRate, pipeline } from 'breakwater';
import { VirtualClock } from 'breakwater/testing';

/** A crowd that comes at once, what its work answers and after how long, and how long nothing happens then. */
const step = fc.record({ calls: fc.nat(8), throttled: fc.boolean(), after: fc.nat(300), pause: fc.nat(700), gives: fc.boolean() });

test('once it is engaged it never lets in more than its rate allowed meanwhile and what can be saved up, whatever comes (L1)', async () => {
  const options = fc.record({
    maxWait: fc.constantFrom(0, 500, 5000),
    minRate: fc.constantFrom(0.5, 5),
    beta: fc.constantFrom(0.3, 0.7, 1),
  });
  await fc.assert(
    fc.asyncProperty(options, fc.array(step, { minLength: 1, maxLength: 25 }), async (given, steps) => {
      const clock = new VirtualClock();
      const limit = adaptiveRate(given);
      const p = pipeline([limit], { clock });
      const admitted: number[] = [];
      /** What the rate was from when on. */
      const rates: { readonly at: number; readonly rate: number }[] = [];
      const watch = (): void => {
        if (limit.engaged && rates.at(-1)?.rate !== limit.rate) rates.push({ at: clock.now(), rate: limit.rate });
      };
      const callers: AbortController[] = [];
      for (const { calls, throttled, after, pause, gives } of steps) {
        for (let i = 0; i < calls; i++) {
          const caller = new AbortController();
          callers.push(caller);
          const work = (): unknown => {
            if (limit.engaged) admitted.push(clock.now());
            return new Promise((resolve) => clock.setTimeout(() => resolve({ status: throttled ? 429 : 200, headers: {} }), after));
          };
          void p.executeOutcome(work, { signal: caller.signal }).then(watch);
        }
        if (gives) callers.at(-1)?.abort('gone');
        for (let ms = 0; ms < pause; ms += 25) {
          await clock.advance(25);
          watch();
        }
      }
      await clock.advance(10_000);
      for (const caller of callers) caller.abort('over');
      await clock.runAll();
      expect([limit.waiting, clock.pending]).toEqual([0, 0]);
      expect(limit.rate).toBeGreaterThanOrEqual(given.minRate);
      const fastest = Math.max(1, ...rates.map(({ rate }) => rate));
      for (const [i, from] of admitted.entries())
        for (const [j, at] of admitted.slice(i).entries())
          expect(j + 1).toBeLessThanOrEqual(fastest + ((at - from + 20) * fastest) / 1000 + 1e-6);
    }),
    { numRuns: 150 },
  );
});
