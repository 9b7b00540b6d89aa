import { expect, test } from 'vitest';
import { pipeline } from 'breakwater';
import { VirtualClock, seededRandom } from 'breakwater/testing';
import { hotKey } from '../../src/policies/hot-key.ts';

test('two hundred thousand keys that nobody has asked for before leave nothing behind, and do not make a hot one forgotten', () => {
  let now = 0;
  const clock = new VirtualClock();
  clock.now = () => now;
  const policy = hotKey({ limit: 10, window: '1s' });
  const p = pipeline([policy], { clock, random: seededRandom(6) });
  let served = 0;
  for (let i = 0; i < 200_000; i++) {
    now = i / 20;
    if (!p.tryAcquire({ key: `flood ${i}` }).admitted) expect.fail('a cold key was refused');
    if (i % 200 === 0) served += Number(p.tryAcquire({ key: 'offender' }).admitted);
  }
  // A hundred calls a second, for ten seconds, of which the limit allows ten.
  expect(served).toBeLessThanOrEqual(10 * 10 + 2 * 10);
  expect(served).toBeGreaterThanOrEqual(10 * 10);
  expect(policy.snapshot().watched).toBeLessThanOrEqual(100);
  expect(policy.hottest()[0]).toEqual({ key: 'offender', calls: 100, hot: true });
});

test('an offender is not let go to make room for others, hotter as they may be, before its time is over', () => {
  let now = 0;
  const clock = new VirtualClock();
  clock.now = () => now;
  const p = pipeline([hotKey({ limit: 10, window: '1m', top: 3 })], { clock, random: seededRandom(6) });
  const ask = (key: string, times: number): number => {
    let served = 0;
    for (let i = 0; i < times; i++) served += Number(p.tryAcquire({ key }).admitted);
    return served;
  };
  for (const key of ['a', 'b', 'c']) expect(ask(key, 20)).toBe(10);
  for (let other = 0; other < 20; other++) ask(`other ${other}`, 500);
  now = 3000;
  for (const key of ['a', 'b', 'c']) expect(ask(key, 20)).toBe(0);
});
