import { describe, expect, test } from 'vitest';
import { VirtualClock } from 'breakwater/testing';
import { Call } from '../../src/core/call.ts';
import { noOptions } from '../../src/core/call-options.ts';
import { type Classification, type Classifier, classify } from '../../src/core/classification.ts';
import { BulkheadFullError, OptionsError, TimeoutError } from '../../src/core/errors.ts';
import { Outlet, type PipelineEvent } from '../../src/core/events.ts';
import { Failure, type Outcome, thrown } from '../../src/core/outcome.ts';
import { Scope } from '../../src/core/scope.ts';

function setUp(classifier?: Classifier<never>): { scope: Scope; call: Call; events: PipelineEvent[] } {
  const outlet = new Outlet();
  const events: PipelineEvent[] = [];
  outlet.on('*', (event) => events.push(event));
  const scope = new Scope('classes', new VirtualClock(), () => 0.5, false, outlet, classifier);
  return { scope, call: new Call(scope, () => 1, noOptions, true, 0, Infinity), events };
}

function classOf(outcome: Outcome): Classification {
  const { scope, call } = setUp();
  return classify(outcome, call, scope);
}

const withCode = (code: string | number, more: object = {}): Failure => thrown(Object.assign(new Error('it failed'), { code, ...more }));
const answered = (status: number, headers: Record<string, string> = {}): object => ({ status, headers });

describe('a value', () => {
  test.each([1, 'text', null, undefined, {}, { status: 'open' }, { status: 503 }, { status: 42, headers: {} }, []])(
    '%j is a success',
    (value) => {
      expect(classOf(value)).toMatchObject({ verdict: 'success', retryable: false, dispatched: true });
    },
  );

  test.each([200, 204, 301, 304, 400, 401, 403, 404, 409, 422])(
    'a response with status %i is an answer of a service that works',
    (status) => {
      expect(classOf(answered(status)).verdict).toBe('success');
    },
  );

  test.each([408, 425, 429, 500, 502, 503, 504])('a response with status %i is a failure that may pass', (status) => {
    expect(classOf(answered(status))).toMatchObject({ verdict: 'failure', retryable: true, dispatched: true });
  });

  test.each([501, 505, 511])('a response with status %i is a failure that stays', (status) => {
    expect(classOf(answered(status))).toMatchObject({ verdict: 'failure', retryable: false });
  });

  test('says with 429 that it is asked too often, and with 503 that it has too much to do', () => {
    expect(classOf(answered(429))).toMatchObject({ throttled: true, overload: true });
    expect(classOf(answered(503))).toMatchObject({ throttled: false, overload: true });
    expect(classOf(answered(500))).toMatchObject({ throttled: false, overload: false });
  });

  test('that is a real Response is known, and so is the wait it asks for', () => {
    expect(classOf(new Response('', { status: 503, headers: { 'retry-after': '7' } }))).toMatchObject({
      verdict: 'failure',
      retryAfter: 7000,
    });
    expect(classOf({ statusCode: 429, headers: { 'Retry-After': '2' }, body: {} })).toMatchObject({ verdict: 'failure', retryAfter: 2000 });
  });

  test('that a fallback gave in place of the work counts as neither', () => {
    const { scope, call } = setUp();
    call.markDegraded();
    expect([classify('lesser', call, scope).verdict, classify({}, call, scope).verdict, classify(() => 1, call, scope).verdict]).toEqual([
      'ignored',
      'ignored',
      'ignored',
    ]);
  });
});

