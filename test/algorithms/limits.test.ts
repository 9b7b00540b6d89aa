import fc from 'fast-check';
import '../support/properties.ts';
import { describe, expect, test } from 'vitest';
import { Descent } from '../../src/algorithms/limits/descent.ts';
import { Elasticity } from '../../src/algorithms/limits/elasticity.ts';
import { type LimitSettings, limitOf } from '../../src/algorithms/limits/kinds.ts';
import { Learner } from '../../src/algorithms/limits/learner.ts';
import type { Bounds, Limit } from '../../src/algorithms/limits/limit.ts';
import { MovingAverage } from '../../src/algorithms/limits/moving-average.ts';
import { MaxWindow } from '../../src/algorithms/limits/max-window.ts';
import { RankThreshold } from '../../src/algorithms/limits/rank-threshold.ts';
import { shareBelow } from '../../src/algorithms/limits/ranks.ts';
import { rejectionShare } from '../../src/algorithms/limits/rejection.ts';
import { Correlation } from '../../src/algorithms/limits/rolling.ts';
import { Samples, quantileOf } from '../../src/algorithms/limits/samples.ts';

const correlated: LimitSettings = { kind: 'correlated', baselineAge: 10, correlationWindow: 50, maxLimitFactor: 5, trust: 300 };
const gradient: LimitSettings = { kind: 'gradient', smoothing: 0.2, tolerance: 1.5, longWindow: 600, queue: 4, backoff: 0.9 };
const vegas: LimitSettings = { kind: 'vegas', alpha: undefined, beta: undefined, decrease: undefined, smoothing: 1, probe: 30 };
const aimd: LimitSettings = { kind: 'aimd', backoff: 0.9, timeout: 5000 };
const all = [correlated, gradient, vegas, aimd].map((settings) => [settings.kind, settings] as const);

const bounds: Bounds = { min: 1, max: 200, initial: 20 };
const make = (settings: LimitSettings, given: Partial<Bounds> = {}, maxBaseline = Infinity): Limit =>
  limitOf(settings, { ...bounds, ...given }, maxBaseline);

const odd = fc.constantFrom(0, -1, NaN, Infinity, -Infinity, Number.MIN_VALUE, Number.MAX_VALUE);
const rtts = fc.oneof({ weight: 4, arbitrary: fc.double({ min: 0.001, max: 10_000, noNaN: true }) }, { weight: 1, arbitrary: odd });
const sample = fc.record({
  rtt: rtts,
  share: fc.double({ min: 0, max: 2, noNaN: true }),
  dropped: fc.boolean(),
  u: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
});

describe.each(all)('%s', (_, settings) => {
  test('the limit is a whole number between its bounds, whatever it is told (A1)', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 50 }),
        fc.integer({ min: 0, max: 100 }),
        fc.array(sample, { maxLength: 400 }),
        (min, span, samples) => {
          const limit = make(settings, { min, max: min + span, initial: min + (span >> 1) });
          samples.forEach(({ rtt, share, dropped, u }, i) => {
            const answer = limit.sample(rtt, Math.round(share * limit.limit), dropped, i, u);
            expect(answer).toBe(limit.limit);
            expect(Number.isInteger(answer) && answer >= min && answer <= min + span).toBe(true);
            expect(limit.gradient >= 0 && limit.gradient <= 1).toBe(true);
          });
        },
      ),
      { numRuns: 60 },
    );
  });

  test('it never grows while less than half of it is used (A2)', () => {
    fc.assert(
      fc.property(fc.array(sample, { maxLength: 400 }), (samples) => {
        const limit = make(settings);
        samples.forEach(({ rtt, share, dropped, u }, i) => {
          const before = limit.limit;
          const inflight = Math.round(share * before);
          const after = limit.sample(rtt, inflight, dropped, i, u);
          if (2 * inflight < before) expect(after).toBeLessThanOrEqual(before);
        });
      }),
      { numRuns: 100 },
    );
  });

  test.each([0, -5, NaN, -Infinity])('a round trip of %d ms is none, and ignored (A1)', (rtt) => {
    const limit = make(settings);
    for (let i = 0; i < 100; i++) limit.sample(rtt, limit.limit, false, i);
    expect(limit.limit).toBe(20);
    expect(limit.gradient).toBe(1);
  });

  test('drops make it smaller, down to its least, with or without a time', () => {
    for (const rtt of [10, NaN]) {
      const limit = make(settings, { min: 3 });
      limit.sample(10, 20, false, 0);
      for (let i = 0; i < 100; i++) limit.sample(rtt, limit.limit, true, i);
      expect(limit.limit).toBe(3);
    }
  });

  test('begun anew it is as it was made', () => {
    const [used, fresh] = [make(settings), make(settings)];
    for (let i = 0; i < 60; i++) used.sample(10 + i, used.limit, i % 7 === 0, i, 0.5);
    used.reset();
    const replay = (limit: Limit): readonly number[] =>
      Array.from({ length: 60 }, (__, i) => limit.sample(10 + (i % 5), 30, i % 11 === 0, i, 0.3));
    expect(replay(used)).toEqual(replay(fresh));
  });

  test('the same samples, the same limits: chance comes from outside', () => {
    const path = (): readonly number[] => {
      const limit = make(settings);
      return Array.from({ length: 300 }, (__, i) => limit.sample(10 + (i % 13), limit.limit, false, 1000 * i, (i * 0.37) % 1));
    };
    expect(path()).toEqual(path());
  });
});

