import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  DEADLINE_FIELD,
  ENVOY_TIMEOUT_FIELD,
  GRPC_TIMEOUT_FIELD,
  deadlineFields,
  parseGrpcTimeout,
  readDeadline,
  writeDeadline,
} from '../../src/fields/deadline.ts';
import { counted, hostile, often } from './hostile.ts';

const read = (fields: Readonly<Record<string, string>>, names: readonly string[] = deadlineFields): number | undefined =>
  readDeadline((name) => fields[name], names);

describe('the time left to a request', () => {
  test.each([
    [{ [DEADLINE_FIELD]: '1500' }, 1500],
    [{ [DEADLINE_FIELD]: '0' }, 0],
    [{ [DEADLINE_FIELD]: '007' }, 7],
    [{ [DEADLINE_FIELD]: '999999999999999' }, 999_999_999_999_999],
    [{ [GRPC_TIMEOUT_FIELD]: '2S' }, 2000],
    [{ [GRPC_TIMEOUT_FIELD]: '99999999H' }, 99_999_999 * 3_600_000],
    [{ [GRPC_TIMEOUT_FIELD]: '1500u' }, 1.5],
    [{ [GRPC_TIMEOUT_FIELD]: '500000n' }, 0.5],
    [{ [ENVOY_TIMEOUT_FIELD]: '250' }, 250],
    [{}, undefined],
  ])('is read from %j', (fields, ms) => {
    expect(read(fields)).toBe(ms);
  });

  test('is the least that any field leaves, and what is malformed counts as not there', () => {
    expect(read({ [DEADLINE_FIELD]: '1500', [GRPC_TIMEOUT_FIELD]: '1S', [ENVOY_TIMEOUT_FIELD]: '2000' })).toBe(1000);
    expect(read({ [DEADLINE_FIELD]: 'soon', [GRPC_TIMEOUT_FIELD]: '1', [ENVOY_TIMEOUT_FIELD]: '2000' })).toBe(2000);
    expect(read({ [DEADLINE_FIELD]: 'soon', [GRPC_TIMEOUT_FIELD]: '1' })).toBeUndefined();
  });

  test.each(['', ' ', '-1', '+1', '1.5', '1e3', '0x10', '1 2', '1, 2', 'Infinity', 'NaN', '²', '٣', '1000000000000000', '9'.repeat(400)])(
    'is not %j',
    (value) => {
      expect(read({ [DEADLINE_FIELD]: value })).toBeUndefined();
      expect(read({ [ENVOY_TIMEOUT_FIELD]: value })).toBeUndefined();
      expect(parseGrpcTimeout(`${value}m`)).toBeUndefined();
    },
  );

  test.each(['123456789m', 'm', '1', '1s', '1 S', '1S ', '', '1mm', '1.5S', '1h'])('is not %j of gRPC', (value) => {
    expect(parseGrpcTimeout(value)).toBeUndefined();
  });

  test('is read only from the fields that were named, whose names may be spelled in any case', () => {
    expect(read({ 'x-request-deadline': '5', 'grpc-timeout': '1m' }, ['X-Request-Deadline'])).toBe(5);
    expect(read({ 'grpc-timeout': '1S' }, ['Grpc-Timeout'])).toBe(1000);
    expect(read({ 'x-own': '5' }, ['x-own'])).toBe(5);
    expect(read({ 'x-own': '5' }, [])).toBeUndefined();
  });

  test('is not limited by a 0 of Envoy, to which that means no limit', () => {
    expect(read({ [ENVOY_TIMEOUT_FIELD]: '0' })).toBeUndefined();
    expect(writeDeadline(ENVOY_TIMEOUT_FIELD, 0.5)).toBe('1');
  });

  test('is not what a getter answers instead of a string', () => {
    expect(readDeadline(() => ['5'] as never, deadlineFields)).toBeUndefined();
    expect(readDeadline(() => null as never, deadlineFields)).toBeUndefined();
  });
});

describe('the value that says how much time is left', () => {
  test.each([
    [DEADLINE_FIELD, 1500.9, '1500'],
    [DEADLINE_FIELD, -3, '0'],
    [DEADLINE_FIELD, 1e300, '999999999999999'],
    ['X-Own-Deadline', 5, '5'],
    [ENVOY_TIMEOUT_FIELD, 1500.9, '1500'],
    [GRPC_TIMEOUT_FIELD, 0.4, '0m'],
    [GRPC_TIMEOUT_FIELD, 99_999_999.9, '99999999m'],
    [GRPC_TIMEOUT_FIELD, 100_000_000, '100000S'],
    [GRPC_TIMEOUT_FIELD, 100_000_000_000, '1666666M'],
    ['GRPC-Timeout', 6_000_000_000_000, '1666666H'],
    [GRPC_TIMEOUT_FIELD, Number.MAX_VALUE, '99999999H'],
  ])('in %s for %d ms is %s', (name, ms, value) => {
    expect(writeDeadline(name, ms)).toBe(value);
  });

  test('does not exist if there is no limit', () => {
    for (const name of deadlineFields) for (const ms of [Infinity, NaN]) expect(writeDeadline(name, ms)).toBeUndefined();
    expect(writeDeadline(DEADLINE_FIELD, -Infinity)).toBe('0');
  });

  test('when read again leaves less than there was, and less by no more than the unit it is written in', () => {
    fc.assert(
      fc.property(fc.constantFrom(...deadlineFields), fc.double({ min: 1, max: 3e14, noNaN: true }), (name, ms) => {
        const value = writeDeadline(name, ms) as string;
        const again = read({ [name]: value }, [name]) as number;
        const unit = ms < 1e8 || name !== GRPC_TIMEOUT_FIELD ? 1 : 3_600_000;
        expect(again <= ms && again > ms - unit).toBe(true);
      }),
    );
  });
});

test('whatever stands in the fields, what is left is a number from 0 or unknown', () => {
  fc.assert(
    fc.property(hostile, hostile, hostile, (own, grpc, envoy) => {
      const ms = read({ [DEADLINE_FIELD]: own, [GRPC_TIMEOUT_FIELD]: grpc, [ENVOY_TIMEOUT_FIELD]: envoy });
      expect(ms === undefined || (Number.isFinite(ms) && ms >= 0)).toBe(true);
    }),
    often,
  );
});

test('a long value costs no more than a short one', () => {
  const long = counted('9'.repeat(100_000));
  expect(parseGrpcTimeout(long.text)).toBeUndefined();
  expect(long.looks()).toBeLessThan(20);
});
