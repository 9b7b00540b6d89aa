import { defineConfig } from 'vitest/config';

const root = import.meta.dirname;
/** `BUILT=1` runs the same tests against the built package (see `npm run test:matrix`). */
const built = process.env['BUILT'] === '1';
const entry = (source: string): string => (built ? `${root}/dist/${source}.js` : `${root}/src/${source}.ts`);

export default defineConfig({
  resolve: {
    alias: [
      { find: /^breakwater$/, replacement: entry('index') },
      { find: /^breakwater\/testing$/, replacement: entry('testing/index') },
      { find: /^breakwater\/express$/, replacement: entry('http/express') },
      { find: /^breakwater\/worker-pool$/, replacement: entry('interop/worker-pool') },
      // Tests of the parts import them from the source; one copy of a part is enough in one process.
      ...(built ? [{ find: /^(?:\.\.\/)+src\/(.*)\.ts$/, replacement: `${root}/dist/$1.js` }] : []),
    ],
  },
  test: {
    include: ['test/**/*.test.ts'],
    exclude: built ? ['test/architecture.test.ts', 'test/types/**', 'test/docs/**'] : [],
    setupFiles: ['test/support/properties.ts'],
    testTimeout: 20_000,
    coverage: { include: ['src/**/*.ts'], reporter: ['text-summary', 'json-summary'] },
  },
});
