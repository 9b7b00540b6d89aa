import { once } from 'node:events';
import { type AddressInfo, type Socket, createServer } from 'node:net';
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { Readable, Writable } from 'node:stream';
import {
  CircuitOpenError,
  type GatePolicy,
  type Policy,
  bulkhead,
  circuitBreaker,
  fallback,
  hedge,
  perKey,
  retry,
  timeout,
} from 'breakwater';
import { type Interceptor, type InterceptorOptions, interceptor, requestOptions } from 'breakwater/undici';
import { Agent, Client, type Dispatcher, MockAgent, Pool, fetch as undiciFetch, interceptors, pipeline, request, stream } from 'undici';
import { describe, expect, onTestFinished, test } from 'vitest';
import { type Books, books, latch, serve } from '../http/serving.ts';
import { busy, reset, script, troubled, unconnected } from './scripted-service.ts';

/** What came back. */
interface Reply {
  readonly status: number;
  readonly text: string;
}
type Send = (url: string, dispatcher: Dispatcher, method?: Dispatcher.HttpMethod, body?: string) => Promise<Reply>;

/** Everything that undici and Node send requests with. */
const ways: readonly (readonly [string, Send])[] = [
  [
    'request',
    async (url, dispatcher, method = 'GET', body) => {
      const answer = await request(url, { dispatcher, method, body: body ?? null });
      return { status: answer.statusCode, text: await answer.body.text() };
    },
  ],
  [
    'stream',
    async (url, dispatcher, method = 'GET', body) => {
      let [status, text] = [0, ''];
      await stream(url, { dispatcher, method, body: body ?? null }, ({ statusCode }) => {
        status = statusCode;
        return new Writable({
          write: (chunk: Buffer, _encoding, done) => {
            text += chunk.toString();
            done();
          },
        });
      });
      return { status, text };
    },
  ],
  [
    'pipeline',
    async (url, dispatcher, method = 'GET', body) => {
      let [status, text] = [0, ''];
      const duplex = pipeline(url, { dispatcher, method }, (answer) => {
        status = answer.statusCode;
        return answer.body;
      });
      duplex.end(body);
      for await (const chunk of duplex) text += String(chunk);
      return { status, text };
    },
  ],
  [
    "undici's fetch",
    async (url, dispatcher, method = 'GET', body) => {
      const answer = await undiciFetch(url, { dispatcher, method, body: body ?? null });
      return { status: answer.status, text: await answer.text() };
    },
  ],
  [
    'the global fetch',
    async (url, dispatcher, method = 'GET', body) => {
      const answer = await fetch(url, { dispatcher: dispatcher as never, method, body: body ?? null });
      return { status: answer.status, text: await answer.text() };
    },
  ],
];

const quick = retry({ maxAttempts: 3, backoff: { delay: 1 }, budget: false });

type Layers = readonly GatePolicy[] | readonly Policy<never, unknown>[];

/** A service, and an agent with an interceptor in front of it. */
interface Served {
  readonly url: string;
  readonly dispatcher: Dispatcher;
  readonly agent: Agent;
  readonly guarded: Interceptor;
  readonly account: Books;
}

async function served(listener: RequestListener, policies: Layers = [], options?: InterceptorOptions): Promise<Served> {
  const { port } = await serve(listener);
  return { url: `http://127.0.0.1:${port}/`, ...guarding(policies, options) };
}

function guarding(policies: Layers, options?: InterceptorOptions): Omit<Served, 'url'> {
  const account = books();
  const guarded = interceptor([...policies, account.policy], options);
  const agent = new Agent();
  onTestFinished(() => agent.destroy());
  return { dispatcher: agent.compose(guarded), agent, guarded, account };
}

/** Where nobody listens. */
async function nobody(): Promise<string> {
  const free = createServer().listen(0, '127.0.0.1');
  await once(free, 'listening');
  const { port } = free.address() as AddressInfo;
  free.close();
  await once(free, 'close');
  return `http://127.0.0.1:${port}/`;
}

const fine = (_req: IncomingMessage, res: ServerResponse): unknown => res.end('fine');

