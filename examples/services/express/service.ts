/**
 * An Express service in front of a service that fails now and then. What to look at:
 *
 * - each client has so many requests a minute, counted as `express-rate-limit` does, and is told what is left of them;
 * - an order is placed once, however often its client sends it: the same `Idempotency-Key` gets the same answer, and goes along to the upstream, so that the guarded `fetch` may repeat the POST;
 * - when the catalogue cannot be made, readers get the copy of a minute ago, with `x-degraded: stale`; the upstream is left alone until the circuit in front of the route closes again;
 * - the lifecycle ends it on SIGTERM: readiness first, then no new requests, then the rest.
 */

import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import express, { type NextFunction, type Request, type Response } from 'express';
import { circuitBreaker, presets } from 'breakwater';
import { answerTo, guard, idempotency, staleCopies } from 'breakwater/express';
import { wrapFetch } from 'breakwater/fetch';
import { lifecycle, liveness, readiness } from 'breakwater/node';
import type { Service } from '../service.ts';

export async function start(upstream: string, port = 0): Promise<Service> {
  const policies = presets.http({ retry: { maxAttempts: 3, backoff: { delay: '20ms' } }, attemptTimeout: { after: '1s' } });
  const shop = wrapFetch(policies, { name: 'shop', propagate: [upstream] });

  const trustProxy = ['loopback']; // whose x-forwarded-for and x-request-deadline are believed
  const perClient = guard(presets.rateLimit({ limit: 20, window: '1m', name: 'per-client' }), {
    name: 'per-client',
    deadline: '2s',
    trustProxy,
  });
  // A circuit around the route itself: answers of 500 and above open it, and then copies are given without asking anybody.
  const catalogue = guard([circuitBreaker({ name: 'circuit', consecutiveFailures: 2, openFor: '10s' })], {
    name: 'catalogue',
    trustProxy,
    fallback: staleCopies({ maxStale: '10m' }),
  });

  const app = express();
  const life = lifecycle({
    pipelines: [perClient.pipeline, catalogue.pipeline, shop.pipeline],
    delay: process.env['NODE_ENV'] === 'production' ? '5s' : 0,
    drain: '20s',
    skip: ({ url }) => url === '/ready' || url === '/live',
  });
  // Probes stand before the guards: one that is refused for load would restart the process that is busiest.
  app.get('/ready', readiness({ lifecycle: life, pipelines: [catalogue.pipeline, shop.pipeline], details: true }));
  app.get('/live', liveness());
  app.use(perClient);

  app.get('/catalogue', catalogue, async (req, res) => {
    const { signal } = req.breakwater;
    const answer = await shop(`${upstream}/catalogue`, { signal });
    res.status(answer.ok ? 200 : 502).json(await answer.json());
  });

  app.post('/orders', idempotency({ required: true }), async (req, res) => {
    const { signal } = req.breakwater;
    const key = req.headers['idempotency-key']?.toString();
    const answer = await shop(`${upstream}/orders`, {
      method: 'POST',
      signal,
      ...(key === undefined ? {} : { breakwater: { idempotencyKey: key } }),
    });
    res.status(answer.ok ? 201 : 502).json(await answer.json());
  });

  // What the guarded fetch rejects with: 503 and Retry-After for a refusal, 504 when time is up. Refusals of the guards never come here.
  app.use((error: unknown, _req: Request, res: Response, next: NextFunction) => {
    const answer = answerTo(error);
    if (answer === undefined) next(error);
    else res.status(answer.status).set(answer.headers).send(answer.body);
  });

  const server = life.attach(createServer(app));
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, life };
}
