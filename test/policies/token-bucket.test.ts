import { AsyncLocalStorage } from 'node:async_hooks';
import { describe, expect, test } from 'vitest';
import { OptionsError, RateLimitedError, type Refusal, definePolicy, pipeline, refuse } from 'breakwater';
import { VirtualClock, arrange, gateContract, policyContract } from 'breakwater/testing';
import { tokenBucket } from '../../src/policies/token-bucket.ts';
import { ask, problemsOf, reasonOf } from '../support/answers.ts';

const contract = {
  waits: () => tokenBucket({ rate: 1, per: '2m', burst: 1, maxWait: '1h' }),
  refuses: () => tokenBucket({ rate: 1, per: '1h', burst: 1, initial: 0 }),
  factory: { create: tokenBucket, options: { rate: 300, per: '1m', burst: 300, maxWait: '1s', cost: 1, initial: 300, name: 'limit' } },
  describe,
  it: test,
};
policyContract(() => tokenBucket({ rate: 1, per: '1h', burst: 300 }), { ...contract, name: 'tokenBucket' });
gateContract(() => tokenBucket({ rate: 1, per: '1h', burst: 300, maxWait: Infinity }), { ...contract, name: 'tokenBucket' });

describe('a token bucket', () => {
  test('lets a burst pass, then one call for each token that comes back (L1)', async () => {
    const { pipeline: p, clock, policy } = arrange(tokenBucket({ rate: 10, burst: 3 }));
    expect(ask(p, 5)).toEqual([true, true, true, false, false]);
    await clock.advance(99);
    expect(ask(p, 1)).toEqual([false]);
    await clock.advance(1);
    expect(ask(p, 2)).toEqual([true, false]);
    await clock.advance('1h');
    expect(policy.available).toBe(3);
    expect(ask(p, 4)).toEqual([true, true, true, false]);
  });

  test('refuses with an error that says when to come back, to the millisecond (L4)', async () => {
    const { run, pipeline: p, clock } = arrange(tokenBucket({ rate: 3, burst: 1 }), { name: 'mail' });
    await run(() => 1);
    await clock.advance(100);
    const reason = (await reasonOf(run(() => 1, { key: 'k' }))) as RateLimitedError;
    expect(reason).toBeInstanceOf(RateLimitedError);
    expect(reason).toMatchObject({
      message: 'mail: token-bucket allows 3 per 1000 ms and 1 at once',
      code: 'ERR_RATE_LIMITED',
      pipeline: 'mail',
      policy: 'token-bucket',
      key: 'k',
    });
    expect(reason.retryAfter).toBeCloseTo(1000 / 3 - 100, 9);
    await clock.advance((reason.retryAfter as number) - 1);
    expect(ask(p, 1)).toEqual([false]);
    await clock.advance(1);
    expect(ask(p, 1)).toEqual([true]);
  });

  test('ten thousand refusals change nothing (L3)', async () => {
    const { pipeline: p, clock, policy } = arrange(tokenBucket({ rate: 1, burst: 1 }));
    expect(ask(p, 10_000).filter(Boolean)).toHaveLength(1);
    await clock.advance(999);
    expect(ask(p, 10_000).filter(Boolean)).toHaveLength(0);
    expect(policy.available).toBeCloseTo(0.999, 12);
    await clock.advance(1);
    expect(ask(p, 2)).toEqual([true, false]);
  });

  test('a call that can never pass is refused with a retryAfter of Infinity, with all the patience in the world too (L9)', async () => {
    const {
      run,
      pipeline: p,
      clock,
    } = arrange(tokenBucket({ rate: 10, burst: 3, maxWait: Infinity, cost: ({ tags }) => Number(tags['n']) }));
    const reason = (await reasonOf(run(() => 1, { tags: { n: 4 } }))) as RateLimitedError;
    expect(reason.retryAfter).toBe(Infinity);
    expect(reason.message).toBe('test: token-bucket allows 10 per 1000 ms and 3 at once; a call that costs 4 can never pass');
    expect(p.tryAcquire({ tags: { n: Infinity } })).toMatchObject({ admitted: false });
    expect(clock.pending).toBe(0);
    expect(await run(() => 'fits', { tags: { n: 3 } })).toBe('fits');
  });

  test('takes what the call costs; what costs nothing passes an empty bucket', async () => {
    const { run, policy } = arrange(tokenBucket({ rate: 10, burst: 3, cost: ({ tags }) => Number(tags['n']) }));
    await run(() => 1, { tags: { n: 2.5 } });
    expect(policy.available).toBe(0.5);
    expect(await run(() => 'free', { tags: { n: 0 } })).toBe('free');
    expect(await reasonOf(run(() => 1, { tags: { n: 0.6 } }))).toBeInstanceOf(RateLimitedError);
    for (const n of [-1, 'x', undefined])
      expect(await reasonOf(run(() => 1, { tags: { n } }))).toMatchObject({
        message: expect.stringContaining('token-bucket.cost') as string,
      });
    expect(policy.available).toBe(0.5);
  });

  test('begins with as many tokens as it is told, and its time begins with its pipeline', async () => {
    const { pipeline: p, clock } = arrange(tokenBucket({ rate: 1, burst: 3, initial: 0 }));
    expect(ask(p, 1)).toEqual([false]);
    await clock.advance('1s');
    expect(ask(p, 2)).toEqual([true, false]);
    const later = new VirtualClock({ start: 5_000_000 });
    const q = pipeline([tokenBucket({ rate: 1, burst: 3, initial: 0 })], { clock: later });
    await later.advance('2s');
    expect(ask(q, 3)).toEqual([true, true, false]);
  });

  test('gives the tokens back if something further in refused the call, so it left no trace (L6)', async () => {
    const shut = definePolicy({ kind: 'shut', gate: { enter: () => refuse(new Error('shut')), settle() {}, cancel() {} } });
    const bucket = tokenBucket({ rate: 1, burst: 2 });
    const { pipeline: p } = arrange([bucket, shut]);
    expect(ask(p, 50)).toEqual(Array(50).fill(false));
    expect(bucket.available).toBe(2);
  });

  test('several pipelines share one bucket, and pipelines with a bucket nest', async () => {
    const clock = new VirtualClock();
    const bucket = tokenBucket({ rate: 1, burst: 3 });
    const a = pipeline([bucket], { clock, name: 'a' });
    const b = pipeline([pipeline([bucket], { name: 'inner' })], { clock, name: 'b' });
    expect([...ask(a, 1), ...ask(b, 1), ...ask(a, 1), ...ask(b, 1)]).toEqual([true, true, true, false]);
    expect(bucket.available).toBe(0);
    await clock.advance('1s');
    expect(bucket.available).toBe(1);
  });

  test('shows its state and its options as plain data', () => {
    const { pipeline: p } = arrange(tokenBucket({ rate: 30, per: '1m', cost: () => 2 }));
    p.tryAcquire();
    expect(p.snapshot()['policies']).toEqual([
      { kind: 'token-bucket', name: 'token-bucket', available: 28, waiting: 0, rate: 30, per: 60_000, burst: 30 },
    ]);
    expect(p.describe()).toMatchObject({ layers: [{ options: { rate: 30, per: 60_000, burst: 30, maxWait: 0, cost: 'computed' } }] });
    expect(tokenBucket({ rate: 0.5 }).snapshot()).toEqual({ available: 1, waiting: 0, rate: 0.5, per: 1000, burst: 1 });
  });

  test('is at rest when it is as good as new', async () => {
    const bucket = tokenBucket({ rate: 1, burst: 2, maxWait: Infinity });
    const { run, clock } = arrange(bucket);
    expect(bucket.atRest(clock.now())).toBe(true);
    void Promise.all([1, 2, 3].map(() => run(() => 1)));
    expect(bucket.atRest(1_000_000)).toBe(false);
    await clock.advance('1s');
    expect([bucket.atRest(clock.now()), bucket.atRest(2999), bucket.atRest(3000)]).toEqual([false, false, true]);
    bucket.update({ burst: 1 });
    expect(bucket.atRest(1_000_000)).toBe(false);
  });
});

