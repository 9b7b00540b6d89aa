/**
 * In front of Express routes (or Connect's, or bare Node's): admits requests through gates, and answers for those that are turned away or
 * take too long.
 *
 * @example
 * ```ts
 * import express from 'express';
 * import { bulkhead } from 'breakwater';
 * import { guard } from 'breakwater/express';
 *
 * const app = express();
 * const api = guard([bulkhead({ maxConcurrent: 200, maxQueue: 50 })], { name: 'api', deadline: '2s' });
 * app.use('/api', api);
 * app.get('/api/items', (req, res) => {
 *   res.json({ left: req.breakwater.remaining() });
 * });
 * console.log(api.pipeline.snapshot().active); // => 0
 * ```
 *
 * @module
 */

import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Priority } from '../core/priority.ts';
import { OptionsError } from '../core/errors.ts';
import { type Duration, type Fields, duration, fn, oneOf, readOptions, text } from '../core/options.ts';
import { type Pipeline, pipeline } from '../core/pipeline.ts';
import type { AnyPolicy } from '../core/policy.ts';
import { type GuardSettings, type Next, Passing, type Turned } from './passing.ts';

export { ClientGoneError, ErrorResponse, type Visit } from './inbound.ts';
export { clientKey, type ClientKeyOptions, type Connected } from './client-key.ts';
export type { Next, Turned } from './passing.ts';
export type { Answer } from './response.ts';

/** What is used of a request where its type is not given: Node's, and what Express adds. */
export interface GuardRequest extends IncomingMessage {
  readonly ip?: string | undefined;
  readonly originalUrl?: string | undefined;
}

/** Options of {@link guard}. */
export interface GuardOptions<Req extends IncomingMessage = GuardRequest, Res extends ServerResponse = ServerResponse> {
  /** What events, errors and snapshots call it; a pipeline that is given has a name of its own. @defaultValue `'guard'` */
  readonly name?: string;
  /**
   * What the request is about (tenant, user, address), for policies that keep state per key. What it throws goes to the error handler and the
   * request is not served.
   *
   * @defaultValue none
   */
  readonly key?: (req: NoInfer<Req>) => string | undefined;
  /** Time for the request in all, waiting included. Then the signal aborts, and unless the response has begun the answer is a 504. @defaultValue `Infinity` */
  readonly deadline?: Duration;
  /** How much the request matters when not all can be served. @defaultValue `'critical'` */
  readonly priority?: Priority | ((req: Req) => Priority);
  /** Requests to let through past all gates, such as health checks. @defaultValue none */
  readonly skip?: (req: Req) => boolean;
  /**
   * Answers in place of the guard, for refusals and timeouts alike. It may call `next()` to let a refused request through all the same, or
   * `next(error)` to leave the answer to the error handler.
   *
   * @defaultValue the answer itself: 429, 503 or 504 as problem+json
   */
  readonly handler?: (turned: Turned, req: Req, res: Res, next: Next) => void;
}

/** Middleware that admits requests, with the pipeline it admits through: for its events, `snapshot()` and `close()`. */
export interface Guard<Req extends IncomingMessage = GuardRequest, Res extends ServerResponse = ServerResponse> {
  (req: Req, res: Res, next: Next): void;
  readonly pipeline: Pipeline;
}

const guardFields: Fields<GuardSettings<never, never>> = {
  name: text().optional(),
  key: fn<(req: never) => string | undefined>('(req) => string | undefined').optional(),
  deadline: duration({ min: 0.001, infinite: true }).or(Infinity),
  priority: oneOf('critical-plus', 'critical', 'sheddable-plus', 'sheddable', 'best-effort')
    .or('critical')
    .orFunction<(req: never) => Priority>('(req) => priority'),
  skip: fn<(req: never) => boolean>('(req) => boolean').optional(),
  handler: fn<(turned: Turned, req: never, res: never, next: Next) => void>('(turned, req, res, next) => void').optional(),
};

/**
 * Puts gates in front of routes: `app.use('/api', guard([...]))`. Only policies that admit can stand here (and timeouts), since a handler
 * cannot be run again.
 *
 * A request is decided on once, however often it comes by. If it is refused, it is answered with 429 (a rate limit) or 503 (all else) and a `Retry-After`. If it is
 * admitted, `req.breakwater` says when to stop, and the gates learn how it ended when the response is finished or closed: 500 and above is a
 * failure, less a success, and a client that left before the answer is neither.
 *
 * @throws OptionsError if an option is wrong or a policy is no gate
 */
export function guard<Req extends IncomingMessage = GuardRequest, Res extends ServerResponse = ServerResponse>(
  policies: readonly AnyPolicy[] | Pipeline,
  options: GuardOptions<Req, Res> = {},
): Guard<Req, Res> {
  const settings = readOptions('guard', guardFields, options) as GuardSettings<Req, Res>;
  const gates = entrance(policies, settings.name);
  const known = new WeakMap<Req, Passing<Req, Res>>();
  const guarded = (req: Req, res: Res, next: Next): void => {
    let passing = known.get(req);
    if (passing === undefined) known.set(req, (passing = new Passing(gates, settings, req, res)));
    passing.come(next);
  };
  return Object.assign(guarded, { pipeline: gates });
}

/** The pipeline to admit through; one that has more than gates is refused here and not at the first request. */
function entrance(policies: readonly AnyPolicy[] | Pipeline, name: string | undefined): Pipeline {
  const given = 'acquire' in policies;
  if (given && name !== undefined)
    throw new OptionsError([{ path: 'guard.name', expected: `nothing: the pipeline is called ${policies.name}`, got: name }]);
  const gates: Pipeline = given ? policies : pipeline(policies, { name: name ?? 'guard' });
  gates.tryAcquire({ signal: AbortSignal.abort() });
  return gates;
}
