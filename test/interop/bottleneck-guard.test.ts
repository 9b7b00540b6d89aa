import type { ServerResponse } from 'node:http';
import Bottleneck from 'bottleneck';
import { bottleneckLimiter } from 'breakwater/bottleneck';
import { protect } from 'breakwater/node';
import { expect, test } from 'vitest';
import { ask, serve } from '../http/serving.ts';

/** Requests in the order that they reach the handler, whether they came before or after somebody asks for them. */
class Arrivals {
  readonly #here: ServerResponse[] = [];
  readonly #waiting: ((response: ServerResponse) => void)[] = [];

  add = (_request: unknown, response: ServerResponse): void => {
    const tell = this.#waiting.shift();
    if (tell === undefined) this.#here.push(response);
    else tell(response);
  };

  next(): Promise<ServerResponse> {
    const response = this.#here.shift();
    return response === undefined ? new Promise((resolve) => this.#waiting.push(resolve)) : Promise.resolve(response);
  }
}

test('a request that is dropped gets 503, and so does one after stop(); one that waits is served', async () => {
  const yours = new Bottleneck({ maxConcurrent: 1, highWater: 1, strategy: Bottleneck.strategy.OVERFLOW });
  const limiter = bottleneckLimiter(yours);
  const arrivals = new Arrivals();
  const { port } = await serve(protect(arrivals.add, [limiter]));
  const first = ask(port);
  const served = await arrivals.next();
  const queued = new Promise((resolve) => yours.once('queued', resolve));
  const second = ask(port);
  await queued;
  expect(await ask(port)).toMatchObject({ status: 503 });
  served.end('served');
  expect(await first).toMatchObject({ status: 200, body: 'served' });
  (await arrivals.next()).end('served too');
  expect(await second).toMatchObject({ status: 200, body: 'served too' });
  await limiter.stop();
  expect(await ask(port)).toMatchObject({ status: 503 });
});

test('a request whose expiration is over gets 504', async () => {
  const { port } = await serve(protect(() => undefined, [bottleneckLimiter({ maxConcurrent: 1 }, { expiration: 20 })]));
  expect(await ask(port)).toMatchObject({ status: 504 });
});

test('a request that is dropped because the reservoir is used up gets 429, with the time until it is filled again', async () => {
  const strategy = Bottleneck.strategy.OVERFLOW;
  const limiter = bottleneckLimiter({ highWater: 0, strategy, reservoir: 1, reservoirRefreshInterval: '1m', reservoirRefreshAmount: 1 });
  const { port } = await serve(protect((_request, response) => void response.end('served'), [limiter]));
  expect(await ask(port)).toMatchObject({ status: 200 });
  const refused = await ask(port);
  expect(refused.status).toBe(429);
  expect(Number(refused.headers['retry-after'])).toBeGreaterThan(50);
  await limiter.disconnect();
});
