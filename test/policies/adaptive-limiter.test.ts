import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import '../support/properties.ts';
import {
  BulkheadFullError,
  type CallOptions,
  OptionsError,
  type PipelineEvent,
  QueueTimeoutError,
  bulkhead,
  pipeline,
  timeout,
} from 'breakwater';
import { VirtualClock, arrange, gateContract, policyContract, seededRandom } from 'breakwater/testing';
import { type AdaptiveLimiterOptions, adaptiveLimiter } from '../../src/policies/adaptive-limiter.ts';
import { priorityThreshold } from '../../src/stores/priority-threshold.ts';
import { reasonOf } from '../support/answers.ts';

const wide = { min: 300, max: 400 };
const contract = {
  waits: () => adaptiveLimiter({ max: 1, maxQueue: 10_000, maxRejectionFactor: 10_000, initialRejectionFactor: 10_000, maxWait: '1h' }),
  factory: {
    create: adaptiveLimiter,
    options: {
      algorithm: { kind: 'vegas', alpha: 2, beta: 5, minWindow: '2s' },
      min: 200,
      max: 1000,
      initial: 300,
      slowStart: false,
      coldSamples: 5,
      maxBaseline: '2s',
      maxQueue: 10,
      maxWait: '1s',
      initialRejectionFactor: 1.5,
      maxRejectionFactor: 2,
      releaseOn: 'settle',
      name: 'search',
    },
  },
  describe,
  it: test,
};
policyContract(() => adaptiveLimiter(wide), { ...contract, name: 'adaptive limiter' });
policyContract(() => adaptiveLimiter({ ...wide, maxQueue: 300, priority: true, releaseOn: 'timeout' }), {
  ...contract,
  name: 'adaptive limiter with priorities',
});
gateContract(() => adaptiveLimiter({ ...wide, maxQueue: 300 }), { ...contract, name: 'adaptive limiter' });

const ofType = (events: readonly PipelineEvent[], type: string): readonly PipelineEvent[] => events.filter((event) => event.type === type);

/** A limiter in a pipeline, and work that is ended by hand. */
function arranged(options: AdaptiveLimiterOptions, seed = 1) {
  const all = arrange(adaptiveLimiter({ coldSamples: 0, ...options }), { name: 'shop', seed });
  const endings: ((error?: unknown) => void)[] = [];
  const come = (how?: CallOptions): Promise<string> => {
    const done = all.run(
      () =>
        new Promise<string>((resolve, reject) => {
          endings.push((error) => (error === undefined ? resolve('done') : reject(error)));
        }),
      how,
    );
    done.catch(() => undefined);
    return done;
  };
  /** So many calls at once that take `ms` and end with an error if one is given. */
  const round = async (calls: number, ms: number, error?: unknown): Promise<void> => {
    const from = endings.length;
    const all = Array.from({ length: calls }, () => come());
    await clock.advance(ms);
    for (const end of endings.slice(from)) end(error);
    await Promise.allSettled(all);
  };
  const { clock } = all;
  return { ...all, limiter: all.policy, come, round, endings };
}

const overload = Object.assign(new Error('busy'), { status: 503 });

