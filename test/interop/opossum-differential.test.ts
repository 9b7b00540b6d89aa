import fc from 'fast-check';
import { describe, expect, test, vi } from 'vitest';
import { systemClock } from '../../src/core/clock.ts';
import type { OpossumOptions } from 'breakwater/opossum';
import { useProcessTime } from '../support/process-clock.ts';
import { BareSide, type Deed, type Side, Traffic, adaptedSide, doing, nativeSide, passes } from './opossum-sides.ts';

useProcessTime();

const TIMEOUT = 50;
const WINDOW = 10_000;

/** Options that traffic can tell apart within a few seconds. */
type Settings = Required<
  Pick<OpossumOptions, 'errorThresholdPercentage' | 'rollingCountBuckets' | 'allowWarmUp'> & {
    readonly volumeThreshold: number;
    readonly resetTimeout: number;
  }
>;

/** Shares that come out the same as a percentage: 7 of 100 are 7.000000000000001 % (a named difference). */
const percentages = Array.from({ length: 100 }, (_, percentage) => percentage).filter(
  (percentage) => (percentage / 100) * 100 <= percentage,
);

const settings: fc.Arbitrary<Settings> = fc.record({
  errorThresholdPercentage: fc.constantFrom(...percentages),
  volumeThreshold: fc.integer({ min: 0, max: 6 }),
  rollingCountBuckets: fc.integer({ min: 2, max: 20 }),
  resetTimeout: fc.integer({ min: 100, max: 40_000 }),
  allowWarmUp: fc.constant(false),
});

/** All sides with these options, and what they are called. */
function sidesOf(options: OpossumOptions): readonly Side[] {
  return [new BareSide(options), nativeSide(options), adaptedSide(options)];
}

/** Runs traffic over all sides, and sees after each step that they agree. */
async function compare(options: OpossumOptions, script: (traffic: Traffic, agreed: () => string) => Promise<void>): Promise<void> {
  const traffic = new Traffic(...sidesOf(options));
  const agreed = (): string => {
    const [first, ...others] = traffic.seen;
    for (const other of others) expect(other).toEqual(first);
    return first?.state ?? 'none';
  };
  try {
    await script(traffic, agreed);
  } finally {
    traffic.end();
  }
}

const deed = fc.constantFrom<Deed>('answers', 'fails', 'filtered', 'hangs');
const pause = fc.integer({ min: 0, max: 100 });
const takes = fc.integer({ min: 0, max: TIMEOUT - 1 });
/** Also longer than the timeout, but not to the very millisecond (a named difference). */
const anyTime = fc.integer({ min: 0, max: 80 }).filter((ms) => ms !== TIMEOUT);

interface OneCall {
  readonly kind: 'call';
  readonly deed: Deed;
  readonly takes: number;
  readonly pause: number;
}

interface Batch {
  readonly kind: 'batch';
  readonly good: readonly Deed[];
  readonly bad: readonly Deed[];
  readonly takes: number;
}

const oneCall: fc.Arbitrary<OneCall> = fc.record({ kind: fc.constant('call' as const), deed, takes, pause });

/** Calls at the same time that end at the same time, good ones first. */
const batch: fc.Arbitrary<Batch> = fc.record({
  kind: fc.constant('batch' as const),
  good: fc.array(fc.constantFrom<Deed>('answers', 'filtered'), { maxLength: 5 }),
  bad: fc.oneof(fc.array(fc.constant<Deed>('fails'), { maxLength: 5 }), fc.array(fc.constant<Deed>('hangs'), { maxLength: 5 })),
  takes,
});

/** From a closed circuit with an empty window to its opening and back, or to the end of the steps. */
interface Episode {
  /** What fills the window up to the volume: nothing but good calls, or calls of which the last one fails. */
  readonly filling: readonly Deed[];
  readonly steps: readonly (OneCall | Batch)[];
  /** When calls come to the open circuit, as shares of its time. */
  readonly refused: readonly number[];
  readonly probes: readonly { readonly deed: Deed; readonly takes: number; readonly company: number }[];
}

function episode(volume: number): fc.Arbitrary<Episode> {
  const least = Math.max(1, volume);
  const some = (values: readonly Deed[], length: number): fc.Arbitrary<Deed[]> =>
    fc.array(fc.constantFrom(...values), { minLength: length, maxLength: length });
  return fc.record({
    filling: fc.oneof(
      some(['answers', 'filtered'], least),
      fc
        .tuple(some(['answers', 'filtered', 'fails', 'hangs'], least - 1), some(['fails', 'hangs'], 1))
        .map(([before, [last = 'fails']]) => [...before, last]),
    ),
    steps: fc.array(fc.oneof({ arbitrary: oneCall, weight: 3 }, { arbitrary: batch, weight: 1 }), { maxLength: 12 }),
    refused: fc.array(fc.double({ min: 0, max: 0.99, noNaN: true }), { maxLength: 3 }).map((shares) => shares.sort((a, b) => a - b)),
    probes: fc.array(fc.record({ deed, takes, company: fc.integer({ min: 0, max: 2 }) }), { maxLength: 3 }),
  });
}

