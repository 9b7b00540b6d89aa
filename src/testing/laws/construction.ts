/** Laws about options. */

import { deepStrictEqual, ok, strictEqual } from 'node:assert/strict';
import type { AnyPolicy } from '../../core/policy.ts';
import type { Law, Subject } from '../contract.ts';

type Create = (options: object) => AnyPolicy;

export const constructionLaws: readonly Law[] = [
  {
    title: 'an unknown option is refused at construction, with its path (G9)',
    needs: 'factory',
    run: async (subject) => {
      const { create, options } = factoryOf(subject);
      await Promise.resolve();
      const error = refusal(() => create({ ...options, nonsense: 1 }));
      strictEqual(error.code, 'ERR_OPTIONS', 'an unknown option should be refused with ERR_OPTIONS');
      ok(String(error.path).endsWith('.nonsense'), `the error's path should name the option, and is ${String(error.path)}`);
    },
  },
  {
    title: 'options that are no object are refused at construction (G9)',
    needs: 'factory',
    run: async (subject) => {
      const { create } = factoryOf(subject);
      await Promise.resolve();
      for (const wrong of [5, 'text', [], true])
        strictEqual(refusal(() => create(wrong as never)).code, 'ERR_OPTIONS', `${JSON.stringify(wrong)} should be refused`);
    },
  },
  {
    title: 'options are read once: frozen ones do, and changing them later changes nothing',
    needs: 'factory',
    run: async (subject) => {
      const { create, options } = factoryOf(subject);
      await Promise.resolve();
      const described = create(Object.freeze({ ...options })).describe();
      const own: Record<string, unknown> = { ...options };
      const policy = create(own);
      deepStrictEqual(policy.describe(), described);
      for (const name of Object.keys(own)) own[name] = undefined;
      deepStrictEqual(policy.describe(), described, 'a policy should keep its options, whatever becomes of the object they came in');
    },
  },
];

function factoryOf({ factory }: Subject): { create: Create; options: object } {
  return factory as unknown as { create: Create; options: object };
}

function refusal(create: () => unknown): { code?: unknown; path?: unknown } {
  try {
    create();
  } catch (error) {
    return error as { code?: unknown; path?: unknown };
  }
  return {};
}
