import {
  type AnyPolicy,
  type Call,
  OptionsError,
  type Priority,
  definePolicy,
  fixedWindow,
  perKey,
  pipeline,
  refuse,
  retry,
  tokenBucket,
} from 'breakwater';
import fc from 'fast-check';
import { describe, expect, test, vi } from 'vitest';
import { OverloadedError, RateLimitedError, type RejectedError } from '../../src/core/errors.ts';
import { Entrance, type Reception, type Visitor } from '../../src/http/admission/entrance.ts';
import { type GuardOptions, type GuardSettings, guardFields, readGuardOptions } from '../../src/http/admission/guard-options.ts';
import { FakeResponse } from './fake-response.ts';

/** A request of no framework at all. */
interface Request {
  readonly path: string;
}

interface Coming {
  readonly path?: string;
  readonly address?: string | undefined;
  readonly headers?: Record<string, string>;
  readonly expired?: Visitor<Request>['expired'];
}

interface Seen {
  readonly call: Pick<Call, 'key' | 'priority' | 'priorityLevel'>;
  readonly left: number;
}

/** A gate that lets everybody in and writes down what it sees of them. */
function lookout(): { readonly policy: AnyPolicy; readonly seen: Seen[] } {
  const seen: Seen[] = [];
  const policy = definePolicy({
    kind: 'lookout',
    gate: {
      enter(call) {
        const { key, priority, priorityLevel } = call;
        seen.push({ call: { key, priority, priorityLevel }, left: call.deadline - call.at });
        return true;
      },
      settle() {},
      cancel() {},
    },
  });
  return { policy, seen };
}

const denying = (error: RejectedError): AnyPolicy =>
  definePolicy({ kind: 'denying', gate: { enter: () => refuse(error), settle() {}, cancel() {} } });

function entrance(policies: readonly AnyPolicy[], options: GuardOptions<Request> = {}): Entrance<Request> {
  return new Entrance(policies, readGuardOptions('guard', guardFields, options) as GuardSettings<Request>);
}

function come(into: Entrance<Request>, coming: Coming = {}): Promise<Reception> {
  const { path = '/', headers = {}, expired = () => undefined } = coming;
  const remoteAddress = 'address' in coming ? coming.address : '203.0.113.9';
  return into.receive({
    request: { path },
    caller: { socket: { remoteAddress }, headers },
    response: new FakeResponse(),
    outer: undefined,
    expired,
  });
}

function turnedOf(reception: Reception): Extract<Reception, { kind: 'refused' }>['turned'] {
  if (reception.kind !== 'refused') throw new Error(`expected to be refused, was ${reception.kind}`);
  return reception.turned;
}

const fieldsOf = (reception: Reception): unknown => (reception.kind === 'admitted' ? reception.fields : reception.kind);

describe('whom a request is from', () => {
  test('is told by its address, unless there is a key; both names of the option mean the same', async () => {
    const { policy, seen } = lookout();
    await come(entrance([policy]), { headers: { 'x-forwarded-for': '6.6.6.6' } });
    await come(entrance([policy], { trustProxy: 1 }), { headers: { 'x-forwarded-for': '6.6.6.6, 198.51.100.7' } });
    await come(entrance([policy], { key: ({ path }) => path }), { path: '/a' });
    await come(entrance([policy], { keyGenerator: async ({ path }) => path }), { path: '/b' });
    await come(entrance([policy], { key: () => undefined }));
    await come(entrance([policy]), { address: undefined });
    expect(seen.map(({ call }) => call.key)).toEqual(['203.0.113.9', '198.51.100.7', '/a', '/b', undefined, 'unknown']);
    expect(() => entrance([], { key: () => 'a', keyGenerator: () => 'b' })).toThrow(/another name for key/);
  });

  test('never depends on what stands left of what trusted proxies wrote', async () => {
    const { policy, seen } = lookout();
    const into = entrance([policy], { trustProxy: ['203.0.113.0/24'] });
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: 'binary', maxLength: 300 }), async (padding) => {
        await come(into, { headers: { 'x-forwarded-for': `${padding}, 198.51.100.7` } });
        expect(seen.at(-1)?.call.key).toBe('198.51.100.7');
      }),
    );
  });
});

