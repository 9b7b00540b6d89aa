import { AsyncLocalStorage } from 'node:async_hooks';
import { getEventListeners } from 'node:events';
import { describe, expect, test, vi } from 'vitest';
import {
  type Call,
  type Hedge,
  type HedgeOptions,
  HedgeLostError,
  OptionsError,
  bulkhead,
  hedge,
  hedgeErrors,
  refuse,
  retryBudget,
  tokenBucket,
  definePolicy,
} from 'breakwater';
import { type Arranged, type ScriptedWork, arrange, policyContract, work } from 'breakwater/testing';

policyContract(() => hedge({ delay: '1h', idempotent: true }), {
  describe,
  it: test,
  name: 'hedge by time',
  factory: { create: hedge, options: { maxHedges: 2, delay: '1s', idempotent: true } },
});
policyContract(() => hedge({ delay: '1h' }), { describe, it: test, name: 'hedge of calls that may not run twice' });
policyContract(() => hedge({ idempotent: true, maxHedges: 3 }), { describe, it: test, name: 'hedge that learns its delay' });
policyContract(() => hedge({ idempotent: true, delay: 'onFailure' }), { describe, it: test, name: 'hedge on failure' });
policyContract(() => hedge({ idempotent: true, delay: 0, mode: 'shadow' }), { describe, it: test, name: 'hedge in shadow' });

const always = { idempotent: true } as const;
const fatal = new Error('fatal');

/** How the attempts went: when each began. */
const begun = ({ runs }: ScriptedWork<unknown>): readonly number[] => runs.map(({ at }) => at);
const hedges = ({ runs }: ScriptedWork<unknown>): readonly number[] => runs.map(({ call }) => call.hedge);

describe('a hedge', () => {
  test('begins when the attempt before it takes longer than the delay; the first answer wins, at once, and the rest is cut short (H2)', async () => {
    const { run, clock, policy } = arrange(hedge({ delay: 10, maxHedges: 2, ...always }));
    const script = work({ after: 500, value: 'a' }, { after: 110, value: 'b' }, { after: 110, value: 'c' });
    expect(await clock.until(run(script))).toBe('b');
    expect(clock.now()).toBe(120);
    expect([begun(script), hedges(script)]).toEqual([
      [0, 10, 20],
      [0, 1, 2],
    ]);
    expect(script.runs.map(({ call }) => call.signal.aborted)).toEqual([true, false, true]);
    for (const lost of [0, 2]) expect(script.runs[lost]?.call.signal.reason).toBeInstanceOf(HedgeLostError);
    expect(policy.snapshot()).toMatchObject({ hedges: 2, won: 1, suppressed: 0, delay: 10 });
  });

  test('does not begin if the answer is there before', async () => {
    const { run, clock, policy } = arrange(hedge({ delay: '1s', ...always }));
    const script = work({ after: 999, value: 1 });
    expect(await clock.until(run(script))).toBe(1);
    expect([script.calls, clock.pending]).toEqual([1, 0]);
    expect(policy.snapshot()).toMatchObject({ hedges: 0, won: 0 });
  });

  test('with a delay of 0 all attempts begin side by side, each with a signal of its own', async () => {
    const { run, clock } = arrange(hedge({ delay: 0, maxHedges: 3, ...always }));
    const script = work({ after: 30, value: 'a' }, { after: 20, value: 'b' }, { after: 10, value: 'c' }, { after: 40, value: 'd' });
    expect(await clock.until(run(script))).toBe('c');
    expect(begun(script)).toEqual([0, 0, 0, 0]);
    expect(new Set(script.runs.map(({ call }) => call.signal)).size).toBe(4);
  });

  test("'onFailure' waits for nothing but a failure", async () => {
    const { run, clock, policy } = arrange(hedge({ delay: 'onFailure', maxHedges: 2, ...always }));
    const script = work({ after: 5000, error: new Error('no') }, 'fail', { after: 5, value: 'third' });
    expect(await clock.until(run(script))).toBe('third');
    expect([begun(script), policy.delay]).toEqual([[0, 5000, 5000], Infinity]);
  });

  test('may be delayed by a function of its number and the call; one that throws or talks nonsense is reported, and nothing is hedged by time', async () => {
    const delay = vi.fn((n: number, { key }: Call) => (key === 'bad' ? Number.NaN : n * 100));
    const { run, clock, events, policy } = arrange(hedge({ delay, maxHedges: 2, ...always }));
    const script = work({ after: 1000, value: 1 });
    await clock.until(run(script));
    expect([begun(script), policy.delay]).toEqual([[0, 100, 300], undefined]);
    const bad = work({ after: 1000, value: 1 });
    await clock.until(run(bad, { key: 'bad' }));
    expect(bad.calls).toBe(1);
    expect(events.filter(({ type }) => type === 'pipeline.callback-failed')).toMatchObject([{ callback: 'delay' }]);
  });

  test('runs in the context of its own caller, also after the delay', async () => {
    const context = new AsyncLocalStorage<number>();
    const { run, clock } = arrange(hedge({ delay: 10, ...always }));
    const seen: unknown[] = [];
    const call = (caller: number): Promise<unknown> =>
      run(async ({ hedge: n }) => {
        seen.push([caller, n, context.getStore()]);
        await new Promise<void>((resolve) => void clock.setTimeout(resolve, 50));
      });
    await clock.until(Promise.all([1, 2, 3].map((caller) => context.run(caller, call, caller))));
    expect(seen).toEqual([1, 2, 3].flatMap((caller) => [[caller, 0, caller]]).concat([1, 2, 3].map((caller) => [caller, 1, caller])));
  });

  test('knows that it is one: call.hedge, also in what it derives, and an idempotency key that all attempts share', async () => {
    const { run, clock } = arrange(hedge({ delay: 10, ...always }));
    const keys = new Set<string>();
    await clock.until(
      run(async (call) => {
        keys.add(call.idempotencyKey);
        await new Promise<void>((resolve) => void clock.setTimeout(resolve, 50));
        return call.hedge;
      }),
    );
    expect(keys.size).toBe(1);
  });
});

