import type { AddressInfo } from 'node:net';
import { serve as serveHono } from '@hono/node-server';
import { idempotency as express } from 'breakwater/express';
import { idempotency as fastify } from 'breakwater/fastify';
import { idempotency as hono } from 'breakwater/hono';
import { idempotency as koa } from 'breakwater/koa';
import expressApp, { type ErrorRequestHandler } from 'express';
import Fastify from 'fastify';
import { Hono } from 'hono';
import Koa from 'koa';
import { type Mock, describe, expect, onTestFinished, test, vi } from 'vitest';
import { Idempotency } from '../../src/http/idempotency/idempotency.ts';
import { webReply } from '../../src/http/recording/reply.ts';
import { headOf } from '../../src/http/recording/request-head.ts';
import { type Reply, ask, latch, serve } from './serving.ts';

/** Two equal requests, and what is expected of every framework. */
async function twice(port: number): Promise<void> {
  const order = (): Promise<Reply> => ask(port, { method: 'POST', path: '/orders?x', body: 'a', headers: { 'idempotency-key': '"k"' } });
  const first = await order();
  const again = await order();
  expect(first).toMatchObject({ status: 201, body: '{"run":1}', headers: { 'x-request-id': '1' } });
  expect(again).toMatchObject({
    status: 201,
    body: '{"run":1}',
    headers: { 'x-request-id': '2', 'idempotency-replayed': 'true', location: '/orders/1', 'content-length': '9' },
  });
  expect(again.headers['content-type']).toMatch(/^application\/json/);
}

test('fastify: a hook before the handler, on what Fastify stands on', async () => {
  let [id, runs] = [0, 0];
  const core = new Idempotency<object>({});
  const app = Fastify();
  app.addHook('onRequest', (_request, reply, done) => {
    reply.header('x-request-id', String(++id));
    done();
  });
  app.addContentTypeParser('*', (_request, _payload, done) => done(null));
  app.addHook('preHandler', async (request, reply) => {
    const decision = await core.decide(request, headOf(request));
    if (decision.kind === 'run') decision.attempt.watch(reply.raw, reply.getHeaders());
    if (decision.kind !== 'answer') return undefined;
    const { status, headers, body } = decision.reply;
    return reply
      .code(status)
      .headers({ ...headers })
      .send(body);
  });
  app.post('/orders', (_request, reply) => reply.code(201).header('location', '/orders/1').send({ run: ++runs }));
  await app.listen({ port: 0 });
  onTestFinished(() => app.close());
  await twice((app.server.address() as AddressInfo).port);
});

test('koa: middleware around the handler', async () => {
  let [id, runs] = [0, 0];
  const core = new Idempotency<object>({});
  const app = new Koa();
  app.use((ctx, next) => {
    ctx.set('x-request-id', String(++id));
    return next();
  });
  app.use(async (ctx, next) => {
    const decision = await core.decide(ctx, headOf(ctx));
    if (decision.kind === 'run') decision.attempt.watch(ctx.res);
    if (decision.kind !== 'answer') {
      await next();
      return;
    }
    const { status, headers, body } = decision.reply;
    ctx.status = status;
    ctx.body = typeof body === 'string' ? body : Buffer.from(body);
    for (const [name, value] of Object.entries(headers)) ctx.set(name, typeof value === 'string' ? value : [...value]);
  });
  app.use((ctx) => {
    ctx.status = 201;
    ctx.set('location', '/orders/1');
    ctx.body = { run: ++runs };
  });
  const { port } = await serve((req, res) => void app.callback()(req, res));
  await twice(port);
});

test('hono: middleware that shows the response it got, and goes on with the one it gets back', async () => {
  let [id, runs] = [0, 0];
  const core = new Idempotency<object>({});
  const app = new Hono();
  app.use(async (c, next) => {
    await next();
    c.header('x-request-id', String(++id));
  });
  app.use(async (c, next) => {
    const decision = await core.decide(c, headOf(c));
    if (decision.kind === 'answer') return webReply(decision.reply);
    await next();
    if (decision.kind === 'run') c.res = decision.attempt.watchWeb(c.res);
    return undefined;
  });
  app.post('/orders', (c) => c.json({ run: ++runs }, 201, { location: '/orders/1' }));
  const listening = latch<AddressInfo>();
  const server = serveHono({ fetch: app.fetch, port: 0 }, listening.open);
  onTestFinished(() => void server.close());
  await twice((await listening.opened).port);
});

// The web's Response takes no body with these, not even an empty one: the order would be placed, and its repetition would fail.
test.each([204, 205, 304])('trap: hono gives an answer of %i again, which has no body', async (status) => {
  const handler = vi.fn(() => new Response(null, { status, headers: { etag: '"1"' } }));
  const app = new Hono().use(hono()).post('/', handler);
  for (const replayed of [null, 'true']) {
    const reply = await app.request('/', { method: 'POST', headers: { 'idempotency-key': '"k"' } });
    expect([reply.status, reply.headers.get('etag'), reply.headers.get('idempotency-replayed')]).toEqual([status, '"1"', replayed]);
  }
  expect(handler).toHaveBeenCalledOnce();
});

describe.each([[undefined], [null], ['route'], [0]])('trap: a scope function that throws what is no error: %j', (thrown) => {
  const options = {
    scope: (): string => {
      throw thrown;
    },
  };
  const handling = (): Mock<() => string> => vi.fn(() => 'served');
  const request = { method: 'POST', headers: { 'idempotency-key': '"k"' } };

  // To Express, both `next(undefined)` and `next('route')` mean: go on.
  test('express does not take it for leave to go on', async () => {
    const handler = handling();
    const app = expressApp();
    const failures: unknown[] = [];
    app.post('/', express(options), (_req, res) => void res.send(handler()));
    app.post('/', (_req, res) => void res.send(handler()));
    app.use(((error, _req, res, _next) => {
      failures.push(error);
      res.sendStatus(500);
    }) satisfies ErrorRequestHandler);
    const { port } = await serve(app);
    expect((await ask(port, request)).status).toBe(500);
    expect(failures).toEqual([expect.objectContaining({ cause: thrown })]);
    expect(handler).not.toHaveBeenCalled();
  });

  test('nor does fastify', async () => {
    const handler = handling();
    const app = Fastify();
    app.post('/', { preHandler: fastify(options) }, handler);
    expect((await app.inject({ url: '/', ...request, method: 'POST' })).statusCode).toBe(500);
    expect(handler).not.toHaveBeenCalled();
  });

  // Koa answers to nothing at all that was thrown with nothing at all: the client would wait for ever.
  test('koa answers all the same', async () => {
    const handler = handling();
    const app = new Koa().on('error', () => undefined);
    app.use(koa(options)).use(handler);
    const { port } = await serve((req, res) => void app.callback()(req, res));
    expect((await ask(port, request)).status).toBe(500);
    expect(handler).not.toHaveBeenCalled();
  });

  // Hono shows its error handlers nothing but errors.
  test('hono has its error handler answer', async () => {
    const handler = handling();
    const app = new Hono().onError((error, c) => c.json([error.cause], 500));
    app.use(hono(options)).post('/', (c) => c.text(handler()));
    const reply = await app.request('/', request);
    expect([reply.status, await reply.json()]).toEqual([500, [thrown ?? null]]);
    expect(handler).not.toHaveBeenCalled();
  });
});