describe('how long a request has and how much it matters', () => {
  const headers = { 'x-request-deadline': '1500', 'grpc-timeout': '2S', 'x-request-priority': 'sheddable;42' };

  test('a trusted peer may say; time only becomes less', async () => {
    const { policy, seen } = lookout();
    await come(entrance([policy], { trustProxy: ['203.0.113.9'] }), { headers });
    await come(entrance([policy], { trustProxy: 1, deadline: '1s', priority: 'critical-plus' }), { headers });
    await come(entrance([policy], { trustProxy: 1, deadline: '5s' }), { headers: { 'x-envoy-expected-rq-timeout-ms': '60000' } });
    expect(seen.map(({ left }) => Math.round(left / 100) * 100)).toEqual([1500, 1000, 5000]);
    expect(seen.map(({ call: { priority } }) => priority)).toEqual(['sheddable', 'sheddable', 'critical']);
    expect(seen[0]?.call.priorityLevel).toBe(42);
  });

  test('nobody else may, and what is no such thing counts as not said', async () => {
    const { policy, seen } = lookout();
    await come(entrance([policy], { trustProxy: ['10.0.0.0/8'] }), { headers });
    await come(entrance([policy]), { headers });
    await come(entrance([policy], { trustProxy: 1 }), {
      headers: { 'x-request-deadline': '-5', 'grpc-timeout': '99999999999S', 'x-request-priority': 'very;much' },
    });
    await come(entrance([policy], { trustProxy: 1, deadlineHeaders: [], priorityHeader: false }), { headers });
    expect(seen.map(({ left }) => left)).toEqual([Infinity, Infinity, Infinity, Infinity]);
    expect(new Set(seen.map(({ call }) => call.priority))).toEqual(new Set(['critical']));
  });

  test('fields of your own may say it, and functions for each request', async () => {
    const { policy, seen } = lookout();
    const own = { trustProxy: 1, deadlineHeaders: ['X-Time-Left'], priorityHeader: 'X-Class' };
    await come(entrance([policy], own), { headers: { 'x-time-left': '700', 'x-class': 'best-effort' } });
    await come(entrance([policy], { deadline: ({ path }) => (path === '/' ? '3s' : 5), priority: () => 'sheddable-plus' }));
    expect(seen.map(({ left }) => Math.round(left / 100) * 100)).toEqual([700, 3000]);
    expect(seen.map(({ call }) => call.priority)).toEqual(['best-effort', 'sheddable-plus']);
  });

  test('time that is up already is a refusal', async () => {
    const { policy, seen } = lookout();
    const { status, error } = turnedOf(await come(entrance([policy], { trustProxy: 1 }), { headers: { 'x-request-deadline': '0' } }));
    expect([status, (error as { code: string }).code, seen.length]).toEqual([503, 'ERR_DEADLINE', 0]);
  });

  test('W5 a function that answers with something else fails the request, and says what was expected', async () => {
    const { policy, seen } = lookout();
    const receptions = [
      await come(entrance([policy], { priority: () => 'urgent' as Priority })),
      await come(entrance([policy], { deadline: () => 'soon' as '5s' })),
      await come(entrance([policy], { key: () => 7 as unknown as string })),
    ];
    expect(receptions).toMatchObject([1, 2, 3].map(() => ({ kind: 'failed', error: expect.any(OptionsError) as unknown })));
    expect(seen).toEqual([]);
  });
});

