import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { partitionKey, quotaName, rateLimitFields, rateLimitShapes } from '../../src/fields/rate-limit-shapes.ts';
import type { AdvertisedQuota } from '../../src/fields/rate-limit.ts';
import { retryAfterFrom } from '../../src/core/retry-after.ts';
import { hostile } from './hostile.ts';

const now = 1_000_000_000_000;
const api: AdvertisedQuota = { policy: 'api', limit: 2, window: 900_000, remaining: 0, reset: 899_001 };
const wide: AdvertisedQuota = { policy: 'wide', limit: 50, window: 1000, remaining: 3, reset: 20 };

describe('what is left of a rate limit is told in the shape', () => {
  test.each([
    ['draft-6', { 'ratelimit-policy': '2;w=900', 'ratelimit-limit': '2', 'ratelimit-remaining': '0', 'ratelimit-reset': '900' }],
    ['draft-7', { 'ratelimit-policy': '2;w=900', ratelimit: 'limit=2, remaining=0, reset=900' }],
    ['draft-8', { 'ratelimit-policy': '"api"; q=2; w=900', ratelimit: '"api"; r=0; t=900' }],
    ['draft-11', { 'ratelimit-policy': '"api";q=2;w=900', ratelimit: '"api";r=0;t=900' }],
    ['legacy', { 'x-ratelimit-limit': '2', 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': '1000000900' }],
  ] as const)('%s', (shape, fields) => {
    expect(rateLimitFields(shape, [api], now)).toEqual(fields);
  });

  test('of several limits all are told where that can be said, else the one with the least left', () => {
    expect(rateLimitFields('draft-11', [wide, api], now)).toEqual({
      'ratelimit-policy': '"wide";q=50;w=1, "api";q=2;w=900',
      ratelimit: '"wide";r=3;t=1, "api";r=0;t=900',
    });
    expect(rateLimitFields('draft-8', [wide, api], now)['ratelimit']).toBe('"wide"; r=3; t=1, "api"; r=0; t=900');
    expect(rateLimitFields('draft-7', [wide, api], now)).toEqual({
      'ratelimit-policy': '50;w=1, 2;w=900',
      ratelimit: 'limit=2, remaining=0, reset=900',
    });
    expect(rateLimitFields('draft-6', [wide, api], now)['ratelimit-limit']).toBe('2');
    expect(rateLimitFields('legacy', [wide, api], now)['x-ratelimit-limit']).toBe('2');
  });

  test('of two with as much left, the one that takes longer', () => {
    const sooner = { ...api, limit: 9, reset: 5000 };
    for (const quotas of [
      [sooner, api],
      [api, sooner],
    ])
      // prettier-ignore
      expect(rateLimitFields('draft-7', quotas, now)['ratelimit']).toBe('limit=2, remaining=0, reset=900');
  });

  test('and not at all if nothing is limited', () => {
    for (const shape of rateLimitShapes) {
      expect(rateLimitFields(shape, [], now)).toEqual({});
      expect(rateLimitFields(shape, [{ ...api, limit: Infinity }], now)).toEqual({});
      expect(rateLimitFields(shape, [{ ...api, limit: Infinity }, api], now)).toEqual(rateLimitFields(shape, [api], now));
    }
  });

  test('with the window in place of a reset that is not known, where something has to stand', () => {
    const unknown = { ...api, reset: Infinity };
    expect(rateLimitFields('draft-7', [unknown], now)['ratelimit']).toBe('limit=2, remaining=0, reset=900');
    expect(rateLimitFields('draft-8', [unknown], now)['ratelimit']).toBe('"api"; r=0; t=900');
    expect(rateLimitFields('legacy', [unknown], now)['x-ratelimit-reset']).toBe('1000000900');
    expect(rateLimitFields('draft-11', [unknown], now)['ratelimit']).toBe('"api";r=0');
    expect(rateLimitFields('draft-6', [{ ...unknown, window: Infinity }], now)).toEqual({
      ...{ 'ratelimit-policy': '2', 'ratelimit-limit': '2', 'ratelimit-remaining': '0', 'ratelimit-reset': '0' },
    });
    expect(rateLimitFields('legacy', [{ ...unknown, window: Infinity }], now)['x-ratelimit-reset']).toBe('1000000000');
  });
});

test('a window is one second at least, in every shape', () => {
  for (const shape of ['draft-6', 'draft-7', 'draft-8', 'draft-11'] as const)
    expect(rateLimitFields(shape, [{ ...api, window: 0 }], now)['ratelimit-policy'], shape).toMatch(/w=1$/);
});

test('a client that retries waits as long as it is told, in every shape', () => {
  for (const shape of rateLimitShapes) {
    const wait = retryAfterFrom(rateLimitFields(shape, [api], now), now);
    expect(wait, shape).toBe(900_000);
  }
});

test("a client's key is shown as twelve digits of its hash", () => {
  expect(partitionKey('foo')).toBe('2c26b46b68ff');
  const fields = rateLimitFields('draft-8', [{ ...api, partition: partitionKey('foo') }], now);
  expect(fields['ratelimit-policy']).toBe('"api"; q=2; w=900; pk=:MmMyNmI0NmI2OGZm:');
  expect(fields['ratelimit']).not.toContain('pk');
});

test.each([
  [1, 5000, '1-in-5sec'],
  [5, 60_000, '5-in-1min'],
  [5, 300_000, '5-in-5min'],
  [7, 3_600_000, '7-in-1hr'],
  [7, 7_200_000, '7-in-2hrs'],
  [8, 86_400_000, '8-in-1day'],
  [8, 172_800_000, '8-in-2days'],
])('a limit of %d in %d ms without a name is called %3$s', (limit, window, name) => {
  expect(quotaName(limit, window)).toBe(name);
});

test('whatever limiters are called and say of themselves, fields are of one line, and no number is none', () => {
  const number = fc.oneof(fc.double(), fc.constantFrom(NaN, Infinity, -Infinity, -0, 0.1, 1e300, Number.MAX_SAFE_INTEGER));
  const quota = fc.record({ policy: hostile, limit: number, window: number, remaining: number, reset: number });
  fc.assert(
    fc.property(fc.constantFrom(...rateLimitShapes), fc.array(quota, { maxLength: 2 }), number, (shape, quotas, wallNow) => {
      for (const [name, value] of Object.entries(rateLimitFields(shape, quotas, wallNow))) {
        expect(name).toMatch(/^[a-z-]+$/);
        expect(value).toMatch(/^[\x20-\x7e]+$/);
        expect(value.replaceAll(/"(?:[^"\\]|\\.)*"/g, '')).not.toMatch(/NaN|Infinity|-\d|\d{16}|\de/);
      }
    }),
    { numRuns: 10_000 },
  );
});