describe('a token bucket that lets calls wait', () => {
  test('takes tokens of the future, first come, first served, and leaves no timer', async () => {
    const { run, clock, policy, events } = arrange(tokenBucket({ rate: 10, burst: 1, maxWait: '1s' }));
    const at: string[] = [];
    const calls = ['a', 'b', 'c', 'd'].map((name) => run(() => at.push(`${name} ${clock.now()}`)));
    expect([policy.waiting, policy.available, clock.pending]).toEqual([3, 0, 1]);
    await clock.advance('1s');
    await Promise.all(calls);
    expect(at).toEqual(['a 0', 'b 100', 'c 200', 'd 300']);
    expect([policy.waiting, clock.pending]).toEqual([0, 0]);
    expect(events.filter(({ type }) => type === 'token-bucket.delayed')).toMatchObject([
      { level: 'debug', wait: 100, cost: 1 },
      { wait: 200 },
      { wait: 300 },
    ]);
  });

  test('a newcomer never overtakes those who wait, however little it costs', async () => {
    const {
      run,
      clock,
      pipeline: p,
    } = arrange(tokenBucket({ rate: 10, burst: 5, initial: 1, maxWait: '1s', cost: ({ tags }) => Number(tags['n']) }));
    const order: number[] = [];
    const calls = [5, 1, 1].map((n, i) => run(() => void order.push(i), { tags: { n } }));
    expect(p.tryAcquire({ tags: { n: 0.5 } }).admitted).toBe(false);
    await clock.advance(399);
    expect(p.tryAcquire({ tags: { n: 0.5 } }).admitted).toBe(false);
    await clock.until(Promise.all(calls));
    expect(order).toEqual([0, 1, 2]);
    expect(clock.now()).toBe(600);
  });

  test('refuses at once what would have to wait too long, and says when to come back to be let wait (L4)', async () => {
    const { run, pipeline: p, clock, policy } = arrange(tokenBucket({ rate: 10, burst: 1, maxWait: 250 }));
    const calls = [1, 2, 3].map(() => run(() => 1));
    const refused = (await reasonOf(run(() => 1))) as RateLimitedError;
    expect(clock.now()).toBe(0);
    expect(refused.retryAfter).toBeCloseTo(50, 9);
    expect((p.tryAcquire() as Refusal).retryAfter).toBeCloseTo(300, 9);
    await clock.advance(49);
    expect(await reasonOf(run(() => 1))).toBeInstanceOf(RateLimitedError);
    await clock.advance(1);
    const accepted = run(() => 'in');
    expect(policy.waiting).toBe(3);
    await clock.until(Promise.all(calls));
    expect(await clock.until(accepted)).toBe('in');
    expect(clock.now()).toBe(300);
  });

  test('a patience that is exactly long enough is', async () => {
    for (const rate of [3, 7, 11, 13]) {
      const { run, clock } = arrange(tokenBucket({ rate, burst: 1, maxWait: (5 * 1000) / rate }));
      const calls = [0, 1, 2, 3, 4, 5].map(() => run(() => 1));
      await clock.until(Promise.all(calls));
      expect(Math.abs(clock.now() - (5 * 1000) / rate)).toBeLessThan(2);
    }
  });

  test('an abort ends the wait in the same tick with its reason, and those behind move up (L6)', async () => {
    const { run, clock, policy } = arrange(tokenBucket({ rate: 10, burst: 1, maxWait: '10s' }));
    await run(() => 1);
    const caller = new AbortController();
    const why = { why: 'gone' };
    const first = reasonOf(run(() => 1, { signal: caller.signal }));
    const second = run(() => clock.now());
    caller.abort(why);
    expect(policy.waiting).toBe(1);
    expect(
      await Promise.race([
        first,
        Promise.resolve()
          .then(() => undefined)
          .then(() => Promise.resolve()),
      ]),
    ).toBeDefined();
    expect(await first).toBe(why);
    expect(await clock.until(second)).toBe(100);
    expect(clock.pending).toBe(0);
  });

  test('a call whose turn has come, aborted before it runs, gives its tokens back', async () => {
    const { run, clock, policy } = arrange(tokenBucket({ rate: 10, burst: 1, maxWait: '10s' }));
    await run(() => 1);
    const caller = new AbortController();
    let ran = false;
    const done = reasonOf(run(() => (ran = true), { signal: caller.signal }));
    policy.update({ rate: 1_000_000 });
    clock.jump(1);
    policy.update({ rate: 10 }); // grants the turn; the call has not heard of it yet
    expect(policy.waiting).toBe(0);
    caller.abort('gone');
    expect(await done).toBe('gone');
    expect([ran, policy.available]).toEqual([false, 1]);
  });

  test('the work runs in the async context of its caller, after a wait too (G7)', async () => {
    const { run, clock } = arrange(tokenBucket({ rate: 10, burst: 1, maxWait: '10s' }));
    const context = new AsyncLocalStorage<number>();
    const calls = [1, 2, 3].map((n) => context.run(n, () => run(() => context.getStore())));
    expect(await clock.until(Promise.all(calls))).toEqual([1, 2, 3]);
  });

  test('a patience without end waits for as long as it takes, beyond what one timer can', async () => {
    const { run, clock } = arrange(tokenBucket({ rate: 1, per: 2 ** 31 * 3, burst: 1, maxWait: Infinity }));
    await run(() => 1);
    const late = run(() => clock.now());
    expect(await clock.until(late)).toBe(2 ** 31 * 3);
  });
});

