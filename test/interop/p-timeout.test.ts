import { AsyncLocalStorage } from 'node:async_hooks';
import { TimeoutError as PackageTimeout } from 'p-timeout';
import { describe, expect, test, vi } from 'vitest';
import {
  type OptionsError,
  type PipelineEvent,
  TimeoutError,
  bulkhead,
  circuitBreaker,
  fallback,
  perKey,
  pipeline,
  retry,
  timeout,
} from 'breakwater';
import { bottleneckLimiter } from 'breakwater/bottleneck';
import { opossumBreaker } from 'breakwater/opossum';
import { fromPTimeoutOptions, pTimeoutPolicy } from 'breakwater/p-timeout';
import { VirtualClock, arrange, gateContract, policyContract, seededRandom, work } from 'breakwater/testing';
import { hop } from '../../src/testing/hop.ts';
import { exceptions } from './p-timeout-exceptions.ts';

const given = { describe, it: test, exceptions, factory: { create: pTimeoutPolicy, options: { milliseconds: 3_600_000 } } };

policyContract(() => pTimeoutPolicy({ milliseconds: 3_600_000 }), given);
gateContract(() => pTimeoutPolicy({ milliseconds: 3_600_000 }), given);
policyContract(() => pTimeoutPolicy({ milliseconds: 3_600_000, fallback: () => 'never' }), { ...given, name: 'p-timeout with a fallback' });
policyContract(() => pTimeoutPolicy({ milliseconds: 3_600_000, message: false, mode: 1 }), {
  ...given,
  name: 'p-timeout that answers with undefined, for a share of calls',
});

const hang = (): Promise<string> => new Promise(() => undefined);
const caught = (promise: Promise<unknown>): Promise<unknown> => promise.catch((error: unknown) => error);

