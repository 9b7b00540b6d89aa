import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type GatePolicy, pipeline } from 'breakwater';
import { VirtualClock } from 'breakwater/testing';
import { FixedWindow } from '../../src/algorithms/meters/fixed-window.ts';
import type { Meter } from '../../src/algorithms/meters/meter.ts';
import { SlidingLog } from '../../src/algorithms/meters/sliding-log.ts';
import { SlidingWindow } from '../../src/algorithms/meters/sliding-window.ts';
import { fixedWindow } from '../../src/policies/fixed-window.ts';
import { slidingLog } from '../../src/policies/sliding-log.ts';
import { slidingWindow } from '../../src/policies/sliding-window.ts';
import type { WindowChange } from '../../src/stores/limiter/window-limiter.ts';
import { comesInWhenTold, keepsKeysApart } from '../support/limiter-laws.ts';
import { type Admitted, Traffic, commandsWith, tagged } from '../support/traffic.ts';

const commands = commandsWith({ deadline: 1500, pause: 700 });

interface Options {
  readonly limit: number;
  readonly window: number;
  readonly maxWait?: number;
  readonly cost?: (call: { readonly tags: Readonly<Record<string, unknown>> }) => number;
}

type Limiter = GatePolicy & {
  readonly available: number;
  readonly waiting: number;
  update(change: WindowChange): void;
  atRest(now: number): boolean;
};

/** Each limiter, with its law: how much may pass within a span of time, for this limit and window. */
const limiters: readonly [string, (options: Options) => Limiter, (span: number, limit: number, window: number) => number][] = [
  ['fixedWindow', (options) => fixedWindow(options), (span, limit, window) => (Math.ceil(span / window) + 1) * limit],
  [
    'fixedWindow, aligned',
    (options) => fixedWindow({ ...options, aligned: true }),
    (span, limit, window) => (Math.ceil(span / window) + 1) * limit,
  ],
  [
    'slidingWindow with one segment',
    (options) => slidingWindow({ ...options, segments: 1 }),
    (span, limit, window) => (Math.ceil(span / window) + 1) * limit,
  ],
  [
    'slidingWindow with five segments',
    (options) => slidingWindow({ ...options, segments: 5 }),
    (span, limit, window) => Math.ceil(span / (window * 0.8) - 1e-9) * limit,
  ],
  ['slidingLog', (options) => slidingLog(options), (span, limit, window) => Math.ceil(span / window) * limit],
];

/** The most that was let in within any such span of time. */
function most(calls: readonly Admitted[], span: number): number {
  const sums = calls.map(({ at: from }) => calls.reduce((sum, { at, cost }) => (at >= from && at < from + span ? sum + cost : sum), 0));
  return Math.max(0, ...sums);
}

/** Those who waited may get in late by what timers are late, ms. */
const LATE = 20;

