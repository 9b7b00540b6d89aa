import { describe, expect, test } from 'vitest';
import {
  OptionsError,
  type Quota,
  adaptiveRate,
  bulkhead,
  composite,
  fixedWindow,
  hotKey,
  leakyBucket,
  perKey,
  pipeline,
  retry,
  slidingLog,
  timeout,
  tokenBucket,
} from 'breakwater';
import { VirtualClock } from 'breakwater/testing';

const names = (quotas: readonly Quota[]): string[] => quotas.map(({ policy }) => policy);

describe('quotas of a pipeline', () => {
  test('are what its rate limits allow and what is left, in numbers', async () => {
    const clock = new VirtualClock();
    const p = pipeline([fixedWindow({ limit: 3, window: '1m', name: 'minutely' }), tokenBucket({ rate: 2, burst: 10 })], { clock });
    p.tryAcquire();
    await clock.advance(250);
    p.tryAcquire();
    expect(p.quotas()).toEqual([
      { policy: 'minutely', limit: 3, window: 60_000, remaining: 1, reset: 59_750 },
      { policy: 'token-bucket', limit: 10, window: 5000, remaining: 8.5, reset: 250 },
    ]);
  });

  test('are those of limits that act: none of other policies, none of limits that are off or in shadow', () => {
    const limit = { limit: 1, window: '1s' } as const;
    const p = pipeline([
      timeout({ after: '1s' }),
      fixedWindow({ ...limit, name: 'off', mode: 'off' }),
      fixedWindow({ ...limit, name: 'shadow', mode: 'shadow' }),
      fixedWindow({ ...limit, name: 'none of them', mode: 0 }),
      fixedWindow({ ...limit, name: 'half of them', mode: 0.5 }),
      fixedWindow({ ...limit, name: 'asked', mode: () => 'enforce' }),
      perKey(() => fixedWindow({ ...limit, mode: 'shadow' })),
      perKey(() => bulkhead({ maxConcurrent: 1 }), { name: 'bulkheads' }),
      retry(),
    ]);
    expect(names(p.quotas({ key: 'ada' }))).toEqual(['half of them', 'asked']);
  });

  test('have a name each, those of nested pipelines and of composites too', () => {
    const inner = pipeline([tokenBucket({ rate: 1 }), tokenBucket({ rate: 2 })], { name: 'inner' });
    const limits = composite([fixedWindow({ limit: 5, window: '1s', name: 'burst' }), slidingLog({ limit: 9, window: '1h' })]);
    const p = pipeline([tokenBucket({ rate: 3 }), inner, limits, perKey(() => leakyBucket({ rate: 1 }))]);
    expect(names(p.quotas())).toEqual(['token-bucket', 'token-bucket-2', 'token-bucket-2-2', 'burst', 'composite (sliding-log)']);
    expect(names(p.quotas({ key: 'ada' })).at(-1)).toBe('per-key');
  });

  test('of a key are its own; asking keeps nothing for it', () => {
    const keyed = perKey((key) => fixedWindow({ limit: key === 'gold' ? 100 : 2, window: '1m' }));
    const p = pipeline([keyed]);
    p.tryAcquire({ key: 'ada' });
    const left = (key: string): number[] => p.quotas({ key }).map(({ remaining }) => remaining);
    expect([left('ada'), left('bob'), left('gold')]).toEqual([[1], [2], [100]]);
    expect(keyed.keys()).toEqual(['ada']);
    expect(p.quotas()).toEqual([]);
  });

  test('of a key for which there was no room are those of the policy that it shares', () => {
    const p = pipeline([perKey(() => fixedWindow({ limit: 2, window: '1m' }), { max: 1 })]);
    p.tryAcquire({ key: 'ada' });
    p.tryAcquire({ key: 'bob' });
    p.tryAcquire({ key: 'cy' });
    expect(p.quotas({ key: 'dee' })[0]).toMatchObject({ limit: 2, remaining: 0 });
    expect(p.tryAcquire({ key: 'dee' }).admitted).toBe(false);
  });

  test('of a key whose factory throws are none: the call will be told', () => {
    const p = pipeline([
      perKey((key) => {
        if (key !== '') throw new Error('unknown tenant');
        return tokenBucket({ rate: 1 });
      }),
    ]);
    expect(p.quotas({ key: 'ada' })).toEqual([]);
  });

  test('of a key given a policy of its own are those of that policy', () => {
    const keyed = perKey(() => tokenBucket({ rate: 5 }));
    const p = pipeline([keyed]);
    p.tryAcquire({ key: 'ada' });
    keyed.get('ada')?.update({ burst: 2 });
    expect(p.quotas({ key: 'ada' })[0]).toMatchObject({ limit: 2 });
  });

  test('of hot keys are there for keys that are hot or have a limit of their own', () => {
    const hot = hotKey({ limit: 4, threshold: 2, window: '1m', values: { vip: { limit: 50 }, never: { limit: 0 }, free: false } });
    const p = pipeline([hot], { clock: new VirtualClock() });
    expect(p.quotas({ key: 'phone' })).toEqual([]);
    for (let i = 0; i < 3; i++) p.tryAcquire({ key: 'phone' });
    expect(p.quotas({ key: 'phone' })).toEqual([{ policy: 'hot-key', limit: 4, window: 60_000, remaining: 1, reset: 15_000 }]);
    expect(p.quotas({ key: 'vip' })[0]).toMatchObject({ limit: 50, remaining: 50, reset: 0 });
    expect(p.quotas({ key: 'never' })[0]).toMatchObject({ limit: 0, window: 60_000, remaining: 0, reset: 0 });
    expect([...p.quotas({ key: 'free' }), ...p.quotas({ key: 'lamp' }), ...p.quotas()]).toEqual([]);
  });

  test('of an adaptive rate are there once it has found a limit', async () => {
    const p = pipeline([adaptiveRate({ maxWait: 0 })], { clock: new VirtualClock() });
    expect(p.quotas()).toEqual([]);
    await p.execute(() => new Response('', { status: 429 }));
    expect(p.quotas()).toEqual([{ policy: 'adaptive-rate', limit: 1, window: 2000, remaining: 0, reset: 2000 }]);
  });

  test('of a composite with calls that wait are used up, whatever its limits have left', async () => {
    const clock = new VirtualClock();
    const hourly = fixedWindow({ limit: 100, window: '1h', name: 'hourly' });
    const p = pipeline([composite([tokenBucket({ rate: 1, name: 'each second' }), hourly], { maxWait: '5s' })], { clock });
    const calls = [p.execute(() => 1), p.execute(() => 2)];
    await clock.advance(0);
    expect(p.quotas().map(({ remaining, reset }) => [remaining, reset])).toEqual([
      [0, 2000],
      [0, 2000],
    ]);
    await clock.runAll();
    await Promise.all(calls);
    expect(p.quotas()[1]?.remaining).toBe(98);
  });

  test('are asked for with a key that is a string, or without one', () => {
    const p = pipeline([perKey(() => tokenBucket({ rate: 1 }))], { name: 'api' });
    for (const wrong of [{ key: 7 }, 'ada', null]) expect(() => p.quotas(wrong as never)).toThrow(OptionsError);
    expect(() => p.quotas({ key: 7 } as never)).toThrow('api.quotas');
  });
});
