/**
 * The life of a server process: ready, on its way out, closed. Going out, it first says that it is not ready, then refuses new requests, lets those that run finish, and
 * only then closes what they need.
 *
 * @module
 */

import type { IncomingMessage, ServerResponse } from 'node:http';
import { constants } from 'node:os';
import { Alarm } from '../../core/alarm.ts';
import { OptionsError } from '../../core/errors.ts';
import { show } from '../../core/options.ts';
import { isThenable } from '../../core/thenable.ts';
import { afterPoll, systemClock } from '../../core/clock.ts';
import { readOptions } from '../../core/options.ts';
import { type ClosableServer, ClosingServer } from './closing-server.ts';
import { type LifecycleOptions, type LifecycleSettings, lifecycleFields } from './options.ts';
import { OpenResponses } from './open-responses.ts';

/** Where the process stands. */
export type LifecycleState = 'starting' | 'ready' | 'draining' | 'closed';

/** How a shutdown went. */
export interface Drained {
  /** Requests and connections that were cut because they had not finished in time. */
  readonly cut: number;
  /** How long it took in all, ms. */
  readonly took: number;
}

/** Which signals of the operating system end the process, and how. */
export interface SignalOptions {
  /** @defaultValue `['SIGTERM', 'SIGINT']` */
  readonly signals?: readonly NodeJS.Signals[];
  /** Whether to call `process.exit()` once drained; without it the process ends when nothing keeps it. @defaultValue `false` */
  readonly exit?: boolean;
}

/** The life of a server process. */
export interface Lifecycle {
  readonly state: LifecycleState;
  /** Whether new requests are refused. */
  readonly refusing: boolean;
  /** Requests under way, of those that are counted: all of attached servers, and what `enter` or `track` was given. */
  readonly inFlight: number;
  /** Says that it has warmed up, where `ready: false` was given. */
  ready(): void;
  /** Takes a server along: its requests are counted, and it is closed in the end. Best before it listens. */
  attach<Server extends ClosableServer>(server: Server): Server;
  /** Counts a request and answers true; while new ones are refused, answers the request with a 503 and says false. */
  enter(req: IncomingMessage, res: ServerResponse): boolean;
  /** Counts a response until it is over, and refuses nothing. */
  track(res: ServerResponse): void;
  /** `enter` as middleware for Express, Connect and the like. Not needed for servers that are attached. */
  readonly middleware: (req: IncomingMessage, res: ServerResponse, next: () => void) => void;
  /** Shuts down, once: every call gets the same promise. Rejects with what `onDrain` or `onClose` threw, after all the rest is done. */
  drain(): Promise<Drained>;
  /** Drains when one of these signals comes, and ends the process at once when another one does. Answers with what takes the listeners off. */
  onSignals(options?: SignalOptions): () => void;
}

/**
 * Makes a server end well. `drain()` goes in steps: readiness turns false and answers ask connections to close; after `delay` new requests get a 503 with `Retry-After`,
 * and idle connections are closed; what runs may finish for up to `drain`; then the pipelines are closed, what is left is aborted and cut, and the servers close.
 *
 * @throws OptionsError if an option is wrong
 *
 * @example
 * ```ts
 * import { createServer } from 'node:http';
 * import { lifecycle } from 'breakwater/node';
 *
 * const server = createServer((_, res) => res.end('hello'));
 * const life = lifecycle({ server, delay: 0 });
 * server.listen(0);
 * console.log(life.state); // => 'ready'
 * await life.drain();
 * console.log(life.state, server.listening); // => 'closed' false
 * ```
 */
export function lifecycle(options: LifecycleOptions = {}): Lifecycle {
  return new ServerLife(readOptions('lifecycle', lifecycleFields, options));
}

class ServerLife implements Lifecycle {
  readonly #settings: LifecycleSettings;
  readonly #responses = new OpenResponses(() => this.#changed());
  readonly #servers: ClosingServer[] = [];
  #state: LifecycleState;
  #refusing = false;
  #quiet: (() => void) | undefined = undefined;
  #drained: Promise<Drained> | undefined = undefined;
  /** What `onDrain` threw. */
  #failed: { readonly error: unknown } | undefined = undefined;

  constructor(settings: LifecycleSettings) {
    this.#settings = settings;
    this.#state = settings.ready ? 'ready' : 'starting';
    if (settings.server !== undefined) this.attach(settings.server);
  }

