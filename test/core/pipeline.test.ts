import { describe, expect, test, vi } from 'vitest';
import {
  type PipelineEvent,
  DeadlineExceededError,
  OptionsError,
  ShutdownError,
  TimeoutError,
  circuitBreaker,
  definePolicy,
  fallback,
  pipeline,
  refuse,
  retry,
  timeout,
} from 'breakwater';
import { VirtualClock } from 'breakwater/testing';

const never = (): Promise<never> => new Promise(() => undefined);
const error = new Error('the very one');

describe('a pipeline without policies', () => {
  const bare = pipeline([]);

  test.each([[undefined], [null], [false], [0], [Number.NaN], [''], [{ a: 1 }]])('passes %s through', async (value) => {
    expect(await bare.execute(() => value)).toBe(value);
    expect(await bare.execute(() => Promise.resolve(value))).toBe(value);
  });

  test('rejects with the very thing that was thrown, also at once and also if it is no error (G2)', async () => {
    for (const thrown of [error, 'text', undefined, null, 0, { no: 'error' }]) {
      await expect(
        bare.execute(() => {
          throw thrown;
        }),
      ).rejects.toBe(thrown);
      await expect(bare.execute(() => Promise.reject(thrown))).rejects.toBe(thrown);
    }
  });

  test('takes thenables, also one that answers twice or whose then throws', async () => {
    const twice = { then: (ok: (value: number) => void) => (ok(7), ok(8)) };
    expect(await bare.execute(() => twice as unknown as PromiseLike<number>)).toBe(7);
    const broken = {
      get then(): never {
        throw error;
      },
    };
    await expect(bare.execute(() => broken as unknown as PromiseLike<number>)).rejects.toBe(error);
  });

  test('never throws at once: what cannot run is a rejection', async () => {
    await expect(bare.execute(5 as never)).rejects.toThrow('pipeline.execute: expected a function to run, got 5');
    await expect(bare.execute(() => 1, { key: 5 as never })).rejects.toBeInstanceOf(OptionsError);
    await expect(bare.execute(() => 1, { signl: 1 } as never)).rejects.toThrow('did you mean signal?');
  });

  test('starts the work in the same tick', () => {
    let started = false;
    void bare.execute(() => (started = true));
    expect(started).toBe(true);
  });
});

describe('executeOutcome', () => {
  test('tells success, failure and degraded answers as plain data and never rejects', async () => {
    expect(await pipeline([]).executeOutcome(() => 1)).toEqual({ ok: true, value: 1 });
    expect(await pipeline([]).executeOutcome(() => Promise.reject(error))).toEqual({ ok: false, error });
    expect(await pipeline([fallback({ value: 2 })]).executeOutcome(() => Promise.reject(error))).toEqual({
      ok: true,
      value: 2,
      degraded: true,
    });
    expect(await pipeline([]).executeOutcome(() => 1, { key: 5 as never })).toMatchObject({ ok: false, error: { code: 'ERR_OPTIONS' } });
  });
});

describe('wrap', () => {
  test('keeps parameters and this', async () => {
    const shop = {
      rate: 2,
      price: pipeline([]).wrap(function (this: { rate: number }, a: number, b: number) {
        return this.rate * (a + b);
      }),
    };
    expect(await shop.price(1, 2)).toBe(6);
  });

  test('computes the key from the arguments; a key function that throws is a rejection', async () => {
    const seen: unknown[] = [];
    const look = definePolicy({ kind: 'look', gate: { enter: (call) => seen.push(call.key), settle() {}, cancel() {} } });
    const guarded = pipeline([look]);
    await guarded.wrap((id: number) => id, { key: (id) => `user-${id}` })(7);
    await guarded.wrap(() => 1, { key: 'fixed' })();
    expect(seen).toEqual(['user-7', 'fixed']);
    const broken = guarded.wrap(() => 1, {
      key: () => {
        throw error;
      },
    });
    await expect(broken()).rejects.toBe(error);
  });

  test('checks its options when wrapping, not at the first call', () => {
    expect(() => pipeline([]).wrap(() => 1, { deadline: 'soon' as never })).toThrow(OptionsError);
  });
});

