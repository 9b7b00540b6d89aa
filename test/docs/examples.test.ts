import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import * as breakwater from 'breakwater';
import { describe, expect, test } from 'vitest';
import { camel, kinds, root } from '../../scripts/docs/source.ts';
import { pages, read } from '../../scripts/docs/pages.ts';
import { type Library, complaints, examples, run } from './examples.ts';

const all = examples();

/** The entry points by the names users import them by; everything else is somebody else's. */
const library: Library = (specifier) => entries.get(specifier)?.() ?? (import(/* @vite-ignore */ specifier) as Promise<unknown>);

const entries: ReadonlyMap<string, () => Promise<unknown>> = new Map<string, () => Promise<unknown>>([
  ['breakwater', () => Promise.resolve(breakwater)],
  ['breakwater/testing', () => import('breakwater/testing')],
  ['breakwater/express', () => import('breakwater/express')],
  ['breakwater/fastify', () => import('breakwater/fastify')],
  ['breakwater/koa', () => import('breakwater/koa')],
  ['breakwater/hono', () => import('breakwater/hono')],
  ['breakwater/nest', () => import('breakwater/nest')],
  ['breakwater/node', () => import('breakwater/node')],
  ['breakwater/fetch', () => import('breakwater/fetch')],
  ['breakwater/undici', () => import('breakwater/undici')],
  ['breakwater/axios', () => import('breakwater/axios')],
  ['breakwater/got', () => import('breakwater/got')],
  ['breakwater/worker-pool', () => import('breakwater/worker-pool')],
  ['breakwater/opossum', () => import('breakwater/opossum')],
  ['breakwater/bottleneck', () => import('breakwater/bottleneck')],
  ['breakwater/p-retry', () => import('breakwater/p-retry')],
  ['breakwater/p-timeout', () => import('breakwater/p-timeout')],
]);

describe('examples', () => {
  test('all of them compile as strictly as the source does', { timeout: 60_000 }, () => {
    expect(complaints(all)).toEqual([]);
  });

  test.each(all.map((example) => [example.where, example] as const))('%s runs as it stands and prints what it says', async (_, example) => {
    for (const { promised, printed, shown } of await run(example, library))
      expect(promised).toBe(shown.join(', ') === promised ? promised : printed.join(', '));
  });

  test('every function that users build with opens with one that shows a result', () => {
    const shown = all.filter(({ code }) => code.includes('// => '));
    for (const kind of kinds()) {
      const own = shown.filter(({ where }) => where.startsWith(`src/policies/${kind}.ts`));
      expect(
        own.some(({ code }) => code.includes(`${camel(kind)}(`)),
        kind,
      ).toBe(true);
      const page = shown.filter(({ where }) => where.startsWith(`docs/reference/${kind}.md`));
      expect(
        page.some(({ code }) => code.includes(`${camel(kind)}(`)),
        `page of ${kind}`,
      ).toBe(true);
    }
    for (const factory of ['pipeline', 'definePolicy', 'fromMiddleware']) {
      const own = shown.filter(({ where }) => where.startsWith('src/core/'));
      expect(
        own.some(({ code }) => code.includes(`${factory}(`)),
        factory,
      ).toBe(true);
    }
  });

  test('the first one in the README stands by line 30', () => {
    const first = all.find(({ where }) => where.startsWith('README.md:'));
    expect(Number(first?.where.split(':')[1])).toBeLessThanOrEqual(30);
  });
});

/** Headings as anchors, the way hosts of Markdown make them. */
function anchors(text: string): string[] {
  return [...text.matchAll(/^#{1,6} (.+)$/gm)].map(([, heading]) =>
    (heading as string)
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s-]/gu, '')
      .replace(/ /g, '-'),
  );
}

describe('links', () => {
  test.each(pages())('of %s lead somewhere', (page) => {
    const text = read(page).replace(/^```[\s\S]*?^```/gm, '');
    const broken = [...text.matchAll(/\]\(([^)\s]+)\)/g)]
      .map(([, to]) => to as string)
      .filter((to) => !/^[a-z]+:/.test(to))
      .filter((to) => {
        const [path, anchor] = to.split('#') as [string, string | undefined];
        const target = path === '' ? page : join(dirname(page), path);
        if (!existsSync(join(root, target))) return true;
        return anchor !== undefined && !anchors(read(target)).includes(anchor);
      });
    expect(broken).toEqual([]);
  });

  test('every page can be reached from docs/index.md', () => {
    const reached = new Set<string>();
    const follow = (page: string): void => {
      if (reached.has(page) || !existsSync(join(root, page))) return;
      reached.add(page);
      for (const [, to] of read(page).matchAll(/\]\(([^)\s#]+\.md)[^)]*\)/g))
        if (!/^[a-z]+:/.test(to as string)) follow(join(dirname(page), to as string));
    };
    follow(join('docs', 'index.md'));
    expect(pages().filter((page) => page.startsWith('docs') && !reached.has(page))).toEqual([]);
  });
});
