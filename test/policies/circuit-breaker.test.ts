import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, expectTypeOf, test } from 'vitest';
import {
  type CircuitBreaker,
  type CircuitBreakerOptions,
  type EventFields,
  type PipelineEvent,
  type Settled,
  CircuitIsolatedError,
  CircuitOpenError,
  OptionsError,
  RejectedError,
  ResilienceError,
  circuitBreaker,
  perKey,
  pipeline,
  timeout,
} from 'breakwater';
import { VirtualClock, arrange, gateContract, policyContract, work } from 'breakwater/testing';

const contract = { describe, it: test };
policyContract(() => circuitBreaker({ consecutiveFailures: 100 }), {
  ...contract,
  refuses: () => isolated(),
  factory: { create: circuitBreaker, options: { window: '1m', minCalls: 50, failureRate: 0.9, openFor: '1s', name: 'guard' } },
});
policyContract(() => circuitBreaker({ window: { calls: 400 }, minCalls: 400 }), { ...contract, name: 'circuit-breaker by calls' });
policyContract(() => halfOpened(), { ...contract, name: 'circuit-breaker while half-open' });
policyContract(() => disabled(), { ...contract, name: 'circuit-breaker while disabled' });
gateContract(() => circuitBreaker({ consecutiveFailures: 1000 }), { ...contract, refuses: () => isolated() });

function isolated(): CircuitBreaker {
  const breaker = circuitBreaker();
  breaker.isolate();
  return breaker;
}

function halfOpened(): CircuitBreaker {
  const breaker = circuitBreaker({ halfOpen: { calls: 500, concurrency: 500, successRate: 1, decide: 'all' } });
  breaker.open();
  breaker.halfOpen();
  return breaker;
}

function disabled(): CircuitBreaker {
  const breaker = circuitBreaker({ consecutiveFailures: 1 });
  breaker.disable();
  return breaker;
}

const down = new Error('down');
const fail = (): Promise<never> => Promise.reject(down);
const never = (): Promise<never> => new Promise(() => undefined);
const names = (events: readonly PipelineEvent[]): string[] =>
  events.map(({ type }) => type).filter((type) => type.startsWith('circuit-breaker.'));

interface Runs {
  readonly run: (work: () => Promise<never>, options?: { readonly key?: string }) => Promise<unknown>;
}

/** Runs failing work so many times. */
async function failing({ run }: Runs, times: number): Promise<void> {
  for (let i = 0; i < times; i++) await run(fail).catch(() => undefined);
}

const refusal = async ({ run }: Runs, options?: { readonly key?: string }): Promise<RejectedError> =>
  await run(() => Promise.reject(new Error('the work ran')), options).then(
    () => expect.fail('not refused'),
    (error: unknown) => (error instanceof RejectedError ? error : expect.fail(String(error))),
  );

