import { getEventListeners } from 'node:events';
import { describe, expect, test, vi } from 'vitest';
import {
  type PipelineEvent,
  CircuitOpenError,
  OptionsError,
  RateLimitedError,
  definePolicy,
  pipeline,
  refuse,
  retry,
  timeout,
} from 'breakwater';
import { VirtualClock, policyContract } from 'breakwater/testing';

policyContract(() => retry({ backoff: { delay: 0 } }), { describe, it: test, name: 'retry' });

const error = new Error('down');
const failing = (): Promise<never> => Promise.reject(error);
const never = (): Promise<never> => new Promise(() => undefined);
const plain = { delay: 100, jitter: 'none' } as const;

/** When each attempt of work that always fails begins, ms. */
const schedule = async (options: Parameters<typeof retry>[0], random = (): number => 0.5): Promise<number[]> => {
  const clock = new VirtualClock();
  const begun: number[] = [];
  const done = pipeline([retry(options)], { clock, random })
    .execute(() => {
      begun.push(clock.now());
      throw error;
    })
    .catch(() => undefined);
  await clock.advance('10m');
  await done;
  expect(clock.pending).toBe(0);
  return begun;
};

describe('attempts', () => {
  test('count the first call: three in all unless told otherwise (R1)', async () => {
    expect(await schedule({ backoff: plain })).toHaveLength(3);
    expect(await schedule({ maxAttempts: 1 })).toEqual([0]);
    expect(await schedule({ maxAttempts: 5, backoff: { delay: 0 } })).toEqual([0, 0, 0, 0, 0]);
  });

  test('end with the first success, and the work is told which one it is', async () => {
    const clock = new VirtualClock();
    const seen: number[] = [];
    const done = pipeline([retry({ maxAttempts: Infinity, backoff: plain })], { clock }).execute(({ attempt }) => {
      seen.push(attempt);
      if (attempt < 4) throw error;
      return 'fourth';
    });
    await clock.advance('1m');
    expect(await done).toBe('fourth');
    expect(seen).toEqual([1, 2, 3, 4]);
  });

  test('give up with the very error of the last one', async () => {
    const errors: Error[] = [];
    const last = await pipeline([retry({ backoff: { delay: 0 } })])
      .execute(() => {
        const each = new Error(`attempt ${errors.length + 1}`);
        errors.push(each);
        throw each;
      })
      .catch((reason: unknown) => reason);
    expect(last).toBe(errors[2]);
  });

  test('ten thousand of them, each failing at once, need no stack', async () => {
    let runs = 0;
    await expect(
      pipeline([retry({ maxAttempts: 10_000, backoff: { delay: 0 }, budget: false })]).execute(() => {
        runs++;
        throw error;
      }),
    ).rejects.toBe(error);
    expect(runs).toBe(10_000);
  });
});

