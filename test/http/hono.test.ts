import { once } from 'node:events';
import { Agent } from 'node:http';
import { connect as connectHttp2, constants as http2, createServer as createHttp2Server } from 'node:http2';
import type { HttpBindings } from '@hono/node-server';
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response';
import { RateLimitedError, bulkhead, definePolicy, fixedWindow, perKey, refuse } from 'breakwater';
import { ClientGoneError, type Guard, type Turned, type Visit, guard, idempotency, staleCopies } from 'breakwater/hono';
import { type Context, Hono } from 'hono';
import { compress } from 'hono/compress';
import { cors } from 'hono/cors';
import { etag } from 'hono/etag';
import { stream, streamSSE } from 'hono/streaming';
import { describe, expect, test } from 'vitest';
import { stories } from './adapter-stories.ts';
import { serveHono } from './hono-serving.ts';
import { ask, books, latch } from './serving.ts';

const limited = definePolicy({
  kind: 'limit',
  name: 'inner-secret',
  gate: { enter: () => refuse(new RateLimitedError('inner-secret is used up', { retryAfter: 1200 })), settle() {}, cancel() {} },
});

const never = (): Promise<Response> => new Promise(() => undefined);

stories({
  name: 'Hono 4',
  field: (request, name) => (request as Context).req.header(name),
  start: async ({ outer, fields = {}, handler, ...own }) => {
    const app = new Hono();
    const errors: unknown[] = [];
    app.use(async (c, next) => {
      for (const [name, value] of Object.entries(fields)) c.header(name, value);
      await next();
    });
    if (outer !== undefined) app.use(guard(outer.policies, outer.options as never));
    app.use(guard(own.policies, own.options as never));
    app.all('*', async (c) => {
      const {
        status = 200,
        headers = {},
        body = '',
      } = await handler({ path: c.req.path, method: c.req.method, visit: c.get('breakwater') });
      return status === 304 ? c.body(null, 304, { ...headers }) : c.body(body, status as 200, { ...headers });
    });
    app.onError((error, c) => {
      // What a handler that was answered for throws comes here, too; it is not sent.
      const { signal } = (c.get('breakwater') as Visit | undefined) ?? {};
      if (signal?.aborted !== true) errors.push(error);
      return c.body(null, 500);
    });
    return { port: await serveHono(app), errors };
  },
});

