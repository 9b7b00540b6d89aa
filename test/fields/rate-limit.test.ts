import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type AdvertisedQuota,
  parseRateLimit,
  parseRateLimitPolicy,
  writeRateLimit,
  writeRateLimitPolicy,
} from '../../src/fields/rate-limit.ts';
import { hostile, often, tooLong } from './hostile.ts';

const burst: AdvertisedQuota = { policy: 'burst', limit: 100, window: 60_000, remaining: 50, reset: 30_000 };

describe('what is left of a rate limit is written', () => {
  test('for all limits, in their order', () => {
    const daily = { policy: 'daily', limit: 1000, window: 86_400_000, remaining: 999, reset: 0 };
    expect(writeRateLimitPolicy([burst, daily])).toBe('"burst";q=100;w=60, "daily";q=1000;w=86400');
    expect(writeRateLimit([burst, daily])).toBe('"burst";r=50;t=30, "daily";r=999;t=0');
  });

  test('with what is counted, unless it is requests, and whose it is', () => {
    const given = { ...burst, unit: 'concurrent-requests', partition: 'trial121323' } as const;
    expect(writeRateLimitPolicy([given])).toBe('"burst";q=100;qu="concurrent-requests";w=60;pk=:dHJpYWwxMjEzMjM=:');
    expect(writeRateLimit([given])).toBe('"burst";r=50;t=30;pk=:dHJpYWwxMjEzMjM=:');
    expect(writeRateLimitPolicy([{ ...burst, unit: 'requests' }])).toBe('"burst";q=100;w=60');
  });

  test('in whole seconds, rounded up, a window of one at least, and whole numbers, rounded down', () => {
    const given = { policy: 'a', limit: 2.5, window: 1, remaining: 1.9, reset: 1 };
    expect(writeRateLimitPolicy([given])).toBe('"a";q=2;w=1');
    expect(writeRateLimit([given])).toBe('"a";r=1;t=1');
    expect(writeRateLimitPolicy([{ ...given, window: 0 }])).toBe('"a";q=2;w=1');
    expect(writeRateLimit([{ ...given, remaining: -3, reset: -5 }])).toBe('"a";r=0;t=0');
  });

  test('without what is not known: a window or a reset that is not finite, and limits that are none', () => {
    expect(writeRateLimitPolicy([{ ...burst, window: Infinity }])).toBe('"burst";q=100');
    expect(writeRateLimit([{ ...burst, reset: Infinity, remaining: NaN }])).toBe('"burst";r=0');
    expect(writeRateLimit([{ ...burst, reset: NaN, remaining: Infinity }])).toBe('"burst";r=999999999999999');
    for (const none of [[], [{ ...burst, limit: Infinity }], [{ ...burst, limit: NaN }]]) {
      expect(writeRateLimit(none)).toBeUndefined();
      expect(writeRateLimitPolicy(none)).toBeUndefined();
    }
    expect(writeRateLimit([{ ...burst, limit: Infinity }, burst])).toBe('"burst";r=50;t=30');
  });

  test('so that a name cannot break out of its quotes or its line', () => {
    expect(writeRateLimit([{ ...burst, policy: 'a";r=9\r\nset-cookie: b' }])).toBe('"a\\";r=9__set-cookie: b";r=50;t=30');
    expect(writeRateLimit([{ ...burst, policy: 'größe' }])).toBe('"gr__e";r=50;t=30');
    expect(writeRateLimit([{ ...burst, policy: 'x'.repeat(5000) }])?.length).toBeLessThan(300);
  });

  test('for 64 limits at most', () => {
    expect(parseRateLimit(writeRateLimit(Array.from({ length: 200 }, () => burst)) as string)).toHaveLength(64);
  });
});

describe('what is left of a rate limit is read', () => {
  test.each([
    ['"a";r=1', [{ policy: 'a', remaining: 1 }]],
    ['"a";r=1;t=0', [{ policy: 'a', remaining: 1, reset: 0 }]],
    ['"a"; r=1; t=2 , "b";r=0', [{ policy: 'a', remaining: 1, reset: 2000 }, { policy: 'b', remaining: 0 }]], // prettier-ignore
    ['"a";r=1;pk=:AAE=:;acme-load=0.5', [{ policy: 'a', remaining: 1, partition: 'AAE=' }]],
    ['"r=1.5";r=1', [{ policy: 'r=1.5', remaining: 1 }]],
    ['"a;r=1.0";r=1', [{ policy: 'a;r=1.0', remaining: 1 }]],
    ['"";r=1', [{ policy: '', remaining: 1 }]],
    ['"a";r=-0', [{ policy: 'a', remaining: 0 }]],
    ['"a";r=1;r=2', [{ policy: 'a', remaining: 2 }]],
    ['"a";r=999999999999999;t=999999999999999', [{ policy: 'a', remaining: 999_999_999_999_999, reset: Number.MAX_SAFE_INTEGER }]],
  ])('from %s', (value, limits) => {
    expect(parseRateLimit(value)).toEqual(limits);
  });

  test.each([
    '',
    ' ',
    'a;r=1',
    '1;r=1',
    '("a");r=1',
    '"a"',
    '"a";r',
    '"a";r="1"',
    '"a";r=-1',
    '"a";r=1.5',
    '"a";r=1.0',
    '"a"; r=1.0',
    '"a";r=?1',
  ])('but not from %j, which is malformed', (value) => {
    expect(parseRateLimit(value)).toBeUndefined();
  });

  test.each([
    '"a";r=1;t',
    '"a";r=1;t=-1',
    '"a";r=1;t=1.0',
    '"a";r=1;pk="x"',
    '"a";r=1;pk=x',
    '"a";r=1, "b"',
    '"a";r=1,',
    '"a";R=1',
    '"a";r=@1',
  ])('nor from %j', (value) => {
    expect(parseRateLimit(value)).toBeUndefined();
  });

  test('nor from the shape of an older draft, nor beyond 8 KiB', () => {
    expect(parseRateLimit('limit=2, remaining=0, reset=900')).toBeUndefined();
    expect(parseRateLimit(tooLong)).toBeUndefined();
    expect(parseRateLimitPolicy(tooLong)).toBeUndefined();
  });
});

