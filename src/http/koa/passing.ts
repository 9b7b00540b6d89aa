/** One request of a Koa application on its way through one guard. */

import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Entrance, Reception } from '../admission/entrance.ts';
import type { Soon } from '../admission/guard-options.ts';
import { type Visit, letThrough } from '../admission/inbound.ts';
import { mute, send } from '../middleware/raw-response.ts';
import type { Turned } from '../admission/response.ts';
import { Serving } from '../admission/serving.ts';
import { type KoaResponse, seal, settle } from './settled-answer.ts';

/** What is used of Koa's context. */
export interface KoaContext {
  readonly req: IncomingMessage;
  readonly res: ServerResponse;
  readonly response: KoaResponse;
  readonly state: unknown;
  readonly respond?: boolean | undefined;
}

/** The rest of the application. */
export type Rest = () => Promise<unknown>;

/** Answers in place of the guard. */
export type KoaHandler<Ctx> = (turned: Turned, ctx: Ctx, next: () => Promise<void>) => Soon<void>;

/** One request on its way through one guard. */
export class Passing<Ctx extends KoaContext> {
  readonly #entrance: Entrance<Ctx>;
  readonly #handler: KoaHandler<Ctx> | undefined;
  readonly #ctx: Ctx;
  #asked = false;
  #passed = false;
  #serving: Serving | undefined = undefined;

  constructor(entrance: Entrance<Ctx>, handler: KoaHandler<Ctx> | undefined, ctx: Ctx) {
    this.#entrance = entrance;
    this.#handler = handler;
    this.#ctx = ctx;
  }

  /** The request comes by. If it does so again it is not decided on again. */
  async come(rest: Rest): Promise<void> {
    if (this.#passed) await rest();
    if (this.#asked) return;
    this.#asked = true;
    const { req, res } = this.#ctx;
    const { breakwater: outer } = req as Partial<IncomingMessage>;
    const reception = await this.#entrance.receive({
      request: this.#ctx,
      caller: req,
      response: res,
      outer,
      expired: (turned, error) => {
        this.#expire(turned, error);
      },
    });
    await this.#receive(reception, outer, rest);
  }

  async #receive(reception: Reception, outer: Visit | undefined, rest: Rest): Promise<void> {
    const { res, response } = this.#ctx;
    switch (reception.kind) {
      case 'admitted':
        for (const name in reception.fields) response.set(name, reception.fields[name] as string);
        this.#entrance.watcher?.watch?.(this.#ctx, res);
        await this.#pass(reception.visit, rest);
        return;
      case 'past':
        await this.#pass(reception.visit, rest);
        return;
      case 'failed':
        throw reception.error;
      case 'refused':
        if (!res.writableEnded) await this.#answer(reception.turned, () => this.#pass(letThrough(res, outer), rest));
        return;
      case 'gone':
    }
  }

  /** Goes on until all the rest has run, or time is up. */
  async #pass(visit: Visit, rest: Rest): Promise<void> {
    const { req, state } = this.#ctx;
    this.#passed = true;
    req.breakwater = visit;
    Object.assign(state as object, { breakwater: visit });
    this.#serving ??= new Serving();
    await this.#serving.through(rest());
  }

  /** The handler is running, and its time is up. If its answer has begun it is left to end. */
  #expire(turned: Soon<Turned | undefined>, error: unknown): void {
    const serving = (this.#serving ??= new Serving());
    if (!serving.over && !this.#ctx.res.headersSent) serving.replace(this.#answerInstead(serving, turned, error));
  }

  /** Puts the answer in place of what the handler has made of it so far, and of what it will. */
  async #answerInstead(serving: Serving, turned: Soon<Turned | undefined>, error: unknown): Promise<void> {
    const { response, res } = this.#ctx;
    const late = turned instanceof Promise ? await turned : turned;
    // The handler has begun to answer by itself while that was waited for.
    if (res.headersSent) {
      await serving.rest;
      return;
    }
    if (late === undefined) throw error;
    const answering = this.#answer(late, () => Promise.resolve());
    if (answering instanceof Promise) await answering;
    if (serving.over) return;
    if (res.writableEnded) mute(res);
    else {
      const unseal = seal(response, late);
      serving.rest?.then(unseal, unseal);
      res.once('close', () => {
        if (!serving.over) mute(res);
      });
    }
  }

  #answer(turned: Turned, next: () => Promise<void>): Soon<void> {
    const { req, res, respond, response } = this.#ctx;
    if (res.headersSent) throw turned.error;
    if (this.#handler !== undefined) return this.#handler(turned, this.#ctx, next);
    if (respond === false) send(req, res, turned);
    else settle(response, turned);
  }
}
