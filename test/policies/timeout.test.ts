import { describe, expect, test, vi } from 'vitest';
import { type PipelineEvent, OptionsError, TimeoutError, bulkhead, definePolicy, fallback, pipeline, retry, timeout } from 'breakwater';
import { VirtualClock, arrange, policyContract, work } from 'breakwater/testing';
import { reasonOf } from '../support/answers.ts';

policyContract(() => timeout({ after: '1h' }), {
  describe,
  it: test,
  name: 'timeout',
  factory: { create: timeout, options: { after: '1s' } },
});
policyContract(() => timeout({ after: '1h', strategy: 'cooperative' }), { describe, it: test, name: 'cooperative timeout' });
policyContract(() => timeout({ after: '1h', grace: '1s' }), { describe, it: test, name: 'timeout with grace' });
policyContract(() => timeout({ adaptive: { max: '1h' } }), { describe, it: test, name: 'adaptive timeout' });
policyContract(() => timeout({ after: '1h', mode: 'shadow' }), { describe, it: test, name: 'timeout in shadow' });

const never = (): Promise<never> => new Promise(() => undefined);

describe('a timeout', () => {
  test('tells the caller when its time is up, and aborts the work with the same error, which says which policy (T1, T2)', async () => {
    const clock = new VirtualClock();
    let seen: unknown;
    const slow = pipeline([timeout({ after: 250, name: 'attempt' })], { clock, name: 'shop' });
    const done = reasonOf(
      slow.execute(({ signal }) => (signal.addEventListener('abort', () => (seen = signal.reason as unknown)), never()), { key: 'k' }),
    );
    await clock.advance(249);
    expect(slow.snapshot()['policies']).toEqual([{ kind: 'timeout', name: 'attempt', pending: 1 }]);
    await clock.advance(1);
    const reason = await done;
    expect(reason).toBeInstanceOf(TimeoutError);
    expect(reason).toMatchObject({
      message: 'shop: attempt after 250 ms',
      code: 'ERR_TIMEOUT',
      after: 250,
      pipeline: 'shop',
      policy: 'attempt',
      key: 'k',
    });
    expect(seen).toBe(reason);
    expect(slow.snapshot()['policies']).toMatchObject([{ pending: 0 }]);
  });

  test('says the time it was given, whatever fractions the clock has (regression: after 15.000000000000227 ms)', async () => {
    const clock = new VirtualClock({ start: 1234.5678 });
    const slow = pipeline([timeout({ after: 15 })], { clock, name: 'shop' });
    const [own, deadline] = [slow.execute(never), pipeline([], { clock }).execute(never, { deadline: 15 })].map(reasonOf);
    await clock.advance(16);
    expect(await own).toMatchObject({ after: 15, message: 'shop: timeout after 15 ms' });
    expect(await deadline).toMatchObject({ after: 15, message: 'pipeline: the deadline passed after 15 ms' });
  });

  test('lets work through that is in time, and leaves no timer', async () => {
    const clock = new VirtualClock();
    const quick = pipeline([timeout({ after: 10 })], { clock });
    expect(await quick.execute(() => 1)).toBe(1);
    expect(await quick.execute(() => Promise.resolve(2))).toBe(2);
    expect(clock.pending).toBe(0);
  });

  test('serves any number of calls with one timer', async () => {
    const clock = new VirtualClock();
    const crowd = pipeline([timeout({ after: 1000 })], { clock });
    const expired: number[] = [];
    const calls: Promise<unknown>[] = [];
    for (let i = 0; i < 1000; i++) {
      calls.push(crowd.execute(never).catch(() => expired.push(i)));
      await clock.advance(0.5);
    }
    expect(clock.pending).toBe(1);
    await clock.advance(1000);
    await Promise.all(calls);
    expect(expired).toEqual(calls.map((_, i) => i));
    expect(clock.pending).toBe(0);
  });

  test('an outer timeout that fires first ends what is inside; the inner one says nothing', async () => {
    const clock = new VirtualClock();
    const events: PipelineEvent[] = [];
    const both = pipeline([timeout({ after: 10, name: 'outer' }), timeout({ after: 20, name: 'inner' })], {
      clock,
      on: (event) => events.push(event),
    });
    const done = reasonOf(both.execute(never));
    await clock.advance(30);
    expect(await done).toMatchObject({ policy: 'outer' });
    expect(events.filter(({ type }) => type === 'timeout.expired')).toMatchObject([{ policy: 'outer', after: 10, started: true }]);
    expect(clock.pending).toBe(0);
  });

  test('each attempt gets a fresh signal: the one before was aborted, the new one is not', async () => {
    const clock = new VirtualClock();
    const aborted: boolean[] = [];
    const attempts = pipeline([retry({ maxAttempts: 2, backoff: { delay: 0 } }), timeout({ after: 10 })], { clock });
    const done = attempts.execute(({ signal, attempt }) => {
      aborted.push(signal.aborted);
      return attempt === 1 ? never() : 'second';
    });
    await clock.advance(10);
    expect(await done).toBe('second');
    expect(aborted).toEqual([false, false]);
  });

  test('may be computed for each call, and Infinity is none', async () => {
    const clock = new VirtualClock();
    const computed = pipeline([timeout({ after: ({ key }) => (key === 'slow' ? Infinity : Number(key)) })], { clock });
    const reasons = ['30', '20', '10'].map((key) =>
      reasonOf(computed.execute(never, { key })).then((reason) => (reason as TimeoutError).after),
    );
    let finish: ((value: string) => void) | undefined;
    const slow = computed.execute(() => new Promise<string>((resolve) => (finish = resolve)), { key: 'slow' });
    await clock.advance(100_000);
    expect(await Promise.all(reasons)).toEqual([30, 20, 10]);
    finish?.('done');
    expect(await slow).toBe('done');
    expect(clock.pending).toBe(0);
    for (const key of ['0', '-1', 'x']) expect(await reasonOf(computed.execute(never, { key }))).toBeInstanceOf(RangeError);
  });

  test.each([2 ** 31 - 1, 2 ** 31, 2 ** 32 + 1, Number.MAX_SAFE_INTEGER])('%d ms do not fire at once (T6)', async (after) => {
    const clock = new VirtualClock();
    const long = pipeline([timeout({ after })], { clock });
    let finish: ((value: number) => void) | undefined;
    const done = long.execute(() => new Promise<number>((resolve) => (finish = resolve)));
    await clock.advance(2 ** 31 - 2);
    finish?.(1);
    expect(await done).toBe(1);
    expect(clock.pending).toBe(0);
  });

  test('a long one is chained to its very end', async () => {
    const clock = new VirtualClock();
    const after = 2 ** 32 + 5;
    let over = false;
    void pipeline([timeout({ after })], { clock })
      .execute(never)
      .catch(() => (over = true));
    await clock.advance(after - 1);
    expect(over).toBe(false);
    await clock.advance(1);
    expect(over).toBe(true);
  });
});

