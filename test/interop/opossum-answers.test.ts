import CircuitBreaker from 'opossum';
import { describe, expect, it, vi } from 'vitest';
import { type AnyEvent, type Call, OptionsError, bulkhead, perKey, pipeline, retry, tokenBucket } from 'breakwater';
import { type CacheTransport, opossumBreaker } from 'breakwater/opossum';
import { hop } from '../../src/testing/hop.ts';
import { useProcessTime } from '../support/process-clock.ts';

useProcessTime();

interface Failed {
  readonly ok: false;
  readonly error: unknown;
}

const down = (): Promise<never> => Promise.reject(new Error('down'));
const never = (): Promise<never> => new Promise(() => undefined);

function typesOf(watched: { on(type: '*', listener: (event: AnyEvent) => void): unknown }): string[] {
  const types: string[] = [];
  watched.on('*', ({ type }) => {
    if (type.startsWith('opossum.')) types.push(type);
  });
  return types;
}

describe("a fallback of the breaker's", () => {
  it('answers for errors, timeouts, an open circuit and full places, flagged as degraded; it is given the call and the error', async () => {
    const breaker = opossumBreaker<string>({ timeout: '1s', volumeThreshold: 4, capacity: 1 });
    const asked: unknown[] = [];
    breaker.breaker.fallback((call: Call, error: unknown) => {
      asked.push([call.key, (error as { code?: string }).code]);
      return `instead of ${String(call.key)}`;
    });
    const users = pipeline([breaker]);
    const types = typesOf(users);
    expect(await users.executeOutcome(down, { key: 'a' })).toEqual({ ok: true, value: 'instead of a', degraded: true });
    const slow = users.executeOutcome(never, { key: 'b' });
    expect(await users.executeOutcome(never, { key: 'c' })).toEqual({ ok: true, value: 'instead of c', degraded: true });
    await vi.advanceTimersByTimeAsync(1000);
    expect(await slow).toEqual({ ok: true, value: 'instead of b', degraded: true });
    await users.execute(down);
    expect(breaker.state).toBe('open');
    expect(await users.execute(() => 'never runs', { key: 'd' })).toBe('instead of d');
    expect(asked).toEqual([
      ['a', undefined],
      ['c', 'ESEMLOCKED'],
      ['b', 'ETIMEDOUT'],
      [undefined, undefined],
      ['d', 'EOPENBREAKER'],
    ]);
    expect(types.filter((type) => type === 'opossum.fallback-used')).toHaveLength(5);
    expect(breaker.snapshot().fallbacks).toBe(5);
  });

  it('answers also where the time was up before the work could start', async () => {
    const breaker = opossumBreaker<string>({ timeout: '1s' });
    breaker.breaker.fallback(() => 'instead');
    const users = pipeline([breaker, bulkhead({ maxConcurrent: 1, maxQueue: 1 })]);
    const calls = [users.execute(never), users.execute(never)];
    await vi.advanceTimersByTimeAsync(1000);
    expect(await Promise.all(calls)).toEqual(['instead', 'instead']);
    expect(breaker.snapshot()).toMatchObject({ timeouts: 2, fallbacks: 2, active: 0 });
  });

  it('leaves successes, filtered errors, refusals inside and aborts alone', async () => {
    const answer = vi.fn(() => 'instead');
    const breaker = opossumBreaker({ errorFilter: (error: Error) => error.message === 'fine' });
    breaker.breaker.fallback(answer);
    const users = pipeline([breaker]);
    expect(await users.executeOutcome(() => 'work')).toEqual({ ok: true, value: 'work' });
    const fine = new Error('fine');
    expect(((await users.executeOutcome(() => Promise.reject(fine))) as Failed).error).toBe(fine);
    const caller = new AbortController();
    const call = users.executeOutcome(never, { signal: caller.signal });
    caller.abort('enough');
    expect(await call).toEqual({ ok: false, error: 'enough' });
    const limited = pipeline([breaker, tokenBucket({ rate: 1, burst: 1 })]);
    await limited.execute(() => 1);
    expect(await limited.executeOutcome(() => 1)).toMatchObject({ error: { code: 'ERR_RATE_LIMITED' } });
    expect(answer).not.toHaveBeenCalled();
  });

  it('fails with its own error, at once or later; one that passes the error on leaves it as it was', async () => {
    const breaker = opossumBreaker({ volumeThreshold: 100 });
    const users = pipeline([breaker]);
    const types = typesOf(users);
    const lost = new Error('no answer either');
    const error = new Error('down');
    breaker.breaker.fallback(() => {
      throw lost;
    });
    expect(((await users.executeOutcome(() => Promise.reject(error))) as Failed).error).toBe(lost);
    breaker.breaker.fallback(() => Promise.reject(lost));
    expect(((await users.executeOutcome(() => Promise.reject(error))) as Failed).error).toBe(lost);
    breaker.breaker.fallback((_: Call, given: unknown) => Promise.reject(given));
    expect(((await users.executeOutcome(() => Promise.reject(error))) as Failed).error).toBe(error);
    expect(types).toEqual(['opossum.fallback-failed', 'opossum.fallback-failed']);
  });

  it('may take its time, and an abort ends the wait for it', async () => {
    const breaker = opossumBreaker();
    breaker.breaker.fallback(never);
    const caller = new AbortController();
    const call = pipeline([breaker]).executeOutcome(down, { signal: caller.signal });
    await hop();
    caller.abort('enough');
    expect(await call).toEqual({ ok: false, error: 'enough' });
  });

  it('may be another breaker, as with opossum', async () => {
    const other = new CircuitBreaker(() => 'the other');
    const breaker = opossumBreaker<string>();
    breaker.breaker.fallback(other);
    expect(await pipeline([breaker]).execute(down)).toBe('the other');
  });

  it('has no say where there is no work to answer for, and is not even asked', async () => {
    const answer = vi.fn(() => 'instead');
    const breaker = opossumBreaker();
    breaker.breaker.fallback(answer);
    const gates = pipeline([breaker]);
    (await gates.acquire()).failure(new Error('down'));
    await expect(gates.acquire()).rejects.toMatchObject({ code: 'ERR_CIRCUIT_OPEN' });
    const keyed = pipeline([
      perKey(() => {
        const own = opossumBreaker();
        own.breaker.fallback(answer);
        return own;
      }),
    ]);
    expect(await keyed.executeOutcome(down, { key: 'a' })).toMatchObject({ error: { message: 'down' } });
    expect(answer).not.toHaveBeenCalled();
  });

  it('counts as a success for what stands outside: a retry has nothing to do', async () => {
    const breaker = opossumBreaker<string>();
    breaker.breaker.fallback(() => 'instead');
    const work = vi.fn(down);
    expect(await pipeline([retry(), breaker]).execute(work)).toBe('instead');
    expect(work).toHaveBeenCalledTimes(1);
  });
});

