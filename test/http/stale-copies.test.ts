import { once } from 'node:events';
import { type IncomingMessage, type ServerResponse, request } from 'node:http';
import { VirtualClock } from 'breakwater/testing';
import express from 'express';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { sendReply, webReply } from '../../src/http/recording/reply.ts';
import { type StaleCopies, type StaleCopiesOptions, staleCopies } from '../../src/http/recording/stale-copies.ts';
import type { NodeShaped } from '../../src/http/recording/request-head.ts';
import { type Asking, ask, latch, serve } from './serving.ts';

type Handler = (req: IncomingMessage, res: ServerResponse) => unknown;

/** A server that can be shut, and then gives copies, or 503. */
async function desk(handler: Handler, options: StaleCopiesOptions<IncomingMessage> = {}) {
  const clock = new VirtualClock();
  const copies = staleCopies<IncomingMessage>({ clock, refresh: 0, ...options });
  const own = { shut: false, clock, copies, port: 0, get: (asking?: Asking) => ask(own.port, asking) };
  own.port = (
    await serve((req, res) => {
      if (!own.shut) {
        copies.watch(req, res);
        handler(req, res);
        return;
      }
      const copy = copies.answer(req);
      sendReply(req, res, copy ?? { status: 503, headers: {}, body: 'refused' });
    })
  ).port;
  return own;
}

/** Asks once while the server is open, and again when it is shut. */
async function copied(headers: Record<string, string | string[]>, asking: Asking = {}, options: StaleCopiesOptions<IncomingMessage> = {}) {
  const own = await desk((_req, res) => res.writeHead(200, headers).end('hello'), options);
  await own.get(asking);
  own.shut = true;
  return (await own.get(asking)).status === 200;
}

describe('a request that cannot be served', () => {
  test('gets a copy of the last answer, marked, with its age', async () => {
    const own = await desk((_req, res) => {
      res.setHeader('content-type', 'text/plain').setHeader('etag', '"1"');
      res.write('hel');
      res.end('lo');
    });
    await own.get();
    await own.clock.advance(61_900);
    own.shut = true;
    const reply = await own.get();
    expect(reply).toMatchObject({
      status: 200,
      body: 'hello',
      headers: { 'content-type': 'text/plain', etag: '"1"', age: '61', 'x-degraded': 'stale', 'content-length': '5' },
    });
    expect(reply.headers['transfer-encoding']).toBeUndefined();
    expect(reply.headers['warning']).toBeUndefined();
  });

  test('on HEAD it gets the fields of the copy, and no body', async () => {
    const own = await desk((_req, res) => res.end('hello'));
    await own.get();
    own.shut = true;
    expect(await own.get({ method: 'HEAD' })).toMatchObject({
      status: 200,
      body: '',
      headers: { 'content-length': '5', 'x-degraded': 'stale' },
    });
  });

  test('gets nothing at another URL, with another query, or by another method', async () => {
    const own = await desk((_req, res) => res.end('hello'));
    await own.get({ path: '/a?x=1' });
    own.shut = true;
    for (const asking of [
      { path: '/a' },
      { path: '/a?x=2' },
      { path: '/A?x=1' },
      { path: '/a?x=1', method: 'POST' },
      { path: '/a?x=1', method: 'DELETE' },
    ])
      expect((await own.get(asking)).status).toBe(503);
    expect((await own.get({ path: '/a?x=1' })).status).toBe(200);
  });

  test('gets none that is older than maxStale', async () => {
    const own = await desk((_req, res) => res.end('hello'), { maxStale: '10m' });
    await own.get();
    own.shut = true;
    await own.clock.advance(599_999);
    expect((await own.get()).status).toBe(200);
    await own.clock.advance(1);
    expect((await own.get()).status).toBe(503);
    expect(own.copies.size).toBe(0);
  });

  test('gets the newest, and one younger than refresh is not made anew', async () => {
    let run = 0;
    const own = await desk((_req, res) => res.end(`run ${++run}`), { refresh: '1s' });
    await own.get();
    await own.clock.advance(999);
    await own.get();
    own.shut = true;
    expect((await own.get()).body).toBe('run 1');
    own.shut = false;
    await own.clock.advance(1);
    await own.get();
    own.shut = true;
    expect((await own.get()).body).toBe('run 3');
  });

  test('what others set for this very request stands beside the copy: request ids', async () => {
    let id = 0;
    let shut = false;
    const copies = staleCopies({ refresh: 0 });
    const app = express();
    app.use((req, res, next) => {
      res.set('x-request-id', String(++id));
      if (shut) return sendReply(req, res, copies.answer(req) ?? { status: 503, headers: {}, body: '' });
      copies.watch(req, res);
      next();
    });
    app.get('/', (_req, res) => void res.json({ a: 1 }));
    const { port } = await serve(app);
    await ask(port);
    shut = true;
    expect(await ask(port)).toMatchObject({ body: '{"a":1}', headers: { 'x-request-id': '2', 'x-degraded': 'stale' } });
  });
});

