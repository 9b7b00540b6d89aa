import { EventEmitter } from 'node:events';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { describe, expect, test, vi } from 'vitest';
import { BulkheadFullError, type Call, CircuitOpenError, OptionsError, TimeoutError, fallback, pipeline } from 'breakwater';
import { type OpossumOptions, fromOpossumOptions, opossumFields } from 'breakwater/opossum';
import { useProcessTime } from '../support/process-clock.ts';
import { Opossum } from './opossum-sides.ts';

const root = join(import.meta.dirname, '..', '..');

useProcessTime();

const described = (options: OpossumOptions) => fromOpossumOptions(options).map((policy) => policy.describe());
const kinds = (options: OpossumOptions) => fromOpossumOptions(options).map(({ kind }) => kind);
const fails = (): Promise<never> => Promise.reject(new Error('down'));

function problems(options: unknown): readonly string[] {
  try {
    fromOpossumOptions(options as OpossumOptions);
  } catch (error) {
    if (error instanceof OptionsError) return error.problems.map(({ path, expected, got }) => `${path}: ${expected}; ${got}`);
    throw error;
  }
  throw new Error('the options were accepted');
}

describe('options of opossum become native policies', () => {
  test('a circuit breaker outside, a bulkhead inside it if there is a capacity, and a timeout innermost', () => {
    expect(kinds({})).toEqual(['circuit-breaker', 'timeout']);
    expect(kinds({ capacity: 3 })).toEqual(['circuit-breaker', 'bulkhead', 'timeout']);
    expect(kinds({ timeout: false })).toEqual(['circuit-breaker']);
    expect(described({ timeout: 0 })).toMatchObject([{}, { after: Infinity }]);
  });

  test('the pipeline finds nothing to say about them but that the default window is short for the default timeout', () => {
    expect(pipeline(fromOpossumOptions({ capacity: 3, timeout: '3s' })).lint()).toEqual([]);
    expect(pipeline(fromOpossumOptions({})).lint()).toMatchObject([{ rule: 'window-shorter-than-timeout' }]);
  });

  test('the defaults are those of opossum', () => {
    expect(described({})).toMatchObject([
      {
        window: { duration: 10_000, buckets: 10 },
        failureRate: 0.5,
        comparison: 'above',
        minCalls: 1,
        openFor: { initial: 30_000, factor: 1, jitter: 'none' },
        maxRetryAfter: 0,
        halfOpen: { calls: 1, concurrency: 1, probeTimeout: Infinity },
      },
      { after: 10_000, strategy: 'race' },
    ]);
  });

  test('each option has its place', () => {
    const options = {
      timeout: '3s',
      resetTimeout: '5s',
      errorThresholdPercentage: 25,
      rollingCountTimeout: '1m',
      rollingCountBuckets: 6,
      volumeThreshold: 7,
      capacity: 4,
      allowWarmUp: true,
    } as const;
    expect(described(options)).toMatchObject([
      {
        window: { duration: 60_000, buckets: 6 },
        failureRate: 0.25,
        minCalls: 7,
        openFor: { initial: 5000 },
        warmUp: { duration: 60_000 },
      },
      { maxConcurrent: 4, maxQueue: 0, releaseOn: 'settle' },
      { after: 3000 },
    ]);
  });

  test('a part of the window is whole ms long, as there', () => {
    expect(described({ rollingCountTimeout: 1000, rollingCountBuckets: 3 })).toMatchObject([{ window: { duration: 999, buckets: 3 } }, {}]);
  });

  test('a capacity without bound is a bulkhead without bound', async () => {
    for (const capacity of [Infinity, Number.MAX_SAFE_INTEGER]) {
      const p = pipeline(fromOpossumOptions({ capacity }));
      expect(await Promise.all(Array.from({ length: 100 }, (_, i) => p.execute(() => i)))).toHaveLength(100);
    }
  });

  test('at 0 % any failure opens, at 100 % only a hand does', async () => {
    const [sensitive] = fromOpossumOptions({ errorThresholdPercentage: 0, volumeThreshold: 100 });
    const [numb] = fromOpossumOptions({ errorThresholdPercentage: 100 });
    const p = pipeline([sensitive]);
    for (let i = 0; i < 99; i++) await p.execute(() => i);
    await p.executeOutcome(fails);
    expect(sensitive.state).toBe('open');
    for (let i = 0; i < 99; i++) await pipeline([numb]).executeOutcome(fails);
    expect(numb.state).toBe('closed');
    numb.open();
    expect(numb.state).toBe('open');
  });

  test('names: that of the breaker with its group in front, and what the others are for behind', () => {
    const names = (options: OpossumOptions) => fromOpossumOptions({ capacity: 1, ...options }).map(({ name }) => name);
    expect(names({})).toEqual([undefined, undefined, undefined]);
    expect(names({ name: 'users' })).toEqual(['users', 'users-capacity', 'users-timeout']);
    expect(names({ name: 'users', group: 'db' })).toEqual(['db/users', 'db/users-capacity', 'db/users-timeout']);
    expect(names({ group: 'db' })).toEqual(['db', 'db-capacity', 'db-timeout']);
  });

  test('one that is not enabled is off, with all that belongs to it; a mode is for all of them', () => {
    const modes = (options: OpossumOptions) => fromOpossumOptions({ capacity: 1, ...options }).map(({ mode }) => mode);
    expect(modes({})).toEqual(['enforce', 'enforce', 'enforce']);
    expect(modes({ enabled: false })).toEqual(['off', 'off', 'off']);
    expect(modes({ mode: 'shadow' })).toEqual(['shadow', 'shadow', 'shadow']);
    expect(modes({ mode: 'shadow', enabled: false })).toEqual(['off', 'off', 'off']);
    expect(modes({ enabled: false, state: { enabled: true } })).toEqual(['enforce', 'enforce', 'enforce']);
  });

  test('the filter gets the error and the call; what it lets pass is a success, and reaches the caller as it is', async () => {
    const asked: (readonly [unknown, Call])[] = [];
    const missing = new Error('not found');
    const errorFilter = (error: unknown, call: Call): string => {
      asked.push([error, call]);
      return error === missing ? 'passes' : '';
    };
    const [breaker, limit] = fromOpossumOptions({ errorFilter, volumeThreshold: 2, resetTimeout: 100 });
    const p = pipeline([breaker, limit]);
    expect(await p.executeOutcome(() => Promise.reject(missing), { key: 'ada' })).toEqual({ ok: false, error: missing });
    expect(asked).toMatchObject([[missing, { key: 'ada' }]]);
    expect(breaker.snapshot()).toMatchObject({ successes: 1, failures: 0 });
    for (let i = 0; i < 2; i++) await p.executeOutcome(fails);
    expect(breaker.state).toBe('open');
    await vi.advanceTimersByTimeAsync(100);
    await p.executeOutcome(() => Promise.reject(missing));
    expect(breaker.state).toBe('closed');
  });

  test('results and errors are what they are for opossum: a status of 500 is an answer, an error that asks for a wait opens for no longer', async () => {
    const [breaker, limit] = fromOpossumOptions({ resetTimeout: 1000 });
    const p = pipeline([breaker, limit]);
    for (let i = 0; i < 3; i++) await p.execute(() => ({ status: 500, headers: {} }));
    expect(breaker.snapshot()).toMatchObject({ successes: 3, failures: 0 });
    for (let i = 0; i < 4; i++)
      await p.executeOutcome(() => Promise.reject(Object.assign(new Error('later'), { status: 429, headers: { 'retry-after': '60' } })));
    expect(breaker.snapshot()).toMatchObject({ state: 'open', remaining: 1000 });
  });

  test('errors are those of the policies', async () => {
    const [breaker, slots, limit] = fromOpossumOptions({ capacity: 1, timeout: 50, name: 'users' });
    const p = pipeline([breaker, slots, limit], { name: 'api' });
    const first = p.execute(() => new Promise(() => undefined)).catch((error: unknown) => error);
    expect(await p.execute(() => 1).catch((error: unknown) => error)).toBeInstanceOf(BulkheadFullError);
    await vi.advanceTimersByTimeAsync(50);
    const late = await first;
    expect(late).toBeInstanceOf(TimeoutError);
    expect(late).toMatchObject({ after: 50, policy: 'users-timeout', pipeline: 'api' });
    const refusal = await p.execute(() => 1).catch((error: unknown) => error);
    expect(refusal).toBeInstanceOf(CircuitOpenError);
    expect(refusal).toMatchObject({ policy: 'users', retryAfter: 30_000, cause: late });
  });

  test('the signal of a call aborts when its time is up, and that of no other call', async () => {
    const p = pipeline(fromOpossumOptions({ timeout: 50 }));
    const signals: AbortSignal[] = [];
    const hang = ({ signal }: Call): Promise<never> => new Promise(() => signals.push(signal));
    const first = p.executeOutcome(hang);
    await vi.advanceTimersByTimeAsync(30);
    const second = p.executeOutcome(hang);
    await vi.advanceTimersByTimeAsync(20);
    expect(signals.map(({ aborted }) => aborted)).toEqual([true, false]);
    await vi.advanceTimersByTimeAsync(30);
    expect(await Promise.all([first, second])).toMatchObject([{ ok: false }, { ok: false }]);
  });

  test('what only saves opossum work is taken and does nothing', () => {
    const options = { rollingPercentilesEnabled: false, enableSnapshots: false, rotateBucketController: new EventEmitter() };
    expect(described(options)).toEqual(described({}));
    expect(options.rotateBucketController.eventNames()).toEqual([]);
  });

  test('options that belong to a cache that is off are without effect, as there', () => {
    const off = { cache: false, cacheTTL: 1000, cacheSize: 5, coalesce: false, coalesceTTL: 10, coalesceResetOn: ['error'] } as const;
    expect(described(off)).toEqual(described({}));
  });

  test('with a fallback around them a filtered error reaches the caller, and all else is covered', async () => {
    const passes = (error: unknown): boolean => error instanceof RangeError;
    const p = pipeline([
      fallback({ value: 'lesser', when: (outcome) => !outcome.ok && !passes(outcome.error) }),
      ...fromOpossumOptions({ errorFilter: passes, timeout: 50 }),
    ]);
    await expect(p.execute(() => Promise.reject(new RangeError('not found')))).rejects.toThrow('not found');
    const late = p.execute(() => new Promise<string>(() => undefined));
    await vi.advanceTimersByTimeAsync(50);
    expect(await late).toBe('lesser');
    expect(await p.execute(fails)).toBe('lesser');
    expect(await p.execute(() => 'never runs')).toBe('lesser');
  });
});

