import { describe, expect, test } from 'vitest';
import { type CircuitBreakerOptions, OptionsError, circuitBreaker, timeout } from 'breakwater';
import { type Arranged, arrange, work } from 'breakwater/testing';

type Guarded = Arranged<readonly [ReturnType<typeof circuitBreaker>]>;

const guard = (options: CircuitBreakerOptions): Guarded => arrange(circuitBreaker(options));
const never = (): Promise<never> => new Promise(() => undefined);

/** Runs work that ends so, one letter each: Success, Failure, Throttled, Asking to be left alone for 60 s. */
async function run({ run: execute }: Guarded, letters: string): Promise<void> {
  const errors: Readonly<Record<string, object>> = {
    F: new Error('down'),
    T: Object.assign(new Error('too many'), { status: 429 }),
    A: Object.assign(new Error('come back'), { retryAfter: 60_000 }),
  };
  for (const letter of letters) await execute(() => (letter === 'S' ? 1 : Promise.reject(errors[letter] as Error))).catch(() => undefined);
}

describe('options (G9)', () => {
  test.each<[object, string, string]>([
    [{ badRate: 0.5 }, 'badRate', 'slowCall beside it'],
    [{ slowInFlight: false }, 'slowInFlight', 'slowCall beside it'],
    [{ badRate: 2, slowCall: 5 }, 'badRate', 'a number above 0 up to 1'],
    [{ comparison: '>' }, 'comparison', "'at-least', 'above'"],
    [{ comparison: 'above', failureRate: 1 }, 'failureRate', 'less than 1'],
    [{ failures: 0 }, 'failures', 'a whole number of at least 1'],
    [{ tripWhen: true }, 'tripWhen', 'a function (circuit) => true or false'],
    [{ window: { halfLife: 0 } }, 'window.halfLife', 'a duration of at least 1 ms'],
    [{ window: { halfLife: Infinity } }, 'window.halfLife', 'a duration of at least 1 ms'],
    [{ window: { halfLifeCalls: 0.5 } }, 'window.halfLifeCalls', 'a number of at least 1'],
    [{ window: { halfLife: 1, calls: 1 } }, 'window.halfLife', 'one of calls'],
    [{ slowCall: {} }, 'slowCall.quantile', 'a number above 0'],
    [{ slowCall: { quantile: 1 } }, 'slowCall.quantile', 'a number above 0 up to 0.999'],
    [{ slowCall: { quantile: 0.9, factor: 0 } }, 'slowCall.factor', 'a number of at least 1'],
    [{ maxRetryAfter: -1 }, 'maxRetryAfter', 'a duration'],
    [{ tripOnRetryAfter: 1 }, 'tripOnRetryAfter', 'true or false'],
    [{ warmUp: { calls: -1 } }, 'warmUp.calls', 'a whole number'],
    [{ rampUp: { min: 0.5 } }, 'rampUp.duration', 'a duration'],
    [{ rampUp: { duration: '1s', min: 0 } }, 'rampUp.min', 'a number above 0'],
    [{ rampUp: { duration: '1s', aggression: 0 } }, 'rampUp.aggression', 'a number of at least 0.1'],
    [{ halfOpen: { onExpire: 'stay' } }, 'halfOpen.onExpire', "'open', 'close'"],
    [{ halfOpen: { overflow: 'queue' } }, 'halfOpen.overflow', "'refuse', 'wait'"],
    [{ halfOpen: { maxWait: 5 } }, 'halfOpen.maxWait', "overflow: 'wait' beside it"],
    [{ halfOpen: { overflow: 'wait', maxWait: Infinity } }, 'halfOpen.maxWait', 'a duration of at least 1 ms'],
    [{ halfOpen: { overflow: 'wait', maxWaiting: 0 } }, 'halfOpen.maxWaiting', 'a whole number of at least 1'],
    [{ recover: true }, 'recover', 'an object with auto'],
    [{ recover: { probe: 'ping' } }, 'recover.probe', 'a function (signal) => true or false'],
    [{ recover: { interval: 0 } }, 'recover.interval', 'a duration of at least 1 ms'],
    [{ initialState: 'open' }, 'initialState', 'what snapshot() answered with'],
    [{ classify: 'failure' }, 'classify', 'a function (outcome, call) =>'],
    [{ mode: 'quiet' }, 'mode', "'enforce', 'shadow', 'off'"],
  ])('%j is refused: %s', (options, path, expected) => {
    try {
      circuitBreaker(options as CircuitBreakerOptions);
      expect.fail('accepted');
    } catch (error) {
      expect(error).toBeInstanceOf(OptionsError);
      expect(error).toMatchObject({ path: `circuit-breaker.${path}`, expected: expect.stringContaining(expected) as string });
    }
  });

  test('are left as they were given, and two circuits made of one literal are independent (criterion 11)', async () => {
    const options = Object.freeze({
      window: Object.freeze({ calls: 4 }),
      halfOpen: Object.freeze({ calls: 2 }),
      warmUp: Object.freeze({ calls: 0 }),
    });
    const [one, other] = [guard(options), guard(options)];
    await run(one, 'FFFF');
    expect([one.policy.state, other.policy.state]).toEqual(['open', 'closed']);
  });

  test.each<[CircuitBreakerOptions, object]>([
    [{ failures: 3 }, { failureRate: Infinity }],
    [{ tripWhen: () => false }, { failureRate: Infinity, tripWhen: 'chosen' }],
    [
      { slowCall: 5, badRate: 0.8 },
      { failureRate: Infinity, slowRate: Infinity, badRate: 0.8 },
    ],
    [
      { slowCall: 5, badRate: 0.8, slowRate: 0.9, failureRate: 0.7 },
      { failureRate: 0.7, slowRate: 0.9, badRate: 0.8 },
    ],
    [{ warmUp: '1m' }, { warmUp: { duration: 60_000, calls: 0 } }],
    [{ rampUp: '1m' }, { rampUp: { duration: 60_000, min: 0.1, aggression: 1 } }],
    [{ window: { halfLife: '10s' } }, { window: { halfLife: 10_000 } }],
    [{ slowCall: { quantile: 0.95 } }, { slowCall: { quantile: 0.95, factor: 3, min: 100, minSamples: 100 } }],
  ])('%j is read as %j', (options, read) => {
    expect(circuitBreaker(options).describe()).toMatchObject(read);
  });
});

