import { once } from 'node:events';
import { Agent, type IncomingMessage, type ServerResponse, request } from 'node:http';
import http2 from 'node:http2';
import { type AddressInfo, type Server, type Socket, connect } from 'node:net';
import { bulkhead, pipeline } from 'breakwater';
import { afterEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { type Lifecycle, lifecycle } from '../../src/http/lifecycle/lifecycle.ts';
import { ask, latch, serve } from './serving.ts';

const now = { delay: 0 } as const;

afterEach(() => vi.useRealTimers());

/** What a client that speaks by hand has heard, and how it ended. */
function caller(
  port: number,
  text = '',
): { socket: Socket; heard: () => string; until: (part: string) => Promise<void>; closed: Promise<unknown> } {
  const socket = connect(port, '127.0.0.1');
  let heard = '';
  socket.on('error', () => undefined);
  socket.on('data', (chunk: Buffer) => (heard += chunk.toString('latin1')));
  const closed = new Promise((resolve) => socket.once('close', resolve));
  socket.write(text);
  onTestFinished(() => void socket.destroy());
  const until = async (part: string): Promise<void> => {
    while (!heard.includes(part)) await once(socket, 'data');
  };
  return { socket, heard: () => heard, until, closed };
}

const get = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: here\r\n\r\n`;

/** A server whose `/slow` waits until it is told to answer, and whose other paths answer at once. */
async function slowServer(options: Parameters<typeof lifecycle>[0] = now): Promise<{
  port: number;
  server: Server;
  life: Lifecycle;
  begun: Promise<void>;
  answer: () => void;
  handled: string[];
}> {
  const begun = latch();
  const told = latch();
  const handled: string[] = [];
  const { port, server } = await serve((req, res) => {
    handled.push(req.url ?? '');
    if (req.url !== '/slow') return void res.end('quick');
    begun.open();
    void told.opened.then(() => res.end('slow'));
  });
  const life = lifecycle({ server, ...options });
  return { port, server, life, begun: begun.opened, answer: () => told.open(), handled };
}

describe('the order of things', () => {
  test('is not ready first, serves on for the delay and asks connections to close, and only then refuses', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date', 'performance'] });
    const { port, server, life, begun, answer } = await slowServer({ delay: '5s' });
    const slow = ask(port, { path: '/slow' });
    await begun;
    expect(life.state).toBe('ready');

    const drained = life.drain();
    expect(life.state).toBe('draining');
    expect(life.refusing).toBe(false);
    const agent = new Agent({ keepAlive: true });
    const during = await ask(port, { agent });
    expect([during.status, during.body, during.headers.connection]).toEqual([200, 'quick', 'close']);
    await vi.advanceTimersByTimeAsync(4999);
    expect((await ask(port)).status).toBe(200);

    await vi.advanceTimersByTimeAsync(1);
    expect(life.refusing).toBe(true);
    const late = await ask(port);
    expect([late.status, late.headers.connection, late.headers['retry-after']]).toEqual([503, 'close', '1']);
    expect(late.headers['content-type']).toBe('application/problem+json');
    expect(server.listening).toBe(true);

    answer();
    expect((await slow).body).toBe('slow');
    expect(await drained).toEqual({ cut: 0, took: 5000 });
    expect(life.state).toBe('closed');
    expect(server.listening).toBe(false);
  });

  test('finishes what runs, then closes the pipelines, then the server, then what the application opened', async () => {
    const order: string[] = [];
    const api = { close: async () => void order.push('pipelines') };
    const { port, server, life, begun, answer } = await slowServer({
      delay: 0,
      pipelines: [api],
      onDrain: () => void order.push('refusing'),
      onClose: () => void order.push(server.listening ? 'still listening' : 'closed'),
    });
    server.on('request', (_, res: ServerResponse) => res.once('finish', () => order.push('finished')));
    const slow = ask(port, { path: '/slow' });
    await begun;
    const drained = life.drain();
    expect(life.drain()).toBe(drained);
    while (!life.refusing) await Promise.resolve();
    answer();
    await drained;
    expect((await slow).body).toBe('slow');
    expect(order).toEqual(['refusing', 'finished', 'pipelines', 'closed']);
  });

  test('one that warms up is starting until it says so, and never comes back from draining', async () => {
    const life = lifecycle({ ready: false, delay: 0 });
    expect(life.state).toBe('starting');
    life.ready();
    expect(life.state).toBe('ready');
    await life.drain();
    life.ready();
    expect(life.state).toBe('closed');
  });

  test('a callback that throws does not keep the server open, and is heard of', async () => {
    const { server, life } = await slowServer({
      delay: 0,
      onDrain: () => {
        throw new Error('sockets');
      },
    });
    await expect(life.drain()).rejects.toThrow('sockets');
    expect([server.listening, life.state]).toEqual([false, 'closed']);
    const other = lifecycle({ delay: 0, onClose: () => Promise.reject(new Error('pool')) });
    await expect(other.drain()).rejects.toThrow('pool');
  });
});

describe('what has no end of its own', () => {
  test('a stream of server-sent events is ended, which server.close() alone would wait for for ever', async () => {
    const { port, server } = await serve((_, res) => {
      res.writeHead(200, { 'content-type': 'text/event-stream' });
      res.write('data: 1\n\n');
    });
    const life = lifecycle({ server, ...now });
    const events = caller(port, `GET /events HTTP/1.1\r\nHost: here\r\nAccept: text/event-stream\r\n\r\n`);
    await events.until('data: 1');
    expect(await life.drain()).toMatchObject({ cut: 0 });
    await events.closed;
    expect(events.heard()).toMatch(/\r\n0\r\n\r\n$/);
  });

  test('events that answer a POST have an end, and are let come to it', async () => {
    const { port, server } = await serve((req, res) => {
      res.setHeader('content-type', 'text/event-stream');
      res.write('data: 1\n\n');
      req.resume().on('end', () => res.end('data: last\n\n'));
    });
    const life = lifecycle({ server, ...now });
    const chat = caller(port, 'POST / HTTP/1.1\r\nHost: here\r\nContent-Length: 2\r\nConnection: close\r\n\r\n1');
    await chat.until('data: 1');
    const drained = life.drain();
    while (!life.refusing) await Promise.resolve();
    chat.socket.write('2');
    await drained;
    await chat.closed;
    expect(chat.heard()).toContain('data: last');
  });

  test('a connection that was upgraded may say goodbye, and no other is upgraded', async () => {
    const { port, server } = await serve((_, res) => res.end());
    const upgraded = new Set<Socket>();
    const refusing = latch();
    const life = lifecycle({ server, delay: 0, onDrain: () => refusing.open() });
    const upgrade = 'GET /chat HTTP/1.1\r\nHost: here\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n';
    server.on('upgrade', (_, socket: Socket) => {
      upgraded.add(socket);
      socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n');
    });
    const chat = caller(port, upgrade);
    await chat.until('\r\n\r\n');
    const drained = life.drain();
    await refusing.opened;
    const late = caller(port, upgrade);
    await late.closed;
    expect(late.heard()).toMatch(/^HTTP\/1.1 503 Service Unavailable\r\n/);
    expect(late.heard()).toMatch(/retry-after: 1\r\n[\s\S]*temporary-reduced-capacity/);
    expect(upgraded.size).toBe(1);
    for (const socket of upgraded) socket.end('goodbye');
    chat.socket.end();
    await chat.closed;
    expect(chat.heard()).toMatch(/goodbye$/);
    expect(await drained).toMatchObject({ cut: 0 });
  });

  test('listening along does not upgrade where the application does not: the request is one like any other', async () => {
    const { port, life } = await slowServer();
    const client = caller(port, 'GET / HTTP/1.1\r\nHost: here\r\nConnection: Upgrade, close\r\nUpgrade: h2c\r\n\r\n');
    await client.until('quick');
    expect(life.inFlight).toBeLessThanOrEqual(1);
    await life.drain();
  });

  test('a connection that never said anything is cut in the end, and so is one that stopped half-way in a request', async () => {
    const { port, server, life } = await slowServer();
    const connected = [once(server, 'connection'), once(server, 'connection')];
    const silent = caller(port);
    const half = caller(port, 'GET / HT');
    await Promise.all(connected);
    expect(await life.drain()).toMatchObject({ cut: 0 });
    await Promise.all([silent.closed, half.closed]);
  });

  test('work that does not come to an end is aborted when the time is over, may answer for that, and the rest is cut', async () => {
    const begun = latch();
    const work = pipeline([bulkhead({ maxConcurrent: 5 })], { name: 'work' });
    let waiting = 0;
    const { port, server } = await serve((req, res) => {
      if (++waiting === 2) begun.open();
      if (req.url === '/deaf') return;
      work
        .execute(({ signal }) => new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error))))
        .catch(() => {
          res.statusCode = 503;
          res.end('aborted');
        });
    });
    const life = lifecycle({ server, delay: 0, drain: 0, pipelines: [work] });
    const [hearing, deaf] = [ask(port), ask(port, { path: '/deaf' })];
    await begun.opened;
    expect(await life.drain()).toMatchObject({ cut: 2 });
    expect((await hearing).body).toBe('aborted');
    await expect(deaf).rejects.toThrow('socket hang up');
    expect(life.inFlight).toBe(0);
  });
});

describe('connections', () => {
  test('of requests in a pipeline all are answered, and the last answer alone says close', async () => {
    const [both, finish] = [latch(), latch()];
    let count = 0;
    const { port, server } = await serve((req, res) => {
      if (++count === 2) both.open();
      void finish.opened.then(() => res.end(`answer to ${req.url ?? ''}`));
    });
    const life = lifecycle({ server, ...now });
    const client = caller(port, get('/a') + get('/b'));
    await both.opened;
    const drained = life.drain();
    finish.open();
    await drained;
    await client.closed;
    expect(client.heard().match(/answer to \/\w/g)).toEqual(['answer to /a', 'answer to /b']);
    expect(client.heard().match(/connection: close/gi)).toHaveLength(1);
  });

  test('a request that comes through a pipeline behind a running one is refused, and the running one still answered', async () => {
    const { port, life, begun, answer, handled } = await slowServer();
    const client = caller(port, get('/slow'));
    await begun;
    const drained = life.drain();
    while (!life.refusing) await Promise.resolve();
    client.socket.write(get('/late'));
    const other = await ask(port);
    expect(other.status).toBe(503);
    answer();
    await drained;
    await client.closed;
    expect(client.heard()).toMatch(/^HTTP\/1.1 200 OK[\s\S]*slowHTTP\/1.1 503/);
    expect(handled).toEqual(['/slow']);
  });

  test('a client that leaves takes along what it asked for through a pipeline: a response that never had its turn says nothing', async () => {
    const seen = latch();
    let count = 0;
    const { port, server } = await serve(() => {
      if (++count === 3) seen.open();
    });
    const life = lifecycle({ server, delay: 0 });
    const client = caller(port, get('/a') + get('/b') + get('/c'));
    await seen.opened;
    expect(life.inFlight).toBe(3);
    const drained = life.drain();
    client.socket.destroy();
    expect(await drained).toMatchObject({ cut: 0 });
    expect(life.inFlight).toBe(0);
  });

  test('idle ones are closed when requests begin to be refused', async () => {
    const { port, life, begun, answer } = await slowServer();
    const idle = caller(port, get('/'));
    await idle.until('quick');
    const slow = ask(port, { path: '/slow' });
    await begun;
    const drained = life.drain();
    await idle.closed;
    expect(life.inFlight).toBe(1);
    answer();
    await slow;
    await drained;
  });

  test('a large answer on its way to a slow reader arrives whole, though Node takes its connection for idle', async () => {
    const size = 20_000_000;
    const sent = latch();
    const { port, server } = await serve((req, res) => {
      if (req.url === '/') return void res.end();
      res.end(Buffer.alloc(size, 'x'));
      sent.open();
    });
    const refusing = latch();
    const life = lifecycle({ server, delay: 0, onDrain: () => refusing.open() });
    const reading = request({ host: '127.0.0.1', port, path: '/large', agent: false });
    const response = once(reading, 'response') as Promise<[IncomingMessage]>;
    reading.end();
    const [large] = await response;
    await sent.opened;
    const drained = life.drain();
    await refusing.opened;
    let got = 0;
    for await (const chunk of large) got += (chunk as Buffer).length;
    expect(got).toBe(size);
    expect(await drained).toMatchObject({ cut: 0 });
  });

  test('an upload that is refused is read to its end, so that its client hears the answer', async () => {
    const { port, life, begun, answer } = await slowServer();
    const slow = ask(port, { path: '/slow' });
    await begun;
    const drained = life.drain();
    while (!life.refusing) await Promise.resolve();
    const upload = await ask(port, { method: 'POST', body: 'x'.repeat(5_000_000) });
    expect(upload.status).toBe(503);
    answer();
    await slow;
    await drained;
  });

  test('probes that are let through are answered while all else is refused', async () => {
    const { port, life, begun, answer } = await slowServer({ delay: 0, skip: (req) => req.url === '/live' });
    const slow = ask(port, { path: '/slow' });
    await begun;
    const drained = life.drain();
    while (!life.refusing) await Promise.resolve();
    expect((await ask(port, { path: '/live' })).status).toBe(200);
    expect((await ask(port, { path: '/other' })).status).toBe(503);
    answer();
    await slow;
    await drained;
  });

  test('a client that wants to hear first whether to go on is told not to', async () => {
    const { port, server } = await serve((_, res) => void waiting.push(res));
    const waiting: ServerResponse[] = [];
    const begun = once(server, 'request');
    const life = lifecycle({ server, ...now });
    const slow = ask(port);
    await begun;
    server.on('checkContinue', () => expect.fail('it was let in'));
    const drained = life.drain();
    while (!life.refusing) await Promise.resolve();
    const asking = caller(port, 'POST / HTTP/1.1\r\nHost: here\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n');
    await asking.until('503 Service Unavailable');
    expect(asking.heard()).not.toContain('100 Continue');
    for (const res of waiting) res.end();
    await slow;
    await drained;
  });
});

describe('HTTP/2', () => {
  test('streams that run finish, their session takes no more, and new sessions are turned away', async () => {
    const begun = latch();
    const told = latch();
    const server = http2.createServer((_, res) => {
      begun.open();
      void told.opened.then(() => res.end('slow'));
    });
    const life = lifecycle({ server, ...now });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const session = http2.connect(`http://127.0.0.1:${port}`);
    onTestFinished(() => session.destroy());
    session.on('error', () => undefined);
    const goaway = once(session, 'goaway');
    const stream = session.request({ ':path': '/' });
    let body = '';
    stream.on('data', (chunk: Buffer) => (body += chunk.toString()));
    const ended = once(stream, 'close');
    await begun.opened;
    expect(life.inFlight).toBe(1);
    const drained = life.drain();
    await goaway;
    const late = http2.connect(`http://127.0.0.1:${port}`);
    late.on('error', () => undefined);
    await once(late, 'close');
    told.open();
    await ended;
    expect(body).toBe('slow');
    expect(await drained).toMatchObject({ cut: 0 });
    expect(server.listening).toBe(false);
  });
});