describe('options (G9)', () => {
  test.each<[object, string, string]>([
    [{ failureRate: 0 }, 'failureRate', 'a number above 0 up to 1'],
    [{ failureRate: 1.5 }, 'failureRate', 'a number above 0 up to 1'],
    [{ failureRate: Number.NaN }, 'failureRate', 'a number above 0 up to 1'],
    [{ failureRate: '50%' }, 'failureRate', 'a number above 0 up to 1'],
    [{ slowRate: -1, slowCall: 1 }, 'slowRate', 'a number above 0 up to 1'],
    [{ slowCall: 0 }, 'slowCall', 'a duration of at least 1 ms'],
    [{ slowCall: '2 s' }, 'slowCall', 'a duration of at least 1 ms'],
    [{ slowRate: 0.5 }, 'slowRate', 'slowCall beside it'],
    [{ consecutiveFailures: 0 }, 'consecutiveFailures', 'a whole number of at least 1'],
    [{ consecutiveFailures: 1.5 }, 'consecutiveFailures', 'a whole number of at least 1'],
    [{ consecutiveFailures: Infinity }, 'consecutiveFailures', 'a whole number of at least 1'],
    [{ consecutiveFailures: '10' }, 'consecutiveFailures', 'a whole number of at least 1'],
    [{ minCalls: 0 }, 'minCalls', 'a whole number of at least 1'],
    [{ window: { calls: 10 }, minCalls: 11 }, 'minCalls', 'at most window.calls (10)'],
    [{ window: 0 }, 'window.duration', 'a duration of at least 1 ms'],
    [{ window: -Infinity }, 'window.duration', 'a duration of at least 1 ms'],
    [{ window: true }, 'window.duration', 'a duration of at least 1 ms'],
    [{ window: null }, 'window', 'an object with duration, buckets'],
    [{ window: {} }, 'window.duration', 'a duration of at least 1 ms'],
    [{ window: { duration: '1s', buckets: 0 } }, 'window.buckets', 'a whole number from 1 to 1000000'],
    [{ window: { duration: '1s', bucket: 5 } }, 'window.bucket', 'one of duration, buckets (did you mean buckets?)'],
    [{ window: { calls: 0 } }, 'window.calls', 'a whole number from 1 to 1000000'],
    [{ window: { calls: 1e12 } }, 'window.calls', 'a whole number from 1 to 1000000'],
    [{ window: { calls: 10, duration: '1s' } }, 'window.duration', 'one of calls'],
    [{ openFor: -1 }, 'openFor.initial', 'a duration of at least 1 ms'],
    [{ openFor: '10' }, 'openFor.initial', 'a duration of at least 1 ms'],
    [{ openFor: null }, 'openFor', 'an object with initial'],
    [{ openFor: { initial: '10m' } }, 'openFor.max', 'at least openFor.initial (600000 ms)'],
    [{ openFor: { factor: 0.5 } }, 'openFor.factor', 'a number of at least 1'],
    [{ openFor: { jitter: 'half' } }, 'openFor.jitter', "'none', 'equal', 'full'"],
    [{ openFor: { resetAfter: 0 } }, 'openFor.resetAfter', 'a duration of at least 1 ms'],
    [{ halfOpen: 3 }, 'halfOpen', 'an object with calls'],
    [{ halfOpen: { calls: 0 } }, 'halfOpen.calls', 'a whole number of at least 1'],
    [{ halfOpen: { concurrency: 0 } }, 'halfOpen.concurrency', 'a whole number of at least 1'],
    [{ halfOpen: { successRate: 0 } }, 'halfOpen.successRate', 'a number above 0 up to 1'],
    [{ halfOpen: { probeTimeout: 0 } }, 'halfOpen.probeTimeout', 'a duration of at least 1 ms'],
    [{ halfOpen: { maxDuration: 0 } }, 'halfOpen.maxDuration', 'a duration of at least 1 ms'],
    [{ halfOpen: { decide: 'late' } }, 'halfOpen.decide', "'early', 'all'"],
    [{ isFailure: true }, 'isFailure', "a function (outcome, call) => true, false or 'ignored'"],
    [{ name: '' }, 'name', 'a string that is not empty'],
    [{ treshold: 5 }, 'treshold', 'one of window'],
  ])('%j is refused: %s', (options, path, expected) => {
    try {
      circuitBreaker(options as CircuitBreakerOptions);
      expect.fail('accepted');
    } catch (error) {
      expect(error).toBeInstanceOf(OptionsError);
      expect(error).toMatchObject({ path: `circuit-breaker.${path}`, expected: expect.stringContaining(expected) as string });
    }
  });

  test('may all be left out', () => {
    const all = {
      window: { duration: 30_000, buckets: 10 },
      failureRate: 0.5,
      slowRate: 0.5,
      slowInFlight: true,
      comparison: 'at-least',
      minCalls: 20,
      warmUp: { duration: 0, calls: 0 },
      openFor: { initial: 5000, factor: 2, max: 300_000, jitter: 'equal' },
      maxRetryAfter: 300_000,
      tripOnRetryAfter: false,
      halfOpen: {
        calls: 3,
        concurrency: 3,
        successRate: 1,
        probeTimeout: 30_000,
        maxDuration: Infinity,
        onExpire: 'open',
        decide: 'early',
        overflow: 'refuse',
        maxWait: 5000,
        maxWaiting: 100,
      },
      recover: { auto: false, interval: 5000, timeout: 5000, closes: false },
      isFailure: 'errors, timeouts and bad responses',
    };
    expect(circuitBreaker().describe()).toEqual(all);
    expect(() => circuitBreaker(null as never)).toThrow(OptionsError);
  });

  test.each<[CircuitBreakerOptions, object]>([
    [{ window: '1m' }, { window: { duration: 60_000, buckets: 10 } }],
    [{ window: { duration: '1m', buckets: 6 } }, { window: { duration: 60_000, buckets: 6 } }],
    [{ window: { calls: 10 } }, { window: { calls: 10 }, minCalls: 10 }],
    [{ window: { calls: 100 } }, { minCalls: 20 }],
    [{ window: { calls: 100 }, minCalls: 100 }, { minCalls: 100 }],
    [{ openFor: '10m' }, { openFor: { initial: 600_000, factor: 1, max: Infinity, jitter: 'none' } }],
    [{ openFor: { initial: '1s' } }, { openFor: { initial: 1000, factor: 2, max: 300_000, jitter: 'equal' } }],
    [{ openFor: () => 1 }, { openFor: 'computed' }],
    [{ consecutiveFailures: 5 }, { consecutiveFailures: 5, failureRate: Infinity }],
    [
      { consecutiveFailures: 5, failureRate: 0.9 },
      { consecutiveFailures: 5, failureRate: 0.9 },
    ],
    [{ slowCall: '2s' }, { slowCall: 2000, slowRate: 0.5, failureRate: 0.5 }],
    [{ isFailure: () => false }, { isFailure: 'chosen' }],
  ])('%j is read as %j', (options, read) => {
    expect(circuitBreaker(options).describe()).toMatchObject(read);
  });

  test('a predicate sees the result type, and the work has to fit it', () => {
    const breaker = circuitBreaker({ isFailure: (outcome: Settled<{ status: number }>) => !outcome.ok || outcome.value.status >= 500 });
    expectTypeOf(breaker).toEqualTypeOf<CircuitBreaker<{ status: number }>>();
    const http = pipeline([breaker]);
    expectTypeOf(http.execute(() => ({ status: 200, body: '' }))).resolves.toEqualTypeOf<{ status: number; body: string }>();
    // @ts-expect-error a number has no status
    void http.execute(() => 5).catch(() => undefined);
  });
});

