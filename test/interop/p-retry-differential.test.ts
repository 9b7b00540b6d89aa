import { AbortError } from 'p-retry';
import * as fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import {
  type AnyPolicy,
  type PipelineEvent,
  CircuitOpenError,
  attemptsOf,
  bulkhead,
  definePolicy,
  pipeline,
  refuse,
  timeout,
} from 'breakwater';
import { type PRetryContext, type PRetryOptions, fromPRetryOptions, pRetryPolicy } from 'breakwater/p-retry';
import { VirtualClock } from 'breakwater/testing';
import { ProcessClock } from '../support/process-clock.ts';
import { rows } from './p-retry-differences.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

const kinds = ['ok', 'error', 'mistake', 'network', 'odd', 'abort', 'range'] as const;

/** What one attempt does: how long it takes, and how it ends. */
interface Step {
  readonly takes: number;
  readonly ends: (typeof kinds)[number] | 'refused';
}

/** A call: what its attempts do (the last again and again), and when its caller gives up. */
interface Scripted {
  readonly steps: readonly Step[];
  readonly abort?: number | undefined;
  readonly deadline?: number | undefined;
}

const inside = new Error('inside');
const errors: Readonly<Record<Exclude<Step['ends'], 'ok'>, unknown>> = {
  error: new Error('error'),
  mistake: new TypeError('x is not a function'),
  network: new TypeError('fetch failed'),
  odd: 'a string',
  abort: undefined,
  range: new RangeError('range'),
  refused: new CircuitOpenError('refused', {}),
};

interface Seen {
  readonly outcome: unknown;
  readonly ended: number;
  readonly attempts: readonly number[];
  readonly waits: readonly unknown[];
  readonly end: unknown;
}

/** Runs one call and tells when its attempts began, what was told of waits and the end, and what came of it. */
async function play(policies: readonly AnyPolicy[], { steps, abort, deadline }: Scripted): Promise<Seen> {
  const clock = new ProcessClock();
  const start = clock.now();
  const events: PipelineEvent[] = [];
  const line = pipeline(policies, { name: 'same', clock, on: (event) => events.push(event) });
  const attempts: number[] = [];
  const caller = new AbortController();
  const timer = abort === undefined ? undefined : setTimeout(() => caller.abort('enough'), abort);
  const outcome = await clock.until(
    line.executeOutcome(
      async () => {
        attempts.push(clock.now() - start);
        const { takes, ends } = steps[Math.min(attempts.length, steps.length) - 1] as Step;
        if (takes > 0) await new Promise((resolve) => setTimeout(resolve, takes));
        if (ends === 'ok') return 'done';
        throw ends === 'abort' ? new AbortError(inside) : errors[ends];
      },
      { signal: caller.signal, ...(deadline !== undefined && { deadline }) },
    ),
  );
  const ended = clock.now() - start;
  clearTimeout(timer);
  await vi.runAllTimersAsync();
  const own = events.filter(({ type }) => type.includes('retry.')) as (PipelineEvent & {
    delay?: number;
    reason?: unknown;
    attempts?: number;
  })[];
  const gaveUp = own.find(({ type }) => type.endsWith('.gave-up'));
  const { error } = outcome as { readonly error?: { readonly code?: unknown } };
  return {
    outcome: error?.code === 'ERR_TIMEOUT' ? 'deadline' : outcome,
    ended,
    attempts,
    waits: own.filter(({ type }) => type.endsWith('.scheduled')).map(({ delay }) => Math.round((delay as number) * 1e6) / 1e6),
    end: gaveUp && [gaveUp.reason === 'stopped' ? 'duration' : gaveUp.reason, gaveUp.attempts],
  };
}

async function same(options: () => PRetryOptions, script: Scripted): Promise<Seen> {
  const packaged = await play([pRetryPolicy(options())], script);
  const native = await play(fromPRetryOptions(options()), script);
  expect(native).toEqual(packaged);
  return packaged;
}

const always = (ends: Step['ends'], takes = 0): Scripted => ({ steps: [{ takes, ends }] });

