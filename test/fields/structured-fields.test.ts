import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { OptionsError } from 'breakwater';
import { DisplayString, Token, parseDictionary as readDictionary, parseItem as readItem, parseList as readList } from 'structured-headers';
import {
  type FieldItem,
  type FieldValue,
  parseDictionary,
  parseItem,
  parseList,
  tokenOf,
  writeBytes,
  writeDictionary,
  writeItem,
  writeList,
  writeSafeString,
  writeString,
} from '../../src/fields/structured-fields.ts';
import { counted, hostile, often, tooLong } from './hostile.ts';

const none = new Map<string, FieldValue>();
const plain = (value: FieldValue): FieldItem => [value, new Map<string, FieldValue>()];

describe('a structured field', () => {
  test('has values of all kinds', () => {
    const item = (text: string): FieldValue | undefined => parseItem(text)?.[0];
    expect(item('42')).toBe(42);
    expect(item('-1.5')).toBe(-1.5);
    expect(item('"say \\"hi\\""')).toBe('say "hi"');
    expect(item('?0')).toBe(false);
    expect(tokenOf(item('text/html') as FieldValue)).toBe('text/html');
    expect(tokenOf('text')).toBeUndefined();
    expect(Buffer.from(item(':aGVsbG8=:') as ArrayBuffer).toString()).toBe('hello');
    expect(item('%"f%c3%bcr"')).toEqual(new DisplayString('für'));
    expect((item('@1659578233') as Date).getTime()).toBe(1_659_578_233_000);
  });

  test('is a list, with lists in it, a dictionary, or an item, with parameters', () => {
    expect(parseList('"a";b;c=1, (1 2);d')).toEqual([
      ['a', new Map<string, FieldValue>([...([['b', true]] as const), ['c', 1]])],
      [[plain(1), plain(2)], new Map([['d', true]])],
    ]);
    expect(parseDictionary('a=1, b;c=2, a=3')).toEqual(
      new Map<string, FieldItem>([
        ['a', plain(3)],
        ['b', [true, new Map([['c', 2]])]],
      ]),
    );
    expect(parseItem(' 1;a=?0 ')).toEqual([1, new Map([['a', false]])]);
    expect(parseList('')).toEqual([]);
    expect(parseDictionary('')).toEqual(none);
    expect(parseItem('')).toBeUndefined();
  });

  test('keeps a name that objects inherit for a name like others', () => {
    expect(parseDictionary('constructor=1, __proto__=2')).toBeUndefined();
    expect([...(parseDictionary('constructor=1, valueof=2') as Map<string, unknown>).keys()]).toEqual(['constructor', 'valueof']);
  });

  test.each([
    ':iZ==:',
    ':=:',
    ':a:',
    ':aa:',
    '@99999999999999',
    '@-99999999999999',
    '@1.5',
    '-',
    '1.',
    '?',
    '?2',
    '%"%ff"',
    '%"ł"',
    '%"\u0122"',
    '%"ü"',
    '"ü"',
    '1;A',
  ])('with %j never has NaN, a date that is none, or text of another length in it', (text) => {
    const value = parseItem(text)?.[0];
    if (value !== undefined) expect(value instanceof ArrayBuffer && value.byteLength === 1).toBe(true);
  });
});

describe('a structured field is read within bounds', () => {
  test('of 8 KiB', () => {
    for (const parse of [parseList, parseDictionary, parseItem]) expect(parse(tooLong)).toBeUndefined();
    expect(parseItem(`"${'x'.repeat(8190)}"`)?.[0]).toHaveLength(8190);
    expect(parseItem(`"${'x'.repeat(8191)}"`)).toBeUndefined();
  });

  test('of 64 members, in lists, in lists in lists, in dictionaries and of parameters', () => {
    const times = (n: number, part: (i: number) => string, by: string): string => Array.from({ length: n }, (_, i) => part(i)).join(by);
    for (const [most, text] of [
      [64, (n: number) => parseList(times(n, () => '1', ','))],
      [64, (n: number) => parseList(`(${times(n, () => '1', ' ')})`)],
      [64, (n: number) => parseDictionary(times(n, (i) => `k${i}=1`, ','))],
      [64, (n: number) => parseDictionary(`a=(${times(n, () => '1', ' ')})`)],
      [64, (n: number) => parseItem(`1${times(n, (i) => `;k${i}`, '')}`)],
      [64, (n: number) => parseList(`(1${times(n, (i) => `;k${i}`, '')})`)],
      [64, (n: number) => parseList(`(1)${times(n, (i) => `;k${i}`, '')}`)],
    ] as const) {
      expect(text(most)).toBeDefined();
      expect(text(most + 1)).toBeUndefined();
    }
  });

  test.each([
    ['digits', '9'.repeat(100_000)],
    ['a decimal', `1.${'0'.repeat(100_000)}`],
    ['an open string', `"${'x'.repeat(100_000)}`],
    ['backslashes', `"${'\\"'.repeat(50_000)}`],
    ['open brackets', '('.repeat(100_000)],
    ['lists in brackets', '(1),'.repeat(25_000)],
    ['blanks in brackets', `(${' '.repeat(100_000)}`],
    ['blanks', ' '.repeat(100_000)],
    ['tabs after a member', `1${'\t'.repeat(100_000)}`],
    ['open bytes', `:${'A'.repeat(100_000)}`],
    ['bytes one after the other', ':AAAA:,'.repeat(14_000)],
    ['colons', ':'.repeat(100_000)],
    ['parameters', `1${';a'.repeat(50_000)}`],
    ['parameters with blanks', `1${'; '.repeat(50_000)}`],
    ['members', '1,'.repeat(50_000)],
    ['names', `${'k=1,'.repeat(25_000)}k`],
    ['a long name', 'k'.repeat(100_000)],
    ['display strings', `${'%"%c3%bc",'.repeat(10_000)}1`],
    ['a date', `@${'1'.repeat(100_000)}`],
  ])('the library looks at %s of 100 000 characters a few times each, so that no bound of ours is needed against squares', (_, text) => {
    for (const read of [readList, readDictionary, readItem]) {
      const one = counted(text);
      try {
        read(one.text);
      } catch {
        // What it makes of it does not matter here.
      }
      expect(one.looks()).toBeLessThan(12 * text.length + 100);
    }
  });

  test('and each look counts', () => {
    const one = counted(`"${'x'.repeat(100_000)}"`);
    expect(readItem(one.text)[0]).toHaveLength(100_000);
    expect(one.looks()).toBeGreaterThan(100_000);
  });
});

