import { expect, test } from 'vitest';
import { arrange } from 'breakwater/testing';
import { adaptiveRate } from '../../src/policies/adaptive-rate.ts';
import { leakyBucket } from '../../src/policies/leaky-bucket.ts';
import { warmUp } from '../../src/policies/warm-up.ts';

const tagged = ({ tags }: { tags: Readonly<Record<string, unknown>> }): number => Number(tags['n']);

const payLater = [
  ['leakyBucket', () => leakyBucket({ rate: 10, cost: tagged })],
  ['warmUp', () => warmUp({ rate: 10, cost: tagged })],
  ['adaptiveRate', () => adaptiveRate({ cost: tagged, classify: () => ({ throttled: true }) })],
] as const;

test.each(payLater)(
  '%s: a cost without end, say of a length that was read from a header, does not close the limiter for ever',
  async (_name, make) => {
    const { run, clock } = arrange(make());
    expect(await run(() => 'in', { tags: { n: 1 } })).toBe('in');
    await clock.advance(10_000);
    expect(await run(() => 1, { tags: { n: Infinity } }).catch(String)).toContain('expected a function that answers with a number');
    await clock.advance(10_000);
    expect(await run(() => 'in again', { tags: { n: 1 } })).toBe('in again');
  },
);
