import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { OptionsError } from 'breakwater';
import { readIdempotencyKey, writeIdempotencyKey } from '../../src/fields/idempotency-key.ts';
import { hostile, often, tooLong } from './hostile.ts';

describe('the key under which a service knows repeated requests', () => {
  test.each([
    ['"8e03978e-40d5-43dd-bc93-6894a57f9324"', '8e03978e-40d5-43dd-bc93-6894a57f9324'],
    ['8e03978e-40d5-43dd-bc93-6894a57f9324', '8e03978e-40d5-43dd-bc93-6894a57f9324'],
    ['  "a b"\t', 'a b'],
    ['"say \\"hi\\" \\\\"', 'say "hi" \\'],
    ['"a, b;c"', 'a, b;c'],
    ['"a";v=1; w;x="y;\\"z"', 'a'],
    ['order/17:retry+1=', 'order/17:retry+1='],
    ['42', '42'],
    ['__proto__', '__proto__'],
    ['constructor', 'constructor'],
    ['x'.repeat(255), 'x'.repeat(255)],
    [`"${'\\"'.repeat(255)}"`, '"'.repeat(255)],
  ])('in %j', (value, key) => {
    expect(readIdempotencyKey(value)).toBe(key);
  });

  test.each([
    '',
    ' ',
    '""',
    '"',
    '"a',
    'a"',
    '"a" b',
    '"a"b',
    '"a" ;v',
    '"a";',
    '"a";V=1',
    '"a", "b"',
    'a, b',
    'a,b',
    'a;b',
    'a b',
    'a\\b',
  ])('is not in %j', (value) => {
    expect(readIdempotencyKey(value)).toBeUndefined();
  });

  test.each(['schlüssel', '"schlüssel"', '"\\n"', 'a\r\nb', 'a\n', '\u00a0a', '\0', '"a\0"', '"\t"'])('nor in %j', (value) => {
    expect(readIdempotencyKey(value)).toBeUndefined();
  });

  test('has 255 characters at most, and a field that is longer than 1024 is not looked at', () => {
    expect(readIdempotencyKey('x'.repeat(256))).toBeUndefined();
    expect(readIdempotencyKey(`"${'x'.repeat(256)}"`)).toBeUndefined();
    expect(readIdempotencyKey(`"a"${';b'.repeat(511)}`)).toBeUndefined();
    expect(readIdempotencyKey(tooLong)).toBeUndefined();
  });
});

test('every key of printable characters is read as it was written', () => {
  const keys = fc.string({ unit: 'grapheme-ascii', minLength: 1, maxLength: 255 });
  fc.assert(
    fc.property(keys, (key) => {
      expect(readIdempotencyKey(writeIdempotencyKey(key))).toBe(key);
    }),
  );
});

test('a key that cannot be sent is refused, so that no line break gets into a request', () => {
  for (const key of ['', 'x'.repeat(256), 'a\r\nx-admin: 1', 'ä', '\u{1f600}'])
    expect(() => writeIdempotencyKey(key)).toThrow(OptionsError);
});

test('whatever stands there, a key is printable and short', () => {
  fc.assert(
    fc.property(hostile, (value) => {
      const key = readIdempotencyKey(value);
      if (key !== undefined) expect(key).toMatch(/^[\x20-\x7e]{1,255}$/);
    }),
    often,
  );
});
