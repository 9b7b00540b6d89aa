/** Examples in pages and comments: found, type-checked together, and run as they stand. */

import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { formatWithOptions, inspect } from 'node:util';
import ts from 'typescript';
import { pages, read } from '../../scripts/docs/pages.ts';
import { configured, root } from '../../scripts/docs/source.ts';

/** A fenced block. */
export interface Example {
  /** Where it stands: page and line of its first line. */
  readonly where: string;
  readonly code: string;
}

/** One `console.log(x); // => value`. */
export interface Shown {
  readonly where: string;
  readonly promised: string;
  /** What was printed, as values are written in code, and as a terminal shows it. */
  readonly printed: readonly string[];
  readonly shown: readonly string[];
}

const fence = /^```ts\n([\s\S]*?)^```/gm;

/** Every TypeScript block of README and docs, and of the comments in the source. */
export function examples(): readonly Example[] {
  const inPages = pages().flatMap((page) => blocks(page, read(page)));
  const inSource = readdirSync(join(root, 'src'), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
    .flatMap((entry) => {
      const path = join(entry.parentPath, entry.name);
      return commented(path.slice(root.length + 1), readFileSync(path, 'utf8'));
    });
  return [...inPages, ...inSource];
}

function blocks(page: string, text: string, line = 1): Example[] {
  return [...text.matchAll(fence)].map((match) => ({
    where: `${page}:${line + lines(text.slice(0, match.index)) + 1}`,
    code: match[1] as string,
  }));
}

function commented(path: string, text: string): Example[] {
  return [...text.matchAll(/^[ ]*\/\*\*[\s\S]*?\*\//gm)].flatMap(({ 0: comment, index }) =>
    blocks(path, comment.replace(/^[ ]*\/?\*+ ?/gm, ''), lines(text.slice(0, index)) + 1),
  );
}

function lines(text: string): number {
  return text.split('\n').length - 1;
}

/** What the compiler has to say about the examples, under the project's own options. */
export function complaints(all: readonly Example[]): readonly string[] {
  const options: ts.CompilerOptions = { ...configured(), noUnusedLocals: false, noUnusedParameters: false, noEmit: true };
  const names = new Map(all.map((example, i) => [join(root, `example-${i}.ts`).replaceAll('\\', '/'), example]));
  const host = ts.createCompilerHost(options);
  const disk = ts.createCompilerHost(options);
  host.fileExists = (name) => names.has(name) || disk.fileExists(name);
  host.readFile = (name) => names.get(name)?.code ?? disk.readFile(name);
  host.getSourceFile = (name, languageVersion, ...others) => {
    const example = names.get(name);
    if (example === undefined) return disk.getSourceFile(name, languageVersion, ...others);
    return ts.createSourceFile(name, `${example.code}\nexport {};\n`, languageVersion);
  };
  // Whoever uses opossum from TypeScript has its types from elsewhere.
  const declared = join(root, 'src', 'interop', 'opossum', 'package.d.ts');
  const program = ts.createProgram([...names.keys(), declared], options, host);
  return [...names].flatMap(([name, { where }]) => {
    const file = program.getSourceFile(name);
    return [...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file)].map(({ start, messageText }) => {
      const line = file === undefined || start === undefined ? 0 : file.getLineAndCharacterOfPosition(start).line;
      return `${where}, line ${line + 1} of the example: ${ts.flattenDiagnosticMessageText(messageText, ' ')}`;
    });
  });
}

/** Modules that examples may import. */
export type Library = (specifier: string) => Promise<unknown>;

/** Runs an example; answers with what it promised to print and what it did print. */
export async function run({ where, code }: Example, library: Library): Promise<readonly Shown[]> {
  const shown: { where: string; promised: string; printed: string[]; shown: string[] }[] = [];
  const { body, promises } = prepared(code);
  for (const promised of promises) shown.push({ where, promised: tight(promised), printed: [], shown: [] });
  const print = (place: number, ...values: unknown[]): void => {
    const look = { breakLength: Infinity, compact: 10, depth: 6 };
    shown[place]?.printed.push(tight(values.map((value) => inspect(value, look)).join(' ')));
    shown[place]?.shown.push(tight(formatWithOptions(look, ...values)));
  };
  const quiet = { ...console, log: () => undefined, error: () => undefined, warn: () => undefined, table: () => undefined };
  const AsyncFunction = (() => Promise.resolve()).constructor as new (
    ...names: string[]
  ) => (library: Library, print: (place: number, ...values: unknown[]) => void, console: object) => Promise<void>;
  await new AsyncFunction('$library', '$print', 'console', body)(library, print, quiet);
  return shown;
}

/** Without the blanks that `inspect` puts inside brackets. */
function tight(text: string): string {
  return text.replace(/([[{]) /g, '$1').replace(/ ([\]}])/g, '$1');
}

/** The example as the body of an async function: imports awaited, promised prints numbered, types gone. */
function prepared(code: string): { readonly body: string; readonly promises: readonly string[] } {
  const file = ts.createSourceFile('example.ts', code, ts.ScriptTarget.ES2023, true);
  const promises: string[] = [];
  const edits: { readonly from: number; readonly to: number; readonly text: string }[] = [];
  const visit = (node: ts.Node): void => {
    if (node.kind === ts.SyntaxKind.ExportKeyword) edits.push({ from: node.getStart(), to: node.end, text: '' });
    if (ts.isImportDeclaration(node)) edits.push({ from: node.getStart(), to: node.end, text: awaited(node) });
    if (ts.isExpressionStatement(node) && ts.isCallExpression(node.expression) && node.expression.expression.getText() === 'console.log') {
      const promised = /^;?[ \t]*\/\/ => (.*)/.exec(code.slice(node.expression.end))?.[1];
      if (promised !== undefined) {
        const { expression } = node.expression;
        const empty = node.expression.arguments.length === 0;
        edits.push({ from: expression.getStart(), to: expression.end + 1, text: `$print(${promises.length}${empty ? '' : ', '}` });
        promises.push(promised.trim());
      }
    }
    ts.forEachChild(node, visit);
  };
  visit(file);
  let edited = code;
  for (const { from, to, text } of edits.sort((a, b) => b.from - a.from)) edited = edited.slice(0, from) + text + edited.slice(to);
  const { outputText } = ts.transpileModule(`const example = async () => {\n${edited}\n};`, {
    compilerOptions: { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext },
  });
  return { body: `${outputText}\nreturn example();`, promises };
}

function awaited(node: ts.ImportDeclaration): string {
  const { importClause, moduleSpecifier } = node;
  const module = `await $library(${moduleSpecifier.getText()})`;
  if (importClause === undefined) return `${module};`;
  if (importClause.phaseModifier === ts.SyntaxKind.TypeKeyword) return '';
  const { name, namedBindings } = importClause;
  const parts: string[] = [];
  if (name !== undefined) parts.push(`const { default: ${name.text} } = ${module};`);
  if (namedBindings !== undefined && ts.isNamespaceImport(namedBindings)) parts.push(`const ${namedBindings.name.text} = ${module};`);
  if (namedBindings !== undefined && ts.isNamedImports(namedBindings)) {
    const names = namedBindings.elements
      .filter(({ isTypeOnly }) => !isTypeOnly)
      .map(({ propertyName, name: local }) => (propertyName === undefined ? local.text : `${propertyName.getText()}: ${local.text}`));
    parts.push(`const { ${names.join(', ')} } = ${module};`);
  }
  return parts.join(' ');
}
