/** What the source says about itself: options, errors and events, read through the TypeScript API. */

import { existsSync, readdirSync } from 'node:fs';
import { basename, dirname, join, relative } from 'node:path';
import { pathToFileURL } from 'node:url';
import ts from 'typescript';
import type { Field } from '../../src/core/options.ts';

export const root: string = join(import.meta.dirname, '..', '..');

const program = ts.createProgram(
  [
    join(root, 'src', 'index.ts'),
    ...filesIn('policies'),
    ...filesIn('http'),
    ...filesIn('clients'),
    ...filesIn('interop'),
    ...filesIn('testing'),
  ],
  configured(),
);
const checker = program.getTypeChecker();

/** How the option reader words a duration. */
const spelledOut = /^a duration( of at least [\d.]+ ms)?: ms, or a number with its unit such as '250ms', '2s', '1m', '1h'/;

/** One option, as a row of a table. */
export interface OptionRow {
  readonly name: string;
  readonly accepts: string;
  /** As a user would write it, or in words. */
  readonly fallback: string;
  /** The default that the comment claims, if it claims one in code. */
  readonly claimed: string | undefined;
  readonly meaning: string;
}

/** One class of the error family. */
export interface ErrorRow {
  readonly name: string;
  readonly code: string;
  readonly base: string;
  /** Own fields, with those of its bases except the common ones. */
  readonly fields: readonly string[];
  readonly meaning: string;
}

/** One type of event. */
export interface EventRow {
  readonly type: string;
  readonly levels: readonly string[];
  readonly fields: readonly EventField[];
  readonly meaning: string;
}

/** A field of an event. */
export interface EventField {
  readonly name: string;
  /** The words it may be, if it is one of a few. */
  readonly values: string;
  readonly meaning: string;
}

/** Kinds of the policies there are, which are also the names of their files and pages. */
export function kinds(): readonly string[] {
  return filesIn('policies').map((file) => basename(file, '.ts'));
}

/** The same of policies that stand on a library and have an entry point of their own. */
export function adapted(): readonly string[] {
  return filesIn('interop').map((file) => basename(file, '.ts'));
}

/** The file of a policy, relative to src, without its ending. */
export function homeOf(kind: string): string {
  return `${adapted().includes(kind) ? 'interop' : 'policies'}/${kind}`;
}

/** `circuit-breaker` -> `circuitBreaker`. */
export function camel(kind: string): string {
  return kind.replace(/-(.)/g, (_, letter: string) => letter.toUpperCase());
}

/** Options of a policy: what its table accepts, with the meaning from the comments of its options type. */
export async function optionsOf(kind: string): Promise<readonly OptionRow[]> {
  const file = join(root, 'src', `${homeOf(kind)}.ts`);
  const module = (await import(/* @vite-ignore */ pathToFileURL(file).href)) as Record<string, unknown>;
  const table = module[`${camel(kind)}Fields`];
  if (table === undefined) throw new Error(`${kind}: no ${camel(kind)}Fields`);
  return rows(table as FieldTable, typeNamed(`${pascal(kind)}Options`, file), '');
}

/** Fields of an options type that has no public table: what its comments and types say. */
export function fieldsOf(typeName: string): readonly OptionRow[] {
  const type = typeNamed(typeName);
  return checker.getPropertiesOfType(type).map((property) => ({
    name: property.name,
    accepts: code(typeText(property)),
    fallback: defaultIn(property) ?? 'none',
    claimed: undefined,
    meaning: meaningOf(property),
  }));
}

type FieldTable = Readonly<Record<string, Field<unknown>>>;

