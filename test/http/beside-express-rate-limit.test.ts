/**
 * The same requests to express-rate-limit and to our guard, over real connections, for the options that both have. Where the two differ a test says how and why.
 */

import { setImmediate as tick } from 'node:timers/promises';
import { type AnyPolicy, fixedWindow, perKey, presets } from 'breakwater';
import { type GuardOptions, guard } from 'breakwater/express';
import express, { type ErrorRequestHandler, type Request, type RequestHandler } from 'express';
import { type Options, ipKeyGenerator, rateLimit } from 'express-rate-limit';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { type Reply, ask, latch, serve } from './serving.ts';

/** A request, and how long after the one before, ms. */
interface Asked {
  readonly after?: number;
  readonly path?: string;
  readonly method?: 'GET' | 'HEAD';
  /** Whom a proxy says it is from. */
  readonly from?: string;
  readonly tenant?: string;
}

interface Headed {
  readonly headers: Readonly<Record<string, unknown>>;
}

const tenant = (req: Headed): string => String(req.headers['x-tenant']);

beforeEach(() => {
  vi.useFakeTimers({ now: 1_800_000_000_000, toFake: ['setInterval', 'clearInterval', 'Date', 'performance'] });
});

afterEach(() => {
  vi.useRealTimers();
});

/** A port behind which a limiter stands: `/status/:code` answers with that, all else with 200. */
type Door = { readonly port: number; readonly errors: unknown[] };

async function behind(...limiters: readonly RequestHandler[]): Promise<Door> {
  const app = express().set('env', 'test').set('trust proxy', 1);
  const errors: unknown[] = [];
  app.use(...limiters);
  app.all('/status/:code', (req, res) => void res.status(Number(req.params.code)).send('told'));
  app.use((_req, res) => void res.send('in'));
  app.use(((error, _req, res, _next) => {
    errors.push(error);
    res.status(500).send('failed');
  }) satisfies ErrorRequestHandler);
  const { port } = await serve(app);
  return { port, errors };
}

const theirs = (options: Partial<Options>): Promise<Door> => behind(rateLimit({ validate: false, ...options }));

type Limit = Parameters<typeof presets.rateLimit>[0] | readonly AnyPolicy[];
const policiesOf = (limit: Limit): readonly AnyPolicy[] => (limit !== undefined && 'length' in limit ? limit : presets.rateLimit(limit));

const ours = (limit: Limit, options: GuardOptions = {}): Promise<Door> =>
  behind(guard(policiesOf(limit), { trustProxy: 1, retryAfterJitter: 0, ...options }) as RequestHandler);

/** Asks each in turn, at the same moments. */
async function all(doors: readonly Door[], asked: readonly Asked[]): Promise<Reply[][]> {
  const replies: Reply[][] = doors.map(() => []);
  for (const { after = 0, path = '/', method = 'GET', from = '192.0.2.1', tenant: who = 'ada' } of asked) {
    vi.advanceTimersByTime(after);
    for (const [i, { port }] of doors.entries()) {
      replies[i]?.push(await ask(port, { path, method, headers: { 'x-forwarded-for': from, 'x-tenant': who } }));
      // What is counted when a response is finished is counted by now.
      await tick();
    }
  }
  return replies;
}

const statuses = (replies: readonly (readonly Reply[])[]): number[][] => replies.map((each) => each.map(({ status }) => status));

/** The fields that limiters write, as far as both write them: blanks that mean nothing, and the partition of draft 8, left out. */
const fields = (replies: readonly Reply[]): unknown[] =>
  replies.map(({ headers }) =>
    Object.fromEntries(
      Object.entries(headers)
        .filter(([name]) => /ratelimit|retry-after/.test(name))
        .map(([name, value]): [string, string] => [name, String(value).replaceAll(/; pk=:[^:]*:/g, '')])
        .sort(([one], [other]) => (one < other ? -1 : 1)),
    ),
  );

const minute: readonly Asked[] = [{}, { after: 100 }, { after: 20_000 }, { after: 39_899 }, { after: 1 }, {}];

