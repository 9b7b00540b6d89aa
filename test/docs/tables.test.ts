import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { pages, read, render } from '../../scripts/docs/pages.ts';
import { codes, errors, errorsOf, eventFiles, eventsOf, kinds, optionsOf } from '../../scripts/docs/source.ts';

const benchmarks = join('docs', 'benchmarks.md');
const made = pages().filter((page) => page !== benchmarks && read(page).includes(':start'));
const reference = (name: string): string => read(join('docs', 'reference', `${name}.md`));

describe('tables made from the source', () => {
  test.each(made)('%s is up to date (else: npm run docs)', async (page) => {
    expect(read(page)).toBe(await render(page));
  });

  test.each(kinds())('the page of %s has its options, errors and events between markers', async (kind) => {
    const page = reference(kind);
    for (const { name } of await optionsOf(kind)) expect(page).toContain(`| \`${name}\``);
    for (const name of errorsOf(kind)) expect(page).toContain(`| \`${name}\``);
    for (const { type } of eventsOf(`policies/${kind}.ts`)) expect(page).toContain(`| \`${type}\``);
    for (const what of ['options', 'errors', 'events']) expect(page).toContain(`<!-- ${what}:start -->`);
  });

  test.each(kinds())('every option of %s is explained, and a default named in a comment is the one in the table', async (kind) => {
    const rows = await optionsOf(kind);
    expect(rows.filter(({ meaning }) => meaning === '').map(({ name }) => name)).toEqual([]);
    expect(rows.filter(({ claimed, fallback }) => claimed !== undefined && claimed !== fallback)).toEqual([]);
  });

  test('every class and code of the error family stands on the errors page', () => {
    const page = reference('errors');
    for (const { name, code, meaning } of errors()) {
      expect(page).toContain(`| \`${name}\``);
      expect(page).toContain(`\`${code}\``);
      expect(meaning).not.toBe('');
    }
  });

  test('every type of event stands on the events page, with the level it is emitted at', () => {
    const page = reference('events');
    const events = eventFiles().flatMap((path) => eventsOf(path));
    expect(events.length).toBeGreaterThan(5);
    for (const { type } of events) expect(page).toContain(`| \`${type}\``);
    expect(events.filter(({ levels }) => levels.length === 0).map(({ type }) => type)).toEqual([]);
  });
});

describe('what the pages name exists', async () => {
  const options = new Set(
    (await Promise.all(kinds().map(async (kind) => (await optionsOf(kind)).map(({ name }) => `${kind}.${name}`)))).flat(),
  );
  const isOption = (path: string): boolean => options.has(path);

  const told = pages().filter((page) => page !== 'CHANGELOG.md');

  test.each(told)('%s names only codes that are thrown', (page) => {
    const known = codes();
    const foreign = new Set(['ERR_REQUIRE_ESM', 'ERR_REQUIRE_ASYNC_MODULE']);
    const named = read(page).match(/\bERR_[A-Z][A-Z_]*[A-Z]\b/g) ?? [];
    expect(named.filter((code) => !known.has(code) && !foreign.has(code))).toEqual([]);
  });

  test.each(told)('%s names only events that are emitted', (page) => {
    const events = new Set(eventFiles().flatMap((path) => eventsOf(path).map(({ type }) => type)));
    const prefixes = new Set([...events].map((type) => type.split('.')[0] as string));
    const prose = read(page).replace(/^```[\s\S]*?^```/gm, '');
    const quoted = [...prose.matchAll(/`([a-z]+(?:-[a-z]+)*)\.([a-z]+(?:-[a-z]+)*)`/g)].map(([, prefix, name]) => ({
      prefix: prefix as string,
      type: `${prefix}.${name}`,
    }));
    const wrong = quoted.filter(({ prefix, type }) => prefixes.has(prefix) && !events.has(type) && !isFile(type) && !isOption(type));
    expect(wrong.map(({ type }) => type)).toEqual([]);
  });
});

/** `retry.ts` and `timeout.md` are files, not events. */
function isFile(type: string): boolean {
  return /\.(ts|md|js)$/.test(type);
}

test('policy pages have the same headings in the same order', () => {
  const order = ['When to use it', 'When not', 'Example', 'Options', 'Errors', 'Events', 'State diagram', 'Pitfalls'];
  for (const kind of kinds()) {
    const headings = [...reference(kind).matchAll(/^## (.+)$/gm)].map(([, heading]) => heading as string);
    const known = headings.filter((heading) => order.includes(heading));
    expect(known, kind).toEqual(order.filter((heading) => heading !== 'State diagram' || known.includes(heading)));
  }
});
