import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import CircuitBreaker from 'opossum';
import { describe, expect, it, vi } from 'vitest';
import { type AnyEvent, OptionsError, type Pipeline, perKey, pipeline } from 'breakwater';
import { opossumBreaker } from 'breakwater/opossum';
import { hop } from '../../src/testing/hop.ts';
import { useProcessTime } from '../support/process-clock.ts';

const down = (): Promise<never> => Promise.reject(new Error('down'));
const never = (): Promise<never> => new Promise(() => undefined);

describe('a breaker that is in use already', () => {
  useProcessTime();

  it('shares state, counts and places with what it was made for', async () => {
    const action = vi.fn((id: number) => Promise.resolve(`user ${id}`));
    const yours = new CircuitBreaker(action, { volumeThreshold: 3, capacity: 2, resetTimeout: 1000, name: 'users' });
    const policy = opossumBreaker(yours);
    expect(policy.breaker).toBe(yours);
    expect([policy.name, policy.kind, policy.mode]).toEqual([undefined, 'opossum', 'enforce']);
    const users = pipeline([policy]);
    expect([await yours.fire(7), await users.execute(() => 'work')]).toEqual(['user 7', 'work']);
    expect(yours.stats).toMatchObject({ fires: 2, successes: 2 });
    const caller = new AbortController();
    const running = [1, 2].map(() => users.executeOutcome(never, { signal: caller.signal }));
    await expect(yours.fire(8)).rejects.toMatchObject({ code: 'ESEMLOCKED' });
    caller.abort();
    await Promise.all(running);
    for (let i = 0; i < 4; i++) await users.executeOutcome(down);
    expect(yours.opened).toBe(true);
    await expect(yours.fire(9)).rejects.toMatchObject({ code: 'EOPENBREAKER' });
    await vi.advanceTimersByTimeAsync(1000);
    expect(await yours.fire(10)).toBe('user 10');
    expect(policy.state).toBe('closed');
    expect(action).toHaveBeenCalledTimes(2);
  });

  it('tells its own listeners of calls in the pipeline, with the call as the argument', async () => {
    const yours = new CircuitBreaker(() => 1, { volumeThreshold: 9 });
    const heard: unknown[] = [];
    for (const event of ['fire', 'success', 'failure', 'reject'])
      yours.on(event, function (this: unknown, ...args: unknown[]) {
        heard.push([event, this === yours, event === 'failure' ? (args[2] as [{ key: string }])[0].key : typeof args[0]]);
      });
    const users = pipeline([opossumBreaker(yours)]);
    await users.execute(() => 'text', { key: 'a' });
    await users.executeOutcome(down, { key: 'b' });
    expect(heard).toEqual([
      ['fire', true, 'object'],
      ['success', true, 'string'],
      ['fire', true, 'object'],
      ['failure', true, 'b'],
    ]);
  });

  it('keeps its errorFilter, its fallback and its cache; keys are those of the calls, where it has no function for that', async () => {
    const filtered = new CircuitBreaker(() => 1, { errorFilter: (error: Error) => error.message === 'down' });
    const users = pipeline([opossumBreaker(filtered)]);
    await users.executeOutcome(down);
    expect(filtered.closed).toBe(true);
    const cached = new CircuitBreaker((id: string) => `fired ${id}`, { cache: true });
    cached.fallback(() => 'instead');
    const kept = pipeline([opossumBreaker<string, typeof cached>(cached)]);
    expect(await cached.fire('a')).toBe('fired a');
    expect(await kept.execute(() => 'worked', { key: 'a' })).toBe('worked');
    expect(await kept.execute(() => 'worked again', { key: 'a' })).toBe('worked');
    expect(await kept.execute(down, { key: 'b' })).toBe('instead');
    const own = new CircuitBreaker(() => 1, { cache: true, cacheGetKey: (call: { key?: string }) => call.key?.toLowerCase() });
    const folded = pipeline([opossumBreaker(own)]);
    expect([await folded.execute(() => 1, { key: 'A' }), await folded.execute(() => 2, { key: 'a' })]).toEqual([1, 1]);
  });

  it('has one set of listeners, in however many policies and pipelines, and never too many', async () => {
    const warned = vi.spyOn(process, 'emitWarning').mockImplementation(() => undefined);
    const yours = new CircuitBreaker(() => 1, { volumeThreshold: 1 });
    const before = yours.eventNames().map((event) => yours.listenerCount(event));
    const pipelines: Pipeline[] = [];
    const told: string[] = [];
    for (let i = 0; i < 50; i++) {
      const one = pipeline([opossumBreaker(yours)], { name: `p${i}` });
      one.on('opossum.opened', (event) => void told.push(event.pipeline));
      pipelines.push(one);
    }
    const after = yours.eventNames().map((event) => yours.listenerCount(event));
    expect(after.every((count, i) => count <= (before[i] ?? 0) + 1)).toBe(true);
    await pipelines[7]?.executeOutcome(down);
    expect(told).toEqual(pipelines.map(({ name }) => name));
    expect(warned).not.toHaveBeenCalled();
    warned.mockRestore();
  });

  it('is described by its own options', () => {
    const yours = new CircuitBreaker(() => 1, { timeout: false, volumeThreshold: 7, errorFilter: () => false });
    expect(opossumBreaker(yours, { name: 'users' }).describe()).toMatchObject({
      timeout: false,
      volumeThreshold: 7,
      window: { duration: 10_000 },
    });
    expect(JSON.stringify(opossumBreaker(yours).snapshot())).toBe(JSON.stringify({ ...opossumBreaker(yours).snapshot() }));
  });

  it('that was open before says so, and not for how long', async () => {
    const yours = new CircuitBreaker(() => 1);
    yours.open();
    const users = pipeline([opossumBreaker(yours)]);
    expect(await users.executeOutcome(() => 1)).toMatchObject({ error: { code: 'ERR_CIRCUIT_OPEN', retryAfter: undefined } });
  });

  it('made here may be fired too, with the function to call', async () => {
    const policy = opossumBreaker();
    expect(await policy.breaker.fire(() => 'fired')).toBe('fired');
    expect(policy.snapshot().successes).toBe(1);
  });

  it('must be one: something else is refused', () => {
    for (const wrong of [5, 'users', () => 1, { fire: () => 1 }, null]) expect(() => opossumBreaker(wrong as never)).toThrow(OptionsError);
  });
});

