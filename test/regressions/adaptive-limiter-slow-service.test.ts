import { expect, test } from 'vitest';
import { Correlated } from '../../src/algorithms/limits/correlated.ts';
import { Learner } from '../../src/algorithms/limits/learner.ts';

const settings = { kind: 'correlated', baselineAge: 10, correlationWindow: 50, maxLimitFactor: 5, trust: 300 } as const;
const window = { min: 1000, max: 30_000, minSamples: 50, take: 0.9, maxDrops: 0.05 };

/** Calls that take `rtt` each, as many at once as are allowed, for so long; answers with the time it is then. */
function keepBusy(learner: Learner, rtt: number, dropped: boolean, from: number, lasting: number): number {
  let now = from;
  for (; now < from + lasting; now += rtt) {
    const inflight = learner.allowed;
    for (let i = 0; i < inflight; i++) learner.sample(now, inflight, dropped, now + rtt);
  }
  return now;
}

// Thirty seconds of calls that take two, one at a time, are fifteen samples, which were too few for any verdict, again and again.
test('a long incident brings the limit of a slow service down to 1: when it is over, the limit comes back, few as its samples are (A3)', () => {
  const learner = new Learner(new Correlated(settings, { min: 1, max: 100, initial: 20 }), window, 0);
  const over = keepBusy(learner, 10, true, keepBusy(learner, 2000, false, 0, 120_000), 600_000);
  expect(learner.allowed).toBe(1);
  keepBusy(learner, 2000, false, over, 1_200_000);
  expect(learner.allowed).toBeGreaterThan(20);
});

test('where few calls come, and the limit has nothing to do with it, their samples do not add up over hours', () => {
  const learner = new Learner(new Correlated(settings, { min: 1, max: 100, initial: 20 }), window, 0);
  for (let now = 0; now < 7_200_000; now += 10_000) learner.sample(now, 1, false, now + 50);
  expect(learner.recent).toBeUndefined();
  expect(learner.allowed).toBe(20);
});
