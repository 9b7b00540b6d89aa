import { describe, expect, test, vi } from 'vitest';
import {
  DegradedError,
  type GatePolicy,
  OptionsError,
  type PipelineEvent,
  TimeoutError,
  bulkhead,
  circuitBreaker,
  defaultSwitchboard,
  degrade,
  fallback,
  pipeline,
  retry,
  switchboard,
} from 'breakwater';
import { VirtualClock, arrange, gateContract, policyContract, work } from 'breakwater/testing';

const fresh = (): ReturnType<typeof degrade> => degrade({ feature: 'hints', board: switchboard() });
const answering = { name: 'off', value: 'spare' };

policyContract(fresh, {
  describe,
  it: test,
  name: 'degrade that refuses',
  refuses: () => {
    const off = fresh();
    off.set('off');
    return off;
  },
  factory: { create: degrade, options: { feature: 'contract' } },
});
policyContract(() => degrade({ feature: 'hints', board: switchboard(), levels: ['full', answering] }), {
  describe,
  it: test,
  name: 'degrade that answers',
});
policyContract(
  () => degrade({ feature: 'hints', board: switchboard(), auto: { failureRate: 1, minCalls: 1000 }, levels: ['full', answering] }),
  { describe, it: test, name: 'degrade by itself' },
);

gateContract(() => fresh() as unknown as GatePolicy, { describe, it: test });

const error = new Error('down');
const failing = (): Promise<never> => Promise.reject(error);
const never = (): Promise<never> => new Promise(() => undefined);

