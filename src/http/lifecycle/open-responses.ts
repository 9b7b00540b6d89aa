import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { ShutdownError } from '../../core/errors.ts';
import { made } from '../../core/made.ts';
import { send } from '../middleware/raw-response.ts';
import { type Answer, answerTo } from '../admission/response.ts';

/** What a request gets that comes too late. */
export const closing: Answer = answerTo(made(ShutdownError, 'The server is shutting down', {}, false)) as Answer;

/**
 * Responses that are not over yet: how many of them are being worked on, and which of them tells its connection to close.
 *
 * A response is over when it says `close`, which it does exactly once however it ends. One that waits in a pipeline behind another says nothing if
 * its connection breaks, so there the connection is listened to.
 */
export class OpenResponses {
  /** Whether it is being worked on, or a refusal on its way out. */
  readonly #open = new Map<ServerResponse, boolean>();
  readonly #changed: () => void;
  /** The newest response of each connection, once connections are told to close. */
  readonly #newest = new WeakMap<Socket, ServerResponse>();
  #leaving = false;
  /** How many are being worked on. */
  running = 0;

  constructor(changed: () => void) {
    this.#changed = changed;
  }

  /** Counts a response from now on until it is over; one that is known, or over already, not again. */
  add(response: ServerResponse): void {
    if (this.#open.has(response) || !this.#keep(response, true)) return;
    this.running++;
    if (this.#leaving) this.#part(response);
  }

  /** Answers that the server is shutting down. */
  refuse(request: IncomingMessage, response: ServerResponse): void {
    if (this.#open.get(response) === true) {
      this.#open.set(response, false);
      this.running--;
    } else this.#keep(response, false);
    // To close on a client that is still sending would take the answer away from it.
    if (!hasBody(request)) this.#part(response);
    send(request, response, closing);
    request.resume();
  }

  /** From now on connections are told to close, by the last answer that each of them carries. */
  leave(): void {
    this.#leaving = true;
    for (const response of this.#open.keys()) this.#part(response);
  }

  /** Ends streams of server-sent events: they would not end by themselves, and their clients come back elsewhere. */
  endStreams(): void {
    for (const response of this.#open.keys()) if (isEventStream(response)) response.end();
  }

  /** Whether an answer is complete and still on its way out: Node takes its connection for idle, and would cut it. */
  flushing(): boolean {
    for (const { writableEnded, writableFinished } of this.#open.keys()) if (writableEnded && !writableFinished) return true;
    return false;
  }

  /** Breaks the connections of all that are left. */
  cut(): void {
    for (const { req } of this.#open.keys()) req.socket.destroy();
  }

  #keep(response: ServerResponse, running: boolean): boolean {
    const { socket } = response.req;
    if (response.destroyed || socket.destroyed) return false;
    this.#open.set(response, running);
    const queued = response.socket === null;
    const over = (): void => {
      if (queued) socket.removeListener('close', over);
      if (this.#open.get(response) === true) this.running--;
      if (this.#open.delete(response)) this.#changed();
    };
    response.once('close', over);
    if (queued) socket.once('close', over);
    return true;
  }

  /**
   * Lets this response close its connection, and no longer the one before it on the same: Node cuts what stands in the pipeline behind an answer that
   * says so. HTTP/2 has another way to part.
   */
  #part(response: ServerResponse): void {
    const { req } = response;
    if (req.httpVersionMajor >= 2) return;
    const before = this.#newest.get(req.socket);
    this.#newest.set(req.socket, response);
    if (before !== undefined && before !== response && !before.headersSent) before.removeHeader('connection');
    if (!response.headersSent) response.setHeader('connection', 'close');
  }
}

/** Whether its client has more to send; Node knows that it was all only after it has told of the request. */
function hasBody({ complete, headers }: IncomingMessage): boolean {
  return !complete && (headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0);
}

/** What an `EventSource` asks for. A stream of events that answers a POST ends by itself, with the last word. */
function isEventStream(response: ServerResponse): boolean {
  const { req, headersSent } = response;
  if (!headersSent || req.method !== 'GET') return false;
  const type = response.getHeader('content-type');
  if (type !== undefined) return typeof type === 'string' && type.trimStart().toLowerCase().startsWith('text/event-stream');
  // Fields that were given to `writeHead` stand only in what was sent.
  return /^content-type: *text\/event-stream/im.test((response as { readonly _header?: string | null })._header ?? '');
}
