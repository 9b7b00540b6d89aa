import { join } from 'node:path';
import ts from 'typescript';
import { beforeAll, describe, expect, test } from 'vitest';

const root = join(import.meta.dirname, '..', '..');
const declarations = new Map<string, string>();

/** The declarations as the build emits them, made in memory. */
beforeAll(() => {
  const parsed = ts.getParsedCommandLineOfConfigFile(
    join(root, 'tsconfig.build.json'),
    {},
    {
      ...ts.sys,
      onUnRecoverableConfigFileDiagnostic: () => undefined,
    },
  );
  const program = ts.createProgram(parsed?.fileNames ?? [], { ...parsed?.options, emitDeclarationOnly: true, declarationMap: false });
  program.emit(undefined, (name, text) => declarations.set(name.slice(root.length + 1), text));
}, 60_000);

describe('the declarations users compile against', () => {
  test('hold no any', () => {
    expect(declarations.size).toBeGreaterThan(20);
    const found: string[] = [];
    for (const [name, text] of declarations) {
      const file = ts.createSourceFile(name, text, ts.ScriptTarget.ES2023, true);
      const visit = (node: ts.Node): void => {
        if (node.kind === ts.SyntaxKind.AnyKeyword) found.push(`${name}: ${node.parent.getText()}`);
        ts.forEachChild(node, visit);
      };
      visit(file);
    }
    expect(found).toEqual([]);
  });

  test('keep to themselves what is marked internal', () => {
    const marked = [...declarations].filter(([, text]) => text.includes('@internal')).map(([name]) => name);
    expect(marked).toEqual([]);
  });

  test('name no optional library outside the file that adapts it', () => {
    const naming = [...declarations].filter(([name, text]) => !name.includes('http/express') && /from ['"]express['"]/.test(text));
    expect(naming.map(([name]) => name)).toEqual([]);
  });
});
