import rateLimit from '@fastify/rate-limit';
import {
  OptionsError,
  type AnyPolicy,
  RateLimitedError,
  bulkhead,
  definePolicy,
  fixedWindow,
  perKey,
  pipeline,
  refuse,
  retry,
} from 'breakwater';
import plugin, { type FastifyGuardOptions, breakwater, idempotency, lifecycle, readiness, staleCopies } from 'breakwater/fastify';
import Fastify, { type FastifyInstance } from 'fastify';
import { describe, expect, test, vi } from 'vitest';
import { listen } from './fastify-app.ts';
import { ask, books, latch } from './serving.ts';

const limited = definePolicy({
  kind: 'limit',
  gate: { enter: () => refuse(new RateLimitedError('no')), settle() {}, cancel() {} },
});

/** Writes down who came by, and lets everybody in. */
function noting(what: string, order: string[]): AnyPolicy {
  return definePolicy({ kind: what, gate: { enter: () => void order.push(what), settle() {}, cancel() {} } });
}

/** Writes down what is said of calls. */
function hearing(heard: unknown[]): AnyPolicy {
  return definePolicy({
    kind: 'hearing',
    gate: { enter: ({ key, priority }) => void heard.push([key, priority]), settle() {}, cancel() {} },
  });
}

const status = async (app: FastifyInstance, url: string, method: 'GET' | 'HEAD' | 'POST' = 'GET'): Promise<number> =>
  (await app.inject({ url, method })).statusCode;

describe('where a guard stands', () => {
  test('is a plugin that needs no wrapper: the default export and the one by name are one', async () => {
    const app = Fastify();
    await app.register(plugin, { policies: [] });
    expect(plugin).toBe(breakwater);
    expect(app.hasPlugin('breakwater')).toBe(true);
    expect(app.hasDecorator('breakwater')).toBe(true);
  });

  test('registered at the root it guards every route: declared before it or after it, in scopes, and where there is none', async () => {
    const app = Fastify();
    app.get('/before', () => 'in');
    await app.register(breakwater, { policies: [limited] });
    app.get('/after', () => 'in');
    await app.register(async (scope) => scope.get('/within', () => 'in'));
    for (const url of ['/before', '/after', '/within', '/nowhere']) expect(await status(app, url)).toBe(429);
  });

  test('registered in a scope it guards the routes of that scope and of scopes within, and no others', async () => {
    const app = Fastify();
    await app.register(
      async (scope) => {
        await scope.register(breakwater, { policies: [limited] });
        scope.get('/own', () => 'in');
        scope.setNotFoundHandler((_request, reply) => reply.code(404).send('nothing here'));
        await scope.register(async (inner) => inner.get('/within', () => 'in'));
      },
      { prefix: '/guarded' },
    );
    app.get('/outside', (request) => String((request as Partial<typeof request>).breakwater === undefined));
    expect(await Promise.all(['/guarded/own', '/guarded/within', '/guarded/nowhere'].map((url) => status(app, url)))).toEqual([
      429, 429, 429,
    ]);
    expect((await app.inject('/outside')).body).toBe('true');
    expect(await status(app, '/nowhere')).toBe(404);
  });

  test('of two guards around a route the outer one decides first; two in one scope decide in the order in which they came', async () => {
    const app = Fastify();
    const order: string[] = [];
    await app.register(breakwater, { policies: [noting('outer', order)], name: 'outer' });
    await app.register(async (scope) => {
      await scope.register(breakwater, { policies: [noting('first', order)], name: 'first' });
      await scope.register(breakwater, { policies: [noting('second', order)], name: 'second' });
      scope.get('/', { config: { breakwater: { policies: [noting('route', order)] } } }, () => 'in');
      expect(scope.breakwater.pipeline.name).toBe('second');
      expect(scope.breakwater.pipelines.map(({ name }) => name)).toEqual(['outer', 'first', 'second', 'second GET /']);
    });
    expect(await status(app, '/')).toBe(200);
    expect(order).toEqual(['outer', 'first', 'second', 'route']);
    expect([app.breakwater.pipeline.name, app.breakwater.pipelines.length]).toEqual(['outer', 1]);
  });

  test('guards nothing but what asks for it, if it is not global', async () => {
    const app = Fastify();
    await app.register(breakwater, { policies: [limited], global: false });
    app.get('/quiet', (request) => String(request.breakwater.admitted));
    app.get('/asks', { config: { breakwater: true } }, () => 'in');
    app.get('/says', { config: { breakwater: { priority: 'sheddable' } } }, () => 'in');
    expect((await app.inject('/quiet')).body).toBe('false');
    expect([await status(app, '/asks'), await status(app, '/says'), await status(app, '/nowhere')]).toEqual([429, 429, 404]);
  });

  test('takes what Fastify itself reads of a registration', async () => {
    const app = Fastify();
    await app.register(breakwater, { policies: [limited], logLevel: 'warn' });
    app.get('/', () => 'in');
    expect(await status(app, '/')).toBe(429);
  });

  test.each<[string, object, string]>([
    ['a misspelled option', { policies: [], deadlines: '2s' }, 'did you mean deadline'],
    ['a hook that there is not', { policies: [], hook: 'onSend' }, 'breakwater.hook'],
    ['what is no list of policies', { policies: 'all' }, 'breakwater.policies'],
    ['a policy that runs work again', { policies: [retry()] }, 'gates only'],
    ['a key by two names', { key: () => 'a', keyGenerator: () => 'b' }, 'another name for key'],
    ['a group that is no list', { groups: { search: 3 } }, 'breakwater.groups'],
    ['a group that runs work again', { groups: { search: [retry()] } }, 'gates only'],
  ])('refuses %s when it is registered', async (_what, options, message) => {
    const app = Fastify();
    await expect(async () => app.register(breakwater, options as FastifyGuardOptions)).rejects.toThrow(message);
  });

  test.each<[string, unknown, string]>([
    ['a misspelled option', { prioritty: 'sheddable' }, 'did you mean priority'],
    ['what is neither options nor a switch', 'off', 'config.breakwater'],
    ['a group that there is not', { group: 'search' }, "one of the guard's groups (find)"],
    ['a policy that runs work again', { policies: [retry()] }, 'gates only'],
  ])('refuses %s where the route is declared', async (_what, said, message) => {
    const app = Fastify();
    await app.register(breakwater, { groups: { find: [] } });
    expect(() => app.get('/', { config: { breakwater: said as never } }, () => 'in')).toThrow(OptionsError);
    expect(() => app.get('/', { config: { breakwater: said as never } }, () => 'in')).toThrow(message);
  });
});

