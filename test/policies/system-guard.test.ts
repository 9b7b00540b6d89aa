import { Agent } from 'node:http';
import express from 'express';
import fc from 'fast-check';
import { describe, expect, onTestFinished, test } from 'vitest';
import { guard } from 'breakwater/express';
import { OptionsError, OverloadedError, TimeoutError, bulkhead, currentDeadline, hedge, pipeline, retry } from 'breakwater';
import { type Arranged, VirtualClock, arrange, gateContract, policyContract, work } from 'breakwater/testing';
import { type Priority, priorities } from '../../src/core/priority.ts';
import { type SystemGuard, type SystemGuardOptions, systemGuard } from '../../src/policies/system-guard.ts';
import type { SystemReadings } from '../../src/stores/system/readings.ts';
import { type Reply, ask, serve } from '../http/serving.ts';
import '../support/properties.ts';

const overloaded = (): SystemGuard => systemGuard({ heapUsed: 0.9, monitor: { read: () => ({ heapUsed: 0.99 }) } });
const given = { describe, it: test, refuses: overloaded };
policyContract(() => systemGuard({ inFlight: 1000, qps: 10_000, averageTime: '1h' }), {
  ...given,
  factory: { create: systemGuard, options: { cpu: 0.8, inFlight: 500, actions: { shed: 0.7, close: false }, name: 'door' } },
});
policyContract(
  () => systemGuard({ inFlight: 1000, actions: { tighten: 0.01, spare: 0.01 }, monitor: { read: () => ({ eventLoopDelay: 190 }) } }),
  {
    ...given,
    name: 'systemGuard under load',
  },
);
gateContract(() => systemGuard(), given);

type Readings = { -readonly [Name in keyof SystemReadings]?: SystemReadings[Name] };

/** A guard of a process whose readings are set by hand, and a moment for it to see them. */
function arranged(
  options: SystemGuardOptions = {},
): Arranged<readonly [SystemGuard]> & { readings: Readings; set: (next: Readings) => Promise<void> } {
  const readings: Readings = {};
  const test = arrange(systemGuard({ bbr: false, monitor: { read: () => ({ ...readings }) }, ...options }));
  const set = async (next: Readings): Promise<void> => {
    Object.assign(readings, next);
    await test.clock.advance(500);
  };
  return { ...test, readings, set };
}

const served = () => 'served';
const errorOf = (done: Promise<unknown>): Promise<unknown> =>
  done.then(
    () => 'served',
    (error: unknown) => error,
  );
const codeOf = async (done: Promise<unknown>): Promise<unknown> => {
  const error = await errorOf(done);
  return error instanceof Error && 'code' in error ? error.code : error;
};

