import type { IncomingMessage } from 'node:http';
import { type Fields, count, field, readOptions } from '../core/options.ts';
import { clientIp, clientIpHops, compileTrust, ipKey } from './client-address.ts';

/** Options of {@link clientKey}. */
export interface ClientKeyOptions {
  /**
   * Which proxies in front of this server are believed about who called them: how many there are, or their addresses and networks (`'10.0.0.0/8'`, `'loopback'`, `'linklocal'`,
   * `'uniquelocal'`). @defaultValue `0`: whoever connects is the client
   */
  readonly trustProxy?: number | string | readonly string[];
  /** How many bits of an IPv6 address tell clients apart, 1 to 128: whoever has one such address has a network of them. @defaultValue `56` */
  readonly ipv6Subnet?: number;
}

interface ClientKeySettings {
  readonly trustProxy: number | string | readonly string[];
  readonly ipv6Subnet: number;
}

const hops = count();

/** The option table. */
export const clientKeyFields: Fields<ClientKeySettings> = {
  trustProxy: field<ClientKeySettings['trustProxy']>(
    'how many proxies there are (a whole number), or their addresses and networks; to believe everybody is to count nobody',
    (value) =>
      (typeof value === 'number' && hops.read(value, '', []) === value) || typeof value === 'string' || Array.isArray(value)
        ? (value as ClientKeySettings['trustProxy'])
        : undefined,
  ).or(0),
  ipv6Subnet: count({ min: 1 }).or(56),
};

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
  const { trustProxy, ipv6Subnet } = readOptions('clientKey', clientKeyFields, options);
  ipKey('::', ipv6Subnet); // says at once if it is too large
  if (typeof trustProxy === 'number')
    return ({ socket, headers }) => ipKey(clientIpHops(socket.remoteAddress, headers['x-forwarded-for'], trustProxy), ipv6Subnet);
  const trust = compileTrust(trustProxy);
  return ({ socket, headers }) => ipKey(clientIp(socket.remoteAddress, trust, headers['x-forwarded-for']), ipv6Subnet);
}

/** What is looked at of a request: Node's own, Express's and Fastify's have it. */
export interface Connected {
  readonly socket: Pick<IncomingMessage['socket'], 'remoteAddress'>;
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
}
