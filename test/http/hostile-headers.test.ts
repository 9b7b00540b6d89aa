/**
 * Requests of clients that mean no good: what they write about themselves changes nothing, what they write into keys grows nothing, and nothing that comes back out can be
 * made to say more than it should.
 */

import { once } from 'node:events';
import { IncomingMessage, ServerResponse } from 'node:http';
import { type AddressInfo, Socket, connect } from 'node:net';
import { Writable } from 'node:stream';
import { type Call, type GatePolicy, RateLimitedError, bulkhead, definePolicy, fixedWindow, perKey, refuse } from 'breakwater';
import { guard } from 'breakwater/express';
import breakwater from 'breakwater/fastify';
import { idempotency, memoryIdempotencyStore } from 'breakwater/node';
import express, { type ErrorRequestHandler } from 'express';
import Fastify from 'fastify';
import fc from 'fast-check';
import { describe, expect, onTestFinished, test } from 'vitest';
import { type GuardSettings, guardFields, readGuardOptions } from '../../src/http/admission/guard-options.ts';
import { Entrance, type Reception } from '../../src/http/admission/entrance.ts';
import type { Connected } from '../../src/http/identity/identity.ts';
import { hostile } from '../fields/hostile.ts';
import { FakeResponse } from './fake-response.ts';
import { serve } from './serving.ts';

/** Fields that clients forge, and some that are no fields. */
const forged = [
  'x-forwarded-for',
  'forwarded',
  'x-real-ip',
  'x-client-ip',
  'x-request-deadline',
  'x-request-priority',
  'x-request-attempt',
  'grpc-timeout',
  'x-envoy-expected-rq-timeout-ms',
  'x-envoy-external-address',
  'x-envoy-attempt-count',
  'idempotency-key',
  'x-tenant',
  '__proto__',
  'constructor',
  'toString',
] as const;

/** Values that would do something if they were believed. */
const wanted = fc.constantFrom(
  '127.0.0.1',
  '10.0.0.1',
  'unknown',
  'for=127.0.0.1;proto=https;by=10.0.0.1',
  'for="[::1]:80", for=_hidden',
  '0',
  '1',
  '60000',
  '1m',
  '99999999H',
  '-1',
  'critical-plus',
  'critical-plus;99',
  'best-effort;0',
  'sheddable;100',
  '__proto__',
  'constructor',
  'hasOwnProperty',
  '\ud800',
  'a\udfff\ud800b',
  'k'.repeat(65_536),
  'a\r\nx-injected: 1\r\n\r\n<h1>',
  '10.0.0.1, '.repeat(900),
);
const value = fc.oneof(wanted, hostile);

/** Fields as Node has them: of one name there may be several lines. */
const fieldsOf = (values: fc.Arbitrary<string>): fc.Arbitrary<Connected['headers']> =>
  fc
    .array(
      fc.tuple(
        fc.constantFrom(...forged),
        fc.oneof({ weight: 6, arbitrary: values }, { weight: 1, arbitrary: fc.array(values, { maxLength: 3 }) }),
      ),
      {
        maxLength: 8,
      },
    )
    .map((entries) => Object.fromEntries(entries));

/** A gate that remembers the last call. */
function ear(): { readonly policy: GatePolicy; last: Call | undefined } {
  const own = {
    last: undefined as Call | undefined,
    policy: definePolicy({
      kind: 'ear',
      gate: {
        enter: (call: Call) => {
          own.last = call;
        },
        settle() {},
        cancel() {},
      },
    }),
  };
  return own;
}

type Options = Parameters<typeof readGuardOptions>[2];
const entrance = (policies: ConstructorParameters<typeof Entrance>[0], options: Options = {}): Entrance<Connected> =>
  new Entrance<Connected>(policies, readGuardOptions('guard', guardFields, options) as GuardSettings<Connected>);

async function come(into: Entrance<Connected>, remoteAddress: string, headers: Connected['headers']): Promise<Reception> {
  const caller = { socket: { remoteAddress }, headers };
  const response = new FakeResponse();
  const reception = await into.receive({ request: caller, caller, response, outer: undefined, expired: () => undefined });
  response.finish();
  return reception;
}

