import { describe, expect, test } from 'vitest';
import {
  type CallOptions,
  OptionsError,
  RateLimitedError,
  type Refusal,
  circuitBreaker,
  composite,
  fixedWindow,
  hotKey,
  leakyBucket,
  perKey,
  pipeline,
  retry,
  slidingLog,
  slidingWindow,
  tokenBucket,
  warmUp,
} from 'breakwater';
import { VirtualClock } from 'breakwater/testing';

describe('the cost of a call', () => {
  const limits = {
    'token bucket': () => tokenBucket({ rate: 1, burst: 10 }),
    'leaky bucket': () => leakyBucket({ rate: 1, burst: 9, delay: 9, maxQueueTime: 0 }),
    'fixed window': () => fixedWindow({ limit: 10, window: '1m' }),
    'sliding window': () => slidingWindow({ limit: 10, window: '1m' }),
    'sliding log': () => slidingLog({ limit: 10, window: '1m' }),
    'warm-up': () => warmUp({ rate: 10, warmUpPeriod: 0 }),
    composite: () => composite([fixedWindow({ limit: 10, window: '1m' }), tokenBucket({ rate: 1, burst: 20 })]),
    'keyed ledger': () => perKey(() => fixedWindow({ limit: 10, window: '1m' })),
    'keyed policies': () => perKey((key) => fixedWindow({ limit: key.length + 7, window: '1m' })),
  };

  test.each(Object.entries(limits))('is what it takes of a %s that does not say so itself; 1 if it says nothing', (_, make) => {
    const p = pipeline([make()], { clock: new VirtualClock() });
    const left = (): number => Math.floor(p.quotas({ key: 'ada' })[0]?.remaining ?? NaN);
    const pay = (cost?: number): boolean => p.tryAcquire({ key: 'ada', ...(cost !== undefined && { cost }) }).admitted;
    expect([pay(3), left()]).toEqual([true, 7]);
    expect([pay(), left()]).toEqual([true, 6]);
    expect([pay(0), left()]).toEqual([true, 6]);
    expect([pay(2.5), left()]).toEqual([true, 3]);
    expect([pay(3), left()]).toEqual([true, 0]);
    expect([pay(1), pay(0)]).toEqual([false, true]);
  });

  test("gives way to a limiter's own option", () => {
    const flat = fixedWindow({ limit: 10, window: '1m', cost: 2 });
    const weighed = fixedWindow({ limit: 100, window: '1m', cost: (call) => call.cost * 10 });
    pipeline([flat, weighed]).tryAcquire({ cost: 5 });
    expect([flat.available, weighed.available]).toEqual([8, 50]);
  });

  test('of nothing leaves no trace in a limit that is used up', () => {
    const log = slidingLog({ limit: 1, window: '1m' });
    const p = pipeline([log]);
    for (let i = 0; i < 100; i++) expect(p.tryAcquire({ cost: 0 }).admitted).toBe(true);
    expect(log.snapshot().entries).toBe(0);
  });

  test('is taken again by each attempt, and given back by those that never ran', async () => {
    const window = fixedWindow({ limit: 100, window: '1m' });
    const tries = pipeline([retry({ maxAttempts: 3, backoff: { delay: 0 } }), window]);
    await tries.executeOutcome(() => Promise.reject(new Error('down')), { cost: 7 });
    expect(window.used).toBe(21);
    const turnedAway = pipeline([
      window,
      fixedWindow({ limit: 1, window: '1m', cost: 1 }),
      fixedWindow({ limit: 1, window: '1m', cost: 1 }),
    ]);
    turnedAway.tryAcquire({ cost: 4 });
    turnedAway.tryAcquire({ cost: 4 });
    expect(window.used).toBe(25);
  });

  test('is its own: calls made in its work cost what they say, and a pipeline within sees it', async () => {
    const inner = fixedWindow({ limit: 100, window: '1m' });
    const outer = fixedWindow({ limit: 100, window: '1m' });
    const service = pipeline([inner], { name: 'service' });
    await pipeline([outer, pipeline([inner], { name: 'nested' })]).execute(({ signal }) => service.execute(() => 1, { signal }), {
      cost: 9,
    });
    expect([outer.used, inner.used]).toEqual([9, 10]);
  });

  test('can be read by the work', async () => {
    const p = pipeline([]);
    expect([await p.execute((call) => call.cost), await p.execute((call) => call.cost, { cost: 0.5 })]).toEqual([1, 0.5]);
  });

  test('is no affair of hot keys, which count calls', () => {
    const p = pipeline([hotKey({ limit: 4, threshold: 1, window: '1m' })], { clock: new VirtualClock() });
    p.tryAcquire({ key: 'a', cost: 3 });
    p.tryAcquire({ key: 'a', cost: 3 });
    expect(p.quotas({ key: 'a' })[0]?.remaining).toBe(2);
  });

  test.each([-1, NaN, Infinity, '2', null])('%s is none', async (cost) => {
    const options = { cost } as unknown as CallOptions;
    await expect(pipeline([]).execute(() => 1, options)).rejects.toThrow(OptionsError);
    await expect(pipeline([]).execute(() => 1, options)).rejects.toThrow('call.cost: expected a number of at least 0');
  });
});

describe('a call that can never pass', () => {
  const p = pipeline([fixedWindow({ limit: 10, window: '1m', maxWait: Infinity })], { name: 'api' });

  test('is told so: its retryAfter is Infinity, and one that must wait is told for how long', async () => {
    const never = p.tryAcquire({ cost: 11 }) as Refusal;
    expect(never.retryAfter).toBe(Infinity);
    expect(never.error).toBeInstanceOf(RateLimitedError);
    await expect(p.execute(() => 1, { cost: 11 })).rejects.toMatchObject({ retryAfter: Infinity });
    expect(p.quotas()[0]).toMatchObject({ remaining: 10 });
  });

  test('is one without a key where keys are asked for', () => {
    const keyed = pipeline([perKey(() => tokenBucket({ rate: 1 }), { missing: 'refuse' })]);
    expect((keyed.tryAcquire() as Refusal).retryAfter).toBe(Infinity);
  });

  test('is not tried again, whoever wants refusals retried, and no circuit opens for it', async () => {
    const circuit = circuitBreaker({ consecutiveFailures: 1 });
    const budget: unknown[] = [];
    const outside = pipeline([retry({ maxAttempts: 5, when: () => true, backoff: { delay: 0 } }), circuit], {
      on: ({ type }) => budget.push(type),
    });
    let attempts = 0;
    const outcome = await outside.executeOutcome(() => {
      attempts++;
      return p.execute(() => 1, { cost: 11 });
    });
    expect([attempts, circuit.state, outcome.ok]).toEqual([1, 'closed', false]);
    expect(budget).not.toContain('retry.scheduled');
  });
});