describe('what comes late', () => {
  test('is handed to onLate so that it can be closed, and is otherwise forgotten (T3)', async () => {
    const clock = new VirtualClock();
    const late: unknown[] = [];
    let finish: ((value: string) => void) | undefined;
    const slow = pipeline([timeout({ after: 10, onLate: (value) => late.push(value) })], { clock });
    const done = reasonOf(slow.execute(() => new Promise<string>((resolve) => (finish = resolve))));
    await clock.advance(10);
    await done;
    finish?.('connection');
    await clock.advance(0);
    expect(late).toEqual(['connection']);
  });

  test('a late failure is swallowed (G3), and an onLate that throws is reported', async () => {
    const clock = new VirtualClock();
    const events: PipelineEvent[] = [];
    const onLate = vi.fn(() => {
      throw new Error('listener');
    });
    const slow = pipeline([timeout({ after: 10, onLate })], { clock, on: (event) => events.push(event) });
    for (const settle of [() => Promise.reject(new Error('late')), () => Promise.resolve(1)]) {
      let go: ((value: unknown) => void) | undefined;
      const done = reasonOf(slow.execute(() => new Promise((resolve) => (go = resolve)).then(settle)));
      await clock.advance(10);
      await done;
      go?.(undefined);
      await clock.advance(0);
    }
    expect(onLate).toHaveBeenCalledTimes(1);
    expect(events.filter(({ type }) => type === 'pipeline.callback-failed')).toMatchObject([{ callback: 'onLate', policy: 'timeout' }]);
    expect(events.filter(({ type }) => type === 'pipeline.late')).toMatchObject([{ ok: false }, { ok: true }]);
  });

  test('a result that settled in the same moment as the timer still counts if it was first', async () => {
    const clock = new VirtualClock();
    const race = pipeline([timeout({ after: 10 })], { clock });
    const done = race.execute(
      (call) => new Promise((resolve) => void call.scope.clock.setTimeout(() => resolve('just in time'), 10 - 1e-9)),
    );
    await clock.advance(10);
    expect(await done).toBe('just in time');
  });
});