describe('failures', () => {
  test('one that another attempt may not have begins the next at once, and the delay counts from there', async () => {
    const { run, clock } = arrange(hedge({ delay: 500, maxHedges: 3, ...always }));
    const script = work({ after: 100, error: new Error('no') }, { after: 9000, value: 2 }, { after: 200, value: 3 });
    expect(await clock.until(run(script))).toBe(3);
    expect([begun(script), clock.now()]).toEqual([[0, 100, 600], 800]);
  });

  test('one that would come again ends the call, and cuts the others short', async () => {
    const { run, clock } = arrange(hedge({ delay: 500, ...always, classify: () => ({ verdict: 'failure', retryable: false }) }));
    const script = work({ after: 9000, value: 1 }, { after: 100, error: fatal });
    await expect(clock.until(run(script))).rejects.toBe(fatal);
    expect([clock.now(), script.runs[0]?.call.signal.aborted]).toEqual([600, true]);
  });

  test("if all fail it is the first one's failure; the others are told in an event, and can be asked for", async () => {
    const { run, clock, events } = arrange(hedge({ delay: 10, maxHedges: 2, ...always }));
    const errors = [new Error('first'), new Error('second'), new Error('third')];
    const script = work({ after: 50, error: errors[0] }, { after: 5, error: errors[1] }, { after: 5, error: errors[2] });
    const error = await clock.until(run(script).catch((thrown: unknown) => thrown));
    expect(error).toBe(errors[0]);
    expect(hedgeErrors(error)).toEqual(errors.slice(1));
    expect(hedgeErrors('another')).toEqual([]);
    expect(events.find(({ type }) => type === 'hedge.failed')).toMatchObject({ errors: errors.slice(1) });
  });

  test('results count as failures where the user or the pipeline says so: a response 503 never wins while another attempt runs', async () => {
    const response = (status: number): object => ({ status, headers: {}, body: { locked: false, cancel: vi.fn(() => Promise.resolve()) } });
    const { run, clock } = arrange(hedge({ delay: 10, ...always }));
    const [bad, good] = [response(503), response(200)];
    expect(await clock.until(run(work({ after: 20, value: bad }, { after: 20, value: good })))).toBe(good);
    expect((bad as { body: { cancel: unknown } }).body.cancel).toHaveBeenCalledTimes(1);
    const chosen = arrange(hedge<number>({ delay: 10, ...always, accept: (outcome) => outcome.ok && outcome.value > 5 }));
    expect(await chosen.clock.until(chosen.run(work({ after: 20, value: 1 }, { after: 20, value: 7 })))).toBe(7);
    expect(await chosen.clock.until(chosen.run(work({ value: 1 }, { value: 2 })))).toBe(1);
  });

  test('an accept that throws is reported, and the outcome is taken for what it is', async () => {
    const accept = (): never => {
      throw new Error('mistake');
    };
    const { run, clock, events } = arrange(hedge({ delay: 10, ...always, accept }));
    expect(await clock.until(run(work('ok')))).toBe('ok');
    expect(events.filter(({ type }) => type === 'pipeline.callback-failed')).toMatchObject([{ callback: 'accept' }]);
  });

  test('a refusal further in never wins while another attempt runs, and nothing more is sent there', async () => {
    let entered = 0;
    const narrow = definePolicy({
      kind: 'narrow',
      gate: { enter: () => (++entered > 1 ? refuse(new Error('full')) : 'pass'), settle: () => undefined, cancel: () => undefined },
    });
    const { run, clock } = arrange([hedge({ delay: 10, maxHedges: 5, ...always }), narrow]);
    const script = work({ after: 100, value: 'slow and steady' });
    expect(await clock.until(run(script))).toBe('slow and steady');
    expect([entered, script.calls]).toEqual([2, 1]);
  });

  test('a push-back of the service puts the next attempt off, or ends hedging', async () => {
    const asking = (retryAfter: number): Error => Object.assign(new Error('busy'), { retryAfter });
    const patient = arrange(hedge({ delay: 500, ...always }));
    const script = work({ after: 100, error: asking(70) }, { after: 10, value: 2 });
    expect(await patient.clock.until(patient.run(script))).toBe(2);
    expect(begun(script)).toEqual([0, 170]);
    for (const never of [-1, Infinity]) {
      const { run, clock } = arrange(hedge({ delay: 500, maxHedges: 2, ...always }));
      const refused = asking(never);
      const once = work({ error: refused });
      await expect(clock.until(run(once))).rejects.toBe(refused);
      expect([once.calls, clock.pending]).toEqual([1, 0]);
    }
  });

  test('a push-back beyond the deadline is not waited for', async () => {
    const { run, clock, events, policy } = arrange(hedge({ delay: 500, ...always }));
    const error = Object.assign(new Error('busy'), { retryAfter: 5000 });
    await expect(clock.until(run(work({ error }), { deadline: '1s' }))).rejects.toBe(error);
    expect([clock.now(), clock.pending]).toEqual([0, 0]);
    expect(events.find(({ type }) => type === 'hedge.suppressed')).toMatchObject({ hedge: 1, reason: 'deadline' });
    expect(policy.snapshot()).toMatchObject({ suppressed: 1 });
  });
});