describe('conditions: any one opens', () => {
  test.each<[letters: string, options: CircuitBreakerOptions, reason: string | undefined]>([
    ['SSSF', { window: { calls: 10 }, failures: 2 }, undefined],
    ['FSSF', { window: { calls: 10 }, failures: 2 }, 'failures'],
    ['FFF', { consecutiveFailures: 3, failures: 5 }, 'consecutive-failures'],
    ['SF', { minCalls: 2, comparison: 'above' }, undefined],
    ['SFF', { minCalls: 2, comparison: 'above' }, 'failure-rate'],
    ['SFFF', { window: { halfLifeCalls: 2 }, minCalls: 4 }, 'failure-rate'],
    ['SFT', { minCalls: 3 }, 'failure-rate'],
    ['TTTTTT', { consecutiveFailures: 3 }, undefined],
    ['FTFTF', { consecutiveFailures: 3 }, 'consecutive-failures'],
    ['SSA', { tripOnRetryAfter: true }, 'retry-after'],
    ['SSA', {}, undefined],
  ])('%s with %o: %s', async (letters, options, reason) => {
    const guarded = guard(options);
    await run(guarded, letters);
    const opened = guarded.events.find(({ type }) => type === 'circuit-breaker.opened');
    expect((opened as { reason?: string } | undefined)?.reason).toBe(reason);
  });

  test('a bad call failed or was slow, and one that did both counts once (C11)', async () => {
    const guarded = guard({ slowCall: '1s', badRate: 0.75, minCalls: 4 });
    const slowly = { after: '1001ms' } as const;
    for (const step of ['ok', 'fail', { ...slowly, value: 1 }, { ...slowly, error: new Error('slow and down') }] as const) {
      await guarded.clock.until(guarded.run(work(step)).catch(() => undefined));
    }
    expect(guarded.policy.state).toBe('open');
    expect(guarded.events.find(({ type }) => type === 'circuit-breaker.opened')).toMatchObject({
      reason: 'bad-rate',
      calls: 4,
      failures: 2,
      slow: 2,
    });
  });

  test('tripWhen sees the numbers after each judged call, and opens', async () => {
    const seen: number[] = [];
    const guarded = guard({ tripWhen: ({ calls, failures }) => (seen.push(calls), failures === 2) });
    await run(guarded, 'SFSF');
    expect(seen).toEqual([1, 2, 3, 4]);
    expect(guarded.events.find(({ type }) => type === 'circuit-breaker.opened')).toMatchObject({ reason: 'trip-when' });
  });

  test.each([
    ['throws', () => expect.fail('no idea')],
    ['answers with nothing', () => undefined as unknown as boolean],
  ])('a tripWhen that %s is reported and does not open (G5, criterion 10)', async (_, tripWhen) => {
    const guarded = guard({ tripWhen });
    await run(guarded, 'FF');
    expect(guarded.policy.state).toBe('closed');
    expect(guarded.events.filter(({ type }) => type === 'pipeline.callback-failed')).toMatchObject([
      { callback: 'tripWhen' },
      { callback: 'tripWhen' },
    ]);
  });

  test('a command in tripWhen is obeyed', async () => {
    const guarded: Guarded = guard({ tripWhen: () => (guarded.policy.disable(), true) });
    await run(guarded, 'S');
    expect(guarded.policy.state).toBe('disabled');
  });

  test('warming up it records and does not open, for a time or for so many calls', async () => {
    const byCalls = guard({ failures: 1, warmUp: { calls: 3 } });
    await run(byCalls, 'FFF');
    expect(byCalls.policy.snapshot()).toMatchObject({ state: 'closed', failures: 3 });
    await run(byCalls, 'F');
    expect(byCalls.policy.state).toBe('open');
    const byTime = guard({ failures: 1, warmUp: '10s' });
    await byTime.clock.advance(9000);
    await run(byTime, 'FFF');
    expect(byTime.policy.state).toBe('closed');
    await byTime.clock.advance(1000);
    await run(byTime, 'S');
    expect(byTime.policy.state, 'what was recorded counts').toBe('open');
  });

  test('averages need fresh calls after a quiet time (K6)', async () => {
    const guarded = guard({ window: { halfLife: '10s' }, minCalls: 3 });
    await run(guarded, 'SSS');
    await guarded.clock.advance('9s');
    await run(guarded, 'F');
    expect(guarded.policy.state).toBe('closed');
    await guarded.clock.advance('1h');
    await run(guarded, 'F');
    expect(guarded.policy.snapshot()).toMatchObject({ state: 'closed', calls: 1, failures: 1 });
  });
});

