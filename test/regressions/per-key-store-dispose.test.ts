import { LRUCache } from 'lru-cache';
import { expect, test } from 'vitest';
import { type TokenBucket, perKey, pipeline, tokenBucket } from 'breakwater';

const bucket = (): TokenBucket => tokenBucket({ rate: 1, per: '1ms', burst: 50 });

test('a dispose that makes calls through the same pipeline brings about no further eviction', async () => {
  // An lru-cache tells of an entry before it takes it out. The call that dispose made found the cache full, let the same entry go once more, and so on: 435 times for one eviction.
  const disposed: string[] = [];
  const store: LRUCache<string, TokenBucket> = new LRUCache({
    max: 3,
    dispose: (_policy, key) => {
      disposed.push(key);
      if (disposed.length < 1000) void limited.execute(() => 'told', { key: `news of ${key} ${disposed.length}` }).catch(() => undefined);
    },
  });
  const limited = pipeline([perKey(bucket, { store, idle: 0 })]);
  for (const key of ['a', 'b', 'c']) await limited.execute(() => 1, { key });
  await new Promise((resolve) => setTimeout(resolve, 3));
  expect(await limited.execute(() => 'in', { key: 'd' })).toBe('in');
  expect(disposed.length).toBeLessThanOrEqual(4);
  expect(store.size).toBeLessThanOrEqual(3);
});