describe('a breaker for each key', () => {
  useProcessTime();

  it('opens for one key and not for others', async () => {
    const hosts = pipeline([perKey(() => opossumBreaker({ timeout: '1s', resetTimeout: '5s' }))]);
    const types: unknown[] = [];
    hosts.on('*', ({ type, key }: AnyEvent) => {
      if (type.startsWith('opossum.')) types.push([type, key]);
    });
    await hosts.executeOutcome(down, { key: 'bad' });
    expect(await hosts.executeOutcome(() => 'up', { key: 'bad' })).toMatchObject({ error: { code: 'ERR_CIRCUIT_OPEN', retryAfter: 5000 } });
    expect(await hosts.execute(() => 'up', { key: 'good' })).toBe('up');
    const slow = hosts.executeOutcome(never, { key: 'slow' });
    await vi.advanceTimersByTimeAsync(1000);
    expect(await slow).toMatchObject({ error: { code: 'ERR_TIMEOUT' } });
    expect(types).toEqual([
      ['opossum.opened', 'bad'],
      ['opossum.timed-out', 'slow'],
      ['opossum.opened', 'slow'],
    ]);
  });

  it('is let go only when it is closed and its window is empty', async () => {
    const policy = opossumBreaker({ rollingCountTimeout: '1s' }) as unknown as { atRest(): boolean };
    const users = pipeline([policy as never]);
    expect(policy.atRest()).toBe(true);
    await users.execute((() => 1) as () => never);
    expect(policy.atRest()).toBe(false);
    await vi.advanceTimersByTimeAsync(1100);
    expect(policy.atRest()).toBe(true);
  });
});

describe('a breaker that nobody holds any more', () => {
  it('leaves no timer behind: those of opossum would keep its counts for good', async () => {
    setFlagsFromString('--expose-gc');
    const gc = runInNewContext('gc') as () => void;
    const make = (): WeakRef<object> => {
      const policy = opossumBreaker({ rollingCountTimeout: 20, rollingCountBuckets: 10 });
      pipeline([policy]);
      return new WeakRef(policy.breaker.status);
    };
    const held = make();
    const plain = new WeakRef(new CircuitBreaker(() => 1, { rollingCountTimeout: 20, rollingCountBuckets: 10 }).status);
    for (let i = 0; i < 50 && held.deref() !== undefined; i++) {
      await new Promise((resolve) => setTimeout(resolve, 5));
      gc();
      await hop();
    }
    expect(held.deref()).toBeUndefined();
    expect(plain.deref()).toBeDefined();
    (plain.deref() as unknown as { shutdown(): void }).shutdown();
  });
});
