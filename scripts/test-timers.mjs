/**
 * Runs the fake-timer suite on the built package under the tools that vitest does not cover: jest, sinon and node:test; and the exported
 * contract suites under jest and node:test. The vitest part (test/timers/vitest.test.ts) runs with all other tests. Prints a line a part; exits
 * with the number of parts that failed.
 */

import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..');
const node = process.execPath;

if (!existsSync(join(root, 'dist', 'index.js'))) {
  console.error('There is no dist to test: run `npm run build` first.');
  process.exit(1);
}

const nodeTest = (title, file, env = {}) => ({ title, args: ['--test', '--test-reporter=tap', join(root, 'test', file)], env });
const jest = join(root, 'node_modules', 'jest', 'bin', 'jest.js');

const parts = [
  nodeTest('sinon', 'timers/sinon.node.mjs'),
  nodeTest('node:test', 'timers/node-test.node.mjs'),
  ...['sinon', 'sinon, timers alone', 'sinon, timers and Date', 'node:test', 'node:test, timers alone'].map((tool) =>
    nodeTest(`loaded under ${tool}`, 'timers/first.node.mjs', { FIRST: tool }),
  ),
  nodeTest('contract suites under node:test', 'contracts/node-test.node.mjs'),
  {
    title: 'jest, contract suites included',
    args: [
      '--experimental-vm-modules',
      '--no-warnings',
      jest,
      '--config',
      join(root, 'test', 'timers', 'jest.config.mjs'),
      '--colors=false',
    ],
    env: {},
  },
];

/** What a reporter says about how many tests there were, in one line. */
function summary(output) {
  const tap = /^# tests (\d+)[\s\S]*^# pass (\d+)$/m.exec(output);
  if (tap !== null) return `${tap[2]} of ${tap[1]} passed`;
  const jestLine = /^Tests:\s+(.*)$/m.exec(output);
  return jestLine === null ? 'no tests ran' : jestLine[1];
}

// A run inside a run of node:test would report to the outer one.
const inherited = { ...process.env };
delete inherited.NODE_TEST_CONTEXT;

let failed = 0;
for (const { title, args, env } of parts) {
  const { status, stdout, stderr } = spawnSync(node, args, {
    cwd: root,
    env: { ...inherited, ...env, FORCE_COLOR: '0' },
    encoding: 'utf8',
    timeout: 120_000,
  });
  const output = `${stdout}\n${stderr}`;
  const told = summary(output);
  const good = status === 0 && !told.startsWith('0 of 0') && told !== 'no tests ran';
  console.log(`${good ? 'ok    ' : 'FAILED'} ${title}: ${told}`);
  if (good) continue;
  failed++;
  console.log(output);
}
process.exit(failed);
