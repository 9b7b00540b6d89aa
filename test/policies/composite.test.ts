import { AsyncLocalStorage } from 'node:async_hooks';
import { describe, expect, test } from 'vitest';
import { OptionsError, type RateLimitedError, bulkhead, pipeline } from 'breakwater';
import { VirtualClock, arrange, gateContract, policyContract, work } from 'breakwater/testing';
import { adaptiveRate } from '../../src/policies/adaptive-rate.ts';
import { type CompositeOptions, composite } from '../../src/policies/composite.ts';
import { fixedWindow } from '../../src/policies/fixed-window.ts';
import { leakyBucket } from '../../src/policies/leaky-bucket.ts';
import { tokenBucket } from '../../src/policies/token-bucket.ts';
import { warmUp } from '../../src/policies/warm-up.ts';
import { reasonOf } from '../support/answers.ts';

const roomy = (options: CompositeOptions = {}) =>
  composite([tokenBucket({ rate: 1, per: '1h', burst: 400 }), fixedWindow({ limit: 300, window: '1h' })], options);
const contract = {
  waits: () => composite([tokenBucket({ rate: 1, per: '2m', burst: 1 }), tokenBucket({ rate: 100 })], { maxWait: '1h' }),
  refuses: () => composite([tokenBucket({ rate: 100 }), tokenBucket({ rate: 1, per: '1h', burst: 1, initial: 0 })]),
  factory: { create: roomy, options: { maxWait: '1s', maxQueue: 10, refundOnAbort: true, name: 'both' } },
  describe,
  it: test,
};
policyContract(() => roomy(), { ...contract, name: 'composite' });
gateContract(() => roomy({ maxWait: Infinity }), { ...contract, name: 'composite' });

