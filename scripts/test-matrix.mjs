/**
 * Runs the tests against the built package on every supported line of Node: `npm run test:matrix`, or `npm run test:matrix -- 20 26`.
 * The binaries come from the registry once and stay in `.matrix`.
 */

import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';

const root = join(import.meta.dirname, '..');
const lines = process.argv.length > 2 ? process.argv.slice(2) : ['20', '22', '24', '26'];

const rows = [];
if (!existsSync(join(root, 'dist', 'index.js'))) must(spawnSync('npm', ['run', 'build'], { cwd: root, stdio: 'inherit' }), 'the build');
for (const line of lines) rows.push(tested(line));

console.log('');
console.table(Object.fromEntries(rows.map(({ version, ...row }) => [`Node ${version}`, row])));
const passed = rows.reduce((sum, row) => sum + row.passed, 0);
const failed = rows.reduce((sum, row) => sum + row.failed, 0);
console.log(`matrix: ${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;

function tested(line) {
  const node = binary(line);
  const version = spawnSync(node, ['--version'], { encoding: 'utf8' }).stdout.trim();
  const env = { ...process.env, BUILT: '1', NO_COLOR: '1', PATH: dirname(node) + delimiter + process.env.PATH };
  console.log(`\nNode ${version}: tests of the built package`);
  const report = join(root, '.matrix', line, 'report.json');
  rmSync(report, { force: true });
  const begun = Date.now();
  const args = ['node_modules/vitest/vitest.mjs', 'run', '--reporter=dot', '--reporter=json', `--outputFile.json=${report}`];
  const tests = spawnSync(node, args, { cwd: root, env, stdio: ['ignore', 'pipe', 'inherit'], encoding: 'utf8', maxBuffer: 1 << 28 });
  const { numPassedTests = 0, numFailedTests = 0 } = existsSync(report) ? JSON.parse(readFileSync(report, 'utf8')) : {};
  if (tests.status !== 0) tell(tests.stdout);
  const peers = Number(line) >= 24 ? onNewestPeers(node, env) : undefined;
  const timers = join(root, 'scripts', 'test-timers.mjs');
  const faked = existsSync(timers)
    ? spawnSync(node, [timers], { cwd: root, env, stdio: ['ignore', 'pipe', 'inherit'], encoding: 'utf8' })
    : undefined;
  if (faked !== undefined && faked.status !== 0) tell(faked.stdout);
  const broken = [tests.status !== 0 && numFailedTests === 0, faked !== undefined && faked.status !== 0, peers === false].filter(
    Boolean,
  ).length;
  return {
    version,
    passed: numPassedTests,
    failed: numFailedTests + broken,
    'newest peers': peers === undefined ? 'none' : peers ? 'passed' : 'failed',
    'fake timers': faked === undefined ? 'none' : faked.status === 0 ? 'passed' : 'failed',
    seconds: Math.round((Date.now() - begun) / 1000),
  };
}

/** Whether what stands on other packages does so on versions of them that ask for this Node: opossum 10, p-retry 9, p-timeout 8. */
function onNewestPeers(node, env) {
  const args = ['node_modules/vitest/vitest.mjs', 'run', '--reporter=dot', 'test/interop'];
  const { status, stdout } = spawnSync(node, args, {
    cwd: root,
    env: { ...env, PEERS: 'newest' },
    stdio: ['ignore', 'pipe', 'inherit'],
    encoding: 'utf8',
    maxBuffer: 1 << 28,
  });
  if (status !== 0) tell(stdout);
  return status === 0;
}

/** The binary of a line of Node, fetched if it is not there yet. */
function binary(line) {
  const home = join(root, '.matrix', line);
  const name = `node-${process.platform === 'win32' ? 'win' : process.platform}-${process.arch}`;
  const path = join(home, 'node_modules', name, 'bin', 'node');
  if (!existsSync(path)) {
    mkdirSync(home, { recursive: true });
    const options = ['--ignore-scripts', '--no-save', '--no-package-lock', '--no-audit', '--no-fund', '--prefix', home];
    must(spawnSync('npm', ['install', ...options, `${name}@${line}`], { cwd: home, stdio: 'inherit' }), `fetching ${name}@${line}`);
  }
  return path;
}

/** What a run had to say, set off so that it is not taken for a result of this one. */
function tell(output) {
  console.log(output.replace(/^/gm, '  | '));
}

function must({ status }, what) {
  if (status === 0) return;
  console.error(`${what} failed`);
  process.exit(1);
}
