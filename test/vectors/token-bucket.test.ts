import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { type VectorFile, replay } from './replay.mjs';
import { adapter } from './token-bucket-adapter.ts';

test('third-party vectors 01: the token bucket of x/time/rate, with reservations, cancelling, changes and a clock that goes back', async () => {
  const file = JSON.parse(readFileSync(new URL('01-token-bucket-go.json', import.meta.url), 'utf8')) as VectorFile;
  const result = await replay(file, adapter);
  expect(result.failures).toEqual([]);
  expect(result.skipped).toEqual([]);
  expect(result.cases).toBe(13);
});
