/** docs/how-to/guard-redis.md against a Redis that dies in the two ways that servers die. */

import { once } from 'node:events';
import { type Classifier, type Pipeline, bulkhead, circuitBreaker, fallback, pipeline, timeout } from 'breakwater';
import { Redis } from 'ioredis';
import { describe, expect, onTestFinished, test } from 'vitest';
import { type SmallRedis, smallRedis } from './small-redis.ts';

/** What the page says. */
const failFast = { maxRetriesPerRequest: 0, enableOfflineQueue: false, autoResendUnfulfilledCommands: false, commandTimeout: 60 };

const unfit = /^(LOADING|BUSY|OOM|READONLY|MASTERDOWN|CLUSTERDOWN|TRYAGAIN)/;
const answered = (error: unknown) => error instanceof Error && error.name === 'ReplyError' && !unfit.test(error.message);
const classify: Classifier = (outcome) => (!outcome.ok && answered(outcome.error) ? 'success' : undefined);

async function connected(server: SmallRedis, options: Partial<typeof failFast> = failFast): Promise<Redis> {
  const redis = new Redis({ ...options, host: '127.0.0.1', port: server.port, protocol: 2, retryStrategy: () => 20 });
  redis.on('error', () => undefined);
  onTestFinished(() => redis.disconnect());
  await once(redis, 'ready');
  return redis;
}

function guarded(): Pipeline & { readonly breaker: ReturnType<typeof circuitBreaker> } {
  const breaker = circuitBreaker({ consecutiveFailures: 3, openFor: 100 });
  const cache = pipeline(
    [
      fallback({ value: null, when: (outcome) => !outcome.ok && !answered(outcome.error) }),
      breaker,
      bulkhead({ maxConcurrent: 10 }),
      timeout({ after: 40 }),
    ],
    {
      name: 'redis',
      classify,
    },
  );
  return Object.assign(cache as unknown as Pipeline, { breaker });
}

describe('trap: a dead Redis hangs your requests', () => {
  test('left as it is, a command to a Redis that has fallen silent waits for as long as the caller does', async () => {
    const server = await smallRedis();
    const redis = await connected(server, {});
    server.silent = true;
    const patience = new Promise((resolve) => setTimeout(resolve, 150, 'still waiting'));
    expect(await Promise.race([redis.get('a').catch(() => 'an answer'), patience])).toBe('still waiting');
  });

  test('left as it is, a command to a Redis that is gone waits for one that comes back', async () => {
    const server = await smallRedis();
    const redis = await connected(server, {});
    await server.leave();
    const patience = new Promise((resolve) => setTimeout(resolve, 150, 'still waiting'));
    expect(await Promise.race([redis.get('a').catch(() => 'an answer'), patience])).toBe('still waiting');
  });

  test('guarded, a silent one costs each command its time-out, then nothing: the circuit opens', async () => {
    const server = await smallRedis();
    const redis = await connected(server);
    const cache = guarded();
    await cache.execute(() => redis.set('a', '1'));
    expect(await cache.execute(() => redis.get('a'))).toBe('1');
    server.silent = true;
    for (let i = 0; i < 3; i++) expect(await cache.execute(() => redis.get('a'))).toBeNull();
    expect(cache.breaker.state).toBe('open');
    const before = server.seen.length;
    expect(await cache.execute(() => redis.get('a'))).toBeNull();
    expect(server.seen.length).toBe(before);
  });

  test('commands that timed out give their slots back once the client gives them up, and not before', async () => {
    const server = await smallRedis();
    const redis = await connected(server);
    const slots = bulkhead({ maxConcurrent: 2 });
    const cache = pipeline([slots, timeout({ after: 10 })]);
    server.silent = true;
    const lost = [cache.executeOutcome(() => redis.get('a')), cache.executeOutcome(() => redis.get('b'))];
    expect((await Promise.all(lost)).map(({ ok }) => ok)).toEqual([false, false]);
    expect(slots.active).toBe(2);
    await expect.poll(() => slots.active).toBe(0);
  });

  test('guarded, one that is gone fails at once, and is used again when it is back', async () => {
    const server = await smallRedis();
    const redis = await connected(server);
    const cache = guarded();
    await cache.execute(() => redis.set('a', '1'));
    const gone = once(redis, 'close');
    await server.leave();
    await gone;
    const from = performance.now();
    for (let i = 0; i < 50; i++) expect(await cache.execute(() => redis.get('a'))).toBeNull();
    expect(performance.now() - from).toBeLessThan(1000);
    expect(cache.breaker.state).toBe('open');
    await server.comeBack();
    await expect.poll(() => cache.execute(() => redis.get('a')), { timeout: 5000 }).toBe('1');
  });
});

test('an error that Redis answers with is an answer: it reaches the caller and opens no circuit', async () => {
  const server = await smallRedis();
  const redis = await connected(server);
  const breaker = circuitBreaker({ consecutiveFailures: 1 });
  const cache = pipeline([breaker, timeout({ after: 1000 })], { classify });
  await expect(cache.execute(() => redis.incr('a'))).rejects.toThrow('WRONGTYPE');
  expect(breaker.state).toBe('closed');
  await expect(guarded().execute(() => redis.incr('a'))).rejects.toThrow('WRONGTYPE');
});

test('a command is sent once: neither the client nor the pipeline repeats what may have been done', async () => {
  const server = await smallRedis();
  const redis = await connected(server);
  server.silent = true;
  const cache = guarded();
  await cache.execute(() => redis.set('count', '1'));
  server.silent = false;
  await expect.poll(() => redis.status).toBe('ready');
  expect(server.seen.filter((name) => name === 'set')).toHaveLength(1);
});
