/**
 * The same requests to @fastify/rate-limit and to our guard, for the options that both have. Where the two differ on purpose a test says how and why.
 */

import rateLimit, { type RateLimitPluginOptions } from '@fastify/rate-limit';
import { type AnyPolicy, fixedWindow, perKey, presets } from 'breakwater';
import breakwater, { type FastifyGuardOptions, type RouteGuardOptions, clientKey } from 'breakwater/fastify';
import fc from 'fast-check';
import Fastify, { type FastifyInstance, type FastifyRequest } from 'fastify';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

/** A request, and how long after the one before. */
interface Asked {
  readonly after?: number;
  readonly url?: string;
  readonly method?: 'GET' | 'HEAD';
  readonly from?: string;
  readonly tenant?: string;
}

interface Answered {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: string;
}

const tenant = (request: { readonly headers: Readonly<Record<string, unknown>> }): string => String(request.headers['x-tenant']);

beforeEach(() => {
  vi.useFakeTimers({ now: 1_800_000_000_000, toFake: ['setTimeout', 'clearTimeout', 'Date', 'performance'] });
});

afterEach(() => {
  vi.useRealTimers();
});

type Routes = (app: FastifyInstance) => unknown;
const one: Routes = (app) => app.get('/', () => 'in');

async function theirs(options: RateLimitPluginOptions, routes: Routes = one): Promise<FastifyInstance> {
  const app = Fastify();
  await app.register(rateLimit, options);
  routes(app);
  return app;
}

async function ours(options: FastifyGuardOptions, routes: Routes = one): Promise<FastifyInstance> {
  const app = Fastify();
  await app.register(breakwater, { retryAfterJitter: 0, ...options });
  routes(app);
  return app;
}

const answer = async (app: FastifyInstance, { url = '/', method = 'GET', from, tenant: who = 'ada' }: Asked): Promise<Answered> => {
  const { statusCode, headers, body } = await app.inject({
    url,
    method,
    headers: { 'x-tenant': who },
    ...(from !== undefined && { remoteAddress: from }),
  });
  return { status: statusCode, headers, body };
};

/** Asks both, at the same moments. */
async function both(apps: readonly FastifyInstance[], asked: readonly Asked[]): Promise<Answered[][]> {
  const answers: Answered[][] = apps.map(() => []);
  for (const each of asked) {
    vi.advanceTimersByTime(each.after ?? 0);
    for (const [i, app] of apps.entries()) answers[i]?.push(await answer(app, each));
  }
  return answers;
}

const statuses = (answers: readonly (readonly Answered[])[]): number[][] => answers.map((each) => each.map(({ status }) => status));

const five: readonly Asked[] = [{}, {}, {}, { after: 59_999 }, { after: 1 }];

describe('max and timeWindow', () => {
  test('are limit and window: requests are let in and refused at the same moments', async () => {
    const [their = [], our = []] = statuses(
      await both(
        [await theirs({ max: 2, timeWindow: '1 minute' }), await ours({ policies: presets.rateLimit({ max: 2, window: '1m' }) })],
        five,
      ),
    );
    expect(their).toEqual([200, 200, 429, 429, 200]);
    expect(our).toEqual(their);
  });

  test('whoever asks, whenever', async () => {
    const asked = fc.array(fc.record({ after: fc.integer({ min: 0, max: 700 }), tenant: fc.constantFrom('ada', 'bob', 'cy') }), {
      minLength: 5,
      maxLength: 25,
    });
    await fc.assert(
      fc.asyncProperty(asked, fc.integer({ min: 1, max: 4 }), async (requests, max) => {
        const apps = [
          await theirs({ max, timeWindow: 1000, keyGenerator: tenant }),
          await ours({ policies: presets.rateLimit({ max, windowMs: 1000 }), keyGenerator: tenant }),
        ];
        const [their, our] = statuses(await both(apps, requests));
        expect(our).toEqual(their);
      }),
      { numRuns: 15 },
    );
  });

  test("different on purpose: exponentialBackoff is refused: 'backoff', which keeps to the time it tells; there one window of quiet is enough", async () => {
    const policies = [perKey(() => fixedWindow({ limit: 1, window: 1000, refused: 'backoff' }))];
    const apps = [await theirs({ max: 1, timeWindow: 1000, exponentialBackoff: true }), await ours({ policies })];
    const [their = [], our = []] = await both(apps, [{}, { after: 500 }, { after: 500 }, { after: 1500 }, { after: 4000 }]);
    const told = (answers: readonly Answered[]): unknown[] =>
      answers.map(({ status, headers }) => [status, headers['retry-after']].map(Number));
    expect(told(their)).toEqual([
      [200, NaN],
      [429, 1],
      [429, 2],
      [200, NaN],
      [200, NaN],
    ]);
    expect(told(our)).toEqual([
      [200, NaN],
      [429, 1],
      [429, 2],
      [429, 4],
      [200, NaN],
    ]);
  });

  test('max as a function of the request is a factory by key: it is asked when a key comes first, not each time', async () => {
    const limits = perKey((who) => fixedWindow({ limit: who === 'ada' ? 1 : 2, window: '1m' }));
    const apps = [
      await theirs({ max: (_request, who) => (who === 'ada' ? 1 : 2), timeWindow: '1 minute', keyGenerator: tenant }),
      await ours({ policies: [limits], key: tenant }),
    ];
    const requests = [{}, {}, { tenant: 'bob' }, { tenant: 'bob' }, { tenant: 'bob' }];
    const [their, our] = statuses(await both(apps, requests));
    expect(their).toEqual([200, 429, 200, 200, 429]);
    expect(our).toEqual(their);
  });

  test('different on purpose: max 0 refuses everybody there, and is no limit that can be set here', async () => {
    const [their] = statuses(await both([await theirs({ max: 0 })], [{}]));
    expect(their).toEqual([429]);
    expect(() => presets.rateLimit({ max: 0 })).toThrow('presets.rateLimit.max');
  });
});