describe('the time is up', () => {
  test("the caller gets a TimeoutError of ours, and the package's own as its cause", async () => {
    const { run, clock, events } = arrange(pTimeoutPolicy({ milliseconds: 50 }));
    const call = caught(run(hang, { key: 'k' }));
    await clock.advance(49);
    expect(events).toEqual([]);
    await clock.advance(1);
    const error = (await call) as TimeoutError;
    expect(error).toBeInstanceOf(TimeoutError);
    expect(error).toMatchObject({ code: 'ERR_TIMEOUT', after: 50, started: true, loopStalled: false, policy: 'p-timeout', key: 'k' });
    expect(error.message).toBe('test: p-timeout timed out after 50 ms');
    expect(error.cause).toBeInstanceOf(PackageTimeout);
    expect((error.cause as Error).message).toBe('Promise timed out after 50 milliseconds');
    expect(events.map(({ type }) => type)).toEqual(['p-timeout.expired', 'pipeline.settled']);
    expect(events[0]).toMatchObject({ level: 'warn', after: 50, started: true, loopStalled: false });
    expect(events[1]).toMatchObject({ outcome: 'timeout' });
    expect(clock.pending).toBe(0);
  });

  test("the work's signal aborts with the error that the caller gets", async () => {
    const { run, clock } = arrange(pTimeoutPolicy({ milliseconds: 50 }));
    let signal: AbortSignal | undefined;
    const call = caught(run((own) => ((signal = own.signal), hang())));
    await clock.advance(50);
    expect(signal?.reason).toBe(await call);
  });

  test('a message is that of the error, and an error is thrown as the very object', async () => {
    const worded = arrange(pTimeoutPolicy({ milliseconds: 5, message: 'too slow' }));
    const error = (await worded.clock.until(caught(worded.run(hang)))) as Error;
    expect(error).toBeInstanceOf(TimeoutError);
    expect([error.message, (error.cause as Error).message]).toEqual(['too slow', 'too slow']);

    class TooSlow extends Error {}
    const mine = new TooSlow('mine');
    const own = arrange(pTimeoutPolicy({ milliseconds: 5, message: mine }));
    expect(await own.clock.until(caught(own.run(hang)))).toBe(mine);
    expect(mine.cause).toBeUndefined();
    expect(own.events.at(-1)).toMatchObject({ type: 'pipeline.settled', outcome: 'timeout' });
  });

  test('message: false answers with undefined, marked as degraded, so that nobody further out takes it for a success', async () => {
    const { run, clock, events, policies } = arrange([
      circuitBreaker({ consecutiveFailures: 1, minCalls: 1 }),
      pTimeoutPolicy({ milliseconds: 5, message: false }),
    ]);
    expect(await clock.until(run(hang))).toBeUndefined();
    expect(events.map(({ type }) => type)).toEqual(['p-timeout.expired', 'p-timeout.fallback-used', 'pipeline.settled']);
    expect(events.at(-1)).toMatchObject({ outcome: 'degraded' });
    expect(policies[0].snapshot()).toMatchObject({ state: 'closed' });
    expect(await clock.until(pipeline([policies[1]], { clock }).executeOutcome(hang))).toEqual({
      ok: true,
      value: undefined,
      degraded: true,
    });
  });

  test('a fallback answers, also later, and its answer is marked as degraded', async () => {
    for (const found of ['spare', Promise.resolve('spare')]) {
      const { pipeline: line, clock, events } = arrange(pTimeoutPolicy({ milliseconds: 5, fallback: () => found }));
      let signal: AbortSignal | undefined;
      expect(await clock.until(line.executeOutcome((own) => ((signal = own.signal), hang())))).toEqual({
        ok: true,
        value: 'spare',
        degraded: true,
      });
      expect(signal?.aborted).toBe(true);
      expect(events.map(({ type }) => type)).toEqual(['p-timeout.expired', 'p-timeout.fallback-used', 'pipeline.settled']);
    }
  });

  test('what a fallback throws is thrown as the very object', async () => {
    const mine = new Error('no spare');
    const throwing = (): never => {
      throw mine;
    };
    for (const find of [throwing, () => Promise.reject(mine)]) {
      const { run, clock, events } = arrange(pTimeoutPolicy<string>({ milliseconds: 5, fallback: find }));
      expect(await clock.until(caught(run(hang)))).toBe(mine);
      expect(events.map(({ type }) => type)).toEqual(['p-timeout.expired', 'p-timeout.fallback-failed', 'pipeline.settled']);
      expect(events[1]).toMatchObject({ level: 'error', error: mine });
    }
  });

  test('a fallback that takes its time is waited for, and an abort ends that wait in the same tick', async () => {
    const { run, clock } = arrange(pTimeoutPolicy<string>({ milliseconds: 5, fallback: () => new Promise(() => undefined) }));
    const caller = new AbortController();
    let seen: unknown = 'pending';
    void run(hang, { signal: caller.signal }).catch((error: unknown) => (seen = error));
    await clock.advance('1h');
    expect(seen).toBe('pending');
    caller.abort('enough');
    await hop();
    expect(seen).toBe('enough');
    expect(clock.pending).toBe(0);
  });

  test('a fallback runs in the async context of its own caller', async () => {
    const context = new AsyncLocalStorage<number>();
    const { run, clock } = arrange(pTimeoutPolicy({ milliseconds: 5, fallback: () => context.getStore() }));
    const calls = [1, 2, 3].map((caller) => context.run(caller, () => run(hang)));
    expect(await clock.until(Promise.all(calls))).toEqual([1, 2, 3]);
  });

  test('what a fallback throws too late is swallowed', async () => {
    const unhandled = vi.fn();
    process.on('unhandledRejection', unhandled);
    const { run, clock } = arrange(
      pTimeoutPolicy<string>({
        milliseconds: 5,
        fallback: () => new Promise((_, reject) => clock.setTimeout(() => reject(new Error('late')), 50)),
      }),
    );
    const caller = new AbortController();
    const call = caught(run(hang, { signal: caller.signal }));
    await clock.advance(10);
    caller.abort('enough');
    expect(await call).toBe('enough');
    await clock.advance(100);
    await hop();
    process.off('unhandledRejection', unhandled);
    expect(unhandled).not.toHaveBeenCalled();
  });
});