describe('a circuit breaker', () => {
  test('opens, refuses, probes and closes, and tells each change once, in order, with its level (K2, K9)', async () => {
    const guarded = arrange(circuitBreaker({ minCalls: 4, openFor: '5s', halfOpen: { calls: 2 } }), { name: 'shop' });
    const { run, clock, policy, events } = guarded;
    await run(() => 1);
    await failing(guarded, 3);
    expect(policy.state).toBe('open');
    await clock.advance(4999);
    expect(await refusal(guarded)).toBeInstanceOf(CircuitOpenError);
    await clock.advance(1);
    expect(await run(() => 2)).toBe(2);
    expect(policy.state).toBe('half-open');
    expect(await run(() => 3)).toBe(3);
    expect(policy.state).toBe('closed');
    const own = events.filter(({ type }) => type.startsWith('circuit-breaker.'));
    const stamp = { pipeline: 'shop', policy: 'circuit-breaker' };
    expect(own).toEqual([
      {
        ...stamp,
        type: 'circuit-breaker.opened',
        level: 'error',
        at: 0,
        from: 'closed',
        reason: 'failure-rate',
        openCount: 1,
        openFor: 5000,
        calls: 4,
        failures: 3,
        slow: 0,
        error: down,
      },
      { ...stamp, type: 'circuit-breaker.half-opened', level: 'warn', at: 5000, from: 'open', reason: 'elapsed' },
      { ...stamp, type: 'circuit-breaker.closed', level: 'info', at: 5000, from: 'half-open', reason: 'probes' },
    ]);
    expect(clock.pending).toBe(0);
  });

  test('refuses with the time left and the last failure as its cause, and is true to that time', async () => {
    const guarded = arrange(circuitBreaker({ consecutiveFailures: 2, openFor: 1000.3, name: 'stock' }), { name: 'shop' });
    await guarded.run(() => Promise.reject(new Error('first'))).catch(() => undefined);
    await failing(guarded, 1);
    await guarded.clock.advance(200);
    const error = await refusal(guarded, { key: 'tea' });
    expect(error).toBeInstanceOf(RejectedError);
    expect(error).toMatchObject({
      code: 'ERR_CIRCUIT_OPEN',
      message: 'shop: stock is open for another 801 ms',
      retryAfter: 801,
      pipeline: 'shop',
      policy: 'stock',
      key: 'tea',
    });
    expect(error.cause).toBe(down);
    await guarded.clock.advance(800);
    await refusal(guarded);
    await guarded.clock.advance(1);
    expect(await guarded.run(() => 'in')).toBe('in');
  });

  test('refuses a call without a place among the probes, and names no time', async () => {
    const guarded = arrange(circuitBreaker({ halfOpen: { calls: 1 } }));
    guarded.policy.open(10);
    await guarded.clock.advance(10);
    void guarded.run(never);
    const error = await refusal(guarded);
    expect(error).toMatchObject({
      code: 'ERR_CIRCUIT_OPEN',
      message: expect.stringContaining('half-open and all its probes are taken') as string,
    });
    expect(error.retryAfter).toBeUndefined();
  });

  test('stays open between half of the time and all of it by default, twice as long with each opening, up to five minutes', async () => {
    for (const [chance, times] of [
      [0, [2500, 5000, 10_000, 20_000, 40_000, 80_000, 150_000, 150_000]],
      [0.5, [3750, 7500, 15_000, 30_000, 60_000, 120_000, 225_000, 225_000]],
    ] as const) {
      const guarded = arrange(circuitBreaker(), { random: () => chance });
      await failing(guarded, 20);
      for (const [i, time] of times.entries()) {
        expect(guarded.policy.snapshot()).toMatchObject({ state: 'open', remaining: time, openCount: i + 1 });
        await guarded.clock.advance(time);
        await failing(guarded, 1);
      }
    }
  });

  test('asks a function how long to stay open', async () => {
    const asked: number[] = [];
    const guarded = arrange(circuitBreaker({ consecutiveFailures: 1, openFor: (n) => (asked.push(n), n * 100) }));
    await failing(guarded, 1);
    await guarded.clock.advance(100);
    await failing(guarded, 1);
    expect(asked).toEqual([1, 2]);
    expect(guarded.policy.snapshot().remaining).toBe(200);
  });

  test.each([
    ['throws', () => expect.fail('no idea')],
    ['answers with nonsense', () => Number.NaN],
  ])('reports a function that %s, and opens for five seconds all the same (G5)', async (_, openFor) => {
    const guarded = arrange(circuitBreaker({ consecutiveFailures: 1, openFor }));
    await failing(guarded, 1);
    expect(guarded.policy.snapshot()).toMatchObject({ state: 'open', remaining: 5000 });
    expect(guarded.events.filter(({ type }) => type === 'pipeline.callback-failed')).toMatchObject([{ callback: 'openFor' }]);
  });

  test('with consecutiveFailures alone is not opened by a rate', async () => {
    const guarded = arrange(circuitBreaker({ consecutiveFailures: 3, minCalls: 1 }));
    for (let i = 0; i < 50; i++) {
      await failing(guarded, 2);
      await guarded.run(() => 1);
    }
    expect(guarded.policy.snapshot()).toMatchObject({ state: 'closed', failures: 100 });
  });

  test('counts slow calls, and a slow probe keeps it open', async () => {
    const guarded = arrange(circuitBreaker({ slowCall: '1s', minCalls: 2, openFor: '5s', halfOpen: { calls: 1 } }));
    const { run, clock, policy, events } = guarded;
    for (let i = 0; i < 2; i++) await clock.until(run(work({ after: '1001ms', value: 'at last' })));
    expect(policy.state).toBe('open');
    expect(events.at(-2)).toMatchObject({ type: 'circuit-breaker.opened', reason: 'slow-rate', calls: 2, failures: 0, slow: 2 });
    await clock.advance('5s');
    await clock.until(run(work({ after: '2s', value: 'still slow' })));
    expect(policy.snapshot()).toMatchObject({ state: 'open', openCount: 2 });
  });

  test('counts a timeout as a failure, also one around it', async () => {
    const inner = arrange([circuitBreaker({ consecutiveFailures: 2 }), timeout({ after: 10 })]);
    const outer = arrange([timeout({ after: 10 }), circuitBreaker({ consecutiveFailures: 2 })]);
    for (const { run, clock, policies, pipeline: guarded } of [inner, outer]) {
      for (let i = 0; i < 2; i++) await clock.until(run(never).catch(() => undefined));
      expect(guarded.snapshot().policies.find(({ kind }) => kind === 'circuit-breaker')).toMatchObject({ state: 'open' });
      expect(policies).toHaveLength(2);
    }
  });

  test('does not wait: it needs no timer in any state', async () => {
    const guarded = arrange(circuitBreaker({ consecutiveFailures: 1, halfOpen: { probeTimeout: '1s', maxDuration: '5s' } }));
    await failing(guarded, 1);
    expect(guarded.clock.pending).toBe(0);
    await guarded.clock.advance('5s');
    void guarded.run(never);
    expect(guarded.policy.state).toBe('half-open');
    expect(guarded.clock.pending).toBe(0);
  });

  test('used inside itself it settles (G1)', async () => {
    const { run, policy, clock } = arrange(circuitBreaker({ consecutiveFailures: 1, halfOpen: { calls: 1 } }));
    expect(await run(() => run(() => run(() => 'deep')))).toBe('deep');
    policy.open(1);
    await clock.advance(1);
    await expect(run(() => run(() => 'no place'))).rejects.toMatchObject({ code: 'ERR_CIRCUIT_OPEN' });
    expect(policy.snapshot(), 'the refusal inside is no verdict on the probe').toMatchObject({
      state: 'half-open',
      probes: { inFlight: 0 },
    });
  });

  test('has a circuit of its own for each key', async () => {
    const guarded = arrange(perKey(() => circuitBreaker({ consecutiveFailures: 1 })));
    await guarded.run(fail, { key: 'a' }).catch(() => undefined);
    expect(await refusal(guarded, { key: 'a' })).toBeInstanceOf(CircuitOpenError);
    expect(await guarded.run(() => 'fine', { key: 'b' })).toBe('fine');
    expect(guarded.events.find(({ type }) => type === 'circuit-breaker.opened')).toMatchObject({ key: 'a' });
  });
});

