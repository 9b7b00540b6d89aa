import { once } from 'node:events';
import { type IncomingMessage, type RequestListener, type ServerResponse, request } from 'node:http';
import { text as textOf } from 'node:stream/consumers';
import { VirtualClock } from 'breakwater/testing';
import express from 'express';
import { describe, expect, test } from 'vitest';
import { idempotency } from '../../src/http/idempotency/middleware.ts';
import type { IdempotencyOptions } from '../../src/http/idempotency/options.ts';
import { type IdempotencyStore, memoryIdempotencyStore } from '../../src/http/idempotency/store.ts';
import { type Asking, type Reply, ask, latch, serve } from './serving.ts';

type Handler = (req: IncomingMessage, res: ServerResponse, run: number) => unknown;

/** A server with one idempotent handler, which counts how often it ran. */
async function shop(options: IdempotencyOptions<IncomingMessage> = {}, handler: Handler = (_req, res, run) => res.end(`run ${run}`)) {
  const guard = idempotency<IncomingMessage>(options);
  const own = { runs: 0, failures: [] as unknown[], port: 0 };
  const listener: RequestListener = (req, res) =>
    guard(req, res, (error) => {
      if (error === undefined) return void handler(req, res, ++own.runs);
      own.failures.push(error);
      res.statusCode = 500;
      res.end('failed');
    });
  own.port = (await serve(listener)).port;
  return own;
}

function order(port: number, key: string | undefined, asking: Asking = {}): Promise<Reply> & { leave: () => void } {
  const headers = { ...(key !== undefined && { 'idempotency-key': key }), ...asking.headers };
  return ask(port, { method: 'POST', path: '/orders', body: 'a', ...asking, headers });
}

function problem({ body }: Reply): unknown {
  return JSON.parse(body);
}

/** A store of which some methods are others. */
function storeWith(others: Partial<IdempotencyStore>): IdempotencyStore {
  const real = memoryIdempotencyStore();
  return {
    begin: (...given) => real.begin(...given),
    renew: (...given) => real.renew(...given),
    complete: (...given) => real.complete(...given),
    abandon: (...given) => real.abandon(...given),
    ...others,
  };
}

describe('a request that is repeated', () => {
  test('is carried out once, and gets the same answer again', async () => {
    const own = await shop({}, (_req, res, run) => {
      res.writeHead(201, { location: `/orders/${run}`, 'content-type': 'text/plain' });
      res.write('made ');
      res.end(`${run}`);
    });
    const first = await order(own.port, '"k1"');
    const second = await order(own.port, '"k1"');
    expect(first).toMatchObject({ status: 201, body: 'made 1' });
    expect(first.headers['idempotency-replayed']).toBeUndefined();
    expect(second).toMatchObject({ status: 201, body: 'made 1' });
    expect(second.headers).toMatchObject({
      location: '/orders/1',
      'content-type': 'text/plain',
      'content-length': '6',
      'idempotency-replayed': 'true',
    });
    expect(second.headers['transfer-encoding']).toBeUndefined();
    expect(own).toMatchObject({ runs: 1, failures: [] });
  });

  test('with another key is another request; and without a key each one is', async () => {
    const { port } = await shop();
    const replies = [await order(port, 'a'), await order(port, 'b'), await order(port, undefined), await order(port, undefined)];
    expect(replies.map(({ body }) => body)).toEqual(['run 1', 'run 2', 'run 3', 'run 4']);
  });

  test('a key in quotation marks and the same one bare are one key', async () => {
    const { port } = await shop();
    expect((await order(port, '"7f"')).body).toBe('run 1');
    expect((await order(port, '7f')).body).toBe('run 1');
    expect((await order(port, '"7f"; v=1')).body).toBe('run 1');
  });

  test('other methods are not looked at, unless they are named', async () => {
    const { port } = await shop({ methods: ['put'] });
    const put = (): Promise<Reply> => order(port, 'k', { method: 'PUT' });
    expect([(await put()).body, (await put()).body]).toEqual(['run 1', 'run 1']);
    expect([(await order(port, 'k')).body, (await order(port, 'k')).body]).toEqual(['run 2', 'run 3']);
  });

  test('a hundred at once are carried out once: one answer, and 409 or the same answer for the others', async () => {
    const go = latch();
    const own = await shop({}, async (_req, res, run) => {
      await go.opened;
      res.statusCode = 201;
      res.end(`run ${run}`);
    });
    const asked = Array.from({ length: 100 }, () => order(own.port, '"same"'));
    const refused = await Promise.any(asked);
    expect(refused.status).toBe(409);
    go.open();
    const replies = await Promise.all(asked);
    const real = replies.filter(({ status, headers }) => status === 201 && headers['idempotency-replayed'] === undefined);
    expect(real.map(({ body }) => body)).toEqual(['run 1']);
    for (const reply of replies) {
      if (real.includes(reply)) continue;
      if (reply.status === 409) expect(reply.headers['retry-after']).toBe('1');
      else expect(reply).toMatchObject({ status: 201, body: 'run 1', headers: { 'idempotency-replayed': 'true' } });
    }
    expect(own).toMatchObject({ runs: 1, failures: [] });
    expect((await order(own.port, '"same"')).body).toBe('run 1');
  });

  test('a body of bytes comes back byte for byte, also through chunks of any size', async () => {
    const bytes = Buffer.from(Array.from({ length: 5000 }, (_, i) => (i * 7) % 256));
    const { port } = await shop({}, (_req, res) => {
      for (let i = 0; i < bytes.length; i += 33) res.write(bytes.subarray(i, i + 33));
      res.end();
    });
    const fetched = async (): Promise<Buffer> => {
      const reply = await fetch(`http://127.0.0.1:${port}/`, { method: 'POST', headers: { 'idempotency-key': 'k' } });
      return Buffer.from(await reply.arrayBuffer());
    };
    expect((await fetched()).equals(bytes)).toBe(true);
    expect((await fetched()).equals(bytes)).toBe(true);
  });

  test.each([
    [204, undefined],
    // Nor has this one a body, but it says so (RFC 9110, 15.3.6).
    [205, '0'],
    [304, undefined],
  ])('an answer of %i has no body, and the length %j', async (status, length) => {
    const { port } = await shop({}, (_req, res) => res.writeHead(status).end());
    await order(port, 'k');
    const again = await order(port, 'k');
    expect(again).toMatchObject({ status, body: '', headers: { 'idempotency-replayed': 'true' } });
    expect(again.headers['content-length']).toBe(length);
  });
});