describe('in time', () => {
  test('what comes just in time counts, and nothing is left', async () => {
    const { run, clock, policy } = arrange(pTimeoutPolicy({ milliseconds: 50 }));
    expect(await clock.until(run(work({ after: 49, value: 'in time' })))).toBe('in time');
    expect(clock.pending).toBe(0);
    expect(policy.snapshot()).toEqual({ pending: 0, expired: 0 });
  });

  test('the error of the work passes as the very object, also one that is called TimeoutError', async () => {
    const mine = new PackageTimeout('of somebody else');
    const { run, clock, events } = arrange(pTimeoutPolicy({ milliseconds: 50, fallback: () => 'never' }));
    expect(await clock.until(caught(run(() => Promise.reject(mine))))).toBe(mine);
    expect(events.map(({ type }) => type)).toEqual(['pipeline.settled']);
  });
});

describe('work that goes on', () => {
  test('holds its slot further in until it really ends (p-queue frees it: 1 becomes 3)', async () => {
    const slots = bulkhead({ maxConcurrent: 1 });
    const { run, clock, events } = arrange([pTimeoutPolicy({ milliseconds: 5 }), slots]);
    let end: (value: string) => void = () => undefined;
    const call = caught(run(() => new Promise<string>((resolve) => (end = resolve))));
    await clock.advance(5);
    expect(await call).toBeInstanceOf(TimeoutError);
    expect(slots.active).toBe(1);
    expect(await caught(run(() => 'second'))).toMatchObject({ code: 'ERR_BULKHEAD_FULL' });
    end('late');
    await hop();
    expect(slots.active).toBe(0);
    expect(events.filter(({ type }) => type === 'pipeline.late')).toHaveLength(1);
  });

  test('is swallowed when it fails at last', async () => {
    const unhandled = vi.fn();
    process.on('unhandledRejection', unhandled);
    const { run, clock } = arrange(pTimeoutPolicy({ milliseconds: 5 }));
    expect(await clock.until(caught(run(work({ after: 50, error: new Error('late') }))))).toBeInstanceOf(TimeoutError);
    await clock.advance(100);
    await hop();
    process.off('unhandledRejection', unhandled);
    expect(unhandled).not.toHaveBeenCalled();
  });

  test('a wait further in that takes all the time ends with started: false', async () => {
    const slots = bulkhead({ maxConcurrent: 1, maxQueue: 1 });
    const { run, clock } = arrange([pTimeoutPolicy({ milliseconds: 5 }), slots]);
    const first = caught(run(hang));
    await hop();
    const second = caught(run(hang));
    await clock.advance(5);
    expect(await first).toMatchObject({ started: true });
    expect(await second).toMatchObject({ started: false, message: 'test: p-timeout timed out after 5 ms, before the work had started' });
    expect(slots.queued).toBe(0);
  });
});

