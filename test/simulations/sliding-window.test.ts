import { describe, expect, test } from 'vitest';
import { seededRandom } from 'breakwater/testing';
import { SlidingWindow } from '../../src/algorithms/meters/sliding-window.ts';

const window = 60_000;
const limit = 100;

interface Errors {
  readonly requests: number;
  /** Let in though the limit was reached, in truth. */
  readonly wronglyLetIn: number;
  readonly wronglyRefused: number;
  /** Mean of |estimate - truth| / truth, over requests. */
  readonly mean: number;
}

/** What a sliding window makes of sources that ask at random, each at its rate per window, against what really came within the last window. */
function against(rates: readonly number[], segments: number): Errors {
  const random = seededRandom(2017);
  const gap = (rate: number): number => (-Math.log(1 - random()) * window) / rate;
  let [requests, wronglyLetIn, wronglyRefused, error, compared] = [0, 0, 0, 0, 0];
  for (const rate of rates) {
    const meter = new SlidingWindow({ limit: Number.MAX_SAFE_INTEGER, window }, segments); // what it counts is looked at, not what it lets in
    const times: number[] = [];
    let first = 0;
    for (let now = gap(rate); now < 8 * window; now += gap(rate)) {
      while (first < times.length && (times[first] as number) + window <= now) first++;
      const truth = times.length - first;
      const estimate = meter.estimate(now);
      if (now > 2 * window) {
        requests++;
        if (estimate < limit && truth >= limit) wronglyLetIn++;
        if (estimate >= limit && truth < limit) wronglyRefused++;
        if (truth > 0) {
          error += Math.abs(estimate - truth) / truth;
          compared++;
        }
      }
      meter.take(1, now);
      times.push(now);
    }
  }
  return { requests, wronglyLetIn, wronglyRefused, mean: error / compared };
}

/** As Cloudflare found it in 2017: most sources far below the limit, a few attackers far above it. */
function usual(): number[] {
  const random = seededRandom(6);
  return Array.from({ length: 6000 }, (_, i) => (i < 8 ? limit * (3 + 20 * random()) : limit * 0.4 * random()));
}

/** Rates with a heavy tail, many of them near the limit. */
function heavy(): number[] {
  const random = seededRandom(7);
  return Array.from({ length: 1500 }, () => Math.min(20 * limit, (0.2 * limit) / (1 - random()) ** (1 / 1.2)));
}

describe('the error of a sliding window (L1)', () => {
  test('with one segment: next to nobody is let in or refused wrongly where few are near the limit; the estimate is 5 to 9 % off', () => {
    const { requests, wronglyLetIn, wronglyRefused, mean } = against(usual(), 1);
    expect(requests).toBeGreaterThan(700_000);
    expect(wronglyRefused).toBe(0);
    expect(wronglyLetIn / requests).toBeLessThanOrEqual(0.0001);
    expect(mean).toBeGreaterThan(0.05);
    expect(mean).toBeLessThan(0.09);
  });

  test('that depends on the traffic: with many sources near the limit a few in a thousand are judged wrongly', () => {
    const { requests, wronglyLetIn, wronglyRefused, mean } = against(heavy(), 1);
    const wrong = (wronglyLetIn + wronglyRefused) / requests;
    expect(wrong).toBeGreaterThan(0.001);
    expect(wrong).toBeLessThan(0.02);
    expect(mean).toBeLessThan(0.09);
  });

  test('with ten segments, the default, the error is below 2 %, and less than half of the wrong judgements are left', () => {
    expect(against(usual(), 10).mean).toBeLessThan(0.02);
    const [coarse, fine] = [against(heavy(), 1), against(heavy(), 10)];
    const wrong = ({ wronglyLetIn, wronglyRefused }: Errors): number => wronglyLetIn + wronglyRefused;
    expect(wrong(fine)).toBeLessThan(wrong(coarse) / 2);
  });
});

describe('a sliding window that is used up all the time', () => {
  /** What share of the limit passes if a call comes whenever one fits. */
  function used(limit: number, segments: number): number {
    const meter = new SlidingWindow({ limit, window }, segments);
    let passed = 0;
    for (let now = meter.wait(1, 0); now < 200 * window; now += meter.wait(1, now)) {
      meter.take(1, now);
      passed++;
    }
    return passed / (200 * limit);
  }

  test('lets half of a limit of one pass with one segment, nine tenths with ten; with larger limits more', () => {
    expect([used(1, 1), used(1, 10), used(1, 60)].map((share) => share.toFixed(2))).toEqual(['0.50', '0.91', '0.98']);
    expect([used(10, 1), used(60, 1), used(1000, 1)].map((share) => share.toFixed(2))).toEqual(['0.90', '0.98', '1.00']);
  });

  test('an adversary who knows the boundaries gets twice the limit into one window, less one, with any number of segments; into all of it but one segment, the limit', () => {
    for (const segments of [1, 2, 10, 60]) {
      const meter = new SlidingWindow({ limit, window }, segments);
      const times: number[] = [];
      for (let now = window / segments - 1e-3; now < 4 * window; now += meter.wait(1, now)) {
        meter.take(1, now);
        times.push(now);
      }
      const most = (span: number): number => Math.max(...times.map((from) => times.filter((at) => at >= from && at < from + span).length));
      expect(most(window)).toBeGreaterThanOrEqual(2 * limit - 2);
      expect(most(window)).toBeLessThan(2 * limit);
      expect(most(window - window / segments + 1e-6)).toBeLessThanOrEqual(limit);
    }
  });
});
