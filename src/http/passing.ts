/** Middleware in the shape `(req, res, next)`: Express's, Connect's, and what stands on bare Node. */

import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Priority } from '../core/priority.ts';
import type { Pipeline } from '../core/pipeline.ts';
import { type Entry, type Visit, arrive, letThrough } from './inbound.ts';
import { mute, send } from './raw-response.ts';
import { type Answer, answerTo } from './response.ts';

declare module 'node:http' {
  interface IncomingMessage {
    /** When to stop and how much time is left; there on every request that a guard has seen. */
    breakwater: Visit;
  }
}

/** The rest of the application. */
export type Next = (error?: unknown) => void;

/** What a request that is not served is answered with, and why. */
export interface Turned extends Answer {
  /** The refusal, or the timeout. */
  readonly error: unknown;
}

/** Options of a guard, as read. */
export interface GuardSettings<Req, Res> {
  readonly name: string | undefined;
  readonly key: ((req: Req) => string | undefined) | undefined;
  readonly deadline: number;
  readonly priority: Priority | ((req: Req) => Priority);
  readonly skip: ((req: Req) => boolean) | undefined;
  readonly handler: ((turned: Turned, req: Req, res: Res, next: Next) => void) | undefined;
}

/** One request on its way through one guard. */
export class Passing<Req extends IncomingMessage, Res extends ServerResponse> {
  readonly #gates: Pipeline;
  readonly #settings: GuardSettings<Req, Res>;
  readonly #req: Req;
  readonly #res: Res;
  #asked = false;
  #passed = false;

  constructor(gates: Pipeline, settings: GuardSettings<Req, Res>, req: Req, res: Res) {
    this.#gates = gates;
    this.#settings = settings;
    this.#req = req;
    this.#res = res;
  }

  /** The request comes by. If it does so again it is not decided on again, and goes on once. */
  come(next: Next): void {
    if (this.#passed) {
      next();
    } else if (!this.#asked) {
      this.#asked = true;
      this.#decide(next);
    }
  }

  #decide(next: Next): void {
    const outer = (this.#req as Partial<Req>).breakwater;
    let entry: Entry | undefined;
    try {
      entry = this.#entry(next, outer);
    } catch (error) {
      next(error);
      return;
    }
    if (entry === undefined) {
      this.#pass(letThrough(this.#res, outer), next);
      return;
    }
    void arrive(this.#gates, this.#res, entry).then((arrival) => {
      if (arrival.kind === 'admitted') this.#pass(arrival.visit, next);
      else if (arrival.kind === 'refused') this.#refuse(arrival.error, next, outer);
    });
  }

  /** What the user's functions say of the request; nothing if it is to be let past. */
  #entry(next: Next, outer: Visit | undefined): Entry | undefined {
    const { key, priority, skip, deadline } = this.#settings;
    const req = this.#req;
    if (skip?.(req) === true) return undefined;
    return {
      key: key?.(req),
      priority: typeof priority === 'function' ? priority(req) : priority,
      deadline,
      outer,
      expired: (error) => this.#expire(error, next),
    };
  }

  #pass(visit: Visit, next: Next): void {
    this.#passed = true;
    this.#req.breakwater = visit;
    next();
  }

  #refuse(error: unknown, next: Next, outer: Visit | undefined): void {
    if (this.#res.writableEnded) return;
    this.#answer(error, (instead) => {
      if (instead === undefined) this.#pass(letThrough(this.#res, outer), next);
      else next(instead);
    });
  }

  /** The handler is running, and its time is up. */
  #expire(error: unknown, next: Next): void {
    if (this.#res.headersSent) return;
    this.#answer(error, (instead) => {
      if (instead !== undefined) next(instead);
    });
    if (this.#res.writableEnded) mute(this.#res);
  }

  #answer(error: unknown, next: Next): void {
    const answer = answerTo(error);
    if (answer === undefined || this.#res.headersSent) next(error);
    else if (this.#settings.handler === undefined) send(this.#req, this.#res, answer);
    else
      try {
        this.#settings.handler({ ...answer, error }, this.#req, this.#res, next);
      } catch (thrown) {
        next(thrown);
      }
  }
}