describe('a token bucket whose limit changes', () => {
  test('keeps its tokens: no gift when raised, never more than the larger of both (L8)', async () => {
    const { pipeline: p, clock, policy } = arrange(tokenBucket({ rate: 10, burst: 2 }));
    policy.update({ burst: 10 });
    expect(ask(p, 4)).toEqual([true, true, false, false]);
    await clock.advance('1s');
    policy.update({ burst: 3, rate: 100 });
    expect(policy.snapshot()).toEqual({ available: 3, waiting: 0, rate: 100, per: 1000, burst: 3 });
    expect(ask(p, 5).filter(Boolean)).toHaveLength(3);
    policy.update({ per: '1m' });
    expect(policy.snapshot()).toMatchObject({ rate: 100, per: 60_000, burst: 3 });
  });

  test('those who wait wait for the new rate, and those who cannot any more are told at once', async () => {
    const { run, clock, policy } = arrange(
      tokenBucket({ rate: 1, burst: 3, initial: 0, maxWait: '10s', cost: ({ tags }) => Number(tags['n']) }),
    );
    const large = reasonOf(run(() => 1, { tags: { n: 3 } }));
    const calls = [1, 1].map((n) => run(() => clock.now(), { tags: { n } }));
    policy.update({ rate: 10, burst: 2 });
    expect(await large).toBeInstanceOf(RateLimitedError);
    expect(await clock.until(Promise.all(calls))).toEqual([100, 200]);
    const slow = run(() => 1, { tags: { n: 1 } });
    const slower = reasonOf(run(() => 1, { tags: { n: 1 } }));
    policy.update({ rate: 1, per: '7s' });
    expect(await slower).toMatchObject({ code: 'ERR_RATE_LIMITED' });
    expect(await clock.until(slow)).toBe(1);
    expect(clock.pending).toBe(0);
  });

  test('refuses wrong changes and keeps what it was', () => {
    const { policy } = arrange(tokenBucket({ rate: 10, burst: 5, cost: 4 }));
    for (const change of [{ rate: 0 }, { rate: '5' }, { per: -1 }, { burst: 3 }, { burst: NaN }, { limit: 5 }])
      expect(() => policy.update(change as never)).toThrow(OptionsError);
    expect(policy.snapshot()).toMatchObject({ rate: 10, per: 1000, burst: 5, available: 5 });
  });
});