describe('what is not kept of an answer', () => {
  test('Set-Cookie, unless told; fields of the connection; the date', async () => {
    const handler: Handler = (_req, res) =>
      res
        .writeHead(200, {
          'set-cookie': ['a=1', 'b=2'],
          connection: 'x-hop, close',
          'x-hop': '1',
          'keep-alive': 'timeout=9',
          date: 'Mon, 01 Jan 2001 00:00:00 GMT',
          link: ['</a>', '</b>'],
        })
        .end('done');
    const { port } = await shop({}, handler);
    await order(port, 'k');
    const { headers } = await order(port, 'k');
    expect(headers['set-cookie']).toBeUndefined();
    expect(headers['x-hop']).toBeUndefined();
    expect(headers['keep-alive']).toBeUndefined();
    expect(headers.date).not.toContain('2001');
    expect(headers['link']).toBe('</a>, </b>');
    const told = await shop({ setCookie: true }, handler);
    await order(told.port, 'k');
    expect((await order(told.port, 'k')).headers['set-cookie']).toEqual(['a=1', 'b=2']);
  });

  test('what others have set for this very request is its own: request ids, CORS', async () => {
    let id = 0;
    const app = express();
    app.use((_req, res, next) => {
      res.set('x-request-id', String(++id));
      next();
    });
    app.post('/orders', idempotency(), (_req, res) => {
      res.json({ made: true });
    });
    const { port } = await serve(app);
    expect((await order(port, 'k')).headers['x-request-id']).toBe('1');
    const again = await order(port, 'k');
    expect(again.headers).toMatchObject({ 'x-request-id': '2', 'idempotency-replayed': 'true' });
    expect(again.headers['content-type']).toBe('application/json; charset=utf-8');
  });

  test('a body that is too large: it was carried out, and is not carried out again', async () => {
    const own = await shop({ maxBytes: '1kb' }, (_req, res) => res.end('x'.repeat(1025)));
    expect((await order(own.port, 'k')).body.length).toBe(1025);
    const again = await order(own.port, 'k');
    expect(again.status).toBe(409);
    expect(again.headers['retry-after']).toBeUndefined();
    expect(problem(again)).toMatchObject({ status: 409, detail: expect.stringContaining('too large') as string });
    expect(own).toMatchObject({ runs: 1, failures: [] });
  });

  test.each([500, 503, 429, 408, 425, 401])('%i: the request can be tried again', async (status) => {
    const { port } = await shop({}, (_req, res, run) => {
      res.statusCode = run === 1 ? status : 200;
      res.end(`run ${run}`);
    });
    expect((await order(port, 'k')).status).toBe(status);
    expect(await order(port, 'k')).toMatchObject({ status: 200, body: 'run 2' });
    expect((await order(port, 'k')).body).toBe('run 2');
  });

  test('a lesser answer in place of a refusal is no outcome', async () => {
    const { port } = await shop({}, (_req, res, run) => {
      if (run === 1) res.setHeader('x-degraded', 'static');
      res.end(`run ${run}`);
    });
    for (const expected of ['run 1', 'run 2', 'run 2']) expect((await order(port, 'k')).body).toBe(expected);
  });

  test('which answers are outcomes is the user’s to say', async () => {
    const { port } = await shop({ storeWhen: (status) => status === 500 }, (_req, res, run) => {
      res.statusCode = run < 3 ? 200 : 500;
      res.end(`run ${run}`);
    });
    for (const expected of ['run 1', 'run 2', 'run 3', 'run 3']) expect((await order(port, 'k')).body).toBe(expected);
  });
});

