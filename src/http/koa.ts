/**
 * In front of Koa's middleware: admits requests through gates, and answers for those that are turned away or take too long.
 *
 * @example
 * ```ts
 * import Koa from 'koa';
 * import { bulkhead } from 'breakwater';
 * import { guard } from 'breakwater/koa';
 *
 * const app = new Koa();
 * const api = guard([bulkhead({ maxConcurrent: 200, maxQueue: 50 })], { name: 'api', deadline: '2s' });
 * app.use(api);
 * app.use((ctx) => {
 *   ctx.body = { left: ctx.state.breakwater.remaining() };
 * });
 * console.log(api.pipeline.snapshot().active); // => 0
 * ```
 *
 * @module
 */

import type { IncomingMessage } from 'node:http';
import type { DefaultContext, DefaultState, Next, ParameterizedContext } from 'koa';
import { type Fields, fn } from '../core/options.ts';
import type { Pipeline } from '../core/pipeline.ts';
import type { AnyPolicy } from '../core/policy.ts';
import { Entrance } from './admission/entrance.ts';
import { type GuardOptions as AllGuardOptions, type GuardSettings, guardFields, readGuardOptions } from './admission/guard-options.ts';
import type { IdempotencyOptions } from './idempotency/options.ts';
import type { Visit } from './admission/inbound.ts';
import { idempotent } from './koa/idempotent.ts';
import { type KoaHandler, Passing } from './koa/passing.ts';

export { clientKey, type ClientKeyOptions } from './identity/client-key.ts';
export { ipKey } from './identity/client-address.ts';
export type { Connected } from './identity/identity.ts';
export { ClientGoneError, ErrorResponse, type Visit } from './admission/inbound.ts';
export type { KoaHandler as Handler } from './koa/passing.ts';
export { type Answer, answerTo, type Degraded, type Turned } from './admission/response.ts';
export type { Fallback, FieldsDraft, Soon } from './admission/guard-options.ts';
export type { IdempotencyOptions } from './idempotency/options.ts';
export { type IdempotencyStore, memoryIdempotencyStore, type MemoryIdempotencyStoreOptions } from './idempotency/store.ts';
export { type Drained, type Lifecycle, lifecycle, type LifecycleState, type SignalOptions } from './lifecycle/lifecycle.ts';
export type { LifecycleOptions } from './lifecycle/options.ts';
export { type HealthBody, type HealthReport, liveness, type Probe, readiness, type ReadinessOptions } from './health/health.ts';
export { type StaleAnswer, type StaleCopies, staleCopies, type StaleCopiesOptions } from './recording/stale-copies.ts';
export type { GuardWarning, WarningCode, Warnings } from './warnings/warnings.ts';

declare module 'koa' {
  interface DefaultState {
    /** When to stop and how much time is left; there on every request that a guard has seen. */
    breakwater: Visit;
  }
}

/** Koa's context, with what the application says it keeps there. */
export type GuardContext<State = DefaultState, Custom = DefaultContext> = ParameterizedContext<State, Custom>;

/** Options of {@link guard}. */
export interface GuardOptions<Ctx = GuardContext> extends AllGuardOptions<Ctx> {
  /**
   * Answers in place of the guard, for refusals and timeouts alike. It may call `next()` to let a refused request through all the same; what it throws
   * goes to Koa's error handling.
   *
   * @defaultValue the answer itself: 429, 503 or 504 as problem+json
   */
  readonly handler?: KoaHandler<Ctx>;
}

interface KoaSettings<Ctx> extends GuardSettings<Ctx> {
  readonly handler: KoaHandler<Ctx> | undefined;
}

/** Middleware that admits requests, with the pipeline it admits through: for its events, `snapshot()` and `close()`. */
export interface Guard<Ctx = GuardContext> {
  (ctx: Ctx, next: Next): Promise<void>;
  readonly pipeline: Pipeline;
}

const koaFields: Fields<KoaSettings<never>> = {
  ...guardFields,
  handler: fn<KoaHandler<never>>('(turned, ctx, next) => void').optional(),
};

/**
 * Puts gates in front of what is used after it: `app.use(guard([...]))`. Only policies that admit can stand here (and timeouts), since a handler cannot be run
 * again.
 *
 * A request is decided on once, however often it comes by. If it is refused, status, body and fields of the context are those of the refusal: 429 (a rate limit) or
 * 503 (all else) with a `Retry-After`, so that middleware further out sees them. If it is admitted, `ctx.state.breakwater` says when to stop, and the gates learn
 * how it ended when the response is finished or closed: 500 and above is a failure, less a success, and a client that left before the answer is neither.
 *
 * When time is up the answer is a 504 and the guard returns, though what it let in may still run; that can no longer change the answer.
 *
 * @throws OptionsError if an option is wrong or a policy is no gate
 */
export function guard<State = DefaultState, Custom = DefaultContext>(
  policies: readonly AnyPolicy[] | Pipeline,
  options: GuardOptions<GuardContext<State, Custom>> = {},
): Guard<GuardContext<State, Custom>> {
  type Ctx = GuardContext<State, Custom>;
  const settings = readGuardOptions('guard', koaFields, options) as KoaSettings<Ctx>;
  const entrance = new Entrance<Ctx>(policies, settings);
  const known = new WeakMap<IncomingMessage, Passing<Ctx>>();
  const guarded = (ctx: Ctx, next: Next): Promise<void> => {
    let passing = known.get(ctx.req);
    if (passing === undefined) known.set(ctx.req, (passing = new Passing<Ctx>(entrance, settings.handler, ctx)));
    return passing.come(next);
  };
  return Object.assign(guarded, { pipeline: entrance.pipeline });
}

/** Middleware that carries requests out once. */
export type IdempotencyMiddleware<Ctx = GuardContext> = (ctx: Ctx, next: Next) => Promise<void>;

/**
 * Carries requests out once, however often their clients send them: `app.use(idempotency())`, behind what says who the user is, in front of what does the work. The answer to
 * the first request with an `Idempotency-Key` is kept, and who repeats it gets the same one, with `idempotency-replayed: true`; 409 while the first is on its way, 422 if it is
 * not the same request, 400 for a key that is none. Draft: draft-ietf-httpapi-idempotency-key-header-07.
 *
 * @throws OptionsError if an option is wrong
 */
export function idempotency<State = DefaultState, Custom = DefaultContext>(
  options: IdempotencyOptions<GuardContext<State, Custom>> = {},
): IdempotencyMiddleware<GuardContext<State, Custom>> {
  return idempotent(options);
}
