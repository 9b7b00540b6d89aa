import { AsyncLocalStorage } from 'node:async_hooks';
import { describe, expect, test } from 'vitest';
import { OptionsError, RateLimitedError, definePolicy, pipeline, refuse } from 'breakwater';
import { VirtualClock, arrange, gateContract, policyContract } from 'breakwater/testing';
import { type LeakyBucketOptions, leakyBucket } from '../../src/policies/leaky-bucket.ts';
import { problemsOf, reasonOf } from '../support/answers.ts';

const contract = {
  waits: () => leakyBucket({ rate: 1, per: '2m', maxQueueTime: '10h' }),
  refuses: () => {
    const shut = leakyBucket({ rate: 1, per: '1000h', burst: 0 });
    pipeline([shut]).tryAcquire();
    return shut;
  },
  factory: { create: leakyBucket, options: { rate: 300, per: '1m', burst: 300, delay: 300, maxQueueTime: '1s', name: 'pace' } },
  describe,
  it: test,
};
policyContract(() => leakyBucket({ rate: 1, per: '1h', burst: 300, delay: 300 }), { ...contract, name: 'leakyBucket' });
gateContract(() => leakyBucket({ rate: 1, per: '1h', burst: 400, delay: 300, maxQueueTime: Infinity }), {
  ...contract,
  name: 'leakyBucket',
});

/** When each of `count` calls that come at once leaves, ms; what is refused is told by its `retryAfter`. */
async function crowd(options: LeakyBucketOptions, count: number): Promise<(number | { retryAfter: number | undefined })[]> {
  const { run, clock } = arrange(leakyBucket(options));
  const calls = Array.from({ length: count }, () =>
    run(() => clock.now()).catch((error: unknown) => ({ retryAfter: (error as RateLimitedError).retryAfter })),
  );
  const left = await clock.until(Promise.all(calls));
  expect(clock.pending).toBe(0);
  return left;
}

