import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { type RequestListener, type Server } from 'node:http';
import { type AddressInfo, type Socket, createServer } from 'node:net';
import { bulkhead, circuitBreaker, presets, retry } from 'breakwater';
import { type FetchOptions, type GuardedFetch, type Guarding, wrapFetch } from 'breakwater/fetch';
import { Agent, Response as UndiciResponse, fetch as undiciFetch } from 'undici';
import { afterEach, describe, expect, onTestFinished, test } from 'vitest';
import { latch, serve } from '../http/serving.ts';

const atOnce = { backoff: { delay: 0, jitter: 'none' } } as const;

/** Every test has connections of its own. */
function guardedOn(policies: Guarding | undefined, options: FetchOptions = {}, connections: number | null = null): GuardedFetch {
  const dispatcher = new Agent({ connections });
  onTestFinished(() => dispatcher.destroy());
  const transport: NonNullable<FetchOptions['fetch']> = (input, init) =>
    globalThis.fetch(input, { ...init, dispatcher: dispatcher as never });
  return wrapFetch(policies, { fetch: transport, ...options });
}

/** A server with the number of connections made to it. */
async function counting(listener: RequestListener): Promise<{ url: string; server: Server; connections: () => number }> {
  let made = 0;
  const { port, server } = await serve(listener);
  server.on('connection', () => made++);
  return { url: `http://127.0.0.1:${port}/`, server, connections: () => made };
}

/** A server that speaks no HTTP but what the test has it say. */
async function raw(spoken: (socket: Socket, nth: number) => void): Promise<string> {
  let nth = 0;
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.once('data', () => spoken(socket, ++nth));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
}

describe('a service that fails now and then', () => {
  test('503 twice, then an answer: one connection is enough, for what was thrown away was read to its end', async () => {
    let asked = 0;
    const { url, connections } = await counting((_, res) => {
      asked++;
      res.writeHead(asked < 3 ? 503 : 200, { 'content-length': 10_000 }).end('x'.repeat(10_000));
    });
    const response = await guardedOn([retry(atOnce)], {}, 1)(url);
    expect([response.status, (await response.text()).length, asked, connections()]).toEqual([200, 10_000, 3, 1]);
  });

  test('an answer that is thrown away and too long to be read ends its connection', async () => {
    let asked = 0;
    const closed = latch();
    const { url, connections } = await counting((_, res) => {
      asked++;
      res.writeHead(asked < 2 ? 503 : 200);
      if (asked === 1) {
        res.on('close', closed.open);
        res.write('and so on');
      } else res.end('ok');
    });
    const response = await guardedOn([retry(atOnce)])(url);
    expect(await response.text()).toBe('ok');
    expect(connections()).toBeGreaterThan(1);
    await closed.opened;
  });

  test('a connection that is reset before the answer', async () => {
    const url = await raw((socket, nth) => {
      if (nth < 3) socket.resetAndDestroy();
      else socket.end('HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok');
    });
    const response = await guardedOn([retry(atOnce)])(url);
    expect(await response.text()).toBe('ok');
  });

  test('a connection that is refused, with a body that could not be sent twice', async () => {
    const { url, server } = await counting((req, res) => req.pipe(res));
    const { port } = server.address() as AddressInfo;
    server.close();
    await once(server, 'close');
    let refused = 0;
    const sent = guardedOn([retry({ backoff: { delay: 1, jitter: 'none' }, maxAttempts: 50 })], {
      fetch: async (input, init) =>
        await fetch(input, init).catch(async (error: unknown) => {
          if (++refused === 1) {
            server.listen(port, '127.0.0.1');
            await once(server, 'listening');
          }
          throw error;
        }),
    })(url, { method: 'POST', body: ReadableStream.from([Buffer.from('some '), Buffer.from('body')]) as ReadableStream, duplex: 'half' });
    expect([await (await sent).text(), refused]).toEqual(['some body', 1]);
  });

  test('the last 503 comes with its body', async () => {
    const { url } = await counting((_, res) => void res.writeHead(503, { 'content-type': 'application/json' }).end('{"why":"busy"}'));
    const response = await guardedOn(presets.http({ retry: atOnce }))(url);
    expect([response.status, await response.json()]).toEqual([503, { why: 'busy' }]);
  });
});