function rows(table: FieldTable, type: ts.Type, prefix: string): OptionRow[] {
  return Object.entries(table).flatMap(([name, field]) => {
    const property = memberNamed(type, name);
    const claimed = property === undefined ? undefined : defaultIn(property);
    const row: OptionRow = {
      name: prefix + name,
      accepts: field.expected.replace(spelledOut, '[duration](options.md#durations)$1'),
      fallback: fallbackOf(field, claimed),
      claimed: field.fallback !== undefined && claimed?.startsWith('`') === true ? claimed.replace(/(\d)_(?=\d)/g, '$1') : undefined,
      meaning: property === undefined ? '' : meaningOf(property) || (name === 'name' ? 'What events, errors and snapshots call it.' : ''),
    };
    if (field.nested === undefined || property === undefined) return [row];
    const inner = checker.getNonNullableType(checker.getTypeOfSymbol(property));
    return [row, ...rows(field.nested, inner, `${prefix}${name}.`)];
  });
}

function fallbackOf(field: Field<unknown>, claimed: string | undefined): string {
  if (field.required) return 'required';
  const { fallback } = field;
  if (fallback === undefined) return claimed ?? 'none';
  if (typeof fallback === 'object' && fallback !== null && Object.keys(fallback).length === 0) return 'its own defaults';
  return code(written(fallback));
}

function written(value: unknown): string {
  if (typeof value === 'string') return `'${value}'`;
  if (Array.isArray(value)) return `[${value.map(written).join(', ')}]`;
  if (typeof value === 'object' && value !== null)
    return `{ ${Object.entries(value)
      .map(([name, inner]) => `${name}: ${written(inner)}`)
      .join(', ')} }`;
  return String(value);
}

/** The error family, bases first. */
export function errors(): readonly ErrorRow[] {
  const file = sourceFile('core/errors.ts');
  const common = new Set(['message', 'name', 'stack', 'cause', 'code', 'pipeline', 'policy', 'key', 'toJSON']);
  return file.statements.filter(ts.isClassDeclaration).flatMap((declaration) => {
    const symbol = declaration.name === undefined ? undefined : checker.getSymbolAtLocation(declaration.name);
    if (symbol === undefined) return [];
    const type = checker.getDeclaredTypeOfSymbol(symbol);
    const codeField = declaration.members.find((member) => member.name?.getText() === 'code');
    const initializer = codeField !== undefined && ts.isPropertyDeclaration(codeField) ? codeField.initializer : undefined;
    return {
      name: symbol.name,
      code: initializer !== undefined && ts.isStringLiteral(initializer) ? initializer.text : '',
      base: declaration.heritageClauses?.[0]?.types[0]?.expression.getText() ?? '',
      fields: checker
        .getPropertiesOfType(type)
        .filter(({ name }) => !common.has(name) && !name.startsWith('__'))
        .map(({ name }) => name),
      meaning: meaningOf(symbol),
    };
  });
}

/** Every code that an error of ours may have, the entry points' own included. */
export function codes(): ReadonlySet<string> {
  const found = new Set<string>();
  for (const file of sources())
    walk(file, (node) => {
      if (ts.isPropertyDeclaration(node) && node.name.getText() === 'code' && node.initializer !== undefined)
        for (const one of literals(node.initializer)) found.add(one);
    });
  return found;
}

/** Names of the errors that a policy makes. */
export function errorsOf(kind: string): readonly string[] {
  const family = new Set(errors().map(({ name }) => name));
  const used = new Set<string>(['OptionsError']);
  for (const file of withStores(filesOf(kind)))
    walk(file, (node) => {
      if (ts.isNewExpression(node) && family.has(node.expression.getText())) used.add(node.expression.getText());
      if (!ts.isCallExpression(node)) return;
      for (const argument of node.arguments) if (ts.isIdentifier(argument) && family.has(argument.text)) used.add(argument.text);
    });
  return [...used];
}

/** The file of a policy, and those in its room. */
function filesOf(kind: string): readonly ts.SourceFile[] {
  const home = join(root, 'src', homeOf(kind)).replaceAll('\\', '/');
  return sources().filter(({ fileName }) => fileName === `${home}.ts` || fileName.startsWith(`${home}/`));
}

