/** Who asks: the client's address behind the proxies that are trusted, what to count it by, and whether the peer's word counts. */

import type { IncomingMessage } from 'node:http';
import { type Field, type Fields, count, field } from '../../core/options.ts';
import { type Trust, clientIp, clientIpHops, compileTrust, ipKey } from './client-address.ts';

/** What is looked at of a request: Node's own, Express's and Fastify's have it. */
export interface Connected {
  readonly socket: Pick<IncomingMessage['socket'], 'remoteAddress'>;
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
}

/** Whom to believe, and how far to tell addresses apart. */
export interface IdentityOptions {
  /**
   * Which proxies in front of this server are believed about who called them: how many there are, or their addresses and networks (`'10.0.0.0/8'`, `'loopback'`, `'linklocal'`,
   * `'uniquelocal'`). @defaultValue `0`: whoever connects is the client
   */
  readonly trustProxy?: number | string | readonly string[];
  /** How many bits of an IPv6 address tell clients apart, 1 to 128: whoever has one such address has a network of them. @defaultValue `56` */
  readonly ipv6Subnet?: number;
}

/** The same, as read. */
export interface IdentitySettings {
  readonly trustProxy: number | string | readonly string[];
  readonly ipv6Subnet: number;
}

const hops = count();
const bits: Field<number> = field('a whole number from 1 to 128', (value) =>
  typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= 128 ? value : undefined,
);

/** Their fields, for every table that has them. */
export const identityFields: Fields<IdentitySettings> = {
  trustProxy: field<IdentitySettings['trustProxy']>(
    'how many proxies there are (a whole number), or their addresses and networks; to believe everybody is to count nobody',
    (value) =>
      (typeof value === 'number' && hops.read(value, '', []) === value) || typeof value === 'string' || Array.isArray(value)
        ? (value as IdentitySettings['trustProxy'])
        : undefined,
  ).or(0),
  ipv6Subnet: bits.or(56),
};

/** Tells clients apart. @throws OptionsError if a proxy is no address */
export class Identity {
  readonly #hops: number;
  readonly #trust: Trust | undefined;
  readonly #subnet: number;
  /** The latest peer without proxies, and its key: connections that are kept ask many times. */
  #address: string | undefined = undefined;
  #key: string = ipKey(undefined);

  constructor({ trustProxy, ipv6Subnet }: IdentitySettings) {
    this.#subnet = ipv6Subnet;
    this.#hops = typeof trustProxy === 'number' ? trustProxy : Infinity;
    this.#trust = typeof trustProxy === 'number' ? undefined : compileTrust(trustProxy, 'trustProxy');
  }

  /** The client's address, as somebody who is believed wrote it; it need not be one. */
  address({ socket, headers }: Connected): string | undefined {
    const forwarded = headers['x-forwarded-for'];
    if (this.#trust !== undefined) return clientIp(socket.remoteAddress, this.#trust, forwarded);
    return this.#hops === 0 ? socket.remoteAddress : clientIpHops(socket.remoteAddress, forwarded, this.#hops);
  }

  /** What to count the client by: its address, or its network where that is IPv6; `'unknown'` if it cannot be told. */
  key(caller: Connected): string {
    const address = this.address(caller);
    if (address === this.#address) return this.#key;
    const key = ipKey(address, this.#subnet);
    this.#address = address;
    this.#key = key;
    return key;
  }

  /** Whether the peer that connected is one of ours: its word on time and importance counts. */
  isTrusted({ socket: { remoteAddress } }: Connected): boolean {
    if (this.#trust === undefined) return this.#hops > 0;
    return remoteAddress !== undefined && this.#trust(remoteAddress);
  }
}
