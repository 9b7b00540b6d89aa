/**
 * Structured fields (RFC 9651): lists, dictionaries and items, read within bounds and written. The grammar is the library's; here is what it leaves open: input of any length and
 * any number of members, values that are no numbers, decimals that it writes without a fraction.
 *
 * Not told apart are an integer and a decimal of the same value: `1.0` is read as 1 and written as `1`.
 *
 * So the list `"burst";r=50;t=30` is `[['burst', new Map([['r', 50], ['t', 30]])]]`, and `"burst` is no list.
 */

import {
  type Dictionary,
  DisplayString,
  type Item,
  type List,
  Token,
  parseDictionary as readDictionary,
  parseItem as readItem,
  parseList as readList,
  serializeByteSequence,
  serializeDictionary,
  serializeItem,
  serializeList,
} from 'structured-headers';
import { OptionsError } from '../core/errors.ts';
import { show } from '../core/options.ts';
import { LONGEST_FIELD, MOST_MEMBERS } from './bounds.ts';

/** A moment, as dates are. */
export interface FieldDate {
  getTime(): number;
}

/** A token, which is a word without quotes, or a display string, which is text of any language. */
export interface FieldText {
  toString(): string;
}

/** A bare value; bytes are read as an `ArrayBuffer`. The types are ours: those of the library name one that only browsers declare. */
export type FieldValue = number | string | boolean | ArrayBuffer | Uint8Array | FieldText | FieldDate;

/** Parameters of a member, in their order. */
export type FieldParameters = Map<string, FieldValue>;

/** A value with its parameters. */
export type FieldItem = [FieldValue, FieldParameters];

/** Items in brackets, with parameters of their own. */
export type FieldInnerList = [FieldItem[], FieldParameters];

/** Members of a list. */
export type FieldList = (FieldItem | FieldInnerList)[];

/** Members of a dictionary, in their order. */
export type FieldDictionary = Map<string, FieldItem | FieldInnerList>;

/** Items, and lists of items in brackets. `undefined` if it is malformed, longer than 8 KiB, or has more than 64 members. */
export function parseList(text: string): FieldList | undefined {
  const list = attempt<FieldList>(readList, text);
  return list !== undefined && list.length <= MOST_MEMBERS && list.every(inBounds) ? list : undefined;
}

/** Names with values. `undefined` as for lists. */
export function parseDictionary(text: string): FieldDictionary | undefined {
  const dictionary = attempt<FieldDictionary>(readDictionary, text);
  return dictionary !== undefined && dictionary.size <= MOST_MEMBERS && [...dictionary.values()].every(inBounds) ? dictionary : undefined;
}

/** One value with its parameters. `undefined` as for lists. */
export function parseItem(text: string): FieldItem | undefined {
  const item = attempt<FieldItem>(readItem, text);
  return item !== undefined && inBounds(item) ? item : undefined;
}

/** The word, if this value is one that stands there without quotes. */
export function tokenOf(value: FieldValue): string | undefined {
  return value instanceof Token ? value.toString() : undefined;
}

/**
 * The value of a list; of an empty one `''`, which is no field at all.
 *
 * @throws OptionsError on numbers, dates and display strings that no field can hold; so do the other writers
 */
export function writeList(list: FieldList): string {
  return serializeList(list.map(writable) as List);
}

/** The value of a dictionary. */
export function writeDictionary(dictionary: FieldDictionary): string {
  return serializeDictionary(new Map([...dictionary].map(([key, member]) => [key, writable(member)])) as Dictionary);
}

/** The value of an item. */
export function writeItem(item: FieldItem): string {
  return serializeItem(writableItem(item) as Item);
}

/** Bytes as a field has them: `:aGVsbG8=:`. */
export function writeBytes(bytes: Uint8Array): string {
  return serializeByteSequence(bytes);
}

/**
 * Text in quotes. Nothing but printable ASCII can stand in a field, so line breaks never get into one.
 *
 * @throws OptionsError
 */
export function writeString(text: string): string {
  if (!isPrintable(text)) throw new OptionsError([{ path: 'text', expected: 'printable ASCII characters', got: show(text) }]);
  return quoted(text);
}

/** Text in quotes, with a `_` in place of each character that cannot stand in a field. */
export function writeSafeString(text: string): string {
  // Most names are of such characters, and are written with every answer.
  if (/^[\w .:/-]*$/.test(text)) return `"${text}"`;
  return quoted(text.replaceAll(/[^\x20-\x7e]/g, '_'));
}

function quoted(text: string): string {
  return `"${text.replaceAll(/["\\]/g, '\\$&')}"`;
}

function isPrintable(text: string): boolean {
  return /^[\x20-\x7e]*$/.test(text);
}

function attempt<Result>(read: (text: string) => Result, text: string): Result | undefined {
  // Fields are ASCII (RFC 9651 4.2); what the library makes of other characters in display strings would be something else.
  if (text.length > LONGEST_FIELD || !/^[\t\x20-\x7e]*$/.test(text)) return undefined;
  try {
    return read(text);
  } catch {
    return undefined;
  }
}

function isInner(member: FieldItem | FieldInnerList): member is FieldInnerList {
  return Array.isArray(member[0]);
}

function inBounds(member: FieldItem | FieldInnerList): boolean {
  if (member[1].size > MOST_MEMBERS || ![...member[1].values()].every(isSound)) return false;
  return isInner(member) ? member[0].length <= MOST_MEMBERS && member[0].every(inBounds) : isSound(member[0]);
}

/** A date out of the range of dates is none. */
function isSound(value: FieldValue): boolean {
  return typeof value !== 'object' || !('getTime' in value) || !Number.isNaN(value.getTime());
}

function writable(member: FieldItem | FieldInnerList): FieldItem | FieldInnerList {
  return isInner(member) ? [member[0].map(writableItem), writableParameters(member[1])] : writableItem(member);
}

function writableItem([value, parameters]: FieldItem): FieldItem {
  return [writableValue(value), writableParameters(parameters)];
}

function writableParameters(parameters: FieldParameters): FieldParameters {
  return new Map([...parameters].map(([key, value]) => [key, writableValue(value)]));
}

/** The library would write `1.` for 1.0001, `NaN` for NaN, and one hexadecimal digit in place of two for control characters. */
function writableValue(value: FieldValue): FieldValue {
  if (typeof value === 'number' && Number.isFinite(value)) return Number.isInteger(value) ? value : thousandths(value);
  const unwritable = typeof value === 'number' || !isSound(value) || (value instanceof DisplayString && /[\0-\x0f]/.test(value.toString()));
  if (unwritable) throw new OptionsError([{ path: 'value', expected: 'what a structured field can hold', got: show(value) }]);
  return value;
}

/** Rounded to three digits after the point, from the middle to the even one (RFC 9651 4.1.5). */
function thousandths(value: number): number {
  const scaled = value * 1000;
  const below = Math.floor(scaled);
  const up = scaled - below > 0.5 || (scaled - below === 0.5 && below % 2 !== 0);
  return (up ? below + 1 : below) / 1000;
}
