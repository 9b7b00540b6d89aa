import { AsyncLocalStorage } from 'node:async_hooks';
import {
  type BulkheadFullError,
  OptionsError,
  RateLimitedError,
  bulkhead,
  definePolicy,
  fallback,
  pipeline,
  refuse,
  retry,
  timeout,
} from 'breakwater';
import { ClientGoneError, ErrorResponse, type Turned, guard } from 'breakwater/express';
import express5, { type Application, type ErrorRequestHandler, type Request, type RequestHandler } from 'express';
import express4 from 'express4';
import { describe, expect, test } from 'vitest';
import { ask, books, latch, serve } from './serving.ts';

const versions: readonly (readonly [string, () => Application])[] = [
  ['Express 5', express5],
  ['Express 4', express4],
];

/** Answers with the error's message, so that a test sees that it came here. */
const tell: ErrorRequestHandler = (error: unknown, _req, res, next) => {
  if (res.headersSent) next(error);
  else res.status(500).json({ told: (error as Error).message });
};

const limited = definePolicy({
  kind: 'limit',
  name: 'inner-secret',
  gate: { enter: () => refuse(new RateLimitedError('inner-secret is used up', { retryAfter: 1200 })), settle() {}, cancel() {} },
});

describe.each(versions)('guard in %s', (_, express) => {
  test('lets requests in, and tells handlers when to stop and how much time is left', async () => {
    const app = express().set('env', 'test');
    const account = books();
    app.use(guard([account.policy], { deadline: '10s' }));
    app.get('/', (req, res) => {
      const { signal, admitted } = req.breakwater;
      res.json({ aborted: signal.aborted, admitted, left: req.breakwater.remaining() });
    });
    const { port } = await serve(app);
    const { status, body } = await ask(port);
    expect(status).toBe(200);
    const { aborted, admitted, left } = JSON.parse(body) as Record<string, unknown>;
    expect([aborted, admitted]).toEqual([false, true]);
    expect(left).toBeGreaterThan(5000);
    expect(left).toBeLessThanOrEqual(10_000);
    await account.quiet();
    expect(account.verdicts).toEqual(['success']);
  });

  test('without a deadline there is no end of time', async () => {
    const app = express();
    app.use(guard([]));
    app.get('/', (req, res) => void res.send(String(req.breakwater.remaining())));
    const { port } = await serve(app);
    expect((await ask(port)).body).toBe('Infinity');
  });

  test('W4 a rate limit answers 429 and anything else 503, with Retry-After and a body that gives nothing away', async () => {
    const app = express();
    const full = guard([bulkhead({ maxConcurrent: 0, name: 'inner-secret' })]);
    app.get('/limited', guard([limited]), (_req, res) => void res.send('in'));
    app.get('/full', full, (_req, res) => void res.send('in'));
    const { port } = await serve(app);
    const no = await ask(port, { path: '/limited' });
    expect([no.status, no.headers['retry-after'], no.headers['content-type']]).toEqual([429, '2', 'application/problem+json']);
    const busy = await ask(port, { path: '/full' });
    expect([busy.status, busy.headers['retry-after']]).toEqual([503, '1']);
    for (const { body } of [no, busy]) expect(body).not.toMatch(/secret|bulkhead|limit\b|guard/);
    expect(full.pipeline.snapshot().active).toBe(0);
  });

  test.each([
    [200, 'success'],
    [302, 'success'],
    [404, 'success'],
    [429, 'success'],
    [500, 'failure'],
    [503, 'failure'],
  ])('W2 a request that is answered with %i counts as a %s', async (status, verdict) => {
    const app = express();
    const account = books();
    app.use(guard([account.policy]));
    app.get('/', (_req, res) => void res.status(status).end());
    const { port } = await serve(app);
    expect((await ask(port)).status).toBe(status);
    await account.quiet();
    expect(account.verdicts).toEqual([verdict]);
    if (verdict === 'failure') expect(account.errors[0]).toMatchObject({ code: 'ERR_RESPONSE', status });
    expect(account.errors.every((error) => error instanceof ErrorResponse)).toBe(true);
  });

  test('W2 a handler that throws is a failure, and its permit is given back', async () => {
    const app = express();
    const account = books();
    app.use(guard([account.policy]));
    app.get('/sync', () => {
      throw new Error('sync');
    });
    app.get('/next', (_req, _res, next) => next(new Error('next')));
    app.use(tell);
    const { port } = await serve(app);
    expect((await ask(port, { path: '/sync' })).body).toContain('"told":"sync"');
    expect((await ask(port, { path: '/next' })).body).toContain('"told":"next"');
    await account.quiet();
    expect(account.verdicts).toEqual(['failure', 'failure']);
  });

  test('W5 what the key function throws goes to the error handler; the request is not served and nothing is taken', async () => {
    const app = express().set('env', 'test');
    const account = books();
    let served = 0;
    const wrong = (what: string) => (): never => {
      throw new Error(what);
    };
    app.get('/key', guard([account.policy], { key: wrong('key') }));
    app.get('/priority', guard([account.policy], { priority: wrong('priority') }));
    app.get('/skip', guard([account.policy], { skip: wrong('skip') }));
    app.get('/number', guard([account.policy], { key: () => 7 as unknown as string }));
    app.get('/handler', guard([limited], { handler: wrong('handler') }));
    app.use((_req, res) => {
      served++;
      res.send('served');
    });
    app.use(tell);
    const { port } = await serve(app);
    for (const path of ['key', 'priority', 'skip', 'handler']) {
      expect(JSON.parse((await ask(port, { path: `/${path}` })).body)).toEqual({ told: path });
    }
    expect((await ask(port, { path: '/number' })).body).toContain('key: expected a string, got 7');
    expect([served, account.entered]).toEqual([0, 0]);
  });

  test('key and priority come from the request and reach the policies', async () => {
    const app = express();
    const seen: unknown[] = [];
    const look = definePolicy({
      kind: 'look',
      gate: { enter: (call) => seen.push([call.key, call.priority]), settle() {}, cancel() {} },
    });
    app.get('/a', guard<Request>([look], { key: (req) => req.get('x-tenant'), priority: () => 'sheddable' }));
    app.get('/b', guard([look], { key: (req) => req.ip, priority: 'critical-plus' }));
    const { port } = await serve(app);
    await ask(port, { path: '/a', headers: { 'x-tenant': 'acme' } });
    await ask(port, { path: '/a' });
    await ask(port, { path: '/b' });
    expect(seen).toEqual([
      ['acme', 'sheddable'],
      [undefined, 'sheddable'],
      ['127.0.0.1', 'critical-plus'],
    ]);
  });

  test('a client that hangs up aborts the signal, and counts as neither success nor failure', async () => {
    const app = express();
    const account = books();
    const arrived = latch();
    const aborted = latch<unknown>();
    app.use(guard([account.policy], { deadline: '1m' }));
    app.get('/', (req) => {
      const { signal } = req.breakwater;
      signal.addEventListener('abort', () => aborted.open([signal.reason, req.breakwater.remaining()]));
      arrived.open();
    });
    const { port } = await serve(app);
    const asking = ask(port);
    await arrived.opened;
    asking.leave();
    const [reason, left] = (await aborted.opened) as [unknown, number];
    expect(reason).toBeInstanceOf(ClientGoneError);
    expect(left).toBe(0);
    await account.quiet();
    expect(account.verdicts).toEqual(['ignored']);
  });

  test('a client that hangs up while it waits leaves the queue, and its handler never runs', async () => {
    const app = express();
    const slots = bulkhead({ maxConcurrent: 1, maxQueue: 5 });
    const arrived = latch();
    const answer = latch();
    const served: unknown[] = [];
    const left = latch();
    app.use((req, res, next) => {
      if (req.path === '/second') res.once('close', () => left.open());
      next();
    });
    const api = guard([slots]);
    app.use(api);
    app.get('/:who', async (req, res) => {
      served.push(req.params.who);
      arrived.open();
      await answer.opened;
      res.send('done');
    });
    const errors: unknown[] = [];
    const note: ErrorRequestHandler = (error: unknown, _req, _res, next) => {
      errors.push(error);
      next(error);
    };
    app.use(note);
    const { port } = await serve(app);
    const first = ask(port, { path: '/first' });
    await arrived.opened;
    const second = ask(port, { path: '/second' });
    await new Promise<void>((resolve) => {
      const off = api.pipeline.on('bulkhead.queued', () => {
        off();
        resolve();
      });
    });
    expect(slots.queued).toBe(1);
    second.leave();
    await left.opened;
    expect([slots.active, slots.queued]).toEqual([1, 0]);
    answer.open();
    expect((await first).status).toBe(200);
    expect((await ask(port, { path: '/third' })).status).toBe(200);
    expect([served, errors]).toEqual([['first', 'third'], []]);
  });

  test('when the deadline passes the answer is 504 and the signal aborts with a TimeoutError; it counts as a failure', async () => {
    const app = express();
    const account = books();
    const reasons: unknown[] = [];
    app.use(guard([account.policy], { deadline: 20, name: 'slow-secret' }));
    app.get('/', (req) => {
      req.breakwater.signal.addEventListener('abort', () => reasons.push(req.breakwater.signal.reason));
    });
    const { port } = await serve(app);
    const { status, headers, body } = await ask(port);
    expect([status, headers['content-type'], headers['retry-after']]).toEqual([504, 'application/problem+json', undefined]);
    expect(body).not.toContain('secret');
    expect(reasons).toEqual([expect.objectContaining({ code: 'ERR_TIMEOUT', after: 20 })]);
    await account.quiet();
    expect(account.errors).toEqual(reasons);
  });

  test('a timeout among the gates answers 504 as well', async () => {
    const app = express();
    app.use(guard([timeout({ after: 15 })]));
    app.get('/', () => undefined);
    const { port } = await serve(app);
    expect((await ask(port)).status).toBe(504);
  });

  test('a deadline that passes in the queue is a refusal: 503, and the handler never ran', async () => {
    const app = express();
    let served = 0;
    const arrived = latch();
    const answer = latch();
    const slots = bulkhead({ maxConcurrent: 1, maxQueue: 1 });
    app.get('/held', guard([slots]), async (_req, res) => {
      arrived.open();
      await answer.opened;
      res.end();
    });
    app.get('/', guard([slots], { deadline: 15 }), (_req, res) => {
      served++;
      res.end();
    });
    const { port } = await serve(app);
    const held = ask(port, { path: '/held' });
    await arrived.opened;
    const late = await ask(port);
    expect([late.status, late.headers['retry-after'], served]).toEqual([503, '1', 0]);
    answer.open();
    await held;
    expect((await ask(port)).status).toBe(200);
  });

  test('requests that waited run in their own async context', async () => {
    const app = express();
    const who = new AsyncLocalStorage<string>();
    app.use((req, _res, next) => who.run(req.path, next));
    app.use(guard([bulkhead({ maxConcurrent: 1, maxQueue: 10 })]));
    app.use((req, res) => void setImmediate(() => res.send(String(who.getStore() === req.path))));
    const { port } = await serve(app);
    const replies = await Promise.all(Array.from({ length: 8 }, (_each, i) => ask(port, { path: `/${i}` })));
    expect(replies.map(({ body }) => body)).toEqual(Array.from({ length: 8 }, () => 'true'));
  });

  test('what is skipped goes past all gates, and still knows when its client has gone', async () => {
    const app = express();
    const account = books();
    const arrived = latch();
    const gone = latch();
    app.use(guard([account.policy, bulkhead({ maxConcurrent: 0 })], { skip: (req) => req.originalUrl === '/health', deadline: '1s' }));
    app.get('/health', (req) => {
      const { signal, admitted } = req.breakwater;
      expect([admitted, req.breakwater.remaining()]).toEqual([false, Infinity]);
      signal.addEventListener('abort', () => gone.open());
      arrived.open();
    });
    const { port } = await serve(app);
    const asking = ask(port, { path: '/health' });
    await arrived.opened;
    expect(account.entered).toBe(0);
    asking.leave();
    await gone.opened;
  });

  test('a handler of your own answers refusals and timeouts, lets requests through, or leaves them to the error handler', async () => {
    const app = express().set('env', 'test');
    const turned: Turned[] = [];
    const note =
      (then: (res: express5.Response, next: express5.NextFunction, answer: Turned) => void) =>
      (answer: Turned, _req: Request, res: express5.Response, next: express5.NextFunction): void => {
        turned.push(answer);
        then(res, next, answer);
      };
    const sorry = note((res, _next, { status, headers }) => void res.status(status).set(headers).send('sorry'));
    app.get('/sorry', guard<Request, express5.Response>([limited], { handler: sorry }));
    app.get('/late', guard<Request, express5.Response>([], { deadline: 15, handler: sorry }), () => undefined);
    app.get('/through', guard<Request, express5.Response>([limited], { handler: note((_res, next) => next()) }), (req, res) => {
      res.json({ admitted: req.breakwater.admitted });
    });
    const pass = note((_res, next, { error }) => next(error));
    app.get('/error', guard<Request, express5.Response>([limited], { handler: pass }));
    app.get('/late-error', guard<Request, express5.Response>([], { deadline: 15, handler: pass }), () => undefined);
    app.use(tell);
    const { port } = await serve(app);
    const sorryReply = await ask(port, { path: '/sorry' });
    expect([sorryReply.status, sorryReply.body, sorryReply.headers['retry-after']]).toEqual([429, 'sorry', '2']);
    const late = await ask(port, { path: '/late' });
    expect([late.status, late.body]).toEqual([504, 'sorry']);
    expect(JSON.parse((await ask(port, { path: '/through' })).body)).toEqual({ admitted: false });
    expect(JSON.parse((await ask(port, { path: '/error' })).body)).toEqual({ told: 'inner-secret is used up' });
    expect((await ask(port, { path: '/late-error' })).body).toContain('the deadline passed after 15 ms');
    expect(turned.map(({ status, error }) => [status, (error as BulkheadFullError).code])).toEqual([
      [429, 'ERR_RATE_LIMITED'],
      [504, 'ERR_TIMEOUT'],
      [429, 'ERR_RATE_LIMITED'],
      [429, 'ERR_RATE_LIMITED'],
      [504, 'ERR_TIMEOUT'],
    ]);
  });

  test('behind two guards a request ends with the outer one: the shorter time, one answer, both told', async () => {
    const app = express();
    const [outer, inner] = [books(), books()];
    const left: number[] = [];
    app.use(guard([outer.policy], { deadline: 25 }), guard([inner.policy], { deadline: '1m' }));
    app.get('/', (req) => void left.push(req.breakwater.remaining()));
    const { port } = await serve(app);
    expect((await ask(port)).status).toBe(504);
    expect(left[0]).toBeLessThanOrEqual(25);
    await Promise.all([outer.quiet(), inner.quiet()]);
    expect([outer.verdicts, inner.verdicts]).toEqual([['failure'], ['failure']]);
  });

  test('a closed pipeline sends everybody elsewhere', async () => {
    const app = express();
    const gates = pipeline([], { name: 'api' });
    app.use(guard(gates), (_req, res) => void res.send('in'));
    const { port } = await serve(app);
    expect((await ask(port)).status).toBe(200);
    await gates.close();
    expect((await ask(port)).status).toBe(503);
  });

  test('an error that is no refusal goes to the error handler', async () => {
    const app = express().set('env', 'test');
    const broken = definePolicy({
      kind: 'broken',
      gate: {
        enter: () => {
          throw new Error('broken gate');
        },
        settle() {},
        cancel() {},
      },
    });
    app.use(guard([broken]), tell);
    const { port } = await serve(app);
    expect(JSON.parse((await ask(port)).body)).toEqual({ told: 'broken gate' });
  });
});