describe('limits', () => {
  test('Infinity, and more than a timer can hold, is no limit: p-timeout 7 took 2^31 ms for 1 ms', async () => {
    for (const milliseconds of [Infinity, 2 ** 31]) {
      const { run, clock, policy } = arrange(pTimeoutPolicy({ milliseconds }));
      expect(policy.limit).toBe(Infinity);
      const call = run(work({ after: '1h', value: 'done' }));
      await hop();
      expect(clock.pending).toBe(1);
      expect(await clock.until(call)).toBe('done');
    }
    const { policy } = arrange(pTimeoutPolicy({ milliseconds: 2 ** 31 - 1 }));
    expect(policy.limit).toBe(2 ** 31 - 1);
  });

  test('are deadlines for what lies inside', async () => {
    const { run, clock } = arrange(pTimeoutPolicy({ milliseconds: 50 }));
    let remaining = 0;
    await run(({ remaining: left }) => (remaining = left()));
    expect(remaining).toBe(50);
    expect(clock.pending).toBe(0);
  });

  test('stand beside timers of your own, which may have a time of theirs', async () => {
    const clock = new VirtualClock();
    const other = new VirtualClock();
    const set = vi.fn((ring: () => void, ms: number) => other.setTimeout(ring, ms));
    const clear = vi.fn((timer: unknown) => other.clearTimeout(timer));
    const policy = pTimeoutPolicy({ milliseconds: 5, customTimers: { setTimeout: set, clearTimeout: clear } });
    const line = pipeline([policy], { clock });
    const call = caught(line.execute(hang));
    await clock.advance('1h');
    await other.advance(5);
    expect(await call).toBeInstanceOf(TimeoutError);
    expect(set).toHaveBeenCalledOnce();
    await line.execute(() => 1);
    expect(other.pending).toBe(0);
    expect(policy.describe()).toMatchObject({ customTimers: 'chosen' });
  });

  test('end with what timers of your own throw, as with the package', async () => {
    const broken = new Error('no timers here');
    const setTimeout = (): never => {
      throw broken;
    };
    const line = pipeline([pTimeoutPolicy({ milliseconds: 5, customTimers: { setTimeout, clearTimeout: () => undefined } })]);
    expect(await caught(line.execute(hang))).toBe(broken);
  });
});

describe('a gate', () => {
  test('is what one without answers of its own is: it can be acquired, and stand per key', async () => {
    const clock = new VirtualClock();
    const line = pipeline([perKey(() => pTimeoutPolicy({ milliseconds: 5 }))], { clock });
    const admission = await line.acquire({ key: 'k' });
    expect(admission.remaining()).toBe(5);
    const { signal } = admission;
    await clock.advance(5);
    expect(signal.reason).toBeInstanceOf(TimeoutError);
    await hop();
    expect((signal.reason as Error).cause).toBeInstanceOf(PackageTimeout);
    admission.failure(signal.reason);
    expect(clock.pending).toBe(0);
  });

  test('is not what one with answers is: nobody would hear them', async () => {
    for (const policy of [pTimeoutPolicy({ milliseconds: 5, message: false }), pTimeoutPolicy({ milliseconds: 5, fallback: () => 1 })])
      await expect(pipeline([policy]).acquire()).rejects.toMatchObject({ code: 'ERR_OPTIONS' });
  });
});

describe('modes', () => {
  test('in shadow nothing is cut, no fallback is asked, and what would have been is told', async () => {
    const find = vi.fn(() => 'spare');
    for (const policy of [
      pTimeoutPolicy({ milliseconds: 5, mode: 'shadow' }),
      pTimeoutPolicy({ milliseconds: 5, mode: 'shadow', fallback: find }),
      pTimeoutPolicy({ milliseconds: 5, mode: 'shadow', message: false }),
    ]) {
      const { run, clock, events } = arrange(policy);
      expect(await clock.until(run(work({ after: 50, value: 'slow' })))).toBe('slow');
      expect(events.map(({ type, shadow }) => [type, shadow])).toEqual([
        ['p-timeout.expired', true],
        ['pipeline.settled', undefined],
      ]);
      expect(events[0]).toMatchObject({ started: true });
      expect(clock.pending).toBe(0);
      expect(policy.snapshot()).toEqual({ pending: 0, expired: 1 });
    }
    expect(find).not.toHaveBeenCalled();
  });

  test('for a share of calls the answers hold for those, and others go on', async () => {
    const policy = pTimeoutPolicy({ milliseconds: 5, mode: ({ key }) => (key === 'new' ? 'enforce' : 'off'), fallback: () => 'spare' });
    const { run, clock } = arrange(policy);
    expect(await clock.until(run(work({ after: 50, value: 'slow' }), { key: 'new' }))).toBe('spare');
    expect(await clock.until(run(work({ after: 50, value: 'slow' }), { key: 'old' }))).toBe('slow');
  });
});

