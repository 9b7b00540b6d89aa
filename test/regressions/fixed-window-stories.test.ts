import { expect, test } from 'vitest';
import { RateLimitedError, pipeline } from 'breakwater';
import { VirtualClock, arrange } from 'breakwater/testing';
import { fixedWindow } from '../../src/policies/fixed-window.ts';
import { perKey } from '../../src/policies/per-key.ts';
import { slidingLog } from '../../src/policies/sliding-log.ts';
import { slidingWindow } from '../../src/policies/sliding-window.ts';
import { tokenBucket } from '../../src/policies/token-bucket.ts';

/** How many of `count` calls that come at once get in. */
const rush = (p: { tryAcquire: () => { admitted: boolean } }, count: number): number =>
  Array.from({ length: count }, () => p.tryAcquire().admitted).filter(Boolean).length;

// Elsewhere windows end by the wall clock: set back by an hour, a key is locked for 3601 s; set forward, the limit is gone.
test('somebody sets the wall clock, back and forth: the limit holds in each window, and nobody waits longer than for the next', async () => {
  for (const limiter of [fixedWindow({ limit: 2, window: '1s' }), fixedWindow({ limit: 2, window: '1s', aligned: true })]) {
    const { pipeline: p, clock } = arrange(limiter);
    for (const shift of [0, -3_600_000, 86_400_000, -86_400_000, 3_600_000]) {
      clock.shiftWall(shift);
      expect(rush(p, 5)).toBe(2);
      clock.shiftWall(-shift);
      expect((p.tryAcquire() as { retryAfter?: number }).retryAfter).toBe(1000);
      await clock.advance('1s');
    }
  }
});

// Elsewhere a refused call of five points is charged all the same, and the next one of a single point is refused too.
test('a call that is too expensive for what is left is charged nothing: a cheaper one still gets in', () => {
  for (const make of [fixedWindow, slidingWindow, slidingLog]) {
    const p = pipeline([make({ limit: 10, window: '1m', cost: ({ tags }) => Number(tags['n']) })], { clock: new VirtualClock() });
    expect([6, 5, 5, 4, 1].map((n) => p.tryAcquire({ tags: { n } }).admitted)).toEqual([true, false, false, true, false]);
  }
});

// Elsewhere a cost below nothing makes a present of the limit.
test('a negative cost is refused with a message, and changes nothing', async () => {
  const { run, policy } = arrange(fixedWindow({ limit: 10, window: '1m', cost: ({ tags }) => Number(tags['n']) }));
  for (const n of [-100, NaN])
    expect(await run(() => 1, { tags: { n } }).catch(String)).toContain('expected a function that answers with a number of at least 0');
  expect(policy.available).toBe(10);
});

// Elsewhere windows of more than 2^31 ms do not limit at all, since their timer fires at once, and windows of less than a second never end.
test('windows of any length hold: half a millisecond above one, a month, three years', async () => {
  for (const window of [1.5, 30 * 86_400_000, 3 * 365 * 86_400_000]) {
    for (const make of [fixedWindow, slidingLog]) {
      const { pipeline: p, clock } = arrange(make({ limit: 3, window }));
      expect(rush(p, 5)).toBe(3);
      await clock.advance(window - 0.5);
      expect(rush(p, 5)).toBe(0);
      await clock.advance(0.5);
      expect(rush(p, 5)).toBe(3);
      expect(clock.pending).toBe(0);
    }
  }
});

// Elsewhere 19 of 10 pass within 100 ms around the end of a window, and nothing says so.
test('around the end of a window: 19 of 10 with fixed windows, no more than 10 with sliding ones and with a log', async () => {
  for (const [limiter, expected] of [
    [fixedWindow({ limit: 10, window: '1s' }), 19],
    [slidingWindow({ limit: 10, window: '1s' }), 9],
    [slidingLog({ limit: 10, window: '1s' }), 10],
  ] as const) {
    const { pipeline: p, clock } = arrange(limiter);
    expect(rush(p, 1)).toBe(1);
    await clock.advance(950);
    const before = rush(p, 20);
    await clock.advance(100);
    expect([limiter.kind, before + rush(p, 20)]).toEqual([limiter.kind, expected]);
  }
});

