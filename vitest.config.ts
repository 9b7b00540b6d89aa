import { defineConfig } from 'vitest/config';
import manifest from './package.json' with { type: 'json' };

const root = import.meta.dirname;
/** `BUILT=1` runs the same tests against the built package (see `npm run test:matrix`). */
const built = process.env['BUILT'] === '1';

/** Every entry point of the package, by the name that users import. */
const entries = Object.entries(manifest.exports).flatMap(([key, target]) =>
  typeof target === 'string'
    ? []
    : [{ find: new RegExp(`^breakwater${key.slice(1)}$`), replacement: `${root}/${built ? target.default : source(target.default)}` }],
);

/** `PEERS=newest` runs them on the versions of the packages that ask for a newer Node than ours. */
const newest = process.env['PEERS'] === 'newest' ? { opossum: 'opossum10', 'p-retry': 'p-retry9', 'p-timeout': 'p-timeout8' } : {};

function source(output: string): string {
  return output.replace('./dist/', 'src/').replace(/\.js$/, '.ts');
}

export default defineConfig({
  resolve: {
    alias: [
      ...entries,
      ...Object.entries(newest).map(([name, replacement]) => ({ find: new RegExp(`^${name}$`), replacement })),
      // Tests of the parts import them from the source; one copy of a part is enough in one process.
      ...(built ? [{ find: /^(?:\.\.\/)+src\/(.*)\.ts$/, replacement: `${root}/dist/$1.js` }] : []),
    ],
  },
  test: {
    include: ['test/**/*.test.ts'],
    exclude: built ? ['test/architecture.test.ts', 'test/types/**', 'test/docs/**'] : [],
    setupFiles: ['test/support/properties.ts'],
    testTimeout: 60_000,
    coverage: { include: ['src/**/*.ts'], reporter: ['text-summary', 'json-summary'] },
  },
});
