/** Whom a request is counted by, in guards of every framework: what a client says of itself changes nothing, and what is set up wrong is said. */

import { createServer } from 'node:http';
import { connect } from 'node:net';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { OptionsError, fixedWindow, perKey, presets } from 'breakwater';
import { type GuardOptions, clientKey, guard } from 'breakwater/express';
import breakwater from 'breakwater/fastify';
import { guard as koaGuard } from 'breakwater/koa';
import { guard as honoGuard } from 'breakwater/hono';
import { BreakwaterGuard } from 'breakwater/nest';
import { protect } from 'breakwater/node';
import express, { type Request, type RequestHandler } from 'express';
import Fastify from 'fastify';
import { describe, expect, onTestFinished, test } from 'vitest';
import { ask, serve } from './serving.ts';

const one = () => presets.rateLimit({ limit: 1 });

/** Express behind these, in this order. */
async function behind(...handlers: readonly RequestHandler[]): Promise<number> {
  const app = express().set('env', 'test');
  app.use(...handlers);
  app.use((_req, res) => void res.send('in'));
  return (await serve(app)).port;
}

/** Statuses of requests that say these are their addresses, one after the other. */
async function statuses(port: number, forwarded: readonly (string | undefined)[], more: Record<string, string> = {}): Promise<number[]> {
  const seen: number[] = [];
  for (const each of forwarded) {
    const headers = each === undefined ? more : { ...more, 'x-forwarded-for': each };
    seen.push((await ask(port, { headers })).status);
  }
  return seen;
}

/** A listener and the codes it heard. */
function ear(): { readonly warnings: (warning: { readonly code: string }) => void; readonly codes: string[] } {
  const codes: string[] = [];
  return { warnings: ({ code }) => void codes.push(code), codes };
}

const mounted = (options: GuardOptions, policies = one()): RequestHandler => guard(policies, options) as RequestHandler;

describe('the default key', () => {
  test('is the address of the connection: X-Forwarded-For and its like are not read without trustProxy', async () => {
    const port = await behind(mounted({ warnings: false }));
    const more = {
      'x-real-ip': '203.0.113.1',
      forwarded: 'for=203.0.113.2',
      'x-client-ip': '203.0.113.3',
      'cf-connecting-ip': '203.0.113.4',
    };
    expect(await statuses(port, [undefined, '203.0.113.9', '203.0.113.10'], more)).toEqual([200, 429, 429]);
  });

  test("does not ask Express's own trust proxy, which believes everybody when it is true", async () => {
    const app = express().set('env', 'test').set('trust proxy', true);
    app.use(mounted({ warnings: false }), (_req, res) => void res.send('in'));
    const { port } = await serve(app);
    expect(await statuses(port, ['203.0.113.9', '203.0.113.10'])).toEqual([200, 429]);
  });

  test('is the first from the right that is no trusted proxy: what a client pads the header with buys it nothing', async () => {
    for (const trustProxy of [1, 'loopback', ['127.0.0.0/8']]) {
      const port = await behind(mounted({ trustProxy, warnings: false }));
      const padded = [
        '203.0.113.9',
        '6.6.6.6, 203.0.113.9',
        '127.0.0.1, 203.0.113.9',
        `${'x'.repeat(7000)}, 203.0.113.9`,
        ' ,,203.0.113.9',
      ];
      expect(await statuses(port, [...padded, '203.0.113.10'])).toEqual([200, 429, 429, 429, 429, 200]);
    }
  });

  test('folds IPv4 in IPv6 before the network is cut: clients of one proxy with such addresses are not one client', async () => {
    const port = await behind(mounted({ trustProxy: 1, warnings: false }));
    const written = ['::ffff:192.0.2.1', '::ffff:192.0.2.2', '192.0.2.1', '::ffff:c000:202', '[::FFFF:192.0.2.2]:443'];
    expect(await statuses(port, written)).toEqual([200, 200, 429, 429, 429]);
  });

  test.each([
    [undefined, [200, 429, 429, 200]],
    [64, [200, 429, 200, 200]],
    [128, [200, 200, 200, 200]],
  ])('is the /56 of an IPv6 address unless ipv6Subnet says otherwise (%s)', async (ipv6Subnet, expected) => {
    const port = await behind(mounted({ trustProxy: 1, warnings: false, ...(ipv6Subnet !== undefined && { ipv6Subnet }) }));
    const addresses = ['2001:db8:0:100::1', '2001:db8:0:100::2', '2001:db8:0:101::1', '2001:db8:0:200::1'];
    expect(await statuses(port, addresses)).toEqual(expected);
    const again = ['[2001:db8:0:200::1]:8080', '2001:DB8:0:200::1', '2001:db8:0:200:0:0:0:1', '2001:db8:0:200::1%eth0'];
    expect(await statuses(port, again)).toEqual([429, 429, 429, 429]);
  });
});