describe('the same traffic through p-retry and through native policies comes out the same', () => {
  test('with the defaults of p-retry: eleven attempts, and waits that double from 1 s', async () => {
    const seen = await same(() => ({}), always('error'));
    expect(seen.attempts).toHaveLength(11);
    expect(seen.ended).toBe(1_023_000);
    expect(seen.end).toEqual(['exhausted', 11]);
  });

  test.each(kinds)('after an outcome of the kind %s', async (ends) => {
    for (const takes of [0, 7]) await same(() => ({ retries: 3, minTimeout: 10 }), always(ends, takes));
    await same(() => ({ retries: 3, minTimeout: 10 }), {
      steps: [
        { takes: 3, ends: 'error' },
        { takes: 3, ends },
      ],
    });
  });

  test.each([
    [{ retries: 0 }],
    [{ retries: 5, minTimeout: 100, factor: 3, maxTimeout: 500 }],
    [{ retries: 5, minTimeout: 100, factor: 1.5 }],
    [{ retries: 5, minTimeout: 33.3, factor: 1 }],
    [{ retries: 5, minTimeout: 100, factor: 0.5 }],
    [{ retries: 5, minTimeout: 100, factor: 0 }],
    [{ retries: 4, minTimeout: 1, factor: 5000 }],
    [{ retries: 5, minTimeout: 0 }],
    [{ retries: 5, minTimeout: 100, maxTimeout: 10 }],
    [{ retries: 5, minTimeout: 100, maxTimeout: 0 }],
    [{ retries: 5, minTimeout: 100, factor: 1, maxRetryTime: 250 }],
    [{ retries: 5, minTimeout: 100, factor: 1, maxRetryTime: 200 }],
    [{ retries: 5, minTimeout: 100, maxRetryTime: 0 }],
    [{ retries: 3, minTimeout: 2 ** 31, factor: 1 }],
    [{ retries: Infinity, minTimeout: 100, maxRetryTime: 5000 }],
    [{ retries: 3, mode: 'off' }],
    [{ retries: 3, mode: 'shadow' }],
  ] as const)('with %o', async (options) => {
    for (const takes of [0, 7, 120]) await same(() => options, always('error', takes));
  });

  test('with functions that are asked, in their order and with what they are told', async () => {
    const asked: unknown[] = [];
    const note = ({ error, attemptNumber, retriesLeft, retriesConsumed }: PRetryContext): void =>
      void asked.push([error.constructor, attemptNumber, retriesLeft, retriesConsumed]);
    const options = (): PRetryOptions => ({
      retries: 4,
      minTimeout: 10,
      onFailedAttempt: (context) => {
        note(context);
        return context.attemptNumber % 2 === 0 ? new Promise((resolve) => setTimeout(resolve, 5)) : undefined;
      },
      shouldRetry: (context) => {
        note(context);
        return context.error instanceof RangeError ? Promise.resolve(false) : true;
      },
    });
    for (const ends of [...kinds, 'refused'] as const) {
      const policies = [pRetryPolicy(options()), ...fromPRetryOptions(options())];
      const told: unknown[][] = [];
      for (const side of [policies.slice(0, 1), policies.slice(1)]) {
        asked.length = 0;
        await play(side, {
          steps: [
            { takes: 1, ends: 'error' },
            { takes: 1, ends },
          ],
        });
        told.push([...asked]);
      }
      expect(told[1]).toEqual(told[0]);
      await same(options, {
        steps: [
          { takes: 1, ends: 'error' },
          { takes: 1, ends },
        ],
      });
    }
  });

  test('when the caller gives up, or the deadline comes, in a wait or in an attempt', async () => {
    for (const at of [5, 55, 105, 155, 250]) {
      await same(() => ({ retries: 5, minTimeout: 100, factor: 1 }), { ...always('error', 10), abort: at });
      await same(() => ({ retries: 5, minTimeout: 100, factor: 1 }), { ...always('error', 10), deadline: at });
    }
  });

  test('with randomize, given the same chance, to the millisecond', async () => {
    const chances = [0.1, 0.9, 0.5, 0.3];
    for (const more of [{}, { maxRetryTime: 5000 }, { factor: 0.5 }]) {
      const options = { retries: 4, minTimeout: 100, randomize: true, ...more };
      let i = 0;
      const next = (): number => chances[i++ % 4] as number;
      vi.spyOn(Math, 'random').mockImplementation(next);
      const packaged = await play([pRetryPolicy(options)], always('error'));
      i = 0;
      // Where waits are worked out by a function, the schedule draws a chance too, and first.
      const twice = 'maxRetryTime' in more;
      let n = 0;
      vi.spyOn(Math, 'random').mockImplementation(twice ? () => chances[(n++ >> 1) % 4] as number : next);
      const native = await play(fromPRetryOptions(options), always('error'));
      native.attempts.forEach((at, n) => expect(Math.abs(at - (packaged.attempts[n] as number))).toBeLessThanOrEqual(n));
    }
  });

  test('whatever the traffic and the options', async () => {
    const step = fc.record({ takes: fc.integer({ min: 0, max: 60 }), ends: fc.constantFrom(...kinds) });
    const script = fc.record(
      {
        steps: fc.array(step, { minLength: 1, maxLength: 6 }),
        abort: fc.integer({ min: 1, max: 400 }),
        deadline: fc.integer({ min: 1, max: 400 }),
      },
      { requiredKeys: ['steps'] },
    );
    const options = fc.record(
      {
        retries: fc.integer({ min: 0, max: 5 }),
        minTimeout: fc.integer({ min: 0, max: 90 }),
        factor: fc.constantFrom(0, 0.5, 1, 1.5, 2, 3),
        maxTimeout: fc.integer({ min: 0, max: 150 }),
        maxRetryTime: fc.integer({ min: 0, max: 500 }),
        shouldRetry: fc.constantFrom(
          () => true,
          ({ error }: PRetryContext) => !(error instanceof RangeError),
          ({ attemptNumber }: PRetryContext) => Promise.resolve(attemptNumber < 3),
        ),
        onFailedAttempt: fc.constantFrom(
          () => undefined,
          () => new Promise<void>((resolve) => setTimeout(resolve, 13)),
        ),
      },
      { requiredKeys: ['retries', 'minTimeout'] },
    );
    await fc.assert(
      fc.asyncProperty(options, script, async (given, traffic) => {
        await same(() => given, traffic);
      }),
      { numRuns: 150 },
    );
  });
});

