import { once } from 'node:events';
import { Agent } from 'node:http';
import { connect as connectHttp2 } from 'node:http2';
import { type AddressInfo, connect } from 'node:net';
import { Readable } from 'node:stream';
import { RateLimitedError, bulkhead, definePolicy, refuse } from 'breakwater';
import breakwater, { type RefusalHandler } from 'breakwater/fastify';
import Fastify, { type FastifyReply, type FastifyRequest } from 'fastify';
import { describe, expect, onTestFinished, test } from 'vitest';
import { listen, log } from './fastify-app.ts';
import { ask, books, latch } from './serving.ts';

const limited = definePolicy({
  kind: 'limit',
  gate: { enter: () => refuse(new RateLimitedError('no', { retryAfter: 2500 })), settle() {}, cancel() {} },
});

const turn = (): Promise<void> => new Promise(setImmediate);

/** Until its time is up. */
async function expiry({ breakwater: { signal } }: FastifyRequest): Promise<void> {
  if (!signal.aborted) await once(signal, 'abort');
}

describe('a refusal', () => {
  test('goes through the hooks of the reply, and is no error', async () => {
    const { logger, loud } = log();
    const app = Fastify({ logger });
    const seen: unknown[] = [];
    app.addHook('onRequest', async (_request, reply) => void reply.header('access-control-allow-origin', '*'));
    app.addHook('onSend', async (_request, reply, payload) => {
      seen.push(typeof payload);
      reply.header('x-frame-options', 'DENY');
    });
    app.addHook('onError', async () => void seen.push('error'));
    app.addHook('onResponse', async (_request, reply) => void seen.push(reply.statusCode));
    await app.register(breakwater, { policies: [limited] });
    app.get('/', () => seen.push('served'));
    const port = await listen(app);
    const { status, headers, body } = await ask(port);
    expect([status, headers['retry-after'], headers['access-control-allow-origin'], headers['x-frame-options']]).toEqual([
      429,
      '3',
      '*',
      'DENY',
    ]);
    expect(headers['content-type']).toBe('application/problem+json');
    expect([headers['content-length'], (JSON.parse(body) as { status: number }).status]).toEqual([String(body.length), 429]);
    await turn();
    expect([seen, loud()]).toEqual([['string', 429], []]);
  });

  test('is written as it is, whatever serializer an earlier hook has set', async () => {
    const app = Fastify();
    app.addHook('onRequest', async (_request, reply) => void reply.serializer(() => 'serialized'));
    await app.register(breakwater, { policies: [limited] });
    app.get('/', () => 'in');
    expect((await app.inject('/')).json()).toMatchObject({ status: 429 });
  });

  test.each<[string, RefusalHandler<FastifyRequest, FastifyReply>]>([
    ['what it returns', ({ status }) => ({ refused: status })],
    ['what it returns later', async ({ status }) => ({ refused: status })],
    ['what it sends', ({ status }, _request, reply) => reply.send({ refused: status })],
    ['what it sends later', async ({ status }, _request, reply) => turn().then(() => void reply.send({ refused: status }))],
    ['what it throws', ({ status }) => Promise.reject(Object.assign(new Error('thrown'), { refused: status }))],
    [
      'what it throws at once',
      ({ status }) => {
        throw Object.assign(new Error('thrown'), { refused: status });
      },
    ],
  ])('is answered by a handler of your own with %s; status and fields are there already', async (_what, handler) => {
    const app = Fastify();
    app.setErrorHandler((error, _request, reply) => reply.send({ refused: (error as { refused?: number }).refused }));
    await app.register(breakwater, { policies: [limited], handler });
    app.get('/', () => 'in');
    const { statusCode, headers, body } = await app.inject('/');
    expect([statusCode, headers['retry-after'], body]).toEqual([429, '3', '{"refused":429}']);
    expect(headers['content-type']).toBe('application/json; charset=utf-8');
  });

  test('is answered by the handler of the route, if that has one', async () => {
    const app = Fastify();
    await app.register(breakwater, { policies: [limited], handler: () => 'of the guard' });
    app.get('/', { config: { breakwater: { handler: (_turned, { url }) => `of ${url}` } } }, () => 'in');
    expect((await app.inject('/')).body).toBe('of /');
  });

  test('of a request whose reply was taken over meanwhile is not sent', async () => {
    const { logger, loud } = log();
    const app = Fastify({ logger });
    const waiting = latch();
    const taken = latch();
    const slow = definePolicy({
      kind: 'slow',
      gate: {
        enter: async () => {
          waiting.open();
          await taken.opened;
          return refuse(new RateLimitedError('no'));
        },
        settle() {},
        cancel() {},
      },
    });
    app.addHook('onRequest', async (_request, reply) => {
      void waiting.opened.then(async () => {
        reply.hijack();
        taken.open();
        for (let i = 0; i < 5; i++) await turn();
        reply.raw.end('somebody was faster');
      });
    });
    await app.register(breakwater, { policies: [slow] });
    app.get('/', () => 'in');
    const port = await listen(app);
    expect(await ask(port)).toMatchObject({ status: 200, body: 'somebody was faster' });
    expect(loud()).toEqual([]);
  });
});