describe('what a call gets', () => {
  test('at full: the work, untouched', async () => {
    const { pipeline: search, events } = arrange(fresh());
    expect(await search.executeOutcome(() => 7)).toEqual({ ok: true, value: 7 });
    await expect(search.execute(failing)).rejects.toBe(error);
    expect(events.map(({ type }) => type)).toEqual(['pipeline.settled', 'pipeline.settled']);
  });

  test('at a level that is only a name: a refusal, with feature, level and reason, and the work never runs', async () => {
    const off = fresh();
    const { pipeline: search, events } = arrange(off);
    off.set('off', 'sale');
    const ran = vi.fn();
    const outcome = await search.executeOutcome(ran, { key: 'k' });
    expect(ran).not.toHaveBeenCalled();
    expect(outcome).toMatchObject({ ok: false, error: { code: 'ERR_DEGRADED', policy: 'degrade', key: 'k', retryAfter: undefined } });
    expect(!outcome.ok && outcome.error).toBeInstanceOf(DegradedError);
    expect((outcome as { error: Error }).error.message).toBe('test: hints is at level off: sale');
    expect(events.find(({ type }) => type === 'gate.refused')).toBeDefined();
  });

  test('a refusal says when it is over, where that is known', async () => {
    const off = fresh();
    const { pipeline: search, clock } = arrange(off);
    off.set('off', { for: '1m' });
    await clock.advance('20s');
    expect(await search.executeOutcome(() => 1)).toMatchObject({ error: { retryAfter: 40_000 } });
  });

  test('a value, also an undefined one, flagged as degraded', async () => {
    const board = switchboard();
    const { pipeline: search, policy, events } = arrange(degrade({ feature: 'hints', board, levels: ['full', answering] }));
    policy.set('off');
    expect(await search.executeOutcome(() => 1)).toEqual({ ok: true, value: 'spare', degraded: true });
    expect(events.map(({ type }) => type)).toEqual(['degrade.changed', 'degrade.served', 'pipeline.settled']);
    expect(events[1]).toMatchObject({ level: 'info', feature: 'hints', served: 'off' });
    expect(events[2]).toMatchObject({ outcome: 'degraded' });
    const nothing = degrade({ feature: 'nothing', board, levels: ['full', { name: 'off', value: undefined }] });
    nothing.set('off');
    expect(await pipeline([nothing]).executeOutcome(() => 1)).toEqual({ ok: true, value: undefined, degraded: true });
  });

  test('what a function finds, which gets the call', async () => {
    const cached = degrade({
      feature: 'hints',
      board: switchboard(),
      levels: ['full', { name: 'cached', run: async (call) => `cached ${call.key}` }],
    });
    cached.set('cached');
    expect(await pipeline([cached]).executeOutcome(failing, { key: 'k' })).toEqual({ ok: true, value: 'cached k', degraded: true });
  });

  test('the work itself, which asks for the level and does less: flagged all the same', async () => {
    const light = degrade({ feature: 'hints', board: switchboard(), levels: ['full', { name: 'light', work: true }, 'off'] });
    const search = pipeline([light]);
    const hints = (): string => (light.level === 'full' ? 'ten hints' : 'one hint');
    expect(await search.executeOutcome(hints)).toEqual({ ok: true, value: 'ten hints' });
    light.set('light');
    expect(await search.executeOutcome(hints)).toEqual({ ok: true, value: 'one hint', degraded: true });
    await expect(search.execute(failing)).rejects.toBe(error);
    light.set('off');
    await expect(search.execute(hints)).rejects.toBeInstanceOf(DegradedError);
  });

  test('where a level has no answer, the next one down has: one that fails, is full or too slow', async () => {
    const clock = new VirtualClock();
    const run = vi.fn(failing);
    const down = degrade({
      feature: 'hints',
      board: switchboard(),
      levels: ['full', { name: 'cached', run, timeout: 10, maxConcurrent: 1 }, answering],
    });
    const events: PipelineEvent[] = [];
    const search = pipeline([down], { clock, on: (event) => events.push(event) });
    down.set('cached');
    expect(await search.execute(() => 1)).toBe('spare');
    expect(events.find(({ type }) => type === 'degrade.failed')).toMatchObject({ level: 'error', served: 'cached', error });
    run.mockImplementation(never);
    const slow = search.execute(() => 1);
    expect(await search.execute(() => 1)).toBe('spare');
    expect(events.find(({ type }) => type === 'degrade.skipped')).toMatchObject({ served: 'cached', running: 1 });
    await clock.advance(10);
    expect(await slow).toBe('spare');
    expect(search.snapshot().policies).toMatchObject([
      { kind: 'degrade', level: 'cached', tiers: [{ name: 'cached', failed: 2, skipped: 1 }, { used: 3 }] },
    ]);
    expect(clock.pending).toBe(0);
  });

  test('where no level is left: the refusal of the last one, with what failed as its cause, or that failure itself', async () => {
    const board = switchboard();
    const refusing = degrade({ feature: 'a', board, levels: ['full', { name: 'cached', run: failing }, 'off'] });
    refusing.set('cached');
    const refused = await pipeline([refusing]).executeOutcome(() => 1);
    expect(refused).toMatchObject({ ok: false, error: { code: 'ERR_DEGRADED', cause: error } });
    const last = degrade({ feature: 'b', board, levels: ['full', { name: 'cached', run: failing }] });
    last.set('cached');
    await expect(pipeline([last]).execute(() => 1)).rejects.toBe(error);
  });

  test("the caller's abort ends a level's function in the same tick, and is covered by nothing", async () => {
    const slow = degrade({ feature: 'a', board: switchboard(), levels: ['full', { name: 'cached', run: never }, answering] });
    slow.set('cached');
    const caller = new AbortController();
    const done = pipeline([slow]).execute(() => 1, { signal: caller.signal });
    caller.abort('gone');
    await expect(done).rejects.toBe('gone');
  });

  test('once the time around it is up only a value can answer', async () => {
    const clock = new VirtualClock();
    const board = switchboard();
    const run = vi.fn(never);
    const valued = degrade({ feature: 'a', board, levels: ['full', { name: 'cached', run }, { name: 'older', run }, answering] });
    valued.set('cached');
    const done = pipeline([valued], { clock }).execute(() => 1, { deadline: 10 });
    const bare = degrade({ feature: 'b', board, levels: ['full', { name: 'cached', run }] });
    bare.set('cached');
    const cut = pipeline([bare], { clock }).execute(() => 1, { deadline: 10 });
    const refused = expect(cut).rejects.toMatchObject({ code: 'ERR_DEADLINE' });
    await clock.advance(10);
    expect(await done).toBe('spare');
    await refused;
    expect(run).toHaveBeenCalledTimes(2);
  });
});

