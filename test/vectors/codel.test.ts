import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { Codel, StandardCodel, controlLaw } from '../../src/algorithms/codel.ts';
import { replay } from './replay.mjs';

interface Config {
  readonly kind: 'folly' | 'rfc8289';
  readonly targetMs: number;
  readonly intervalMs: number;
}

interface Step {
  readonly at: number;
  readonly op: 'dequeue';
  readonly delayMs: number;
}

interface Asked {
  readonly fn: string;
  readonly t: number;
  readonly intervalMs: number;
  readonly count: number;
}

interface File {
  readonly cases: readonly { readonly in?: Asked }[];
}

test('third-party vectors 17: controlled delay (A6)', async () => {
  const file = JSON.parse(readFileSync(new URL('17-codel-shedding.json', import.meta.url), 'utf8')) as File;
  // The formulas of client-side throttling stand in the same file; they are another policy's.
  const cases = file.cases.filter(({ in: asked }) => asked === undefined || asked.fn === 'controlLaw');
  const adapter = {
    make: ({ kind, targetMs: target, intervalMs: interval }: Config) => {
      const control = kind === 'folly' ? new Codel({ target, interval }) : new StandardCodel({ target, interval });
      return { step: ({ at, delayMs }: Step) => ({ shed: control.sheds(delayMs, at) }) };
    },
    fn: ({ t, intervalMs, count }: Asked) => ({ next: controlLaw(t, intervalMs, count) }),
  };
  const result = await replay({ ...file, cases }, adapter);
  expect(result.failures).toEqual([]);
  expect(result.skipped).toEqual([]);
  expect(result.cases).toBe(cases.length);
  expect(cases.length).toBeGreaterThan(5);
});