describe('what guard refuses at construction (G9)', () => {
  test.each<[string, () => unknown, string]>([
    ['a policy that is no gate', () => guard([retry({ maxAttempts: 2 })]), 'a pipeline of gates only'],
    ['a pipeline with more than gates', () => guard(pipeline([fallback({ value: 1 })], { name: 'p' })), 'a pipeline of gates only'],
    ['something that is no policy', () => guard([{} as never]), 'guard.policies[0]'],
    ['an unknown option', () => guard([], { timeout: 5 } as never), 'guard.timeout'],
    ['no time at all', () => guard([], { deadline: 0 }), 'guard.deadline'],
    ['a key that is no function', () => guard([], { key: 'ip' as never }), 'guard.key'],
    ['an unknown priority', () => guard([], { priority: 'high' as never }), 'guard.priority'],
    ['a second name', () => guard(pipeline([], { name: 'api' }), { name: 'web' }), 'the pipeline is called api'],
  ])('%s', (_, make, message) => {
    expect(make).toThrow(OptionsError);
    expect(make).toThrow(message);
  });
});

test('a guard fits where Express wants middleware, and where bare Node calls it', () => {
  const api = guard([]);
  const handler: RequestHandler = api;
  const keyed: RequestHandler = guard([], { key: (req) => req.ip });
  expect([handler.length, keyed.length, api.pipeline.name]).toEqual([3, 3, 'guard']);
});
