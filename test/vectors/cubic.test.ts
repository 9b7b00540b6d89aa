import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { cubicRate } from '../../src/algorithms/meters/cubic-rate.ts';
import { type VectorFile, replay } from './replay.mjs';

interface Input {
  readonly fn: string;
  readonly lastMaxRate: number;
  readonly lastThrottleSec: number;
  readonly nowSec: number;
  readonly beta: number;
  readonly scale: number;
}

const adapter = {
  fn({ lastMaxRate, lastThrottleSec, nowSec, beta, scale }: Input): object {
    return { delay: cubicRate(lastMaxRate, nowSec - lastThrottleSec, { beta, scale }) };
  },
};

test('third-party vectors 18: the rate of a client that was throttled, along a cubic curve', async () => {
  const file = JSON.parse(readFileSync(new URL('18-backoff.json', import.meta.url), 'utf8')) as VectorFile<Input>;
  const cases = file.cases.filter(({ in: input }) => input.fn === 'cubicSuccess');
  const result = await replay({ ...file, cases }, adapter);
  expect(result.failures).toEqual([]);
  expect(result.skipped).toEqual([]);
  expect(result.cases).toBe(5);
});