describe('beside others', () => {
  test('two around one call keep their answers apart', async () => {
    const policy = pTimeoutPolicy({ milliseconds: 50, fallback: () => 'outer' });
    const inner = pTimeoutPolicy({ milliseconds: 5, fallback: () => 'inner' });
    const { run, clock, events } = arrange([policy, inner] as const);
    expect(await clock.until(run(hang))).toBe('inner');
    expect(events.map(({ type, policy: name }) => `${name ?? ''} ${type}`)).toEqual([
      'p-timeout-2 p-timeout.expired',
      'p-timeout-2 p-timeout.fallback-used',
      ' pipeline.settled',
    ]);
    const swapped = arrange([inner, policy] as const);
    expect(await swapped.clock.until(swapped.run(hang))).toBe('inner');
    expect(swapped.events.map(({ type, policy: name }) => `${name ?? ''} ${type}`)).toEqual([
      'p-timeout p-timeout.expired',
      'p-timeout p-timeout.fallback-used',
      ' pipeline.settled',
    ]);
  });

  test('a timeout of the native kind around it has its own error', async () => {
    const { run, clock } = arrange([timeout({ after: 5 }), pTimeoutPolicy({ milliseconds: 50, fallback: () => 'spare' })]);
    expect(await clock.until(caught(run(hang)))).toMatchObject({ policy: 'timeout', after: 5 });
    expect(clock.pending).toBe(0);
  });

  test('a fallback of the native kind covers it as a timeout, and a circuit breaker counts it', async () => {
    const breaker = circuitBreaker({ consecutiveFailures: 1, minCalls: 1 });
    const { run, clock } = arrange([fallback({ value: 'spare', when: 'timeout' }), breaker, pTimeoutPolicy({ milliseconds: 5 })]);
    expect(await clock.until(run(hang))).toBe('spare');
    expect(breaker.state).toBe('open');
  });

  test('lint knows that a longer one inside a shorter one never fires', () => {
    const found = pipeline([pTimeoutPolicy({ milliseconds: 5 }), timeout({ after: 50 })]).lint();
    expect(found.map(({ rule }) => rule)).toContain('inner-timeout-longer');
  });

  test('lint() says when it can never fire first', () => {
    const rules = (outer: number, inner: number): readonly string[] => {
      const line = pipeline([timeout({ after: outer }), bulkhead({ maxConcurrent: 1 }), pTimeoutPolicy({ milliseconds: inner })]);
      return line.lint().map(({ rule }) => rule);
    };
    expect(rules(10, 10)).toContain('inner-timeout-longer');
    expect(rules(10, 9)).not.toContain('inner-timeout-longer');
    const two = pipeline([pTimeoutPolicy({ milliseconds: 10 }), pTimeoutPolicy({ milliseconds: 20 })]);
    expect(two.lint()).toMatchObject([{ rule: 'inner-timeout-longer', policies: ['p-timeout', 'p-timeout-2'] }]);
    for (const outer of [opossumBreaker({ timeout: 10, volumeThreshold: 5 }), bottleneckLimiter({ maxConcurrent: 1 }, { expiration: 10 })])
      expect(
        pipeline([outer, pTimeoutPolicy({ milliseconds: 10 })])
          .lint()
          .map(({ rule }) => rule),
      ).toContain('inner-timeout-longer');
    const unknown = pipeline([timeout({ after: () => 5 }), pTimeoutPolicy({ milliseconds: 20 })]);
    expect(unknown.lint()).toEqual([]);
  });

  test('a retry around it starts a new time for each attempt', async () => {
    const events: PipelineEvent[] = [];
    const clock = new VirtualClock();
    const line = pipeline([retry({ maxAttempts: 2, backoff: { delay: 0 } }), pTimeoutPolicy({ milliseconds: 5 })], {
      clock,
      random: seededRandom(1),
      on: (event) => events.push(event),
    });
    await clock.until(caught(line.execute(hang)));
    expect(clock.now()).toBe(10);
    expect(events.filter(({ type }) => type === 'p-timeout.expired')).toHaveLength(2);
  });
});

