import { describe, expect, test } from 'vitest';
import {
  CircuitOpenError,
  type PipelineEvent,
  RetryExhaustedError,
  attemptsOf,
  definePolicy,
  pipeline,
  refuse,
  retry,
  retryBudget,
} from 'breakwater';
import { VirtualClock } from 'breakwater/testing';

const error = new Error('down');
const failing = (): Promise<never> => Promise.reject(error);
const fast = { delay: 0 } as const;

/** Attempts of a call that always ends the same way, and why there were no more. */
async function outcomeOf(options: Parameters<typeof retry>[0], work: () => unknown = failing, call = {}) {
  const clock = new VirtualClock();
  const events: PipelineEvent[] = [];
  let attempts = 0;
  const steady = pipeline([retry(options)], { clock, on: (event) => events.push(event), random: () => 0.5 });
  const done = steady.executeOutcome(() => {
    attempts++;
    return work();
  }, call);
  await clock.advance('10m');
  const gaveUp = events.find(({ type }) => type === 'retry.gave-up') as { readonly reason?: string } | undefined;
  const delays = events.filter(({ type }) => type === 'retry.scheduled').map((event) => (event as unknown as { delay: number }).delay);
  return { attempts, reason: gaveUp?.reason, outcome: await done, delays, pending: clock.pending };
}

const asking = (retryAfter: number) => (): Promise<never> => Promise.reject(Object.assign(new Error('busy'), { retryAfter }));

describe('a wait that the service asks for', () => {
  test('is kept: never shorter, longer by chance, and never above the maximum (R7)', async () => {
    expect((await outcomeOf({ maxAttempts: 2 }, asking(10_000))).delays).toEqual([12_500]);
    expect((await outcomeOf({ maxAttempts: 2, retryAfter: { jitter: 1 } }, asking(10_000))).delays).toEqual([10_000]);
    expect((await outcomeOf({ maxAttempts: 2 }, asking(59_000))).delays).toEqual([60_000]);
  });

  test('that is too long ends the retries, or is cut, or ignored, as told', async () => {
    expect(await outcomeOf({}, asking(61_000))).toMatchObject({ attempts: 1, reason: 'retry-after' });
    expect((await outcomeOf({ maxAttempts: 2, retryAfter: { onExceed: 'clamp' } }, asking(61_000))).delays).toEqual([60_000]);
    expect((await outcomeOf({ maxAttempts: 2, retryAfter: { onExceed: 'ignore' } }, asking(61_000))).delays).toEqual([50]);
    expect((await outcomeOf({ maxAttempts: 2, retryAfter: false }, asking(61_000))).delays).toEqual([50]);
  });

  test('may be: not at all', async () => {
    expect(await outcomeOf({ when: () => true }, asking(Infinity))).toMatchObject({ attempts: 1, reason: 'retry-after' });
  });

  test('comes from the headers of a response, which is returned when it is too long', async () => {
    const response = { status: 503, headers: { 'retry-after': '7' } };
    const found = await outcomeOf({ maxAttempts: 2, retryAfter: { jitter: 1 } }, () => response);
    expect(found).toMatchObject({ attempts: 2, delays: [7000], outcome: { ok: true, value: response } });
  });
});

describe('a schedule', () => {
  test('may be a list, whose last delay stands for all others', async () => {
    const { delays } = await outcomeOf({ maxAttempts: 5, backoff: { delays: [3, '6ms', 9], jitter: 'none' } });
    expect(delays).toEqual([3, 6, 9, 9]);
    expect((await outcomeOf({ maxAttempts: 3, backoff: [10, 20] })).delays).toEqual([5, 10]);
  });

  test('may grow like the rabbits, and begin without a wait', async () => {
    const backoff = { kind: 'fibonacci', delay: 10, jitter: 'none', firstRetryFast: true } as const;
    expect((await outcomeOf({ maxAttempts: 7, backoff })).delays).toEqual([0, 10, 10, 20, 30, 50]);
  });

  test('whose delay is longer than the usual cap has that for its cap', async () => {
    expect((await outcomeOf({ maxAttempts: 3, backoff: { delay: '1m', jitter: 'none' } })).delays).toEqual([60_000, 60_000]);
    expect(() => retry({ backoff: { delay: '1h', maxDelay: '1m' } })).toThrow('retry.backoff.maxDelay');
    expect(() => retry({ backoff: [] })).toThrow('retry.backoff.delays');
    expect(() => retry({ backoff: { delays: [1], jitter: 'decorrelated' } })).toThrow('retry.backoff.jitter');
  });
});

