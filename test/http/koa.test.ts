import { AsyncLocalStorage } from 'node:async_hooks';
import { once } from 'node:events';
import { Agent } from 'node:http';
import { PassThrough, Readable } from 'node:stream';
import { RateLimitedError, bulkhead, definePolicy, fixedWindow, perKey, refuse } from 'breakwater';
import { seededRandom } from 'breakwater/testing';
import { ClientGoneError, ErrorResponse, type Guard, type Turned, type Visit, guard, idempotency, staleCopies } from 'breakwater/koa';
import Koa from 'koa';
import { describe, expect, test, vi } from 'vitest';
import { stories } from './adapter-stories.ts';
import { type Reply, ask, books, latch, serve } from './serving.ts';

const limited = definePolicy({
  kind: 'limit',
  name: 'inner-secret',
  gate: { enter: () => refuse(new RateLimitedError('inner-secret is used up', { retryAfter: 1200 })), settle() {}, cancel() {} },
});

/** An application that keeps its errors, and a server for it. */
function application(): { readonly app: Koa; readonly errors: Error[]; readonly start: () => Promise<number> } {
  const app = new Koa();
  const errors: Error[] = [];
  app.on('error', (error: Error) => errors.push(error));
  return { app, errors, start: async () => (await serve((req, res) => void app.callback()(req, res))).port };
}

/** What `ask` on one connection, and how many connections it took. */
function oneConnection(): { readonly agent: Agent; readonly sockets: Set<unknown> } {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const sockets = new Set<unknown>();
  agent.on('free', (socket) => sockets.add(socket));
  return { agent, sockets };
}

stories({
  name: 'Koa 3',
  field: (request, name) => (request as Koa.Context).get(name) || undefined,
  start: async ({ outer, fields = {}, handler, ...own }) => {
    const { app, errors, start } = application();
    app.use(async (ctx, next) => {
      ctx.set(fields);
      await next();
    });
    if (outer !== undefined) app.use(guard(outer.policies, outer.options as never));
    app.use(guard(own.policies, own.options as never));
    app.use(async (ctx) => {
      const { status = 200, headers = {}, body = '' } = await handler({ path: ctx.path, method: ctx.method, visit: ctx.state.breakwater });
      ctx.status = status;
      ctx.set(headers);
      ctx.body = status === 304 ? null : body;
    });
    return { port: await start(), errors };
  },
});