describe('by hand', () => {
  test('set() stands until it is cleared, and is told with who and why', () => {
    const { policy, events } = arrange(fresh());
    policy.set('off', { reason: 'sale', by: 'ada' });
    expect(policy.level).toBe('off');
    expect(events).toMatchObject([
      {
        type: 'degrade.changed',
        level: 'warn',
        feature: 'hints',
        from: 'full',
        to: 'off',
        action: 'set',
        cause: 'manual',
        reason: 'sale',
        by: 'ada',
      },
    ]);
    expect(policy.clear()).toBe(true);
    expect(policy.clear()).toBe(false);
    expect(policy.level).toBe('full');
    expect(events[1]).toMatchObject({ level: 'info', from: 'off', to: 'full', action: 'cleared', cause: 'none' });
  });

  test('it lapses after its time on the clock of the pipeline, without a timer, and that is told when somebody looks', async () => {
    const { policy, clock, events, run } = arrange(fresh());
    policy.set('off', { for: '10m' });
    expect(clock.pending).toBe(0);
    await clock.advance('599s');
    await expect(run(() => 1)).rejects.toBeInstanceOf(DegradedError);
    await clock.advance('1s');
    expect(events.filter(({ type }) => type === 'degrade.changed')).toHaveLength(1);
    expect(await run(() => 1)).toBe(1);
    expect(events.filter(({ type }) => type === 'degrade.changed')[1]).toMatchObject({
      action: 'lapsed',
      from: 'off',
      to: 'full',
      at: 600_000,
    });
  });

  test('of several holds the deepest counts, each is let go once, and a level that is set is never fuller than a hold', () => {
    const levels = ['full', { name: 'light', work: true }, 'off'] as const;
    const { policy } = arrange(degrade({ feature: 'hints', board: switchboard(), levels }));
    const light = policy.hold('light', 'index is being built');
    const off = policy.hold('off', { by: 'deploy' });
    expect(policy.snapshot()).toMatchObject({ level: 'off', cause: 'hold', by: 'deploy', holds: 2 });
    policy.set('full');
    expect(policy.level).toBe('off');
    off.release();
    off.release();
    expect(policy.snapshot()).toMatchObject({ level: 'light', cause: 'hold', reason: 'index is being built', holds: 1 });
    policy.set('off');
    expect(policy.snapshot()).toMatchObject({ level: 'off', cause: 'manual' });
    light[Symbol.dispose]();
    policy.clear();
    expect(policy.level).toBe('full');
  });

  test('a switch belongs to its feature: pipelines and policies of one feature share it, and each hears of changes once', () => {
    const board = switchboard();
    const [one, other] = [degrade({ feature: 'hints', board }), degrade({ feature: 'hints', board })];
    const first = arrange([one, bulkhead({ maxConcurrent: 5 })]);
    const second = arrange([other, one]);
    one.set('off');
    expect(other.level).toBe('off');
    expect([first.events.length, second.events.length]).toEqual([1, 1]);
  });

  test('without a board of its own a feature is on the one of the process', () => {
    const own = degrade({ feature: 'a feature of this test alone' });
    own.set('off');
    expect(defaultSwitchboard.get('a feature of this test alone')).toMatchObject({ level: 'off' });
    own.clear();
  });

  test('a listener that gives an order itself is told of it afterwards, in order', () => {
    const { policy, pipeline: search } = arrange(fresh());
    const told: string[] = [];
    search.on('degrade.changed', ({ from, to }) => {
      if (to === 'off') policy.clear();
      told.push(`${from} > ${to}`);
    });
    policy.set('off');
    expect(told).toEqual(['full > off', 'off > full']);
  });
});