describe('vegas', () => {
  test('the baseline is measured anew with a quarter less under way, not with the queue of the moment', () => {
    const limit = make(vegas, { initial: 100 });
    // Fifty run at once, more wait: round trips are as long as the limit is large.
    const path = Array.from({ length: 2000 }, (_, i) => limit.sample(Math.max(50, limit.limit), limit.limit, false, i, 0.5));
    expect(limit.baseline).toBe(50);
    expect(path.slice(1000).filter((each) => each < 45).length).toBeLessThan(40);
    expect(Math.max(...path.slice(1000))).toBeLessThanOrEqual(57);
  });

  test('with little to do a probe takes what it sees, and leaves the limit alone', () => {
    const limit = make(vegas);
    for (let i = 0; i < 1000; i++) limit.sample(50, 2, false, i);
    expect(limit.limit).toBe(20);
    for (let i = 0; i < 1000; i++) limit.sample(80, 2, false, i);
    expect(limit.baseline).toBe(80);
  });

  test('no baseline beyond the one that is believed', () => {
    const limit = make(vegas, {}, 30);
    limit.sample(100, 20, false, 0);
    expect(limit.baseline).toBe(30);
  });

  test('decrease and smoothing: half of the way to half of it', () => {
    const limit = make({ ...vegas, decrease: 0.5, smoothing: 0.5 }, { initial: 100 });
    expect([10, 20, 20].map((rtt, i) => limit.sample(rtt, 100, false, i))).toEqual([100, 75, 56]);
  });

  test('steps and thresholds grow with the digits of the limit', () => {
    const limit = make(vegas, { initial: 10_000, max: 20_000 });
    limit.sample(10, 5000, false, 0);
    expect(limit.sample(10, 6000, false, 1)).toBe(10_024);
  });
});

describe('gradient', () => {
  test('after a long overload the long average comes down quickly', () => {
    const limit = make(gradient);
    for (let i = 0; i < 2000; i++) limit.sample(500, 20, false, i);
    for (let i = 0; i < 40; i++) limit.sample(50, 20, false, i);
    expect(limit.baseline).toBeLessThan(110);
  });

  test('a queue of the square root of the limit, at least 4', () => {
    const grown = (initial: number): number => {
      const limit = make({ ...gradient, queue: 'sqrt', smoothing: 1 }, { initial, max: 1000 });
      return limit.sample(10, initial, false, 0) - initial;
    };
    expect([9, 100, 400].map(grown)).toEqual([4, 10, 20]);
  });
});

describe('aimd', () => {
  test('one more for each success, a tenth less for each drop and each that takes too long, one at least', () => {
    const limit = make(aimd, { initial: 30 });
    expect(limit.sample(1, 30, true, 0)).toBe(27);
    expect(limit.sample(5001, 27, false, 1)).toBe(24);
    expect(limit.sample(5000, 27, false, 2)).toBe(25);
    const small = make(aimd, { initial: 5 });
    expect(small.sample(1, 5, true, 0)).toBe(4);
  });
});