describe('the options of a token bucket (G9)', () => {
  test.each([
    [{}, 'rate'],
    [{ rate: 0 }, 'rate'],
    [{ rate: NaN }, 'rate'],
    [{ rate: Infinity }, 'rate'],
    [{ rate: '10' }, 'rate'],
    [{ rate: null }, 'rate'],
    [{ rate: 1, per: 0 }, 'per'],
    [{ rate: 1, per: '1 minute' }, 'per'],
    [{ rate: 1, burst: 0 }, 'burst'],
    [{ rate: 1, burst: -1 }, 'burst'],
    [{ rate: 1, maxWait: -1 }, 'maxWait'],
    [{ rate: 1, maxWait: NaN }, 'maxWait'],
    [{ rate: 1, cost: 0 }, 'cost'],
    [{ rate: 1, cost: 2 }, 'cost'],
    [{ rate: 1, initial: 2 }, 'initial'],
    [{ rate: 1, initial: -1 }, 'initial'],
    [{ rate: 1, name: '' }, 'name'],
    [{ rate: 1, limit: 5 }, 'limit'],
  ])('%j is refused', (options, path) => {
    expect(problemsOf(tokenBucket, options)).toEqual([`tokenBucket.${path}`]);
  });

  test('buckets made alike keep their options once, and are as far apart as any', () => {
    const make = (): ReturnType<typeof tokenBucket> => tokenBucket({ rate: 1, burst: 2 });
    const [a, b, c] = [arrange(make()), arrange(make()), arrange(tokenBucket({ rate: 2, burst: 5 }))];
    ask(a.pipeline, 2);
    expect([a.policy.available, b.policy.available, c.policy.available]).toEqual([0, 2, 5]);
    a.policy.update({ burst: 7 });
    expect(b.policy.snapshot()).toMatchObject({ burst: 2 });
  });
});
