import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { pipeline } from 'breakwater';
import { VirtualClock } from 'breakwater/testing';
import { fixedWindow } from '../../src/policies/fixed-window.ts';
import { spacing } from '../../src/policies/fixed-window/gate.ts';
import { type VectorFile, replay } from './replay.mjs';

interface Config {
  readonly limit: number;
  readonly windowMs: number;
  readonly blockMs?: number;
  readonly backoff?: boolean;
}

interface Step {
  readonly at: number;
  readonly op: string;
  readonly n?: number;
  readonly ms: number;
  readonly wallShiftMs?: number;
}

interface Input {
  readonly fn: 'evenDelay';
  readonly msBeforeNext: number;
  readonly remaining: number;
  readonly minDelayMs: number;
}

const clocks: VirtualClock[] = [];

const adapter = {
  make({ limit, windowMs, blockMs = 0, backoff = false }: Config) {
    const clock = new VirtualClock();
    clocks.push(clock);
    const options = { limit, window: windowMs, blockFor: blockMs, refused: backoff ? 'backoff' : 'count' } as const;
    const policy = fixedWindow({ ...options, cost: ({ tags }) => Number(tags['n']) });
    const p = pipeline([policy], { clock });
    let wall = 0;
    const state = (): object => ({
      used: policy.used,
      remaining: Math.max(0, Math.floor(policy.available)),
      resetMs: policy.resetAfter,
      retryAfterSec: Math.ceil(policy.resetAfter / 1000),
    });
    return {
      async step({ at, op, n = 1, ms, wallShiftMs = wall }: Step) {
        await clock.advance(at - clock.now());
        clock.shiftWall(wallShiftMs - wall);
        wall = wallShiftMs;
        switch (op) {
          case 'hit': {
            const answer = p.tryAcquire({ tags: { n } });
            if (answer.admitted) answer.success();
            return { ok: answer.admitted, ...state() };
          }
          case 'penalty':
            policy.penalize(n);
            return state();
          case 'block':
            policy.block(ms);
            return state();
          case 'peek':
            return { ok: policy.available >= 1 };
          default:
            throw new Error(`not offered: ${op}`);
        }
      },
    };
  },
  fn({ msBeforeNext, remaining, minDelayMs }: Input) {
    return { delayMs: spacing(msBeforeNext, remaining, minDelayMs) };
  },
};

test('third-party vectors 09: fixed windows of Node, where what is refused counts, and doubling windows', async () => {
  const file = JSON.parse(readFileSync(new URL('09-fixed-window-node.json', import.meta.url), 'utf8')) as VectorFile;
  const result = await replay(file, adapter);
  expect(result.failures).toEqual([]);
  expect(result.skipped).toEqual([]);
  expect(result.cases).toBe(7);
  for (const clock of clocks) expect(clock.pending).toBe(0);
});