describe('keyGenerator', () => {
  test('may be asynchronous, and what it throws is the error handler for both', async () => {
    const key = async (request: FastifyRequest): Promise<string> => {
      const who = tenant(request);
      if (who === 'eve') throw new Error('who?');
      return who;
    };
    const apps = [await theirs({ max: 1, keyGenerator: key }), await ours({ policies: presets.rateLimit({ max: 1 }), keyGenerator: key })];
    const [their, our] = await both(apps, [{}, {}, { tenant: 'bob' }, { tenant: 'eve' }]);
    expect(their?.map(({ status }) => status)).toEqual([200, 429, 200, 500]);
    expect(our?.map(({ status, body }) => [status, body])[3]).toEqual([500, their?.[3]?.body]);
    expect(statuses([our ?? []])).toEqual(statuses([their ?? []]));
  });

  test('by default is the address, and the network of an IPv6 address: /64 there, /56 here unless ipv6Subnet says otherwise', async () => {
    const apps = [
      await theirs({ max: 1 }),
      await ours({ policies: presets.rateLimit({ max: 1 }), ipv6Subnet: 64 }),
      await ours({ policies: presets.rateLimit({ max: 1 }) }),
    ];
    const requests = [
      { from: '192.0.2.1' },
      { from: '::ffff:192.0.2.1' },
      { from: '2001:db8::1' },
      { from: '2001:db8::2' },
      { from: '2001:db8:0:1::1' },
    ];
    const [their, our, wider] = statuses(await both(apps, requests));
    expect(their).toEqual([200, 429, 200, 429, 200]);
    expect(our).toEqual(their);
    expect(wider).toEqual([200, 429, 200, 429, 429]);
  });
});

describe('allowList', () => {
  test('as a list holds keys there and clients here: addresses are both', async () => {
    const options = { allowList: ['192.0.2.1'] };
    const apps = [await theirs({ max: 1, ...options }), await ours({ policies: presets.rateLimit({ max: 1 }), ...options })];
    const [their, our] = await both(apps, [{ from: '192.0.2.1' }, { from: '192.0.2.1' }, { from: '192.0.2.2' }, { from: '192.0.2.2' }]);
    expect(statuses([their ?? []])).toEqual([[200, 200, 200, 429]]);
    expect(statuses([our ?? []])).toEqual(statuses([their ?? []]));
    expect([their?.[0]?.headers['x-ratelimit-limit'], our?.[0]?.headers['ratelimit']]).toEqual([undefined, undefined]);
  });

  test('as a function lets past whom it says', async () => {
    const allowList = (request: FastifyRequest): boolean => tenant(request) === 'admin';
    const apps = [await theirs({ max: 1, allowList }), await ours({ policies: presets.rateLimit({ max: 1 }), allowList })];
    const [their, our] = statuses(await both(apps, [{}, { tenant: 'admin' }, {}, { tenant: 'admin' }]));
    expect(their).toEqual([200, 200, 429, 200]);
    expect(our).toEqual(their);
  });

  test('different on purpose: here a list may have networks, and nothing that is no address', async () => {
    const app = await ours({ policies: presets.rateLimit({ max: 1 }), allowList: ['192.0.2.0/24'] });
    const [our] = statuses(await both([app], [{ from: '192.0.2.1' }, { from: '192.0.2.1' }]));
    expect(our).toEqual([200, 200]);
    await expect(async () => ours({ allowList: ['a tenant'] })).rejects.toThrow('allowList');
  });
});