describe('what a route says', () => {
  test('false switches all guards off, and handlers still have a signal', async () => {
    const app = Fastify();
    const account = books();
    await app.register(breakwater, { policies: [account.policy] });
    await app.register(async (scope) => {
      await scope.register(breakwater, { policies: [limited] });
      scope.get('/', { config: { breakwater: false } }, (request) => {
        const { admitted, signal } = request.breakwater;
        return [admitted, signal.aborted, request.breakwater.remaining() === Infinity, request.raw.breakwater === request.breakwater];
      });
    });
    expect((await app.inject('/')).json()).toEqual([false, false, true, true]);
    expect(account.entered).toBe(0);
  });

  test('gates of its own stand behind those of the guard, and GET and HEAD have them together', async () => {
    const app = Fastify();
    await app.register(breakwater, { name: 'api' });
    app.get('/', { config: { breakwater: { policies: [fixedWindow({ limit: 2, window: '1h' })] } } }, () => 'in');
    app.get('/other', () => 'in');
    expect([await status(app, '/'), await status(app, '/', 'HEAD'), await status(app, '/'), await status(app, '/', 'HEAD')]).toEqual([
      200, 200, 429, 429,
    ]);
    expect(await status(app, '/other')).toBe(200);
    expect(app.breakwater.pipelines.map(({ name }) => name)).toEqual(['api', 'api GET /']);
  });

  test('gates of its own can be a pipeline, or have a name', async () => {
    const app = Fastify();
    const search = pipeline([limited], { name: 'search' });
    await app.register(breakwater);
    app.get('/search', { config: { breakwater: { policies: search } } }, () => 'in');
    app.get('/named', { config: { breakwater: { policies: [bulkhead({ maxConcurrent: 1 })], name: 'mine' } } }, () => 'in');
    expect([await status(app, '/search'), await status(app, '/named')]).toEqual([429, 200]);
    expect(app.breakwater.pipelines.map(({ name }) => name)).toEqual(['guard', 'mine']);
  });

  test('gates of a route that was declared before the guard hold, too', async () => {
    const app = Fastify();
    app.get('/', { config: { breakwater: { policies: [limited] } } }, () => 'in');
    app.get('/off', { config: { breakwater: false } }, () => 'in');
    await app.register(breakwater, {});
    expect([await status(app, '/'), await status(app, '/off')]).toEqual([429, 200]);
  });

  test('routes share a limit by sharing the policy, or by naming a group', async () => {
    const app = Fastify();
    const shared = fixedWindow({ limit: 1, window: '1h' });
    await app.register(breakwater, { name: 'api', groups: { search: [fixedWindow({ limit: 1, window: '1h' })] } });
    app.get('/a', { config: { breakwater: { policies: [shared] } } }, () => 'in');
    app.get('/b', { config: { breakwater: { policies: [shared] } } }, () => 'in');
    app.get('/c', { config: { breakwater: { group: 'search' } } }, () => 'in');
    app.get('/d', { config: { breakwater: { group: 'search', policies: [bulkhead({ maxConcurrent: 9 })] } } }, () => 'in');
    expect([await status(app, '/a'), await status(app, '/b')]).toEqual([200, 429]);
    expect([await status(app, '/c'), await status(app, '/d')]).toEqual([200, 429]);
    expect(app.breakwater.pipelines.map(({ name }) => name)).toContain('api search');
  });

  test('what it says goes over what the guard says, for the gates of both', async () => {
    const app = Fastify();
    const heard: unknown[] = [];
    await app.register(breakwater, {
      policies: [hearing(heard)],
      key: () => 'all',
      deadline: '10s',
      skip: ({ url }) => url === '/skipped',
    });
    const said = {
      policies: [hearing(heard)],
      keyGenerator: () => 'mine',
      priority: 'sheddable',
      deadline: '1s',
      skip: () => false,
    } as const;
    app.get('/skipped', { config: { breakwater: said } }, (request) => String(request.breakwater.remaining() <= 1000));
    app.get('/plain', (request) => String(request.breakwater.remaining() > 1000));
    expect((await app.inject('/skipped')).body).toBe('true');
    expect((await app.inject('/plain')).body).toBe('true');
    expect(heard).toEqual([
      ['mine', 'sheddable'],
      ['mine', 'sheddable'],
      ['all', 'critical'],
    ]);
  });

  test('its cost counts in the limits of the guard', async () => {
    const app = Fastify();
    await app.register(breakwater, { policies: [fixedWindow({ limit: 10, window: '1h' })] });
    app.get('/dear', { config: { breakwater: { cost: 6 } } }, () => 'in');
    expect([await status(app, '/dear'), await status(app, '/dear')]).toEqual([200, 429]);
  });

  test('what it says of its requests outer guards hear, too; its key is between it and the guard next to it', async () => {
    const app = Fastify();
    const outer: unknown[] = [];
    const inner: unknown[] = [];
    await app.register(breakwater, { policies: [hearing(outer)], key: () => 'address' });
    await app.register(async (scope) => {
      await scope.register(breakwater, { policies: [hearing(inner)], key: () => 'tenant' });
      scope.get('/', { config: { breakwater: { priority: 'best-effort', key: () => 'user' } } }, () => 'in');
    });
    expect(await status(app, '/')).toBe(200);
    expect([outer, inner]).toEqual([[['address', 'best-effort']], [['user', 'best-effort']]]);
  });

  test('holds wherever the same object is used: next to a guard, and behind another one', async () => {
    const app = Fastify();
    const order: string[] = [];
    const said = { policies: [noting('route', order)], priority: 'sheddable' } as const;
    await app.register(breakwater, { name: 'outer' });
    app.get('/outer', { config: { breakwater: said } }, () => 'in');
    await app.register(async (scope) => {
      await scope.register(breakwater, { policies: [noting('inner', order)], name: 'inner' });
      scope.get('/inner', { config: { breakwater: said } }, () => 'in');
    });
    await app.inject('/outer');
    await app.inject('/inner');
    expect(order).toEqual(['route', 'inner', 'route']);
  });

  test('functions are asked once about a request that passes gates of the guard and of the route', async () => {
    const app = Fastify();
    let asked = 0;
    await app.register(breakwater, {
      key: async () => {
        asked++;
        return 'a';
      },
    });
    app.get('/', { config: { breakwater: { policies: [bulkhead({ maxConcurrent: 1 })] } } }, () => 'in');
    expect([await status(app, '/'), asked]).toEqual([200, 1]);
  });
});

