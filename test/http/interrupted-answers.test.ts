import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { connect } from 'node:net';
import { bulkhead, fixedWindow, timeout } from 'breakwater';
import { VirtualClock } from 'breakwater/testing';
import express from 'express';
import { Hono } from 'hono';
import { describe, expect, test } from 'vitest';
import { guard, idempotency, staleCopies } from '../../src/http/express.ts';
import { guard as honoGuard, idempotency as honoIdempotency, staleCopies as honoCopies } from '../../src/http/hono.ts';
import { type Reply, ask, latch, serve } from './serving.ts';

const aborted = (signal: AbortSignal): Promise<unknown> => (signal.aborted ? Promise.resolve() : once(signal, 'abort'));

/** Asks, and leaves as soon as the first bytes are there. */
async function glance(port: number, path = '/', method = 'GET', headers = {}): Promise<void> {
  const sending = request({ host: '127.0.0.1', port, path, method, headers, agent: false });
  sending.on('error', () => undefined).end();
  const [response] = (await once(sending, 'response')) as [IncomingMessage];
  response.on('error', () => undefined);
  sending.destroy();
}

describe('copies', () => {
  test('a handler that stops because its client has left has not answered: what it had sent is no copy', async () => {
    const ended = latch();
    const copies = staleCopies({ refresh: 0 });
    const app = express();
    app.use(guard([fixedWindow({ limit: 1, window: '1h' })], { fallback: copies }));
    app.get('/', async (req, res) => {
      res.write('1,2,');
      await aborted(req.breakwater.signal);
      res.end();
      ended.open();
    });
    const { port } = await serve(app);
    await glance(port);
    await ended.opened;
    expect(copies.size).toBe(0);
    expect((await ask(port)).status).toBe(429);
  });

  test('nor one that stops because its time is up', async () => {
    const copies = staleCopies({ refresh: 0 });
    const app = express();
    app.use(guard([timeout({ after: 20 })], { fallback: copies }));
    app.get('/', async (req, res) => {
      res.write('1,2,');
      await aborted(req.breakwater.signal);
      res.end();
    });
    const { port } = await serve(app);
    expect((await ask(port)).body).toBe('1,2,');
    expect(copies.size).toBe(0);
  });

  test('nor one that waits for its turn on a connection that is gone', async () => {
    const [second, ended] = [latch(), latch()];
    const copies = staleCopies({ refresh: 0 });
    const { port } = await serve((req, res) => {
      if (req.url === '/first') return;
      copies.watch(req, res);
      req.socket.once('close', () => {
        res.end('part');
        ended.open();
      });
      second.open();
    });
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => undefined);
    socket.write('GET /first HTTP/1.1\r\nHost: a\r\n\r\nGET /second HTTP/1.1\r\nHost: a\r\n\r\n');
    await second.opened;
    socket.destroy();
    await ended.opened;
    expect(copies.size).toBe(0);
  });

  test('hono: nor one that stops because its time is up; and a client that leaves stops the source', async () => {
    const copies = honoCopies({ refresh: 0 });
    const app = new Hono();
    app.use(honoGuard([timeout({ after: 20 })], { fallback: copies, key: () => 'k' }));
    app.get('/late', (c) => {
      const { signal } = c.get('breakwater');
      const body = new ReadableStream({
        start: async (controller) => {
          controller.enqueue(Buffer.from('1,2,'));
          await aborted(signal);
          controller.close();
        },
      });
      return c.body(body);
    });
    const stopped = latch<unknown>();
    app.get('/endless', () => new Response(new ReadableStream({ pull: (to) => to.enqueue(new Uint8Array(1)), cancel: stopped.open })));
    expect(await (await app.request('/late')).text()).toBe('1,2,');
    expect(copies.size).toBe(0);
    const reader = ((await app.request('/endless')).body as ReadableStream).getReader();
    await reader.read();
    await reader.cancel('gone');
    expect(await stopped.opened).toBe('gone');
    expect(copies.size).toBe(0);
  });

  test('hono: a stream of events is passed on as it is', async () => {
    const copies = honoCopies({ refresh: 0 });
    const app = new Hono();
    app.use(honoGuard([bulkhead({ maxConcurrent: 5 })], { fallback: copies, key: () => 'k' }));
    app.get('/', (c) => c.body('data: 1\n\n', 200, { 'content-type': 'text/event-stream' }));
    expect(await (await app.request('/')).text()).toBe('data: 1\n\n');
    expect(copies.size).toBe(0);
  });
});

