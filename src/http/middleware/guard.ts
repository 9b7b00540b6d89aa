/** A guard in the shape `(req, res, next)`. */

import type { IncomingMessage, ServerResponse } from 'node:http';
import { type Fields, fn } from '../../core/options.ts';
import type { Pipeline } from '../../core/pipeline.ts';
import type { AnyPolicy } from '../../core/policy.ts';
import { Entrance } from '../admission/entrance.ts';
import { type GuardOptions, type GuardSettings, guardFields, readGuardOptions } from '../admission/guard-options.ts';
import { type Handler, type Next, Passing } from './passing.ts';

/** What is used of a request where its type is not given: Node's, and what Express adds. */
export interface GuardRequest extends IncomingMessage {
  readonly ip?: string | undefined;
  readonly originalUrl?: string | undefined;
}

/** Options of {@link guard}. */
export interface MiddlewareOptions<
  Req extends IncomingMessage = GuardRequest,
  Res extends ServerResponse = ServerResponse,
> extends GuardOptions<Req> {
  /**
   * Answers in place of the guard, for refusals and timeouts alike. It may call `next()` to let a refused request through all the same, or
   * `next(error)` to leave the answer to the error handler.
   *
   * @defaultValue the answer itself: 429, 503 or 504 as problem+json
   */
  readonly handler?: Handler<Req, Res>;
}

interface MiddlewareSettings<Req, Res> extends GuardSettings<Req> {
  readonly handler: Handler<Req, Res> | undefined;
}

/** Middleware that admits requests, with the pipeline it admits through: for its events, `snapshot()` and `close()`. */
export interface Guard<Req extends IncomingMessage = GuardRequest, Res extends ServerResponse = ServerResponse> {
  (req: Req, res: Res, next: Next): void;
  readonly pipeline: Pipeline;
}

const middlewareFields: Fields<MiddlewareSettings<never, never>> = {
  ...guardFields,
  handler: fn<Handler<never, never>>('(turned, req, res, next) => void').optional(),
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
  options: MiddlewareOptions<Req, Res> = {},
): Guard<Req, Res> {
  const settings = readGuardOptions('guard', middlewareFields, options) as MiddlewareSettings<Req, Res>;
  const entrance = new Entrance<Req>(policies, settings);
  // Kept on the request itself: a WeakMap of all requests costs the garbage collector more than all else that is done for one.
  const place = Symbol('breakwater.passing');
  const guarded = (req: Req, res: Res, next: Next): void => {
    const known = req as { [place]?: Passing<Req, Res> };
    let passing = known[place];
    if (passing === undefined) known[place] = passing = new Passing(entrance, settings.handler, req, res);
    passing.come(next);
  };
  return Object.assign(guarded, { pipeline: entrance.pipeline });
}
