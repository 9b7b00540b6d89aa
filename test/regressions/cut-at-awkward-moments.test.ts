import { describe, expect, test } from 'vitest';
import { bulkhead, circuitBreaker, definePolicy, fallback, pipeline, refuse, retry, timeout } from 'breakwater';
import { VirtualClock } from 'breakwater/testing';

const never = (): Promise<never> => new Promise(() => undefined);
const failing = (): Promise<never> => Promise.reject(new Error('down'));

describe('an abort in the synchronous part of the work', () => {
  test('ends the call at once with its reason, gives the slot back when the work ends, and counts nowhere', async () => {
    const breaker = circuitBreaker({ consecutiveFailures: 1 });
    for (const work of [never, failing, () => 'value', () => expect.fail('thrown')]) {
      const caller = new AbortController();
      const abort = (): unknown => (caller.abort('gone'), work());
      await expect(pipeline([breaker]).execute(abort, { signal: caller.signal })).rejects.toBe('gone');
      expect(breaker.state).toBe('closed');
    }
  });

  test('ends a fallback too', async () => {
    const caller = new AbortController();
    const covered = pipeline([fallback({ run: () => (caller.abort('gone'), never()) })]);
    await expect(covered.execute(failing, { signal: caller.signal })).rejects.toBe('gone');
  });
});

describe('a waiting gate that sees to nothing itself', () => {
  test('is left at an abort and at a timeout; the pass that it gives later is given back', async () => {
    const clock = new VirtualClock();
    const given: unknown[] = [];
    let admit: ((pass: string) => void) | undefined;
    const slow = definePolicy({
      kind: 'slow',
      gate: { enter: () => new Promise<string>((resolve) => (admit = resolve)), settle() {}, cancel: (pass) => given.push(pass) },
    });
    const caller = new AbortController();
    const aborted = pipeline([slow], { clock }).execute(() => 1, { signal: caller.signal });
    caller.abort('gone');
    await expect(aborted).rejects.toBe('gone');
    admit?.('late');
    const timed = pipeline([timeout({ after: 20 }), slow], { clock })
      .execute(() => 1)
      .catch((reason: unknown) => reason);
    await clock.advance(20);
    expect(await timed).toMatchObject({ code: 'ERR_TIMEOUT' });
    expect(given).toEqual(['late']);
    expect(pipeline([slow]).tryAcquire()).toMatchObject({ admitted: false, error: { code: 'ERR_REJECTED' } });
  });
});

describe('hostile values', () => {
  test('a promise whose then throws fails the call and holds no slot', async () => {
    const slots = bulkhead({ maxConcurrent: 1 });
    const broken = Object.assign(Promise.resolve(1), {
      then: () => {
        throw new Error('then');
      },
    });
    await expect(pipeline([slots]).execute(() => broken)).rejects.toThrow('then');
    expect(slots.active).toBe(0);
  });

  test('an error that throws when it is looked at is still the refusal, listener or not', async () => {
    const hostile = Object.defineProperty(new Error('no'), 'retryAfter', {
      get() {
        throw new Error('getter');
      },
    });
    const no = definePolicy({ kind: 'no', gate: { enter: () => refuse(hostile), settle() {}, cancel() {} } });
    const slots = bulkhead({ maxConcurrent: 1 });
    await expect(pipeline([slots, no], { on: () => undefined }).execute(() => 1)).rejects.toBe(hostile);
    expect(pipeline([no]).tryAcquire()).toEqual({ admitted: false, error: hostile });
    expect(slots.active).toBe(0);
  });
});

test('an admission that its caller aborted is no failure, whatever its holder says', async () => {
  const breaker = circuitBreaker({ consecutiveFailures: 1 });
  const caller = new AbortController();
  const held = await pipeline([breaker]).acquire({ signal: caller.signal });
  caller.abort(new Error('gone'));
  held.failure(held.signal.reason);
  expect(breaker.state).toBe('closed');
});

test('onLate is told only by the timeout that expired', async () => {
  const clock = new VirtualClock();
  const told: string[] = [];
  const late = (name: string): ReturnType<typeof timeout> =>
    timeout({ after: name === 'outer' ? 5000 : 20, name, onLate: () => told.push(name) });
  const both = pipeline([late('outer'), retry({ maxAttempts: 2, backoff: { delay: 0 } }), late('inner')], { clock });
  const done = both.execute(({ attempt }) => (attempt === 1 ? new Promise((resolve) => void clock.setTimeout(() => resolve(1), 40)) : 2));
  await clock.advance(100);
  expect(await done).toBe(2);
  expect(told).toEqual(['inner']);
});
