import 'reflect-metadata';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { once } from 'node:events';
import {
  All,
  Catch,
  Controller,
  type DynamicModule,
  type ExceptionFilter,
  Get,
  HttpException,
  type INestApplication,
  Logger,
  type ModuleMetadata,
  Module,
  Req,
  Res,
  type Type,
  UseFilters,
  UseGuards,
} from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { ExpressAdapter } from '@nestjs/platform-express';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import {
  OptionsError,
  TimeoutError,
  bulkhead,
  circuitBreaker,
  fallback,
  fixedWindow,
  perKey,
  pipeline,
  retry,
  tokenBucket,
} from 'breakwater';
import {
  BreakwaterGuard,
  BreakwaterModule,
  CurrentVisit,
  PipelineInterceptor,
  Guarded,
  Through,
  TurnedException,
  TurnedFilter,
  type Visit,
} from 'breakwater/nest';
import { lastValueFrom, of } from 'rxjs';
import { describe, expect, onTestFinished, test } from 'vitest';
import { type Given, type Guarded as StoryGuard, stories } from './adapter-stories.ts';
import { ask, books } from './serving.ts';

type Platform = 'Express' | 'Fastify';

Logger.overrideLogger(false);

/** Puts a decorator on a method: what `@Get('/x')` above it does. */
function onMethod(controller: Type, name: string, ...decorators: readonly MethodDecorator[]): void {
  const prototype = controller.prototype as object;
  const descriptor = Object.getOwnPropertyDescriptor(prototype, name) as PropertyDescriptor;
  for (const decorate of decorators) decorate(prototype, name, descriptor);
}

function onParameter(controller: Type, name: string, index: number, decorate: ParameterDecorator): void {
  decorate(controller.prototype as object, name, index);
}

function emptyModule(metadata: ModuleMetadata): Type {
  class Root {
    readonly metadata = metadata;
  }
  Module(metadata)(Root);
  return Root;
}

async function start(
  platform: Platform,
  controllers: Type[],
  imports: DynamicModule[],
  set?: (app: INestApplication) => void,
): Promise<number> {
  const Root = emptyModule({ imports, controllers });
  const adapter = platform === 'Express' ? new ExpressAdapter() : new FastifyAdapter();
  const app = await NestFactory.create(Root, adapter);
  set?.(app);
  await app.listen(0, '127.0.0.1');
  const server = app.getHttpServer() as { address(): { port: number }; closeAllConnections(): void };
  onTestFinished(async () => {
    server.closeAllConnections();
    await app.close();
  });
  return server.address().port;
}

const field = (request: unknown, name: string): string | undefined => (request as IncomingMessage).headers[name] as string | undefined;

interface AnyReply {
  status(code: number): unknown;
  header(name: string, value: string): unknown;
}

describe.each<Platform>(['Express', 'Fastify'])('Nest on %s', (platform) => {
  stories({
    name: `Nest on ${platform}`,
    field,
    start: async ({ outer, fields = {}, handler, ...own }) => {
      const errors: unknown[] = [];
      const guardOf = ({ policies, options }: StoryGuard): BreakwaterGuard => new BreakwaterGuard(policies, options as never);
      class Everything {
        async answer(request: IncomingMessage & { raw?: IncomingMessage }, reply: AnyReply): Promise<string> {
          const { url = '/', method = 'GET', breakwater } = request.raw ?? request;
          const { status = 200, headers = {}, body = '' }: Given = await handler({ path: url, method, visit: breakwater });
          reply.status(status);
          for (const [name, value] of Object.entries(headers)) reply.header(name, value);
          return body;
        }
      }
      Controller()(Everything);
      onMethod(
        Everything,
        'answer',
        All(platform === 'Express' ? '{*path}' : '*'),
        UseGuards(...(outer === undefined ? [] : [guardOf(outer)]), guardOf(own)),
      );
      onParameter(Everything, 'answer', 0, Req());
      onParameter(Everything, 'answer', 1, Res({ passthrough: true }));
      class Rest implements ExceptionFilter {
        catch(error: unknown, host: Parameters<ExceptionFilter['catch']>[1]): void {
          errors.push(error);
          const reply = host.switchToHttp().getResponse<{ raw?: ServerResponse; send(): unknown } & AnyReply>();
          reply.status(500);
          reply.send();
        }
      }
      Catch()(Rest);
      UseFilters(new Rest(), new TurnedFilter())(Everything);
      const imports = [BreakwaterModule.forRoot()];
      const port = await start(platform, [Everything], imports, (app) => {
        app.use((_req: IncomingMessage, res: ServerResponse, next: () => void) => {
          for (const [name, value] of Object.entries(fields)) res.setHeader(name, value);
          next();
        });
      });
      return { port, errors };
    },
  });
});