describe('fields', () => {
  test('addHeaders as it is by default is legacyHeaders: the same numbers, but the reset is the time of day here (as Express has it) and seconds to go there', async () => {
    const apps = [
      await theirs({ max: 2 }),
      await ours({ policies: presets.rateLimit({ max: 2 }), legacyHeaders: true, standardHeaders: false }),
    ];
    const [their = [], our = []] = await both(apps, [{}, { after: 1000 }, { after: 1000 }]);
    const fields = (answers: readonly Answered[]): unknown[] =>
      answers.map(({ headers }) =>
        ['x-ratelimit-limit', 'x-ratelimit-remaining', 'retry-after'].map((name) => headers[name] && Number(headers[name])),
      );
    expect(fields(their)).toEqual([
      [2, 1, undefined],
      [2, 0, undefined],
      [2, 0, 58],
    ]);
    expect(fields(our)).toEqual(fields(their));
    const now = Date.now() / 1000;
    const left = (answers: readonly Answered[]): number => Number(answers[2]?.headers['x-ratelimit-reset']);
    expect([left(their), Math.round(left(our) - now)]).toEqual([58, 58]);
  });

  test("enableDraftSpec is standardHeaders: 'draft-6'", async () => {
    const apps = [
      await theirs({ max: 2, enableDraftSpec: true }),
      await ours({ policies: presets.rateLimit({ max: 2 }), standardHeaders: 'draft-6' }),
    ];
    const [their = [], our = []] = await both(apps, [{}, { after: 1000 }, { after: 1000 }]);
    const names = ['ratelimit-limit', 'ratelimit-remaining', 'ratelimit-reset', 'retry-after'];
    const fields = (answers: readonly Answered[]): unknown[] =>
      answers.map(({ headers }) => names.map((name) => headers[name] && Number(headers[name])));
    expect(fields(their)[2]).toEqual([2, 0, 58, 58]);
    expect(fields(our)).toEqual(fields(their));
  });

  test('all addHeaders off is both headers off; here Retry-After stays on refusals', async () => {
    const off = { 'x-ratelimit-limit': false, 'x-ratelimit-remaining': false, 'x-ratelimit-reset': false };
    const apps = [
      await theirs({ max: 1, addHeadersOnExceeding: off, addHeaders: { ...off, 'retry-after': false } }),
      await ours({ policies: presets.rateLimit({ max: 1 }), standardHeaders: false }),
    ];
    const [their = [], our = []] = await both(apps, [{}, {}]);
    const limits = ({ headers }: Answered): string[] => Object.keys(headers).filter((name) => /ratelimit|retry-after/.test(name));
    expect(their.map(limits)).toEqual([[], []]);
    expect(our.map(limits)).toEqual([[], ['retry-after']]);
  });
});

describe('the answer', () => {
  test('errorResponseBuilder is message for a body, statusCode for a status', async () => {
    const apps = [
      await theirs({ max: 1, errorResponseBuilder: () => ({ statusCode: 420, error: 'slow down' }) }),
      await ours({ policies: presets.rateLimit({ max: 1 }), statusCode: 420, message: { statusCode: 420, error: 'slow down' } }),
    ];
    const [their, our] = await both(apps, [{}, {}]);
    expect(their?.[1]).toMatchObject({ status: 420, body: '{"statusCode":420,"error":"slow down"}' });
    expect(our?.[1]).toMatchObject({ status: 420, body: their?.[1]?.body });
  });

  test('errorResponseBuilder that makes an error for the error handler is a handler that throws one', async () => {
    const routes: Routes = (app) => {
      app.setErrorHandler<Error & { statusCode: number }>((error, _request, reply) =>
        reply.code(error.statusCode).send({ told: error.message }),
      );
      app.get('/', () => 'in');
    };
    const error = Object.assign(new Error('slow down'), { statusCode: 429 });
    const apps = [
      await theirs({ max: 1, errorResponseBuilder: () => error }, routes),
      await ours({ policies: presets.rateLimit({ max: 1 }), handler: () => Promise.reject(error) }, routes),
    ];
    const [their, our] = await both(apps, [{}, {}]);
    expect([their?.[1]?.status, their?.[1]?.body]).toEqual([429, '{"told":"slow down"}']);
    expect([our?.[1]?.status, our?.[1]?.body]).toEqual([429, '{"told":"slow down"}']);
  });

  test('different on purpose: by default it is an error that error handlers hear of there, and problem+json that says what was refused here', async () => {
    const apps = [await theirs({ max: 1 }), await ours({ policies: presets.rateLimit({ max: 1 }) })];
    const [their, our] = await both(apps, [{}, {}]);
    expect(JSON.parse(their?.[1]?.body ?? '')).toEqual({
      statusCode: 429,
      error: 'Too Many Requests',
      message: 'Rate limit exceeded, retry in 1 minute',
    });
    expect(JSON.parse(our?.[1]?.body ?? '')).toMatchObject({
      status: 429,
      title: 'Too many requests',
      'violated-policies': ['rate-limit'],
    });
  });
});