describe('when a guard decides', () => {
  test('behind body parsing and authentication, if it is told so', async () => {
    const app = Fastify();
    app.decorateRequest('user', '');
    app.addHook('preHandler', async (request) => void Object.assign(request, { user: 'ada' }));
    await app.register(breakwater, {
      policies: [perKey(() => fixedWindow({ limit: 1, window: '1h' }))],
      hook: 'preHandler',
      key: (request) => `${(request as never as { user: string }).user} ${(request.body as { item: string }).item}`,
    });
    app.post('/', () => 'in');
    const order = async (item: string): Promise<number> => (await app.inject({ url: '/', method: 'POST', payload: { item } })).statusCode;
    expect([await order('a'), await order('b'), await order('a')]).toEqual([200, 200, 429]);
  });

  test('W1 once, also if the handler finds that there is nothing and sends the request on to the 404 handler', async () => {
    const app = Fastify();
    const account = books();
    app.setNotFoundHandler((_request, reply) => reply.code(404).send('nothing'));
    await app.register(breakwater, { policies: [account.policy], hook: 'preHandler' });
    app.get('/', (_request, reply) => reply.callNotFound());
    expect(await status(app, '/')).toBe(404);
    expect([account.entered, account.verdicts]).toEqual([1, ['success']]);
  });

  test('not at all if an earlier hook has answered', async () => {
    const app = Fastify();
    const account = books();
    app.addHook('onRequest', async (_request, reply) => reply.code(401).send('who are you?'));
    await app.register(breakwater, { policies: [account.policy] });
    app.get('/', () => 'in');
    expect([await status(app, '/'), account.entered]).toEqual([401, 0]);
  });

  test.each([[undefined], [null], [''], ['a text'], [{ code: 'E' }]])(
    'W5 a key function that throws %j does not let the request in',
    async (thrown) => {
      const app = Fastify();
      let served = 0;
      await app.register(breakwater, {
        key: () => {
          throw thrown;
        },
      });
      app.get('/', () => served++);
      expect([await status(app, '/'), served]).toEqual([500, 0]);
    },
  );
});