describe('requests that get no further', () => {
  test('one without a key gets 400 where keys are required', async () => {
    const own = await shop({ required: true });
    const reply = await order(own.port, undefined);
    expect(reply).toMatchObject({ status: 400, headers: { 'content-type': 'application/problem+json', 'cache-control': 'no-store' } });
    expect(problem(reply)).toMatchObject({ type: 'about:blank', title: 'Bad Request', status: 400 });
    expect(own.runs).toBe(0);
    expect((await ask(own.port)).body).toBe('run 1');
  });

  test.each([
    '""',
    '"a',
    'a"b',
    'a b',
    'a, b',
    '"a", "b"',
    '"a" "b"',
    'a'.repeat(256),
    `"${'a'.repeat(256)}"`,
    '"\\x"',
    'a\\b',
    '"a";;',
    ' ',
  ])('a key that is none (%s) gets 400', async (key) => {
    const { port } = await shop();
    expect((await order(port, key)).status).toBe(400);
  });

  test('two keys in one request are none', async () => {
    const { port } = await shop();
    const sending = request({ port, method: 'POST', headers: { 'idempotency-key': ['a', 'b'] } });
    sending.end();
    const [response] = (await once(sending, 'response')) as [IncomingMessage];
    expect(response.statusCode).toBe(400);
    response.resume();
  });

  test('another request with the same key gets 422: another length, type or query', async () => {
    const { port } = await shop();
    await order(port, 'k', { headers: { 'content-type': 'text/plain; charset=utf-8' } });
    expect((await order(port, 'k', { headers: { 'content-type': 'Text/Plain' } })).status).toBe(200);
    expect((await order(port, 'k', { headers: { 'content-type': 'text/html' } })).status).toBe(422);
    expect((await order(port, 'k', { body: 'ab', headers: { 'content-type': 'text/plain' } })).status).toBe(422);
    expect((await order(port, 'k', { path: '/orders?x', headers: { 'content-type': 'text/plain' } })).status).toBe(422);
  });

  test('while the first is still on its way, too', async () => {
    const go = latch();
    const { port } = await shop({}, async (_req, res) => {
      await go.opened;
      res.end();
    });
    const first = order(port, 'k');
    while ((await order(port, 'k')).status !== 409);
    expect((await order(port, 'k', { body: 'other' })).status).toBe(422);
    go.open();
    expect((await first).status).toBe(200);
  });

  test('a form that is sent again has another boundary, and is the same form', async () => {
    const { port } = await shop();
    const form = (boundary: string): Asking => ({ headers: { 'content-type': `multipart/form-data; boundary=${boundary}` } });
    expect((await order(port, 'k', form('aaaa'))).body).toBe('run 1');
    expect((await order(port, 'k', form('bbbb'))).body).toBe('run 1');
  });

  test('with a body parser in front, bodies are compared where the user says so', async () => {
    const app = express();
    app.use(express.json());
    app.post('/orders', idempotency({ fingerprint: async (req) => JSON.stringify(req.body) }), (req, res) => {
      res.json(req.body);
    });
    const { port } = await serve(app);
    const json = (body: string): Promise<Reply> => order(port, 'k', { body, headers: { 'content-type': 'application/json' } });
    expect((await json('{"a":1}')).body).toBe('{"a":1}');
    expect((await json('{ "a": 1 }')).headers['idempotency-replayed']).toBe('true');
    expect((await json('{"a":2}')).status).toBe(422);
  });
});

