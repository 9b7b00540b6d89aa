import { join } from 'node:path';
import ts from 'typescript';
import { expect, test } from 'vitest';
import { read } from '../../scripts/docs/pages.ts';
import { configured, root } from '../../scripts/docs/source.ts';

/** What the compiler says about code with decorators, which this repository itself is compiled without. */
function complaints(code: readonly string[]): readonly string[] {
  const options: ts.CompilerOptions = { ...configured(), experimentalDecorators: true, emitDecoratorMetadata: true, noEmit: true };
  const names = new Map(code.map((text, i) => [join(root, `decorated-${i}.ts`).replaceAll('\\', '/'), text]));
  const host = ts.createCompilerHost(options);
  const disk = ts.createCompilerHost(options);
  host.fileExists = (name) => names.has(name) || disk.fileExists(name);
  host.readFile = (name) => names.get(name) ?? disk.readFile(name);
  host.getSourceFile = (name, version, ...others) => {
    const text = names.get(name);
    return text === undefined ? disk.getSourceFile(name, version, ...others) : ts.createSourceFile(name, text, version);
  };
  const program = ts.createProgram([...names.keys()], options, host);
  return [...names.keys()].flatMap((name) => {
    const file = program.getSourceFile(name);
    return [...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file)].map(({ messageText }) =>
      ts.flattenDiagnosticMessageText(messageText, ' '),
    );
  });
}

test('decorators on the page of NestJS compile as people write them', { timeout: 60_000 }, () => {
  const code = [...read('docs/reference/nest.md').matchAll(/^```typescript\n([\s\S]*?)^```/gm)].map(([, text]) => text as string);
  expect(code.length).toBe(3);
  expect(complaints(code)).toEqual([]);
  expect(complaints(['class A {}\n@A export class B {}\n']).length).toBeGreaterThan(0);
});