describe('without a server in hand', () => {
  test('middleware counts requests and refuses them', async () => {
    const life = lifecycle(now);
    const begun = latch<ServerResponse>();
    const { port } = await serve((req, res) => life.middleware(req, res, () => begun.open(res)));
    const slow = ask(port);
    const res = await begun.opened;
    expect(life.inFlight).toBe(1);
    const drained = life.drain();
    while (!life.refusing) await Promise.resolve();
    expect((await ask(port)).status).toBe(503);
    res.end('done');
    expect(await slow).toMatchObject({ body: 'done', headers: { connection: 'close' } });
    await drained;
    expect(life.inFlight).toBe(0);
  });

  test('a response is counted once, however often it is told of, and one that is over not at all', async () => {
    const life = lifecycle(now);
    const over = latch<ServerResponse>();
    const { port } = await serve((req, res) => {
      expect([life.enter(req, res), life.enter(req, res)]).toEqual([true, true]);
      life.track(res);
      expect(life.inFlight).toBe(1);
      res.once('close', () => over.open(res)).end();
    });
    await ask(port);
    life.track(await over.opened);
    expect(life.inFlight).toBe(0);
  });
});

describe('signals', () => {
  test('the first one drains, and the next one ends the process at once', async () => {
    const exit = vi.spyOn(process, 'exit').mockImplementation(() => undefined as never);
    onTestFinished(() => exit.mockRestore());
    const life = lifecycle(now);
    const off = life.onSignals({ signals: ['SIGUSR2'] });
    process.emit('SIGUSR2', 'SIGUSR2');
    expect(life.state).toBe('draining');
    await life.drain();
    expect(exit).not.toHaveBeenCalled();
    process.emit('SIGUSR2', 'SIGUSR2');
    expect(exit).toHaveBeenCalledWith(128 + 12);
    off();
    expect(process.listenerCount('SIGUSR2')).toBe(0);
  });

  test('a signal after a drain that was begun by hand is not impatience', async () => {
    const exit = vi.spyOn(process, 'exit').mockImplementation(() => undefined as never);
    onTestFinished(() => exit.mockRestore());
    const life = lifecycle(now);
    const off = life.onSignals({ signals: ['SIGUSR2'] });
    onTestFinished(off);
    void life.drain();
    process.emit('SIGUSR2', 'SIGUSR2');
    expect(exit).not.toHaveBeenCalled();
    await life.drain();
  });

  test('told to, it ends the process when all is done', async () => {
    const ended = latch<unknown>();
    const exit = vi.spyOn(process, 'exit').mockImplementation((code) => ended.open(code) as never);
    onTestFinished(() => exit.mockRestore());
    onTestFinished(
      lifecycle({ delay: 0, onClose: () => Promise.reject(new Error('pool')) }).onSignals({ signals: ['SIGUSR2'], exit: true }),
    );
    process.emit('SIGUSR2', 'SIGUSR2');
    expect(await ended.opened).toBe(1);
  });
});