describe('slots', () => {
  test('as many calls run as the limit says, the next is refused and told why', async () => {
    const { limiter, come } = arranged({ initial: 2 });
    void come();
    void come();
    const reason = await reasonOf(come());
    expect(reason).toBeInstanceOf(BulkheadFullError);
    expect(reason).toMatchObject({
      code: 'ERR_BULKHEAD_FULL',
      message: 'shop: adaptive-limiter has 2 of 2 slots taken and has no queue (maxQueue is 0)',
      policy: 'adaptive-limiter',
    });
    expect(limiter.snapshot()).toMatchObject({ limit: 2, inflight: 2, queued: 0, refused: 1, min: 1, max: 200 });
  });

  test('the limit begins at 20, or what is nearest to it between the bounds', () => {
    expect([{}, { max: 8 }, { min: 50 }, { initial: 7 }].map((options) => adaptiveLimiter(options).limit)).toEqual([20, 8, 50, 7]);
  });

  test('a waiting call gets its slot in the tick in which one comes free, and one that waits too long is let go', async () => {
    const { limiter, come, endings, clock, events } = arranged({ max: 1, maxQueue: 5, maxWait: 100 });
    void come();
    const [second, third] = [come(), come()];
    expect(limiter.queued).toBe(2);
    await clock.advance(50);
    endings[0]?.();
    await clock.advance(0);
    expect([limiter.inflight, limiter.queued]).toEqual([1, 1]);
    await clock.advance(50);
    expect(await reasonOf(third)).toBeInstanceOf(QueueTimeoutError);
    endings[1]?.();
    expect(await second).toBe('done');
    expect(events.map(({ type }) => type)).toEqual(
      expect.arrayContaining(['adaptive-limiter.queued', 'adaptive-limiter.admitted', 'adaptive-limiter.timed-out']),
    );
    expect([limiter.inflight, clock.pending]).toEqual([0, 0]);
  });

  test('a timeout drops the limit at once; the work that it left behind keeps its slot until it ends (releaseOn)', async () => {
    for (const releaseOn of ['settle', 'timeout'] as const) {
      const limiter = adaptiveLimiter({ algorithm: 'aimd', coldSamples: 0, initial: 10, releaseOn });
      const { run, clock } = arrange([limiter, timeout({ after: 10 })]);
      let end = (): void => undefined;
      const outcome = run(() => new Promise<void>((resolve) => (end = resolve))).catch(() => 'timed out');
      await clock.advance(10);
      expect(await outcome).toBe('timed out');
      expect([limiter.inflight, limiter.limit]).toEqual(releaseOn === 'settle' ? [1, 9] : [0, 9]);
      end();
      await clock.advance(0);
      expect([limiter.inflight, limiter.limit]).toEqual([0, 9]);
    }
  });

  test('calls that go by take no slot, even when none is free, and teach nothing', async () => {
    const { limiter, come, endings } = arranged({ max: 1, bypass: ({ tags }) => tags['health'] === true });
    void come();
    const check = come({ tags: { health: true } });
    expect([limiter.inflight, limiter.snapshot().refused, endings.length]).toEqual([1, 0, 2]);
    endings[1]?.();
    expect(await check).toBe('done');
    expect(limiter.inflight).toBe(1);
  });
});

describe('what calls teach', () => {
  const answers = [
    ['a success', undefined, 11],
    ['503', overload, 9],
    ['429', Object.assign(new Error('slow down'), { status: 429 }), 9],
    ['a time-out of the service', Object.assign(new Error('gateway'), { status: 504 }), 9],
    ['an error that says nothing of load', new Error('no such thing'), 10],
  ] as const;

  test.each(answers)('%s', async (_, error, limit) => {
    const { limiter, round } = arranged({ algorithm: 'aimd', initial: 10 });
    await round(10, 5, error);
    expect(limiter.limit).toBe(limit);
  });

  test('a refusal further in, an abort and an ignored outcome teach nothing', async () => {
    const limiter = adaptiveLimiter({ algorithm: 'aimd', coldSamples: 0, initial: 4, classify: () => 'ignored' });
    const shut = pipeline([limiter, bulkhead({ maxConcurrent: 0 })]);
    for (let i = 0; i < 5; i++) await shut.execute(() => 1).catch(() => undefined);
    const clock = new VirtualClock();
    const plain = pipeline([limiter], { clock });
    const caller = new AbortController();
    const aborted = Array.from({ length: 4 }, () =>
      plain.execute(({ signal }) => new Promise((_, no) => signal.addEventListener('abort', () => no(new Error('off')))), {
        signal: caller.signal,
      }),
    );
    caller.abort();
    await Promise.allSettled(aborted);
    const slept = Array.from({ length: 4 }, () => plain.execute(() => new Promise((resolve) => clock.setTimeout(() => resolve(1), 5))));
    await clock.advance(5);
    await Promise.all(slept);
    expect(limiter.limit).toBe(4);
    expect(limiter.inflight).toBe(0);
  });

  test('a call that began before the limit changed teaches nothing: one round of drops counts once', async () => {
    const { limiter, round } = arranged({ algorithm: 'aimd', initial: 100 });
    await round(100, 10, overload);
    expect(limiter.limit).toBe(90);
    await round(90, 10, overload);
    expect(limiter.limit).toBe(81);
  });

  test('the first calls are cold and teach nothing', async () => {
    const { limiter, round } = arranged({ algorithm: 'aimd', initial: 10, coldSamples: 20 });
    await round(10, 10, overload);
    await round(10, 10, overload);
    expect(limiter.limit).toBe(10);
    await round(10, 10, overload);
    expect(limiter.limit).toBe(9);
  });

  test('a change of the limit is told, with what led to it', async () => {
    const { round, events, limiter } = arranged({ algorithm: { kind: 'gradient', minWindow: 100, queue: 10 }, initial: 20 });
    for (let i = 0; i < 20; i++) await round(20, 10);
    const [first] = ofType(events, 'adaptive-limiter.limit-changed');
    expect(first).toMatchObject({ from: 20, to: 22, gradient: 1, baseline: 10, recent: 10, level: 'debug' });
    expect(limiter.snapshot()).toMatchObject({ gradient: 1, baseline: 10, recent: 10, maxInflight: 20 });
  });

  test('slow start: the limit begins at min and grows with each call that comes back, up to where it belongs', async () => {
    const { limiter, round } = arranged({ min: 2, initial: 10, slowStart: true });
    const path = [limiter.limit];
    for (const calls of [2, 4, 8, 10]) {
      await round(calls, 10);
      path.push(limiter.limit);
    }
    expect(path).toEqual([2, 4, 8, 10, 10]);
  });

  test('reset: it begins anew', async () => {
    const { limiter, round } = arranged({ algorithm: 'aimd', initial: 10 });
    await round(10, 10, overload);
    limiter.reset();
    expect(limiter.snapshot()).toMatchObject({ limit: 10, maxInflight: 0, recent: undefined });
  });
});

