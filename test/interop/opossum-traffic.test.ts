/** The same traffic through a breaker of opossum by itself and through one in a pipeline: they decide and count alike. */

import fc from 'fast-check';
import CircuitBreaker from 'opossum';
import { expect, test, vi } from 'vitest';
import { pipeline } from 'breakwater';
import { opossumBreaker } from 'breakwater/opossum';
import { hop } from '../../src/testing/hop.ts';
import { useProcessTime } from '../support/process-clock.ts';

useProcessTime();

/** Times are whole tens: with these few ms more nothing falls together with a part of the window. */
const OFF_BEAT = 3;

const tens = (max: number): fc.Arbitrary<number> => fc.integer({ min: 0, max }).map((n) => 10 * n);

const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ what: fc.constantFrom('answer', 'fail', 'fail', 'fine'), after: fc.oneof(fc.constant(0), tens(40)) }),
  },
  { weight: 4, arbitrary: fc.record({ what: fc.constant('wait'), after: tens(60) }) },
  { weight: 1, arbitrary: fc.record({ what: fc.constantFrom('open', 'close', 'disable', 'enable'), after: fc.constant(0) }) },
);

const settings = fc.record({
  timeout: fc.oneof(
    fc.constant(false as const),
    tens(20).map((ms) => ms + 10),
  ),
  resetTimeout: tens(50).map((ms) => ms + 10),
  volumeThreshold: fc.integer({ min: 0, max: 5 }),
  errorThresholdPercentage: fc.constantFrom(0, 25, 50, 100),
  rollingCountTimeout: fc.constantFrom(1000, 2000),
  rollingCountBuckets: fc.constantFrom(2, 10),
  capacity: fc.constantFrom(1, 2, 100),
  allowWarmUp: fc.boolean(),
});

/** Work that answers, or fails, at once or later. */
function workOf(what: string, after: number): () => Promise<string> {
  const end = (): string => {
    if (what === 'answer') return what;
    throw new Error(what);
  };
  return () => (after === 0 ? Promise.resolve().then(end) : new Promise<void>((resolve) => setTimeout(resolve, after)).then(end));
}

/** What the caller gets, in opossum's words. */
function toldOf(error: unknown): string {
  const { code, cause, message } = error as { code?: string; cause?: { code?: string }; message: string };
  return cause?.code ?? code ?? message;
}

const counted = ['fires', 'successes', 'failures', 'timeouts', 'rejects', 'fallbacks', 'semaphoreRejections', 'latencyMean'] as const;

test('whatever comes, in whatever order, a breaker in a pipeline is where it would be by itself', async () => {
  await fc.assert(
    fc.asyncProperty(settings, fc.boolean(), fc.array(step, { maxLength: 40 }), async (options, covered, steps) => {
      vi.clearAllTimers();
      const filter = { errorFilter: (error: Error) => error.message === 'fine' };
      const plain = new CircuitBreaker((work: () => Promise<string>) => work(), { ...options, ...filter });
      const policy = opossumBreaker<string>({ ...options, ...filter });
      const users = pipeline([policy]);
      if (covered) for (const breaker of [plain, policy.breaker]) breaker.fallback(() => 'instead');
      await vi.advanceTimersByTimeAsync(OFF_BEAT);
      const told: [string[], string[]] = [[], []];
      for (const { what, after } of steps) {
        if (what === 'wait') await vi.advanceTimersByTimeAsync(after);
        else if (what in plain) for (const breaker of [plain, policy]) breaker[what as 'open']();
        else
          [plain.fire(workOf(what, after)), users.execute(workOf(what, after))].forEach((call, i) => {
            call.then(
              (value) => told[i]?.push(value),
              (error: unknown) => told[i]?.push(toldOf(error)),
            );
          });
        await hop();
        const [one, other] = [plain, policy.breaker].map((each) => [
          each.closed,
          each.opened,
          each.halfOpen,
          each.pendingClose,
          each.enabled,
          counted.map((name) => (each.stats as unknown as Record<string, unknown>)[name]),
        ]);
        expect(other).toEqual(one);
      }
      await vi.advanceTimersByTimeAsync(1000);
      await hop();
      expect(told[1]).toEqual(told[0]);
      plain.shutdown();
      policy.breaker.shutdown();
    }),
    { numRuns: 150 },
  );
});
