import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { readCacheControl, secondsOf } from '../../src/fields/cache-control.ts';

describe('readCacheControl', () => {
  test.each<[string, Record<string, string>]>([
    ['', {}],
    ['max-age=60', { 'max-age': '60' }],
    ['Public, MAX-AGE="60" ,stale-if-error=5', { public: '', 'max-age': '60', 'stale-if-error': '5' }],
    ['private="set-cookie, x-a", no-store', { private: 'set-cookie, x-a', 'no-store': '' }],
    [', ,public,,', { public: '' }],
    ['max-age=1, max-age=2', { 'max-age': '1' }],
    ['__proto__=1', { ['__proto__']: '1' }],
  ])('%s', (field, directives) => {
    expect([...(readCacheControl(field) ?? [])]).toEqual(Object.entries(directives));
  });

  test.each(['max-age=60 public', 'a="b', '=1', 'a;b', '"a"', 'x'.repeat(5000)])('%j cannot be relied on', (field) => {
    expect(readCacheControl(field)).toBeUndefined();
  });

  test('seconds are whole numbers; anything else is no time at all', () => {
    const read = (value: string): number | undefined => secondsOf(new Map([['max-age', value]]), 'max-age');
    expect([read('60'), read(''), read('-1'), read('1.5'), read('99999999999')]).toEqual([60, 0, 0, 0, 0]);
    expect(secondsOf(new Map(), 'max-age')).toBeUndefined();
  });

  test('whatever stands there, it is read or refused, and quickly', () => {
    const part = fc.constantFrom('no-store', 'max-age', '=', '"', '\\', ',', ' ', '1', ';', '\0');
    fc.assert(
      fc.property(fc.array(part, { maxLength: 500 }), (parts) => {
        const found = readCacheControl(parts.join(''));
        for (const name of found?.keys() ?? []) expect(name).toMatch(/^[!#$%&'*+.^_`|~0-9a-z-]+$/);
      }),
      { numRuns: 2000 },
    );
  });
});
