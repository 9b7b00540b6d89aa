/** A listener of Node's with gates in front of it. */

import { type IncomingMessage, ServerResponse } from 'node:http';
import type { Http2ServerRequest, Http2ServerResponse } from 'node:http2';
import type { Duplex } from 'node:stream';
import type { Socket } from 'node:net';
import { OptionsError } from '../../core/errors.ts';
import { show } from '../../core/options.ts';
import type { Pipeline } from '../../core/pipeline.ts';
import type { AnyPolicy } from '../../core/policy.ts';
import { type Guard, type MiddlewareOptions, guard } from './guard.ts';
import { send } from './raw-response.ts';
import { warn } from '../warnings/warnings.ts';

/** What `createServer` takes. */
export type Listener = (req: IncomingMessage, res: ServerResponse) => unknown;

/** What `server.on('upgrade')` takes. */
export type UpgradeListener = (req: IncomingMessage, socket: Duplex, head: Buffer) => unknown;

/** Options of {@link protect}. */
export interface ProtectOptions extends MiddlewareOptions<IncomingMessage> {
  /**
   * Called with what a function of the guard's options threw, and with what the listener threw or rejected with. It answers the request.
   *
   * @defaultValue for errors of the guard a 500; those of the listener are left to Node, as without a guard
   */
  readonly onError?: (error: unknown, req: IncomingMessage, res: ServerResponse) => void;
}

/** A listener for `createServer`, of `node:http` and of `node:http2`. */
export interface Protected {
  (req: IncomingMessage | Http2ServerRequest, res: ServerResponse | Http2ServerResponse): void;
  /** For its events, `snapshot()` and `close()`. */
  readonly pipeline: Pipeline;
  /** For `server.on('checkContinue')`: a client that waits to be asked for its body is asked once it is admitted, and not if it is refused. */
  readonly checkContinue: (req: IncomingMessage, res: ServerResponse) => void;
  /**
   * For `server.on('upgrade')`: takes the request through the same gates first. What it was given there is given back when the socket closes, and
   * `req.breakwater.signal` aborts then.
   */
  upgrade(listener: UpgradeListener): (req: IncomingMessage, socket: Duplex, head: Buffer) => void;
}

const failed = { status: 500, type: 'about:blank', title: 'Internal Server Error' };

/**
 * Puts gates in front of a listener: `createServer(protect(listener, [...]))`. All else is as with {@link guard}.
 *
 * @throws OptionsError if an option is wrong or a policy is no gate
 *
 * @example
 * ```ts
 * import { createServer } from 'node:http';
 * import { bulkhead } from 'breakwater';
 * import { protect } from 'breakwater/node';
 *
 * const listener = protect((req, res) => res.end(`${req.breakwater.remaining()} ms left`), [bulkhead({ maxConcurrent: 100 })], { deadline: '2s' });
 * const server = createServer(listener);
 * server.on('checkContinue', listener.checkContinue);
 * console.log(listener.pipeline.snapshot().active); // => 0
 * ```
 */
export function protect(listener: Listener, policies: readonly AnyPolicy[] | Pipeline, options: ProtectOptions = {}): Protected {
  if (typeof listener !== 'function')
    throw new OptionsError([{ path: 'protect', expected: 'a function (req, res) => void', got: show(listener) }]);
  const { onError, ...own } = options;
  if (onError !== undefined && typeof onError !== 'function')
    throw new OptionsError([{ path: 'protect.onError', expected: 'a function (error, req, res) => void', got: show(onError) }]);
  return protectedBy(listener, guard<IncomingMessage>(policies, own), onError);
}

function protectedBy(listener: Listener, gates: Guard<IncomingMessage>, onError: ProtectOptions['onError']): Protected {
  const fail = (error: unknown, req: IncomingMessage, res: ServerResponse): void => {
    if (onError !== undefined) onError(error, req, res);
    else {
      warn(undefined, 'BREAKWATER_UNHEARD_ERROR', gates.pipeline.name);
      if (res.headersSent) res.destroy();
      else sendFailure(req, res);
    }
  };
  const serve = (req: IncomingMessage, res: ServerResponse, run: () => unknown): void =>
    gates(req, res, (error) => {
      if (error !== undefined) fail(error, req, res);
      else if (onError === undefined) run();
      else void running(run).catch((thrown: unknown) => onError(thrown, req, res));
    });

  const handle = (req: IncomingMessage, res: ServerResponse): void => serve(req, res, () => listener(req, res));
  return Object.assign(handle as Protected, {
    pipeline: gates.pipeline,
    checkContinue: (req: IncomingMessage, res: ServerResponse): void =>
      serve(req, res, () => {
        res.writeContinue();
        return listener(req, res);
      }),
    upgrade:
      (switched: UpgradeListener) =>
      (req: IncomingMessage, socket: Duplex, head: Buffer): void => {
        const res = new ServerResponse(req);
        res.shouldKeepAlive = false;
        res.assignSocket(socket as unknown as Socket);
        const stopWatching = watch(socket);
        socket.once('close', () => res.emit('close'));
        // Refused: the answer is all that goes over this connection.
        res.once('finish', () => socket.end());
        serve(req, res, () => {
          stopWatching();
          res.detachSocket(socket as unknown as Socket);
          return switched(req, socket, head);
        });
      },
  });
}

/** Notices that a client leaves while its request waits. Nobody reads its socket then, and what it says early is left for whom it is meant. */
function watch(socket: Duplex): () => void {
  const broken = (): void => void socket.destroy();
  const look = (): void => {
    if (socket.readableLength === 0) socket.read();
  };
  socket.on('error', broken).once('end', broken).on('readable', look);
  return () => {
    socket.removeListener('error', broken).removeListener('end', broken).removeListener('readable', look);
  };
}

async function running(run: () => unknown): Promise<void> {
  await run();
}

function sendFailure(req: IncomingMessage, res: ServerResponse): void {
  const body = JSON.stringify(failed);
  const headers = { 'content-type': 'application/problem+json', 'content-length': String(body.length), 'cache-control': 'no-store' };
  send(req, res, { status: failed.status, headers, body });
}
