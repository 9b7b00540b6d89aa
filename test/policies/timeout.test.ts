import { describe, expect, test, vi } from 'vitest';
import { type PipelineEvent, OptionsError, TimeoutError, definePolicy, pipeline, retry, timeout } from 'breakwater';
import { VirtualClock, policyContract } from 'breakwater/testing';

policyContract(() => timeout({ after: '1h' }), { describe, it: test, name: 'timeout' });

const never = (): Promise<never> => new Promise(() => undefined);
const reasonOf = (done: Promise<unknown>): Promise<unknown> =>
  done.then(
    () => expect.fail('should have been rejected'),
    (reason: unknown) => reason,
  );

describe('a timeout', () => {
  test('tells the caller when its time is up, and aborts the work with the same error, which says which policy (T1, T2)', async () => {
    const clock = new VirtualClock();
    let seen: unknown;
    const slow = pipeline([timeout({ after: 250, name: 'attempt' })], { clock, name: 'shop' });
    const done = reasonOf(
      slow.execute(({ signal }) => (signal.addEventListener('abort', () => (seen = signal.reason as unknown)), never()), { key: 'k' }),
    );
    await clock.advance(249);
    expect(slow.snapshot()['policies']).toEqual([{ kind: 'timeout', name: 'attempt', pending: 1 }]);
    await clock.advance(1);
    const reason = await done;
    expect(reason).toBeInstanceOf(TimeoutError);
    expect(reason).toMatchObject({
      message: 'shop: attempt after 250 ms',
      code: 'ERR_TIMEOUT',
      after: 250,
      pipeline: 'shop',
      policy: 'attempt',
      key: 'k',
    });
    expect(seen).toBe(reason);
    expect(slow.snapshot()['policies']).toMatchObject([{ pending: 0 }]);
  });

  test('says the time it was given, whatever fractions the clock has (regression: after 15.000000000000227 ms)', async () => {
    const clock = new VirtualClock({ start: 1234.5678 });
    const slow = pipeline([timeout({ after: 15 })], { clock, name: 'shop' });
    const [own, deadline] = [slow.execute(never), pipeline([], { clock }).execute(never, { deadline: 15 })].map(reasonOf);
    await clock.advance(16);
    expect(await own).toMatchObject({ after: 15, message: 'shop: timeout after 15 ms' });
    expect(await deadline).toMatchObject({ after: 15, message: 'pipeline: the deadline passed after 15 ms' });
  });

  test('lets work through that is in time, and leaves no timer', async () => {
    const clock = new VirtualClock();
    const quick = pipeline([timeout({ after: 10 })], { clock });
    expect(await quick.execute(() => 1)).toBe(1);
    expect(await quick.execute(() => Promise.resolve(2))).toBe(2);
    expect(clock.pending).toBe(0);
  });

  test('serves any number of calls with one timer', async () => {
    const clock = new VirtualClock();
    const crowd = pipeline([timeout({ after: 1000 })], { clock });
    const expired: number[] = [];
    const calls: Promise<unknown>[] = [];
    for (let i = 0; i < 1000; i++) {
      calls.push(crowd.execute(never).catch(() => expired.push(i)));
      await clock.advance(0.5);
    }
    expect(clock.pending).toBe(1);
    await clock.advance(1000);
    await Promise.all(calls);
    expect(expired).toEqual(calls.map((_, i) => i));
    expect(clock.pending).toBe(0);
  });

  test('an outer timeout that fires first ends what is inside; the inner one says nothing', async () => {
    const clock = new VirtualClock();
    const events: PipelineEvent[] = [];
    const both = pipeline([timeout({ after: 10, name: 'outer' }), timeout({ after: 20, name: 'inner' })], {
      clock,
      on: (event) => events.push(event),
    });
    const done = reasonOf(both.execute(never));
    await clock.advance(30);
    expect(await done).toMatchObject({ policy: 'outer' });
    expect(events.filter(({ type }) => type === 'timeout.expired')).toMatchObject([{ policy: 'outer', after: 10, started: true }]);
    expect(clock.pending).toBe(0);
  });

  test('each attempt gets a fresh signal: the one before was aborted, the new one is not', async () => {
    const clock = new VirtualClock();
    const aborted: boolean[] = [];
    const attempts = pipeline([retry({ maxAttempts: 2, backoff: { delay: 0 } }), timeout({ after: 10 })], { clock });
    const done = attempts.execute(({ signal, attempt }) => {
      aborted.push(signal.aborted);
      return attempt === 1 ? never() : 'second';
    });
    await clock.advance(10);
    expect(await done).toBe('second');
    expect(aborted).toEqual([false, false]);
  });

  test('may be computed for each call, and Infinity is none', async () => {
    const clock = new VirtualClock();
    const computed = pipeline([timeout({ after: ({ key }) => (key === 'slow' ? Infinity : Number(key)) })], { clock });
    const reasons = ['30', '20', '10'].map((key) =>
      reasonOf(computed.execute(never, { key })).then((reason) => (reason as TimeoutError).after),
    );
    let finish: ((value: string) => void) | undefined;
    const slow = computed.execute(() => new Promise<string>((resolve) => (finish = resolve)), { key: 'slow' });
    await clock.advance(100_000);
    expect(await Promise.all(reasons)).toEqual([30, 20, 10]);
    finish?.('done');
    expect(await slow).toBe('done');
    expect(clock.pending).toBe(0);
    for (const key of ['0', '-1', 'x']) expect(await reasonOf(computed.execute(never, { key }))).toBeInstanceOf(RangeError);
  });

  test.each([2 ** 31 - 1, 2 ** 31, 2 ** 32 + 1, Number.MAX_SAFE_INTEGER])('%d ms do not fire at once (T6)', async (after) => {
    const clock = new VirtualClock();
    const long = pipeline([timeout({ after })], { clock });
    let finish: ((value: number) => void) | undefined;
    const done = long.execute(() => new Promise<number>((resolve) => (finish = resolve)));
    await clock.advance(2 ** 31 - 2);
    finish?.(1);
    expect(await done).toBe(1);
    expect(clock.pending).toBe(0);
  });

  test('a long one is chained to its very end', async () => {
    const clock = new VirtualClock();
    const after = 2 ** 32 + 5;
    let over = false;
    void pipeline([timeout({ after })], { clock })
      .execute(never)
      .catch(() => (over = true));
    await clock.advance(after - 1);
    expect(over).toBe(false);
    await clock.advance(1);
    expect(over).toBe(true);
  });
});

