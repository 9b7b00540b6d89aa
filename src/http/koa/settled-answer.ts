/** Answers in Koa's own terms, so that middleware further out (logs, compression, CORS) sees them as it sees any other. */

import type { Answer } from '../admission/response.ts';
import { describingFields, isBodiless } from '../recording/describing-fields.ts';
import type { Reply } from '../recording/reply.ts';

/** What is used of Koa's response; the context passes the same things on to it. */
export interface KoaResponse {
  status: number;
  body: unknown;
  set(field: string, value: string | string[]): void;
  append(field: string, value: string): void;
  remove(field: string): void;
}

/** Makes it the answer that is to be sent, in place of one that was begun. Fields of earlier middleware (CORS, security) stay. */
export function settle(response: KoaResponse, answer: Answer): void {
  for (const name of describingFields) response.remove(name);
  give(response, answer);
}

/** Makes it the answer that is to be sent. Fields that are there already stay, unless the answer has them, too. */
export function give(response: KoaResponse, { status, headers, body }: Reply): void {
  response.status = status;
  response.body = typeof body === 'string' ? body : Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  for (const [name, value] of Object.entries(headers)) response.set(name, value);
  if (isBodiless(status)) response.body = null;
}

const parts = ['status', 'message', 'body', 'type', 'length', 'etag', 'lastModified'];

/**
 * Keeps the answer as it is, whatever is still written to the response; only fields that it does not have can be added. A handler that was answered for holds
 * the same context as everybody else, and does not know.
 *
 * @returns what lets others write to the response again
 */
export function seal(response: KoaResponse, { headers }: Pick<Answer, 'headers'>): () => void {
  const own = Object.getPrototypeOf(response) as KoaResponse;
  const kept = (field: string): boolean => describingFields.includes(field) || Object.hasOwn(headers, field);
  const others =
    (method: 'set' | 'append' | 'remove') =>
    (field: string | Readonly<Record<string, string>>, value: string): void => {
      if (typeof field === 'object') for (const name of Object.keys(field)) response.set(name, field[name] as string);
      else if (!kept(field.toLowerCase())) own[method].call(response, field, value);
    };
  const sealed: PropertyDescriptorMap = {};
  for (const part of parts)
    sealed[part] = { configurable: true, get: () => Reflect.get(own, part, response) as unknown, set: () => undefined };
  for (const method of ['set', 'append', 'remove'] as const) sealed[method] = { configurable: true, value: others(method) };
  Object.defineProperties(response, sealed);
  return () => {
    for (const name of Object.keys(sealed)) Reflect.deleteProperty(response, name);
  };
}
