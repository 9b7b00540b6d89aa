import * as fc from 'fast-check';
import { describe, expect, test, vi } from 'vitest';
import { type AnyPolicy, type PipelineEvent, OptionsError, TimeoutError, pipeline, timeout } from 'breakwater';
import { type PTimeoutOptions, fromPTimeoutOptions, pTimeoutPolicy } from 'breakwater/p-timeout';
import { VirtualClock, work } from 'breakwater/testing';
import { rows } from './p-timeout-differences.ts';

/** A call: when it begins, how long its work takes, how it ends, and when its caller gives up. */
interface Scripted {
  readonly at: number;
  readonly takes: number;
  readonly fails: boolean;
  readonly abort: number | undefined;
  readonly deadline: number | undefined;
}

/** What became of a call, when, and what its work was told. */
type Seen = readonly [how: string, what: unknown, at: number, reason: unknown, late: boolean];

/** Runs traffic through a pipeline, on a clock of its own. */
async function play(policies: readonly AnyPolicy[], script: readonly Scripted[]): Promise<readonly Seen[]> {
  const clock = new VirtualClock();
  const line = pipeline(policies, { clock, name: 'same' });
  const calls = script.map(async ({ at, takes, fails, abort, deadline }): Promise<Seen> => {
    await new Promise<void>((resolve) => clock.setTimeout(resolve, at));
    const caller = new AbortController();
    if (abort !== undefined) clock.setTimeout(() => caller.abort('enough'), abort);
    const mine = fails ? { after: takes, error: 'failed' } : { after: takes, value: 'done' };
    const scripted = work(mine);
    let signal: AbortSignal | undefined;
    const outcome = await line.executeOutcome((call) => ((signal = call.signal), scripted(call)), {
      signal: caller.signal,
      ...(deadline !== undefined && { deadline: clock.now() + deadline - clock.now() }),
    });
    const ended = clock.now();
    const { error, degraded } = outcome as { error?: unknown; degraded?: true };
    const how = outcome.ok ? (degraded ? 'degraded' : 'ok') : 'failed';
    const told = (value: unknown): unknown => (value instanceof TimeoutError ? [value.code, value.after, value.started] : value);
    return [how, outcome.ok ? outcome.value : told(error), ended, told(signal?.reason), scripted.runs[0]?.endedAt === undefined];
  });
  const all = Promise.all(calls);
  await clock.until(all);
  await clock.advance('1h');
  expect(clock.pending).toBe(0);
  return all;
}

async function same(options: PTimeoutOptions<string>, script: readonly Scripted[]): Promise<readonly Seen[]> {
  const packaged = await play([pTimeoutPolicy(options)], script);
  const native = await play(fromPTimeoutOptions(options), script);
  expect(native).toEqual(packaged);
  return packaged;
}

const spare = (): string => 'spare';
const plain = { abort: undefined, deadline: undefined, fails: false };
const script: readonly Scripted[] = [
  { ...plain, at: 0, takes: 10 },
  { ...plain, at: 5, takes: 99 },
  { ...plain, at: 5, takes: 101 },
  { ...plain, at: 7, takes: 500, fails: true },
  { ...plain, at: 9, takes: 50, fails: true },
  { ...plain, at: 20, takes: 500, abort: 30 },
  { ...plain, at: 20, takes: 500, abort: 130 },
  { ...plain, at: 30, takes: 500, deadline: 60 },
  { ...plain, at: 30, takes: 500, deadline: 160 },
];

describe('the same traffic through p-timeout and through native policies comes out the same', () => {
  test('as scripted: calls in time, too late, that fail, are aborted or meet a deadline', async () => {
    const seen = await same({ milliseconds: 100 }, script);
    expect(seen.map(([how, , at]) => [how, at])).toEqual([
      ['ok', 10],
      ['ok', 104],
      ['failed', 105],
      ['failed', 107],
      ['failed', 59],
      ['failed', 50],
      ['failed', 120],
      ['failed', 90],
      ['failed', 130],
    ]);
  });

  test.each([
    ['with a fallback', { milliseconds: 100, fallback: spare }],
    ['with a fallback that takes its time', { milliseconds: 100, fallback: (): Promise<string> => Promise.resolve('spare') }],
    ['with a fallback that throws', { milliseconds: 100, fallback: (): Promise<string> => Promise.reject<string>('no spare') }],
    ['with undefined as the answer', { milliseconds: 100, message: false }],
    ['with a fallback beside a message', { milliseconds: 100, message: 'unheard', fallback: spare }],
    ['without a limit', { milliseconds: Infinity }],
    ['with more than a timer can hold', { milliseconds: 2 ** 31 + 5 }],
    ['that only shows what it would do', { milliseconds: 100, mode: 'shadow', fallback: spare }],
    ['that is switched off', { milliseconds: 100, mode: 'off' }],
  ] as const)('%s', async (_, options) => {
    await same(options, script);
  });

  test('whatever the traffic', async () => {
    const call = fc.record({
      at: fc.integer({ min: 0, max: 200 }),
      takes: fc.integer({ min: 0, max: 200 }),
      fails: fc.boolean(),
      abort: fc.option(fc.integer({ min: 1, max: 200 }), { nil: undefined }),
      deadline: fc.option(fc.integer({ min: 1, max: 200 }), { nil: undefined }),
    });
    const options = fc.record(
      {
        milliseconds: fc.integer({ min: 1, max: 150 }),
        fallback: fc.constantFrom(
          () => 'spare',
          () => Promise.resolve('spare'),
        ),
        message: fc.constant<false>(false),
      },
      { requiredKeys: ['milliseconds'] },
    );
    await fc.assert(
      fc.asyncProperty(options, fc.array(call, { minLength: 1, maxLength: 8 }), async (given, calls) => {
        await same(given, calls);
      }),
      { numRuns: 150 },
    );
  });
});

