import { describe, expect, test, vi } from 'vitest';
import { circuitBreaker, fallback, hedge, pipeline, retry, timeout } from 'breakwater';
import { arrange } from 'breakwater/testing';

/** Errors that throw at whoever looks at them. */
const hostile: readonly (readonly [string, () => object])[] = [
  [
    'a revoked proxy',
    () => {
      const { proxy, revoke } = Proxy.revocable({}, {});
      revoke();
      return proxy;
    },
  ],
  [
    'an error whose name throws',
    () =>
      Object.defineProperty(new Error('hidden'), 'name', {
        get(): never {
          throw new Error('do not look');
        },
      }),
  ],
  ['an object without a prototype', () => Object.create(null) as object],
];

describe.each(hostile)('%s', (_, make) => {
  // `execute` itself threw, and the call was never closed.
  test('thrown by the work is what the caller gets, and the circuit can still be looked at', async () => {
    const error = make();
    const circuit = circuitBreaker({ consecutiveFailures: 5 });
    const { pipeline: guarded, clock } = arrange([
      retry({ backoff: { delay: 0 } }),
      hedge({ idempotent: true, delay: 'onFailure' }),
      circuit,
    ]);
    const outcome = await clock.until(
      guarded.executeOutcome(() => {
        throw error;
      }),
    );
    expect(Object.is(outcome.ok ? undefined : outcome.error, error)).toBe(true);
    expect(guarded.snapshot().active).toBe(0);
    expect([circuit.state, typeof circuit.snapshot().lastFailure]).toEqual(['open', 'string']);
  });

  // A patient timeout that asked whether the error was an abort failed with what that threw.
  test('thrown after the time was up, by work that was waited for', async () => {
    const error = make();
    const { pipeline: guarded, clock } = arrange([timeout({ after: 10, strategy: 'cooperative' })]);
    const outcome = guarded.executeOutcome(async () => {
      await new Promise<void>((resolve) => void clock.setTimeout(resolve, 20));
      throw error;
    });
    const found = await clock.until(outcome);
    expect(Object.is(found.ok ? undefined : found.error, error)).toBe(true);
  });

  // Without a listener it goes into a warning, and putting it into words threw.
  test('thrown by a callback to which nobody listens changes nothing', async () => {
    const warn = vi.spyOn(process, 'emitWarning').mockImplementation(() => undefined);
    const guarded = pipeline([
      fallback({
        value: 'covered',
        when: () => {
          throw make();
        },
      }),
    ]);
    const error = new Error('down');
    const outcome = await guarded.executeOutcome(() => {
      throw error;
    });
    expect([outcome, guarded.snapshot().active, warn.mock.calls.length]).toEqual([{ ok: false, error }, 0, 1]);
    warn.mockRestore();
  });
});

describe('what a classifier answers', () => {
  // As text it was added to the time: the next attempt was due years later.
  test.each([
    ['a wait that is no number', { retryAfter: '1000' }, 1],
    ['flags that are undefined', { verdict: undefined, retryable: undefined, dispatched: undefined }, 0],
  ])('%s does not count', async (_, answer, reports) => {
    const {
      pipeline: guarded,
      clock,
      events,
    } = arrange([hedge({ idempotent: true, delay: 'onFailure', classify: () => answer as unknown as { readonly retryAfter: number } })]);
    let runs = 0;
    const outcome = guarded.executeOutcome(() => {
      throw new Error(`attempt ${++runs}`);
    });
    expect(await clock.until(outcome)).toMatchObject({ ok: false, error: { message: 'attempt 1' } });
    const reported = events.filter(({ type }) => type === 'pipeline.callback-failed');
    expect([runs, clock.now(), reported.length > 0]).toEqual([2, 0, reports > 0]);
  });
});
