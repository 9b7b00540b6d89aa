import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parsePushback, parseRetryAfter, retryAfterFrom } from '../../src/core/retry-after.ts';
import '../support/properties.ts';

/** Mon, 03 Jun 2019 11:00:00 GMT */
const now = 1_559_559_600_000;

describe('a Retry-After', () => {
  test('is whole seconds, with blanks around it', () => {
    expect(parseRetryAfter('0', now)).toBe(0);
    expect(parseRetryAfter(' 120\t', now)).toBe(120_000);
  });

  test('is a date in any of the three forms of RFC 9110', () => {
    for (const date of ['Mon, 03 Jun 2019 11:30:12 GMT', 'Monday, 03-Jun-19 11:30:12 GMT', 'Mon Jun  3 11:30:12 2019'])
      expect(parseRetryAfter(date, now), date).toBe(1_812_000);
    expect(parseRetryAfter('Sat, 31 Dec 2016 23:59:60 GMT', Date.UTC(2016, 11, 31, 23, 59))).toBe(60_000);
  });

  test('of the past asks for no wait', () => {
    expect(parseRetryAfter('Mon, 03 Jun 2019 10:00:00 GMT', now)).toBe(0);
    expect(parseRetryAfter('Sun, 06 Nov 1994 08:49:37 GMT', now)).toBe(0);
  });

  test('with a year of two digits is at most 50 years ahead', () => {
    expect(parseRetryAfter('Sunday, 06-Nov-94 08:49:37 GMT', now)).toBe(0);
    expect(parseRetryAfter('Tuesday, 03-Jun-69 11:00:00 GMT', now)).toBe(Date.UTC(2069, 5, 3, 11) - now);
    expect(parseRetryAfter('Tuesday, 03-Jun-70 11:00:00 GMT', now)).toBe(0);
    expect(parseRetryAfter('Friday, 01-Jan-10 00:00:00 GMT', Date.UTC(2098, 0, 1))).toBe(0);
  });

  test('that is neither asks for nothing', () => {
    for (const value of [
      ...['', ' ', '-1', '+1', '1.5', '1e3', '0x10', 'Infinity', 'NaN', 'soon', '1 2', '²', '2019-06-03T11:30:12Z'],
      ...[
        'Mon, 31 Feb 2019 11:30:12 GMT',
        'Mon, 03 Jun 2019 24:00:00 GMT',
        'Mon, 03 Jun 2019 11:60:00 GMT',
        'Mon, 03 Jun 2019 11:30:61 GMT',
      ],
      ...['Mon, 03 Foo 2019 11:30:12 GMT', 'Mon, 03 Jun 2019 11:30:12 CET', 'Mon, 00 Jun 2019 11:30:12 GMT', '9'.repeat(5000)],
    ])
      expect(parseRetryAfter(value, now), value).toBeUndefined();
  });

  test('beyond all bounds is a number still', () => {
    expect(parseRetryAfter('9'.repeat(400), now)).toBe(Number.MAX_SAFE_INTEGER);
  });

  test('is never NaN or negative, whatever stands there', () => {
    const parts = fc.array(
      fc.constantFrom('Mon', ', ', ' ', '03', '31', 'Jun', '2019', '-', '11:30:12', '99:00:00', 'GMT', '"', ';r=0', ';t=', '=', ',', '7'),
      {
        maxLength: 12,
      },
    );
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          parts.map((all) => all.join('')),
        ),
        fc.integer({ min: 0, max: 4e12 }),
        (value, wall) => {
          const names = ['retry-after', 'retry-after-ms', 'ratelimit', 'x-ratelimit-reset'];
          for (const ms of [parseRetryAfter(value, wall), ...names.map((name) => retryAfterFrom({ [name]: value }, wall))])
            expect(ms === undefined || (ms >= 0 && ms <= Number.MAX_SAFE_INTEGER)).toBe(true);
        },
      ),
    );
  });
});

describe('an HTTP-date', () => {
  test('is what the calendar says, leap years included', () => {
    const format = (ms: number): string => new Date(ms).toUTCString();
    fc.assert(
      fc.property(fc.integer({ min: -62_135_596_800, max: 253_402_300_799 }), (seconds) => {
        expect(parseRetryAfter(format(seconds * 1000), -1e15)).toBe(seconds * 1000 + 1e15);
      }),
    );
    expect(parseRetryAfter('Thu, 29 Feb 2024 00:00:00 GMT', 0)).toBe(Date.UTC(2024, 1, 29));
    expect(parseRetryAfter('Mon, 29 Feb 2100 00:00:00 GMT', 0)).toBeUndefined();
  });
});

