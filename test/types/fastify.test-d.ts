/** What the compiler knows about the Fastify plugin. Nothing here runs: `npm run types` compiles it. */

import { type Pipeline, bulkhead } from 'breakwater';
import breakwater, {
  type FastifyGuardOptions,
  type Turned,
  type Visit,
  breakwater as named,
  idempotency,
  lifecycle,
} from 'breakwater/fastify';
import Fastify, { type FastifyReply, type FastifyRequest } from 'fastify';
import { typed } from './equal.ts';

export async function thePluginIsTyped(): Promise<void> {
  const app = Fastify();
  typed(named).is<typeof breakwater>();
  await app.register(breakwater);
  await app.register(breakwater, {
    policies: [bulkhead({ maxConcurrent: 1 })],
    hook: 'preHandler',
    key: (request) => {
      typed(request).is<FastifyRequest>();
      return request.ip;
    },
    handler: (turned, request, reply) => {
      typed(turned).is<Turned>();
      typed(request).is<FastifyRequest>();
      typed(reply).is<FastifyReply>();
    },
    lifecycle: lifecycle(),
    prefix: '/api',
  });
  // @ts-expect-error there is no such hook for it
  await app.register(breakwater, { hook: 'onSend' });
  // @ts-expect-error a misspelled option
  await app.register(breakwater, { polices: [] });
  typed(app.breakwater.pipeline).is<Pipeline>();
  // @ts-expect-error it is looked at only
  app.breakwater.pipeline = undefined as never;
}

export function routesAreTyped(): void {
  const app = Fastify();
  app.get('/', { config: { breakwater: false } }, (request) => {
    typed(request.breakwater).is<Visit>();
    typed(request.breakwater.signal).is<AbortSignal>();
    // @ts-expect-error only guards set it
    request.breakwater = undefined as never;
  });
  app.get(
    '/search',
    { config: { breakwater: { policies: [], priority: 'sheddable', group: 'search', key: ({ headers }) => headers.host } } },
    () => 1,
  );
  app.get<{ Querystring: { q: string } }>('/typed', { config: { breakwater: { cost: 2 } } }, ({ query, breakwater: { admitted } }) => {
    typed(query.q).is<string>();
    typed(admitted).is<boolean>();
  });
  app.post('/pay', { preHandler: idempotency({ scope: (request) => request.hostname }) }, () => 1);
  // @ts-expect-error no such priority
  app.get('/wrong', { config: { breakwater: { priority: 'high' } } }, () => 1);
}

export function optionsCanBeMadeElsewhere(policies: FastifyGuardOptions['policies'], pipeline: Pipeline): FastifyGuardOptions[] {
  return [{ policies: pipeline }, ...(policies === undefined ? [] : [{ policies }])];
}
