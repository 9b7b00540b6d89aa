/**
 * CPU-bound work in worker threads, run by piscina: so many tasks at once, some more that wait, and the rest is refused, while the event loop of this
 * thread stays free for everything else. The counterpart of isolation by a thread pool.
 *
 * @example
 * ```ts
 * import { resolve } from 'node:path';
 * import { pipeline, timeout } from 'breakwater';
 * import { workerPool } from 'breakwater/worker-pool';
 *
 * const pool = workerPool({ filename: resolve('examples/workers/primes.mjs'), threads: 1 });
 * const counting = pipeline([pool, timeout({ after: '10s' })]);
 * console.log(await counting.execute(pool.work<number>({ below: 100 }))); // => 25
 * await pool.close();
 * ```
 *
 * @module
 */

import { availableParallelism } from 'node:os';
import type { Work } from '../core/call.ts';
import type { CallOptions } from '../core/call-options.ts';
import { BulkheadFullError, QueueTimeoutError } from '../core/errors.ts';
import type { Sink } from '../core/events.ts';
import { type CommonSettings, type Mode, type PolicyOptions, commonFields } from '../core/mode.ts';
import { type Duration, type Fields, count, duration, readOptions } from '../core/options.ts';
import { type Pipeline, pipeline } from '../core/pipeline.ts';
import { type GatePolicy, type PlainData, mountAlone } from '../core/policy.ts';
import type { Scope } from '../core/scope.ts';
import type { Gate } from '../core/stage.ts';
import { type QueueOptions, type QueueSettings, describeQueue, queueFields, queueRules } from '../stores/slots/queue-options.ts';
import { SharedSlots, type SlotsReading } from '../stores/slots/shared-slots.ts';
import { slotWords } from '../stores/slots/slot-gate.ts';
import { ClosableGate, Closing } from './worker-pool/closing.ts';
import { type ThreadLimits, checkSource, file, piscina, taskFields, threadLimits, upTo } from './worker-pool/fields.ts';
import { piscinaOf } from './worker-pool/installed.ts';
import { type PiscinaLike, type TaskOptions, Threads } from './worker-pool/threads.ts';

export type { QueueOptions, QueueOrder } from '../stores/slots/queue-options.ts';
export type { ThreadLimits } from './worker-pool/fields.ts';
export type { PiscinaLike, TaskOptions } from './worker-pool/threads.ts';

/** Options of {@link workerPool}. */
export interface WorkerPoolOptions extends Omit<QueueOptions, 'maxQueue'>, PolicyOptions {
  /** The file that the threads run: it exports the function that gets the data. A `file:` URL, or an absolute path. Required, unless a `pool` is given. */
  readonly filename?: URL | string;
  /** How many tasks may run at once, each in a thread of its own. @defaultValue one less than there are cores, and one at least */
  readonly threads?: number;
  /** So many threads are started at once and stay; the others are started when there is work for them. @defaultValue `0` */
  readonly minThreads?: number;
  /** How many more tasks may wait for a thread; `0` for none. @defaultValue `100` */
  readonly maxQueue?: number;
  /** How long a thread above `minThreads` stays without work. @defaultValue `'1m'` */
  readonly idleTimeout?: Duration;
  /** Bounds of the memory of each thread; one that exceeds them ends, and its task fails. @defaultValue those of Node */
  readonly resourceLimits?: ThreadLimits;
  /** A Piscina of your own, for settings that are not here, in place of `filename` and all that says how threads are made. It stays yours to close. */
  readonly pool?: PiscinaLike;
}

declare module '../core/events.ts' {
  interface EventFields {
    'worker-pool.queued': { readonly active: number; readonly queued: number };
    'worker-pool.admitted': { readonly waited: number };
    'worker-pool.timed-out': { readonly waited: number };
    /** Its turn came, and it was let go because the queue stood (codel). */
    'worker-pool.shed': { readonly waited: number };
    /** A call of a higher rank took its place. */
    'worker-pool.evicted': { readonly waited: number };
    'worker-pool.resized': { readonly from: number; readonly to: number };
    /** A thread failed while it started, or without a task. */
    'worker-pool.thread-failed': { readonly error: unknown };
  }
}

/** How many tasks may run and wait, threads that there are now, and what is known of slots and the queue. */
export type WorkerPoolSnapshot = PlainData & SlotsReading & Readonly<Record<'threads' | 'maxQueue' | 'alive', number>>;

/** Options of `run`: those of a task, and those of a call. */
export interface RunOptions extends TaskOptions, CallOptions {}

/** Worker threads with a queue in front: a gate for pipelines, and what makes work for them. */
export interface WorkerPool extends GatePolicy, AsyncDisposable {
  readonly kind: 'worker-pool';
  /** Calls that hold a slot now. One whose task was ended holds it until the thread is gone. */
  readonly active: number;
  /** Calls waiting now. */
  readonly queued: number;
  /**
   * Makes work that runs in a thread: `pipeline.execute(pool.work(data))`. Data and result are copied (structured clone). Where the pool does not stand in the
   * pipeline itself, the work waits for a thread when it is run.
   *
   * @throws OptionsError
   */
  work<Result>(data: unknown, options?: TaskOptions): Work<Result>;
  /** Runs a task, with nothing around it but the pool. */
  run<Result>(data: unknown, options?: RunOptions): Promise<Result>;
  /** Changes how many tasks may run at once, up to the `threads` it was made with. @throws OptionsError */
  resize(threads: number): void;
  snapshot(): WorkerPoolSnapshot;
  /** Admits nothing any more, lets what is there finish for up to `drain` (default: 30 s), then ends the rest, and all threads. */
  close(options?: { readonly drain?: Duration }): Promise<void>;
}