describe('isFailure', () => {
  test('judges results, errors and timeouts, and is told the call', async () => {
    const seen: unknown[] = [];
    const isFailure: CircuitBreakerOptions<number>['isFailure'] = (outcome, { key }) => {
      seen.push([outcome.ok ? outcome.value : outcome.error, key]);
      return outcome.ok ? outcome.value >= 500 : false;
    };
    const guarded = arrange(circuitBreaker({ window: { calls: 4 }, isFailure }));
    await guarded.run(() => 200, { key: 'a' });
    await guarded.run(() => 500, { key: 'b' });
    await failing(guarded, 1);
    expect(seen).toEqual([
      [200, 'a'],
      [500, 'b'],
      [down, undefined],
    ]);
    expect(guarded.policy.snapshot()).toMatchObject({ calls: 3, failures: 1, lastFailure: '500' });
    await guarded.run(() => 503);
    expect((await refusal(guarded)).cause).toBe(503);
  });

  test("'ignored' counts as neither (K7)", async () => {
    const guarded = arrange(circuitBreaker({ consecutiveFailures: 2, isFailure: (outcome) => (outcome.ok ? false : 'ignored') }));
    await failing(guarded, 10);
    expect(guarded.policy.snapshot()).toMatchObject({ state: 'closed', calls: 0, ignored: 10, consecutiveFailures: 0 });
  });

  test.each([
    ['throws', () => expect.fail('broken')],
    ['answers with nothing', () => undefined as unknown as boolean],
    ['answers with a promise', () => Promise.resolve(true) as unknown as boolean],
  ])('that %s is reported, and the outcome counts as neither (G5)', async (_, isFailure) => {
    const guarded = arrange(circuitBreaker({ consecutiveFailures: 1, isFailure }));
    expect(await guarded.run(() => 'value')).toBe('value');
    await expect(guarded.run(fail)).rejects.toBe(down);
    expect(guarded.policy.snapshot()).toMatchObject({ state: 'closed', calls: 0, ignored: 2 });
    expect(guarded.events.filter(({ type }) => type === 'pipeline.callback-failed')).toMatchObject([
      { callback: 'isFailure' },
      { callback: 'isFailure' },
    ]);
  });

  test('is asked neither about refusals further in nor about aborts', async () => {
    let asked = 0;
    const guarded = arrange([circuitBreaker({ consecutiveFailures: 1, isFailure: () => ++asked > 0 }), isolated()]);
    await guarded.run(() => 1).catch(() => undefined);
    const aborting = arrange(circuitBreaker({ consecutiveFailures: 1, isFailure: () => ++asked > 0 }));
    const controller = new AbortController();
    const done = aborting.pipeline.executeOutcome(never, { signal: controller.signal });
    controller.abort('enough');
    expect(await done).toEqual({ ok: false, error: 'enough' });
    expect(asked).toBe(0);
    expect(aborting.policy.snapshot()).toMatchObject({ state: 'closed', ignored: 1 });
  });
});