describe('limit and windowMs', () => {
  test.each([['limit'], ['max']] as const)('%s and windowMs let in and refuse at the same moments', async (name) => {
    const replies = await all([await theirs({ [name]: 2, windowMs: 60_000 }), await ours({ [name]: 2, windowMs: 60_000 })], minute);
    const [their, our] = statuses(replies);
    expect(their).toEqual([200, 200, 429, 429, 200, 200]);
    expect(our).toEqual(their);
  });

  test('whoever asks, whenever: the same statuses and the same fields', async () => {
    const script = fc.array(fc.record({ after: fc.integer({ min: 0, max: 700 }), tenant: fc.constantFrom('ada', 'bob', 'cy') }), {
      minLength: 5,
      maxLength: 20,
    });
    await fc.assert(
      fc.asyncProperty(script, fc.integer({ min: 1, max: 4 }), fc.integer({ min: 800, max: 2500 }), async (asked, limit, windowMs) => {
        const both = [
          await theirs({ limit, windowMs, keyGenerator: tenant, standardHeaders: 'draft-7', legacyHeaders: true }),
          await ours({ limit, windowMs }, { keyGenerator: tenant, standardHeaders: 'draft-7', legacyHeaders: true }),
        ];
        const [their = [], our = []] = await all(both, asked);
        expect(statuses([our])).toEqual(statuses([their]));
        expect(fields(our)).toEqual(fields(their));
      }),
      { numRuns: 8 },
    );
  });

  test('the defaults are the same: 5 in a minute', async () => {
    const [their, our] = statuses(await all([await theirs({}), await ours({})], [{}, {}, {}, {}, {}, {}, { after: 60_000 }]));
    expect(their).toEqual([200, 200, 200, 200, 200, 429, 200]);
    expect(our).toEqual(their);
  });

  test('limit as a function of the request is a factory by key: it is asked when a key comes first, not each time', async () => {
    const limitOf = (who: string): number => (who === 'ada' ? 1 : 2);
    const both = [
      await theirs({ limit: (req) => limitOf(tenant(req)), keyGenerator: tenant }),
      await ours([perKey((who) => fixedWindow({ limit: limitOf(who), window: '1m' }))], { keyGenerator: tenant }),
    ];
    const [their, our] = statuses(await all(both, [{}, {}, { tenant: 'bob' }, { tenant: 'bob' }, { tenant: 'bob' }]));
    expect(their).toEqual([200, 429, 200, 200, 429]);
    expect(our).toEqual(their);
  });

  test('different: limit 0 refuses everybody there and is refused as an option here, because it is a denyList or a mistake', async () => {
    const [their] = statuses(await all([await theirs({ limit: 0 })], [{}]));
    expect(their).toEqual([429]);
    expect(() => presets.rateLimit({ limit: 0 })).toThrow('presets.rateLimit.limit');
  });

  test('different: windows longer than 24.8 days break the clean-up there (they do not fit a timer), and are windows like others here', async () => {
    const month = 31 * 86_400_000;
    expect(statuses(await all([await ours({ limit: 1, windowMs: month })], [{}, { after: month - 1 }, { after: 1 }]))).toEqual([
      [200, 429, 200],
    ]);
  });

  test('different: an option that is unknown or both names of one throw here, where they are logged or silently decided there', async () => {
    const logged: unknown[] = [];
    rateLimit({
      limits: 5,
      logger: { warn: (...said: unknown[]) => logged.push(said), error: (...said: unknown[]) => logged.push(said) },
    } as never);
    expect(logged).toHaveLength(1);
    expect(() => presets.rateLimit({ limits: 5 } as never)).toThrow('limits');
    expect(() => presets.rateLimit({ limit: 5, max: 6 })).toThrow('either limit or max');
    expect(() => guard([], { keyGenerators: tenant } as never)).toThrow('keyGenerators');
  });
});

