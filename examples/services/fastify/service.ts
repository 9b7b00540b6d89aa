/**
 * A Fastify service in front of a service that fails now and then. What to look at:
 *
 * - who asks too often gets a 429 that says when to come back, and at most fifty requests run at once;
 * - the upstream is called through a guarded `fetch`: repeated where that does no harm, and left alone while its circuit is open;
 * - `request.breakwater.signal` is all it takes for the upstream to be told how much time is left, and for the call to end when the client hangs up;
 * - `/ready` turns first when SIGTERM comes, then new requests are refused, and what runs may finish. An open circuit is shown there and does not make it unready.
 */

import Fastify from 'fastify';
import { bulkhead, circuitBreaker, perKey, presets, tokenBucket } from 'breakwater';
import breakwater from 'breakwater/fastify';
import { wrapFetch } from 'breakwater/fetch';
import { answerTo, lifecycle, liveness, readiness } from 'breakwater/node';
import type { Service } from '../service.ts';

export async function start(upstream: string, port = 0): Promise<Service> {
  // The preset keeps a circuit for each origin. There is only one here, so it can as well have a name and be shown.
  const circuit = circuitBreaker({ name: 'circuit', consecutiveFailures: 5, openFor: '10s' });
  const [total, retries, slots, attempt] = presets.http({
    circuitBreaker: false,
    retry: { maxAttempts: 3, backoff: { delay: '20ms' } },
    attemptTimeout: { after: '1s' },
  });
  const stock = wrapFetch([total, retries, circuit, slots, attempt], { name: 'stock', propagate: [upstream] });

  const app = Fastify();
  const life = lifecycle({
    pipelines: [stock.pipeline],
    delay: process.env['NODE_ENV'] === 'production' ? '5s' : 0,
    drain: '20s',
    skip: ({ url }) => url === '/ready' || url === '/live',
    onClose: () => app.close(),
  });
  const perClient = perKey(() => tokenBucket({ rate: 10, per: '1m', burst: 10 }), { name: 'per-client' });
  await app.register(breakwater, {
    policies: [perClient, bulkhead({ maxConcurrent: 50, maxQueue: 20, maxWait: '200ms' })],
    name: 'api',
    deadline: '2s',
    trustProxy: ['loopback'], // whose x-forwarded-for and x-request-deadline are believed
    lifecycle: life,
  });

  app.get<{ Params: { item: string } }>('/stock/:item', async (request, reply) => {
    const { signal } = request.breakwater;
    const answer = await stock(`${upstream}/stock/${encodeURIComponent(request.params.item)}`, { signal });
    const found: unknown = await answer.json();
    return answer.ok ? found : reply.code(502).send({ error: 'no word from the stock' });
  });

  // What the guarded fetch rejects with: 503 and Retry-After for a refusal, 504 when time is up. Refusals of the guard in front never come here.
  app.setErrorHandler((error, _request, reply) => {
    const answer = answerTo(error);
    if (answer === undefined) throw error;
    return reply.code(answer.status).headers(answer.headers).send(answer.body);
  });

  const ready = readiness({ lifecycle: life, pipelines: [app.breakwater.pipeline, stock.pipeline], details: true });
  for (const [path, probe] of [['/ready', ready] as const, ['/live', liveness()] as const])
    app.get(path, { config: { breakwater: false } }, async (_request, reply) => {
      const { status, headers, body } = await probe.report();
      return reply.code(status).headers(headers).send(body);
    });

  return { url: await app.listen({ port, host: '127.0.0.1' }), life };
}