describe('attempts are not made', () => {
  test('that would have too little time before the deadline', async () => {
    const backoff = { delay: 100, jitter: 'none' } as const;
    expect(await outcomeOf({ backoff, minAttemptTime: 50 }, failing, { deadline: 150 })).toMatchObject({ attempts: 1, reason: 'deadline' });
    expect(await outcomeOf({ backoff }, failing, { deadline: 150 })).toMatchObject({ attempts: 2 });
    expect(await outcomeOf({ backoff, deadlineAware: false }, failing, { deadline: 50 })).toMatchObject({ attempts: 1, pending: 0 });
  });

  test('of what may have been done already; what never reached the service is tried again', async () => {
    const refused = Object.assign(new Error('connect'), { code: 'ECONNREFUSED' });
    expect(await outcomeOf({ backoff: fast }, failing, { idempotent: false })).toMatchObject({ attempts: 1, reason: 'not-idempotent' });
    expect(await outcomeOf({ backoff: fast }, () => Promise.reject(refused), { idempotent: false })).toMatchObject({ attempts: 3 });
    expect(await outcomeOf({ backoff: fast, idempotent: true }, failing, { idempotent: false })).toMatchObject({ attempts: 3 });
    expect(await outcomeOf({ backoff: fast, idempotent: () => false })).toMatchObject({ attempts: 1, reason: 'not-idempotent' });
  });

  test('that the budget does not pay for', async () => {
    const budget = retryBudget({ ratio: 0, minPerSecond: 1, ttl: '1s' });
    expect(await outcomeOf({ backoff: fast, budget })).toMatchObject({ attempts: 2, reason: 'budget', outcome: { ok: false, error } });
    expect(budget.denied).toBe(1);
    expect(await outcomeOf({ backoff: fast, maxAttempts: 200 })).toMatchObject({ attempts: 101, reason: 'budget' });
    expect(await outcomeOf({ backoff: fast, maxAttempts: 200, budget: false })).toMatchObject({ attempts: 200, reason: 'exhausted' });
  });

  test('where an asynchronous predicate says no, or fails', async () => {
    expect(await outcomeOf({ backoff: fast, when: () => Promise.resolve(true) })).toMatchObject({ attempts: 3 });
    expect(await outcomeOf({ backoff: fast, when: () => Promise.resolve(false) })).toMatchObject({ attempts: 1, reason: 'not-retryable' });
    expect(await outcomeOf({ backoff: fast, when: () => Promise.reject(new Error('no')) })).toMatchObject({ attempts: 1 });
  });
});

describe('when nothing helped', () => {
  test('a result that was to be retried is an error with the result (criterion 17)', async () => {
    const when = (): boolean => true;
    const { outcome } = await outcomeOf({ backoff: fast, when }, () => 'pending');
    expect(outcome).toMatchObject({ ok: false, error: { code: 'ERR_RETRY_EXHAUSTED', value: 'pending', attempts: 3 } });
    expect((outcome as unknown as { error: unknown }).error).toBeInstanceOf(RetryExhaustedError);
    expect((await outcomeOf({ backoff: fast, when, onExhausted: 'last' }, () => 'pending')).outcome).toMatchObject({ value: 'pending' });
  });

  test('errors are rethrown as they are, or wrapped with all of them', async () => {
    const { outcome } = await outcomeOf({ backoff: fast });
    expect(outcome).toEqual({ ok: false, error });
    expect(attemptsOf(error)).toBe(3);
    expect(attemptsOf('nothing')).toBeUndefined();
    expect((await outcomeOf({ backoff: fast, onExhausted: 'wrap' })).outcome).toMatchObject({
      error: { cause: error, errors: [error, error, error] },
    });
  });

  test('a refusal on a later attempt does not stand for the attempt that ran', async () => {
    let entered = 0;
    const circuit = definePolicy({
      kind: 'circuit',
      gate: { enter: () => (++entered % 2 === 1 ? 'pass' : refuse(new CircuitOpenError('open'))), settle() {}, cancel() {} },
    });
    const steady = pipeline([retry({ backoff: fast }), circuit]);
    await expect(steady.execute(failing)).rejects.toBe(error);
    const released = { status: 503, headers: {} };
    await expect(steady.execute(() => released)).rejects.toMatchObject({
      code: 'ERR_RETRY_EXHAUSTED',
      value: released,
      cause: { code: 'ERR_CIRCUIT_OPEN' },
    });
  });
});