describe('construction', () => {
  test('refuses what is no list of policies', () => {
    expect(() => pipeline(5 as never)).toThrow('pipeline.policies: expected an array of policies, outermost first, got 5');
    expect(() => pipeline([{}] as never)).toThrow('pipeline.policies[0]: expected a policy, got an object');
    expect(() => pipeline([timeout({ after: 5 }), undefined] as never)).toThrow('policies[1]');
    const near: readonly (readonly [unknown, string])[] = [
      [[timeout({ after: 5 })], 'got an array: spread it (...policies)'],
      [retry, 'got a function: call it, what it makes is the policy'],
      [{ fire: () => undefined }, 'got a breaker: opossumBreaker() of breakwater/opossum makes a policy of it'],
      [{ schedule: () => undefined }, 'got a limiter: bottleneckLimiter() of breakwater/bottleneck makes a policy of it'],
      [{ key: () => undefined }, 'got a limiter: bottleneckLimiter()'],
    ];
    for (const [given, hint] of near) expect(() => pipeline([given] as never)).toThrow(hint);
  });

  test('refuses wrong options with the option named', () => {
    expect(() => pipeline([], { nam: 'x' } as never)).toThrow('did you mean name?');
    expect(() => pipeline([], { clock: { now: 1 } } as never)).toThrow('a clock with now, setTimeout and clearTimeout');
  });

  test('numbers policies of one kind, and refuses a name given twice', () => {
    const { layers } = pipeline([timeout({ after: 9 }), timeout({ after: 8 }), timeout({ after: 7, name: 'timeout-2' })]).describe();
    expect(layers.map(({ name }) => name)).toEqual(['timeout', 'timeout-3', 'timeout-2']);
    expect(() => pipeline([timeout({ after: 9, name: 'a' }), retry({ name: 'a' })])).toThrow(
      'expected a different name for each policy, got "a" twice',
    );
  });

  test('mounts each policy once, outermost last, and never per call', async () => {
    const mounts: string[] = [];
    const driver = (kind: string) =>
      definePolicy({
        kind,
        mount: (next) => {
          mounts.push(kind);
          return next;
        },
      });
    const built = pipeline([driver('outer'), driver('inner')]);
    await built.execute(() => 1);
    await built.execute(() => 1);
    expect(mounts).toEqual(['inner', 'outer']);
  });
});

describe('describe and snapshot', () => {
  test('survive JSON and tell layers, nested ones too', () => {
    const nested = pipeline([pipeline([timeout({ after: '2s' })], { name: 'inner' }), retry({ maxDuration: Infinity })], { name: 'outer' });
    const described = nested.describe();
    expect(JSON.parse(JSON.stringify(described))).toEqual(described);
    expect(described).toMatchObject({
      name: 'outer',
      layers: [
        { kind: 'pipeline', name: 'inner', layers: [{ kind: 'timeout', options: { after: 2000 } }] },
        { kind: 'retry', options: { maxAttempts: 3, maxDuration: 'Infinity' } },
      ],
    });
    const state = nested.snapshot();
    expect(JSON.parse(JSON.stringify(state))).toEqual(state);
    expect(state).toMatchObject({
      name: 'outer',
      active: 0,
      closed: false,
      policies: [{ kind: 'pipeline', name: 'inner' }, { kind: 'retry' }],
    });
  });
});