describe('a leaky bucket', () => {
  test('lets calls leave at a constant rate, and refuses at once what it would have to hold too long', async () => {
    expect(await crowd({ rate: 10, maxQueueTime: 300 }, 6)).toEqual([0, 100, 200, 300, { retryAfter: 100 }, { retryAfter: 100 }]);
  });

  test('holds half a second at most unless told otherwise', async () => {
    expect((await crowd({ rate: 10 }, 20)).filter((left) => typeof left === 'number')).toEqual([0, 100, 200, 300, 400, 500]);
  });

  test('bears `burst` calls ahead of the rate, of which `delay` pass at once', async () => {
    expect(await crowd({ rate: 10, burst: 3, delay: 1 }, 5)).toEqual([0, 0, 100, 200, { retryAfter: 100 }]);
    expect(await crowd({ rate: 10, burst: 3, delay: Infinity }, 5)).toEqual([0, 0, 0, 0, { retryAfter: 100 }]);
    expect(await crowd({ rate: 10, burst: 0 }, 2)).toEqual([0, { retryAfter: 100 }]);
  });

  test('what was quiet does not add up: after an hour the calls leave one by one again', async () => {
    const { run, clock } = arrange(leakyBucket({ rate: 10 }));
    await run(() => 1);
    await clock.advance('1h');
    const calls = [1, 2, 3].map(() => run(() => clock.now() - 3_600_000));
    expect(await clock.until(Promise.all(calls))).toEqual([0, 100, 200]);
  });

  test('says when to come back, to the millisecond (L4), and a refusal changes nothing (L3)', async () => {
    const { run, pipeline: p, clock, policy } = arrange(leakyBucket({ rate: 3, burst: 0 }), { name: 'mail' });
    await run(() => 1);
    await clock.advance(100);
    const reason = (await reasonOf(run(() => 1, { key: 'k' }))) as RateLimitedError;
    expect(reason).toMatchObject({
      message: 'mail: leaky-bucket allows 3 to leave per 1000 ms and bears 0 ahead of that',
      code: 'ERR_RATE_LIMITED',
      pipeline: 'mail',
      policy: 'leaky-bucket',
      key: 'k',
    });
    for (let i = 0; i < 1000; i++) p.tryAcquire();
    expect(policy.excess).toBeCloseTo(0.7, 12);
    await clock.advance((reason.retryAfter as number) - 1);
    expect(p.tryAcquire().admitted).toBe(false);
    await clock.advance(1);
    expect(p.tryAcquire().admitted).toBe(true);
  });

  test('who wants an answer now is refused rather than held', async () => {
    const { pipeline: p, clock } = arrange(leakyBucket({ rate: 10 }));
    expect(p.tryAcquire().admitted).toBe(true);
    expect(p.tryAcquire()).toMatchObject({ admitted: false, retryAfter: 100 });
    await clock.advance(100);
    expect(p.tryAcquire().admitted).toBe(true);
  });

  test('an abort ends the wait in the same tick with its reason, and those behind move up (L6)', async () => {
    const { run, clock, policy } = arrange(leakyBucket({ rate: 10 }));
    await run(() => 1);
    const caller = new AbortController();
    const first = reasonOf(run(() => 1, { signal: caller.signal }));
    const second = run(() => clock.now());
    caller.abort('gone');
    expect([policy.waiting, policy.excess]).toEqual([1, 2]);
    expect(await first).toBe('gone');
    expect(await clock.until(second)).toBe(100);
  });

  test('a place is given back if something further in refused the call (L6)', () => {
    const shut = definePolicy({ kind: 'shut', gate: { enter: () => refuse(new Error('shut')), settle() {}, cancel() {} } });
    const bucket = leakyBucket({ rate: 1, burst: 0 });
    const { pipeline: p } = arrange([bucket, shut]);
    for (let i = 0; i < 50; i++) p.tryAcquire();
    expect(bucket.excess).toBe(0);
  });

  test('several pipelines share one rate', async () => {
    const clock = new VirtualClock();
    const bucket = leakyBucket({ rate: 10 });
    const a = pipeline([bucket], { clock, name: 'a' });
    const b = pipeline([bucket], { clock, name: 'b' });
    const calls = [a, b, a, b].map((p) => p.execute(() => clock.now()));
    expect(await clock.until(Promise.all(calls))).toEqual([0, 100, 200, 300]);
  });

  test('the work runs in the async context of its caller, after a wait too (G7)', async () => {
    const { run, clock } = arrange(leakyBucket({ rate: 10 }));
    const context = new AsyncLocalStorage<number>();
    const calls = [1, 2, 3].map((n) => context.run(n, () => run(() => context.getStore())));
    expect(await clock.until(Promise.all(calls))).toEqual([1, 2, 3]);
  });

  test('is much faster than timers are, without losing rate', async () => {
    const left = (await crowd({ rate: 5000 }, 2000)) as number[];
    expect(Math.max(...left)).toBe(400);
    for (const [i, at] of left.entries()) expect(at).toBe(Math.ceil(i / 5));
  });

  test('shows its state and its options as plain data', () => {
    const { pipeline: p, policy, events } = arrange(leakyBucket({ rate: 60, per: '1m', burst: 5, delay: 1, maxQueueTime: '10s' }));
    for (let i = 0; i < 3; i++) void p.execute(() => 1);
    expect(p.snapshot()['policies']).toEqual([
      { kind: 'leaky-bucket', name: 'leaky-bucket', excess: 3, waiting: 1, rate: 60, per: 60_000, burst: 5, delay: 1 },
    ]);
    expect(policy.available).toBe(0);
    expect(p.describe()).toMatchObject({ layers: [{ options: { rate: 60, per: 60_000, burst: 5, delay: 1, maxQueueTime: 10_000 } }] });
    expect(events.find(({ type }) => type === 'leaky-bucket.delayed')).toMatchObject({ level: 'debug', wait: 1000, cost: 1 });
  });

  test('changes for those who are held too, and keeps the excess (L8)', async () => {
    const { run, clock, policy } = arrange(leakyBucket({ rate: 1, maxQueueTime: '10s' }));
    const calls = [1, 2, 3, 4].map(() => run(() => clock.now()));
    policy.update({ rate: 10 });
    expect(await clock.until(Promise.all(calls))).toEqual([0, 100, 200, 300]);
    const slow = [1, 2, 3].map(() => reasonOf(run(() => clock.now())));
    policy.update({ per: '1m', burst: 5 });
    expect(await Promise.all(slow.slice(1))).toMatchObject([{ code: 'ERR_RATE_LIMITED' }, { code: 'ERR_RATE_LIMITED' }]);
    expect(() => policy.update({ rate: 0 })).toThrow(OptionsError);
    expect(policy.snapshot()).toMatchObject({ rate: 10, per: 60_000, burst: 5, delay: 0 });
  });

  test('is at rest when it is as good as new', async () => {
    const { run, clock, policy } = arrange(leakyBucket({ rate: 10 }));
    void run(() => 1);
    void run(() => 1);
    await clock.advance(100);
    expect([policy.atRest(199), policy.atRest(200)]).toEqual([false, true]);
    policy.update({ rate: 11 });
    expect(policy.atRest(1_000_000)).toBe(false);
  });
});

test.each([
  [{}, 'rate'],
  [{ rate: 0 }, 'rate'],
  [{ rate: NaN }, 'rate'],
  [{ rate: Infinity }, 'rate'],
  [{ rate: '1' }, 'rate'],
  [{ rate: 1, per: 0 }, 'per'],
  [{ rate: 1, burst: -1 }, 'burst'],
  [{ rate: 1, burst: 0.5 }, 'burst'],
  [{ rate: 1, delay: NaN }, 'delay'],
  [{ rate: 1, delay: 'none' }, 'delay'],
  [{ rate: 1, delay: Infinity }, 'burst'],
  [{ rate: 1, maxQueueTime: Infinity }, 'burst'],
  [{ rate: 1, maxQueueTime: -1 }, 'maxQueueTime'],
  [{ rate: 1, maxWait: 1 }, 'maxWait'],
])('the options %j are refused (G9)', (options, path) => {
  expect(problemsOf(leakyBucket, options)).toEqual([`leakyBucket.${path}`]);
});
