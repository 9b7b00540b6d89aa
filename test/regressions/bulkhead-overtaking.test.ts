import { expect, test } from 'vitest';
import { bulkhead } from 'breakwater';
import { arrange } from 'breakwater/testing';

const turn = (): Promise<void> => Promise.resolve();

test('a queued call is never overtaken: a newcomer in any microtask around a hand-over goes behind it and takes nothing from it (B3)', async () => {
  // The slot was once freed first and the queue looked at a microtask later: whoever came between took it, and the queued call was refused.
  for (let delay = 0; delay < 20; delay++) {
    const { run, policy, clock } = arrange(bulkhead({ maxConcurrent: 1, maxQueue: 1 }));
    const started: string[] = [];
    const errors: unknown[] = [];
    let end = (): void => undefined;
    const first = run(() => new Promise<void>((resolve) => (end = resolve)));
    const queued = run(async () => {
      started.push('queued');
      for (let i = 0; i < 5; i++) await turn();
    }).catch((error: unknown) => errors.push(error));
    end();
    for (let i = 0; i < delay; i++) await turn();
    const newcomer = run(() => started.push('newcomer')).catch(() => 'refused');
    await clock.until(Promise.all([first, queued, newcomer]));
    expect(errors).toEqual([]);
    expect(started[0]).toBe('queued');
    expect([policy.active, policy.queued]).toEqual([0, 0]);
  }
});

test('newcomers that keep coming cannot starve the queue (B3)', async () => {
  const { run, clock } = arrange(bulkhead({ maxConcurrent: 2, maxQueue: 1000 }));
  const started: number[] = [];
  const calls: Promise<unknown>[] = [];
  for (let id = 0; id < 200; id++) {
    calls.push(
      run(async () => {
        started.push(id);
        await turn();
        await turn();
      }),
    );
    if (id % 3 === 0) await turn();
  }
  await clock.until(Promise.all(calls));
  expect(started).toEqual([...calls.keys()]);
});