describe('who must not pass the gates, and who may not come in', () => {
  const { policy } = lookout();

  test.each<[string, GuardOptions<Request>, Coming, string]>([
    ['skip', { skip: ({ path }) => path === '/health' }, { path: '/health' }, 'past'],
    ['skip that takes its time', { skip: async ({ path }) => path === '/health' }, { path: '/health' }, 'past'],
    ['skip for others', { skip: ({ path }) => path === '/health' }, {}, 'admitted'],
    ['an allowList', { allowList: ['203.0.113.0/24'] }, {}, 'past'],
    ['an allowList of others', { allowList: ['203.0.113.0/24'] }, { address: '203.0.114.1' }, 'admitted'],
    ['an allowList for one without address', { allowList: ['203.0.113.0/24'] }, { address: undefined }, 'admitted'],
    ['an allowList that is a function', { allowList: async () => true }, {}, 'past'],
    ['a denyList', { denyList: ['203.0.113.9'] }, {}, 'refused'],
    ['a denyList, in another spelling', { denyList: ['203.0.113.9'] }, { address: '::ffff:203.0.113.9' }, 'refused'],
    ['a denyList before an allowList', { denyList: ['203.0.113.9'], allowList: ['203.0.113.9'] }, {}, 'refused'],
    [
      'a denyList of who is behind a proxy',
      { denyList: ['6.6.6.6'], trustProxy: 1 },
      { headers: { 'x-forwarded-for': '6.6.6.6' } },
      'refused',
    ],
    ['a denyList and a forged address', { denyList: ['203.0.113.9'] }, { headers: { 'x-forwarded-for': '6.6.6.6' } }, 'refused'],
  ])('%s', async (_, options, coming, kind) => {
    expect((await come(entrance([policy], options), coming)).kind).toBe(kind);
  });

  test('who is denied gets a 403, and no lesser answer', async () => {
    const turned = turnedOf(await come(entrance([policy], { denyList: () => true, fallback: { body: 'lesser' } })));
    expect([turned.status, turned.headers['retry-after']]).toEqual([403, undefined]);
    expect(turned.error).toMatchObject({ code: 'ERR_ORIGIN_DENIED', pipeline: 'guard' });
  });

  test('W5 what a list that is a function throws fails the request', async () => {
    const thrown = new Error('lost');
    const denyList = (): boolean => {
      throw thrown;
    };
    expect(await come(entrance([policy], { denyList }))).toEqual({ kind: 'failed', error: thrown });
  });
});

const burst = (): AnyPolicy => perKey(() => tokenBucket({ rate: 1, per: '10s', burst: 3 }), { name: 'burst' });

describe('what is said of limits', () => {
  const day = () => fixedWindow({ limit: 5, window: '24h', name: 'day' });

  test('each answer says what is left, in the shape of the current draft', async () => {
    const into = entrance([burst(), day()]);
    expect(fieldsOf(await come(into))).toEqual({
      'ratelimit-policy': '"burst";q=3;w=30, "day";q=5;w=86400',
      ratelimit: expect.stringMatching(/^"burst";r=2;t=(9|10), "day";r=4;t=\d+$/) as unknown,
    });
    expect(fieldsOf(await come(into, { address: '198.51.100.7' }))).toMatchObject({
      ratelimit: expect.stringMatching(/^"burst";r=2;t=(9|10), "day";r=3;t=\d+$/) as unknown,
    });
  });

  test('a refusal names the limits that are used up, and never sends back earlier than they say', async () => {
    const into = entrance([burst(), day()], { retryAfterJitter: 0 });
    for (let i = 0; i < 3; i++) await come(into);
    const turned = turnedOf(await come(into));
    expect(turned.status).toBe(429);
    expect(turned.headers).toMatchObject({ 'retry-after': '10', 'content-type': 'application/problem+json' });
    expect(turned.headers['ratelimit']).toMatch(/^"burst";r=0;t=10, "day";r=2;/);
    expect(JSON.parse(String(turned.body))).toEqual({
      type: 'https://iana.org/assignments/http-problem-types#quota-exceeded',
      title: 'Too many requests',
      status: 429,
      'violated-policies': ['burst'],
    });
    expect(turned.headers['content-length']).toBe(String(String(turned.body).length));
  });

  test('older shapes tell what is left of the tightest limit', async () => {
    const draft6 = fieldsOf(await come(entrance([burst(), day()], { standardHeaders: 'draft-6' })));
    expect(draft6).toMatchObject({ 'ratelimit-limit': '3', 'ratelimit-remaining': '2', 'ratelimit-policy': '3;w=30, 5;w=86400' });
    const draft7 = fieldsOf(await come(entrance([burst()], { standardHeaders: 'draft-7' })));
    expect(draft7).toMatchObject({ ratelimit: expect.stringMatching(/^limit=3, remaining=2, reset=\d+$/) as unknown });
    const legacy = fieldsOf(await come(entrance([burst()], { standardHeaders: false, legacyHeaders: true })));
    expect(legacy).toMatchObject({ 'x-ratelimit-limit': '3', 'x-ratelimit-remaining': '2' });
    expect(Object.keys(legacy as object)).not.toContain('ratelimit');
    const none = fieldsOf(await come(entrance([burst()], { standardHeaders: false })));
    expect(none).toEqual({});
  });

  test('one limit goes by the name that you give it; several keep their own', async () => {
    expect(fieldsOf(await come(entrance([burst()], { identifier: 'api' })))).toMatchObject({ 'ratelimit-policy': '"api";q=3;w=30' });
    expect(fieldsOf(await come(entrance([burst(), day()], { identifier: 'api' })))).toMatchObject({
      'ratelimit-policy': expect.stringMatching(/^"burst".*"day"/) as unknown,
    });
  });

  test('gates without limits say nothing', async () => {
    expect(fieldsOf(await come(entrance([lookout().policy])))).toEqual({});
    const { headers } = turnedOf(await come(entrance([denying(new OverloadedError('full'))])));
    expect(Object.keys(headers).filter((name) => name.includes('ratelimit'))).toEqual([]);
  });
});

