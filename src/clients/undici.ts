/**
 * Behind undici's dispatchers: requests of `request`, `stream`, `pipeline` and `fetch` go through policies, and each attempt is dispatched anew.
 *
 * @example
 * ```ts
 * import { once } from 'node:events';
 * import { createServer } from 'node:http';
 * import type { AddressInfo } from 'node:net';
 * import { presets } from 'breakwater';
 * import { interceptor } from 'breakwater/undici';
 * import { Agent, request } from 'undici';
 *
 * let busy = 1;
 * const service = createServer((_req, res) => {
 *   if (busy-- > 0) res.writeHead(503, { 'retry-after-ms': '1' }).end();
 *   else res.end('seven');
 * }).listen(0, '127.0.0.1');
 * await once(service, 'listening');
 *
 * const agent = new Agent();
 * const dispatcher = agent.compose(interceptor(presets.http()));
 * const { statusCode, body } = await request(`http://127.0.0.1:${(service.address() as AddressInfo).port}/stock`, { dispatcher });
 * console.log(statusCode, await body.text()); // => 200 'seven'
 *
 * await agent.close();
 * service.close();
 * ```
 *
 * @module
 */

import type { Dispatcher } from 'undici';
import { type Duration, type Fields, count, duration, readOptions } from '../core/options.ts';
import type { Pipeline } from '../core/pipeline.ts';
import { type Guarding, Outbound } from './outbound.ts';
import { type OutboundOptions, type OutboundSettings, type RequestOptions, outboundFields } from './outbound-options.ts';
import type { Dispatch, DispatchHandler, DispatchOptions } from './undici/dispatching.ts';
import { Exchange } from './undici/exchange.ts';

export type { Guarding } from './outbound.ts';
export type { OutboundOptions, OutboundRequest, RequestOptions } from './outbound-options.ts';
export type { StandIn } from './undici/exchange.ts';

/** Options of {@link interceptor}. */
export interface InterceptorOptions extends OutboundOptions {
  /** What events, errors and snapshots call it; a pipeline that is given has a name of its own. @defaultValue `'undici'` */
  readonly name?: string;
  /** How much of a body that is a stream is kept so that it can be sent again, in bytes. A request with a longer one is not repeated once it has been sent. @defaultValue `65536` */
  readonly maxReplayBytes?: number;
  /** A body that nobody reads for as long gives back what policies hold for it, and can still be read. @defaultValue `'30s'` */
  readonly bodyIdle?: Duration;
}

/** Options as read. */
export interface InterceptorSettings extends OutboundSettings {
  readonly maxReplayBytes: number;
  readonly bodyIdle: number;
}

/** The option table. */
export const interceptorFields: Fields<InterceptorSettings> = {
  ...outboundFields,
  maxReplayBytes: count().or(65_536),
  bodyIdle: duration({ min: 1, infinite: true }).or('30s'),
};

/** An interceptor for undici's `compose`, with the pipeline that its requests go through. */
export interface Interceptor extends Dispatcher.DispatcherComposeInterceptor {
  readonly pipeline: Pipeline;
}

/**
 * Makes an interceptor for dispatchers of undici 7 and later: `new Agent().compose(interceptor([...]))`. Give no policies for those of `presets.http()`.
 *
 * It answers and rejects as undici does: a 503 is an answer, also after the last attempt. Refusals and time-outs are what `request` rejects with, and what `fetch` has as its `cause`. What
 * policies hold for a request they hold until the body of its answer has been read, and that is when they are told how it ended; the answer of an attempt that is followed by another is never
 * seen. Requests for an upgrade and CONNECT pass untouched.
 *
 * @throws OptionsError if an option is wrong
 */
export function interceptor(policies?: Guarding, options?: InterceptorOptions): Interceptor {
  const settings = readOptions('interceptor', interceptorFields, options);
  const outbound = new Outbound('undici', policies, settings);
  const intercept =
    (dispatch: Dispatch): Dispatch =>
    (request, handler) => {
      if (request.method === 'CONNECT' || Boolean(request.upgrade)) return dispatch(request, handler);
      new Exchange(outbound, settings, dispatch, request, handler).start();
      return true;
    };
  return Object.assign(intercept as unknown as Dispatcher.DispatcherComposeInterceptor, { pipeline: outbound.pipeline });
}

/**
 * What one request says about itself, to be spread into the options of undici's `request`, `stream` and `pipeline`.
 *
 * @example
 * ```ts
 * import { requestOptions } from 'breakwater/undici';
 *
 * const options = { method: 'POST', ...requestOptions({ idempotent: true, deadline: '2s' }) } as const;
 * console.log(options.breakwater.deadline); // => '2s'
 * ```
 */
export function requestOptions<const Own extends RequestOptions>(own: Own): { readonly breakwater: Own } {
  return { breakwater: own };
}

export type { DispatchHandler, DispatchOptions };