describe('beside others', () => {
  test('a plugin that counts requests itself does not get in the way', async () => {
    const app = Fastify();
    await app.register(rateLimit, { max: 3, timeWindow: '1 hour' });
    await app.register(breakwater, { policies: [fixedWindow({ limit: 2, window: '1h' })] });
    app.get('/', () => 'in');
    const first = await app.inject('/');
    expect([first.headers['x-ratelimit-remaining'], first.headers['ratelimit']]).toEqual(['2', expect.stringMatching(/r=1;/)]);
    expect([await status(app, '/'), await status(app, '/'), await status(app, '/')]).toEqual([200, 429, 429]);
  });

  test('clients are told apart by our own trustProxy, or by what Fastify makes of its own with a key', async () => {
    const limits = (): AnyPolicy => perKey(() => fixedWindow({ limit: 1, window: '1h' }));
    const asked = async (options: FastifyGuardOptions): Promise<readonly number[]> => {
      const app = Fastify({ trustProxy: '127.0.0.1' });
      await app.register(breakwater, { policies: [limits()], ...options });
      app.get('/', () => 'in');
      const from = async (forwarded: string): Promise<number> =>
        (await app.inject({ url: '/', headers: { 'x-forwarded-for': forwarded } })).statusCode;
      return [await from('203.0.113.1'), await from('203.0.113.2'), await from('203.0.113.1')];
    };
    expect(await asked({})).toEqual([200, 429, 429]);
    expect(await asked({ trustProxy: 'loopback' })).toEqual([200, 200, 429]);
    expect(await asked({ key: (request) => request.ip })).toEqual([200, 200, 429]);
  });
});

