import { describe, expect, test } from 'vitest';
import { OptionsError, RateLimitedError, pipeline } from 'breakwater';
import { VirtualClock, arrange, gateContract, policyContract } from 'breakwater/testing';
import { type AdaptiveRate, type AdaptiveRateOptions, adaptiveRate } from '../../src/policies/adaptive-rate.ts';
import { reasonOf } from '../support/answers.ts';

const tooMany = (): object => ({ status: 429, headers: {} });
const fine = (): object => ({ status: 200, headers: {} });

/** One that has been told that it is too much, and allows next to nothing. */
function engaged(options: AdaptiveRateOptions): AdaptiveRate {
  const limit = adaptiveRate(options);
  const lease = pipeline([limit]).tryAcquire();
  if (lease.admitted) lease.failure(Object.assign(new Error('too many'), { status: 429 }));
  return limit;
}

const contract = {
  waits: () => {
    let calls = 0;
    return engaged({ minRate: 1 / 120, maxWait: '10h', cost: () => (calls++ < 2 ? 0 : 1) });
  },
  refuses: () => engaged({ minRate: 1e-6, maxWait: 0 }),
  factory: {
    create: adaptiveRate,
    options: { beta: 0.7, scale: 0.4, smoothing: 0.8, minRate: 5, maxWait: '1s', maxQueue: 10, cost: 1, name: 'found' },
  },
  describe,
  it: test,
};
policyContract(() => adaptiveRate(), { ...contract, name: 'adaptiveRate' });
gateContract(() => adaptiveRate(), { ...contract, name: 'adaptiveRate' });