describe('a timeout while nothing runs yet', () => {
  test('ends a wait in a gate inside it; the work never starts and the gates around it judge nothing', async () => {
    const clock = new VirtualClock();
    const told: string[] = [];
    const watch = definePolicy({
      kind: 'watch',
      gate: { enter: () => 'pass', settle: () => told.push('settle'), cancel: () => told.push('cancel') },
    });
    const queue = definePolicy({
      kind: 'queue',
      gate: {
        enter: (call) => new Promise((resolve) => (call.waiter = resolve)),
        settle: () => told.push('never'),
        cancel: () => told.push('never'),
      },
    });
    const work = vi.fn();
    const done = reasonOf(pipeline([watch, timeout({ after: 10 }), queue], { clock }).execute(work));
    await clock.advance(10);
    expect(await done).toBeInstanceOf(TimeoutError);
    expect(work).not.toHaveBeenCalled();
    expect(told).toEqual(['cancel']);
    expect(clock.pending).toBe(0);
  });
});

describe('a cooperative timeout', () => {
  const patient = { after: 100, strategy: 'cooperative' } as const;

  test('aborts the signal and waits: what the work still answers with wins', async () => {
    const { run, clock, events, policy } = arrange(timeout(patient));
    let reason: unknown;
    const done = run(async ({ signal }) => {
      await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
      reason = signal.reason;
      await new Promise<void>((resolve) => void clock.setTimeout(resolve, 20));
      return 'what was ready';
    });
    await clock.advance(100);
    expect([policy.pending, events.map(({ type }) => type)]).toEqual([1, ['timeout.expired']]);
    expect(await clock.until(done)).toBe('what was ready');
    expect([clock.now(), policy.pending, clock.pending]).toEqual([120, 0, 0]);
    expect(reason).toMatchObject({ code: 'ERR_TIMEOUT', after: 100, started: true });
  });

  test("work that stops with its signal's reason, or an AbortError, makes the call fail with the very TimeoutError", async () => {
    const { run, clock } = arrange(timeout(patient));
    let reason: unknown;
    const stops = run(
      ({ signal }) => new Promise((_, reject) => signal.addEventListener('abort', () => reject((reason = signal.reason as Error)))),
    );
    expect(await clock.until(reasonOf(stops))).toBe(reason);
    const abort = Object.assign(new Error('The operation was aborted'), { name: 'AbortError' });
    const node = run(({ signal }) => new Promise((_, reject) => signal.addEventListener('abort', () => reject(abort))));
    expect(await clock.until(reasonOf(node))).toBeInstanceOf(TimeoutError);
  });

  test('work that fails otherwise keeps its own error', async () => {
    const { run, clock } = arrange(timeout(patient));
    const error = new Error('rolled back');
    expect(await clock.until(reasonOf(run(work({ after: 150, error }))))).toBe(error);
    expect(clock.now()).toBe(150);
  });

  test('has no bound, unless a grace is given', async () => {
    const endless = arrange(timeout(patient));
    void endless.run(work('hang'));
    await endless.clock.advance('1h');
    expect([endless.policy.pending, endless.clock.pending]).toEqual([1, 0]);
    const late = vi.fn();
    const bounded = arrange(timeout({ ...patient, grace: 50, onLate: late }));
    const done = reasonOf(bounded.run(work({ after: 400, value: 'too late' })));
    await bounded.clock.advance(149);
    expect(bounded.policy.pending).toBe(1);
    await bounded.clock.advance(1);
    expect(await done).toMatchObject({ after: 100, message: 'test: timeout after 100 ms' });
    await bounded.clock.advance(500);
    expect(late.mock.calls).toEqual([['too late']]);
    expect(bounded.clock.pending).toBe(0);
  });

  test('waits for nothing that has not begun', async () => {
    const slots = bulkhead({ maxConcurrent: 1, maxQueue: 5 });
    const { run, clock } = arrange([timeout(patient), slots]);
    const first = run(work({ after: 300, value: 'first' }));
    const queued = vi.fn();
    const second = reasonOf(run(queued));
    await clock.advance(100);
    expect(await second).toMatchObject({ code: 'ERR_TIMEOUT', started: false });
    expect(await clock.until(first)).toBe('first');
    expect([queued.mock.calls.length, slots.active]).toEqual([0, 0]);
  });

  test('an attempt that stops is not retried by a retry inside it', async () => {
    const { run, clock } = arrange([timeout(patient), retry({ maxAttempts: 5, backoff: { delay: 0 } })]);
    const script = work('hang-until-abort');
    expect(await clock.until(reasonOf(run(script)))).toBeInstanceOf(TimeoutError);
    expect(script.calls).toBe(1);
  });

  test("a caller's abort meanwhile ends the call at once, with its very reason, and is no timeout", async () => {
    const { run, clock, pipeline: guarded } = arrange(timeout(patient));
    const caller = new AbortController();
    const done = reasonOf(run(work({ after: 400, value: 1 }), { signal: caller.signal }));
    await clock.advance(110);
    caller.abort('enough');
    expect(await done).toBe('enough');
    expect(guarded.snapshot().active).toBe(0);
  });

  test('a bulkhead further in keeps the slot until the work ends (B6)', async () => {
    const slots = bulkhead({ maxConcurrent: 1 });
    const { run, clock } = arrange([timeout({ ...patient, grace: 10 }), slots]);
    const done = reasonOf(run(work({ after: 400, value: 1 })));
    await clock.advance(110);
    expect(await done).toBeInstanceOf(TimeoutError);
    await clock.advance(289);
    expect(slots.active).toBe(1);
    await clock.advance(1);
    expect(slots.active).toBe(0);
  });

  test('inside another one, or under a racing one, the outer one has the last word', async () => {
    const both = arrange([timeout({ after: 50, strategy: 'cooperative', name: 'outer' }), timeout({ ...patient, name: 'inner' })]);
    expect(await both.clock.until(both.run(work({ after: 200, value: 'late' })))).toBe('late');
    const raced = arrange([timeout({ after: 150, name: 'outer' }), timeout({ ...patient, name: 'inner' })]);
    expect(await raced.clock.until(reasonOf(raced.run(work({ after: 200, value: 'late' }))))).toMatchObject({ policy: 'outer' });
    expect(raced.clock.now()).toBe(150);
  });
});

