import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { readIdempotencyKey } from '../../src/fields/idempotency-key.ts';

describe('readIdempotencyKey', () => {
  test.each([
    ['"8e03978e-40d5-43dd-bc93-6894a57f9324"', '8e03978e-40d5-43dd-bc93-6894a57f9324'],
    ['8e03978e-40d5-43dd-bc93-6894a57f9324', '8e03978e-40d5-43dd-bc93-6894a57f9324'],
    ['  "a b, c"  ', 'a b, c'],
    ['"a\\"b\\\\c"', 'a"b\\c'],
    ['"a";v=1; w;x="y;\\"z"', 'a'],
    ['__proto__', '__proto__'],
    ['constructor', 'constructor'],
    ['a'.repeat(255), 'a'.repeat(255)],
  ])('%s is a key', (field, key) => {
    expect(readIdempotencyKey(field)).toBe(key);
  });

  test.each([
    '',
    ' ',
    '""',
    '"',
    '"a',
    'a"',
    '"a"b',
    '"a" ;v',
    '"a";',
    '"a";V=1',
    '"\\n"',
    'a\\b',
    'a b',
    'a,b',
    '"a","b"',
    'ü',
    '"ü"',
    '\u0000',
    '"\t"',
  ])('%j is none', (field) => {
    expect(readIdempotencyKey(field)).toBeUndefined();
  });

  test('any string of printable characters that is written as RFC 9651 says is read back', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: fc.integer({ min: 0x20, max: 0x7e }).map((code) => String.fromCharCode(code)), minLength: 1, maxLength: 255 }),
        (key) => {
          expect(readIdempotencyKey(`"${key.replace(/["\\]/g, '\\$&')}"`)).toBe(key);
        },
      ),
    );
  });

  test('ten thousand hostile fields: a key is 1 to 255 visible characters, or there is none', { timeout: 30_000 }, () => {
    const nasty = fc.constantFrom('"', '\\', ';', '=', ',', ' ', '\t', '\0', '\r\n', '__proto__', 'a', '*', '-', 'ÿ', '\ud800');
    const hostile = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 2000 }),
      fc.array(nasty, { maxLength: 600 }).map((parts) => parts.join('')),
    );
    fc.assert(
      fc.property(hostile, (field) => {
        const key = readIdempotencyKey(field);
        if (key !== undefined) expect(key).toMatch(/^[\x20-\x7e]{1,255}$/);
      }),
      { numRuns: 10_000 },
    );
  });

  test('a field made to be slow is not', () => {
    for (const unit of ['\\"', '; a="', '"; a', '; a=b']) {
      const started = process.hrtime.bigint();
      for (let i = 0; i < 100; i++) readIdempotencyKey(`"a"${unit.repeat(Math.floor(1000 / unit.length))}!`);
      expect(Number(process.hrtime.bigint() - started) / 1e6).toBeLessThan(500);
    }
  });
});
