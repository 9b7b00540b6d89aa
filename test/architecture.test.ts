import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { basename, dirname, join, posix } from 'node:path';
import ts from 'typescript';
import { describe, expect, test } from 'vitest';

const root = join(import.meta.dirname, '..');

/** Who may import whom. A house not named here may not exist. */
const floors: Readonly<
  Record<string, { readonly houses: readonly string[]; readonly types?: readonly string[]; readonly builtins: boolean }>
> = {
  core: { houses: ['core'], builtins: true },
  algorithms: { houses: ['algorithms'], builtins: false },
  stores: { houses: ['core', 'algorithms', 'stores'], builtins: true },
  policies: { houses: ['core', 'algorithms', 'stores'], builtins: true },
  presets: { houses: ['core', 'policies', 'presets'], builtins: false },
  fields: { houses: ['core', 'fields'], builtins: true },
  http: { houses: ['core', 'algorithms', 'fields', 'http'], builtins: true },
  clients: { houses: ['core', 'algorithms', 'fields', 'policies', 'presets', 'clients'], builtins: true },
  // Translators make native policies of a package's options.
  interop: { houses: ['core', 'algorithms', 'stores', 'policies', 'interop'], builtins: true },
  testing: { houses: ['core', 'algorithms', 'testing'], builtins: true },
  // The face also names the types that policies show and others define.
  index: { houses: ['core', 'policies', 'presets', 'stores'], types: ['algorithms'], builtins: false },
};

/** Libraries, each named only in the files that adapt it. */
const libraries: Readonly<Record<string, readonly string[]>> = {
  'lru-cache': ['policies/per-key.ts', 'http/idempotency/store.ts', 'http/recording/stale-copies.ts'],
  'structured-headers': ['fields/structured-fields.ts'],
  '@nestjs/common': [
    'http/nest.ts',
    'http/nest/breakwater-guard.ts',
    'http/nest/exchange.ts',
    'http/nest/pipeline-interceptor.ts',
    'http/nest/turned-exception.ts',
  ],
  '@nestjs/core': ['http/nest.ts'],
  axios: ['clients/axios.ts'],
  bottleneck: ['interop/bottleneck.ts'],
  express: ['http/express.ts'],
  fastify: ['http/fastify.ts'],
  got: ['clients/got.ts'],
  hono: ['http/hono.ts'],
  koa: ['http/koa.ts'],
  opossum: ['interop/opossum.ts'],
  'p-retry': ['interop/p-retry.ts'],
  'p-timeout': ['interop/p-timeout.ts'],
  piscina: ['interop/worker-pool/installed.ts'],
  rxjs: ['http/nest/pipeline-interceptor.ts'],
  undici: ['clients/undici.ts'],
};

const longestFile = 260;

/** Globals of time and chance. */
const timeAndChance = new Set([
  'Date',
  'performance',
  'setTimeout',
  'setInterval',
  'setImmediate',
  'clearTimeout',
  'clearInterval',
  'clearImmediate',
  'queueMicrotask',
  'requestAnimationFrame',
]);
const timedModules = new Set(['timers', 'timers/promises', 'perf_hooks', 'node:timers', 'node:timers/promises', 'node:perf_hooks']);

/** How late and how busy the event loop is only the performance hooks know; they are read there, and nothing is timed by them. */
const loopReader: Readonly<Record<string, string>> = { 'node:perf_hooks': 'stores/system/host-sources.ts' };

/** Types of the kernel that cannot be told without each other; nothing of it is there at run time. */
const kernelTypes: readonly (readonly string[])[] = [
  // A call knows its scope, a scope stamps events with a call.
  // (and judges outcomes of calls), and calls leave work behind.
  ['core/call.ts', 'core/classification.ts', 'core/leftovers.ts', 'core/scope.ts'],
  // A policy is mounted in a frame of stages, which policies make.
  ['core/frame.ts', 'core/passage.ts', 'core/place.ts', 'core/policy.ts', 'core/shadowing.ts', 'core/stage.ts'],
];

interface Import {
  readonly specifier: string;
  /** Gone after compilation. */
  readonly typeOnly: boolean;
}

interface SourceFile {
  /** Relative to src, with slashes. */
  readonly path: string;
  readonly house: string;
  readonly text: string;
  readonly ast: ts.SourceFile;
  readonly imports: readonly Import[];
}

