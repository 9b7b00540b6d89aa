import { describe, expect, test } from 'vitest';
import * as breakwater from 'breakwater';
import { BulkheadFullError, CircuitOpenError, OptionsError, RejectedError, ResilienceError, TimeoutError } from 'breakwater';
import { made } from '../../src/core/made.ts';

const codes = {
  CircuitOpenError: 'ERR_CIRCUIT_OPEN',
  CircuitIsolatedError: 'ERR_CIRCUIT_ISOLATED',
  BulkheadFullError: 'ERR_BULKHEAD_FULL',
  QueueTimeoutError: 'ERR_QUEUE_TIMEOUT',
  RateLimitedError: 'ERR_RATE_LIMITED',
  ThrottledError: 'ERR_THROTTLED',
  OverloadedError: 'ERR_OVERLOADED',
  DeadlineExceededError: 'ERR_DEADLINE',
  DegradedError: 'ERR_DEGRADED',
  ShutdownError: 'ERR_SHUTDOWN',
} as const;

describe('the error family', () => {
  test.each(Object.entries(codes))('%s says with %s that the work never started', (name, code) => {
    const Type = breakwater[name as keyof typeof codes];
    const error = new Type('no', { pipeline: 'p', policy: 'q', key: 'k', retryAfter: 5, cause: 'why' });
    expect(error).toMatchObject({ name, code, message: 'no', pipeline: 'p', policy: 'q', key: 'k', retryAfter: 5, cause: 'why' });
    expect(error).toBeInstanceOf(RejectedError);
    expect(error).toBeInstanceOf(ResilienceError);
    expect(error).toBeInstanceOf(Error);
    expect(error).not.toBeInstanceOf(TimeoutError);
  });

  test('a timeout is no refusal: its work started', () => {
    const error = new TimeoutError('late', { after: 20 });
    expect(error).toMatchObject({ code: 'ERR_TIMEOUT', after: 20, name: 'TimeoutError', started: true, loopStalled: false });
    expect(new TimeoutError('late', { after: 20, started: false, loopStalled: true })).toMatchObject({ started: false, loopStalled: true });
    expect(error).not.toBeInstanceOf(RejectedError);
  });

  test('siblings are told apart', () => {
    expect(new BulkheadFullError('full')).not.toBeInstanceOf(CircuitOpenError);
  });

  test('instanceof holds for an error made by another copy of the package', () => {
    const foreign = Object.assign(Object.create({ [Symbol.for('breakwater.RejectedError')]: true }) as object, { code: 'ERR_X' });
    expect(foreign).toBeInstanceOf(RejectedError);
    expect(foreign).not.toBeInstanceOf(TimeoutError);
    expect(null).not.toBeInstanceOf(RejectedError);
    expect('text').not.toBeInstanceOf(RejectedError);
  });

  test("a user's own subclass only matches its own instances", () => {
    class Mine extends RejectedError {}
    expect(new RejectedError('theirs')).not.toBeInstanceOf(Mine);
    expect(new Mine('mine')).toBeInstanceOf(Mine);
    expect(new Mine('mine')).toBeInstanceOf(RejectedError);
  });

  test('several wrong options are told in one error, the first of them in its fields', () => {
    const error = new OptionsError([
      { path: 'a.b', expected: 'x', got: 'y' },
      { path: 'a.c', expected: 'u', got: 'v' },
    ]);
    expect(error.message).toBe('a.b: expected x, got y; a.c: expected u, got v');
    expect(error).toMatchObject({ path: 'a.b', expected: 'x', got: 'y', code: 'ERR_OPTIONS' });
  });
});

describe('refusals made on the overload path', () => {
  test('carry no stack by default, and the limit of stack traces stays as it was', () => {
    const limit = Error.stackTraceLimit;
    const error = made(BulkheadFullError, 'full', {}, false);
    expect(error.stack).not.toContain('\n    at ');
    expect(Error.stackTraceLimit).toBe(limit);
    expect(new Error('other').stack).toContain('\n    at ');
  });

  test('carry one on request', () => {
    expect(made(BulkheadFullError, 'full', {}, true).stack).toContain('\n    at ');
  });

  test('do not grow: the hundredth is as long as the first', () => {
    const lengths = Array.from({ length: 100 }, () => made(BulkheadFullError, 'full', {}, false).stack?.length);
    expect(new Set(lengths).size).toBe(1);
  });
});
