/**
 * The key under which a service knows repeated requests for one (draft-ietf-httpapi-idempotency-key-header, version 7).
 * So `"8e03978e-40d5-43dd-bc93-6894a57f9324"`, or, as most clients have it, the same without quotes.
 */

import { OptionsError } from '../core/errors.ts';
import { show } from '../core/options.ts';
import { trimmed } from './bounds.ts';
import { parseItem, writeString } from './structured-fields.ts';

/** The field. */
export const IDEMPOTENCY_KEY_FIELD = 'idempotency-key';

/** Longest key, characters. */
const LONGEST_KEY = 255;

/** Longest field: each character of a key may be escaped; quotes, and room for parameters. */
const LONGEST_VALUE = 1024;

/**
 * The key: what stands in quotes, as the draft has it, or a word without them, as most clients send it. `undefined` if it is malformed, empty or longer than 255 characters, or
 * if there are several. A word is visible ASCII without quotes, commas, semicolons and backslashes.
 */
export function readIdempotencyKey(value: string): string | undefined {
  if (value.length > LONGEST_VALUE) return undefined;
  const text = trimmed(value);
  const key = text.startsWith('"') ? parseItem(text)?.[0] : isWord(text) ? text : undefined;
  return typeof key === 'string' && key !== '' && key.length <= LONGEST_KEY ? key : undefined;
}

/**
 * The value of the field, in quotes.
 *
 * @throws OptionsError if the key is empty, longer than 255 characters or not printable ASCII
 */
export function writeIdempotencyKey(key: string): string {
  if (key === '' || key.length > LONGEST_KEY)
    throw new OptionsError([{ path: 'idempotencyKey', expected: `1 to ${LONGEST_KEY} characters`, got: show(key) }]);
  return writeString(key);
}

function isWord(text: string): boolean {
  return /^[!#-+\--:<-[\]-~]+$/.test(text);
}