const files: readonly SourceFile[] = readdirSync(join(root, 'src'), { recursive: true, withFileTypes: true })
  // A declaration of what a package does not declare itself is no module.
  .filter((entry) => entry.isFile() && !entry.name.endsWith('.d.ts'))
  .map((entry) => {
    const path = posix.join(entry.parentPath.slice(join(root, 'src').length).replaceAll('\\', '/'), entry.name).replace(/^\//, '');
    const text = readFileSync(join(root, 'src', path), 'utf8');
    const ast = ts.createSourceFile(path, text, ts.ScriptTarget.ES2023, true);
    return { path, house: path.includes('/') ? (path.split('/')[0] as string) : basename(path, '.ts'), text, ast, imports: importsOf(ast) };
  });
/** Policies, one file each; what else one needs is in a room of its own, named after it. */
const policies = files.filter(({ house, path }) => house === 'policies' && path.split('/').length === 2);

/** The policy that a file is of, or is in the room of. */
function policyOf(path: string): string | undefined {
  return /^policies\/([\w-]+)/.exec(path)?.[1];
}

/** Every way of naming another module: import, export from, import(), import types, declare module. */
function importsOf(ast: ts.SourceFile): Import[] {
  const found: Import[] = [];
  const add = (node: ts.Node | undefined, typeOnly: boolean): void => {
    if (node !== undefined && ts.isStringLiteralLike(node)) found.push({ specifier: node.text, typeOnly });
  };
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node)) add(node.moduleSpecifier, isTypeOnly(node.importClause));
    else if (ts.isExportDeclaration(node)) add(node.moduleSpecifier, node.isTypeOnly);
    else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
      if (node.arguments[0] === undefined || !ts.isStringLiteralLike(node.arguments[0]))
        found.push({ specifier: `(computed) ${node.getText()}`, typeOnly: false });
      add(node.arguments[0], false);
    } else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) add(node.argument.literal, true);
    else if (ts.isModuleDeclaration(node)) add(node.name, true);
    ts.forEachChild(node, visit);
  };
  visit(ast);
  return found;
}

/** `import type`, that is; `import { type X }` loads the module all the same. */
function isTypeOnly(clause: ts.ImportClause | undefined): boolean {
  return clause?.phaseModifier === ts.SyntaxKind.TypeKeyword;
}

/** The file a relative specifier means, relative to src. */
function target(from: SourceFile, specifier: string): string {
  return posix.join(dirname(from.path).replaceAll('\\', '/'), specifier);
}

function houseOf(path: string): string {
  return path.includes('/') ? (path.split('/')[0] as string) : basename(path, '.ts');
}

/** Walks a whole file and collects what `look` finds. */
function collect(file: SourceFile, look: (node: ts.Node) => string | undefined): string[] {
  const found: string[] = [];
  const visit = (node: ts.Node): void => {
    const what = look(node);
    if (what !== undefined) {
      const { line } = file.ast.getLineAndCharacterOfPosition(node.getStart());
      found.push(`${file.path}:${line + 1} ${what}`);
    }
    ts.forEachChild(node, visit);
  };
  visit(file.ast);
  return found;
}

describe('who may import whom', () => {
  test('every file stands in a house that the table knows', () => {
    expect(files.length).toBeGreaterThan(20);
    expect(files.filter(({ house }) => !(house in floors)).map(({ path }) => path)).toEqual([]);
    expect(files.filter(({ path }) => !path.endsWith('.ts')).map(({ path }) => path)).toEqual([]);
  });

  test.each(Object.entries(floors))('%s imports only what stands below it, types included', (house, { houses, types = [], builtins }) => {
    const wrong = files
      .filter((file) => file.house === house)
      .flatMap((file) =>
        file.imports
          .filter(({ specifier, typeOnly }) => {
            if (specifier.startsWith('.')) {
              const path = target(file, specifier);
              if (house === 'policies' && policyOf(path) === policyOf(file.path)) return false;
              return ![...houses, ...(typeOnly ? types : [])].includes(houseOf(path));
            }
            if (specifier.startsWith('node:')) return !builtins || (timedModules.has(specifier) && loopReader[specifier] !== file.path);
            return libraries[specifier]?.includes(file.path) !== true;
          })
          .map(({ specifier }) => `${file.path} -> ${specifier}`),
      );
    expect(wrong).toEqual([]);
  });

  test("a policy's room is entered by that policy alone; the face shows types of it", () => {
    const wrong = files.flatMap((file) =>
      file.imports
        .map(({ specifier }) => (specifier.startsWith('.') ? target(file, specifier) : ''))
        .filter((path) => path.split('/').length === 3 && houseOf(path) === 'policies')
        .filter((path) => policyOf(path) !== policyOf(file.path) && file.house !== 'index')
        .map((path) => `${file.path} -> ${path}`),
    );
    expect(wrong).toEqual([]);
  });

  test('an import names the file that defines the thing, with its ending, and builtins with node:', () => {
    const wrong = files.flatMap((file) =>
      file.imports
        .filter(({ specifier }) =>
          specifier.startsWith('.')
            ? !specifier.endsWith('.ts') || !existsSync(join(root, 'src', target(file, specifier)))
            : builtinModules.includes(specifier),
        )
        .map(({ specifier }) => `${file.path} -> ${specifier}`),
    );
    expect(wrong).toEqual([]);
  });

  test('importing breakwater loads no optional library', () => {
    const seen = new Set<string>();
    const reach = (path: string): void => {
      if (seen.has(path)) return;
      seen.add(path);
      const file = files.find((each) => each.path === path) as SourceFile;
      for (const { specifier, typeOnly } of file.imports) if (!typeOnly && specifier.startsWith('.')) reach(target(file, specifier));
    };
    reach('index.ts');
    const loaded = files
      .filter(({ path }) => seen.has(path))
      .flatMap(({ imports }) => imports.filter(({ typeOnly }) => !typeOnly).map(({ specifier }) => specifier))
      .filter((specifier) => !specifier.startsWith('.') && !specifier.startsWith('node:'));
    expect(loaded.filter((name) => name !== 'lru-cache')).toEqual([]);
  });

  test('no file waits in a circle for another to load', () => {
    const next = new Map(
      files.map((file) => [
        file.path,
        file.imports
          .filter(({ specifier, typeOnly }) => specifier.startsWith('.') && !typeOnly)
          .map(({ specifier }) => target(file, specifier)),
      ]),
    );
    expect(circles(next)).toEqual([]);
  });

  test('types go in circles only where the kernel describes itself', () => {
    const next = new Map(
      files.map((file) => [
        file.path,
        file.imports.filter(({ specifier }) => specifier.startsWith('.')).map(({ specifier }) => target(file, specifier)),
      ]),
    );
    const odd = circles(next).filter((circle) => !kernelTypes.some((known) => circle.split(' <-> ').every((path) => known.includes(path))));
    expect(odd).toEqual([]);
  });
});