describe.each<Platform>(['Express', 'Fastify'])('the module on %s', (platform) => {
  test('guards all handlers; some have gates of their own, or none', async () => {
    const all = books();
    const some = books();
    class Items {
      list(visit: Visit): unknown {
        return { admitted: visit.admitted };
      }
      search(visit: Visit): unknown {
        return { left: visit.remaining() <= 5000 };
      }
      health(visit: Visit): unknown {
        return { admitted: visit.admitted };
      }
    }
    Controller('items')(Items);
    onMethod(Items, 'list', Get());
    onMethod(Items, 'search', Get('search'), Guarded({ policies: [some.policy], deadline: '5s' }));
    onMethod(Items, 'health', Get('health'), Guarded(false));
    for (const name of ['list', 'search', 'health']) onParameter(Items, name, 0, CurrentVisit());
    const port = await start(platform, [Items], [BreakwaterModule.forRoot({ policies: [all.policy], deadline: '10s' })]);
    expect((await ask(port, { path: '/items' })).body).toBe('{"admitted":true}');
    expect((await ask(port, { path: '/items/search' })).body).toBe('{"left":true}');
    expect((await ask(port, { path: '/items/health' })).body).toBe('{"admitted":false}');
    await all.quiet();
    await some.quiet();
    expect([all.entered, some.entered]).toEqual([2, 1]);
  });

  test('what a handler says goes before what its class says; handlers of one group share a limit', async () => {
    class Orders {
      a(): string {
        return 'a';
      }
      b(): string {
        return 'b';
      }
      open(): string {
        return 'open';
      }
    }
    Controller('orders')(Orders);
    Guarded({ group: 'orders' })(Orders);
    onMethod(Orders, 'a', Get('a'));
    onMethod(Orders, 'b', Get('b'));
    onMethod(Orders, 'open', Get('open'), Guarded(false));
    const groups = { orders: [fixedWindow({ limit: 1, window: '1m' })] };
    const port = await start(platform, [Orders], [BreakwaterModule.forRoot({ groups })]);
    expect((await ask(port, { path: '/orders/a' })).body).toBe('a');
    expect((await ask(port, { path: '/orders/b' })).status).toBe(429);
    expect((await ask(port, { path: '/orders/open' })).body).toBe('open');
  });

  test('takes options that have to be waited for', async () => {
    class Limits {
      readonly rate = 1;
    }
    const Configured = emptyModule({ providers: [Limits], exports: [Limits] });
    class Hello {
      say(): string {
        return 'hello';
      }
    }
    Controller()(Hello);
    onMethod(Hello, 'say', Get());
    const useFactory = async ({ rate }: Limits) => ({ policies: [perKey(() => tokenBucket({ rate, per: '1m' }))], message: 'not so fast' });
    const port = await start(platform, [Hello], [BreakwaterModule.forRootAsync({ imports: [Configured], inject: [Limits], useFactory })]);
    expect((await ask(port)).body).toBe('hello');
    const refused = await ask(port);
    expect([refused.status, refused.body, refused.headers['content-type']]).toEqual([429, 'not so fast', 'text/plain; charset=utf-8']);
  });

  test('closes what it made when the application ends', async () => {
    const guard = new BreakwaterGuard([bulkhead({ maxConcurrent: 1 })]);
    await guard.close();
    expect(guard.pipeline.snapshot().closed).toBe(true);
    const given = pipeline([bulkhead({ maxConcurrent: 1 })]);
    await new BreakwaterGuard(given).close();
    expect(given.snapshot().closed).toBe(false);
  });

  test('a guard without the module answers through whatever filters there are', async () => {
    class Alone {
      say(): string {
        return 'hello';
      }
    }
    Controller()(Alone);
    onMethod(Alone, 'say', Get(), UseGuards(new BreakwaterGuard([fixedWindow({ limit: 1, window: '1m', name: 'once' })])));
    const port = await start(platform, [Alone], []);
    expect((await ask(port)).headers['ratelimit']).toMatch(/^"once";r=0/);
    const { status, headers, body } = await ask(port);
    expect([status, headers['content-type']?.split(';')[0], Number(headers['retry-after']) > 0]).toEqual([
      429,
      'application/problem+json',
      true,
    ]);
    expect(JSON.parse(body)).toMatchObject({ status: 429, 'violated-policies': ['once'] });
  });

  test('other filters see refusals as exceptions of Nest, with the error behind them', async () => {
    const caught: TurnedException[] = [];
    class Own implements ExceptionFilter {
      catch(exception: TurnedException, host: Parameters<ExceptionFilter['catch']>[1]): void {
        caught.push(exception);
        const reply = host.switchToHttp().getResponse<AnyReply & { send(body: string): unknown }>();
        reply.status(exception.getStatus());
        reply.send('come back later');
      }
    }
    Catch(TurnedException)(Own);
    class Full {
      say(): string {
        return 'hello';
      }
    }
    Controller()(Full);
    onMethod(Full, 'say', Get(), UseFilters(new Own()));
    const port = await start(platform, [Full], [BreakwaterModule.forRoot({ policies: [bulkhead({ maxConcurrent: 0 })] })]);
    const { status, headers, body } = await ask(port);
    expect([status, body, headers['retry-after']]).toEqual([503, 'come back later', '1']);
    expect(caught[0]).toBeInstanceOf(HttpException);
    expect(caught[0]?.turned.error).toMatchObject({ code: 'ERR_BULKHEAD_FULL' });
  });

  test('runs handlers within a pipeline, again if need be, and gives up as it says', async () => {
    let runs = 0;
    const circuit = circuitBreaker({ consecutiveFailures: 1 });
    const foreign = pipeline([bulkhead({ maxConcurrent: 0 })], { name: 'foreign' });
    class Upstream {
      flaky(): string {
        if (++runs < 3) throw Object.assign(new Error('reset'), { code: 'ECONNRESET' });
        return `run ${runs}`;
      }
      broken(): string {
        throw new Error('broken');
      }
      lesser(): string {
        throw new Error('broken');
      }
      async other(): Promise<string> {
        return await foreign.execute(() => 'never');
      }
    }
    Controller()(Upstream);
    onMethod(Upstream, 'flaky', Get('flaky'), Through(pipeline([retry({ maxAttempts: 3, backoff: { delay: 0 } })]), { idempotent: true }));
    onMethod(Upstream, 'broken', Get('broken'), Through(pipeline([circuit])));
    onMethod(Upstream, 'lesser', Get('lesser'), Through(pipeline([fallback({ value: 'lesser' })])));
    onMethod(Upstream, 'other', Get('other'), Through(pipeline([])));
    const port = await start(platform, [Upstream], [BreakwaterModule.forRoot()]);
    expect((await ask(port, { path: '/flaky' })).body).toBe('run 3');
    expect((await ask(port, { path: '/broken' })).status).toBe(500);
    const open = await ask(port, { path: '/broken' });
    expect([open.status, Number(open.headers['retry-after']) > 0]).toEqual([503, true]);
    expect((await ask(port, { path: '/lesser' })).body).toBe('lesser');
    // What another pipeline refuses is between the handler and that one.
    expect((await ask(port, { path: '/other' })).status).toBe(500);
  });

  test('a handler within a pipeline hears through its call that the time of the request is up', async () => {
    let reason: unknown;
    const ended = { settle: (): void => undefined };
    const over = new Promise<void>((resolve) => (ended.settle = resolve));
    class Slow {
      async wait(visit: Visit): Promise<string> {
        await once(visit.signal, 'abort');
        reason = visit.signal.reason;
        ended.settle();
        return 'late';
      }
    }
    Controller()(Slow);
    onMethod(Slow, 'wait', Get(), Through(pipeline([bulkhead({ maxConcurrent: 1 })])));
    onParameter(Slow, 'wait', 0, CurrentVisit());
    const port = await start(platform, [Slow], [BreakwaterModule.forRoot({ deadline: 200 })]);
    expect((await ask(port)).status).toBe(504);
    await over;
    expect(reason).toMatchObject({ code: 'ERR_TIMEOUT' });
  });
});

