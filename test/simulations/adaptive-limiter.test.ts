import { describe, expect, test } from 'vitest';
import { type CallOptions, pipeline } from 'breakwater';
import { VirtualClock, seededRandom } from 'breakwater/testing';
import type { Bounds } from '../../src/algorithms/limits/limit.ts';
import { limitOf } from '../../src/algorithms/limits/kinds.ts';
import { Learner } from '../../src/algorithms/limits/learner.ts';
import { adaptiveLimiter } from '../../src/policies/adaptive-limiter.ts';
import { type LimitAlgorithmOptions, algorithmField, windowOf } from '../../src/policies/adaptive-limiter/fields.ts';
import { Served, always, around, drive, exponential } from '../support/served.ts';

type Kind = LimitAlgorithmOptions['kind'];

/** What the policy learns with. */
function learner(algorithm: Kind | LimitAlgorithmOptions, bounds: Partial<Bounds> = {}, maxBaseline = Infinity): Learner {
  const settings = algorithmField.read(algorithm, 'algorithm', []);
  return new Learner(limitOf(settings, { min: 1, max: 200, initial: 20, ...bounds }, maxBaseline), windowOf(settings), 10);
}

const minutes = (n: number): number => n * 60_000;
const last = (path: readonly number[], n: number): readonly number[] => path.slice(-n);
const median = (path: readonly number[]): number => [...path].sort((a, b) => a - b)[path.length >> 1] as number;
/** How far off a limit is, as a part of what it should be. */
const off = (limit: number, knee: number): number => Math.abs(limit / knee - 1);

// A server of 50 workers that take 250 ms bears 200 a second; more than 50 under way only wait there.
const WORKERS = 50;
const MS = 250;
const CAPACITY = 200;

describe.each(['correlated', 'vegas'] as const)('%s', (kind) => {
  describe.each([
    ['as long each', always],
    ['30 % more or less', around],
  ] as const)('requests that take %s', (_, service) => {
    test.each([5, 20, 100, 200])('the knee is found within 15 % at twice the load, beginning at %i', (initial) => {
      const { path } = drive(learner(kind, { initial }), {
        server: new Served(WORKERS, service(MS)),
        rate: 2 * CAPACITY,
        until: minutes(kind === 'vegas' ? 10 : 4),
      });
      expect(off(median(last(path, 60)), WORKERS)).toBeLessThan(0.15);
    });

    test('half of the workers leave, then four times as many are there: the limit follows', () => {
      const { path } = drive(learner(kind), {
        server: new Served(WORKERS, service(MS)),
        rate: 4 * CAPACITY,
        until: minutes(6),
        changes: [
          [minutes(2), (server) => (server.workers = 25)],
          [minutes(4), (server) => (server.workers = 100)],
        ],
      });
      expect(off(median(path.slice(60, 120)), 50)).toBeLessThan(0.15);
      // The queue that is allowed is 6 calls, whatever the limit.
      expect(median(path.slice(180, 240)) - 25).toBeLessThanOrEqual(6);
      expect(off(median(path.slice(300, 360)), 100)).toBeLessThan(0.15);
    });
  });

  test('from 20 up to 100 workers of 10 ms each, within 200 samples (A3)', () => {
    const { path } = drive(learner(kind), { server: new Served(100, always(10)), rate: 15_000, until: 60_000 });
    const arrived = path.findIndex((limit) => off(limit, 100) < 0.2);
    expect(arrived).toBeGreaterThan(0);
    expect(path.slice(arrived).every((limit) => limit >= 70 && limit <= 120)).toBe(true);
  });

  test('no ratchet: an hour at twice the load ends where it began (H5)', () => {
    const server = new Served(WORKERS, always(MS));
    const { path, throughput, quantile } = drive(learner(kind, { max: 1000 }), {
      server,
      rate: 2 * CAPACITY,
      until: minutes(60),
      warmUp: minutes(2),
    });
    const settled = path.slice(120);
    expect(Math.max(...settled)).toBeLessThanOrEqual(1.75 * WORKERS);
    expect(median(settled)).toBeGreaterThanOrEqual(WORKERS);
    expect(throughput / CAPACITY).toBeGreaterThan(0.97);
    expect(quantile(0.99)).toBeLessThan(2.2 * MS);
  });

  test('a load that the server bears is let through', () => {
    const { throughput, path } = drive(learner(kind), {
      server: new Served(WORKERS, around(MS)),
      rate: 0.7 * CAPACITY,
      until: minutes(5),
      warmUp: minutes(1),
    });
    expect(throughput / (0.7 * CAPACITY)).toBeGreaterThan(0.99);
    expect(Math.max(...path)).toBeLessThanOrEqual(200);
  });
});

