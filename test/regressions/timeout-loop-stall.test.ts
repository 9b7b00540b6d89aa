import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { TimeoutError, pipeline, timeout } from 'breakwater';
import { arrange, work } from 'breakwater/testing';

// A cap on requests once turned slow successes into failures whenever the event loop was blocked for a moment.
test('on real timers an answer that came while the loop was blocked still counts; without one the timeout says that the loop was at fault (T5)', async () => {
  const quick = pipeline([timeout({ after: 20 })], { name: 'quick' });
  const answered = quick.execute(() => sleep(5, 'in time'));
  const hanging = quick.execute(() => new Promise<never>(() => undefined)).catch((error: unknown) => error);
  await sleep(1);
  const until = performance.now() + 80;
  while (performance.now() < until);
  expect(await answered).toBe('in time');
  const error = await hanging;
  expect(error).toBeInstanceOf(TimeoutError);
  expect(error).toMatchObject({ started: true, loopStalled: true });
});

test('a timer that is a little late is no stall', async () => {
  const { run, clock } = arrange(timeout({ after: 20 }));
  const done = run(work('hang')).catch((error: unknown) => error);
  await clock.stall(39);
  expect(await done).toMatchObject({ loopStalled: false });
});