describe('a system guard', () => {
  test('refuses while a threshold is reached, says which, and when to come back', async () => {
    const { run, set, events, policy } = arranged();
    expect(await run(served)).toBe('served');
    await set({ eventLoopDelay: 250 });
    const error = (await errorOf(run(served, { key: 'k' }))) as OverloadedError;
    expect(error).toBeInstanceOf(OverloadedError);
    expect(error).toMatchObject({ code: 'ERR_OVERLOADED', retryAfter: 10_000, key: 'k' });
    expect(error.message).toBe('test: system-guard: eventLoopDelay is 250 ms, the threshold 200 ms');
    expect([policy.load, policy.level, policy.snapshot().refused]).toEqual([1.25, 'closing', 1]);
    expect(events.map(({ type }) => type)).toContain('gate.refused');
    await set({ eventLoopDelay: 10 });
    expect(await run(served)).toBe('served');
    expect(policy.level).toBe('calm');
  });

  test.each([
    ['eventLoopDelay', {}, 200],
    ['eventLoopUtilization', {}, 0.98],
    ['cpu', {}, 0.9],
    ['heapUsed', { heapUsed: 0.8 }, 0.8],
    ['memory', { memory: 0.7 }, 0.7],
    ['rss', { rss: 1e9 }, 1e9],
    ['activeHandles', { activeHandles: 1000 }, 1000],
  ] as const)('%s counts by itself', async (name, options, limit) => {
    const { run, set, policy } = arranged(options);
    await run(served);
    await set({ [name]: limit * 0.999 });
    expect(await codeOf(run(served, { priority: 'critical' }))).toBe('served');
    await set({ [name]: limit });
    expect(await codeOf(run(served, { priority: 'critical' }))).toBe('ERR_OVERLOADED');
    expect(policy.load).toBe(1);
  });

  test('memory and handles are not looked at unless asked for, and false switches off what is', async () => {
    const { run, set, policy } = arranged({ eventLoopDelay: false, eventLoopUtilization: false, cpu: false });
    await run(served);
    await set({ eventLoopDelay: 1e4, eventLoopUtilization: 1, cpu: 1, heapUsed: 1, memory: 1, rss: 1e12, activeHandles: 1e6 });
    expect(await run(served)).toBe('served');
    expect(policy.load).toBe(0);
  });

  test('asks the monitor when calls come, every half second at most, for what there are thresholds for', async () => {
    const asked: string[][] = [];
    const read = (wanted: ReadonlySet<string>): object => {
      asked.push([...wanted]);
      return {};
    };
    const { run, clock } = arrange(systemGuard({ monitor: { read }, cpu: false, rss: 1e9, inFlight: 10 }));
    expect(asked).toEqual([]);
    for (let i = 0; i < 10; i++) await run(served);
    await clock.advance(499);
    await run(served);
    expect(asked).toEqual([['eventLoopDelay', 'eventLoopUtilization', 'rss']]);
    await clock.advance(1);
    await run(served);
    expect(asked).toHaveLength(2);
    clock.rewind(10_000);
    await run(served);
    expect(asked).toHaveLength(3);
    expect(clock.pending).toBe(0);
  });

  test('a monitor that throws, or tells nonsense, worries nobody', async () => {
    const { run, events, clock } = arrange(
      systemGuard({
        monitor: {
          read: () => {
            throw new Error('broken');
          },
        },
      }),
    );
    expect(await run(served)).toBe('served');
    expect(events.filter(({ type }) => type === 'pipeline.callback-failed')).toHaveLength(1);
    await clock.advance(100);
    const nonsense = arranged({ heapUsed: 0.5 });
    await nonsense.run(served);
    for (const value of [NaN, -1, '9', null, {}, Infinity]) {
      await nonsense.set({ heapUsed: value as number, eventLoopDelay: value as number });
      expect(await nonsense.run(served)).toBe('served');
      expect(JSON.parse(JSON.stringify(nonsense.policy.snapshot()))).toEqual({ ...nonsense.policy.snapshot(), carries: undefined });
    }
  });

  test('bounds calls under way', async () => {
    const { run, policy, clock } = arranged({ inFlight: 2 });
    const running = [run(work({ after: '1s', value: 1 })), run(work({ after: '1s', value: 2 }))];
    expect(await codeOf(run(served))).toBe('ERR_OVERLOADED');
    expect(policy.snapshot()).toMatchObject({ inFlight: 2, load: 1, level: 'refusing' });
    await clock.until(Promise.all(running));
    expect(await run(served)).toBe('served');
  });

  test('bounds calls in any second, and gives back what did not run', async () => {
    const { run, policy, clock } = arranged({ qps: 3 });
    const codes = async (n: number): Promise<number> =>
      (await Promise.all(Array.from({ length: n }, () => codeOf(run(served))))).filter((code) => code === 'served').length;
    expect(await codes(5)).toBe(3);
    await clock.advance(999);
    expect(await codes(1)).toBe(0);
    await clock.advance(101);
    expect(await codes(5)).toBe(3);
    expect(policy.snapshot().qps).toBe(3);
    const inside = arrange([systemGuard({ qps: 3 }), bulkhead({ maxConcurrent: 0 })] as const);
    for (let i = 0; i < 10; i++) expect(await codeOf(inside.run(served))).toBe('ERR_BULKHEAD_FULL');
  });

  test('never lets more in than qps within any second, whatever comes when (L1)', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 8 }), fc.array(fc.integer({ min: 0, max: 400 }), { maxLength: 60 }), async (qps, gaps) => {
        const { run, clock } = arranged({ qps, reserve: 0 });
        const times: number[] = [];
        for (const gap of gaps) {
          await clock.advance(gap);
          await errorOf(run(() => times.push(clock.now())));
        }
        for (const since of times) expect(times.filter((at) => at >= since && at < since + 1000).length).toBeLessThanOrEqual(qps);
      }),
    );
  });

  test('minds how long calls take on average, of late', async () => {
    const { run, clock } = arranged({ averageTime: '100ms' });
    await clock.until(run(work({ after: '150ms', value: 1 })));
    expect(await codeOf(run(served))).toBe('ERR_OVERLOADED');
    await clock.advance(1200);
    expect(await codeOf(run(served))).toBe('served');
    expect(await codeOf(run(served))).toBe('served');
  });

  test('thresholds are changed while it runs; what is not given stays (and nothing is lost)', async () => {
    const { run, set, policy } = arranged({ inFlight: 5 });
    expect(policy.atRest(0)).toBe(true);
    await run(served);
    policy.update({ eventLoopDelay: '50ms', cpu: false });
    expect(policy.atRest(1e9)).toBe(false);
    await set({ eventLoopDelay: 60, cpu: 1 });
    expect(await codeOf(run(served))).toBe('ERR_OVERLOADED');
    policy.update({ eventLoopDelay: false });
    expect(await codeOf(run(served))).toBe('served');
    expect(policy.describe()).toMatchObject({ eventLoopDelay: false, cpu: false, eventLoopUtilization: 0.98, inFlight: 5 });
    expect(() => policy.update({ cpu: 2 })).toThrow(OptionsError);
  });

  test('one guard in two pipelines counts their calls together, each on its own clock', async () => {
    const guard = systemGuard({ inFlight: 2, bbr: false });
    const one = arrange(guard, { clock: new VirtualClock({ start: 1e6 }) });
    const other = arrange(guard);
    const running = [one.run(work({ after: '1s', value: 1 })), other.run(work({ after: '1s', value: 2 }))];
    expect(await codeOf(one.run(served))).toBe('ERR_OVERLOADED');
    expect(await codeOf(other.run(served))).toBe('ERR_OVERLOADED');
    await other.clock.until(running[1] as Promise<unknown>);
    expect(await codeOf(one.run(served))).toBe('served');
    await one.clock.until(running[0] as Promise<unknown>);
    expect(guard.snapshot().inFlight).toBe(0);
  });

  test('is at rest once nothing is under way and nothing was lately', async () => {
    const { run, policy, clock } = arrange(systemGuard({ qps: 100 }));
    const running = run(work({ after: '1s', value: 1 }));
    expect(policy.atRest(0)).toBe(false);
    await clock.until(running);
    expect(policy.atRest(clock.now())).toBe(false);
    await clock.advance(6000);
    expect(policy.atRest(clock.now())).toBe(true);
  });

  test('in shadow it refuses nobody and shortens nothing, and says what it would do', async () => {
    const { run, set, events, clock } = arranged({ mode: 'shadow' });
    await run(served);
    await set({ eventLoopDelay: 500 });
    expect(await run(({ deadline }) => deadline, { deadline: '1s' })).toBe(1500);
    expect(events.map(({ type }) => type)).toContain('gate.would-refuse');
    await set({ eventLoopDelay: 190 });
    expect(await run(({ deadline, retrier }) => [deadline, retrier], { deadline: '1s' })).toEqual([2000, undefined]);
    const running = run(work({ after: 10, value: 1 }), { deadline: '1h' });
    expect(clock.pending).toBe(2); // the work's and the deadline's
    await clock.until(running);
    expect(events.find(({ type }) => type === 'system-guard.level-changed')).toMatchObject({ shadow: true });
  });

  test('options are checked, all at once', () => {
    const paths = (options: object): unknown => {
      try {
        systemGuard(options);
        return [];
      } catch (error) {
        return (error as OptionsError).problems.map(({ path }) => path.replace('systemGuard.', ''));
      }
    };
    expect(paths({ cpu: 90, eventLoopDelay: -1, heapUsed: 0, rss: 1.5, inFlight: 0, qps: '5', averageTime: 0 })).toEqual([
      'eventLoopDelay',
      'cpu',
      'heapUsed',
      'rss',
      'inFlight',
      'qps',
      'averageTime',
    ]);
    expect(paths({ bbr: { window: '10s', memory: '5s' } })).toEqual(['bbr.memory']);
    expect(paths({ bbr: { windows: 1 }, actions: { shed: 2 }, monitor: {} })).toEqual(['bbr.windows', 'actions.shed', 'monitor']);
    expect(paths({ bbr: 'yes', monitor: null })).toEqual(['bbr', 'monitor']);
    expect(paths({})).toEqual([]);
  });
});

