import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { Bucket, Charge } from '../../src/algorithms/meters/token-bucket.ts';
import { type VectorFile, replay } from './replay.mjs';

interface Config {
  readonly burst: number;
  readonly ratePerSec: number;
}

interface Step {
  readonly at: number;
  readonly op: string;
  readonly n: number;
  readonly partial: boolean;
  readonly tokens: number;
}

/** The slowest that this model refills: one token a year. */
const YEAR = 365 * 24 * 3600;

const adapter = {
  make({ burst, ratePerSec }: Config) {
    const bucket = new Bucket({ rate: Math.max(ratePerSec, 1 / YEAR), per: 1000, burst }, burst, 0);
    return {
      step({ at, op, n, partial, tokens }: Step): object {
        if (op === 'reset') {
          bucket.drain(at);
          bucket.giveBack(new Charge(tokens, at), at);
          return {};
        }
        const whole = Math.floor(bucket.available(at) + 1e-9);
        const taken = partial ? Math.min(n, whole) : bucket.wait(n, at) === 0 ? n : 0;
        bucket.take(taken, at);
        return { taken, nextTokenMs: Math.ceil(bucket.wait(1, at)) };
      },
    };
  },
};

test('third-party vectors 02: the token bucket of Envoy, which also gives what is there of what was asked for', async () => {
  const file = JSON.parse(readFileSync(new URL('02-token-bucket-envoy.json', import.meta.url), 'utf8')) as VectorFile;
  const result = await replay(file, adapter);
  expect(result.failures).toEqual([]);
  expect(result.skipped).toEqual([]);
  expect(result.cases).toBe(3);
});