  get state(): LifecycleState {
    return this.#state;
  }

  get refusing(): boolean {
    return this.#refusing;
  }

  get inFlight(): number {
    return this.#responses.running;
  }

  ready(): void {
    if (this.#state === 'starting') this.#state = 'ready';
  }

  attach<Server extends ClosableServer>(server: Server): Server {
    if (typeof (server as Partial<ClosableServer> | undefined)?.close !== 'function')
      throw new OptionsError([
        { path: 'lifecycle.attach', expected: 'a server: what createServer() or app.listen() answers with', got: show(server) },
      ]);
    const closing = new ClosingServer(server, this.#responses, () => this.#changed());
    this.#servers.push(closing);
    if (this.#refusing) closing.refuse(this.#settings.skip);
    return server;
  }

  enter(req: IncomingMessage, res: ServerResponse): boolean {
    if (this.#refusing && this.#settings.skip?.(req) !== true) {
      this.#responses.refuse(req, res);
      return false;
    }
    this.#responses.add(res);
    return true;
  }

  track(res: ServerResponse): void {
    this.#responses.add(res);
  }

  readonly middleware = (req: IncomingMessage, res: ServerResponse, next: () => void): void => {
    if (this.enter(req, res)) next();
  };

  drain(): Promise<Drained> {
    if (this.#drained === undefined) {
      this.#state = 'draining';
      this.#responses.leave();
      this.#drained = this.#end(systemClock.now());
    }
    return this.#drained;
  }

  onSignals({ signals = ['SIGTERM', 'SIGINT'], exit = false }: SignalOptions = {}): () => void {
    let asked = false;
    const came = (signal: NodeJS.Signals): void => {
      if (asked) process.exit(128 + constants.signals[signal]);
      asked = true;
      const drained = this.drain();
      if (exit)
        drained.then(
          () => process.exit(),
          (error: unknown) => {
            console.error('The shutdown failed:', error);
            process.exit(1);
          },
        );
    };
    for (const signal of signals) process.on(signal, came);
    return () => {
      for (const signal of signals) process.removeListener(signal, came);
    };
  }

  async #end(begun: number): Promise<Drained> {
    const { delay, drain, pipelines, onClose } = this.#settings;
    await new Promise<void>((resolve) => (delay > 0 ? lapse(delay, resolve) : resolve()));
    const refused = systemClock.now();
    this.#refuse();
    await this.#quieted(drain);
    const cut = this.#busy();
    const left = cut > 0 ? 0 : Math.max(0, drain - (systemClock.now() - refused));
    await Promise.allSettled(pipelines.map((each) => each.close({ drain: left })));
    // What was aborted can still answer for itself.
    if (cut > 0) await new Promise<void>((resolve) => afterPoll(resolve));
    this.#responses.cut();
    await Promise.all(this.#servers.map((server) => server.end()));
    this.#state = 'closed';
    await onClose?.();
    if (this.#failed !== undefined) throw this.#failed.error;
    return { cut, took: Math.round(systemClock.now() - begun) };
  }

  /** What the callback throws must not keep the rest from ending. */
  #refuse(): void {
    const { skip, streams, onDrain } = this.#settings;
    this.#refusing = true;
    for (const server of this.#servers) server.refuse(skip);
    if (streams === 'end') this.#responses.endStreams();
    try {
      const said: unknown = onDrain?.();
      if (isThenable(said)) said.then(undefined, (error: unknown) => (this.#failed = { error }));
    } catch (error) {
      this.#failed = { error };
    }
  }

  #busy(): number {
    return this.#servers.reduce((sum, { held }) => sum + held, this.#responses.running);
  }

  /** Resolves when nothing runs any more, or after so many ms. */
  #quieted(longest: number): Promise<void> {
    return new Promise((resolve) => {
      const alarm = lapse(longest, resolve);
      this.#quiet = () => {
        alarm.clear();
        resolve();
      };
      this.#changed();
    });
  }

  #changed(): void {
    if (!this.#refusing) return;
    for (const server of this.#servers) server.closeIdle();
    if (this.#busy() === 0) this.#quiet?.();
  }
}

function lapse(ms: number, over: () => void): Alarm {
  const now = systemClock.now();
  const alarm = new Alarm(systemClock, over);
  alarm.set(now + ms, now);
  return alarm;
}