describe('an error', () => {
  test('that nothing is known of is a failure that another attempt may mend', () => {
    for (const error of [new Error('down'), 'a string', null, undefined, { odd: true }])
      expect(classOf(new Failure(error, 'thrown'))).toMatchObject({ verdict: 'failure', retryable: true, dispatched: true });
  });

  test.each(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH', 'UND_ERR_CONNECT_TIMEOUT'])(
    '%s: the call never reached the service',
    (code) => {
      expect(classOf(withCode(code))).toMatchObject({ verdict: 'failure', retryable: true, dispatched: false });
    },
  );

  test.each(['ECONNRESET', 'EPIPE', 'UND_ERR_SOCKET'])('%s: the service may have done it all', (code) => {
    expect(classOf(withCode(code))).toMatchObject({ verdict: 'failure', retryable: true, dispatched: true });
  });

  test.each(['ETIMEDOUT', 'UND_ERR_HEADERS_TIMEOUT', 'UND_ERR_BODY_TIMEOUT'])('%s: time ran out', (code) => {
    expect(classOf(withCode(code))).toMatchObject({ verdict: 'failure', timeout: true, overload: true, dispatched: true });
  });

  test('of a connection that was not made in time never reached the service', () => {
    expect(classOf(withCode('ETIMEDOUT', { syscall: 'connect' }))).toMatchObject({ timeout: true, dispatched: false });
    const both = [{ syscall: 'connect' }, { syscall: 'connect' }];
    expect(classOf(withCode('ETIMEDOUT', { errors: both }))).toMatchObject({ timeout: true, dispatched: false });
  });

  test.each(['CERT_HAS_EXPIRED', 'DEPTH_ZERO_SELF_SIGNED_CERT', 'UND_ERR_DESTROYED'])('%s: another attempt finds the same', (code) => {
    expect(classOf(withCode(code))).toMatchObject({ verdict: 'failure', retryable: false, dispatched: false });
  });

  test('of fetch is known by what caused it', () => {
    const refused = new TypeError('fetch failed', { cause: Object.assign(new Error('connect'), { code: 'ECONNREFUSED' }) });
    expect(classOf(thrown(refused))).toMatchObject({ verdict: 'failure', retryable: true, dispatched: false });
    expect(classOf(thrown(new TypeError('fetch failed')))).toMatchObject({ verdict: 'failure', retryable: true });
    expect(classOf(thrown(new DOMException('too slow', 'TimeoutError')))).toMatchObject({ timeout: true });
  });

  test('of the program itself is no failure of the service, and trying again mends nothing (p-retry)', () => {
    for (const error of [
      new TypeError('x is not a function'),
      new ReferenceError('y is not defined'),
      new OptionsError([{ path: 'a', expected: 'b', got: 'c' }]),
    ])
      expect(classOf(thrown(error))).toMatchObject({ verdict: 'ignored', retryable: false });
  });

  test.each([
    ['axios', { response: { status: 503, headers: { 'retry-after': '3' } } }],
    ['got', { response: { statusCode: 503, headers: { 'retry-after': '3' } } }],
    ['http-errors', { status: 503, statusCode: 503, headers: { 'Retry-After': '3' } }],
    ['undici', { statusCode: 503, headers: { 'retry-after': '3' } }],
  ])('of %s is known by its status and headers', (_, fields) => {
    expect(classOf(thrown(Object.assign(new Error('503'), fields)))).toMatchObject({
      verdict: 'failure',
      retryable: true,
      overload: true,
      retryAfter: 3000,
    });
  });

  test('that tells of a 404 is an answer of a service that works, and not worth another attempt', () => {
    expect(classOf(thrown(Object.assign(new Error('404'), { response: { status: 404, headers: {} } })))).toMatchObject({
      verdict: 'success',
      retryable: false,
    });
  });

  test.each([
    [14, { verdict: 'failure', retryable: true }],
    [8, { verdict: 'failure', retryable: true, overload: true, throttled: true }],
    [4, { verdict: 'failure', timeout: true }],
    [10, { verdict: 'failure', retryable: true }],
    [13, { verdict: 'failure', retryable: false }],
    [3, { verdict: 'success', retryable: false }],
    [5, { verdict: 'success', retryable: false }],
    [1, { verdict: 'ignored', retryable: false }],
  ])('of gRPC with status %i', (code, expected) => {
    expect(classOf(withCode(code, { details: 'why', metadata: {} }))).toMatchObject(expected);
  });

  test('of gRPC may carry the wait its service asks for, or that it wants no other attempt', () => {
    const pushed = (value: string): Classification =>
      classOf(withCode(14, { details: '', metadata: { getMap: () => ({ 'grpc-retry-pushback-ms': value }) } }));
    expect(pushed('250')).toMatchObject({ retryable: true, retryAfter: 250 });
    expect(pushed('-1')).toMatchObject({ retryable: false, retryAfter: Infinity });
  });

  test('that throws when it is looked at is a failure like any other', () => {
    const hostile = new Proxy(
      {},
      {
        get: () => {
          throw new Error('hands off');
        },
      },
    );
    expect(classOf(new Failure(hostile, 'thrown'))).toMatchObject({ verdict: 'failure', retryable: true });
  });
});

describe('what the library itself answers with', () => {
  test('a timeout is a failure, a sign of overload, and worth another attempt', () => {
    expect(classOf(new Failure(new TimeoutError('late', { after: 5 }), 'timeout'))).toMatchObject({
      verdict: 'failure',
      retryable: true,
      timeout: true,
      overload: true,
    });
  });

  test('a refusal is ignored, never reached the service, and says when to come back', () => {
    expect(classOf(new Failure(new BulkheadFullError('full', { retryAfter: 30 }), 'refused'))).toEqual({
      verdict: 'ignored',
      retryable: false,
      overload: true,
      timeout: false,
      throttled: false,
      dispatched: false,
      retryAfter: 30,
    });
  });

  test("an abort by the caller is nobody's failure", () => {
    expect(classOf(new Failure('gone', 'aborted'))).toMatchObject({ verdict: 'ignored', retryable: false, overload: false });
  });
});

describe("a classifier of one's own", () => {
  test('is asked by the policy first, then by the pipeline, then the defaults hold', () => {
    const { scope, call } = setUp((outcome) => (outcome.ok ? undefined : 'success'));
    const own: Classifier<number> = (outcome) => (outcome.ok && outcome.value > 3 ? 'failure' : undefined);
    expect(classify(4, call, scope, own)).toMatchObject({ verdict: 'failure', retryable: true });
    expect(classify(2, call, scope, own).verdict).toBe('success');
    expect(classify(thrown(new Error('down')), call, scope, own)).toMatchObject({ verdict: 'success', retryable: false });
  });

  test('may answer with some flags; the others are what they are by default', () => {
    const { scope, call } = setUp(() => ({ retryable: false, retryAfter: 10 }));
    expect(classify(withCode('ECONNREFUSED'), call, scope)).toMatchObject({
      verdict: 'failure',
      retryable: false,
      dispatched: false,
      retryAfter: 10,
    });
  });

  test('is not asked about refusals and aborts', () => {
    const { scope, call } = setUp(() => 'failure');
    expect(classify(new Failure(new BulkheadFullError('full'), 'refused'), call, scope).verdict).toBe('ignored');
    expect(classify(new Failure('gone', 'aborted'), call, scope).verdict).toBe('ignored');
  });

  test.each([
    () => 'fine',
    () => 7,
    () => ({ verdict: 'bad' }),
    () => {
      throw new Error('mine');
    },
  ])('that fails is reported, and the defaults hold', (broken) => {
    const { scope, call, events } = setUp(broken as unknown as Classifier<never>);
    expect(classify(thrown(new Error('down')), call, scope)).toMatchObject({ verdict: 'failure' });
    expect(events).toMatchObject([{ type: 'pipeline.callback-failed', callback: 'classify' }]);
  });
});