describe('what a request takes of limits', () => {
  test('is one, or what is said of it; limits with a cost of their own go by that', async () => {
    const left = async (options: GuardOptions<Request>, path = '/'): Promise<unknown> =>
      fieldsOf(await come(entrance([burst()], { ...options, standardHeaders: 'draft-7' }), { path }));
    expect(await left({})).toMatchObject({ ratelimit: expect.stringContaining('remaining=2') as unknown });
    expect(await left({ cost: 2 })).toMatchObject({ ratelimit: expect.stringContaining('remaining=1') as unknown });
    const cost = ({ path }: Request): number => (path === '/export' ? 3 : 0);
    expect(await left({ cost })).toMatchObject({ ratelimit: expect.stringContaining('remaining=3') as unknown });
    expect(await left({ cost }, '/export')).toMatchObject({ ratelimit: expect.stringContaining('remaining=0') as unknown });
    const own = entrance([tokenBucket({ rate: 1, per: '10s', burst: 9, cost: 4 })], { cost: 2, standardHeaders: 'draft-7' });
    expect(fieldsOf(await come(own))).toMatchObject({ ratelimit: expect.stringContaining('remaining=5') as unknown });
  });

  test('a refusal by two limits sends back no earlier than the later of them says', async () => {
    const minutes = tokenBucket({ rate: 1, per: '2m', burst: 1, name: 'minutes' });
    const hours = fixedWindow({ limit: 1, window: '10h', name: 'hours' });
    const into = entrance([minutes, hours]);
    await come(into);
    const { headers } = turnedOf(await come(into));
    expect(Number(headers['retry-after'])).toBeGreaterThanOrEqual(36_000);
    expect(headers['ratelimit']).toMatch(/"hours";r=0;t=36000$/);
  });

  test('more than a limit ever holds can never pass: not before a day', async () => {
    const turned = turnedOf(await come(entrance([burst()], { cost: 4 })));
    expect([turned.status, turned.headers['retry-after']]).toEqual([429, '86400']);
  });

  test('W5 a cost that is none fails the request, and nothing is taken', async () => {
    const into = entrance([burst()], { cost: ({ path }) => (path === '/' ? NaN : 0) });
    expect((await come(into)).kind).toBe('failed');
    expect(fieldsOf(await come(into, { path: '/a' }))).toMatchObject({ ratelimit: expect.stringContaining('r=3') as unknown });
  });
});

describe('when to come back', () => {
  const after = async (retryAfter: number, retryAfterJitter?: number): Promise<number> => {
    const into = entrance(
      [denying(new OverloadedError('full', { retryAfter }))],
      retryAfterJitter === undefined ? {} : { retryAfterJitter },
    );
    return Number(turnedOf(await come(into)).headers['retry-after']);
  };

  test('W4 is rounded up, never earlier than asked; long waits are spread by chance', async () => {
    expect(await after(59_001)).toBe(60);
    const waits = await Promise.all(Array.from({ length: 200 }, () => after(1_000_000)));
    expect(Math.min(...waits)).toBeGreaterThanOrEqual(1000);
    expect(Math.max(...waits)).toBeLessThanOrEqual(1100);
    expect(new Set(waits).size).toBeGreaterThan(20);
    expect(await after(1_000_000, 0)).toBe(1000);
    expect(await after(Infinity)).toBe(86_400);
  });
});

