/**
 * Packs the package, installs the tarball as a stranger would, and uses it every way it can be used: import, require, TypeScript under
 * `nodenext` and `bundler`. Needs a build (`npm run build`); from the registry it takes only what the package depends on.
 */

import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

const root = join(import.meta.dirname, '..');
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const entries = Object.keys(manifest.exports)
  .filter((key) => !key.endsWith('.json'))
  .map((key) => ({ name: manifest.name + key.slice(1), file: manifest.exports[key].default, types: manifest.exports[key].types }));

/** Libraries that the package can work with and must not load by itself. */
const uninvited = ['express', 'piscina', 'fastify', 'undici', 'axios', 'got', 'hono', 'koa'];

/** Entry points that stand on a library as they are loaded; all others ask for theirs when they are used, or never. */
const standsOn = {
  'breakwater/nest': ['@nestjs/common', '@nestjs/core', 'rxjs', 'reflect-metadata'],
  'breakwater/axios': ['axios'],
};

/** Packages that come with this one, and are only loaded by the entry point that is named after them. */
const ownEntry = ['opossum', 'bottleneck', 'p-retry', 'p-timeout'];

const place = mkdtempSync(join(tmpdir(), 'breakwater-pack-'));
const consumer = join(place, 'consumer');
let passed = 0;
let failed = 0;

/** Prints the address of each module that is loaded. */
const tells = `import { writeSync } from 'node:fs'; export async function resolve(name, context, next) { const found = await next(name, context); writeSync(1, found.url + '\\n'); return found; }`;
const listing = `data:text/javascript,import { register } from 'node:module'; register('data:text/javascript,${encodeURIComponent(encodeURIComponent(tells).replaceAll("'", '%27'))}');`;

function check(what, test) {
  try {
    test();
    passed++;
    console.log(`  ok      ${what}`);
  } catch (error) {
    failed++;
    const told = [error.stdout, error.stderr, error.stdout || error.stderr ? '' : error.stack].filter(Boolean).join('\n');
    console.log(`  failed  ${what}\n${String(told).replace(/^/gm, '          ')}`);
  }
}

function run(command, args, cwd = consumer) {
  return execFileSync(command, args, {
    cwd,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, NODE_OPTIONS: '' },
  });
}

function write(name, text) {
  const path = join(consumer, name);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
}

function assert(condition, message) {
  if (!condition) throw new Error(message);
}

