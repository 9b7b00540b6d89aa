/** Request and response under a Nest application, whether Express or Fastify carries it. */

import type { IncomingMessage, ServerResponse } from 'node:http';
import type { ExecutionContext } from '@nestjs/common';
import { mute, send } from '../middleware/raw-response.ts';
import type { Turned } from '../admission/response.ts';

/** What is used of a request, which is Express's or Fastify's. */
export interface NestRequest {
  readonly method?: string | undefined;
  readonly url?: string | undefined;
  readonly originalUrl?: string | undefined;
  readonly ip?: string | undefined;
  readonly headers: IncomingMessage['headers'];
}

/** What is used of a response: Fastify's has Node's within it. */
interface NestResponse {
  readonly raw?: ServerResponse;
  hijack?(): unknown;
}

/** One request and its response. */
export class Exchange {
  readonly request: NestRequest;
  /** Node's own. */
  readonly incoming: IncomingMessage;
  /** Node's own. */
  readonly outgoing: ServerResponse;
  readonly #response: NestResponse;

  constructor(context: Pick<ExecutionContext, 'switchToHttp'>) {
    const http = context.switchToHttp();
    this.request = http.getRequest<NestRequest>();
    this.incoming = http.getRequest<{ readonly raw?: IncomingMessage }>().raw ?? http.getRequest<IncomingMessage>();
    this.#response = http.getResponse<NestResponse>();
    this.outgoing = this.#response.raw ?? http.getResponse<ServerResponse>();
  }

  /** Sets fields that whoever answers will send. Bodies are not written yet, so nothing is said of their length. */
  announce(fields: Turned['headers']): void {
    if (this.outgoing.headersSent) return;
    for (const [name, value] of Object.entries(fields)) if (name !== 'content-length') this.outgoing.setHeader(name, value);
  }

  /** Answers in place of the handler, whose own answer goes nowhere from then on. */
  answer(turned: Turned): void {
    if (this.outgoing.headersSent) return;
    this.#response.hijack?.();
    send(this.incoming, this.outgoing, turned);
    mute(this.outgoing);
  }

  /** Makes the handler's answer go nowhere while its replacement is made; answers with what ends that. */
  hold(): () => void {
    return mute(this.outgoing);
  }
}