describe('a cache', () => {
  it('answers calls of one key with the first success, and never those without a key', async () => {
    const breaker = opossumBreaker({ cache: true, cacheTTL: '10s' });
    const users = pipeline([breaker]);
    const types = typesOf(users);
    let runs = 0;
    const work = (): Promise<number> => Promise.resolve(++runs);
    expect([await users.execute(work, { key: 'a' }), await users.execute(work, { key: 'a' })]).toEqual([1, 1]);
    expect(await users.execute(work, { key: 'b' })).toBe(2);
    expect([await users.execute(work), await users.execute(work)]).toEqual([3, 4]);
    expect(types).toEqual(['opossum.cache-used']);
    expect(breaker.snapshot()).toMatchObject({ calls: 5, cacheHits: 1, cacheMisses: 2, successes: 4 });
    await vi.advanceTimersByTimeAsync(10_000);
    expect(await users.execute(work, { key: 'a' })).toBe(5);
    breaker.breaker.clearCache();
    expect(await users.execute(work, { key: 'a' })).toBe(6);
  });

  it('keeps no errors, and answers also while the circuit is open', async () => {
    const users = pipeline([opossumBreaker({ cache: true })]);
    await users.execute(() => 'kept', { key: 'a' });
    for (let i = 0; i < 2; i++) await users.executeOutcome(down, { key: 'b' });
    expect(await users.executeOutcome(() => 'never runs', { key: 'b' })).toMatchObject({ error: { code: 'ERR_CIRCUIT_OPEN' } });
    expect(await users.execute(() => 'never runs', { key: 'a' })).toBe('kept');
  });

  it('may have a key and a transport of yours; what they throw is reported, and the work runs', async () => {
    const kept = new Map<string, unknown>();
    const transport: CacheTransport = {
      get: (key) => kept.get(key),
      set: (key, value) => void kept.set(key, value),
      flush: () => kept.clear(),
    };
    const breaker = opossumBreaker({
      cache: true,
      cacheTransport: transport,
      cacheGetKey: ({ tags }) => (tags['odd'] === undefined ? (tags['id'] as string | undefined) : (5 as never)),
    });
    const users = pipeline([breaker]);
    const failed: string[] = [];
    users.on('pipeline.callback-failed', ({ callback }) => void failed.push(callback));
    expect(await users.execute(() => 1, { tags: { id: 'x' } })).toBe(1);
    expect(kept.get('x')).toBeInstanceOf(Promise);
    expect(await users.execute(() => 2, { tags: { id: 'x' } })).toBe(1);
    expect(await users.execute(() => 3, { tags: { odd: true } })).toBe(3);
    const slip = (): never => {
      throw new Error('a slip');
    };
    Object.assign(transport, { get: slip, set: slip });
    expect(await users.execute(() => 4, { tags: { id: 'x' } })).toBe(4);
    expect(failed).toEqual(['cacheGetKey', 'cacheTransport.get', 'cacheTransport.set']);
    expect(breaker.snapshot()).toMatchObject({ active: 0, state: 'closed', failures: 0 });
  });
});