/** Groups of files that reach each other (Tarjan). */
function circles(next: ReadonlyMap<string, readonly string[]>): string[] {
  const index = new Map<string, number>();
  const low = new Map<string, number>();
  const stack: string[] = [];
  const found: string[] = [];
  const visit = (path: string): void => {
    index.set(path, index.size);
    low.set(path, index.get(path) as number);
    stack.push(path);
    for (const other of next.get(path) ?? []) {
      if (!index.has(other)) {
        visit(other);
        low.set(path, Math.min(low.get(path) as number, low.get(other) as number));
      } else if (stack.includes(other)) low.set(path, Math.min(low.get(path) as number, index.get(other) as number));
    }
    if (low.get(path) !== index.get(path)) return;
    const group = stack.splice(stack.indexOf(path));
    if (group.length > 1 || (next.get(path) ?? []).includes(path)) found.push(group.sort().join(' <-> '));
  };
  for (const path of next.keys()) if (!index.has(path)) visit(path);
  return found;
}

describe('time and chance', () => {
  test('clock, timers and Math.random are touched in core/clock.ts alone', () => {
    const wrong = files
      .filter(({ path }) => path !== 'core/clock.ts')
      .flatMap((file) =>
        collect(file, (node) => {
          if (ts.isPropertyAccessExpression(node)) {
            const whole = node.getText();
            // Streams call back on the next tick, and so does what stands in for one; nothing else may sequence that way.
            const sequence = file.house === 'http' ? [] : ['process.nextTick'];
            return ['Math.random', 'process.hrtime', 'AbortSignal.timeout', ...sequence].some((name) => whole.endsWith(name))
              ? whole
              : undefined;
          }
          if (!ts.isIdentifier(node) || !timeAndChance.has(node.text)) return undefined;
          const { parent } = node;
          if (ts.isPropertyAccessExpression(parent) && parent.name === node)
            return parent.expression.getText() === 'globalThis' ? parent.getText() : undefined;
          const declares =
            (ts.isMethodDeclaration(parent) ||
              ts.isMethodSignature(parent) ||
              ts.isPropertySignature(parent) ||
              ts.isPropertyAssignment(parent) ||
              ts.isPropertyDeclaration(parent)) &&
            parent.name === node;
          return declares ? undefined : node.text;
        }),
      );
    expect(wrong).toEqual([]);
  });
});

