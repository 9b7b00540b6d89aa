import { bulkhead, fromMiddleware, pipeline, retry, timeout } from 'breakwater';
import type { Call } from '../../src/core/call.ts';
import { readOptions } from '../../src/core/options.ts';
import { describe, expect, test } from 'vitest';
import { VirtualClock } from 'breakwater/testing';
import { type OutboundOptions, type OutboundRequest, type RequestOptions, outboundFields } from '../../src/clients/outbound-options.ts';
import { type AddedFields, type Guarding, Outbound } from '../../src/clients/outbound.ts';

function outbound(options: OutboundOptions = {}, policies: Guarding = []): Outbound {
  return new Outbound('client', policies, readOptions('wrapClient', outboundFields, options));
}

function request(
  method: string,
  fields: Readonly<Record<string, string>> = {},
  url = 'https://api.example:8443/users?q=1',
): OutboundRequest {
  return { method, url: new URL(url), field: (name) => fields[name] };
}

/** The fields of every attempt at a request. */
async function fieldsOf(
  client: Outbound,
  sent: OutboundRequest,
  own?: RequestOptions,
  work: (call: Call) => unknown = () => undefined,
): Promise<AddedFields[]> {
  const seen: AddedFields[] = [];
  await client.pipeline.execute(
    (call) => {
      seen.push({ ...client.fieldsFor(call, sent, own) });
      return work(call);
    },
    client.callOptions(sent, own),
  );
  return seen;
}

describe('a request as a call', () => {
  test('is about its origin, unless somebody says otherwise', () => {
    expect(outbound().callOptions(request('GET'), undefined).key).toBe('https://api.example:8443');
    expect(outbound({ key: ({ url }) => url.pathname }).callOptions(request('GET'), undefined).key).toBe('/users');
    expect(outbound({ key: () => 'all' }).callOptions(request('GET'), { key: 'mine' }).key).toBe('mine');
    expect(outbound({ key: () => undefined }).callOptions(request('GET'), undefined).key).toBeUndefined();
  });

  test.each(['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE'])('%s may be repeated', (method) => {
    expect(outbound().callOptions(request(method), undefined).idempotent).toBe(true);
  });

  test.each(['POST', 'PATCH', 'CONNECT', 'constructor'])('%s may not', (method) => {
    expect(outbound().callOptions(request(method), undefined).idempotent).toBe(false);
  });

  test('a POST with an idempotency key may be repeated, and the call has that key', () => {
    const options = outbound().callOptions(request('POST', { 'idempotency-key': 'k-1' }), undefined);
    expect(options).toMatchObject({ idempotent: true, idempotencyKey: 'k-1' });
    expect(outbound().callOptions(request('POST', { 'idempotency-key': '' }), undefined).idempotent).toBe(false);
    expect(outbound({ idempotencyKey: true }).callOptions(request('POST'), undefined).idempotent).toBe(true);
  });

  test('what a request says about itself goes before what the options say, and those before the rule', () => {
    const client = outbound({ idempotent: ({ method }) => method === 'POST' });
    expect(client.callOptions(request('POST'), undefined).idempotent).toBe(true);
    expect(client.callOptions(request('GET'), undefined).idempotent).toBe(false);
    expect(client.callOptions(request('GET'), { idempotent: true }).idempotent).toBe(true);
    expect(outbound({ idempotent: false }).callOptions(request('GET'), undefined).idempotent).toBe(false);
  });

  test('has the deadline of the options, or its own', () => {
    expect(outbound().callOptions(request('GET'), undefined).deadline).toBeUndefined();
    expect(outbound({ deadline: '2s' }).callOptions(request('GET'), undefined).deadline).toBe(2000);
    expect(outbound({ deadline: '2s' }).callOptions(request('GET'), { deadline: '1s' }).deadline).toBe('1s');
  });

  test('carries priority, operation and tags as they are', () => {
    const own = { priority: 'sheddable', priorityLevel: 7, operation: 'list', tags: { a: 1 } } as const;
    expect(outbound().callOptions(request('GET'), own)).toMatchObject(own);
  });
});

