import { EventEmitter } from 'node:events';
import CircuitBreaker from 'opossum';
import { describe, expect, it, vi } from 'vitest';
import {
  type AnyEvent,
  BulkheadFullError,
  CircuitOpenError,
  OptionsError,
  ShutdownError,
  TimeoutError,
  pipeline,
  timeout,
  tokenBucket,
} from 'breakwater';
import { gateContract, policyContract } from 'breakwater/testing';
import { type BreakerState, type OpossumOptions, opossumBreaker } from 'breakwater/opossum';
import { ProcessClock, useProcessTime } from '../support/process-clock.ts';
import { exceptions } from './opossum-exceptions.ts';

useProcessTime();

const options: OpossumOptions = { volumeThreshold: 10_000, timeout: '1h', resetTimeout: '1m', capacity: 5000 };

function open(): ReturnType<typeof opossumBreaker> {
  const breaker = opossumBreaker();
  breaker.open();
  return breaker;
}

const contract = {
  describe,
  it,
  refuses: open,
  factory: { create: (given: OpossumOptions) => opossumBreaker(given), options },
  clock: () => new ProcessClock(),
  exceptions,
  name: 'opossum',
};

policyContract(() => opossumBreaker(options), contract);
gateContract(() => opossumBreaker(options), contract);
policyContract(() => opossumBreaker({ ...options, cache: true, coalesce: true }), { ...contract, name: 'opossum with a cache' });

interface Failed {
  readonly ok: false;
  readonly error: unknown;
}

const down = (): Promise<never> => Promise.reject(new Error('down'));
const never = (): Promise<never> => new Promise(() => undefined);

