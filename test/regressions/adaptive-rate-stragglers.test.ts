import { expect, test } from 'vitest';
import { adaptiveRate } from 'breakwater';
import { arrange } from 'breakwater/testing';

// Elsewhere every answer that says no lowers the rate, also those of calls that were sent before it was lowered last: two hundred under way at the time bring it down to next to nothing.

test('a full house that is told no all at once lowers the rate once, and it recovers within seconds', async () => {
  const { run, clock, policy } = arrange(adaptiveRate({ maxWait: 0 }));
  const answers = (status: number, ms: number) => (): unknown =>
    new Promise((resolve) => clock.setTimeout(() => resolve({ status, headers: {} }), ms));
  for (let ms = 0; ms < 4000; ms += 5) {
    void run(answers(200, 1000));
    await clock.advance(5);
  }
  const before = policy.measured;
  expect(before).toBeGreaterThan(150);
  for (let i = 0; i < 200; i++) void run(answers(429, 100 + i));
  await clock.advance(400);
  expect(policy.engaged).toBe(true);
  expect(policy.rate).toBeGreaterThan(0.6 * before);
  for (let ms = 0; ms < 8000; ms += 5) {
    void run(answers(200, 20)).catch(() => undefined);
    await clock.advance(5);
  }
  expect(policy.rate).toBeGreaterThan(before);
});