describe('what may be copied (RFC 9111)', () => {
  test.each([
    'no-store',
    'private',
    'no-cache',
    'private="x-a", max-age=60',
    'max-age=60, NO-STORE',
    'max-age=60 no-store',
    'must-revalidate',
    'max-age=0, must-revalidate',
  ])('not an answer with Cache-Control: %s', async (value) => {
    expect(await copied({ 'cache-control': value })).toBe(false);
  });

  test.each(['public', 'max-age=0', 'max-age=60, must-revalidate', 's-maxage=60', 'stale-if-error=60', 'immutable'])(
    'an answer with Cache-Control: %s',
    async (value) => {
      expect(await copied({ 'cache-control': value })).toBe(true);
    },
  );

  test.each([
    ['max-age=60, must-revalidate', 60],
    ['max-age=60, proxy-revalidate', 60],
    ['max-age=10, s-maxage=60', 60],
    ['max-age=60, stale-if-error=30', 90],
    ['s-maxage=60, stale-if-error=30', 90],
    ['max-age=60, stale-if-error=30, must-revalidate', 60],
    ['max-age=60', 600],
    ['stale-if-error=100000', 600],
  ])('%s: usable for %i s', async (value, seconds) => {
    const own = await desk((_req, res) => res.writeHead(200, { 'cache-control': value }).end('hello'));
    await own.get();
    own.shut = true;
    await own.clock.advance(seconds * 1000 - 1);
    expect((await own.get()).status).toBe(200);
    await own.clock.advance(1);
    expect((await own.get()).status).toBe(503);
  });

  test('an answer that came with an age is as old as that', async () => {
    const own = await desk((_req, res) => res.writeHead(200, { age: '590' }).end('hello'));
    await own.get();
    own.shut = true;
    await own.clock.advance(9000);
    expect((await own.get()).headers.age).toBe('599');
    await own.clock.advance(1000);
    expect((await own.get()).status).toBe(503);
  });

  test.each([201, 204, 206, 301, 304, 404, 429, 500])('no %i', async (status) => {
    const own = await desk((_req, res) => res.writeHead(status).end());
    await own.get();
    own.shut = true;
    expect((await own.get()).status).toBe(503);
  });

  test('an error does not take the place of a copy', async () => {
    let status = 200;
    const own = await desk((_req, res) => res.writeHead(status).end(String(status)));
    await own.get();
    status = 500;
    await own.get();
    own.shut = true;
    expect((await own.get()).body).toBe('200');
  });

  test('no answer to a part of it, none that asked not to be stored', async () => {
    expect(await copied({}, { headers: { range: 'bytes=0-1' } })).toBe(false);
    expect(await copied({}, { headers: { 'cache-control': 'no-store' } })).toBe(false);
    expect(await copied({}, { headers: { 'cache-control': 'no-cache' } })).toBe(true);
  });

  test('none with Set-Cookie, unless told to leave that out', async () => {
    expect(await copied({ 'set-cookie': ['a=1', 'b=2'] })).toBe(false);
    const own = await desk((_req, res) => res.setHeader('set-cookie', 'session=secret').end('hello'), { setCookie: 'strip' });
    await own.get();
    own.shut = true;
    const reply = await own.get();
    expect(reply.status).toBe(200);
    expect(reply.headers['set-cookie']).toBeUndefined();
  });

  test.each(['text/event-stream', 'Text/Event-Stream; charset=utf-8'])('no stream of events: %s', async (type) => {
    expect(await copied({ 'content-type': type, 'cache-control': 'public' })).toBe(false);
    expect(await copied({ 'content-type': 'text/event-streams' })).toBe(true);
  });

  test('fields of the connection are not copied, several lines are one', async () => {
    const own = await desk((_req, res) =>
      res
        .writeHead(200, { connection: 'x-hop', 'x-hop': '1', 'keep-alive': 'timeout=9', trailer: 'x', link: ['</a>', '</b>'] })
        .end('hello'),
    );
    await own.get();
    own.shut = true;
    const { headers } = await own.get();
    expect([headers['x-hop'], headers['keep-alive'], headers.trailer]).toEqual([undefined, undefined, undefined]);
    expect(headers['link']).toBe('</a>, </b>');
  });

  test('none of a copy that an inner guard gave', async () => {
    expect(await copied({ 'x-degraded': 'stale', age: '5' })).toBe(false);
  });

  test('none that is shorter than announced', async () => {
    const own = await desk((_req, res) => {
      res.writeHead(200, { 'content-length': 10 });
      res.end('hello');
      res.socket?.end();
    });
    await own.get().catch(() => undefined);
    own.shut = true;
    expect((await own.get()).status).toBe(503);
  });
});