describe('answers of your own', () => {
  const limited = (): AnyPolicy => denying(new RateLimitedError('no', { retryAfter: 1 }));

  test('a rate limit may answer with another status, and a text or an object', async () => {
    const text = turnedOf(await come(entrance([limited()], { statusCode: 420, message: 'Enhance your calm' })));
    expect([text.status, text.body, text.headers['content-type']]).toEqual([420, 'Enhance your calm', 'text/plain; charset=utf-8']);
    const object = turnedOf(await come(entrance([limited()], { message: { error: 'slow down' } })));
    expect([object.status, object.body, object.headers['retry-after']]).toEqual([429, '{"error":"slow down"}', '1']);
    const made = turnedOf(
      await come(entrance([limited()], { message: async ({ path }, { status }) => `${path} ${status}` }), { path: '/a' }),
    );
    expect([made.body, made.headers['content-length']]).toEqual(['/a 429', '6']);
    const other = turnedOf(await come(entrance([denying(new OverloadedError('full'))], { statusCode: 420, message: 'no' })));
    expect([other.status, JSON.parse(String(other.body))]).toMatchObject([503, { status: 503 }]);
  });

  test('a lesser answer stands in for a refusal: the same for all, or made for the request, or none', async () => {
    const full = (): AnyPolicy => denying(new OverloadedError('full'));
    const fixed = turnedOf(await come(entrance([full()], { fallback: { headers: { 'Content-Type': 'text/plain' }, body: 'later' } })));
    expect([fixed.status, fixed.body]).toEqual([200, 'later']);
    expect(fixed.headers).toEqual({
      'content-type': 'text/plain',
      'cache-control': 'no-store',
      'content-length': '5',
      'x-degraded': 'fallback',
    });
    expect(fixed.error).toBeInstanceOf(OverloadedError);
    const made = entrance([full()], { fallback: ({ path }) => (path === '/a' ? { status: 203, body: 'a' } : undefined) });
    expect(turnedOf(await come(made, { path: '/a' })).status).toBe(203);
    expect(turnedOf(await come(made)).status).toBe(503);
    const kept = entrance([full()], { fallback: { answer: async () => ({ body: new Uint8Array([1, 2]) }) } });
    expect(turnedOf(await come(kept)).headers['content-length']).toBe('2');
  });

  test('one that never comes is not waited for: after a second the refusal is sent', async () => {
    vi.useFakeTimers();
    const hanging = entrance([denying(new OverloadedError('full'))], { fallback: () => new Promise(() => undefined) });
    const coming = come(hanging);
    await vi.advanceTimersByTimeAsync(1000);
    expect(turnedOf(await coming).status).toBe(503);
    vi.useRealTimers();
  });

  test('thenables are waited for like promises', async () => {
    const later = <T>(value: T): Promise<T> => ({ then: (told: (value: T) => void) => told(value) }) as unknown as Promise<T>;
    const lesser = entrance([denying(new OverloadedError('full'))], { fallback: () => later({ body: 'lesser' }) });
    expect(turnedOf(await come(lesser)).body).toBe('lesser');
    expect(turnedOf(await come(entrance([limited()], { message: () => later('words') }))).body).toBe('words');
  });

  test('what is no answer of ours is left to the application', async () => {
    const boom = new Error('boom');
    const broken = definePolicy({
      kind: 'broken',
      gate: {
        enter() {
          throw boom;
        },
        settle() {},
        cancel() {},
      },
    });
    expect(await come(entrance([broken]))).toEqual({ kind: 'failed', error: boom });
    const message = (): string => {
      throw boom;
    };
    expect(await come(entrance([limited()], { message }))).toEqual({ kind: 'failed', error: boom });
  });
});