describe('by itself', () => {
  const auto = { failureRate: 0.5, window: '10s', minCalls: 4, minDwell: '5s' } as const;
  const levels = ['full', { name: 'cached', run: () => 'cached' }, { name: 'off', value: 'spare' }] as const;
  const byItself = (options: object = auto, more: object = {}) =>
    arrange(degrade({ feature: 'hints', board: switchboard(), auto: options, levels, ...more }));
  const times = async (n: number, call: () => Promise<unknown>): Promise<void> => {
    for (let i = 0; i < n; i++) await call().catch(() => undefined);
  };

  test('goes down a level when too many calls fail, serves there for the dwell time, and tries full again', async () => {
    const { policy, run, clock, events } = byItself();
    await times(3, () => run(failing));
    expect(policy.level).toBe('full');
    await times(1, () => run(failing));
    expect(policy.level).toBe('cached');
    expect(events.findLast(({ type }) => type === 'degrade.changed')).toMatchObject({
      action: 'automatic',
      cause: 'automatic',
      reason: 'failure-rate',
    });
    expect(await run(failing)).toBe('cached');
    await clock.advance('4999ms');
    expect(await run(failing)).toBe('cached');
    await clock.advance(1);
    expect(await run(() => 'full again')).toBe('full again');
    expect(policy.snapshot()).toMatchObject({ level: 'full', cause: 'none', automatic: true });
  });

  test('a feature that falls back at once stays down for longer, up to eight times as long', async () => {
    const { policy, run, clock } = byItself();
    const dwells: number[] = [];
    for (let relapse = 0; relapse < 6; relapse++) {
      await times(4, () => run(failing));
      expect(policy.level).toBe('cached');
      const since = clock.now();
      while (policy.level === 'cached') await clock.advance('1s');
      dwells.push((clock.now() - since) / 1000);
    }
    expect(dwells).toEqual([5, 10, 20, 40, 40, 40]);
    await clock.advance('10m');
    await times(4, () => run(failing));
    await clock.advance('5s');
    expect(policy.level).toBe('full');
  });

  test('a lesser level that fails too makes way for the next, one level at a time', async () => {
    const broken = vi.fn(failing);
    const { policy, run, clock } = byItself(auto, { levels: ['full', { name: 'cached', run: broken }, { name: 'off', value: 'spare' }] });
    await times(4, () => run(failing));
    expect(policy.level).toBe('cached');
    await times(8, () => run(() => 1));
    expect(policy.level).toBe('cached');
    await clock.advance('5s');
    expect(policy.level).toBe('off');
    await clock.advance('5s');
    expect(policy.level).toBe('cached');
  });

  test('timeouts have a rate of their own, and refusals and aborts count as nothing', async () => {
    const clock = new VirtualClock();
    const full = bulkhead({ maxConcurrent: 0 });
    const slow = degrade({ feature: 'a', board: switchboard(), auto: { timeoutRate: 0.5, minCalls: 2 }, levels });
    const timed = pipeline([slow], { clock });
    for (let i = 0; i < 2; i++) {
      const done = timed.executeOutcome(never, { deadline: 10 });
      await clock.advance(10);
      await done;
    }
    expect(slow.level).toBe('cached');
    const refused = degrade({ feature: 'b', board: switchboard(), auto: { failureRate: 0.1, minCalls: 2 }, levels });
    await times(9, () => pipeline([refused, full], { clock }).execute(() => 1));
    expect(refused.level).toBe('full');
  });

  test('load, with a band between where it is entered and left', async () => {
    let load = 0.5;
    const { policy, clock } = byItself({ load: () => load, minDwell: '1s' });
    const at = async (next: number): Promise<string> => {
      load = next;
      await clock.advance('1s');
      return policy.level;
    };
    expect([await at(0.89), await at(0.9), await at(0.8), await at(0.95), await at(0.95), await at(0.71)]).toEqual([
      'full',
      'cached',
      'cached',
      'off',
      'off',
      'off',
    ]);
    expect([await at(0.7), await at(0.71), await at(0.69), await at(0.1)]).toEqual(['cached', 'cached', 'full', 'full']);
  });

  test('a load that throws, or is none, is reported and says nothing', async () => {
    for (const measure of [
      (): never => {
        throw error;
      },
      (): number => Number.NaN,
    ]) {
      const { policy, events } = byItself({ load: measure });
      expect(policy.level).toBe('full');
      expect(events).toMatchObject([{ type: 'pipeline.callback-failed', callback: 'load' }]);
    }
  });

  test('an open circuit takes it down one level, and it recovers when all are closed', async () => {
    const breaker = circuitBreaker({ consecutiveFailures: 1, openFor: '10s' });
    const board = switchboard();
    const hints = degrade({ feature: 'hints', board, levels, auto: { openCircuits: [breaker], minDwell: '1s' } });
    const { run, clock } = arrange([hints, breaker]);
    await times(1, () => run(failing));
    expect(await run(failing)).toBe('cached');
    await clock.advance('9s');
    expect(hints.level).toBe('cached');
    await clock.advance('1s');
    expect(breaker.state).toBe('half-open');
    expect(hints.level).toBe('cached');
    breaker.close();
    await clock.advance('1s');
    expect(hints.level).toBe('full');
  });

  test('a hand beats it, and what was counted at another level says nothing about this one', async () => {
    const { policy, run, clock } = byItself();
    let finish: (reason: unknown) => void = () => undefined;
    const straggler = run(() => new Promise((_, reject) => (finish = reject))).catch(() => undefined);
    policy.set('full');
    await times(10, () => run(failing));
    expect(policy.level).toBe('full');
    policy.clear();
    await times(3, () => run(failing));
    expect(policy.level).toBe('full');
    await times(1, () => run(failing));
    expect(policy.level).toBe('cached');
    policy.set('off');
    await clock.advance('5s');
    expect(await run(failing)).toBe('spare');
    policy.clear();
    expect(policy.level).toBe('full');
    finish(error);
    await straggler;
    await times(3, () => run(failing));
    expect(policy.level).toBe('full');
  });

  test('goes no deeper by itself than it is told, and a hand may', async () => {
    const { policy, clock } = byItself({ load: () => 1, minDwell: '1s', deepest: 'cached' });
    for (let i = 0; i < 3; i++) {
      await clock.advance('1s');
      expect(policy.level).toBe('cached');
    }
    policy.set('off');
    expect(policy.level).toBe('off');
  });
});