describe('commands', () => {
  test('isolate refuses everything until released, for a reason (K8)', async () => {
    const guarded = arrange(circuitBreaker(), { name: 'shop' });
    const { policy, clock, run, events } = guarded;
    await failing(guarded, 3);
    const isolation = policy.isolate('database moves');
    const error = await refusal(guarded, { key: 'k' });
    expect(error).toBeInstanceOf(CircuitIsolatedError);
    expect(error).toMatchObject({
      code: 'ERR_CIRCUIT_ISOLATED',
      message: 'shop: circuit-breaker is isolated: database moves',
      key: 'k',
      policy: 'circuit-breaker',
    });
    await clock.advance('10s');
    expect(policy.snapshot()).toMatchObject({ state: 'isolated', why: 'database moves', rejected: 1 });
    isolation.release();
    isolation.release();
    expect(policy.snapshot()).toMatchObject({ state: 'closed', why: undefined, failures: 3, rejected: 0 });
    expect(await run(() => 1)).toBe(1);
    expect(names(events)).toEqual(['circuit-breaker.isolated', 'circuit-breaker.closed']);
    expect(events.find(({ type }) => type === 'circuit-breaker.isolated')).toMatchObject({
      level: 'warn',
      from: 'closed',
      why: 'database moves',
    });
  });

  test('isolations add up, and a `using` block releases its own', async () => {
    const guarded = arrange(circuitBreaker());
    const other = guarded.policy.isolate();
    {
      using mine = guarded.policy.isolate('mine');
      expect(mine).toHaveProperty('release');
      expect((await refusal(guarded)).message).toContain('is isolated: mine');
    }
    expect((await refusal(guarded)).message).toBe('test: circuit-breaker is isolated');
    other[Symbol.dispose]();
    expect(guarded.policy.state).toBe('closed');
  });

  test('open takes a time of its own, and refuses one that is none', async () => {
    const { policy, clock } = arrange(circuitBreaker({ openFor: '5s' }));
    policy.open('1m');
    expect(policy.snapshot()).toMatchObject({ state: 'open', remaining: 60_000 });
    policy.open();
    expect(policy.snapshot().remaining).toBe(60_000);
    policy.open(10);
    await clock.advance(10);
    expect(policy.state).toBe('half-open');
    policy.open();
    expect(policy.snapshot()).toMatchObject({ state: 'open', remaining: 5000, openCount: 2 });
    expect(() => policy.open('soon' as never)).toThrow(OptionsError);
  });

  test('open for ever is refused without a time', async () => {
    const guarded = arrange(circuitBreaker());
    guarded.policy.open(Infinity);
    await guarded.clock.advance('1000h');
    expect((await refusal(guarded)).retryAfter).toBeUndefined();
    expect(guarded.policy.snapshot().remaining).toBeUndefined();
  });

  test('halfOpen needs an open circuit, and says so', () => {
    const { policy } = arrange(circuitBreaker());
    expect(() => policy.halfOpen()).toThrow(ResilienceError);
    expect(() => policy.halfOpen()).toThrow('the circuit is closed, and only an open one can be tried out; call open() first');
    policy.open();
    policy.halfOpen();
    policy.halfOpen();
    expect(policy.state).toBe('half-open');
  });

  test('close and reset close; only reset forgets how often it opened', async () => {
    const guarded = arrange(circuitBreaker({ consecutiveFailures: 1 }));
    await failing(guarded, 1);
    guarded.policy.close();
    expect(guarded.policy.snapshot()).toMatchObject({ state: 'closed', openCount: 1, lastFailure: 'Error: down' });
    await failing(guarded, 1);
    expect(guarded.policy.snapshot()).toMatchObject({ state: 'open', openCount: 2 });
    guarded.policy.reset();
    expect(guarded.policy.snapshot()).toMatchObject({ state: 'closed', openCount: 0, lastFailure: undefined });
  });

  test('disable, metricsOnly and enable', async () => {
    const guarded = arrange(circuitBreaker({ consecutiveFailures: 1 }));
    const { policy, events } = guarded;
    policy.enable();
    expect(names(events)).toEqual([]);
    policy.disable();
    await failing(guarded, 5);
    expect(policy.snapshot()).toMatchObject({ state: 'disabled', calls: 0 });
    policy.enable();
    policy.metricsOnly();
    await failing(guarded, 5);
    expect(policy.snapshot()).toMatchObject({ state: 'metrics-only', calls: 5, failures: 5 });
    policy.enable();
    expect(policy.snapshot()).toMatchObject({ state: 'closed', calls: 0 });
    await failing(guarded, 1);
    expect(policy.state).toBe('open');
    policy.enable();
    expect(policy.state, 'enable() is no way to close it').toBe('open');
    expect(names(events)).toEqual(['disabled', 'closed', 'disarmed', 'closed', 'opened'].map((name) => `circuit-breaker.${name}`));
  });

  test('given before it is mounted keep their time on the clock of the pipeline', async () => {
    const breaker = circuitBreaker();
    breaker.open(1000);
    const clock = new VirtualClock({ start: 77 });
    const guarded = pipeline([breaker], { clock });
    clock.jump(998);
    expect(await guarded.executeOutcome(() => 1)).toMatchObject({ ok: false });
    clock.jump(2);
    expect(await guarded.executeOutcome(() => 1)).toMatchObject({ ok: true });
  });
});

