/** What Fastify's reply is used for: an answer that goes through its hooks, and silence for a handler that is too late. */

import type { ServerResponse } from 'node:http';
import { discard } from '../../core/disposal.ts';
import { describingFields } from '../recording/describing-fields.ts';
import type { Answer } from '../admission/response.ts';

/** What is used of Fastify's reply. */
export interface Replying {
  readonly raw: ServerResponse;
  /** Whether somebody has answered, or has taken the response over. */
  readonly sent: boolean;
  readonly log: object;
  code(status: number): unknown;
  headers(fields: Readonly<Record<string, string>>): unknown;
  getHeaders(): object;
  removeHeader(name: string): unknown;
  serializer(serialize: (payload: unknown) => string): unknown;
  send(payload?: unknown): unknown;
}

/** Gives the reply status and fields of an answer, and takes those that describe another one. What hooks have set (CORS, security) stays. */
export function prepare(reply: Replying, { status, headers }: Pick<Answer, 'status' | 'headers'>): void {
  for (const name of Object.keys(reply.getHeaders())) if (describingFields.includes(name)) reply.removeHeader(name);
  reply.code(status);
  reply.headers(headers);
}

/** Sends an answer as it is: how the handler wanted its own to be written does not concern it. */
export function answer(reply: Replying, given: Answer): void {
  prepare(reply, given);
  reply.serializer(plain);
  reply.send(typeof given.body === 'string' ? given.body : Buffer.from(given.body));
}

/** Texts as they are; what an error handler says after a hook has failed on them, as JSON. */
function plain(payload: unknown): string {
  return typeof payload === 'string' ? payload : JSON.stringify(payload);
}

/**
 * Takes a reply out of the hands of its handler, whose time was up. What that still sends goes nowhere, and if it rejects as `reason` told it to, nothing is logged;
 * to Fastify it seems sent, so what of the route has not run yet does not run any more.
 *
 * Answers with the same reply once more, for those who answer in its place.
 */
export function takeOver<Reply extends Replying>(reply: Reply, reason: unknown): Reply {
  const { log } = reply;
  const own = Object.assign(Object.create(Object.getPrototypeOf(reply) as object) as Reply, reply);
  Object.defineProperties(reply, {
    sent: { configurable: true, get: () => true },
    send: { configurable: true, value: (payload: unknown) => (discard(payload), reply) },
    log: { configurable: true, writable: true, value: withoutObedience(log, reason) },
  });
  return own;
}

/** The same log, but not for a handler that did what its signal told it: stop. */
function withoutObedience(log: object, reason: unknown): object {
  const error = (...said: readonly unknown[]): void => {
    if (!isObedience((said[0] as { readonly err?: unknown } | undefined)?.err, reason)) (log as Log).error(...said);
  };
  return Object.create(log, { error: { value: error } }) as object;
}

interface Log {
  error(...said: readonly unknown[]): void;
}

function isObedience(error: unknown, reason: unknown): boolean {
  if (error === reason) return true;
  const { name, cause } = Object(error) as { readonly name?: unknown; readonly cause?: unknown };
  return name === 'AbortError' || (cause !== undefined && cause === reason);
}