describe('which calls are hedged (H3)', () => {
  test.each<[string, HedgeOptions, boolean | undefined, number]>([
    ['none that did not say so', {}, undefined, 1],
    ['those that say that they may run twice', {}, true, 2],
    ['not those that say that they may not', {}, false, 1],
    ['all, if the policy says so', { idempotent: true }, undefined, 2],
    ['still not those that say that they may not', { idempotent: true }, false, 1],
    ['those that a function says', { idempotent: ({ operation }) => operation === 'read' }, undefined, 2],
    ['not the others', { idempotent: ({ operation }) => operation !== 'read' }, undefined, 1],
  ])('%s', async (_, options, idempotent, calls) => {
    const { run, clock } = arrange(hedge({ delay: 10, ...options }));
    const script = work({ after: 50, value: 1 });
    await clock.until(run(script, { operation: 'read', idempotent }));
    expect(script.calls).toBe(calls);
  });

  test('none if the function throws, which is reported; maxHedges 0 is a plain call', async () => {
    const { run, clock, events } = arrange(
      hedge({
        delay: 10,
        idempotent: () => {
          throw new Error('mistake');
        },
      }),
    );
    const script = work({ after: 50, value: 1 });
    await clock.until(run(script));
    expect(script.calls).toBe(1);
    expect(events.filter(({ type }) => type === 'pipeline.callback-failed')).toMatchObject([{ callback: 'idempotent' }]);
    const plain = arrange(hedge({ delay: 0, maxHedges: 0, ...always }));
    const once = work({ after: 50, value: 1 });
    await plain.clock.until(plain.run(once));
    expect(once.calls).toBe(1);
  });
});

