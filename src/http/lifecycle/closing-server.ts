import type { IncomingMessage, ServerResponse } from 'node:http';
import type { ServerHttp2Session } from 'node:http2';
import type { Server } from 'node:net';
import type { Duplex } from 'node:stream';
import { type OpenResponses, closing } from './open-responses.ts';

/** A server that can be closed: of `node:http`, `node:https` or `node:http2`. */
export type ClosableServer = Server & { closeIdleConnections?(): void; closeAllConnections?(): void };

/** Whether a request is served though the server refuses. */
export type Exempt = (request: IncomingMessage) => boolean;

type Answering = (request: IncomingMessage, response: ServerResponse) => void;
type Switching = (request: IncomingMessage, socket: Duplex) => void;

const asking = ['request', 'checkContinue', 'checkExpectation'] as const;
const switching = ['upgrade', 'connect'] as const;

const refusal = [
  'HTTP/1.1 503 Service Unavailable',
  ...Object.entries(closing.headers).map(([name, value]) => `${name}: ${value}`),
  'connection: close',
  '',
  closing.body,
].join('\r\n');

/**
 * One server on its way out. `server.close()` alone waits without bound for streams, for connections that were upgraded and for such as never said anything,
 * so all of them are known here from when the server is attached.
 */
export class ClosingServer {
  readonly #server: ClosableServer;
  readonly #responses: OpenResponses;
  readonly #changed: () => void;
  readonly #sockets = new Set<Duplex>();
  readonly #sessions = new Set<ServerHttp2Session>();
  /** Connections that no longer speak HTTP. */
  readonly #upgraded = new Set<Duplex>();
  #refusing = false;

  constructor(server: ClosableServer, responses: OpenResponses, changed: () => void) {
    this.#server = server;
    this.#responses = responses;
    this.#changed = changed;
    for (const event of ['connection', 'secureConnection'])
      server.on(event, (socket: Duplex) => {
        this.#sockets.add(socket);
        socket.once('close', () => this.#sockets.delete(socket));
      });
    server.on('session', (session: ServerHttp2Session) => this.#meet(session));
    for (const event of asking) this.#alongside(event, ((_, response) => responses.add(response)) satisfies Answering);
    for (const event of switching) this.#alongside(event, ((_, socket) => this.#hold(socket)) satisfies Switching);
  }

  /** Upgraded connections, and while it refuses sessions of HTTP/2: what is still to finish, beside responses. */
  get held(): number {
    return this.#upgraded.size + (this.#refusing ? this.#sessions.size : 0);
  }

  /** Answers 503 instead of what the application would. It goes on listening: who connects now is told, and not left in doubt. */
  refuse(exempt: Exempt | undefined): void {
    this.#refusing = true;
    for (const event of asking)
      this.#instead(event, exempt, ((request, response) => this.#responses.refuse(request, response)) satisfies Answering);
    for (const event of switching)
      this.#instead(event, exempt, ((_, socket) => {
        socket.on('error', () => socket.destroy());
        socket.end(refusal, () => socket.destroy());
      }) satisfies Switching);
    for (const session of this.#sessions) session.close();
    this.closeIdle();
  }

  /** Closes connections that carry nothing. */
  closeIdle(): void {
    if (!this.#responses.flushing()) this.#server.closeIdleConnections?.();
  }

  /** Stops listening and breaks every connection there is; resolves when the server is closed. */
  async end(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections?.();
      for (const session of this.#sessions) session.destroy();
      for (const socket of this.#sockets) socket.destroy();
    });
  }

  /** A session tells its client to open no more streams, and ends with its last one. */
  #meet(session: ServerHttp2Session): void {
    this.#sessions.add(session);
    session.once('close', () => {
      this.#sessions.delete(session);
      this.#changed();
    });
    if (this.#refusing) session.close();
  }

  #hold(socket: Duplex): void {
    this.#upgraded.add(socket);
    socket.once('close', () => {
      this.#upgraded.delete(socket);
      this.#changed();
    });
  }

  /** Hears an event before the application does, and only if that hears it too: with a listener for it, Node behaves another way. */
  #alongside(event: string, listener: Answering | Switching): void {
    const server = this.#server;
    if (server.listenerCount(event) > 0) {
      server.prependListener(event, listener);
      return;
    }
    const wait = (heard: string | symbol): void => {
      if (heard !== event) return;
      server.removeListener('newListener', wait);
      server.prependListener(event, listener);
    };
    server.on('newListener', wait);
  }

  #instead(event: string, exempt: Exempt | undefined, listener: Answering | Switching): void {
    const server = this.#server;
    const before = server.rawListeners(event);
    if (before.length === 0) return;
    server.removeAllListeners(event);
    server.on(event, (request: IncomingMessage, ...rest: unknown[]) => {
      if (exempt?.(request) === true) for (const each of before) Reflect.apply(each, server, [request, ...rest]);
      else Reflect.apply(listener, undefined, [request, ...rest]);
    });
  }
}