describe('keyGenerator and skip', () => {
  test('may be asynchronous; what keyGenerator throws goes to the error handler, and is not counted', async () => {
    const keyGenerator = async (req: Request): Promise<string> => {
      await tick();
      if (tenant(req) === 'eve') throw new Error('who?');
      return tenant(req);
    };
    const both = [await theirs({ limit: 1, keyGenerator }), await ours({ limit: 1 }, { keyGenerator: keyGenerator as never })];
    const [their, our] = statuses(await all(both, [{}, {}, { tenant: 'bob' }, { tenant: 'eve' }]));
    expect(their).toEqual([200, 429, 200, 500]);
    expect(our).toEqual(their);
    expect(both.map(({ errors }) => (errors as Error[]).map(({ message }) => message))).toEqual([['who?'], ['who?']]);
  });

  test('skip lets past and does not count, and neither writes fields then', async () => {
    const skip = (req: Headed): boolean => tenant(req) === 'probe';
    const later = async (req: Headed): Promise<boolean> => Promise.resolve(skip(req));
    for (const each of [skip, later]) {
      const both = [
        await theirs({ limit: 1, skip: each, standardHeaders: 'draft-6', legacyHeaders: false }),
        await ours({ limit: 1 }, { skip: each, standardHeaders: 'draft-6' }),
      ];
      const [their = [], our = []] = await all(both, [{ tenant: 'probe' }, { tenant: 'probe' }, {}, {}, { tenant: 'probe' }]);
      expect(statuses([their])).toEqual([[200, 200, 200, 429, 200]]);
      expect(statuses([our])).toEqual(statuses([their]));
      expect(fields(our)).toEqual(fields(their));
    }
  });

  test('HEAD counts like GET', async () => {
    const [their, our] = statuses(await all([await theirs({ limit: 1 }), await ours({ limit: 1 })], [{}, { method: 'HEAD' }]));
    expect(their).toEqual([200, 429]);
    expect(our).toEqual(their);
  });

  test("different: requests without a key are one client there; here they pass limits by key uncounted, unless these say missing: 'refuse'", async () => {
    const keyGenerator = (): undefined => undefined;
    const limit = () => fixedWindow({ limit: 1, window: '1m' });
    const doors = [
      await theirs({ limit: 1, keyGenerator: keyGenerator as never }),
      await ours({ limit: 1 }, { keyGenerator }),
      await ours([perKey(limit, { missing: 'refuse' })], { keyGenerator }),
    ];
    expect(statuses(await all(doors, [{}, {}]))).toEqual([
      [200, 429],
      [200, 200],
      [503, 503],
    ]);
  });

  test('different: one limiter mounted twice counts a request twice there (and says so); here it is decided on once', async () => {
    const their = rateLimit({ limit: 2, validate: false });
    const our = guard(presets.rateLimit({ limit: 2 }), { trustProxy: 1 }) as RequestHandler;
    const doors = [await behind(their, their), await behind(our, our)];
    expect(statuses(await all(doors, [{}, {}, {}]))).toEqual([
      [200, 429, 429],
      [200, 200, 429],
    ]);
  });
});

describe('addresses', () => {
  const written = [
    { from: '192.0.2.1' },
    { from: '::ffff:192.0.2.1' },
    { from: '2001:db8::1' },
    { from: '2001:db8:0:ff::1' },
    { from: '2001:db8:0:100::1' },
    { from: '2001:DB8:0:100::2' },
  ];

  test('are counted by /56 for IPv6, and one of IPv4 however it is written', async () => {
    const [their, our] = statuses(await all([await theirs({ limit: 1 }), await ours({ limit: 1 })], written));
    expect(their).toEqual([200, 429, 200, 429, 200, 429]);
    expect(our).toEqual(their);
  });

  test.each([32, 48, 60, 64])('ipv6Subnet %i tells apart whom it tells apart there', async (ipv6Subnet) => {
    const [their, our] = statuses(await all([await theirs({ limit: 1, ipv6Subnet }), await ours({ limit: 1 }, { ipv6Subnet })], written));
    expect(our).toEqual(their);
  });

  test('ipv6Subnet false, the whole address, is 128 here', async () => {
    const both = [await theirs({ limit: 1, ipv6Subnet: false }), await ours({ limit: 1 }, { ipv6Subnet: 128 })];
    const [their, our] = statuses(await all(both, [{ from: '2001:db8::1' }, { from: '2001:db8::2' }, { from: '2001:db8::1' }]));
    expect(their).toEqual([200, 200, 429]);
    expect(our).toEqual(their);
  });

  test('different: an address with its port is a new client for each port there, and one client here', async () => {
    const asked = [{ from: '192.0.2.1:5001' }, { from: '192.0.2.1:5002' }];
    expect(statuses(await all([await theirs({ limit: 1 }), await ours({ limit: 1 })], asked))).toEqual([
      [200, 200],
      [200, 429],
    ]);
    expect(ipKeyGenerator('192.0.2.1:5001')).toBe('192.0.2.1:5001');
  });

  test('different: what is no address at all is a client of its own for each text there, and all such are one client here', async () => {
    const asked = [{ from: 'nobody-1' }, { from: 'nobody-2' }];
    expect(statuses(await all([await theirs({ limit: 1 }), await ours({ limit: 1 })], asked))).toEqual([
      [200, 200],
      [200, 429],
    ]);
  });
});

