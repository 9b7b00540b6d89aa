/** Fills the tables in the docs from the source, and draws its pictures: `npm run docs`. */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pages, read, render } from './docs/pages.ts';
import { pictures } from './docs/pictures.ts';
import { root } from './docs/source.ts';

for (const page of pages()) {
  if (page === join('docs', 'benchmarks.md')) continue;
  const made = await render(page);
  if (made === read(page)) continue;
  writeFileSync(join(root, page), made);
  console.log(`${page} brought up to date`);
}

for (const [path, drawn] of await pictures()) writeFileSync(join(root, path), drawn);
