import { once } from 'node:events';
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import axios, { AxiosError, type AxiosInstance, type CreateAxiosDefaults } from 'axios';
import { CircuitOpenError, type GatePolicy, bulkhead, circuitBreaker, perKey, retry, timeout } from 'breakwater';
import { type AdapterOptions, type GuardedAdapter, adapter } from 'breakwater/axios';
import { describe, expect, test } from 'vitest';
import { type Books, books, latch, serve } from '../http/serving.ts';
import { busy, fine, reset, script, troubled, unconnected } from './scripted-service.ts';

const quick = retry({ maxAttempts: 3, backoff: { delay: 1 }, budget: false });

interface Served {
  readonly client: AxiosInstance;
  readonly guarded: GuardedAdapter;
  readonly account: Books;
}

async function served(
  listener: RequestListener,
  policies: readonly unknown[] = [],
  options?: AdapterOptions,
  defaults?: CreateAxiosDefaults,
): Promise<Served> {
  const { port } = await serve(listener);
  const account = books();
  const guarded = adapter([...(policies as readonly GatePolicy[]), account.policy], options);
  return { client: axios.create({ baseURL: `http://127.0.0.1:${port}`, ...defaults, adapter: guarded }), guarded, account };
}

describe('attempts', () => {
  test('the answer is that of the attempt that went well', async () => {
    const service = script(busy, reset, fine);
    const { client, account } = await served(service, [quick]);
    const { status, data, config } = await client.get<object>('/stock');
    expect([status, data, config.url, config.signal, service.calls]).toEqual([200, { pieces: 7 }, '/stock', undefined, 3]);
    expect(account.verdicts).toEqual(['failure', 'failure', 'success']);
  });

  test('trap: interceptors and transformations run once, not once for each attempt', async () => {
    const service = script(busy, busy, fine);
    const { client } = await served(service, [quick]);
    const ran: string[] = [];
    client.interceptors.request.use((config) => (ran.push('request'), config));
    client.interceptors.response.use((response) => (ran.push('response'), response));
    await client.put('/stock', { pieces: 7 }, { transformRequest: (data) => (ran.push('transform'), JSON.stringify(data)) });
    expect([ran, service.calls]).toEqual([['request', 'transform', 'response'], 3]);
    expect(service.bodies).toEqual(['{"pieces":7}', '{"pieces":7}', '{"pieces":7}']);
  });

  test.each([
    ['https://friend.example/x', {}, 'https://friend.example'],
    ['https://friend.example/x', { allowAbsoluteUrls: false }, 'http://own.example'],
    ['https://friend.example/x', { allowAbsoluteUrls: false, params: { a: 1 } }, 'http://own.example'],
    ['//friend.example/x', {}, 'http://friend.example'],
    ['//friend.example/x', { allowAbsoluteUrls: false }, 'http://own.example'],
    ['/x', {}, 'http://own.example'],
    ['', {}, 'http://own.example'],
  ])('trap: %s with %j goes to where axios sends it', async (url, config, origin) => {
    const origins: string[] = [];
    const guarded = adapter([], {
      adapter: async (sent) => ({ data: '', status: 200, statusText: '', headers: {}, config: sent }),
      key: (request) => (origins.push(request.url.origin), undefined),
    });
    await axios.create({ baseURL: 'http://own.example/api/', adapter: guarded }).get(url, config);
    expect(origins).toEqual([origin]);
  });

  test('none went well: the AxiosError is as ever', async () => {
    const service = script(busy);
    const { client } = await served(service, [quick]);
    const error: unknown = await client.get('/stock').catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(AxiosError);
    expect(error).toMatchObject({ code: 'ERR_BAD_RESPONSE', response: { status: 503, data: 'busy' }, config: { url: '/stock' } });
    expect(service.calls).toBe(3);
  });

  test('a 404 is an answer: it rejects, is not tried again and opens no circuit', async () => {
    const breaker = circuitBreaker({ consecutiveFailures: 1 });
    const service = script((_req, res) => res.writeHead(404).end());
    const { client } = await served(service, [quick, breaker]);
    await expect(client.get('/nothing')).rejects.toMatchObject({ response: { status: 404 } });
    expect([service.calls, breaker.state]).toEqual([1, 'closed']);
  });

  test('a 503 that validateStatus takes is tried again as well, and is an answer in the end', async () => {
    const service = script(busy);
    const { client } = await served(service, [quick], {}, { validateStatus: () => true });
    expect((await client.get('/stock')).status).toBe(503);
    expect(service.calls).toBe(3);
  });

  test('a POST is not repeated, unless it says that it may be', async () => {
    const service = script(busy, fine, busy, fine);
    const { client } = await served(service, [quick]);
    await expect(client.post('/orders', 'one')).rejects.toThrow('503');
    expect((await client.post('/orders', 'one')).status).toBe(200);
    expect((await client.post('/orders', 'two', { breakwater: { idempotencyKey: 'k-2' } })).status).toBe(200);
    expect(service.bodies).toEqual(['one', 'one', 'two', 'two']);
  });

  test('trap: a stream cannot be sent twice; a short one is kept, a long one is sent once', async () => {
    const service = script(busy, fine, busy, fine);
    const { client } = await served(service, [quick], { maxReplayBytes: 4 });
    expect((await client.put('/stock', Readable.from(['se', 'v']))).status).toBe(200);
    await expect(client.put('/stock', Readable.from(['sev', 'en']))).rejects.toThrow('503');
    expect(service.bodies).toEqual(['sev', 'sev', 'seven']);
  });
});

