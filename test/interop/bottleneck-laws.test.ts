import Bottleneck from 'bottleneck';
import { definePolicy, pipeline, refuse } from 'breakwater';
import { bottleneckLimiter } from 'breakwater/bottleneck';
import { VirtualClock } from 'breakwater/testing';
import { describe, expect, test, vi } from 'vitest';
import { hop } from '../../src/testing/hop.ts';
import { ProcessClock, useProcessTime } from '../support/process-clock.ts';
import { exceptions, rows } from './bottleneck-exceptions.ts';
import { pass } from './bottleneck-turns.ts';

useProcessTime();

const forever = (): Promise<never> => new Promise(() => undefined);
const shut = definePolicy({
  kind: 'wall',
  gate: { enter: () => refuse(new Error('refused inside')), settle: () => undefined, cancel: () => undefined },
});

/** How each of these is broken. */
const broken: Readonly<Record<(typeof rows)[number]['Law'], () => Promise<void>>> = {
  'Where nothing stands in the way, work begins at once': async () => {
    const limiter = bottleneckLimiter({});
    const api = pipeline([limiter]);
    const begun: true[] = [];
    const call = api.execute(() => begun.push(true));
    let turns = 0;
    for (await hop(); begun.length === 0; await hop()) {
      turns++;
      vi.advanceTimersToNextTimer();
    }
    await call;
    expect(turns).toBe(3);
    expect(limiter.snapshot().active).toBe(0);
    const held = (limiter.limiter as unknown as { _store: { _running: number } })._store;
    expect(held._running).toBe(1);
    await pass(0);
    expect(held._running).toBe(0);
    expect(api.tryAcquire()).toMatchObject({ admitted: false, error: { code: 'ERR_REJECTED' } });
  },

  'Time is that of the pipeline': async () => {
    const clock = new VirtualClock();
    const api = pipeline([bottleneckLimiter({ minTime: 1000 })], { clock });
    let begun = 0;
    const calls = [1, 2].map(() => api.execute(() => ++begun));
    await pass(10);
    await clock.advance('1h');
    expect(begun).toBe(1);
    await pass(1000);
    expect(await Promise.all(calls)).toEqual([1, 2]);
  },

  'A clock that is set back stops nobody': async () => {
    const api = pipeline([bottleneckLimiter({ minTime: 10 })]);
    const first = api.execute(() => 1);
    await pass(10);
    await first;
    vi.setSystemTime(Date.now() - 3_600_000);
    let begun = false;
    const call = api.execute(() => (begun = true));
    await pass(3_590_000);
    expect(begun).toBe(false);
    await pass(20_000);
    expect(await call).toBe(true);
  },

  'A call that is cut short while it waits gives its place back': async () => {
    const limiter = bottleneckLimiter({ maxConcurrent: 1, highWater: 1, strategy: Bottleneck.strategy.OVERFLOW, reservoir: 5 });
    const api = pipeline([limiter]);
    const caller = new AbortController();
    const admission = api.acquire();
    await pass(10);
    const call = api.executeOutcome(() => 1, { signal: caller.signal });
    await pass(10);
    caller.abort('enough');
    expect(await call).toEqual({ ok: false, error: 'enough' });
    expect([limiter.queued, limiter.snapshot().reservoir]).toEqual([1, 4]);
    const dropped = api.executeOutcome(() => 1);
    await pass(10);
    expect(await dropped).toMatchObject({ ok: false, error: { code: 'ERR_BULKHEAD_FULL' } });
    (await admission).success();
    await pass(10);
    expect([limiter.queued, limiter.active, limiter.snapshot().reservoir]).toEqual([0, 0, 3]);
  },

  'What is turned away further in gives everything back': async () => {
    const limiter = bottleneckLimiter({ maxConcurrent: 1, reservoir: 5 });
    const call = pipeline([limiter, shut]).executeOutcome(() => 1);
    await pass(10);
    expect(await call).toMatchObject({ ok: false, error: { message: 'refused inside' } });
    expect([limiter.active, limiter.snapshot().reservoir]).toEqual([0, 4]);
  },

  'A slot is held until the work has ended': async () => {
    const api = pipeline([bottleneckLimiter({ maxConcurrent: 1 }, { expiration: 10 })]);
    let atWork = 0;
    const calls = Array.from({ length: 4 }, () => api.executeOutcome(() => (atWork++, forever())));
    await pass(100);
    await Promise.all(calls);
    expect(atWork).toBe(4);
  },

  'A limit counts every attempt': async () => {
    const yours = new Bottleneck({ minTime: 1000, reservoir: 1 });
    yours.on('failed', (_error, { retryCount }) => (retryCount < 3 ? 1 : null));
    const begun: number[] = [];
    const call = pipeline([bottleneckLimiter(yours)]).executeOutcome(() => {
      begun.push(Date.now());
      throw new Error('no');
    });
    await pass(100);
    await call;
    expect(begun).toHaveLength(4);
    expect((begun[3] as number) - (begun[0] as number)).toBeLessThan(20);
  },

  'A call that would wait for itself is refused': async () => {
    const api = pipeline([bottleneckLimiter({ maxConcurrent: 2 })]);
    const state = { begun: 0, settled: false };
    const both = Array.from({ length: 2 }, () => api.executeOutcome(() => api.execute(() => state.begun++), { deadline: '1h' }));
    void Promise.all(both).then(() => (state.settled = true));
    await pass(3_000_000);
    expect(state).toEqual({ begun: 0, settled: false });
    await pass(600_000);
    expect(await Promise.all(both)).toMatchObject([{ error: { code: 'ERR_TIMEOUT' } }, { error: { code: 'ERR_TIMEOUT' } }]);
  },

  'Whoever fits is let in': async () => {
    const api = pipeline([bottleneckLimiter({ maxConcurrent: 2 }, { weight: ({ cost }) => cost })]);
    const begun: string[] = [];
    for (const [name, cost] of Object.entries({ light: 1, heavy: 2, 'light too': 1 }))
      void api.execute(() => (begun.push(name), forever()), { cost });
    await pass(100);
    expect(begun).toEqual(['light']);
  },

  'Nothing grows without bound': async () => {
    const limiter = bottleneckLimiter({ maxConcurrent: 1, trackDoneStatus: true });
    const api = pipeline([limiter]);
    for (let i = 0; i < 50; i++) {
      const call = api.execute(() => i);
      await pass(10);
      await call;
    }
    expect((limiter.limiter.jobs as (status: string) => string[]).call(limiter.limiter, 'DONE')).toHaveLength(50);
    for (let i = 0; i < 200; i++) void api.execute(forever);
    await pass(1000);
    expect(limiter.snapshot()).toMatchObject({ queued: 199, maxQueue: Infinity });
  },

  'A policy per key goes only when it is at rest': async () => {
    const group = new Bottleneck.Group({ maxConcurrent: 1, timeout: 1000 });
    const api = pipeline([bottleneckLimiter(group)]);
    let atWork = 0;
    const work = (): Promise<never> => (atWork++, forever());
    void api.execute(work, { key: 'ada' });
    await pass(3000);
    void api.execute(work, { key: 'ada' });
    await pass(10);
    expect(atWork).toBe(2);
  },

  'What waits in a policy per key is let in in the end': async () => {
    const group = new Bottleneck.Group({ reservoir: 1, reservoirRefreshInterval: 1000, reservoirRefreshAmount: 1 });
    const api = pipeline([bottleneckLimiter(group)]);
    const through: number[] = [];
    for (const n of [1, 2]) void api.execute(() => through.push(n), { key: 'ada' });
    await pass(100);
    void group.deleteKey('ada');
    await pass(100_000);
    expect(through).toEqual([1]);
  },
};

