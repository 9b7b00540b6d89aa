import { AsyncLocalStorage } from 'node:async_hooks';
import { fileURLToPath } from 'node:url';
import { spawnSync } from 'node:child_process';
import { AbortError } from 'p-retry';
import { AbortError as NewerAbortError } from 'p-retry9';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import {
  type CircuitBreakerOptions,
  CircuitOpenError,
  type OptionsError,
  type PipelineEvent,
  ShutdownError,
  TimeoutError,
  circuitBreaker,
  definePolicy,
  fallback,
  fromMiddleware,
  hedge,
  pipeline,
  refuse,
  retry,
  timeout,
} from 'breakwater';
import { type PRetryContext, type PRetryOptions, fromPRetryOptions, pRetryPolicy } from 'breakwater/p-retry';
import { hop } from '../../src/testing/hop.ts';

const newest = process.env['PEERS'] === 'newest';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

const down = new Error('down');
const caught = (promise: Promise<unknown>): Promise<unknown> => promise.catch((error: unknown) => error);

/** A pipeline of it, what it tells, and when its attempts begin, ms. */
function arranged(options?: PRetryOptions) {
  const events: PipelineEvent[] = [];
  const policy = pRetryPolicy(options);
  const line = pipeline([policy], { name: 'test', on: (event) => events.push(event) });
  const start = performance.now();
  const begun: number[] = [];
  const failing =
    (...given: readonly [error?: unknown, times?: number]) =>
    (): string => {
      begun.push(performance.now() - start);
      if (begun.length <= (given[1] ?? Infinity)) throw given.length === 0 ? down : given[0];
      return 'done';
    };
  const run = async (work: Parameters<typeof line.execute>[0], how?: Parameters<typeof line.execute>[1]): Promise<unknown> => {
    const call = caught(line.execute(work, how));
    await vi.runAllTimersAsync();
    return call;
  };
  return { policy, line, events, begun, failing, run };
}

const told = (events: readonly PipelineEvent[]): string[] => events.map(({ type }) => type.replace('p-retry.', ''));

describe('attempts', () => {
  test('are those of p-retry: ten more, after 1 s, 2 s, 4 s …', async () => {
    const { begun, failing, run, policy } = arranged();
    expect(await run(failing())).toBe(down);
    expect(begun).toEqual([0, 1, 3, 7, 15, 31, 63, 127, 255, 511, 1023].map((s) => s * 1000));
    expect(policy.describe()).toMatchObject({ retries: 10, maxAttempts: 11, longestBackoff: 1_023_000 });
    expect(policy.snapshot()).toEqual({ retries: 10, gaveUp: 1 });
  });

  test('end with the first success; the work is told which one it is', async () => {
    const { run, policy } = arranged({ retries: Infinity, minTimeout: 10 });
    const attempts: number[] = [];
    const work = ({ attempt }: { attempt: number }): string => {
      attempts.push(attempt);
      if (attempt < 4) throw down;
      return 'fourth';
    };
    expect(await run(work)).toBe('fourth');
    expect(attempts).toEqual([1, 2, 3, 4]);
    expect(policy.snapshot()).toEqual({ retries: 3, gaveUp: 0 });
  });

  test('wait as factor, minTimeout and maxTimeout say', async () => {
    for (const [options, expected] of [
      [{ retries: 4, minTimeout: 100, factor: 3, maxTimeout: 500 }, [0, 100, 400, 900, 1400]],
      [{ retries: 3, minTimeout: 100, factor: 0 }, [0, 100, 200, 300]],
      [{ retries: 3, minTimeout: 100, factor: 0.5 }, [0, 100, 150, 175]],
      [{ retries: 2, minTimeout: 0 }, [0, 0, 0]],
      [{ retries: 2, minTimeout: 100, maxTimeout: 10 }, [0, 10, 20]],
      [{ retries: 0 }, [0]],
    ] as const) {
      const { begun, failing, run } = arranged(options);
      await run(failing());
      expect(begun).toEqual(expected);
    }
  });

  test('are spread between once and twice the wait with randomize', async () => {
    vi.spyOn(Math, 'random').mockReturnValueOnce(0.25).mockReturnValueOnce(0.75);
    const { begun, failing, run } = arranged({ retries: 2, minTimeout: 100, randomize: true });
    await run(failing());
    expect(begun).toEqual([0, 125, 475]);
  });

  test('never follow within a millisecond because a wait is longer than a timer can hold (p-retry 7)', async () => {
    const { begun, failing, run } = arranged({ retries: 2, minTimeout: 2 ** 31, factor: 1 });
    await run(failing());
    expect(begun).toEqual([0, 2 ** 31 - 1, 2 * (2 ** 31 - 1)]);
  });

  test('end when maxRetryTime is over, which began with the call; the last wait is cut to what is left', async () => {
    const { begun, failing, run, events } = arranged({ retries: 5, minTimeout: 100, factor: 1, maxRetryTime: 250 });
    expect(await run(failing())).toBe(down);
    expect(begun).toEqual([0, 100, 200, 250]);
    expect(events.findLast(({ type }) => type === 'p-retry.gave-up')).toMatchObject({ attempts: 4, reason: 'duration' });

    const slow = arranged({ retries: 5, minTimeout: 100, maxRetryTime: 250 });
    const attempts: number[] = [];
    await slow.run(async ({ attempt }) => {
      attempts.push(attempt);
      await new Promise((resolve) => setTimeout(resolve, 300));
      throw down;
    });
    expect(attempts).toEqual([1]);
  });

  test('without waits leave the event loop its turn: an abort by a timer ends them', async () => {
    vi.useRealTimers();
    const caller = new AbortController();
    setTimeout(() => caller.abort('enough'), 5);
    const line = pipeline([pRetryPolicy({ retries: Infinity, minTimeout: 0 })]);
    const error = await caught(line.execute(() => Promise.reject(down), { signal: caller.signal }));
    expect(error).toBe('enough');
  });

  test('run in the async context of their caller', async () => {
    const context = new AsyncLocalStorage<number>();
    const { line } = arranged({ retries: 2, minTimeout: 10, onFailedAttempt: () => void seen.push(context.getStore()) });
    const seen: unknown[] = [];
    const fail = (): never => {
      seen.push(context.getStore());
      throw down;
    };
    const call = context.run(7, () => caught(line.execute(fail)));
    await context.run(8, () => vi.runAllTimersAsync());
    await call;
    expect(seen).toEqual([7, 7, 7, 7, 7, 7]);
  });
});

