/** What a library costs code that does not use it. */

import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);
const script = fileURLToPath(new URL('../neighbour.mjs', import.meta.url));

async function measure({ which }, n) {
  const { stdout } = await run(process.execPath, [script, which, String(n)]);
  const { before, after, answered } = JSON.parse(stdout);
  return { before, after, slower: after / before, answered };
}

export const neighbours = {
  id: 'neighbours',
  title: 'A bare await elsewhere in the process, once a stack has run one call',
  size: 20_000,
  columns: [
    { key: 'before', title: 'before, ns' },
    { key: 'after', title: 'after, ns' },
    { key: 'slower', title: 'times slower' },
  ],
  measure,
  expected({ answered }, n, name) {
    if (answered !== 1) throw new Error(`${name}: answered ${answered}`);
  },
  contestants: [
    { name: 'breakwater six policies', which: 'breakwater' },
    { name: 'cockatiel five policies', which: 'cockatiel' },
    { name: 'opossum(p-retry(p-timeout(bottleneck)))', which: 'four-packages' },
  ],
};