describe('what differs', () => {
  const hang = (): Promise<string> => new Promise(() => undefined);
  const both = (options: PTimeoutOptions<string>): readonly (readonly AnyPolicy[])[] => [
    [pTimeoutPolicy(options)],
    fromPTimeoutOptions(options),
  ];
  const outcomes = (sides: readonly (readonly AnyPolicy[])[], inside: readonly AnyPolicy[] = []) =>
    Promise.all(
      sides.map(async (policies) => {
        const clock = new VirtualClock();
        const events: PipelineEvent[] = [];
        const line = pipeline([...policies, ...inside], { clock, on: (event) => events.push(event) });
        const call = line.executeOutcome(hang);
        return { outcome: await clock.until(call), events: events.map(({ type }) => type), error: events.at(-1) };
      }),
    );

  test('is what the guide lists', () => {
    expect(rows.map(({ Difference }) => Difference)).toEqual([
      'A timeout of something further in',
      'The cause of the error',
      'Timers',
      'A fallback that throws',
      'Events',
    ]);
  });

  test('a timeout of something further in', async () => {
    const [packaged, native] = await outcomes(both({ milliseconds: 100, fallback: () => 'spare' }), [timeout({ after: 5 })]);
    expect(packaged?.outcome).toMatchObject({ ok: false, error: { after: 5 } });
    expect(native?.outcome).toEqual({ ok: true, value: 'spare', degraded: true });
  });

  test('the cause of the error', async () => {
    const [packaged, native] = await outcomes(both({ milliseconds: 5 }));
    expect((packaged?.outcome as { error?: Error }).error?.cause).toMatchObject({ name: 'TimeoutError' });
    expect((native?.outcome as { error?: Error }).error?.cause).toBeUndefined();
  });

  test('timers', async () => {
    const [packaged, native] = both({ milliseconds: 5 }).map((policies) => {
      const clock = new VirtualClock();
      const line = pipeline(policies, { clock });
      for (let i = 0; i < 3; i++) void line.executeOutcome(hang);
      return clock.pending;
    });
    expect([packaged, native]).toEqual([3, 1]);
  });

  test('a fallback that throws', async () => {
    const none = new Error('no spare');
    const fallback = (): never => {
      throw none;
    };
    const [packaged] = await outcomes([[pTimeoutPolicy<string>({ milliseconds: 5, fallback })]]);
    expect(packaged?.outcome).toEqual({ ok: false, error: none });
    expect(none.cause).toBeUndefined();
    const [native] = await outcomes([fromPTimeoutOptions({ milliseconds: 5, fallback })]);
    expect(native?.outcome).toEqual({ ok: false, error: none });
    expect(none.cause).toBeInstanceOf(TimeoutError);
  });

  test('events', async () => {
    const [packaged, native] = await outcomes(both({ milliseconds: 5, fallback: () => 'spare' }));
    expect(packaged?.events).toEqual(['p-timeout.expired', 'p-timeout.fallback-used', 'pipeline.settled']);
    expect(native?.events).toEqual(['timeout.expired', 'fallback.used', 'pipeline.settled']);
    const failing = both({ milliseconds: 5, fallback: () => Promise.reject(new Error('no spare')) });
    expect((await outcomes(failing)).map(({ events }) => events[1])).toEqual(['p-timeout.fallback-failed', 'fallback.failed']);
  });
});

describe('what has no native equal is refused, with what to do', () => {
  const refusal = (options: unknown): OptionsError => {
    try {
      fromPTimeoutOptions(options as never);
    } catch (error) {
      return error as OptionsError;
    }
    throw new Error('it was not refused');
  };

  test('timers of your own, a message of your own, a signal', () => {
    const timers = { setTimeout: vi.fn(), clearTimeout: vi.fn() };
    expect(refusal({ milliseconds: 5, customTimers: timers })).toMatchObject({ path: 'fromPTimeoutOptions.customTimers' });
    expect(refusal({ milliseconds: 5, customTimers: timers }).message).toContain('{ clock }');
    for (const message of ['too slow', new Error('too slow')])
      expect(refusal({ milliseconds: 5, message }).message).toContain('keep pTimeoutPolicy()');
    expect(refusal({ milliseconds: 5, signal: new AbortController().signal })).toMatchObject({ path: 'fromPTimeoutOptions.signal' });
  });

  test('and so is what p-timeout would refuse', () => {
    expect(refusal({ milliseconds: 0 })).toMatchObject({ path: 'fromPTimeoutOptions.milliseconds' });
    expect(refusal({ milliseconds: 5, fallbak: 1 }).message).toContain('did you mean fallback?');
  });

  test('names are given to all policies', () => {
    expect(fromPTimeoutOptions({ milliseconds: 5, name: 'quick', message: false }).map(({ name }) => name)).toEqual([
      'quick-fallback',
      'quick',
    ]);
  });
});
