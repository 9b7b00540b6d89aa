import { expect, test } from 'vitest';
import { type GatePolicy, pipeline } from 'breakwater';
import { VirtualClock } from 'breakwater/testing';
import { fixedWindow } from '../../src/policies/fixed-window.ts';
import { slidingLog } from '../../src/policies/sliding-log.ts';
import { slidingWindow } from '../../src/policies/sliding-window.ts';
import { tokenBucket } from '../../src/policies/token-bucket.ts';
import { warmUp } from '../../src/policies/warm-up.ts';

const limiters: readonly (readonly [string, () => GatePolicy])[] = [
  ['tokenBucket', () => tokenBucket({ rate: 10, burst: 10 })],
  ['fixedWindow', () => fixedWindow({ limit: 10, window: '1s' })],
  ['slidingWindow', () => slidingWindow({ limit: 10, window: '1s' })],
  ['slidingLog', () => slidingLog({ limit: 10, window: '1s' })],
  ['warmUp', () => warmUp({ rate: 10, warmUpPeriod: 0 })],
];

// The reading was taken for a clock that is set back, and all that had come in since the last call was lost: such limiters let nobody in any more.
test.each(limiters)(
  '%s: a callback of an outer policy takes time and makes calls itself, so readings of the clock come out of order; no time is lost or won by it',
  async (_name, make) => {
    const clock = new VirtualClock();
    const limiter = make();
    let admitted = 0;
    const attempt = (p: { execute(work: () => unknown): Promise<unknown> }): Promise<unknown> => p.execute(() => admitted++).catch(() => 0);
    const inner = pipeline([limiter], { clock });
    const calls = (): number => {
      clock.jump(5);
      void attempt(inner);
      return 1;
    };
    const outer = pipeline([tokenBucket({ rate: 1_000_000, cost: calls }), limiter], { clock });
    for (let i = 0; i < 400; i++) await attempt(outer);
    expect(clock.now()).toBe(2000);
    expect(admitted).toBeGreaterThanOrEqual(20);
    expect(admitted).toBeLessThanOrEqual(30);
  },
);
