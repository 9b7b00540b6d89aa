import { createHash } from 'node:crypto';
import Bottleneck from 'bottleneck';
import { OptionsError, pipeline } from 'breakwater';
import { bottleneckLimiter } from 'breakwater/bottleneck';
import { describe, expect, test } from 'vitest';
import { hop } from '../../src/testing/hop.ts';
import { pass, useTurns } from '../interop/bottleneck-turns.ts';

useTurns();

describe('a group that lets its limiters go before their reservoirs are filled again', () => {
  const refreshed = { reservoir: 1, reservoirRefreshInterval: 600_000, reservoirRefreshAmount: 1 };
  const increased = { reservoir: 1, reservoirIncreaseInterval: 100, reservoirIncreaseAmount: 1, timeout: 100 };

  test.each([
    ['reservoirRefreshInterval', refreshed, 'less than the timeout of the group (300000 ms)'],
    ['reservoirIncreaseInterval', increased, 'less than the timeout of the group (100 ms)'],
  ])('is refused, since calls would wait for good (%s)', (name, options, expected) => {
    const made = (): unknown => bottleneckLimiter(new Bottleneck.Group(options));
    expect(made).toThrow(OptionsError);
    expect(made).toThrow(`bottleneckLimiter.group.${name}: expected ${expected}`);
  });

  test('with a longer timeout calls wait for the reservoir and are let in', async () => {
    const group = new Bottleneck.Group({ ...refreshed, timeout: 700_000 });
    const api = pipeline([bottleneckLimiter(group)]);
    const calls = [1, 2].map((n) => api.execute(() => n, { key: 'a' }));
    await pass(601_000);
    expect(await Promise.all(calls)).toEqual([1, 2]);
    await group.disconnect();
  });
});

describe('stop, called twice', () => {
  test.each([
    ['a limiter', () => bottleneckLimiter({ maxConcurrent: 1 })],
    ['a group', () => bottleneckLimiter(new Bottleneck.Group({ maxConcurrent: 1 }))],
  ])('resolves both times, when what runs has ended (%s)', async (_what, make) => {
    const limiter = make();
    let end = (): void => undefined;
    const call = pipeline([limiter]).execute(() => new Promise<void>((resolve) => (end = resolve)), { key: 'a' });
    await hop();
    const stopped: number[] = [];
    const stops = [1, 2].map((n) => limiter.stop().then(() => stopped.push(n)));
    await hop();
    expect(stopped).toEqual([]);
    end();
    await Promise.all([call, ...stops]);
    await limiter.stop();
  });

  test('also where the limiter itself was stopped first', async () => {
    const yours = new Bottleneck();
    await yours.stop();
    await expect(bottleneckLimiter(yours).stop()).resolves.toBeUndefined();
  });
});

describe('keys that look like what is no key', () => {
  test('the hash of a long key has a limiter of its own', async () => {
    const long = 'x'.repeat(1000);
    const hash = `sha256:${createHash('sha256').update(long, 'utf16le').digest('hex').slice(0, 32)}`;
    expect(await limitersOf([long, hash, `sha256:${hash}`])).toBe(3);
  });

  test('so has the name of a limiter that keys share', async () => {
    const keys = Array.from({ length: 300 }, (_, i) => `shared:${i}`);
    const group = new Bottleneck.Group({ maxConcurrent: 1 });
    const api = pipeline([bottleneckLimiter(group, { maxKeys: 1 })]);
    for (const key of ['first', 'second']) await api.execute(() => 1, { key });
    expect(group.keys()).toEqual(['first', 'shared:0']);
    expect(await limitersOf([...keys, 'shared:shared:7', 'shared:', 'shared:x'])).toBe(303);
  });

  async function limitersOf(keys: readonly string[]): Promise<number> {
    const group = new Bottleneck.Group({ maxConcurrent: 1 });
    const api = pipeline([bottleneckLimiter(group)]);
    for (const key of keys) await api.execute(() => 1, { key });
    expect(group.keys()).not.toContain('shared:7');
    return group.keys().length;
  }
});
