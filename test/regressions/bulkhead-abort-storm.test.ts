import { getEventListeners } from 'node:events';
import { expect, test } from 'vitest';
import { bulkhead } from 'breakwater';
import { arrange } from 'breakwater/testing';

test('ten thousand queued calls aborted by one signal all leave at once: no listener, no warning, no slot stays behind (B4, G4)', async () => {
  const warnings: Error[] = [];
  const note = (warning: Error): void => void warnings.push(warning);
  process.on('warning', note);
  try {
    const { run, policy, clock } = arrange(bulkhead({ maxConcurrent: 1, maxQueue: 10_000, maxWait: '1h' }));
    const caller = new AbortController();
    let end = (): void => undefined;
    const first = run(() => new Promise<void>((resolve) => (end = resolve)));
    let ran = 0;
    const why = new Error('the server shuts down');
    const calls = Array.from({ length: 10_000 }, () =>
      run(() => ran++, { signal: caller.signal }).then(
        () => 'ran',
        (reason: unknown) => reason,
      ),
    );
    expect(policy.queued).toBe(10_000);
    expect(getEventListeners(caller.signal, 'abort').length).toBeLessThanOrEqual(1);
    caller.abort(why);
    expect([policy.queued, clock.pending]).toEqual([0, 0]);
    expect(new Set(await Promise.all(calls))).toEqual(new Set([why]));
    expect(getEventListeners(caller.signal, 'abort')).toHaveLength(0);
    end();
    await first;
    expect([ran, policy.active]).toEqual([0, 0]);
    expect(await run(() => 'works')).toBe('works');
    await new Promise((resolve) => setImmediate(resolve));
    expect(warnings).toEqual([]);
  } finally {
    process.off('warning', note);
  }
});

test('an aborted call keeps no place behind a call that hangs for ever (B4)', async () => {
  const { run, policy, clock } = arrange(bulkhead({ maxConcurrent: 1, maxQueue: 2 }));
  void run(() => new Promise<never>(() => undefined));
  for (let i = 0; i < 50; i++) {
    const caller = new AbortController();
    const done = run(() => 'never', { signal: caller.signal }).catch((reason: unknown) => reason);
    expect(policy.queued).toBe(1);
    caller.abort(i);
    expect(policy.queued).toBe(0);
    expect(await clock.until(done)).toBe(i);
  }
});

test('aborting from the middle, the head and the end leaves the others in order (B3, B4)', async () => {
  const { run, policy, clock } = arrange(bulkhead({ maxConcurrent: 1, maxQueue: 100 }));
  let end = (): void => undefined;
  const first = run(() => new Promise<void>((resolve) => (end = resolve)));
  const started: number[] = [];
  const callers = Array.from({ length: 9 }, () => new AbortController());
  const calls = callers.map(({ signal }, id) => run(() => void started.push(id), { signal }).catch(() => undefined));
  for (const id of [4, 0, 8, 1]) callers[id]?.abort();
  expect(policy.queued).toBe(5);
  end();
  await clock.until(Promise.all([first, ...calls]));
  expect(started).toEqual([2, 3, 5, 6, 7]);
});
