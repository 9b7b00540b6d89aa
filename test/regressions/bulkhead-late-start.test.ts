import { expect, test } from 'vitest';
import { bulkhead, pipeline } from 'breakwater';
import { VirtualClock, arrange } from 'breakwater/testing';

test('work whose queue wait has timed out never starts, whether the slot or the timer comes first in that millisecond', async () => {
  for (const end of [99, 100, 101]) {
    for (const order of ['work first', 'wait first'] as const) {
      const { run, clock } = arrange(bulkhead({ maxConcurrent: 1, maxQueue: 1, maxWait: 100 }));
      const started: string[] = [];
      let finish = (): void => undefined;
      if (order === 'work first') clock.setTimeout(() => finish(), end);
      const first = run(() => new Promise<void>((resolve) => (finish = resolve)));
      const second = run(() => started.push('second')).then(
        () => 'ran',
        (error: unknown) => (error as { code?: unknown }).code,
      );
      if (order === 'wait first') clock.setTimeout(() => finish(), end);
      await clock.advance('1s');
      await first;
      expect([await second, started], `${order}, slot free at ${end} ms`).toEqual(
        end < 100 ? ['ran', ['second']] : ['ERR_QUEUE_TIMEOUT', []],
      );
    }
  }
});

test('a wait that times out while its caller looks elsewhere is no unhandled rejection once somebody catches it, and rejects once (G1, G3)', async () => {
  const unhandled: unknown[] = [];
  const note = (error: unknown): void => void unhandled.push(error);
  process.on('unhandledRejection', note);
  try {
    const slots = bulkhead({ maxConcurrent: 1, maxQueue: 5, maxWait: 10 });
    const clock = new VirtualClock();
    const shop = pipeline([slots], { clock });
    const caller = new AbortController();
    let fail: (error: Error) => void = () => undefined;
    const running = shop.executeOutcome(() => new Promise<never>((_, reject) => (fail = reject)), { signal: caller.signal });
    const waiting = shop.executeOutcome(() => 1, { signal: caller.signal });
    let told = 0;
    void waiting.then(() => told++);
    await clock.advance(10);
    caller.abort('late');
    fail(new Error('later still'));
    await clock.advance(10);
    expect(await waiting).toMatchObject({ ok: false, error: { code: 'ERR_QUEUE_TIMEOUT' } });
    expect(await running).toEqual({ ok: false, error: 'late' });
    await new Promise((resolve) => setImmediate(resolve));
    expect([told, unhandled, slots.active, clock.pending]).toEqual([1, [], 0, 0]);
  } finally {
    process.off('unhandledRejection', note);
  }
});