describe('a grace', () => {
  test('lets the work clean up before the caller is told; the outcome is the timeout, whatever the work says', async () => {
    const late = vi.fn();
    const { run, clock, policy } = arrange(timeout({ after: 100, grace: 50, onLate: late }));
    for (const step of [{ after: 120, value: 'late' } as const, { after: 120, error: new Error('cleanup failed') } as const]) {
      const from = clock.now();
      const script = work(step);
      expect(await clock.until(reasonOf(run(script)))).toMatchObject({ code: 'ERR_TIMEOUT', after: 100 });
      expect([clock.now() - from, script.runs[0]?.call.signal.aborted]).toEqual([120, true]);
    }
    expect([late.mock.calls, policy.pending, clock.pending]).toEqual([[['late']], 0, 0]);
  });

  test('has an end', async () => {
    const { run, clock } = arrange(timeout({ after: 100, grace: 50 }));
    expect(await clock.until(reasonOf(run(work('hang'))))).toBeInstanceOf(TimeoutError);
    expect([clock.now(), clock.pending]).toEqual([150, 0]);
  });

  test('costs work that is in time nothing', async () => {
    const { run, clock } = arrange(timeout({ after: 100, grace: 50 }));
    expect(await clock.until(run(work({ after: 99, value: 1 })))).toBe(1);
    expect([clock.now(), clock.pending]).toEqual([99, 0]);
  });
});

