import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { format } from 'node:util';
import { afterEach, describe, expect, test, vi } from 'vitest';

const folder = join(import.meta.dirname, '..', '..', 'examples');
const examples = readdirSync(folder).filter((name) => name.endsWith('.ts'));

afterEach(() => void vi.restoreAllMocks());

describe('the examples print what their comments say', () => {
  test('there is one for each way of use, numbered in reading order', () => {
    expect(examples).toEqual([
      '01-one-policy.ts',
      '02-six-policies.ts',
      '03-express-service.ts',
      '04-custom-policy.ts',
      '05-virtual-clock.ts',
      '06-degrade.ts',
    ]);
  });

  test.each(examples)('%s', async (name) => {
    const promised = [...readFileSync(join(folder, name), 'utf8').matchAll(/console\.log\(.*\/\/ => (.*)$/gm)].map(([, text]) => text);
    const printed: string[] = [];
    vi.spyOn(console, 'log').mockImplementation((...values: unknown[]) => {
      printed.push(format(...values).replace(/\s*\n\s*/g, ' '));
    });
    await import(/* @vite-ignore */ join(folder, name));
    expect(promised.length).toBeGreaterThan(0);
    expect(printed).toEqual(promised);
  });
});