describe('what differs', () => {
  const sides = (options: PRetryOptions): readonly (readonly AnyPolicy[])[] => [[pRetryPolicy(options)], fromPRetryOptions(options)];
  const fail = (): never => {
    throw errors.error;
  };

  test('is what the guide lists', () => {
    expect(rows.map(({ Difference }) => Difference)).toEqual([
      'A function that throws',
      '`randomize` near `maxTimeout`',
      'Time and chance',
      'When `maxRetryTime` begins',
      'Why it gave up, in events',
      '`retryDelay`',
      'How many attempts an error took',
    ]);
  });

  test('a function that throws', async () => {
    const mine = new Error('mine');
    const onFailedAttempt = (): never => {
      throw mine;
    };
    const [packaged, native] = await Promise.all(
      sides({ onFailedAttempt }).map((policies) => {
        const told: string[] = [];
        return pipeline(policies, { on: ({ type }) => told.push(type) })
          .execute(fail)
          .catch((error: unknown) => [error, told.includes('pipeline.callback-failed')]);
      }),
    );
    expect(packaged).toEqual([mine, false]);
    expect(native).toEqual([errors.error, true]);
  });

  test('randomize near maxTimeout', async () => {
    vi.spyOn(Math, 'random').mockReturnValue(0);
    const options = { retries: 1, minTimeout: 100, maxTimeout: 100, randomize: true };
    const [packaged, native] = [
      await play([pRetryPolicy(options)], always('error')),
      await play(fromPRetryOptions(options), always('error')),
    ];
    expect(packaged.attempts).toEqual([0, 100]);
    expect(native.attempts).toEqual([0, 67]);
  });

  test('time and chance', async () => {
    const clock = new VirtualClock();
    const runs = [0, 0];
    const calls = sides({ retries: 1, minTimeout: 1000 }).map((policies, i) =>
      pipeline(policies, { clock }).executeOutcome(() => {
        runs[i] = (runs[i] as number) + 1;
        throw errors.error;
      }),
    );
    await clock.advance('1m');
    expect(runs).toEqual([1, 2]);
    await vi.runAllTimersAsync();
    await Promise.all(calls);
  });

  test('when maxRetryTime begins', async () => {
    const attempts = [0, 0];
    const calls = sides({ retries: 5, minTimeout: 100, factor: 1, maxRetryTime: 250 }).map((policies, i) => {
      const line = pipeline([bulkhead({ maxConcurrent: 1, maxQueue: 1 }), ...policies]);
      void line.execute(() => new Promise((resolve) => setTimeout(resolve, 200)));
      return line.executeOutcome(() => {
        attempts[i] = (attempts[i] as number) + 1;
        throw errors.error;
      });
    });
    await vi.runAllTimersAsync();
    await Promise.all(calls);
    expect(attempts).toEqual([4, 2]);
  });

  test('why it gave up, in events', async () => {
    const reasons = await Promise.all(
      sides({ retries: 5, minTimeout: 100, factor: 1, maxRetryTime: 150 }).map(async (policies) => {
        const told: unknown[] = [];
        const line = pipeline(policies, {
          on: (event) => event.type.endsWith('.gave-up') && told.push((event as { reason?: unknown }).reason),
        });
        const call = line.executeOutcome(fail);
        await vi.runAllTimersAsync();
        await call;
        return told;
      }),
    );
    expect(reasons).toEqual([['duration'], ['stopped']]);
  });

  test('retryDelay', async () => {
    const delays: unknown[] = [];
    for (const policies of sides({ retries: 1, minTimeout: 5, onFailedAttempt: ({ retryDelay }) => void delays.push(retryDelay) }))
      await play(policies, always('error'));
    expect(delays).toEqual(process.env['PEERS'] === 'newest' ? [5, 0, undefined, undefined] : [undefined, undefined, undefined, undefined]);
  });

  test('how many attempts an error took', async () => {
    const counts: unknown[] = [];
    for (const policies of sides({ retries: 1, minTimeout: 5 })) {
      const error = new Error('own');
      const call = pipeline(policies).executeOutcome(() => Promise.reject(error));
      await vi.runAllTimersAsync();
      await call;
      counts.push(attemptsOf(error));
    }
    expect(counts).toEqual([undefined, 2]);
  });
});

