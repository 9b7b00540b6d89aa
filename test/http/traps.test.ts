import { once } from 'node:events';
import { Agent, type ServerResponse } from 'node:http';
import { connect as connectHttp2, createServer as createHttp2Server } from 'node:http2';
import { type AddressInfo, connect } from 'node:net';
import { RateLimitedError, bulkhead, definePolicy, refuse } from 'breakwater';
import { seededRandom } from 'breakwater/testing';
import { guard, staleCopies } from 'breakwater/express';
import express5, { type Application, type ErrorRequestHandler } from 'express';
import express4 from 'express4';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { ask, books, latch, serve } from './serving.ts';

const versions: readonly (readonly [string, () => Application])[] = [
  ['Express 5', () => express5().set('env', 'test')],
  ['Express 4', () => express4().set('env', 'test')],
];

/** An error handler that only looks. */
const count =
  (seen: () => void): ErrorRequestHandler =>
  (error, _req, _res, next) => {
    seen();
    next(error);
  };

const limited = definePolicy({
  kind: 'limit',
  gate: { enter: () => refuse(new RateLimitedError('no')), settle() {}, cancel() {} },
});

describe.each(versions)('traps in %s', (_, express) => {
  test('W1 a middleware that calls next() twice takes one permit, and the request is decided on once', async () => {
    const app = express();
    const account = books();
    let served = 0;
    app.use((_req, _res, next) => {
      next();
      next();
    });
    app.use(guard([account.policy]));
    app.get('/', (_req, res) => {
      if (++served === 2) res.send('in');
    });
    const { port } = await serve(app);
    await ask(port);
    await account.quiet();
    expect([account.entered, account.verdicts]).toEqual([1, ['success']]);
  });

  test('W1 a refused request that comes by twice is answered once and never served', async () => {
    const app = express();
    let served = 0;
    let refused = 0;
    const api = guard([limited]);
    api.pipeline.on('gate.refused', () => refused++);
    app.use((req, res, next) => {
      api(req, res, next);
      api(req, res, next);
    });
    app.use((_req, res) => {
      served++;
      res.send('in');
    });
    const { port } = await serve(app);
    expect((await ask(port)).status).toBe(429);
    expect([served, refused]).toEqual([0, 1]);
  });

  test('W3 a refusal that comes when somebody has answered already (next() called twice goes past the guard) is not sent', async () => {
    const app = express();
    app.use((_req, _res, next) => {
      next();
      next();
    });
    app.use(guard([limited]), (_req, res) => void res.send('in'));
    const { port } = await serve(app);
    expect(await ask(port)).toMatchObject({ status: 200, body: 'in' });
    expect((await ask(port)).status).toBe(200);
  });

  test('W1 one guard mounted in two places decides once', async () => {
    const app = express();
    const account = books();
    const api = guard([account.policy]);
    app.use('/api', api, (_req, _res, next) => void setImmediate(next));
    app.use('/api/items', api);
    app.get('/api/items', (_req, res) => void res.send('in'));
    const { port } = await serve(app);
    expect((await ask(port, { path: '/api/items' })).body).toBe('in');
    await account.quiet();
    expect(account.entered).toBe(1);
  });

  test('W1 HEAD is answered without a body, refused or not, and gives its permit back', async () => {
    const app = express();
    const account = books();
    app.get('/in', guard([account.policy]), (_req, res) => void res.send('body'));
    app.get('/no', guard([limited]), (_req, res) => void res.send('body'));
    const { port } = await serve(app);
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const replies = [
      await ask(port, { method: 'HEAD', path: '/in', agent }),
      await ask(port, { method: 'HEAD', path: '/no', agent }),
      await ask(port, { method: 'HEAD', path: '/in', agent }),
    ];
    agent.destroy();
    expect(replies.map(({ status, body }) => [status, body])).toEqual([
      [200, ''],
      [429, ''],
      [200, ''],
    ]);
    await account.quiet();
    expect(account.verdicts).toEqual(['success', 'success']);
  });

  test('W1 Expect: 100-continue is one request, and a refused upload leaves the connection usable', async () => {
    const app = express();
    const account = books();
    app.post('/in', guard([account.policy]), (req, res) => {
      let size = 0;
      req.on('data', (chunk: Buffer) => (size += chunk.length));
      req.on('end', () => res.send(String(size)));
    });
    app.post('/no', guard([limited]));
    const { port } = await serve(app);
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const body = 'x'.repeat(100_000);
    expect((await ask(port, { method: 'POST', path: '/in', headers: { expect: '100-continue' }, body, agent })).body).toBe('100000');
    expect((await ask(port, { method: 'POST', path: '/no', body, agent })).status).toBe(429);
    expect((await ask(port, { method: 'POST', path: '/in', body, agent })).body).toBe('100000');
    agent.destroy();
    await account.quiet();
    expect(account.verdicts).toEqual(['success', 'success']);
  });

  test('W2 each response on a kept connection gives its own permit back', async () => {
    const app = express();
    const slots = bulkhead({ maxConcurrent: 1 });
    app.use(guard([slots]), (_req, res) => void res.send('in'));
    const { port } = await serve(app);
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    for (let i = 0; i < 5; i++) expect((await ask(port, { agent })).status).toBe(200);
    agent.destroy();
    expect(slots.active).toBe(0);
  });

  test('W2 a response that is destroyed with an error, or never comes, gives its permit back', async () => {
    const app = express();
    const account = books();
    const arrived = latch();
    app.use(guard([account.policy]));
    app.get('/destroyed', (_req, res) => void res.destroy(new Error('lost')));
    app.get('/half', (_req, res) => {
      res.write('half');
      res.destroy();
    });
    app.get('/never', () => arrived.open());
    const { port } = await serve(app);
    await expect(ask(port, { path: '/destroyed' })).rejects.toThrow();
    await expect(ask(port, { path: '/half' })).rejects.toThrow();
    const never = ask(port, { path: '/never' });
    await arrived.opened;
    never.leave();
    await account.quiet();
    expect(account.verdicts).toEqual(['ignored', 'ignored', 'ignored']);
  });

  test('W2 a handler that takes the socket over gives its permit back when the socket closes', async () => {
    const app = express();
    const account = books();
    app.use(guard([account.policy]), (req) => {
      req.socket.end('HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi');
    });
    const { port } = await serve(app);
    expect((await ask(port)).body).toBe('hi');
    await account.quiet();
    expect(account.verdicts).toEqual(['ignored']);
  });

  test('W2 an answer that is complete counts, also if its client left before all of it was sent', async () => {
    const app = express();
    const account = books();
    const ended = latch();
    app.use(guard([account.policy]), (_req, res) => {
      res.end(Buffer.alloc(64_000_000));
      ended.open();
    });
    const { port } = await serve(app);
    const asking = ask(port);
    await ended.opened;
    asking.leave();
    await account.quiet();
    expect(account.verdicts).toEqual(['success']);
  });

  test('W2 a client that is gone before the guard sees its request takes nothing', async () => {
    const app = express();
    const account = books();
    const arrived = latch();
    const passed = latch();
    let served = 0;
    app.use((_req, res, next) => {
      res.once('close', () => {
        next();
        passed.open();
      });
      arrived.open();
    });
    app.use(guard([account.policy]), () => served++);
    const { port } = await serve(app);
    const asking = ask(port);
    await arrived.opened;
    asking.leave();
    await passed.opened;
    await new Promise(setImmediate);
    expect([served, account.entered]).toEqual([0, 0]);
  });

  test('W3 once a stream has begun a deadline only aborts the signal', async () => {
    const app = express();
    const account = books();
    let errors = 0;
    app.use(guard([account.policy], { deadline: 15 }), (req, res) => {
      res.status(200).write('begun ');
      req.breakwater.signal.addEventListener('abort', () => res.end('and ended'));
    });
    app.use(count(() => errors++));
    const { port } = await serve(app);
    expect(await ask(port)).toMatchObject({ status: 200, body: 'begun and ended' });
    await account.quiet();
    expect([account.verdicts, errors]).toEqual([['failure'], 0]);
  });

  test('W3 a request whose headers are out already cannot be refused properly: the error handler has it', async () => {
    const app = express();
    app.use((_req, res, next) => {
      res.write('begun');
      next();
    });
    app.use(guard([limited]), (_req, res) => void res.end());
    const { port } = await serve(app);
    await expect(ask(port)).rejects.toThrow();
  });

  test('W3 one that is answered already is left alone', async () => {
    const app = express();
    let passed = 0;
    app.use((_req, res, next) => {
      res.send('done');
      next();
    });
    app.use(guard([limited]), () => passed++);
    app.use(() => passed++);
    app.use(count(() => passed++));
    const { port } = await serve(app);
    expect((await ask(port)).body).toBe('done');
    await new Promise(setImmediate);
    expect(passed).toBe(0);
  });

  test('W3 a handler that answers after its 504 disturbs nobody: no crash, and the connection serves the next request', async () => {
    const app = express();
    const wrote = latch<unknown[]>();
    app.get('/late', guard([], { deadline: 15 }), (req, res) => {
      req.breakwater.signal.addEventListener('abort', () => {
        setImmediate(() => {
          const ended = latch();
          res.once('close', () => undefined);
          res.set('x-late', '1').status(200);
          res.cookie('late', '1');
          const taken = res.write('late', () => ended.open());
          res.json({ late: true });
          res.end('late', 'utf8');
          void ended.opened.then(() => wrote.open([taken, res.statusCode]));
        });
      });
    });
    app.get('/next', (_req, res) => void res.send('next'));
    const { port } = await serve(app);
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const sockets = new Set<unknown>();
    agent.on('free', (socket) => sockets.add(socket));
    const late = await ask(port, { path: '/late', agent });
    expect([late.status, late.headers['x-late']]).toEqual([504, undefined]);
    expect(await wrote.opened).toEqual([true, 504]);
    expect((await ask(port, { path: '/next', agent })).body).toBe('next');
    expect(sockets.size).toBe(1);
    agent.destroy();
  });

  test('W3 a handler that obeys its signal and fails does not have its 504 cut off by the error handler', async () => {
    const app = express();
    const logged: unknown[] = [];
    app.use((_req, res, next) => {
      res.once('finish', () => logged.push([res.statusCode, res.headersSent]));
      next();
    });
    app.get('/late', guard([], { deadline: 15 }), (req, _res, next) => {
      req.breakwater.signal.addEventListener('abort', () => next(req.breakwater.signal.reason));
    });
    app.get('/next', (_req, res) => void res.send('next'));
    const { port } = await serve(app);
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const sockets = new Set<unknown>();
    agent.on('free', (socket) => sockets.add(socket));
    expect((await ask(port, { path: '/late', agent })).status).toBe(504);
    expect((await ask(port, { path: '/next', agent })).body).toBe('next');
    expect(sockets.size).toBe(1);
    expect(logged).toEqual([
      [504, true],
      [200, true],
    ]);
    agent.destroy();
  });

  test('W3 fields of the answer that was to come do not describe the one given instead; those of earlier middleware stay', async () => {
    const app = express();
    app.use((_req, res, next) => {
      res.set('access-control-allow-origin', '*');
      next();
    });
    app.get('/', guard([], { deadline: 15 }), (_req, res) => {
      res.set({ 'content-encoding': 'gzip', etag: '"1"', 'content-length': '99999' });
      res.statusMessage = 'Fine';
    });
    const { port } = await serve(app);
    const { status, headers, body } = await ask(port);
    expect([status, headers['access-control-allow-origin'], headers['content-encoding'], headers.etag]).toEqual([
      504,
      '*',
      undefined,
      undefined,
    ]);
    expect(headers['content-length']).toBe(String(body.length));
  });

  test('W2 hundreds of mixed requests end with nothing in flight', async () => {
    const app = express();
    const account = books();
    const slots = bulkhead({ maxConcurrent: 8, maxQueue: 16 });
    const open = new Set<ServerResponse>();
    app.use((_req, res, next) => {
      open.add(res);
      res.once('close', () => open.delete(res));
      next();
    });
    const api = guard([account.policy, slots], { deadline: 60 });
    app.use(api);
    app.get('/ok', (_req, res) => void setImmediate(() => res.send('ok')));
    app.get('/fail', (_req, res) => void res.status(500).end());
    app.get('/throw', () => {
      throw new Error('thrown');
    });
    app.get('/hang', () => undefined);
    app.get('/late', (req, res) => req.breakwater.signal.addEventListener('abort', () => res.send('late')));
    app.get('/lost', (_req, res) => void res.destroy());
    const { port } = await serve(app);
    const random = seededRandom(20);
    const paths = ['/ok', '/ok', '/ok', '/fail', '/throw', '/lost', '/hang', '/late', '/nowhere'];
    const agent = new Agent({ keepAlive: true, maxSockets: 24 });
    const asked = Array.from({ length: 300 }, async () => {
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
    await vi.waitFor(() => expect(open.size).toBe(0), { interval: 5 });
    await account.quiet();
    expect([slots.active, slots.queued, api.pipeline.snapshot().active]).toEqual([0, 0, 0]);
    expect(account.entered).toBe(account.verdicts.length);
    expect([...statuses].filter((status) => ![0, 200, 404, 500, 503, 504].includes(status))).toEqual([]);
    for (const status of [0, 200, 500, 504]) expect(statuses).toContain(status);
  });
});

describe('on bare Node', () => {
  test('W1 a reset HTTP/2 stream gives its permit back and aborts its signal; refusals need nothing of HTTP/1', async () => {
    const account = books();
    const arrived = latch();
    const api = guard([account.policy], { deadline: '10s' });
    const no = guard([limited]);
    const server = createHttp2Server((req, res) => {
      const mount = req.url === '/no' ? no : api;
      mount(req as never, res as never, () => {
        if (req.url === '/in') res.end('in');
        else arrived.open();
      });
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const client = connectHttp2(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    onTestFinished(() => {
      client.destroy();
      server.close();
    });
    const warned: unknown[] = [];
    const note = (warning: unknown): void => void warned.push(warning);
    process.on('warning', note);
    const served = client.request({ ':path': '/in' });
    const [headers] = (await once(served, 'response')) as [Record<string, unknown>];
    expect(headers[':status']).toBe(200);
    served.resume();
    const refused = client.request({ ':path': '/no' });
    const [refusal] = (await once(refused, 'response')) as [Record<string, unknown>];
    expect([refusal[':status'], refusal['retry-after']]).toEqual([429, '1']);
    refused.resume();
    const reset = client.request({ ':path': '/hang' });
    reset.on('error', () => undefined);
    await arrived.opened;
    reset.close(8);
    await account.quiet();
    await new Promise(setImmediate);
    process.off('warning', note);
    expect(account.verdicts).toEqual(['success', 'ignored']);
    expect(warned).toEqual([]);
  });

  test('W2 requests sent one after the other without waiting (pipelining) each give their own permit back', async () => {
    const account = books();
    const api = guard([account.policy]);
    const { port } = await serve((req, res) => api(req, res, () => setImmediate(() => res.end(req.url))));
    const socket = connect(port, '127.0.0.1');
    socket.write(
      'GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\nGET /3 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n',
    );
    let text = '';
    socket.on('data', (chunk) => (text += chunk.toString()));
    await once(socket, 'close');
    await account.quiet();
    expect(text.match(/^\/\d/gm) ?? text).toEqual(['/1', '/2', '/3']);
    expect(account.verdicts).toEqual(['success', 'success', 'success']);
  });
});

test('W3 no 504 is written into what a handler that has taken the connection over writes itself', async () => {
  const api = guard([], { deadline: 50 });
  const { port } = await serve((req, res) =>
    api(req, res, () => {
      req.socket.write('HTTP/1.1 200 OK\r\n\r\nfirst, ');
      req.breakwater.signal.addEventListener('abort', () => req.socket.end('last'));
    }),
  );
  const socket = connect(port, '127.0.0.1');
  socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
  let text = '';
  socket.on('data', (chunk) => (text += chunk.toString()));
  await once(socket, 'close');
  expect(text).toBe('HTTP/1.1 200 OK\r\n\r\nfirst, last');
});

describe.each(versions)('functions of the user that fail in %s', (_, express) => {
  test('W5 copies whose scope throws: the request goes to the error handler, and its permit comes back', async () => {
    const slots = bulkhead({ maxConcurrent: 1 });
    const scope = (): string => {
      throw new Error('nobody has signed in');
    };
    const app = express().set('env', 'test');
    app.use(guard([slots], { fallback: staleCopies({ scope }) }));
    app.get('/', (_req, res) => void res.send('served'));
    const { port } = await serve(app);
    expect((await ask(port)).status).toBe(500);
    expect((await ask(port)).status).toBe(500);
    expect(slots.active).toBe(0);
  });

  test('W5 a handler of the guard that rejects: its error goes to the error handler', async () => {
    const handler = async (): Promise<void> => {
      throw new Error('no words');
    };
    const app = express().set('env', 'test');
    app.use(guard([bulkhead({ maxConcurrent: 0 })], { handler }));
    const { port } = await serve(app);
    expect((await ask(port)).status).toBe(500);
  });

  test('an error handler that goes on into the same guard does not hang: the error comes again', async () => {
    const key = (): string => {
      throw new Error('no tenant');
    };
    const api = guard([], { key });
    const app = express().set('env', 'test');
    app.use(api);
    app.use(((_error, _req, _res, next) => next()) satisfies ErrorRequestHandler);
    app.use(api);
    app.use((_req, res) => void res.send('served'));
    const { port } = await serve(app);
    expect((await ask(port)).status).toBe(500);
  });
});