describe.each(ways)('%s', (_, send) => {
  test('gets the answer of the attempt that went well, and nothing of those before', async () => {
    const service = script(busy, reset, fine);
    const { url, dispatcher, account } = await served(service, [quick]);
    expect(await send(url, dispatcher)).toEqual({ status: 200, text: 'fine' });
    expect(service.calls).toBe(3);
    await account.quiet();
    expect(account.entered).toBe(3);
  });

  test('gets the last answer as it is when none went well', async () => {
    const service = script(busy);
    const { url, dispatcher } = await served(service, [quick]);
    expect(await send(url, dispatcher)).toEqual({ status: 503, text: 'busy' });
    expect(service.calls).toBe(3);
  });

  test('sends a body again with every attempt', async () => {
    const service = script(busy, reset, fine);
    const { url, dispatcher } = await served(service, [quick]);
    expect(await send(url, dispatcher, 'PUT', 'seven')).toEqual({ status: 200, text: 'fine' });
    expect(service.bodies).toEqual(['seven', 'seven', 'seven']);
  });

  test('does not send a POST again', async () => {
    const service = script(busy, fine);
    const { url, dispatcher } = await served(service, [quick]);
    expect(await send(url, dispatcher, 'POST', 'seven')).toEqual({ status: 503, text: 'busy' });
    expect(service.bodies).toEqual(['seven']);
  });

  test('rejects with a refusal', async () => {
    const { dispatcher, guarded } = guarding([circuitBreaker({ consecutiveFailures: 1 })]);
    const url = await nobody();
    await expect(send(url, dispatcher)).rejects.toThrow();
    const reason = (await send(url, dispatcher).catch((error: unknown) => error)) as Error;
    expect(reason instanceof CircuitOpenError ? reason : reason.cause).toBeInstanceOf(CircuitOpenError);
    expect(guarded.pipeline.snapshot().active).toBe(0);
  });

  test('a body that comes in pieces is there in full, and then gates are told', async () => {
    const halfway = latch<ServerResponse>();
    const { url, dispatcher, account, guarded } = await served((_req, res) => {
      res.write('first ');
      halfway.open(res);
    });
    const reply = send(url, dispatcher);
    const res = await halfway.opened;
    // Long enough for the head of the answer to be there by itself.
    await new Promise((resolve) => setTimeout(resolve, 60));
    expect([account.entered, account.verdicts, guarded.pipeline.snapshot().active]).toEqual([1, [], 1]);
    res.end('last');
    expect(await reply).toEqual({ status: 200, text: 'first last' });
    await account.quiet();
    expect([account.verdicts, guarded.pipeline.snapshot().active]).toEqual([['success'], 0]);
  });

  test('a body that breaks off is a failure, and nobody tries again', async () => {
    const service = script((_req, res) => {
      res.writeHead(200, { 'content-length': '100' }).write('half of it');
      setImmediate(() => res.destroy());
    });
    const { url, dispatcher, account, guarded } = await served(service, [quick]);
    await expect(send(url, dispatcher)).rejects.toThrow();
    await account.quiet();
    expect([service.calls, account.verdicts, guarded.pipeline.snapshot().active]).toEqual([1, ['failure'], 0]);
  });
});