test('wrong options are refused, all at once', () => {
  expect(() => lifecycle({ server: 'none' as unknown as Server, drain: -1, streams: 'cut' as 'end' })).toThrow(
    /lifecycle.server: expected a server[\s\S]*lifecycle.drain[\s\S]*lifecycle.streams/,
  );
});

describe('what a shutdown tells of itself', () => {
  test('a stream of events is known by what was sent, whatever its client accepts', async () => {
    const begun = latch();
    const { port, server } = await serve((req, res) => {
      if (req.url === '/events') res.writeHead(200, { 'content-type': 'text/event-stream' }).write('data: 1\n\n');
      else {
        res.writeHead(200, { 'content-type': 'application/json' }).write('{"half":');
        begun.opened.then(() => res.end('true}')).catch(() => undefined);
      }
    });
    const life = lifecycle({ server, delay: 0 });
    const events = caller(port, get('/events'));
    await events.until('data: 1');
    const json = ask(port, { path: '/json', headers: { accept: 'text/event-stream, application/json' } });
    await vi.waitFor(() => expect(life.inFlight).toBe(2), { interval: 1 });
    await json.sent;
    const drained = life.drain();
    await events.closed;
    begun.open();
    expect((await json).body).toBe('{"half":true}');
    expect((await drained).cut).toBe(0);
  });

  test('what onDrain rejects with comes out of drain(), and ends nothing', async () => {
    const lost = new Error('the queue is gone');
    const life = lifecycle({ delay: 0, onDrain: () => Promise.reject(lost) as unknown as undefined });
    await expect(life.drain()).rejects.toBe(lost);
    expect(life.state).toBe('closed');
  });

  test('only servers can be attached', () => {
    expect(() => lifecycle().attach((() => undefined) as never)).toThrow(/what createServer\(\) or app.listen\(\) answers with/);
  });
});
