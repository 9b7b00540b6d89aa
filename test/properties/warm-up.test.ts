import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type WarmUp, pipeline, warmUp } from 'breakwater';
import { VirtualClock } from 'breakwater/testing';
import { Warming } from '../../src/algorithms/meters/warm-up.ts';
import { type Admitted, Traffic, commands, tagged } from '../support/traffic.ts';

/** Timers are late by so much at most, and those who waited are let in for when they were due, ms. */
const LATE = 20;

/** The most that was let in, before the last of a window, beyond what the rate allows in it; in permits. */
function excess(calls: readonly Admitted[], perMs: number): number {
  let most = 0;
  for (const [i, { at: from }] of calls.entries()) {
    let before = 0;
    for (const { at, cost } of calls.slice(i)) {
      most = Math.max(most, before - (at - from) * perMs);
      before += cost;
    }
  }
  return most;
}

const setting = fc.record({
  rate: fc.constantFrom(1, 3, 10, 1000 / 3),
  warmUpPeriod: fc.constantFrom(0, 100, 2000, 60_000),
  coldFactor: fc.constantFrom(1, 2, 3, 10),
  pacing: fc.boolean(),
  maxWait: fc.constantFrom(0, 100, 1000, Infinity),
});

describe('a warm-up', () => {
  test('never lets in more than its law, in any window, whatever happens, and in the order in which they came (L1, L2)', async () => {
    await fc.assert(
      fc.asyncProperty(setting, commands, async (options, list) => {
        const limit = warmUp({ ...options, cost: tagged, refundIf: ({ ok }) => !ok });
        const traffic = new Traffic(limit);
        await traffic.run(list);
        const { rate, pacing } = options;
        const saved = pacing ? 0 : Math.max(0, rate - 1);
        expect(excess(traffic.spent, rate / 1000)).toBeLessThanOrEqual(saved + (LATE * rate) / 1000 + 1e-6);
        expect(traffic.order).toEqual(traffic.order.toSorted((a, b) => a - b));
        const { waiting, coldness, pace } = limit;
        expect([waiting, coldness >= 0 && coldness <= 1, pace <= rate * (1 + 1e-9)]).toEqual([0, true, true]);
        await traffic.clock.advance(100_000_000);
        expect(limit.atRest(traffic.clock.now())).toBe(true);
      }),
      { numRuns: 200 },
    );
  });

  test('never lets in more than the larger of the settings it had, however often they change (L8)', async () => {
    const change = fc.record({
      rate: fc.constantFrom(1, 5, 20),
      warmUpPeriod: fc.constantFrom(0, 500, 5000),
      coldFactor: fc.constantFrom(1, 5),
    });
    await fc.assert(
      fc.asyncProperty(fc.boolean(), fc.array(fc.tuple(change, commands), { minLength: 1, maxLength: 4 }), async (pacing, rounds) => {
        const limit = warmUp({ rate: 5, warmUpPeriod: 1000, pacing, maxWait: 500, cost: tagged, refundIf: ({ ok }) => !ok });
        const traffic = new Traffic(limit);
        for (const [settings, list] of rounds) {
          limit.update(settings);
          await traffic.run(list);
        }
        const rate = Math.max(5, ...rounds.map(([settings]) => settings.rate));
        expect(excess(traffic.spent, rate / 1000)).toBeLessThanOrEqual((pacing ? 0 : rate) + (LATE * rate) / 1000 + 1e-6);
      }),
      { numRuns: 100 },
    );
  });

  test('what it does not let in leaves no trace: calls that give up or are turned away might as well not have come (L3, L6)', async () => {
    await fc.assert(
      fc.asyncProperty(setting, commands, async (options, list) => {
        const make = (): WarmUp => warmUp({ ...options, maxWait: 0, cost: tagged });
        const [limit, other] = [make(), make()];
        const [traffic, calm] = [new Traffic(limit), new Traffic(other)];
        await traffic.run(list);
        await calm.run(list.filter((command) => command.do !== 'turned away further in'));
        expect(traffic.admitted).toEqual(calm.admitted);
        expect(limit.coldness).toBeCloseTo(other.coldness, 9);
        expect(limit.available).toBeCloseTo(other.available, 6);
      }),
      { numRuns: 100 },
    );
  });

  test('a call at the time it was told gets in, if nobody else came; a millisecond earlier it does not (L4)', async () => {
    const rates = fc.double({ min: 0.001, max: 900, noNaN: true });
    const pauses = fc.array(fc.double({ min: 0, max: 5000, noNaN: true }), { minLength: 1, maxLength: 20 });
    await fc.assert(
      fc.asyncProperty(rates, fc.boolean(), pauses, async (rate, pacing, list) => {
        const clock = new VirtualClock({ start: 123_456.789 });
        const p = pipeline([warmUp({ rate, warmUpPeriod: 3000, pacing, maxWait: 0 })], { clock });
        for (const ms of list) {
          await clock.advance(ms);
          let answer = p.tryAcquire();
          while (answer.admitted) answer = p.tryAcquire();
          const wait = answer.retryAfter as number;
          if (wait > 1) {
            await clock.advance(wait - 1);
            expect(p.tryAcquire().admitted).toBe(false);
          }
          await clock.advance(Math.min(wait, 1));
          expect(p.tryAcquire().admitted).toBe(true);
        }
      }),
      { numRuns: 60 },
    );
  });

  test('serves as the model in permits does, whatever the weights, pauses and changes', () => {
    const step = fc.record({
      pause: fc.nat(3000),
      cost: fc.constantFrom(0.5, 1, 2, 7),
      rate: fc.option(fc.constantFrom(1, 4, 9), { nil: undefined, freq: 8 }),
    });
    fc.assert(
      fc.property(setting, fc.array(step, { maxLength: 60 }), ({ rate, warmUpPeriod, coldFactor }, steps) => {
        const meter = new Warming({ rate, per: 1000, warmUpPeriod, coldFactor, slack: 0 }, 0);
        const model = new InPermits(rate, warmUpPeriod, coldFactor);
        let now = 0;
        for (const { pause, cost, rate: changed } of steps) {
          now += pause;
          if (changed !== undefined) {
            meter.change({ ...meter.warmth, rate: changed }, now);
            model.setRate(changed, now);
          }
          const wait = meter.wait(cost, now);
          expect(Math.abs(wait - model.wait(now))).toBeLessThan(0.5 + wait * 1e-3);
          now += wait;
          meter.take(cost, now);
          model.take(cost, now);
        }
      }),
      { numRuns: 300 },
    );
  });
});