describe('a queue', () => {
  test('no chance of refusal while idle or up to twice the limit, a growing one beyond, certainty at three times (A4)', async () => {
    const { limiter, come, events } = arranged({ max: 10, maxQueue: 1000 });
    for (let i = 0; i < 30; i++) void come();
    expect([limiter.inflight, limiter.queued, limiter.snapshot().refused]).toEqual([10, 20, 0]);
    for (let i = 0; i < 200; i++) void come();
    expect([limiter.queued, limiter.snapshot().refused]).toEqual([30, 190]);
    const reason = await reasonOf(come());
    expect(reason).toMatchObject({
      message:
        'shop: adaptive-limiter has 10 of 10 slots taken and its queue of 30 is long for that limit, so 100 % of the calls that come are turned away',
    });
    expect(ofType(events, 'gate.refused').length).toBe(191);
  });

  test('chance is that of the pipeline: the same seed, the same refusals', async () => {
    const seen = [7, 7, 8].map((seed) => {
      const { limiter, come } = arranged({ max: 10, maxQueue: 1000 }, seed);
      const queued: number[] = [];
      for (let i = 0; i < 60; i++) {
        void come();
        queued.push(limiter.queued);
      }
      return queued;
    });
    expect(seen[0]).toEqual(seen[1]);
    expect(seen[0]).not.toEqual(seen[2]);
  });

  test('it is bounded by maxQueue, whatever the limit', async () => {
    const { limiter, come } = arranged({ max: 10, maxQueue: 3 });
    for (let i = 0; i < 20; i++) void come();
    expect([limiter.queued, limiter.snapshot().refused]).toEqual([3, 7]);
  });

  test('tryAcquire does not wait', async () => {
    const { limiter, come, pipeline: shop } = arranged({ max: 1, maxQueue: 5 });
    void come();
    expect(shop.tryAcquire()).toMatchObject({ admitted: false });
    expect(limiter.queued).toBe(0);
  });
});