describe('a composite', () => {
  test('charges all of its limits or none', () => {
    const second = tokenBucket({ rate: 10 });
    const hour = tokenBucket({ rate: 1000, per: '1h', burst: 3 });
    const { pipeline: p, policy } = arrange(composite([second, hour]));
    expect([1, 2].map(() => p.tryAcquire().admitted)).toEqual([true, true]);
    expect(policy.available).toBe(1);
    expect([3, 4, 5].map(() => p.tryAcquire().admitted)).toEqual([true, false, false]);
    expect([second.available, hour.available, policy.available]).toEqual([7, 0, 0]);
  });

  test('says which limit says no and when all of them would say yes, to the millisecond (L4), and a refusal changes nothing (L3)', async () => {
    const second = tokenBucket({ rate: 10, burst: 2 });
    const hour = tokenBucket({ rate: 3600, per: '1h', burst: 2, name: 'hourly' });
    const { run, pipeline: p, clock } = arrange(composite([second, hour]), { name: 'api' });
    await run(() => 1);
    await run(() => 2);
    const reason = (await reasonOf(run(() => 3, { key: 'k' }))) as RateLimitedError;
    expect(reason).toMatchObject({
      code: 'ERR_RATE_LIMITED',
      message: 'api: composite allows what all of its limits allow; hourly says no, with 3600 per 3600000 ms and 2 at once',
      retryAfter: 1000,
      key: 'k',
    });
    for (let i = 0; i < 100; i++) p.tryAcquire();
    expect([second.available, hour.available]).toEqual([0, 0]);
    await clock.advance(999);
    expect(p.tryAcquire().admitted).toBe(false);
    await clock.advance(1);
    expect(p.tryAcquire().admitted).toBe(true);
  });

  test('each limit has a cost of its own: calls, tokens, and calls that are free of one of them', () => {
    const calls = tokenBucket({ rate: 5, burst: 5 });
    const tokens = tokenBucket({ rate: 1000, per: '1m', burst: 1000, cost: ({ tags }) => Number(tags['tokens'] ?? 0) });
    const { pipeline: p } = arrange(composite([calls, tokens]));
    expect(p.tryAcquire({ tags: { tokens: 900 } }).admitted).toBe(true);
    expect(p.tryAcquire({ tags: { tokens: 200 } })).toMatchObject({ admitted: false, retryAfter: 6000 });
    expect(p.tryAcquire().admitted).toBe(true);
    expect([calls.available, tokens.available]).toEqual([3, 100]);
    const never = p.tryAcquire({ tags: { tokens: 2000 } });
    expect(never).toHaveProperty('retryAfter', Infinity);
    expect(String((never as { error: Error }).error)).toContain('can never pass');
  });

  test('a call that waits is charged when it passes and not before, so what it waits for is there for others meanwhile', async () => {
    const fast = tokenBucket({ rate: 1, per: '1s', burst: 1 });
    const slow = tokenBucket({ rate: 1, per: '10s', burst: 1 });
    const clock = new VirtualClock();
    const both = pipeline([composite([fast, slow], { maxWait: '1m' })], { clock });
    const alone = pipeline([fast], { clock });
    await both.execute(() => 1);
    const second = both.execute(() => clock.now());
    await clock.advance(5000);
    expect(alone.tryAcquire().admitted).toBe(true);
    expect(await clock.until(second)).toBe(10_000);
    expect([fast.available, slow.available]).toEqual([0, 0]);
    expect(clock.pending).toBe(0);
  });

  test('whoever waits looks again when the time has come: others may have used the limits meanwhile', async () => {
    const fast = tokenBucket({ rate: 1, burst: 1 });
    const clock = new VirtualClock();
    const both = pipeline([composite([fast, tokenBucket({ rate: 1, per: '3s', burst: 1 })], { maxWait: '3500ms' })], { clock });
    const alone = pipeline([fast], { clock });
    await both.execute(() => 1);
    const second = both.execute(() => clock.now());
    await clock.advance(2400);
    expect(alone.tryAcquire().admitted).toBe(true);
    expect(await clock.until(second)).toBe(3400);
    const third = reasonOf(both.execute(() => clock.now()));
    await clock.advance(2900);
    expect(alone.tryAcquire().admitted).toBe(true);
    await clock.advance(100);
    expect(await third).toMatchObject({ code: 'ERR_RATE_LIMITED', retryAfter: 900 });
    expect(clock.pending).toBe(0);
  });

  test('those who wait for one of the limits by itself are not overtaken, by small calls neither', async () => {
    const shared = tokenBucket({ rate: 1, burst: 2, maxWait: '1m', cost: ({ tags }) => Number(tags['cost'] ?? 1) });
    const clock = new VirtualClock();
    const both = pipeline([composite([shared, tokenBucket({ rate: 100 })], { maxWait: '1m' })], { clock });
    const alone = pipeline([shared], { clock });
    const tags = { cost: 2 };
    await alone.execute(() => 1, { tags });
    const order: string[] = [];
    const large = alone.execute(() => order.push(`alone at ${clock.now()}`), { tags });
    await clock.advance(1500); // there is a token, and it is for the one who waits for two
    expect(both.tryAcquire()).toMatchObject({ admitted: false, retryAfter: 1500 });
    const small = both.execute(() => order.push(`both at ${clock.now()}`));
    await clock.until(Promise.all([large, small]));
    expect(order).toEqual(['alone at 2000', 'both at 3000']);
  });

  test('waits first come, first served, and refuses at once what is hopeless', async () => {
    const { run, clock, policy } = arrange(
      composite([tokenBucket({ rate: 10, burst: 1 }), leakyBucket({ rate: 5 })], { maxWait: '500ms' }),
    );
    await run(() => 1);
    const calls = [run(() => clock.now()), run(() => clock.now())];
    expect(await reasonOf(run(() => 1))).toMatchObject({ code: 'ERR_RATE_LIMITED' });
    expect(policy.waiting).toBe(2);
    expect(await clock.until(Promise.all(calls))).toEqual([200, 400]);
    expect(clock.pending).toBe(0);
  });

  test('names the limit that a newcomer would have to wait for longest, behind those who wait as well', async () => {
    const { run, clock } = arrange(
      composite(
        [tokenBucket({ rate: 1, per: '1m', burst: 1, name: 'minute' }), tokenBucket({ rate: 1, per: '1h', burst: 2, name: 'hour' })],
        {
          maxWait: '5m',
        },
      ),
    );
    await run(() => 1);
    const second = run(() => clock.now());
    const reason = (await reasonOf(run(() => 3))) as RateLimitedError;
    expect(reason.message).toContain('hour says no, with 1 per 3600000 ms');
    expect(reason.retryAfter).toBeCloseTo(3_600_000 - 300_000, 3);
    expect(await clock.until(second)).toBe(60_000);
  });

  test('an abort ends the wait in the same tick with its reason, and nothing was charged (L6)', async () => {
    const fast = tokenBucket({ rate: 10, burst: 2 });
    const { run, clock, policy } = arrange(composite([fast, tokenBucket({ rate: 1, burst: 1 })], { maxWait: '1m' }));
    await run(() => 1);
    const caller = new AbortController();
    const waiting = reasonOf(run(() => 1, { signal: caller.signal }));
    caller.abort('gone');
    expect([policy.waiting, await waiting, fast.available, clock.pending]).toEqual([0, 'gone', 1, 0]);
  });

  test('what never ran is given back to all, and so is what an outcome refunds', async () => {
    const limits = [tokenBucket({ rate: 1, burst: 2 }), fixedWindow({ limit: 2, window: '1h' })];
    const { pipeline: p } = arrange([composite(limits), bulkhead({ maxConcurrent: 0 })]);
    for (let i = 0; i < 20; i++) expect(p.tryAcquire().admitted).toBe(false);
    expect(limits.map((limit) => (limit as { available: number }).available)).toEqual([2, 2]);
    const { run } = arrange(composite(limits, { refundIf: ({ ok }) => !ok }));
    await reasonOf(run(work('fail')));
    expect(limits.map((limit) => (limit as { available: number }).available)).toEqual([2, 2]);
    await run(work('ok'));
    expect(limits.map((limit) => (limit as { available: number }).available)).toEqual([1, 1]);
  });

  test('an overloaded service drains all of them', async () => {
    const limits = [tokenBucket({ rate: 1, burst: 5 }), tokenBucket({ rate: 1, burst: 9 })];
    const { run } = arrange(composite(limits, { drainOn: 'overload' }));
    await run(() => ({ status: 503, headers: {} }));
    expect(limits.map(({ available }) => available)).toEqual([0, 0]);
  });

  test('composites nest, and all kinds of limiters go together', async () => {
    const inner = composite([tokenBucket({ rate: 10, burst: 4 }), warmUp({ rate: 10, warmUpPeriod: 0 })]);
    const {
      pipeline: p,
      run,
      clock,
    } = arrange(composite([inner, fixedWindow({ limit: 3, window: '1m' }), leakyBucket({ rate: 1, delay: 9 })], { maxWait: '2m' }));
    expect([1, 2, 3, 4].map(() => p.tryAcquire().admitted)).toEqual([true, true, true, false]);
    expect(inner.limits.map((limit) => (limit as unknown as { available: number }).available)).toEqual([1, 7]);
    expect(await clock.until(run(() => clock.now()))).toBe(60_000);
  });

  test('the work runs in the async context of its caller, after a wait too (G7)', async () => {
    const { run, clock } = arrange(composite([tokenBucket({ rate: 10, burst: 1 })], { maxWait: '1m' }));
    const context = new AsyncLocalStorage<number>();
    const calls = [1, 2, 3].map((n) => context.run(n, () => run(() => context.getStore())));
    expect(await clock.until(Promise.all(calls))).toEqual([1, 2, 3]);
  });

  test('shows its limits and its options as plain data, and is at rest when all of them are', async () => {
    const hour = tokenBucket({ rate: 10, per: '1h', name: 'hourly' });
    const { pipeline: p, run, clock, policy, events } = arrange(composite([tokenBucket({ rate: 2, burst: 1 }), hour], { maxWait: '10s' }));
    expect(policy.atRest(0)).toBe(true);
    void run(() => 1);
    void run(() => 2);
    expect(p.snapshot()['policies']).toEqual([
      {
        kind: 'composite',
        name: 'composite',
        available: 0,
        waiting: 1,
        limits: [
          { kind: 'token-bucket', name: 'token-bucket', available: 0, waiting: 0, rate: 2, per: 1000, burst: 1 },
          { kind: 'token-bucket', name: 'hourly', available: 9, waiting: 0, rate: 10, per: 3_600_000, burst: 10 },
        ],
      },
    ]);
    expect(p.describe()).toMatchObject({ layers: [{ options: { limits: [{ rate: 2 }, { rate: 10 }], maxWait: 10_000, maxQueue: 1000 } }] });
    expect(events.find(({ type }) => type === 'composite.delayed')).toMatchObject({ level: 'debug', wait: 500, cost: [1, 1] });
    expect((policy as unknown as { strained(call: unknown): boolean }).strained({})).toBe(true);
    await clock.runAll();
    expect([policy.atRest(clock.now()), policy.atRest(3_600_000)]).toEqual([false, true]);
    hour.update({ rate: 20 });
    expect(policy.atRest(7_200_000)).toBe(false);
  });
});