describe('correlated', () => {
  test('all hour the limit stays between 0.8 and 1.75 of the knee, probes included (H5)', () => {
    const server = new Served(WORKERS, always(MS));
    const { path } = drive(learner('correlated', { max: 1000 }), { server, rate: 2 * CAPACITY, until: minutes(60) });
    expect(Math.min(...path.slice(60))).toBeGreaterThanOrEqual(0.8 * WORKERS);
  });

  test('a service that becomes twice as slow, and then four times as quick, keeps its workers busy', () => {
    const { path } = drive(learner('correlated'), {
      server: new Served(WORKERS, always(MS)),
      rate: 4 * CAPACITY,
      until: minutes(9),
      changes: [
        [minutes(3), (server) => (server.service = always(2 * MS))],
        [minutes(6), (server) => (server.service = always(MS / 2))],
      ],
    });
    for (const minute of [3, 6, 9]) expect(off(median(path.slice(60 * minute - 60, 60 * minute)), WORKERS)).toBeLessThan(0.2);
  });

  test('times that vary widely leave a longer queue, and cost no throughput', () => {
    const { path, throughput } = drive(learner('correlated'), {
      server: new Served(WORKERS, exponential(MS)),
      rate: 2 * CAPACITY,
      until: minutes(10),
      warmUp: minutes(2),
    });
    expect(median(path.slice(120))).toBeGreaterThan(0.9 * WORKERS);
    expect(median(path.slice(120))).toBeLessThan(1.4 * WORKERS);
    expect(throughput / CAPACITY).toBeGreaterThan(0.95);
  });
});

describe('gradient', () => {
  const overload = { rate: 2 * CAPACITY, until: minutes(20) };

  test('by its nature it climbs to its maximum in an overload that lasts: its baseline learns the queue', () => {
    const { path } = drive(learner('gradient'), { server: new Served(WORKERS, always(MS)), ...overload });
    expect(path.at(-1)).toBe(200);
    expect(path[120]).toBeLessThan(100);
  });

  test('with a bound on the baseline it does not (C22)', () => {
    const { path, throughput } = drive(learner('gradient', {}, MS), { server: new Served(WORKERS, always(MS)), ...overload });
    // It tolerates 1.5 times the baseline.
    expect(Math.max(...path)).toBeLessThan(1.75 * WORKERS);
    expect(throughput / CAPACITY).toBeGreaterThan(0.97);
  });

  test.each([10, 200])('so bounded, without tolerance, it is close to the knee, beginning at %i', (initial) => {
    const algorithm = { kind: 'gradient', tolerance: 1, queue: 4 } as const;
    const { path } = drive(learner(algorithm, { initial }, MS), { server: new Served(WORKERS, always(MS)), ...overload });
    expect(off(median(last(path, 120)), WORKERS)).toBeLessThan(0.15);
  });
});

describe('aimd', () => {
  test.each([10, 200])('it saws below the limit at which calls take too long, beginning at %i', (initial) => {
    // 200 a second, and callers go after 275 ms: 55 under way.
    const { path } = drive(learner('aimd', { initial }), {
      server: new Served(WORKERS, always(MS)),
      rate: 2 * CAPACITY,
      until: minutes(4),
      patience: 1.1 * MS,
    });
    const settled = last(path, 120);
    expect(off(median(settled), 52)).toBeLessThan(0.15);
    expect(Math.max(...settled)).toBeLessThanOrEqual(62);
    expect(Math.min(...settled)).toBeGreaterThanOrEqual(0.75 * 52);
    expect(new Set(settled).size).toBeGreaterThan(3);
  });
});

describe('the policy', () => {
  test.each([20, 150])('it finds the knee as its algorithm does, beginning at %i', async (initial) => {
    const clock = new VirtualClock();
    const limiter = adaptiveLimiter({ initial });
    const shop = pipeline([limiter], { clock, random: seededRandom(7) });
    const server = new Served(WORKERS, around(MS));
    const random = seededRandom(8);
    const work = (): Promise<void> => new Promise((resolve) => clock.setTimeout(resolve, server.serve(clock.now()) - clock.now()));
    const path: number[] = [];
    for (let next = 0; next < 100_000;) {
      next -= (1000 * Math.log(1 - random())) / (2 * CAPACITY);
      await clock.advance(Math.max(0, next - clock.now()));
      if (next > 80_000) path.push(limiter.limit);
      void shop.executeOutcome(work);
    }
    expect(off(median(path), WORKERS)).toBeLessThan(0.15);
  });

  test('two priorities, three times the load from the low one: the high one is served, and capacity is used', async () => {
    // 20 workers of 20 ms: 1000 a second. 300 important calls a second, 3000 others.
    const clock = new VirtualClock();
    const limiter = adaptiveLimiter({ maxQueue: 1000, priority: true, aging: Infinity });
    const shop = pipeline([limiter], { clock, random: seededRandom(5) });
    const server = new Served(20, always(20));
    const random = seededRandom(6);
    const high = { asked: 0, served: 0 };
    let served = 0;
    const [warmUp, until] = [8000, 16_000];
    const come = (priority: 'critical' | 'sheddable'): void => {
      const at = clock.now();
      const counts = at >= warmUp && at < until - 500;
      if (counts && priority === 'critical') high.asked++;
      const options: CallOptions = { priority };
      const work = (): Promise<void> => new Promise((resolve) => clock.setTimeout(resolve, server.serve(clock.now()) - clock.now()));
      void shop.executeOutcome(work, options).then(({ ok }) => {
        if (!ok) return;
        if (counts && priority === 'critical') high.served++;
        if (clock.now() >= warmUp) served++;
      });
    };
    for (let next = 0; next < until;) {
      next -= Math.log(1 - random()) / 3.3;
      await clock.advance(Math.max(0, next - clock.now()));
      come(random() < 0.3 / 3.3 ? 'critical' : 'sheddable');
    }
    expect(high.asked).toBeGreaterThan(2000);
    expect(high.served / high.asked).toBeGreaterThanOrEqual(0.99);
    expect(served / (until - warmUp)).toBeGreaterThan(0.95);
    expect(limiter.limit).toBeLessThan(35);
  }, 60_000);
});
