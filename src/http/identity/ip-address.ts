/** Nothing longer is looked at: the longest address has 45 characters, and brackets, a port and the name of an interface may come with it. */
const LONGEST = 128;

const COLON = 0x3a;
const DOT = 0x2e;

/**
 * An address of either family, as eight groups of 16 bits; one of IPv4 is held as IPv6 maps it (`::ffff:0:0/96`), so that the two ways of writing
 * it are one and the same. Read by hand in one pass, strictly: no leading zeros in a dotted quad, nothing but what RFC 4291 has.
 */
export class IpAddress {
  readonly #groups: readonly number[];
  /** Whether its last 32 bits were written as a dotted quad. */
  readonly #dotted: boolean;

  private constructor(groups: readonly number[], dotted: boolean) {
    this.#groups = groups;
    this.#dotted = dotted;
  }

  /** Reads an address; `undefined` if it is none. A zone (`%eth0`) is dropped: it says which way, not who. */
  static parse(text: string): IpAddress | undefined {
    if (text.length > LONGEST) return undefined;
    const zone = text.indexOf('%');
    if (zone < 0) return IpAddress.#between(text, 0, text.length);
    return zone === text.length - 1 || text.lastIndexOf(':', zone) < 0 ? undefined : IpAddress.#between(text, 0, zone);
  }

  /** As `parse`, for what proxies write: there may be brackets around an address of IPv6 and a port after one of either. */
  static find(text: string): IpAddress | undefined {
    if (text.length > LONGEST) return undefined;
    if (text.startsWith('[')) {
      const close = text.indexOf(']');
      return close > 0 && isPort(text, close + 1) ? IpAddress.#bracketed(text.slice(1, close)) : undefined;
    }
    const colon = text.indexOf(':');
    const ported = colon > 0 && colon === text.lastIndexOf(':') && text.lastIndexOf('.', colon) > 0;
    if (!ported) return IpAddress.parse(text);
    return isPort(text, colon) ? IpAddress.#between(text, 0, colon) : undefined;
  }

  /** Whether it is one of IPv4, however it was written. */
  get isV4(): boolean {
    const groups = this.#groups;
    return groups[5] === 0xffff && zeros(groups, 5);
  }

  /** Whether the first `bits` (of 128, as mapped) are those of `network`. */
  isIn(network: IpAddress, bits: number): boolean {
    let left = bits;
    for (let i = 0; left > 0; i++, left -= 16) {
      const difference = (this.#groups[i] as number) ^ (network.#groups[i] as number);
      if (difference >>> Math.max(0, 16 - left) !== 0) return false;
    }
    return true;
  }

  /**
   * Who it is, for counting: an address of IPv4 as a dotted quad, one of IPv6 by its first `bits` (`'2001:db8::/56'`), or in full, written as RFC 5952 wants
   * it. Such as begin with 96 zeros and were written with a dotted quad count as the quad.
   */
  key(bits: number | false): string {
    if (this.isV4 || (this.#dotted && zeros(this.#groups, 6))) return quad(this.#groups);
    if (bits === false) return written(this.#groups);
    const network = this.#groups.map((group, i) => group & (0xffff << Math.min(16, Math.max(0, 16 * (i + 1) - bits))) & 0xffff);
    return `${written(network)}/${bits}`;
  }

  static #bracketed(inner: string): IpAddress | undefined {
    return inner.includes(':') ? IpAddress.parse(inner) : undefined;
  }

  static #between(text: string, from: number, to: number): IpAddress | undefined {
    const groups: number[] = [];
    let gap = -1;
    let dotted = false;
    let i = from;
    if (text.charCodeAt(i) === COLON) {
      if (text.charCodeAt(i + 1) !== COLON) return undefined;
      gap = 0;
      i += 2;
    }
    while (i < to) {
      const start = i;
      let group = 0;
      for (let digit = hexAt(text, i); i < to && digit >= 0 && i - start < 5; digit = hexAt(text, ++i)) group = group * 16 + digit;
      if (i < to && text.charCodeAt(i) === DOT) {
        const value = quadAt(text, start, to);
        const alone = groups.length === 0 && gap < 0;
        if (value < 0 || groups.length > 6) return undefined;
        if (alone) groups.push(0, 0, 0, 0, 0, 0xffff);
        groups.push(value >>> 16, value % 0x10000);
        dotted = true;
        break;
      }
      if (i === start || i - start > 4 || groups.length === 8) return undefined;
      groups.push(group);
      if (i === to) break;
      if (text.charCodeAt(i) !== COLON || ++i === to) return undefined;
      if (text.charCodeAt(i) !== COLON) continue;
      if (gap >= 0) return undefined;
      gap = groups.length;
      i++;
    }
    if (gap < 0 ? groups.length !== 8 : groups.length > 7) return undefined;
    while (groups.length < 8) groups.splice(gap, 0, 0);
    return new IpAddress(groups, dotted);
  }
}

/** The 32 bits of a dotted quad that takes up all of this stretch; -1 if it is none. */
export function quadAt(text: string, from: number, to: number): number {
  let value = 0;
  let i = from;
  for (let part = 0; part < 4; part++) {
    const start = i;
    let octet = 0;
    for (; i < to && isDigit(text, i) && i - start < 4; i++) octet = octet * 10 + text.charCodeAt(i) - 48;
    const digits = i - start;
    if (digits === 0 || digits > 3 || octet > 255 || (digits > 1 && text.charCodeAt(start) === 48)) return -1;
    value = value * 256 + octet;
    if (part < 3 && (i >= to || text.charCodeAt(i++) !== DOT)) return -1;
  }
  return i === to ? value : -1;
}

/** Whether a port stands here, or the end. */
function isPort(text: string, at: number): boolean {
  return at === text.length || (text.charCodeAt(at) === COLON && text.length - at <= 6 && isDigits(text, at + 1));
}

/** Whether there is nothing but digits from here on, and one at least. */
export function isDigits(text: string, from: number): boolean {
  if (from >= text.length) return false;
  for (let i = from; i < text.length; i++) if (!isDigit(text, i)) return false;
  return true;
}

function isDigit(text: string, at: number): boolean {
  const code = text.charCodeAt(at);
  return code >= 48 && code <= 57;
}

function hexAt(text: string, at: number): number {
  if (isDigit(text, at)) return text.charCodeAt(at) - 48;
  const lower = text.charCodeAt(at) | 0x20;
  return lower >= 97 && lower <= 102 ? lower - 87 : -1;
}

function zeros(groups: readonly number[], count: number): boolean {
  for (let i = 0; i < count; i++) if (groups[i] !== 0) return false;
  return true;
}

function quad(groups: readonly number[]): string {
  const [high, low] = [groups[6] as number, groups[7] as number];
  return `${high >>> 8}.${high & 0xff}.${low >>> 8}.${low & 0xff}`;
}

/** RFC 5952: of runs of zeros equally long the first is left out, and never a single zero. */
function written(groups: readonly number[]): string {
  let at = 8;
  let longest = 1;
  for (let i = 0, run = 0; i < 8; i++) {
    run = groups[i] === 0 ? run + 1 : 0;
    if (run <= longest) continue;
    longest = run;
    at = i + 1 - run;
  }
  const hex = groups.map((group) => group.toString(16));
  return at === 8 ? hex.join(':') : `${hex.slice(0, at).join(':')}::${hex.slice(at + longest).join(':')}`;
}
