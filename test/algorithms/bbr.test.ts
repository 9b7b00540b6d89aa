import { describe, expect, test } from 'vitest';
import { seededRandom } from 'breakwater/testing';
import { Bbr } from '../../src/algorithms/bbr.ts';

const usual = { window: 5000, buckets: 50, memory: 300_000 };

/** `perBucket` calls of `ms` each, one bucket of 100 ms after the other. */
function carry(bbr: Bbr, from: number, buckets: number, perBucket: number, ms: number): number {
  let now = from;
  for (let i = 0; i < buckets; i++, now += 100) {
    for (let n = 0; n < perBucket; n++) {
      bbr.begin(now);
      bbr.end(ms, now);
    }
  }
  return now;
}

describe('what a server carries', () => {
  test('is the most it finished in a bucket times the least time that took: 10 in 100 ms, 50 ms each, are 5 at a time', () => {
    const bbr = new Bbr(usual);
    const now = carry(bbr, 0, 20, 10, 50);
    expect(bbr.limit(now)).toBe(5);
  });

  test('is at least one call, also if nothing is known', () => {
    expect(new Bbr(usual).limit(0)).toBe(1);
    const quick = new Bbr(usual);
    expect(quick.limit(carry(quick, 0, 5, 2, 0.01))).toBe(1);
  });

  test('goes by the last five seconds, and takes no more than a quarter above the least time of the last five minutes', () => {
    const bbr = new Bbr(usual);
    let now = carry(bbr, 0, 6, 40, 20);
    now = carry(bbr, now, 60, 10, 100);
    expect(bbr.leastTime(now)).toBe(1.25 * 20);
    expect(bbr.limit(now)).toBe((10 * 10 * 25) / 1000);
    now = carry(bbr, now, 3000, 10, 100);
    expect(bbr.limit(now)).toBe((10 * 10 * 100) / 1000);
  });

  test('the bucket that has only begun does not count', () => {
    const bbr = new Bbr(usual);
    for (let i = 0; i < 100; i++) bbr.end(50, 10);
    expect(bbr.limit(50)).toBe(1);
    expect(bbr.limit(150)).toBe(50);
  });

  test('is exceeded only if more is under way both now and on average', () => {
    const bbr = new Bbr(usual);
    const now = carry(bbr, 0, 20, 10, 50);
    for (let i = 0; i < 8; i++) bbr.begin(now);
    expect([bbr.inFlight, bbr.isExceeded(now)]).toEqual([8, false]);
    for (let i = 0; i < 20; i++) {
      bbr.begin(now);
      bbr.drop();
    }
    expect(bbr.average).toBeGreaterThan(5);
    expect(bbr.isExceeded(now)).toBe(true);
    for (let i = 0; i < 4; i++) bbr.drop();
    expect(bbr.average).toBeGreaterThan(5);
    expect(bbr.isExceeded(now)).toBe(false);
  });

  test('is outrun by what begins in a bucket, against the most that it finished in one; the first may always begin', () => {
    const bbr = new Bbr(usual);
    const now = carry(bbr, 0, 50, 10, 50);
    for (let begun = 0; begun < 12; begun++) {
      expect([begun, bbr.isOutrun(now, 0.5), bbr.isOutrun(now, 1), bbr.isOutrun(now, 0.001)]).toEqual([
        begun,
        begun >= 5,
        begun >= 10,
        begun >= 1,
      ]);
      bbr.begin(now);
    }
    expect(bbr.isOutrun(now + 100, 0.5)).toBe(false);
  });

  test('what was cut short or failed is no measure of how long a call takes', () => {
    const bbr = new Bbr(usual);
    const now = carry(bbr, 0, 20, 10, 50);
    for (let i = 0; i < 10; i++) {
      bbr.begin(now);
      bbr.end(undefined, now + 50);
      bbr.begin(now);
      bbr.drop();
    }
    expect(bbr.leastTime(now + 100)).toBe(50);
    expect(bbr.inFlight).toBe(0);
    expect([bbr.isIdle(now + 100), bbr.isIdle(now + 6000)]).toEqual([false, true]);
  });
});

/**
 * A server of 50 workers, 50 ms a call, in front of an unbounded queue; processors are as busy as the workers are, and their use is averaged with .95 every half second. After a
 * quiet minute twice as many calls come as it can serve. Answers with what is served in the last half minute of two: calls per second, and the median of their times, ms.
 */
function overload(memory: number, before: number, seed: number): { goodput: number; median: number } {
  const random = seededRandom(seed);
  const exponential = (mean: number): number => -mean * Math.log(1 - random());
  const bbr = new Bbr({ window: 5000, buckets: 50, memory });
  const ends: { at: number; came: number }[] = [];
  const queue: number[] = [];
  const times: number[] = [];
  let [busy, busyTime, cpu, sampled, hotUntil, last] = [0, 0, 0, 0, -Infinity, 0];
  const pass = (now: number): void => {
    busyTime += busy * (now - last);
    last = now;
  };
  const start = (came: number, now: number): void => {
    busy++;
    const at = now + exponential(50);
    let place = ends.length;
    while (place > 0 && (ends[place - 1] as { at: number }).at < at) place--;
    ends.splice(place, 0, { at, came });
  };
  const finishUntil = (until: number): void => {
    for (let next = ends.at(-1); next !== undefined && next.at <= until; next = ends.at(-1)) {
      ends.pop();
      pass(next.at);
      busy--;
      bbr.end(next.at - next.came, next.at);
      if (next.at > 90_000) times.push(next.at - next.came);
      const waiting = queue.shift();
      if (waiting !== undefined) start(waiting, next.at);
    }
  };
  for (let now = 0; now < 120_000; now += exponential(now < 60_000 ? 1 / Math.max(before, 1e-3) : 0.5)) {
    finishUntil(now);
    pass(now);
    for (; sampled + 500 <= now; sampled += 500) {
      cpu = 0.95 * cpu + 0.05 * (busyTime / (50 * 500));
      busyTime = 0;
    }
    if (cpu > 0.8) hotUntil = now + 1000;
    if (now < hotUntil && bbr.isExceeded(now)) continue;
    bbr.begin(now);
    if (busy < 50) start(now, now);
    else queue.push(now);
  }
  times.sort((a, b) => a - b);
  return { goodput: times.length / 30, median: times[times.length >> 1] as number };
}

describe('an overloaded server with a queue of any length', () => {
  test.each([0, 0.7, 0.9])('that was at %d of its capacity before keeps its throughput and soon has no queue', (before) => {
    for (const seed of [1, 2, 3]) {
      const { goodput, median } = overload(300_000, before, seed);
      // Where it admits too little the processors get idle, and under their threshold of 80 % nobody is refused.
      expect(goodput).toBeGreaterThan(790);
      expect(median).toBeLessThan(100);
    }
  });

  test('whose least time is remembered no longer than its throughput, as by others, never gets rid of its queue', () => {
    for (const before of [0, 0.7]) expect(overload(5000, before, 1).median).toBeGreaterThan(1000);
  });
});
