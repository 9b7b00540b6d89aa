/** Two gateways with the same route in front of the same kind of service: one as it is often written, one guarded. */

import { once } from 'node:events';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type Pipeline, bulkhead, circuitBreaker, fallback, pipeline, retry, timeout, tokenBucket } from 'breakwater';
import { guard } from 'breakwater/express';
import express, { type Express } from 'express';

/** What the guarded gateway promises: an answer within this time (ms), whatever the service does, */
export const promisedWithin = 1000;
/** calls to the service that run at once, */
const atOnce = 6;
/** and what the service has on its hands at the most: those, and as many that were just given up and that it has not noticed yet. */
export const promisedLoad: number = 2 * atOnce;

interface Stock {
  readonly pieces: number;
}

/** The gateway as it is often written. */
export function bareGateway(upstream: string): Express {
  const app = express();
  app.get('/stock/:item', async (req, res) => {
    const answer = await fetch(`${upstream}/stock/${req.params.item}`);
    res.status(answer.status).json(await answer.json());
  });
  return app;
}

/** The same route with six policies on the way out and a guard on the way in. */
export function guardedGateway(upstream: string): { readonly app: Express; readonly stock: Pipeline } {
  const lastKnown = new Map<string, Stock>();

  const stock = pipeline(
    [
      // What was known last is better than nothing; where nothing is known, the caller is told so.
      fallback({
        run: (error, { key = '' }): Stock => {
          const known = lastKnown.get(key);
          if (known === undefined) throw error;
          return known;
        },
      }),
      retry({ maxAttempts: 2, backoff: { delay: '25ms', maxDelay: '50ms' } }),
      circuitBreaker({ window: '2s', failureRate: 0.5, minCalls: 20, openFor: '500ms' }),
      bulkhead({ maxConcurrent: atOnce, maxQueue: 6, maxWait: '100ms' }),
      tokenBucket({ rate: 80, burst: 20 }),
      timeout({ after: '350ms' }),
    ],
    { name: 'stock' },
  );

  const app = express();
  app.use(guard([bulkhead({ maxConcurrent: 200 })], { name: 'gateway', deadline: promisedWithin }));
  app.get('/stock/:item', async (req, res) => {
    const { item } = req.params;
    const { signal } = req.breakwater;
    const outcome = await stock.executeOutcome((call) => fetchStock(`${upstream}/stock/${item}`, call.signal), { signal, key: item });
    if (outcome.ok) {
      if (outcome.degraded) res.set('x-degraded', 'true');
      else lastKnown.set(item, outcome.value);
      res.json(outcome.value);
    } else {
      res.status(503).set('retry-after', '1').json({ error: 'stock is not known at the moment' });
    }
  });
  return { app, stock };
}

async function fetchStock(url: string, signal: AbortSignal): Promise<Stock> {
  const answer = await fetch(url, { signal });
  if (!answer.ok) throw new Error(`the service answered ${answer.status}`);
  return (await answer.json()) as Stock;
}

/** Puts an app on a free port. */
export async function listen(app: Express): Promise<{ readonly port: number; readonly stop: () => Promise<void> }> {
  const server: Server = app.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    async stop() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
