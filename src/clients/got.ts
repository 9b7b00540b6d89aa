/**
 * Behind got: an extension whose policies decide what got's own retry did, and whatever else stands around a request.
 *
 * @example
 * ```ts
 * import { once } from 'node:events';
 * import { createServer } from 'node:http';
 * import type { AddressInfo } from 'node:net';
 * import { presets } from 'breakwater';
 * import { extension } from 'breakwater/got';
 * import got from 'got';
 *
 * let busy = 1;
 * const service = createServer((_req, res) => {
 *   if (busy-- > 0) res.writeHead(503, { 'retry-after-ms': '1' }).end();
 *   else res.end('{"pieces":7}');
 * }).listen(0, '127.0.0.1');
 * await once(service, 'listening');
 *
 * const client = got.extend(extension(presets.http()));
 * console.log(await client(`http://127.0.0.1:${(service.address() as AddressInfo).port}/stock`).json()); // => { pieces: 7 }
 * service.close();
 * service.closeAllConnections();
 * ```
 *
 * @module
 */

import type { ExtendOptions, HandlerFunction } from 'got';
import { readOptions } from '../core/options.ts';
import type { Pipeline } from '../core/pipeline.ts';
import { Exchange, type GotOptions, type GotPromise } from './got/exchange.ts';
import { type Guarding, Outbound } from './outbound.ts';
import { type OutboundOptions, outboundFields } from './outbound-options.ts';

export type { Guarding } from './outbound.ts';
export type { OutboundOptions, OutboundRequest, RequestOptions } from './outbound-options.ts';

/** Options of {@link extension}. */
export interface ExtensionOptions extends OutboundOptions {
  /** What events, errors and snapshots call it; a pipeline that is given has a name of its own. @defaultValue `'got'` */
  readonly name?: string;
}

/** The option table. */
export const extensionFields: typeof outboundFields = outboundFields;

/** What `got.extend` takes, with the pipeline that requests go through. */
export interface Extension extends ExtendOptions {
  /** Not one of got's options: it does not show when they are merged. */
  readonly pipeline: Pipeline;
}

/**
 * Makes options for `got.extend`. Give no policies for those of `presets.http()`.
 *
 * Requests of the promise API are calls through the pipeline, and got repeats them when the pipeline says so and at no other time, whatever its `retry` says; its hooks, shortcuts (`.json()`) and timeouts work as
 * ever. What one request says about itself stands in its `context`, as `{ breakwater: { deadline: '2s' } }`. Streams are not calls: they pass untouched.
 *
 * @throws OptionsError if an option is wrong
 */
export function extension(policies?: Guarding, options?: ExtensionOptions): Extension {
  const outbound = new Outbound('got', policies, readOptions('extension', extensionFields, options));
  const handle = (given: GotOptions & { readonly isStream: boolean }, next: (options: unknown) => unknown): unknown => {
    if (given.isStream) return next(given);
    const exchange = new Exchange(outbound, given, () => next(given) as GotPromise);
    const answer = exchange.run();
    // Got puts its own `cancel` here, which works on nothing but its own promises.
    void Object.defineProperty(answer, 'cancel', { get: () => () => exchange.leave(), set: () => undefined, configurable: true });
    return answer;
  };
  const extended: ExtendOptions = { retry: { limit: 0 }, handlers: [handle as unknown as HandlerFunction] };
  return Object.defineProperty(extended, 'pipeline', { value: outbound.pipeline }) as Extension;
}