describe('priorities', () => {
  const ranked = { max: 4, maxQueue: 100, priority: true } as const;

  test('the highest priority is refused last: it takes the place of the lowest (A5)', async () => {
    const { limiter, come, endings, clock } = arranged(ranked);
    for (let i = 0; i < 4; i++) void come();
    const low = Array.from({ length: 12 }, () => reasonOf(come({ priority: 'sheddable', priorityLevel: 50 })));
    expect(limiter.queued).toBe(12);
    const high = come({ priority: 'critical-plus' });
    expect(limiter.queued).toBe(12);
    expect(await low[11]).toBeInstanceOf(BulkheadFullError);
    expect(await reasonOf(come({ priority: 'best-effort' }))).toMatchObject({ code: 'ERR_BULKHEAD_FULL' });
    endings[0]?.();
    await clock.advance(0);
    endings[4]?.();
    expect(await high).toBe('done');
  });

  test('also where the queue is shorter than the limit would allow (A5)', async () => {
    const { limiter, come } = arranged({ max: 10, maxQueue: 3, priority: true });
    for (let i = 0; i < 10; i++) void come();
    const waiting = [1, 2, 3].map((level) => come({ priority: 'sheddable', priorityLevel: level }));
    expect(await reasonOf(come({ priority: 'best-effort' }))).toMatchObject({
      message: expect.stringMatching(/its queue is full of calls of rank \d+ or higher$/) as string,
    });
    void come({ priority: 'critical' });
    expect(await reasonOf(waiting[0] as Promise<unknown>)).toBeInstanceOf(BulkheadFullError);
    expect(limiter.snapshot()).toMatchObject({ queued: 3, evicted: 1, refused: 1 });
  });

  test('while more come than can be served, those of low rank are turned away at the door, and no more than must be', async () => {
    const { limiter, come, endings, clock, events } = arranged({ ...ranked, max: 10, aging: Infinity });
    const random = seededRandom(3);
    let [asked, lost] = [0, 0];
    // Ten calls end every 10 ms, thirty come.
    for (let tick = 0; tick < 500; tick++) {
      for (let i = 0; i < 30; i++) {
        const priority = random() < 0.2 ? 'critical' : 'sheddable';
        const done = come({ priority });
        if (priority !== 'critical' || tick < 150 || tick > 450) continue;
        asked++;
        done.catch(() => lost++);
      }
      await clock.advance(10);
      for (const end of endings.splice(0)) end();
      await clock.advance(0);
    }
    expect(asked).toBeGreaterThan(1500);
    expect(lost / asked).toBeLessThan(0.01);
    const { threshold } = limiter.snapshot();
    expect(threshold).toBeGreaterThan(100);
    expect(threshold).toBeLessThan(200);
    expect(ofType(events, 'adaptive-limiter.threshold-changed').length).toBeGreaterThan(0);
  });

  test('limiters that are given one threshold move together', async () => {
    const threshold = priorityThreshold({ interval: 100 });
    const [reads, writes] = [arranged({ ...ranked, threshold }), arranged({ ...ranked, threshold })];
    for (let i = 0; i < 40; i++) void reads.come({ priority: 'sheddable', priorityLevel: i });
    await reads.clock.advance(200);
    await writes.clock.advance(200);
    for (let i = 0; i < 4; i++) void writes.come();
    expect(threshold.threshold).toBeUndefined();
    await Promise.all([reads.clock.advance(50), writes.clock.advance(50)]);
    for (let i = 0; i < 40; i++) void reads.come({ priority: 'sheddable', priorityLevel: i });
    await Promise.all([reads.clock.advance(60), writes.clock.advance(60)]);
    expect(await reasonOf(writes.come({ priority: 'sheddable', priorityLevel: 1 }))).toMatchObject({
      message: expect.stringMatching(/more calls come than it can serve; its threshold is at rank \d+, and the call has 101$/) as string,
    });
    expect(writes.limiter.snapshot().threshold).toBe(threshold.threshold);
  });
});

describe('around it', () => {
  test('a shadow learns and tells what it would have refused, and refuses nothing (C23)', async () => {
    const { limiter, come, events, endings } = arranged({ initial: 2, mode: 'shadow' });
    const all = Array.from({ length: 5 }, () => come());
    for (const end of endings) end();
    expect(await Promise.all(all)).toHaveLength(5);
    expect(ofType(events, 'gate.would-refuse')).toHaveLength(3);
    expect(limiter.snapshot()).toMatchObject({ inflight: 0, refused: 3 });
  });

  test('strained while most slots are taken: hedges stay away', async () => {
    const { limiter, come } = arranged({ max: 10 });
    const strained = (): unknown => (limiter as unknown as { strained(): boolean }).strained();
    for (let i = 0; i < 7; i++) void come();
    expect(strained()).toBe(false);
    void come();
    expect(strained()).toBe(true);
  });

  test('at rest once nobody is in it and what it knows is old', async () => {
    const { limiter, round, clock } = arranged({});
    const atRest = (now: number): unknown => (limiter as unknown as { atRest(now: number): boolean }).atRest(now);
    expect(atRest(0)).toBe(true);
    await round(20, 10);
    expect(atRest(clock.now())).toBe(false);
    expect(atRest(clock.now() + 300_000)).toBe(true);
  });

  test('pipelines that hold the same one share its slots and its limit', async () => {
    const limiter = adaptiveLimiter({ algorithm: 'aimd', coldSamples: 0, initial: 2 });
    const [one, other] = [arrange(limiter), arrange(limiter)];
    const hold = (): Promise<void> => new Promise(() => undefined);
    void one.run(hold);
    void other.run(hold);
    expect(await reasonOf(one.run(hold))).toBeInstanceOf(BulkheadFullError);
    expect(limiter.inflight).toBe(2);
  });
});