describe('requests that do not count', () => {
  const mixed: readonly Asked[] = [
    '/status/200',
    '/status/404',
    '/status/500',
    '/status/302',
    '/status/401',
    '/status/200',
    '/status/200',
  ].map((path) => ({ path }));

  test.each([
    ['skipFailedRequests', [200, 404, 500, 302, 401, 200, 429]],
    ['skipSuccessfulRequests', [200, 404, 500, 302, 401, 429, 429]],
  ] as const)('%s', async (name, expected) => {
    const options = { limit: 3, [name]: true };
    const [their, our] = statuses(await all([await theirs(options), await ours(options)], mixed));
    expect(their).toEqual(expected);
    expect(our).toEqual(their);
  });

  test('both at once count nothing, and neither refuses anybody', async () => {
    const options = { limit: 1, skipFailedRequests: true, skipSuccessfulRequests: true };
    const [their, our] = statuses(await all([await theirs(options), await ours(options)], mixed));
    expect(their).toEqual([200, 404, 500, 302, 401, 200, 200]);
    expect(our).toEqual(their);
  });

  test('skipFailedRequests: a client that leaves before its answer has not come', async () => {
    const doors: Door[] = [];
    const arrived = [latch(), latch()];
    const closed = [latch(), latch()];
    const hang =
      (i: number): RequestHandler =>
      (req, res, next) => {
        if (req.path !== '/hang') return next();
        res.once('close', () => closed[i]?.open());
        return arrived[i]?.open();
      };
    doors.push(await behind(rateLimit({ limit: 1, skipFailedRequests: true, validate: false }), hang(0)));
    const own = guard(presets.rateLimit({ limit: 1, skipFailedRequests: true }), { trustProxy: 1 });
    doors.push(await behind(own as RequestHandler, hang(1)));
    for (const [i, { port }] of doors.entries()) {
      const leaving = ask(port, { path: '/hang', headers: { 'x-forwarded-for': '192.0.2.1' } });
      await arrived[i]?.opened;
      leaving.leave();
      await closed[i]?.opened;
      await tick();
    }
    expect(statuses(await all(doors, [{}, {}]))).toEqual([
      [200, 429],
      [200, 429],
    ]);
  });

  test('requestWasSuccessful by the status is refundIf: what it says is given back', async () => {
    const paid = (status: number): boolean => status === 402;
    const refundIf = (outcome: { readonly ok: boolean; readonly value?: unknown }): boolean => outcome.ok && paid(outcome.value as number);
    const both = [
      await theirs({ limit: 1, skipFailedRequests: true, requestWasSuccessful: (_req, res) => !paid(res.statusCode) }),
      await ours([perKey(() => fixedWindow({ limit: 1, window: '1m', refundIf }))]),
    ];
    const [their, our] = statuses(await all(both, [{ path: '/status/402' }, { path: '/status/402' }, { path: '/status/500' }, {}]));
    expect(their).toEqual([402, 402, 500, 429]);
    expect(our).toEqual(their);
  });

  test('different: refused requests fill the count there and not here, so a success that gives its place back lets the next one in here at once', async () => {
    const doors: Door[] = [];
    const go = [latch(), latch()];
    const slow =
      (i: number): RequestHandler =>
      async (req, _res, next) => {
        if (req.path === '/slow') await go[i]?.opened;
        next();
      };
    doors.push(await behind(rateLimit({ limit: 1, skipSuccessfulRequests: true, validate: false }), slow(0)));
    const own = guard(presets.rateLimit({ limit: 1, skipSuccessfulRequests: true }), { trustProxy: 1 });
    doors.push(await behind(own as RequestHandler, slow(1)));
    const headers = { 'x-forwarded-for': '192.0.2.1' };
    const slowOnes = doors.map(({ port }) => ask(port, { path: '/slow', headers }));
    await Promise.all(slowOnes.map(({ sent }) => sent));
    // The slow one has its place before the next one asks: its connection was made first, and the answer to the second one is waited for.
    await vi.waitFor(async () => expect(statuses(await all(doors, [{}]))).toEqual([[429], [429]]), { interval: 1 });
    for (const each of go) each.open();
    await Promise.all(slowOnes);
    await tick();
    const [[their], [our]] = statuses(await all(doors, [{}])) as [number[], number[]];
    expect([their, our]).toEqual([429, 200]);
  });
});

