/** One request of a Hono application on its way through one guard. */

import type { Entrance, Reception } from '../admission/entrance.ts';
import type { Soon } from '../admission/guard-options.ts';
import { type Responding, type Visit, letThrough } from '../admission/inbound.ts';
import type { Turned } from '../admission/response.ts';
import { Serving } from '../admission/serving.ts';
import { errorOf } from '../admission/thrown.ts';
import { type Answerable, keep, put, responseOf } from './kept-answer.ts';
import { type Platform, callerOf, hasBegun, respondingOf } from './platform.ts';
import { WebResponding } from './web-responding.ts';

/** What is used of Hono's context. */
export interface HonoContext extends Answerable, Platform {
  readonly req: { readonly raw: Request; readonly method: string };
  get(name: 'breakwater'): Visit | undefined;
  set(name: 'breakwater', visit: Visit): void;
  header(name: string, value: string): void;
}

/** The rest of the application. */
export type Rest = () => Promise<unknown>;

/** Answers in place of the guard. */
export type HonoHandler<Ctx> = (turned: Turned, c: Ctx, next: () => Promise<void>) => Soon<Response | undefined>;

/** How a guard takes requests. */
export interface Ways<Ctx> {
  readonly entrance: Entrance<Ctx>;
  readonly handler: HonoHandler<Ctx> | undefined;
  readonly address: ((c: Ctx) => string | undefined) | undefined;
}

type Fields = Readonly<Record<string, string>>;

const noFields: Fields = {};
const placeholder = { status: 504, headers: {}, body: '' };

/** Contexts whose responses are values, and are followed by the guard that saw them first. */
const followed = new WeakSet<Responding>();

/** One request on its way through one guard. */
export class Passing<Ctx extends HonoContext> {
  readonly #ways: Ways<Ctx>;
  readonly #c: Ctx;
  readonly #responding: Responding;
  /** The outermost guard follows the response. */
  readonly #value: WebResponding | undefined;
  #asked = false;
  #passed = false;
  #serving: Serving | undefined = undefined;

  constructor(ways: Ways<Ctx>, c: Ctx) {
    this.#ways = ways;
    this.#c = c;
    this.#responding = respondingOf(c);
    this.#value = this.#responding instanceof WebResponding && !followed.has(this.#responding) ? this.#responding : undefined;
    followed.add(this.#responding);
  }

  /** The request comes by. If it does so again it is not decided on again. */
  async come(rest: Rest): Promise<Response | undefined> {
    if (this.#passed) await rest();
    if (this.#asked) return undefined;
    this.#asked = true;
    try {
      await this.#decide(rest);
    } catch (error) {
      this.#value?.fail();
      // Hono's error handlers are shown nothing else.
      throw errorOf(error);
    }
    if (!this.#c.finalized) {
      // Nobody has answered, and Hono complains of that.
      this.#value?.fail();
      return undefined;
    }
    if (this.#value !== undefined) {
      const { res, req } = this.#c;
      const carried = this.#value.carry(res, req.method === 'HEAD');
      if (carried !== res) this.#go(carried);
    }
    return this.#c.res;
  }

  async #decide(rest: Rest): Promise<void> {
    const c = this.#c;
    const { entrance, address } = this.#ways;
    const outer = c.get('breakwater');
    const reception = await entrance.receive({
      request: c,
      caller: callerOf(c, address),
      response: this.#responding,
      outer,
      expired: (turned, error) => {
        this.#expire(turned, error);
      },
    });
    await this.#receive(reception, outer, rest);
  }

  async #receive(reception: Reception, outer: Visit | undefined, rest: Rest): Promise<void> {
    switch (reception.kind) {
      case 'admitted':
        await this.#pass(reception.visit, reception.fields, rest);
        return;
      case 'past':
        await this.#pass(reception.visit, noFields, rest);
        return;
      case 'failed':
        throw reception.error;
      case 'refused': {
        const through = (): Promise<void> => this.#pass(letThrough(this.#responding, outer), noFields, rest);
        const answering = this.#answer(reception.turned, through);
        const response = answering instanceof Promise ? await answering : answering;
        if (response !== undefined) put(this.#c, response);
        return;
      }
      // Nobody gets this one.
      case 'gone':
        put(this.#c, new Response(null, { status: 499 }));
    }
  }

  /** Goes on until all the rest has run, or time is up. */
  async #pass(visit: Visit, fields: Fields, rest: Rest): Promise<void> {
    const c = this.#c;
    this.#passed = true;
    c.set('breakwater', visit);
    for (const name in fields) c.header(name, fields[name] as string);
    this.#serving ??= new Serving();
    if (await this.#serving.through(rest())) this.#show(visit, fields);
  }

  /** The handler's response is there. */
  #show(visit: Visit, fields: Fields): void {
    const c = this.#c;
    if (!c.finalized) return;
    // A handler that made it by itself did not take along what the context had.
    for (const name in fields) if (!c.res.headers.has(name)) c.header(name, fields[name] as string);
    const { res } = c;
    const watched = visit.admitted ? this.#ways.entrance.watcher?.watchWeb?.(c, res) : undefined;
    if (watched !== undefined && watched !== res) this.#go(watched);
  }

  /** A response made of the one that is there takes its place. */
  #go(response: Response): void {
    const c: { res: Response | undefined } = this.#c;
    c.res = undefined;
    c.res = response;
  }

  /** The handler is running, and its time is up. If its answer has begun it is left to end. */
  #expire(turned: Soon<Turned | undefined>, error: unknown): void {
    const serving = (this.#serving ??= new Serving());
    if (!serving.over && !hasBegun(this.#c)) serving.replace(this.#answerInstead(serving, turned, error));
  }

  /** From here on the handler must not answer, also if the answer is not there yet. */
  async #answerInstead(serving: Serving, turned: Soon<Turned | undefined>, error: unknown): Promise<void> {
    const c = this.#c;
    const release = keep(c, () => !serving.over);
    try {
      if (turned instanceof Promise) put(c, responseOf(c, placeholder));
      const late = turned instanceof Promise ? await turned : turned;
      if (late === undefined) throw error;
      const answering = this.#answer(late, () => Promise.resolve());
      if (answering instanceof Promise && !c.finalized) put(c, responseOf(c, placeholder));
      put(c, (answering instanceof Promise ? await answering : answering) ?? responseOf(c, late));
    } catch (thrown) {
      release();
      throw thrown;
    }
  }

  /** The response to a request that is not served; none if a function of the user's has seen to it. */
  #answer(turned: Turned, next: () => Promise<void>): Soon<Response | undefined> {
    const c = this.#c;
    const { handler } = this.#ways;
    if (handler === undefined) return responseOf(c, turned);
    const given = handler(turned, c, next);
    const orPlain = (response: Response | undefined): Response | undefined =>
      response === undefined && !c.finalized ? responseOf(c, turned) : response;
    return given instanceof Promise ? given.then(orPlain) : orPlain(given);
  }
}