describe('a gRPC pushback', () => {
  test('is ms, and anything else means: do not retry', () => {
    expect(parsePushback('0')).toBe(0);
    expect(parsePushback('1000')).toBe(1000);
    for (const value of ['-1', 'abc', '', '1.5', '9'.repeat(5000)]) expect(parsePushback(value)).toBe(Infinity);
  });
});

describe('headers', () => {
  test('may be a Headers object, a map or a record in any spelling, with arrays', () => {
    expect(retryAfterFrom(new Headers({ 'Retry-After': '3' }), now)).toBe(3000);
    expect(retryAfterFrom(new Map([['retry-after', '3']]), now)).toBe(3000);
    expect(retryAfterFrom({ 'RETRY-After': '3' }, now)).toBe(3000);
    expect(retryAfterFrom({ 'retry-after': ['3', '4'] }, now)).toBe(3000);
    expect(retryAfterFrom({ 'retry-after': 3 }, now)).toBe(3000);
    expect(retryAfterFrom({}, now)).toBeUndefined();
    expect(retryAfterFrom({ 'retry-after': undefined }, now)).toBeUndefined();
    expect(retryAfterFrom({ 'retry-after': {} }, now)).toBeUndefined();
    expect(retryAfterFrom({ 'retry-after': 'x'.repeat(5000) }, now)).toBeUndefined();
  });

  test('are asked for milliseconds first, then seconds and dates, then for limits', () => {
    const all = [
      ['Retry-After-Ms', '1500.5'],
      ['Retry-After', '2'],
      ['grpc-retry-pushback-ms', '2500'],
      ['RateLimit', '"default";r=0;t=3'],
      ['RateLimit-Reset', '4'],
      ['X-RateLimit-Reset', '5'],
    ];
    const found = all.map((_, i) => retryAfterFrom(Object.fromEntries(all.slice(i)) as object, now));
    expect(found).toEqual([1500.5, 2000, 2500, 3000, 4000, 5000]);
    expect(retryAfterFrom({ 'retry-after-ms': 'soon', 'retry-after': '2' }, now)).toBe(2000);
    expect(retryAfterFrom({ 'retry-after': 'soon', 'x-ratelimit-reset': '2' }, now)).toBe(2000);
  });

  test('that forbid to retry say so', () => {
    expect(retryAfterFrom({ 'grpc-retry-pushback-ms': '-1' }, now)).toBe(Infinity);
  });

  test('of limits ask for a wait only where nothing remains, and for the longest of them', () => {
    expect(retryAfterFrom({ ratelimit: '"default";r=1;t=60' }, now)).toBeUndefined();
    expect(retryAfterFrom({ ratelimit: '"a";r=0;t=5, "b;r=0;t=999";r=3;t=900,"c";t=7;r=0' }, now)).toBe(7000);
    expect(retryAfterFrom({ ratelimit: '"default";r=0' }, now)).toBeUndefined();
    expect(retryAfterFrom({ ratelimit: 'limit=10, remaining=0, reset=8' }, now)).toBe(8000);
    expect(retryAfterFrom({ ratelimit: 'limit=10, remaining=2, reset=8' }, now)).toBeUndefined();
    expect(retryAfterFrom({ 'x-ratelimit-reset': '30', 'x-ratelimit-remaining': '4' }, now)).toBeUndefined();
    expect(retryAfterFrom({ 'x-ratelimit-reset': '30', 'x-ratelimit-remaining': '0' }, now)).toBe(30_000);
  });

  test('of limits may count from the epoch', () => {
    expect(retryAfterFrom({ 'x-ratelimit-reset': String(now / 1000 + 90) }, now)).toBe(90_000);
    expect(retryAfterFrom({ 'x-ratelimit-reset': String(now / 1000 - 90) }, now)).toBe(0);
    expect(retryAfterFrom({ 'x-ratelimit-reset': '9'.repeat(300) }, now)).toBe(Number.MAX_SAFE_INTEGER - now);
  });

  test('that throw when looked at ask for nothing', () => {
    const hostile = {
      get(): never {
        throw new Error('no');
      },
    };
    expect(retryAfterFrom(hostile, now)).toBeUndefined();
  });
});