describe('waits', () => {
  test('grow as told', async () => {
    expect(await schedule({ maxAttempts: 5, backoff: plain })).toEqual([0, 100, 300, 700, 1500]);
    expect(await schedule({ maxAttempts: 4, backoff: { ...plain, factor: 3 } })).toEqual([0, 100, 400, 1300]);
    expect(await schedule({ maxAttempts: 4, backoff: { ...plain, kind: 'linear' } })).toEqual([0, 100, 300, 600]);
    expect(await schedule({ maxAttempts: 4, backoff: { ...plain, kind: 'constant' } })).toEqual([0, 100, 200, 300]);
    expect(await schedule({ maxAttempts: 4, backoff: { ...plain, maxDelay: 150 } })).toEqual([0, 100, 250, 400]);
    expect(await schedule({ maxAttempts: 4, backoff: (n) => n * 10 })).toEqual([0, 10, 30, 60]);
  });

  test('are spread by chance as told', async () => {
    expect(await schedule({ backoff: { delay: 100, jitter: 'full' } })).toEqual([0, 50, 150]);
    expect(await schedule({ backoff: { delay: 100, jitter: 'equal' } })).toEqual([0, 75, 225]);
    expect(await schedule({ backoff: { delay: 100, jitter: 'decorrelated' } })).toEqual([0, 200, 550]);
    expect(await schedule({ backoff: { delay: 100 } }, () => 0)).toEqual([0, 0, 0]);
  });

  test('may be chosen after each outcome: a number, what backoff says, or no more', async () => {
    expect(
      await schedule({
        maxAttempts: 5,
        backoff: plain,
        delayFor: (_outcome, { attempt }) => ([7, undefined, 9, false] as const)[attempt - 1],
      }),
    ).toEqual([0, 7, 207, 216]);
  });

  test('end in the same tick as an abort, with its reason, and the work is not called again (law 5, R6)', async () => {
    const clock = new VirtualClock();
    const caller = new AbortController();
    const work = vi.fn(failing);
    const reason = { gone: true };
    const done = pipeline([retry({ backoff: { ...plain, delay: '1h', maxDelay: '1h' } })], { clock }).execute(work, {
      signal: caller.signal,
    });
    await clock.advance(50);
    expect(clock.pending).toBe(1);
    caller.abort(reason);
    expect(clock.pending).toBe(0);
    await expect(done).rejects.toBe(reason);
    await clock.advance('2h');
    expect(work).toHaveBeenCalledTimes(1);
    expect(getEventListeners(caller.signal, 'abort')).toHaveLength(0);
  });

  test.each([2 ** 31, 2 ** 32 + 1, Number.MAX_SAFE_INTEGER])('of %d ms do not end at once (R4)', async (delay) => {
    const clock = new VirtualClock();
    const caller = new AbortController();
    const work = vi.fn(failing);
    const done = pipeline([retry({ backoff: { delay, maxDelay: Infinity, jitter: 'none' } })], { clock })
      .execute(work, { signal: caller.signal })
      .catch(() => undefined);
    await clock.advance(2 ** 31 - 1);
    expect(work).toHaveBeenCalledTimes(1);
    caller.abort();
    await done;
    expect(clock.pending).toBe(0);
  });

  test('that would outlast the deadline are not begun (R2), nor those beyond maxDuration', async () => {
    const clock = new VirtualClock();
    const events: PipelineEvent[] = [];
    const bounded = pipeline([retry({ maxAttempts: 9, backoff: plain, maxDuration: 400 })], { clock, on: (event) => events.push(event) });
    const first = bounded.execute(failing).catch(() => clock.now());
    await clock.advance('1m');
    expect(await first).toBe(300);
    const second = bounded.execute(failing, { deadline: 200 }).catch(() => clock.now() - 60_000);
    await clock.advance('1m');
    expect(await second).toBe(100);
    expect(events.filter(({ type }) => type === 'retry.gave-up')).toMatchObject([
      { reason: 'duration', attempts: 3 },
      { reason: 'deadline', attempts: 2 },
    ]);
  });
});