describe('who may get it', () => {
  const whoever: Handler = (req, res) =>
    res.end(`for ${req.headers.authorization ?? req.headers.cookie ?? String(req.headers['x-api-key'])}`);
  const as = (name: string, user: string): Asking => ({ headers: { [name]: user } });

  test.each(['authorization', 'cookie', 'x-api-key'])('answers to requests with %s are nobody’s copy', async (name) => {
    const own = await desk(whoever);
    await own.get(as(name, 'ada'));
    own.shut = true;
    for (const asking of [as(name, 'ada'), as(name, 'bob'), {}]) expect((await own.get(asking)).status).toBe(503);
  });

  test('and who says who it is does not get what strangers were shown', async () => {
    const own = await desk(whoever);
    await own.get();
    own.shut = true;
    expect((await own.get(as('cookie', 'ada'))).status).toBe(503);
    expect((await own.get()).status).toBe(200);
  });

  test.each(['public', 's-maxage=60'])('unless the answer says that it is for everybody: %s', async (value) => {
    const own = await desk((_req, res) => res.writeHead(200, { 'cache-control': value }).end('for all'));
    await own.get(as('authorization', 'ada'));
    own.shut = true;
    for (const asking of [as('authorization', 'bob'), as('cookie', 'eve'), {}]) expect((await own.get(asking)).body).toBe('for all');
  });

  test('with a scope each has copies of its own, at the same URL', async () => {
    const own = await desk(whoever, { scope: (req) => req.headers.authorization });
    await own.get(as('authorization', 'ada'));
    await own.get(as('authorization', 'bob'));
    await own.get();
    own.shut = true;
    expect((await own.get(as('authorization', 'ada'))).body).toBe('for ada');
    expect((await own.get(as('authorization', 'bob'))).body).toBe('for bob');
    expect((await own.get()).body).toBe('for undefined');
    expect((await own.get(as('authorization', 'eve'))).status).toBe(503);
    expect((await own.get(as('authorization', ''))).status).toBe(503);
  });
});

describe('Vary', () => {
  test('what the answer depends on must be the same', async () => {
    const own = await desk((req, res) => res.setHeader('vary', 'Accept-Language, accept').end(`${req.headers['accept-language']}`));
    const by = (language: string): Asking => ({ headers: { 'accept-language': language } });
    await own.get(by('de'));
    await own.get(by('fr'));
    own.shut = true;
    expect((await own.get(by('de'))).body).toBe('de');
    expect((await own.get(by('fr'))).body).toBe('fr');
    for (const asking of [by('en'), {}, { headers: { 'accept-language': 'de', accept: 'x' } }])
      expect((await own.get(asking)).status).toBe(503);
  });

  test('on what no field tells, there is no copy', async () => {
    expect(await copied({ vary: '*' })).toBe(false);
    expect(await copied({ vary: ['accept', 'origin, *'] })).toBe(false);
  });
});

describe('copies go', () => {
  test.each(['POST', 'PUT', 'PATCH', 'DELETE'])('when a %s has changed what the URL shows, in every scope', async (method) => {
    const own = await desk((_req, res) => res.end('hello'), { scope: (req) => req.headers.authorization });
    const as = (authorization: string): Asking => ({ headers: { authorization } });
    await own.get(as('ada'));
    await own.get(as('bob'));
    await own.get({ method, ...as('ada') });
    own.shut = true;
    expect((await own.get(as('ada'))).status).toBe(503);
    expect((await own.get(as('bob'))).status).toBe(503);
  });

  test('and stay when it has failed', async () => {
    const own = await desk((req, res) => res.writeHead(req.method === 'GET' ? 200 : 400).end('hello'));
    await own.get();
    await own.get({ method: 'PUT' });
    own.shut = true;
    expect((await own.get()).status).toBe(200);
  });

  test('when told to', async () => {
    const own = await desk((_req, res) => res.end('hello'));
    await own.get();
    own.copies.clear();
    own.shut = true;
    expect((await own.get()).status).toBe(503);
    expect(own.copies).toMatchObject({ size: 0, bytes: 0 });
  });
});