describe('what is sent along', () => {
  test('one idempotency key for all attempts, the attempt’s number and its reason', async () => {
    const sent: object[] = [];
    await pipeline([retry({ backoff: fast, idempotencyKey: true, attemptHeader: true })])
      .execute(
        ({ headers }) => {
          sent.push(headers);
          throw error;
        },
        { idempotencyKey: 'k' },
      )
      .catch(() => undefined);
    expect(sent).toEqual([
      { 'Idempotency-Key': 'k' },
      { 'Idempotency-Key': 'k', 'x-retry-attempt': '2', 'x-retry-reason': 'error' },
      { 'Idempotency-Key': 'k', 'x-retry-attempt': '3', 'x-retry-reason': 'error' },
    ]);
    expect(() => retry({ attemptHeader: 'two words' })).toThrow('retry.attemptHeader');
  });
});

describe('a retry inside a retry', () => {
  const nine = async (
    nested: 'suppress' | 'warn' | 'allow',
    build: (inner: ReturnType<typeof retry>, work: () => unknown) => Promise<unknown>,
  ) => {
    let calls = 0;
    await build(retry({ backoff: fast, nested, name: 'inner' }), () => {
      calls++;
      throw error;
    }).catch(() => undefined);
    return calls;
  };

  test.each([
    ['suppress', 3],
    ['warn', 9],
    ['allow', 9],
  ] as const)('%s: %d attempts, in one pipeline and in the work of another (R10)', async (nested, attempts) => {
    const outer = retry({ backoff: fast });
    expect(await nine(nested, (inner, work) => pipeline([outer, inner]).execute(work))).toBe(attempts);
    expect(await nine(nested, (inner, work) => pipeline([outer, pipeline([inner])]).execute(work))).toBe(attempts);
    expect(
      await nine(nested, (inner, work) => {
        const within = pipeline([inner]);
        return pipeline([outer]).execute(() => within.execute(work));
      }),
    ).toBe(attempts);
  });
});

describe('a budget', () => {
  test('gets back what an aborted wait had paid (regression: charged for a retry that never was)', async () => {
    const clock = new VirtualClock();
    const budget = retryBudget({ kind: 'tokens' });
    const caller = new AbortController();
    const done = pipeline([retry({ budget })], { clock })
      .execute(failing, { signal: caller.signal })
      .catch(() => undefined);
    await clock.advance(0);
    expect(budget.balance).toBe(495);
    caller.abort();
    await done;
    expect([budget.balance, clock.pending]).toEqual([500, 0]);
  });

  test('counts calls in backoff (regression: a budget that forgot those that wait)', async () => {
    const clock = new VirtualClock();
    const budget = retryBudget({ kind: 'concurrent', minConcurrent: 3 });
    const steady = pipeline([retry({ budget, backoff: { delay: 1000, jitter: 'none' } })], { clock });
    const all = Array.from({ length: 5 }, () => steady.execute(failing).catch(() => clock.now()));
    await clock.advance('1m');
    const ends = await Promise.all(all);
    expect(ends.filter((at) => at === 0)).toHaveLength(2);
    expect(budget.snapshot()).toMatchObject({ balance: 3, usage: 0, denied: 2 });
  });
});
