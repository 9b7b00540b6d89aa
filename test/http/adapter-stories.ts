/**
 * What every adapter must do, whatever framework it stands in (invariants W1 to W5). An adapter shows how a server with a guard is started there:
 *
 *     stories({ name: 'Koa', field: (ctx) => ..., start: async (setup) => ... })
 */

import { once } from 'node:events';
import { Agent } from 'node:http';
import {
  type AnyPolicy,
  type Pipeline,
  RateLimitedError,
  bulkhead,
  definePolicy,
  fixedWindow,
  perKey,
  pipeline as pipelineOf,
  refuse,
} from 'breakwater';
import { seededRandom } from 'breakwater/testing';
import { describe, expect, test, vi } from 'vitest';
import type { GuardOptions } from '../../src/http/admission/guard-options.ts';
import type { Visit } from '../../src/http/admission/inbound.ts';
import { ask, books, latch } from './serving.ts';

/** What a handler answers: 200 with an empty body, unless it says otherwise. */
export interface Given {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** A request as a story's handler sees it. */
export interface Arrived {
  readonly path: string;
  readonly method: string;
  /** What the guard left on the request. */
  readonly visit: Visit;
}

/** One guard: what users of all frameworks write, with requests as the framework shows them. */
export interface Guarded {
  readonly policies: readonly AnyPolicy[] | Pipeline;
  readonly options?: GuardOptions<never>;
}

export interface Setup extends Guarded {
  /** A guard of the same kind around this one. */
  readonly outer?: Guarded;
  /** Fields that something before the guards (CORS, request ids) sets on every response. */
  readonly fields?: Readonly<Record<string, string>>;
  /** Answers every request that comes through, whatever its path and method. What it throws is the framework's to handle. */
  readonly handler: (arrived: Arrived) => Given | Promise<Given>;
}

export interface Started {
  readonly port: number;
  /** Errors that came to the framework's error handler, which answers 500. */
  readonly errors: readonly unknown[];
}

export interface Adapter {
  readonly name: string;
  /** A field of a request as the framework shows it to `key` and the like. */
  readonly field: (request: unknown, name: string) => string | undefined;
  /** Serves on 127.0.0.1 until the test is over. */
  readonly start: (setup: Setup) => Promise<Started>;
}

/** Refuses everybody, as a rate limit does. */
const limited = definePolicy({
  kind: 'limit',
  name: 'inner-secret',
  gate: { enter: () => refuse(new RateLimitedError('inner-secret is used up', { retryAfter: 1200 })), settle() {}, cancel() {} },
});

/** Tests of one adapter. */
export function stories({ name, field, start }: Adapter): void {
  const header = (of: string) => (request: unknown) => field(request, of);

  describe(`what every guard does, in ${name}`, () => {
    test('lets requests in, tells handlers when to stop and how much time is left, and hears how it ended', async () => {
      const account = books();
      const { port } = await start({
        policies: [account.policy],
        options: { deadline: '10s' },
        handler: ({ visit, path }) => ({
          status: path === '/fail' ? 500 : 201,
          body: JSON.stringify([visit.admitted, visit.signal.aborted, visit.remaining() > 5000 && visit.remaining() <= 10_000]),
        }),
      });
      expect(await ask(port)).toMatchObject({ status: 201, body: '[true,false,true]' });
      await account.quiet();
      expect((await ask(port, { path: '/fail' })).status).toBe(500);
      await account.quiet();
      expect(account.verdicts).toEqual(['success', 'failure']);
      expect(account.errors).toMatchObject([{ code: 'ERR_RESPONSE', status: 500 }]);
    });

    test('W4 a rate limit answers 429 with Retry-After, RateLimit fields and a body that says nothing of the inside', async () => {
      let served = 0;
      const { port, errors } = await start({
        policies: [perKey(() => fixedWindow({ limit: 1, window: '1m' }), { name: 'per-minute' })],
        options: { key: header('x-tenant'), retryAfterJitter: 0 },
        fields: { 'access-control-allow-origin': '*' },
        handler: () => {
          served++;
          return { body: 'in' };
        },
      });
      const first = await ask(port, { headers: { 'x-tenant': 'a' } });
      const second = await ask(port, { headers: { 'x-tenant': 'a' } });
      const other = await ask(port, { headers: { 'x-tenant': 'b' } });
      expect([first.status, second.status, other.status, served]).toEqual([200, 429, 200, 2]);
      expect(first.headers['ratelimit-policy']).toBe('"per-minute";q=1;w=60');
      expect(first.headers['ratelimit']).toMatch(/^"per-minute";r=0;t=\d+$/);
      expect(first.headers['retry-after']).toBeUndefined();
      expect(second.headers['ratelimit']).toMatch(/^"per-minute";r=0;t=\d+$/);
      expect(Number(second.headers['retry-after'])).toBeGreaterThan(0);
      expect(second.headers['content-type']).toMatch(/^application\/problem\+json/);
      expect(second.headers['cache-control']).toBe('no-store');
      expect(second.headers['access-control-allow-origin']).toBe('*');
      expect(second.headers['content-length']).toBe(String(second.body.length));
      expect(JSON.parse(second.body)).toMatchObject({ status: 429, title: 'Too many requests' });
      expect(errors).toEqual([]);
    });

    test('W4 what is full answers 503 with Retry-After, and the permit comes back', async () => {
      const slots = bulkhead({ maxConcurrent: 1 });
      const arrived = latch();
      const go = latch();
      const { port } = await start({
        policies: [slots],
        handler: async () => {
          arrived.open();
          await go.opened;
          return { body: 'in' };
        },
      });
      const first = ask(port);
      await arrived.opened;
      const refused = await ask(port);
      expect([refused.status, refused.headers['retry-after']]).toEqual([503, '1']);
      expect(refused.headers['content-type']).toMatch(/^application\/problem\+json/);
      expect(refused.body).not.toContain('bulkhead');
      go.open();
      expect((await first).body).toBe('in');
      await vi.waitFor(() => expect(slots.active).toBe(0), { interval: 1 });
    });

    test('W3 answers 504 when the time is up; what the handler answers after that goes nowhere, and the connection serves the next request', async () => {
      const account = books();
      const late = latch();
      const { port, errors } = await start({
        policies: [account.policy],
        options: { deadline: 100 },
        handler: async ({ path, visit }) => {
          if (path !== '/late') return { body: 'next' };
          await once(visit.signal, 'abort');
          setImmediate(() => late.open());
          await late.opened;
          return { headers: { 'x-late': '1' }, body: 'late' };
        },
      });
      const agent = new Agent({ keepAlive: true, maxSockets: 1 });
      const sockets = new Set<unknown>();
      agent.on('free', (socket) => sockets.add(socket));
      const unhandled: unknown[] = [];
      const note = (error: unknown): void => void unhandled.push(error);
      process.on('unhandledRejection', note).on('uncaughtException', note);
      const timedOut = await ask(port, { path: '/late', agent });
      await late.opened;
      const next = await ask(port, { path: '/next', agent });
      process.off('unhandledRejection', note).off('uncaughtException', note);
      agent.destroy();
      expect([timedOut.status, timedOut.headers['x-late'], next.body, sockets.size]).toEqual([504, undefined, 'next', 1]);
      expect(timedOut.headers['content-type']).toMatch(/^application\/problem\+json/);
      await account.quiet();
      expect(account.verdicts).toEqual(['failure', 'success']);
      expect(account.errors).toMatchObject([{ name: 'TimeoutError' }]);
      expect([errors, unhandled]).toEqual([[], []]);
    });

    test('W3 a handler that obeys its signal and rejects does not disturb its 504', async () => {
      const { port } = await start({
        policies: [],
        options: { deadline: 100 },
        handler: async ({ path, visit }) => {
          if (path !== '/late') return { body: 'next' };
          await once(visit.signal, 'abort');
          throw visit.signal.reason;
        },
      });
      const agent = new Agent({ keepAlive: true, maxSockets: 1 });
      expect((await ask(port, { path: '/late', agent })).status).toBe(504);
      expect((await ask(port, { path: '/next', agent })).body).toBe('next');
      agent.destroy();
    });

    test('a client that leaves aborts the signal, and counts as neither success nor failure', async () => {
      const account = books();
      const arrived = latch<Visit>();
      const { port } = await start({
        policies: [account.policy],
        handler: ({ visit }) => {
          arrived.open(visit);
          return new Promise(() => undefined);
        },
      });
      const asking = ask(port);
      const { signal } = await arrived.opened;
      const aborted = once(signal, 'abort');
      asking.leave();
      await aborted;
      await account.quiet();
      expect(signal.reason).toMatchObject({ code: 'ERR_CLIENT_GONE' });
      expect(account.verdicts).toEqual(['ignored']);
    });

    test('a client that leaves while it waits for its turn is not served and holds nothing', async () => {
      const slots = bulkhead({ maxConcurrent: 1, maxQueue: 1 });
      const arrived = latch();
      const go = latch();
      let served = 0;
      const { port } = await start({
        policies: [slots],
        handler: async () => {
          served++;
          arrived.open();
          await go.opened;
          return {};
        },
      });
      const first = ask(port);
      await arrived.opened;
      const second = ask(port);
      await vi.waitFor(() => expect(slots.queued).toBe(1), { interval: 1 });
      second.leave();
      await vi.waitFor(() => expect(slots.queued).toBe(0), { interval: 1 });
      go.open();
      expect((await first).status).toBe(200);
      await vi.waitFor(() => expect(slots.active).toBe(0), { interval: 1 });
      expect(served).toBe(1);
    });

    test.each([[new Error('no tenant')], ['a text'], ['route'], [undefined], [null]])(
      'W5 a key function that throws (%s) goes to the error handler, and the request is not served',
      async (thrown) => {
        const account = books();
        let served = 0;
        const { port, errors } = await start({
          policies: [account.policy],
          options: {
            key: () => {
              throw thrown;
            },
          },
          handler: () => {
            served++;
            return {};
          },
        });
        expect((await ask(port)).status).toBe(500);
        expect([served, account.entered, errors.length]).toEqual([0, 0, 1]);
      },
    );

    test('W5 so does one that rejects', async () => {
      let served = 0;
      const { port, errors } = await start({
        policies: [],
        options: { key: () => Promise.reject(new Error('no tenant')) },
        handler: () => {
          served++;
          return {};
        },
      });
      expect((await ask(port)).status).toBe(500);
      expect([served, errors.length]).toEqual([0, 1]);
    });

    test('W1 HEAD is answered without a body, refused or not, and gives its permit back', async () => {
      const account = books();
      const { port } = await start({ policies: [account.policy, bulkhead({ maxConcurrent: 1 })], handler: () => ({ body: 'body' }) });
      const refusing = await start({ policies: [limited], handler: () => ({ body: 'body' }) });
      expect(await ask(port, { method: 'HEAD' })).toMatchObject({ status: 200, body: '' });
      expect(await ask(refusing.port, { method: 'HEAD' })).toMatchObject({ status: 429, body: '' });
      await account.quiet();
      expect((await ask(port)).body).toBe('body');
      await account.quiet();
      expect(account.verdicts).toEqual(['success', 'success']);
    });

    test('W1 an answer of 304 gives its permit back', async () => {
      const account = books();
      const { port } = await start({ policies: [account.policy], handler: () => ({ status: 304 }) });
      expect(await ask(port)).toMatchObject({ status: 304, body: '' });
      await account.quiet();
      expect(account.verdicts).toEqual(['success']);
    });

    test('a refused upload leaves the connection usable', async () => {
      const { port } = await start({ policies: [limited], handler: () => ({}) });
      const agent = new Agent({ keepAlive: true, maxSockets: 1 });
      const body = 'x'.repeat(100_000);
      const headers = { 'content-type': 'text/plain' };
      for (let i = 0; i < 2; i++) expect((await ask(port, { method: 'POST', body, headers, agent })).status).toBe(429);
      agent.destroy();
    });

    test('behind two guards a request passes the outer gates first, and both hear how it ended', async () => {
      const outer = books();
      const inner = books();
      const order: string[] = [];
      const noting = (what: string): AnyPolicy =>
        definePolicy({ kind: what, gate: { enter: () => void order.push(what), settle() {}, cancel() {} } });
      const { port } = await start({
        outer: { policies: [noting('outer'), outer.policy], options: { deadline: '10s', name: 'outer' } },
        policies: [noting('inner'), inner.policy],
        options: { deadline: '20s' },
        handler: ({ visit }) => ({ body: String(visit.remaining() <= 10_000) }),
      });
      expect((await ask(port)).body).toBe('true');
      await outer.quiet();
      await inner.quiet();
      expect([order, outer.verdicts, inner.verdicts]).toEqual([['outer', 'inner'], ['success'], ['success']]);
    });

    test('what the outer guard admitted and the inner one refused is answered once, and the outer permit comes back', async () => {
      const outer = books();
      const { port } = await start({ outer: { policies: [outer.policy] }, policies: [limited], handler: () => ({}) });
      expect((await ask(port)).status).toBe(429);
      await outer.quiet();
      expect(outer.verdicts).toEqual(['success']);
    });

    test('when the time of the outer guard is up the answer is one 504, and the inner one hears of it', async () => {
      const inner = books();
      const { port, errors } = await start({
        outer: { policies: [], options: { deadline: 100 } },
        policies: [inner.policy],
        handler: () => new Promise(() => undefined),
      });
      expect((await ask(port)).status).toBe(504);
      await inner.quiet();
      expect([inner.entered, inner.verdicts.length, errors]).toEqual([1, 1, []]);
    });

    test('lets past what skip says, and still gives it a signal', async () => {
      const account = books();
      const { port } = await start({
        policies: [account.policy, limited],
        options: { skip: (request: unknown) => field(request, 'x-probe') === '1' },
        handler: ({ visit }) => ({ body: String([visit.admitted, visit.signal.aborted, visit.remaining()]) }),
      });
      expect((await ask(port, { headers: { 'x-probe': '1' } })).body).toBe('false,false,Infinity');
      expect((await ask(port)).status).toBe(429);
      expect(account.entered).toBe(1);
    });

    test('lets past who is on the allowList, and gives 403 to who is on the denyList', async () => {
      const allowed = await start({ policies: [limited], options: { allowList: ['127.0.0.0/8'] }, handler: () => ({ body: 'in' }) });
      expect((await ask(allowed.port)).body).toBe('in');
      const forwarded = await start({
        policies: [],
        options: { denyList: ['203.0.113.0/24'], trustProxy: 1 },
        handler: () => ({ body: 'in' }),
      });
      const denied = await ask(forwarded.port, { headers: { 'x-forwarded-for': '203.0.113.9' } });
      expect([denied.status, denied.headers['retry-after']]).toEqual([403, undefined]);
      expect((await ask(forwarded.port, { headers: { 'x-forwarded-for': '198.51.100.9' } })).body).toBe('in');
    });

    test('believes what a peer says of time and importance only if it is trusted, and only to shorten the time', async () => {
      const heard: unknown[] = [];
      const listening = definePolicy({
        kind: 'listening',
        gate: {
          enter: (call) => void heard.push(call.priority === 'sheddable' ? [call.priority, call.priorityLevel] : call.priority),
          settle() {},
          cancel() {},
        },
      });
      const handler = ({ visit }: Arrived): Given => ({ body: String(visit.remaining() <= 2000) });
      const headers = { 'x-request-deadline': '2000', 'x-request-priority': 'sheddable;42' };
      const trusting = await start({ policies: [listening], options: { trustProxy: 'loopback', deadline: '10s' }, handler });
      const careful = await start({ policies: [listening], options: { deadline: '10s' }, handler });
      const short = await start({ policies: [], options: { trustProxy: 'loopback', deadline: '1s' }, handler });
      expect((await ask(trusting.port, { headers })).body).toBe('true');
      expect((await ask(careful.port, { headers })).body).toBe('false');
      expect((await ask(short.port, { headers: { 'x-request-deadline': '60000' } })).body).toBe('true');
      expect(heard).toEqual([['sheddable', 42], 'critical']);
    });

    test('gives the fallback in place of a refusal and of a timeout', async () => {
      const fallback = { status: 203, headers: { 'content-type': 'text/plain', 'x-degraded': '1' }, body: 'less' };
      const refused = await start({ policies: [limited], options: { fallback }, handler: () => ({}) });
      const slow = await start({
        policies: [],
        options: { deadline: 100, fallback: async () => fallback },
        handler: () => new Promise(() => undefined),
      });
      for (const { port } of [refused, slow]) {
        const { status, headers, body } = await ask(port);
        expect([status, headers['x-degraded'], headers['content-type'], body]).toEqual([203, '1', 'text/plain', 'less']);
      }
    });

    // With 204, not even a length of 0 may be sent (RFC 9110, 8.6); with 205 that is one of the ways to say that there is nothing (15.3.6).
    test.each([
      [204, [undefined]],
      [205, [undefined, '0']],
    ])('a fallback of %i has no body, and no length that it may not have', async (status, lengths) => {
      const { port } = await start({ policies: [limited], options: { fallback: { status } }, handler: () => ({}) });
      const reply = await ask(port);
      expect(reply).toMatchObject({ status, body: '', headers: { 'x-degraded': 'fallback' } });
      expect(lengths).toContain(reply.headers['content-length']);
    });

    test('a fallback that takes its time cannot be overtaken by the handler, and one that fails goes to the error handler', async () => {
      const go = latch();
      const late = latch();
      const slow = await start({
        policies: [],
        options: {
          deadline: 100,
          fallback: async () => {
            await go.opened;
            return { body: 'less' };
          },
        },
        handler: async ({ visit }) => {
          await once(visit.signal, 'abort');
          setImmediate(() => setImmediate(() => late.open()));
          return { body: 'late' };
        },
      });
      const asking = ask(slow.port);
      await late.opened;
      go.open();
      expect((await asking).body).toBe('less');
      const failing = await start({
        policies: [limited],
        options: { fallback: () => Promise.reject(new Error('no copy')) },
        handler: () => ({}),
      });
      expect((await ask(failing.port)).status).toBe(500);
      expect(failing.errors).toMatchObject([{ message: 'no copy' }]);
    });

    test('says it in the words and with the status that were asked for', async () => {
      const { port } = await start({
        policies: [limited],
        options: { message: { error: 'slow down' }, statusCode: 420, standardHeaders: false },
        handler: () => ({}),
      });
      const { status, headers, body } = await ask(port);
      expect([status, headers['retry-after'], headers['ratelimit'], body]).toEqual([420, '2', undefined, '{"error":"slow down"}']);
      expect(headers['content-type']).toMatch(/^application\/json/);
    });

    test('takes a pipeline that was made elsewhere', async () => {
      const gates = pipelineOf([bulkhead({ maxConcurrent: 3 })], { name: 'mine' });
      const arrived = latch();
      const go = latch();
      const { port } = await start({
        policies: gates,
        handler: async () => {
          arrived.open();
          await go.opened;
          return {};
        },
      });
      const asking = ask(port);
      await arrived.opened;
      expect(gates.snapshot().active).toBe(1);
      go.open();
      await asking;
      await vi.waitFor(() => expect(gates.snapshot().active).toBe(0), { interval: 1 });
    });

    test('W2 hundreds of mixed requests end with nothing in flight', async () => {
      const account = books();
      const slots = bulkhead({ maxConcurrent: 8, maxQueue: 16 });
      const gates = pipelineOf([account.policy, slots], { name: 'mixed' });
      const never = new Promise<Given>(() => undefined);
      const { port } = await start({
        policies: gates,
        options: { deadline: 60 },
        handler: async ({ path, visit }) => {
          await new Promise(setImmediate);
          if (path === '/fail') return { status: 500 };
          if (path === '/throw') throw new Error('thrown');
          if (path === '/hang') return never;
          if (path === '/late') await once(visit.signal, 'abort');
          return { body: 'ok' };
        },
      });
      const random = seededRandom(20);
      const paths = ['/ok', '/ok', '/ok', '/fail', '/throw', '/hang', '/late'];
      const agent = new Agent({ keepAlive: true, maxSockets: 24 });
      const asked = Array.from({ length: 200 }, async () => {
        const path = paths[Math.floor(random() * paths.length)] as string;
        const asking = ask(port, { path, agent, method: random() < 0.1 ? 'HEAD' : 'GET' });
        if (random() < 0.2) void asking.sent.then(() => setImmediate(asking.leave));
        return asking.then(
          ({ status }) => status,
          () => 0,
        );
      });
      const statuses = new Set(await Promise.all(asked));
      agent.destroy();
      await vi.waitFor(() => expect(gates.snapshot().active).toBe(0), { interval: 5 });
      await account.quiet();
      expect([slots.active, slots.queued]).toEqual([0, 0]);
      expect(account.entered).toBe(account.verdicts.length);
      expect([...statuses].filter((status) => ![0, 200, 500, 503, 504].includes(status))).toEqual([]);
      for (const status of [0, 200, 500, 504]) expect(statuses).toContain(status);
    });
  });
}