describe('a structured field is written', () => {
  test('with quotes escaped, and nothing but printable ASCII', () => {
    expect(writeString('')).toBe('""');
    expect(writeString('say "hi" \\o/')).toBe('"say \\"hi\\" \\\\o/"');
    for (const text of ['a\r\nset-cookie: b', '\n', '\0', '\t', '\x7f', 'ü', '\u{1f600}', '\ud800'])
      expect(() => writeString(text)).toThrow(OptionsError);
    expect(writeSafeString('a\r\nb: "ü"')).toBe('"a__b: \\"_\\""');
    expect(writeBytes(Buffer.from('hello'))).toBe(':aGVsbG8=:');
  });

  test.each([
    [1.5, '1.5'],
    [-0.001, '-0.001'],
    [0.0005, '0'],
    [0.0015, '0.002'],
    [0.0025, '0.002'],
    [-0.0015, '-0.002'],
    [1.0004, '1'],
    [9.9996, '10'],
    [-0, '0'],
  ])('with at most three digits after the point: %d as %s', (value, text) => {
    expect(writeItem(plain(value))).toBe(text);
    expect(parseItem(text)).toBeDefined();
  });

  test.each([NaN, Infinity, -Infinity, 1e15, -1e15, 1_234_567_890_123.5, new Date(NaN), new DisplayString('\n')])(
    'without what no field can hold: %s',
    (value) => {
      expect(() => writeItem(plain(value))).toThrow();
      expect(() => writeList([[[plain(value)], none]])).toThrow();
      expect(() => writeDictionary(new Map([['a', [1, new Map([['b', value as FieldValue]])] as FieldItem]]))).toThrow();
    },
  );

  const values: fc.Arbitrary<FieldValue> = fc.oneof(
    fc.integer({ min: -999_999_999_999_999, max: 999_999_999_999_999 }),
    fc.integer({ min: -1e9, max: 1e9 }).map((thousandths) => thousandths / 1000),
    fc.string({ unit: 'grapheme-ascii' }),
    fc.boolean(),
    fc.stringMatching(/^[A-Za-z*][!#$%&'*+.^_`|~A-Za-z0-9:/-]*$/).map((text) => new Token(text)),
    fc.uint8Array().map((bytes) => bytes.slice().buffer),
    fc.string({ unit: fc.constantFrom('a', 'ü', '%', '"', '\u{1f600}') }).map((text) => new DisplayString(text)),
  );
  const names = fc.stringMatching(/^[a-z*][a-z0-9_.*-]{0,9}$/);
  const parameters = fc.array(fc.tuple(names, values), { maxLength: 4 }).map((pairs) => new Map(pairs));
  const items = fc.tuple(values, parameters).map(([value, all]): FieldItem => [value, all]);
  const members = fc.oneof(items, fc.tuple(fc.array(items, { maxLength: 4 }), parameters));

  test('so that it is read as it was', () => {
    fc.assert(
      fc.property(fc.array(members, { maxLength: 6 }), fc.array(fc.tuple(names, members), { maxLength: 6 }), items, (list, pairs, item) => {
        const dictionary = new Map(pairs);
        expect(parseList(writeList(list))).toEqual(list);
        expect(parseDictionary(writeDictionary(dictionary))).toEqual(dictionary);
        expect(parseItem(writeItem(item))).toEqual(item);
      }),
      { numRuns: 500 },
    );
  });
});

test('whatever stands there is read or not, and what is read and written stays the same', () => {
  fc.assert(
    fc.property(hostile, (text) => {
      for (const [parse, write] of [
        [parseList, writeList],
        [parseDictionary, writeDictionary],
        [parseItem, writeItem],
      ] as [(text: string) => unknown, (value: never) => string][]) {
        const value = parse(text);
        if (value === undefined || /%"|@/.test(text)) continue;
        const written = write(value as never);
        expect(written).toMatch(/^[\x20-\x7e]*$/);
        expect(write(parse(written) as never)).toBe(written);
      }
    }),
    often,
  );
});