describe('bodies', () => {
  test('half of one, then a reset: the reader is told, the gates are told, nothing is sent again', async () => {
    let asked = 0;
    const url = await raw((socket) => {
      asked++;
      socket.write('HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf', () => socket.resetAndDestroy());
    });
    const circuit = circuitBreaker({ consecutiveFailures: 1 });
    const guarded = guardedOn([retry(atOnce), circuit]);
    await expect((await guarded(url)).text()).rejects.toThrow(TypeError);
    expect([asked, circuit.state, guarded.pipeline.snapshot().active]).toEqual([1, 'open', 0]);
  });

  test('one that comes chunk by chunk holds its slot until the last', async () => {
    const more = latch();
    const { url } = await counting((_, res) => {
      res.write('first,');
      void more.opened.then(() => res.end('last'));
    });
    const slots = bulkhead({ maxConcurrent: 1 });
    const response = await guardedOn([slots])(url);
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    const { value } = await reader.read();
    expect([Buffer.from(value as Uint8Array).toString(), slots.active]).toEqual(['first,', 1]);
    more.open();
    let text = '';
    for (let chunk = await reader.read(); !chunk.done; chunk = await reader.read()) text += Buffer.from(chunk.value).toString();
    expect([text, slots.active]).toEqual(['last', 0]);
  });

  test('a long one arrives as it was sent', async () => {
    const sent = Buffer.alloc(5_000_000, 'some text of a length that is no power of two; ');
    const { url } = await counting((_, res) => res.end(sent));
    const received = Buffer.from(await (await guardedOn(presets.http())(url)).arrayBuffer());
    expect(createHash('sha256').update(received).digest('hex')).toBe(createHash('sha256').update(sent).digest('hex'));
  });

  test('an upload as a stream arrives as it was sent, also the second time', async () => {
    const sent = Buffer.alloc(60_000, 'upload, ');
    const digests: string[] = [];
    const { url } = await counting((req, res) => {
      const digest = createHash('sha256');
      req.on('data', (chunk: Buffer) => digest.update(chunk));
      req.on('end', () => {
        digests.push(digest.digest('hex'));
        res.writeHead(digests.length === 1 ? 503 : 201).end();
      });
    });
    async function* chunks(): AsyncGenerator<Buffer> {
      for (let at = 0; at < sent.length; at += 7000) yield sent.subarray(at, at + 7000);
    }
    const init = { method: 'PUT', body: chunks() as unknown as ReadableStream, duplex: 'half' } as const;
    const response = await guardedOn([retry(atOnce)])(url, init);
    expect(response.status).toBe(201);
    expect(digests).toEqual(Array(2).fill(createHash('sha256').update(sent).digest('hex')));
  });

  test('HEAD, 204 and 304 hold nothing', async () => {
    const { url } = await counting((req, res) => {
      if (req.url === '/head') res.writeHead(200, { 'content-length': 5 }).end();
      else res.writeHead(Number(req.url?.slice(1))).end();
    });
    const slots = bulkhead({ maxConcurrent: 1 });
    const guarded = guardedOn([slots]);
    expect((await guarded(`${url}head`, { method: 'HEAD' })).headers.get('content-length')).toBe('5');
    expect(slots.active).toBe(0);
    for (const status of [204, 304]) expect((await guarded(`${url}${status}`)).status).toBe(status);
    expect(slots.active).toBe(0);
  });
});

describe('time', () => {
  test('a head that takes too long ends its connection, and the next attempt has another', async () => {
    let asked = 0;
    const closed = latch();
    const { url } = await counting((_, res) => {
      if (++asked === 1) res.on('close', closed.open);
      else res.end('ok');
    });
    const response = await guardedOn([retry(atOnce)], { phases: { headers: 50 } })(url);
    expect(await response.text()).toBe('ok');
    await closed.opened;
  });

  test('a body that stops coming ends its connection', async () => {
    const closed = latch();
    const { url } = await counting((_, res) => {
      res.on('close', closed.open);
      res.write('half');
    });
    const guarded = guardedOn([], { phases: { bodyIdle: 50 } });
    await expect((await guarded(url)).text()).rejects.toMatchObject({ code: 'ERR_TIMEOUT', phase: 'body-idle' });
    await closed.opened;
    expect(guarded.pipeline.snapshot().active).toBe(0);
  });

  test("the caller's abort ends the connection in every phase, with the caller's own reason", async () => {
    for (const phase of ['head', 'body'] as const) {
      const arrived = latch();
      const closed = latch();
      const { url } = await counting((_, res) => {
        res.on('close', closed.open);
        if (phase === 'body') res.write('half');
        arrived.open();
      });
      const controller = new AbortController();
      const guarded = guardedOn(presets.http());
      const text = guarded(url, { signal: controller.signal }).then((response) => response.text());
      await arrived.opened;
      controller.abort('enough');
      await expect(text).rejects.toBe('enough');
      await closed.opened;
      expect(guarded.pipeline.snapshot().active).toBe(0);
    }
  });
});

