/** The pages, and the tables in them that are made from the source. */

import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { format, resolveConfig } from 'prettier';
import {
  type EventField,
  type EventRow,
  type OptionRow,
  adapted,
  errors,
  errorsOf,
  eventFiles,
  eventsOf,
  fieldsOf,
  homeOf,
  kinds,
  optionsOf,
  root,
} from './source.ts';

const marked = /<!-- (options|errors|events|ratios|measured|rows):start(?: of ([\w./-]+))? -->[\s\S]*?<!-- \1:end -->/g;

/** Markdown files of the repository, relative to its root. */
export function pages(): readonly string[] {
  const inDocs = readdirSync(join(root, 'docs'), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.md'))
    .map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1));
  const atRoot = ['README.md', 'CONTRIBUTING.md', 'SECURITY.md', 'CHANGELOG.md'].filter((name) => existsSync(join(root, name)));
  return [...atRoot, ...inDocs.sort()];
}

/** The text of a page. */
export function read(page: string): string {
  return readFileSync(join(root, page), 'utf8');
}

/** The text of a page with its tables made anew. */
export async function render(page: string): Promise<string> {
  const text = read(page);
  let made = '';
  let end = 0;
  for (const match of text.matchAll(marked)) {
    const [whole, what, of] = match as unknown as readonly [string, string, string | undefined];
    made += `${text.slice(end, match.index)}<!-- ${what}:start${of === undefined ? '' : ` of ${of}`} -->\n\n`;
    made += `${await table(what, of, page)}\n\n<!-- ${what}:end -->`;
    end = match.index + whole.length;
  }
  if (end === 0) return text;
  const style = await resolveConfig(join(root, page));
  return await format(made + text.slice(end), { ...style, parser: 'markdown' });
}

async function table(what: string, of: string | undefined, page: string): Promise<string> {
  const kind = of ?? basename(page, '.md');
  const policy = [...kinds(), ...adapted()].includes(kind);
  if (what === 'ratios') return ratios();
  if (what === 'measured') return measured(of ?? '');
  if (what === 'rows') return rowsOf(of ?? '');
  if (what === 'options') return optionTable(policy ? await optionsOf(kind) : fieldsOf(kind));
  if (what === 'errors') return errorTable(policy ? errorsOf(kind) : undefined);
  if (policy) return eventTable(eventsOf(`${homeOf(kind)}.ts`));
  return eventTable(of === undefined ? eventFiles().flatMap((path) => eventsOf(path)) : eventsOf(`core/${of}.ts`));
}

/** What a module of the tests knows as data, and asserts: its `rows`, whose fields are the columns. */
async function rowsOf(module: string): Promise<string> {
  const { rows } = (await import(join(root, module))) as { readonly rows: readonly Readonly<Record<string, string>>[] };
  return grid(
    Object.keys(rows[0] ?? {}),
    rows.map((row) => Object.values(row)),
  );
}

function optionTable(rows: readonly OptionRow[]): string {
  return grid(
    ['Option', 'Accepts', 'Default', 'Meaning'],
    rows.map(({ name, accepts, fallback, meaning }) => [`\`${name}\``, accepts, fallback, meaning]),
  );
}

function errorTable(names: readonly string[] | undefined): string {
  const rows = errors().filter(({ name }) => names === undefined || names.includes(name));
  if (names !== undefined)
    return grid(
      ['Error', 'Code', 'Fields', 'Meaning'],
      rows.map(({ name, code, fields, meaning }) => [`\`${name}\``, `\`${code}\``, listed(fields), meaning]),
    );
  return grid(
    ['Error', 'Code', 'Is a', 'Fields', 'Meaning'],
    rows.map(({ name, code, base, fields, meaning }) => [`\`${name}\``, `\`${code}\``, `\`${base}\``, listed(fields), meaning]),
  );
}

function eventTable(rows: readonly EventRow[]): string {
  if (rows.length === 0) return 'It emits no events of its own.';
  const told = rows.some(({ meaning }) => meaning !== '');
  const explained = new Set<string>();
  const field = ({ name, values, meaning }: EventField): string => {
    const more = [meaning, values].filter(Boolean).join(': ');
    if (more === '' || explained.has(name + more)) return name;
    explained.add(name + more);
    return `${name}: ${more}`;
  };
  return grid(
    ['Event', 'Level', 'Fields', ...(told ? ['When'] : [])],
    rows.map(({ type, levels, fields, meaning }) => [
      `\`${type}\``,
      levels.join(', '),
      fields.length === 0 ? 'none' : fields.map(field).join('; '),
      ...(told ? [meaning] : []),
    ]),
  );
}

/** What was promised and what `npm run bench` measured, from its page. */
function ratios(): string {
  const page = join('docs', 'benchmarks.md');
  const found = existsSync(join(root, page)) ? /^## Targets\n+((?:\|.*\n)+)/m.exec(read(page)) : null;
  return found?.[1]?.trim() ?? 'Run `npm run bench`.';
}

/** The section of the benchmarks whose title begins so, in lower case with dashes for everything else. */
function measured(title: string): string {
  const sections = read(join('docs', 'benchmarks.md')).split(/^## /m).slice(1);
  const slug = (section: string): string =>
    section
      .slice(0, section.indexOf('\n'))
      .toLowerCase()
      .replaceAll(/[^a-z0-9]+/g, '-');
  const found = sections.find((section) => slug(section).startsWith(title));
  return found?.slice(found.indexOf('\n')).trim() ?? `Run \`npm run bench -- --keep --only …\`.`;
}

function listed(names: readonly string[]): string {
  return names.length === 0 ? '' : names.map((name) => `\`${name}\``).join(', ');
}

function grid(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}