describe('how round trips answer to load', () => {
  test('in proportion: 1; not at all: 0', () => {
    for (const [rtt, slope] of [
      [(load: number) => 2 * load, 1],
      [() => 50, 0],
    ] as const) {
      const answer = new Elasticity();
      for (const load of [100, 95, 90, 85]) answer.add(load, rtt(load), 8);
      expect(answer.slope).toBeCloseTo(slope, 10);
      expect(answer.error).toBeCloseTo(0, 6);
    }
  });

  test('two points, or one load, say nothing', () => {
    const answer = new Elasticity();
    answer.add(100, 50, 8);
    answer.add(90, 50, 8);
    expect(answer.slope).toBeNaN();
    const still = new Elasticity();
    for (let i = 0; i < 5; i++) still.add(100, 50 + i, 8);
    expect(still.slope).toBeNaN();
  });

  test('a descent goes on while there is a queue, in larger steps once that is sure, and ends with the baseline', () => {
    const descent = new Descent(200, 200);
    const steps = [200];
    for (let next: number | undefined = 200; next !== undefined;) {
      const rtt = Math.max(50, next);
      next = descent.step(next, 1, rtt, rtt, Math.floor(next));
      if (next !== undefined) steps.push(next);
    }
    expect(steps[1]).toBe(190);
    expect(steps.at(-1)).toBeGreaterThan(25);
    expect(steps.length).toBeLessThan(20);
    expect([descent.baseline, descent.knee]).toEqual([50, 50]);
  });

  test('at its end nothing of ours can wait, whatever the round trips say', () => {
    const descent = new Descent(3, 90);
    expect(descent.step(3, 1, 90, 90, 3)).toBe(2);
    expect(descent.step(2, 1, 60, 60, 2)).toBe(1);
    expect(descent.step(1, 1, 30, 30, 1)).toBeUndefined();
  });
});

describe('a learner', () => {
  const window = { min: 1000, max: 30_000, minSamples: 10, take: 'mean', maxDrops: 0.05 } as const;

  /** A limit that takes notes. */
  class Notes implements Limit {
    limit = 20;
    readonly baseline = undefined;
    readonly gradient = 1;
    readonly heard: (readonly [rtt: number, inflight: number, dropped: boolean])[] = [];
    next: number | undefined = undefined;

    sample(rtt: number, inflight: number, dropped: boolean): number {
      this.heard.push([rtt, inflight, dropped]);
      this.limit = this.next ?? this.limit;
      return this.limit;
    }

    reset(): void {}
  }

  const fed = (learner: Learner, count: number, from: number, every: number, rtt = 10, dropped = false): void => {
    for (let i = 0; i < count; i++) learner.sample(from + i * every - rtt, i, dropped, from + i * every);
  };

  test('tells a limit what a window comes to: the mean, the most under way, whether too many were dropped', () => {
    const notes = new Notes();
    const learner = new Learner(notes, window, 0);
    fed(learner, 101, 0, 10);
    expect(notes.heard).toEqual([[10, 100, false]]);
    fed(learner, 90, 1010, 10);
    fed(learner, 11, 1910, 10, 500, true);
    expect(notes.heard[1]).toEqual([10, 89, true]);
    expect(learner.recent).toBe(10);
  });

  test('a window with few samples waits for more, and is dropped in the end; an empty one teaches nothing', () => {
    const notes = new Notes();
    const learner = new Learner(notes, window, 0);
    fed(learner, 5, 0, 8000);
    expect(notes.heard).toEqual([]);
    fed(learner, 9, 32_001, 10);
    expect(notes.heard).toEqual([]);
    fed(learner, 2, 33_000, 100);
    expect(notes.heard).toHaveLength(1);
  });

  test('slow round trips make for longer windows: twice as long as the quickest', () => {
    const notes = new Notes();
    const learner = new Learner(notes, window, 0);
    fed(learner, 100, 0, 50, 2500);
    expect(notes.heard).toHaveLength(0);
    fed(learner, 2, 5000, 50, 2500);
    expect(notes.heard).toHaveLength(1);
  });

  test('calls from before a change of the limit teach nothing, and the window opens once slow ones can have ended', () => {
    const notes = new Notes();
    const learner = new Learner(notes, window, 0);
    notes.next = 15;
    fed(learner, 101, 0, 10, 200);
    expect(notes.heard).toHaveLength(1);
    // Began before 1000, when the limit changed.
    for (let i = 0; i < 1000; i++) learner.sample(999, 20, true, 2500);
    // Began after, in the first 400 ms: only quick ones can be over.
    fed(learner, 100, 1101, 2, 100);
    fed(learner, 101, 1400, 10, 200);
    expect(notes.heard).toEqual([
      [200, 100, false],
      [200, 100, false],
    ]);
  });
});