/** The warm-up as its model describes it: permits stored, dear ones and plain ones, and when the next one is free. Time in ms. */
class InPermits {
  stored = 0;
  #free = 0;
  #interval = 0;
  #plain = 0;
  #most = 0;

  readonly #period: number;
  readonly #factor: number;

  constructor(rate: number, period: number, factor: number) {
    this.#period = period;
    this.#factor = factor;
    this.#shape(rate);
    this.stored = this.#most;
  }

  wait(now: number): number {
    return Math.max(0, this.#free - now);
  }

  take(cost: number, now: number): void {
    this.#sync(now);
    let time = 0;
    const steps = 2000;
    for (let i = 0; i < steps; i++) {
      const level = this.stored - ((i + 0.5) * cost) / steps;
      const dear = this.#most === this.#plain ? 0 : Math.max(0, level - this.#plain) / (this.#most - this.#plain);
      time += (cost / steps) * this.#interval * (1 + dear * (this.#factor - 1));
    }
    this.stored = Math.max(0, this.stored - cost);
    this.#free += time;
  }

  setRate(rate: number, now: number): void {
    this.#sync(now);
    const share = this.#most === 0 ? 0 : this.stored / this.#most;
    this.#shape(rate);
    this.stored = share * this.#most;
  }

  #sync(now: number): void {
    if (now <= this.#free) return;
    if (this.#period > 0) this.stored = Math.min(this.#most, this.stored + ((now - this.#free) * this.#most) / this.#period);
    this.#free = now;
  }

  #shape(rate: number): void {
    this.#interval = 1000 / rate;
    this.#plain = (0.5 * this.#period) / this.#interval;
    this.#most = this.#plain + (2 * this.#period) / (this.#interval * (1 + this.#factor));
  }
}