try {
  if (!existsSync(join(root, manifest.main))) throw new Error('nothing built yet: npm run build');
  const [tarball] = JSON.parse(run('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', place], root));
  const files = tarball.files.map(({ path }) => path);
  console.log(`${tarball.filename}: ${files.length} files, ${Math.round(tarball.size / 1024)} kB packed`);

  check('the tarball holds what it should and nothing of the workshop', () => {
    for (const needed of ['LICENSE', 'README.md', 'CHANGELOG.md', 'package.json']) assert(files.includes(needed), `${needed} is missing`);
    const odd = files.filter((path) => /(^|\/)(tests?|bench|examples|scripts)\/|\.test\.|test-d|(^|\/)\./.test(path));
    assert(odd.length === 0, `should not be there: ${odd.join(', ')}`);
    for (const { file, types } of entries)
      for (const needed of [file, types]) assert(files.includes(needed.slice(2)), `${needed} is in the export map and not in the tarball`);
  });
  check('every source map finds its source', () => {
    for (const path of files.filter((name) => name.endsWith('.map'))) {
      const { sources } = JSON.parse(readFileSync(join(root, path), 'utf8'));
      for (const source of sources) assert(files.includes(join(dirname(path), source)), `${path} points to ${source}`);
    }
  });
  check('every module has its declarations', () => {
    for (const path of files.filter((name) => name.endsWith('.js')))
      assert(files.includes(path.replace(/\.js$/, '.d.ts')), `${path} has none`);
  });

  write('package.json', JSON.stringify({ name: 'consumer', private: true, type: 'module' }));
  check('it installs into an empty project', () => {
    const options = ['--no-audit', '--no-fund', '--prefer-offline', '--ignore-scripts'];
    run('npm', ['install', ...options, join(place, tarball.filename)]);
    const optional = Object.keys(manifest.peerDependencies ?? {}).filter((name) => existsSync(join(consumer, 'node_modules', name)));
    assert(optional.length === 0, `optional peers were installed: ${optional.join(', ')}`);
  });

  for (const { name } of entries) {
    const linked = link(standsOn[name] ?? []);
    check(`import '${name}'`, () => {
      const names = run('node', ['--input-type=module', '-e', `console.log(Object.keys(await import('${name}')).join())`]);
      assert(names.trim() !== '', 'it exports nothing');
    });
    check(`require('${name}')`, () => {
      const names = run('node', ['--input-type=commonjs', '-e', `console.log(Object.keys(require('${name}')).join())`]);
      assert(names.trim() !== '', 'it exports nothing');
    });
    const own = ownEntry.filter((library) => name === `breakwater/${library}`);
    check(`import '${name}' loads ${own.length === 0 ? 'none' : 'no other'} of ${ownEntry.join(', ')}`, () => {
      const loaded = run('node', ['--import', listing, '--input-type=module', '-e', `await import('${name}');`]);
      assert(loaded.includes('/breakwater/dist/'), 'nothing was listed');
      const found = ownEntry.filter((library) => loaded.includes(`/node_modules/${library}/`));
      assert(found.join() === own.join(), `it loaded ${found.join(', ') || 'none'}`);
    });
    for (const path of linked) rmSync(path);
  }

  check('a pipeline runs', () => {
    const answer = run('node', [
      '--input-type=module',
      '-e',
      `import { fallback, pipeline, retry, timeout } from 'breakwater';
       const guarded = pipeline([fallback({ value: 'plan b' }), retry({ backoff: { delay: 1 } }), timeout({ after: '1s' })]);
       console.log(await guarded.execute(() => 'plan a'), await guarded.execute(() => Promise.reject(new Error('no'))));`,
    ]);
    assert(answer.trim() === 'plan a plan b', answer);
  });
  check('nothing keeps the process alive once all calls are over', () => {
    const script = `import { pipeline, timeout } from 'breakwater'; await pipeline([timeout({ after: '1h' })]).execute(() => 1);`;
    const begun = Date.now();
    run('node', ['--input-type=module', '-e', script]);
    assert(Date.now() - begun < 5000, 'it took longer than 5 s to exit');
  });

  check('a worker pool without piscina says what to install', () => {
    const script = `import { workerPool } from 'breakwater/worker-pool'; try { workerPool({ filename: '/any.mjs' }); } catch (e) { console.log(e.message); }`;
    const told = run('node', ['--input-type=module', '-e', script]).trim();
    assert(told.includes('npm install piscina'), `it said ${told}`);
  });

  for (const name of uninvited) {
    write(`node_modules/${name}/package.json`, JSON.stringify({ name, version: '0.0.0', main: 'index.js' }));
    write(`node_modules/${name}/index.js`, `(globalThis.loaded ??= []).push(${JSON.stringify(name)});\nmodule.exports = {};\n`);
  }
  check(`import '${manifest.name}' loads none of ${uninvited.join(', ')}`, () => {
    const script = `await import('${manifest.name}'); console.log((globalThis.loaded ?? []).join());`;
    const loaded = run('node', ['--input-type=module', '-e', script]).trim();
    assert(loaded === '', `it loaded ${loaded}`);
  });
  for (const name of uninvited) rmSync(join(consumer, 'node_modules', name), { recursive: true });

  const libraries = ['undici-types', 'axios', 'fastify', 'got', 'hono', 'undici', ...standsOn['breakwater/nest']];
  link([...typesOf('node', 'express', 'koa'), ...libraries]);
  const uses = `
const guarded = pipeline([fallback({ value: null }), retry({ maxAttempts: 2 }), timeout({ after: '1s' })], { name: 'consumer' });
export const answer: Promise<number | null> = guarded.execute(({ signal }) => (signal.aborted ? 0 : 1));
// @ts-expect-error the answer may be null
export const wrong: Promise<number> = guarded.execute(() => 1);
`;
  const imports = entries.map(({ name }, i) => `import * as entry${i} from '${name}';\nexport { entry${i} };\n`).join('');
  const head = `import { fallback, pipeline, retry, timeout } from 'breakwater';\n`;
  write('esm.mts', head + imports + uses);
  write('cjs.cts', `import breakwater = require('breakwater');\nconst { fallback, pipeline, retry, timeout } = breakwater;\n${uses}`);
  write('bundled.ts', head + imports + uses);
  const common = {
    strict: true,
    noEmit: true,
    skipLibCheck: false,
    target: 'es2023',
    lib: ['es2023', 'esnext.disposable'],
    types: ['node'],
  };
  const flavours = {
    nodenext: { compilerOptions: { ...common, module: 'nodenext' }, files: ['esm.mts', 'cjs.cts'] },
    bundler: { compilerOptions: { ...common, module: 'esnext', moduleResolution: 'bundler' }, files: ['bundled.ts'] },
  };
  for (const [name, config] of Object.entries(flavours)) {
    write(`tsconfig.${name}.json`, JSON.stringify(config));
    check(`TypeScript compiles against it: ${name}, library check on`, () => {
      try {
        run('node', [join(root, 'node_modules', 'typescript', 'bin', 'tsc'), '-p', `tsconfig.${name}.json`]);
      } catch (error) {
        // What is wrong with the types of other libraries is not ours to mend.
        const own = String(error.stdout)
          .split('\n')
          .filter((line) => /^(node_modules\/breakwater|esm|cjs|bundled)/.test(line));
        assert(own.length === 0 && error.stdout, own.join('\n') || error.message);
      }
    });
  }
} finally {
  rmSync(place, { recursive: true, force: true });
}

console.log(`package: ${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;

/** Puts libraries that this repository has into the project of the stranger; answers with where. */
function link(names) {
  return names.map((name) => {
    const path = join(consumer, 'node_modules', name);
    mkdirSync(dirname(path), { recursive: true });
    symlinkSync(join(root, 'node_modules', name), path, 'dir');
    return path;
  });
}

/** Packages of types that these need, themselves included. */
function typesOf(...names) {
  const found = new Set();
  const add = (name) => {
    if (found.has(name) || !existsSync(join(root, 'node_modules', name))) return;
    found.add(name);
    const { dependencies = {} } = JSON.parse(readFileSync(join(root, 'node_modules', name, 'package.json'), 'utf8'));
    for (const dependency of Object.keys(dependencies)) if (dependency.startsWith('@types/')) add(dependency);
  };
  for (const name of names) add(`@types/${name}`);
  return [...found];
}
