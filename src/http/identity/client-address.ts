/**
 * Who calls, behind proxies: which of the addresses at hand is the client's, and what to count it by. `X-Forwarded-For` is read from the right, as
 * far as proxies that are trusted wrote it; what stands further left comes from the client itself, and must make no difference.
 *
 * @module
 */

import { OptionsError } from '../../core/errors.ts';
import { show } from '../../core/options.ts';
import { Network } from './address-network.ts';
import { IpAddress } from './ip-address.ts';

/** Of a header only so much is looked at, from its end. */
const LONGEST_HEADER = 8192;
/** And of its members only so many. */
const MOST_MEMBERS = 64;

const SPACE = 0x20;
const TAB = 0x09;
const COMMA = 0x2c;

/** What those are counted by whose address is none. */
const NOBODY = 'unknown';

/** Whether a proxy with this address is trusted to say truly who called it. */
export type Trust = (address: string) => boolean;

/** Networks that go by a name. */
const named: ReadonlyMap<string, readonly string[]> = new Map([
  ['loopback', ['127.0.0.0/8', '::1']],
  ['linklocal', ['169.254.0.0/16', 'fe80::/10']],
  ['uniquelocal', ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', 'fc00::/7']],
]);

/**
 * Which proxies are trusted: addresses, networks (`10.0.0.0/8`, `10.0.0.0/255.0.0.0`, `fc00::/7`), and `loopback`, `linklocal` and `uniquelocal`. With
 * `'all'` the client says who it is; that is for tests, and for counting nothing by it.
 *
 * @param path - what an error calls the list
 * @throws OptionsError if something is none of that
 */
export function compileTrust(trust: string | readonly string[], path = 'trust'): Trust {
  if (trust === 'all') return () => true;
  const given: unknown = typeof trust === 'string' ? [trust] : trust;
  if (!Array.isArray(given)) {
    const expected = "a list of addresses and networks of proxies, 'loopback', 'linklocal', 'uniquelocal'";
    throw new OptionsError([{ path, expected, got: show(trust) }]);
  }
  const networks = given.flatMap((entry: unknown, i) =>
    (named.get(entry as string) ?? [entry]).map((written) => Network.parse(written, `${path}[${i}]`)),
  );
  return (address) => {
    const parsed = networks.length === 0 ? undefined : IpAddress.find(address);
    return parsed !== undefined && networks.some((network) => network.has(parsed));
  };
}

/**
 * The address of the client: the first from the right that is none of a trusted proxy, beginning with the one that connected. If all are trusted it is the
 * leftmost. Answers with what was written there, also if that is no address; {@link ipKey} makes of it what to count by.
 */
export function clientIp(socket: string | undefined, trust: Trust, xff?: string | readonly string[]): string | undefined {
  let address = socket;
  const members = new Members(xff);
  while (address !== undefined && trust(address)) {
    const next = members.next();
    if (next === undefined) break;
    address = next;
  }
  return address;
}

/**
 * The address of the client behind so many proxies, whatever their addresses: the one that the outermost of them saw. With fewer addresses than that it is
 * the leftmost, which the client may have made up: never count more hops than there are.
 *
 * @throws OptionsError if `hops` is no whole number of at least 0
 */
export function clientIpHops(socket: string | undefined, xff: string | readonly string[] | undefined, hops: number): string | undefined {
  if (!Number.isSafeInteger(hops) || hops < 0)
    throw new OptionsError([{ path: 'hops', expected: 'a whole number of at least 0', got: show(hops) }]);
  let address = socket;
  const members = new Members(xff);
  for (let hop = 0; hop < hops; hop++) {
    const next = members.next();
    if (next === undefined) break;
    address = next;
  }
  return address;
}

/**
 * What to count a client by. One address of IPv4 is one client, in whichever way it is written; of IPv6 whoever has one address has a network of them, so the network counts,
 * by its first `ipv6Subnet` bits. Ports, brackets and zones make no difference, and neither does upper case. All that is no address counts as one: `'unknown'`.
 *
 * @param ipv6Subnet - 1 to 128, or `false` for the whole address. Default: 56, what a household is given
 * @throws OptionsError if `ipv6Subnet` is none of these
 */
export function ipKey(ip: string | undefined, ipv6Subnet: number | false = 56): string {
  if (ipv6Subnet !== false && !(Number.isInteger(ipv6Subnet) && ipv6Subnet >= 1 && ipv6Subnet <= 128))
    throw new OptionsError([{ path: 'ipv6Subnet', expected: 'a whole number from 1 to 128, or false', got: show(ipv6Subnet) }]);
  const address = ip === undefined ? undefined : IpAddress.find(ip);
  return address?.key(ipv6Subnet) ?? NOBODY;
}

/**
 * The members of a header, last one first; empty ones are none. Only the end of the header is looked at, and a member that begins before is not
 * cut, which could make another address of it: it is left out, with all before it.
 */
class Members {
  readonly #lines: readonly string[];
  #line: number;
  /** Where in this line the members end that are left. */
  #end: number;
  /** What may still be looked at. */
  #characters = LONGEST_HEADER;
  #members = MOST_MEMBERS;

  constructor(header: string | readonly string[] | undefined) {
    this.#lines = header === undefined ? [] : typeof header === 'string' ? [header] : header;
    this.#line = this.#lines.length;
    this.#end = -1;
  }

  /** The member before; `undefined` once there is none, or enough were read. */
  next(): string | undefined {
    while (this.#members > 0 && this.#characters > 0) {
      if (this.#end < 0) {
        if (--this.#line < 0) return undefined;
        this.#end = (this.#lines[this.#line] as string).length;
      }
      const member = this.#take(this.#lines[this.#line] as string);
      if (member === '') continue;
      this.#members--;
      return member;
    }
    return undefined;
  }

  /** Goes back to the comma before, or to the beginning of the line. */
  #take(text: string): string {
    const end = this.#end;
    let start = end;
    while (start > 0 && text.charCodeAt(start - 1) !== COMMA && this.#characters > 0) {
      start--;
      this.#characters--;
    }
    this.#characters--;
    this.#end = start - 1;
    const whole = start === 0 || text.charCodeAt(start - 1) === COMMA;
    return whole ? trimmed(text, start, end) : '';
  }
}

function trimmed(text: string, from: number, to: number): string {
  let start = from;
  let end = to;
  while (start < end && isSpace(text, start)) start++;
  while (end > start && isSpace(text, end - 1)) end--;
  return text.slice(start, end);
}

function isSpace(text: string, at: number): boolean {
  const code = text.charCodeAt(at);
  return code === SPACE || code === TAB;
}