describe('snapshot', () => {
  test('survives JSON in every state', async () => {
    const guarded = arrange(circuitBreaker({ consecutiveFailures: 1 }));
    const { policy, clock } = guarded;
    const seen: string[] = [];
    const look = (): void => {
      const snapshot = policy.snapshot();
      seen.push(snapshot.state);
      const told = Object.fromEntries(Object.entries(snapshot).filter(([, value]) => value !== undefined));
      expect(JSON.parse(JSON.stringify(snapshot))).toEqual(told);
    };
    look();
    await failing(guarded, 1);
    look();
    await clock.advance('5s');
    look();
    policy.isolate('why').release();
    policy.isolate('why');
    look();
    policy.reset();
    policy.open(Infinity);
    look();
    policy.disable();
    look();
    policy.metricsOnly();
    look();
    expect(seen).toEqual(['closed', 'open', 'half-open', 'isolated', 'open', 'disabled', 'metrics-only']);
  });

  test('puts the last failure in words, whatever it is', async () => {
    const guarded = arrange(circuitBreaker({ window: { calls: 100 }, minCalls: 100 }));
    for (const [thrown, words] of [
      [new RangeError('too far'), 'RangeError: too far'],
      ['a string', 'a string'],
      [Object.create(null), 'an object'],
      [null, 'null'],
    ] as const) {
      await guarded.run(() => Promise.reject(thrown as Error)).catch(() => undefined);
      expect(guarded.policy.snapshot().lastFailure).toBe(words);
    }
  });
});