describe('12 000 forged requests', () => {
  const runs = { numRuns: 3000 };

  test('an untrusted peer changes neither its key nor its time nor its importance, whatever it writes', async () => {
    const heard = ear();
    const into = entrance([heard.policy], { deadline: '10s', warnings: false });
    await fc.assert(
      fc.asyncProperty(fieldsOf(value), async (headers) => {
        const reception = await come(into, '203.0.113.9', headers);
        expect(reception.kind).toBe('admitted');
        const { key, priority, deadline } = heard.last as Call;
        expect([key, priority]).toEqual(['203.0.113.9', 'critical']);
        expect(deadline - performance.now()).toBeGreaterThan(5000);
      }),
      runs,
    );
  });

  test('what a trusted peer passes on only shortens the time, and what it cannot mean counts as not said', async () => {
    const heard = ear();
    const into = entrance([heard.policy], { deadline: '10s', trustProxy: ['loopback'], warnings: false });
    await fc.assert(
      fc.asyncProperty(fieldsOf(value), async (headers) => {
        heard.last = undefined;
        const reception = await come(into, '127.0.0.1', headers);
        // No time left is a refusal; nothing else here is.
        expect(reception.kind === 'admitted' || (reception.kind === 'refused' && reception.turned.status === 503)).toBe(true);
        const call = heard.last as Call | undefined;
        if (call === undefined) return;
        expect(call.deadline - performance.now()).toBeLessThanOrEqual(10_000);
        expect(['critical-plus', 'critical', 'sheddable-plus', 'sheddable', 'best-effort']).toContain(call.priority);
        expect(String(call.key).length).toBeLessThan(64);
      }),
      runs,
    );
  });

  test('padding in front of what trusted proxies wrote never changes the key', async () => {
    const heard = ear();
    const byAddress = entrance([heard.policy], { trustProxy: ['loopback'], warnings: false });
    const byNumber = entrance([heard.policy], { trustProxy: 1, warnings: false });
    const short = value.filter((text) => text.length < 8000);
    await fc.assert(
      fc.asyncProperty(short, fc.array(value, { maxLength: 2 }), fc.boolean(), async (padding, lines, joined) => {
        const seen = '198.51.100.7';
        const header = joined ? `${padding}, ${seen}` : [...lines, padding, seen];
        for (const into of [byAddress, byNumber]) {
          await come(into, '127.0.0.1', { 'x-forwarded-for': header });
          expect(heard.last?.key).toBe(seen);
        }
      }),
      { numRuns: 1500 },
    );
  });

  test('keys of any kind and size are counted apart, up to the most that is kept; a refusal is a 429 that says nothing of them', async () => {
    const limits = perKey(() => fixedWindow({ limit: 2, window: '1m' }), { max: 64, name: 'per-tenant' });
    const key = ({ headers }: Connected): string => String(Object.hasOwn(headers, 'x-tenant') ? headers['x-tenant'] : 'nobody');
    const into = entrance([limits], { key: key as never, warnings: false });
    const statuses = new Set<number>();
    await fc.assert(
      fc.asyncProperty(value, async (tenant) => {
        const reception = await come(into, '203.0.113.9', { 'x-tenant': tenant });
        expect(limits.size).toBeLessThanOrEqual(64);
        if (reception.kind === 'admitted') return;
        if (reception.kind !== 'refused') throw new Error(reception.kind);
        statuses.add(reception.turned.status);
        expect(reception.turned.headers['retry-after']).toMatch(/^[1-9]\d{0,3}$/);
        expect(reception.turned.body).toBe(
          '{"type":"https://iana.org/assignments/http-problem-types#quota-exceeded","title":"Too many requests","status":429,"violated-policies":["per-tenant"]}',
        );
      }),
      runs,
    );
    expect([...statuses]).toEqual([429]);
  });

  test.each([['__proto__'], ['constructor'], ['hasOwnProperty'], ['\ud800'], ['\udfff'], ['k'.repeat(65_536)], [''], ['undefined']])(
    'the key %s is one like others: counted by itself',
    async (tenant) => {
      const limits = perKey(() => fixedWindow({ limit: 1, window: '1m' }));
      const into = entrance([limits], { key: (({ headers }: Connected) => headers['x-tenant']) as never, warnings: false });
      const kinds: string[] = [];
      for (const who of [tenant, tenant, `${tenant}!`, 'other']) kinds.push((await come(into, '203.0.113.9', { 'x-tenant': who })).kind);
      expect(kinds).toEqual(['admitted', 'refused', 'admitted', 'admitted']);
    },
  );
});

/** Longer heads of requests Node does not take. */
const LONGEST_HEAD = 16_384;

/** Sends bytes as they are, over a connection of their own; answers with all that came back. */
async function sendRaw(port: number, text: string): Promise<string> {
  const socket = connect(port, '127.0.0.1').on('error', () => undefined);
  let answer = '';
  socket.setEncoding('latin1').on('data', (chunk: string) => (answer += chunk));
  socket.end(text, 'latin1');
  // Not `once`, which rejects when the connection is reset: Node 24 and newer cut off a client that sends too much.
  await new Promise((resolve) => socket.once('close', resolve));
  return answer;
}