describe('when the time is up', () => {
  test.each<[string, (request: FastifyRequest, reply: FastifyReply) => unknown]>([
    [
      'sends',
      (request, reply) =>
        void expiry(request)
          .then(turn)
          .then(() => reply.code(200).header('x-late', '1').send({ late: true })),
    ],
    ['sends at once when told to stop', (request, reply) => void expiry(request).then(() => reply.send('late'))],
    [
      'returns',
      (request) =>
        expiry(request)
          .then(turn)
          .then(() => 'late'),
    ],
    ['returns nothing', (request) => expiry(request).then(turn)],
    ['rejects as it was told to', (request) => expiry(request).then(() => Promise.reject(request.breakwater.signal.reason as Error))],
    [
      'rejects as what it called was told to',
      (request) => expiry(request).then(() => Promise.reject(new DOMException('aborted', 'AbortError'))),
    ],
    [
      'redirects',
      (request, reply) =>
        void expiry(request)
          .then(turn)
          .then(() => reply.redirect('/elsewhere')),
    ],
    [
      'takes the response over',
      (request, reply) =>
        void expiry(request)
          .then(turn)
          .then(() => reply.hijack().raw.writeHead(200).end('late')),
    ],
    [
      'writes without asking',
      (request, reply) =>
        void expiry(request)
          .then(turn)
          .then(() => reply.raw.setHeader('x-late', '1').write('late')),
    ],
  ])('a handler that then %s disturbs nobody: no crash, no error, no warning, and the connection goes on', async (_what, late) => {
    const { logger, loud } = log();
    const app = Fastify({ logger });
    const account = books();
    const errors: unknown[] = [];
    app.setErrorHandler((error) => errors.push(error));
    await app.register(breakwater, { policies: [account.policy] });
    app.get('/late', { config: { breakwater: { deadline: 20 } } }, (request, reply) => late(request, reply) as undefined);
    app.get('/next', () => 'next');
    const port = await listen(app);
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const sockets = new Set<unknown>();
    agent.on('free', (socket) => sockets.add(socket));
    const failed: unknown[] = [];
    const note = (error: unknown): void => void failed.push(error);
    process.on('unhandledRejection', note).on('uncaughtException', note);
    const { status, headers } = await ask(port, { path: '/late', agent });
    for (let i = 0; i < 5; i++) await turn();
    const next = await ask(port, { path: '/next', agent });
    process.off('unhandledRejection', note).off('uncaughtException', note);
    agent.destroy();
    await account.quiet();
    expect([status, headers['x-late'], next.body, sockets.size]).toEqual([504, undefined, 'next', 1]);
    expect([account.verdicts, errors, failed, loud()]).toEqual([['failure', 'success'], [], [], []]);
  });

  test('what a late handler fails with for reasons of its own is still logged', async () => {
    const { logger, loud } = log();
    const app = Fastify({ logger });
    await app.register(breakwater, { deadline: 20 });
    app.get('/', async (request) => {
      await expiry(request);
      throw new Error('a bug');
    });
    const port = await listen(app);
    expect((await ask(port)).status).toBe(504);
    await turn();
    expect(loud().map(({ err }) => err?.message)).toEqual(['a bug']);
  });

  test('the answer goes through the hooks of the reply, and a late one cannot overtake it there', async () => {
    const { logger, loud } = log();
    const app = Fastify({ logger });
    const go = latch();
    app.addHook('onSend', async (_request, reply, payload) => {
      await go.opened;
      reply.header('x-hooked', '1');
      return payload;
    });
    await app.register(breakwater, { deadline: 20 });
    app.get('/', async (request, reply) => {
      await expiry(request);
      setImmediate(() => setImmediate(() => go.open()));
      reply.send('late');
      return 'later';
    });
    const port = await listen(app);
    const { status, headers, body } = await ask(port);
    expect([status, headers['x-hooked'], (JSON.parse(body) as { status: number }).status]).toEqual([504, '1', 504]);
    await turn();
    expect(loud()).toEqual([]);
  });

  test('an answer of the handler that is still in a hook then is not sent after it', async () => {
    const { logger, loud } = log();
    const app = Fastify({ logger });
    const account = books();
    const go = latch();
    app.addHook('onSend', async (_request, _reply, payload) => {
      if (payload === 'in time') await go.opened;
      return payload;
    });
    await app.register(breakwater, { policies: [account.policy], deadline: 20 });
    app.get('/', () => 'in time');
    const port = await listen(app);
    expect((await ask(port)).status).toBe(504);
    go.open();
    await turn();
    await account.quiet();
    expect([account.verdicts, loud()]).toEqual([['failure'], []]);
  });

  test('if a hook fails on the answer, the error handler gives another', async () => {
    const app = Fastify();
    app.addHook('onSend', async (_request, reply) => {
      if (reply.statusCode === 504) throw new Error('hook');
    });
    app.setErrorHandler((error, _request, reply) => reply.code(500).send({ told: (error as Error).message }));
    await app.register(breakwater, { deadline: 20 });
    app.get('/', () => new Promise(() => undefined));
    const port = await listen(app);
    expect(await ask(port)).toMatchObject({ status: 500, body: '{"told":"hook"}' });
  });

  test('what has not run yet does not run any more', async () => {
    const app = Fastify();
    const go = latch();
    let served = 0;
    await app.register(breakwater, { deadline: 20 });
    app.addHook('preHandler', async () => go.opened);
    app.get('/', () => served++);
    const port = await listen(app);
    expect((await ask(port)).status).toBe(504);
    go.open();
    await turn();
    expect(served).toBe(0);
  });

  test('nor while a lesser answer is looked for', async () => {
    const app = Fastify();
    const go = latch();
    let served = 0;
    const fallback = async (): Promise<{ body: string }> => {
      go.open();
      await turn();
      await turn();
      return { body: 'less' };
    };
    await app.register(breakwater, { deadline: 20, fallback });
    app.addHook('preHandler', async () => go.opened);
    app.get('/', () => served++);
    const port = await listen(app);
    expect([(await ask(port)).body, served]).toEqual(['less', 0]);
  });

  test('fields of the answer that was to come do not describe the one given instead, and neither does its serializer', async () => {
    const app = Fastify();
    await app.register(breakwater, { deadline: 20 });
    app.get('/', (_request, reply) => {
      void reply.headers({
        etag: '"1"',
        'content-encoding': 'gzip',
        'content-length': '9',
        'content-security-policy': 'sandbox',
        'x-own': '1',
      });
      reply.serializer(() => 'serialized');
      return new Promise(() => undefined);
    });
    const port = await listen(app);
    const { headers, body } = await ask(port);
    expect([headers.etag, headers['content-encoding'], headers['content-security-policy'], headers['x-own']]).toEqual([
      undefined,
      undefined,
      'sandbox',
      '1',
    ]);
    expect(JSON.parse(body)).toMatchObject({ status: 504 });
  });

  test('a reply that was taken over is left alone; its signal aborts', async () => {
    const app = Fastify();
    const account = books();
    await app.register(breakwater, { policies: [account.policy], deadline: 20 });
    app.get('/', (request, reply) => {
      reply.hijack();
      void expiry(request).then(() => reply.raw.end('my own way'));
    });
    const port = await listen(app);
    expect(await ask(port)).toMatchObject({ status: 200, body: 'my own way' });
    await account.quiet();
    expect(account.verdicts).toEqual(['failure']);
  });

  test('a stream that has begun is not cut; its signal aborts', async () => {
    const app = Fastify();
    await app.register(breakwater, { deadline: 20 });
    app.get('/', (request) => {
      const stream = new Readable({ read() {} });
      stream.push('begun ');
      void expiry(request).then(() => stream.push('and ended') && stream.push(null));
      return stream;
    });
    const port = await listen(app);
    expect(await ask(port)).toMatchObject({ status: 200, body: 'begun and ended' });
  });

  test('a stream that comes too late is let go', async () => {
    const app = Fastify();
    const stream = new Readable({ read() {} });
    const closed = once(stream, 'close');
    await app.register(breakwater, { deadline: 20 });
    app.get('/', async (request) => {
      await expiry(request);
      return stream;
    });
    const port = await listen(app);
    expect((await ask(port)).status).toBe(504);
    await closed;
    expect(stream.destroyed).toBe(true);
  });

  test.each<[string, RefusalHandler<FastifyRequest, FastifyReply>]>([
    ['what it returns', ({ status }) => ({ told: status })],
    ['what it sends later', async ({ status }, _request, reply) => turn().then(() => void reply.send({ told: status }))],
    ['what it throws', () => Promise.reject(new Error('thrown'))],
  ])('a handler of your own answers with %s, and a late one does not come between', async (_what, handler) => {
    const app = Fastify();
    app.setErrorHandler((_error, _request, reply) => reply.send({ told: 504 }));
    await app.register(breakwater, { deadline: 20, handler });
    app.get('/', async (request) => {
      await expiry(request);
      return 'late';
    });
    const port = await listen(app);
    expect(await ask(port)).toMatchObject({ status: 504, body: '{"told":504}' });
  });

  test("Fastify's own handlerTimeout answers first if it is shorter, and gives the permit back", async () => {
    const app = Fastify({ handlerTimeout: 20 });
    const account = books();
    await app.register(breakwater, { policies: [account.policy], deadline: '10s' });
    app.get('/', () => new Promise(() => undefined));
    const port = await listen(app);
    expect((await ask(port)).status).toBe(503);
    await account.quiet();
    expect(account.verdicts).toEqual(['failure']);
  });
});