describe('what has no native equal is refused, with what to do instead', () => {
  const answers = 'false, since no native policy does that yet: keep opossumBreaker() with these options for as long as you need it; true';

  test.each([
    [{ cache: true }, [`fromOpossumOptions.cache: ${answers}`]],
    [{ coalesce: true, cache: true }, [`fromOpossumOptions.cache: ${answers}`, `fromOpossumOptions.coalesce: ${answers}`]],
    [
      { abortController: new AbortController() },
      [
        'fromOpossumOptions.abortController: nothing: there is a signal for each call, which aborts when its time is up (fetch(url, { signal: call.signal })); or keep opossumBreaker() with this one; an object',
      ],
    ],
    [
      { state: { shutdown: true } },
      ['fromOpossumOptions.state.shutdown: the state of a breaker that was not shut down; close() the pipeline to shut it down; true'],
    ],
    [{ status: { failures: -1 } }, ['fromOpossumOptions.status.failures: a whole number of at least 0; -1']],
    [{ status: { successes: '3' } }, ['fromOpossumOptions.status.successes: a whole number of at least 0; "3"']],
  ])('%o', (options, expected) => {
    expect(problems(options)).toEqual(expected);
  });

  test('a controller that renews itself is one more', () => {
    expect(problems({ autoRenewAbortController: true })).toEqual([
      expect.stringContaining('fromOpossumOptions.autoRenewAbortController: false'),
    ]);
  });

  test('wrong and unknown options are refused as they are by the policy', () => {
    expect(problems({ timeout: NaN, resetTimout: 3 })).toEqual([
      expect.stringContaining('fromOpossumOptions.resetTimout: one of timeout, resetTimeout'),
      expect.stringContaining('fromOpossumOptions.timeout: a duration'),
    ]);
    expect(problems({ maxFailures: 3 })).toEqual([expect.stringContaining('fromOpossumOptions.maxFailures')]);
    expect(problems('3s')).toEqual([expect.stringContaining('fromOpossumOptions: an object')]);
  });
});

