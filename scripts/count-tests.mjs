/** Sums up what test runs printed: `node scripts/count-tests.mjs <log> <exit status>` closes with "N passed, N failed". */

import { readFileSync } from 'node:fs';
import { stripVTControlCharacters } from 'node:util';

const [log, status] = process.argv.slice(2);
let passed = 0;
let failed = 0;
for (const line of stripVTControlCharacters(readFileSync(log, 'utf8')).split('\n')) {
  const ours = /^\w+: (\d+) passed, (\d+) failed$/.exec(line.trim());
  const vitest = /^\s*Tests\s+(?:(\d+) failed \| )?(?:(\d+) passed)?/.exec(line);
  passed += Number(ours?.[1] ?? vitest?.[2] ?? 0);
  failed += Number(ours?.[2] ?? vitest?.[1] ?? 0);
}
// A step that is no test (lint, types, build) failed: that counts too.
if (status !== '0' && failed === 0) failed = 1;
console.log(`${passed} passed, ${failed} failed`);
