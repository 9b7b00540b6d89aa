import { readOptions } from '../../core/options.ts';
import { type Connected, Identity, type IdentityOptions, identityFields } from './identity.ts';

/** Options of {@link clientKey}. */
export type ClientKeyOptions = IdentityOptions;

/**
 * What to count clients by: a function for the `key` option of a guard, which answers with the client's address, or with its network where that is IPv6. What a client writes
 * into `X-Forwarded-For` itself makes no difference. Requests whose address cannot be told share the key `'unknown'`.
 *
 * @throws OptionsError if an option is wrong
 *
 * @example
 * ```ts
 * import { clientKey } from 'breakwater/express';
 *
 * const key = clientKey({ trustProxy: ['loopback', '10.0.0.0/8'] });
 * const request = { socket: { remoteAddress: '10.0.0.7' }, headers: { 'x-forwarded-for': '6.6.6.6, 203.0.113.9' } };
 * console.log(key(request)); // => '203.0.113.9'
 * ```
 */
export function clientKey(options: ClientKeyOptions = {}): (req: Connected) => string {
  const identity = new Identity(readOptions('clientKey', identityFields, options));
  return (req) => identity.key(req);
}