describe('whose key it is', () => {
  test('two users with one key at one URL get their own answers: Authorization, Cookie, X-Api-Key', async () => {
    const { port } = await shop({}, (req, res) => res.end(JSON.stringify([req.headers.authorization, req.headers.cookie])));
    for (const name of ['authorization', 'cookie', 'x-api-key']) {
      const [ada, bob] = ['ada', 'bob'].map((user) => () => order(port, 'k', { headers: { [name]: user } }));
      const mine = await ada?.();
      const other = await bob?.();
      expect(other?.headers['idempotency-replayed']).toBeUndefined();
      expect((await ada?.())?.body).toBe(mine?.body);
      expect((await bob?.())?.headers['idempotency-replayed']).toBe('true');
    }
  });

  test('without a scope, a key means nothing at another path', async () => {
    const { port } = await shop();
    expect((await order(port, 'k')).body).toBe('run 1');
    expect((await order(port, 'k', { path: '/refunds' })).body).toBe('run 2');
  });

  test('with a scope, credentials may change between attempts, and a key at another path is one used twice', async () => {
    const { port } = await shop({ scope: (req) => req.headers['x-tenant'] as string | undefined });
    const as = (tenant: string, authorization: string, path = '/orders'): Promise<Reply> =>
      order(port, 'k', { path, headers: { 'x-tenant': tenant, authorization } });
    expect((await as('a', 'token 1')).body).toBe('run 1');
    expect((await as('a', 'token 2')).body).toBe('run 1');
    expect((await as('a', 'token 2', '/refunds')).status).toBe(422);
    expect((await as('b', 'token 1')).body).toBe('run 2');
  });

  test('where the scope says nothing, credentials tell users apart all the same', async () => {
    const { port } = await shop({ scope: () => undefined });
    expect((await order(port, 'k', { headers: { authorization: 'ada' } })).body).toBe('run 1');
    expect((await order(port, 'k', { headers: { authorization: 'bob' } })).body).toBe('run 2');
  });

  test('no scope can be written so that it is another: the parts are not simply put together', async () => {
    const { port } = await shop({ scope: (req) => decodeURIComponent(req.headers['x-tenant'] as string) });
    const as = (tenant: string, key: string): Promise<Reply> => order(port, key, { headers: { 'x-tenant': encodeURIComponent(tenant) } });
    const bodies = [await as('a', 'b'), await as('a","b', 'b'), await as('ab', 'b'), await as('', 'ab'), await as('__proto__', 'b')];
    expect(bodies.map(({ body }) => body)).toEqual(['run 1', 'run 2', 'run 3', 'run 4', 'run 5']);
  });

  test('the store sees neither credentials nor keys', async () => {
    const seen: string[] = [];
    const real = memoryIdempotencyStore();
    const { port } = await shop({
      store: storeWith({
        begin: (key, fingerprint, lease) => {
          seen.push(key, fingerprint);
          return real.begin(key, fingerprint, lease);
        },
      }),
    });
    await order(port, 'my-key', { headers: { authorization: 'Bearer secret' } });
    expect(seen).toEqual([expect.stringMatching(/^[0-9a-f]{64}$/), expect.stringMatching(/^[0-9a-f]{64}$/)]);
  });

  test('an app under a router is not taken for another one', async () => {
    const app = express();
    const guard = idempotency();
    for (const place of ['/a', '/b']) {
      const router = express.Router();
      router.post('/orders', guard, (_req, res) => void res.send(place));
      app.use(place, router);
    }
    const { port } = await serve(app);
    expect((await order(port, 'k', { path: '/a/orders' })).body).toBe('/a');
    expect((await order(port, 'k', { path: '/b/orders' })).body).toBe('/b');
  });

  test('a request that comes by twice does not find its own key taken', async () => {
    const app = express();
    const guard = idempotency();
    app.use(guard);
    app.post('/orders', guard, (_req, res) => void res.send('made'));
    const { port } = await serve(app);
    expect((await order(port, 'k')).body).toBe('made');
    expect((await order(port, 'k')).headers['idempotency-replayed']).toBe('true');
  });
});

