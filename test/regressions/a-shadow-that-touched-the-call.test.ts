import { describe, expect, test } from 'vitest';
import { type Mode, type Policy, hedge, perKey, retry, timeout } from 'breakwater';
import { arrange } from 'breakwater/testing';

const looksOn: readonly (readonly [string, Mode])[] = [
  ["'shadow'", 'shadow'],
  ['a share of 0', 0],
  ['a function', () => 'shadow'],
];

describe('a policy that only shows what it would do once changed what came of the call', () => {
  // A shadowed timeout that waits for the work was enforced like any other.
  describe.each(looksOn)('mode %s', (_, mode) => {
    test.each(['cooperative', 'race'] as const)('a patient timeout (%s) does not stop the work', async (strategy) => {
      const { pipeline, clock, events } = arrange([timeout({ after: 20, grace: 10, strategy, mode })]);
      const outcome = pipeline.executeOutcome(async ({ signal }) => {
        await new Promise<void>((resolve) => void clock.setTimeout(resolve, 100));
        return signal.aborted;
      });
      expect(await clock.until(outcome)).toEqual({ ok: true, value: false });
      expect(events.filter(({ type }) => type === 'timeout.expired')).toMatchObject([{ at: 20, started: true, shadow: true }]);
      expect([clock.pending, pipeline.snapshot().policies]).toMatchObject([0, [{ pending: 0 }]]);
    });

    // It told the retry further in that somebody else would do it, and put headers on the call.
    test('a retry neither keeps the one inside it from retrying nor adds headers', async () => {
      const { pipeline, clock } = arrange([
        retry({ name: 'outer', idempotencyKey: true, mode, backoff: { delay: 0 } }),
        retry({ name: 'inner', maxAttempts: 3, backoff: { delay: 0 } }),
      ]);
      const outcome = pipeline.execute(({ attempt, headers }) => {
        if (attempt < 3) throw new Error('not yet');
        return { attempt, headers };
      });
      expect(await clock.until(outcome)).toEqual({ attempt: 3, headers: {} });
    });

    // The wait that the service asked for was waited for, and then no hedge began.
    test('a hedge does not wait for a time when it would begin', async () => {
      const { pipeline, clock } = arrange([hedge({ delay: 'onFailure', idempotent: true, mode })]);
      const error = Object.assign(new Error('later'), { retryAfter: 5000 });
      const outcome = pipeline.executeOutcome(() => {
        throw error;
      });
      expect([await outcome, clock.now(), clock.pending]).toEqual([{ ok: false, error }, 0, 0]);
    });

    // What its functions threw was what the caller got.
    test.each<readonly [string, () => Policy]>([
      ['timeout', () => timeout({ mode, after: () => NaN })],
      ['patient timeout', () => timeout({ mode, strategy: 'cooperative', after: () => NaN })],
      [
        'per-key',
        () =>
          perKey(
            (key) => {
              throw new Error(`no policy for ${key}`);
            },
            { mode },
          ),
      ],
    ])('a %s that cannot decide is reported, and the call goes on', async (_kind, policy) => {
      const { pipeline, events } = arrange([policy()]);
      expect(await pipeline.execute(() => 'served', { key: 'ada' })).toBe('served');
      expect(events.filter(({ type }) => type === 'pipeline.callback-failed')).toHaveLength(1);
    });
  });

  test("a retry whose mode function says 'off' is as if it were not there", async () => {
    const { pipeline, events } = arrange([retry({ mode: () => 'off', idempotencyKey: true })]);
    expect(await pipeline.execute(({ headers }) => headers)).toEqual({});
    expect(events.map(({ type }) => type)).toEqual(['pipeline.settled']);
  });
});