describe('errors', () => {
  test('pass as the very object of the last attempt', async () => {
    const errors = [new Error('1'), new Error('2'), new Error('3')];
    const { run } = arranged({ retries: 2, minTimeout: 1 });
    expect(
      await run(({ attempt }) => {
        throw errors[attempt - 1] as Error;
      }),
    ).toBe(errors[2]);
  });

  test('that are no Error end it at once, and pass as they are; p-retry would put a TypeError in their place', async () => {
    for (const odd of ['a string', undefined, null, 0, { status: 503 }]) {
      const contexts: PRetryContext[] = [];
      const { run, begun, failing, events } = arranged({ onFailedAttempt: (context) => void contexts.push(context) });
      const seen = await run(failing(odd));
      expect(Object.is(seen, odd)).toBe(true);
      expect(begun).toHaveLength(1);
      expect(contexts.map(({ error }) => error)).toEqual([expect.any(TypeError)]);
      expect(events.at(-2)).toMatchObject({ type: 'p-retry.gave-up', reason: 'not-retryable', level: 'info' });
    }
  });

  test('of the program are not retried, those of the network are', async () => {
    for (const [error, attempts] of [
      [new TypeError('x is not a function'), 1],
      [new TypeError('fetch failed'), 3],
      [new TypeError('terminated'), 3],
      [new RangeError('odd'), 3],
    ] as const) {
      const { run, begun, failing } = arranged({ retries: 2, minTimeout: 1 });
      expect(await run(failing(error))).toBe(error);
      expect(begun).toHaveLength(attempts);
    }
  });

  test('that throw when they are looked at pass as they are', async () => {
    const odd: Error = new Proxy(new Error('odd'), {
      getPrototypeOf() {
        throw new Error('do not look');
      },
    });
    const { run, failing } = arranged({ retries: 1, minTimeout: 1 });
    expect(Object.is(await run(failing(odd)), odd)).toBe(true);
  });

  test('in an AbortError end it at once without a question, and the caller gets what is inside', async () => {
    const asked = vi.fn(() => true);
    const gone = new Error('gone');
    const { run, begun, failing, events } = arranged({ onFailedAttempt: asked, shouldRetry: asked });
    expect(await run(failing(new AbortError(gone)))).toBe(gone);
    expect(begun).toHaveLength(1);
    expect(asked).not.toHaveBeenCalled();
    expect(events.at(-2)).toMatchObject({ type: 'p-retry.gave-up', reason: 'not-retryable', attempts: 1 });
    const worded = arranged();
    expect(await worded.run(worded.failing(new AbortError('in words')))).toMatchObject({ name: 'Error', message: 'in words' });
  });

  test('in an AbortError of another version of p-retry do the same', async () => {
    const gone = new Error('gone');
    const { run, begun, failing } = arranged();
    expect(await run(failing(new NewerAbortError(gone)))).toBe(gone);
    expect(begun).toHaveLength(1);
  });

  test('called AbortError by the platform are errors like others', async () => {
    const aborted = new DOMException('This operation was aborted', 'AbortError');
    const { run, begun, failing } = arranged({ retries: 1, minTimeout: 1 });
    expect(await run(failing(aborted))).toBe(aborted);
    expect(begun).toHaveLength(2);
  });

  test('as results are results: a response with status 503 is not retried', async () => {
    const { run, begun } = arranged();
    const answer = { status: 503, headers: new Headers() };
    expect(await run(() => (begun.push(0), answer))).toBe(answer);
    expect(begun).toHaveLength(1);
  });
});

