import { bulkhead, perKey, pipeline, slidingWindow, tokenBucket } from 'breakwater';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { type Setup, WarningSigns, countsTooMany, isOneOfSeveral, isWholeIpv6, trustsEverybody } from '../../src/http/warnings/signs.ts';
import { type GuardWarning, hears, lessons, warn } from '../../src/http/warnings/warnings.ts';

const codes = Object.keys(lessons) as (keyof typeof lessons)[];

afterEach(() => vi.unstubAllEnvs());

function emitted(): { readonly calls: readonly (readonly unknown[])[] } {
  const spy = vi.spyOn(process, 'emitWarning').mockImplementation(() => undefined);
  onTestFinished(() => spy.mockRestore());
  const said = (globalThis as unknown as Record<symbol, Set<string> | undefined>)[Symbol.for('breakwater.warned')];
  said?.clear();
  return spy.mock;
}

describe('the outlet', () => {
  test('tells the process once of each, with its code and a page', () => {
    const { calls } = emitted();
    for (let i = 0; i < 3; i++) warn(undefined, 'BREAKWATER_NO_ADDRESS', 'api');
    warn(undefined, 'BREAKWATER_IPV6_KEY', 'api');
    warn(undefined, 'BREAKWATER_IPV6_KEY', 'another');
    expect(calls).toHaveLength(2);
    expect(calls[0]).toEqual([
      expect.stringMatching(/^api: a request came without an address/),
      { type: 'BreakwaterWarning', code: 'BREAKWATER_NO_ADDRESS', detail: 'Read on in docs/reference/warnings.md#no-address' },
    ]);
  });

  test('tells a function instead, once of each, and what that throws harms nothing', () => {
    const { calls } = emitted();
    const heard: GuardWarning[] = [];
    const listen = (warning: GuardWarning): void => {
      heard.push(warning);
      throw new Error('a listener');
    };
    for (let i = 0; i < 3; i++) warn(listen, 'BREAKWATER_DOUBLE_COUNT', 'api');
    expect(heard.map(({ code, guard, link }) => [code, guard, link])).toEqual([
      ['BREAKWATER_DOUBLE_COUNT', 'api', 'docs/reference/warnings.md#double-count'],
    ]);
    expect(calls).toEqual([]);
  });

  test('tells nobody where it is told not to, by the option or by the environment', () => {
    const { calls } = emitted();
    warn(false, 'BREAKWATER_NO_ADDRESS', 'api');
    vi.stubEnv('BREAKWATER_WARNINGS', 'off');
    warn(undefined, 'BREAKWATER_NO_ADDRESS', 'api');
    expect(calls).toEqual([]);
    expect([hears(false), hears(undefined), hears(() => undefined)]).toEqual([false, false, true]);
  });

  test('each has a section of its own on the page it links to, which names it', () => {
    const page = readFileSync(join(import.meta.dirname, '../../docs/reference/warnings.md'), 'utf8');
    const sections = page.split(/^## /m).slice(1);
    for (const code of codes) {
      const title = code.slice('BREAKWATER_'.length).toLowerCase().replaceAll('_', ' ');
      const section = sections.find((each) => each.toLowerCase().startsWith(`${title}\n`));
      expect(section, code).toContain(`\`${code}\``);
      for (const part of ['What was seen', 'Why it matters', 'What to do']) expect(section).toContain(`**${part}.**`);
    }
  });
});

describe('trust', () => {
  test.each([true, 'all', ['all'].join(''), ['0.0.0.0/1', '128.0.0.0/1'], ['::/1', '8000::/1'], ['loopback', '2000::/3']])(
    '%j believes everybody',
    (trust) => expect(trustsEverybody(trust)).toBe(true),
  );

  test.each([false, undefined, 0, 1, 'loopback', ['10.0.0.0/8', 'fc00::/7'], ['8.0.0.0/8'], [], '203.0.113.0/24'])('%j does not', (trust) =>
    expect(trustsEverybody(trust)).toBe(false),
  );

  test.each<[number, string | string[] | undefined, boolean]>([
    [1, undefined, false],
    [0, '203.0.113.9', false],
    [1, '203.0.113.9', false],
    [2, '203.0.113.9', true],
    [2, '203.0.113.9, 10.0.0.1', false],
    [3, ['203.0.113.9', '10.0.0.1'], true],
    [2, ',,,,', true],
    [2, '1,'.repeat(10_000), false],
  ])('%d proxies and %j', (hops, forwarded, tooMany) => expect(countsTooMany(hops, forwarded)).toBe(tooMany));
});

test.each<[string, boolean]>([
  ['2001:db8::1', true],
  ['fe80::1%eth0', true],
  ['2001:DB8:0:0:0:0:0:1', true],
  ['2001:db8::/56', false],
  ['::1', false],
  ['::ffff:203.0.113.9', false],
  ['203.0.113.9', false],
  ['tenant:7', false],
  ['', false],
  ['a:'.repeat(1000), false],
])('%j as a key', (key, whole) => expect(isWholeIpv6(key)).toBe(whole));

test.each<[Record<string, string>, boolean]>([
  [{}, false],
  [{ NODE_APP_INSTANCE: '0' }, false],
  [{ NODE_APP_INSTANCE: '1' }, true],
  [{ NODE_APP_INSTANCE: 'staging' }, false],
])('environment %j', (env, several) => expect(isOneOfSeveral(env)).toBe(several));

interface Told {
  readonly signs: (setup?: Partial<Setup>) => WarningSigns;
  readonly codes: string[];
}

function told(): Told {
  const heard: string[] = [];
  const warnings = ({ code }: GuardWarning): void => void heard.push(code);
  return {
    signs: (setup) => new WarningSigns({ name: 'api', policies: [], trustProxy: 0, ownKey: false, warnings, ...setup }),
    codes: heard,
  };
}

const from = (remoteAddress: string | undefined, headers = {}): { socket: { remoteAddress: string | undefined }; headers: object } => ({
  socket: { remoteAddress },
  headers,
});

type Caller = Parameters<WarningSigns['look']>[1];

describe('signs', () => {
  test.each<[string, Partial<Setup>, ReturnType<typeof from>, string | undefined, string[]]>([
    ['nothing is wrong', {}, from('203.0.113.9'), '203.0.113.9', []],
    ['a proxy nobody trusts', {}, from('10.0.0.7', { 'x-forwarded-for': '1.2.3.4' }), '10.0.0.7', ['BREAKWATER_FORWARDED_WITHOUT_TRUST']],
    [
      'the same by RFC 7239',
      { trustProxy: [] },
      from('10.0.0.7', { forwarded: 'for=1.2.3.4' }),
      '10.0.0.7',
      ['BREAKWATER_FORWARDED_WITHOUT_TRUST'],
    ],
    ['a proxy that is trusted', { trustProxy: 1 }, from('10.0.0.7', { 'x-forwarded-for': '1.2.3.4' }), '1.2.3.4', []],
    [
      'fewer proxies than said',
      { trustProxy: 2 },
      from('10.0.0.7', { 'x-forwarded-for': '1.2.3.4' }),
      '1.2.3.4',
      ['BREAKWATER_PERMISSIVE_TRUST'],
    ],
    ['everybody is believed', { trustProxy: 'all' }, from('203.0.113.9'), '203.0.113.9', ['BREAKWATER_PERMISSIVE_TRUST']],
    ['no address', {}, from(undefined), 'unknown', ['BREAKWATER_NO_ADDRESS']],
    ['no address, and a key that needs none', { ownKey: true }, from(undefined, { forwarded: 'x' }), 'tenant-7', []],
    ['a whole IPv6 address', { ownKey: true }, from('2001:db8::1'), '2001:db8::1', ['BREAKWATER_IPV6_KEY']],
    ['a key of nothing', { ownKey: true }, from('2001:db8::1'), undefined, []],
  ])('%s', (_, setup, caller, key, expected) => {
    const { signs, codes } = told();
    const guard = signs(setup);
    guard.look({}, caller as Caller, key);
    guard.look({}, caller as Caller, key);
    expect(codes).toEqual(expected);
  });

  test('a client that hung up has no address any more, which says nothing', () => {
    const { signs, codes } = told();
    signs().look({}, { socket: { remoteAddress: undefined, destroyed: true } as never, headers: {} }, 'unknown');
    expect(codes).toEqual([]);
  });

  test('a limiter that two guards share counts a request twice', () => {
    const { signs, codes } = told();
    const shared = perKey(() => tokenBucket({ rate: 1 }));
    const [outer, inner] = [signs({ policies: [shared, bulkhead({ maxConcurrent: 1 })] }), signs({ policies: [pipeline([shared])] })];
    const [one, another] = [{}, {}];
    outer.look(one, from('1.1.1.1') as Caller, '1.1.1.1');
    inner.look(another, from('1.1.1.1') as Caller, '1.1.1.1');
    expect(codes).toEqual([]);
    inner.look(one, from('1.1.1.1') as Caller, '1.1.1.1');
    expect(codes).toEqual(['BREAKWATER_DOUBLE_COUNT']);
  });

  test('guards of one kind and of a policy each count a request once', () => {
    const { signs, codes } = told();
    const request = {};
    for (let i = 0; i < 3; i++)
      signs({ policies: [slidingWindow({ limit: 1, window: '1s' })] }).look(request, from('1.1.1.1') as Caller, 'k');
    expect(codes).toEqual([]);
  });

  test('guards that are made per request are noticed, and such as are made late and kept are not', async () => {
    const { signs, codes } = told();
    const use = (guard: WarningSigns): void => {
      guard.meet();
      guard.look({}, from('1.1.1.1') as Caller, '1.1.1.1');
    };
    const kept = Array.from({ length: 9 }, () => signs());
    kept.forEach(use);
    kept.forEach(use);
    for (let i = 0; i < 30; i++) {
      const early = signs();
      await new Promise((next) => process.nextTick(next));
      use(early);
    }
    expect(codes).toEqual([]);
    for (let i = 0; i < 10; i++) {
      await new Promise((next) => process.nextTick(next));
      use(signs());
    }
    expect(codes).toEqual(['BREAKWATER_CREATED_PER_REQUEST']);
  });

  test('rate limits in one of several processes are noticed; bulkheads are meant to be per process', () => {
    vi.stubEnv('NODE_APP_INSTANCE', '2');
    const { signs, codes } = told();
    signs({ policies: [bulkhead({ maxConcurrent: 1 }), perKey(() => bulkhead({ maxConcurrent: 1 }))] });
    expect(codes).toEqual([]);
    signs({ policies: [pipeline([perKey(() => tokenBucket({ rate: 1 }))])] });
    expect(codes).toEqual(['BREAKWATER_MEMORY_IN_CLUSTER']);
  });

  test('only the first requests are looked at, and none where nobody listens', () => {
    const { signs, codes } = told();
    const guard = signs();
    let looked = 0;
    while (guard.watching) {
      looked++;
      guard.look({}, from('1.1.1.1') as Caller, '1.1.1.1');
    }
    expect(looked).toBe(200);
    expect(codes).toEqual([]);
    expect(signs({ warnings: false }).watching).toBe(false);
  });
});