describe('opossum in a pipeline', () => {
  it('opens as opossum does, refuses with its error as the cause, half-opens, and closes when the probe answers', async () => {
    const breaker = opossumBreaker({ volumeThreshold: 3, resetTimeout: '5s' });
    const users = pipeline([breaker], { name: 'users' });
    const events: AnyEvent[] = [];
    users.on('*', (event) => {
      if (event.type.startsWith('opossum.')) events.push(event);
    });
    for (let i = 0; i < 3; i++) {
      expect(breaker.state).toBe('closed');
      await users.executeOutcome(down);
    }
    expect([breaker.state, breaker.breaker.opened]).toEqual(['open', true]);
    await vi.advanceTimersByTimeAsync(2000);
    const error = await users.execute(() => 'never runs', { key: 'ada' }).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(CircuitOpenError);
    expect(error).toMatchObject({
      retryAfter: 3000,
      state: 'open',
      pipeline: 'users',
      policy: 'opossum',
      key: 'ada',
      cause: { code: 'EOPENBREAKER' },
    });
    expect(CircuitBreaker.isOurError((error as Error).cause)).toBe(true);
    expect((error as CircuitOpenError).openedAt).toBe(Date.now() - 2000);
    await vi.advanceTimersByTimeAsync(3000);
    expect(breaker.state).toBe('half-open');
    let answer = (_: string): void => undefined;
    const probe = users.execute(() => new Promise<string>((resolve) => (answer = resolve)));
    const second = await users.execute(() => 'never runs').catch((thrown: unknown) => thrown);
    expect(second).toMatchObject({ code: 'ERR_CIRCUIT_OPEN', state: 'half-open', reason: 'half-open', retryAfter: undefined });
    answer('up');
    expect([await probe, breaker.state]).toEqual(['up', 'closed']);
    expect(events.map(({ type, level }) => `${level} ${type}`)).toEqual([
      'error opossum.opened',
      'warn opossum.half-opened',
      'info opossum.closed',
    ]);
    expect(events[0]).toMatchObject({ from: 'closed', reason: 'failure-rate', openFor: 5000, calls: 3, failures: 3, policy: 'opossum' });
    expect((events[0] as { error?: Error }).error?.message).toBe('down');
    expect(events[1]).toMatchObject({ from: 'open', reason: 'elapsed' });
    expect(events[2]).toMatchObject({ from: 'half-open', reason: 'probes' });
  });

  it('has counted when the caller is answered', async () => {
    const breaker = opossumBreaker();
    const users = pipeline([breaker]);
    const outcome = await users.executeOutcome(() => {
      throw new Error('at once');
    });
    expect([outcome.ok, breaker.state, breaker.snapshot().failures]).toEqual([false, 'open', 1]);
  });

  it('ends a call when its timeout is over: the signal aborts with the error that the caller gets', async () => {
    const breaker = opossumBreaker({ timeout: '2s', volumeThreshold: 5, capacity: 1 });
    const users = pipeline([breaker], { name: 'users' });
    const events: AnyEvent[] = [];
    users.on('opossum.timed-out', (event) => void events.push(event));
    let signal: AbortSignal | undefined;
    let left = 0;
    const call = users.executeOutcome((own) => {
      ({ signal } = own);
      left = own.remaining();
      return never();
    });
    await vi.advanceTimersByTimeAsync(2000);
    const outcome = (await call) as Failed;
    expect(outcome.error).toBeInstanceOf(TimeoutError);
    expect(outcome.error).toMatchObject({
      after: 2000,
      started: true,
      policy: 'opossum',
      message: 'users: opossum timed out after 2000 ms',
      cause: { code: 'ETIMEDOUT', message: 'Timed out after 2000ms' },
    });
    expect([signal?.aborted, signal?.reason, left]).toEqual([true, outcome.error, 2000]);
    expect(breaker.snapshot()).toMatchObject({ calls: 1, failures: 1, timeouts: 1, active: 0, capacity: 1 });
    expect(events).toMatchObject([{ level: 'warn', after: 2000, started: true }]);
  });

  it('refuses above its capacity, and counts that as a failure, as opossum does', async () => {
    const breaker = opossumBreaker({ capacity: 1, volumeThreshold: 3 });
    const users = pipeline([breaker]);
    const caller = new AbortController();
    const running = users.executeOutcome(never, { signal: caller.signal });
    const refused = (await users.executeOutcome(never)) as Failed;
    expect(refused.error).toBeInstanceOf(BulkheadFullError);
    expect(refused.error).toMatchObject({ cause: { code: 'ESEMLOCKED' } });
    expect(breaker.snapshot()).toMatchObject({ active: 1, semaphoreRejections: 1, failures: 1, state: 'closed' });
    await users.executeOutcome(never);
    expect(breaker.state).toBe('open');
    caller.abort('enough');
    await running;
    expect(breaker.snapshot().active).toBe(0);
  });

  it('takes nothing for a failure that is none: aborts, refusals inside and admissions without a word leave no trace', async () => {
    const breaker = opossumBreaker();
    const users = pipeline([breaker]);
    const inner = pipeline([breaker, tokenBucket({ rate: 1, burst: 1 })]);
    const before = breaker.snapshot();
    await inner.execute(() => 1);
    await inner.executeOutcome(() => 1);
    expect(breaker.snapshot()).toEqual({ ...before, calls: 1, successes: 1 });
    const caller = new AbortController();
    const call = users.executeOutcome(never, { signal: caller.signal });
    caller.abort('enough');
    await call;
    (await users.acquire()).ignore();
    expect(breaker.snapshot()).toEqual({ ...before, calls: 1, successes: 1 });
    expect(breaker.breaker.stats.successes).toBe(1);
  });

  it('does not close on a probe that says nothing: the next call is one', async () => {
    const breaker = opossumBreaker({ resetTimeout: '1s' });
    const users = pipeline([breaker]);
    breaker.open();
    await vi.advanceTimersByTimeAsync(1000);
    const caller = new AbortController();
    const probe = users.executeOutcome(never, { signal: caller.signal });
    caller.abort('enough');
    await probe;
    expect(breaker.state).toBe('half-open');
    expect(await users.execute(() => 'up')).toBe('up');
    expect(breaker.state).toBe('closed');
  });

  it('lets errorFilter judge errors, timeouts and full places, with the call; the caller gets them all the same', async () => {
    const seen: unknown[] = [];
    const breaker = opossumBreaker({
      timeout: '1s',
      errorFilter: (error: Error & { code?: string }, call) => {
        seen.push([error.code ?? error.message, call.key]);
        return true;
      },
    });
    const users = pipeline([breaker]);
    expect(await users.executeOutcome(down, { key: 'a' })).toMatchObject({ ok: false, error: { message: 'down' } });
    const slow = users.executeOutcome(never, { key: 'b' });
    await vi.advanceTimersByTimeAsync(1000);
    expect(await slow).toMatchObject({ ok: false, error: { code: 'ERR_TIMEOUT' } });
    expect(seen).toEqual([
      ['down', 'a'],
      ['ETIMEDOUT', 'b'],
    ]);
    expect(breaker.snapshot()).toMatchObject({ state: 'closed', successes: 2, failures: 0 });
  });

  it('survives an errorFilter that throws: with opossum alone the caller would wait for ever', async () => {
    const breaker = opossumBreaker({
      volumeThreshold: 5,
      errorFilter: () => {
        throw new Error('a slip');
      },
    });
    const users = pipeline([breaker]);
    const failed: unknown[] = [];
    users.on('pipeline.callback-failed', ({ callback }) => void failed.push(callback));
    expect(await users.executeOutcome(down)).toMatchObject({ error: { message: 'down' } });
    expect(failed).toEqual(['errorFilter']);
    expect(breaker.snapshot().failures).toBe(1);
  });

  it('survives a listener on the breaker that throws: with opossum alone a success would be a failure', async () => {
    const breaker = opossumBreaker({ timeout: '1s', volumeThreshold: 5 });
    for (const event of ['fire', 'success', 'timeout'])
      breaker.breaker.on(event, () => {
        throw new Error('a slip');
      });
    const users = pipeline([breaker]);
    const failed: unknown[] = [];
    users.on('pipeline.callback-failed', ({ callback }) => void failed.push(callback));
    expect(await users.execute(() => 'fine')).toBe('fine');
    const slow = users.executeOutcome(never);
    await vi.advanceTimersByTimeAsync(1000);
    expect(await slow).toMatchObject({ error: { code: 'ERR_TIMEOUT' } });
    expect(failed).toEqual(["listener to 'fire'", "listener to 'success'", "listener to 'fire'", "listener to 'timeout'"]);
    expect(breaker.snapshot()).toMatchObject({ successes: 1, failures: 1, timeouts: 1 });
  });

  it('lets all through while disabled, and refuses all once shut down', async () => {
    const breaker = opossumBreaker({ enabled: false, timeout: '1s' });
    const users = pipeline([breaker]);
    await users.executeOutcome(down);
    expect([breaker.state, breaker.snapshot().failures]).toEqual(['disabled', 0]);
    breaker.enable();
    // It has counted the call before as one that came, and opens above 50 percent.
    for (let i = 0; i < 2; i++) await users.executeOutcome(down);
    expect(breaker.state).toBe('open');
    breaker.disable();
    expect(await users.execute(() => 'through')).toBe('through');
    const told: string[] = [];
    users.on('opossum.shut-down', ({ type }) => void told.push(type));
    breaker.breaker.shutdown();
    const outcome = (await users.executeOutcome(() => 'never runs')) as Failed;
    expect(outcome.error).toBeInstanceOf(ShutdownError);
    expect(outcome.error).toMatchObject({ cause: { code: 'ESHUTDOWN' } });
    expect([breaker.state, told]).toEqual(['shutdown', ['opossum.shut-down']]);
  });

  it('opens when its health check fails, and says so', async () => {
    const breaker = opossumBreaker();
    const users = pipeline([breaker]);
    const told: unknown[] = [];
    users.on('*', (event) => void told.push([event.type, (event as { reason?: unknown }).reason]));
    breaker.breaker.healthCheck(() => Promise.reject(new Error('sick')), 60_000);
    await vi.advanceTimersByTimeAsync(0);
    expect(told).toEqual([
      ['opossum.health-check-failed', undefined],
      ['opossum.opened', 'health-check'],
    ]);
    await vi.advanceTimersByTimeAsync(60_000);
    breaker.breaker.close();
    breaker.open();
    expect(told.at(-1)).toEqual(['opossum.opened', 'manual']);
  });

  it('warms up: failures do not open it while the first window lasts', async () => {
    const breaker = opossumBreaker({ allowWarmUp: true, rollingCountTimeout: '2s' });
    const users = pipeline([breaker]);
    for (let i = 0; i < 5; i++) await users.executeOutcome(down);
    expect(breaker.state).toBe('closed');
    await vi.advanceTimersByTimeAsync(2000);
    await users.executeOutcome(down);
    expect(breaker.state).toBe('open');
  });

  it('forgets what left the window, one part at a time, as with the timers of opossum', async () => {
    const breaker = opossumBreaker({ rollingCountTimeout: '1s', rollingCountBuckets: 4, volumeThreshold: 100 });
    const plain = new CircuitBreaker(down, { rollingCountTimeout: 1000, rollingCountBuckets: 4, volumeThreshold: 100 });
    const users = pipeline([breaker]);
    const seen: unknown[] = [];
    for (let i = 0; i < 12; i++) {
      await users.executeOutcome(down);
      await plain.fire().catch(() => undefined);
      await vi.advanceTimersByTimeAsync(130);
      const { fires, failures } = breaker.breaker.stats;
      expect([fires, failures]).toEqual([plain.stats['fires'], plain.stats['failures']]);
      seen.push(fires);
    }
    expect(new Set(seen).size).toBeGreaterThan(3);
  });

  it('goes on from the state and counts of another breaker, through JSON', async () => {
    const first = opossumBreaker({ resetTimeout: '5s' });
    await pipeline([first]).executeOutcome(down);
    const { state, status } = JSON.parse(JSON.stringify(first.breaker)) as { state: BreakerState; status: object };
    const second = opossumBreaker({ resetTimeout: '5s', state, status });
    expect([second.state, second.snapshot().failures, second.snapshot().remaining]).toEqual(['open', 1, 5000]);
    expect(await pipeline([second]).executeOutcome(() => 1)).toMatchObject({ error: { code: 'ERR_CIRCUIT_OPEN', retryAfter: 5000 } });
  });

  it('emits snapshots for who listens, and none where they are switched off', async () => {
    const counts = { on: 0, off: 0 };
    opossumBreaker().breaker.status.on('snapshot', () => counts.on++);
    opossumBreaker({ enableSnapshots: false }).breaker.status.on('snapshot', () => counts.off++);
    await vi.advanceTimersByTimeAsync(3000);
    expect(counts).toEqual({ on: 3, off: 0 });
  });

  it('moves its window on by a controller of yours', async () => {
    const rotateBucketController = new EventEmitter();
    const breaker = opossumBreaker({ rotateBucketController, rollingCountBuckets: 2, volumeThreshold: 9 });
    await pipeline([breaker]).executeOutcome(down);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(breaker.snapshot().failures).toBe(1);
    rotateBucketController.emit('rotate');
    rotateBucketController.emit('rotate');
    expect(breaker.snapshot().failures).toBe(0);
  });

  it('aborts a controller of yours on a timeout, and makes a new one if told to', async () => {
    const abortController = new AbortController();
    const breaker = opossumBreaker({ timeout: '1s', resetTimeout: '1s', abortController, autoRenewAbortController: true });
    const call = pipeline([breaker]).executeOutcome(never);
    await vi.advanceTimersByTimeAsync(1000);
    await call;
    expect(abortController.signal.aborted).toBe(true);
    await vi.advanceTimersByTimeAsync(1000);
    expect([breaker.state, breaker.breaker.getSignal()?.aborted]).toEqual(['half-open', false]);
  });

  it('never changes the options that it was given: two breakers of one literal have nothing in common', async () => {
    const given: OpossumOptions = Object.freeze({
      cache: true,
      coalesce: true,
      name: 'users',
      group: 'all',
      coalesceResetOn: Object.freeze(['success'] as const),
    });
    const [first, second] = [opossumBreaker(given), opossumBreaker(given)];
    expect(await pipeline([first]).execute(() => 'of the first', { key: 'k' })).toBe('of the first');
    expect(await pipeline([second]).execute(() => 'of the second', { key: 'k' })).toBe('of the second');
    expect([first.name, first.breaker.name, first.breaker.group]).toEqual(['users', 'users', 'all']);
  });

  it('describes itself, with the length of its window where lint looks for it', () => {
    const breaker = opossumBreaker({ timeout: false, errorFilter: () => false });
    expect(breaker.describe()).toEqual({
      timeout: false,
      resetTimeout: 30_000,
      errorThresholdPercentage: 50,
      rollingCountTimeout: 10_000,
      rollingCountBuckets: 10,
      rollingPercentilesEnabled: true,
      capacity: Infinity,
      volumeThreshold: 0,
      allowWarmUp: false,
      errorFilter: 'chosen',
      cache: false,
      cacheTTL: 0,
      cacheSize: 16_777_215,
      coalesce: false,
      coalesceSize: 16_777_215,
      autoRenewAbortController: false,
      enableSnapshots: true,
      window: { duration: 10_000 },
    });
    expect(
      pipeline([opossumBreaker(), timeout({ after: '9s' })])
        .lint()
        .map(({ rule }) => rule),
    ).toContain('window-shorter-than-timeout');
  });
});