// Elsewhere 60 per minute was taken for 1 per second.
test('60 a minute is not one a second: all of it may pass at once, and then nothing for the rest of the minute', async () => {
  const { pipeline: p, clock } = arrange(fixedWindow({ limit: 60, window: '1m' }));
  expect(rush(p, 100)).toBe(60);
  await clock.advance('59s');
  expect(rush(p, 100)).toBe(0);
  const { pipeline: even, clock: time } = arrange(tokenBucket({ rate: 60, per: '1m', burst: 1 }));
  expect(rush(even, 100)).toBe(1);
  await time.advance('59s');
  expect(rush(even, 100)).toBe(1);
});

// Elsewhere the wait that backs off is advertised, and the client admitted after the plain window.
test('the wait that a backoff tells is the real one', async () => {
  const { pipeline: p, clock, policy } = arrange(fixedWindow({ limit: 2, window: 500, refused: 'backoff' }));
  rush(p, 2);
  const waits = [1, 2, 3, 4].map(() => (p.tryAcquire() as { retryAfter?: number }).retryAfter);
  expect(waits).toEqual([500, 1000, 2000, 4000]);
  await clock.advance(3999);
  expect(policy.available).toBe(0);
  await clock.advance(1);
  expect(rush(p, 2)).toBe(2);
});

// Elsewhere cycles drift by what a rounding takes from each.
test('a year of windows that no millisecond fits drifts by nothing', async () => {
  const window = 1000 / 3;
  const { pipeline: p, clock } = arrange(fixedWindow({ limit: 1, window, aligned: true }));
  for (let year = 0; year < 3; year++) {
    for (let i = 0; i < 50; i++) {
      expect(rush(p, 2)).toBe(1);
      await clock.advance(window);
    }
    await clock.advance(window * 94_608_000 - 50 * window);
  }
});

// Elsewhere everybody who waited for the window is let in when it opens, more than it holds.
test('when a window opens late, no more of those who waited get in than it holds, and nobody overtakes them', async () => {
  const { run, clock, pipeline: p } = arrange(fixedWindow({ limit: 3, window: '1s', maxWait: '1h' }));
  const at: number[] = [];
  const calls = Array.from({ length: 12 }, () => run(() => at.push(clock.now())));
  await clock.stall(2500);
  expect(p.tryAcquire().admitted).toBe(false);
  await clock.until(Promise.all(calls));
  for (const from of at) expect(at.filter((time) => time >= from && time < from + 999).length).toBeLessThanOrEqual(3);
});

// Elsewhere five thousand made-up keys wash a count away, and whoever was blocked is let in again.
test('a key that is blocked or has used up its limit is not forgotten, however many other keys come', async () => {
  const clock = new VirtualClock();
  const p = pipeline([perKey(() => fixedWindow({ limit: 2, window: '1m', blockFor: '1h' }), { max: 100, idle: '10s' })], { clock });
  const ask = (key: string): boolean => {
    const answer = p.tryAcquire({ key });
    if (answer.admitted) answer.success();
    return answer.admitted;
  };
  expect([ask('offender'), ask('offender'), ask('offender')]).toEqual([true, true, false]);
  for (let minute = 0; minute < 59; minute++) {
    for (let i = 0; i < 200; i++) ask(`made up ${minute} ${i}`);
    await clock.advance('1m');
    expect(ask('offender')).toBe(false);
  }
  await clock.advance('1m');
  expect(ask('offender')).toBe(true);
});

// Elsewhere a call is made to wait its full time for a window that cannot open in time.
test('a call that could not be let in before its deadline, or within its patience, is refused at once', async () => {
  for (const make of [fixedWindow, slidingWindow, slidingLog]) {
    const { run, clock } = arrange(make({ limit: 1, window: '10s', maxWait: '5s' }));
    await run(() => 1);
    expect(await run(() => 1).catch((error: unknown) => error)).toBeInstanceOf(RateLimitedError);
    await clock.advance('6s');
    expect(await run(() => 1, { deadline: 3000 }).catch((error: unknown) => error)).toBeInstanceOf(RateLimitedError);
    expect([clock.now(), clock.pending]).toEqual([6000, 0]);
  }
});