describe('a circuit breaker shared by pipelines', () => {
  test('refuses in all of them, and its changes are told in each, once', async () => {
    const clock = new VirtualClock();
    const breaker = circuitBreaker({ consecutiveFailures: 1, openFor: '1s' });
    const a = arrange([breaker, timeout({ after: '1s' })], { clock, name: 'a' });
    const b = arrange(breaker, { clock, name: 'b' });
    b.pipeline.tryAcquire(); // gates are mounted once more for this
    await failing(a, 1);
    expect(await refusal(b)).toMatchObject({ pipeline: 'b', code: 'ERR_CIRCUIT_OPEN' });
    for (const {
      events,
      pipeline: { name },
    } of [a, b])
      expect(events.filter(({ type }) => type === 'circuit-breaker.opened')).toMatchObject([
        { pipeline: name, reason: 'consecutive-failures' },
      ]);
  });

  test('tells of a late result only where it came from', async () => {
    const clock = new VirtualClock();
    const breaker = circuitBreaker();
    const a = arrange(breaker, { clock, name: 'a' });
    const b = arrange(breaker, { clock, name: 'b' });
    const slow = clock.until(a.run(work({ after: 10, value: 1 }), { key: 'k' }));
    breaker.open();
    await slow;
    expect(a.events.filter(({ type }) => type === 'circuit-breaker.late')).toMatchObject([{ level: 'info', key: 'k', ok: true, age: 10 }]);
    expect(names(b.events)).toEqual(['circuit-breaker.opened']);
  });

  test('does not keep pipelines alive that are made per request', async () => {
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    const breaker = circuitBreaker({ consecutiveFailures: 1 });
    const made: WeakRef<object>[] = [];
    const kept = arrange(breaker);
    for (let i = 0; i < 300; i++) {
      const listener = (): void => undefined;
      const perRequest = pipeline([breaker], { on: listener, clock: kept.clock });
      await perRequest.execute(() => i);
      made.push(new WeakRef(perRequest), new WeakRef(listener));
    }
    for (let round = 0; round < 5; round++) {
      await new Promise((resolve) => setImmediate(resolve));
      collect();
    }
    expect(made.filter((reference) => reference.deref() !== undefined).length).toBeLessThan(10);
    for (let i = 0; i < 300; i++) pipeline([breaker]);
    await failing(kept, 1);
    expect(names(kept.events)).toEqual(['circuit-breaker.opened']);
  });
});

