import type { Worker } from 'node:worker_threads';

/** What is used of a Piscina. */
export interface PiscinaLike {
  readonly maxThreads: number;
  /** The threads that there are now. */
  readonly threads: readonly Worker[];
  run(data: unknown, options?: object): Promise<unknown>;
  destroy(): Promise<void>;
  on(event: 'error', listener: (error: unknown) => void): unknown;
}

/** Options of one task. */
export interface TaskOptions {
  /** The export of the worker's file to call. @defaultValue the default export */
  readonly name?: string | undefined;
  /** What is handed over to the worker instead of copied; it is of no use here afterwards. @defaultValue nothing */
  readonly transferList?: readonly object[] | undefined;
}

/** Threads that run one task at a time each, and tell when a task has really ended. */
export class Threads {
  readonly #pool: PiscinaLike;
  /** Tasks that have not ended, those included that were told to. */
  readonly #tasks = new Map<Task, Promise<unknown>>();

  /** `onFailure` is told of errors that no task gets to see: of threads that fail while they start, or without work. */
  constructor(pool: PiscinaLike, onFailure: (error: unknown) => void) {
    this.#pool = pool;
    pool.on('error', (error) => {
      // With no thread left nothing runs: what has not ended waits for one that could not start, and nobody would start another.
      if (pool.threads.length === 0) for (const task of this.#tasks.keys()) task.fail(error);
      onFailure(error);
    });
  }

  /** Threads that there are now. */
  get alive(): number {
    return this.#pool.threads.length;
  }

  /**
   * Runs a task. If the signal aborts, its thread is ended, whatever it is doing; the promise then rejects with the signal's reason, and not before the
   * thread is gone.
   */
  async run(data: unknown, options: TaskOptions, signal: AbortSignal): Promise<unknown> {
    signal.throwIfAborted();
    const task = new Task(this.#pool);
    const abort = (): void => task.fail(signal.reason);
    signal.addEventListener('abort', abort);
    try {
      const ended = task.run(data, options);
      this.#tasks.set(task, ended);
      return await ended;
    } finally {
      signal.removeEventListener('abort', abort);
      this.#tasks.delete(task);
    }
  }

  /** Waits for tasks that have not ended; then, if they are to go, ends all threads. */
  async end(destroy: boolean): Promise<void> {
    await Promise.allSettled(this.#tasks.values());
    if (destroy) await this.#pool.destroy();
  }
}

class Task {
  readonly #pool: PiscinaLike;
  readonly #controller = new AbortController();
  #failure: { readonly error: unknown; readonly gone: Promise<unknown> } | undefined = undefined;

  constructor(pool: PiscinaLike) {
    this.#pool = pool;
  }

  async run(data: unknown, options: TaskOptions): Promise<unknown> {
    try {
      return await this.#pool.run(data, { ...options, signal: this.#controller.signal });
    } catch (error) {
      if (this.#failure === undefined) throw error;
      await this.#failure.gone;
      throw this.#failure.error;
    }
  }

  fail(error: unknown): void {
    this.#failure ??= { error, gone: this.#stop() };
  }

  /** Resolves when the thread is gone that the task ran in; at once if it did not run. The pool forgets that thread in the moment that it is told to stop. */
  #stop(): Promise<unknown> {
    const before = this.#pool.threads;
    this.#controller.abort();
    const left = new Set(this.#pool.threads);
    const ended = before.filter((thread) => !left.has(thread));
    return Promise.all(ended.map((thread) => new Promise((resolve) => thread.once('exit', resolve))));
  }
}
