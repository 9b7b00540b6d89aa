/**
 * A Nest application in front of a service that fails now and then. What to look at:
 *
 * - `BreakwaterModule.forRoot()` guards all handlers; `@Guarded()` gives one of them gates of its own, or with `false` none;
 * - `@CurrentVisit()` hands a handler the signal of its request, and with it the deadline goes along to the upstream;
 * - `@Through()` runs a handler within a pipeline: again if it failed, not at all while the circuit is open, and with a lesser answer if nothing helps;
 * - the lifecycle ends it on SIGTERM.
 *
 * Decorators stand here as calls, with what you would write above the method beside them: then any compiler will do. With `experimentalDecorators` write them as usual.
 */

import 'reflect-metadata';
import { Controller, Get, HttpException, Inject, Logger, type OnApplicationBootstrap, Param, Res, type Type } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { ExpressAdapter } from '@nestjs/platform-express';
import type { Response } from 'express';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { bulkhead, circuitBreaker, fallback, perKey, pipeline, presets, retry, timeout, tokenBucket } from 'breakwater';
import { type GuardedFetch, wrapFetch } from 'breakwater/fetch';
import { BreakwaterGuard, BreakwaterModule, CurrentVisit, Guarded, Through, type Visit } from 'breakwater/nest';
import { type Lifecycle, lifecycle, readiness } from 'breakwater/node';
import type { Service } from '../service.ts';

const UPSTREAM = Symbol('the origin of the upstream');
const STOCK = Symbol('a guarded fetch');
const LIFE = Symbol('the life of the process');

const advice = pipeline(
  [
    fallback({ value: { item: 'bestseller', pieces: null } }),
    retry({ maxAttempts: 2, backoff: { delay: '20ms' } }),
    circuitBreaker({ name: 'circuit', consecutiveFailures: 4, openFor: '10s' }),
    timeout({ after: '1s' }),
  ],
  { name: 'advice' },
);

class StockController {
  readonly #stock: GuardedFetch;
  readonly #upstream: string;

  constructor(stock: GuardedFetch, upstream: string) {
    this.#stock = stock;
    this.#upstream = upstream;
  }

  async find(item: string, { signal }: Visit): Promise<unknown> {
    const answer = await this.#stock(`${this.#upstream}/stock/${encodeURIComponent(item)}`, { signal });
    const found: unknown = await answer.json();
    if (!answer.ok) throw new HttpException('no word from the stock', 502);
    return found;
  }

  /** The pipeline it runs within repeats it, so that the fetch in it is a plain one: two that repeat would multiply. */
  async advise({ signal }: Visit): Promise<unknown> {
    const answer = await fetch(`${this.#upstream}/advice`, { signal });
    if (!answer.ok) throw answer;
    return answer.json();
  }
}
Controller()(StockController);
Inject(STOCK)(StockController, undefined, 0); // constructor(@Inject(STOCK) stock, @Inject(UPSTREAM) upstream)
Inject(UPSTREAM)(StockController, undefined, 1);
decorate(StockController, 'find', [
  Get('stock/:item'), // @Get('stock/:item')
  Guarded({ policies: [bulkhead({ maxConcurrent: 20 })] }), // @Guarded({ … })
]);
decorateParameters(StockController, 'find', [Param('item'), CurrentVisit()]); // find(@Param('item') item, @CurrentVisit() visit)
decorate(StockController, 'advise', [Get('advice'), Through(advice)]);
decorateParameters(StockController, 'advise', [CurrentVisit()]);

class ProbeController {
  readonly #ready: ReturnType<typeof readiness>;

  constructor(life: Lifecycle, guard: BreakwaterGuard, stock: GuardedFetch) {
    this.#ready = readiness({ lifecycle: life, pipelines: [guard.pipeline, stock.pipeline, advice], details: true });
  }

  async ready(response: Response): Promise<unknown> {
    const { status, headers, body } = await this.#ready.report();
    response.status(status).set(headers);
    return body;
  }
}
Controller()(ProbeController);
Inject(LIFE)(ProbeController, undefined, 0);
Inject(BreakwaterGuard)(ProbeController, undefined, 1);
Inject(STOCK)(ProbeController, undefined, 2);
decorate(ProbeController, 'ready', [Get('ready'), Guarded(false)]);
decorateParameters(ProbeController, 'ready', [Res({ passthrough: true })]);

/** The root of the application. It says that the process is ready once all of it is there. */
class ShopModule implements OnApplicationBootstrap {
  readonly #life: Lifecycle;

  constructor(life: Lifecycle) {
    this.#life = life;
  }

  onApplicationBootstrap(): void {
    this.#life.ready();
  }
}
Inject(LIFE)(ShopModule, undefined, 0);

export async function start(upstream: string, port = 0): Promise<Service> {
  const retries = { maxAttempts: 3, backoff: { delay: '20ms' } } as const;
  const stock = wrapFetch(presets.http({ retry: retries }), { name: 'stock', propagate: [upstream] });
  const life = lifecycle({
    ready: false,
    pipelines: [stock.pipeline],
    delay: process.env['NODE_ENV'] === 'production' ? '5s' : 0,
    drain: '20s',
    skip: ({ url }) => url === '/ready',
    onClose: () => app.close(), // closes the pipelines of the module as well
  });
  const perClient = perKey(() => tokenBucket({ rate: 10, per: '1m', burst: 10 }), { name: 'per-client' });
  Logger.overrideLogger(['error', 'warn']);
  const app = await NestFactory.create(
    {
      module: ShopModule,
      imports: [BreakwaterModule.forRoot({ policies: [perClient], name: 'api', deadline: '2s', trustProxy: ['loopback'] })],
      controllers: [StockController, ProbeController],
      providers: [
        { provide: UPSTREAM, useValue: upstream },
        { provide: STOCK, useValue: stock },
        { provide: LIFE, useValue: life },
      ],
    },
    new ExpressAdapter(),
  );
  const server = life.attach(app.getHttpServer() as Server);
  await app.listen(port, '127.0.0.1');
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, life };
}

/** Puts decorators on a method. */
function decorate(controller: Type, method: string, decorators: readonly MethodDecorator[]): void {
  const prototype = controller.prototype as object;
  const descriptor = Object.getOwnPropertyDescriptor(prototype, method) as PropertyDescriptor;
  for (const each of decorators) each(prototype, method, descriptor);
}

/** Puts decorators on the parameters of a method, one on each. */
function decorateParameters(controller: Type, method: string, decorators: readonly ParameterDecorator[]): void {
  decorators.forEach((each, index) => each(controller.prototype as object, method, index));
}