describe('and other policies', () => {
  test('nothing it answers counts as a success: a circuit around it does not hear of health that is none', async () => {
    const breaker = circuitBreaker({ window: { calls: 10 }, minCalls: 10 });
    const hints = degrade({ feature: 'hints', board: switchboard(), levels: ['full', { name: 'light', work: true }, answering] });
    const { run } = arrange([breaker, hints]);
    await run(() => 1);
    expect(breaker.snapshot().calls).toBe(1);
    for (const level of ['light', 'off'] as const) {
      hints.set(level);
      for (let i = 0; i < 5; i++) await run(() => 1);
    }
    expect(breaker.snapshot().calls).toBe(1);
  });

  test('policies further in judge the work at a lesser level as what it is', async () => {
    const breaker = circuitBreaker({ window: { calls: 10 }, minCalls: 10 });
    const hints = degrade({ feature: 'hints', board: switchboard(), levels: ['full', { name: 'light', work: true }] });
    const { run } = arrange([hints, breaker]);
    hints.set('light');
    await run(() => 1);
    expect(breaker.snapshot().calls).toBe(1);
  });

  test('a fallback covers its refusal, a retry does not try it again', async () => {
    const off = fresh();
    off.set('off');
    const { run } = arrange([fallback({ value: 'covered', when: 'refusal' }), retry({ backoff: { delay: 0 } }), off]);
    const ran = work('ok');
    expect(await run(ran)).toBe('covered');
    expect(ran.calls).toBe(0);
  });

  test('shadowed it shows what it would do and does nothing; switched off it is not there', async () => {
    const board = switchboard();
    const shadowed = degrade({ feature: 'a', board, levels: ['full', { name: 'cached', run: () => 1 }, 'off'], mode: 'shadow' });
    const bare = degrade({ feature: 'b', board, mode: 'shadow' });
    const gone = degrade({ feature: 'c', board, mode: 'off' });
    const { pipeline: all, events } = arrange([shadowed, bare, gone]);
    shadowed.set('cached');
    bare.set('off');
    gone.set('off');
    expect(await all.executeOutcome(() => 'work')).toEqual({ ok: true, value: 'work' });
    expect(new Set(events.filter(({ shadow }) => shadow === true).map(({ type }) => type))).toEqual(
      new Set(['degrade.changed', 'degrade.served', 'gate.would-refuse']),
    );
    shadowed.set('off');
    expect(await all.execute(() => 'work')).toBe('work');
    expect(events.filter(({ type }) => type === 'gate.would-refuse')).toHaveLength(3);
  });

  test('one that only refuses is a gate, so it can be asked without a function', () => {
    const off = fresh();
    const door = pipeline([off]);
    expect(door.tryAcquire()).toMatchObject({ admitted: true });
    off.set('off');
    expect(door.tryAcquire()).toMatchObject({ admitted: false, error: { code: 'ERR_DEGRADED' } });
  });
});

