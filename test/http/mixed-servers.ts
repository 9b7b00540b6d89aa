/** One application for crowds, in every framework: the same answers of every kind, behind a guard. */

import 'reflect-metadata';
import { once } from 'node:events';
import { type IncomingMessage, type RequestListener, type Server, type ServerResponse, createServer } from 'node:http';
import { Readable } from 'node:stream';
import { All, Controller, Logger, Module, Req, Res } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { ExpressAdapter } from '@nestjs/platform-express';
import type { AnyPolicy, Pipeline } from 'breakwater';
import { guard } from 'breakwater/express';
import breakwater from 'breakwater/fastify';
import { guard as koaGuard } from 'breakwater/koa';
import { BreakwaterGuard, BreakwaterModule } from 'breakwater/nest';
import { protect } from 'breakwater/node';
import express, { type ErrorRequestHandler } from 'express';
import Fastify from 'fastify';
import Koa from 'koa';
import type { Visit } from '../../src/http/admission/inbound.ts';

/** What a server is made of. */
export interface Plan {
  readonly policies: readonly AnyPolicy[];
  readonly key: (request: IncomingMessage) => string;
  /** Told of each request that is served. */
  readonly served: (request: IncomingMessage) => void;
  /** Told of what came to the framework's error handler. */
  readonly failed: (error: unknown) => void;
}

export interface Running {
  readonly server: Server;
  readonly pipeline: Pipeline;
  readonly close: () => Promise<void>;
}

/** What a handler answers with. */
interface Answered {
  readonly status: number;
  readonly body?: string | Buffer | Readable;
}

const big = Buffer.alloc(700_000, 'b');

/** `undefined`: the handler has taken the socket. */
async function handle(request: IncomingMessage, visit: Visit): Promise<Answered | undefined> {
  const { pathname } = new URL(request.url ?? '/', 'http://a');
  switch (pathname) {
    case '/ok':
      return { status: 200, body: 'ok' };
    case '/later':
      await new Promise(setImmediate);
      return { status: 200, body: 'later' };
    case '/304':
      return { status: 304 };
    case '/stream':
      return { status: 200, body: Readable.from([Buffer.from('one '), Buffer.from('two '), Buffer.from('three')]) };
    case '/big':
      return { status: 200, body: big };
    case '/upload': {
      let size = 0;
      for await (const chunk of request) size += (chunk as Buffer).length;
      return { status: 201, body: String(size) };
    }
    case '/fail':
      return { status: 500, body: 'failed' };
    case '/reject':
      await new Promise(setImmediate);
      throw new Error('rejected');
    case '/throw':
      throw new Error('thrown');
    case '/obey':
      await Promise.race([once(visit.signal, 'abort'), new Promise((resolve) => setImmediate(() => setImmediate(resolve)))]);
      visit.signal.throwIfAborted();
      return { status: 200, body: 'obeyed' };
    case '/hang':
      await once(visit.signal, 'abort');
      throw visit.signal.reason;
    case '/hijack':
      // Who takes a socket over must close it, too: behind an answer that never ends Node may have stopped reading, and does not see the client leave.
      request.socket.end('HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi', () => request.socket.destroy());
      return undefined;
    default:
      return { status: 404, body: 'nowhere' };
  }
}

function sendRaw(response: ServerResponse, { status, body }: Answered): void {
  response.statusCode = status;
  if (body instanceof Readable) {
    body.pipe(response);
    response.once('close', () => body.destroy());
  } else response.end(body);
}

async function listening(listener: RequestListener, pipeline: Pipeline): Promise<Running> {
  const server = createServer(listener).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const close = async (): Promise<void> => {
    await once(server.close(), 'close');
  };
  return { server, pipeline, close };
}