/** Options as read. */
export interface WorkerPoolSettings extends CommonSettings, QueueSettings {
  readonly filename: string | undefined;
  readonly threads: number | undefined;
  readonly minThreads: number;
  readonly idleTimeout: number;
  readonly resourceLimits: ThreadLimits | undefined;
  readonly pool: PiscinaLike | undefined;
}

/** The option table. */
export const workerPoolFields: Fields<WorkerPoolSettings> = {
  filename: file.optional(),
  threads: count({ min: 1 }).optional(),
  minThreads: count().or(0),
  ...queueFields,
  maxQueue: count().or(100),
  idleTimeout: duration({ infinite: true }).or('1m'),
  resourceLimits: threadLimits.optional(),
  pool: piscina.optional(),
  ...commonFields,
};

/**
 * Runs CPU-bound work in worker threads, `threads` tasks at once, with as many more waiting as `maxQueue` says; the rest is refused with a
 * {@link BulkheadFullError}, and who waited `maxWait` gets a QueueTimeoutError. A call that is cut short leaves the queue at once; if its task
 * runs, the thread is ended and replaced, and the slot is free once it is gone. What a task throws is thrown.
 *
 * @throws OptionsError if an option is wrong
 * @throws ResilienceError if piscina is not installed
 */
export function workerPool(options: WorkerPoolOptions): WorkerPool {
  const settings = readOptions('workerPool', workerPoolFields, options, ...queueRules);
  checkSource(settings, options);
  const { pool, minThreads, idleTimeout, resourceLimits, filename = '' } = settings;
  const threads = settings.threads ?? (pool === undefined ? Math.max(1, availableParallelism() - 1) : Math.ceil(pool.maxThreads));
  const own = { filename, minThreads: Math.min(minThreads, threads), maxThreads: threads, idleTimeout, resourceLimits };
  return new ThreadPool(settings, threads, pool ?? piscinaOf(own));
}

class ThreadPool extends SharedSlots implements WorkerPool {
  readonly kind = 'worker-pool';
  readonly name: string | undefined;
  readonly mode: Mode;
  readonly settings: WorkerPoolSettings;
  readonly atRest = (): boolean => this.active + this.queued === 0 && this.slots.limit === this.#most;
  readonly #most: number;
  readonly #threads: Threads;
  readonly #closing: Closing = new Closing(this);
  /** Pipelines that it stands in. */
  readonly #homes = new WeakSet<Sink>();
  #alone: Pipeline | undefined = undefined;
  #end: Promise<void> | undefined = undefined;

  constructor(settings: WorkerPoolSettings, threads: number, pool: PiscinaLike) {
    super(threads, settings);
    this.settings = settings;
    this.name = settings.name;
    this.mode = settings.mode;
    this.#most = threads;
    this.#threads = new Threads(pool, (error) => this.audience.emit('worker-pool.thread-failed', 'error', undefined, { error }));
  }

  gate(scope: Scope): Gate {
    this.join(scope);
    for (const sink of scope.sink.leaves()) this.#homes.add(sink);
    return new ClosableGate(this, scope, words, this.#closing);
  }

  mount: WorkerPool['mount'] = (next, scope) => mountAlone(this, next, scope);

  work<Result>(data: unknown, options: TaskOptions = {}): Work<Result> {
    const task = readOptions('workerPool.work', taskFields, options);
    return (call) => {
      const { signal, key } = call;
      if (!this.#homes.has(call.scope.sink)) return this.#runAlone(data, task, { signal, key }) as Promise<Result>;
      return this.#threads.run(data, task, signal) as Promise<Result>;
    };
  }

  async run<Result>(data: unknown, options: RunOptions = {}): Promise<Result> {
    const { name, transferList, ...call } = options;
    return (await this.#runAlone(data, readOptions('workerPool.run', taskFields, { name, transferList }), call)) as Result;
  }

  resize(threads: number): void {
    const from = this.slots.limit;
    readOptions('workerPool.resize', { threads: upTo(this.#most) }, { threads });
    this.setLimit(threads);
    this.audience.emit('worker-pool.resized', 'info', undefined, { from, to: threads });
  }

  snapshot(): WorkerPoolSnapshot {
    return { threads: this.slots.limit, maxQueue: this.settings.maxQueue, alive: this.#threads.alive, ...this.reading() };
  }

  describe(): PlainData {
    const { filename, minThreads, idleTimeout, resourceLimits, pool } = this.settings;
    const own = pool === undefined ? { filename, minThreads, idleTimeout, ...(resourceLimits && { resourceLimits }) } : {};
    return { threads: this.#most, ...own, ...describeQueue(this.settings) };
  }

  close(options: { readonly drain?: Duration } = {}): Promise<void> {
    const { drain } = readOptions<{ drain: number }>('workerPool.close', { drain: duration({ infinite: true }).or('30s') }, options);
    this.#end ??= this.#close(drain);
    return this.#end;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #close(drain: number): Promise<void> {
    await this.#closing.end(drain, this.name ?? this.kind);
    await this.#threads.end(this.settings.pool === undefined);
  }

  #runAlone(data: unknown, task: TaskOptions, call: CallOptions): Promise<unknown> {
    this.#alone ??= pipeline<readonly GatePolicy[]>([this], { name: 'pool.run' });
    return this.#alone.execute(({ signal }) => this.#threads.run(data, task, signal), call);
  }
}

const words = slotWords('threads', BulkheadFullError, QueueTimeoutError, {
  queued: { type: 'worker-pool.queued', level: 'debug' },
  admitted: { type: 'worker-pool.admitted', level: 'debug' },
  'timed-out': { type: 'worker-pool.timed-out', level: 'warn' },
  shed: { type: 'worker-pool.shed', level: 'warn' },
  evicted: { type: 'worker-pool.evicted', level: 'warn' },
});
