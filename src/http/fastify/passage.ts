/** One request on its way through the gates that stand before its route. */

import type { IncomingMessage, OutgoingHttpHeaders } from 'node:http';
import type { Entrance } from '../admission/entrance.ts';
import { errorOf } from '../admission/thrown.ts';
import type { Plan } from '../admission/route-plans.ts';
import type { Soon } from '../admission/guard-options.ts';
import { mute } from '../middleware/raw-response.ts';
import type { Turned } from '../admission/response.ts';
import { type Replying, answer, prepare, takeOver } from './replying.ts';

/** What is used of Fastify's request. */
export interface Requesting {
  readonly raw: IncomingMessage;
}

/** Answers in place of the guard: with the reply, or with what it returns. */
export type RefusalHandler<Req, Res> = (turned: Turned, request: Req, reply: Res) => unknown;

/** Tells Fastify to go on, or what has gone wrong. */
export type Done = (error?: Error) => void;

/** One request on its way. */
export class Passage<Req extends Requesting, Res extends Replying> {
  readonly #plan: Plan<Req, RefusalHandler<Req, Res>>;
  readonly #request: Req;
  readonly #reply: Res;
  readonly #done: Done;

  constructor(plan: Plan<Req, RefusalHandler<Req, Res>>, request: Req, reply: Res, done: Done) {
    this.#plan = plan;
    this.#request = request;
    this.#reply = reply;
    this.#done = done;
  }

  /** Takes the request through all gates and on into its route, or answers it. */
  async go(): Promise<void> {
    const { entrances } = this.#plan;
    for (const entrance of entrances) if (!(await this.#enter(entrance, entrance === entrances.at(-1)))) return;
    this.#done();
  }

  /** Answers with whether the request may go on. Who keeps copies is shown only what is served. */
  async #enter(entrance: Entrance<Req>, last: boolean): Promise<boolean> {
    const request = this.#request;
    const reply = this.#reply;
    const { raw } = request;
    const reception = await entrance.receive({
      request,
      caller: raw,
      response: reply.raw,
      outer: (raw as Partial<IncomingMessage>).breakwater,
      expired: (turned, error) => this.#expire(turned, error),
    });
    switch (reception.kind) {
      case 'admitted':
      case 'past':
        if (reception.kind === 'admitted') {
          if (!reply.raw.headersSent) reply.headers(reception.fields);
          if (last && !this.#watched(entrance)) return false;
        }
        raw.breakwater = reception.visit;
        return !reply.sent;
      case 'failed':
        this.#done(reception.error);
        return false;
      case 'refused':
        if (!reply.sent && !reply.raw.headersSent) this.#say(reception.turned, reply, this.#done);
        return false;
      case 'gone':
        return false;
    }
  }

  /** Shows what is to be served to who keeps copies. A function of the user's may throw: then it is not served. */
  #watched(entrance: Entrance<Req>): boolean {
    try {
      entrance.watcher?.watch?.(this.#request, this.#reply.raw, this.#reply.getHeaders() as OutgoingHttpHeaders);
      return true;
    } catch (thrown) {
      this.#done(errorOf(thrown));
      return false;
    }
  }

  /** The handler is running, and its time is up: from here on it cannot answer any more. */
  #expire(turned: Soon<Turned | undefined>, error: unknown): void {
    const reply = this.#reply;
    if (reply.sent || reply.raw.headersSent) return;
    const own = takeOver(reply, error);
    const failed = (thrown: Error): void => void own.send(thrown);
    const go = (late: Turned | undefined): void => {
      if (reply.raw.destroyed) return;
      if (late === undefined) failed(errorOf(error));
      else this.#say(late, own, failed);
      if (reply.raw.writableEnded) mute(reply.raw);
      else reply.raw.once('finish', () => void mute(reply.raw));
    };
    if (turned instanceof Promise) turned.then(go, (thrown: unknown) => failed(errorOf(thrown)));
    else go(turned);
  }

  /** Gives the answer, or tells why there is none. */
  #say(turned: Turned, reply: Res, failed: (error: Error) => void): void {
    const { handler } = this.#plan;
    const send = (payload: unknown): void => {
      if (payload !== undefined && payload !== reply) reply.send(payload);
    };
    try {
      if (handler === undefined) {
        answer(reply, turned);
        return;
      }
      prepare(reply, { status: turned.status, headers: withoutContent(turned.headers) });
      const said = handler(turned, this.#request, reply);
      if (said instanceof Promise) said.then(send).catch((thrown: unknown) => failed(errorOf(thrown)));
      else send(said);
    } catch (thrown) {
      failed(errorOf(thrown));
    }
  }
}

function withoutContent(headers: Turned['headers']): Turned['headers'] {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !name.startsWith('content-')));
}