describe('slow calls that have not ended (C10)', () => {
  test('open it as soon as somebody looks, without a timer', async () => {
    const guarded = guard({ slowCall: '2s', minCalls: 3 });
    for (let i = 0; i < 3; i++) void guarded.run(never).catch(() => undefined);
    await guarded.clock.advance('2s');
    expect(guarded.policy.snapshot()).toMatchObject({ state: 'closed', slowInFlight: 0 });
    expect(guarded.clock.pending).toBe(0);
    await guarded.clock.advance(1);
    await expect(guarded.run(() => 'next')).rejects.toMatchObject({ code: 'ERR_CIRCUIT_OPEN' });
    expect(guarded.events.find(({ type }) => type === 'circuit-breaker.opened')).toMatchObject({
      reason: 'slow-rate',
      calls: 0,
      slowInFlight: 3,
    });
  });

  test('are counted once: under way, then in the window', async () => {
    const { run: execute, clock, policy } = guard({ slowCall: '1s', slowRate: 0.6, minCalls: 2 });
    await execute(() => 1);
    const slow = execute(work({ after: '3s', value: 'at last' }));
    await clock.advance('2s');
    expect(policy.snapshot()).toMatchObject({ calls: 1, slow: 0, slowInFlight: 1, slowRate: 0.5, failureRate: undefined });
    await clock.advance('1s');
    await slow;
    expect(policy.snapshot()).toMatchObject({ state: 'closed', calls: 2, slow: 1, slowInFlight: 0, slowRate: 0.5, failureRate: 0 });
  });

  test('that a caller gives up count no more', async () => {
    const { pipeline, clock, policy } = guard({ slowCall: '1s', slowRate: 1, minCalls: 2 });
    const controller = new AbortController();
    const call = pipeline.executeOutcome(never, { signal: controller.signal });
    await clock.advance('5s');
    expect(policy.snapshot().slowInFlight).toBe(1);
    controller.abort();
    await call;
    expect(policy.snapshot()).toMatchObject({ slowInFlight: 0, calls: 0, ignored: 1 });
  });

  test('of an earlier state are not counted in the new one (K3)', async () => {
    const { run: execute, clock, policy } = guard({ slowCall: '1s', minCalls: 1 });
    void execute(never).catch(() => undefined);
    policy.open('1s');
    policy.close();
    await clock.advance('10s');
    expect(policy.snapshot()).toMatchObject({ state: 'closed', slowInFlight: 0 });
  });

  test('wait for their end with slowInFlight: false', async () => {
    const { run: execute, clock, policy } = guard({ slowCall: '1s', slowInFlight: false, minCalls: 1 });
    void execute(never).catch(() => undefined);
    await clock.advance('1h');
    expect(policy.snapshot()).toMatchObject({ state: 'closed', slowInFlight: 0 });
  });

  test('are those that take so many times what is usual', async () => {
    const {
      run: execute,
      clock,
      policy,
    } = guard({ slowCall: { quantile: 0.5, factor: 4, min: 1, minSamples: 10 }, minCalls: 20, slowRate: 1 });
    for (let i = 0; i < 10; i++) await clock.until(execute(work({ after: 100, value: 1 })));
    expect(policy.snapshot()).toMatchObject({ calls: 10, slow: 0 });
    await clock.advance('1s'); // the quantile is worked out anew once a second
    await clock.until(execute(work({ after: 380, value: 1 })));
    expect(policy.snapshot().slow).toBe(0);
    await clock.until(execute(work({ after: 420, value: 1 })));
    expect(policy.snapshot().slow).toBe(1);
  });
});

