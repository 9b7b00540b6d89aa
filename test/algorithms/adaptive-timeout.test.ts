import { describe, expect, test } from 'vitest';
import { AdaptiveTimeout } from '../../src/algorithms/adaptive-timeout.ts';

const settings = { quantile: 0.99, factor: 1.5, min: 20, max: 2000, minSamples: 100, window: 60_000 };

describe('a limit that is learned', () => {
  test('is what was given until there are samples enough, then the quantile times the factor', () => {
    const timeout = new AdaptiveTimeout(settings, 500);
    for (let i = 0; i < 99; i++) timeout.latencies.record(100, 0);
    expect(timeout.limit(0)).toBe(500);
    timeout.latencies.record(100, 0);
    expect(timeout.limit(1000)).toBeGreaterThanOrEqual(148);
    expect(timeout.limit(1000)).toBeLessThanOrEqual(153);
    expect(timeout.current).toBe(timeout.limit(1000));
  });

  test('stays within its bounds, and goes back to what was given after a long silence', () => {
    const timeout = new AdaptiveTimeout(settings, 500);
    for (let i = 0; i < 100; i++) timeout.latencies.record(1, 0);
    expect(timeout.limit(0)).toBe(20);
    for (let i = 0; i < 100; i++) timeout.latencies.record(100_000, 0);
    expect(timeout.limit(1000)).toBe(2000);
    expect(timeout.limit(500_000)).toBe(500);
  });

  test('a service that has become slower than the limit is waited for again: timeouts let it grow', () => {
    const timeout = new AdaptiveTimeout(settings, 500);
    let now = 0;
    const second = (latency: number): void => {
      const limit = timeout.limit(now);
      for (let i = 0; i < 100; i++) {
        if (latency <= limit) timeout.latencies.record(latency, now);
        else timeout.latencies.recordCensored(limit, now);
      }
      now += 1000;
    };
    for (let i = 0; i < 30; i++) second(50);
    expect(timeout.limit(now)).toBeLessThan(80);
    const limits: number[] = [];
    for (let i = 0; i < 30; i++) {
      second(400);
      limits.push(timeout.limit(now));
    }
    expect(limits).toEqual([...limits].sort((a, b) => a - b));
    expect(limits.at(-1)).toBeGreaterThan(500);
    expect(limits.at(-1)).toBeLessThan(700);
  });

  test('failures at once, which count as censored, neither shorten it nor let it grow', () => {
    const timeout = new AdaptiveTimeout(settings, 500);
    for (let i = 0; i < 1000; i++) timeout.latencies.recordCensored(1, 0);
    expect(timeout.limit(0)).toBe(500);
  });

  test('a service that hangs makes it grow to its bound and not beyond', () => {
    const timeout = new AdaptiveTimeout(settings, 100);
    for (let now = 0; now < 40_000; now += 1000) {
      const limit = timeout.limit(now);
      for (let i = 0; i < 100; i++) timeout.latencies.recordCensored(limit, now);
    }
    expect(timeout.limit(40_000)).toBe(2000);
  });
});
