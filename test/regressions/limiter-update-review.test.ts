import { expect, test } from 'vitest';
import { RateLimitedError } from 'breakwater';
import { arrange } from 'breakwater/testing';
import { tokenBucket } from '../../src/policies/token-bucket.ts';

const tagged = ({ tags }: { tags: Readonly<Record<string, unknown>> }): number => Number(tags['n']);

// The answer of a call whose wait became hopeless was worked out in the middle of the review, with what was written down for the others.
test('a change of the limit makes one waiting call hopeless: it hears that it never can pass, and nobody behind it is sent away with it', async () => {
  const limiter = tokenBucket({ rate: 10, burst: 10, initial: 0, maxWait: '900ms', cost: tagged });
  const { run, clock } = arrange(limiter);
  const caller = new AbortController();
  const take = (n: number, signal?: AbortSignal): Promise<unknown> =>
    run(() => clock.now(), { tags: { n }, ...(signal && { signal }) }).catch((error: unknown) => error);
  const heavy = take(4);
  const others = [take(1), take(1), take(2)];
  const aborted = take(1, caller.signal);
  await clock.advance(1);
  caller.abort();
  await aborted;
  limiter.update({ burst: 3, rate: 5 });
  const refusal = await heavy;
  expect(refusal).toBeInstanceOf(RateLimitedError);
  expect((refusal as RateLimitedError).message).toContain('a call that costs 4 can never pass');
  expect((refusal as RateLimitedError).retryAfter).toBe(Infinity);
  const times = (await clock.until(Promise.all(others))) as number[];
  expect(times).toEqual([199, 399, 799]);
});