describe('hedges are left out', () => {
  test('while a bulkhead further in is nearly full, or a limiter is nearly empty (H4)', async () => {
    const { run, clock, events } = arrange([hedge({ delay: 10, ...always }), bulkhead({ maxConcurrent: 5 })]);
    const slow = (): ScriptedWork<number> => work({ after: 50, value: 1 });
    const hold = Array.from({ length: 3 }, () => run(work({ after: 5000, value: 0 }), { idempotent: false }));
    const crowded = slow();
    await clock.until(run(crowded));
    expect(crowded.calls).toBe(1);
    expect(events.filter(({ type }) => type === 'hedge.suppressed')).toMatchObject([{ hedge: 1, reason: 'strained', by: 'bulkhead' }]);
    await clock.until(Promise.all(hold));
    const roomy = slow();
    await clock.until(run(roomy));
    expect(roomy.calls).toBe(2);
  });

  test('while a limiter further in is nearly empty', async () => {
    const { run, clock } = arrange([hedge({ delay: 10, ...always }), tokenBucket({ rate: 1, per: '1m', burst: 3 })]);
    const scripts = [work({ after: 50, value: 1 }), work({ after: 50, value: 1 })];
    for (const script of scripts) await clock.until(run(script));
    expect(scripts.map(({ calls }) => calls)).toEqual([2, 1]);
  });

  test('when the budget is used up; those that run go on', async () => {
    const budget = retryBudget({ ratio: 0, minPerSecond: 0.2 });
    const { run, clock, events, policy } = arrange(hedge({ delay: 10, maxHedges: 5, ...always, budget }));
    const script = work({ after: 100, value: 1 });
    expect(await clock.until(run(script))).toBe(1);
    expect([begun(script), budget.balance, budget.denied]).toEqual([[0, 10, 20], 0, 1]);
    expect(events.filter(({ type }) => type === 'hedge.suppressed')).toMatchObject([{ hedge: 3, reason: 'budget' }]);
    expect(policy.snapshot()).toMatchObject({ hedges: 2, suppressed: 1, budget: { balance: 0 } });
  });

  test('by a budget of its own, if none is given: a hedge for every fifth call, and 10 a second (H1)', async () => {
    const calls = 600;
    for (const [options, least, most] of [
      [{}, 210, 220],
      [{ delay: { maxExtraLoad: 0.1, fallback: 10 } }, 59, 60],
      [{ budget: false }, calls, calls],
    ] as const) {
      const { run, clock, policy } = arrange(hedge({ delay: 10, ...always, ...options }));
      await clock.until(Promise.all(Array.from({ length: calls }, () => run(work({ after: 100, value: 1 })))));
      const { hedges } = policy.snapshot();
      expect(hedges).toBeGreaterThanOrEqual(least);
      expect(hedges).toBeLessThanOrEqual(most);
    }
  });

  test('in shadow nothing is taken from the budget', async () => {
    const budget = retryBudget({ ratio: 0, minPerSecond: 0.1 });
    const { run, clock } = arrange(hedge({ delay: 10, ...always, budget, mode: 'shadow' }));
    await clock.until(run(work({ after: 100, value: 1 })));
    expect(budget.balance).toBe(1);
  });

  test('when suppressWhen says so, in place of that', async () => {
    const suppressWhen = vi.fn(({ priority }: Call, _hedge: number) => priority === 'sheddable');
    const { run, clock } = arrange([hedge({ delay: 10, ...always, suppressWhen }), bulkhead({ maxConcurrent: 2 })]);
    const [low, high] = [work({ after: 50, value: 1 }), work({ after: 50, value: 1 })];
    await clock.until(run(low, { priority: 'sheddable' }));
    await clock.until(run(high));
    expect([low.calls, high.calls]).toEqual([1, 2]);
    expect(suppressWhen.mock.calls.map(([, n]) => n)).toEqual([1, 1]);
  });

  test('when the action says null; else it may name another function', async () => {
    const replica = work({ after: 5, value: 'replica' });
    const action = vi.fn((n: number) => (n === 1 ? undefined : n === 2 ? replica : null));
    const { run, clock, events } = arrange(hedge({ delay: 10, maxHedges: 5, ...always, action }));
    const script = work({ after: 500, value: 'primary' });
    expect(await clock.until(run(script))).toBe('replica');
    expect([begun(script), begun(replica)]).toEqual([[0, 10], [20]]);
    const stubborn = work({ after: 500, value: 'primary' });
    const last = arrange(hedge({ delay: 10, maxHedges: 5, ...always, action: (n) => (n < 3 ? undefined : null) }));
    await last.clock.until(last.run(stubborn));
    expect(stubborn.calls).toBe(3);
    const wrong = arrange(hedge({ delay: 10, ...always, action: () => 5 as never }));
    const alone = work({ after: 50, value: 1 });
    await wrong.clock.until(wrong.run(alone));
    expect(alone.calls).toBe(1);
    expect(wrong.events.filter(({ type }) => type === 'pipeline.callback-failed')).toMatchObject([{ callback: 'action' }]);
    expect(events.filter(({ type }) => type === 'pipeline.callback-failed')).toEqual([]);
  });
});