describe('guard in Hono, as a value', () => {
  test('lets requests in, tells handlers when to stop, and hears how it ended', async () => {
    const app = new Hono();
    const account = books();
    app.use('/api/*', guard([account.policy], { deadline: '10s' }));
    app.get('/api/in', (c) => c.json([c.var.breakwater.admitted, c.get('breakwater').remaining() > 5000]));
    app.get('/api/fail', (c) => c.text('', 503));
    app.get('/api/throw', () => {
      throw new Error('thrown');
    });
    app.onError((error, c) => c.text(error.message, 500));
    expect(await (await app.request('/api/in')).json()).toEqual([true, true]);
    expect((await app.request('/api/fail')).status).toBe(503);
    expect(await (await app.request('/api/throw')).text()).toBe('thrown');
    expect((await app.request('/api/nowhere')).status).toBe(404);
    await account.quiet();
    expect(account.verdicts).toEqual(['success', 'failure', 'failure', 'success']);
  });

  test('refusals go through middleware further out, and keep what it has set', async () => {
    const app = new Hono();
    const seen: unknown[] = [];
    app.use(cors());
    app.use(async (c, next) => {
      c.header('x-request-id', '7');
      await next();
      seen.push(c.res.status);
      c.header('x-response-time', '1');
    });
    app.use(guard([limited]));
    app.get('/', (c) => c.text('in'));
    const response = await app.request('/');
    const { headers } = response;
    const body = await response.text();
    expect([response.status, headers.get('retry-after'), headers.get('content-type')]).toEqual([429, '2', 'application/problem+json']);
    expect([headers.get('access-control-allow-origin'), headers.get('x-request-id'), headers.get('x-response-time')]).toEqual([
      '*',
      '7',
      '1',
    ]);
    expect([headers.get('content-length'), seen]).toEqual([String(body.length), [429]]);
    expect(body).not.toContain('secret');
  });

  test('rate limits tell what is left, also on responses that a handler makes by itself', async () => {
    const app = new Hono();
    app.use(guard([fixedWindow({ limit: 2, window: '1m', name: 'api' })]));
    app.get('/', (c) => c.text('in'));
    app.get('/own', () => new Response('own'));
    const replies = [await app.request('/'), await app.request('/own'), await app.request('/own')];
    expect(replies.map(({ status }) => status)).toEqual([200, 200, 429]);
    expect(replies.map(({ headers }) => /r=(\d+)/.exec(String(headers.get('ratelimit')))?.[1])).toEqual(['1', '0', '0']);
  });

  test('without an address all requests share one key; address says whose they are', async () => {
    const app = new Hono();
    const once = () => perKey(() => fixedWindow({ limit: 1, window: '1h' }));
    app.use('/shared', guard([once()]));
    app.use('/told', guard([once()], { address: (c) => c.req.header('x-peer') }));
    app.use('/behind', guard([once()], { address: () => '10.0.0.1', trustProxy: ['10.0.0.0/8'] }));
    app.use(
      '/wrong',
      guard([], {
        address: () => {
          throw new Error('no address');
        },
      }),
    );
    app.all('*', (c) => c.text('in'));
    app.onError((error, c) => c.text(error.message, 500));
    const get = async (path: string, headers: Record<string, string> = {}) => (await app.request(path, { headers })).status;
    expect([await get('/shared'), await get('/shared')]).toEqual([200, 429]);
    expect([await get('/told', { 'x-peer': '203.0.113.1' }), await get('/told', { 'x-peer': '203.0.113.2' })]).toEqual([200, 200]);
    expect(await get('/told', { 'x-peer': '203.0.113.1' })).toBe(429);
    const from = (client: string) => get('/behind', { 'x-forwarded-for': `${client}, 10.0.0.9` });
    expect([await from('203.0.113.1'), await from('203.0.113.2'), await from('203.0.113.1')]).toEqual([200, 200, 429]);
    expect(await get('/wrong')).toBe(500);
  });

  test('W2 a stream is settled at its end, when it breaks, and when nobody reads on', async () => {
    const app = new Hono();
    const account = books();
    const chunks = (then: (controller: ReadableStreamDefaultController) => void): ReadableStream => {
      let sent = 0;
      return new ReadableStream({
        pull(controller) {
          if (sent++ < 4) controller.enqueue(new Uint8Array([120]));
          else then(controller);
        },
      });
    };
    app.use(guard([account.policy]));
    app.get('/whole', () => new Response(chunks((controller) => controller.close())));
    app.get('/broken', () => new Response(chunks((controller) => controller.error(new Error('broken')))));
    app.get('/endless', () => new Response(chunks((controller) => controller.enqueue(new Uint8Array(1)))));
    const whole = await app.request('/whole');
    expect(account.verdicts).toEqual([]);
    expect(await whole.text()).toBe('xxxx');
    await account.quiet();
    await expect((await app.request('/broken')).text()).rejects.toThrow('broken');
    await account.quiet();
    await (await app.request('/endless')).body?.cancel();
    await account.quiet();
    expect(account.verdicts).toEqual(['success', 'failure', 'ignored']);
  });

  test('W2 responses whose bodies nobody reads give their permits back: HEAD, 304, none, and what middleware throws away', async () => {
    const app = new Hono();
    const account = books();
    app.use('/tagged', etag());
    app.use(async (c, next) => {
      await next();
      if (c.req.path === '/replaced') c.res = new Response('other');
    });
    app.use(guard([account.policy]));
    app.get('/none', (c) => c.body(null, 204));
    app.get('/same', (c) => c.body(null, 304));
    app.get('/moved', (c) => c.redirect('/elsewhere'));
    app.get('*', (c) => c.text('body'));
    const tag = (await app.request('/tagged')).headers.get('etag') ?? '';
    const statuses = [];
    statuses.push((await app.request('/', { method: 'HEAD' })).status);
    for (const path of ['/none', '/same', '/moved', '/replaced']) statuses.push((await app.request(path)).status);
    statuses.push((await app.request('/tagged', { headers: { 'if-none-match': tag } })).status);
    expect(statuses).toEqual([200, 204, 304, 302, 200, 304]);
    await account.quiet();
    expect(account.verdicts).toEqual(Array.from({ length: 7 }, () => 'success'));
  });

  test('W2 a request whose signal aborts has lost its client: in the queue, in the handler, in the stream', async () => {
    const app = new Hono();
    const account = books();
    const slots = bulkhead({ maxConcurrent: 1, maxQueue: 1 });
    const arrived = latch<Visit>();
    app.use(guard([account.policy, slots]));
    app.get('/hang', (c) => {
      arrived.open(c.get('breakwater'));
      return never();
    });
    app.get('/stream', () => new Response(new ReadableStream({ pull: (controller) => controller.enqueue(new Uint8Array(1)) })));
    const leaving = new AbortController();
    void app.request('/hang', { signal: leaving.signal });
    const { signal } = await arrived.opened;
    const waiting = new AbortController();
    const queued = app.request('/hang', { signal: waiting.signal });
    await new Promise(setImmediate);
    expect(slots.queued).toBe(1);
    waiting.abort();
    expect((await queued).status).toBe(499);
    expect([slots.queued, slots.active]).toEqual([0, 1]);
    leaving.abort();
    expect(signal.reason).toBeInstanceOf(ClientGoneError);
    expect(slots.active).toBe(0);
    const third = new AbortController();
    await app.request('/stream', { signal: third.signal });
    expect(slots.active).toBe(1);
    third.abort();
    expect(slots.active).toBe(0);
    expect((await app.request('/hang', { signal: third.signal })).status).toBe(499);
    expect(account.verdicts).toEqual(['cancelled', 'ignored', 'ignored']);
  });

  test('the 504 is there when time is up, though the rest never returns', async () => {
    const app = new Hono();
    const account = books();
    app.use(cors());
    app.use(guard([account.policy], { deadline: 15 }));
    app.get('/', (c) => {
      c.header('etag', '"1"');
      c.header('content-encoding', 'gzip');
      c.header('x-own', '1');
      return never();
    });
    const response = await app.request('/');
    const { headers } = response;
    expect([response.status, headers.get('content-type'), headers.get('access-control-allow-origin')]).toEqual([
      504,
      'application/problem+json',
      '*',
    ]);
    expect([headers.get('etag'), headers.get('content-encoding'), headers.get('x-own')]).toEqual([null, null, '1']);
    expect(await response.json()).toMatchObject({ status: 504 });
    await account.quiet();
    expect(account.verdicts).toEqual(['failure']);
  });

  test.each<[string, (signal: AbortSignal) => unknown]>([
    ['throws what its signal says', (signal) => signal.throwIfAborted()],
    ['answers all the same', () => undefined],
  ])('W3 the 504 is what is sent, though a handler that obeys its signal %s before that', async (_, then) => {
    const app = new Hono();
    const caught: unknown[] = [];
    const obeyed = latch();
    app.use(async (_c, next) => {
      await next();
      await obeyed.opened;
      await new Promise(setImmediate);
    });
    app.use(guard([], { deadline: 15 }));
    app.get('/', async (c) => {
      const { signal } = c.get('breakwater');
      await once(signal, 'abort');
      await new Promise((resolve) => setImmediate(resolve));
      obeyed.open();
      then(signal);
      return c.text('late');
    });
    app.onError((error, c) => {
      caught.push(error);
      return c.text('caught', 500);
    });
    const response = await app.request('/');
    expect([response.status, await response.json()]).toEqual([504, expect.objectContaining({ status: 504 })]);
    expect(caught.length).toBeLessThan(2);
  });

  test('W3 it is so as well if the handler obeys at once, and while a lesser answer is still on its way', async () => {
    const app = new Hono();
    const errors: unknown[] = [];
    const lesser = () => new Promise<{ body: string }>((resolve) => setImmediate(() => resolve({ body: 'lesser' })));
    app.use('/at-once', guard([], { deadline: 15 }));
    app.use('/on-its-way', guard([], { deadline: 15, fallback: lesser }));
    app.use('/late', guard([], { deadline: 15, fallback: lesser }));
    app.use('/broken', guard([], { deadline: 15, fallback: () => Promise.reject(new Error('broken')) }));
    app.use('/hang', guard([], { deadline: 15, fallback: () => Promise.reject(new Error('broken too')) }));
    const later = async ({ status }: Turned, c: Context): Promise<Response> => {
      await new Promise(setImmediate);
      return c.text('own', status as 504);
    };
    app.use('/own-later', guard([], { deadline: 15, handler: later }));
    app.use('/own', guard([], { deadline: 15, handler: ({ status }, c: Context) => c.text('own', status as 504) }));
    app.all('*', async (c) => {
      const { signal } = c.get('breakwater');
      if (c.req.path === '/hang') return await never();
      await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
      if (c.req.path.endsWith('late') || c.req.path === '/own-later') return c.text('late', 200, { 'x-late': '1' });
      throw signal.reason;
    });
    app.onError((error, c) => {
      errors.push(error);
      return c.text('caught', 500);
    });
    expect((await app.request('/at-once')).status).toBe(504);
    const way = await app.request('/on-its-way');
    expect([way.status, await way.text()]).toEqual([200, 'lesser']);
    const late = await app.request('/late');
    expect([await late.text(), late.headers.get('x-late')]).toEqual(['lesser', null]);
    const own = await app.request('/own');
    expect([own.status, await own.text()]).toEqual([504, 'own']);
    const ownLater = await app.request('/own-later');
    expect([ownLater.status, await ownLater.text(), ownLater.headers.get('x-late')]).toEqual([504, 'own', null]);
    const hang = await app.request('/hang');
    expect([hang.status, await hang.text()]).toEqual([500, 'caught']);
    expect((await app.request('/broken')).status).toBe(500);
    expect(errors).toContainEqual(new Error('broken'));
  });

  test('a handler of your own answers refusals, leaves it to the guard, lets requests through, or fails', async () => {
    const app = new Hono();
    const route = (
      path: string,
      handler: (turned: Turned, c: Context, next: () => Promise<void>) => Response | undefined | Promise<Response | undefined>,
    ): unknown => app.use(path, guard([limited], { handler }));
    route('/sorry', ({ status, headers }, c) => c.text('sorry', status as 429, { 'retry-after': headers['retry-after'] ?? '' }));
    route('/none', () => undefined);
    route('/later', async () => {
      await new Promise(setImmediate);
      return undefined;
    });
    route('/through', async (_turned, _c, next) => {
      await next();
      return undefined;
    });
    route('/fails', ({ error }) => Promise.reject(error));
    app.all('*', (c) => c.json(c.get('breakwater').admitted));
    app.onError((error, c) => c.text(error.name, 500));
    const replies: unknown[] = [];
    for (const path of ['/sorry', '/none', '/later', '/through', '/fails']) {
      const reply = await app.request(path);
      replies.push([reply.status, (await reply.text()).slice(0, 16), reply.headers.get('retry-after')]);
    }
    expect(replies).toEqual([
      [429, 'sorry', '2'],
      [429, '{"type":"https:/', '2'],
      [429, '{"type":"https:/', '2'],
      [200, 'false', null],
      [500, 'RateLimitedError', null],
    ]);
  });

  test('a lesser answer takes the place of a refusal: a text, bytes, or none', async () => {
    const app = new Hono();
    app.use('/text', guard([limited], { fallback: { body: '[]', headers: { 'Content-Type': 'application/json' } } }));
    app.use('/bytes', guard([limited], { fallback: () => ({ body: new Uint8Array([0x6f, 0x6b]) }) }));
    app.use('/none', guard([limited], { fallback: { status: 204 } }));
    const text = await app.request('/text');
    expect([text.status, await text.text(), text.headers.get('content-type')]).toEqual([200, '[]', 'application/json']);
    expect(await (await app.request('/bytes')).text()).toBe('ok');
    const none = await app.request('/none');
    expect([none.status, none.body, none.headers.get('content-length')]).toEqual([204, null, null]);
  });

  test('copies of earlier answers take the place of refusals', async () => {
    const app = new Hono();
    const slots = bulkhead({ maxConcurrent: 1 });
    const arrived = latch();
    const go = latch();
    app.use(guard([slots], { fallback: staleCopies() }));
    app.get('/page', (c) => c.text('page', 200, { 'cache-control': 'public' }));
    app.get('/held', async (c) => {
      arrived.open();
      await go.opened;
      return c.text('held');
    });
    await (await app.request('/page')).text();
    const held = app.request('/held');
    await arrived.opened;
    const copy = await app.request('/page');
    expect([copy.status, await copy.text(), copy.headers.get('x-degraded')]).toEqual([200, 'page', 'stale']);
    expect((await app.request('/other')).status).toBe(503);
    go.open();
    await (await held).text();
    expect(slots.active).toBe(0);
  });

  test('a request with an Idempotency-Key is carried out once; what fails can be tried again', async () => {
    const app = new Hono();
    let [id, runs] = [0, 0];
    app.use(async (c, next) => {
      c.header('x-request-id', String(++id));
      await next();
    });
    app.use(guard([bulkhead({ maxConcurrent: 1 })]));
    app.use('/orders/*', idempotency());
    app.post('/orders/good', (c) => c.json({ run: ++runs }, 201, { location: '/orders/1' }));
    app.post('/orders/bad', (c) => (++runs === 2 ? Promise.reject(new Error('bad')) : c.text(String(runs))));
    app.get('/orders/good', (c) => c.text(String(++runs)));
    app.onError((error, c) => c.text(error.message, 500));
    const order = async (path: string, method = 'POST') => {
      const reply = await app.request(path, { method, headers: { 'idempotency-key': '"k"' } });
      return [reply.status, await reply.text(), reply.headers.get('idempotency-replayed'), reply.headers.get('x-request-id')];
    };
    expect(await order('/orders/good')).toEqual([201, '{"run":1}', null, '1']);
    expect(await order('/orders/good')).toEqual([201, '{"run":1}', 'true', '2']);
    expect(await order('/orders/bad')).toEqual([500, 'bad', null, '3']);
    expect(await order('/orders/bad')).toEqual([200, '3', null, '4']);
    expect(await order('/orders/bad')).toEqual([200, '3', 'true', '5']);
    expect(await order('/orders/good', 'GET')).toEqual([200, '4', null, '6']);
  });

  test('while a request with an Idempotency-Key is on its way its repetition waits for nothing, and one whose client has left runs no handler', async () => {
    const app = new Hono();
    const arrived = latch();
    const go = latch();
    let runs = 0;
    app.use(idempotency({ required: true }));
    app.post('/', async (c) => {
      runs++;
      arrived.open();
      await go.opened;
      return c.text('done');
    });
    const order = (key?: string, signal?: AbortSignal) =>
      app.request('/', { method: 'POST', ...(signal && { signal }), headers: key === undefined ? {} : { 'idempotency-key': key } });
    const first = order('"a"');
    await arrived.opened;
    expect((await order('"a"')).status).toBe(409);
    expect((await order()).status).toBe(400);
    expect((await order('"b"', AbortSignal.abort())).status).toBe(499);
    expect(runs).toBe(1);
    go.open();
    expect((await first).status).toBe(200);
    expect(await (await order('"b"')).text()).toBe('done');
  });

  test('W1 one guard in two places decides once, and a refused request that comes by again is not served', async () => {
    const app = new Hono();
    const account = books();
    let served = 0;
    const api: Guard = guard([account.policy]);
    const no = guard([limited]);
    app.use('/in/*', api);
    app.use('/in/items', api);
    app.use('/no', async (c, next) => {
      const again = c as never;
      await no(again, next);
      await no(again, next);
    });
    app.all('*', (c) => c.text(String(++served)));
    expect(await (await app.request('/in/items')).text()).toBe('1');
    expect((await app.request('/no')).status).toBe(429);
    await account.quiet();
    expect([account.entered, served]).toEqual([1, 1]);
  });

  test('an answer that Hono misses is still missed', async () => {
    const app = new Hono();
    const account = books();
    app.use(guard([account.policy]));
    app.use(() => Promise.resolve());
    app.onError((error, c) => c.text(error.message, 500));
    expect(await (await app.request('/')).text()).toContain('not finalized');
    await account.quiet();
    expect(account.verdicts).toEqual(['failure']);
  });
});

