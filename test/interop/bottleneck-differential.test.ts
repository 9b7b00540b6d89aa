import Bottleneck from 'bottleneck';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Job, type Options, bare, courses, decisions, native, useFreeHops } from './bottleneck-side-by-side.ts';

useFreeHops();

const { LEAK, OVERFLOW, OVERFLOW_PRIORITY, BLOCK } = Bottleneck.strategy as unknown as Readonly<Record<string, 1 | 2 | 3 | 4>>;

async function both(options: Options, jobs: readonly Job[]) {
  const limiter = new Bottleneck({ ...options });
  const [theirs, ours] = await courses([bare(limiter), native(options)], jobs);
  await limiter.disconnect(); // or its heart would beat on
  if (theirs === undefined || ours === undefined) throw new Error('nobody ran');
  return { theirs, ours };
}

const burst = (n: number, takes = 101, others: Partial<Job> = {}): Job[] => Array.from({ length: n }, () => ({ at: 0, takes, ...others }));
const at = (...times: number[]): Job[] => times.map((time) => ({ at: time, takes: 101 }));

describe('the same decisions as the package, on traffic by the book', () => {
  const refresh = { reservoir: 2, reservoirRefreshInterval: 1000, reservoirRefreshAmount: 3 };
  test.each<[string, Options, Job[]]>([
    ['so many at once', { maxConcurrent: 2 }, burst(6)],
    ['so long from one start to the next', { minTime: 50 }, burst(6)],
    ['both: a place is held while its job waits for its start', { maxConcurrent: 2, minTime: 75 }, burst(8)],
    ['starts are spaced, whatever the weights', { minTime: 50, maxConcurrent: 5 }, burst(5, 101, { weight: 2 })],
    [
      'a heavy one keeps its place in the line, and light ones wait behind it',
      { maxConcurrent: 2 },
      [1, 2, 1, 1].map((weight, i) => ({ at: i, takes: 101, weight })),
    ],
    ['one that is too heavy is refused', { maxConcurrent: 2 }, burst(2, 10, { weight: 3 })],
    ['no places at all', { maxConcurrent: 0 }, burst(2)],
    ['lower numbers first', { maxConcurrent: 1 }, [5, 7, 3, 9, 0, 3].map((priority) => ({ at: 0, takes: 11, priority }))],
    ['a reservoir, and its refresh', refresh, burst(8)],
    ['a reservoir in front of places', { ...refresh, maxConcurrent: 2 }, burst(8, 301)],
    ['a reservoir, places and spacing', { ...refresh, maxConcurrent: 2, minTime: 200 }, burst(8, 301)],
    ['windows follow one another from the start, busy or not', refresh, at(900, 901, 902, 903, 1900, 1950, 1951, 1952, 1953)],
    [
      'a reservoir that is filled to the brim',
      { reservoir: 1, reservoirIncreaseInterval: 500, reservoirIncreaseAmount: 4, reservoirIncreaseMaximum: 2 },
      burst(6),
    ],
    ['OVERFLOW', { maxConcurrent: 1, highWater: 2, strategy: OVERFLOW }, burst(6)],
    ['OVERFLOW in front of a reservoir', { ...refresh, highWater: 2, strategy: OVERFLOW }, burst(6)],
    [
      'OVERFLOW_PRIORITY',
      { maxConcurrent: 1, highWater: 2, strategy: OVERFLOW_PRIORITY },
      [5, 6, 4, 3, 8, 5].map((priority) => ({ at: 0, takes: 11, priority })),
    ],
    ['LEAK', { maxConcurrent: 1, highWater: 2, strategy: LEAK }, burst(6)],
    ['BLOCK', { maxConcurrent: 1, highWater: 2, strategy: BLOCK, penalty: 500 }, [...burst(6), ...at(250, 751, 760)]],
    [
      'BLOCK, with a penalty of 15 times minTime',
      { maxConcurrent: 1, highWater: 1, strategy: BLOCK, minTime: 10 },
      [...burst(3), ...at(150, 350)],
    ],
    ['no queue', { maxConcurrent: 2, highWater: 0 }, [...burst(4), ...at(50, 102)]],
    ['no queue, and no wait for a start either', { maxConcurrent: 2, minTime: 200, highWater: 0 }, at(0, 100, 199, 200, 399, 400)],
    ['no queue: BLOCK', { maxConcurrent: 1, highWater: 0, strategy: BLOCK, penalty: 300 }, at(0, 50, 200, 400, 701)],
    ['a high-water mark that spacing never reaches', { minTime: 50, highWater: 1, strategy: OVERFLOW }, burst(5)],
    ['expiration, from the start of the work', { maxConcurrent: 1, minTime: 40 }, burst(4, 101, { expiration: 30 })],
  ])('%s', async (_, options, jobs) => {
    const { theirs, ours } = await both(options, jobs);
    expect(decisions(ours)).toEqual(decisions(theirs));
    expect(ours.peak).toBeLessThanOrEqual(options.maxConcurrent ?? Infinity);
  });
});