describe('warnings', () => {
  const warned = async (policies: readonly AnyPolicy[], options: GuardOptions<Request>, comings: readonly Coming[]): Promise<string[]> => {
    const codes: string[] = [];
    const into = entrance(policies, { ...options, warnings: ({ code }) => codes.push(code) });
    await madeEarlier();
    for (const coming of comings) await come(into, coming);
    return codes;
  };
  /** Guards that are made while a request is there look as if they were made for it. */
  const madeEarlier = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
  const forwarded = { headers: { 'x-forwarded-for': '6.6.6.6' } };

  test.each<[string, GuardOptions<Request>, readonly Coming[], string[]]>([
    ['a proxy that nobody named', {}, [forwarded, forwarded], ['BREAKWATER_FORWARDED_WITHOUT_TRUST']],
    ['one that was named', { trustProxy: 1 }, [forwarded], []],
    ['trust in the whole world', { trustProxy: ['0.0.0.0/1', '128.0.0.0/1'] }, [], ['BREAKWATER_PERMISSIVE_TRUST']],
    ['no address', {}, [{ address: undefined }], ['BREAKWATER_NO_ADDRESS']],
    ['a key that is a whole address of IPv6', { key: () => '2001:db8::1' }, [{}], ['BREAKWATER_IPV6_KEY']],
    ['a key function that has none for a request', { key: ({ path }) => (path === '/' ? undefined : path) }, [{}], ['BREAKWATER_NO_KEY']],
    ['nothing of the kind', {}, [{}], []],
  ])('teach once: %s', async (_, options, comings, codes) => {
    expect(await warned([burst()], options, comings)).toEqual(codes);
  });

  test('one limit that counts a request twice', async () => {
    const codes: string[] = [];
    const warnings = ({ code }: { code: string }): void => void codes.push(code);
    const shared = burst();
    const caller = { socket: { remoteAddress: '203.0.113.9' }, headers: {} };
    const both = [entrance([shared], { warnings }), entrance([shared], { warnings })];
    await madeEarlier();
    for (const into of both)
      await into.receive({ request: { path: '/' }, caller, response: new FakeResponse(), outer: undefined, expired: () => undefined });
    expect(codes).toEqual(['BREAKWATER_DOUBLE_COUNT']);
  });

  test('guards that are made for each request', async () => {
    const codes: string[] = [];
    const warnings = ({ code }: { code: string }): void => void codes.push(code);
    for (let i = 0; i < 20; i++) await come(entrance([burst()], { warnings }));
    expect(codes).toEqual(['BREAKWATER_CREATED_PER_REQUEST']);
  });

  test('are for whom it concerns, or nobody', () => {
    expect(() => entrance([], { warnings: true as unknown as false })).toThrow(/warnings/);
    expect(() => entrance([], { warnings: false })).not.toThrow();
  });
});

describe('options', () => {
  test.each<[GuardOptions<Request>, RegExp]>([
    [{ statusCode: 200 }, /statusCode/],
    [{ standardHeaders: 'draft-5' as 'draft-6' }, /standardHeaders/],
    [{ deadlineHeaders: ['no good'] }, /deadlineHeaders/],
    [{ priorityHeader: 'x\r\ny' }, /priorityHeader/],
    [{ allowList: ['10.0.0.0/33'] }, /guard\.allowList\[0\]/],
    [{ denyList: 'everybody' as unknown as string[] }, /denyList/],
    [{ trustProxy: true as unknown as number }, /trustProxy/],
    [{ cost: -1 }, /cost/],
    [{ windowMs: 1000 } as GuardOptions<Request>, /windowMs/],
  ])('%j is refused', (options, message) => {
    expect(() => entrance([], options)).toThrow(OptionsError);
    expect(() => entrance([], options)).toThrow(message);
  });

  test('policies have to be a list of such as admit, or a pipeline', () => {
    expect(() => entrance(undefined as unknown as [])).toThrow(
      /guard.policies: expected a list of policies, guard\(\[\.\.\.\]\), or a pipeline, got undefined/,
    );
    expect(() => entrance([retry()])).toThrow(
      /gates only: a handler cannot be run again, so other policies belong around what it calls, got retry/,
    );
  });

  test('a pipeline has a name of its own', () => {
    expect(entrance([], { name: 'api' }).pipeline.name).toBe('api');
    const given = pipeline([], { name: 'own' });
    const settings = readGuardOptions('guard', guardFields, { name: 'api' }) as GuardSettings<Request>;
    expect(() => new Entrance(given, settings)).toThrow(/called own/);
  });
});
