import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { pipeline } from 'breakwater';
import { type WindowSettings, windowOf } from '../../src/algorithms/windows.ts';
import { circuitBreaker } from '../../src/policies/circuit-breaker.ts';
import { replay } from './replay.mjs';

interface Config {
  readonly kind: 'count' | 'time';
  readonly size: number;
  readonly ms: number;
  readonly buckets: number;
}

interface Step {
  readonly at: number;
  readonly op: 'record' | 'read';
  readonly kind?: string;
  readonly ms?: number;
  readonly slow?: boolean;
}

interface Input {
  readonly calls: number;
  readonly minCalls: number;
  readonly failureRatio: number;
  readonly threshold: number;
}

const adapter = {
  make({ kind, size, ms, buckets }: Config) {
    const settings: WindowSettings = kind === 'count' ? { calls: size } : { duration: ms, buckets };
    const window = windowOf(settings);
    return {
      step({ at, op, kind: outcome, ms: took = 0, slow: wasSlow = false }: Step): object {
        if (op === 'record') {
          window.record(outcome === 'failure', wasSlow, took, at);
          return {};
        }
        window.expire(at);
        const { calls, failures, slow, totalMs } = window;
        const share = (part: number): number => (calls === 0 ? 0 : (100 * part) / calls);
        return {
          calls,
          successes: calls - failures,
          failures,
          slow,
          totalMs,
          avgMs: calls === 0 ? 0 : totalMs / calls,
          failureRate: share(failures),
          slowRate: share(slow),
        };
      },
    };
  },

  /** Asked of a circuit: so many calls, of which such a share failed; does it open? */
  fn({ calls, minCalls, failureRatio, threshold }: Input): object {
    const breaker = circuitBreaker({ window: Infinity, minCalls, failureRate: threshold });
    const guarded = pipeline([breaker]);
    for (let i = 0; i < calls; i++) {
      const answer = guarded.tryAcquire();
      if (!answer.admitted) break;
      if (i < calls * failureRatio) answer.failure();
      else answer.success();
    }
    return { trip: breaker.state === 'open' };
  },
};

test('third-party vectors 13: windows of a circuit breaker', async () => {
  const file = JSON.parse(readFileSync(new URL('13-breaker-windows.json', import.meta.url), 'utf8')) as {
    readonly cases: readonly object[];
  };
  const result = await replay(file, adapter, { has: () => true });
  expect(result.failures).toEqual([]);
  expect(result.skipped).toEqual([]);
  expect(result.cases).toBe(file.cases.length);
});
