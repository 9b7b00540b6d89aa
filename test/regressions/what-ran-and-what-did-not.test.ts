import { describe, expect, test } from 'vitest';
import {
  type AnyEvent,
  OptionsError,
  TimeoutError,
  attemptsOf,
  bulkhead,
  chaos,
  circuitBreaker,
  degrade,
  hedge,
  pipeline,
  retry,
  retryBudget,
  switchboard,
  timeout,
} from 'breakwater';
import { VirtualClock, arrange, work } from 'breakwater/testing';

// A timeout that ran out in a queue counted as if the work had been sent, so what must not run twice was not tried again though it had never run.
test('a timeout before the work began is tried again, also for what must not run twice', async () => {
  const clock = new VirtualClock();
  const slots = bulkhead({ maxConcurrent: 1, maxQueue: 1, maxWait: '1s' });
  const guarded = pipeline([retry({ maxAttempts: 2, backoff: { delay: 100, jitter: 'none' } }), timeout({ after: 50 }), slots], { clock });
  const busy = pipeline([slots], { clock }).execute(work({ after: 100, value: 'done' }));
  expect(await clock.until(guarded.execute(work('ok'), { idempotent: false }))).toBe('ok');
  await busy;
});

// The attempt that an open circuit turned away was counted among those that ran.
test('attempts are those that ran', async () => {
  const { run, clock, events } = arrange([retry({ maxAttempts: 5, backoff: { delay: 1 } }), circuitBreaker({ consecutiveFailures: 2 })]);
  const error: unknown = await clock.until(run(work('fail', 'fail', 'ok')).catch((reason: unknown) => reason));
  expect(attemptsOf(error)).toBe(2);
  expect(events.find(({ type }) => type === 'retry.gave-up')).toMatchObject({ attempts: 2, reason: 'refused' });
  const refused: unknown = await run(work('ok')).catch((reason: unknown) => reason);
  expect(attemptsOf(refused)).toBeUndefined();
  expect(events.findLast(({ type }) => type === 'retry.gave-up')).toMatchObject({ attempts: 0, level: 'info' });
});

// Retry and hedge both put each call on the books of the budget they shared, so it allowed twice what it promised.
test('a budget that a retry and the hedge inside it share counts a call once', async () => {
  const balances: number[] = [];
  for (const policies of [
    (budget: ReturnType<typeof retryBudget>) => [retry({ budget })],
    (budget: ReturnType<typeof retryBudget>) => [hedge({ budget, idempotent: true, delay: '1s' })],
    (budget: ReturnType<typeof retryBudget>) => [retry({ budget }), hedge({ budget, idempotent: true, delay: '1s' })],
  ]) {
    const budget = retryBudget({ ratio: 0.2, minPerSecond: 0 });
    const { run } = arrange(policies(budget));
    for (let i = 0; i < 100; i++) await run(work('ok'));
    balances.push(budget.balance);
  }
  expect(balances).toEqual([20, 20, 20]);
});

// Each won hedge, and each timed-out fetch, was a warning, though the work had stopped when it was told to.
describe('pipeline.late', () => {
  const heeding = ({ signal }: { readonly signal: AbortSignal }): Promise<never> =>
    new Promise((_, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason as Error));
    });

  test('tells of work that went on, and not of work that stopped when it was told to', async () => {
    for (const [task, late] of [
      [heeding, 0],
      [work({ after: 100, value: 'late' }), 1],
    ] as const) {
      const { run, clock, events } = arrange(timeout({ after: 10 }));
      await clock.until(run(task).catch(() => undefined));
      await clock.advance('1s');
      expect(events.filter(({ type }) => type === 'pipeline.late')).toHaveLength(late);
    }
  });
});

// Failures from before an emergency counted again right after the plan was rolled back.
test('a feature that comes back from a plan starts with an empty window', async () => {
  const board = switchboard();
  const feature = degrade({ feature: 'search', board, auto: { failureRate: 0.5, minCalls: 4 } });
  const plan = board.plan('rush', { search: 'off' });
  const { run } = arrange(feature);
  for (let i = 0; i < 3; i++) await run(work('fail')).catch(() => undefined);
  plan.apply();
  plan.rollback();
  await run(work('fail')).catch(() => undefined);
  expect(feature.level).toBe('full');
});

// A hang by chaos was no hang: the timeout around it said that the work had not started.
test('latency that is injected looks like work that hangs', async () => {
  const { run, clock } = arrange([timeout({ after: 10 }), chaos({ rate: 1, latency: '1s' })]);
  const error: unknown = await clock.until(run(work('ok')).catch((reason: unknown) => reason));
  expect(error).toBeInstanceOf(TimeoutError);
  expect(error).toMatchObject({ started: true });
});

// `execute(work, signal)`, as in other libraries, ran without the signal.
test('a signal in place of the options is refused', async () => {
  const wrong = pipeline([]).execute(() => 1, new AbortController().signal as never);
  await expect(wrong).rejects.toThrow(OptionsError);
  await expect(wrong).rejects.toThrow('write { signal }');
});

// JSON.stringify(event) showed errors as {}.
test('our errors go into logs with their names and messages', () => {
  const error = new TimeoutError('too slow', { after: 5, pipeline: 'p' });
  expect(JSON.parse(JSON.stringify({ error }))).toMatchObject({
    error: { name: 'TimeoutError', message: 'too slow', code: 'ERR_TIMEOUT', after: 5, pipeline: 'p' },
  });
});

// Listeners of all events could not tell their fields apart.
test('a listener of all events narrows them by their type', async () => {
  const delays: number[] = [];
  const on = (event: AnyEvent): void => {
    if (event.type === 'retry.scheduled') delays.push(event.delay);
  };
  await pipeline([retry({ backoff: { delay: 0 } })], { on }).execute(work('fail', 'ok'));
  expect(delays).toEqual([0]);
});

// `throw response`, as the documentation advises, left the body of each retried response unread, and its connection taken.
test('a response that was thrown is let go once another attempt has run, and the last one is not', async () => {
  const cancelled: number[] = [];
  const answer = (n: number): Response => new Response(new ReadableStream({ cancel: () => void cancelled.push(n) }), { status: 503 });
  const { run, clock } = arrange(retry({ maxAttempts: 3, backoff: { delay: 1 } }));
  const thrown: unknown = await clock.until(
    run(({ attempt }) => {
      throw answer(attempt);
    }).catch((reason: unknown) => reason),
  );
  expect(thrown).toBeInstanceOf(Response);
  expect(cancelled).toEqual([1, 2]);
});
