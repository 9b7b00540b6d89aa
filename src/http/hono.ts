/**
 * In front of Hono's routes, on Node and wherever else Hono runs: admits requests through gates, and answers for those that are turned away or take too
 * long.
 *
 * @example
 * ```ts
 * import { Hono } from 'hono';
 * import { bulkhead } from 'breakwater';
 * import { guard } from 'breakwater/hono';
 *
 * const app = new Hono();
 * const api = guard([bulkhead({ maxConcurrent: 200, maxQueue: 50 })], { name: 'api', deadline: '2s' });
 * app.use('/api/*', api);
 * app.get('/api/items', (c) => c.json({ admitted: c.get('breakwater').admitted }));
 * const response = await app.request('/api/items');
 * console.log(response.status, await response.json()); // => 200 { admitted: true }
 * ```
 *
 * @module
 */

import type { Context, MiddlewareHandler, Next } from 'hono';
import { type Fields, fn } from '../core/options.ts';
import type { Pipeline } from '../core/pipeline.ts';
import type { AnyPolicy } from '../core/policy.ts';
import { Entrance } from './admission/entrance.ts';
import { type GuardOptions as AllGuardOptions, type GuardSettings, guardFields, readGuardOptions } from './admission/guard-options.ts';
import { idempotent } from './hono/idempotent.ts';
import { type HonoContext, type HonoHandler, Passing, type Ways } from './hono/passing.ts';
import type { IdempotencyOptions } from './idempotency/options.ts';
import type { Visit } from './admission/inbound.ts';

export type { HonoHandler as Handler } from './hono/passing.ts';
export { ipKey } from './identity/client-address.ts';
export type { Connected } from './identity/identity.ts';
export { ClientGoneError, ErrorResponse, type Visit } from './admission/inbound.ts';
export { type Answer, answerTo, type Degraded, type Turned } from './admission/response.ts';
export type { Fallback, FieldsDraft, Soon } from './admission/guard-options.ts';
export type { IdempotencyOptions } from './idempotency/options.ts';
export { type IdempotencyStore, memoryIdempotencyStore, type MemoryIdempotencyStoreOptions } from './idempotency/store.ts';
export { type StaleAnswer, type StaleCopies, staleCopies, type StaleCopiesOptions } from './recording/stale-copies.ts';
export type { GuardWarning, WarningCode, Warnings } from './warnings/warnings.ts';

declare module 'hono' {
  interface ContextVariableMap {
    /** When to stop and how much time is left; there on every request that a guard has seen. */
    breakwater: Visit;
  }
}

/** Options of {@link guard}. */
export interface GuardOptions<C = Context> extends AllGuardOptions<C> {
  /**
   * The address of whoever connected, as the platform knows it. It is taken for who asks, and for what `trustProxy` is about; without one all requests share the
   * key `'unknown'`.
   *
   * @defaultValue on Node the address of the socket, elsewhere none
   */
  readonly address?: (c: C) => string | undefined;
  /**
   * Answers in place of the guard, for refusals and timeouts alike: with a response, or with none for the guard's own. It may call `next()` to let a refused
   * request through all the same; what it throws goes to `onError`.
   *
   * @defaultValue the answer itself: 429, 503 or 504 as problem+json
   */
  readonly handler?: HonoHandler<C>;
}

interface HonoSettings<C> extends GuardSettings<C> {
  readonly address: ((c: C) => string | undefined) | undefined;
  readonly handler: HonoHandler<C> | undefined;
}

/** Middleware that admits requests, with the pipeline it admits through: for its events, `snapshot()` and `close()`. */
export interface Guard extends MiddlewareHandler {
  readonly pipeline: Pipeline;
}

const honoFields: Fields<HonoSettings<never>> = {
  ...guardFields,
  address: fn<(c: never) => string | undefined>('(c) => string | undefined').optional(),
  handler: fn<HonoHandler<never>>('(turned, c, next) => Response').optional(),
};

/**
 * Puts gates in front of routes: `app.use('/api/*', guard([...]))`. Only policies that admit can stand here (and timeouts), since a handler cannot be run again.
 *
 * A request is decided on once, however often it comes by. If it is refused, the response is a 429 (a rate limit) or 503 (all else) with a `Retry-After`. If it is
 * admitted, `c.get('breakwater')` says when to stop, and the gates learn how it ended when all of the response is sent, or all of its body made where that cannot be
 * seen: 500 and above is a failure, less a success, and a client that left before the answer is neither.
 *
 * When time is up the response is a 504 and the guard returns, though what it let in may still run.
 *
 * @throws OptionsError if an option is wrong or a policy is no gate
 */
export function guard<C extends Context = Context>(policies: readonly AnyPolicy[] | Pipeline, options: GuardOptions<C> = {}): Guard {
  const { handler, address, ...settings } = readGuardOptions('guard', honoFields, options) as HonoSettings<C>;
  const entrance = new Entrance<C>(policies, settings);
  const ways: Ways<C & HonoContext> = { entrance, handler, address };
  const known = new WeakMap<Context, Passing<C & HonoContext>>();
  const guarded = async (c: Context, next: Next): Promise<Response | undefined> => {
    let passing = known.get(c);
    if (passing === undefined) known.set(c, (passing = new Passing(ways, c as C & HonoContext)));
    return await passing.come(next);
  };
  return Object.assign(guarded, { pipeline: entrance.pipeline }) as Guard;
}

/**
 * Carries requests out once, however often their clients send them: `app.use('/orders', idempotency())`, behind what says who the user is, in front of what does the work. The
 * answer to the first request with an `Idempotency-Key` is kept, and who repeats it gets the same one, with `idempotency-replayed: true`; 409 while the first is on its way, 422
 * if it is not the same request, 400 for a key that is none. Draft: draft-ietf-httpapi-idempotency-key-header-07.
 *
 * @throws OptionsError if an option is wrong
 */
export function idempotency<C extends Context = Context>(options: IdempotencyOptions<C> = {}): MiddlewareHandler {
  return idempotent(options) as MiddlewareHandler;
}