describe('fields', () => {
  test.each(['draft-6', 'draft-7', 'draft-8'] as const)(
    'standardHeaders %s: the same names and values, on every answer',
    async (standardHeaders) => {
      const identifier = 'api v1';
      const both = [
        await theirs({ limit: 2, windowMs: 90_500, standardHeaders, legacyHeaders: false, identifier }),
        await ours({ limit: 2, windowMs: 90_500 }, { standardHeaders, identifier }),
      ];
      const [their = [], our = []] = await all(both, [{}, { after: 700 }, { after: 1 }, { after: 60_000 }, { after: 29_799 }]);
      expect(statuses([their])).toEqual([[200, 200, 429, 429, 200]]);
      expect(Object.keys(fields(their)[2] as object)).toContain('retry-after');
      expect(fields(our)).toEqual(fields(their));
    },
  );

  test('legacyHeaders: the same names and values', async () => {
    const both = [
      await theirs({ limit: 1, windowMs: 90_500 }),
      await ours({ limit: 1, windowMs: 90_500 }, { standardHeaders: false, legacyHeaders: true }),
    ];
    const [their = [], our = []] = await all(both, [{}, { after: 700 }, { after: 89_799 }, { after: 1 }]);
    expect(Object.keys(fields(their)[1] as object)).toEqual([
      'retry-after',
      'x-ratelimit-limit',
      'x-ratelimit-remaining',
      'x-ratelimit-reset',
    ]);
    expect(fields(our)).toEqual(fields(their));
  });

  test('two limits, one after the other: both are in the fields of draft 8', async () => {
    const their = [
      rateLimit({ limit: 3, identifier: 'short', standardHeaders: 'draft-8', legacyHeaders: false, validate: false }),
      rateLimit({ limit: 9, windowMs: 3_600_000, identifier: 'long', standardHeaders: 'draft-8', legacyHeaders: false, validate: false }),
    ];
    const limits = [
      ...presets.rateLimit({ limit: 3, name: 'short' }),
      ...presets.rateLimit({ limit: 9, windowMs: 3_600_000, name: 'long' }),
    ];
    const [theirReplies = [], ourReplies = []] = await all(
      [await behind(...their), await ours(limits, { standardHeaders: 'draft-8' })],
      [{}, {}],
    );
    expect(fields(ourReplies)).toEqual(fields(theirReplies));
    expect(ourReplies[1]?.headers['ratelimit']).toBe('"short"; r=1; t=60, "long"; r=7; t=3600');
  });

  test('different: by default there the old X-RateLimit fields and draft 6 for true, here those of the current draft, which true means as well', async () => {
    const doors = [await theirs({}), await theirs({ standardHeaders: true, legacyHeaders: false }), await ours({})];
    const [byDefault, asTrue, own] = (await all(doors, [{}])).map((replies) => Object.keys(fields(replies)[0] as object));
    expect(byDefault).toEqual(['x-ratelimit-limit', 'x-ratelimit-remaining', 'x-ratelimit-reset']);
    expect(asTrue).toEqual(['ratelimit-limit', 'ratelimit-policy', 'ratelimit-remaining', 'ratelimit-reset']);
    expect(own).toEqual(['ratelimit', 'ratelimit-policy']);
  });

  test('different: pk, a hash of the key in the fields of draft 8, is not told here, because an address can be guessed from it', async () => {
    const doors = [await theirs({ standardHeaders: 'draft-8' }), await ours({}, { standardHeaders: 'draft-8' })];
    const [[their], [our]] = (await all(doors, [{}])) as [[Reply], [Reply]];
    expect(their.headers['ratelimit-policy']).toMatch(/; pk=:\w+=*:$/);
    expect(our.headers['ratelimit-policy']).not.toContain('pk');
  });

  test('different: with both headers off there is no Retry-After there; here refusals always have one', async () => {
    const doors = [await theirs({ limit: 1, legacyHeaders: false }), await ours({ limit: 1 }, { standardHeaders: false })];
    const [their = [], our = []] = await all(doors, [{}, {}]);
    expect([fields(their)[1], fields(our)[1]]).toEqual([{}, { 'retry-after': '60' }]);
  });

  test('different: a long Retry-After is spread by chance here, so that not all come back at once, and never earlier', async () => {
    const [[, our]] = (await all([await ours({ limit: 1, windowMs: 3_600_000 }, { retryAfterJitter: 0.1 })], [{}, {}])) as [[Reply, Reply]];
    expect(Number(our.headers['retry-after'])).toBeGreaterThanOrEqual(3600);
    expect(Number(our.headers['retry-after'])).toBeLessThanOrEqual(3960);
  });
});