test('where the time of the request and of its pipeline are up at once, the request is told before it is answered', async () => {
  // Two clocks ring in the same moment. Where that of the pipeline was first, the answer ended the request, and its handler was never told.
  const guard = new AbortController();
  const breakwater = { remaining: () => 0, signal: guard.signal };
  const late = { name: 'late', execute: () => Promise.reject(new TimeoutError('too late', { after: 200, pipeline: 'late' })) };
  const http = { getRequest: () => ({ breakwater }), getResponse: () => ({ setHeader: () => undefined }) };
  const handled = new PipelineInterceptor(late).intercept({ getType: () => 'http', switchToHttp: () => http } as never, {
    handle: () => of('late'),
  });
  const seen: unknown[] = [];
  const answer = lastValueFrom(handled).catch(() => seen.push(`answered, told: ${guard.signal.aborted}`));
  await new Promise(setImmediate);
  guard.abort(new Error('the time is up'));
  await answer;
  expect(seen).toEqual(['answered, told: true']);
});

describe('what is wrong', () => {
  test('is told when the guard is made, or when a handler is first asked for', () => {
    expect(() => new BreakwaterGuard([retry()])).toThrow(OptionsError);
    expect(() => new BreakwaterGuard([], { deadline: -1 })).toThrow(/deadline/);
    expect(() => new BreakwaterGuard([], { groups: { a: [fallback({ value: 1 })] } })).toThrow(OptionsError);
  });

  test('what is no HTTP goes past', async () => {
    const account = books();
    const guard = new BreakwaterGuard([account.policy]);
    expect(await guard.canActivate({ getType: () => 'rpc' } as never)).toBe(true);
    expect(account.entered).toBe(0);
    const closed = new PipelineInterceptor(pipeline([bulkhead({ maxConcurrent: 0 })]));
    const handled = closed.intercept({ getType: () => 'rpc' } as never, { handle: () => of('told') });
    expect(await lastValueFrom(handled)).toBe('told');
  });
});