describe('time', () => {
  test('an attempt that takes too long is aborted, and its connection closed', async () => {
    const gone = latch();
    const { url, dispatcher } = await served((req) => req.socket.once('close', () => gone.open()), [timeout({ after: 30 })]);
    await expect(request(url, { dispatcher })).rejects.toMatchObject({ code: 'ERR_TIMEOUT' });
    await gone.opened;
  });

  test('the deadline covers the body', async () => {
    const { url, dispatcher, account, guarded } = await served((_req, res) => void res.write('first'), [], { deadline: 60 });
    const { statusCode, body } = await request(url, { dispatcher });
    expect(statusCode).toBe(200);
    await expect(body.text()).rejects.toMatchObject({ code: 'ERR_TIMEOUT' });
    await account.quiet();
    expect([account.verdicts, guarded.pipeline.snapshot().active]).toEqual([['failure'], 0]);
  });

  test("undici's own phases are known for what they are", async () => {
    const { url, account, guarded } = await served(() => undefined);
    const hasty = new Agent({ headersTimeout: 1 });
    onTestFinished(() => hasty.destroy());
    await expect(request(url, { dispatcher: hasty.compose(guarded) })).rejects.toMatchObject({ code: 'UND_ERR_HEADERS_TIMEOUT' });
    expect(account.verdicts).toEqual(['failure']);
  });

  test('one request may say how long it has, and what it is about', async () => {
    const { url, dispatcher } = await served(() => undefined, [perKey(() => bulkhead({ maxConcurrent: 1 }))]);
    const slow = request(url, { dispatcher, ...requestOptions({ deadline: 50, key: 'slow' }) });
    await expect(slow).rejects.toMatchObject({ code: 'ERR_TIMEOUT' });
  });
});

describe('callers who leave', () => {
  test('before the answer: the request is aborted and counts for nothing', async () => {
    const arrived = latch<Socket>();
    const { url, dispatcher, account } = await served((req) => arrived.open(req.socket), [quick]);
    const leaving = new AbortController();
    const reply = request(url, { dispatcher, signal: leaving.signal });
    const gone = once(await arrived.opened, 'close');
    leaving.abort(new Error('gone'));
    await expect(reply).rejects.toThrow('gone');
    await gone;
    expect([account.entered, account.verdicts]).toEqual([1, ['ignored']]);
  });

  test('while they wait in line: they are out of it in the same tick', async () => {
    const { url, dispatcher, guarded } = await served(() => undefined, [bulkhead({ maxConcurrent: 1, maxQueue: 5 })]);
    request(url, { dispatcher }).catch(() => undefined);
    const leaving = new AbortController();
    const reply = request(url, { dispatcher, signal: leaving.signal });
    leaving.abort(new Error('gone'));
    await expect(reply).rejects.toThrow('gone');
    expect(guarded.pipeline.snapshot().active).toBe(1);
  });

  test('in the middle of the body: its connection is closed and its permit is back', async () => {
    const closed = latch();
    const { url, dispatcher, account, guarded } = await served((_req, res) => {
      res.write('first');
      res.once('close', () => closed.open());
    });
    const { body } = await request(url, { dispatcher });
    body.on('error', () => undefined);
    body.destroy();
    await closed.opened;
    await account.quiet();
    expect([account.verdicts, guarded.pipeline.snapshot().active]).toEqual([['ignored'], 0]);
  });

  test('trap: a body that nobody reads does not keep its permit for ever', async () => {
    const { url, dispatcher, account } = await served((_req, res) => res.end(Buffer.alloc(5_000_000)), [], { bodyIdle: 30 });
    const { body } = await request(url, { dispatcher });
    await account.quiet();
    expect(account.verdicts).toEqual(['success']);
    expect((await body.arrayBuffer()).byteLength).toBe(5_000_000);
  });
});

describe('bodies of requests', () => {
  const put = (url: string, dispatcher: Dispatcher, size: number, method: Dispatcher.HttpMethod = 'PUT') =>
    request(url, { dispatcher, method, body: Readable.from(pieces(size)) });
  function* pieces(size: number): Generator<Buffer> {
    for (let left = size; left > 0; left -= 1000) yield Buffer.alloc(Math.min(left, 1000), 'x');
  }

  test('trap: a stream cannot be sent twice; a short one is kept and is', async () => {
    const service = script(busy, fine);
    const { url, dispatcher } = await served(service, [quick]);
    const { statusCode } = await put(url, dispatcher, 5000);
    expect([statusCode, service.bodies.map(({ length }) => length)]).toEqual([200, [5000, 5000]]);
  });

  test('a long one is sent once', async () => {
    const service = script(busy, fine);
    const { url, dispatcher } = await served(service, [quick], { maxReplayBytes: 4000 });
    const { statusCode } = await put(url, dispatcher, 5000);
    expect([statusCode, service.bodies.map(({ length }) => length)]).toEqual([503, [5000]]);
  });

  test('one that never reached the service is sent to it in full with the next attempt', async () => {
    const url = await nobody();
    const port = Number(new URL(url).port);
    const { dispatcher, guarded } = guarding([retry({ maxAttempts: 2, backoff: { delay: 40, jitter: 'none' }, budget: false })]);
    const service = script(fine);
    guarded.pipeline.on('retry.scheduled', () => {
      void serve(() => undefined).then(({ server }) => {
        server.removeAllListeners('request');
        server.on('request', service);
        server.close(() => server.listen(port, '127.0.0.1'));
      });
    });
    const { statusCode } = await put(url, dispatcher, 5000, 'POST');
    expect([statusCode, service.bodies.map(({ length }) => length)]).toEqual([200, [5000]]);
  });
});