describe('what goes wrong on the way', () => {
  test('a client that leaves and asks again gets the outcome of what it left: nothing runs twice', async () => {
    const [go, gone] = [latch(), latch()];
    const own = await shop({}, async (_req, res, run) => {
      res.once('close', () => gone.open());
      await go.opened;
      res.statusCode = 201;
      res.setHeader('location', '/orders/1');
      res.end(`run ${run}`);
    });
    const first = order(own.port, 'k');
    while ((await order(own.port, 'k')).status !== 409);
    first.leave();
    await gone.opened;
    expect((await order(own.port, 'k')).status).toBe(409);
    go.open();
    await go.opened;
    await new Promise(setImmediate);
    expect(await order(own.port, 'k')).toMatchObject({ status: 201, body: 'run 1', headers: { location: '/orders/1' } });
    expect(own).toMatchObject({ runs: 1, failures: [] });
  });

  test('a response that the server cuts off gives the key back', async () => {
    const { port } = await shop({}, (_req, res, run) => {
      if (run > 1) return res.end(`run ${run}`);
      res.write('part');
      return setImmediate(() => res.destroy());
    });
    await expect(order(port, 'k')).rejects.toThrow();
    expect((await order(port, 'k')).body).toBe('run 2');
  });

  test('a handler that throws, where the framework answers 500', async () => {
    let runs = 0;
    const app = express();
    app.post('/orders', idempotency(), async (_req, res) => {
      if (++runs === 1) throw new Error('not yet');
      res.send('made');
    });
    app.use((_error: unknown, _req: express.Request, res: express.Response, _next: express.NextFunction) => void res.sendStatus(500));
    const { port } = await serve(app);
    expect((await order(port, 'k')).status).toBe(500);
    expect((await order(port, 'k')).body).toBe('made');
  });

  test('a client that has left before the store answered: the handler does not run, and the key is free', async () => {
    const [asked, gone, go] = [latch(), latch(), latch()];
    const abandoned = latch<string>();
    const real = memoryIdempotencyStore();
    const own = await shop({
      store: storeWith({
        begin: async (...given) => {
          asked.open();
          await go.opened;
          return real.begin(...given);
        },
        abandon: (key) => abandoned.open(key),
      }),
      scope: (req) => {
        req.socket.once('close', () => gone.open());
        return undefined;
      },
    });
    const first = order(own.port, 'k');
    await asked.opened;
    first.leave();
    await gone.opened;
    go.open();
    expect(await abandoned.opened).toMatch(/^[0-9a-f]{64}$/);
    expect(own.runs).toBe(0);
  });

  test('an upload is read by the handler, whole, though the store was asked first', async () => {
    const real = memoryIdempotencyStore();
    const store = storeWith({
      begin: async (...given) => {
        await new Promise(setImmediate);
        return real.begin(...given);
      },
    });
    const { port } = await shop({ store }, async (req, res) => res.end(String((await textOf(req)).length)));
    expect((await order(port, 'k', { body: 'x'.repeat(1_000_000) })).body).toBe('1000000');
  });

  test('what the user’s functions throw goes to the error handler', async () => {
    for (const option of ['scope', 'fingerprint'] as const) {
      const own = await shop({
        [option]: () => {
          throw new Error(`no ${option}`);
        },
      });
      expect((await order(own.port, 'k')).status).toBe(500);
      expect(own.failures).toEqual([new Error(`no ${option}`)]);
      expect(own.runs).toBe(0);
    }
  });
});

test('a thousand mixed requests, a third of them cut off: each key is carried out once at a time, and none stays taken', async () => {
  const store = memoryIdempotencyStore();
  const running = new Map<string, number>();
  let [open, overlaps] = [0, 0];
  const { port } = await shop({ store, maxBytes: 5000 }, async (req, res, run) => {
    const key = req.headers['idempotency-key'] as string;
    const already = running.get(key) ?? 0;
    if (already > 0) overlaps++;
    running.set(key, already + 1);
    open++;
    for (let i = 0; i < run % 5; i++) await new Promise(setImmediate);
    running.set(key, already);
    res.statusCode = run % 7 === 0 ? 500 : 200;
    if (run % 11 === 0) res.destroy();
    else res.end('x'.repeat((run * 97) % 8000));
    open--;
  });
  const statuses = new Set<unknown>();
  for (let round = 0; round < 20; round++) {
    await Promise.all(
      Array.from({ length: 50 }, async (_, i) => {
        const asking = order(port, `k${round}-${i % 20}`);
        if (i % 3 === 0) setImmediate(() => asking.leave());
        statuses.add(await asking.then(({ status }) => status).catch(() => 'cut'));
      }),
    );
  }
  // The server may not have seen all that clients have sent: it is waited for, and never if a key stays taken.
  while (open > 0 || store.held > 0) await new Promise(setImmediate);
  expect(overlaps).toBe(0);
  expect([...statuses].filter((status) => ![200, 409, 500, 'cut'].includes(status as number))).toEqual([]);
  expect([...statuses]).toEqual(expect.arrayContaining([200, 409]));
});