describe('bottleneck does not keep', () => {
  test.each(rows.map(({ Law }) => Law))('%s', async (law) => {
    await broken[law]();
  });

  test('more than these, and they are told', () => {
    expect(Object.keys(broken)).toEqual(rows.map(({ Law }) => Law));
    expect(exceptions).toHaveLength(1);
  });
});

test('an answer waits for no turn of the event loop, also that of a failure which a listener was asked about', async () => {
  const yours = new Bottleneck();
  yours.on('failed', () => null);
  const error = new Error('no');
  let fail = (): void => undefined;
  const call = pipeline([bottleneckLimiter(yours)]).executeOutcome(() => new Promise((_, reject) => (fail = () => reject(error))));
  let outcome: unknown;
  void call.then((settled) => (outcome = settled));
  await pass(10);
  fail();
  await hop();
  expect(outcome).toEqual({ ok: false, error });
});

test('the clock of a pipeline that goes back stops nobody, where the work has the turns that it needs to begin', async () => {
  const clock = new ProcessClock();
  const api = pipeline([bottleneckLimiter({})], { clock });
  clock.rewind('1h');
  const begun = api.execute(() => 'through');
  clock.rewind('30m');
  expect(await clock.until(begun)).toBe('through');
  await pass(0);
  expect(clock.pending).toBe(0);
});