describe('interceptors', () => {
  test('HEAD, 204 and 304 have no body and settle', async () => {
    const statuses: Readonly<Record<string, number>> = { '/204': 204, '/304': 304 };
    const { url, dispatcher, account } = await served((req, res) =>
      res.writeHead(statuses[req.url ?? ''] ?? 200, req.method === 'HEAD' ? { 'content-length': '5' } : {}).end(),
    );
    for (const path of ['204', '304']) await (await request(`${url}${path}`, { dispatcher })).body.dump();
    await request(url, { dispatcher, method: 'HEAD' });
    await account.quiet();
    expect(account.verdicts).toEqual(['success', 'success', 'success']);
  });

  test('a hedge gets the answer of whoever is first, and the other is aborted', async () => {
    const lost = latch();
    const service = script(
      (req) => req.socket.once('close', () => lost.open()),
      (_req, res) => res.end('second'),
    );
    const { url, dispatcher, guarded } = await served(service, [hedge({ delay: 10, budget: false })]);
    const { body } = await request(url, { dispatcher });
    expect(await body.text()).toBe('second');
    await lost.opened;
    await expect.poll(() => guarded.pipeline.snapshot().active).toBe(0);
  });

  test('a fallback answers with an answer', async () => {
    const { dispatcher } = guarding([fallback({ value: { statusCode: 203, headers: { 'Content-Type': 'text/plain' }, body: 'stale' } })]);
    const url = await nobody();
    for (const [name, send] of ways) expect([name, await send(url, dispatcher)]).toEqual([name, { status: 203, text: 'stale' }]);
  });

  test('and with anything else it is told what was expected', async () => {
    const { dispatcher } = guarding([fallback({ value: [] })]);
    await expect(request('http://127.0.0.1:1/', { dispatcher })).rejects.toThrow(
      'expected an answer: { statusCode, headers?, body? }, got an array',
    );
  });

  test('stand beside those of undici, and work on its mocks', async () => {
    const mock = new MockAgent();
    mock.disableNetConnect();
    mock.get('http://service.example').intercept({ path: '/' }).reply(503, 'busy');
    mock
      .get('http://service.example')
      .intercept({ path: '/' })
      .reply(302, '', { headers: { location: '/there' } });
    mock.get('http://service.example').intercept({ path: '/there' }).reply(200, { pieces: 7 });
    const guarded = interceptor([quick]);
    const dispatcher = mock.compose(guarded, interceptors.redirect({ maxRedirections: 2 }));
    const { body, context } = await request('http://service.example/', { dispatcher });
    expect(await body.json()).toEqual({ pieces: 7 });
    expect(context).toMatchObject({ history: [new URL('http://service.example/'), new URL('http://service.example/there')] });
  });

  test('an upgrade passes untouched', async () => {
    const { port, server } = await serve(() => undefined);
    server.on('upgrade', (_req, socket) => {
      socket.on('error', () => undefined);
      socket.end('HTTP/1.1 101 Switching\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n');
    });
    const { dispatcher, account } = guarding([]);
    const { socket } = await dispatcher.compose().upgrade({ path: '/', protocol: 'echo', origin: `http://127.0.0.1:${port}` } as never);
    socket.destroy();
    expect(account.entered).toBe(0);
  });

  test.each(['//friend.example/x', '//', '//[', '///x', '/\\\\friend.example/x', '/x?y=//z', 'http://friend.example/x'])(
    'trap: the path %s does not decide where a request goes to, and is sent as it stands',
    async (path) => {
      const seen: unknown[] = [];
      const { url, dispatcher } = await served((req, res) => (seen.push([req.url, req.headers['x-request-deadline']]), res.end()), [], {
        key: (asked) => (seen.push(asked.url.origin), asked.url.origin),
        propagate: ['http://friend.example'],
        deadline: '5s',
      });
      const { origin } = new URL(url);
      for (const given of [origin, new URL(url)]) {
        const { body } = await dispatcher.request({ origin: given, path, method: 'GET' });
        await body.dump();
      }
      expect(seen).toEqual([origin, [path, undefined], origin, [path, undefined]]);
    },
  );

  test('a Client and a Pool, whose requests do not say where they go to, work as well', async () => {
    const service = script(busy, fine);
    const { url } = await served(service, []);
    const origins: string[] = [];
    const guarded = interceptor([quick], { key: (asked) => (origins.push(asked.url.origin), undefined) });
    for (const Dispatching of [Client, Pool]) {
      const own = new Dispatching(url.slice(0, -1));
      onTestFinished(() => own.destroy());
      const { statusCode, body } = await own.compose(guarded).request({ path: '/', method: 'GET' });
      await body.dump();
      expect(statusCode).toBe(200);
    }
    expect([origins, service.bodies.length]).toEqual([['http://origin.invalid', 'http://origin.invalid'], 3]);
  });

  test('tell services of ours the time that is left and the number of the attempt, and keep fields in every shape', async () => {
    const seen: unknown[] = [];
    const service = script((req, res) => {
      seen.push([Number(req.headers['x-request-deadline']) > 0, req.headers['x-request-attempt'], req.headers['x-own']]);
      return seen.length % 2 === 1 ? busy(req, res) : fine(req, res);
    });
    const { url, dispatcher } = await served(service, [quick], { propagate: true, deadline: '5s' });
    for (const headers of [{ 'x-own': 'a' }, ['x-own', 'a'], new Headers({ 'x-own': 'a' }), [['x-own', 'a']].values()])
      await (await request(url, { dispatcher, headers: headers as never })).body.dump();
    expect(seen).toEqual(
      Array.from({ length: 4 }, () => [
        [true, undefined, 'a'],
        [true, '1', 'a'],
      ]).flat(),
    );
  });

  test('what users write wrong is told where it is written', () => {
    expect(() => interceptor([], { maxReplay: 5 } as never)).toThrow('maxReplayBytes');
    expect(() => interceptor({} as never)).toThrow();
  });
});