describe('answers on the way', () => {
  test('one larger than maxCopyBytes is sent whole, and not copied', async () => {
    const own = await desk((_req, res) => res.end('x'.repeat(3000)), { maxCopyBytes: '2kb' });
    expect((await own.get()).body.length).toBe(3000);
    expect(own.copies.size).toBe(0);
  });

  test('one that was ended after its client had left is none: it may have been ended half-way', async () => {
    const done = latch();
    const own = await desk((_req, res) => {
      res.write('hel');
      res.once('close', () => {
        res.end('lo');
        done.open();
      });
    });
    const sending = request({ port: own.port, agent: false });
    sending.on('error', () => undefined);
    sending.end();
    const [response] = (await once(sending, 'response')) as [IncomingMessage];
    response.on('error', () => undefined);
    sending.destroy();
    await done.opened;
    own.shut = true;
    expect((await own.get()).status).toBe(503);
  });

  test('one that broke off is none', async () => {
    const own = await desk((_req, res) => {
      res.write('hel');
      setImmediate(() => res.destroy());
    });
    await expect(own.get()).rejects.toThrow();
    own.shut = true;
    expect((await own.get()).status).toBe(503);
  });
});

describe('where responses are values', () => {
  const hono = (url: string, init?: RequestInit): { req: { raw: Request } } => ({ req: { raw: new Request(url, init) } });

  test('the response goes on as it was, and is a copy when it has been read', async () => {
    const copies = staleCopies({ refresh: 0 });
    const watched = copies.watchWeb(hono('http://a.example/x?y'), new Response('hello', { headers: { 'x-a': '1' } }));
    expect(copies.size).toBe(0);
    expect([watched.status, watched.headers.get('x-a'), await watched.text()]).toEqual([200, '1', 'hello']);
    const copy = copies.answer(hono('http://a.example/x?y'));
    const again = webReply(copy as NonNullable<typeof copy>);
    expect([await again.text(), again.headers.get('x-degraded'), again.headers.get('x-a')]).toEqual(['hello', 'stale', '1']);
    expect(copies.answer(hono('http://a.example/x'))).toBeUndefined();
    expect(copies.answer(hono('http://a.example/x?y', { headers: { cookie: 'a=1' } }))).toBeUndefined();
  });
});

describe('bounds', () => {
  const flood = (copies: StaleCopies<NodeShaped>, url: string, body: string): void => {
    const asked = { method: 'GET', url: 'http://a.example', headers: new Headers() };
    void copies.watchWeb({ ...asked, url: `http://a.example${url}` } as never, new Response(body)).arrayBuffer();
  };

  test('a flood of URLs, of long ones, and of variants keeps within count and bytes', async () => {
    const copies = staleCopies<NodeShaped>({ max: 200, maxBytes: '200kb', maxCopyBytes: '50kb' });
    for (let i = 0; i < 3000; i++) {
      flood(copies, `/${i}/${'x'.repeat(i % 2000)}`, 'y'.repeat((i * 7) % 60_000));
      if (i % 50 === 0) await new Promise(setImmediate);
      if (copies.size > 200 || copies.bytes > 200 * 1024) throw new Error(`${copies.size} copies, ${copies.bytes} bytes`);
    }
    await new Promise(setImmediate);
    expect(copies.size).toBeGreaterThan(0);
  });

  test('no request, however it is made up, gets the copy of another scope', { timeout: 30_000 }, () => {
    const part = fc.constantFrom('a', 'b', '/', '?', '"', ',', '\\', '[', ']', 'null', '__proto__', '\n');
    const text = fc.array(part, { maxLength: 5 }).map((parts) => parts.join(''));
    const seen = fc.record({
      url: text.map((path) => `/${path}`),
      scope: fc.option(text, { nil: undefined }),
      accept: fc.option(text, { nil: undefined }),
    });
    fc.assert(
      fc.property(fc.array(seen, { minLength: 2, maxLength: 8 }), (requests) => {
        const copies = staleCopies<NodeShaped & { scope: string | undefined }>({ refresh: 0, max: 20, scope: (req) => req.scope });
        const made = requests.map(({ url, scope, accept }) => ({ method: 'GET', url, scope, headers: { accept } }));
        for (const req of made) {
          const mark = JSON.stringify([req.url, req.scope, req.headers.accept]);
          copies.watchWeb(req, new Response(null, { headers: { vary: 'accept', 'x-mark': encodeURIComponent(mark) } }));
        }
        for (const req of made) {
          const mark = copies.answer(req)?.headers['x-mark'];
          expect(mark).toBe(encodeURIComponent(JSON.stringify([req.url, req.scope, req.headers.accept])));
        }
      }),
      { numRuns: 1000 },
    );
  });
});

test.each([
  [{ maxStale: 0 }, 'maxStale'],
  [{ maxBytes: 'much' as never }, 'maxBytes'],
  [{ setCookie: true as never }, 'setCookie'],
  [{ ttl: 1 } as never, 'ttl'],
])('options that cannot work are refused at once: %j', (options, path) => {
  expect(() => staleCopies(options)).toThrow(expect.objectContaining({ code: 'ERR_OPTIONS', path: `staleCopies.${path}` }) as Error);
});