describe('a deadline', () => {
  test('that is over already refuses: nothing starts', async () => {
    const work = vi.fn();
    await expect(pipeline([]).execute(work, { deadline: 0 })).rejects.toBeInstanceOf(DeadlineExceededError);
    expect(work).not.toHaveBeenCalled();
  });

  test('that passes while the work runs abandons it with a timeout, and aborts its signal with the same error', async () => {
    const clock = new VirtualClock();
    let seen: unknown;
    const done = pipeline([], { clock })
      .execute(({ signal }) => (signal.addEventListener('abort', () => (seen = signal.reason as unknown)), never()), { deadline: '1s' })
      .catch((reason: unknown) => reason);
    await clock.advance(1000);
    const reason = await done;
    expect(reason).toBeInstanceOf(TimeoutError);
    expect(reason).toMatchObject({ after: 1000 });
    expect(seen).toBe(reason);
    expect(clock.pending).toBe(0);
  });

  test('that passes while a retry waits ends the wait as never begun: the wait would have outlasted it', async () => {
    const clock = new VirtualClock();
    const done = pipeline([retry({ backoff: { delay: '2s', jitter: 'none' } })], { clock }).execute(() => Promise.reject(error), {
      deadline: '1s',
    });
    await expect(done).rejects.toBe(error);
    expect(clock.now()).toBe(0);
  });

  test('is what the work reads: the tighter of the caller and the timeouts around it', async () => {
    const clock = new VirtualClock({ start: 100 });
    const layered = pipeline([timeout({ after: '3s' }), timeout({ after: '5s' })], { clock });
    expect(await layered.execute((call) => [call.deadline, call.remaining()], { deadline: '4s' })).toEqual([3100, 3000]);
    expect(await layered.execute((call) => call.deadline, { deadline: 10 })).toBe(110);
    expect(await pipeline([]).execute((call) => [call.deadline, call.remaining()])).toEqual([Infinity, Infinity]);
  });
});