/** These files, and those of the stores that they stand on. */
function withStores(files: readonly ts.SourceFile[]): readonly ts.SourceFile[] {
  const found = new Set(files);
  for (const file of found)
    for (const statement of file.statements) {
      if (!ts.isImportDeclaration(statement) || statement.importClause?.phaseModifier === ts.SyntaxKind.TypeKeyword) continue;
      const path = join(dirname(file.fileName), (statement.moduleSpecifier as ts.StringLiteral).text).replaceAll('\\', '/');
      const store = path.includes('/src/stores/') ? sources().find(({ fileName }) => fileName === path) : undefined;
      if (store !== undefined) found.add(store);
    }
  return [...found];
}

/** Events declared in a file, with the levels they are emitted at anywhere. */
export function eventsOf(path: string): readonly EventRow[] {
  const found: EventRow[] = [];
  const levels = emitted();
  walk(sourceFile(path), (node) => {
    if (!ts.isInterfaceDeclaration(node) || node.name.text !== 'EventFields') return;
    for (const member of node.members) {
      if (!ts.isPropertySignature(member) || !ts.isStringLiteral(member.name)) continue;
      const symbol = checker.getSymbolAtLocation(member.name);
      const type = checker.getTypeAtLocation(member);
      found.push({
        type: member.name.text,
        levels: [...(levels.get(member.name.text) ?? levels.get(ending(member.name.text)) ?? [])],
        fields: checker.getPropertiesOfType(type).map((property) => fieldText(property)),
        meaning: symbol === undefined ? '' : meaningOf(symbol),
      });
    }
  });
  return found;
}

/** Files that declare events, relative to src: the kernel first, then policies by name. */
export function eventFiles(): readonly string[] {
  return sources()
    .map((file) => relative(join(root, 'src'), file.fileName).replaceAll('\\', '/'))
    .filter((path) => eventsOf(path).length > 0)
    .sort((a, b) => Number(b.startsWith('core/')) - Number(a.startsWith('core/')) || a.localeCompare(b));
}

/** What several kinds of policy emit is told by its ending: `.delayed`. */
function ending(type: string): string {
  return type.slice(type.indexOf('.'));
}

let levelsOf: Map<string, Set<string>> | undefined;

/** Types of events with the levels they are sent out at, found where they are emitted. */
function emitted(): ReadonlyMap<string, ReadonlySet<string>> {
  if (levelsOf !== undefined) return levelsOf;
  const levels = (levelsOf = new Map<string, Set<string>>());
  const add = (type: string, level: string): void => {
    const known = levels.get(type) ?? new Set();
    levels.set(type, known.add(level));
  };
  for (const file of sources())
    walk(file, (node) => {
      if (ts.isCallExpression(node) && node.arguments.length >= 2) {
        const [type, level] = node.arguments as unknown as readonly [ts.Expression, ts.Expression];
        const types = ts.isTemplateExpression(type) ? [type.templateSpans.at(-1)?.literal.text ?? ''] : literals(type);
        for (const one of types) if (one.includes('.')) for (const other of literals(level)) add(one, other);
      }
      if (!ts.isObjectLiteralExpression(node)) return;
      const type = propertyText(node, 'type');
      const level = propertyText(node, 'level');
      if (type !== undefined && level !== undefined) add(type, level);
    });
  return levels;
}

/** The strings an expression may be, as far as it says so itself. */
function literals(expression: ts.Expression): readonly string[] {
  if (ts.isStringLiteralLike(expression)) return [expression.text];
  if (ts.isParenthesizedExpression(expression) || ts.isAsExpression(expression)) return literals(expression.expression);
  if (ts.isConditionalExpression(expression)) return [...literals(expression.whenTrue), ...literals(expression.whenFalse)];
  const type = checker.getTypeAtLocation(expression);
  const members = type.isUnion() ? type.types : [type];
  return members.every((member) => member.isStringLiteral()) ? members.map((member) => member.value) : [];
}

