import { type AnyEvent, bulkhead, circuitBreaker, perKey, pipeline, retry, timeout } from 'breakwater';
import { VirtualClock } from 'breakwater/testing';
import type { Call } from '../../src/core/call.ts';
import { comesIn } from '../../src/core/incoming.ts';
import { Failure } from '../../src/core/outcome.ts';
import { describe, expect, test } from 'vitest';

/** Work whose answers are still coming in when it returns them, and what ends each. */
function streaming(): { work: (call: Call) => object; ends: ((failure?: Failure) => void)[] } {
  const ends: ((failure?: Failure) => void)[] = [];
  const work = (call: Call): object => {
    const answer = { number: ends.length };
    ends.push(comesIn(call, answer));
    return answer;
  };
  return { work, ends };
}

const broke = new Failure(new Error('broke off'), 'thrown');

describe('an answer that is still coming in', () => {
  test('is given to the caller at once, and gates hold what they gave until it is there in full', async () => {
    const slots = bulkhead({ maxConcurrent: 1 });
    const each = perKey(() => bulkhead({ maxConcurrent: 1 }));
    const guarded = pipeline([slots, each, bulkhead({ name: 'shadowed', maxConcurrent: 1, mode: 'shadow' })]);
    const { work, ends } = streaming();
    await guarded.execute(work, { key: 'a' });
    expect([slots.active, each.get('a')?.active, guarded.snapshot().active]).toEqual([1, 1, 1]);
    await expect(guarded.execute(work)).rejects.toMatchObject({ code: 'ERR_BULKHEAD_FULL' });
    ends[0]?.();
    expect([slots.active, each.get('a')?.active, guarded.snapshot().active]).toEqual([0, 0, 0]);
  });

  test('counts as what it came to in the end', async () => {
    const circuit = circuitBreaker({ consecutiveFailures: 2 });
    const events: AnyEvent[] = [];
    const guarded = pipeline([circuit], { on: (event) => events.push(event) });
    const { work, ends } = streaming();
    await guarded.execute(work);
    await guarded.execute(work);
    ends[0]?.(broke);
    expect(circuit.state).toBe('closed');
    ends[1]?.(broke);
    expect(circuit.state).toBe('open');
    const settled = events.filter(({ type }) => type === 'pipeline.settled');
    expect(settled).toMatchObject([
      { outcome: 'thrown', error: broke.error },
      { outcome: 'thrown', error: broke.error },
    ]);
  });

  test('is not tried again when it breaks off: its caller has it', async () => {
    const { work, ends } = streaming();
    await pipeline([retry({ backoff: { delay: 0 } }), bulkhead({ maxConcurrent: 1 })]).execute(work);
    ends[0]?.(broke);
    await Promise.resolve();
    expect(ends).toHaveLength(1);
  });

  test('has been in time for a timeout, and is cut by the deadline of the call', async () => {
    const clock = new VirtualClock();
    const limit = timeout({ after: 100 });
    const guarded = pipeline([limit], { clock });
    const { work, ends } = streaming();
    let seen: Call | undefined;
    await guarded.execute((call) => work((seen = call)), { deadline: 500 });
    expect(limit.snapshot()).toMatchObject({ pending: 0 });
    const { signal } = seen?.root as Call;
    await clock.advance(499);
    expect(signal.aborted).toBe(false);
    await clock.advance(1);
    expect(signal.reason).toMatchObject({ code: 'ERR_TIMEOUT', after: 500 });
    ends[0]?.();
    expect(clock.pending).toBe(0);
  });

  test('is cut by its caller, who may abort until it is there in full', async () => {
    const controller = new AbortController();
    const { work, ends } = streaming();
    const guarded = pipeline([bulkhead({ maxConcurrent: 1 })]);
    let seen: AbortSignal | undefined;
    const run = (): Promise<object> =>
      guarded.execute(
        (call) => {
          seen = call.signal;
          return work(call);
        },
        { signal: controller.signal },
      );
    await run();
    const first = seen;
    ends[0]?.();
    await run();
    controller.abort('enough');
    expect([first?.aborted, seen?.aborted, seen?.reason]).toEqual([false, true, 'enough']);
    ends[1]?.();
    expect(guarded.snapshot().active).toBe(0);
  });

  test('is waited for when the pipeline closes, as long as calls may take', async () => {
    const clock = new VirtualClock();
    const guarded = pipeline([], { clock });
    const { work, ends } = streaming();
    await guarded.execute(work);
    let closed = false;
    const closing = guarded.close({ drain: '1s' }).then(() => (closed = true));
    await clock.advance(900);
    expect(closed).toBe(false);
    ends[0]?.();
    await closing;
  });

  test('of attempts that failed nothing is waited for', async () => {
    const slots = bulkhead({ maxConcurrent: 1 });
    const { work, ends } = streaming();
    const guarded = pipeline([slots, retry({ backoff: { delay: 0, jitter: 'none' }, when: (outcome) => outcome.ok && ends.length < 2 })]);
    const running = guarded.execute((call) => {
      const answer = work(call);
      return Object.assign(answer, { [Symbol.dispose]: ends[ends.length - 1] });
    });
    await running;
    expect([ends.length, slots.active]).toEqual([2, 1]);
    ends[1]?.();
    expect(slots.active).toBe(0);
  });
});
