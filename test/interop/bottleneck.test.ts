import { AsyncLocalStorage } from 'node:async_hooks';
import Bottleneck from 'bottleneck';
import { type AnyEvent, type Pipeline, type Settled, fallback, pipeline, retry, timeout } from 'breakwater';
import { type BottleneckOptions, bottleneckLimiter } from 'breakwater/bottleneck';
import { describe, expect, test } from 'vitest';
import { hop } from '../../src/testing/hop.ts';
import { pass, useTurns } from './bottleneck-turns.ts';

useTurns();

/** Work that runs until it is told to end. */
class Held {
  readonly begun: string[] = [];
  readonly #endings = new Map<string, () => void>();

  work(name: string): () => Promise<string> {
    return () => {
      this.begun.push(name);
      return new Promise((resolve) => this.#endings.set(name, () => resolve(name)));
    };
  }

  async end(...names: readonly string[]): Promise<void> {
    for (const name of names) this.#endings.get(name)?.();
    await hop();
  }
}

function recorded(api: Pick<Pipeline, 'on'>): AnyEvent[] {
  const events: AnyEvent[] = [];
  api.on('*', (event) => events.push(event));
  return events;
}

function typesOf(events: readonly AnyEvent[], prefix = 'bottleneck.'): readonly string[] {
  return events.map(({ type }) => type).filter((type) => type.startsWith(prefix));
}

function errorOf(outcome: Settled<unknown>): { readonly code?: unknown; readonly message?: unknown; readonly cause?: unknown } {
  if (outcome.ok) throw new Error('expected a failure');
  return outcome.error as Error;
}

describe('what bottleneck decides stands', () => {
  test('so much runs at once, and the next begins when one has ended', async () => {
    const api = pipeline([bottleneckLimiter({ maxConcurrent: 2 })]);
    const held = new Held();
    const calls = ['a', 'b', 'c'].map((name) => api.execute(held.work(name)));
    await hop();
    expect(held.begun).toEqual(['a', 'b']);
    await held.end('a');
    expect(held.begun).toEqual(['a', 'b', 'c']);
    await held.end('b', 'c');
    expect(await Promise.all(calls)).toEqual(['a', 'b', 'c']);
  });

  test('a call weighs what weight says of it, or else its cost', async () => {
    const heavy = bottleneckLimiter({ maxConcurrent: 3 }, { weight: ({ tags }) => tags['pages'] as number | undefined });
    const api = pipeline([heavy]);
    const held = new Held();
    void api.execute(held.work('two pages'), { tags: { pages: 2 } });
    void api.execute(held.work('cost of two'), { cost: 2 });
    void api.execute(held.work('one'), { cost: 0.5 });
    await hop();
    expect(held.begun).toEqual(['two pages']);
    await held.end('two pages');
    expect(held.begun).toEqual(['two pages', 'cost of two', 'one']);
    await held.end('cost of two', 'one');
  });

  test('a call that weighs more than ever may run is refused with the error of bottleneck as its cause', async () => {
    const api = pipeline([bottleneckLimiter({ maxConcurrent: 1 }, { weight: 2 })], { name: 'api' });
    const error = errorOf(await api.executeOutcome(() => 1));
    expect(error).toMatchObject({ code: 'ERR_BULKHEAD_FULL', pipeline: 'api', policy: 'bottleneck' });
    expect(error.cause).toBeInstanceOf(Bottleneck.BottleneckError);
    expect(error.message).toContain('weighs (2)');
  });

  test('a weight that is no number is refused before bottleneck would choke on it and keep its slots for ever', async () => {
    const api = pipeline([bottleneckLimiter({ maxConcurrent: 1 }, { weight: ({ key }) => Number(key) })]);
    expect(errorOf(await api.executeOutcome(() => 1, { key: 'none' }))).toBeInstanceOf(RangeError);
    expect(errorOf(await api.executeOutcome(() => 1, { key: '-1' })).message).toContain('a whole number of at least 0, got -1');
    expect(await api.execute(() => 'fine', { key: '1' })).toBe('fine');
  });

  test.each([
    ['by the priority of the calls', undefined, ['critical-plus', 'critical', 'sheddable-plus', 'sheddable', 'best-effort']],
    [
      'by a function of the call',
      ({ key }: { key?: string | undefined }) => Number(key ?? 5),
      ['best-effort', 'sheddable', 'critical', 'sheddable-plus', 'critical-plus'],
    ],
    ['or all alike', 4, ['sheddable', 'best-effort', 'critical-plus', 'sheddable-plus', 'critical']],
  ] as const)('who waits is served %s', async (_how, priority, order) => {
    const api = pipeline([bottleneckLimiter({ maxConcurrent: 1 }, priority === undefined ? {} : { priority })]);
    const held = new Held();
    void api.execute(held.work('first'));
    await hop();
    const keys = { sheddable: '1', 'best-effort': '0', 'critical-plus': '9', 'sheddable-plus': '6', critical: '5' } as const;
    for (const [name, key] of Object.entries(keys)) void api.execute(held.work(name), { priority: name as 'critical', key });
    await hop();
    for (const name of ['first', ...order]) await held.end(name);
    expect(held.begun).toEqual(['first', ...order]);
  });

  test('starts keep minTime apart', async () => {
    const api = pipeline([bottleneckLimiter({ minTime: '100ms' })]);
    const begun: number[] = [];
    const start = Date.now();
    const calls = [1, 2, 3].map(() => api.execute(() => void begun.push(Date.now() - start)));
    await pass(200);
    await Promise.all(calls);
    expect(begun).toEqual([0, 100, 200]);
  });

  test('a reservoir is used up, refreshed and told of', async () => {
    const limiter = bottleneckLimiter({ reservoir: 2, reservoirRefreshInterval: 1000, reservoirRefreshAmount: 2 });
    const api = pipeline([limiter]);
    const events = recorded(api);
    let ran = 0;
    const calls = Array.from({ length: 5 }, () => api.execute(() => ++ran));
    await hop();
    expect([ran, limiter.snapshot().reservoir, limiter.queued]).toEqual([2, 0, 3]);
    expect(typesOf(events)).toContain('bottleneck.depleted');
    await pass(1000);
    expect(ran).toBe(4);
    await pass(1000);
    expect(await Promise.all(calls)).toEqual([1, 2, 3, 4, 5]);
    await limiter.disconnect();
  });

  test('a reservoir is increased up to its maximum, and by hand through the limiter itself', async () => {
    const limiter = bottleneckLimiter({
      reservoir: 0,
      reservoirIncreaseInterval: 500,
      reservoirIncreaseAmount: 3,
      reservoirIncreaseMaximum: 4,
    });
    const api = pipeline([limiter]);
    const call = api.execute(() => 'ran');
    await limiter.limiter.incrementReservoir(1);
    expect(await call).toBe('ran');
    await pass(2000);
    expect(await limiter.limiter.currentReservoir()).toBe(4);
    await limiter.disconnect();
  });

  test('settings can be changed while it runs', async () => {
    const limiter = bottleneckLimiter({ maxConcurrent: 1 });
    const api = pipeline([limiter]);
    const held = new Held();
    void api.execute(held.work('a'));
    void api.execute(held.work('b'));
    await hop();
    limiter.limiter.updateSettings({ maxConcurrent: 2 });
    await hop();
    expect(held.begun).toEqual(['a', 'b']);
    expect(limiter.snapshot()).toMatchObject({ active: 2, queued: 0, maxConcurrent: 2 });
    await held.end('a', 'b');
  });
});

describe('what happens at the high-water mark', () => {
  const { LEAK, OVERFLOW, OVERFLOW_PRIORITY, BLOCK } = Bottleneck.strategy;

  /** One runs, two wait (an important one and another), and a third comes. */
  async function overflow(
    strategy: unknown,
    rejectOnDrop: boolean,
  ): Promise<{ dropped: string[]; api: Pipeline; held: Held; errors: unknown[] }> {
    const api = pipeline([bottleneckLimiter({ maxConcurrent: 1, highWater: 2, strategy, rejectOnDrop, penalty: 1000 })]);
    const held = new Held();
    const [dropped, errors]: [string[], unknown[]] = [[], []];
    const names = { runs: 'critical', important: 'critical', other: 'sheddable', last: 'critical' } as const;
    for (const [name, priority] of Object.entries(names)) {
      void api.executeOutcome(held.work(name), { priority }).then((outcome) => {
        if (outcome.ok) return;
        dropped.push(name);
        errors.push(outcome.error);
      });
      await hop();
    }
    return { dropped, api: api as unknown as Pipeline, held, errors };
  }

  for (const rejectOnDrop of [true, false]) {
    test.each([
      ['LEAK', LEAK, ['other']],
      ['OVERFLOW', OVERFLOW, ['last']],
      ['OVERFLOW_PRIORITY', OVERFLOW_PRIORITY, ['other']],
      ['BLOCK', BLOCK, ['important', 'other', 'last']],
    ])(`%s drops the right ones, and each is refused (rejectOnDrop: ${rejectOnDrop})`, async (_name, strategy, expected) => {
      const { dropped, errors, held } = await overflow(strategy, rejectOnDrop);
      expect(dropped).toEqual(expected);
      for (const error of errors) {
        expect(error).toMatchObject({ code: 'ERR_BULKHEAD_FULL', policy: 'bottleneck' });
        if (rejectOnDrop) expect((error as Error).cause).toBeInstanceOf(Bottleneck.BottleneckError);
      }
      await held.end('runs');
      expect(held.begun.slice(1)).toEqual(['important', 'other', 'last'].filter((name) => !expected.includes(name)).slice(0, 1));
      await held.end('important', 'last');
      await held.end('last');
    });
  }

  test('a blocked limiter takes calls again once it was left alone for the penalty', async () => {
    const { api, held } = await overflow(BLOCK, true);
    await held.end('runs');
    expect(errorOf(await api.executeOutcome(() => 1)).code).toBe('ERR_BULKHEAD_FULL');
    await pass(1001);
    expect(await api.execute(() => 'again')).toBe('again');
  });

  test('calls that are dropped after a wait are told of, and counted', async () => {
    const limiter = bottleneckLimiter({ maxConcurrent: 1, highWater: 1 });
    const api = pipeline([limiter]);
    const events = recorded(api);
    const held = new Held();
    void api.execute(held.work('a'));
    const dropped = api.executeOutcome(held.work('b'), { key: 'k' });
    await pass(50);
    void api.execute(held.work('c'));
    expect((await dropped).ok).toBe(false);
    expect(events.find(({ type }) => type === 'bottleneck.dropped')).toMatchObject({ key: 'k', waited: 50, level: 'warn' });
    expect(limiter.snapshot()).toMatchObject({ dropped: 1, refused: 0, active: 1, queued: 1, maxQueue: 1 });
    await held.end('a');
    await held.end('c');
  });
});

describe('expiration', () => {
  test('ends the call with a TimeoutError and aborts the signal of its work with that very error', async () => {
    const limiter = bottleneckLimiter({ maxConcurrent: 1 }, { expiration: '100ms' });
    const api = pipeline([limiter], { name: 'api' });
    const events = recorded(api);
    const signals: AbortSignal[] = [];
    const call = api.executeOutcome(({ signal, remaining }) => {
      signals.push(signal);
      expect(remaining()).toBe(100);
      return new Promise(() => undefined);
    });
    await pass(99);
    expect(signals[0]?.aborted).toBe(false);
    await pass(1);
    const error = errorOf(await call);
    expect(error).toMatchObject({ code: 'ERR_TIMEOUT', after: 100, started: true, policy: 'bottleneck' });
    expect(error.cause).toBeInstanceOf(Bottleneck.BottleneckError);
    expect(signals[0]?.reason).toBe(error);
    expect(events.find(({ type }) => type === 'bottleneck.expired')).toMatchObject({ after: 100, started: true });
    expect(limiter.snapshot().expired).toBe(1);
  });

  test('counts from the start, not from the time that the call came', async () => {
    const api = pipeline([bottleneckLimiter({ maxConcurrent: 1 }, { expiration: ({ key }) => (key === 'bounded' ? 100 : undefined) })]);
    const held = new Held();
    void api.execute(held.work('a'));
    const call = api.executeOutcome(held.work('b'), { key: 'bounded' });
    await pass(500);
    await held.end('a');
    await pass(50);
    await held.end('b');
    expect(await call).toEqual({ ok: true, value: 'b' });
  });

  test('cuts an admission, which frees the slot in bottleneck; what its holder says later changes nothing', async () => {
    const limiter = bottleneckLimiter({ maxConcurrent: 1 }, { expiration: 100 });
    const api = pipeline([limiter]);
    const admission = await api.acquire();
    await pass(100);
    expect(admission.signal.reason).toMatchObject({ code: 'ERR_TIMEOUT' });
    admission.success();
    await hop();
    expect(limiter.active).toBe(0);
    (await api.acquire()).success();
  });
});

describe("a listener to 'failed' that answers with a delay", () => {
  function retrying(options: BottleneckOptions = {}, answer: (retryCount: number) => unknown = (n) => (n < 2 ? 50 : null)): Bottleneck {
    const limiter = new Bottleneck(options as object);
    limiter.on('failed', (_error, { retryCount }) => answer(retryCount) as number);
    return limiter;
  }

  test('has the work run again in the same slot, with its number, until it answers', async () => {
    const limiter = retrying({ maxConcurrent: 1 });
    const api = pipeline([bottleneckLimiter(limiter)]);
    const events = recorded(api);
    const begun: string[] = [];
    const call = api.execute(({ attempt }) => {
      begun.push(`${attempt} at ${Date.now() - start}`);
      if (attempt < 3) throw new Error(`attempt ${attempt}`);
      return 'at last';
    });
    const start = Date.now();
    void api.execute(() => void begun.push('another'));
    await pass(200);
    expect(await call).toBe('at last');
    expect(begun).toEqual(['1 at 0', '2 at 50', '3 at 100', 'another']);
    expect(typesOf(events).filter((type) => type === 'bottleneck.retried')).toHaveLength(2);
    expect(limiter.counts()).toMatchObject({ EXECUTING: 0, QUEUED: 0 });
  });

  test('and the last error is the very one, when no more is asked for', async () => {
    const api = pipeline([bottleneckLimiter(retrying())]);
    const errors: Error[] = [];
    const call = api.executeOutcome(() => {
      errors.push(new Error(`attempt ${errors.length + 1}`));
      throw errors.at(-1);
    });
    await pass(200);
    expect(errorOf(await call)).toBe(errors[2]);
    expect(errors).toHaveLength(3);
  });

  test('sees the call as the argument of its job', async () => {
    const limiter = new Bottleneck();
    const seen: unknown[] = [];
    limiter.on('failed', (error, { args, options }) => void seen.push(error, (args[0] as { key: string }).key, options.id));
    const api = pipeline([bottleneckLimiter(limiter, { id: ({ key }) => `job of ${key}` })]);
    const error = new Error('no');
    await api.executeOutcome(() => Promise.reject(error), { key: 'ada' });
    expect(seen).toEqual([error, 'ada', 'job of ada']);
  });

  test('is asked after an expiration too, and a straggler of the run before never answers for the next', async () => {
    const limiter = retrying({ maxConcurrent: 1 }, (n) => (n === 0 ? 10 : null));
    const api = pipeline([bottleneckLimiter(limiter, { expiration: 100 })]);
    const held = new Held();
    const call = api.execute(({ attempt }) => held.work(`run ${attempt}`)());
    await pass(100);
    await held.end('run 1');
    await pass(10);
    expect(held.begun).toEqual(['run 1', 'run 2']);
    await held.end('run 2');
    expect(await call).toBe('run 2');
    expect(limiter.counts().EXECUTING).toBe(0);
  });

  test('runs nothing again once the call was answered, though work that was left behind still holds the slot', async () => {
    const limiter = retrying({ maxConcurrent: 1 }, () => 10);
    const lesser = fallback({ value: 'lesser' });
    const api = pipeline([bottleneckLimiter(limiter, { expiration: 100 }), lesser, timeout({ after: 50 })]);
    const held = new Held();
    const call = api.execute(held.work('heedless'));
    await pass(50);
    expect(await call).toBe('lesser');
    expect(limiter.counts().EXECUTING).toBe(1);
    await pass(100);
    expect(held.begun).toEqual(['heedless']);
    expect(limiter.counts().EXECUTING).toBe(0);
    await held.end('heedless');
  });

  test('is not asked about what the caller gave up, nor about what a policy further in refused', async () => {
    const asked: unknown[] = [];
    const limiter = new Bottleneck({ maxConcurrent: 5 });
    limiter.on('failed', (error) => void asked.push(error));
    const inner = bottleneckLimiter({ maxConcurrent: 0 }, { name: 'inner' });
    const caller = new AbortController();
    const call = pipeline([bottleneckLimiter(limiter)]).executeOutcome(() => new Promise(() => undefined), { signal: caller.signal });
    await hop();
    caller.abort('enough');
    expect(errorOf(await call)).toBe('enough');
    expect(errorOf(await pipeline([bottleneckLimiter(limiter), inner]).executeOutcome(() => 1)).code).toBe('ERR_BULKHEAD_FULL');
    expect(asked).toEqual([]);
  });

  test('an abort during the wait ends the call in the same tick, and the job runs empty', async () => {
    const limiter = retrying({ maxConcurrent: 1 }, () => 1000);
    const api = pipeline([bottleneckLimiter(limiter)]);
    const caller = new AbortController();
    let runs = 0;
    const call = api.executeOutcome(() => Promise.reject(new Error(`run ${++runs}`)), { signal: caller.signal });
    await pass(500);
    caller.abort('enough');
    let settled: Settled<unknown> | undefined;
    void call.then((outcome) => (settled = outcome));
    await hop();
    expect(settled).toEqual({ ok: false, error: 'enough' });
    await pass(500);
    expect(runs).toBe(1);
    expect(await api.execute(() => 'next')).toBe('next');
  });

  test('is only told of failures of an admission: nobody can run it again, and its slot comes free', async () => {
    const limiter = retrying({ maxConcurrent: 1 }, () => 10);
    const api = pipeline([bottleneckLimiter(limiter)]);
    (await api.acquire()).failure(new Error('no'));
    await pass(20);
    expect(limiter.counts().EXECUTING).toBe(0);
    (await api.acquire()).success();
  });
});

describe('calls that are cut short', () => {
  test('an abort while the call waits ends it in the same tick, and its job runs empty when its turn comes', async () => {
    const limiter = bottleneckLimiter({ maxConcurrent: 1 });
    const api = pipeline([limiter]);
    const held = new Held();
    const caller = new AbortController();
    const events = recorded(api);
    void api.execute(held.work('a'));
    const call = api.executeOutcome(held.work('b'), { signal: caller.signal, key: 'cut' });
    void api.execute(held.work('c'));
    await hop();
    caller.abort('enough');
    expect(errorOf(await call)).toBe('enough');
    await held.end('a');
    expect(held.begun).toEqual(['a', 'c']);
    await held.end('c');
    expect(typesOf(events.filter(({ key }) => key === 'cut'))).toEqual(['bottleneck.queued']);
    expect([limiter.active, limiter.queued]).toEqual([0, 0]);
  });

  test('a timeout outside ends the call, and its slot is free when the work has really ended', async () => {
    const limiter = bottleneckLimiter({ maxConcurrent: 1 });
    const api = pipeline([timeout({ after: 100 }), limiter]);
    const held = new Held();
    const call = api.executeOutcome(held.work('a'));
    await pass(100);
    expect(errorOf(await call).code).toBe('ERR_TIMEOUT');
    expect(limiter.active).toBe(1);
    await held.end('a');
    expect(limiter.active).toBe(0);
  });

  test('a timeout further in counts from the start of the work, however long the call has waited', async () => {
    const api = pipeline([bottleneckLimiter({ maxConcurrent: 1 }), timeout({ after: 100 })]);
    const held = new Held();
    const left: number[] = [];
    const calls = ['a', 'b'].map((name) =>
      api.execute(({ remaining }) => {
        left.push(remaining());
        return held.work(name)();
      }),
    );
    await pass(80);
    await held.end('a');
    await pass(80);
    await held.end('b');
    expect(await Promise.all(calls)).toEqual(['a', 'b']);
    expect(left).toEqual([100, 100]);
  });

  test('a retry outside takes a new turn for each attempt', async () => {
    const limiter = bottleneckLimiter({ minTime: 1000 });
    const api = pipeline([retry({ maxAttempts: 3, backoff: { delay: 1, jitter: 'none' } }), limiter]);
    const begun: number[] = [];
    const start = Date.now();
    const call = api.executeOutcome(() => {
      begun.push(Date.now() - start);
      throw new Error('no');
    });
    await pass(3000);
    expect((await call).ok).toBe(false);
    expect(begun).toEqual([0, 1000, 2000]);
  });

  test('a job that cannot begin at once is no answer to tryAcquire', async () => {
    const limiter = bottleneckLimiter({});
    const answer = pipeline([limiter]).tryAcquire();
    expect(answer).toMatchObject({ admitted: false, error: { code: 'ERR_REJECTED' } });
    await hop();
    expect([limiter.active, limiter.queued, limiter.snapshot().refused]).toEqual([0, 0, 1]);
  });
});

describe('the end of a limiter', () => {
  test('stop() refuses what waits with a ShutdownError, lets run what runs, and refuses what comes after', async () => {
    const limiter = bottleneckLimiter({ maxConcurrent: 1 });
    const api = pipeline([limiter]);
    const held = new Held();
    const running = api.execute(held.work('a'));
    const waiting = api.executeOutcome(held.work('b'));
    await hop();
    const stopped = limiter.stop();
    expect(errorOf(await waiting)).toMatchObject({ code: 'ERR_SHUTDOWN', cause: expect.any(Bottleneck.BottleneckError) as unknown });
    expect(errorOf(await api.executeOutcome(held.work('c'))).code).toBe('ERR_SHUTDOWN');
    await held.end('a');
    expect(await running).toBe('a');
    await stopped;
    expect(held.begun).toEqual(['a']);
  });

  test('stop({ dropWaitingJobs: false }) lets run what waits', async () => {
    const yours = new Bottleneck({ maxConcurrent: 1 });
    const api = pipeline([bottleneckLimiter(yours)]);
    const held = new Held();
    const calls = [api.execute(held.work('a')), api.execute(held.work('b'))];
    await hop();
    const stopped = yours.stop({ dropWaitingJobs: false });
    expect(errorOf(await api.executeOutcome(held.work('c'))).code).toBe('ERR_SHUTDOWN');
    await held.end('a');
    await held.end('b');
    expect(await Promise.all(calls)).toEqual(['a', 'b']);
    await stopped;
  });

  test('a stopped limiter refuses also where dropped jobs never settle (rejectOnDrop: false)', async () => {
    const limiter = bottleneckLimiter({ maxConcurrent: 1, rejectOnDrop: false });
    const api = pipeline([limiter]);
    const held = new Held();
    void api.execute(held.work('a'));
    const waiting = api.executeOutcome(held.work('b'));
    await hop();
    const stopped = limiter.stop();
    expect(errorOf(await waiting).code).toBe('ERR_SHUTDOWN');
    await held.end('a');
    await stopped;
  });
});

describe('yours stays yours', () => {
  test('its own jobs and those of calls share the limits, and two policies on it share its listeners', async () => {
    const yours = new Bottleneck({ maxConcurrent: 1 });
    const one = pipeline([bottleneckLimiter(yours)], { name: 'one' });
    const other = pipeline([bottleneckLimiter(yours)], { name: 'other' });
    const events = [recorded(one), recorded(other)];
    const held = new Held();
    void yours.schedule(held.work('yours'));
    void one.execute(held.work('one'));
    void other.execute(held.work('other'));
    await hop();
    for (const name of ['yours', 'one', 'other']) await held.end(name);
    expect(held.begun).toEqual(['yours', 'one', 'other']);
    const counted = (yours as unknown as { Events: { listenerCount(name: string): number } }).Events;
    expect(['failed', 'dropped', 'done', 'error', 'idle'].map((name) => counted.listenerCount(name))).toEqual([1, 1, 1, 1, 1]);
    for (const list of events) expect(typesOf(list).filter((type) => type === 'bottleneck.idled')).toHaveLength(1);
  });

  test('chained limiters bound the calls too, and what the inner one drops is refused', async () => {
    const inner = new Bottleneck({ maxConcurrent: 1, highWater: 0, strategy: Bottleneck.strategy.OVERFLOW });
    const api = pipeline([bottleneckLimiter(new Bottleneck().chain(inner))]);
    const held = new Held();
    void api.execute(held.work('a'));
    await hop();
    expect(errorOf(await api.executeOutcome(held.work('b')))).toMatchObject({ code: 'ERR_BULKHEAD_FULL' });
    await held.end('a');
    expect(held.begun).toEqual(['a']);
  });

  test('a call is refused that a chained limiter drops without a word', async () => {
    const inner = new Bottleneck({ maxConcurrent: 1, highWater: 0, strategy: Bottleneck.strategy.OVERFLOW, rejectOnDrop: false });
    const api = pipeline([bottleneckLimiter(new Bottleneck().chain(inner))]);
    const held = new Held();
    void api.execute(held.work('a'));
    await hop();
    expect(errorOf(await api.executeOutcome(held.work('b')))).toMatchObject({ code: 'ERR_BULKHEAD_FULL' });
    await held.end('a');
  });

  test('its listeners, promises and ids are what they were: trackDoneStatus, Promise, jobStatus', async () => {
    class Own<T> extends Promise<T> {}
    const limiter = bottleneckLimiter({ trackDoneStatus: true, Promise: Own, id: 'mine' }, { id: ({ key }) => key });
    const api = pipeline([limiter]);
    expect(await api.execute(() => 1, { key: 'job' })).toBe(1);
    await hop();
    expect(limiter.limiter.jobStatus('job')).toBe('DONE');
    expect(limiter.limiter.id).toBe('mine');
    expect(errorOf(await api.executeOutcome(() => 2, { key: 'job' }))).toMatchObject({ code: 'ERR_REJECTED' });
  });

  test('options are never changed, and two policies of one literal are independent', async () => {
    const clientOptions = Object.freeze({ password: 'secret' });
    const options: BottleneckOptions = Object.freeze({ maxConcurrent: 1, reservoir: 1, minTime: null, clientOptions });
    const [one, other] = [bottleneckLimiter(options), bottleneckLimiter(options)];
    await pipeline([one]).execute(() => 1);
    expect(await pipeline([other]).execute(() => 2)).toBe(2);
    expect(options).toEqual({ maxConcurrent: 1, reservoir: 1, minTime: null, clientOptions: { password: 'secret' } });
    expect(JSON.stringify(one.describe())).not.toContain('secret');
  });

  test('a listener of theirs that throws, and removed listeners of ours, leave no call hanging', async () => {
    const yours = new Bottleneck({ maxConcurrent: 1 });
    const api = pipeline([bottleneckLimiter(yours, { expiration: 100 })]);
    const events = recorded(api);
    yours.on('executing', () => {
      throw new Error('theirs');
    });
    expect(await api.execute(() => 1)).toBe(1);
    expect(events.find(({ type }) => type === 'bottleneck.failed')).toMatchObject({ level: 'error', error: { message: 'theirs' } });
    yours.removeAllListeners();
    const call = api.executeOutcome(() => new Promise(() => undefined));
    await pass(100);
    expect(errorOf(await call).code).toBe('ERR_TIMEOUT');
    expect(await api.execute(() => 2)).toBe(2);
  });
});

describe('what is told of it', () => {
  test('the course of a call, in the words of a bulkhead', async () => {
    const api = pipeline([bottleneckLimiter({ maxConcurrent: 1 })]);
    const events = recorded(api);
    const held = new Held();
    void api.execute(held.work('a'));
    const call = api.execute(held.work('b'), { key: 'k' });
    await pass(20);
    await held.end('a');
    await held.end('b');
    await call;
    const told = events
      .filter(({ key }) => key === 'k')
      .map(({ type, level, ...rest }) => ({ type, level, ...('waited' in rest && { waited: rest.waited }) }));
    expect(told.slice(0, 2)).toEqual([
      { type: 'bottleneck.queued', level: 'debug' },
      { type: 'bottleneck.admitted', level: 'debug', waited: 20 },
    ]);
    expect(typesOf(events).at(-1)).toBe('bottleneck.idled');
    expect(typesOf(events).filter((type) => type === 'bottleneck.emptied').length).toBeGreaterThan(0);
  });

  test('describe tells the options in the words of bottleneck, and how much may wait', () => {
    expect(bottleneckLimiter({ maxConcurrent: 2, highWater: 7, id: 'api' }, { weight: () => 1 }).describe()).toEqual({
      maxConcurrent: 2,
      minTime: 0,
      highWater: 7,
      strategy: 1,
      rejectOnDrop: true,
      trackDoneStatus: false,
      id: 'api',
      datastore: 'local',
      clearDatastore: false,
      maxQueue: 7,
      priority: "the call's",
      weight: 'computed',
      expiration: undefined,
    });
    expect(pipeline([timeout({ after: 100 }), bottleneckLimiter({})]).lint()).toEqual([]);
  });

  test('describe tells the limits of a limiter of yours as they stand, which the linter reads', async () => {
    const yours = new Bottleneck({ maxConcurrent: 2, minTime: 5, highWater: 7 });
    const limiter = bottleneckLimiter(yours, { expiration: 100 });
    const terms = { priority: "the call's", weight: "the call's cost", expiration: 100, id: undefined };
    expect(limiter.describe()).toEqual({ maxConcurrent: 2, minTime: 5, maxQueue: 7, ...terms });
    yours.updateSettings({ maxConcurrent: null, highWater: 0 });
    await hop();
    expect(limiter.describe()).toEqual({ maxConcurrent: Infinity, minTime: 5, maxQueue: 0, ...terms });
  });

  test('what belongs elsewhere is told in a line', () => {
    class CircuitBreaker {
      readonly options = {};
      readonly stats = {};
      fire(): void {
        /* as that of opossum */
      }
    }
    const given = (options: unknown, more?: unknown) => () => bottleneckLimiter(options as BottleneckOptions, more as object);
    expect(given(new CircuitBreaker())).toThrow(
      /^bottleneckLimiter: expected a limiter of bottleneck, or options, got a CircuitBreaker: opossumBreaker\(\) of breakwater\/opossum takes it$/,
    );
    expect(given({ fire: () => 1 })).toThrow('got a circuit breaker: opossumBreaker()');
    expect(given({ maxConcurrent: 1, priority: 3 })).toThrow(
      'bottleneckLimiter.priority: expected none here: it is said of jobs, in the second argument: (options, { priority }), got 3',
    );
    for (const name of ['expiration', 'weight']) expect(given({ [name]: 3 })).toThrow(`(options, { ${name} }), got 3`);
    expect(given({ id: () => 'job' })).toThrow('(options, { id }), got a function');
    expect(given({ maxKeys: 3 })).toThrow('it is of a Group only');
    expect(given({ maxTime: 3 })).toThrow('it is an option of Bottleneck.Batcher');
    expect(given({ weight: 1, expiration: 2 })).toThrow(/weight[\s\S]*expiration/);
  });

  test('wrong options are refused at construction, and null stands for the default', () => {
    expect(() => bottleneckLimiter({ maxConcurrent: Number.NaN })).toThrow('bottleneckLimiter.maxConcurrent: expected a whole number');
    expect(() => bottleneckLimiter({ strategy: 'leak' })).toThrow('one of Bottleneck.strategy');
    expect(() => bottleneckLimiter({ maxConcurent: 1 } as never)).toThrow('did you mean maxConcurrent?');
    expect(() => bottleneckLimiter({}, { priority: 10 })).toThrow('a whole number from 0 to 9');
    expect(() => bottleneckLimiter({ datastore: 'redis', Redis: {} })).toThrow('options that bottleneck takes');
    expect(bottleneckLimiter({ maxConcurrent: null, strategy: null, rejectOnDrop: null }).describe()).toMatchObject({ strategy: 1 });
    expect(bottleneckLimiter({ name: 'a' }, { name: 'b' }).name).toBe('b');
    expect(bottleneckLimiter({ mode: 'shadow' }).mode).toBe('shadow');
  });

  test('in shadow nothing waits, and what would have been refused is told', async () => {
    const limiter = bottleneckLimiter({ maxConcurrent: 1, highWater: 0, strategy: Bottleneck.strategy.OVERFLOW, mode: 'shadow' });
    const api = pipeline([limiter]);
    const events = recorded(api);
    const held = new Held();
    const calls = [api.execute(held.work('a'))];
    await hop();
    calls.push(api.execute(held.work('b')));
    await hop();
    expect(held.begun).toEqual(['a', 'b']);
    expect(typesOf(events, 'gate.')).toContain('gate.would-refuse');
    await held.end('a', 'b');
    await Promise.all(calls);
    await hop();
    expect([limiter.active, limiter.queued]).toEqual([0, 0]);
  });
});

test('each of ten calls runs in the context of its own caller, and goes on in it', async () => {
  const api = pipeline([bottleneckLimiter({ maxConcurrent: 1, minTime: 5 })]);
  const context = new AsyncLocalStorage<number>();
  const seen = Array.from({ length: 10 }, (_, i) =>
    context.run(i, async () => {
      const within = await api.execute(async () => {
        await Promise.resolve();
        return context.getStore();
      });
      return [within, context.getStore()];
    }),
  );
  await pass(100);
  expect(await Promise.all(seen)).toEqual(Array.from({ length: 10 }, (_, i) => [i, i]));
});