describe.each(limiters)('%s', (_name, make, law) => {
  const setting = fc.record({
    limit: fc.constantFrom(1, 3, 5.5, 10),
    window: fc.constantFrom(250, 1000, 10_000 / 3),
    maxWait: fc.constantFrom(0, 300, 3000, Infinity),
  });

  test('never lets in more than its law allows, in any time, whatever happens, and those who wait in order (L1, L2)', async () => {
    await fc.assert(
      fc.asyncProperty(setting, commands, async ({ limit, window, maxWait }, list) => {
        const limiter = make({ limit, window, maxWait, cost: tagged });
        const traffic = new Traffic(limiter);
        await traffic.run(list);
        const late = maxWait > 0 ? LATE : 0;
        for (const span of [window / 10, 0.8 * window, window, 2 * window, 3.5 * window])
          expect(most(traffic.admitted, span - late - 1e-6)).toBeLessThanOrEqual(law(span, limit, window) + 1e-6);
        expect(traffic.order).toEqual(traffic.order.toSorted((a, b) => a - b));
        expect([limiter.waiting, limiter.available >= 0, limiter.available <= limit]).toEqual([0, true, true]);
        await traffic.clock.advance(2 * window + 1);
        expect([limiter.atRest(traffic.clock.now()), limiter.available]).toEqual([true, limit]);
      }),
      { numRuns: 60 },
    );
  });

  test('never lets in more than the larger of the settings it had, however often they change (L8)', async () => {
    const change = fc.record({ limit: fc.constantFrom(1, 4, 10), window: fc.constantFrom(500, 700, 2000) });
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(change, commands), { minLength: 1, maxLength: 4 }), async (rounds) => {
        const limiter = make({ limit: 4, window: 1000, maxWait: 500, cost: tagged });
        const traffic = new Traffic(limiter);
        for (const [settings, list] of rounds) {
          limiter.update(settings);
          await traffic.run(list);
        }
        const limit = Math.max(4, ...rounds.map(([settings]) => settings.limit));
        const window = Math.min(1000, ...rounds.map(([settings]) => settings.window));
        for (const span of [0.8 * window, window, 2 * window])
          expect(most(traffic.admitted, span - LATE - 1e-6)).toBeLessThanOrEqual(law(span, limit, window) + 1e-6);
      }),
      { numRuns: 30 },
    );
  });

  test('what it does not let in leaves no trace: calls that give up or are turned away might as well not have come (L3, L6)', async () => {
    await fc.assert(
      fc.asyncProperty(setting, commands, async ({ limit, window }, list) => {
        const [limiter, other] = [make({ limit, window, cost: tagged }), make({ limit, window, cost: tagged })];
        const [traffic, calm] = [new Traffic(limiter), new Traffic(other)];
        await traffic.run(list);
        await calm.run(list.filter((command) => command.do !== 'turned away further in' && command.do !== 'abort'));
        expect(traffic.letIn).toEqual(calm.letIn);
        expect(limiter.available).toBeCloseTo(other.available, 9);
      }),
      { numRuns: 60 },
    );
  });

  test('those who give up in the queue leave no trace either: whoever came before and after gets in when it would have (L6)', async () => {
    const calls = fc.array(fc.record({ cost: fc.constantFrom(1, 1, 2), wait: fc.nat(200), stays: fc.boolean() }), { maxLength: 25 });
    await fc.assert(
      fc.asyncProperty(calls, async (list) => {
        const times = async (come: typeof list): Promise<number[]> => {
          const clock = new VirtualClock();
          const limiter = make({ limit: 3, window: 1000, maxWait: Infinity, cost: tagged });
          const p = pipeline([limiter], { clock });
          const found: number[] = [];
          const leaving = new AbortController();
          p.tryAcquire({ tags: { cost: 3 } }); // so that all have to wait
          for (const { cost, stays } of come)
            void p.executeOutcome(() => found.push(clock.now()), { tags: { cost }, ...(stays ? {} : { signal: leaving.signal }) });
          await clock.advance(100);
          leaving.abort();
          await clock.runAll();
          expect([limiter.waiting, clock.pending]).toEqual([0, 0]);
          return found;
        };
        expect(await times(list)).toEqual(await times(list.filter(({ stays }) => stays)));
      }),
      { numRuns: 60 },
    );
  });

  test('a call at the time it was told gets in, if nobody else came; a millisecond earlier it does not (L4)', async () => {
    const windows = fc.double({ min: 10, max: 9e6, noNaN: true });
    const asked = fc.array(fc.record({ cost: fc.constantFrom(0.7, 1, 2.3, 4), after: fc.double({ min: 0, max: 1.5, noNaN: true }) }), {
      minLength: 1,
      maxLength: 20,
    });
    await fc.assert(
      fc.asyncProperty(windows, asked, async (window, list) => {
        const clock = new VirtualClock({ start: 123_456.789 });
        const p = pipeline([make({ limit: 4, window, cost: tagged })], { clock });
        for (const { cost, after } of list) {
          await clock.advance(after * window);
          await comesInWhenTold(p, clock, { cost });
        }
      }),
      { numRuns: 60 },
    );
  });

  test('keys never affect each other: each is let in as if it were alone (L5)', async () => {
    const happening = fc.record({ key: fc.constantFrom('a', 'b', '__proto__', '', 'k'.repeat(300)), ms: fc.nat(200) });
    await fc.assert(
      fc.asyncProperty(fc.array(happening, { maxLength: 60 }), async (list) => {
        await keepsKeysApart(() => make({ limit: 2, window: 600 }), list, 600);
      }),
      { numRuns: 30 },
    );
  });

  test('what costs more than the limit is refused for ever, and says so (L9)', async () => {
    await fc.assert(
      fc.asyncProperty(commands, fc.double({ min: 3.31, max: 1e9, noNaN: true }), async (list, large) => {
        const limiter = make({ limit: 3.3, window: 1000, maxWait: Infinity, cost: tagged });
        const traffic = new Traffic(limiter);
        await traffic.run(list);
        const p = pipeline([limiter], { clock: traffic.clock });
        const outcome = await p.executeOutcome(() => 1, { tags: { cost: large } });
        expect(outcome).toMatchObject({
          ok: false,
          error: { retryAfter: Infinity, message: expect.stringContaining('can never pass') as string },
        });
      }),
      { numRuns: 30 },
    );
  });
});

