/** Circuits that opened, or did not, because they counted what they should not have. */

import { describe, expect, test } from 'vitest';
import { OptionsError, bulkhead, circuitBreaker, definePolicy, fallback, perKey, refuse } from 'breakwater';
import { arrange, work } from 'breakwater/testing';

const fail = (): Promise<never> => Promise.reject(new Error('down'));
const times = async (n: number, run: (i: number) => Promise<unknown>): Promise<void> => {
  for (let i = 0; i < n; i++) await run(i).catch(() => undefined);
};

describe('what counts', () => {
  test('the first failure does not open a circuit at rest, though it is 100 % of the calls (K5; opossum 217, 288, 660)', async () => {
    const { run, policy } = arrange(circuitBreaker());
    await times(19, () => run(fail));
    expect(policy.snapshot()).toMatchObject({ state: 'closed', failureRate: undefined });
    await times(1, () => run(fail));
    expect(policy.state).toBe('open');
  });

  test('a full bulkhead further in says nothing about the dependency', async () => {
    const { run, policies } = arrange([circuitBreaker({ minCalls: 2 }), bulkhead({ maxConcurrent: 1 })]);
    void run(() => new Promise<never>(() => undefined));
    await times(50, () => run(work('ok')));
    expect(policies[0].snapshot()).toMatchObject({ state: 'closed', calls: 0, failures: 0 });
  });

  test('a call that it refused itself is no failure (opossum 45)', async () => {
    const { run, clock, policy } = arrange(circuitBreaker({ consecutiveFailures: 2, openFor: '1s', halfOpen: { calls: 1 } }));
    await times(2, () => run(fail));
    await times(1000, () => run(work('ok')));
    expect(policy.snapshot()).toMatchObject({ calls: 0, consecutiveFailures: 0, rejected: 1000, openCount: 1 });
    await clock.advance('1s');
    await run(work('ok'));
    expect(policy.snapshot()).toMatchObject({ state: 'closed', calls: 0, rejected: 0 });
  });

  test('calls under way, refused or answered before they got here are not in the denominator', async () => {
    const hit = definePolicy({
      kind: 'hit-and-miss',
      mount: (next) => (call) => (call.tags['hit'] === true ? Promise.resolve('kept') : next(call)),
    });
    const refuseTwo = definePolicy({
      kind: 'two',
      gate: { enter: (call) => (call.tags['refused'] === true ? refuse(new Error('no')) : 1), settle() {}, cancel() {} },
    });
    const breaker = circuitBreaker({ minCalls: 16 });
    const { run } = arrange([hit, breaker, refuseTwo]);
    for (let i = 0; i < 30; i++) void run(() => new Promise<never>(() => undefined));
    await times(20, () => run(work('ok'), { tags: { hit: true } }));
    await times(20, () => run(work('ok'), { tags: { refused: true } }));
    await times(1, () => run(work('ok')));
    await times(14, () => run(fail));
    expect(breaker.state).toBe('closed');
    await times(1, () => run(fail));
    expect(breaker.state, '15 of 16 real calls failed').toBe('open');
  });

  test('one classifier says which of three it is: success, failure or neither (resilience4j 568, 804, 989)', async () => {
    class NotFound extends Error {}
    class Cancelled extends Error {}
    const { run, policy } = arrange(
      circuitBreaker({
        window: { calls: 10 },
        isFailure: (outcome) => {
          if (outcome.ok || outcome.error instanceof NotFound) return false;
          return outcome.error instanceof Cancelled ? 'ignored' : true;
        },
      }),
    );
    await times(3, () => run(() => Promise.reject(new NotFound())));
    await times(2, () => run(() => Promise.reject(new Cancelled())));
    await times(1, () => run(fail));
    expect(policy.snapshot()).toMatchObject({ calls: 4, successes: 3, failures: 1, ignored: 2 });
  });

  test('an abort by the caller is neither, in a burst of aborts as well', async () => {
    const { pipeline, policy } = arrange(circuitBreaker({ minCalls: 2, consecutiveFailures: 2 }));
    const controller = new AbortController();
    const calls = Array.from({ length: 100 }, () =>
      pipeline.executeOutcome(() => new Promise<never>(() => undefined), { signal: controller.signal }),
    );
    controller.abort(new Error('gone'));
    await Promise.all(calls);
    expect(policy.snapshot()).toMatchObject({ state: 'closed', calls: 0, ignored: 100, consecutiveFailures: 0 });
  });

  test('an abort of one call leaves the others of the same circuit alone (opossum 780, 861)', async () => {
    const { pipeline, run, clock } = arrange(circuitBreaker());
    const controller = new AbortController();
    const signals: AbortSignal[] = [];
    const other = run(({ signal }) => (signals.push(signal), work({ after: 10, value: 'done' })({ scope: { clock } } as never)));
    const aborted = pipeline.executeOutcome(({ signal }) => (signals.push(signal), new Promise<never>(() => undefined)), {
      signal: controller.signal,
    });
    controller.abort('me');
    await aborted;
    expect(signals.map(({ aborted: is }) => is)).toEqual([false, true]);
    expect(await clock.until(other)).toBe('done');
  });

  test('a fallback outside of it covers refusals too, and is not counted', async () => {
    const breaker = circuitBreaker({ consecutiveFailures: 1 });
    const { run } = arrange([fallback({ value: 'spare' }), breaker]);
    await times(3, () => run(fail));
    expect(await run(fail)).toBe('spare');
    expect(breaker.snapshot()).toMatchObject({ state: 'open', rejected: 3 });
  });
});

test('more minCalls than the window holds are refused, not silently lowered (resilience4j 2382)', () => {
  expect(() => circuitBreaker({ window: { calls: 50 }, minCalls: 100 })).toThrow(OptionsError);
});

test('one bad host does not open the circuit of another (dotnet/extensions 5021)', async () => {
  const { run } = arrange(perKey(() => circuitBreaker({ consecutiveFailures: 2 })));
  await times(5, () => run(fail, { key: 'https://a.test' }));
  await expect(run(work('ok'), { key: 'https://a.test' })).rejects.toMatchObject({ code: 'ERR_CIRCUIT_OPEN' });
  expect(await run(work('ok'), { key: 'https://b.test' })).toBe('ok');
});
