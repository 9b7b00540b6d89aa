import { expect, test } from 'vitest';
import { TimeoutError, pipeline } from 'breakwater';
import { pRetryPolicy } from 'breakwater/p-retry';
import { pTimeoutPolicy } from 'breakwater/p-timeout';
import { VirtualClock } from 'breakwater/testing';

test('timers of the user that ring at once end the call like any others', async () => {
  // The package had not answered yet, and the caller got the ReferenceError of a promise that was not there.
  const atOnce = { setTimeout: (ring: () => void) => ring(), clearTimeout: () => undefined };
  const hang = (): Promise<never> => new Promise(() => undefined);
  await expect(pipeline([pTimeoutPolicy({ milliseconds: 5, customTimers: atOnce })]).execute(hang)).rejects.toBeInstanceOf(TimeoutError);
  const covered = pipeline([pTimeoutPolicy({ milliseconds: 5, customTimers: atOnce, fallback: () => 'lesser' })]);
  await expect(covered.execute(hang)).resolves.toBe('lesser');
});

test('more than a hundred attempts without a wait need no clock to be moved', async () => {
  // Every hundredth took a breath of a millisecond on the pipeline's clock, which nobody moves for a policy whose waits are those of the process.
  let attempts = 0;
  const eager = pipeline([pRetryPolicy({ retries: 250, minTimeout: 0 })], { clock: new VirtualClock() });
  const outcome = await eager.executeOutcome(() => {
    attempts++;
    throw new Error('down');
  });
  expect([outcome.ok, attempts]).toEqual([false, 251]);
});