describe('ends', () => {
  test('refusals and time-outs reject as they are', async () => {
    const { client } = await served(() => undefined, [circuitBreaker({ consecutiveFailures: 1 }), timeout({ after: 30 })]);
    await expect(client.get('/stock')).rejects.toMatchObject({ code: 'ERR_TIMEOUT' });
    await expect(client.get('/stock')).rejects.toBeInstanceOf(CircuitOpenError);
  });

  test.each(['signal', 'cancelToken'])(
    "an abort by the caller's %s rejects as in axios, closes the connection and counts for nothing",
    async (by) => {
      const arrived = latch<IncomingMessage>();
      const { client, account } = await served((req) => arrived.open(req), [quick]);
      const leaving = new AbortController();
      const source = axios.CancelToken.source();
      const reply = client.get('/stock', by === 'signal' ? { signal: leaving.signal } : { cancelToken: source.token });
      const gone = once((await arrived.opened).socket, 'close');
      leaving.abort();
      source.cancel('gone');
      expect(axios.isCancel(await reply.catch((error: unknown) => error))).toBe(true);
      await gone;
      await account.quiet();
      expect(account.verdicts).toEqual(['ignored']);
    },
  );

  test("axios's own timeout bounds each attempt", async () => {
    const service = script(() => undefined, fine);
    const { client } = await served(service, [quick], {}, { timeout: 50 });
    expect((await client.get('/stock')).status).toBe(200);
    expect(service.calls).toBe(2);
  });

  test('one request says for itself how long it has and what it is about', async () => {
    const { client } = await served(() => undefined, [perKey(() => bulkhead({ maxConcurrent: 1 }))]);
    await expect(client.get('/stock', { breakwater: { deadline: 30, key: 'slow' } })).rejects.toMatchObject({ code: 'ERR_TIMEOUT' });
  });

  test('a stream is over at its end, and policies are told then', async () => {
    const halfway = latch<ServerResponse>();
    const { client, account, guarded } = await served((_req, res) => {
      res.write('first ');
      halfway.open(res);
    });
    const { data } = await client.get<Readable>('/stock', { responseType: 'stream' });
    expect([account.verdicts, guarded.pipeline.snapshot().active]).toEqual([[], 1]);
    (await halfway.opened).end('last');
    let text = '';
    for await (const chunk of data) text += String(chunk);
    await account.quiet();
    expect([text, account.verdicts, guarded.pipeline.snapshot().active]).toEqual(['first last', ['success'], 0]);
  });

  test('a stream that breaks off is a failure, and one that takes too long is cut', async () => {
    const { client, account } = await served((req, res) => {
      res.writeHead(200, { 'content-length': '100' }).write('half');
      if (req.url === '/broken') setTimeout(() => res.destroy(), 10);
    });
    for (const [path, deadline] of [
      ['/broken', 5000],
      ['/slow', 60],
    ] as const) {
      const { data } = await client.get<Readable>(path, { responseType: 'stream', breakwater: { deadline } });
      await expect(data.toArray()).rejects.toThrow();
    }
    await account.quiet();
    expect(account.verdicts).toEqual(['failure', 'failure']);
  });

  test('streams of attempts that were followed by others are let go', async () => {
    const closed = latch();
    const service = script((_req, res) => {
      res.once('close', () => closed.open());
      res.writeHead(503).write('busy and more to come');
    }, fine);
    const { client } = await served(service, [quick]);
    const { data } = await client.get<Readable>('/stock', { responseType: 'stream' });
    expect(String((await data.toArray())[0])).toBe('{"pieces":7}');
    await closed.opened;
  });
});

test('services of ours are told what is left, and what was given wrong is told where', async () => {
  const seen: unknown[] = [];
  const service = script(
    (req, res) => {
      seen.push(req.headers['x-request-attempt'], Number(req.headers['x-request-deadline']) > 0);
      return busy(req, res);
    },
    (req, res) => {
      seen.push(req.headers['x-request-attempt']);
      return fine(req, res);
    },
  );
  const { client } = await served(service, [quick], { propagate: true, deadline: '5s' });
  await client.get('/stock');
  expect(seen).toEqual([undefined, true, '1']);
  expect(() => adapter([], { adaptor: 'http' } as never)).toThrow('adapter');
});

test('400 mixed requests end with none under way and no connection open', { timeout: 60_000 }, async () => {
  const { port, server } = await serve(troubled());
  const guarded = adapter([
    retry({ maxAttempts: 2, backoff: { delay: 1 }, budget: false }),
    bulkhead({ maxConcurrent: 30, maxQueue: 1000 }),
  ]);
  const client = axios.create({ baseURL: `http://127.0.0.1:${port}`, adapter: guarded });
  await Promise.all(
    Array.from({ length: 400 }, async (_, i) => {
      const leaving = new AbortController();
      if (i % 11 === 0) setTimeout(() => leaving.abort(), i % 13);
      try {
        const { data } = await client.request<unknown>({ signal: leaving.signal, responseType: i % 3 === 0 ? 'stream' : 'text' });
        if (data instanceof Readable) await data.toArray();
      } catch {
        // Counted by the gates.
      }
    }),
  );
  await expect.poll(() => guarded.pipeline.snapshot().active).toBe(0);
  server.closeIdleConnections();
  await unconnected(server);
});
