/** What is kept under keys that callers choose is bounded, and by lru-cache where it outlives the calls. */

import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';
import { describe, expect, test } from 'vitest';

const root = join(import.meta.dirname, '..', '..');
const houses = ['core', 'algorithms', 'stores', 'policies', 'presets', 'fields', 'http', 'clients'];

/** Why a map that an object keeps needs no bound of its own. */
type Bound = 'set up by the user' | 'as long as calls or connections are there' | 'a number for each row' | 'the most frequent, so many';

const bounds: Readonly<Record<string, Bound>> = {
  'algorithms/hot-keys.ts': 'the most frequent, so many',
  'algorithms/isolations.ts': 'set up by the user',
  'algorithms/lines/by-key.ts': 'as long as calls or connections are there',
  'algorithms/lines/partitions.ts': 'set up by the user',
  'algorithms/slots.ts': 'as long as calls or connections are there',
  'core/events.ts': 'set up by the user',
  'core/leftovers.ts': 'as long as calls or connections are there',
  'core/signals.ts': 'as long as calls or connections are there',
  'http/admission/inbound.ts': 'as long as calls or connections are there',
  'http/admission/route-plans.ts': 'set up by the user',
  'http/hono/web-responding.ts': 'as long as calls or connections are there',
  'http/idempotency/attempt.ts': 'as long as calls or connections are there',
  'http/idempotency/store.ts': 'as long as calls or connections are there',
  'http/lifecycle/closing-server.ts': 'as long as calls or connections are there',
  'http/lifecycle/open-responses.ts': 'as long as calls or connections are there',
  'http/recording/recording.ts': 'as long as calls or connections are there',
  'policies/hot-key.ts': 'set up by the user',
  'stores/ledger.ts': 'a number for each row',
  'stores/switchboard/board.ts': 'set up by the user',
  'stores/switchboard/feature-registry.ts': 'set up by the user',
  'stores/switchboard/feature-switch.ts': 'set up by the user',
};

/** Bounded maps: who makes an LRUCache. */
const bounded = ['http/idempotency/store.ts', 'http/recording/stale-copies.ts', 'policies/per-key.ts'];

interface Made {
  readonly path: string;
  /** `Map`, `Set` or `LRUCache`. */
  readonly what: string;
  /** Names of the options it was given. */
  readonly options: readonly string[];
  /** Kept by an object, not for as long as a function runs. */
  readonly kept: boolean;
}

const all: readonly Made[] = houses.flatMap((house) =>
  readdirSync(join(root, 'src', house), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .flatMap((entry) => {
      const file = join(entry.parentPath, entry.name);
      return madeIn(file.slice(join(root, 'src').length + 1).replaceAll('\\', '/'), readFileSync(file, 'utf8'));
    }),
);

function madeIn(path: string, text: string): Made[] {
  const found: Made[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isNewExpression(node) && ['Map', 'Set', 'LRUCache'].includes(node.expression.getText())) {
      const [given] = node.arguments ?? [];
      const options =
        given !== undefined && ts.isObjectLiteralExpression(given) ? given.properties.map((each) => each.name?.getText() ?? '') : [];
      found.push({ path, what: node.expression.getText(), options, kept: isKept(node) });
    }
    ts.forEachChild(node, visit);
  };
  visit(ts.createSourceFile(path, text, ts.ScriptTarget.ES2023, true));
  return found;
}

/** In the initializer of a field, or assigned to one. */
function isKept(node: ts.Node): boolean {
  for (let at = node.parent; !ts.isSourceFile(at); at = at.parent) {
    if (ts.isPropertyDeclaration(at)) return true;
    if (ts.isBinaryExpression(at) && ts.isPropertyAccessExpression(at.left)) return at.operatorToken.getText().endsWith('=');
    if (ts.isStatement(at) || ts.isFunctionLike(at)) return false;
  }
  return false;
}

describe('memory that callers could fill', () => {
  test('is bounded by lru-cache, each with a max, and in no file that is not to name it', () => {
    const caches = all.filter(({ what }) => what === 'LRUCache');
    expect([...new Set(caches.map(({ path }) => path))].sort()).toEqual(bounded);
    expect(caches.filter(({ options }) => !options.includes('max'))).toEqual([]);
    const table = /'lru-cache': \[([^\]]*)\]/.exec(readFileSync(join(root, 'test', 'architecture.test.ts'), 'utf8'))?.[1] ?? '';
    expect([...table.matchAll(/'([^']+)'/g)].map(([, path]) => path).sort()).toEqual(bounded);
  });

  test('and every other map or set that an object keeps is known, with what bounds it', () => {
    const kept = all.filter((each) => each.kept && each.what !== 'LRUCache').map(({ path }) => path);
    expect([...new Set(kept)].sort()).toEqual(Object.keys(bounds));
  });
});