describe('as the load rises', () => {
  /** Which classes are served at this load. */
  async function servedAt(load: number, options: SystemGuardOptions = {}): Promise<readonly Priority[]> {
    const { run, set } = arranged({ heapUsed: 0.5, ...options });
    await run(served, { priority: 'critical-plus' });
    await set({ heapUsed: 0.5 * load });
    const found: Priority[] = [];
    for (const priority of priorities) if ((await codeOf(run(served, { priority, priorityLevel: 50 }))) === 'served') found.push(priority);
    return found;
  }

  test('the least important calls are shed first, critical ones at the threshold, critical-plus last of all (A5)', async () => {
    expect(await servedAt(0.8)).toEqual(priorities);
    expect(await servedAt(0.84)).toEqual(priorities.slice(0, 4));
    expect(await servedAt(0.93)).toEqual(priorities.slice(0, 3));
    expect(await servedAt(0.99)).toEqual(priorities.slice(0, 2));
    expect(await servedAt(1)).toEqual(['critical-plus']);
    expect(await servedAt(1.04)).toEqual(['critical-plus']);
    expect(await servedAt(1.05)).toEqual([]);
  });

  test('without shedding all are served up to the threshold, and without a reserve nobody beyond', async () => {
    expect(await servedAt(0.999, { actions: { shed: false } })).toEqual(priorities);
    expect(await servedAt(1, { actions: { shed: false } })).toEqual(['critical-plus']);
    expect(await servedAt(1, { reserve: 0 })).toEqual([]);
    expect(await servedAt(0.6, { actions: { shed: 0.1 } })).toEqual(priorities.slice(0, 3));
  });

  test('no call is refused while one of lower rank is let in, at any load (A5)', async () => {
    const one = fc.record({ priority: fc.constantFrom(...priorities), priorityLevel: fc.integer({ min: 0, max: 99 }) });
    await fc.assert(
      fc.asyncProperty(
        fc.double({ min: 0, max: 1.2, noNaN: true }),
        fc.array(one, { minLength: 2, maxLength: 20 }),
        async (load, calls) => {
          const { run, set } = arranged({ heapUsed: 0.5 });
          await run(served, { priority: 'critical-plus' });
          await set({ heapUsed: 0.5 * load });
          const ranks = await Promise.all(
            calls.map(async (call) => ({
              ok: (await codeOf(run(served, call))) === 'served',
              rank: (4 - priorities.indexOf(call.priority)) * 100 + call.priorityLevel,
            })),
          );
          const let_in = Math.min(Infinity, ...ranks.filter(({ ok }) => ok).map(({ rank }) => rank));
          const refused = Math.max(-Infinity, ...ranks.filter(({ ok }) => !ok).map(({ rank }) => rank));
          expect(refused).toBeLessThan(let_in);
        },
      ),
    );
  });

  test('calls keep less and less of their time, down to half at the threshold, and are cut short when it is over', async () => {
    const { run, set, clock, events } = arranged({ heapUsed: 0.5, bbr: false });
    const left = (): Promise<number> => run(() => currentDeadline() - clock.now(), { deadline: '1s', priority: 'critical-plus' });
    expect(await left()).toBe(1000);
    await set({ heapUsed: 0.5 * 0.85 });
    expect(await left()).toBe(1000);
    await set({ heapUsed: 0.5 * 0.925 });
    expect(await left()).toBeCloseTo(750, 6);
    await set({ heapUsed: 0.5 * 1.02 });
    expect(await left()).toBe(500);
    expect(events.filter(({ type }) => type === 'system-guard.tightened')).toHaveLength(2);
    expect(clock.pending).toBe(0);
    const since = clock.now();
    const late = await clock.until(errorOf(run(work('hang-until-abort'), { deadline: '1s', priority: 'critical-plus' })));
    expect(late).toBeInstanceOf(TimeoutError);
    expect((late as Error).message).toBe('test: system-guard has shortened the deadline to 500 ms, as the process is under load');
    expect(clock.now() - since).toBe(500);
    expect(clock.pending).toBe(0);
  });

  test('a call that waits further in when its shortened deadline passes never starts', async () => {
    const slots = bulkhead({ maxConcurrent: 1, maxQueue: 5 });
    const monitor = { read: () => ({ heapUsed: 0.475 }) };
    const { run, clock } = arrange([systemGuard({ heapUsed: 0.5, monitor }), slots] as const);
    const first = errorOf(run(work('hang')));
    const waiting = run(served, { deadline: '1s' });
    expect(await clock.until(codeOf(waiting))).toBe('ERR_DEADLINE');
    expect(slots.queued).toBe(0);
    void first;
  });

  test('retries inside make one attempt, also in calls that the work makes', async () => {
    const { clock, readings, set, policy } = arranged();
    const policies = [policy, retry({ maxAttempts: 3, backoff: { delay: 10, jitter: 'none' } })] as const;
    const { run } = arrange(policies, { clock });
    const other = arrange(retry({ maxAttempts: 3, backoff: { delay: 10, jitter: 'none' } }), { clock });
    const attempts = async (): Promise<readonly number[]> => {
      const [flaky, inner] = [work('fail'), work('fail')];
      await clock.until(errorOf(run(flaky)));
      await clock.until(errorOf(run(() => other.run(inner))));
      return [flaky.calls, inner.calls];
    };
    expect((await attempts())[0]).toBe(3);
    await set({ eventLoopDelay: 185 });
    expect(readings.eventLoopDelay).toBe(185);
    expect(await attempts()).toEqual([1, 1]);
    await set({ eventLoopDelay: 5 });
    expect((await attempts())[0]).toBe(3);
  });

  test('a hedge around it begins no second attempt', async () => {
    const { readings, policy, clock } = arranged();
    const { run } = arrange([hedge({ delay: '10ms', idempotent: true }), policy] as const, { clock });
    const slow = work({ after: '50ms', value: 1 });
    await clock.until(run(slow));
    expect(slow.calls).toBe(2);
    readings.eventLoopDelay = 165;
    await clock.advance(500);
    await clock.until(run(slow));
    expect(slow.calls).toBe(3);
    expect(policy.strained()).toBe(true);
  });

  test('levels are told as they change, once, with the reason; up at once, down when the monitor is asked', async () => {
    const { run, set, events, policy, clock } = arranged({ heapUsed: 0.5, inFlight: 10 });
    await run(served);
    for (const load of [0.82, 0.87, 0.95, 1.02, 1.2, 0.2]) {
      await set({ heapUsed: 0.5 * load });
      await errorOf(run(served));
      await errorOf(run(served));
    }
    const told = events.flatMap((event) =>
      event.type === 'system-guard.level-changed' ? [event as unknown as { from: string; to: string; level: string; reason: string }] : [],
    );
    expect(told.map(({ from, to, level }) => `${level}: ${from} > ${to}`)).toEqual([
      'warn: calm > shedding',
      'warn: shedding > tightening',
      'warn: tightening > sparing',
      'warn: sparing > refusing',
      'warn: refusing > closing',
      'info: closing > calm',
    ]);
    expect(told[0]?.reason).toBe('heapUsed');
    const running = Array.from({ length: 10 }, () => run(work({ after: '100ms', value: 1 })));
    expect(policy.level).toBe('refusing');
    await clock.until(Promise.all(running));
    expect(policy.level).toBe('refusing');
    await clock.advance(500);
    expect(policy.level).toBe('calm');
  });

  test('stages are set and switched off one by one', async () => {
    const { run, set, policy } = arranged({ heapUsed: 0.5, actions: { shed: false, tighten: false, spare: false, close: false } });
    await run(served);
    await set({ heapUsed: 0.499 });
    expect(await run(({ deadline, retrier }) => [deadline, retrier], { deadline: '1s', priority: 'best-effort' })).toEqual([
      1500,
      undefined,
    ]);
    expect(policy.level).toBe('calm');
    await set({ heapUsed: 1 });
    expect([await codeOf(run(served)), policy.level]).toEqual(['ERR_OVERLOADED', 'refusing']);
    const early = arranged({ heapUsed: 0.5, actions: { close: 0.1 } });
    await early.run(served);
    await early.set({ heapUsed: 0.1 });
    expect(early.policy.level).toBe('closing');
    expect(await early.run(served)).toBe('served');
  });
});