describe('a breaker that was saved', () => {
  const saved = (breaker: InstanceType<typeof Opossum>): Required<Pick<OpossumOptions, 'state' | 'status'>> => {
    const text = JSON.stringify(breaker);
    breaker.shutdown();
    return JSON.parse(text) as Required<Pick<OpossumOptions, 'state' | 'status'>>;
  };

  test('goes on with its counts and the time that its calls took', async () => {
    const breaker = new Opossum((work: () => unknown) => work(), { errorThresholdPercentage: 90 });
    for (let i = 0; i < 3; i++) {
      const ended = breaker.fire(() => new Promise((resolve) => setTimeout(resolve, 20)));
      await vi.advanceTimersByTimeAsync(20);
      await ended;
    }
    await breaker.fire(fails).catch(() => undefined);
    const [native] = fromOpossumOptions({ ...saved(breaker), errorThresholdPercentage: 90 });
    expect(native.snapshot()).toMatchObject({ state: 'closed', calls: 4, successes: 3, failures: 1, averageMs: 15 });
  });

  test('goes on with a Status: each part of the window is as old as it was', async () => {
    const status = Opossum.newStatus({ rollingCountTimeout: 1000, rollingCountBuckets: 10, stats: { failures: 2, successes: 1 } });
    await vi.advanceTimersByTimeAsync(300);
    const [native] = fromOpossumOptions({ status, rollingCountTimeout: 1000 });
    expect(native.snapshot()).toMatchObject({ calls: 3, failures: 2 });
    await vi.advanceTimersByTimeAsync(500);
    expect(native.snapshot()).toMatchObject({ calls: 3 });
    await vi.advanceTimersByTimeAsync(300);
    expect(native.snapshot()).toMatchObject({ calls: 0 });
    (status as { shutdown(): void }).shutdown();
  });

  test('that was open says when it may be tried, and forgets that it was saved once it is reset', () => {
    const breaker = new Opossum(() => undefined, {});
    breaker.open();
    const [native] = fromOpossumOptions(saved(breaker));
    expect(native.snapshot()).toMatchObject({ state: 'open', remaining: 30_000, openCount: 1 });
    native.reset();
    expect(native.state).toBe('closed');
  });
});