describe('a delay that is learned', () => {
  const fed = async (policy: Hedge, calls: number): Promise<Arranged<readonly [Hedge]>> => {
    const arranged = arrange(policy);
    for (let i = 1; i <= calls; i++) await arranged.clock.until(arranged.run(work({ after: i, value: i })));
    return arranged;
  };

  test('hedges nothing by time before enough attempts have answered, then what takes longer than 95 % of them', async () => {
    const policy = hedge({ ...always });
    const { run, clock } = await fed(policy, 99);
    expect([policy.delay, policy.snapshot()['hedges']]).toEqual([Infinity, 0]);
    await clock.until(run(work({ after: 100, value: 1 })));
    const script = work({ after: 500, value: 1 });
    await clock.until(run(script));
    expect(script.calls).toBe(2);
    expect(Math.abs((policy.delay ?? 0) - 95)).toBeLessThan(95 / 64);
  });

  test('has a fallback until then, and a least delay', async () => {
    const policy = hedge({ ...always, delay: { quantile: 0.5, fallback: '40ms', min: '200ms', minSamples: 10 } });
    const { run, clock } = arrange(policy);
    const early = work({ after: 60, value: 1 });
    await clock.until(run(early));
    expect(begun(early)).toEqual([0, 40]);
    for (let i = 0; i < 10; i++) await clock.until(run(work({ after: 5, value: 1 })));
    const start = clock.now();
    const late = work({ after: 300, value: 1 });
    await clock.until(run(late));
    expect(begun(late)).toEqual([start, start + 200]);
  });
});

