import { describe, expect, test } from 'vitest';
import { type Bulkhead, type Policy, bulkhead, retry, timeout } from 'breakwater';
import { arrange } from 'breakwater/testing';

/** Runs calls whose work takes 100 ms and does not care about its signal; tells how many ran at once at the most. */
async function peak(slots: Bulkhead, policies: readonly Policy[], calls: number): Promise<number> {
  const { pipeline, clock } = arrange(policies);
  let running = 0;
  let most = 0;
  const outcomes = Array.from({ length: calls }, () =>
    pipeline.executeOutcome(async () => {
      most = Math.max(most, ++running);
      await new Promise<void>((resolve) => void clock.setTimeout(resolve, 100));
      running--;
    }),
  );
  await clock.until(Promise.all(outcomes));
  await clock.advance('1m');
  expect([running, slots.active, slots.queued, clock.pending]).toEqual([0, 0, 0, 0]);
  return most;
}

describe('capacity is never exceeded after timeouts, though the work runs on (B1, B6)', () => {
  // Once a capacity of 1 with a timeout of 20 ms let five run at the same time.
  test.each([
    ['the timeout inside', (slots: Bulkhead) => [slots, timeout({ after: 20 })]],
    ['the timeout outside', (slots: Bulkhead) => [timeout({ after: 20 }), slots]],
    ['timeouts on both sides', (slots: Bulkhead) => [timeout({ after: 30 }), slots, timeout({ after: 20 })]],
    [
      'a retry between a timeout and the bulkhead',
      (slots: Bulkhead) => [timeout({ after: 500 }), retry({ maxAttempts: 4, backoff: { delay: 0 } }), slots, timeout({ after: 20 })],
    ],
    ['a retry outside', (slots: Bulkhead) => [retry({ maxAttempts: 4, backoff: { delay: 5 } }), slots, timeout({ after: 20 })]],
    ['a retry outside of both', (slots: Bulkhead) => [retry({ maxAttempts: 4, backoff: { delay: 5 } }), timeout({ after: 20 }), slots]],
  ])('%s', async (_, around) => {
    const slots = bulkhead({ maxConcurrent: 2, maxQueue: 100 });
    expect(await peak(slots, around(slots), 10)).toBe(2);
  });
});

test('a slot around a retry is held until the last of its abandoned attempts has ended (B6)', async () => {
  const slots = bulkhead({ maxConcurrent: 1 });
  const { run, clock } = arrange([
    slots,
    retry({ maxAttempts: 3, backoff: { kind: 'constant', delay: 10, jitter: 'none' } }),
    timeout({ after: 20 }),
  ]);
  const lasts: Readonly<Record<number, number>> = { 1: 300, 2: 100, 3: 5 };
  const done = run(({ attempt }) => new Promise<number>((resolve) => void clock.setTimeout(() => resolve(attempt), lasts[attempt] ?? 0)));
  expect(await clock.until(done)).toBe(3);
  expect([clock.now(), slots.active]).toEqual([65, 1]);
  await clock.advance(234);
  expect(slots.active).toBe(1);
  await clock.advance(1);
  expect(slots.active).toBe(0);
});

test('an attempt may queue behind the abandoned work of the attempt before it: that is no wait for itself', async () => {
  const slots = bulkhead({ maxConcurrent: 1, maxQueue: 1 });
  expect(await arrange(slots).run(() => 'another pipeline shares it')).toBe('another pipeline shares it');
  const { run, clock } = arrange([retry({ maxAttempts: 2, backoff: { delay: 10, jitter: 'none' } }), slots, timeout({ after: 50 })]);
  const begun: number[] = [];
  const done = run(({ attempt }) => {
    begun.push(clock.now());
    return new Promise<string>((resolve) => void clock.setTimeout(() => resolve(`attempt ${attempt}`), attempt === 1 ? 200 : 20));
  });
  await clock.advance(60);
  expect([slots.active, slots.queued]).toEqual([1, 1]);
  expect(await clock.until(done)).toBe('attempt 2');
  expect(begun).toEqual([0, 200]);
  expect(slots.snapshot()).toMatchObject({ active: 0, queued: 0, refused: 0 });
});

test('a late result settles the slot once, whatever else ended the call in between', async () => {
  const slots = bulkhead({ maxConcurrent: 1, maxQueue: 1 });
  const { run, clock } = arrange([timeout({ after: 30 }), slots, timeout({ after: 20 })]);
  const caller = new AbortController();
  const done = run(() => new Promise<void>((resolve) => void clock.setTimeout(resolve, 100)), { signal: caller.signal, deadline: 40 });
  done.catch(() => undefined);
  await clock.advance(25);
  caller.abort('too late to matter');
  await clock.advance(50);
  expect(slots.active).toBe(1);
  await clock.advance(25);
  expect(slots.active).toBe(0);
});