describe('the BBR check', () => {
  /** A guard that has carried five calls at a time for a second: 50 ms each, 100 per second. */
  async function experienced(
    options: SystemGuardOptions = {},
  ): Promise<ReturnType<typeof arranged> & { hold: (n: number) => Promise<unknown> }> {
    const guarded = arranged({ bbr: true, ...options });
    const { run, clock } = guarded;
    for (let i = 0; i < 20; i++) await clock.until(Promise.all(Array.from({ length: 5 }, () => run(work({ after: '50ms', value: 1 })))));
    return { ...guarded, hold: (n) => Promise.all(Array.from({ length: n }, () => codeOf(run(work({ after: '400ms', value: 1 }))))) };
  }

  test('a busy process refuses nobody while it carries no more than it can', async () => {
    const { set, hold, policy, clock } = await experienced();
    expect(policy.snapshot().carries).toBe(5);
    await set({ cpu: 1, eventLoopUtilization: 1 });
    const codes = (await clock.until(hold(40))) as readonly unknown[];
    const refused = codes.filter((code) => code === 'ERR_OVERLOADED').length;
    expect(codes.slice(0, 6)).toEqual(Array.from({ length: 6 }, () => 1).map(() => 'served'));
    expect(refused).toBeGreaterThan(20);
    expect(policy.load).toBeCloseTo(1 / 0.9, 9);
  });

  test('a calm process is not bound by what it carried', async () => {
    const { set, hold, clock } = await experienced();
    await set({ cpu: 0.5 });
    expect(await clock.until(hold(40))).toEqual(Array.from({ length: 40 }, () => 'served'));
  });

  test('what tells by itself is not asked twice: memory that is full refuses', async () => {
    const { run, set } = await experienced({ heapUsed: 0.5 });
    await set({ heapUsed: 0.5 });
    expect(await codeOf(run(served))).toBe('ERR_OVERLOADED');
  });

  test('a load that was at its threshold counts for a second more', async () => {
    const { set, hold, clock, run } = await experienced();
    await set({ cpu: 1 });
    await run(served);
    await set({ cpu: 0.1 });
    const codes = (await clock.until(hold(40))) as readonly unknown[];
    expect(codes).toContain('ERR_OVERLOADED');
    await clock.advance(1000);
    await run(served);
    await clock.advance(500);
    expect(await clock.until(hold(40))).not.toContain('ERR_OVERLOADED');
  });

  test('a late event loop begins no more than it has finished in a tenth of a second, and the less the later it is', async () => {
    const { run, set } = arranged({ bbr: true });
    const begun = async (eventLoopDelay: number): Promise<number> => {
      await set({ eventLoopDelay });
      let n = 0;
      for (let i = 0; i < 40; i++) if ((await codeOf(run(served))) === 'served') n++;
      return n;
    };
    expect(await begun(0)).toBe(40);
    expect(await begun(100)).toBe(40);
    expect(await begun(200)).toBe(36);
    expect(await begun(400)).toBe(26);
    expect(await begun(599)).toBe(21);
    expect(await begun(600)).toBe(0);
  });

  test('of what a busy process carries the lower ranks may use less, so that there is room for who matters more (A5)', async () => {
    const { set, run, clock } = await experienced();
    await set({ cpu: 1 });
    const held = Array.from({ length: 4 }, () => codeOf(run(work({ after: '400ms', value: 1 }))));
    for (let i = 0; i < 30; i++) await codeOf(run(served));
    expect(await codeOf(run(served, { priority: 'best-effort' }))).toBe('ERR_OVERLOADED');
    expect(await codeOf(run(served, { priority: 'sheddable-plus', priorityLevel: 99 }))).toBe('served');
    expect(await codeOf(run(served, { priority: 'critical' }))).toBe('served');
    expect(await clock.until(Promise.all(held))).toEqual(['served', 'served', 'served', 'served']);
  });

  test('what is cut short is not carried: a burst of aborts does not raise what it carries, and failures do not lower it', async () => {
    const { run, policy, clock } = await experienced();
    for (let i = 0; i < 5; i++) await errorOf(run(work('fail')));
    const gone = new AbortController();
    const aborted = Array.from({ length: 200 }, () => errorOf(run(work('hang'), { signal: gone.signal })));
    gone.abort();
    await Promise.all(aborted);
    const refusing = arrange([policy, bulkhead({ maxConcurrent: 0 })] as const, { clock });
    for (let i = 0; i < 200; i++) await errorOf(refusing.run(served));
    await clock.advance(200);
    expect(policy.snapshot()).toMatchObject({ inFlight: 0, carries: 5 });
  });
});

