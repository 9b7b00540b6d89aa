/**
 * Compares breakwater with its peers: `npm run bench`. Writes docs/benchmarks.md when everything ran.
 *
 * `-- --quick` takes fewer and shorter samples, `-- --only <pattern>` runs the cases whose id matches; neither writes the page. With `--keep` the tables of
 * the cases that ran are put into the page, in the place of what it had of them, with a line that says what they were measured on.
 */

import { readFileSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { format, resolveConfig } from 'prettier';
import { runCases } from './bench.mjs';
import { machine } from './machine.mjs';
import { hooksCaution, page, reasons, targetTable, withSections } from './report.mjs';
import { plans } from './timed.mjs';

const { values: flags } = parseArgs({
  options: { quick: { type: 'boolean', default: false }, only: { type: 'string', default: '' }, keep: { type: 'boolean', default: false } },
});
const whole = !flags.quick && flags.only === '';
const only = new RegExp(flags.only);
const out = new URL('../docs/benchmarks.md', import.meta.url);

/** Progress, on a line of its own that is overwritten; nothing where nobody looks. */
function say(text) {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`);
}

if (globalThis.gc === undefined) console.error('Figures of memory need --expose-gc: npm run bench');
const began = performance.now();
const host = machine();
console.log(`${host.date} · Node ${host.node} · ${host.processor} · load ${host.load.toFixed(1)}`);
console.log(`breakwater ${host.own} · ${host.peers.join(' · ')}\n`);

const { results, sections, judged } = await runCases(({ id }) => only.test(id), flags.quick ? 'quick' : 'full', say);
say('');
for (const { title, text } of sections) console.log(`${title}\n\n${text}\n`);
if (judged.length > 0) console.log(`Targets\n\n${targetTable(judged)}\n\n${reasons(judged)}`);

const caution = hooksCaution(results);
if (caution !== '') console.log(`${caution}\n`);

if (whole || flags.keep) {
  const text = whole ? page(host, plans.full, sections, judged, caution) : withSections(readFileSync(out, 'utf8'), sections, host);
  writeFileSync(out, await format(text, { ...(await resolveConfig(out)), parser: 'markdown' }));
  console.log('Written to docs/benchmarks.md.');
}
console.log(`Took ${Math.round((performance.now() - began) / 1000)} s.`);
