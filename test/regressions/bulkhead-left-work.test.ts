import { expect, test } from 'vitest';
import { BulkheadFullError, bulkhead, pipeline, timeout } from 'breakwater';
import { VirtualClock } from 'breakwater/testing';

// A call made in the work of one that had its answer already was taken for one from outside: it waited for the slot that this very work held, for ever.
test('work that a timeout left behind makes a call of the same bulkhead: it does not wait for itself, and the slot comes back (B6, B7)', async () => {
  const clock = new VirtualClock();
  const slots = bulkhead({ maxConcurrent: 1, maxQueue: 5 });
  const inner = pipeline([slots], { clock });
  const outer = pipeline([timeout({ after: 50 }), slots], { clock });
  let nested: unknown;
  const caller = outer
    .execute(async () => {
      await new Promise<void>((resolve) => clock.setTimeout(() => resolve(), 60));
      nested = await inner.execute(() => 'ran').catch((error: unknown) => error);
    })
    .catch((error: unknown) => (error as Error).name);
  await clock.advance(1000);
  expect(await caller).toBe('TimeoutError');
  expect(nested).toBeInstanceOf(BulkheadFullError);
  expect(String(nested)).toContain('it could wait for itself');
  expect(slots.active + slots.queued).toBe(0);
  expect(await inner.execute(() => 'free again')).toBe('free again');
});

test('work that its caller aborted makes a call of the same bulkhead: it does not wait for itself either (B7)', async () => {
  const clock = new VirtualClock();
  const slots = bulkhead({ maxConcurrent: 1, maxQueue: 5 });
  const p = pipeline([slots], { clock });
  const caller = new AbortController();
  let nested: unknown;
  const call = p
    .execute(
      async () => {
        await new Promise<void>((resolve) => clock.setTimeout(() => resolve(), 60));
        nested = await p.execute(() => 'ran').catch((error: unknown) => error);
      },
      { signal: caller.signal },
    )
    .catch(() => 'aborted');
  caller.abort();
  expect(await call).toBe('aborted');
  const waiting = p.execute(() => 'served');
  await clock.advance(1000);
  expect(nested).toBeInstanceOf(BulkheadFullError);
  expect(await waiting).toBe('served');
  expect(slots.active + slots.queued).toBe(0);
});