describe('what opossum knows of a breaker and the policy has no place for', () => {
  const named = (name?: string): CircuitBreaker => new CircuitBreaker(() => Promise.resolve(1), name === undefined ? {} : { name });

  it('tells what opossum calls it: a name or that of its function, and none that was made up', () => {
    const byName = opossumBreaker(named('users'));
    const byFunction = opossumBreaker(new CircuitBreaker(never));
    const nameless = opossumBreaker(named());
    expect([byName, byFunction, nameless].map((policy) => policy.describe()['breaker'])).toEqual(['users', 'never', undefined]);
    expect([opossumBreaker({ name: 'users' }), opossumBreaker()].map((policy) => policy.describe()['breaker'])).toEqual([
      'users',
      undefined,
    ]);
    expect(byName.name).toBeUndefined();
    expect(
      pipeline([byName, byFunction])
        .describe()
        .layers.map(({ name }) => name),
    ).toEqual(['opossum', 'opossum-2']);
    for (const { breaker } of [byName, byFunction, nameless]) breaker.shutdown();
  });

  it('tells of a fallback, also one that came later, and of its timeout as a number, where lint looks for them', () => {
    const yours = new CircuitBreaker(never, { timeout: 1500 });
    const policy = opossumBreaker(yours);
    expect(policy.describe()).not.toHaveProperty('fallback');
    yours.fallback(() => 'nobody');
    expect(policy.describe()).toMatchObject({ fallback: 'chosen', timeout: 1500 });
    expect(opossumBreaker({ timeout: '2s' }).describe()).toMatchObject({ timeout: 2000 });
    expect(opossumBreaker().describe()).toMatchObject({ timeout: 10_000 });
    yours.shutdown();
  });
});