describe('options (G9)', () => {
  test.each<[object, string]>([
    [{}, 'degrade.feature'],
    [{ feature: '__proto__' }, 'degrade.feature'],
    [{ feature: 'constructor' }, 'degrade.feature'],
    [{ feature: 'a\nb' }, 'degrade.feature'],
    [{ feature: 'x'.repeat(101) }, 'degrade.feature'],
    [{ feature: 'a', kind: 'delete' }, 'degrade.kind'],
    [{ feature: 'a', levels: ['full'] }, 'degrade.levels'],
    [{ feature: 'a', levels: 'full' }, 'degrade.levels'],
    [{ feature: 'a', levels: ['full', 'full'] }, 'degrade.levels'],
    [{ feature: 'a', levels: [{ name: 'full', value: 1 }, 'off'] }, 'degrade.levels[0]'],
    [{ feature: 'a', levels: ['full', { name: 'off', value: 1, run: () => 1 }] }, 'degrade.levels[1]'],
    [{ feature: 'a', levels: ['full', { name: 'off', work: false }] }, 'degrade.levels[1].work'],
    [{ feature: 'a', levels: ['full', { value: 1 }] }, 'degrade.levels[1].name'],
    [{ feature: 'a', kind: 'write', levels: ['full', { name: 'off', value: 1 }] }, 'degrade.levels[1].value'],
    [{ feature: 'a', auto: {} }, 'degrade.auto'],
    [{ feature: 'a', auto: { failureRate: 2 } }, 'degrade.auto.failureRate'],
    [{ feature: 'a', auto: { failureRate: { enterAt: 0.5, leaveAt: 0.5 } } }, 'degrade.auto.failureRate.leaveAt'],
    [{ feature: 'a', auto: { openCircuits: [] } }, 'degrade.auto.openCircuits'],
    [{ feature: 'a', auto: { load: () => 1, deepest: 'full' } }, 'degrade.auto.deepest'],
    [{ feature: 'a', board: {} }, 'degrade.board'],
  ])('%j is refused at %s', (options, path) => {
    const refusal = (): unknown => degrade({ board: switchboard(), ...options } as never);
    expect(refusal).toThrow(OptionsError);
    try {
      refusal();
    } catch (problem) {
      expect((problem as OptionsError).path).toBe(path);
    }
  });

  test('a level that does not exist is refused, and nothing is flipped', () => {
    const off = fresh();
    expect(() => off.set('of' as never)).toThrow('set.level: expected a level of hints: full, off, got "of"');
    expect(() => off.hold('of' as never)).toThrow(OptionsError);
    expect(() => off.set('off', { until: 1 } as never)).toThrow(OptionsError);
    expect(off.level).toBe('full');
    expect(off.snapshot()).toMatchObject({ holds: 0 });
  });

  test('the same feature with other levels, or another kind, is refused', () => {
    const board = switchboard();
    degrade({ feature: 'hints', board });
    expect(() => degrade({ feature: 'hints', board, kind: 'write' })).toThrow('as switchboard knows hints');
    expect(() => degrade({ feature: 'hints', board, levels: ['full', 'light', 'off'] })).toThrow(OptionsError);
  });

  test('describe() is plain data', () => {
    const all = degrade({
      feature: 'hints',
      board: switchboard(),
      levels: ['full', { name: 'light', work: true }, { name: 'cached', run: () => 1 }, { name: 'old', value: 1 }, 'off'],
      auto: { load: () => 1, failureRate: 0.5, openCircuits: [circuitBreaker()] },
    });
    expect(pipeline([all]).describe().layers[0]?.options).toEqual({
      feature: 'hints',
      kind: 'read',
      levels: [
        { name: 'full', gets: 'work' },
        { name: 'light', gets: 'work' },
        { name: 'cached', gets: 'computed' },
        { name: 'old', gets: 'value' },
        { name: 'off', gets: 'refusal' },
      ],
      auto: {
        failureRate: { enterAt: 0.5, leaveAt: 0.25 },
        load: { enterAt: 0.9, leaveAt: 0.7 },
        openCircuits: 1,
        window: 30_000,
        minCalls: 20,
        minDwell: 30_000,
      },
    });
  });
});

test('a timeout of a level is told as one', async () => {
  const clock = new VirtualClock();
  const slow = degrade({ feature: 'a', board: switchboard(), levels: ['full', { name: 'cached', run: never, timeout: 10 }] });
  slow.set('cached');
  const done = pipeline([slow], { clock }).executeOutcome(() => 1);
  await clock.advance(10);
  expect(await done).toMatchObject({ ok: false, error: { code: 'ERR_TIMEOUT', after: 10 } });
  expect(((await done) as { error: unknown }).error).toBeInstanceOf(TimeoutError);
});