describe('guard in Koa', () => {
  test('lets requests in, and tells handlers when to stop and how much time is left, on the state and on the request', async () => {
    const { app, start } = application();
    const account = books();
    app.use(guard([account.policy], { deadline: '10s' }));
    app.use((ctx) => {
      const { signal, admitted } = ctx.state.breakwater;
      ctx.body = {
        aborted: signal.aborted,
        admitted,
        left: ctx.state.breakwater.remaining(),
        same: ctx.req.breakwater === ctx.state.breakwater,
      };
    });
    const { status, body } = await ask(await start());
    const told = JSON.parse(body) as Record<string, unknown>;
    expect([status, told['aborted'], told['admitted'], told['same']]).toEqual([200, false, true, true]);
    expect(told['left']).toBeGreaterThan(5000);
    await account.quiet();
    expect(account.verdicts).toEqual(['success']);
  });

  test('W4 a refusal is in the context: middleware further out sees status, fields and body, and can add to them', async () => {
    const { app, errors, start } = application();
    let served = 0;
    const seen: unknown[] = [];
    app.use(async (ctx, next) => {
      ctx.set('access-control-allow-origin', '*');
      await next();
      seen.push([ctx.status, ctx.body, ctx.response.get('retry-after')]);
      ctx.set('x-response-time', '1');
    });
    app.use(guard([limited]));
    app.use(() => served++);
    const { status, headers, body } = await ask(await start());
    expect([status, headers['retry-after'], headers['content-type'], headers['cache-control']]).toEqual([
      429,
      '2',
      'application/problem+json',
      'no-store',
    ]);
    expect([headers['access-control-allow-origin'], headers['x-response-time'], headers['content-length']]).toEqual([
      '*',
      '1',
      String(body.length),
    ]);
    expect(body).not.toMatch(/secret/);
    expect(seen).toEqual([[429, body, '2']]);
    expect([served, errors]).toEqual([0, []]);
  });

  test('rate limits tell what is left on the answers to requests that are let in', async () => {
    const { app, start } = application();
    app.use(guard([fixedWindow({ limit: 2, window: '1m', name: 'api' })]));
    app.use((ctx) => (ctx.body = 'in'));
    const port = await start();
    const replies = [await ask(port), await ask(port), await ask(port)];
    expect(replies.map(({ status }) => status)).toEqual([200, 200, 429]);
    expect(replies.map(({ headers }) => /r=(\d+)/.exec(String(headers['ratelimit']))?.[1])).toEqual(['1', '0', '0']);
  });

  test.each([
    [200, 'success'],
    [404, 'success'],
    [500, 'failure'],
    [503, 'failure'],
  ])('W2 a request that is answered with %i counts as a %s', async (status, verdict) => {
    const { app, start } = application();
    const account = books();
    app.use(guard([account.policy]));
    app.use((ctx) => (ctx.status = status));
    expect((await ask(await start())).status).toBe(status);
    await account.quiet();
    expect(account.verdicts).toEqual([verdict]);
    expect(account.errors.every((error) => error instanceof ErrorResponse)).toBe(true);
  });

  test('W2 what is thrown passes through untouched, and counts by the status that is sent in the end', async () => {
    const { app, errors, start } = application();
    const account = books();
    const thrown = new Error('thrown');
    const caught: unknown[] = [];
    app.use(async (ctx, next) => {
      try {
        await next();
      } catch (error) {
        caught.push(error);
        if (ctx.path !== '/saved') throw error;
        ctx.body = 'saved';
      }
    });
    app.use(guard([account.policy]));
    app.use((ctx) => {
      if (ctx.path === '/status') ctx.throw(404, 'not here');
      throw thrown;
    });
    const port = await start();
    expect((await ask(port)).status).toBe(500);
    expect((await ask(port, { path: '/status' })).status).toBe(404);
    expect(await ask(port, { path: '/saved' })).toMatchObject({ status: 200, body: 'saved' });
    await account.quiet();
    expect(account.verdicts).toEqual(['failure', 'success', 'success']);
    expect([caught[0], caught[2], errors[0]]).toEqual([thrown, thrown, thrown]);
    expect(thrown).not.toHaveProperty('headerSent');
  });

  test("W5 what the user's functions throw goes to Koa's error handling; the request is not served and nothing is taken", async () => {
    const { app, errors, start } = application();
    const account = books();
    let served = 0;
    const wrong = (what: string) => (): never => {
      throw new Error(what);
    };
    const guards: Record<string, Guard> = {
      '/key': guard([account.policy], { key: wrong('key') }),
      '/priority': guard([account.policy], { priority: wrong('priority') }),
      '/skip': guard([account.policy], { skip: wrong('skip') }),
      '/handler': guard([limited], { handler: wrong('handler') }),
      '/fallback': guard([limited], { fallback: wrong('fallback') }),
    };
    app.use((ctx, next) => guards[ctx.path]?.(ctx, next));
    app.use(() => served++);
    const port = await start();
    for (const path of Object.keys(guards)) expect((await ask(port, { path })).status).toBe(500);
    expect(errors.map(({ message }) => message)).toEqual(['key', 'priority', 'skip', 'handler', 'fallback']);
    expect([served, account.entered]).toEqual([0, 0]);
  });

  test("the user's functions get Koa's context", async () => {
    const { app, start } = application();
    const keys: unknown[] = [];
    const look = definePolicy({ kind: 'look', gate: { enter: (call) => keys.push([call.key, call.priority]), settle() {}, cancel() {} } });
    app.use(async (ctx, next) => {
      ctx.state['user'] = ctx.get('x-user');
      await next();
    });
    app.use(guard([look], { key: (ctx) => ctx.state['user'] as string, priority: (ctx) => (ctx.path === '/' ? 'critical' : 'sheddable') }));
    app.use((ctx) => (ctx.body = ''));
    const port = await start();
    await ask(port, { headers: { 'x-user': 'ann' } });
    await ask(port, { headers: { 'x-user': 'bob' }, path: '/late' });
    expect(keys).toEqual([
      ['ann', 'critical'],
      ['bob', 'sheddable'],
    ]);
  });

  test('without a key clients are told apart by their addresses', async () => {
    const { app, start } = application();
    app.use(guard([perKey(() => fixedWindow({ limit: 1, window: '1h' }))], { trustProxy: 1 }));
    app.use((ctx) => (ctx.body = 'in'));
    const port = await start();
    const statuses: number[] = [];
    for (const client of ['203.0.113.1', '203.0.113.1', '203.0.113.2'])
      statuses.push((await ask(port, { headers: { 'x-forwarded-for': client } })).status);
    expect(statuses).toEqual([200, 429, 200]);
  });

  test('a client that hangs up aborts the signal, and counts as neither success nor failure', async () => {
    const { app, errors, start } = application();
    const account = books();
    const arrived = latch();
    const aborted = latch<unknown>();
    app.use(guard([account.policy], { deadline: '1m' }));
    app.use(async (ctx) => {
      const { signal } = ctx.state.breakwater;
      arrived.open();
      await once(signal, 'abort');
      aborted.open(signal.reason);
      ctx.body = 'nobody';
    });
    const asking = ask(await start());
    await arrived.opened;
    asking.leave();
    expect(await aborted.opened).toBeInstanceOf(ClientGoneError);
    await account.quiet();
    expect([account.verdicts, errors]).toEqual([['ignored'], []]);
  });

  test('a client that hangs up while it waits leaves the queue, and its handler never runs', async () => {
    const { app, errors, start } = application();
    const slots = bulkhead({ maxConcurrent: 1, maxQueue: 5 });
    const arrived = latch();
    const answer = latch();
    const left = latch();
    const served: string[] = [];
    app.use(async (ctx, next) => {
      if (ctx.path === '/second') ctx.res.once('close', () => left.open());
      await next();
    });
    const api = guard([slots]);
    app.use(api);
    app.use(async (ctx) => {
      served.push(ctx.path);
      arrived.open();
      await answer.opened;
      ctx.body = 'done';
    });
    const port = await start();
    const first = ask(port, { path: '/first' });
    await arrived.opened;
    const queued = new Promise<void>((resolve) => void api.pipeline.on('bulkhead.queued', () => resolve()));
    const second = ask(port, { path: '/second' });
    await queued;
    second.leave();
    await left.opened;
    expect([slots.active, slots.queued]).toEqual([1, 0]);
    answer.open();
    expect((await first).status).toBe(200);
    expect([served, errors]).toEqual([['/first'], []]);
  });

  test('requests that waited run in their own async context', async () => {
    const { app, start } = application();
    const who = new AsyncLocalStorage<string>();
    app.use((ctx, next) => who.run(ctx.path, next));
    app.use(guard([bulkhead({ maxConcurrent: 1, maxQueue: 10 })]));
    app.use(async (ctx) => {
      await new Promise(setImmediate);
      ctx.body = String(who.getStore() === ctx.path);
    });
    const port = await start();
    const replies = await Promise.all(Array.from({ length: 8 }, (_, i) => ask(port, { path: `/${i}` })));
    expect(replies.map(({ body }) => body)).toEqual(Array.from({ length: 8 }, () => 'true'));
  });

  test('what is skipped goes past all gates, and still knows when its client has gone', async () => {
    const { app, start } = application();
    const account = books();
    const arrived = latch<Visit>();
    app.use(guard([account.policy, bulkhead({ maxConcurrent: 0 })], { skip: (ctx) => ctx.path === '/health' }));
    app.use(async (ctx) => {
      arrived.open(ctx.state.breakwater);
      await once(ctx.state.breakwater.signal, 'abort');
    });
    const asking = ask(await start(), { path: '/health' });
    const { admitted, signal } = await arrived.opened;
    const gone = once(signal, 'abort');
    asking.leave();
    await gone;
    expect([admitted, account.entered]).toEqual([false, 0]);
  });

  test('a handler of your own answers refusals and timeouts, at once or later, or lets requests through', async () => {
    const { app, errors, start } = application();
    const sorry = ({ status, headers }: Turned, ctx: Koa.Context): void => {
      ctx.status = status;
      ctx.set({ ...headers, 'content-type': 'text/plain' });
      ctx.body = 'sorry';
    };
    const later = async (turned: Turned, ctx: Koa.Context): Promise<void> => {
      await new Promise(setImmediate);
      sorry(turned, ctx);
    };
    const guards: Record<string, Guard> = {
      '/sorry': guard([limited], { handler: sorry }),
      '/late': guard([], { deadline: 15, handler: sorry }),
      '/late-later': guard([], { deadline: 15, handler: later }),
      '/through': guard([limited], { handler: (_turned, _ctx, next) => next() }),
      '/error': guard([limited], { handler: ({ error }) => Promise.reject(error as Error) }),
    };
    app.use((ctx, next) => guards[ctx.path]?.(ctx, next));
    app.use((ctx) => {
      if (ctx.path !== '/through') return new Promise(() => undefined);
      ctx.body = { admitted: ctx.state.breakwater.admitted };
      return undefined;
    });
    const port = await start();
    expect(await ask(port, { path: '/sorry' })).toMatchObject({ status: 429, body: 'sorry' });
    expect(await ask(port, { path: '/late' })).toMatchObject({ status: 504, body: 'sorry' });
    expect(await ask(port, { path: '/late-later' })).toMatchObject({ status: 504, body: 'sorry' });
    expect(await ask(port, { path: '/through' })).toMatchObject({ status: 200, body: '{"admitted":false}' });
    expect(errors).toEqual([]);
    expect((await ask(port, { path: '/error' })).status).toBe(500);
    expect(errors).toEqual([expect.any(RateLimitedError)]);
  });

  test('a lesser answer takes the place of a refusal or a timeout: a text, bytes, or none', async () => {
    const { app, start } = application();
    app.use((ctx, next) => guards[ctx.path]?.(ctx, next));
    app.use(() => new Promise(() => undefined));
    const guards: Record<string, Guard> = {
      '/text': guard([limited], { fallback: { body: '[]', headers: { 'Content-Type': 'application/json' } } }),
      '/bytes': guard([limited], { fallback: () => ({ body: new Uint8Array([0x6f, 0x6b]) }) }),
      '/none': guard([limited], { fallback: { status: 204 } }),
      '/late': guard([], { deadline: 15, fallback: () => Promise.resolve({ body: 'old' }) }),
    };
    const port = await start();
    const text = await ask(port, { path: '/text' });
    expect([text.status, text.body, text.headers['content-type']]).toEqual([200, '[]', 'application/json']);
    expect(await ask(port, { path: '/bytes' })).toMatchObject({ status: 200, body: 'ok' });
    const none = await ask(port, { path: '/none' });
    expect([none.status, none.body, none.headers['content-length'], none.headers['content-type']]).toEqual([204, '', undefined, undefined]);
    expect(await ask(port, { path: '/late' })).toMatchObject({ status: 200, body: 'old' });
  });

  test('copies of earlier answers take the place of refusals', async () => {
    const { app, start } = application();
    const arrived = latch();
    const go = latch();
    app.use(guard([bulkhead({ maxConcurrent: 1 })], { fallback: staleCopies() }));
    app.use(async (ctx) => {
      ctx.set('cache-control', 'public');
      ctx.body = 'page';
      if (ctx.path !== '/held') return;
      arrived.open();
      await go.opened;
    });
    const port = await start();
    await ask(port);
    const held = ask(port, { path: '/held' });
    await arrived.opened;
    const copy = await ask(port);
    expect([copy.status, copy.body, copy.headers['x-degraded']]).toEqual([200, 'page', 'stale']);
    go.open();
    expect((await held).status).toBe(200);
  });

  test('a request with an Idempotency-Key is carried out once; what fails can be tried again', async () => {
    const { app, start } = application();
    let [id, runs] = [0, 0];
    app.use(async (ctx, next) => {
      ctx.set('x-request-id', String(++id));
      await next();
    });
    app.use(guard([bulkhead({ maxConcurrent: 1 })]));
    app.use(idempotency({ scope: (ctx) => ctx.get('x-tenant') || undefined }));
    app.use((ctx) => {
      runs++;
      if (ctx.path === '/bad' && runs === 2) throw new Error('bad');
      ctx.body = { run: runs };
    });
    const port = await start();
    const order = async (path: string, method = 'POST'): Promise<unknown> => {
      const { status, body, headers } = await ask(port, { path, method, headers: { 'idempotency-key': '"k"' } });
      return [status, body, headers['idempotency-replayed'], headers['x-request-id']];
    };
    expect(await order('/good')).toEqual([200, '{"run":1}', undefined, '1']);
    expect(await order('/good')).toEqual([200, '{"run":1}', 'true', '2']);
    expect(await order('/bad')).toEqual([500, 'Internal Server Error', undefined, undefined]);
    expect(await order('/bad')).toEqual([200, '{"run":3}', undefined, '4']);
    expect(await order('/good', 'GET')).toEqual([200, '{"run":4}', undefined, '5']);
  });
});

