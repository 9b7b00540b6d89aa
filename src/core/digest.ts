import { createHash } from 'node:crypto';

/** Longer texts are not kept as they are. */
const LONGEST = 256;

/**
 * What to keep a text under: the text itself, in memory of its own, or for a long one 128 bits of its SHA-256 as a bigint, which as a key in a `Map`
 * equals no text. Every UTF-16 unit counts, lone surrogates too.
 *
 * @internal
 */
export function identify(text: string): string | bigint {
  if (text.length <= LONGEST) return text;
  return BigInt(`0x${createHash('sha256').update(text, 'utf16le').digest('hex').slice(0, 32)}`);
}

/**
 * The same text in memory of its own: one cut out of a longer text, or put together from pieces, would keep those alive for as long as it is kept.
 *
 * @internal
 */
export function detach(text: string): string {
  return JSON.parse(JSON.stringify(text)) as string;
}
