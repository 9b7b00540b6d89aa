/** What all rate limiters do alike, seen through a token bucket. */

import { describe, expect, test, vi } from 'vitest';
import { RateLimitedError, TimeoutError, bulkhead, fallback, pipeline, timeout, tokenBucket } from 'breakwater';
import { VirtualClock, arrange, work } from 'breakwater/testing';

const errorOf = async (call: Promise<unknown>): Promise<RateLimitedError> =>
  (await call.then(
    () => undefined,
    (error: unknown) => error,
  )) as RateLimitedError;

describe('the queue of a limiter', () => {
  test('is bounded: one more is refused, and told when the first of those who wait has its turn', async () => {
    const { run, clock, policy } = arrange(tokenBucket({ rate: 1, burst: 1, maxWait: '1h', maxQueue: 2 }));
    const calls = [1, 2, 3].map((n) => run(() => n));
    await clock.advance(400);
    const error = await errorOf(run(() => 4));
    expect(error).toBeInstanceOf(RateLimitedError);
    expect([error.retryAfter, policy.waiting]).toEqual([600, 2]);
    await clock.advance(600);
    const late = run(() => 5);
    expect(policy.waiting).toBe(2);
    expect(await clock.until(Promise.all([...calls, late]))).toEqual([1, 2, 3, 5]);
  });

  test('tells a newcomer how long it would wait behind those who stand there, and refuses at once what is hopeless', async () => {
    const { run, clock, policy } = arrange(tokenBucket({ rate: 10, burst: 1, maxWait: '250ms' }));
    const begun: number[] = [];
    const calls = [0, 1, 2].map(() => run(() => begun.push(clock.now())));
    expect((await errorOf(run(() => 1))).retryAfter).toBe(50); // it would wait 300 ms; in 50 ms that is 250
    expect(policy.waiting).toBe(2);
    await clock.advance(50);
    calls.push(run(() => begun.push(clock.now())));
    await clock.until(Promise.all(calls));
    expect(begun).toEqual([0, 100, 200, 300]);
  });

  test('moves up when one of those who wait gives up', async () => {
    const { run, clock } = arrange(tokenBucket({ rate: 10, burst: 5, initial: 0, maxWait: '1h', cost: ({ tags }) => tags['n'] as number }));
    const caller = new AbortController();
    const gone = run(() => 'gone', { signal: caller.signal, tags: { n: 5 } }).catch((reason: unknown) => reason);
    const next = run(() => clock.now(), { tags: { n: 1 } });
    caller.abort('bored');
    expect(await gone).toBe('bored');
    expect(await clock.until(next)).toBe(100);
  });
});

describe('borrowing from what comes in next', () => {
  const limited = { rate: 10, burst: 1, borrow: { priority: 'critical-plus', maxWait: '150ms' } } as const;

  test('calls that matter more wait where others are refused', async () => {
    const { run, clock } = arrange(tokenBucket(limited));
    await run(() => 1);
    expect((await errorOf(run(() => 2))).retryAfter).toBe(100);
    const vital = run(() => clock.now(), { priority: 'critical-plus' });
    expect((await errorOf(run(() => 3, { priority: 'critical-plus' }))).retryAfter).toBe(50); // 200 ms behind the other
    expect((await errorOf(run(() => 4))).retryAfter).toBe(200); // what was borrowed is not there for the others
    expect(await clock.until(vital)).toBe(100);
  });
});

describe('refunds', () => {
  const single = { rate: 1, per: '1h', burst: 1 } as const;

  test('a call that never ran gives back what it took, whatever stopped it further in', async () => {
    const limit = tokenBucket(single);
    const p = pipeline([limit, bulkhead({ maxConcurrent: 0 })], { clock: new VirtualClock() });
    await errorOf(p.execute(() => 1));
    expect(limit.available).toBe(1);
  });

  test('an outcome can give it back: only failures count, say', async () => {
    const { run, policy } = arrange(tokenBucket({ ...single, refundIf: ({ ok }) => ok }));
    await run(() => 1);
    expect(policy.available).toBe(1);
    await errorOf(run(work('fail')));
    expect(policy.available).toBe(0);
  });

  test('a call that waited for its tokens can be given them back like any other', async () => {
    const { run, clock, policy } = arrange(tokenBucket({ rate: 1, burst: 1, maxWait: '1m', refundIf: ({ ok }) => ok }));
    const [first, second] = [run(work('fail')), run(() => 'ok')];
    await errorOf(first);
    expect([await clock.until(second), policy.available]).toEqual(['ok', 1]);
  });

  test.each([
    [true, 1],
    [false, 0],
  ])('a caller that aborts while the work runs gets it back if refundOnAbort is %s', async (refundOnAbort, left) => {
    const { run, policy } = arrange(tokenBucket({ ...single, refundOnAbort, refundIf: ({ ok }) => ok }));
    const caller = new AbortController();
    const call = errorOf(run(work('hang'), { signal: caller.signal }));
    caller.abort();
    await call;
    expect(policy.available).toBe(left);
  });

  test('a test that throws is reported and gives nothing back', async () => {
    const {
      run,
      pipeline: p,
      policy,
    } = arrange(
      tokenBucket({
        ...single,
        refundIf: () => {
          throw new Error('mine');
        },
      }),
    );
    const told = vi.fn();
    p.on('pipeline.callback-failed', told);
    expect(await run(() => 'ok')).toBe('ok');
    expect([told.mock.calls.length, policy.available]).toEqual([1, 0]);
    expect(told.mock.calls[0]?.[0]).toMatchObject({ callback: 'refundIf', policy: 'token-bucket' });
  });
});

describe('draining', () => {
  test('an answer that says overload leaves nothing for a while', async () => {
    const limit = tokenBucket({ rate: 10, burst: 5, drainOn: 'overload' });
    const { run, clock } = arrange(limit);
    await run(() => new Response('', { status: 500 }));
    expect(limit.available).toBe(4);
    await run(() => new Response('', { status: 503 }));
    expect(limit.available).toBe(0);
    expect((await errorOf(run(() => 1))).retryAfter).toBe(100);
    await clock.advance(100);
    expect(await run(() => 'again')).toBe('again');
  });

  test('a timeout of the work is a sign of overload; a refusal further in, by our own policies, is none', async () => {
    const clock = new VirtualClock();
    const limit = tokenBucket({ rate: 10, burst: 5, drainOn: 'overload' });
    const p = pipeline([limit, fallback({ value: 'lesser' }), bulkhead({ maxConcurrent: 0 })], { clock });
    await p.execute(() => 1);
    const q = pipeline([limit, timeout({ after: 10 })], { clock });
    expect(limit.available).toBe(5);
    expect(await clock.until(errorOf(q.execute(work('hang'))))).toBeInstanceOf(TimeoutError);
    expect(limit.available).toBe(0);
  });

  test('those who wait go on waiting, for longer', async () => {
    const { run, clock } = arrange(
      tokenBucket({
        rate: 10,
        burst: 2,
        maxWait: '1m',
        drainOn: ({ ok, ...rest }) => ok && (rest as { value: unknown }).value === 'drain',
      }),
    );
    const draining = run(work({ after: 50, value: 'drain' }));
    await run(() => 1);
    const waiting = run(() => clock.now());
    await clock.until(draining);
    expect(await clock.until(waiting)).toBe(150);
  });
});

test('wrong options are refused by name', () => {
  expect(() => tokenBucket({ rate: 1, maxQueue: -1, borrow: { priority: 'top' as 'critical' }, drainOn: 'errors' as 'overload' })).toThrow(
    /maxQueue.*borrow\.priority.*drainOn/s,
  );
});