test('fixedWindow, aligned: in no window of its grid more than the limit (L1)', async () => {
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(1, 3, 5.5), fc.constantFrom(0, 3000), commands, async (limit, maxWait, list) => {
      const traffic = new Traffic(fixedWindow({ limit, window: 500, maxWait, aligned: true, cost: tagged }));
      await traffic.run(list);
      const windows = new Map<number, number>();
      for (const { at, cost } of traffic.admitted) windows.set(Math.floor(at / 500), (windows.get(Math.floor(at / 500)) ?? 0) + cost);
      expect(Math.max(0, ...windows.values())).toBeLessThanOrEqual(limit + 1e-9);
    }),
    { numRuns: 100 },
  );
});

/** What a meter is held against: everything that was taken, added up anew each time. */
type Oracle = (taken: readonly { readonly at: number; readonly cost: number }[], now: number) => number;

const WINDOW = 1000;
const LIMIT = 5;

const meters: readonly [string, () => Meter<number, { readonly cost: number }>, Oracle][] = [
  [
    'an aligned fixed window',
    () => new FixedWindow({ limit: LIMIT, window: WINDOW }, true),
    (taken, now) => taken.reduce((sum, { at, cost }) => (Math.floor(at / WINDOW) === Math.floor(now / WINDOW) ? sum + cost : sum), 0),
  ],
  ...[1, 4, 10].map(
    (segments) =>
      [
        `a sliding window of ${segments}`,
        () => new SlidingWindow({ limit: LIMIT, window: WINDOW }, segments),
        (taken, now) => {
          const length = WINDOW / segments;
          return taken.reduce((sum, { at, cost }) => {
            const end = Math.floor(at / length) * length + length;
            return sum + cost * Math.min(1, Math.max(0, (end - (now - WINDOW)) / length));
          }, 0);
        },
      ] as [string, () => SlidingWindow, Oracle],
  ),
  [
    'a sliding log',
    () => new SlidingLog({ limit: LIMIT, window: WINDOW }),
    (taken, now) => taken.reduce((sum, { at, cost }) => (now - at < WINDOW ? sum + cost : sum), 0),
  ],
];

describe.each(meters)('%s, as a meter', (_name, make, oracle) => {
  const steps = fc.array(
    fc.oneof(
      fc.record({ do: fc.constant('take' as const), cost: fc.constantFrom(1, 1, 2, 0.25) }),
      fc.record({ do: fc.constant('give back' as const), which: fc.nat(30) }),
      fc.record({ do: fc.constant('drain' as const) }),
      fc.record({ do: fc.constant('pass' as const), ms: fc.oneof(fc.nat(400), fc.nat(3000)) }),
      fc.record({ do: fc.constant('copy' as const) }),
    ),
    { maxLength: 80 },
  );

  test('lets in what fits by what was really taken and not given back, and tells the first time at which it will (L2, L3, L4, L6)', () => {
    fc.assert(
      fc.property(steps, (list) => {
        let meter = make();
        let now = 0;
        const taken: { readonly at: number; readonly cost: number; readonly receipt: { readonly cost: number } | undefined }[] = [];
        const fits = (cost: number, at: number): boolean => oracle(taken, at) + cost <= LIMIT + 1e-9;
        for (const step of list) {
          if (step.do === 'pass') now += step.ms;
          if (step.do === 'copy') meter = meter.copy();
          if (step.do === 'give back') {
            const given = taken[step.which];
            if (given?.receipt !== undefined) {
              taken.splice(step.which, 1);
              meter.giveBack(given.receipt, now);
            }
          }
          if (step.do === 'drain') {
            const left = LIMIT - oracle(taken, now);
            meter.drain(now);
            if (left > 1e-9) taken.push({ at: now, cost: left, receipt: undefined });
          }
          if (step.do !== 'take') continue;
          const { cost } = step;
          const wait = meter.wait(cost, now);
          expect(meter.wait(cost, now)).toBe(wait);
          expect(wait === 0).toBe(fits(cost, now));
          if (wait === 0) taken.push({ at: now, cost, receipt: meter.take(cost, now) });
          else {
            expect(fits(cost, now + wait + 1e-6)).toBe(true);
            if (wait > 1) expect(fits(cost, now + wait - 1e-3)).toBe(false);
          }
        }
        expect(meter.isFresh(now)).toBe(oracle(taken, now) < 1e-9);
        expect(meter.isFresh(now + 2 * WINDOW)).toBe(true);
      }),
      { numRuns: 300 },
    );
  });
});
