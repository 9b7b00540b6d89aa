import { expect, test } from 'vitest';
import { RateLimitedError } from 'breakwater';
import { arrange } from 'breakwater/testing';
import { tokenBucket } from '../../src/policies/token-bucket.ts';

// A call that would have had to wait too long was told when its wait would be short enough, though until somebody's turn came there was no place to wait in.
test.each([
  ['at that time a call may wait', 0, 'admitted'],
  ['a millisecond earlier it may not', -1, 'refused'],
])('the wait is too long and the queue is full: retryAfter is when both have passed, so %s', async (_story, early, expected) => {
  const { run, clock } = arrange(tokenBucket({ rate: 1, burst: 1, initial: 0, maxWait: 3500, maxQueue: 3 }));
  const waiting = [1, 2, 3].map(() => run(() => 'admitted'));
  const refusal = (await run(() => 1).catch((error: unknown) => error)) as RateLimitedError;
  expect(refusal).toBeInstanceOf(RateLimitedError);
  expect(refusal.retryAfter).toBe(1000);
  await clock.advance(1000 + early);
  const again = run(() => 'admitted').catch(() => 'refused');
  expect(await clock.until(again)).toBe(expected);
  await clock.until(Promise.all(waiting));
});
