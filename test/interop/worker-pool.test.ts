import { AsyncLocalStorage } from 'node:async_hooks';
import { getEventListeners, once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { threadId, type Worker } from 'node:worker_threads';
import { Piscina } from 'piscina';
import { afterEach, describe, expect, it, test } from 'vitest';
import {
  BulkheadFullError,
  OptionsError,
  QueueTimeoutError,
  ResilienceError,
  ShutdownError,
  TimeoutError,
  pipeline,
  retry,
  timeout,
} from 'breakwater';
import { VirtualClock, arrange, gateContract, policyContract } from 'breakwater/testing';
import { type WorkerPool, type WorkerPoolOptions, workerPool } from 'breakwater/worker-pool';
import { piscinaOf } from '../../src/interop/worker-pool/installed.ts';

const filename = new URL('worker.mjs', import.meta.url);
const missing = new URL('no-such-worker.mjs', import.meta.url);

const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

function pooled(options: WorkerPoolOptions = {}): WorkerPool {
  const pool = workerPool(options.pool === undefined ? { filename, threads: 1, ...options } : options);
  closing.push(() => pool.close({ drain: 0 }));
  return pool;
}

/** Newer than the library that the types are of. */
const { waitAsync } = Atomics as unknown as {
  waitAsync: (shared: Int32Array, place: number, known: number) => { readonly value: unknown };
};

/** A task that can be seen to run, and let go. */
class Held {
  readonly shared: Int32Array = new Int32Array(new SharedArrayBuffer(8));

  async begun(): Promise<void> {
    await waitAsync(this.shared, 0, 0).value;
  }

  letGo(): void {
    Atomics.store(this.shared, 1, 1);
    Atomics.notify(this.shared, 1);
  }
}

const wide = { filename, threads: 20, maxQueue: 5 };
const single = (): WorkerPool => workerPool({ filename, threads: 1, maxQueue: 2000 });
const shut = (): WorkerPool => {
  const pool = workerPool({ filename, threads: 1, maxQueue: 0 });
  pool.resize(0);
  return pool;
};
policyContract(() => workerPool(wide), { describe, it, waits: single, refuses: shut, factory: { create: workerPool, options: wide } });
gateContract(() => workerPool(wide), { describe, it, waits: single, refuses: shut });

describe('work in a thread', () => {
  test('runs elsewhere, and its answer comes back', async () => {
    const pool = pooled();
    const away = pipeline([pool]);
    expect(await away.execute(pool.work<object>({ a: [1, new Date(0)] }))).toEqual({ a: [1, new Date(0)] });
    const id = await away.execute(pool.work<number>(undefined, { name: 'thread' }));
    expect(id).not.toBe(threadId);
    expect(pool.snapshot()).toMatchObject({ threads: 1, maxQueue: 100, alive: 1, active: 0, queued: 0 });
  });

  test('fails with what the task throws', async () => {
    const pool = pooled();
    const away = pipeline([pool]);
    const error = await away.execute(pool.work({ cause: 'because' }, { name: 'fail' })).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(RangeError);
    expect(error).toMatchObject({ message: 'too much', cause: 'because' });
    expect((error as Error).stack).toContain('worker.mjs');
    await expect(away.execute(pool.work(undefined, { name: 'failLater' }))).rejects.toThrow(TypeError);
    for (const what of ['a string', 0, { code: 7 }])
      expect(await away.execute(pool.work(what, { name: 'failWith' })).catch((thrown: unknown) => thrown)).toEqual(what);
    expect(await away.execute(pool.work(1))).toBe(1);
  });

  test('what cannot be copied fails on its way in and on its way out, and the pool goes on', async () => {
    const pool = pooled();
    await expect(pool.run(() => 1)).rejects.toThrow('could not be cloned');
    await expect(pool.run(undefined, { name: 'closure' })).rejects.toBeDefined();
    await expect(pool.run(undefined, { name: 'leave' })).rejects.toThrow('exited with code: 3');
    await expect(pool.run(undefined, { name: 'nothing' })).rejects.toThrow('No handler');
    expect(await pool.run('still here')).toBe('still here');
    expect(pool.active).toBe(0);
  });

  test('what is transferred is handed over and not copied', async () => {
    const pool = pooled();
    const buffer = new ArrayBuffer(4096);
    expect(await pool.run<number>(buffer, { name: 'size', transferList: [buffer] })).toBe(4096);
    expect(buffer.byteLength).toBe(0);
  });

  test('the context of the caller is there after the wait and the work, whoever let it go (law 10)', async () => {
    const pool = pooled({ maxQueue: 10 });
    const away = pipeline([pool]);
    const storage = new AsyncLocalStorage<number>();
    const seen = await Promise.all(
      Array.from({ length: 10 }, (_, i) =>
        storage.run(i, async () => {
          const inWork: unknown[] = [];
          await away.execute(async (call) => {
            inWork.push(storage.getStore());
            const answer = await pool.work<string>('there and back')(call);
            inWork.push(storage.getStore(), answer);
          });
          return [...inWork, storage.getStore()];
        }),
      ),
    );
    expect(seen).toEqual(Array.from({ length: 10 }, (_, i) => [i, i, 'there and back', i]));
  });
});

describe('slots and the queue', () => {
  test('as many tasks run as there are threads, as many more wait as the queue holds, the rest is refused (B1)', async () => {
    const pool = pooled({ threads: 2, maxQueue: 1 });
    const { run, events } = arrange(pool);
    const held = [new Held(), new Held()];
    const running = held.map(({ shared }) => run(pool.work<string>(shared, { name: 'hold' })));
    await Promise.all(held.map((each) => each.begun()));
    const waiting = run(pool.work<string>('at last'));
    expect([pool.active, pool.queued]).toEqual([2, 1]);
    const refused = run(pool.work('never'));
    await expect(refused).rejects.toThrow(BulkheadFullError);
    await expect(refused).rejects.toThrow('test: worker-pool has 2 of 2 slots taken and its queue of 1 is full');
    held[0]?.letGo();
    expect(await waiting).toBe('at last');
    held[1]?.letGo();
    expect(await Promise.all(running)).toEqual(['let go', 'let go']);
    expect(events.map(({ type }) => type)).toEqual(expect.arrayContaining(['worker-pool.queued', 'gate.refused', 'worker-pool.admitted']));
  });

  test('without a queue nobody waits', async () => {
    const pool = pooled({ maxQueue: 0 });
    const held = new Held();
    const running = pool.run(held.shared, { name: 'hold' });
    await held.begun();
    await expect(pool.run(1)).rejects.toThrow('pool.run: worker-pool has 1 of 1 slots taken and has no queue (maxQueue is 0)');
    held.letGo();
    await running;
  });

  test('who has waited for too long never runs', async () => {
    const pool = pooled({ maxWait: '1s' });
    const { run, clock } = arrange(pool);
    const held = new Held();
    const running = run(pool.work(held.shared, { name: 'hold' }));
    await held.begun();
    const late = run(pool.work(1));
    const refused = expect(late).rejects.toThrow(QueueTimeoutError);
    await clock.advance('1s');
    await refused;
    held.letGo();
    await running;
    expect(pool.snapshot()).toMatchObject({ timedOut: 1, active: 0, queued: 0 });
  });

  test('an abort in the queue ends the wait in the same tick, and no thread hears of it (law 5)', async () => {
    const pool = pooled();
    const held = new Held();
    const running = pool.run(held.shared, { name: 'hold' });
    await held.begun();
    const caller = new AbortController();
    const queued = pool.run(1, { signal: caller.signal });
    expect(pool.queued).toBe(1);
    caller.abort('enough');
    expect(pool.queued).toBe(0);
    await expect(queued).rejects.toBe('enough');
    held.letGo();
    expect(await running).toBe('let go');
    expect(pool.snapshot()['alive']).toBe(1);
  });

  test('fewer tasks at once, and as many again', async () => {
    const pool = pooled({ threads: 2 });
    const { policy, events } = arrange(pool);
    pool.resize(0);
    const waiting = policy.run('waited');
    expect([pool.active, pool.queued]).toEqual([0, 1]);
    pool.resize(2);
    expect(await waiting).toBe('waited');
    expect(() => pool.resize(3)).toThrow('workerPool.resize.threads: expected a whole number up to 2');
    expect(events.filter(({ type }) => type === 'worker-pool.resized')).toMatchObject([
      { from: 2, to: 0 },
      { from: 0, to: 2 },
    ]);
  });
});

describe('a task that is cut short', () => {
  test('an abort ends the thread, even one in an endless loop; the slot is free when it is gone (B2, law 6)', async () => {
    const piscina = new Piscina({ filename: filename.href, minThreads: 1, maxThreads: 1 });
    closing.push(() => piscina.destroy());
    const pool = pooled({ pool: piscina });
    const { run, events } = arrange(pool);
    const caller = new AbortController();
    const held = new Held();
    const running = run(pool.work(held.shared, { name: 'spin' }), { signal: caller.signal });
    await held.begun();
    const [thread] = piscina.threads as [Worker];
    const next = run(pool.work('next'));
    const reason = new Error('the client has left');
    caller.abort(reason);
    await expect(running).rejects.toBe(reason);
    expect([pool.active, pool.queued]).toEqual([1, 1]);
    await once(thread, 'exit');
    expect(await next).toBe('next');
    expect(piscina.threads).not.toContain(thread);
    expect(pool.active).toBe(0);
    expect(events.map(({ type }) => type)).not.toContain('pipeline.late');
  });

  test('a slot is not given to the next while the thread is still there', async () => {
    const piscina = new Piscina({ filename: filename.href, minThreads: 1, maxThreads: 1 });
    closing.push(() => piscina.destroy());
    const pool = pooled({ pool: piscina });
    const away = pipeline([pool]);
    const caller = new AbortController();
    const held = new Held();
    const running = away.execute(pool.work(held.shared, { name: 'spin' }), { signal: caller.signal });
    await held.begun();
    const [thread] = piscina.threads as [Worker];
    let gone = false;
    thread.once('exit', () => (gone = true));
    const next = away.execute(() => gone);
    caller.abort('enough');
    await expect(running).rejects.toBe('enough');
    expect(await next).toBe(true);
  });

  test('a timeout inside the pool answers in time, and its task is ended', async () => {
    const pool = pooled();
    const clock = new VirtualClock();
    const away = pipeline([pool, timeout({ after: '1s' })], { clock });
    const held = new Held();
    const running = away.execute(pool.work(held.shared, { name: 'spin' }));
    const late = expect(running).rejects.toThrow(TimeoutError);
    await held.begun();
    await clock.advance('1s');
    await late;
    expect(pool.active).toBe(1);
    expect(await away.execute(pool.work('next'))).toBe('next');
  });

  test('one that has ended leaves nothing on the signal of its caller', async () => {
    const pool = pooled();
    const caller = new AbortController();
    expect(await pool.run(1, { signal: caller.signal })).toBe(1);
    caller.abort();
    expect(await pool.run(2)).toBe(2);
    await expect(pool.run(3, { signal: caller.signal })).rejects.toBe(caller.signal.reason);
    expect(pool.snapshot()['alive']).toBe(1);
  });

  test('tasks of one call one after the other leave nothing on its signal', async () => {
    const pool = pooled();
    const left = await pipeline([pool]).execute(async (call) => {
      for (let n = 0; n < 5; n++) expect(await pool.work<number>(n)(call)).toBe(n);
      await expect(pool.work('x', { name: 'failWith' })(call)).rejects.toBe('x');
      return getEventListeners(call.signal, 'abort').length;
    });
    expect(left).toBe(0);
  });

  test('of several threads only those of aborted tasks go', async () => {
    const pool = pooled({ threads: 3 });
    const callers = [new AbortController(), new AbortController(), new AbortController()];
    const held = callers.map(() => new Held());
    const running = held.map(({ shared }, i) => pool.run(shared, { name: 'hold', signal: (callers[i] as AbortController).signal }));
    await Promise.all(held.map((each) => each.begun()));
    callers[0]?.abort('first');
    callers[1]?.abort('second');
    expect(pool.active).toBe(3);
    await expect(running[0]).rejects.toBe('first');
    await expect(running[1]).rejects.toBe('second');
    held[2]?.letGo();
    expect(await running[2]).toBe('let go');
  });
});

describe('where the pool does not stand', () => {
  test('its work waits for a thread all the same', async () => {
    const pool = pooled({ maxQueue: 1 });
    const elsewhere = pipeline([timeout({ after: '1h' })]);
    const held = new Held();
    const running = elsewhere.execute(pool.work(held.shared, { name: 'hold' }), { key: 'a' });
    await held.begun();
    expect(pool.active).toBe(1);
    const waiting = elsewhere.execute(pool.work('second'));
    expect(pool.queued).toBe(1);
    await expect(elsewhere.execute(pool.work('third'))).rejects.toThrow(BulkheadFullError);
    held.letGo();
    expect(await Promise.all([running, waiting])).toEqual(['let go', 'second']);
  });

  test('a timeout there ends the task too', async () => {
    const pool = pooled();
    const clock = new VirtualClock();
    const elsewhere = pipeline([timeout({ after: '1s' })], { clock });
    const held = new Held();
    const running = expect(elsewhere.execute(pool.work(held.shared, { name: 'spin' }))).rejects.toThrow(TimeoutError);
    await held.begun();
    await clock.advance('1s');
    await running;
    expect(await pool.run('next')).toBe('next');
  });

  test('it takes one slot and not two where it stands in a pipeline inside another, behind a retry', async () => {
    const pool = pooled({ maxQueue: 0 });
    const inner = pipeline([pool], { name: 'inner' });
    const outer = pipeline([retry({ maxAttempts: 2, backoff: { delay: 0 } }), inner], { name: 'outer' });
    expect(await outer.execute(pool.work('once'))).toBe('once');
    await expect(outer.execute(pool.work('x', { name: 'failWith' }), { idempotent: true })).rejects.toBe('x');
    expect(pool.snapshot()).toMatchObject({ refused: 0, active: 0 });
  });

  test('in shadow it lets all through, and tells whom it would have refused', async () => {
    const pool = pooled({ maxQueue: 0, mode: 'shadow' });
    const { run, events } = arrange(pool);
    const held = new Held();
    const running = run(pool.work(held.shared, { name: 'hold' }));
    await held.begun();
    const second = run(pool.work('second'));
    held.letGo();
    expect(await Promise.all([running, second])).toEqual(['let go', 'second']);
    expect(events.filter(({ type }) => type === 'gate.would-refuse')).toHaveLength(1);
  });
});

describe('threads that fail', () => {
  test.each([0, 1, 2])('a file that is not there fails every task, with %i threads to begin with', async (minThreads) => {
    const pool = pooled({ filename: missing, threads: 2, minThreads });
    const { run, events } = arrange(pool);
    const tasks = [1, 2, 3, 4].map((n) => run(pool.work(n)).catch((error: unknown) => error));
    for (const error of await Promise.all(tasks)) expect((error as Error).message).toMatch(/Cannot find module|ERR_MODULE_NOT_FOUND/);
    expect([pool.active, pool.queued]).toEqual([0, 0]);
    if (minThreads === 0) expect(events.map(({ type }) => type)).toContain('worker-pool.thread-failed');
  });
});

describe('the end', () => {
  test('a closed pool lets what is there finish, and takes no more', async () => {
    const pool = pooled();
    const away = pipeline([pool], { name: 'away' });
    const held = new Held();
    const running = away.execute(pool.work(held.shared, { name: 'hold' }));
    const waiting = away.execute(pool.work('waited'));
    await held.begun();
    const end = pool.close();
    const late = away.execute(pool.work('late'));
    await expect(late).rejects.toThrow(ShutdownError);
    await expect(late).rejects.toThrow('away: worker-pool is closed');
    await expect(pool.run('late')).rejects.toThrow(ShutdownError);
    held.letGo();
    expect(await Promise.all([running, waiting])).toEqual(['let go', 'waited']);
    await end;
    expect(pool.snapshot()['alive']).toBe(0);
    await pool.close();
  });

  test('what is not done in time is ended, running or waiting', async () => {
    const pool = pooled();
    const held = new Held();
    const running = pool.run(held.shared, { name: 'spin' }).catch((error: unknown) => error);
    const waiting = pool.run(1).catch((error: unknown) => error);
    await held.begun();
    await pool.close({ drain: 0 });
    expect(await running).toBeInstanceOf(ShutdownError);
    expect(await waiting).toBeInstanceOf(ShutdownError);
    expect(pool.snapshot()).toMatchObject({ alive: 0, active: 0, queued: 0 });
  });

  test('await using closes it', async () => {
    let kept: WorkerPool;
    {
      await using pool = workerPool({ filename, threads: 1 });
      kept = pool;
      expect(await pool.run(1)).toBe(1);
    }
    await expect(kept.run(2)).rejects.toThrow(ShutdownError);
    expect(kept.snapshot()['alive']).toBe(0);
  });

  test('a Piscina that was given stays open', async () => {
    const piscina = new Piscina({ filename: filename.href, minThreads: 1, maxThreads: 1.5 });
    closing.push(() => piscina.destroy());
    const pool = workerPool({ pool: piscina });
    expect(pool.snapshot()['threads']).toBe(2);
    expect(await pool.run(1)).toBe(1);
    await pool.close();
    expect(await piscina.run(2)).toBe(2);
  });
});

describe('options', () => {
  const wrong: readonly (readonly [string, object, string])[] = [
    [
      'no file',
      {},
      "workerPool.filename: expected a file: URL such as new URL('./worker.js', import.meta.url), or an absolute path, got nothing",
    ],
    ['a path that means another file for everybody', { filename: './worker.js' }, 'got "./worker.js"'],
    ['a file of the web', { filename: new URL('https://example.com/worker.js') }, 'workerPool.filename'],
    ['a file of another host', { filename: 'file://elsewhere/worker.js' }, 'workerPool.filename'],
    ['no threads', { filename, threads: 0 }, 'workerPool.threads: expected a whole number of at least 1'],
    [
      'more at least than at most',
      { filename, threads: 2, minThreads: 3 },
      'workerPool.minThreads: expected at most as many as threads (2), got 3',
    ],
    ['a pool that is none', { pool: {} }, 'workerPool.pool: expected a Piscina'],
    ['a word too many', { filename, maxThreads: 3 }, 'an unknown option'],
    ['wrong limits', { filename, resourceLimits: { stackSizeMb: -1 } }, 'workerPool.resourceLimits.stackSizeMb'],
  ];
  test.each(wrong)('%s', (_, options, message) => {
    expect(() => workerPool(options)).toThrow(OptionsError);
    expect(() => workerPool(options)).toThrow(message);
  });

  test('what makes threads is not given beside threads', async () => {
    const piscina = new Piscina({ filename: filename.href, minThreads: 0, maxThreads: 1 });
    closing.push(() => piscina.destroy());
    expect(() => workerPool({ pool: piscina, threads: 2, idleTimeout: '1s', maxQueue: 3 })).toThrow(
      'workerPool.threads: expected nothing beside pool, which has its threads, got 2; workerPool.idleTimeout',
    );
  });

  test('those of a task are checked too', () => {
    const pool = pooled();
    expect(() => pool.work(1, { nmae: 'x' } as object)).toThrow('did you mean name?');
    expect(() => pool.work(1, { transferList: {} as never })).toThrow('workerPool.work.transferList');
  });

  test('a path is as good as a URL', async () => {
    expect(await pooled({ filename: fileURLToPath(filename) }).run(1)).toBe(1);
    expect(await pooled({ filename: filename.href }).run(1)).toBe(1);
  });

  test('bounds of memory reach the thread', async () => {
    const pool = pooled({ resourceLimits: { maxOldGenerationSizeMb: 64 }, minThreads: 1 });
    expect(await pool.run(1)).toBe(1);
    expect(pool.describe()).toMatchObject({ threads: 1, minThreads: 1, idleTimeout: 60_000, maxQueue: 100 });
  });

  test('where piscina is not installed, the error says what to install', () => {
    const options = { filename: fileURLToPath(filename), minThreads: 0, maxThreads: 1, idleTimeout: 0 };
    const reason = new Error("Cannot find module 'piscina'");
    const load = (): never => {
      throw reason;
    };
    expect(() => piscinaOf(options, load)).toThrow(ResilienceError);
    expect(() => piscinaOf(options, load)).toThrow('workerPool: the package piscina cannot be loaded; install it (npm install piscina)');
    expect(() => piscinaOf(options, load)).toThrow(expect.objectContaining({ cause: reason }) as Error);
  });
});
