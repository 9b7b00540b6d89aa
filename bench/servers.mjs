/** The same two routes on every server: they answer with a small object, at once. What stands before them is what differs. */

import { once } from 'node:events';
import { createServer } from 'node:http';
import circuitBreakerPlugin from '@fastify/circuit-breaker';
import rateLimitPlugin from '@fastify/rate-limit';
import underPressure from '@fastify/under-pressure';
import { bulkhead, circuitBreaker, fixedWindow, perKey, systemGuard, timeout } from 'breakwater';
import { guard } from 'breakwater/express';
import breakwater from 'breakwater/fastify';
import { protect } from 'breakwater/node';
import express from 'express';
import { rateLimit } from 'express-rate-limit';
import Fastify from 'fastify';

const answer = { items: [1, 2, 3], next: null };
/** No limit is ever reached: what is measured is what they cost those who are served. */
const ENOUGH = 1_000_000_000;
const MINUTE = 60_000;

const perClient = () => perKey(() => fixedWindow({ limit: ENOUGH, window: MINUTE }));
const slots = () => bulkhead({ maxConcurrent: 10_000 });
const plain = { standardHeaders: false };

async function listening(server) {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server.address().port;
}

function onNode(listener) {
  return () => listening(createServer(listener));
}

function onExpress(middleware) {
  return () => {
    const app = express();
    if (middleware !== undefined) app.use(middleware());
    app.get('/', (req, res) => {
      res.json(answer);
    });
    return listening(createServer(app));
  };
}

function onFastify(register, route = {}) {
  return async () => {
    const app = Fastify();
    await register?.(app);
    const extra = typeof route === 'function' ? route(app) : route;
    app.get('/', extra, async () => answer);
    await app.listen({ port: 0, host: '127.0.0.1' });
    return app.server.address().port;
  };
}

const respond = (req, res) => {
  res.setHeader('content-type', 'application/json');
  res.end(JSON.stringify(answer));
};

export const servers = {
  node: onNode(respond),
  'node-slots': () => listening(createServer(protect(respond, [slots()], plain))),
  express: onExpress(),
  'express-slots': onExpress(() => guard([slots()], plain)),
  'express-limit': onExpress(() => guard([perClient()])),
  'express-limit-plain': onExpress(() => guard([perClient()], plain)),
  'express-rate-limit': onExpress(() =>
    rateLimit({ windowMs: MINUTE, limit: ENOUGH, standardHeaders: 'draft-8', legacyHeaders: false, validate: false }),
  ),
  fastify: onFastify(),
  'fastify-slots': onFastify((app) => app.register(breakwater, { policies: [slots()], ...plain })),
  'fastify-limit': onFastify((app) => app.register(breakwater, { policies: [perClient()] })),
  'fastify-rate-limit': onFastify((app) => app.register(rateLimitPlugin, { max: ENOUGH, timeWindow: MINUTE, enableDraftSpec: true })),
  'fastify-system': onFastify((app) => app.register(breakwater, { policies: [systemGuard({ bbr: false })], ...plain })),
  'fastify-under-pressure': onFastify((app) => app.register(underPressure, { maxEventLoopDelay: 1000, maxEventLoopUtilization: 0.999 })),
  'fastify-circuit': onFastify((app) =>
    app.register(breakwater, { policies: [circuitBreaker({ consecutiveFailures: 5 }), timeout({ after: 10_000 })], ...plain }),
  ),
  'fastify-circuit-breaker': onFastify(
    (app) => app.register(circuitBreakerPlugin),
    (app) => ({ preHandler: app.circuitBreaker() }),
  ),
};
