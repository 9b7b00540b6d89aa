import { getEventListeners } from 'node:events';
import { expect, test } from 'vitest';
import { arrange } from 'breakwater/testing';
import { leakyBucket } from '../../src/policies/leaky-bucket.ts';
import { tokenBucket } from '../../src/policies/token-bucket.ts';

// Elsewhere a caller that has gone keeps its place, and those behind it wait for nobody.
const limiters = [
  ['tokenBucket', () => tokenBucket({ rate: 10, burst: 1, maxWait: '10h', maxQueue: 20_000 })],
  ['leakyBucket', () => leakyBucket({ rate: 10, maxQueueTime: '10h', maxQueue: 20_000 })],
] as const;

test.each(limiters)(
  '%s: ten thousand waiting calls aborted by one signal leave no place, listener or timer behind',
  async (_name, make) => {
    const limiter = make();
    const { run, clock } = arrange(limiter);
    await run(() => 1);
    const caller = new AbortController();
    let ran = 0;
    const calls = Array.from({ length: 10_000 }, () => run(() => ran++, { signal: caller.signal }).catch((reason: unknown) => reason));
    const survivor = run(() => clock.now());
    expect(limiter.waiting).toBe(10_001);
    caller.abort('shutdown');
    expect(limiter.waiting).toBe(1);
    expect(new Set(await Promise.all(calls))).toEqual(new Set(['shutdown']));
    expect(await clock.until(survivor)).toBe(100);
    expect([ran, clock.pending, getEventListeners(caller.signal, 'abort').length]).toEqual([0, 0, 0]);
  },
);

test.each(limiters)(
  '%s: aborting from the middle, the head and the end leaves the others in order and each on its new time',
  async (_name, make) => {
    const { run, clock } = arrange(make());
    await run(() => 1);
    const callers = Array.from({ length: 9 }, () => new AbortController());
    const left: [number, number][] = [];
    const calls = callers.map(({ signal }, id) => run(() => left.push([id, clock.now()]), { signal }).catch(() => undefined));
    for (const id of [4, 0, 8, 1]) callers[id]?.abort();
    await clock.until(Promise.all(calls));
    expect(left).toEqual([
      [2, 100],
      [3, 200],
      [5, 300],
      [6, 400],
      [7, 500],
    ]);
  },
);
