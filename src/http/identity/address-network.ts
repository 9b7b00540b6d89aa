import { OptionsError } from '../../core/errors.ts';
import { show } from '../../core/options.ts';
import { IpAddress, isDigits, quadAt } from './ip-address.ts';

/** Addresses that begin alike. */
export class Network {
  readonly #address: IpAddress;
  readonly #bits: number;

  private constructor(address: IpAddress, bits: number) {
    this.#address = address;
    this.#bits = bits;
  }

  /**
   * Reads an address, with the length of its network if there is one: `10.0.0.0/8`, `10.0.0.0/255.0.0.0`, `fc00::/7`.
   *
   * @throws OptionsError
   */
  static parse(given: unknown, path: string): Network {
    const text = typeof given === 'string' ? given : '';
    const slash = text.lastIndexOf('/');
    const address = IpAddress.parse(slash < 0 ? text : text.slice(0, slash));
    const bits = slash < 0 ? 128 : bitsOf(text.slice(slash + 1), !text.includes(':'));
    if (address !== undefined && bits !== undefined) return new Network(address, bits);
    throw new OptionsError([{ path, expected: "an address, or a network such as '10.0.0.0/8' or 'fc00::/7'", got: show(given) }]);
  }

  has(address: IpAddress): boolean {
    return address.isIn(this.#address, this.#bits);
  }
}

/** How many bits a network's length means, of 128; `undefined` if it means nothing. */
function bitsOf(length: string, v4: boolean): number | undefined {
  const most = v4 ? 32 : 128;
  const bits = isDigits(length, 0) ? Number(length) : v4 ? maskLength(length) : 0;
  return bits >= 1 && bits <= most ? bits + (128 - most) : undefined;
}

/** The number of ones in front of a netmask in which no zero comes before a one; 0 if it is none. */
function maskLength(text: string): number {
  const mask = quadAt(text, 0, text.length);
  if (mask <= 0) return 0;
  const ones = Math.clz32(~mask);
  return (0xffffffff << (32 - ones)) >>> 0 === mask ? ones : 0;
}