describe('the end of an application', () => {
  test('closes the pipelines that were made for it, and leaves one that was given open', async () => {
    const given = pipeline([bulkhead({ maxConcurrent: 1 })], { name: 'given' });
    const app = Fastify();
    await app.register(breakwater, { name: 'outer', groups: { search: [] } });
    await app.register(breakwater, { policies: given });
    app.get('/', { config: { breakwater: { policies: [bulkhead({ maxConcurrent: 1 })] } } }, () => 'in');
    const gates = app.breakwater.pipelines;
    await app.close();
    expect(gates.map((each) => [each.name, each.snapshot().closed])).toEqual([
      ['outer', true],
      ['given', false],
      ['outer search', true],
      ['given GET /', true],
    ]);
  });

  test('waits for requests that run, and lets them finish', async () => {
    const app = Fastify();
    const arrived = latch();
    const go = latch();
    await app.register(breakwater, { policies: [bulkhead({ maxConcurrent: 1 })] });
    app.get('/', async (request) => {
      arrived.open();
      await go.opened;
      return String(request.breakwater.signal.aborted);
    });
    const port = await listen(app);
    const asking = ask(port);
    await arrived.opened;
    const closed = app.close();
    go.open();
    expect((await asking).body).toBe('false');
    await closed;
    expect(app.breakwater.pipeline.snapshot()).toMatchObject({ active: 0, closed: true });
  });

  test('waits no longer than the drain for what outlives its connection, and then aborts it', async () => {
    const app = Fastify();
    const arrived = latch<AbortSignal>();
    await app.register(breakwater, { drain: 10 });
    app.get('/', (request) => {
      arrived.open(request.breakwater.signal);
      return new Promise(() => undefined);
    });
    void app.inject('/').catch(() => undefined);
    const signal = await arrived.opened;
    await app.close();
    expect(signal.aborted).toBe(true);
  });

  test('a lifecycle turns readiness first, refuses new requests and lets those that run finish', async () => {
    const app = Fastify();
    const life = lifecycle({ delay: 0, onClose: () => app.close() });
    const ready = readiness({ lifecycle: life });
    const arrived = latch();
    const go = latch();
    await app.register(breakwater, { lifecycle: life });
    app.get('/ready', { config: { breakwater: false } }, async (_request, reply) => {
      const { status: code, headers, body } = await ready.report();
      return reply.code(code).headers(headers).send(body);
    });
    app.get('/slow', async () => {
      arrived.open();
      await go.opened;
      return 'done';
    });
    const port = await listen(app);
    expect((await ask(port, { path: '/ready' })).status).toBe(200);
    const slow = ask(port, { path: '/slow' });
    await arrived.opened;
    expect(life.inFlight).toBe(1);
    const drained = life.drain();
    expect(life.state).toBe('draining');
    go.open();
    expect((await slow).body).toBe('done');
    expect(await drained).toMatchObject({ cut: 0 });
    expect(app.breakwater.pipeline.snapshot().closed).toBe(true);
  });
});

describe('lesser answers', () => {
  test('copies of earlier answers stand in for refusals, with what the hooks of the reply had added', async () => {
    const app = Fastify();
    const copies = staleCopies({ maxStale: '1h' });
    let served = 0;
    app.addHook('onSend', async (_request, reply) => void reply.header('x-hooked', '1'));
    await app.register(breakwater);
    const said = { policies: [fixedWindow({ limit: 1, window: '1h' })], fallback: copies };
    app.get('/', { config: { breakwater: said } }, async (_request, reply) => {
      return reply.header('cache-control', 'public, max-age=0').send(`fresh ${++served}`);
    });
    const port = await listen(app);
    const answers = [await ask(port), await ask(port)];
    expect(answers.map(({ status: code, body, headers }) => [code, body, headers['x-hooked']])).toEqual([
      [200, 'fresh 1', '1'],
      [200, 'fresh 1', '1'],
    ]);
  });
});

describe('Idempotency-Key', () => {
  test('carries a request out once; who repeats it gets the same answer, with the fields of hooks', async () => {
    const app = Fastify();
    let charged = 0;
    app.addHook('onRequest', async (_request, reply) => void reply.header('access-control-allow-origin', '*'));
    app.addHook('onSend', async (_request, _reply, payload) => `<${String(payload)}>`);
    await app.register(breakwater);
    app.post('/pay', { preHandler: idempotency() }, async (_request, reply) => reply.code(201).send({ charged: ++charged }));
    const port = await listen(app);
    const pay = async (key: string): Promise<Awaited<ReturnType<typeof ask>>> =>
      ask(port, { method: 'POST', path: '/pay', headers: { 'idempotency-key': key, 'content-type': 'application/json' }, body: '{}' });
    const first = await pay('"a"');
    const again = await pay('"a"');
    expect([first.status, again.status, again.body, again.headers['idempotency-replayed']]).toEqual([201, 201, first.body, 'true']);
    expect(again.headers['access-control-allow-origin']).toBe('*');
    expect((await pay('"b"')).body).toBe('<{"charged":2}>');
    const malformed = await pay('nonsense, that');
    expect([malformed.status, malformed.headers['access-control-allow-origin']]).toEqual([400, '*']);
    await vi.waitFor(() => expect(app.breakwater.pipeline.snapshot().active).toBe(0));
  });

  test('what the functions it asks throw goes to the error handler', async () => {
    const app = Fastify();
    const scope = (): string => {
      throw new Error('who?');
    };
    app.post('/', { preHandler: idempotency({ scope }) }, () => 'in');
    const { statusCode, body } = await app.inject({ url: '/', method: 'POST', headers: { 'idempotency-key': '"a"' } });
    expect([statusCode, body]).toEqual([500, expect.stringContaining('who?')]);
  });
});