describe('a store that fails', () => {
  const broken = {
    throws: () => {
      throw new Error('the store is down');
    },
    rejects: () => Promise.reject(new Error('the store is down')),
    hangs: () => new Promise<never>(() => undefined),
  };
  test.each(Object.entries(broken))('%s: closed answers 503, open carries the request out', async (_, begin) => {
    const told: unknown[] = [];
    const closed = await shop({ store: storeWith({ begin }), storeTimeout: 20, onError: (error) => told.push(error) });
    const refused = await order(closed.port, 'k');
    expect(refused).toMatchObject({ status: 503, headers: { 'retry-after': '1' } });
    expect(closed.runs).toBe(0);
    expect(told).toHaveLength(1);
    const open = await shop({ store: storeWith({ begin }), storeTimeout: 20, onStoreError: 'open' });
    expect((await order(open.port, 'k')).body).toBe('run 1');
    expect((await order(open.port, 'k')).body).toBe('run 2');
  });

  test('a key that it hands out too late is given back', async () => {
    const clock = new VirtualClock();
    const [asked, abandoned] = [latch(), latch<string>()];
    const late = latch<{ state: 'new'; token: string }>();
    const store = storeWith({
      begin: () => {
        asked.open();
        return late.opened;
      },
      abandon: (_key, token) => abandoned.open(token),
    });
    const { port } = await shop({ store, clock, storeTimeout: '1s' });
    const reply = order(port, 'k');
    await asked.opened;
    await clock.advance('1s');
    expect((await reply).status).toBe(503);
    late.open({ state: 'new', token: 'late' });
    expect(await abandoned.opened).toBe('late');
  });

  test.each(['complete', 'abandon'] as const)('%s failing costs the client nothing, and is told', async (method) => {
    const told = latch<unknown>();
    const fails = { [method]: () => Promise.reject(new Error('down')) };
    const { port } = await shop({ store: storeWith(fails), onError: told.open }, (_req, res) => {
      res.statusCode = method === 'complete' ? 200 : 500;
      res.end('done');
    });
    expect((await order(port, 'k')).body).toBe('done');
    expect(await told.opened).toEqual(new Error('down'));
  });
});

describe('time', () => {
  test('an outcome is kept for its ttl, and not longer', async () => {
    const clock = new VirtualClock();
    const { port } = await shop({ clock, ttl: '1h' });
    expect((await order(port, 'k')).body).toBe('run 1');
    await clock.advance(3_599_999);
    expect((await order(port, 'k')).body).toBe('run 1');
    await clock.advance(1);
    expect((await order(port, 'k')).body).toBe('run 2');
  });

  test('a key stays taken for as long as its client waits, and one lease after it has left', async () => {
    const clock = new VirtualClock();
    const gone = latch();
    const { port } = await shop({ clock, lease: '1m' }, (_req, res, run) => {
      if (run === 1) res.once('close', () => gone.open());
      else res.end(`run ${run}`);
    });
    const first = order(port, 'k');
    while ((await order(port, 'k')).status !== 409);
    await clock.advance('10m');
    expect((await order(port, 'k')).status).toBe(409);
    first.leave();
    await gone.opened;
    await clock.advance('29s');
    expect((await order(port, 'k')).status).toBe(409);
    await clock.advance('31s');
    expect((await order(port, 'k')).body).toBe('run 2');
  });

  test('no timer is left when nothing is on its way', async () => {
    const clock = new VirtualClock();
    const { port } = await shop({ clock });
    await order(port, 'k');
    await order(port, 'k');
    expect(clock.pending).toBe(0);
  });
});

test.each([
  [{ methods: [] }, 'methods'],
  [{ methods: ['PO ST'] }, 'methods'],
  [{ lease: 0 }, 'lease'],
  [{ maxBytes: '1tb' as never }, 'maxBytes'],
  [{ store: {} as never }, 'store'],
  [{ onStoreError: 'local' as never }, 'onStoreError'],
  [{ keyGenerator: 1 } as never, 'keyGenerator'],
])('options that cannot work are refused at once: %j', (options, path) => {
  expect(() => idempotency(options)).toThrow(expect.objectContaining({ code: 'ERR_OPTIONS', path: `idempotency.${path}` }) as Error);
});
