import { describe, expect, test } from 'vitest';
import { type Admission, RateLimitedError, TimeoutError, definePolicy, pipeline, refuse, retry, timeout } from 'breakwater';
import { VirtualClock } from 'breakwater/testing';

const error = new Error('down');

function watched(log: string[], enter: () => unknown = () => 'pass') {
  return definePolicy({
    kind: 'watched',
    gate: {
      enter,
      settle: (_pass, outcome) =>
        log.push(outcome instanceof Object ? `settle ${(outcome as { kind?: string }).kind}` : `settle ${String(outcome)}`),
      cancel: () => log.push('cancel'),
    },
  });
}

describe('two-step use of a pipeline of gates', () => {
  test('tells how much time is left: until the deadline, or until the first timeout among the gates that ends it', async () => {
    const clock = new VirtualClock();
    const remaining = (held: Admission | { admitted: false }): number => (held.admitted ? held.remaining() : NaN);
    expect(remaining(pipeline([], { clock }).tryAcquire())).toBe(Infinity);
    const bounded = pipeline([timeout({ after: '3s' }), timeout({ after: '2s', name: 'shorter' })], { clock });
    const [free, hurried] = [bounded.tryAcquire(), bounded.tryAcquire({ deadline: 500 })];
    expect([remaining(free), remaining(hurried)]).toEqual([2000, 500]);
    await clock.advance(400);
    expect([remaining(free), remaining(hurried)]).toEqual([1600, 100]);
    await clock.advance('10s');
    expect([remaining(free), remaining(hurried)]).toEqual([0, 0]);
  });

  test('admits at once and is settled once, as its holder says', () => {
    const log: string[] = [];
    const gates = pipeline([watched(log)]);
    const settle: ((held: Admission) => void)[] = [
      (held) => held.success('value'),
      (held) => held.failure(error),
      (held) => held.failure(),
      (held) => held.ignore(),
      (held) => held[Symbol.dispose](),
    ];
    for (const end of settle) {
      const held = gates.tryAcquire();
      if (!held.admitted) return expect.fail('should have been admitted');
      expect(gates.snapshot().active).toBe(1);
      end(held);
      held.success();
      held.failure(error);
      expect(gates.snapshot().active).toBe(0);
    }
    expect(log).toEqual(['settle value', 'settle thrown', 'settle thrown', 'settle aborted', 'settle aborted']);
  });

  test('tells a refusal as data, with the time to come back', () => {
    const log: string[] = [];
    const refusal = new RateLimitedError('slow down', { retryAfter: 250 });
    const gates = pipeline([watched(log), watched([], () => refuse(refusal))]);
    expect(gates.tryAcquire()).toEqual({ admitted: false, error: refusal, retryAfter: 250 });
    expect(log).toEqual(['cancel']);
    expect(gates.snapshot().active).toBe(0);
  });

  test('acquire may wait and rejects with the refusal', async () => {
    const clock = new VirtualClock();
    const waiting = definePolicy({
      kind: 'waiting',
      gate: {
        enter: (call) =>
          new Promise<unknown>(
            (resolve) => void call.scope.clock.setTimeout(() => resolve(call.key === 'no' ? refuse(error) : 'pass'), 10),
          ),
        settle() {},
        cancel() {},
      },
    });
    const gates = pipeline([waiting], { clock });
    const held = gates.acquire();
    const refused = gates.acquire({ key: 'no' }).catch((reason: unknown) => reason);
    await clock.advance(10);
    expect((await held).admitted).toBe(true);
    expect(await refused).toBe(error);
    await expect(gates.acquire({ signal: AbortSignal.abort('gone') })).rejects.toBe('gone');
  });

  test('tells the gates that the caller will not wait', () => {
    const seen: boolean[] = [];
    const gates = pipeline([
      definePolicy({ kind: 'patience', gate: { enter: (call) => (seen.push(call.waits), 'pass'), settle() {}, cancel() {} } }),
    ]);
    gates.tryAcquire();
    void gates.acquire();
    expect(seen).toEqual([false, true]);
  });

  test('a timeout among the gates aborts the signal of what it admitted', async () => {
    const clock = new VirtualClock();
    const held = await pipeline([timeout({ after: 10 })], { clock }).acquire();
    expect(held.signal.aborted).toBe(false);
    await clock.advance(10);
    expect(held.signal.reason).toBeInstanceOf(TimeoutError);
    held.failure(held.signal.reason);
    expect(clock.pending).toBe(0);
  });

  test('is refused where something is to be run again: that needs a function', async () => {
    const steady = pipeline([retry()], { name: 'steady' });
    expect(() => steady.tryAcquire()).toThrow(
      'steady.tryAcquire: expected a pipeline of gates only; use execute, got a pipeline with retry',
    );
    await expect(steady.acquire()).rejects.toThrow('steady.acquire');
  });

  test('goes through nested pipelines of gates', () => {
    const log: string[] = [];
    const held = pipeline([pipeline([watched(log)])]).tryAcquire();
    if (held.admitted) held.success();
    expect(log).toEqual(['settle undefined']);
  });
});
