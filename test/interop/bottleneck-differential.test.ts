import { AsyncLocalStorage } from 'node:async_hooks';
import Bottleneck from 'bottleneck';
import fc from 'fast-check';
import { describe, expect, test, vi } from 'vitest';
import { BulkheadFullError, RateLimitedError } from '../../src/core/errors.ts';
import { pipeline } from '../../src/core/pipeline.ts';
import { bottleneckLimiter } from '../../src/interop/bottleneck.ts';
import { fromBottleneckOptions } from '../../src/interop/bottleneck/native.ts';
import type { Strategy } from '../../src/interop/bottleneck/fields.ts';
import { bulkhead } from '../../src/policies/bulkhead.ts';
import { perKey } from '../../src/policies/per-key.ts';
import { retry } from '../../src/policies/retry.ts';
import { timeout } from '../../src/policies/timeout.ts';
import { hop } from '../../src/testing/hop.ts';
import { useTurns } from './bottleneck-turns.ts';
import { rows } from './bottleneck-differences.ts';
import { type Job, type Options, bare, courses, decisions, jobOptions, native, pass, piped } from './bottleneck-side-by-side.ts';

useTurns();

const { LEAK, OVERFLOW, OVERFLOW_PRIORITY, BLOCK } = Bottleneck.strategy as unknown as Readonly<
  Record<'LEAK' | 'OVERFLOW' | 'OVERFLOW_PRIORITY' | 'BLOCK', Strategy>
>;