describe('traps in Hono on Node', () => {
  test('the address of the socket is the key, and headers of trusted proxies count', async () => {
    const app = new Hono();
    const keys: unknown[] = [];
    const look = definePolicy({ kind: 'look', gate: { enter: (call) => keys.push(call.key), settle() {}, cancel() {} } });
    app.use('/plain', guard([look]));
    app.use('/behind', guard([look], { trustProxy: 1 }));
    app.use('/told', guard([look], { address: () => '10.0.0.1', trustProxy: 1 }));
    app.all('*', (c) => c.text('in'));
    const port = await serveHono(app);
    const headers = { 'x-forwarded-for': '203.0.113.9' };
    for (const path of ['/plain', '/behind', '/told']) await ask(port, { path, headers });
    expect(keys).toEqual(['127.0.0.1', '203.0.113.9', '203.0.113.9']);
  });

  test('W2 streams: at their end, when their client leaves, and when they break', async () => {
    const app = new Hono();
    const account = books();
    const cancelled = latch();
    const begun = latch();
    app.use(guard([account.policy]));
    app.get('/stream', (c) =>
      stream(c, async (to) => {
        await to.write('one ');
        await to.sleep(1);
        await to.write('two');
      }),
    );
    app.get('/events', (c) => streamSSE(c, (to) => to.writeSSE({ data: 'one' })));
    app.get('/left', () => {
      const body = new ReadableStream({
        pull: (controller) => {
          controller.enqueue(new Uint8Array(10_000));
          begun.open();
        },
        cancel: () => cancelled.open(),
      });
      return new Response(body);
    });
    let sent = 0;
    app.get('/broken', () => {
      const body = new ReadableStream({
        pull: async (controller) => {
          await new Promise(setImmediate);
          if (sent++ < 3) controller.enqueue(new Uint8Array(10));
          else controller.error(new Error('broken'));
        },
      });
      return new Response(body);
    });
    const port = await serveHono(app);
    expect((await ask(port, { path: '/stream' })).body).toBe('one two');
    expect((await ask(port, { path: '/events' })).body).toBe('data: one\n\n');
    await account.quiet();
    expect(account.verdicts).toEqual(['success', 'success']);
    const leaving = ask(port, { path: '/left' });
    await begun.opened;
    leaving.leave();
    await cancelled.opened;
    await account.quiet();
    await expect(ask(port, { path: '/broken' })).rejects.toThrow();
    await account.quiet();
    expect(account.verdicts.slice(2)).toEqual(['ignored', 'failure']);
  });

  test('W3 once a stream has begun a deadline only aborts the signal', async () => {
    const app = new Hono();
    const account = books();
    app.use(guard([account.policy], { deadline: 25 }));
    app.get('/', (c) =>
      stream(c, async (to) => {
        await to.write('begun ');
        await once(c.get('breakwater').signal, 'abort');
        await to.write('and ended');
      }),
    );
    expect(await ask(await serveHono(app))).toMatchObject({ status: 200, body: 'begun and ended' });
    await account.quiet();
    expect(account.verdicts).toEqual(['failure']);
  });

  test('W3 what a handler has begun to send on its own is left to end when time is up', async () => {
    const app = new Hono<{ Bindings: HttpBindings }>();
    const account = books();
    app.use(guard([account.policy], { deadline: 15 }));
    app.get('/', async (c) => {
      const { outgoing } = c.env;
      outgoing.writeHead(200).write('begun ');
      await once(c.get('breakwater').signal, 'abort');
      outgoing.end('and ended');
      return RESPONSE_ALREADY_SENT;
    });
    expect(await ask(await serveHono(app))).toMatchObject({ status: 200, body: 'begun and ended' });
    await account.quiet();
    expect(account.verdicts).toEqual(['failure']);
  });

  test('W2 a reset HTTP/2 stream gives its permit back, and refusals need nothing of HTTP/1', async () => {
    const app = new Hono();
    const account = books();
    const arrived = latch();
    app.use('/in', guard([account.policy]));
    app.use('/no', guard([limited]));
    app.get('/in', () => {
      arrived.open();
      return never();
    });
    const port = await serveHono(app, createHttp2Server);
    const session = connectHttp2(`http://127.0.0.1:${port}`);
    const reset = session.request({ ':path': '/in' });
    reset.on('error', () => undefined);
    await arrived.opened;
    reset.close(http2.NGHTTP2_CANCEL);
    await account.quiet();
    const refused = session.request({ ':path': '/no' });
    const [headers] = (await once(refused, 'response')) as [Record<string, unknown>];
    refused.resume();
    await once(refused, 'close');
    session.close();
    expect([headers[':status'], headers['retry-after'], account.verdicts]).toEqual([429, '2', ['ignored']]);
  });

  test('content-length, compression and HEAD are as without a guard', async () => {
    const app = new Hono();
    app.use('/zip', compress());
    app.use(guard([bulkhead({ maxConcurrent: 1 })]));
    app.get('/', (c) => c.text('body'));
    app.get('/zip', (c) => c.text('x'.repeat(5000), 200, { 'content-length': '5000' }));
    const port = await serveHono(app);
    const plain = await ask(port);
    expect([plain.body, plain.headers['content-length']]).toEqual(['body', '4']);
    const head = await ask(port, { method: 'HEAD' });
    expect([head.status, head.body]).toEqual([200, '']);
    const zip = await ask(port, { path: '/zip', headers: { 'accept-encoding': 'gzip' } });
    expect([zip.headers['content-encoding'], zip.status]).toEqual(['gzip', 200]);
    expect((await ask(port)).status).toBe(200);
  });

  test('W3 a handler that answers after its 504 disturbs nobody, and the connection serves the next request', async () => {
    const app = new Hono();
    const late = latch();
    app.use('/late', guard([], { deadline: 15 }));
    app.get('/late', async (c) => {
      await once(c.get('breakwater').signal, 'abort');
      await new Promise((resolve) => setTimeout(resolve, 5));
      c.header('x-late', '1');
      c.res.headers.set('x-late', '2');
      c.res = new Response('late');
      late.open();
      return c.text('late');
    });
    app.get('/next', (c) => c.text('next'));
    const port = await serveHono(app);
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const reply = await ask(port, { path: '/late', agent });
    expect([reply.status, reply.headers['x-late']]).toEqual([504, undefined]);
    await late.opened;
    expect((await ask(port, { path: '/next', agent })).body).toBe('next');
    agent.destroy();
  });
});
