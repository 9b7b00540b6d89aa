/** One request on its way through one guard, in the shape `(req, res, next)`: Express's, Connect's, and what stands on bare Node. */

import type { IncomingMessage, ServerResponse } from 'node:http';
import { isThenable } from '../../core/thenable.ts';
import type { Entrance, Visitor } from '../admission/entrance.ts';
import type { Soon } from '../admission/guard-options.ts';
import { type Visit, letThrough } from '../admission/inbound.ts';
import { errorOf } from '../admission/thrown.ts';
import { mute, send } from './raw-response.ts';
import type { Turned } from '../admission/response.ts';

declare module 'node:http' {
  interface IncomingMessage {
    /** When to stop and how much time is left; there on every request that a guard has seen. */
    breakwater: Visit;
  }
}

/** The rest of the application. */
export type Next = (error?: unknown) => void;

/** Answers in place of the guard. */
export type Handler<Req, Res> = (turned: Turned, req: Req, res: Res, next: Next) => unknown;

/** One request on its way through one guard. */
export class Passing<Req extends IncomingMessage, Res extends ServerResponse> {
  readonly #entrance: Entrance<Req>;
  readonly #handler: Handler<Req, Res> | undefined;
  readonly #req: Req;
  readonly #res: Res;
  #asked = false;
  #passed = false;
  /** Why it is not served, if that is no refusal. */
  #failure: Error | undefined = undefined;
  /** What had been written to the connection when the request was let in, bytes. */
  #written: number | undefined = undefined;

  constructor(entrance: Entrance<Req>, handler: Handler<Req, Res> | undefined, req: Req, res: Res) {
    this.#entrance = entrance;
    this.#handler = handler;
    this.#req = req;
    this.#res = res;
  }

  /** The request comes by. If it does so again it is not decided on again, and goes on once. */
  come(next: Next): void {
    if (this.#passed) next();
    else if (this.#failure !== undefined) next(this.#failure);
    else if (!this.#asked) {
      this.#asked = true;
      void this.#decide(next);
    }
  }

  async #decide(next: Next): Promise<void> {
    const request = this.#req;
    const response = this.#res;
    const { breakwater: outer } = request as Partial<Req>;
    const expired: Visitor<Req>['expired'] = (turned, error) => this.#expire(turned, error, next);
    const reception = await this.#entrance.receive({ request, caller: request, response, outer, expired });
    switch (reception.kind) {
      case 'admitted':
        if (!response.headersSent) for (const name in reception.fields) response.setHeader(name, reception.fields[name] as string);
        try {
          this.#entrance.watcher?.watch?.(request, response);
        } catch (thrown) {
          this.#fail(errorOf(thrown), next);
          break;
        }
        this.#pass(reception.visit, next);
        break;
      case 'past':
        this.#pass(reception.visit, next);
        break;
      case 'failed':
        this.#fail(reception.error, next);
        break;
      case 'refused':
        this.#refuse(reception.turned, next, outer);
        break;
      case 'gone':
    }
  }

  #fail(error: Error, next: Next): void {
    this.#failure = error;
    next(error);
  }

  #pass(visit: Visit, next: Next): void {
    this.#passed = true;
    this.#written = this.#res.socket?.bytesWritten;
    this.#req.breakwater = visit;
    next();
  }

  #refuse(turned: Turned, next: Next, outer: Visit | undefined): void {
    if (this.#res.writableEnded) return;
    this.#answer(turned, (instead) => {
      if (instead === undefined) this.#pass(letThrough(this.#res, outer), next);
      else next(instead);
    });
  }

  /** The handler is running, and its time is up. While its answer is not there yet it must not give one itself. */
  #expire(turned: Soon<Turned | undefined>, error: unknown, next: Next): void {
    if (this.#res.headersSent || this.#isTakenOver()) return;
    if (turned instanceof Promise) {
      const unmute = mute(this.#res);
      void turned
        .catch((thrown: unknown) => ({ thrown }))
        .then((late) => {
          unmute();
          if (late !== undefined && 'thrown' in late) this.#expire(undefined, late.thrown, next);
          else this.#expire(late, error, next);
        });
    } else if (turned === undefined) next(errorOf(error));
    else {
      this.#answer(turned, (instead) => {
        if (instead !== undefined) next(instead);
      });
      if (this.#res.writableEnded) mute(this.#res);
    }
  }

  /** Whether the handler writes to the connection itself: an answer would stand in the middle of that. */
  #isTakenOver(): boolean {
    return this.#written !== undefined && this.#res.socket?.bytesWritten !== this.#written;
  }

  #answer(turned: Turned, next: Next): void {
    if (this.#res.headersSent) {
      next(turned.error);
      return;
    }
    try {
      if (this.#handler === undefined) send(this.#req, this.#res, turned);
      else {
        const said: unknown = this.#handler(turned, this.#req, this.#res, next);
        if (isThenable(said)) said.then(undefined, (thrown: unknown) => next(errorOf(thrown)));
      }
    } catch (thrown) {
      next(errorOf(thrown));
    }
  }
}