describe('coalescing', () => {
  it('gives calls of one key the answer of the one under way', async () => {
    const breaker = opossumBreaker({ coalesce: true, coalesceResetOn: ['success', 'error', 'timeout'] });
    const users = pipeline([breaker]);
    const types = typesOf(users);
    let answer = (_: string): void => undefined;
    const work = vi.fn(() => new Promise<string>((resolve) => (answer = resolve)));
    const calls = [1, 2, 3].map(() => users.execute(work, { key: 'a' }));
    const keyless = users.execute(() => 'by itself');
    answer('shared');
    expect(await Promise.all([...calls, keyless])).toEqual(['shared', 'shared', 'shared', 'by itself']);
    expect(work).toHaveBeenCalledTimes(1);
    expect(types).toEqual(['opossum.coalesce-used', 'opossum.coalesce-used']);
    expect(breaker.snapshot()).toMatchObject({ coalesceCacheHits: 2, coalesceCacheMisses: 1 });
    expect(await users.execute(() => 'anew', { key: 'a' })).toBe('anew');
  });

  it('shares errors and timeouts too, each caller with an error of ours', async () => {
    const users = pipeline([opossumBreaker({ coalesce: true, timeout: '1s', volumeThreshold: 9 })]);
    const error = new Error('down');
    const failing = [1, 2].map(() => users.executeOutcome(() => Promise.reject(error), { key: 'a' }));
    for (const outcome of await Promise.all(failing)) expect((outcome as Failed).error).toBe(error);
    const slow = [1, 2].map(() => users.executeOutcome(never, { key: 'b' }));
    await vi.advanceTimersByTimeAsync(1000);
    for (const outcome of await Promise.all(slow))
      expect(outcome).toMatchObject({ ok: false, error: { code: 'ERR_TIMEOUT', after: 1000 } });
  });

  it('does not take the others down with a caller who gives up: the next one goes ahead', async () => {
    const users = pipeline([opossumBreaker({ coalesce: true })]);
    const caller = new AbortController();
    const first = users.executeOutcome(never, { key: 'a', signal: caller.signal });
    const second = users.executeOutcome(() => 'its own', { key: 'a' });
    await hop();
    caller.abort('enough');
    expect(await first).toEqual({ ok: false, error: 'enough' });
    expect(await second).toEqual({ ok: true, value: 'its own' });
  });

  it('lets each caller give up by itself, and tells of a lesser answer that was shared', async () => {
    const breaker = opossumBreaker<string>({ coalesce: true });
    breaker.breaker.fallback(() => 'instead');
    const users = pipeline([breaker]);
    let fail = (): void => undefined;
    const work = (): Promise<never> => new Promise((_, reject) => (fail = () => reject(new Error('down'))));
    const first = users.executeOutcome(work, { key: 'a' });
    const caller = new AbortController();
    const second = users.executeOutcome(work, { key: 'a', signal: caller.signal });
    const third = users.executeOutcome(work, { key: 'a' });
    await hop();
    caller.abort('enough');
    expect(await second).toEqual({ ok: false, error: 'enough' });
    fail();
    expect(await Promise.all([first, third])).toEqual([
      { ok: true, value: 'instead', degraded: true },
      { ok: true, value: 'instead', degraded: true },
    ]);
  });

  it('needs work to run: there is no gate for those who only ask for admission', async () => {
    const gates = pipeline([opossumBreaker({ coalesce: true })]);
    await expect(gates.acquire()).rejects.toThrow(OptionsError);
    expect(() => perKey(() => opossumBreaker({ cache: true }) as never)).toThrow(OptionsError);
  });

  it('stands back where the breaker does not always act', async () => {
    const users = pipeline([opossumBreaker({ cache: true, mode: 'shadow' })]);
    let runs = 0;
    for (let i = 0; i < 3; i++) await users.execute(() => ++runs, { key: 'a' });
    expect(runs).toBe(3);
  });
});