describe('options of opossum', () => {
  it.each([
    ['timeout', NaN],
    ['timeout', -1],
    ['timeout', Infinity],
    ['timeout', true],
    ['timeout', 2 ** 31],
    ['resetTimeout', 2 ** 31],
    ['resetTimeout', NaN],
    ['errorThresholdPercentage', NaN],
    ['errorThresholdPercentage', 101],
    ['errorThresholdPercentage', '50'],
    ['rollingCountTimeout', 0],
    ['rollingCountBuckets', 1.5],
    ['rollingCountBuckets', 20_000],
    ['capacity', NaN],
    ['capacity', -1],
    ['volumeThreshold', Infinity],
    ['allowWarmUp', 'yes'],
    ['enabled', 0],
    ['errorFilter', true],
    ['group', ''],
    ['cacheSize', 0],
    ['cacheGetKey', 'key'],
    ['cacheTransport', { get: () => undefined }],
    ['coalesceResetOn', ['failure']],
    ['coalesceResetOn', 'error'],
    ['abortController', {}],
    ['rotateBucketController', {}],
    ['status', 5],
    ['state', { closed: 'no' }],
    ['maxFailures', 10],
    ['mode', 'on'],
  ])('%s: %o is refused, with what was expected and what came', (name, value) => {
    const make = (): unknown => opossumBreaker({ [name]: value } as OpossumOptions);
    expect(make).toThrow(OptionsError);
    expect(make).toThrow(new RegExp(`^opossumBreaker\\.${name}[^:]*: expected .*, got `));
  });

  it('says what to use in place of maxFailures, and knows a slip of the pen', () => {
    expect(() => opossumBreaker({ maxFailures: 3 } as OpossumOptions)).toThrow(/errorThresholdPercentage and volumeThreshold in its place/);
    expect(() => opossumBreaker({ resetTimout: 3 } as OpossumOptions)).toThrow(/did you mean resetTimeout\?/);
    expect(() => opossumBreaker({}, { name: 5 } as never)).toThrow('opossumBreaker.name');
  });

  it('keeps the limits of others: what stands in the second place counts', () => {
    const breaker = opossumBreaker({ name: 'users', mode: 'shadow' }, { name: 'guard', mode: 'off' });
    expect([breaker.name, breaker.breaker.name, breaker.mode]).toEqual(['guard', 'users', 'off']);
  });
});