describe('what comes late', () => {
  test('is handed to onLate so that it can be closed, and is otherwise forgotten (T3)', async () => {
    const clock = new VirtualClock();
    const late: unknown[] = [];
    let finish: ((value: string) => void) | undefined;
    const slow = pipeline([timeout({ after: 10, onLate: (value) => late.push(value) })], { clock });
    const done = reasonOf(slow.execute(() => new Promise<string>((resolve) => (finish = resolve))));
    await clock.advance(10);
    await done;
    finish?.('connection');
    await clock.advance(0);
    expect(late).toEqual(['connection']);
  });

  test('a late failure is swallowed (G3), and an onLate that throws is reported', async () => {
    const clock = new VirtualClock();
    const events: PipelineEvent[] = [];
    const onLate = vi.fn(() => {
      throw new Error('listener');
    });
    const slow = pipeline([timeout({ after: 10, onLate })], { clock, on: (event) => events.push(event) });
    for (const settle of [() => Promise.reject(new Error('late')), () => Promise.resolve(1)]) {
      let go: ((value: unknown) => void) | undefined;
      const done = reasonOf(slow.execute(() => new Promise((resolve) => (go = resolve)).then(settle)));
      await clock.advance(10);
      await done;
      go?.(undefined);
      await clock.advance(0);
    }
    expect(onLate).toHaveBeenCalledTimes(1);
    expect(events.filter(({ type }) => type === 'pipeline.callback-failed')).toMatchObject([{ callback: 'onLate', policy: 'timeout' }]);
    expect(events.filter(({ type }) => type === 'pipeline.late')).toMatchObject([{ ok: false }, { ok: true }]);
  });

  test('a result that settled in the same moment as the timer still counts if it was first', async () => {
    const clock = new VirtualClock();
    const race = pipeline([timeout({ after: 10 })], { clock });
    const done = race.execute(
      (call) => new Promise((resolve) => void call.scope.clock.setTimeout(() => resolve('just in time'), 10 - 1e-9)),
    );
    await clock.advance(10);
    expect(await done).toBe('just in time');
  });
});

describe('a timeout while nothing runs yet', () => {
  test('ends a wait in a gate inside it; the work never starts and the gates around it judge nothing', async () => {
    const clock = new VirtualClock();
    const told: string[] = [];
    const watch = definePolicy({
      kind: 'watch',
      gate: { enter: () => 'pass', settle: () => told.push('settle'), cancel: () => told.push('cancel') },
    });
    const queue = definePolicy({
      kind: 'queue',
      gate: {
        enter: (call) => new Promise((resolve) => (call.waiter = resolve)),
        settle: () => told.push('never'),
        cancel: () => told.push('never'),
      },
    });
    const work = vi.fn();
    const done = reasonOf(pipeline([watch, timeout({ after: 10 }), queue], { clock }).execute(work));
    await clock.advance(10);
    expect(await done).toBeInstanceOf(TimeoutError);
    expect(work).not.toHaveBeenCalled();
    expect(told).toEqual(['cancel']);
    expect(clock.pending).toBe(0);
  });
});

describe('options (G9)', () => {
  test.each([[0], [-1], [Number.NaN], [-Infinity], ['10'], [null], [undefined], ['-1s'], [{}]])('after: %s is refused', (after) => {
    expect(() => timeout({ after } as never)).toThrow(OptionsError);
  });

  test('unknown and misspelt ones are refused', () => {
    expect(() => timeout({ after: 1, afer: 2 } as never)).toThrow('did you mean after?');
    expect(() => timeout({ after: 1, onLate: 'x' } as never)).toThrow('timeout.onLate');
    expect(() => timeout(undefined as never)).toThrow('timeout.after');
  });
});
