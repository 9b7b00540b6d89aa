import { describe, expect, test } from 'vitest';
import { OptionsError } from 'breakwater';
import { arrange, gateContract, policyContract } from 'breakwater/testing';
import { OriginDeniedError } from '../../src/core/errors.ts';
import { type AuthorityOptions, authority } from '../../src/policies/authority.ts';

const nobody = (): ReturnType<typeof authority> => authority({ allow: [] });
policyContract(() => authority({ deny: ['mallory'] }), {
  describe,
  it: test,
  refuses: nobody,
  factory: { create: authority, options: { allow: ['a', 'b'], deny: ['c'], unknown: 'pass', name: 'who' } },
});
gateContract(() => authority({ deny: ['mallory'] }), { describe, it: test, refuses: nobody });

const served = async (options: AuthorityOptions, tags: Record<string, unknown>, key?: string): Promise<unknown> => {
  const { run } = arrange(authority(options));
  return await run(() => 'served', { tags, key }).catch((error: unknown) => error);
};

describe('authority', () => {
  test('lets in who is allowed, and refuses everybody else before the work', async () => {
    expect(await served({ allow: ['checkout'] }, { origin: 'checkout' })).toBe('served');
    const refused = await served({ allow: ['checkout'] }, { origin: 'Checkout' }, 'k1');
    expect(refused).toBeInstanceOf(OriginDeniedError);
    expect(refused).toMatchObject({
      code: 'ERR_ORIGIN_DENIED',
      message: 'test: authority does not allow the origin "Checkout"',
      key: 'k1',
      retryAfter: undefined,
    });
  });

  test('refuses who is denied, also if they are allowed, and lets in everybody else', async () => {
    expect(await served({ deny: ['bot'] }, { origin: 'checkout' })).toBe('served');
    expect(await served({ deny: ['bot'] }, { origin: 'bot' })).toMatchObject({ message: 'test: authority denies the origin "bot"' });
    expect(await served({ allow: ['bot'], deny: ['bot'] }, { origin: 'bot' })).toBeInstanceOf(OriginDeniedError);
  });

  test('goes by the tag, else by the key, or by what it is told to', async () => {
    expect(await served({ allow: ['a'] }, {}, 'a')).toBe('served');
    expect(await served({ allow: ['a'] }, { origin: 'b' }, 'a')).toBeInstanceOf(OriginDeniedError);
    expect(await served({ allow: ['a'], origin: ({ tags }) => tags['from'] as string }, { from: 'a', origin: 'b' })).toBe('served');
  });

  test('a caller of unknown origin passes a list of the denied and not a list of the allowed, unless told otherwise', async () => {
    for (const tags of [{}, { origin: '' }, { origin: 7 }, { origin: { toString: () => 'a' } }]) {
      const key = 'origin' in tags ? 'a' : undefined;
      expect(await served({ deny: ['b'] }, tags, key)).toBe('served');
      expect(await served({ deny: ['b'], unknown: 'refuse' }, tags, key)).toBeInstanceOf(OriginDeniedError);
      expect(await served({ allow: ['a'] }, tags, key)).toBeInstanceOf(OriginDeniedError);
      expect(await served({ allow: ['a'], unknown: 'pass' }, tags, key)).toBe('served');
    }
  });

  test('asks a function instead of a list; one that throws counts against the call and is reported', async () => {
    const inner = { allow: (origin: string) => origin.startsWith('inner-') };
    expect(await served(inner, { origin: 'inner-a' })).toBe('served');
    expect(await served(inner, { origin: 'outer-a' })).toBeInstanceOf(OriginDeniedError);
    const broken = (): boolean => {
      throw new Error('broken');
    };
    for (const options of [{ allow: broken }, { deny: broken }, { allow: ['a'], origin: broken as never }]) {
      const { run, events } = arrange(authority(options));
      await expect(run(() => 'served', { tags: { origin: 'a' } })).rejects.toBeInstanceOf(OriginDeniedError);
      expect(events.map(({ type }) => type)).toContain('pipeline.callback-failed');
    }
  });

  test('lists are replaced while it runs, each by itself, and what was given is not looked at again', async () => {
    const names = ['a'];
    const { run, policy } = arrange(authority({ allow: names }));
    const of = (origin: string): Promise<unknown> => run(() => 'served', { tags: { origin } }).catch(() => 'refused');
    names.push('b');
    expect([await of('a'), await of('b')]).toEqual(['served', 'refused']);
    expect(policy.atRest(0)).toBe(true);
    policy.update({ deny: ['a'] });
    expect([await of('a'), await of('b')]).toEqual(['refused', 'refused']);
    policy.update({ allow: ['a', 'b'], deny: false });
    expect([await of('a'), await of('b')]).toEqual(['served', 'served']);
    expect(policy.snapshot()).toEqual({ allow: 2, deny: undefined, refused: 3 });
    expect(policy.atRest(0)).toBe(false);
    policy.update({ allow: () => false });
    expect(await of('a')).toBe('refused');
    expect(policy.describe()).toEqual({ allow: 'computed', deny: undefined, origin: 'tags.origin or key', unknown: 'refuse' });
  });

  test('hostile origins are names like any other', async () => {
    const { run } = arrange(authority({ allow: ['a', '__proto__'] }));
    const of = (origin: string): Promise<unknown> => run(() => 'served', { tags: { origin } }).catch((error: unknown) => error);
    expect(await of('__proto__')).toBe('served');
    for (const origin of ['constructor', 'toString', 'hasOwnProperty', '.*', 'a\0', 'a\n', '(a+)+$', 'x'.repeat(1 << 20)])
      expect(((await of(origin)) as Error).message.length).toBeLessThan(120);
  });

  test('in shadow it only says whom it would refuse', async () => {
    const { run, events } = arrange(authority({ allow: ['a'], mode: 'shadow' }));
    expect(await run(() => 'served', { tags: { origin: 'b' } })).toBe('served');
    expect(events.map(({ type }) => type)).toContain('gate.would-refuse');
  });

  test('needs a list, and lists are of strings', () => {
    const paths = (options: object): readonly string[] => {
      try {
        authority(options);
        return [];
      } catch (error) {
        return (error as OptionsError).problems.map(({ path }) => path);
      }
    };
    expect(paths({})).toEqual(['authority.allow']);
    expect(paths({ allow: [1], deny: /a/ })).toEqual(['authority.allow', 'authority.deny']);
    expect(() => authority({ allow: ['a'] }).update({ deny: 'b' as never })).toThrow(OptionsError);
  });
});
