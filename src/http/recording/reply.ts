/** A whole answer that was kept, and how it is given again. */

import { type IncomingMessage, STATUS_CODES, type ServerResponse } from 'node:http';
import { isBodiless } from './describing-fields.ts';

/** Fields by their lower-case names; one with several lines has several values. */
export type ReplyHeaders = Readonly<Record<string, string | string[]>>;

/** An answer, ready to be sent. */
export interface Reply {
  readonly status: number;
  readonly headers: ReplyHeaders;
  readonly body: string | Uint8Array;
}

/** Sends it on Node's own response. Fields that are there already (CORS, request ids) stay, unless the reply has them, too. */
export function sendReply(request: IncomingMessage, response: ServerResponse, { status, headers, body }: Reply): void {
  response.statusCode = status;
  if (request.httpVersionMajor < 2) response.statusMessage = STATUS_CODES[status] ?? '';
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
  if (isBodiless(status)) response.end();
  else response.end(body);
}

/** The same as a response of the web platform. */
export function webReply({ status, headers, body }: Reply): Response {
  const fields = new Headers();
  for (const [name, value] of Object.entries(headers)) {
    if (typeof value === 'string') fields.set(name, value);
    else for (const line of value) fields.append(name, line);
  }
  const bytes = typeof body === 'string' ? body : new Uint8Array(body);
  return new Response(isBodiless(status) ? null : bytes, { status, headers: fields });
}
