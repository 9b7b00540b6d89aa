import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import {
  type FieldInnerList,
  type FieldItem,
  type FieldParameters,
  type FieldValue,
  parseDictionary,
  parseItem,
  parseList,
  tokenOf,
  writeDictionary,
  writeItem,
  writeList,
} from '../../src/fields/structured-fields.ts';
import { type VectorFile, replay } from './replay.mjs';

interface Input {
  readonly fn: string;
  readonly type: string;
  readonly raw: readonly string[];
}

/** RFC 4648; what the cases show bytes in. */
function base32(bytes: Uint8Array): string {
  const bits = [...bytes].map((byte) => byte.toString(2).padStart(8, '0')).join('');
  const digits = (bits.match(/.{1,5}/g) ?? []).map((five) => 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'[parseInt(five.padEnd(5, '0'), 2)]).join('');
  return digits.padEnd(Math.ceil(digits.length / 8) * 8, '=');
}

function shownValue(value: FieldValue): unknown {
  if (value instanceof ArrayBuffer) return { __type: 'binary', value: base32(new Uint8Array(value)) };
  const token = tokenOf(value);
  return token === undefined ? value : { __type: 'token', value: token };
}

function shownParameters(parameters: FieldParameters): unknown {
  return [...parameters].map(([name, value]) => [name, shownValue(value)]);
}

function shown(member: FieldItem | FieldInnerList): unknown {
  const [value, parameters] = member;
  return [Array.isArray(value) ? value.map(shown) : shownValue(value), shownParameters(parameters)];
}

function canonical(text: string): readonly string[] {
  return text === '' ? [] : [text];
}

function parsed(type: string, text: string): object {
  switch (type) {
    case 'list': {
      const list = parseList(text);
      return list === undefined ? { fails: true } : { value: list.map(shown), canonical: canonical(writeList(list)) };
    }
    case 'dictionary': {
      const dictionary = parseDictionary(text);
      if (dictionary === undefined) return { fails: true };
      return { value: [...dictionary].map(([name, member]) => [name, shown(member)]), canonical: canonical(writeDictionary(dictionary)) };
    }
    case 'item': {
      const item = parseItem(text);
      return item === undefined ? { fails: true } : { value: shown(item), canonical: canonical(writeItem(item)) };
    }
    default:
      throw new Error(`no such type: ${type}`);
  }
}

const adapter = {
  fn(i: Input): object {
    if (i.fn !== 'parse') throw new Error(`not offered: ${i.fn}`);
    return parsed(i.type, i.raw.join(', '));
  },
};

test('third-party vectors 22: structured fields; only 1.0 and 1 are not told apart, as documented', async () => {
  const file = JSON.parse(readFileSync(new URL('22-structured-fields.json', import.meta.url), 'utf8')) as VectorFile<Input>;
  const result = await replay(file, adapter, { has: (flag) => flag !== 'sf.decimalType' });
  expect(result.failures).toEqual([]);
  expect(result.skipped.filter((name) => !name.endsWith('(needs sf.decimalType)'))).toEqual([]);
  expect(result.cases + result.skipped.length).toBe(file.cases.length);
});
