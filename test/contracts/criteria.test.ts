/** What it takes to stand beside the peers: one test for each acceptance criterion, in the order and with the numbers of the comparison. */

import { execFileSync } from 'node:child_process';
import { afterEach, describe, expect, test, vi } from 'vitest';
import {
  BulkheadFullError,
  type CircuitSnapshot,
  CircuitOpenError,
  RetryExhaustedError,
  TimeoutError,
  bulkhead,
  circuitBreaker,
  fallback,
  hedge,
  pipeline,
  retry,
  retryBudget,
  timeout,
  tokenBucket,
} from 'breakwater';
import { VirtualClock, seededRandom, work } from 'breakwater/testing';

const start = (): { clock: VirtualClock; random: () => number } => ({ clock: new VirtualClock(), random: seededRandom(1) });

afterEach(() => void vi.restoreAllMocks());

describe('circuit breaker', () => {
  test('1: a result from before a transition never changes the state', async () => {
    const { clock } = start();
    const breaker = circuitBreaker({ consecutiveFailures: 1, openFor: '1s', halfOpen: { calls: 2 } });
    const p = pipeline([breaker], { clock });
    const stragglers = [
      p.execute(work({ after: 1500, value: 'late success' })),
      p.executeOutcome(work({ after: 1600, error: new Error('late') })),
    ];
    await p.executeOutcome(work('fail'));
    await clock.advance(1000);
    expect(breaker.state).toBe('half-open');
    await clock.advance(1000);
    await Promise.all(stragglers);
    expect([breaker.state, breaker.snapshot().late]).toEqual(['half-open', 2]);
  });

  test('2: so many probes, by a share of successes, waiting or refused, each on a lease', async () => {
    const { clock } = start();
    const breaker = circuitBreaker({
      consecutiveFailures: 1,
      openFor: '1s',
      halfOpen: { calls: 4, concurrency: 2, successRate: 0.5, probeTimeout: '2s', overflow: 'wait', maxWait: '500ms' },
    });
    const p = pipeline([breaker], { clock });
    await p.executeOutcome(work('fail'));
    await clock.advance(1000);
    void p.executeOutcome(work('hang'));
    void p.executeOutcome(work('hang'));
    const third = p.executeOutcome(work('ok'));
    await clock.advance(500);
    expect(await third).toMatchObject({ ok: false, error: { code: expect.stringMatching(/ERR_(CIRCUIT_OPEN|QUEUE_TIMEOUT)/) as string } });
    await clock.advance(1500); // both leases are over: two of four failed
    expect([breaker.state, breaker.snapshot().probes.inFlight]).toEqual(['half-open', 0]);
    await Promise.all([p.execute(work('ok')), p.execute(work('ok'))]);
    expect(breaker.state).toBe('closed');
  });

  test('3: refusals further in and aborts by the caller count as neither', async () => {
    const breaker = circuitBreaker({ consecutiveFailures: 1 });
    const p = pipeline([breaker, bulkhead({ maxConcurrent: 0 })]);
    await p.executeOutcome(work('ok'));
    await p.executeOutcome(work('ok'), { signal: AbortSignal.abort() });
    expect(breaker.snapshot()).toMatchObject({ state: 'closed', calls: 0 });
  });

  test('4: the window ages by the clock and not by calls', async () => {
    const { clock } = start();
    const breaker = circuitBreaker({ window: '10s', minCalls: 5, failureRate: 0.5 });
    const p = pipeline([breaker], { clock });
    for (let i = 0; i < 4; i++) await p.executeOutcome(work('fail'));
    await clock.advance('1h');
    await p.executeOutcome(work('fail'));
    expect(breaker.snapshot()).toMatchObject({ state: 'closed', calls: 1 });
  });

  test('5: no timer at rest, whatever the state', async () => {
    const { clock } = start();
    const breaker = circuitBreaker({ consecutiveFailures: 1, openFor: '1s', rampUp: '1s' });
    const p = pipeline([breaker], { clock });
    for (const task of ['ok', 'fail'] as const) await p.executeOutcome(work(task));
    expect([breaker.state, clock.pending]).toEqual(['open', 0]);
    await clock.advance(1000);
    expect([breaker.state, clock.pending]).toEqual(['half-open', 0]);
  });

  test('6: the open time grows with each opening, is raised by Retry-After, and capped', async () => {
    const { clock } = start();
    const breaker = circuitBreaker({
      consecutiveFailures: 1,
      openFor: { initial: '1s', factor: 3, max: '5s', jitter: 'none' },
      halfOpen: { calls: 1 },
    });
    const p = pipeline([breaker], { clock });
    const open: (number | undefined)[] = [];
    for (let i = 0; i < 3; i++) {
      await p.executeOutcome(work('fail'));
      open.push(breaker.snapshot().remaining);
      await clock.advance('5s');
    }
    await p.executeOutcome(() => new Response('', { status: 503, headers: { 'retry-after': '60' } }));
    open.push(breaker.snapshot().remaining);
    expect(open).toEqual([1000, 3000, 5000, 60_000]);
  });

  test('7: a refusal says its state, its policy, when to come back, and captures no stack', async () => {
    const p = pipeline([circuitBreaker({ consecutiveFailures: 1, openFor: '5s', name: 'ledger' })], { clock: new VirtualClock() });
    await p.executeOutcome(work('fail'));
    const outcome = await p.executeOutcome(work('ok'));
    const error = outcome.ok ? undefined : outcome.error;
    expect(error).toBeInstanceOf(CircuitOpenError);
    expect(error).toMatchObject({ state: 'open', policy: 'ledger', retryAfter: 5000 });
    expect((error as Error).stack).not.toMatch(/\n\s+at /);
  });

  test('8: its state goes through JSON, time of opening included, without timers', async () => {
    const { clock } = start();
    const breaker = circuitBreaker({ consecutiveFailures: 1, openFor: '10s' });
    await pipeline([breaker], { clock }).executeOutcome(work('fail'));
    const stored = JSON.stringify(breaker.snapshot());
    await clock.advance('4s');
    const again = circuitBreaker({ consecutiveFailures: 1, openFor: '10s', initialState: JSON.parse(stored) as CircuitSnapshot });
    const p = pipeline([again], { clock });
    expect(again.snapshot()).toMatchObject({ state: 'open', remaining: 6000 });
    expect(await p.executeOutcome(work('ok'))).toMatchObject({ ok: false, error: { retryAfter: 6000 } });
    expect(clock.pending).toBe(0);
  });

  test('9: a closed pipeline stays closed and leaves nothing behind', async () => {
    const { clock } = start();
    const p = pipeline([retry({ backoff: { delay: '1m' } }), circuitBreaker({ recover: { auto: true } })], { clock });
    const running = p.executeOutcome(work('fail'));
    await clock.advance(0);
    const closing = p.close({ drain: 10 });
    await clock.advance(10);
    await closing;
    expect(await running).toMatchObject({ ok: false, error: { code: 'ERR_SHUTDOWN' } });
    expect(await p.executeOutcome(work('ok'))).toMatchObject({ ok: false, error: { code: 'ERR_SHUTDOWN' } });
    expect(clock.pending).toBe(0);
  });

  test('10: listeners, predicates and classifiers that throw change no result and hang nothing', async () => {
    const broken = (): never => {
      throw new Error('mine');
    };
    vi.spyOn(process, 'emitWarning').mockImplementation(() => undefined);
    const p = pipeline([retry({ when: broken, maxAttempts: 2 }), circuitBreaker({ isFailure: broken, tripWhen: broken })], {
      classify: broken,
      on: broken,
    });
    expect(await p.executeOutcome(work('ok'))).toEqual({ ok: true, value: 'ok' });
    expect(await p.executeOutcome(work('fail'))).toMatchObject({ ok: false });
  });

  test('11: options are never changed, and two breakers of one literal know nothing of each other', async () => {
    const options = Object.freeze({ consecutiveFailures: 1, openFor: Object.freeze({ initial: '1s' as const }) });
    const [one, other] = [circuitBreaker(options), circuitBreaker(options)];
    await pipeline([one]).executeOutcome(work('fail'));
    expect([one.state, other.state]).toEqual(['open', 'closed']);
  });
});

