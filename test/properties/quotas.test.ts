import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type GatePolicy, type Pipeline, type Quota, composite, perKey, pipeline } from 'breakwater';
import { VirtualClock } from 'breakwater/testing';
import { fixedWindow } from '../../src/policies/fixed-window.ts';
import { leakyBucket } from '../../src/policies/leaky-bucket.ts';
import { slidingLog } from '../../src/policies/sliding-log.ts';
import { slidingWindow } from '../../src/policies/sliding-window.ts';
import { tokenBucket } from '../../src/policies/token-bucket.ts';
import { warmUp } from '../../src/policies/warm-up.ts';
import '../support/properties.ts';

const limits = fc.constantFrom(1, 2, 3, 7, 2.5);
const windows = fc.constantFrom(100, 1000, 333.3);
const rates = fc.constantFrom(1, 7, 1000 / 3);

/** Limits of every kind, without waits. */
const kinds: Readonly<Record<string, fc.Arbitrary<() => GatePolicy>>> = {
  'token bucket': fc.record({ rate: rates, burst: limits, initial: fc.constantFrom(0, 1) }).map((o) => () => tokenBucket(o)),
  'leaky bucket': fc.record({ rate: rates, burst: fc.nat(5), delay: fc.nat(5) }).map((o) => () => leakyBucket({ ...o, maxQueueTime: 0 })),
  'fixed window': fc.record({ limit: limits, window: windows, aligned: fc.constantFrom(false, true, 30) }).map((o) => () => fixedWindow(o)),
  'sliding window': fc.record({ limit: limits, window: windows, segments: fc.constantFrom(1, 2, 10) }).map((o) => () => slidingWindow(o)),
  'sliding log': fc.record({ limit: limits, window: windows }).map((o) => () => slidingLog(o)),
  'warm-up': fc
    .record({ rate: rates, warmUpPeriod: fc.constantFrom(0, 100, 5000), pacing: fc.boolean() })
    .map((o) => () => warmUp({ ...o, maxWait: 0 })),
};

const any = fc.oneof(...Object.values(kinds));
const all: [string, fc.Arbitrary<() => GatePolicy>][] = [
  ...Object.entries(kinds),
  ['composite', fc.array(any, { minLength: 1, maxLength: 3 }).map((makers) => () => composite(makers.map((make) => make())))],
];
const pauses = fc.array(fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 700 }), fc.double({ min: 0, max: 300, noNaN: true })), {
  maxLength: 25,
});

/** How many pass at once: what the scarcest of them has left. */
function passing(quotas: readonly Quota[]): number {
  return Math.min(...quotas.map(({ remaining }) => Math.floor(remaining)));
}

/** As many pass at once as is said to be left, and the next one is refused, until when is said too. */
async function holds(p: Pipeline, clock: VirtualClock, key?: string): Promise<void> {
  const options = key === undefined ? {} : { key };
  const before = p.quotas(options);
  for (const { limit, window, remaining, reset } of before) {
    expect(remaining).toBeGreaterThanOrEqual(0);
    expect(remaining).toBeLessThanOrEqual(limit);
    expect(window).toBeGreaterThan(0);
    expect(reset).toBeGreaterThanOrEqual(0);
    expect(reset).toBeLessThan(Infinity);
  }
  for (let i = passing(before); i > 0; i--) expect(p.tryAcquire(options).admitted).toBe(true);
  const refusal = p.tryAcquire(options);
  expect(refusal.admitted).toBe(false);
  const after = p.quotas(options);
  expect(passing(after)).toBe(0);
  const { retryAfter } = refusal as { retryAfter: number };
  const spent = after.filter(({ remaining, limit }) => remaining < Math.min(1, limit));
  expect(spent.length).toBeGreaterThan(0);
  for (const { reset } of spent) expect(reset).toBeLessThanOrEqual(retryAfter);
  const reset = Math.max(...spent.map((quota) => quota.reset));
  if (reset > 1) {
    await clock.advance(reset - 1);
    expect(p.tryAcquire(options).admitted).toBe(false);
  }
  await clock.advance(Math.min(1, reset));
  expect(passing(p.quotas(options))).toBeGreaterThan(0);
  expect(p.tryAcquire(options).admitted).toBe(true);
}