async function both(options: Options, jobs: readonly Job[], how: Parameters<typeof courses>[2] = {}) {
  const limiter = new Bottleneck({ ...options });
  const [theirs, ours] = await courses([bare(limiter), native(options)], jobs, how);
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
    [
      'windows follow one another from the start, busy or not',
      { ...refresh, reservoir: 3 },
      at(900, 901, 902, 903, 1900, 1950, 1951, 1952, 1953),
    ],
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
    ['no queue, and no wait for a reservoir either', { ...refresh, maxConcurrent: 3, highWater: 0 }, at(0, 1, 2, 999, 1000, 1001)],
    ['no queue: BLOCK', { maxConcurrent: 1, highWater: 0, strategy: BLOCK, penalty: 300 }, at(0, 50, 200, 400, 701)],
    ['a high-water mark that spacing never reaches', { minTime: 50, highWater: 1, strategy: OVERFLOW }, burst(5)],
    ['expiration, from the start of the work', { maxConcurrent: 1, minTime: 40 }, burst(4, 101, { expiration: 30 })],
  ])('%s', async (_, options, jobs) => {
    const { theirs, ours } = await both(options, jobs);
    expect(decisions(ours)).toEqual(decisions(theirs));
    expect(ours.peak).toBeLessThanOrEqual(options.maxConcurrent ?? Infinity);
    const policy = bottleneckLimiter(options, jobOptions);
    const [between] = await courses([piped([policy])], jobs);
    await policy.disconnect();
    expect(between === undefined ? undefined : decisions(between)).toEqual(decisions(theirs));
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

/** What `rows` say, on both sides. */
const shown: Readonly<Record<(typeof rows)[number]['Difference'], () => Promise<void>>> = {
  'Work that goes on after its expiration': async () => {
    const jobs = burst(4, 1000, { expiration: 50 });
    const { theirs, ours } = await both({ maxConcurrent: 1 }, jobs, { heedless: true });
    expect([theirs.peak, ours.peak]).toEqual([4, 1]);
    expect(answers(ours)).toEqual(answers(theirs));
    expect([starts(theirs), starts(ours)]).toEqual([
      [0, 50, 100, 150],
      [0, 1000, 2000, 3000],
    ]);
    const [alike] = await courses(
      [piped([bulkhead({ maxConcurrent: 1, maxQueue: 9, releaseOn: 'timeout' }), timeout({ after: 50 })])],
      jobs,
      { heedless: true },
    );
    expect(alike?.fates).toEqual(theirs.fates);
  },

  Retries: async () => {
    const limiter = new Bottleneck({ minTime: 200 });
    limiter.on('failed', (_, { retryCount }) => (retryCount < 3 ? 0 : undefined));
    const again = () => retry({ maxAttempts: 4, backoff: () => 0, when: ({ ok }) => !ok, budget: false });
    const inside = pipeline([...fromBottleneckOptions({ minTime: 200 }), again()]);
    const outside = pipeline([again(), ...fromBottleneckOptions({ minTime: 200 })]);
    const begun = Date.now();
    const attempts = async (run: (work: () => Promise<void>) => PromiseLike<unknown>) => {
      const times: number[] = [];
      void Promise.resolve(run(() => Promise.reject(new Error(`at ${times.push(Date.now() - begun)}`)))).catch(() => undefined);
      await pass(1000);
      return times.map((time) => time - (times[0] as number));
    };
    expect(await attempts((work) => limiter.schedule(work))).toEqual([0, 0, 0, 0]);
    expect(await attempts((work) => inside.execute(work))).toEqual([0, 0, 0, 0]);
    expect(await attempts((work) => outside.execute(work))).toEqual([0, 200, 400, 600]);
  },

  'A queue above its mark': async () => {
    const options = { maxConcurrent: 3, highWater: 1, strategy: OVERFLOW } as const;
    const weights = [2, 2, 1, 2, 2, 2].map((weight) => ({ at: 0, takes: 101, weight }));
    const { theirs, ours } = await both(options, weights);
    expect(answers(theirs)).toEqual(['done', 'done', 'done', 'done', 'done', 'done']);
    expect(answers(ours)).toEqual(['done', 'done', 'refused', 'refused', 'refused', 'refused']);
    const limiter = new Bottleneck({ maxConcurrent: 1, highWater: 9 });
    const add = async (n: number) => {
      for (let i = 0; i < n; i++) void limiter.schedule(() => new Promise<void>(() => undefined));
      await pass(0);
    };
    await add(6);
    limiter.updateSettings({ highWater: 3 });
    await pass(0);
    await add(20);
    expect(limiter.queued()).toBe(25);
  },

  'When a reservoir is refilled': async () => {
    const { theirs, ours } = await both({ reservoir: 1, reservoirRefreshInterval: 50, reservoirRefreshAmount: 1 }, burst(4, 1));
    expect([starts(theirs), starts(ours)]).toEqual([
      [0, 250, 500, 750],
      [0, 50, 100, 150],
    ]);
  },

  'How a reservoir is increased': async () => {
    const options = { reservoir: 2, reservoirIncreaseInterval: 1000, reservoirIncreaseAmount: 2, reservoirIncreaseMaximum: 4 };
    const { theirs, ours } = await both(options, burst(6, 1));
    expect([starts(theirs), starts(ours)]).toEqual([
      [0, 0, 1000, 1000, 2000, 2000],
      [0, 0, 500, 1000, 1500, 2000],
    ]);
  },

  'A weight that no refill covers': async () => {
    const options = { reservoir: 2, reservoirRefreshInterval: 1000, reservoirRefreshAmount: 2 };
    const { theirs, ours } = await both(options, [{ at: 0, takes: 1, weight: 3 }, ...at(0, 0)], { patience: 10_000 });
    expect(answers(theirs)).toEqual([undefined, undefined, undefined]);
    expect(answers(ours)).toEqual(['refused', 'done', 'done']);
    const { error } = (await pipeline(fromBottleneckOptions(options)).executeOutcome(() => 'ran', { cost: 3 })) as {
      error: RateLimitedError;
    };
    expect(error).toBeInstanceOf(RateLimitedError);
    expect(error.retryAfter).toBe(Infinity);
  },

  'Weights of nothing': async () => {
    const jobs = [
      { at: 0, takes: 101 },
      { at: 1, takes: 1, weight: 0 },
    ];
    const { theirs, ours } = await both({ maxConcurrent: 1 }, jobs);
    expect([starts(theirs), starts(ours)]).toEqual([
      [0, 1],
      [0, 101],
    ]);
    const [alike] = await courses([piped(fromBottleneckOptions({ maxConcurrent: 1 }, { weight: 0 }))], jobs);
    expect(starts(alike)).toEqual([0, 1]);
  },

  'Priority in the wait for the reservoir': async () => {
    const options = { reservoir: 1, reservoirRefreshInterval: 1000, reservoirRefreshAmount: 1 };
    const jobs = [5, 9, 0].map((priority) => ({ at: 0, takes: 1, priority }));
    const { theirs, ours } = await both(options, jobs);
    expect([theirs.order, ours.order]).toEqual([
      [0, 2, 1],
      [0, 1, 2],
    ]);
  },

  'The queue in front of both slots and reservoir': async () => {
    const options = {
      maxConcurrent: 2,
      highWater: 1,
      strategy: OVERFLOW,
      reservoir: 1,
      reservoirRefreshInterval: 1000,
      reservoirRefreshAmount: 1,
    } as const;
    const { theirs, ours } = await both(options, burst(4, 1));
    expect(answers(theirs)).toEqual(['done', 'done', 'refused', 'refused']);
    expect(answers(ours)).toEqual(['done', 'done', 'done', 'refused']);
  },

  'OVERFLOW_PRIORITY among equals': async () => {
    const options = { maxConcurrent: 1, highWater: 2, strategy: OVERFLOW_PRIORITY } as const;
    const { theirs, ours } = await both(
      options,
      [5, 8, 8, 1].map((priority) => ({ at: 0, takes: 1, priority })),
    );
    expect(answers(theirs)).toEqual(['done', 'refused', 'done', 'done']);
    expect(answers(ours)).toEqual(['done', 'done', 'refused', 'done']);
  },

  'The first start after BLOCK': async () => {
    const options = { maxConcurrent: 1, highWater: 1, strategy: BLOCK, minTime: 100, penalty: 500 } as const;
    const { theirs, ours } = await both(options, [...burst(3, 10), ...at(501)]);
    expect(answers(ours)).toEqual(answers(theirs));
    expect([theirs.fates[3]?.started, ours.fates[3]?.started]).toEqual([600, 501]);
  },

  'A caller that gives up': async () => {
    const options = { maxConcurrent: 1 };
    const limiter = new Bottleneck(options);
    const limited = pipeline(fromBottleneckOptions(options));
    const caller = new AbortController();
    let ran = 0;
    const work = () => new Promise<void>((resolve) => setTimeout(resolve, 100 + ran++));
    for (let i = 0; i < 2; i++) void limiter.schedule(work);
    const calls = [1, 2].map(() => limited.executeOutcome(work, { signal: caller.signal }));
    await pass(0);
    caller.abort('left');
    expect((await Promise.all(calls)).map((outcome) => !outcome.ok && outcome.error)).toEqual(['left', 'left']);
    expect([limiter.queued(), limited.snapshot().policies[0]?.['queued']]).toEqual([1, 0]);
    await pass(1000);
    expect(ran).toBe(3); // two of bottleneck's, and the one call that ran when its caller left
  },

  'A call from inside the work': async () => {
    const options = { maxConcurrent: 1 };
    const limiter = new Bottleneck(options);
    const limited = pipeline(fromBottleneckOptions(options));
    let ended = false;
    void limiter.schedule(() => limiter.schedule(() => Promise.resolve())).then(() => (ended = true));
    const beside = pipeline([bottleneckLimiter(options)]);
    const outcomes = [limited, beside].map((api) => api.executeOutcome(() => api.execute(() => 'inner')));
    await pass(60_000);
    expect(ended).toBe(false);
    for (const outcome of outcomes) expect(await outcome).toMatchObject({ ok: false, error: expect.any(BulkheadFullError) as unknown });
  },

  'The context of queued work': async () => {
    const tenants = new AsyncLocalStorage<number>();
    const limiter = new Bottleneck({ maxConcurrent: 2 });
    const limited = pipeline(fromBottleneckOptions({ maxConcurrent: 2 }));
    const strangers = async (run: (work: () => Promise<number>) => PromiseLike<unknown>) => {
      let wrong = 0;
      const calls = Array.from({ length: 10 }, (_, tenant) =>
        tenants.run(tenant, () =>
          run(async () => {
            if (tenants.getStore() !== tenant) wrong++;
            await new Promise<void>((resolve) => setTimeout(resolve, 10));
            return tenant;
          }),
        ),
      );
      await pass(1000);
      await Promise.all(calls);
      return wrong;
    };
    expect(await strangers((work) => limiter.schedule(work))).toBeGreaterThan(0);
    expect(await strangers((work) => limited.execute(work))).toBe(0);
  },

  'What a job costs': async () => {
    vi.useRealTimers();
    vi.useFakeTimers(); // here the hops do count
    const ran: string[] = [];
    const limiter = new Bottleneck({ maxConcurrent: 5 });
    void limiter.schedule(() => Promise.resolve(ran.push('theirs')));
    void pipeline(fromBottleneckOptions({ maxConcurrent: 5 })).execute(() => ran.push('ours'));
    expect(ran).toEqual(['ours']);
    let hops = 0;
    for (await hop(); vi.getTimerCount() > 0; await hop()) {
      vi.advanceTimersToNextTimer();
      hops++;
    }
    expect(ran).toEqual(['ours', 'theirs']);
    expect(hops).toBeGreaterThanOrEqual(3);
  },

  'rejectOnDrop: false': async () => {
    const options = { maxConcurrent: 1, highWater: 0, rejectOnDrop: false };
    const { theirs, ours } = await both(options, burst(2));
    expect(answers(theirs)).toEqual(['done', undefined]);
    expect(answers(ours)).toEqual(['done', 'refused']);
  },

  Keys: async () => {
    const group = new Bottleneck.Group({ maxConcurrent: 1 });
    expect(group.key('constructor')).not.toHaveProperty('schedule');
    for (let key = 0; key < 100; key++) group.key(String(key));
    expect(group.keys()).toHaveLength(100);
    const each = perKey(() => fromBottleneckOptions({ maxConcurrent: 1 })[0], { max: 10 });
    const limited = pipeline([each]);
    expect(await limited.execute(() => 'ran', { key: 'constructor' })).toBe('ran');
    for (let key = 0; key < 100; key++) await limited.execute(() => key, { key: String(key) });
    expect(each.size).toBe(10);
  },
};

describe('where they differ', () => {
  test.each(rows.map(({ Difference: name }) => [name] as const))('%s', async (name) => shown[name]());

  test('a reservoir that is increased: no start is further from that of the package than one interval', async () => {
    const options = fc
      .record({
        reservoir: fc.nat({ max: 4 }),
        reservoirIncreaseAmount: fc.integer({ min: 1, max: 3 }),
        reservoirIncreaseMaximum: fc.integer({ min: 4, max: 6 }),
        reservoirIncreaseInterval: fc.integer({ min: 1, max: 4 }).map((n) => n * BEAT),
      })
      .map((all): Options => all);
    const near = async (given: Options, traffic: readonly Job[]): Promise<void> => {
      const { theirs, ours } = await both(given, traffic);
      expect(answers(ours)).toEqual(answers(theirs));
      const interval = given.reservoirIncreaseInterval as number;
      ours.fates.forEach(({ started = NaN }, i) =>
        expect(Math.abs(started - (theirs.fates[i]?.started as number))).toBeLessThanOrEqual(interval),
      );
    };
    await fc.assert(fc.asyncProperty(options, jobs(), near), { numRuns: 60 });
  });
});

describe('limiters one after the other', () => {
  test('a chain is the one in front of the other', async () => {
    const [outer, inner] = [{ maxConcurrent: 2 }, { minTime: 100, maxConcurrent: 1 }];
    const limiter = new Bottleneck(outer).chain(new Bottleneck(inner));
    const policies = [...fromBottleneckOptions(outer, jobOptions), pipeline(fromBottleneckOptions(inner, jobOptions))];
    const [theirs, ours] = await courses([bare(limiter), piped(policies)], burst(6, 150));
    expect(ours?.fates).toEqual(theirs?.fates);
  });
});

function starts(course: { readonly fates: readonly { readonly started?: number }[] } | undefined): (number | undefined)[] | undefined {
  return course?.fates.map(({ started }) => started);
}

function answers({ fates }: { readonly fates: readonly { readonly answer?: string }[] }): (string | undefined)[] {
  return fates.map(({ answer }) => answer);
}
