import type { IncomingMessage } from 'node:http';
import { type Duration, type Fields, duration, field, flag, fn, oneOf } from '../../core/options.ts';
import type { Pipeline } from '../../core/pipeline.ts';
import type { ClosableServer } from './closing-server.ts';

/** Options of `lifecycle()`. */
export interface LifecycleOptions {
  /** The server that listens; one that is made later is given to `attach()`. @defaultValue none */
  readonly server?: ClosableServer;
  /** Pipelines to close once requests have finished, such as the `pipeline` of each guard. @defaultValue none */
  readonly pipelines?: readonly Pick<Pipeline, 'close'>[];
  /** False if it has to warm up first: it is ready when `ready()` is called. @defaultValue `true` */
  readonly ready?: boolean;
  /**
   * How long requests are still served after readiness has turned: load balancers notice at their next probes, and send new requests until then. `0` where nothing
   * stands in front. @defaultValue `'5s'`
   */
  readonly delay?: Duration;
  /** How long what runs may go on once new requests are refused. @defaultValue `'20s'` */
  readonly drain?: Duration;
  /** Whether streams of server-sent events that answer a GET are ended when new requests are refused, or may `'finish'`: they seldom do. @defaultValue `'end'` */
  readonly streams?: 'end' | 'finish';
  /** Requests to serve though new ones are refused, such as liveness probes. @defaultValue none */
  readonly skip?: (req: IncomingMessage) => boolean;
  /** Called when new requests begin to be refused: close WebSockets and stop taking jobs from queues here. @defaultValue nothing */
  readonly onDrain?: () => void;
  /** Called when nothing runs any more and the servers are closed: close database pools here. `drain()` waits for it. @defaultValue nothing */
  readonly onClose?: () => unknown;
}

/** Options as read. */
export interface LifecycleSettings {
  readonly server: ClosableServer | undefined;
  readonly pipelines: readonly Pick<Pipeline, 'close'>[];
  readonly ready: boolean;
  readonly delay: number;
  readonly drain: number;
  readonly streams: 'end' | 'finish';
  readonly skip: ((req: IncomingMessage) => boolean) | undefined;
  readonly onDrain: (() => void) | undefined;
  readonly onClose: (() => unknown) | undefined;
}

/** The option table. */
export const lifecycleFields: Fields<LifecycleSettings> = {
  server: field<ClosableServer>('a server of node:http, node:https or node:http2', (value) =>
    typeof (value as Partial<ClosableServer> | null)?.close === 'function' ? (value as ClosableServer) : undefined,
  ).optional(),
  pipelines: field<readonly Pick<Pipeline, 'close'>[]>('a list of pipelines', (value) =>
    Array.isArray(value) && value.every((each: Partial<Pipeline> | null) => typeof each?.close === 'function') ? value : undefined,
  ).or([]),
  ready: flag().or(true),
  delay: duration().or('5s'),
  drain: duration({ infinite: true }).or('20s'),
  streams: oneOf('end', 'finish').or('end'),
  skip: fn<(req: IncomingMessage) => boolean>('(req) => boolean').optional(),
  onDrain: fn<() => void>('() => void').optional(),
  onClose: fn<() => unknown>('() => void | Promise<void>').optional(),
};
