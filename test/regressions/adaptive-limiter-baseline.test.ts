import { describe, expect, test } from 'vitest';
import { limitOf } from '../../src/algorithms/limits/kinds.ts';
import { Learner } from '../../src/algorithms/limits/learner.ts';
import { type LimitAlgorithmOptions, algorithmField, windowOf } from '../../src/policies/adaptive-limiter/fields.ts';
import { Served, always, drive } from '../support/served.ts';

function learner(kind: LimitAlgorithmOptions['kind'], maxBaseline = Infinity): Learner {
  const settings = algorithmField.read(kind, 'algorithm', []);
  return new Learner(limitOf(settings, { min: 1, max: 200, initial: 20 }, maxBaseline), windowOf(settings), 10);
}

const minutes = (n: number): number => n * 60_000;
const incident = [[minutes(2), (server: Served) => (server.service = always(1000))]] as const;

describe('an incident that makes a service ten times as slow for half an hour (C22)', () => {
  test.each(['correlated', 'gradient', 'vegas'] as const)('%s: with maxBaseline the slow service never counts as the usual one', (kind) => {
    const limits = learner(kind, 200);
    drive(limits, { server: new Served(50, always(100)), rate: 600, until: minutes(30), changes: incident });
    expect(limits.limit.baseline).toBeLessThanOrEqual(200);
    expect(limits.limit.gradient).toBeLessThanOrEqual(0.5);
    expect(limits.allowed).toBeLessThan(15);
  });

  test('without it the slow service becomes the usual one, as it must if it stays so', () => {
    const limits = learner('correlated');
    drive(limits, { server: new Served(50, always(100)), rate: 600, until: minutes(30), changes: incident });
    expect(limits.limit.baseline).toBeGreaterThan(900);
    expect(limits.allowed).toBeGreaterThan(40);
  });
});

test('measuring the baseline refuses few: less than 1 % of what the service bears (elsewhere it went down to 3 at once)', () => {
  for (const kind of ['correlated', 'vegas'] as const) {
    const { throughput, path } = drive(learner(kind), {
      server: new Served(50, always(250)),
      rate: 400,
      until: minutes(30),
      warmUp: minutes(3),
    });
    expect(throughput / 200).toBeGreaterThan(0.985);
    expect(Math.min(...path.slice(180))).toBeGreaterThanOrEqual(35);
  }
});

test('an idle service is not measured: nobody is refused for it', () => {
  for (const kind of ['correlated', 'vegas'] as const) {
    const { path, throughput } = drive(learner(kind), { server: new Served(50, always(250)), rate: 20, until: minutes(60) });
    expect(throughput).toBeGreaterThan(19);
    expect(Math.min(...path)).toBe(20);
  }
});

test('one slow minute at the start, when everything is cold, is forgotten', () => {
  for (const kind of ['correlated', 'vegas'] as const) {
    const server = new Served(50, always(1000));
    const { path } = drive(learner(kind), {
      server,
      rate: 400,
      until: minutes(10),
      changes: [[minutes(1), (warm) => (warm.service = always(250))]],
    });
    expect(Math.abs((path.at(-1) as number) / 50 - 1)).toBeLessThan(0.25);
  }
});