describe('an adaptive timeout', () => {
  test('stands at what was given until it has seen enough, then at the quantile times the factor', async () => {
    const policy = timeout({ after: '5s', adaptive: { minSamples: 50 } });
    const { run, clock } = arrange(policy);
    for (let i = 0; i < 50; i++) await clock.until(run(work({ after: 40, value: 1 })));
    expect(policy.limit).toBe(5000);
    const done = reasonOf(run(work('hang')));
    const from = clock.now();
    await clock.until(done);
    expect(Math.abs(clock.now() - from - 60)).toBeLessThan(3);
    expect(policy.snapshot()).toEqual({ pending: 0, limit: policy.limit });
  });

  test('calls under an older limit keep theirs', async () => {
    const policy = timeout({ after: '5s', adaptive: { minSamples: 10 } });
    const { run, clock } = arrange(policy);
    const early = reasonOf(run(work('hang')));
    for (let i = 0; i < 50; i++) await clock.until(run(work({ after: 40, value: 1 })));
    const later = reasonOf(run(work('hang')));
    expect(await clock.until(later)).toMatchObject({ after: policy.limit });
    expect(clock.now()).toBeLessThan(2500);
    expect(await clock.until(early)).toMatchObject({ after: 5000 });
    expect([clock.now(), clock.pending]).toEqual([5000, 0]);
  });

  test('learns from failures, timeouts and aborts that it would have taken longer; degraded answers and refusals teach nothing', async () => {
    const policy = timeout({ after: 200, adaptive: { minSamples: 20, min: '1ms' } });
    const { run, clock } = arrange([
      policy,
      fallback({ value: 'lesser', when: (outcome) => !outcome.ok && String(outcome.error) === 'cover' }),
    ]);
    for (let i = 0; i < 30; i++) await clock.until(run(work({ after: 1, error: 'cover' })));
    expect(policy.limit).toBe(200);
    for (let i = 0; i < 30; i++) await clock.until(run(work({ after: 1, error: new Error('at once') })).catch(() => undefined));
    await clock.advance('2s');
    await run(work('ok'));
    expect(policy.limit).toBe(200);
    for (let i = 0; i < 20; i++) await clock.until(run(work('hang')).catch(() => undefined));
    expect(policy.limit).toBeGreaterThan(200);
  });

  test('without after, its longest stands first', () => {
    expect(timeout({ adaptive: { max: '2s' } }).limit).toBe(2000);
    expect(timeout({ adaptive: {} }).describe()).toMatchObject({
      after: 30_000,
      adaptive: { quantile: 0.99, factor: 1.5, minSamples: 100 },
    });
  });
});

describe('what an error and an event say', () => {
  test('whether the work had started', async () => {
    const slots = bulkhead({ maxConcurrent: 1, maxQueue: 1 });
    const { run, clock, events } = arrange([timeout({ after: 10 }), slots]);
    const reasons = [reasonOf(run(work('hang'))), reasonOf(run(work('ok')))];
    await clock.advance(10);
    expect(await reasons[0]).toMatchObject({ started: true, loopStalled: false, message: 'test: timeout after 10 ms' });
    expect(await reasons[1]).toMatchObject({ started: false, message: 'test: timeout after 10 ms, before the work had started' });
    expect(events.filter(({ type }) => type === 'timeout.expired')).toMatchObject([
      { after: 10, started: true, loopStalled: false },
      { after: 10, started: false, loopStalled: false },
    ]);
  });

  test('whether the event loop was blocked when the time ran out (T5)', async () => {
    const { run, clock, events } = arrange(timeout({ after: 10 }));
    const done = reasonOf(run(work('hang')));
    await clock.stall(500);
    expect(await done).toMatchObject({ loopStalled: true, message: 'test: timeout after 10 ms (the event loop was blocked)' });
    expect(events.find(({ type }) => type === 'timeout.expired')).toMatchObject({ loopStalled: true });
  });
});

describe('options (G9)', () => {
  test.each(['2s', 2000])('a bare duration (%s) is told what was meant', (given) => {
    expect(() => timeout(given as never)).toThrow(`did you mean timeout({ after: ${JSON.stringify(given)} })?`);
  });

  test.each<[object, string]>([
    [{ strategy: 'polite', after: 1 }, 'timeout.strategy'],
    [{ grace: -1, after: 1 }, 'timeout.grace'],
    [{ adaptive: { quantile: 0 } }, 'timeout.adaptive.quantile'],
    [{ adaptive: { factor: 0.5 } }, 'timeout.adaptive.factor'],
    [{ adaptive: { min: '2s', max: '1s' } }, 'timeout.adaptive.max: expected at least adaptive.min (2000 ms), got 1000 ms'],
    [{ adaptive: {}, after: () => 5 }, 'timeout.after: expected a duration, since adaptive is given, got a function'],
  ])('%o is refused', (options, message) => {
    expect(() => timeout(options as never)).toThrow(message);
  });

  test.each([[0], [-1], [Number.NaN], [-Infinity], ['10'], [null], [undefined], ['-1s'], [{}]])('after: %s is refused', (after) => {
    expect(() => timeout({ after } as never)).toThrow(OptionsError);
  });

  test('unknown and misspelt ones are refused', () => {
    expect(() => timeout({ after: 1, afer: 2 } as never)).toThrow('did you mean after?');
    expect(() => timeout({ after: 1, onLate: 'x' } as never)).toThrow('timeout.onLate');
    expect(() => timeout(undefined as never)).toThrow('timeout.after');
  });
});
