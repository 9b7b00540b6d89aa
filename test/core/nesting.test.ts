import { describe, expect, test } from 'vitest';
import { currentCall, currentDeadline, pipeline, timeout } from 'breakwater';
import { VirtualClock, work } from 'breakwater/testing';
import type { Call } from '../../src/core/call.ts';

const turn = (): Promise<void> => Promise.resolve();

describe('the call in whose work code runs', () => {
  test('is known in the first stretch of the work, in calls of other pipelines too, and not outside', async () => {
    const [outer, inner] = [pipeline([], { name: 'outer' }), pipeline([], { name: 'inner' })];
    const seen: (string | undefined)[] = [currentCall()?.scope.pipeline];
    await outer.execute(() => {
      seen.push(currentCall()?.scope.pipeline);
      const within = inner.execute(() => seen.push(currentCall()?.scope.pipeline));
      seen.push(currentCall()?.scope.pipeline);
      return within;
    });
    seen.push(currentCall()?.scope.pipeline);
    expect(seen).toEqual([undefined, 'outer', 'inner', 'outer', undefined]);
  });

  test('is forgotten where the work throws', async () => {
    await pipeline([]).executeOutcome(() => {
      throw new Error('at once');
    });
    expect(currentCall()).toBeUndefined();
  });

  test('is known after an await if the pipeline is tracked, and only then', async () => {
    const seenIn = (track: boolean): Promise<boolean> =>
      pipeline([], { track }).execute(async () => {
        await turn();
        return currentCall() !== undefined;
      });
    expect([await seenIn(true), await seenIn(false)]).toEqual([true, false]);
  });
});

describe('a call made in the work of another', () => {
  const clock = (): VirtualClock => new VirtualClock();

  /** An outer call of a second, in which an inner one with no limit of its own is made. */
  async function nested(
    make: (call: Call, inner: () => Promise<unknown>) => unknown,
    track = false,
  ): Promise<{ told: unknown; at: number }> {
    const time = clock();
    const inner = pipeline([], { clock: time, name: 'inner' });
    const outer = pipeline([timeout({ after: '5s' })], { clock: time, track, name: 'outer' });
    let told: unknown = 'nothing';
    let at = 0;
    void outer.executeOutcome(
      async (call) => {
        await make(call, () =>
          inner.execute(work('hang')).catch((error: unknown) => {
            told = error;
            at = time.now();
          }),
        );
      },
      { deadline: '1s' },
    );
    await time.advance('10s');
    return { told, at };
  }

  test('inherits its deadline in the first stretch of the work', async () => {
    expect(await nested((_, inner) => inner())).toMatchObject({ told: { code: 'ERR_TIMEOUT', pipeline: 'inner' }, at: 1000 });
  });

  test('inherits it after an await where the pipeline is tracked', async () => {
    const later = async (_: unknown, inner: () => Promise<unknown>): Promise<void> => {
      await turn();
      await inner();
    };
    expect(await nested(later, true)).toMatchObject({ told: { code: 'ERR_TIMEOUT', pipeline: 'inner' }, at: 1000 });
    expect(await nested(later, false)).toMatchObject({ told: 'nothing' });
  });

  test('inherits it with the signal that is passed on, and what is shorter holds', async () => {
    const time = clock();
    const inner = pipeline([], { clock: time });
    const outer = pipeline([timeout({ after: '3s' })], { clock: time });
    const deadlines: number[] = [];
    void outer.executeOutcome(async ({ signal }) => {
      await turn();
      for (const deadline of [undefined, '1s', '10s', Infinity] as const)
        void inner.executeOutcome((call) => deadlines.push(call.deadline), { signal, deadline });
    });
    await time.advance('5s');
    expect(deadlines).toEqual([3000, 1000, 3000, Infinity]);
  });

  test('inherits what is left, also by another clock', async () => {
    const [here, there] = [clock(), clock()];
    await there.advance('1h');
    const inner = pipeline([], { clock: there });
    let deadline = 0;
    await pipeline([timeout({ after: '2s' })], { clock: here }).execute(() => inner.execute((call) => void (deadline = call.deadline)));
    expect(deadline).toBe(3_602_000);
  });

  test('reads the deadline anywhere', async () => {
    expect(currentDeadline()).toBe(Infinity);
    expect(await pipeline([timeout({ after: '2s' })], { clock: clock() }).execute(() => currentDeadline())).toBe(2000);
    expect(await pipeline([], { clock: clock() }).execute(() => currentDeadline())).toBe(Infinity);
  });

  test('has nothing to inherit from one that is over: work done in the background has its own time', async () => {
    const time = clock();
    const background = pipeline([], { clock: time });
    let late: Promise<number> | undefined;
    const outer = pipeline([timeout({ after: '1s' })], { clock: time, track: true });
    await outer.execute(() => {
      late = turn().then(async () => {
        await time.advance(0);
        return background.execute((call) => call.deadline);
      });
    });
    await time.advance(10);
    expect(await late).toBe(Infinity);
  });
});

describe('what a call carries', () => {
  test('is one idempotency key for all its attempts, or the one of its caller', async () => {
    const p = pipeline([]);
    const keys = await p.execute((call) => [call.idempotencyKey, call.derive(2).idempotencyKey, call.derive(3).derive().idempotencyKey]);
    expect(new Set(keys).size).toBe(1);
    expect(keys[0]).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    expect(await p.execute((call) => call.derive(2).idempotencyKey, { idempotencyKey: 'mine' })).toBe('mine');
    expect(await p.execute((call) => call.idempotencyKey)).not.toBe(keys[0]);
  });

  test('is the same key in every run where chance is seeded', async () => {
    const key = (): Promise<string> => pipeline([], { random: () => 0.42 }).execute((call) => call.idempotencyKey);
    expect(await key()).toBe(await key());
    expect(await key()).toMatch(/^[0-9a-f-]{36}$/);
  });

  test('goes to the calls that derive from it and not back', async () => {
    await pipeline([]).execute((call) => {
      const attempt = call.derive(2);
      attempt.headers = { 'x-retry-attempt': '2' };
      attempt.hedge = 1;
      expect([attempt.derive().headers, attempt.derive().hedge]).toEqual([{ 'x-retry-attempt': '2' }, 1]);
      expect([call.headers, call.hedge, Object.isFrozen(attempt.headers)]).toEqual([{}, 0, true]);
    });
  });
});
