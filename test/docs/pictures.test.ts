import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { pictures } from '../../scripts/docs/pictures.ts';

test('the pictures in the docs show what the limiters do (else: npm run docs)', async () => {
  for (const [path, drawn] of await pictures()) {
    expect(readFileSync(join(import.meta.dirname, '..', '..', path), 'utf8') === drawn, `${path} is up to date`).toBe(true);
  }
});