describe('what gates gave comes back', () => {
  test('whatever a route does', async () => {
    const app = Fastify();
    const account = books();
    const slots = bulkhead({ maxConcurrent: 1, maxQueue: 50 });
    await app.register(breakwater, { policies: [account.policy, slots] });
    app.get('/string', () => 'in');
    app.get('/nothing', async (_request, reply) => reply.code(204).send());
    app.get('/unchanged', async (_request, reply) => reply.code(304).send());
    app.get('/stream', () => Readable.from(['a', 'b']));
    app.get('/web', () => new Response('body', { status: 201 }));
    app.get('/throw', () => {
      throw new Error('thrown');
    });
    app.get('/unserializable', async (_request, reply) =>
      reply
        .serializer(() => {
          throw new Error('cannot be written');
        })
        .send({}),
    );
    app.get('/redirect', (_request, reply) => reply.redirect('/string'));
    app.get('/missing', (_request, reply) => reply.callNotFound());
    app.get('/hijack', (_request, reply) => void reply.hijack().raw.end('raw'));
    app.get('/lost', (_request, reply) => void reply.hijack().raw.destroy());
    app.get('/socket', (request, reply) => {
      reply.hijack();
      request.socket.end('HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi');
    });
    app.post('/body', (request) => String((request.body as string).length));
    app.post('/invalid', { schema: { body: { type: 'object', required: ['item'] } } }, () => 'in');
    const port = await listen(app);
    const text = { 'content-type': 'text/plain' };
    const json = { 'content-type': 'application/json' };
    const asked: (readonly [string, number, string?, Record<string, string>?])[] = [
      ['/string', 200],
      ['/nothing', 204],
      ['/unchanged', 304],
      ['/stream', 200],
      ['/web', 201],
      ['/throw', 500],
      ['/unserializable', 500],
      ['/redirect', 302],
      ['/missing', 404],
      ['/nowhere', 404],
      ['/hijack', 200],
      ['/lost', 0],
      ['/socket', 200],
      ['/body', 200, 'x'.repeat(100_000), text],
      ['/body', 413, 'x'.repeat(2_000_000), text],
      ['/body', 415, 'x', { 'content-type': 'nonsense' }],
      ['/invalid', 400, '{}', json],
      ['/invalid', 400, '{', json],
    ];
    const statuses: [string, number][] = [];
    for (const [path, , body, headers] of asked) {
      const asking = body === undefined ? ask(port, { path }) : ask(port, { path, method: 'POST', body, headers: headers ?? {} });
      statuses.push([
        path,
        await asking.then(
          ({ status }) => status,
          () => 0,
        ),
      ]);
    }
    expect(statuses).toEqual(asked.map(([path, status]) => [path, status]));
    await account.quiet();
    expect([account.entered, slots.active, slots.queued]).toEqual([asked.length, 0, 0]);
    expect(account.verdicts.filter((verdict) => verdict === 'failure')).toHaveLength(2);
    expect(account.verdicts.filter((verdict) => verdict === 'ignored')).toHaveLength(2);
  });

  test('also where onResponse does not run: the client has gone', async () => {
    const app = Fastify();
    const account = books();
    const arrived = latch();
    let responses = 0;
    app.addHook('onResponse', async () => {
      responses++;
    });
    await app.register(breakwater, { policies: [account.policy] });
    app.get('/', () => {
      arrived.open();
      return new Promise(() => undefined);
    });
    const port = await listen(app);
    const asking = ask(port);
    await arrived.opened;
    asking.leave();
    await account.quiet();
    expect([account.verdicts, responses]).toEqual([['ignored'], 0]);
  });

  test('also of an upload that is broken off', async () => {
    const app = Fastify();
    const account = books();
    await app.register(breakwater, { policies: [account.policy] });
    app.post('/', () => 'in');
    const port = await listen(app);
    const socket = connect(port, '127.0.0.1');
    socket.write('POST / HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\nContent-Length: 100\r\n\r\nhalf');
    while (account.entered === 0) await turn();
    socket.destroy();
    await account.quiet();
    expect(account.verdicts).toHaveLength(1);
  });

  test('also of requests that are injected', async () => {
    const app = Fastify();
    const account = books();
    await app.register(breakwater, { policies: [account.policy], deadline: 50 });
    app.get('/', () => 'in');
    app.get('/stream', () => Readable.from(['a', 'b']));
    app.get('/late', async (request) => {
      await expiry(request);
      return 'late';
    });
    const answers = await Promise.all(['/', '/stream', '/late', '/nowhere'].map(async (url) => app.inject(url)));
    expect(answers.map(({ statusCode }) => statusCode)).toEqual([200, 200, 504, 404]);
    await account.quiet();
    expect(account.verdicts.sort()).toEqual(['failure', 'success', 'success', 'success']);
  });

  test('also over HTTP/2, where a stream that is reset aborts its signal', async () => {
    const app = Fastify({ http2: true });
    const account = books();
    const arrived = latch<AbortSignal>();
    await app.register(breakwater, { policies: [account.policy] });
    app.get('/', () => 'in');
    app.get('/late', { config: { breakwater: { deadline: 20 } } }, async (request) => {
      await expiry(request as never);
      return 'late';
    });
    app.get('/no', { config: { breakwater: { policies: [limited] } } }, () => 'in');
    app.get('/hang', (request) => {
      arrived.open(request.breakwater.signal);
      return new Promise(() => undefined);
    });
    await app.listen({ port: 0, host: '127.0.0.1' });
    const client = connectHttp2(`http://127.0.0.1:${(app.server.address() as AddressInfo).port}`);
    onTestFinished(async () => {
      client.destroy();
      await app.close();
    });
    const asked = async (path: string): Promise<unknown> => {
      const stream = client.request({ ':path': path });
      const [headers] = (await once(stream, 'response')) as [Record<string, unknown>];
      stream.resume();
      await once(stream, 'close');
      return headers[':status'];
    };
    expect([await asked('/'), await asked('/no'), await asked('/late'), await asked('/')]).toEqual([200, 429, 504, 200]);
    const hanging = client.request({ ':path': '/hang' });
    hanging.on('error', () => undefined);
    const signal = await arrived.opened;
    hanging.close(8);
    await account.quiet();
    expect(account.verdicts).toEqual(['success', 'success', 'failure', 'success', 'ignored']);
    expect(signal.reason).toMatchObject({ code: 'ERR_CLIENT_GONE' });
  });

  test('W2 of requests sent one after the other without waiting (pipelining), each its own', async () => {
    const app = Fastify();
    const account = books();
    await app.register(breakwater, { policies: [account.policy] });
    app.get('/:n', async (request) => {
      await turn();
      return request.url;
    });
    const port = await listen(app);
    const socket = connect(port, '127.0.0.1');
    socket.write(
      'GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\nGET /3 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n',
    );
    let heard = '';
    socket.on('data', (chunk) => (heard += chunk.toString()));
    await once(socket, 'close');
    await account.quiet();
    expect(heard.match(/^\/\d/gm)).toEqual(['/1', '/2', '/3']);
    expect(account.verdicts).toEqual(['success', 'success', 'success']);
  });

  test('W1 Expect: 100-continue is one request', async () => {
    const app = Fastify();
    const account = books();
    await app.register(breakwater, { policies: [account.policy] });
    app.post('/', (request) => String((request.body as string).length));
    const port = await listen(app);
    const headers = { expect: '100-continue', 'content-type': 'text/plain' };
    expect((await ask(port, { method: 'POST', headers, body: 'x'.repeat(100_000) })).body).toBe('100000');
    await account.quiet();
    expect(account.verdicts).toEqual(['success']);
  });
});