describe('an adaptive rate', () => {
  test('is no limit until the service says that it is asked too often, and begins with nothing saved up', async () => {
    const { run, clock, policy, events } = arrange(adaptiveRate());
    for (let i = 0; i < 400; i++) {
      await run(fine);
      await clock.advance(5);
    }
    expect([policy.engaged, policy.rate, policy.available]).toEqual([false, Infinity, Infinity]);
    expect(policy.snapshot()).toMatchObject({ engaged: false, rate: null, available: null });
    await run(tooMany);
    const { rate, measured } = policy;
    expect(rate).toBeCloseTo(0.7 * measured, 9);
    expect(measured).toBeCloseTo(200, 0);
    expect(events.find(({ type }) => type === 'adaptive-rate.engaged')).toMatchObject({ level: 'warn', rate, measured });
    const next = run(() => clock.now());
    expect([policy.waiting, policy.available]).toEqual([1, 0]);
    expect(await clock.until(next)).toBe(2000 + Math.ceil(1000 / rate));
  });

  test('refuses at once what would have to wait longer than five seconds, and says when to come back', async () => {
    const { run, clock, pipeline: p } = arrange(adaptiveRate({ minRate: 0.5 }), { name: 'api' });
    await run(tooMany);
    const calls = Array.from({ length: 4 }, () => reasonOf(run(fine)));
    expect(await calls[2]).toMatchObject({
      code: 'ERR_RATE_LIMITED',
      message: 'api: adaptive-rate allows 0.5 per second now, as the service has said that it is asked too often',
      retryAfter: 1000,
    });
    expect(p.tryAcquire()).toMatchObject({ admitted: false, retryAfter: 6000 });
    void Promise.allSettled(calls);
    await clock.runAll();
  });

  test('a deadline that comes before the turn refuses at once as well', async () => {
    const { run, clock } = arrange(adaptiveRate());
    await run(tooMany);
    expect(await reasonOf(run(fine, { deadline: 1500 }))).toBeInstanceOf(RateLimitedError);
    expect(clock.pending).toBe(0);
  });

  test('what the service bears is found and kept to: few answers say no, and most of what it bears is used', async () => {
    const clock = new VirtualClock();
    const limit = adaptiveRate({ maxWait: '10s', maxQueue: 100 });
    const p = pipeline([limit], { clock });
    const CAPACITY = 50;
    let tokens = 10;
    let filled = 0;
    const counts = { served: 0, denied: 0 };
    const service = (): object => {
      const now = clock.now();
      tokens = Math.min(10, tokens + ((now - filled) * CAPACITY) / 1000);
      filled = now;
      if (tokens < 1) {
        counts.denied++;
        return tooMany();
      }
      tokens--;
      counts.served++;
      return fine();
    };
    for (let ms = 0; ms < 60_000; ms += 10) {
      void p.executeOutcome(service);
      await clock.advance(10);
      if (ms === 10_000) counts.served = counts.denied = 0;
    }
    expect(counts.served / 50).toBeGreaterThan(0.7 * CAPACITY);
    expect(counts.denied / (counts.served + counts.denied)).toBeLessThan(0.1);
  });

  test('calls that were under way when the rate dropped do not make it drop again', async () => {
    const { run, clock, policy, events } = arrange(adaptiveRate());
    for (let i = 0; i < 200; i++) {
      await run(fine);
      await clock.advance(10);
    }
    const calls = Array.from({ length: 50 }, (_, i) =>
      run(() => new Promise((resolve) => clock.setTimeout(() => resolve(tooMany()), 100 + i))),
    );
    await clock.until(Promise.all(calls));
    expect(policy.rate).toBeGreaterThan(60);
    expect(events.filter(({ type }) => type === 'adaptive-rate.slowed')).toEqual([]);
    await clock.advance(1000);
    await run(tooMany);
    expect(events.filter(({ type }) => type === 'adaptive-rate.slowed')).toHaveLength(1);
  });

  test('those who wait are told at once when a lower rate makes their wait hopeless', async () => {
    const { run, clock, policy } = arrange(adaptiveRate({ maxWait: '1s' }));
    for (let i = 0; i < 300; i++) {
      await run(fine);
      await clock.advance(10);
    }
    await run(tooMany);
    const rate = Math.floor(policy.rate);
    let refused = 0;
    const calls = Array.from({ length: rate }, (_, i) => run(i === 0 ? tooMany : fine).catch(() => refused++));
    expect([policy.waiting, refused]).toEqual([rate, 0]);
    await clock.advance(20);
    expect(policy.rate).toBeLessThan(0.75 * rate);
    expect(refused).toBeGreaterThan(0.25 * rate);
    const left = policy.waiting;
    expect(left).toBeGreaterThan(0.6 * rate);
    await clock.until(Promise.all(calls));
    expect([refused, clock.pending]).toEqual([rate - 1 - left, 0]);
  });

  test('reset lets go of the limit, and those who wait with it', async () => {
    const { run, clock, policy } = arrange(adaptiveRate());
    await run(tooMany);
    const waiting = run(() => clock.now());
    policy.reset();
    expect([await waiting, policy.engaged, policy.rate, policy.waiting]).toEqual([0, false, Infinity, 0]);
    expect(clock.pending).toBe(0);
  });

  test('the policy can be told what means too often', async () => {
    const { run, policy } = arrange(
      adaptiveRate({ classify: (outcome) => (outcome.ok && outcome.value === 'slow down' ? { throttled: true } : undefined) }),
    );
    await run(() => 'fine');
    expect(policy.engaged).toBe(false);
    await run(() => 'slow down');
    expect(policy.engaged).toBe(true);
  });

  test('refusals from further in and aborts are no word of the service', async () => {
    const limit = adaptiveRate();
    const { run, policy } = arrange(limit);
    const caller = new AbortController();
    const call = reasonOf(run(() => new Promise(() => undefined), { signal: caller.signal }));
    caller.abort('enough');
    expect(await call).toBe('enough');
    await reasonOf(run(() => Promise.reject(new RateLimitedError('mine', {}))));
    expect(policy.engaged).toBe(false);
  });

  test('shows its options as plain data, counts as strained when calls wait, and is at rest without a limit', async () => {
    const { run, clock, pipeline: p, policy } = arrange(adaptiveRate({ classify: () => undefined }));
    expect(p.describe()).toMatchObject({
      layers: [{ options: { beta: 0.7, scale: 0.4, smoothing: 0.8, minRate: 0.5, maxWait: 5000, maxQueue: 1000, classify: 'chosen' } }],
    });
    const strained = (policy as unknown as { strained(): boolean }).strained.bind(policy);
    expect([strained(), policy.atRest(0)]).toEqual([false, true]);
    await run(tooMany);
    expect([strained(), policy.atRest(0)]).toEqual([true, false]);
    await clock.advance('1m');
    expect([strained(), policy.atRest(60_000)]).toEqual([false, true]);
  });
});

test.each([
  [{ beta: 0 }, 'beta'],
  [{ beta: 1.1 }, 'beta'],
  [{ scale: 0 }, 'scale'],
  [{ smoothing: 0 }, 'smoothing'],
  [{ minRate: 0 }, 'minRate'],
  [{ classify: 'no' }, 'classify'],
  [{ rate: 1 }, 'rate'],
])('the options %j are refused (G9)', (options, path) => {
  expect(() => adaptiveRate(options as AdaptiveRateOptions)).toThrow(OptionsError);
  expect(() => adaptiveRate(options as AdaptiveRateOptions)).toThrow(`adaptiveRate.${path}`);
});
