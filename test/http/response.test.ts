import {
  BulkheadFullError,
  CircuitOpenError,
  DeadlineExceededError,
  OriginDeniedError,
  QueueTimeoutError,
  RateLimitedError,
  RejectedError,
  ShutdownError,
  TimeoutError,
} from 'breakwater';
import { describe, expect, test } from 'vitest';
import { answerTo, retryAfterSeconds } from '../../src/http/admission/response.ts';

describe('the answer to', () => {
  test.each<[string, Error, number, string]>([
    ['a rate limit', new RateLimitedError('no', { retryAfter: 2500 }), 429, '3'],
    ['a full bulkhead', new BulkheadFullError('no'), 503, '1'],
    ['a wait in vain', new QueueTimeoutError('no'), 503, '1'],
    ['an open circuit', new CircuitOpenError('no', { retryAfter: 4000 }), 503, '4'],
    ['a deadline that passed before the work began', new DeadlineExceededError('no'), 503, '1'],
    ['a closed pipeline', new ShutdownError('no'), 503, '1'],
    ["a user's own refusal", new (class extends RejectedError {})('no', { retryAfter: 1 }), 503, '1'],
  ])('%s says when to come back (W4)', (_, error, status, retryAfter) => {
    const answer = answerTo(error);
    expect(answer?.status).toBe(status);
    expect(answer?.headers).toMatchObject({
      'retry-after': retryAfter,
      'cache-control': 'no-store',
      'content-type': 'application/problem+json',
    });
    expect(JSON.parse(String(answer?.body))).toMatchObject({ status });
  });

  test('an origin that is not let in gets a 403, and is not asked to come back', () => {
    const answer = answerTo(new OriginDeniedError('no'));
    expect([answer?.status, answer?.headers['retry-after']]).toEqual([403, undefined]);
  });

  test('a timeout is 504, and does not ask to come back: the work may have been done', () => {
    const answer = answerTo(new TimeoutError('late', { after: 10 }));
    expect(answer?.status).toBe(504);
    expect(answer?.headers).not.toHaveProperty('retry-after');
  });

  test.each([
    ['an error', new Error('boom')],
    ['undefined', undefined],
    ['a string', 'no'],
    ['null', null],
  ])('%s is left to the application', (_, error) => {
    expect(answerTo(error)).toBeUndefined();
  });

  test('any refusal of one status is the same to the byte: names, keys and messages stay inside (W4)', () => {
    const secret = { pipeline: 'payments-primary', policy: 'visa', key: 'tenant-7', cause: new Error('10.0.0.7') };
    for (const Type of [RateLimitedError, BulkheadFullError, CircuitOpenError]) {
      const plain = answerTo(new Type('no'));
      const full = answerTo(new Type('payments-primary: visa is full'.repeat(50), secret));
      expect(full).toEqual(plain);
      expect(full?.headers['content-length']).toBe(String(Buffer.byteLength(full?.body ?? '')));
    }
  });
});

test.each([
  [undefined, 1],
  [0, 1],
  [-5000, 1],
  [NaN, 1],
  [1, 1],
  [999.5, 1],
  [1000, 1],
  [1000.01, 2],
  [59_001, 60],
  [86_400_000, 86_400],
  [1e12, 2_678_400],
  [Infinity, 86_400],
])('Retry-After for %s ms is %i s: rounded up, at least one, at most a month, and a day for never', (ms, seconds) => {
  expect(retryAfterSeconds(ms)).toBe(seconds);
});