describe('routes', () => {
  const config = (rateLimitOfRoute: unknown, guard: false | true | RouteGuardOptions): object => ({
    config: { rateLimit: rateLimitOfRoute, breakwater: guard },
  });

  test('false switches it off; global: false leaves only those that ask', async () => {
    const routes: Routes = (app) => {
      app.get('/', () => 'in');
      app.get('/off', config(false, false), () => 'in');
      app.get('/on', config({}, true), () => 'in');
    };
    const requests: readonly Asked[] = ['/', '/', '/off', '/off', '/on', '/on', '/on'].map((url) => ({ url }));
    for (const global of [true, false]) {
      const policies = presets.rateLimit({ max: 1 });
      const apps = [await theirs({ max: 1, global }, routes), await ours({ policies, global }, routes)];
      const [their = [], our = []] = statuses(await both(apps, requests));
      expect(their.slice(0, 4)).toEqual([200, global ? 429 : 200, 200, 200]);
      expect(our.slice(0, 4)).toEqual(their.slice(0, 4));
      expect([their.at(-1), our.at(-1)]).toEqual([429, 429]);
    }
  });

  test("different on purpose: a route's own limit is in place of the plugin's there and behind it here; in place of it is a scope, or false and a pipeline", async () => {
    const routes: Routes = (app) => {
      app.get('/', config({ max: 3 }, { policies: presets.rateLimit({ max: 3 }) }), () => 'in');
    };
    const requests = [{}, {}, {}, {}];
    const apps = [
      await theirs({ max: 2 }, routes),
      await ours({ policies: presets.rateLimit({ max: 2 }) }, routes),
      await ours({}, routes),
    ];
    expect(statuses(await both(apps, requests))).toEqual([
      [200, 200, 200, 429],
      [200, 200, 429, 429],
      [200, 200, 200, 429],
    ]);
  });

  test("different on purpose: the HEAD that Fastify makes of a GET has a count of its own there, and the GET's here", async () => {
    const routes: Routes = (app) => {
      app.get('/', config({ max: 1 }, { policies: presets.rateLimit({ max: 1 }) }), () => 'in');
    };
    const apps = [await theirs({}, routes), await ours({}, routes)];
    expect(statuses(await both(apps, [{}, { method: 'HEAD' }]))).toEqual([
      [200, 200],
      [200, 429],
    ]);
  });

  test('different on purpose: groupId adds to the key (in memory each route still counts alone there); a group here is one limit for its routes', async () => {
    const limit = { max: 1, groupId: 'search' };
    const routes: Routes = (app) => {
      for (const url of ['/a', '/b']) app.get(url, config(limit, { group: 'search' }), () => 'in');
    };
    const apps = [await theirs({ max: 9 }, routes), await ours({ groups: { search: presets.rateLimit({ max: 1 }) } }, routes)];
    expect(statuses(await both(apps, [{ url: '/a' }, { url: '/b' }, { url: '/a' }]))).toEqual([
      [200, 200, 429],
      [200, 429, 429],
    ]);
  });

  test('different on purpose: requests that match no route are counted here without being asked to', async () => {
    const apps = [await theirs({ max: 1 }), await ours({ policies: presets.rateLimit({ max: 1 }) })];
    expect(statuses(await both(apps, [{ url: '/nowhere' }, { url: '/nowhere' }]))).toEqual([
      [404, 404],
      [404, 429],
    ]);
  });
});

describe('hook', () => {
  test('lets the key be in the body', async () => {
    const key = (request: { readonly body: unknown }): string => (request.body as { user: string }).user;
    const routes: Routes = (app) => app.post('/', () => 'in');
    const apps = [
      await theirs({ max: 1, hook: 'preHandler', keyGenerator: key }, routes),
      await ours({ policies: presets.rateLimit({ max: 1 }), hook: 'preHandler', keyGenerator: key }, routes),
    ];
    for (const app of apps) {
      const ask = async (user: string): Promise<number> => (await app.inject({ url: '/', method: 'POST', payload: { user } })).statusCode;
      expect([await ask('ada'), await ask('bob'), await ask('ada')]).toEqual([200, 200, 429]);
    }
  });
});

describe('what only one of them has', () => {
  test('ban (403 after so many refusals) and continueExceeding (each refusal begins the window anew) are not offered; blockFor is near to both', async () => {
    const policies: readonly AnyPolicy[] = [perKey(() => fixedWindow({ limit: 1, window: 1000, blockFor: 5000 }))];
    const apps = [await theirs({ max: 1, timeWindow: 1000, ban: 0 }), await ours({ policies, key: clientKey() })];
    expect(statuses(await both(apps, [{}, {}, { after: 4000 }]))).toEqual([
      [200, 403, 200],
      [200, 429, 429],
    ]);
  });
});