test.each<[unknown, string, string]>([
  [[], 'composite', 'at least one'],
  [undefined, 'composite', 'nothing'],
  [tokenBucket({ rate: 1 }), 'composite', 'an object'],
  [[bulkhead({ maxConcurrent: 1 })], 'composite[0]', "'bulkhead'"],
  [[tokenBucket({ rate: 1 }), 7], 'composite[1]', '7'],
  [[pipeline([tokenBucket({ rate: 1 })])], 'composite[0]', 'a rate limiter'],
  [[tokenBucket({ rate: 1, mode: 'shadow' })], 'composite[0]', "'enforce'"],
  [[adaptiveRate()], 'composite[0]', 'learns'],
])('limits that cannot be charged together are refused, with what would do: case %#', (limits, path, words) => {
  const attempt = (): unknown => composite(limits as []);
  expect(attempt).toThrow(OptionsError);
  expect(attempt).toThrow(path);
  expect(attempt).toThrow(words === 'nothing' ? 'undefined' : words);
});

test('a limit that is there twice, inside another composite too, is refused: a call would be charged twice', () => {
  const limit = tokenBucket({ rate: 1 });
  expect(() => composite([limit, limit])).toThrow('charged twice');
  expect(() => composite([composite([limit]), limit])).toThrow('composite[1]');
});

test.each([
  [{ cost: 1 }, 'cost'],
  [{ maxWait: -1 }, 'maxWait'],
  [{ maxQueue: 0.5 }, 'maxQueue'],
  [{ rate: 1 }, 'rate'],
])('the options %j are refused (G9)', (options, path) => {
  expect(() => composite([tokenBucket({ rate: 1 })], options as CompositeOptions)).toThrow(`composite.${path}`);
});
