import { describe, expect, test } from 'vitest';
import { type Priority, ThrottledError } from 'breakwater';
import { type Arranged, arrange } from 'breakwater/testing';
import { RecentLevels } from '../../src/algorithms/recent-levels.ts';
import { type Throttle, throttle } from '../../src/policies/throttle.ts';
import { seededRandom } from 'breakwater/testing';

const busy = (): Promise<never> => Promise.reject(Object.assign(new Error('busy'), { status: 503 }));
const fine = (): string => 'fine';
const lenient = { random: () => 1 - 2 ** -32 };

/** Many calls of one class; answers with how many were turned away by the throttle. */
async function times(
  n: number,
  { run }: Pick<Arranged<readonly [Throttle]>, 'run'>,
  each: () => unknown,
  priority?: Priority,
  priorityLevel?: number,
): Promise<number> {
  let refused = 0;
  const how = { ...(priority === undefined ? {} : { priority }), ...(priorityLevel === undefined ? {} : { priorityLevel }) };
  for (let i = 0; i < n; i++) await run(each, how).catch((error: unknown) => (refused += Number(error instanceof ThrottledError)));
  return refused;
}

describe('classes of priority', () => {
  test('have windows of their own: what the service turns away of one class does not spoil that of another', async () => {
    const it = arrange(throttle(), lenient);
    await times(100, it, busy, 'best-effort');
    await times(100, it, fine, 'critical');
    expect(it.policy.snapshot().classes).toEqual({
      critical: { requests: 100, accepts: 100, rejectionProbability: 0 },
      'best-effort': { requests: 100, accepts: 0, rejectionProbability: 0.9 },
    });
    expect(it.policy.rejectionProbability).toBeCloseTo(0.45, 12);
  });

  test('a first critical call is never turned away for what best-effort calls have met', async () => {
    const it = arrange(throttle(), { random: () => 0 });
    await times(500, it, busy, 'best-effort');
    expect(await times(19, it, busy, 'critical')).toBe(0);
  });

  test('the higher ones also have what was accepted of the lower: those are turned away first', async () => {
    const it = arrange(throttle(), lenient);
    await times(25, it, fine, 'critical');
    await times(75, it, fine, 'best-effort');
    await times(75, it, busy, 'critical');
    await times(225, it, busy, 'best-effort');
    // 200 requests for 100 accepted: all the critical ones, and 100 of 300 of the others.
    const { classes } = it.policy.snapshot();
    expect(classes.critical).toMatchObject({ requests: 100, accepts: 25, rejectionProbability: 0 });
    expect(classes['best-effort']?.rejectionProbability).toBeCloseTo(200 / 301, 12);
  });

  test('of several lower ones the lowest gives first', async () => {
    const it = arrange(throttle({ k: 1 }), lenient);
    await times(40, it, fine, 'best-effort');
    await times(40, it, fine, 'sheddable');
    await times(30, it, busy, 'critical-plus');
    const { classes } = it.policy.snapshot();
    expect(classes['critical-plus']?.rejectionProbability).toBe(0);
    expect(classes['sheddable']?.rejectionProbability).toBe(0);
    expect(classes['best-effort']?.rejectionProbability).toBeCloseTo(30 / 41, 12);
  });

  test('no call is let in while one of a higher class was turned away in the same tick (A5)', async () => {
    const it = arrange(throttle({ maxRejection: 0.9 }), { random: seededRandom(4) });
    await times(200, it, busy, 'critical');
    await it.clock.advance(100);
    const random = seededRandom(5);
    const order: readonly Priority[] = ['critical-plus', 'critical', 'sheddable', 'best-effort'];
    for (let tick = 0; tick < 100; tick++) {
      let turnedAway = -1;
      for (let i = 0; i < 20; i++) {
        const place = Math.floor(random() * order.length);
        const refused = await times(1, it, busy, order[place]);
        if (refused === 1) turnedAway = Math.max(turnedAway, order.length - place);
        else expect(order.length - place).toBeGreaterThanOrEqual(turnedAway);
      }
      await it.clock.advance(10);
    }
  });

  test('a lower one is tried out too, once no call of any class has passed for a second', async () => {
    const it = arrange(throttle({ maxRejection: 1 }), { random: () => 0 });
    await times(30, it, busy, 'critical');
    await it.clock.advance(999);
    expect(await times(1, it, busy, 'critical')).toBe(1);
    const error = await it.run(fine, { priority: 'best-effort' }).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: 'ERR_THROTTLED', retryAfter: 1 });
    await it.clock.advance(1);
    expect(await times(2, it, fine, 'best-effort')).toBe(1);
  });

  test('are ranked only while that is fresh: a second after the last critical call was turned away the others go by their own windows', async () => {
    const it = arrange(throttle(), { random: () => 0 });
    await times(21, it, busy, 'critical');
    expect(await times(5, it, fine, 'best-effort')).toBe(5);
    await it.clock.advance('1s');
    expect(await times(5, it, fine, 'best-effort')).toBe(0);
  });
});

describe('levels of priority', () => {
  test('within a class the lowest are turned away first', async () => {
    const it = arrange(throttle({ probeInterval: '1h' }), { random: seededRandom(8) });
    await times(40, it, fine);
    await times(100, it, busy);
    const share = it.policy.rejectionProbability;
    expect(share).toBeGreaterThan(0.3);
    const refused = [0, 0, 0, 0];
    for (let i = 0; i < 400; i++) {
      const quarter = i % 4;
      (refused[quarter] as number) += await times(1, it, i % 2 === 0 ? fine : busy, 'critical', quarter * 25 + (i % 25));
    }
    expect(refused[0]).toBeGreaterThan(60);
    expect(refused[3]).toBeLessThan(10);
    expect(refused[0]).toBeGreaterThan(refused[1] as number);
  });

  test.each([
    ['drawn evenly', (i: number, u: number) => Math.floor(u * 100) + 0 * i],
    ['all the same', () => 50],
    ['of two kinds', (i: number) => (i % 3 === 0 ? 90 : 10)],
    ['mostly high', (_i: number, u: number) => (u < 0.9 ? 99 : 0)],
  ])('whatever the levels, %s, just the share of calls is turned away', (_how, levelOf) => {
    const random = seededRandom(11);
    for (const share of [0.05, 0.33, 0.5, 0.9]) {
      const levels = new RecentLevels();
      let turnedAway = 0;
      for (let i = 0; i < 20_000; i++) {
        const level = levelOf(i, random());
        levels.add(level);
        turnedAway += Number(random() < levels.lot(level, share));
      }
      expect(Math.abs(turnedAway / 20_000 - share)).toBeLessThan(0.02);
    }
  });
});
