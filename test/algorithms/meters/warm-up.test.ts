import { describe, expect, test } from 'vitest';
import { Warming, type Warmth } from '../../../src/algorithms/meters/warm-up.ts';

const of = (rate: number, seconds: number, coldFactor: number, slack = 0): Warmth => ({
  rate,
  per: 1000,
  warmUpPeriod: seconds * 1000,
  coldFactor,
  slack,
});

/** A serial caller: takes as soon as it may, and time goes on meanwhile. */
class Caller {
  now = 0;
  readonly meter: Warming;

  constructor(warmth: Warmth) {
    this.meter = new Warming(warmth, 0);
  }

  /** How long it waited for each, in seconds to two places. */
  take(...costs: number[]): number[] {
    return costs.map((cost) => {
      const wait = this.meter.wait(cost, this.now);
      this.now += wait;
      this.meter.take(cost, this.now);
      return Math.round(wait / 10 + 1e-6) / 100;
    });
  }

  times(count: number): number[] {
    return this.take(...Array.from({ length: count }, () => 1));
  }

  rest(ms: number): void {
    this.now += ms;
  }

  setRate(rate: number): void {
    this.meter.change({ ...this.meter.warmth, rate }, this.now);
  }
}

describe('a warm-up keeps the times of its model, Guava', () => {
  test('from cold to warm, cold again after as long a rest, and half-way after half of it', () => {
    const caller = new Caller(of(2, 4, 3));
    const cold = [0, 1.38, 1.13, 0.88, 0.63, 0.5, 0.5, 0.5];
    expect(caller.times(8)).toEqual(cold);
    caller.rest(500 + 4000);
    expect(caller.times(8)).toEqual(cold);
    caller.rest(500 + 2000);
    expect(caller.times(8)).toEqual([0, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5]);
  });

  test('with a cold factor of ten', () => {
    const caller = new Caller(of(5, 4, 10));
    const cold = [0, 1.75, 1.26, 0.76, 0.3, 0.2, 0.2, 0.2];
    expect(caller.times(8)).toEqual(cold);
    caller.rest(200 + 4000);
    expect(caller.times(8)).toEqual(cold);
    caller.rest(200 + 1000);
    expect(caller.times(8)).toEqual([0, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2]);
  });

  test('with a cold factor of one there is no cold', () => {
    const caller = new Caller(of(5, 4, 1));
    const even = [0, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2];
    expect(caller.times(8)).toEqual(even);
    caller.rest(340);
    expect(caller.times(8)).toEqual(even);
  });

  test('a change of the rate keeps it as cold as it was; what was charged is waited for', () => {
    const caller = new Caller(of(2, 4, 3));
    caller.times(8);
    caller.rest(4500);
    expect(caller.times(3)).toEqual([0, 1.38, 1.13]);
    caller.setRate(4);
    expect(caller.times(1)).toEqual([0.88]);
    expect(caller.times(4)).toEqual([0.34, 0.28, 0.25, 0.25]);
    caller.rest(4250);
    expect(caller.times(11)).toEqual([0, 0.72, 0.66, 0.59, 0.53, 0.47, 0.41, 0.34, 0.28, 0.25, 0.25]);
  });

  test('without a warm-up, time that was not used is saved up to the slack there is, and a change keeps it', () => {
    const caller = new Caller(of(5, 0, 3, 1000));
    caller.rest(2000);
    expect(caller.take(1, 1, 3, 1, 1)).toEqual([0, 0, 0, 0, 0.2]);
    const paid = new Caller(of(1, 0, 3, 1000));
    expect(paid.take(1, 1)).toEqual([0, 1]);
    paid.setRate(2);
    expect(paid.take(1, 2, 4, 1)).toEqual([1, 0.5, 1, 2]);
  });

  test('a limit that was none: warm from then on, with all the slack there is', () => {
    const bursty = new Caller(of(Infinity, 0, 3, 1000));
    expect(bursty.take(2 ** 29, 2 ** 30, 2 ** 31)).toEqual([0, 0, 0]);
    bursty.setRate(2);
    expect(bursty.times(5)).toEqual([0, 0, 0, 0.5, 0.5]);
    bursty.setRate(Infinity);
    expect(bursty.times(3)).toEqual([0.5, 0, 0]);
    const warming = new Caller(of(Infinity, 10, 3));
    expect(warming.take(2 ** 29, 2 ** 31)).toEqual([0, 0]);
    warming.setRate(1);
    expect(warming.times(3)).toEqual([0, 1, 1]);
    warming.setRate(Infinity);
    expect(warming.times(3)).toEqual([1, 0, 0]);
  });

  test('however calls weigh, what is put aside dear takes one warm-up period', () => {
    for (const coldFactor of [2, 3, 10]) {
      for (const rate of [4, 2, 1, 0.5, 0.1]) {
        const dear = 10;
        const seconds = ((1 + coldFactor) * dear) / (2 * rate);
        for (const costs of [[10], [1, 9], [2, 3, 5], [7, 1, 1, 1], [0.5, 9.5]]) {
          const caller = new Caller(of(rate, seconds, coldFactor));
          caller.take(...costs, 1);
          expect(caller.now).toBeCloseTo(seconds * 1000, 6);
        }
      }
    }
  });
});

