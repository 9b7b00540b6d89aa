import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { type VectorFile, replay } from './replay.mjs';
import { adapter } from './token-bucket-adapter.ts';

/** Features that these cases ask for and the library does not have. */
const declined = new Set([
  'store.cas', // the bucket lives in the memory of one process, where nothing can come between reading and writing it: there is no store to fail
]);

test('third-party vectors 04: the generic cell rate algorithm is the token bucket seen from the other side', async () => {
  const file = JSON.parse(readFileSync(new URL('04-gcra.json', import.meta.url), 'utf8')) as VectorFile;
  const result = await replay(file, adapter, { has: (flag) => !declined.has(flag) });
  expect(result.failures).toEqual([]);
  expect(result.skipped).toEqual(['same, attempt limit set to 2 (needs store.cas)']);
  expect(result.cases).toBe(6);
});
