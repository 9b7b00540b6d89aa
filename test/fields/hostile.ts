import fc from 'fast-check';
import '../support/properties.ts';

const pieces = [
  ...[
    '"',
    '\\',
    '"a"',
    ':',
    ':AA==:',
    '?1',
    '?',
    '@',
    '@1',
    '%"',
    '%"%c3%bc"',
    '%',
    '%zz',
    '%e2%28',
    '(',
    ')',
    '=',
    ';',
    ',',
    ', ',
    ' ',
    '\t',
  ],
  ...['-', '.', '0', '7', '1.0', '-0', '999999999999999', '1000000000000000', '9'.repeat(400), '1e9', '0x1', 'NaN', 'Infinity', '-1'],
  ...[
    'q',
    'r',
    't',
    'w',
    'pk',
    'qu',
    'a',
    '*',
    'limit',
    'r=1',
    ';q=1',
    ';w=0',
    ';t=5',
    'critical',
    'sheddable',
    'best-effort',
    '__proto__',
  ],
  ...[
    'S',
    'm',
    'u',
    'n',
    'H',
    '\r\n',
    '\0',
    '\x7f',
    'ü',
    '\u{1f600}',
    '\ud800',
    'x'.repeat(300),
    '('.repeat(200),
    ';a'.repeat(100),
    ',1'.repeat(100),
  ],
];

/** What stands in a field of somebody who means no good, or whose program is broken. */
export const hostile: fc.Arbitrary<string> = fc.oneof(
  { weight: 8, arbitrary: fc.array(fc.constantFrom(...pieces), { maxLength: 14 }).map((some) => some.join('')) },
  { weight: 3, arbitrary: fc.string({ maxLength: 60 }) },
  { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 60 }) },
  {
    weight: 1,
    arbitrary: fc.tuple(fc.constantFrom(...pieces), fc.nat(9000)).map(([piece, length]) => piece.repeat(length / piece.length + 1)),
  },
);

/** Ten thousand of them. */
export const often = { numRuns: 10_000 };

/** A value so long that it may not be looked at: whoever does fails the test. */
export const tooLong = new Proxy(Object.create(null) as object, {
  get(_target, name) {
    if (name === 'length') return 8193;
    throw new Error(`looked at ${String(name)}`);
  },
}) as unknown as string;

/** A text that counts how often a reader looks at a character of it; a search counts by its distance, a part by its length. */
export function counted(text: string): { readonly text: string; readonly looks: () => number } {
  let looks = 0;
  const proxy = new Proxy<object>(
    {},
    {
      get(_target, name) {
        looks++;
        if (name === 'length') return text.length;
        if (name === 'indexOf')
          return (what: string, from: number) => {
            const at = text.indexOf(what, from);
            looks += (at < 0 ? text.length : at) - from;
            return at;
          };
        if (name === 'substr' || name === 'substring')
          return (from: number, other: number) => {
            const part = name === 'substr' ? text.slice(from, from + other) : text.slice(from, other);
            looks += part.length;
            return part;
          };
        if (name === 'charCodeAt') return (at: number) => text.charCodeAt(at);
        return text[Number(name)];
      },
    },
  );
  return { text: proxy as unknown as string, looks: () => looks };
}