test('1 000 mixed requests end with none under way and no connection open', { timeout: 60_000 }, async () => {
  const { port, server } = await serve(
    troubled(
      (_req, res) => res.end(Buffer.alloc(100_000)),
      (_req, res) => res.writeHead(500, { 'content-length': '200000' }).end(Buffer.alloc(200_000)),
    ),
  );
  const { dispatcher, agent, guarded, account } = guarding([
    retry({ maxAttempts: 2, backoff: { delay: 1 }, budget: false }),
    bulkhead({ maxConcurrent: 50, maxQueue: 1000 }),
  ]);
  await Promise.all(
    Array.from({ length: 1000 }, async (__, i) => {
      const leaving = new AbortController();
      if (i % 11 === 0) setTimeout(() => leaving.abort(), i % 13);
      const how = { dispatcher, method: i % 3 === 0 ? 'POST' : 'GET', body: i % 3 === 0 ? Readable.from(['a', 'b']) : null } as const;
      try {
        const { body } = await request(`http://127.0.0.1:${port}/`, { ...how, signal: leaving.signal });
        if (i % 5 === 0) {
          body.on('error', () => undefined);
          body.destroy();
        } else await body.text();
      } catch {
        // Counted by the gates.
      }
    }),
  );
  await account.quiet();
  await expect.poll(() => guarded.pipeline.snapshot().active).toBe(0);
  await agent.close();
  await unconnected(server);
});