describe('around others both are the same', () => {
  test('a timeout inside, a timeout around, a refusal inside', async () => {
    const wall = definePolicy({
      kind: 'wall',
      gate: { enter: () => refuse(errors.refused), settle: () => undefined, cancel: () => undefined },
    });
    const options = { retries: 2, minTimeout: 10 };
    for (const [outside, within] of [
      [[], [timeout({ after: 50 })]],
      [[timeout({ after: 55 })], [timeout({ after: 20 })]],
      [[], [wall]],
    ] as const) {
      const packaged = await play([...outside, pRetryPolicy(options), ...within], always('error', 100));
      expect(await play([...outside, ...fromPRetryOptions(options), ...within], always('error', 100))).toEqual(packaged);
    }
  });
});

describe('what has no native equal is refused, with what to do', () => {
  const refusal = (options: unknown): Error => {
    try {
      fromPRetryOptions(options as never);
    } catch (error) {
      return error as Error;
    }
    throw new Error('it was not refused');
  };

  test('failures that go free, waits that let the process end, a signal', () => {
    expect(refusal({ shouldConsumeRetry: () => true })).toMatchObject({
      code: 'ERR_OPTIONS',
      path: 'fromPRetryOptions.shouldConsumeRetry',
    });
    expect(refusal({ shouldConsumeRetry: () => true }).message).toContain('keep pRetryPolicy()');
    expect(refusal({ unref: true })).toMatchObject({ path: 'fromPRetryOptions.unref' });
    expect(refusal({ signal: new AbortController().signal })).toMatchObject({ path: 'fromPRetryOptions.signal' });
    expect(refusal({ retries: -1 })).toMatchObject({ path: 'fromPRetryOptions.retries' });
  });

  test('names are given to both policies, and numbers stay numbers where they are the same', () => {
    const [aborts, native] = fromPRetryOptions({ retries: 3, name: 'again' });
    expect([aborts.name, native.name]).toEqual(['again-aborts', 'again']);
    expect(native.describe()).toMatchObject({ maxAttempts: 4, backoff: { delay: 1000, factor: 2, jitter: 'none' }, longestBackoff: 7000 });
  });
});