describe('what is left behind: nothing (law 11)', () => {
  test('late answers of those that lost are released, late failures are swallowed (G3)', async () => {
    const unhandled = vi.fn();
    process.on('unhandledRejection', unhandled);
    const { run, clock } = arrange(hedge({ delay: 10, maxHedges: 2, ...always }));
    const late = { [Symbol.dispose]: vi.fn() };
    const script = work({ after: 500, value: late }, { after: 20, value: 'hedge' }, { after: 700, error: new Error('late') });
    expect(await clock.until(run(script))).toBe('hedge');
    await clock.advance('1s');
    expect(late[Symbol.dispose]).toHaveBeenCalledTimes(1);
    expect([unhandled.mock.calls.length, clock.pending]).toEqual([0, 0]);
    process.off('unhandledRejection', unhandled);
  });

  test('attempts that answer in the same moment: one wins, the other is released, once', async () => {
    const { run, clock } = arrange(hedge({ delay: 10, ...always }));
    const values = [{ [Symbol.dispose]: vi.fn() }, { [Symbol.dispose]: vi.fn() }];
    const won = await clock.until(run(work({ after: 30, value: values[0] }, { after: 20, value: values[1] })));
    await clock.advance(100);
    expect(values.map((value) => value[Symbol.dispose].mock.calls.length)).toEqual(values.map((value) => (value === won ? 0 : 1)));
  });

  test("a caller's abort ends all attempts, and waits for a push-back, in the same tick", async () => {
    for (const steps of [work({ after: 500, value: 1 }), work({ error: Object.assign(new Error('busy'), { retryAfter: 1000 }) })]) {
      const { pipeline, run, clock } = arrange(hedge({ delay: 10, maxHedges: 2, ...always }));
      const caller = new AbortController();
      const done = run(steps, { signal: caller.signal }).catch((reason: unknown) => reason);
      await clock.advance(15);
      caller.abort('enough');
      for (const { call, endedAt } of steps.runs) if (endedAt === undefined) expect(call.signal.reason).toBe('enough');
      expect(await done).toBe('enough');
      expect(getEventListeners(caller.signal, 'abort')).toEqual([]);
      expect(pipeline.snapshot().active).toBe(0);
      expect(clock.pending).toBe(steps.calls === 1 ? 0 : 2); // the scripted work's own timers
    }
  });

  test('a deadline does the same', async () => {
    const { run, clock } = arrange(hedge({ delay: 10, maxHedges: 2, ...always }));
    const script = work('hang');
    await expect(clock.until(run(script, { deadline: 15 }))).rejects.toMatchObject({ code: 'ERR_TIMEOUT' });
    expect([script.calls, clock.pending]).toEqual([2, 0]);
  });
});

describe('in shadow', () => {
  test('it tells what it would have begun, and begins nothing', async () => {
    const { run, clock, events, policy } = arrange(hedge({ delay: 10, ...always, mode: 'shadow' }));
    const script = work({ after: 50, value: 1 });
    await clock.until(run(script));
    expect(script.calls).toBe(1);
    expect(events.filter(({ type }) => type.startsWith('hedge.'))).toMatchObject([
      { type: 'hedge.would-start', hedge: 1, cause: 'delay', after: 10, shadow: true },
    ]);
    expect(policy.snapshot()).toMatchObject({ hedges: 0 });
  });
});

describe('events', () => {
  test('tell what began and why, and who won', async () => {
    const { run, clock, events } = arrange(hedge({ delay: 100, maxHedges: 2, ...always }));
    await clock.until(run(work({ after: 30, error: new Error('no') }, { after: 500, value: 1 }, { after: 50, value: 2 }), { key: 'k' }));
    expect(events.filter(({ type }) => type.startsWith('hedge.'))).toMatchObject([
      { type: 'hedge.started', hedge: 1, cause: 'failure', after: 30, key: 'k', policy: 'hedge' },
      { type: 'hedge.started', hedge: 2, cause: 'delay', after: 130 },
      { type: 'hedge.won', hedge: 2 },
    ]);
  });
});

describe('options (G9)', () => {
  test.each<[string, unknown]>([
    ['maxHedges', 11],
    ['maxHedges', -1],
    ['maxHedges', 1.5],
    ['delay', -1],
    ['delay', 'soon'],
    ['delay', null],
    ['delay', Number.NaN],
    ['idempotent', false],
    ['accept', true],
    ['action', {}],
    ['budget', {}],
    ['suppressWhen', true],
    ['mode', 'on'],
  ])('%s: %s is refused', (name, value) => {
    expect(() => hedge({ [name]: value })).toThrow(OptionsError);
    expect(() => hedge({ [name]: value })).toThrow(`hedge.${name}`);
  });

  test('within delay', () => {
    expect(() => hedge({ delay: { quantile: 0 } })).toThrow('hedge.delay.quantile');
    expect(() => hedge({ delay: { maxExtraLoad: 1.1 } })).toThrow('hedge.delay.maxExtraLoad');
    expect(() => hedge({ delay: { quantile: 0.9, maxExtraLoad: 0.1 } })).toThrow('either quantile or maxExtraLoad');
    expect(() => hedge({ delay: { quantil: 0.9 } as never })).toThrow('did you mean quantile?');
    expect(hedge({ delay: { maxExtraLoad: 0 } }).describe()).toMatchObject({ delay: { maxExtraLoad: 0 } });
  });
});