test('a guard alone in a pipeline sets no timer of its own', async () => {
  const clock = new VirtualClock();
  const door = pipeline([systemGuard({ monitor: { read: () => ({ eventLoopDelay: 150 }) } })], { clock });
  const running = door.execute(work({ after: '1s', value: 1 }));
  expect(clock.pending).toBe(1);
  await clock.until(running);
  expect(clock.pending).toBe(0);
});

describe('in front of a server', () => {
  test('answers 503 with Retry-After, sheddable requests first; the level says when to close connections; what takes too long is answered earlier', async () => {
    let heapUsed = 0;
    const door = systemGuard({
      heapUsed: 0.5,
      sampleInterval: 1,
      actions: { tighten: 0.1 },
      tightenTo: 1e-6,
      monitor: { read: () => ({ heapUsed }) },
    });
    const app = express();
    app.use((_req, res, next) => {
      if (door.level === 'closing') res.set('Connection', 'close');
      next();
    });
    app.use(guard([door], { deadline: '1m', priority: ({ url }) => (url === '/export' ? 'sheddable' : 'critical') }));
    app.get('/slow', () => undefined);
    app.get('/*path', (_req, res) => void res.json('served'));
    const { port } = await serve(app);
    const reply = async (load: number, path: string): Promise<Reply> => {
      heapUsed = 0.5 * load;
      await new Promise((resolve) => setTimeout(resolve, 3));
      return ask(port, { path, agent: keepAlive });
    };
    const keepAlive = new Agent({ keepAlive: true });
    onTestFinished(() => keepAlive.destroy());
    expect(await reply(0.05, '/export')).toMatchObject({ status: 200, headers: { connection: 'keep-alive' } });
    expect(await reply(0.97, '/export')).toMatchObject({ status: 503, headers: { 'retry-after': '10' } });
    expect(await reply(0.97, '/item')).toMatchObject({ status: 200 });
    expect(await reply(0.999_99, '/slow')).toMatchObject({ status: 504 });
    expect(await reply(1.02, '/item')).toMatchObject({ status: 503, headers: { connection: 'keep-alive' } });
    expect(await reply(1.2, '/item')).toMatchObject({ status: 503, headers: { connection: 'close' } });
    expect(await reply(0.1, '/item')).toMatchObject({ status: 200 });
  });
});