describe('a warm-up', () => {
  test('tells its pace: from the rate over the cold factor up to the rate', () => {
    const meter = new Warming(of(10, 10, 3), 0);
    expect([meter.pace(0), meter.coldness(0)]).toEqual([10 / 3, 1]);
    meter.take(50, 0);
    expect([meter.pace(0), meter.coldness(0)]).toEqual([10, 0.5]);
    meter.take(50, 0);
    expect([meter.pace(0), meter.coldness(0)]).toEqual([10, 0]);
    expect(meter.wait(1, 0)).toBe(15_000);
  });

  test('tells how many would pass at once: more when it is warm', () => {
    for (const meter of [
      new Warming(of(10, 10, 3, 900), 0, 900),
      new Warming(of(10, 0, 3, 900), 0, 900),
      new Warming(of(10, 1, 5, 2500), 0, 2000),
    ]) {
      for (let now = 0; now < 20_000; now += 333) {
        const told = meter.available(now);
        let count = 0;
        for (const copy = meter.copy(); copy.wait(1, now) === 0; count++) copy.take(1, now);
        expect(count).toBe(Math.floor(told + 1e-9));
        for (let i = 0; i < now % 5; i++) if (meter.wait(1, now) === 0) meter.take(1, now);
      }
    }
    expect(new Warming(of(10, 10, 3, 900), 0, 900).available(0)).toBeCloseTo(4.06, 2);
    expect(new Warming(of(10, 0, 3, 900), 0, 900).available(0)).toBeCloseTo(10, 9);
    const unlimited = new Warming(of(Infinity, 0, 3, 0), 0);
    expect([new Warming(of(0, 0, 3), 0).available(0), unlimited.available(0)]).toEqual([0, Infinity]);
  });

  test('a look changes nothing (L3), time that goes back is no time, and begins anew on another clock with what there is', () => {
    const meter = new Warming(of(10, 10, 3), 1000);
    meter.take(1, 1000);
    const before = structuredClone(meter);
    for (let now = 1000; now < 9000; now += 77) {
      meter.wait(1, now);
      meter.coldness(now);
      meter.pace(now);
      meter.isFresh(now);
      meter.copy().take(1, now);
    }
    expect(structuredClone(meter)).toEqual(before);
    expect(meter.wait(1, 0)).toBeCloseTo(298, 9);
    meter.begin(77_000);
    expect(meter.wait(1, 77_000)).toBeCloseTo(298, 9);
    expect(meter.wait(1, 77_100)).toBeCloseTo(198, 9);
  });

  test('what is given back at once leaves no trace, later only what is not over yet (L6)', () => {
    const meter = new Warming(of(10, 1, 3), 0);
    meter.take(3, 0);
    const calm = meter.copy();
    const last = meter.take(2, 400);
    calm.take(0, 400);
    meter.giveBack(last, 450);
    for (const now of [450, 700, 5000]) {
      expect(meter.wait(1, now)).toBeCloseTo(calm.wait(1, now), 9);
      expect(meter.coldness(now)).toBeCloseTo(calm.coldness(now), 9);
    }
    const over = new Warming(of(10, 0, 3), 0);
    const first = over.take(1, 0);
    over.take(1, 100);
    over.giveBack(first, 100);
    expect(over.wait(1, 100)).toBe(100);
    const ahead = new Warming(of(10, 0, 3), 0);
    const early = ahead.take(2, 0);
    ahead.take(1, 50);
    ahead.giveBack(early, 150);
    expect(ahead.wait(1, 150)).toBe(100);
  });

  test('a giving back of two in any order leaves what the third took', () => {
    for (const order of [
      [0, 1],
      [1, 0],
    ]) {
      const meter = new Warming(of(10, 10, 3), 0);
      const charges = [meter.take(1, 0), meter.take(1, 0)];
      for (const i of order) meter.giveBack(charges[i] as (typeof charges)[0], 0);
      expect(meter.wait(1, 0)).toBeCloseTo(0, 9);
      expect(meter.coldness(0)).toBeCloseTo(1, 12);
    }
  });

  test('written down, its state can be taken on by another one with the same limit', () => {
    const [meter, other] = [new Warming(of(10, 2, 3, 900), 0, 900), new Warming(of(10, 2, 3, 900), 0)];
    for (let i = 0; i < 6; i++) meter.take(1, 100 * i);
    const row = new Float64Array(2 + meter.width);
    meter.save(row, 2);
    other.load(row, 2);
    for (const now of [500, 700, 5000]) {
      expect(other.wait(1, now)).toBe(meter.wait(1, now));
      expect(other.coldness(now)).toBe(meter.coldness(now));
      expect(other.available(now)).toBe(meter.available(now));
    }
  });

  test('drained, the next call waits as long as one that comes behind another', () => {
    const paced = new Warming(of(10, 0, 3), 0);
    paced.drain(50);
    expect(paced.wait(1, 50)).toBe(100);
    paced.drain(50);
    expect(paced.wait(1, 50)).toBe(100);
    const cold = new Warming(of(10, 1000, 3), 0);
    cold.drain(0);
    expect(cold.wait(1, 0)).toBeCloseTo(300, 0);
  });

  test('is as good as new when it is cold and nothing is to be waited for', () => {
    const meter = new Warming(of(10, 2, 3), 0);
    expect(meter.isFresh(0)).toBe(true);
    meter.take(1, 0);
    const { end } = meter.take(1, 300);
    expect([meter.isFresh(end), meter.isFresh(end + 190), meter.isFresh(end + 201)]).toEqual([false, false, true]);
  });

  test('with a rate of 0 only what costs nothing passes; with one that is hardly more, one call', () => {
    const closed = new Warming(of(0, 0, 3), 0);
    expect([closed.wait(1, 0), closed.wait(0, 0)]).toEqual([Infinity, 0]);
    const rare = new Warming(of(Number.MIN_VALUE, 0, 3, 1000), 0);
    expect(rare.wait(1, 0)).toBe(0);
    rare.take(1, 0);
    expect(rare.wait(1, 1e12)).toBeGreaterThan(1e300);
  });

  test('a million calls at the full rate are let in when they should be, to the microsecond (L10)', () => {
    const meter = new Warming(of(10, 10, 3), 0);
    let now = 0;
    let warm = 0;
    for (let i = 0; i < 1_000_000; i++) {
      now += meter.wait(1, now);
      meter.take(1, now);
      if (i === 1000) warm = now;
    }
    expect(now - warm).toBeCloseTo(99_899_900, 3);
  });

  test('over thirty days of pauses shorter than the slack it gives what the rate is, to the call (L10)', () => {
    const interval = 1000 / 0.3;
    const meter = new Warming({ rate: 0.3, per: 1000, warmUpPeriod: 0, coldFactor: 3, slack: 2 * interval }, 1e9 + 1 / 3);
    const end = 1e9 + 1 / 3 + 30 * 86_400_000;
    let calls = 0;
    for (let now = 1e9 + 1 / 3, i = 1; now < end; i++) {
      meter.take(1, now);
      calls++;
      now += meter.wait(1, now) + ((i * 7919) % 1000) / 1001;
    }
    expect(Math.abs(calls - (0.3 * 30 * 86_400 + 1))).toBeLessThanOrEqual(1);
  });
});