describe('outcomes', () => {
  const key = { 'idempotency-key': '1' };
  const pay = (port: number): Promise<Reply> => ask(port, { method: 'POST', headers: key });

  test('a handler that answers 499 to a client that has left has not carried the request out', async () => {
    const [begun, ended] = [latch(), latch()];
    let runs = 0;
    const app = express();
    app.use(guard([]), idempotency());
    app.post('/', async (req, res) => {
      if (++runs > 1) return void res.send('paid');
      begun.open();
      await aborted(req.breakwater.signal);
      res.status(499).end();
      ended.open();
    });
    const { port } = await serve(app);
    const first = ask(port, { method: 'POST', headers: key });
    await begun.opened;
    first.leave();
    await ended.opened;
    expect((await pay(port)).body).toBe('paid');
    expect(runs).toBe(2);
  });

  test('nor has one that stops half-way because its time is up', async () => {
    let runs = 0;
    const app = express();
    app.use(guard([timeout({ after: 20 })]), idempotency());
    app.post('/', async (req, res) => {
      if (++runs > 1) return void res.send('paid');
      res.write('pa');
      await aborted(req.breakwater.signal);
      res.end();
    });
    const { port } = await serve(app);
    expect((await pay(port)).body).toBe('pa');
    expect((await pay(port)).body).toBe('paid');
  });

  test('nor one that ends short of the length that it announced, its client gone', async () => {
    const ended = latch();
    let runs = 0;
    const app = express();
    app.use(guard([]), idempotency());
    app.post('/', async (req, res) => {
      if (++runs > 1) return void res.send('paid');
      res.writeHead(200, { 'content-length': 4 }).write('pa');
      await aborted(req.breakwater.signal);
      res.end();
      ended.open();
    });
    const { port } = await serve(app);
    await glance(port, '/', 'POST', key);
    await ended.opened;
    expect((await pay(port)).body).toBe('paid');
  });

  test('but one that goes on to its end has, though its client has left: it is not carried out again', async () => {
    const [begun, ended] = [latch(), latch()];
    let runs = 0;
    const app = express();
    app.use(guard([timeout({ after: 60_000 })]), idempotency());
    app.post('/', async (req, res) => {
      runs++;
      begun.open();
      await aborted(req.breakwater.signal);
      res.send('paid');
      ended.open();
    });
    const { port } = await serve(app);
    const first = ask(port, { method: 'POST', headers: key });
    await begun.opened;
    first.leave();
    await ended.opened;
    expect(await pay(port)).toMatchObject({ body: 'paid', headers: { 'idempotency-replayed': 'true' } });
    expect(runs).toBe(1);
  });

  test('hono: what a client left is read to its end, for one lease at most', async () => {
    const clock = new VirtualClock();
    const stopped = latch<unknown>();
    let runs = 0;
    const app = new Hono();
    app.use(honoIdempotency({ clock, lease: '1m' }));
    app.post('/', (c) => (++runs > 1 ? c.text('paid') : new Response(new ReadableStream({ cancel: stopped.open }))));
    const post = (): Promise<Response> => Promise.resolve(app.request('/', { method: 'POST', headers: key }));
    await ((await post()).body as ReadableStream).cancel('gone');
    expect((await post()).status).toBe(409);
    await clock.advance('1m');
    expect(await stopped.opened).toBe('gone');
    expect(await (await post()).text()).toBe('paid');
    expect(clock.pending).toBe(0);
  });
});