test('a learner and a threshold go on with a clock that starts again at 0', () => {
  const learner = new Learner(make(aimd), undefined, 0);
  learner.sample(1_000_000, 20, true, 1_000_010);
  learner.sample(0, 20, true, 10);
  expect(learner.allowed).toBe(16);
  const ranks = new RankThreshold(1000);
  for (let i = 0; i < 300; i++) ranks.arrive(i % 100, 0, 1_000_000 + i * 10);
  expect(ranks.rate).toBe(1);
  ranks.arrive(1, 0, 0);
  expect(ranks.rate).toBe(0);
});

describe('small things', () => {
  test('samples keep to a bounded number, and still stand for all', () => {
    const samples = new Samples();
    for (let i = 0; i < 100_000; i++) samples.add(i % 1000);
    expect(samples.count).toBe(100_000);
    expect(samples.quantile(0.9)).toBeGreaterThan(880);
    expect(samples.quantile(0.9)).toBeLessThan(920);
    expect([new Samples().quantile(0.5), new Samples().mean, quantileOf([], 0.5)]).toEqual([undefined, undefined, undefined]);
  });

  test('an average without a warm-up begins at zero', () => {
    const average = new MovingAverage(5, 0);
    expect([average.value, average.add(100), average.add(50)].map(Math.round)).toEqual([0, 33, 39]);
  });

  test('what stands still goes together with nothing, and neither does one pair', () => {
    const still = new Correlation(3);
    for (const x of [100, 100.1, 100.05]) still.add(x, 2 * x);
    expect(still.value).toBe(0);
    const one = new Correlation(3);
    one.add(1, 2);
    expect(one.value).toBe(0);
  });

  test('the largest of a window is the largest, however many come', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(50), fc.nat(100)), { maxLength: 300 }), (steps) => {
        const window = new MaxWindow(100);
        const seen: (readonly [number, number])[] = [];
        let now = 0;
        for (const [wait, value] of steps) {
          now += wait;
          seen.push([now, value]);
          const expected = Math.max(...seen.filter(([at]) => at > now - 100).map(([, each]) => each));
          expect(window.add(value, now)).toBe(expected);
        }
      }),
    );
  });

  test('the chance of refusal is between 0 and 1, 0 while nobody waits, and grows with the queue (A4)', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 500 }), fc.nat(500), fc.nat(2000), (threshold, more, queued) => {
        const [share, next] = [queued, queued + 1].map((each) => rejectionShare(each, threshold, threshold + more)) as [number, number];
        expect(share >= 0 && share <= next && next <= 1).toBe(true);
        expect(rejectionShare(0, threshold, threshold + more)).toBe(0);
      }),
    );
  });

  test('shares below a value', () => {
    expect([5, 10, 11, 40, 99].map((value) => shareBelow(value, [10, 20, 30, 40]))).toEqual([0, 0, 0.25, 0.75, 1]);
  });
});

describe('a threshold of ranks', () => {
  /** Intervals of 100 calls with ranks 0 to 99, of which so many get a slot. */
  const after = (starts: number, intervals: number, pressure = 0): RankThreshold => {
    const ranks = new RankThreshold(1000);
    for (let i = 0; i <= intervals * 100; i++) {
      ranks.arrive((i * 37) % 100, pressure, i * 10);
      if (i % 100 < starts) ranks.start();
    }
    return ranks;
  };

  test('is the quantile of what is too much', () => {
    expect(after(40, 3).threshold).toBeCloseTo(60, -1);
    expect(after(40, 3).rate).toBeCloseTo(0.6, 2);
    expect(after(40, 3).share).toBeCloseTo(0.6, 1);
    expect(after(100, 3).threshold).toBe(-Infinity);
    expect(after(100, 3).share).toBe(0);
  });

  test('a full queue makes it a little higher, the highest rank is never below it (A5)', () => {
    expect(after(40, 3, 1).rate).toBeCloseTo(0.64, 2);
    expect(after(0, 3, 1).threshold).toBeLessThanOrEqual(99);
  });

  test('when nobody came for a while, nobody is turned away', () => {
    const ranks = after(40, 3);
    ranks.arrive(1, 0, 10_000);
    expect(ranks.threshold).toBe(-Infinity);
  });
});