describe('a rate limit is read', () => {
  test.each([
    ['"a";q=1', [{ policy: 'a', limit: 1 }]],
    ['"a";q=0;w=1', [{ policy: 'a', limit: 0, window: 1000 }]],
    ['"a";q=5;qu="content-bytes";w=60;pk=:AAE=:', [{ policy: 'a', limit: 5, window: 60_000, unit: 'content-bytes', partition: 'AAE=' }]],
    ['"a";q=5;qu="furlongs"', [{ policy: 'a', limit: 5, unit: 'furlongs' }]],
  ])('from %s', (value, policies) => {
    expect(parseRateLimitPolicy(value)).toEqual(policies);
  });

  test.each([
    '',
    '"a"',
    'a;q=1',
    '"a";w=1',
    '"a";q=1.0',
    '"a";q=1;w=0',
    '"a";q=1;w=0.5',
    '"a";q=1;w=-1',
    '"a";q=1;qu=bytes',
    '"a";q=1;pk=x',
    '5;w=60',
  ])('but not from %j, which is malformed', (value) => {
    expect(parseRateLimitPolicy(value)).toBeUndefined();
  });
});

test('whatever is left, it is read as it was written', () => {
  const ms = fc.oneof(fc.integer({ min: 0, max: 1e9 }), fc.double({ min: 0, max: 1e12, noNaN: true }));
  const quotas = fc.array(
    fc.record({
      policy: fc.string({ unit: 'grapheme-ascii', maxLength: 30 }),
      limit: fc.nat(),
      window: ms,
      remaining: fc.double({ min: 0, max: 1e9, noNaN: true }),
      reset: ms,
      unit: fc.constantFrom(undefined, 'content-bytes', 'concurrent-requests'),
      partition: fc.option(fc.string(), { nil: undefined }),
    }),
    { minLength: 1, maxLength: 8 },
  ) as fc.Arbitrary<AdvertisedQuota[]>;
  const base64 = (text: string): string => Buffer.from(text).toString('base64');
  fc.assert(
    fc.property(quotas, (all) => {
      expect(parseRateLimit(writeRateLimit(all) as string)).toEqual(
        all.map(({ policy, remaining, reset, partition }) => ({
          ...{ policy, remaining: Math.floor(remaining), reset: Math.ceil(reset / 1000) * 1000 },
          ...(partition !== undefined && { partition: base64(partition) }),
        })),
      );
      expect(parseRateLimitPolicy(writeRateLimitPolicy(all) as string)).toEqual(
        all.map(({ policy, limit, window, unit, partition }) => ({
          ...{ policy, limit, window: Math.max(1, Math.ceil(window / 1000)) * 1000 },
          ...(unit !== undefined && { unit }),
          ...(partition !== undefined && { partition: base64(partition) }),
        })),
      );
    }),
    { numRuns: 500 },
  );
});

test('whatever stands there, numbers are whole, from 0 and bounded', () => {
  const pieces = fc.array(
    fc.constantFrom('"a"', '"', ';', ' ', ',', 'r', 'q', 't', 'w', 'pk', '=', '1', '0', '.', '-', '9'.repeat(15), ':AA==:'),
    {
      maxLength: 12,
    },
  );
  const field = fc.oneof(
    hostile,
    pieces.map((all) => all.join('')),
    fc.tuple(fc.constantFrom('"a";r=', '"a";q=', '"a";r=1;t=', '"a";q=1;w='), hostile).map(([before, value]) => before + value),
  );
  fc.assert(
    fc.property(field, (value) => {
      for (const limit of [...(parseRateLimit(value) ?? []), ...(parseRateLimitPolicy(value) ?? [])]) {
        const numbers = Object.values(limit).filter((one): one is number => typeof one === 'number');
        expect(numbers.length).toBeGreaterThan(0);
        for (const number of numbers) expect(Number.isSafeInteger(number) && number >= 0 && !Object.is(number, -0)).toBe(true);
      }
    }),
    often,
  );
});
