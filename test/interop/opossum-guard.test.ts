import { EventEmitter, once } from 'node:events';
import CircuitBreaker from 'opossum';
import express from 'express';
import { expect, test } from 'vitest';
import { guard } from 'breakwater/express';
import { protect } from 'breakwater/node';
import { opossumBreaker } from 'breakwater/opossum';
import { ask, serve } from '../http/serving.ts';

test('a guard answers 503 with Retry-After while the circuit is open, and the handler is not asked', async () => {
  const breaker = opossumBreaker({ resetTimeout: '20s' });
  let asked = 0;
  const app = express();
  app.use(guard([breaker], { name: 'api' }));
  app.get('/', (_req, res) => {
    asked++;
    res.status(500).end('broken');
  });
  const { port } = await serve(app);
  expect((await ask(port)).status).toBe(500);
  expect(breaker.state).toBe('open');
  const refused = await ask(port);
  expect([refused.status, refused.headers['retry-after'], asked]).toEqual([503, '20', 1]);
  breaker.close();
  expect((await ask(port)).status).toBe(500);
});

test('a breaker that is in use already guards requests too: full places are 503, and a timeout is 504', async () => {
  const yours = new CircuitBreaker(() => 1, { capacity: 1, timeout: 200, volumeThreshold: 100 });
  const arrivals = new EventEmitter();
  const server = protect(() => void arrivals.emit('request'), [opossumBreaker(yours)], { name: 'api' });
  const { port } = await serve(server);
  const first = ask(port);
  await once(arrivals, 'request');
  expect((await ask(port)).status).toBe(503);
  expect((await first).status).toBe(504);
  expect(yours.stats).toMatchObject({ timeouts: 1, semaphoreRejections: 1, failures: 2 });
});