describe.each(all)('the quota of a %s', (_, makers) => {
  const start = fc.constantFrom(0, 123_456.789);

  test('is what passes: so many calls at once, then none until the reset, and then one more', async () => {
    await fc.assert(
      fc.asyncProperty(makers, start, pauses, async (make, from, list) => {
        const clock = new VirtualClock({ start: from });
        const p = pipeline([make()], { clock });
        for (const ms of list) {
          await clock.advance(ms);
          p.tryAcquire();
        }
        await holds(p, clock);
      }),
      { numRuns: 300 },
    );
  });

  test('is that of each key by itself, and a key that nobody has come with has a full one', async () => {
    await fc.assert(
      fc.asyncProperty(makers, start, pauses, async (make, from, list) => {
        const clock = new VirtualClock({ start: from });
        const keyed = perKey(make, { max: 2 });
        const p = pipeline([keyed], { clock });
        const alone = pipeline([make()], { clock: new VirtualClock({ start: from }) });
        const full = alone.quotas();
        for (const ms of list) {
          await clock.advance(ms);
          p.tryAcquire({ key: 'ada' });
        }
        const unkeyed = ({ policy: _policy, ...others }: Quota): unknown => others;
        expect(p.quotas({ key: 'bob' }).map(unkeyed)).toEqual(full.map(unkeyed));
        expect(keyed.get('bob')).toBeUndefined();
        await holds(p, clock, 'ada');
        await holds(p, clock, 'bob');
      }),
      { numRuns: 100 },
    );
  });

  test('may be asked for at any time: nothing comes of it', async () => {
    await fc.assert(
      fc.asyncProperty(makers, fc.boolean(), pauses, async (make, isKeyed, list) => {
        const decide = async (asks: boolean): Promise<unknown[]> => {
          const clock = new VirtualClock();
          const p = pipeline([isKeyed ? perKey(make) : make()], { clock });
          const ask = (): void => {
            if (asks) for (const key of ['ada', 'bob']) p.quotas({ key });
          };
          const decisions: unknown[] = [];
          for (const ms of list) {
            await clock.advance(ms / 2);
            ask();
            await clock.advance(ms / 2);
            ask();
            const answer = p.tryAcquire({ key: 'ada' });
            decisions.push(answer.admitted ? 'in' : answer.retryAfter);
          }
          return [...decisions, p.snapshot()];
        };
        expect(await decide(true)).toEqual(await decide(false));
      }),
      { numRuns: 100 },
    );
  });
});

describe('while calls wait', () => {
  const waits = fc.constantFrom(100, 1500);
  const waiting: [string, fc.Arbitrary<() => GatePolicy>][] = [
    ['token bucket', waits.map((maxWait) => () => tokenBucket({ rate: 2, burst: 2, maxWait }))],
    ['leaky bucket', waits.map((maxQueueTime) => () => leakyBucket({ rate: 5, maxQueueTime }))],
    ['fixed window', waits.map((maxWait) => () => fixedWindow({ limit: 3, window: 700, maxWait }))],
    ['sliding window', waits.map((maxWait) => () => slidingWindow({ limit: 3, window: 700, maxWait }))],
    ['sliding log', waits.map((maxWait) => () => slidingLog({ limit: 3, window: 700, maxWait, maxQueue: 2 }))],
    ['warm-up', waits.map((maxWait) => () => warmUp({ rate: 5, maxWait }))],
    ['composite', waits.map((maxWait) => () => composite([tokenBucket({ rate: 2 }), leakyBucket({ rate: 3 })], { maxWait }))],
  ];

  test.each(waiting)('a %s has none left, and whoever is refused is not told to come earlier than the reset', async (_, policies) => {
    await fc.assert(
      fc.asyncProperty(policies, pauses, async (make, list) => {
        const clock = new VirtualClock();
        const policy = make();
        const p = pipeline([policy], { clock });
        for (const ms of list) {
          const before = p.quotas();
          let refusal: unknown;
          p.execute(() => undefined).catch((error: unknown) => (refusal = error));
          await clock.advance(0);
          const { waiting: others } = policy as GatePolicy & { waiting: number };
          if (others > 0) expect(p.quotas().map(({ remaining }) => remaining)).toEqual(p.quotas().map(() => 0));
          if (refusal !== undefined)
            for (const { reset, remaining } of before)
              if (remaining < 1) expect(reset).toBeLessThanOrEqual((refusal as { retryAfter: number }).retryAfter + 1e-9);
          await clock.advance(ms);
        }
        await clock.runAll();
        while (p.tryAcquire().admitted);
        const resets = p.quotas().flatMap(({ remaining, reset }) => (remaining < 1 ? [reset] : []));
        await clock.advance(Math.max(...resets));
        const last = p.executeOutcome(() => 'in');
        await clock.runAll();
        expect(await last).toEqual({ ok: true, value: 'in' });
      }),
      { numRuns: 60 },
    );
  });
});