describe('traps in Koa', () => {
  test('the answer is sent when time is up, though the rest never returns; it counts as a failure', async () => {
    const { app, errors, start } = application();
    const account = books();
    const reasons: unknown[] = [];
    const seen: unknown[] = [];
    app.use(async (ctx, next) => {
      await next();
      seen.push([ctx.status, ctx.body]);
      ctx.set('x-response-time', '20');
    });
    app.use(guard([account.policy], { deadline: 20, name: 'slow-secret' }));
    app.use((ctx) => {
      const { signal } = ctx.state.breakwater;
      signal.addEventListener('abort', () => reasons.push(signal.reason));
      return new Promise(() => undefined);
    });
    const { status, headers, body } = await ask(await start());
    expect([status, headers['content-type'], headers['x-response-time']]).toEqual([504, 'application/problem+json', '20']);
    expect(body).not.toContain('secret');
    expect(seen).toEqual([[504, body]]);
    expect(reasons).toEqual([expect.objectContaining({ code: 'ERR_TIMEOUT', after: 20 })]);
    await account.quiet();
    expect([account.errors, errors]).toEqual([reasons, []]);
  });

  test('W3 whatever a handler does with its context after its 504 disturbs nobody: no crash, and the connection serves the next request', async () => {
    const { app, errors, start } = application();
    const wrote = latch<number>();
    app.use((ctx, next) => (ctx.path === '/late' ? late(ctx, next) : next()));
    const late = guard([], { deadline: 15 });
    app.use(async (ctx) => {
      if (ctx.path !== '/late') {
        ctx.body = 'next';
        return;
      }
      ctx.res.once('close', () => {
        setImmediate(() => {
          ctx.status = 200;
          ctx.set('x-late', '1');
          ctx.cookies.set('late', '1');
          ctx.body = { late: true };
          ctx.body = Readable.from(['late']);
          ctx.type = 'html';
          ctx.flushHeaders();
          ctx.res.setHeader('x-late', '2');
          ctx.res.write('late');
          ctx.res.end('late');
          wrote.open(ctx.res.statusCode);
        });
      });
      await wrote.opened;
      throw new Error('late');
    });
    const port = await start();
    const { agent, sockets } = oneConnection();
    const reply = await ask(port, { path: '/late', agent });
    expect([reply.status, reply.headers['x-late'], reply.headers['set-cookie']]).toEqual([504, undefined, undefined]);
    expect(await wrote.opened).toBe(504);
    expect((await ask(port, { path: '/next', agent })).body).toBe('next');
    await new Promise(setImmediate);
    expect([sockets.size, errors]).toEqual([1, []]);
    agent.destroy();
  });

  test.each<[string, (ctx: Koa.Context, signal: AbortSignal) => unknown]>([
    ['throws what its signal says', (_ctx, signal) => signal.throwIfAborted()],
    ['answers all the same', (ctx) => (ctx.body = 'late')],
    ['answers piece by piece', (ctx) => void ((ctx.status = 201), (ctx.type = 'html'), (ctx.length = 3), (ctx.message = 'Fine'))],
    [
      'sets fields',
      (ctx) => (
        ctx.set({ ETag: '"1"', 'Content-Type': 'text/html' }),
        ctx.append('cache-control', 'max-age=7'),
        ctx.remove('content-length')
      ),
    ],
    ['gives a stream', (ctx) => (ctx.body = Readable.from(['late']))],
    ['redirects', (ctx) => ctx.redirect('/elsewhere')],
  ])(
    'W3 the 504 is what is sent, though a handler that obeys its signal %s before that, and somebody catches its errors',
    async (_, then) => {
      const { app, errors, start } = application();
      const obeyed = latch();
      app.use(async (_ctx, next) => {
        await next();
        await obeyed.opened;
        await new Promise(setImmediate);
      });
      app.use(guard([], { deadline: 15 }));
      app.use(async (ctx, next) => {
        try {
          await next();
        } catch {
          ctx.status = 500;
          ctx.body = 'caught';
        }
      });
      app.use(async (ctx) => {
        const { signal } = ctx.state.breakwater;
        await once(signal, 'abort');
        await new Promise((resolve) => setImmediate(resolve));
        obeyed.open();
        then(ctx, signal);
      });
      const { status, headers, body } = await ask(await start());
      expect([status, headers['content-type'], headers.etag, headers['retry-after']]).toEqual([
        504,
        'application/problem+json',
        undefined,
        undefined,
      ]);
      expect([headers['content-length'], JSON.parse(body)]).toEqual([String(body.length), expect.objectContaining({ status: 504 })]);
      expect(errors).toEqual([]);
    },
  );

  test('W3 it is so as well if the handler obeys at once, and while a lesser answer is still on its way', async () => {
    const { app, errors, start } = application();
    const guards: Record<string, Guard> = {
      '/at-once': guard([], { deadline: 15 }),
      '/on-its-way': guard([], { deadline: 15, fallback: () => new Promise((resolve) => setImmediate(() => resolve({ body: 'lesser' }))) }),
      '/broken': guard([], { deadline: 15, fallback: () => Promise.reject(new Error('broken')) }),
      '/own': guard([], {
        deadline: 15,
        handler: (_turned, ctx) => {
          ctx.status = 504;
          ctx.body = 'own';
        },
      }),
    };
    app.use((ctx, next) => guards[ctx.path]?.(ctx, next));
    app.use(async (ctx) => {
      const { signal } = ctx.state.breakwater;
      await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
      ctx.status = 200;
      ctx.body = 'late';
      throw signal.reason;
    });
    const port = await start();
    expect((await ask(port, { path: '/at-once' })).status).toBe(504);
    expect(await ask(port, { path: '/on-its-way' })).toMatchObject({ status: 200, body: 'lesser' });
    expect(await ask(port, { path: '/own' })).toMatchObject({ status: 504, body: 'own' });
    expect(errors).toEqual([]);
    expect((await ask(port, { path: '/broken' })).status).toBe(500);
    expect(errors.map(({ message }) => message)).toEqual(['broken']);
  });

  test('W3 a handler that begins to answer by itself while a lesser answer is on its way is left to end', async () => {
    const { app, errors, start } = application();
    const begun = latch();
    app.use(guard([], { deadline: 15, fallback: () => begun.opened.then(() => ({ body: 'lesser' })) }));
    app.use(async (ctx) => {
      await once(ctx.state.breakwater.signal, 'abort');
      ctx.respond = false;
      ctx.res.writeHead(200).write('begun ');
      begun.open();
      await new Promise((resolve) => setTimeout(resolve, 5));
      ctx.res.end('and ended');
    });
    expect(await ask(await start())).toMatchObject({ status: 200, body: 'begun and ended' });
    expect(errors).toEqual([]);
  });

  test('once a handler has given up, middleware further out may change the answer as ever', async () => {
    const { app, start } = application();
    const gaveUp = latch();
    app.use(async (ctx, next) => {
      await next();
      await gaveUp.opened;
      await new Promise(setImmediate);
      ctx.body = 'page';
    });
    app.use(guard([], { deadline: 15 }));
    app.use(async (ctx) => {
      await once(ctx.state.breakwater.signal, 'abort');
      gaveUp.open();
    });
    expect(await ask(await start())).toMatchObject({ status: 504, body: 'page' });
  });

  test('W3 fields of the answer that was to come do not describe the one given instead, and its stream is let go', async () => {
    const { app, start } = application();
    const stream = new PassThrough();
    app.use(guard([], { deadline: 15 }));
    app.use((ctx) => {
      ctx.set({ 'content-encoding': 'gzip', etag: '"1"', 'x-own': '1' });
      ctx.body = stream;
      ctx.length = 99_999;
      return new Promise(() => undefined);
    });
    const { status, headers, body } = await ask(await start());
    expect([status, headers['content-encoding'], headers.etag, headers['x-own']]).toEqual([504, undefined, undefined, '1']);
    expect(headers['content-length']).toBe(String(body.length));
    expect(stream.destroyed).toBe(true);
  });

  test('W3 an answer that is complete and still on its way through outer middleware is not taken back', async () => {
    const { app, start } = application();
    app.use(async (ctx, next) => {
      await next();
      await once(ctx.state.breakwater.signal, 'abort');
    });
    app.use(guard([], { deadline: 15 }));
    app.use((ctx) => (ctx.body = 'done'));
    expect(await ask(await start())).toMatchObject({ status: 200, body: 'done' });
  });

  test('W3 once a stream has begun a deadline only aborts the signal', async () => {
    const { app, errors, start } = application();
    const account = books();
    app.use(guard([account.policy], { deadline: 15 }));
    app.use((ctx) => {
      const stream = new PassThrough();
      stream.write('begun ');
      ctx.state.breakwater.signal.addEventListener('abort', () => stream.end('and ended'));
      ctx.body = stream;
    });
    expect(await ask(await start())).toMatchObject({ status: 200, body: 'begun and ended' });
    await account.quiet();
    expect([account.verdicts, errors]).toEqual([['failure'], []]);
  });

  test('W2 a response that bypasses Koa is settled and guarded like any other', async () => {
    const { app, start } = application();
    const account = books();
    app.use(guard([account.policy], { deadline: 30 }));
    app.use((ctx) => {
      ctx.respond = false;
      if (ctx.path === '/in') setImmediate(() => ctx.res.writeHead(200).end('own'));
      if (ctx.path === '/late') return new Promise(() => undefined);
      if (ctx.path === '/lost') ctx.res.destroy();
      return undefined;
    });
    const port = await start();
    expect(await ask(port, { path: '/in' })).toMatchObject({ status: 200, body: 'own' });
    expect((await ask(port, { path: '/late' })).status).toBe(504);
    await expect(ask(port, { path: '/lost' })).rejects.toThrow();
    await account.quiet();
    expect(account.verdicts).toEqual(['success', 'failure', 'ignored']);
  });

  test('W2 a stream that breaks gives its permit back', async () => {
    const { app, start } = application();
    const account = books();
    app.use(guard([account.policy]));
    app.use((ctx) => {
      const stream = new PassThrough();
      stream.write('half');
      ctx.body = stream;
      setImmediate(() => stream.destroy(new Error('broken')));
    });
    await expect(ask(await start())).rejects.toThrow();
    await account.quiet();
    expect(account.verdicts).toEqual(['ignored']);
  });

  test('W1 one guard in two places, and inside another, decides once; each guard takes its own permits', async () => {
    const { app, start } = application();
    const outer = books();
    const inner = books();
    const api = guard([outer.policy], { deadline: '5s' });
    app.use(api);
    app.use(api);
    app.use(guard([inner.policy], { deadline: '1m' }));
    app.use((ctx) => (ctx.body = String(ctx.state.breakwater.remaining() <= 5000)));
    expect((await ask(await start())).body).toBe('true');
    await outer.quiet();
    await inner.quiet();
    expect([outer.verdicts, inner.verdicts]).toEqual([['success'], ['success']]);
  });

  test('W1 a refused request that comes by again is not served', async () => {
    const { app, start } = application();
    let served = 0;
    const api = guard([limited]);
    app.use(async (ctx, next) => {
      await api(ctx, next);
      await api(ctx, next);
    });
    app.use(() => served++);
    expect((await ask(await start())).status).toBe(429);
    expect(served).toBe(0);
  });

  test('W1 HEAD, 304 and an empty answer give their permits back', async () => {
    const { app, start } = application();
    const account = books();
    app.use(guard([account.policy]));
    app.use((ctx) => {
      if (ctx.path === '/same') ctx.status = 304;
      else if (ctx.path === '/none') ctx.body = null;
      else ctx.body = 'body';
    });
    const port = await start();
    const { agent } = oneConnection();
    const replies = [
      await ask(port, { method: 'HEAD', agent }),
      await ask(port, { path: '/same', agent }),
      await ask(port, { path: '/none', agent }),
    ];
    agent.destroy();
    expect(replies.map(({ status, body }) => [status, body])).toEqual([
      [200, ''],
      [304, ''],
      [204, ''],
    ]);
    await account.quiet();
    expect(account.verdicts).toEqual(['success', 'success', 'success']);
  });

  test('W3 a request whose headers are out already cannot be refused properly: Koa hears of it', async () => {
    const { app, errors, start } = application();
    const told = once(app, 'error');
    app.use(async (ctx, next) => {
      ctx.res.write('begun');
      await next();
    });
    app.use(guard([limited]));
    const asking = ask(await start());
    await told;
    asking.leave();
    expect(errors).toEqual([expect.any(RateLimitedError)]);
  });

  test('W2 hundreds of mixed requests end with nothing in flight', async () => {
    const { app, start } = application();
    const account = books();
    const slots = bulkhead({ maxConcurrent: 8, maxQueue: 16 });
    let open = 0;
    app.use(async (ctx, next) => {
      open++;
      ctx.res.once('close', () => open--);
      await next();
    });
    const api = guard([account.policy, slots], { deadline: 60 });
    app.use(api);
    app.use(async (ctx) => {
      if (ctx.path === '/throw') throw new Error('thrown');
      if (ctx.path === '/hang') await new Promise(() => undefined);
      if (ctx.path === '/late') await once(ctx.state.breakwater.signal, 'abort');
      if (ctx.path === '/lost') ctx.res.destroy();
      await new Promise(setImmediate);
      ctx.body = ctx.path === '/stream' ? Readable.from(['a', 'b']) : 'ok';
    });
    const port = await start();
    const random = seededRandom(20);
    const paths = ['/ok', '/ok', '/stream', '/throw', '/lost', '/hang', '/late'];
    const agent = new Agent({ keepAlive: true, maxSockets: 24 });
    const asked = Array.from({ length: 300 }, () => {
      const path = paths[Math.floor(random() * paths.length)] as string;
      const asking = ask(port, { path, agent, method: random() < 0.1 ? 'HEAD' : 'GET' });
      if (random() < 0.2) void asking.sent.then(() => setImmediate(asking.leave));
      return asking.then(
        ({ status }: Reply) => status,
        () => 0,
      );
    });
    const statuses = new Set(await Promise.all(asked));
    agent.destroy();
    await vi.waitFor(() => expect(open).toBe(0), { interval: 5 });
    await account.quiet();
    expect([slots.active, slots.queued, api.pipeline.snapshot().active]).toEqual([0, 0, 0]);
    expect(account.entered).toBe(account.verdicts.length);
    expect([...statuses].filter((status) => ![0, 200, 500, 503, 504].includes(status))).toEqual([]);
    for (const status of [0, 200, 500, 504]) expect(statuses).toContain(status);
  });
});