/**
 * Jobs come at multiples of this (ms), limits are multiples of it, and works take such a multiple and a little: so that none ends at the very moment when another comes, where
 * either answer would be right.
 */
const BEAT = 250;
const jobs = (
  others: { readonly [Name in 'priority' | 'weight' | 'expiration']?: fc.Arbitrary<number | undefined> } = {},
): fc.Arbitrary<Job[]> =>
  fc.array(
    fc.record({
      at: fc.nat({ max: 12 }).map((n) => n * BEAT),
      takes: fc.nat({ max: 6 }).map((n) => n * BEAT + 1),
      ...others,
    }) as unknown as fc.Arbitrary<Job>,
    { minLength: 1, maxLength: 10 },
  );
const priority = fc.nat({ max: 9 });
const weight = fc.integer({ min: 1, max: 3 });
const expiration = fc.option(
  fc.integer({ min: 0, max: 4 }).map((n) => n * BEAT + 20),
  { nil: undefined },
);
const beats = (max: number) => fc.integer({ min: 0, max }).map((n) => n * BEAT);

describe('the same decisions as the package, on any traffic', () => {
  async function agree(options: Options, traffic: readonly Job[]): Promise<void> {
    const { theirs, ours } = await both(options, traffic);
    expect(decisions(ours)).toEqual(decisions(theirs));
    expect(ours.peak).toBeLessThanOrEqual(options.maxConcurrent ?? Infinity);
  }

  /** Whoever waited twice, for a place and for the reservoir, starts in the same tick as who came after it and waited once, and may be the later of the two there. */
  async function agreeInTime(options: Options, traffic: readonly Job[]): Promise<void> {
    const { theirs, ours } = await both(options, traffic);
    expect(ours.fates).toEqual(theirs.fates);
  }

  test('places and spacing, with priorities, weights and expirations', async () => {
    const options = fc.record({ maxConcurrent: fc.option(fc.integer({ min: 1, max: 4 })), minTime: beats(3) });
    await fc.assert(fc.asyncProperty(options, jobs({ priority, weight, expiration }), agree), { numRuns: 150 });
  });

  test('OVERFLOW and LEAK at the high-water mark', async () => {
    const options = fc.record({
      maxConcurrent: fc.integer({ min: 1, max: 2 }),
      minTime: beats(2),
      highWater: fc.nat({ max: 3 }),
      strategy: fc.constantFrom(LEAK, OVERFLOW),
    });
    await fc.assert(fc.asyncProperty(options as fc.Arbitrary<Options>, jobs({ priority, expiration }), agree), { numRuns: 150 });
  });

  test('OVERFLOW_PRIORITY, where no two jobs are of one priority', async () => {
    const options = fc.record({ maxConcurrent: fc.constant(1), highWater: fc.nat({ max: 3 }), strategy: fc.constant(OVERFLOW_PRIORITY) });
    const unlike = jobs().chain((all) =>
      fc
        .shuffledSubarray([0, 1, 2, 3, 4, 5, 6, 7, 8, 9], { minLength: 10 })
        .map((order) => all.map((job, i) => ({ ...job, priority: order[i] as number }))),
    );
    await fc.assert(fc.asyncProperty(options as fc.Arbitrary<Options>, unlike, agree), { numRuns: 100 });
  });

  test('BLOCK, with a penalty', async () => {
    const options = fc.record({
      maxConcurrent: fc.integer({ min: 1, max: 2 }),
      highWater: fc.nat({ max: 2 }),
      strategy: fc.constant(BLOCK),
      penalty: fc.integer({ min: 1, max: 4 }).map((n) => n * BEAT + 100),
    });
    await fc.assert(fc.asyncProperty(options as fc.Arbitrary<Options>, jobs({ priority }), agree), { numRuns: 100 });
  });

  test('a reservoir that is refreshed, alone and with places and spacing', async () => {
    const options = fc
      .record({
        reservoirRefreshAmount: fc.integer({ min: 3, max: 4 }),
        missing: fc.nat({ max: 3 }),
        reservoirRefreshInterval: fc.integer({ min: 1, max: 6 }).map((n) => n * BEAT),
        maxConcurrent: fc.option(fc.integer({ min: 3, max: 4 })),
        minTime: beats(2),
      })
      .map(({ missing, ...others }): Options => ({ ...others, reservoir: others.reservoirRefreshAmount - missing }));
    await fc.assert(fc.asyncProperty(options, jobs({ weight, expiration }), agreeInTime), { numRuns: 100 });
  });

  test('a queue in front of a reservoir', async () => {
    const options = fc.record({
      reservoir: fc.constant(2),
      reservoirRefreshAmount: fc.constant(2),
      reservoirRefreshInterval: fc.integer({ min: 1, max: 6 }).map((n) => n * BEAT),
      highWater: fc.nat({ max: 3 }),
      strategy: fc.constant(OVERFLOW),
    });
    await fc.assert(fc.asyncProperty(options as fc.Arbitrary<Options>, jobs(), agree), { numRuns: 100 });
  });
});