const statusOf = (answer: string): number => Number(/^HTTP\/1\.1 (\d{3}) /.exec(answer)?.[1] ?? NaN);

/** One answer and nothing else: a head of whole fields, none of them one that a client made up, and a body of the length it says. */
function expectWhole(answer: string, headOnly = false): void {
  const end = answer.indexOf('\r\n\r\n');
  const [status = '', ...lines] = answer.slice(0, end).split('\r\n');
  expect(status).toMatch(/^HTTP\/1\.1 \d{3} [\x20-\x7e]*$/);
  for (const line of lines) expect(line).toMatch(/^[!#$%&'*+.^_`|~0-9A-Za-z-]+: ?[\t\x20-\x7e\x80-\xff]*$/);
  expect(lines.filter((line) => /^x-injected/i.test(line))).toEqual([]);
  const length = lines.map((line) => /^content-length: (\d+)$/i.exec(line)?.[1]).find((found) => found !== undefined);
  if (length !== undefined) expect(answer.length - end - 4).toBe(headOnly ? 0 : Number(length));
}

describe('1200 of them over real connections', () => {
  const limits = () => perKey(() => fixedWindow({ limit: 25, window: '1m' }), { max: 40, name: 'per-tenant' });
  const key = (request: { readonly headers: Connected['headers'] }): string => String(request.headers['x-tenant'] ?? 'nobody');
  const told = { deadline: '10s', key } as const;

  /** Lines as they are on the wire: of some fields several, of some none, and line ends where none belong. */
  const request = fc
    .tuple(
      fc.constantFrom('GET', 'POST', 'HEAD'),
      fc.array(fc.tuple(fc.constantFrom(...forged, 'X-Tenant', 'Idempotency-Key'), value), { maxLength: 6 }),
    )
    .map(([method, fields]) => {
      const lines = fields.map(([name, text]) => `${name}: ${text}\r\n`);
      return `${method} / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n${lines.join('')}\r\n`;
    });
  const mayBe = [200, 400, 404, 429, 431, 503];

  async function inExpress(policies: readonly GatePolicy[], options: object, errors: unknown[]): Promise<number> {
    const app = express().set('env', 'test');
    app.use(guard(policies, { ...told, ...options }), idempotency({ store: memoryIdempotencyStore({ max: 50 }) }), (req, res) => {
      res.send(`${req.breakwater.remaining() > 5000}`);
    });
    app.use(((error, _req, res, _next) => {
      errors.push(error);
      res.status(500).end();
    }) satisfies ErrorRequestHandler);
    return (await serve(app)).port;
  }

  async function inFastify(policies: readonly GatePolicy[], options: object, errors: unknown[]): Promise<number> {
    const app = Fastify();
    await app.register(breakwater, { policies, ...told, ...options });
    app.setErrorHandler((error, _request, reply) => {
      errors.push(error);
      return reply.code(500).send();
    });
    app.all('/', (incoming, reply) => reply.send(`${incoming.breakwater.remaining() > 5000}`));
    await app.listen({ port: 0, host: '127.0.0.1' });
    onTestFinished(async () => {
      app.server.closeAllConnections();
      await app.close();
    });
    return (app.server.address() as AddressInfo).port;
  }

  test.each([
    ['Express', inExpress],
    ['Fastify', inFastify],
  ])('%s answers each clearly, warns once of each thing, and keeps no more than it may', async (_, start) => {
    const errors: unknown[] = [];
    const warned: string[] = [];
    const [trusting, careful] = [limits(), limits()];
    const slots = bulkhead({ maxConcurrent: 50 });
    const warnings = ({ code }: { readonly code: string }): void => void warned.push(code);
    const statuses = new Set<number>();
    const ports = [
      await start([trusting, slots], { trustProxy: 'loopback', warnings }, errors),
      await start([careful, slots], { warnings }, errors),
    ];
    await fc.assert(
      fc.asyncProperty(request, async (text) => {
        const [first = '', second = ''] = await Promise.all(ports.map((port) => sendRaw(port, text)));
        for (const answer of [first, second]) {
          // Such a cut can overtake the answer.
          if (answer === '' && text.length > LONGEST_HEAD) continue;
          expect(mayBe).toContain(statusOf(answer));
          statuses.add(statusOf(answer));
          // What cannot be read as a request is refused before anybody knows that it was a HEAD.
          expectWhole(answer, text.startsWith('HEAD') && ![400, 431].includes(statusOf(answer)));
        }
        // Nobody trusted this peer: it has all of its time.
        if (statusOf(second) === 200 && text.startsWith('GET')) expect(second).toMatch(/true$/);
        expect(statusOf(second)).not.toBe(503);
      }),
      { numRuns: 300 },
    );
    expect(errors).toEqual([]);
    for (const status of [200, 400, 429]) expect(statuses).toContain(status);
    expect(new Set(warned).size).toBe(warned.length);
    expect([trusting.size <= 40, careful.size <= 40, slots.active]).toEqual([true, true, 0]);
  });
});

describe('nobody can end a field early and write the next one', () => {
  const request = (): IncomingMessage => Object.assign(new IncomingMessage(new Socket()), { method: 'GET', url: '/', headers: {} });

  /** The bytes of the answer, and what was left to the application's error handler. */
  async function answerOf(
    gate: (req: IncomingMessage, res: ServerResponse, next: (error?: unknown) => void) => void,
  ): Promise<[string, unknown]> {
    let bytes = '';
    let failed: unknown;
    const incoming = request();
    const response = new ServerResponse(incoming);
    const wire = new Writable({
      write(chunk: Buffer, _encoding, done) {
        bytes += chunk.toString('latin1');
        done();
      },
    });
    response.assignSocket(wire as never);
    const over = once(response, 'finish');
    gate(incoming, response, (error) => {
      failed = error;
      response.statusCode = error === undefined ? 200 : 500;
      response.end(error === undefined ? 'in' : 'failed');
    });
    await over;
    return [bytes, failed];
  }

  const text = fc.oneof(
    {
      weight: 2,
      arbitrary: fc.constantFrom(
        'a\r\nx-injected: 1',
        'a\nx-injected: 1',
        'a\r\n\r\n<script>',
        '"; x\r\n\tx-injected: 1',
        'ü\u010d\u010ax-injected: 1',
      ),
    },
    { weight: 3, arbitrary: hostile },
  );
  const name = text.filter((each) => each !== '');
  const shape = fc.constantFrom<boolean | 'draft-6' | 'draft-7' | 'draft-8'>(true, false, 'draft-6', 'draft-7', 'draft-8');

  test('by names of policies, identifiers and messages: the answer is whole', async () => {
    await fc.assert(
      fc.asyncProperty(
        name,
        fc.option(name, { nil: undefined }),
        fc.option(text, { nil: undefined }),
        shape,
        fc.boolean(),
        async (policy, identifier, message, standardHeaders, legacyHeaders) => {
          const gate = guard([fixedWindow({ limit: 1, window: '1m', name: policy })], {
            standardHeaders,
            legacyHeaders,
            warnings: false,
            ...(identifier !== undefined && { identifier }),
            ...(message !== undefined && { message: () => message }),
          });
          for (const status of [200, 429]) {
            const [bytes, failed] = await answerOf(gate);
            expect([statusOf(bytes), failed]).toEqual([status, undefined]);
            expectWhole(bytes);
          }
        },
      ),
      { numRuns: 500 },
    );
  });

  test('by fields of a fallback: they are sent as they are or, if they cannot be, the application hears of it and nothing of them is sent', async () => {
    let sent = 0;
    let failures = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(fc.constantFrom('x-who', 'retry-after', 'content-length', '__proto__'), text),
        text,
        text,
        async (field, content, body) => {
          const closed = bulkhead({ maxConcurrent: 1 });
          const fallback = (): object => ({ status: 203, headers: Object.fromEntries([[field, content]]), body });
          const gate = guard([closed], { fallback, warnings: false });
          const holding = await gate.pipeline.acquire();
          const [bytes, failed] = await answerOf(gate);
          holding.ignore();
          expectWhole(bytes);
          if (failed === undefined) {
            sent++;
            expect(statusOf(bytes)).toBe(203);
          } else {
            failures++;
            expect((failed as { code: string }).code).toMatch(/^ERR_(?:INVALID|HTTP_INVALID)/);
            expect(statusOf(bytes)).toBe(500);
          }
        },
      ),
      { numRuns: 1000 },
    );
    expect([sent > 100, failures > 100]).toEqual([true, true]);
  });

  test('by how long to wait: Retry-After is a number of one to seven digits, whatever a policy answers', async () => {
    await fc.assert(
      fc.asyncProperty(fc.oneof(fc.double(), fc.constantFrom(Infinity, -Infinity, NaN, 1e300, -0, 1e-9)), async (retryAfter) => {
        const refusing = definePolicy({
          kind: 'limit',
          gate: { enter: () => refuse(new RateLimitedError('no', { retryAfter })), settle() {}, cancel() {} },
        });
        const [bytes] = await answerOf(guard([refusing], { warnings: false }));
        expect(statusOf(bytes)).toBe(429);
        expect(bytes).toMatch(/\r\nretry-after: [1-9]\d{0,6}\r\n/i);
        expectWhole(bytes);
      }),
      { numRuns: 300 },
    );
  });
});
