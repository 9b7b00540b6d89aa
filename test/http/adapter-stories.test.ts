import type { IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { guard } from 'breakwater/express';
import breakwater, { type FastifyGuardOptions } from 'breakwater/fastify';
import express5, { type Application, type ErrorRequestHandler } from 'express';
import express4 from 'express4';
import Fastify from 'fastify';
import { onTestFinished } from 'vitest';
import { type Adapter, type Guarded, stories } from './adapter-stories.ts';
import { serve } from './serving.ts';

const field = (request: unknown, name: string): string | undefined => (request as IncomingMessage).headers[name] as string | undefined;

function expressAdapter(name: string, express: () => Application): Adapter {
  return {
    name,
    field,
    start: async ({ outer, fields = {}, handler, ...own }) => {
      const app = express().set('env', 'test');
      const errors: unknown[] = [];
      const guarded = ({ policies, options }: Guarded) => guard(policies, options as never);
      app.use((_req, res, next) => {
        res.set(fields);
        next();
      });
      if (outer !== undefined) app.use(guarded(outer));
      app.use(guarded(own));
      app.use((req, res, next) => {
        Promise.resolve({ path: req.path, method: req.method, visit: req.breakwater })
          .then(handler)
          .then(({ status = 200, headers = {}, body = '' }) => void res.status(status).set(headers).send(body))
          .catch(next);
      });
      app.use(((error, _req, res, next) => {
        errors.push(error);
        if (res.headersSent) next(error);
        else res.status(500).end();
      }) satisfies ErrorRequestHandler);
      const { port } = await serve(app);
      return { port, errors };
    },
  };
}

stories(expressAdapter('Express 5', express5));
stories(expressAdapter('Express 4', express4));

stories({
  name: 'Fastify 5',
  field,
  start: async ({ outer, fields = {}, handler, ...own }) => {
    const app = Fastify();
    const errors: unknown[] = [];
    const options = ({ policies, options: given }: Guarded): FastifyGuardOptions => ({ policies, ...(given as FastifyGuardOptions) });
    app.addHook('onRequest', async (_request, reply) => void reply.headers(fields));
    app.setErrorHandler((error, _request, reply) => {
      errors.push(error);
      return reply.code(500).send();
    });
    if (outer !== undefined) await app.register(breakwater, options(outer));
    await app.register(async (scope) => {
      await scope.register(breakwater, options(own));
      scope.all('/*', async (request, reply) => {
        const given = await handler({ path: request.url, method: request.method, visit: request.breakwater });
        const { status = 200, headers = {}, body = '' } = given;
        return reply.code(status).headers(headers).send(body);
      });
    });
    await app.listen({ port: 0, host: '127.0.0.1' });
    onTestFinished(async () => {
      app.server.closeAllConnections();
      await app.close();
    });
    return { port: (app.server.address() as AddressInfo).port, errors };
  },
});