describe('the fields of an attempt', () => {
  test('there are none unless somebody asks for them: strangers learn nothing', async () => {
    expect(await fieldsOf(outbound(), request('POST'), { deadline: 1000, priority: 'sheddable' })).toEqual([{}]);
  });

  test('tell the time left, the priority and the attempts before, to the origins that are named', async () => {
    const clock = new VirtualClock();
    const policies = pipeline([retry({ maxAttempts: 2, backoff: { delay: 100, jitter: 'none' } })], { clock });
    const client = outbound({ propagate: ['https://api.example:8443'] }, policies);
    const own = { deadline: 1000, priority: 'sheddable', priorityLevel: 42 } as const;
    const failing = (call: Call): void => {
      if (call.attempt === 1) throw new Error('broken');
    };
    const seen = fieldsOf(client, request('GET'), own, failing);
    await clock.advance(100);
    expect(await seen).toEqual([
      { 'x-request-deadline': '990', 'x-request-priority': 'sheddable;42' },
      { 'x-request-deadline': '890', 'x-request-priority': 'sheddable;42', 'x-request-attempt': '1' },
    ]);
    const stranger = request('GET', {}, 'https://other.example/');
    expect(await fieldsOf(client, stranger, own)).toEqual([{}]);
  });

  test('the deadline is told in as many ways as are asked for, and never below nothing', async () => {
    const clock = new VirtualClock();
    const options = {
      propagate: (origin: string) => origin.startsWith('https:'),
      deadlineField: ['x-request-deadline', 'grpc-timeout', 'x-envoy-expected-rq-timeout-ms'],
      priorityField: false,
      deadlineMargin: '50ms',
    } as const;
    const client = outbound(options, pipeline([], { clock }));
    expect(await fieldsOf(client, request('GET'), { deadline: 1500 })).toEqual([
      { 'x-request-deadline': '1450', 'grpc-timeout': '1450m', 'x-envoy-expected-rq-timeout-ms': '1450' },
    ]);
    expect(await fieldsOf(client, request('GET'), { deadline: 20 })).toEqual([
      { 'x-request-deadline': '0', 'grpc-timeout': '0m', 'x-envoy-expected-rq-timeout-ms': '1' },
    ]);
    expect(await fieldsOf(outbound({ ...options, deadlineField: false }), request('GET'), { deadline: 20 })).toEqual([{}]);
  });

  test('a POST gets one key for all its attempts, if the services know such keys', async () => {
    const client = outbound({ idempotencyKey: true }, [retry({ maxAttempts: 3, backoff: { delay: 0, jitter: 'none' } })]);
    const failing = (call: Call): void => {
      if (call.attempt < 3) throw new Error('broken');
    };
    const keys = (await fieldsOf(client, request('POST'), undefined, failing)).map((fields) => fields['Idempotency-Key']);
    expect(keys).toHaveLength(3);
    expect(new Set(keys).size).toBe(1);
    expect(keys[0]).toMatch(/^[0-9a-f-]{36}$/);
    expect(await fieldsOf(client, request('GET'))).toEqual([{}]);
    expect(await fieldsOf(client, request('POST', { 'idempotency-key': 'own' }))).toEqual([{}]);
    expect(await fieldsOf(outbound(), request('POST'), { idempotencyKey: 'k' })).toEqual([{ 'Idempotency-Key': 'k' }]);
  });

  test('what policies want sent along is, and the fields of the request itself stay', async () => {
    const client = outbound({ propagate: true }, [
      retry({ maxAttempts: 2, backoff: { delay: 0, jitter: 'none' }, attemptHeader: 'x-attempt', idempotencyKey: 'x-key' }),
    ]);
    const failing = (call: Call): void => {
      if (call.attempt === 1) throw new Error('broken');
    };
    const sent = request('GET', { 'x-key': 'own', 'x-request-priority': 'best-effort' });
    const [first, second] = await fieldsOf(client, sent, undefined, failing);
    expect(first).toEqual({});
    expect(second).toEqual({ 'x-attempt': '2', 'x-retry-reason': 'error', 'x-request-attempt': '1' });
  });
});

describe('whether a client may send a request more than once', () => {
  test('is known of the policies of this library, and assumed of others', () => {
    expect(new Outbound('client', undefined, outbound().settings).repeats).toBe(true);
    expect(outbound({}, [timeout({ after: 1 }), bulkhead({ maxConcurrent: 1 })]).repeats).toBe(false);
    expect(outbound({}, [pipeline([timeout({ after: 1 })])]).repeats).toBe(false);
    expect(outbound({}, [pipeline([retry()])]).repeats).toBe(true);
    expect(outbound({}, [fromMiddleware((_, next) => next())]).repeats).toBe(true);
  });
});

describe('what is wrong is said at once', () => {
  test.each([
    [{ propagate: ['https://api.example/path'] }, /propagate: expected .*origins/],
    [{ propagate: ['api.example'] }, /propagate/],
    [{ deadlineField: 'x request' }, /deadlineField: expected the name of a field/],
    [{ attemptField: 'a\r\nb' }, /attemptField/],
    [{ deadline: 0 }, /deadline/],
    [{ idempotent: 'yes' }, /idempotent: expected true or false/],
    [{ propagated: true }, /did you mean propagate/],
  ])('%j', (options, message) => {
    expect(() => outbound(options as OutboundOptions)).toThrow(message);
  });

  test.each([
    [{ idempotencyKey: 'a\r\nx: y' }, /idempotencyKey: expected 1 to 1024 characters/],
    [{ idempotencyKey: 'k'.repeat(1025) }, /idempotencyKey/],
    [{ idempotencyKey: 7 }, /idempotencyKey/],
    [{ retries: 7 }, /breakwater.retries: expected one of deadline, key/],
    [[], /breakwater: expected an object/],
  ])('%j of a request', (own, message) => {
    expect(() => outbound().callOptions(request('GET'), own as RequestOptions)).toThrow(message);
  });
});