describe("a caller's abort", () => {
  test('before the call: no policy runs, nothing is recorded (law 4)', async () => {
    const touched = vi.fn(() => 1);
    const gate = definePolicy({ kind: 'touched', gate: { enter: touched, settle: touched, cancel: touched } });
    for (const reason of [error, 'plain text', 42]) {
      await expect(pipeline([gate]).execute(touched, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    }
    expect(touched).not.toHaveBeenCalled();
  });

  test('while the work runs: the caller leaves at once with that very reason, and the signal the work reads says the same', async () => {
    const caller = new AbortController();
    let inner: AbortSignal | undefined;
    const done = pipeline([]).execute(({ signal }) => ((inner = signal), never()), { signal: caller.signal });
    caller.abort('enough');
    await expect(done).rejects.toBe('enough');
    expect(inner?.reason).toBe('enough');
  });

  test('is never covered by a fallback and never retried', async () => {
    const caller = new AbortController();
    const work = vi.fn(never);
    const done = pipeline([fallback({ value: 1 }), retry()]).execute(work, { signal: caller.signal });
    caller.abort(error);
    await expect(done).rejects.toBe(error);
    expect(work).toHaveBeenCalledTimes(1);
  });

  test('reads as the first thing that happened: an abort after the timeout is still a timeout', async () => {
    const clock = new VirtualClock();
    const caller = new AbortController();
    const done = pipeline([timeout({ after: 10 })], { clock })
      .execute(never, { signal: caller.signal })
      .catch((reason: unknown) => reason);
    await clock.advance(10);
    caller.abort(error);
    expect(await done).toBeInstanceOf(TimeoutError);
  });
});

describe('events', () => {
  const recorded = async (run: (on: (event: PipelineEvent) => void) => Promise<unknown>): Promise<PipelineEvent[]> => {
    const events: PipelineEvent[] = [];
    await run((event) => events.push(event)).catch(() => undefined);
    return events;
  };

  test('the kernel tells how each call settled', async () => {
    const clock = new VirtualClock();
    const events = await recorded(async (on) => {
      const told = pipeline([fallback({ value: 1, when: (outcome) => !outcome.ok && outcome.error === error })], {
        clock,
        on,
        name: 'told',
      });
      await told.execute(() => 1, { key: 'k', operation: 'read' });
      await told.execute(() => Promise.reject(error));
      await told.execute(() => Promise.reject(new Error('other'))).catch(() => undefined);
      await told.execute(() => 1, { signal: AbortSignal.abort() }).catch(() => undefined);
    });
    const settled = events.filter(({ type }) => type === 'pipeline.settled');
    expect(settled.map((event) => (event as unknown as { outcome: string }).outcome)).toEqual(['success', 'degraded', 'thrown', 'aborted']);
    expect(settled[0]).toEqual({
      type: 'pipeline.settled',
      level: 'debug',
      at: 0,
      pipeline: 'told',
      key: 'k',
      operation: 'read',
      policy: undefined,
      outcome: 'success',
      duration: 0,
    });
  });

  test('a refusal is told with the name of the policy that refused', async () => {
    const no = definePolicy({ kind: 'no', gate: { enter: () => refuse(error), settle() {}, cancel() {} } });
    const events = await recorded((on) => pipeline([no], { on }).execute(() => 1));
    expect(events[0]).toMatchObject({ type: 'gate.refused', policy: 'no', error, level: 'warn' });
  });

  test('a listener that throws changes nothing, is warned about once, and the others still hear (G5)', async () => {
    const warning = vi.spyOn(process, 'emitWarning').mockImplementation(() => undefined);
    const heard = vi.fn();
    const loud = pipeline([]);
    loud.on('pipeline.settled', () => {
      throw error;
    });
    loud.on('*', heard);
    expect(await loud.execute(() => 1)).toBe(1);
    expect(await loud.execute(() => 2)).toBe(2);
    expect(heard).toHaveBeenCalledTimes(2);
    expect(warning).toHaveBeenCalledTimes(1);
    warning.mockRestore();
  });

  test('an off function takes its listener off, once, and only that one', async () => {
    const [first, second] = [vi.fn(), vi.fn()];
    const told = pipeline([]);
    const off = told.on('*', first);
    told.on('*', second);
    off();
    off();
    await told.execute(() => 1);
    expect(first).not.toHaveBeenCalled();
    expect(second).toHaveBeenCalledTimes(1);
    expect(() => told.on('*', 5 as never)).toThrow(OptionsError);
  });

  test('late results are told', async () => {
    const clock = new VirtualClock();
    let finish: ((value: number) => void) | undefined;
    const told: string[] = [];
    const late = pipeline([timeout({ after: 10 })], { clock, on: ({ type }) => told.push(type) });
    const done = late.execute(() => new Promise<number>((resolve) => (finish = resolve))).catch(() => undefined);
    await clock.advance(10);
    await done;
    finish?.(1);
    await clock.advance(0);
    expect(told).toEqual(['timeout.expired', 'pipeline.settled', 'pipeline.late']);
  });
});

describe('close', () => {
  test('turns new calls away, waits for those under way, and is done when they are (G10)', async () => {
    const clock = new VirtualClock();
    const closing = pipeline([], { clock, name: 'shop' });
    let finish: ((value: string) => void) | undefined;
    const running = closing.execute(() => new Promise<string>((resolve) => (finish = resolve)));
    let closed = false;
    const done = closing.close().then(() => (closed = true));
    await expect(closing.execute(() => 1)).rejects.toBeInstanceOf(ShutdownError);
    expect(closing.snapshot()).toMatchObject({ closed: true, active: 1 });
    expect(closed).toBe(false);
    finish?.('last');
    expect(await running).toBe('last');
    await done;
    expect(clock.pending).toBe(0);
    await closing.close();
  });

  test('cuts what is left after the drain time', async () => {
    const clock = new VirtualClock();
    const closing = pipeline([timeout({ after: '1h' })], { clock });
    const running = closing.execute(never).catch((reason: unknown) => reason);
    const done = closing.close({ drain: '5s' });
    await clock.advance('5s');
    await done;
    expect(await running).toBeInstanceOf(ShutdownError);
    expect(clock.pending).toBe(0);
  });

  test('serves await using', async () => {
    const closing = pipeline([]);
    await closing[Symbol.asyncDispose]();
    await expect(closing.execute(() => 1)).rejects.toBeInstanceOf(ShutdownError);
  });

  test('a closed pipeline refuses inside another one too, and the outer goes on', async () => {
    const inner = pipeline([], { name: 'inner' });
    const outer = pipeline([fallback({ value: 'covered' }), inner]);
    expect(await outer.execute(() => 'served')).toBe('served');
    await inner.close();
    expect(await outer.execute(() => 'served')).toBe('covered');
  });
});

describe('a pipeline inside a pipeline', () => {
  test('is one more policy: its events reach its own listeners and those of the outer one', async () => {
    const heard: string[] = [];
    const inner = pipeline([retry({ maxAttempts: 2, backoff: { delay: 0 } })], {
      name: 'inner',
      on: (event) => heard.push(`inner ${event.type} ${event.pipeline}`),
    });
    const outer = pipeline([inner], { name: 'outer', on: (event) => heard.push(`outer ${event.type} ${event.pipeline}`) });
    await outer.execute(({ attempt }) => {
      if (attempt === 1) throw error;
    });
    const told = ['attempt', 'scheduled', 'started', 'attempt'].flatMap((what) => [
      `inner retry.${what} inner`,
      `outer retry.${what} inner`,
    ]);
    expect(heard).toEqual([...told, 'outer pipeline.settled outer']);
  });

  test('takes time and chance from the outer one, also if it has a clock of its own: time enters once (law 7)', async () => {
    const clock = new VirtualClock();
    const inner = pipeline([timeout({ after: 10 })], { clock: new VirtualClock({ start: 5000 }) });
    const done = pipeline([inner], { clock })
      .execute(never)
      .catch((reason: unknown) => reason);
    await clock.advance(10);
    expect(await done).toBeInstanceOf(TimeoutError);
    expect(clock.pending).toBe(0);
  });

  test('counts its calls while they are inside', async () => {
    const inner = pipeline([], { name: 'inner' });
    const outer = pipeline([inner]);
    let finish: ((value: number) => void) | undefined;
    const running = outer.execute(() => new Promise<number>((resolve) => (finish = resolve)));
    expect([inner.snapshot().active, outer.snapshot().active]).toEqual([1, 1]);
    finish?.(1);
    await running;
    expect([inner.snapshot().active, outer.snapshot().active]).toEqual([0, 0]);
  });
});

describe('advice', () => {
  const rules = (...policies: Parameters<typeof pipeline>[0][number][]): readonly string[] =>
    pipeline(policies)
      .lint()
      .map(({ rule }) => rule);

  test('has nothing to say about a sound order', () => {
    expect(rules(fallback({ value: 1 }), timeout({ after: '90s' }), retry(), timeout({ after: '1s' }))).toEqual([]);
  });

  test('tells doubtful orders, also across nested pipelines', () => {
    expect(rules(retry(), retry())).toEqual(['retry-inside-retry']);
    expect(rules(retry(), pipeline([fallback({ value: 1 })]))).toEqual(['fallback-inside-retry']);
    expect(rules(timeout({ after: '1s' }), timeout({ after: '1s' }))).toEqual(['inner-timeout-longer']);
    expect(rules(timeout({ after: 250 }), retry({ backoff: { delay: 100 } }))).toEqual(['retries-outlast-timeout']);
    expect(pipeline([retry({ name: 'a' }), retry({ name: 'b' })]).lint()[0]).toMatchObject({ policies: ['a', 'b'] });
  });
});

describe('a policy in a pipeline in a pipeline', () => {
  test('tells each of its own events once to the inner listeners, and reads the outer clock (regression)', async () => {
    const clock = new VirtualClock();
    const heard: string[] = [];
    const breaker = circuitBreaker({ consecutiveFailures: 1, openFor: '1s' });
    const inner = pipeline([breaker], { name: 'inner', on: ({ type }) => heard.push(type) });
    const outer = pipeline([inner], { name: 'outer', clock });
    await outer.execute(() => Promise.reject(error)).catch(() => undefined);
    expect(heard).toEqual(['circuit-breaker.opened']);
    expect(breaker.state).toBe('open');
    await clock.advance('1s');
    expect(breaker.state).toBe('half-open');
  });
});

test('policies that stand beside each other instead of in an array are told so, and not called unknown options', () => {
  const wrong = pipeline as unknown as (...policies: unknown[]) => unknown;
  expect(() => wrong(retry(), timeout({ after: 1 }))).toThrow(
    'pipeline.policies: expected an array of policies, outermost first, got a retry by itself',
  );
});