describe('the functions among the options', () => {
  test('are asked as p-retry asks them, and get the call besides', async () => {
    const order: string[] = [];
    const keys = new Set<unknown>();
    const note =
      <Answer>(name: string, answer: Answer) =>
      ({ attemptNumber, retriesLeft, retriesConsumed, error }: PRetryContext, call: { readonly key?: string | undefined }): Answer => {
        expect(error).toBe(down);
        keys.add(call.key);
        order.push(`${name} ${attemptNumber} ${retriesLeft} ${retriesConsumed}`);
        return answer;
      };
    const { run, failing } = arranged({
      retries: 1,
      minTimeout: 1,
      onFailedAttempt: note('failed', undefined),
      shouldConsumeRetry: note('consume', true),
      shouldRetry: note('retry', Promise.resolve(true)),
    });
    await run(failing(), { key: 'k' });
    expect([...keys]).toEqual(['k']);
    expect(order).toEqual(
      newest
        ? ['consume 1 1 0', 'failed 1 1 0', 'retry 1 1 0', 'consume 2 0 1', 'failed 2 0 1']
        : ['failed 1 1 0', 'consume 1 1 0', 'retry 1 1 0', 'failed 2 0 1', 'consume 2 0 1'],
    );
  });

  test('get the wait that would follow from p-retry 9 on', async () => {
    const delays: unknown[] = [];
    const { run, failing } = arranged({ retries: 2, minTimeout: 5, onFailedAttempt: ({ retryDelay }) => void delays.push(retryDelay) });
    await run(failing());
    expect(delays).toEqual(newest ? [5, 10, 0] : [undefined, undefined, undefined]);
  });

  test('decide: no from shouldRetry ends it with the very error', async () => {
    const { run, begun, failing, events } = arranged({ minTimeout: 1, shouldRetry: ({ attemptNumber }) => attemptNumber < 3 });
    expect(await run(failing())).toBe(down);
    expect(begun).toHaveLength(3);
    expect(events.at(-2)).toMatchObject({ type: 'p-retry.gave-up', attempts: 3, reason: 'not-retryable' });
  });

  test('let failures go free: no from shouldConsumeRetry means no wait, and retries are left as they are', async () => {
    const { run, begun, failing, events } = arranged({
      retries: 1,
      minTimeout: 100,
      shouldConsumeRetry: ({ attemptNumber }) => attemptNumber > 3,
    });
    expect(await run(failing())).toBe(down);
    expect(begun).toEqual([0, 0, 0, 0, 100]);
    expect(events.filter(({ type }) => type === 'p-retry.scheduled').map((event) => (event as { delay?: number }).delay)).toEqual([
      0, 0, 0, 100,
    ]);
  });

  test('that forget to answer shouldConsumeRetry let no failure go free (p-retry 7 would try for ever)', async () => {
    const { run, begun, failing } = arranged({ retries: 2, minTimeout: 1, shouldConsumeRetry: () => undefined });
    await run(failing());
    expect(begun).toHaveLength(3);
  });

  test('are waited for before the wait begins', async () => {
    const { run, begun, failing } = arranged({
      retries: 1,
      minTimeout: 100,
      onFailedAttempt: () => new Promise((resolve) => setTimeout(resolve, 30)),
    });
    await run(failing());
    expect(begun).toEqual([0, 130]);
  });

  test('end the call with what they throw: the law that a callback changes nothing is one that p-retry breaks on purpose', async () => {
    const mine = new Error('mine');
    const throwing = (): never => {
      throw mine;
    };
    for (const options of [
      { onFailedAttempt: throwing },
      { onFailedAttempt: () => Promise.reject(mine) },
      { shouldRetry: throwing },
      { shouldConsumeRetry: () => Promise.reject(mine) },
      { shouldRetry: () => Promise.reject(mine) },
    ]) {
      const { run, begun, failing, events } = arranged(options);
      expect(await run(failing())).toBe(mine);
      expect(begun).toHaveLength(1);
      expect(events.at(-2)).toMatchObject({ type: 'p-retry.gave-up', reason: 'stopped', error: mine });
    }
  });

  test('are asked no more once the call is over, whatever the one that was asked last answers', async () => {
    const asked = vi.fn(() => true);
    const { line, failing } = arranged({
      minTimeout: 1,
      onFailedAttempt: () => new Promise((resolve) => setTimeout(resolve, 50)),
      shouldRetry: asked,
      shouldConsumeRetry: newest ? undefined : asked,
    });
    const caller = new AbortController();
    const call = caught(line.execute(failing(), { signal: caller.signal }));
    await vi.advanceTimersByTimeAsync(10);
    caller.abort('enough');
    expect(await call).toBe('enough');
    await vi.runAllTimersAsync();
    await hop();
    expect(asked).not.toHaveBeenCalled();
  });

  test('that throw when the call is over are not heard', async () => {
    const unhandled = vi.fn();
    process.on('unhandledRejection', unhandled);
    const asked = vi.fn(() => true);
    const { line, failing } = arranged({
      minTimeout: 1,
      onFailedAttempt: () => new Promise((_, reject) => setTimeout(reject, 50, new Error('late'))),
      shouldRetry: asked,
      shouldConsumeRetry: newest ? undefined : asked,
    });
    const caller = new AbortController();
    const call = caught(line.execute(failing(), { signal: caller.signal }));
    await vi.advanceTimersByTimeAsync(10);
    caller.abort('enough');
    expect(await call).toBe('enough');
    await vi.runAllTimersAsync();
    await hop();
    process.off('unhandledRejection', unhandled);
    expect(asked).not.toHaveBeenCalled();
    expect(unhandled).not.toHaveBeenCalled();
  });
});

