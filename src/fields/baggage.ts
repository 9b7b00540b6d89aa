/**
 * Baggage (W3C): names with values that travel with a request through all services, such as a tenant or a priority. Everybody on the way can read and change it.
 * So `tenant=acme;ttl=60, plan=gold%20plus`.
 */

import { LONGEST_FIELD, MOST_MEMBERS, trimmed } from './bounds.ts';

/** What is said about an entry; without a value, that it is so. */
export interface BaggageProperty {
  readonly key: string;
  readonly value?: string;
}

/** A name and its value, decoded. */
export interface BaggageEntry {
  readonly key: string;
  readonly value: string;
  readonly properties?: readonly BaggageProperty[];
}

/**
 * The first 64 entries, in their order; names may come twice. What is malformed is left out, and a field of more than 8 KiB is not read at all.
 * Bytes that are no UTF-8 become U+FFFD.
 */
export function parseBaggage(value: string): readonly Required<BaggageEntry>[] {
  if (value.length > LONGEST_FIELD) return [];
  const entries: Required<BaggageEntry>[] = [];
  for (const member of value.split(',', MOST_MEMBERS)) {
    const [first, ...rest] = member.split(';', MOST_MEMBERS + 1) as [string, ...string[]];
    const entry = pairOf(first);
    if (entry?.value === undefined) continue;
    const properties = rest.map(pairOf).filter((property) => property !== undefined);
    entries.push({ key: entry.key, value: entry.value, properties });
  }
  return entries;
}

/** The value of the first entry of this name. */
export function baggageValue(value: string, key: string): string | undefined {
  return parseBaggage(value).find((entry) => entry.key === key)?.value;
}

/**
 * The value of the field; `undefined` if there is nothing to carry. An entry whose name is no token (RFC 9110 5.6.2) is left out, and so is one that would make the field
 * longer than 8 KiB, which is what others need not carry.
 */
export function writeBaggage(entries: readonly BaggageEntry[]): string | undefined {
  let text = '';
  for (const { key, value, properties = [] } of entries) {
    if (!isName(key)) continue;
    const about = properties.filter((property) => isName(property.key)).map((property) => `;${written(property.key, property.value)}`);
    const longer = `${text === '' ? '' : `${text},`}${written(key, value)}${about.join('')}`;
    if (longer.length <= LONGEST_FIELD) text = longer;
  }
  return text === '' ? undefined : text;
}

function written(key: string, value: string | undefined): string {
  return value === undefined ? key : `${key}=${encoded(value)}`;
}

/** `key=value`, or a key alone. */
function pairOf(text: string): BaggageProperty | undefined {
  const at = text.indexOf('=');
  const key = trimmed(at < 0 ? text : text.slice(0, at));
  if (!isName(key)) return undefined;
  if (at < 0) return { key };
  const value = trimmed(text.slice(at + 1));
  return isOctets(value) ? { key, value: decoded(value) } : undefined;
}

function isName(text: string): boolean {
  return /^[\w!#$%&'*+.^`|~-]+$/.test(text);
}

/** Visible ASCII but for quotes, commas, semicolons and backslashes. */
function isOctets(text: string): boolean {
  return /^[!#-+\--:<-[\]-~]*$/.test(text);
}

function decoded(text: string): string {
  if (!text.includes('%')) return text;
  const bytes: number[] = [];
  for (let i = 0; i < text.length; i++) {
    const hex = text[i] === '%' ? text.slice(i + 1, i + 3) : '';
    const escaped = /^[\da-f]{2}$/i.test(hex);
    bytes.push(escaped ? parseInt(hex, 16) : text.charCodeAt(i));
    if (escaped) i += 2;
  }
  return Buffer.from(bytes).toString('utf8');
}

/** Everything that is not unreserved (RFC 3986 2.3) as the percent codes of its UTF-8. */
function encoded(text: string): string {
  if (/^[\w.~-]*$/.test(text)) return text;
  let result = '';
  for (const byte of Buffer.from(text)) {
    const character = String.fromCharCode(byte);
    result += /[\w.~-]/.test(character) ? character : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  }
  return result;
}