async function inExpress({ policies, key, served, failed }: Plan): Promise<Running> {
  const app = express().set('env', 'test');
  const api = guard(policies, { key });
  app.use(api, async (req, res) => {
    served(req);
    const answered = await handle(req, req.breakwater);
    if (answered?.body instanceof Readable) sendRaw(res, answered);
    else if (answered !== undefined) res.status(answered.status).send(answered.body);
  });
  app.use(((error, _req, res, next) => {
    failed(error);
    if (res.headersSent) next(error);
    else res.status(500).end();
  }) satisfies ErrorRequestHandler);
  return listening(app, api.pipeline);
}

async function inFastify({ policies, key, served, failed }: Plan): Promise<Running> {
  const app = Fastify();
  app.addContentTypeParser('*', (_request, _payload, done) => done(null));
  await app.register(breakwater, { policies, key: ({ raw }) => key(raw) });
  app.setErrorHandler((error, _request, reply) => {
    failed(error);
    return reply.code(500).send();
  });
  app.all('/*', async (request, reply) => {
    served(request.raw);
    const answered = await handle(request.raw, request.breakwater);
    if (answered === undefined) return reply.hijack();
    return reply.code(answered.status).send(answered.body);
  });
  await app.listen({ port: 0, host: '127.0.0.1' });
  return { server: app.server, pipeline: app.breakwater.pipeline, close: () => app.close() };
}

async function inKoa({ policies, key, served, failed }: Plan): Promise<Running> {
  const app = new Koa();
  app.on('error', failed);
  const api = koaGuard(policies, { key: ({ req }) => key(req) });
  app.use(api);
  app.use(async (ctx) => {
    served(ctx.req);
    const answered = await handle(ctx.req, ctx.state.breakwater);
    if (answered === undefined) {
      ctx.respond = false;
      return;
    }
    ctx.status = answered.status;
    ctx.body = answered.body ?? null;
    if (answered.body === undefined) ctx.status = answered.status;
  });
  const callback = app.callback();
  return listening((req, res) => void callback(req, res), api.pipeline);
}

async function onNode({ policies, key, served, failed }: Plan): Promise<Running> {
  const fail = (error: unknown, res: ServerResponse): void => {
    failed(error);
    if (!res.headersSent) sendRaw(res, { status: 500 });
  };
  const listener = protect(
    (req, res) => {
      served(req);
      handle(req, req.breakwater)
        .then((answered) => answered === undefined || sendRaw(res, answered))
        .catch((error: unknown) => fail(error, res));
    },
    policies,
    { key, onError: (error, _req, res) => fail(error, res) },
  );
  return listening(listener, listener.pipeline);
}

async function inNest({ policies, key, served, failed }: Plan): Promise<Running> {
  Logger.overrideLogger(false);
  class Everything {
    async all(req: IncomingMessage, res: ServerResponse): Promise<void> {
      served(req);
      try {
        const answered = await handle(req, req.breakwater);
        if (answered !== undefined) sendRaw(res, answered);
      } catch (error) {
        failed(error);
        throw error;
      }
    }
  }
  const descriptor = Object.getOwnPropertyDescriptor(Everything.prototype, 'all') as PropertyDescriptor;
  All('/{*path}')(Everything.prototype, 'all', descriptor);
  Req()(Everything.prototype, 'all', 0);
  Res()(Everything.prototype, 'all', 1);
  Controller()(Everything);
  class Root {
    readonly name = 'root';
  }
  Module({
    imports: [BreakwaterModule.forRoot({ policies, key: (req) => key(req as never) })],
    controllers: [Everything],
  })(Root);
  const app = await NestFactory.create(Root, new ExpressAdapter());
  await app.listen(0, '127.0.0.1');
  return { server: app.getHttpServer() as Server, pipeline: app.get(BreakwaterGuard).pipeline, close: () => app.close() };
}

/** How each framework serves a plan. */
export const frameworks: Readonly<Record<string, (plan: Plan) => Promise<Running>>> = {
  'node:http': onNode,
  Express: inExpress,
  Fastify: inFastify,
  Koa: inKoa,
  Nest: inNest,
};