describe('cut short', () => {
  test('a wait ends in the same tick, with the very reason, and no timer is left', async () => {
    const { line, failing, begun, events } = arranged({ minTimeout: 1000 });
    const caller = new AbortController();
    let seen: unknown;
    void line.execute(failing(), { signal: caller.signal }).catch((error: unknown) => (seen = error));
    await vi.advanceTimersByTimeAsync(500);
    caller.abort('enough');
    await hop();
    expect(seen).toBe('enough');
    expect(vi.getTimerCount()).toBe(0);
    expect(begun).toHaveLength(1);
    expect(told(events)).toEqual(['attempt', 'scheduled', 'gave-up', 'pipeline.settled']);
    expect(events[2]).toMatchObject({ reason: 'aborted', attempts: 1 });
  });

  test('an attempt further on ends at once, and no function is asked about it', async () => {
    const asked = vi.fn();
    const { line } = arranged({ minTimeout: 10, onFailedAttempt: asked });
    const caller = new AbortController();
    const call = caught(
      line.execute(({ attempt }) => (attempt === 1 ? Promise.reject(down) : new Promise(() => undefined)), { signal: caller.signal }),
    );
    await vi.advanceTimersByTimeAsync(50);
    caller.abort('enough');
    expect(await call).toBe('enough');
    await hop();
    expect(asked).toHaveBeenCalledOnce();
    expect(vi.getTimerCount()).toBe(0);
  });

  test('a deadline, and a timeout around it, end it as timeouts', async () => {
    const { line, failing, events } = arranged({ minTimeout: 1000 });
    const call = caught(line.execute(failing(), { deadline: '1500ms' }));
    await vi.runAllTimersAsync();
    expect(await call).toBeInstanceOf(TimeoutError);
    expect(events.find(({ type }) => type === 'p-retry.gave-up')).toMatchObject({ reason: 'deadline', attempts: 2 });

    const around = pipeline([timeout({ after: 1500 }), pRetryPolicy({ minTimeout: 1000 })]);
    const bounded = caught(around.execute(() => Promise.reject(down)));
    await vi.advanceTimersByTimeAsync(1500);
    expect(await bounded).toMatchObject({ code: 'ERR_TIMEOUT', after: 1500 });
    expect(vi.getTimerCount()).toBe(0);
  });

  test('a closed pipeline ends a wait when its drain is over', async () => {
    const { line, failing } = arranged({ minTimeout: 60_000 });
    const call = caught(line.execute(failing()));
    await hop();
    const closed = line.close({ drain: '1s' });
    await vi.advanceTimersByTimeAsync(1000);
    await closed;
    expect(await call).toBeInstanceOf(ShutdownError);
    expect(vi.getTimerCount()).toBe(0);
  });

  test('work that is told to wind down may still answer, and its answer is the outcome', async () => {
    const cooperative = timeout({ after: 100, strategy: 'cooperative' });
    const line = pipeline([cooperative, pRetryPolicy({ minTimeout: 10 })]);
    const work = ({ attempt }: { attempt: number }): Promise<string> =>
      attempt === 1 ? Promise.reject(down) : new Promise((resolve) => setTimeout(resolve, 200, 'late but good'));
    const call = line.execute(work);
    await vi.runAllTimersAsync();
    expect(await call).toBe('late but good');

    const sleeping = caught(pipeline([cooperative, pRetryPolicy({ minTimeout: 1000 })]).execute(() => Promise.reject(down)));
    await vi.advanceTimersByTimeAsync(100);
    expect(await sleeping).toBeInstanceOf(TimeoutError);
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe('beside others', () => {
  const refusal = new CircuitOpenError('open', {});
  const wall = definePolicy({ kind: 'wall', gate: { enter: () => refuse(refusal), settle: () => undefined, cancel: () => undefined } });

  test('a refusal further in ends it at once: to try again would amplify the overload', async () => {
    const asked = vi.fn(() => true);
    const events: PipelineEvent[] = [];
    const line = pipeline([pRetryPolicy({ shouldRetry: asked, onFailedAttempt: asked }), wall], { on: (event) => events.push(event) });
    expect(await caught(line.execute(() => 1))).toBe(refusal);
    expect(asked).not.toHaveBeenCalled();
    expect(events.find(({ type }) => type === 'p-retry.gave-up')).toMatchObject({ reason: 'refused', attempts: 0, level: 'info' });
    const inWork = pipeline([pRetryPolicy({ shouldRetry: asked })]);
    expect(await caught(inWork.execute(() => pipeline([wall]).execute(() => 1)))).toBe(refusal);
    expect(asked).not.toHaveBeenCalled();
  });

  test('a refusal after attempts that ran does not stand for them: the caller sees the last error of the work', async () => {
    const breaker = circuitBreaker({ consecutiveFailures: 2, minCalls: 1 });
    const line = pipeline([pRetryPolicy({ minTimeout: 1 }), breaker]);
    const call = caught(line.execute(() => Promise.reject(down)));
    await vi.runAllTimersAsync();
    expect(await call).toBe(down);
    expect(breaker.state).toBe('open');
  });

  test('a timeout further in is a failure, and is retried', async () => {
    const line = pipeline([pRetryPolicy({ retries: 2, minTimeout: 10 }), timeout({ after: 100 })]);
    const start = performance.now();
    const call = caught(line.execute(() => new Promise(() => undefined)));
    await vi.runAllTimersAsync();
    expect(await call).toBeInstanceOf(TimeoutError);
    expect(performance.now() - start).toBe(330);
  });

  test('inside another retry it makes one attempt, asks its functions as with retries: 0, and says so', async () => {
    for (const outer of [retry({ maxAttempts: 3, backoff: { delay: 1, jitter: 'none' } }), pRetryPolicy({ retries: 2, minTimeout: 1 })]) {
      const left: number[] = [];
      const events: PipelineEvent[] = [];
      let runs = 0;
      const inner = pRetryPolicy({ retries: 5, minTimeout: 1, onFailedAttempt: ({ retriesLeft }) => void left.push(retriesLeft) });
      const call = caught(
        pipeline([outer, inner], { on: (event) => events.push(event) }).execute(() => {
          runs++;
          throw down;
        }),
      );
      await vi.runAllTimersAsync();
      expect(await call).toBe(down);
      expect(runs).toBe(3);
      expect(left).toEqual([0, 0, 0]);
      expect(events.find(({ type, policy }) => type === 'p-retry.gave-up' && policy !== 'p-retry-1' && policy !== undefined)).toMatchObject(
        {
          reason: 'nested',
        },
      );
    }
  });

  test('a native retry inside it stands back', async () => {
    let runs = 0;
    const line = pipeline([pRetryPolicy({ retries: 2, minTimeout: 1 }), retry({ maxAttempts: 3, backoff: { delay: 1 } })]);
    const call = caught(
      line.execute(() => {
        runs++;
        throw down;
      }),
    );
    await vi.runAllTimersAsync();
    await call;
    expect(runs).toBe(3);
  });

  test('in the work of a call that is retried it stands back too, and is itself again afterwards', async () => {
    let runs = 0;
    const policy = pRetryPolicy({ retries: 2, minTimeout: 1 });
    const other = pipeline([policy]);
    const outer = pipeline([policy]);
    const fail = (): never => {
      runs++;
      throw down;
    };
    const call = caught(outer.execute(() => other.execute(fail)));
    await vi.runAllTimersAsync();
    await call;
    expect(runs).toBe(3);
    const again = caught(other.execute(fail));
    await vi.runAllTimersAsync();
    await again;
    expect(runs).toBe(6);
  });

  test('it has no budget: a hedge inside keeps its own, and every failing call is retried', async () => {
    let runs = 0;
    const line = pipeline([pRetryPolicy({ retries: 1, minTimeout: 1 }), hedge({ delay: 1000 })]);
    const calls = Array.from({ length: 200 }, () =>
      caught(
        line.execute(() => {
          runs++;
          throw down;
        }),
      ),
    );
    await vi.runAllTimersAsync();
    await Promise.all(calls);
    expect(runs).toBe(400);
  });

  test('it does not look at idempotency: p-retry knows nothing of it', async () => {
    const { run, begun, failing } = arranged({ retries: 1, minTimeout: 1 });
    await run(failing(), { idempotent: false });
    expect(begun).toHaveLength(2);
  });

  test('a fallback around it answers once all attempts have failed', async () => {
    const call = pipeline([fallback({ value: 'spare' }), pRetryPolicy({ retries: 1, minTimeout: 1 })]).executeOutcome(() =>
      Promise.reject(down),
    );
    await vi.runAllTimersAsync();
    expect(await call).toEqual({ ok: true, value: 'spare', degraded: true });
  });

  test('an answer of a fallback further in that came after a failure is a degraded one', async () => {
    let runs = 0;
    const line = pipeline([pRetryPolicy({ retries: 1, minTimeout: 1 }), fallback({ value: 'spare', when: () => runs > 1 })]);
    const call = line.executeOutcome(() => {
      runs++;
      throw down;
    });
    await vi.runAllTimersAsync();
    expect(await call).toEqual({ ok: true, value: 'spare', degraded: true });
  });

  test('an answer of the work that came after a lesser one was thrown away is no degraded one', async () => {
    let runs = 0;
    const picky = fromMiddleware(async (_call, next) => {
      const answer = await next();
      if (answer === 'spare') throw down;
      return answer;
    });
    const line = pipeline([pRetryPolicy({ retries: 1, minTimeout: 1 }), picky, fallback({ value: 'spare' })]);
    const call = line.executeOutcome(() => (runs++ === 0 ? Promise.reject(down) : 'good'));
    await vi.runAllTimersAsync();
    expect(await call).toEqual({ ok: true, value: 'good' });
  });

  test('lint knows it for a retry', () => {
    const rules = pipeline([timeout({ after: '10s' }), pRetryPolicy()])
      .lint()
      .map(({ rule }) => rule);
    expect(rules).toContain('retries-outlast-timeout');
  });
});

describe('what it tells', () => {
  test('are the events of a native retry, under its own name', async () => {
    const { run, failing, events } = arranged({ retries: 2, minTimeout: 10 });
    await run(failing(down, 2));
    expect(told(events)).toEqual(['attempt', 'scheduled', 'started', 'attempt', 'scheduled', 'started', 'attempt', 'pipeline.settled']);
    expect(events[0]).toMatchObject({ attempt: 1, duration: 0, verdict: 'failure', level: 'debug' });
    expect(events[1]).toMatchObject({ attempt: 2, delay: 10, reason: 'error', error: down, level: 'warn' });
    expect(events[2]).toMatchObject({ attempt: 2, reason: 'error', level: 'info' });
    expect(events[4]).toMatchObject({ attempt: 3, delay: 20 });
    expect(events[6]).toMatchObject({ attempt: 3, verdict: 'success' });
  });

  test('is the end of all attempts, once', async () => {
    const { run, failing, events } = arranged({ retries: 1, minTimeout: 10 });
    await run(failing());
    expect(told(events)).toEqual(['attempt', 'scheduled', 'started', 'attempt', 'gave-up', 'pipeline.settled']);
    expect(events[4]).toMatchObject({ attempts: 2, reason: 'exhausted', error: down, level: 'error' });
  });

  test('is the wait with its chance from p-retry 9 on, and the least it can be before', async () => {
    vi.spyOn(Math, 'random').mockReturnValue(0.5);
    const { run, failing, events } = arranged({ retries: 1, minTimeout: 100, randomize: true });
    await run(failing());
    expect(events.find(({ type }) => type === 'p-retry.scheduled')).toMatchObject({ delay: newest ? 150 : 100 });
  });

  test('in shadow is what it would have done: the functions are not asked, and nothing is retried', async () => {
    const asked = vi.fn(() => true);
    const { run, begun, failing, events, policy } = arranged({ mode: 'shadow', onFailedAttempt: asked, shouldRetry: asked });
    expect(await run(failing())).toBe(down);
    expect(begun).toHaveLength(1);
    expect(asked).not.toHaveBeenCalled();
    expect(told(events)).toEqual(['reaction.would-act', 'attempt', 'pipeline.settled']);
    const mistaken = arranged({ mode: 'shadow' });
    await mistaken.run(mistaken.failing(new TypeError('mistake')));
    expect(told(mistaken.events)).toEqual(['attempt', 'gave-up', 'pipeline.settled']);
    expect(policy.snapshot()).toEqual({ retries: 0, gaveUp: 0 });
  });
});

describe('time', () => {
  test("is the process's: a clock of the pipeline moves no wait of p-retry, which breaks law 7", async () => {
    const { VirtualClock } = await import('breakwater/testing');
    const clock = new VirtualClock();
    let runs = 0;
    const line = pipeline([pRetryPolicy({ retries: 1, minTimeout: 1000 })], { clock, random: () => 0 });
    const call = caught(
      line.execute(() => {
        runs++;
        throw down;
      }),
    );
    await clock.advance('1h');
    expect(runs).toBe(1);
    await vi.advanceTimersByTimeAsync(1000);
    expect(await call).toBe(down);
    expect(runs).toBe(2);
  });

  test("is chance's too: waits are spread by that of the process, and not by the pipeline's, which breaks law 7", async () => {
    const random = vi.fn(() => 0);
    vi.spyOn(Math, 'random').mockReturnValue(0.5);
    const start = performance.now();
    const call = caught(
      pipeline([pRetryPolicy({ retries: 1, minTimeout: 100, randomize: true })], { random }).execute(() => Promise.reject(down)),
    );
    await vi.runAllTimersAsync();
    await call;
    expect(performance.now() - start).toBe(150);
    expect(random).not.toHaveBeenCalled();
  });

  test('of a wait keeps the process alive, unless unref lets it end', () => {
    const program = (unref: boolean): string => `
      import { pipeline } from 'breakwater';
      import { pRetryPolicy } from 'breakwater/p-retry';
      const begun = process.hrtime.bigint();
      process.on('exit', () => console.log(process.hrtime.bigint() - begun > 350_000_000n ? 'waited' : 'ended'));
      pipeline([pRetryPolicy({ retries: 1, minTimeout: 400, unref: ${unref} })]).execute(() => Promise.reject(new Error('down'))).catch(() => {});
    `;
    const run = (unref: boolean): string => {
      const args = ['--import', 'tsx', '--input-type=module', '-e', program(unref)];
      return spawnSync(process.execPath, args, { cwd: fileURLToPath(new URL('../..', import.meta.url)), encoding: 'utf8' }).stdout.trim();
    };
    expect([run(false), run(true)]).toEqual(['waited', 'ended']);
  });
});

describe('a circuit breaker inside', () => {
  const judged = async (error: () => unknown, own: CircuitBreakerOptions = {}): Promise<unknown> => {
    const breaker = circuitBreaker({ minCalls: 20, ...own });
    const work = vi.fn(() => Promise.reject(error() as Error));
    await pipeline([pRetryPolicy({ retries: 1, minTimeout: 0 }), breaker]).executeOutcome(work);
    const { successes, failures } = breaker.snapshot();
    return { attempts: work.mock.calls.length, successes, failures };
  };

  test('takes an AbortError for a failure, unless classify or a status on it says what it was', async () => {
    const none = (): Error => new AbortError('no such user');
    expect(await judged(none)).toEqual({ attempts: 1, successes: 0, failures: 1 });
    const classify: CircuitBreakerOptions['classify'] = ({ ok }) => (ok ? undefined : 'success');
    expect(await judged(none, { classify })).toEqual({ attempts: 1, successes: 1, failures: 0 });
    expect(await judged(() => Object.assign(none(), { status: 404 }))).toEqual({ attempts: 1, successes: 1, failures: 0 });
  });

  test('learns the status from a response that an Error carries; one that is thrown itself is not tried again', async () => {
    const answer = (status: number): { response: Response } => ({ response: new Response(null, { status }) });
    expect(await judged(() => Object.assign(new Error('status 503'), answer(503)))).toEqual({ attempts: 2, successes: 0, failures: 2 });
    expect(await judged(() => Object.assign(new Error('status 404'), answer(404)))).toEqual({ attempts: 2, successes: 2, failures: 0 });
    expect(await judged(() => new Error('status 404', { cause: answer(404).response }))).toEqual({
      attempts: 2,
      successes: 0,
      failures: 2,
    });
    expect(await judged(() => answer(503).response)).toEqual({ attempts: 1, successes: 0, failures: 1 });
  });
});

describe('options', () => {
  const refusedAt = (options: unknown): unknown => {
    try {
      pRetryPolicy(options as never);
    } catch (error) {
      return (error as { path?: unknown }).path;
    }
    return undefined;
  };

  test('that are wrong are refused when the policy is made; the package refuses them at each call, or never', () => {
    for (const retries of [-1, 1.5, NaN, '3', null]) expect(refusedAt({ retries })).toBe('pRetryPolicy.retries');
    for (const factor of [-1, NaN, Infinity]) expect(refusedAt({ factor })).toBe('pRetryPolicy.factor');
    for (const minTimeout of [-1, NaN, Infinity, '1s']) expect(refusedAt({ minTimeout })).toBe('pRetryPolicy.minTimeout');
    for (const maxTimeout of [-1, NaN]) expect(refusedAt({ maxTimeout })).toBe('pRetryPolicy.maxTimeout');
    for (const maxRetryTime of [-1, NaN]) expect(refusedAt({ maxRetryTime })).toBe('pRetryPolicy.maxRetryTime');
    expect(refusedAt({ randomize: 1 })).toBe('pRetryPolicy.randomize');
    expect(refusedAt({ shouldRetry: true })).toBe('pRetryPolicy.shouldRetry');
    expect(refusedAt({ forever: true })).toBe('pRetryPolicy.forever');
    expect(refusedAt({ signal: new AbortController().signal })).toBe('pRetryPolicy.signal');
    expect(refusedAt(5)).toBe('pRetryPolicy');
  });

  const problemsOf = (make: () => unknown): Record<string, string> => {
    try {
      make();
    } catch (error) {
      return Object.fromEntries((error as OptionsError).problems.map(({ path, expected, got }) => [path, `${expected} | ${got}`]));
    }
    return {};
  };

  test('are refused with all that is wrong at once: what is left to the call, what nobody knows, and wrong values', () => {
    const { signal } = new AbortController();
    const problems = problemsOf(() => pRetryPolicy({ retries: -1, signal, foo: 1, forever: true } as never));
    expect(Object.keys(problems)).toEqual(['pRetryPolicy.signal', 'pRetryPolicy.forever', 'pRetryPolicy.foo', 'pRetryPolicy.retries']);
    expect(problems['pRetryPolicy.foo']).toMatch(/^one of retries, .*, name, mode \| an unknown option$/);
  });

  test('of the translator are too, along with those that have no native equal', () => {
    const { signal } = new AbortController();
    const given = { unref: true, signal, retries: -1, shouldConsumeRetry: () => true };
    expect(Object.keys(problemsOf(() => fromPRetryOptions(given as never)))).toEqual([
      'fromPRetryOptions.signal',
      'fromPRetryOptions.retries',
      'fromPRetryOptions.unref',
      'fromPRetryOptions.shouldConsumeRetry',
    ]);
    expect(Object.keys(problemsOf(() => fromPRetryOptions({ retries: -1, unref: true })))).toEqual([
      'fromPRetryOptions.retries',
      'fromPRetryOptions.unref',
    ]);
  });

  test('by the names of other packages are pointed to retries, which do not count the first call', () => {
    expect(problemsOf(() => pRetryPolicy({ maxAttempts: 3, retry: 3 } as never))).toEqual({
      'pRetryPolicy.maxAttempts': 'retries, which is one less: p-retry counts the retries after the first call | 3',
      'pRetryPolicy.retry': 'retries: p-retry counts the retries after the first call | 3',
    });
  });

  test('are told from the work, which pRetry() takes first', () => {
    const asked = vi.fn();
    const wrong = pRetryPolicy as (work: unknown, options: unknown) => unknown;
    expect(problemsOf(() => wrong(asked, { retries: 3 }))).toEqual({
      pRetryPolicy: 'options | a function: options go here, the function to pipeline.execute()',
    });
    expect(asked).not.toHaveBeenCalled();
    expect(problemsOf(() => wrong(Promise.resolve(), { retries: 3 }))).toEqual({
      pRetryPolicy: 'options | a promise: options go here; give pipeline.execute() a function',
    });
    expect(Object.keys(problemsOf(() => fromPRetryOptions(asked as never)))).toEqual(['fromPRetryOptions']);
  });

  test('that are undefined are not given', () => {
    expect(refusedAt({ retries: undefined, shouldRetry: undefined, signal: undefined })).toBeUndefined();
  });
});