describe('options', () => {
  const refusal = (options: unknown): unknown => {
    try {
      pTimeoutPolicy(options as never);
    } catch (error) {
      return error;
    }
    return undefined;
  };

  test('of p-timeout that are wrong are refused, which the package does at the first call or not at all', () => {
    for (const milliseconds of [0, -1, NaN, '5', undefined, null])
      expect(refusal({ milliseconds })).toMatchObject({ code: 'ERR_OPTIONS', path: 'pTimeoutPolicy.milliseconds' });
    expect(refusal({ milliseconds: 5, message: true })).toMatchObject({ path: 'pTimeoutPolicy.message' });
    expect(refusal({ milliseconds: 5, message: 5 })).toMatchObject({ path: 'pTimeoutPolicy.message' });
    expect(refusal({ milliseconds: 5, fallback: 'spare' })).toMatchObject({ path: 'pTimeoutPolicy.fallback' });
    expect(refusal({ milliseconds: 5, customTimers: {} })).toMatchObject({ path: 'pTimeoutPolicy.customTimers' });
    expect(refusal(5)).toMatchObject({ path: 'pTimeoutPolicy' });
  });

  test('leave the signal to the call, and say so', () => {
    const error = refusal({ milliseconds: 5, signal: new AbortController().signal });
    expect(error).toMatchObject({ path: 'pTimeoutPolicy.signal' });
    expect((error as Error).message).toContain('execute(work, { signal })');
  });

  const problemsOf = (make: () => unknown): string[] => {
    try {
      make();
    } catch (error) {
      return (error as OptionsError).problems.map(({ path, expected, got }) => `${path} | ${expected} | ${got}`);
    }
    return [];
  };
  const pathsOf = (make: () => unknown): string[] => problemsOf(make).map((problem) => problem.split(' | ')[0] as string);

  test('are refused with all that is wrong at once, also by the translator', () => {
    const { signal } = new AbortController();
    const given = { milliseconds: 0, message: 'x', customTimers: { setTimeout, clearTimeout }, signal, foo: 1 } as never;
    expect(pathsOf(() => pTimeoutPolicy(given))).toEqual(['signal', 'foo', 'milliseconds'].map((name) => `pTimeoutPolicy.${name}`));
    expect(pathsOf(() => fromPTimeoutOptions(given))).toEqual(
      ['signal', 'foo', 'milliseconds', 'message', 'customTimers'].map((name) => `fromPTimeoutOptions.${name}`),
    );
  });

  test('by the names of other packages are pointed to milliseconds', () => {
    expect(problemsOf(() => pTimeoutPolicy({ timeout: 3 } as never))).toEqual([
      'pTimeoutPolicy.timeout | milliseconds, a number of ms | 3',
      'pTimeoutPolicy.milliseconds | a number of ms above 0, or Infinity | nothing',
    ]);
  });

  test('are told from the work, which pTimeout() takes first', () => {
    const wrong = pTimeoutPolicy as (work: unknown, options: unknown) => unknown;
    expect(problemsOf(() => wrong(Promise.resolve(), { milliseconds: 3 }))).toEqual([
      'pTimeoutPolicy | options | a promise: options go here; give pipeline.execute() a function',
    ]);
    expect(problemsOf(() => wrong(hang, { milliseconds: 3 }))).toEqual([
      'pTimeoutPolicy | options | a function: options go here, the function to pipeline.execute()',
    ]);
    expect(pathsOf(() => fromPTimeoutOptions(hang() as never))).toEqual(['fromPTimeoutOptions']);
  });

  test('may share one literal between two policies', () => {
    const options = Object.freeze({ milliseconds: 5, name: 'quick' });
    expect(pTimeoutPolicy(options)).not.toBe(pTimeoutPolicy(options));
    expect(pTimeoutPolicy(options).describe()).toEqual({
      after: 5,
      milliseconds: 5,
      fallback: undefined,
      message: undefined,
      customTimers: undefined,
    });
  });
});