describe('the answer', () => {
  test('statusCode, and message as an object, a function, or one that takes its time', async () => {
    const messages = [{ error: 'slow down' }, () => ({ error: 'slow down' }), async () => Promise.resolve({ error: 'slow down' })];
    for (const message of messages) {
      const both = [await theirs({ limit: 1, statusCode: 420, message }), await ours({ limit: 1 }, { statusCode: 420, message })];
      const [their = [], our = []] = await all(both, [{}, {}]);
      const told = ({ status, headers, body }: Reply): unknown[] => [status, headers['content-type'], headers['content-length'], body];
      expect(told(their[1] as Reply)).toEqual([420, 'application/json; charset=utf-8', '21', '{"error":"slow down"}']);
      expect(our.map(told)[1]).toEqual(their.map(told)[1]);
    }
  });

  test('message as a text: the same words, which are HTML there and plain text here, because they may have what a client wrote in them', async () => {
    const message = (req: Headed): string => `slow down, ${tenant(req)}`;
    const both = [await theirs({ limit: 1, message }), await ours({ limit: 1 }, { message })];
    const [[, their], [, our]] = (await all(both, [{}, {}])) as [[Reply, Reply], [Reply, Reply]];
    expect([their.body, our.body]).toEqual(['slow down, ada', 'slow down, ada']);
    expect([their.headers['content-type'], our.headers['content-type']]).toEqual(['text/html; charset=utf-8', 'text/plain; charset=utf-8']);
  });

  test('different: by default a line of text there, and problem+json here, both told not to be kept nowhere but here', async () => {
    const [[, their], [, our]] = (await all([await theirs({ limit: 1 }), await ours({ limit: 1 })], [{}, {}])) as [
      [Reply, Reply],
      [Reply, Reply],
    ];
    expect([their.body, their.headers['cache-control']]).toEqual(['Too many requests, please try again later.', undefined]);
    expect(JSON.parse(our.body)).toMatchObject({ status: 429, title: 'Too many requests', 'violated-policies': ['rate-limit'] });
    expect(our.headers['cache-control']).toBe('no-store');
  });

  test('handler answers in place of it, may let the request through, or leave it to the error handler; its first argument is the answer here', async () => {
    const how = (go: { readonly answer: () => void; readonly next: (error?: unknown) => void }, who: string): void => {
      if (who === 'through') go.next();
      else if (who === 'error') go.next(new Error('too many'));
      else go.answer();
    };
    const both = [
      await theirs({
        limit: 1,
        keyGenerator: tenant,
        handler: (req, res, next, { statusCode }) =>
          how({ answer: () => res.status(statusCode).json({ own: true }), next: next as never }, tenant(req)),
      }),
      await ours(
        { limit: 1 },
        {
          keyGenerator: tenant,
          handler: ({ status }, req, res, next) =>
            how(
              {
                answer: () => (res as never as { status(code: number): { json(body: object): void } }).status(status).json({ own: true }),
                next,
              },
              tenant(req),
            ),
        },
      ),
    ];
    const asked = ['ada', 'ada', 'through', 'through', 'error', 'error'].map((who) => ({ tenant: who }));
    const [their = [], our = []] = await all(both, asked);
    expect(their.map(({ status, body }) => [status, body])).toEqual([
      [200, 'in'],
      [429, '{"own":true}'],
      [200, 'in'],
      [200, 'in'],
      [200, 'in'],
      [500, 'failed'],
    ]);
    expect(our.map(({ status, body }) => [status, body])).toEqual(their.map(({ status, body }) => [status, body]));
  });
});