test('slots are conserved and the limit keeps its bounds, whatever comes, ends, fails and is aborted (B1, A1)', async () => {
  const step = fc.record({
    what: fc.constantFrom('come', 'come', 'end', 'drop', 'fail', 'abort', 'wait', 'reset'),
    which: fc.nat(30),
    priority: fc.constantFrom('critical', 'sheddable'),
  });
  const algorithm = fc.constantFrom('correlated', 'gradient', 'vegas', 'aimd');
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 150 }), algorithm, fc.boolean(), async (steps, kind, ranked) => {
      const { limiter, clock, run } = arranged({ algorithm: kind, min: 2, max: 8, maxQueue: 10, maxWait: 500, priority: ranked });
      const under: { end: (error?: Error) => void; readonly caller: AbortController }[] = [];
      let [most, running] = [0, 0];
      for (const { what, which, priority } of steps) {
        if (what === 'come') {
          const caller = new AbortController();
          const work = (): Promise<void> =>
            new Promise((resolve, reject) => {
              most = Math.max(most, ++running);
              under.push({ end: (error) => (running--, error === undefined ? resolve() : reject(error)), caller });
            });
          run(work, { signal: caller.signal, priority: priority as 'critical' }).catch(() => undefined);
        } else if (what === 'wait') await clock.advance(40 * which);
        else if (what === 'reset') limiter.reset();
        else if (what === 'abort') under[which % (under.length || 1)]?.caller.abort();
        else
          under.splice(which % (under.length || 1), 1)[0]?.end(what === 'end' ? undefined : what === 'drop' ? overload : new Error('no'));
        await clock.advance(0);
        expect(limiter.inflight).toBe(running);
        expect(limiter.limit >= 2 && limiter.limit <= 8 && Number.isInteger(limiter.limit)).toBe(true);
      }
      expect(most).toBeLessThanOrEqual(8);
      while (under.length > 0) {
        for (const { end } of under.splice(0)) end();
        await clock.advance(0);
      }
      expect([limiter.inflight, limiter.queued, clock.pending]).toEqual([0, 0, 0]);
    }),
    { numRuns: 60 },
  );
});

describe('options', () => {
  const wrong: readonly (readonly [AdaptiveLimiterOptions, string])[] = [
    [{ min: 10, max: 5 }, 'adaptiveLimiter.max: expected a whole number of at least 10 (min), got 5'],
    [{ max: 10, initial: 11 }, 'adaptiveLimiter.initial: expected a whole number between 1 (min) and 10 (max), got 11'],
    [{ min: 0 }, 'adaptiveLimiter.min: expected a whole number of at least 1, got 0'],
    [{ algorithm: 'bbr' as never }, "adaptiveLimiter.algorithm: expected 'correlated', 'gradient', 'vegas', 'aimd', got \"bbr\""],
    [{ algorithm: { kind: 'aimd', backoff: 1 } }, 'adaptiveLimiter.algorithm.backoff: expected a number above 0 and below 1, got 1'],
    [
      { algorithm: { kind: 'vegas', minWindow: '1m' } },
      'adaptiveLimiter.algorithm.maxWindow: expected at least 60000 ms (minWindow), got 30000',
    ],
    [{ maxQueue: 1, initialRejectionFactor: 4 }, 'adaptiveLimiter.maxRejectionFactor: expected at least 4 (initialRejectionFactor), got 3'],
    [{ maxQueue: 1, threshold: priorityThreshold() }, 'adaptiveLimiter.priority: expected ranks to go with threshold, got none'],
    [
      { maxQueue: 1, priority: true, threshold: {} as never },
      'adaptiveLimiter.threshold: expected what priorityThreshold() makes, got an object',
    ],
    [{ maxWait: '1s' }, 'adaptiveLimiter.maxQueue: expected a queue to go with maxWait, got none (by default no call waits)'],
  ];

  test.each(wrong)('%j', (options, message) => {
    expect(() => adaptiveLimiter(options)).toThrow(OptionsError);
    expect(() => adaptiveLimiter(options)).toThrow(message);
  });

  test('are told as plain data, with all settings of the algorithm', () => {
    expect(adaptiveLimiter({ algorithm: { kind: 'aimd', timeout: '2s' } }).describe()).toMatchObject({
      algorithm: { kind: 'aimd', backoff: 0.9, timeout: 2000 },
      min: 1,
      max: 200,
      initial: 20,
      maxQueue: 0,
      releaseOn: 'settle',
    });
  });
});