describe('what is retried', () => {
  const attemptsFor = async (policies: Parameters<typeof retry>[0], work: () => unknown, options = {}): Promise<number> => {
    const counted = vi.fn(work);
    await pipeline([retry({ backoff: { delay: 0 }, ...policies })])
      .execute(counted, options)
      .catch(() => undefined);
    return counted.mock.calls.length;
  };

  test('errors and timeouts, not success', async () => {
    expect(await attemptsFor({}, failing)).toBe(3);
    expect(await attemptsFor({}, () => 1)).toBe(1);
  });

  test('results, if `when` says so', async () => {
    const results = [500, 503, 200];
    const until = retry<number>({ maxAttempts: 5, backoff: { delay: 0 }, when: (outcome) => !outcome.ok || outcome.value >= 500 });
    expect(await pipeline([until]).execute(() => results.shift() as number)).toBe(200);
  });

  test('nothing that the caller calls not idempotent', async () => {
    expect(await attemptsFor({}, failing, { idempotent: false })).toBe(1);
    expect(await attemptsFor({}, failing, { idempotent: true })).toBe(3);
  });

  test('no refusal of a policy inside, unless asked; then its retryAfter is kept', async () => {
    const clock = new VirtualClock();
    const entered: number[] = [];
    const limit = definePolicy({
      kind: 'limit',
      gate: {
        enter: (_call, now) => {
          entered.push(now);
          return entered.length < 3 ? refuse(new RateLimitedError('slow down', { retryAfter: 5000 })) : 'pass';
        },
        settle() {},
        cancel() {},
      },
    });
    await expect(pipeline([retry({ backoff: plain }), limit], { clock }).execute(() => 1)).rejects.toBeInstanceOf(RateLimitedError);
    expect(entered).toEqual([0]);
    const asking = retry({ backoff: plain, when: (outcome) => !outcome.ok, retryAfter: { jitter: 1 } });
    const asked = pipeline([asking, limit], { clock }).execute(() => 1);
    await clock.advance('1m');
    expect(await asked).toBe(1);
    expect(entered).toEqual([0, 0, 5000]);
  });

  test('an open circuit inside ends the retries (regression: retrying into an open circuit)', async () => {
    let calls = 0;
    const breaker = definePolicy({
      kind: 'breaker',
      gate: { enter: () => (++calls === 1 ? 'pass' : refuse(new CircuitOpenError('open', { retryAfter: 1 }))), settle() {}, cancel() {} },
    });
    await expect(pipeline([retry({ backoff: { delay: 0 } }), breaker]).execute(failing)).rejects.toBe(error);
    expect(calls).toBe(2);
  });

  test('nothing once an outer timeout has cut the call', async () => {
    const clock = new VirtualClock();
    const work = vi.fn(never);
    const done = pipeline([timeout({ after: 10 }), retry({ backoff: { delay: 0 } })], { clock })
      .execute(work)
      .catch((reason: unknown) => reason);
    await clock.advance(10);
    expect(await done).toMatchObject({ code: 'ERR_TIMEOUT' });
    expect(work).toHaveBeenCalledTimes(1);
  });

  test('nothing if a predicate or a delay function throws: the outcome stands and the fault is told (G5)', async () => {
    const fault = new Error('predicate');
    const broken = (): never => {
      throw fault;
    };
    for (const options of [{ when: broken }, { delayFor: broken }, { backoff: broken }, { backoff: () => Number.NaN }]) {
      const events: PipelineEvent[] = [];
      const work = vi.fn(failing);
      await expect(pipeline([retry(options)], { on: (event) => events.push(event) }).execute(work)).rejects.toBe(error);
      expect(work).toHaveBeenCalledTimes(1);
      expect(events.map(({ type }) => type)).toContain('pipeline.callback-failed');
    }
  });
});

describe('what is told', () => {
  test('each retry before its wait, and giving up with the reason', async () => {
    const clock = new VirtualClock();
    const events: PipelineEvent[] = [];
    const told = pipeline([retry({ maxAttempts: 2, backoff: plain })], { clock, on: (event) => events.push(event) });
    const done = told.execute(failing).catch(() => undefined);
    await clock.advance(100);
    await done;
    expect(events).toMatchObject([
      { type: 'retry.attempt', level: 'debug', attempt: 1, duration: 0, verdict: 'failure', at: 0 },
      { type: 'retry.scheduled', level: 'warn', attempt: 2, delay: 100, reason: 'error', error, at: 0 },
      { type: 'retry.started', level: 'info', attempt: 2, reason: 'error', at: 100 },
      { type: 'retry.attempt', attempt: 2, verdict: 'failure' },
      { type: 'retry.gave-up', level: 'error', attempts: 2, reason: 'exhausted', error, at: 100 },
      { type: 'pipeline.settled', outcome: 'thrown', duration: 100 },
    ]);
    expect(told.snapshot()['policies']).toMatchObject([{ retries: 1, gaveUp: 1 }]);
  });
});

describe('options (G9)', () => {
  test.each([
    [{ maxAttempts: 0 }],
    [{ maxAttempts: 1.5 }],
    [{ maxAttempts: -Infinity }],
    [{ maxAttempts: '10' }],
    [{ maxAttempts: null }],
    [{ backoff: { delay: -1 } }],
    [{ backoff: { delay: '10' } }],
    [{ backoff: { delay: null } }],
    [{ backoff: { kind: 'fast' } }],
    [{ backoff: { jitter: 'some' } }],
    [{ backoff: { factor: 0.5 } }],
    [{ backoff: { factor: Number.NaN } }],
    [{ backoff: 'exponential' }],
    [{ when: true }],
    [{ maxDuration: '1 minute' }],
    [{ attempts: 3 }],
  ])('%j is refused', (options) => {
    expect(() => retry(options as never)).toThrow(OptionsError);
  });

  test('a delay above the cap is refused instead of cut in silence', () => {
    expect(() => retry({ backoff: { delay: '30s', maxDelay: '10s' } })).toThrow(
      'retry.backoff.maxDelay: expected at least backoff.delay (30000 ms), got 10000 ms',
    );
  });
});
