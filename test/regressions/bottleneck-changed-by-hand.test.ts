import type Bottleneck from 'bottleneck';
import { perKey, pipeline } from 'breakwater';
import { bottleneckLimiter } from 'breakwater/bottleneck';
import { describe, expect, test } from 'vitest';
import { pass, useTurns } from '../interop/bottleneck-turns.ts';

useTurns();

describe('perKey keeps a limiter of bottleneck that was changed by hand', () => {
  const options = { maxConcurrent: 5, reservoir: 3, reservoirRefreshInterval: 1000, reservoirRefreshAmount: 4 };
  test.each<[string, boolean, (limiter: Bottleneck) => unknown]>([
    ['not at all', false, () => undefined],
    ['a setting', true, (limiter) => limiter.updateSettings({ maxConcurrent: 1 })],
    ['a setting, and back', false, (limiter) => [1, 5].map((maxConcurrent) => limiter.updateSettings({ maxConcurrent }))],
    ['a switch', true, (limiter) => limiter.updateSettings({ rejectOnDrop: false })],
    ['no reservoir any more', true, (limiter) => limiter.updateSettings({ reservoir: null, reservoirRefreshInterval: null })],
    ['chained to another', true, (limiter) => limiter.chain(bottleneckLimiter({}).limiter)],
    ['stopped', true, (limiter) => limiter.stop()],
  ])('%s', async (_what, kept, change) => {
    const policy = perKey(() => bottleneckLimiter(options), { idle: 10 });
    const api = pipeline([policy]);
    await api.execute(() => 1, { key: 'a' });
    await pass(1500);
    await change((policy.get('a') as { limiter: Bottleneck }).limiter);
    await pass(20);
    for (const key of ['b', 'c']) {
      await api.execute(() => 1, { key });
      await pass(key === 'b' ? 500 : 0);
    }
    await pass(20);
    expect(policy.keys().includes('a')).toBe(kept);
  });

  test('more in its reservoir than it was made with', async () => {
    const policy = perKey(() => bottleneckLimiter({ reservoir: 3 }), { idle: 10 });
    const api = pipeline([policy]);
    const give = async (key: string, more: number): Promise<void> => {
      await api.execute(() => 1, { key });
      await policy.get(key)?.limiter.incrementReservoir(more);
      await pass(500);
    };
    await give('a', 2);
    await give('b', 1);
    await give('c', 1);
    await give('d', 1);
    expect(policy.keys()).toContain('a');
    expect(policy.keys()).not.toContain('b');
  });

  test('a stopped one stays stopped', async () => {
    const policy = perKey(() => bottleneckLimiter({ maxConcurrent: 5 }), { max: 2 });
    const api = pipeline([policy]);
    await api.execute(() => 1, { key: 'a' });
    await policy.get('a')?.stop();
    for (const key of ['b', 'c', 'd']) await api.execute(() => 1, { key });
    expect(await api.executeOutcome(() => 1, { key: 'a' })).toMatchObject({ ok: false, error: { code: 'ERR_SHUTDOWN' } });
  });
});
