import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { SlidingLog } from '../../src/algorithms/meters/sliding-log.ts';
import { SlidingWindow } from '../../src/algorithms/meters/sliding-window.ts';
import { type VectorFile, replay } from './replay.mjs';

interface Config {
  readonly kind: 'counter' | 'log';
  readonly limit: number;
  readonly windowMs: number;
}

interface Input {
  readonly fn: 'estimate';
  readonly prev: number;
  readonly cur: number;
  readonly windowMs: number;
  readonly elapsedMs: number;
}

const adapter = {
  make({ kind, limit, windowMs }: Config) {
    const meter = kind === 'log' ? new SlidingLog({ limit, window: windowMs }) : new SlidingWindow({ limit, window: windowMs });
    return {
      step({ at, n = 1 }: { readonly at: number; readonly n?: number }) {
        if (meter.wait(n, at) > 0) return { ok: false };
        meter.take(n, at);
        return { ok: true };
      },
    };
  },
  fn({ prev, cur, windowMs, elapsedMs }: Input) {
    const meter = new SlidingWindow({ limit: prev + cur, window: windowMs });
    meter.take(prev, 0);
    meter.take(cur, windowMs);
    return { estimate: meter.estimate(windowMs + elapsedMs) };
  },
};

test('third-party vectors 10: the weighted counter of two windows, and the log', async () => {
  const file = JSON.parse(readFileSync(new URL('10-sliding-window.json', import.meta.url), 'utf8')) as VectorFile;
  const result = await replay(file, adapter);
  expect(result.failures).toEqual([]);
  expect(result.skipped).toEqual([]);
  expect(result.cases).toBe(7);
});
