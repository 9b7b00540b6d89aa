/** Answers on Node's own response, whatever framework stands on it. */

import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Answer } from '../admission/response.ts';
import { describingFields } from '../recording/describing-fields.ts';
import { sendReply } from '../recording/reply.ts';

/** Sends the answer where nothing has been sent yet, in place of one that was begun. Fields of earlier middleware (CORS, security) stay. */
export function send(request: IncomingMessage, response: ServerResponse, answer: Answer): void {
  for (const name of describingFields) response.removeHeader(name);
  sendReply(request, response, answer);
}

/** Gives a response its voice back. */
export type Unmute = () => void;

/**
 * Lets what a handler still does with its response go nowhere. It was answered for, and does not know: its next `setHeader` would throw, which
 * from a timer's callback ends the process. And when it rejects because its signal told it to stop, error handlers find the headers sent and, as
 * Express does, cut a connection that still carries the answer or the next request; so to them nothing seems sent.
 *
 * Answers with what undoes it.
 */
export function mute(response: ServerResponse): Unmute {
  const { statusCode } = response;
  const self = (): ServerResponse => response;
  const restore = replaced(response, {
    setHeader: self,
    setHeaders: self,
    appendHeader: self,
    removeHeader: ignore,
    writeHead: self,
    flushHeaders: ignore,
    writeContinue: ignore,
    writeEarlyHints: ignore,
    write: (...given: readonly unknown[]) => {
      callBack(given);
      return true;
    },
    end: (...given: readonly unknown[]) => {
      callBack(given);
      return response;
    },
  });
  // Those who look when the response is over (access logs, metrics) see what was sent.
  let over = false;
  const show = (): void => {
    over = true;
    process.nextTick(() => {
      over = false;
    });
  };
  response.prependOnceListener('finish', show).prependOnceListener('close', show);
  Object.defineProperties(response, {
    headersSent: { configurable: true, get: () => over },
    statusCode: { configurable: true, get: () => statusCode, set: ignore },
  });
  return () => {
    response.off('finish', show).off('close', show);
    Reflect.deleteProperty(response, 'headersSent');
    Object.defineProperty(response, 'statusCode', { configurable: true, enumerable: true, writable: true, value: statusCode });
    restore();
  };
}

/** Puts these in place of a response's own methods, or those that other middleware put there; answers with what undoes that. */
function replaced(response: ServerResponse, methods: Readonly<Record<string, unknown>>): () => void {
  const before = Object.keys(methods).map((name) => [name, Object.getOwnPropertyDescriptor(response, name)] as const);
  Object.assign(response, methods);
  return () => {
    for (const [name, own] of before) {
      if (own === undefined) Reflect.deleteProperty(response, name);
      else Object.defineProperty(response, name, own);
    }
  };
}

function ignore(): void {}

function callBack(given: readonly unknown[]): void {
  const callback = given.find((each) => typeof each === 'function');
  if (callback !== undefined) process.nextTick(callback);
}
