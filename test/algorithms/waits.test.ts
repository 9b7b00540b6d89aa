import { describe, expect, test } from 'vitest';
import { SlotFlow } from '../../src/algorithms/slot-flow.ts';
import { WaitHistogram } from '../../src/algorithms/wait-histogram.ts';

describe('how fast slots come free', () => {
  /** Slots that come free every `every` ms while all are taken. */
  function flowing(every: number, times = 20): SlotFlow {
    const flow = new SlotFlow();
    for (let i = 0; i <= times; i++) flow.freed(1, true, i * every);
    return flow;
  }

  test('is the average time between two, once there are enough to say', () => {
    expect(flowing(10, 9).estimate(3, 90)).toBeUndefined();
    expect(flowing(10, 10).estimate(3, 100)).toBeCloseTo(30);
    expect(flowing(10).estimate(0, 200)).toBe(0);
  });

  test('counts slots, not calls', () => {
    const flow = new SlotFlow();
    for (let i = 0; i <= 20; i++) flow.freed(5, true, i * 10);
    expect(flow.estimate(1, 200)).toBeCloseTo(2);
  });

  test('takes no notice of times when a slot was free', () => {
    const flow = flowing(10);
    flow.freed(1, false, 5000);
    flow.freed(1, true, 6000);
    expect(flow.estimate(1, 6000)).toBeCloseTo(10);
    flow.freed(1, true, 6010);
    expect(flow.estimate(1, 6010)).toBeCloseTo(10);
  });

  test('follows a change, and a slot that does not come', () => {
    const flow = flowing(10);
    expect(flow.estimate(1, 209)).toBeCloseTo(10);
    expect(flow.estimate(1, 1200)).toBeGreaterThan(90);
    for (let i = 1; i <= 100; i++) flow.freed(1, true, 200 + i * 50);
    expect(flow.estimate(1, 5200)).toBeCloseTo(50, 0);
  });

  test('is not confused by a clock that steps back', () => {
    const flow = flowing(10);
    flow.freed(1, true, 0);
    expect(flow.estimate(1, 0)).toBeCloseTo(9);
  });
});

describe('a histogram of waits', () => {
  test('begins with nothing', () => {
    expect(new WaitHistogram().read()).toMatchObject({ count: 0, sum: 0, longest: 0, p50: 0, p95: 0, p99: 0 });
  });

  test('counts waits by their length, bounds included', () => {
    const waits = new WaitHistogram();
    for (const ms of [0, 1, 1.5, 2, 7, 300_000]) waits.record(ms);
    const { count, sum, longest, bounds, counts } = waits.read();
    expect([count, sum, longest]).toEqual([6, 300_011.5, 300_000]);
    expect(counts).toHaveLength(bounds.length + 1);
    expect([counts[0], counts[1], counts[2], counts[3], counts.at(-1)]).toEqual([2, 2, 0, 1, 1]);
  });

  test('tells quantiles by the class that they fall into, and never more than the longest', () => {
    const waits = new WaitHistogram();
    for (let ms = 1; ms <= 100; ms++) waits.record(ms);
    expect(waits.read()).toMatchObject({ p50: 50, p95: 100, p99: 100 });
    const one = new WaitHistogram();
    one.record(120);
    expect(one.read()).toMatchObject({ p50: 120, p99: 120 });
  });
});