/** Until when a call is under way. */
function length({ deed: what, takes: ms }: { readonly deed: Deed; readonly takes: number }): number {
  return what === 'hangs' ? TIMEOUT : ms;
}

async function play(
  traffic: Traffic,
  agreed: () => string,
  { filling, steps, refused, probes }: Episode,
  resetTimeout: number,
): Promise<void> {
  const all: (OneCall | Batch)[] = [...filling.map((each) => ({ kind: 'call', deed: each, takes: 3, pause: 1 }) as const), ...steps];
  for (const step of all) {
    if (agreed() === 'open') break;
    if (step.kind === 'call') {
      await traffic.one(doing(step.deed, step.takes), length(step));
      if (agreed() !== 'open') await traffic.wait(step.pause);
    } else {
      traffic.send(...[...step.good, ...step.bad].map((each) => doing(each, step.takes)));
      await traffic.wait(step.bad.includes('hangs') ? TIMEOUT : step.takes);
    }
  }
  for (let turn = 0; agreed() === 'open'; turn++) {
    let waited = 0;
    for (const share of [...refused, (resetTimeout - 1) / resetTimeout]) {
      const at = Math.floor(share * resetTimeout);
      await traffic.wait(at - waited);
      waited = at;
      await traffic.one(doing('answers'));
      expect(agreed()).toBe('open');
    }
    await traffic.wait(1);
    expect(agreed()).toBe('half-open');
    const probe = probes[turn] ?? { deed: 'answers', takes: 1, company: 0 };
    traffic.send(doing(probe.deed, probe.takes), ...Array.from({ length: probe.company }, () => doing('answers')));
    await traffic.wait(length(probe));
    agreed();
  }
  // Afterwards nothing is left in any window.
  await traffic.wait(WINDOW);
  expect(agreed()).toBe('closed');
}