describe('trustProxy true, which is to count nobody,', () => {
  const wrong = { trustProxy: true } as never;
  test.each<[string, () => unknown]>([
    ['Express', () => guard(one(), wrong)],
    ['Koa', () => koaGuard(one(), wrong)],
    ['Hono', () => honoGuard(one(), wrong)],
    ['node:http', () => protect(() => undefined, one(), wrong)],
    ['Nest', () => new BreakwaterGuard(one(), wrong)],
    ['Fastify', () => Fastify().register(breakwater, { policies: one(), trustProxy: true } as never)],
    ['clientKey', () => clientKey(wrong)],
  ])('is refused by %s, in words that say what to write', async (_, make) => {
    await expect(async () => await make()).rejects.toThrow(OptionsError);
    await expect(async () => await make()).rejects.toThrow(/trustProxy.*how many proxies there are.*addresses and networks/);
  });
});

describe('what is set up wrong is said, once', () => {
  test.each<[string, GuardOptions, Record<string, string>, string[]]>([
    ['nothing is wrong', {}, {}, []],
    ['a header, and no trust', {}, { 'x-forwarded-for': '203.0.113.9' }, ['BREAKWATER_FORWARDED_WITHOUT_TRUST']],
    ['Forwarded, and no trust', {}, { forwarded: 'for=203.0.113.9' }, ['BREAKWATER_FORWARDED_WITHOUT_TRUST']],
    [
      'Forwarded alone, from a proxy that is trusted',
      { trustProxy: 'loopback' },
      { forwarded: 'for=203.0.113.9' },
      ['BREAKWATER_FORWARDED_UNREAD'],
    ],
    ['both, from a proxy that is trusted', { trustProxy: 1 }, { forwarded: 'for=203.0.113.9', 'x-forwarded-for': '203.0.113.9' }, []],
    ['everybody is trusted', { trustProxy: ['0.0.0.0/1', '128.0.0.0/1'] }, {}, ['BREAKWATER_PERMISSIVE_TRUST']],
    ['more proxies than there are', { trustProxy: 2 }, { 'x-forwarded-for': '203.0.113.9' }, ['BREAKWATER_PERMISSIVE_TRUST']],
    ['a whole IPv6 address as the key', { key: () => '2001:db8::1' }, {}, ['BREAKWATER_IPV6_KEY']],
    ['a header, and a key that needs none', { key: () => 'tenant' }, { 'x-forwarded-for': '203.0.113.9' }, []],
  ])('%s', async (_, options, headers, expected) => {
    const { warnings, codes } = ear();
    const port = await behind(mounted({ ...options, warnings }));
    for (let i = 0; i < 3; i++) await ask(port, { headers });
    expect(codes).toEqual(expected);
  });

  test('a connection without an address (a Unix socket): all who come over it are one', async () => {
    const { warnings, codes } = ear();
    const api = guard(one(), { warnings });
    const folder = await mkdtemp(join(tmpdir(), 'breakwater-'));
    const path = join(folder, 'server');
    const server = createServer((req, res) => api(req, res, () => res.end('in'))).listen(path);
    onTestFinished(async () => {
      server.closeAllConnections();
      await once(server.close(), 'close');
      await rm(folder, { recursive: true });
    });
    await once(server, 'listening');
    const answers: string[] = [];
    for (let i = 0; i < 2; i++) {
      let answer = '';
      const socket = connect(path).on('data', (chunk) => (answer += chunk.toString()));
      socket.write('GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
      await once(socket, 'close');
      answers.push(answer.slice(9, 12));
    }
    expect([answers, codes]).toEqual([['200', '429'], ['BREAKWATER_NO_ADDRESS']]);
  });

  test('one limiter in two guards counts a request twice', async () => {
    const { warnings, codes } = ear();
    const shared = presets.rateLimit({ limit: 2 });
    const port = await behind(mounted({ name: 'outer', warnings }, shared), mounted({ name: 'inner', warnings }, shared));
    expect([await statuses(port, [undefined, undefined]), codes]).toEqual([[200, 429], ['BREAKWATER_DOUBLE_COUNT']]);
  });

  test('a guard that is made in the handler never refuses anybody', async () => {
    const { warnings, codes } = ear();
    const port = await behind((req, res, next) => mounted({ warnings })(req, res, next));
    const seen = await statuses(port, Array<undefined>(12).fill(undefined));
    expect([new Set(seen), codes]).toEqual([new Set([200]), ['BREAKWATER_CREATED_PER_REQUEST']]);
  });

  test('an option that is unknown, and a window that no timer holds: the one throws, the other is a window', () => {
    expect(() => guard(one(), { trustproxy: 1 } as never)).toThrow(/guard\.trustproxy/);
    expect(() => presets.rateLimit({ window: 2 ** 31 + 1 })).not.toThrow();
  });
});

describe('keys of your own', () => {
  const account = (req: Request): string | undefined => req.header('x-user');
  const address = clientKey({ trustProxy: 1 });

  test('who has signed in is counted by that, with a prefix for each kind: a user called like an address is nobody who has it', async () => {
    const key = (req: Request): string => {
      const [user, apiKey] = [account(req), req.header('x-api-key')];
      if (user !== undefined) return `user:${user}`;
      return apiKey === undefined ? `ip:${address(req)}` : `key:${apiKey}`;
    };
    const port = await behind(guard<Request>(one(), { key, warnings: false }) as RequestHandler);
    const from = { 'x-forwarded-for': '192.0.2.1' };
    const asked = [from, { ...from, 'x-user': '192.0.2.1' }, { ...from, 'x-api-key': '192.0.2.1' }, from, { 'x-user': '192.0.2.1' }];
    const seen: number[] = [];
    for (const headers of asked) seen.push((await ask(port, { headers: headers })).status);
    expect(seen).toEqual([200, 200, 200, 429, 429]);
  });

  test('a login has two limits, by address and by account: failures count in both, successes give back', async () => {
    const failures = (name: string, limit: number) => presets.rateLimit({ name, limit, window: '15m', skipSuccessfulRequests: true });
    const port = await behind(
      guard<Request>(failures('by-address', 4), { key: (req) => `ip:${address(req)}`, warnings: false }) as RequestHandler,
      guard<Request>(failures('by-account', 2), { key: (req) => `user:${String(account(req))}`, warnings: false }) as RequestHandler,
      (req, res) => void res.status(req.header('x-password') === 'right' ? 200 : 401).end(),
    );
    const login = async (from: string, user: string, password = 'wrong'): Promise<number> =>
      (await ask(port, { headers: { 'x-forwarded-for': from, 'x-user': user, 'x-password': password } })).status;
    for (let i = 0; i < 6; i++) expect(await login('192.0.2.1', 'ada', 'right')).toBe(200);
    // One account, guessed from many addresses.
    expect([await login('192.0.2.2', 'bob'), await login('192.0.2.3', 'bob'), await login('192.0.2.4', 'bob', 'right')]).toEqual([
      401, 401, 429,
    ]);
    // Many accounts, tried from one address.
    const sprayed: number[] = [];
    for (const user of ['cy', 'dee', 'eve', 'fay', 'gus']) sprayed.push(await login('192.0.2.9', user));
    expect(sprayed).toEqual([401, 401, 401, 401, 429]);
    expect(await login('192.0.2.1', 'ada', 'right')).toBe(200);
  });

  test("who has no key passes limits by key uncounted, unless they say missing: 'refuse'", async () => {
    const key = (req: Request): string | undefined => req.header('x-api-key');
    const limit = () => fixedWindow({ limit: 1, window: '1m' });
    const open = await behind(guard<Request>([perKey(limit)], { key, warnings: false }) as RequestHandler);
    const closed = await behind(guard<Request>([perKey(limit, { missing: 'refuse' })], { key, warnings: false }) as RequestHandler);
    expect(await statuses(open, [undefined, undefined])).toEqual([200, 200]);
    expect(await statuses(closed, [undefined, undefined])).toEqual([503, 503]);
    expect(await statuses(closed, [undefined, undefined], { 'x-api-key': 'a' })).toEqual([200, 429]);
  });
});