describe('what a failure asks for', () => {
  test('makes the open time as long, up to five minutes', async () => {
    const guarded = guard({ consecutiveFailures: 2, openFor: '5s' });
    await run(guarded, 'AF');
    expect(guarded.policy.snapshot().remaining).toBe(60_000);
    const capped = guard({ consecutiveFailures: 2, openFor: '5s', maxRetryAfter: '20s' });
    await run(capped, 'AA');
    expect(capped.policy.snapshot().remaining).toBe(20_000);
    const deaf = guard({ consecutiveFailures: 2, openFor: '5s', maxRetryAfter: 0 });
    await run(deaf, 'AA');
    expect(deaf.policy.snapshot().remaining).toBe(5000);
  });

  test('never makes it shorter, and is forgotten with the state', async () => {
    const guarded = guard({ consecutiveFailures: 1, openFor: '90s', halfOpen: { calls: 1 } });
    await run(guarded, 'A');
    expect(guarded.policy.snapshot().remaining).toBe(90_000);
    await guarded.clock.advance('90s');
    await run(guarded, 'F');
    expect(guarded.policy.snapshot()).toMatchObject({ openCount: 2, remaining: 90_000 });
  });

  test('openFor is told how often it opened, the numbers and the failure', async () => {
    const given: unknown[] = [];
    const guarded = guard({ failures: 2, openFor: (...all) => (given.push(all), 1000) });
    await run(guarded, 'SFF');
    expect(given).toMatchObject([[1, { state: 'closed', calls: 3, failures: 2 }, { message: 'down' }]]);
  });

  test('a throttled probe has failed (linkerd)', async () => {
    const guarded = guard({ halfOpen: { calls: 1 } });
    guarded.policy.open();
    guarded.policy.halfOpen();
    await run(guarded, 'T');
    expect(guarded.policy.snapshot()).toMatchObject({ state: 'open', openCount: 2, consecutiveFailures: 0 });
  });
});

describe('meanings', () => {
  test('HTTP answers are known for what they are, returned or thrown', async () => {
    const guarded = guard({ window: { calls: 10 }, minCalls: 10 });
    for (const status of [200, 404, 503, 429]) await guarded.run(() => ({ status, headers: {} }));
    for (const status of [400, 500])
      await guarded.run(() => Promise.reject(Object.assign(new Error('no'), { status }))).catch(() => undefined);
    expect(guarded.policy.snapshot()).toMatchObject({ calls: 6, failures: 3 });
  });

  test('classify says otherwise, and isFailure has the last word', async () => {
    const own = guard({ consecutiveFailures: 1, classify: ({ ok }) => (ok ? 'failure' : 'ignored') });
    await run(own, 'F');
    expect(own.policy.state).toBe('closed');
    await run(own, 'S');
    expect(own.policy.state).toBe('open');
    const both = guard({ consecutiveFailures: 1, classify: () => 'failure', isFailure: () => false });
    await run(both, 'F');
    expect(both.policy.snapshot()).toMatchObject({ state: 'closed', successes: 1 });
  });

  test('a timeout inside is a failure, also while the call counts as slow', async () => {
    const {
      run: execute,
      clock,
      policies,
    } = arrange([circuitBreaker({ slowCall: '1s', slowRate: 1, failureRate: 1, minCalls: 2 }), timeout({ after: '2s' })]);
    for (let i = 0; i < 2; i++) await clock.until(execute(never).catch(() => undefined));
    expect(policies[0].state).toBe('open');
  });
});