function propertyText(object: ts.ObjectLiteralExpression, name: string): string | undefined {
  const property = object.properties.find((each) => each.name?.getText() === name);
  if (property === undefined || !ts.isPropertyAssignment(property)) return undefined;
  let value = property.initializer;
  while (ts.isAsExpression(value)) value = value.expression;
  return ts.isStringLiteral(value) ? value.text : undefined;
}

function fieldText(property: ts.Symbol): EventField {
  const optional = (property.flags & ts.SymbolFlags.Optional) !== 0;
  const type = checker.getNonNullableType(checker.getTypeOfSymbol(property));
  const words = type.isUnion() && type.types.every((member) => member.isStringLiteral()) ? type.types : [];
  const values = words.map((member) => code(`'${member.value}'`)).sort();
  return { name: `${code(property.name)}${optional ? ' (optional)' : ''}`, values: values.join(', '), meaning: meaningOf(property) };
}

function typeText(property: ts.Symbol): string {
  const declaration = property.declarations?.[0];
  const node = declaration !== undefined && ts.isPropertySignature(declaration) ? declaration.type : undefined;
  if (node === undefined) return 'unknown';
  const members = ts.isUnionTypeNode(node)
    ? node.types.map((each) => each.getText()).filter((each) => each !== 'undefined')
    : [node.getText()];
  return members.join(' | ');
}

/** A member of a type, or of the members of a union. */
function memberNamed(type: ts.Type, name: string): ts.Symbol | undefined {
  const own = checker.getPropertyOfType(type, name);
  if (own?.declarations !== undefined || !type.isUnion()) return own;
  for (const each of type.types) {
    const found = checker.getPropertyOfType(each, name);
    if (found?.declarations?.some((declaration) => declaration.getSourceFile().fileName.includes('/src/')) === true) return found;
  }
  return undefined;
}

function typeNamed(name: string, file?: string): ts.Type {
  for (const source of file === undefined ? sources() : [program.getSourceFile(file) as ts.SourceFile])
    for (const statement of source.statements)
      if ((ts.isInterfaceDeclaration(statement) || ts.isTypeAliasDeclaration(statement)) && statement.name.text === name)
        return checker.getTypeAtLocation(statement.name);
  throw new Error(`no type ${name}`);
}

function meaningOf(symbol: ts.Symbol): string {
  return inOneLine(ts.displayPartsToString(symbol.getDocumentationComment(checker)));
}

function defaultIn(symbol: ts.Symbol): string | undefined {
  const tag = symbol.getJsDocTags(checker).find(({ name }) => name === 'defaultValue');
  return tag === undefined ? undefined : inOneLine(ts.displayPartsToString(tag.text));
}

function inOneLine(text: string): string {
  return text
    .replace(/\{@link\s+([^}\s]+)[^}]*\}/g, '`$1`')
    .replace(/\s+/g, ' ')
    .trim();
}

function code(text: string): string {
  return `\`${text}\``;
}

function pascal(kind: string): string {
  const name = camel(kind);
  return (name[0] as string).toUpperCase() + name.slice(1);
}

function walk(node: ts.Node, look: (node: ts.Node) => void): void {
  look(node);
  ts.forEachChild(node, (child) => walk(child, look));
}

function sourceFile(path: string): ts.SourceFile {
  const file = program.getSourceFile(join(root, 'src', path));
  if (file === undefined) throw new Error(`no source file ${path}`);
  return file;
}

function sources(): readonly ts.SourceFile[] {
  const home = join(root, 'src').replaceAll('\\', '/');
  return program.getSourceFiles().filter(({ fileName }) => fileName.startsWith(`${home}/`));
}

function filesIn(house: string): string[] {
  const folder = join(root, 'src', house);
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((name) => name.endsWith('.ts'))
    .sort()
    .map((name) => join(folder, name));
}

/** The compiler options of the project. */
export function configured(): ts.CompilerOptions {
  const path = join(root, 'tsconfig.json');
  const { config } = ts.readConfigFile(path, (name) => ts.sys.readFile(name)) as { config: unknown };
  return ts.parseJsonConfigFileContent(config, ts.sys, root).options;
}