describe('timeout, retry, hedge', () => {
  test('12: each call has a signal of its own, the reason stays what it was, and an abort is no timeout', async () => {
    const { clock } = start();
    const p = pipeline([timeout({ after: '1s' })], { clock });
    const signals: AbortSignal[] = [];
    const control = new AbortController();
    const hanging = ({ signal }: { readonly signal: AbortSignal }): Promise<never> => {
      signals.push(signal);
      return new Promise(() => undefined);
    };
    const told = p.executeOutcome(hanging, { signal: control.signal });
    const timed = p.executeOutcome(hanging);
    const reason = { left: 'the page' };
    control.abort(reason);
    await clock.advance('1s');
    expect([await told, signals[0]?.reason]).toEqual([{ ok: false, error: reason }, reason]);
    expect(await timed).toMatchObject({ ok: false, error: { code: 'ERR_TIMEOUT' } });
    expect(signals[0]).not.toBe(signals[1]);
    expect(signals[1]?.reason).toBeInstanceOf(TimeoutError);
  });

  test('13: a call that wins makes no AbortController and no error', async () => {
    const made = vi.fn();
    const { AbortController: Controller } = globalThis;
    vi.stubGlobal(
      'AbortController',
      class extends Controller {
        constructor() {
          super();
          made();
        }
      },
    );
    const captured = vi.spyOn(Error, 'captureStackTrace');
    try {
      await pipeline([fallback({ value: 0 }), timeout({ after: '1s' }), retry(), circuitBreaker(), timeout({ after: '1s' })]).execute(() =>
        Promise.resolve(1),
      );
    } finally {
      vi.unstubAllGlobals();
    }
    expect([made.mock.calls.length, captured.mock.calls.length]).toEqual([0, 0]);
  });

  test('14: an abort wakes a backoff and a queue in the same tick, and a call aborted before never runs', async () => {
    const { clock } = start();
    const control = new AbortController();
    const waiting = pipeline(
      [retry({ backoff: { delay: '1h', jitter: 'none' } }), bulkhead({ maxConcurrent: 1, maxQueue: 5, maxWait: '1h' })],
      { clock },
    );
    const ends: string[] = [];
    const end = (name: string) => (): void => void ends.push(name);
    void waiting.executeOutcome(work('hang'));
    const queued = waiting.executeOutcome(work('ok'), { signal: control.signal }).then(end('queue'));
    const asleep = pipeline([retry({ backoff: { delay: '1h', jitter: 'none' } })], { clock })
      .executeOutcome(work('fail'), { signal: control.signal })
      .then(end('backoff'));
    await clock.advance(0);
    control.abort();
    await Promise.all([queued, asleep]);
    expect(ends.sort()).toEqual(['backoff', 'queue']);
    const never = vi.fn();
    await waiting.executeOutcome(never, { signal: control.signal });
    expect(never).not.toHaveBeenCalled();
  });

  test('15: full jitter, a total time, attempts, a budget; Retry-After is kept or the call given up, and never cut short', async () => {
    const { clock, random } = start();
    const delays: number[] = [];
    const p = pipeline([retry({ maxAttempts: 4, backoff: { delay: 100 } })], { clock, random });
    p.on('retry.scheduled', ({ delay }) => delays.push(delay));
    await clock.until(p.executeOutcome(() => Promise.reject(new Error('down'))));
    expect(delays.map((delay, i) => delay >= 0 && delay < 100 * 2 ** i)).toEqual([true, true, true]);
    const asked =
      (seconds: string): (() => object) =>
      () => ({ status: 503, headers: { 'retry-after': seconds } });
    let from = clock.now();
    const kept = pipeline([retry({ maxAttempts: 2, retryAfter: { jitter: 1 } })], { clock, random });
    await clock.until(kept.executeOutcome(asked('7')));
    expect(clock.now() - from).toBe(7000);
    from = clock.now();
    expect(await clock.until(kept.execute(asked('3600')))).toMatchObject({ status: 503 });
    expect(clock.now() - from).toBe(0);
    const budget = retryBudget({ ratio: 0, minPerSecond: 0 });
    const run = vi.fn(() => Promise.reject(new Error('down')));
    await clock.until(pipeline([retry({ budget })], { clock, random }).executeOutcome(run));
    await clock.until(
      pipeline([retry({ maxDuration: 10, backoff: { delay: 100, jitter: 'none' } })], { clock, random }).executeOutcome(run),
    );
    expect(run).toHaveBeenCalledTimes(2);
  });

  test('16: delays beyond 2^31 ms are waited for', async () => {
    const { clock } = start();
    const month = 60 * 24 * 3_600_000;
    const p = pipeline([timeout({ after: 2 * month }), retry({ maxAttempts: 2, backoff: { delay: month, jitter: 'none' } })], { clock });
    const done = p.execute(work('fail', 'ok'));
    await clock.advance(month - 1);
    expect(clock.pending).toBeGreaterThan(0);
    await clock.advance(1);
    expect(await done).toBe('ok');
    expect(clock.now()).toBe(month);
  });

  test('17: a retry that is exhausted by results is an error, with the last value', async () => {
    const p = pipeline([retry<number>({ maxAttempts: 2, backoff: { delay: 0 }, when: (outcome) => outcome.ok && outcome.value < 10 })]);
    const error: unknown = await p.execute(() => 3).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(RetryExhaustedError);
    expect(error).toMatchObject({ value: 3, attempts: 2 });
  });

  test('18: hedges cancel who loses', async () => {
    const { clock } = start();
    const p = pipeline([hedge({ delay: 50, idempotent: true })], { clock });
    let reason: unknown;
    const done = p.execute((call) => {
      if (call.hedge > 0) return 'hedge';
      return new Promise((_, reject) => {
        call.signal.addEventListener('abort', () => {
          reason = call.signal.reason;
          reject(reason);
        });
      });
    });
    await clock.advance(50);
    expect([await done, (reason as { code?: string }).code]).toEqual(['hedge', 'ERR_HEDGE_LOST']);
    expect(clock.pending).toBe(0);
  });
});

test('35: nothing keeps the process alive but work that is waited for', () => {
  const script = `
    import { bulkhead, circuitBreaker, pipeline, retry, timeout, tokenBucket } from 'breakwater';
    const p = pipeline([timeout({ after: '1h' }), retry(), circuitBreaker({ consecutiveFailures: 1, openFor: '1h', recover: { auto: true } }), bulkhead({ maxConcurrent: 1 }), tokenBucket({ rate: 1 })]);
    await p.executeOutcome(() => Promise.reject(new Error('down')));
    console.log('over');`;
  expect(execFileSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8', timeout: 20_000 }).trim()).toBe('over');
});

test('refusals of a bulkhead and a limiter are of the family, too', async () => {
  const p = pipeline([tokenBucket({ rate: 1, initial: 1 }), bulkhead({ maxConcurrent: 0 })]);
  expect(await p.execute(() => 1).catch((error: unknown) => error)).toBeInstanceOf(BulkheadFullError);
});