describe('the shape of a file', () => {
  test('names are kebab-case nouns', () => {
    const wrong = files.filter(({ path }) => !/^([a-z0-9]+(-[a-z0-9]+)*\/)*[a-z0-9]+(-[a-z0-9]+)*\.ts$/.test(path)).map(({ path }) => path);
    expect(wrong).toEqual([]);
    expect(files.filter(({ path }) => /(manager|helper|util|common|misc)/.test(path)).map(({ path }) => path)).toEqual([]);
  });

  test(`no file is longer than ${longestFile} lines`, () => {
    const long = files
      .map(({ path, text }) => ({ path, lines: text.trimEnd().split('\n').length }))
      .filter(({ lines }) => lines > longestFile);
    expect(long).toEqual([]);
  });

  test('only entry points pass on what others define, by name, and nothing is a default but the Fastify plugin', () => {
    const { exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { exports: Record<string, { default?: string }> };
    const entries = Object.values(exports).flatMap(({ default: file }) =>
      file === undefined ? [] : [file.replace('./dist/', '').replace(/\.js$/, '.ts')],
    );
    expect(entries).toContain('index.ts');
    const wrong = files.flatMap((file) =>
      collect(file, (node) => {
        if (ts.isExportAssignment(node)) return file.path === 'http/fastify.ts' ? undefined : 'export default';
        if (ts.canHaveModifiers(node) && ts.getModifiers(node)?.some(({ kind }) => kind === ts.SyntaxKind.DefaultKeyword))
          return 'export default';
        if (!ts.isExportDeclaration(node) || node.moduleSpecifier === undefined) return undefined;
        if (node.exportClause === undefined) return 'export *';
        return entries.includes(file.path) ? undefined : node.getText();
      }),
    );
    expect(wrong).toEqual([]);
  });

  test('the face defines nothing', () => {
    const face = files.find(({ path }) => path === 'index.ts') as SourceFile;
    expect(face.ast.statements.filter((statement) => !ts.isExportDeclaration(statement)).map((statement) => statement.getText())).toEqual(
      [],
    );
  });

  test('no lint rule is switched off in the source', () => {
    // Comments that would suppress a rule; here is only what looks for them.
    expect(files.filter(({ text }) => /eslint-disable|@ts-(ignore|expect-error|nocheck)/.test(text)).map(({ path }) => path)).toEqual([]);
  });
});

describe.each(policies.map((file) => [basename(file.path, '.ts'), file] as const))('%s', (word, file) => {
  const camel = word.replace(/-(.)/g, (_, letter: string) => letter.toUpperCase());
  const pascal = (camel[0] as string).toUpperCase() + camel.slice(1);
  const exported = new Set(
    file.ast.statements
      .filter(
        (statement) =>
          ts.canHaveModifiers(statement) && ts.getModifiers(statement)?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword),
      )
      .flatMap((statement) => {
        if (ts.isVariableStatement(statement)) return statement.declarationList.declarations.map(({ name }) => name.getText());
        const { name } = statement as ts.Statement & { readonly name?: ts.Identifier };
        return name === undefined ? [] : [name.text];
      }),
  );

  test(`is called ${camel}() and offers ${pascal}, ${pascal}Options and its option table`, () => {
    expect(exported).toContain(camel);
    expect(exported).toContain(pascal);
    expect(exported).toContain(`${pascal}Options`);
    expect(exported).toContain(`${camel}Fields`);
  });

  test(`says '${word}' when asked for its kind`, () => {
    const kinds = new Set(
      collect(file, (node) => {
        const own = ts.isPropertyDeclaration(node) && node.name.getText() === 'kind' ? node.initializer : undefined;
        return own !== undefined && ts.isStringLiteral(own) ? own.text : undefined;
      }).map((found) => found.split(' ')[1]),
    );
    expect([...kinds]).toEqual([word]);
  });

  test('prefixes its events with its kind', () => {
    const events = collect(file, (node) =>
      ts.isPropertySignature(node) && ts.isInterfaceDeclaration(node.parent) && node.parent.name.text === 'EventFields'
        ? node.name.getText().slice(1, -1)
        : undefined,
    ).map((found) => found.split(' ')[1] as string);
    expect(events.filter((event) => !new RegExp(`^${word}\\.[a-z]+(-[a-z]+)*$`).test(event))).toEqual([]);
  });

  test('has a page and a test of its own, and is offered by the face', () => {
    expect(existsSync(join(root, 'docs', 'reference', `${word}.md`))).toBe(true);
    expect(existsSync(join(root, 'test', 'policies', `${word}.test.ts`))).toBe(true);
    expect(files.find(({ path }) => path === 'index.ts')?.text).toMatch(new RegExp(`\\b${camel}\\b[^;]*from './policies/${word}\\.ts'`));
  });

  test('opens with a sentence about the module and a runnable example', () => {
    const opening = /^\/\*\*[\s\S]*?\*\//.exec(file.text)?.[0] ?? '';
    expect(opening).toContain('@module');
    expect(opening).toMatch(/```ts[\s\S]*from 'breakwater'[\s\S]*\/\/ => [\s\S]*```/);
  });
});