describe('listeners that give commands', () => {
  const types = ['opened', 'half-opened', 'closed', 'isolated'] as const satisfies readonly string[];
  const order = (guarded: ReturnType<typeof arrange>, log: string[]): void => {
    for (const type of types) guarded.pipeline.on(`circuit-breaker.${type}` as keyof EventFields, () => void log.push(type));
  };

  test('see each change once and in order, also later listeners of the same event (K9)', async () => {
    const breaker = circuitBreaker({ consecutiveFailures: 1 });
    const guarded = arrange([breaker]);
    const log: string[] = [];
    guarded.pipeline.on('circuit-breaker.opened', () => {
      log.push(`closing from ${breaker.state}`);
      breaker.close();
      log.push(`now ${breaker.state}`);
    });
    order(guarded, log);
    await failing(guarded, 1);
    expect(log).toEqual(['closing from open', 'now closed', 'opened', 'closed']);
  });

  test('a listener that opens the circuit when it becomes half-open turns the probe away too', async () => {
    const breaker = circuitBreaker({ openFor: 1000 });
    const guarded = arrange([breaker]);
    const log: string[] = [];
    guarded.pipeline.on('circuit-breaker.half-opened', () => breaker.open(5000));
    order(guarded, log);
    breaker.open();
    await guarded.clock.advance(1000);
    expect(await refusal(guarded as never)).toMatchObject({ retryAfter: 5000 });
    expect(log).toEqual(['opened', 'half-opened', 'opened']);
  });

  test('one that isolates during the opening has the last word', async () => {
    const breaker = circuitBreaker({ consecutiveFailures: 1 });
    const guarded = arrange([breaker]);
    const log: string[] = [];
    guarded.pipeline.on('circuit-breaker.opened', () => void breaker.isolate());
    order(guarded, log);
    await failing(guarded, 1);
    expect(breaker.state).toBe('isolated');
    expect(log).toEqual(['opened', 'isolated']);
  });
});