describe('fromOpossumOptions decides as opossum', () => {
  test('call by call, up to the millisecond: opening, refusing, probing, closing', { timeout: 120_000 }, async () => {
    let opened = 0;
    const cases = settings.chain((chosen) =>
      fc.tuple(fc.constant(chosen), fc.array(episode(chosen.volumeThreshold), { minLength: 1, maxLength: 3 })),
    );
    await fc.assert(
      fc.asyncProperty(cases, async ([chosen, episodes]) => {
        await compare({ ...chosen, timeout: TIMEOUT, rollingCountTimeout: WINDOW, errorFilter: passes }, async (traffic, agreed) => {
          for (const each of episodes) await play(traffic, agreed, each, chosen.resetTimeout);
          opened += traffic.seen[0]?.log.some((entry) => entry?.[1] === 'open') === true ? 1 : 0;
        });
      }),
      { numRuns: 60 },
    );
    expect(opened).toBeGreaterThan(20);
  });

  test('what leaves the window leaves it in the same millisecond, and a warm-up ends there', { timeout: 120_000 }, async () => {
    const schedule = fc.record({
      settings: fc.record({
        errorThresholdPercentage: fc.constantFrom(...percentages),
        volumeThreshold: fc.integer({ min: 1, max: 6 }),
        rollingCountBuckets: fc.integer({ min: 1, max: 10 }),
        allowWarmUp: fc.boolean(),
      }),
      width: fc.integer({ min: 3, max: 40 }),
      rest: fc.nat(9),
      good: fc.array(fc.nat(30), { maxLength: 6 }),
      bad: fc.array(fc.nat(60), { minLength: 4, maxLength: 20 }),
    });
    let opened = 0;
    await fc.assert(
      fc.asyncProperty(schedule, async ({ settings: chosen, width, rest, good, bad }) => {
        // Both count from a full turn of the window: opossum from its making, we from time 0.
        await vi.advanceTimersByTimeAsync(Math.ceil(width - (systemClock.now() % width)));
        const options = {
          ...chosen,
          // What is left over is in no part.
          rollingCountTimeout: width * chosen.rollingCountBuckets + (rest % chosen.rollingCountBuckets),
          timeout: false,
          resetTimeout: 1_000_000,
        } as const;
        await compare(options, async (traffic, agreed) => {
          for (const ms of good) {
            await traffic.wait(ms);
            await traffic.one(doing('answers'));
            agreed();
          }
          for (const ms of bad) {
            await traffic.wait(ms);
            await traffic.one(doing('fails'));
            agreed();
          }
          opened += agreed() === 'open' ? 1 : 0;
        });
      }),
      { numRuns: 150 },
    );
    expect(opened).toBeGreaterThan(40);
    expect(opened).toBeLessThan(140);
  });

  test('capacity and timeouts: calls that overlap as they like', { timeout: 120_000 }, async () => {
    const overlapping = fc.record({
      capacity: fc.integer({ min: 0, max: 4 }),
      calls: fc.array(fc.record({ deed, takes: anyTime, pause: fc.integer({ min: 0, max: 30 }) }), {
        maxLength: 30,
      }),
    });
    const decided = new Set<string>();
    await fc.assert(
      fc.asyncProperty(overlapping, async ({ capacity, calls }) => {
        // At 100 % it never opens, so what a full bulkhead counts as does not matter (a named difference).
        await compare({ capacity, timeout: TIMEOUT, errorThresholdPercentage: 100 }, async (traffic, agreed) => {
          for (const call of calls) {
            traffic.send(doing(call.deed, call.takes));
            await traffic.wait(call.pause);
            agreed();
          }
          await traffic.wait(2 * TIMEOUT);
          expect(agreed()).toBe('closed');
          for (const [, decision] of traffic.seen[0]?.log.filter((entry) => entry !== undefined) ?? []) decided.add(decision);
        });
      }),
      { numRuns: 150 },
    );
    expect([...decided].sort()).toEqual(['answered', 'failed', 'full', 'timed out']);
  });

  test('a warm-up ends to the millisecond', async () => {
    await compare({ allowWarmUp: true, rollingCountTimeout: 1005 }, async (traffic, agreed) => {
      await traffic.wait(1004);
      await traffic.one(doing('fails'));
      expect(agreed()).toBe('closed');
      await traffic.wait(1);
      await traffic.one(doing('fails'));
      expect(agreed()).toBe('open');
    });
  });

  describe('from a state that was saved', () => {
    const status = { fires: 5, successes: 3, failures: 2 };

    /** What the next calls find, each after so many ms. */
    const stories: readonly (readonly [string, OpossumOptions, readonly (readonly [wait: number, deed: Deed, state: string])[]])[] = [
      [
        'closed: its counts go on',
        { state: { closed: true }, status, volumeThreshold: 5 },
        [
          [0, 'fails', 'closed'],
          [0, 'fails', 'open'],
        ],
      ], // 3 of 6, 4 of 7
      ['closed, if it does not say', { state: { halfOpen: true }, status }, [[0, 'answers', 'closed']]],
      [
        'counts alone',
        { status, errorThresholdPercentage: 60 },
        [
          [9_000, 'fails', 'closed'],
          [2_000, 'fails', 'open'],
        ],
      ],
      [
        'open for less than its time: it opens anew',
        { state: { closed: false, open: true, lastTimerAt: -20_000 } },
        [
          [29_999, 'answers', 'open'],
          [1, 'answers', 'closed'],
        ],
      ],
      [
        'open for longer: it may be tried',
        { state: { closed: false, open: true, lastTimerAt: -30_001 } },
        [
          [0, 'fails', 'open'],
          [30_000, 'answers', 'closed'],
        ],
      ],
      [
        'open, and nobody knows since when',
        { state: { closed: false, open: true } },
        [
          [0, 'answers', 'open'],
          [30_000, 'answers', 'closed'],
        ],
      ],
      ['half-open', { state: { closed: false, halfOpen: true } }, [[0, 'filtered', 'closed']]],
      [
        'disabled',
        { state: { enabled: false, closed: false, open: true }, timeout: 5 },
        [
          [0, 'answers', 'any'],
          [0, 'fails', 'any'],
          [10, 'answers', 'any'],
        ],
      ],
      [
        'warming up',
        { state: { warmUp: true } },
        [
          [9_999, 'fails', 'closed'],
          [1, 'fails', 'open'],
        ],
      ],
    ];

    test.each(stories)('%s', async (_, { state, ...options }, calls) => {
      // Times are told from now on.
      const { lastTimerAt } = state ?? {};
      const at = lastTimerAt === undefined ? {} : { lastTimerAt: Date.now() + lastTimerAt };
      await compare(
        { ...options, ...(state !== undefined && { state: { ...state, ...at } }), errorFilter: passes },
        async (traffic, agreed) => {
          for (const [ms, what, expected] of calls) {
            await traffic.wait(ms);
            await traffic.one(doing(what));
            if (expected === 'any') expect(new Set(traffic.last).size).toBe(1);
            else expect(agreed()).toBe(expected);
          }
        },
      );
    });

    test('whatever it had counted', { timeout: 60_000 }, async () => {
      const counted = fc.record({ successes: fc.nat(20), failures: fc.nat(20) });
      const chosen = fc.record({ errorThresholdPercentage: fc.constantFrom(...percentages), volumeThreshold: fc.nat(30) });
      await fc.assert(
        fc.asyncProperty(counted, chosen, async ({ successes, failures }, options) => {
          const saved = { state: { closed: true }, status: { fires: successes + failures, successes, failures } };
          await compare({ ...options, ...saved }, async (traffic, agreed) => {
            for (let i = 0; i < 40 && agreed() === 'closed'; i++) await traffic.one(doing('fails'));
          });
        }),
      );
    });
  });
});