describe('redirects', () => {
  test("are followed by fetch: a stranger does not get the caller's credentials", async () => {
    const seen: (string | undefined)[] = [];
    const stranger = await counting((req, res) => {
      seen.push(req.headers.authorization, req.headers.cookie);
      res.end('stranger');
    });
    const { url } = await counting((_, res) => res.writeHead(302, { location: stranger.url }).end());
    const response = await guardedOn([retry(atOnce)])(url, { headers: { authorization: 'Bearer secret', cookie: 'a=b' } });
    expect([await response.text(), response.url, response.redirected]).toEqual(['stranger', stranger.url, true]);
    expect(seen).toEqual([undefined, undefined]);
  });

  test('are left to the caller who says so', async () => {
    const { url } = await counting((_, res) => res.writeHead(302, { location: '/x' }).end());
    const response = await guardedOn([])(url, { redirect: 'manual' });
    expect([response.status, response.headers.get('location')]).toEqual([302, '/x']);
    await expect(guardedOn([])(url, { redirect: 'error' })).rejects.toThrow(TypeError);
  });
});

test("undici's own fetch does as well, and its response is one of undici's", async () => {
  const { url } = await counting((_, res) => res.end('ok'));
  const agent = new Agent();
  onTestFinished(() => agent.destroy());
  const transport = (input: unknown, init: object = {}): unknown => undiciFetch(input as string, { ...init, dispatcher: agent });
  const response = await wrapFetch(presets.http(), { fetch: transport as typeof fetch })(url);
  expect([response instanceof UndiciResponse, await response.text()]).toEqual([true, 'ok']);
});

describe('a thousand requests of every kind', () => {
  const rejections: unknown[] = [];
  const note = (reason: unknown): void => void rejections.push(reason);
  afterEach(() => void process.off('unhandledRejection', note));

  test(
    'leave nothing: no call under way, no slot taken, no socket in use, no rejection that nobody heard',
    { timeout: 90_000 },
    async () => {
      process.on('unhandledRejection', note);
      const callers = new Map<string, AbortController>();
      const underway = new Set<unknown>();
      const { url } = await counting((req, res) => {
        underway.add(res);
        res.on('close', () => underway.delete(res));
        res.on('error', () => undefined);
        const [, kind, number = ''] = (req.url ?? '').split('/');
        if (kind === '0') res.writeHead(503, { 'content-length': 4 }).end('busy');
        else if (kind === '1') req.socket.destroy();
        else if (kind === '2') res.writeHead(200, { 'content-length': 100 }).write('half', () => req.socket.destroy());
        else if (kind === '3') callers.get(number)?.abort(number);
        else if (kind === '4') res.write('never ends');
        else if (kind === '5') res.writeHead(429, { 'retry-after': '0' }).end('x'.repeat(200_000));
        else if (kind === '6') res.writeHead(204).end();
        else req.pipe(res);
      });
      const slots = bulkhead({ maxConcurrent: 20, maxQueue: 1000 });
      const guarded = guardedOn([retry({ ...atOnce, maxAttempts: 2 }), slots], { phases: { bodyIdle: 100 } });
      const one = async (i: number): Promise<void> => {
        const kind = i % 10;
        const controller = new AbortController();
        callers.set(String(i), controller);
        const init: RequestInit = { signal: controller.signal, ...(kind > 6 && { method: 'POST', body: `request ${i}` }) };
        if (i % 7 === 0) controller.abort(i);
        const response = await guarded(`${url}${kind}/${i}`, init);
        if (i % 11 === 0) controller.abort(i);
        if (i % 3 === 0) await response.body?.cancel();
        else if (i % 3 === 1) await response.text();
        else if (kind === 4) unread.push(response);
      };
      const unread: Response[] = [];
      let next = 0;
      let done = 0;
      const worker = async (): Promise<void> => {
        while (next < 1000)
          await one(next++).then(
            () => done++,
            () => undefined,
          );
      };
      await Promise.all(Array.from({ length: 40 }, worker));
      expect(done).toBeGreaterThan(300);
      // Those that nobody reads are let go when time is up; what their servers still send is theirs who hold them.
      await expect.poll(() => [guarded.pipeline.snapshot().active, slots.active, slots.queued], { timeout: 20_000 }).toEqual([0, 0, 0]);
      for (const response of unread) await response.body?.cancel().catch(() => undefined);
      await expect.poll(() => underway.size, { timeout: 20_000 }).toBe(0);
      expect(rejections).toEqual([]);
      await guarded.pipeline.close();
    },
  );
});