describe('the guide leaves nothing unsaid', () => {
  const guide = readFileSync(join(root, 'docs', 'how-to', 'come-from-opossum.md'), 'utf8');
  const source = readFileSync(join(dirname(createRequire(import.meta.url).resolve('opossum')), 'lib', 'circuit.js'), 'utf8');
  const told = (names: Iterable<string>): readonly string[] => [...names].filter((name) => !new RegExp(`\\b${name}\\b`).test(guide));

  test('of options', () => {
    expect(told(Object.keys(opossumFields).filter((name) => name !== 'mode'))).toEqual([]);
  });

  test('of methods and properties', () => {
    const methods = Object.getOwnPropertyNames(Opossum.prototype).filter((name) => name !== 'constructor' && !name.startsWith('_'));
    const statics = Object.getOwnPropertyNames(Opossum).filter((name) => !['length', 'name', 'prototype'].includes(name));
    expect(methods.length).toBeGreaterThan(20);
    expect(told([...methods, ...statics])).toEqual([]);
  });

  test('of events and errors', () => {
    const events = new Set([...source.matchAll(/emit\('(\w+)'/g)].map(([, name]) => name as string));
    const codes = new Set([...source.matchAll(/'(E[A-Z]+)'/g)].map(([, code]) => code as string));
    expect([events.size, codes.size]).toEqual([16, 4]);
    expect(told([...events, ...codes])).toEqual([]);
  });
});
