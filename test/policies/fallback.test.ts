import { describe, expect, test, vi } from 'vitest';
import {
  type PipelineEvent,
  OptionsError,
  RejectedError,
  TimeoutError,
  circuitBreaker,
  definePolicy,
  fallback,
  pipeline,
  refuse,
  timeout,
} from 'breakwater';
import { VirtualClock, arrange, policyContract } from 'breakwater/testing';

policyContract(() => fallback({ value: 'covered', when: () => false }), { describe, it: test, name: 'fallback' });

const error = new Error('down');
const failing = (): Promise<never> => Promise.reject(error);
const never = (): Promise<never> => new Promise(() => undefined);
const hops = (): Promise<void> => new VirtualClock().advance(0);

describe('a fallback', () => {
  test('answers with its value, or with what its function finds, and flags the answer as degraded', async () => {
    expect(await pipeline([fallback({ value: 7 })]).execute(failing)).toBe(7);
    const found = pipeline([fallback({ run: (reason, { key }) => Promise.resolve([reason, key]) })]);
    expect(await found.executeOutcome(failing, { key: 'k' })).toEqual({ ok: true, value: [error, 'k'], degraded: true });
  });

  test.each([[undefined], [null], [0], [false], ['']])('takes %s for a value', async (value) => {
    expect(await pipeline([fallback({ value })]).execute(failing)).toBe(value);
  });

  test('leaves success alone', async () => {
    const run = vi.fn();
    expect(await pipeline([fallback({ run })]).executeOutcome(() => 1)).toEqual({ ok: true, value: 1 });
    expect(run).not.toHaveBeenCalled();
  });

  test('covers refusals and timeouts too; `when` tells them apart', async () => {
    const clock = new VirtualClock();
    const no = definePolicy({
      kind: 'no',
      gate: { enter: (call) => (call.key === 'no' ? refuse(new RejectedError('no')) : 'yes'), settle() {}, cancel() {} },
    });
    const refused = fallback({ value: 'refused', when: (outcome) => !outcome.ok && outcome.error instanceof RejectedError });
    const failed = fallback({ value: 'failed', when: (outcome) => !outcome.ok && !(outcome.error instanceof RejectedError) });
    const covered = pipeline([refused, failed, timeout({ after: 10 }), no], { clock });
    expect(await covered.execute(() => 1, { key: 'no' })).toBe('refused');
    expect(await covered.execute(failing)).toBe('failed');
    const late = covered.execute(never);
    await clock.advance(10);
    expect(await late).toBe('failed');
  });

  test('may cover a result that will not do', async () => {
    const list = pipeline([fallback<string[], string[]>({ value: ['none'], when: (outcome) => outcome.ok && outcome.value.length === 0 })]);
    expect(await list.execute(() => [])).toEqual(['none']);
    expect(await list.execute(() => ['one'])).toEqual(['one']);
  });

  test('tiers: the outer one covers what the inner one could not', async () => {
    const second = new Error('cache down');
    const tiers = pipeline([fallback({ value: 'static' }), fallback({ run: () => Promise.reject(second) })]);
    expect(await tiers.executeOutcome(failing)).toEqual({ ok: true, value: 'static', degraded: true });
  });

  test('that fails itself rejects with its own error, which keeps the first as its cause', async () => {
    const second = new Error('cache down');
    await expect(pipeline([fallback({ run: () => Promise.reject(second) })]).execute(failing)).rejects.toBe(second);
    expect(second.cause).toBe(error);
    const frozen = Object.freeze(new Error('frozen'));
    await expect(
      pipeline([
        fallback({
          run: () => {
            throw frozen;
          },
        }),
      ]).execute(failing),
    ).rejects.toBe(frozen);
  });

  test("never covers the caller's abort, and one during its own function ends that too", async () => {
    const caller = new AbortController();
    let seen: AbortSignal | undefined;
    const slow = pipeline([fallback({ run: (_reason, { signal }) => ((seen = signal), never()) })]);
    const done = slow.execute(failing, { signal: caller.signal });
    await Promise.resolve();
    await Promise.resolve();
    caller.abort('gone');
    await expect(done).rejects.toBe('gone');
    expect(seen?.reason).toBe('gone');
  });

  test('once the time around it is up, a value still answers and a function is not even begun (G1)', async () => {
    const clock = new VirtualClock();
    const run = vi.fn(never);
    const computed = pipeline([timeout({ after: 10 }), fallback({ run })], { clock })
      .execute(never)
      .catch((reason: unknown) => reason);
    const constant = pipeline([fallback({ value: 'static' })], { clock }).execute(never, { deadline: 10 });
    await clock.advance(10);
    expect(await computed).toBeInstanceOf(TimeoutError);
    expect(run).not.toHaveBeenCalled();
    expect(await constant).toBe('static');
  });

  test('a `when` that throws covers nothing and is reported (G5)', async () => {
    const events: PipelineEvent[] = [];
    const broken = fallback({
      value: 1,
      when: () => {
        throw new Error('predicate');
      },
    });
    await expect(pipeline([broken], { on: (event) => events.push(event) }).execute(failing)).rejects.toBe(error);
    expect(events[0]).toMatchObject({ type: 'pipeline.callback-failed', callback: 'when', policy: 'fallback' });
  });

  test('tells when it is used, and counts it', async () => {
    const events: PipelineEvent[] = [];
    const covered = pipeline([fallback({ value: 1 })], { on: (event) => events.push(event) });
    await covered.execute(failing);
    expect(events[0]).toMatchObject({ type: 'fallback.used', level: 'warn', error });
    expect(covered.snapshot()['policies']).toMatchObject([{ used: 1 }]);
  });
});

test('options: exactly one of value and run (G9)', () => {
  expect(() => fallback({})).toThrow('fallback.value: expected one of value, run and tiers, got none');
  expect(() => fallback({ value: 1, run: () => 1 })).toThrow('got both');
  for (const wrong of [{ run: 5 }, { value: 1, when: 'x' }, { valeu: 1 }, null])
    expect(() => fallback(wrong as never)).toThrow(OptionsError);
});

describe('tiers', () => {
  const no = definePolicy({
    kind: 'no',
    gate: { enter: (call) => (call.key === 'no' ? refuse(new RejectedError('no')) : 'yes'), settle() {}, cancel() {} },
  });
  const second = new Error('cache down');

  test('are tried in order: one that fails makes way for the next, and the answer says which one it was (b11)', async () => {
    const covered = arrange(
      fallback({ tiers: [{ run: () => Promise.reject(second), name: 'cache' }, { run: (reason) => [reason] }, { value: 'static' }] }),
    );
    expect(await covered.pipeline.executeOutcome(failing)).toEqual({ ok: true, value: [error], degraded: true });
    expect(covered.events).toMatchObject([
      { type: 'fallback.failed', level: 'error', tier: 'cache', error: second },
      { type: 'fallback.used', level: 'warn', tier: 'tier-2', error },
      { type: 'pipeline.settled', outcome: 'degraded' },
    ]);
    expect(covered.pipeline.snapshot().policies).toMatchObject([
      { used: 1, tiers: [{ name: 'cache', failed: 1, used: 0 }, { used: 1 }, { name: 'tier-3', used: 0 }] },
    ]);
  });

  test('refusals, failures and timeouts apart: each tier covers what it says', async () => {
    const clock = new VirtualClock();
    const covered = pipeline(
      [
        fallback({
          tiers: [
            { value: 'turned away', when: 'refusal' },
            { value: 'late', when: 'timeout' },
            { value: 'failed', when: 'failure' },
          ],
        }),
        timeout({ after: 10 }),
        no,
      ],
      { clock },
    );
    expect(await covered.execute(() => 1, { key: 'no' })).toBe('turned away');
    expect(await covered.execute(failing)).toBe('failed');
    const late = covered.execute(never);
    await clock.advance(10);
    expect(await late).toBe('late');
    const failure = pipeline([fallback({ value: 'failed', when: 'failure' }), timeout({ after: 10 }), no], { clock });
    const timed = failure.execute(never);
    await clock.advance(10);
    expect(await timed).toBe('failed');
    await expect(failure.execute(() => 1, { key: 'no' })).rejects.toBeInstanceOf(RejectedError);
    await expect(pipeline([fallback({ value: 1, when: 'refusal' })]).execute(failing)).rejects.toBe(error);
  });

  test('a function that takes too long ends with its signal, and the next tier answers', async () => {
    let signal: AbortSignal | undefined;
    const slow = fallback({ tiers: [{ run: (_, call) => ((signal = call.signal), never()), timeout: '50ms' }, { value: 'static' }] });
    const { pipeline: covered, clock, events } = arrange(slow);
    const done = covered.execute(failing);
    await clock.advance(49);
    expect(signal?.aborted).toBe(false);
    await clock.advance(1);
    expect(await done).toBe('static');
    expect(signal?.reason).toBeInstanceOf(TimeoutError);
    expect(events[0]).toMatchObject({ type: 'fallback.failed', tier: 'tier-1', error: { code: 'ERR_TIMEOUT', after: 50, cause: error } });
    expect(clock.pending).toBe(0);
  });

  test('one that answers in time leaves no timer', async () => {
    const { pipeline: covered, clock } = arrange(fallback({ run: async () => 'found', timeout: '1m' }));
    expect(await covered.execute(failing)).toBe('found');
    expect(clock.pending).toBe(0);
  });

  test('ten answers at once are looked for, unless told otherwise; a full tier makes way for the next (Hystrix)', async () => {
    const endings: ((value: string) => void)[] = [];
    const busy = (options: { maxConcurrent?: number }) =>
      arrange(
        fallback({ tiers: [{ run: () => new Promise<string>((resolve) => endings.push(resolve)), ...options }, { value: 'static' }] }),
      );
    const usual = busy({});
    const calls = Array.from({ length: 12 }, () => usual.pipeline.execute(failing));
    await hops();
    expect(endings).toHaveLength(10);
    expect(await Promise.all(calls.slice(10))).toEqual(['static', 'static']);
    expect(usual.events.filter(({ type }) => type === 'fallback.skipped')[0]).toMatchObject({ tier: 'tier-1', running: 10 });
    for (const end of endings) end('found');
    expect(await Promise.all(calls.slice(0, 10))).toEqual(Array.from({ length: 10 }, () => 'found'));
    expect(usual.pipeline.snapshot().policies).toMatchObject([{ tiers: [{ running: 0, skipped: 2 }, {}] }]);
    endings.length = 0;
    const open = busy({ maxConcurrent: Infinity });
    for (let i = 0; i < 50; i++) void open.pipeline.execute(failing);
    await hops();
    expect(endings).toHaveLength(50);
  });

  test('a full tier without another leaves the error as it was', async () => {
    const covered = pipeline([fallback({ run: never, maxConcurrent: 1 })]);
    void covered.execute(failing);
    await hops();
    await expect(covered.execute(failing)).rejects.toBe(error);
  });

  test('functions that answer at once take no place, however many', async () => {
    const covered = pipeline([fallback({ run: () => 'found', maxConcurrent: 1 })]);
    expect(new Set(await Promise.all(Array.from({ length: 20 }, () => covered.execute(failing))))).toEqual(new Set(['found']));
  });

  test('a function that is abandoned keeps its place until it has really ended (law 6)', async () => {
    const endings: (() => void)[] = [];
    const stubborn = fallback({
      tiers: [{ run: () => new Promise<void>((resolve) => endings.push(resolve)), timeout: 5, maxConcurrent: 1 }, { value: 0 }],
    });
    const { pipeline: covered, clock } = arrange(stubborn);
    const first = covered.execute(failing);
    await clock.advance(5);
    expect(await first).toBe(0);
    expect(await covered.execute(failing)).toBe(0);
    expect(endings).toHaveLength(1);
    endings[0]?.();
    await hops();
    void covered.execute(failing);
    await hops();
    expect(endings).toHaveLength(2);
  });

  test('a thenable is asked once', async () => {
    let asked = 0;
    const query = { then: (resolve: (value: string) => void) => (asked++, resolve('row')) };
    expect(await pipeline([fallback({ run: () => query as PromiseLike<string> })]).execute(failing)).toBe('row');
    expect(asked).toBe(1);
  });

  test('when all fail, the caller sees the last error, with the first one as its cause', async () => {
    const third = new Error('third');
    const covered = pipeline([fallback({ tiers: [{ run: () => Promise.reject(second) }, { run: () => Promise.reject(third) }] })]);
    await expect(covered.execute(failing)).rejects.toBe(third);
    expect(third.cause).toBe(error);
  });

  test("the caller's abort ends the chain: no other tier is tried", async () => {
    const caller = new AbortController();
    const next = vi.fn();
    const done = pipeline([fallback({ tiers: [{ run: never }, { run: next }, { value: 'static' }] })]).execute(failing, {
      signal: caller.signal,
    });
    await hops();
    caller.abort('gone');
    await expect(done).rejects.toBe('gone');
    expect(next).not.toHaveBeenCalled();
  });

  test('once the time around them is up, functions are passed over and a value answers', async () => {
    const clock = new VirtualClock();
    const next = vi.fn();
    const done = pipeline([fallback({ tiers: [{ run: never }, { run: next }, { value: 'static' }] })], { clock }).execute(failing, {
      deadline: 10,
    });
    await clock.advance(10);
    expect(await done).toBe('static');
    expect(next).not.toHaveBeenCalled();
  });

  test('a degraded answer from further in is not covered again', async () => {
    const outer = fallback<readonly string[], readonly string[]>({
      value: ['outer'],
      when: (outcome) => outcome.ok && outcome.value.length === 0,
    });
    const both = pipeline([outer, fallback<readonly string[], readonly string[]>({ value: [] })]);
    expect(await both.execute((): Promise<readonly string[]> => failing())).toEqual([]);
    expect(await both.execute((): readonly string[] => [])).toEqual(['outer']);
  });

  test('a predicate is asked once for each outcome', async () => {
    const when = vi.fn(() => true);
    await pipeline([fallback({ tiers: [{ value: 1, when }] })]).execute(failing);
    expect(when).toHaveBeenCalledTimes(1);
  });

  test('shadowed, it tells and covers nothing', async () => {
    const { pipeline: bare, events } = arrange(fallback({ value: 1, mode: 'shadow' }));
    await expect(bare.execute(failing)).rejects.toBe(error);
    expect(events[0]).toMatchObject({ type: 'reaction.would-act', shadow: true, error });
  });

  test.each<[object, string]>([
    [{ tiers: [] }, 'fallback.tiers'],
    [{ tiers: 5 }, 'fallback.tiers'],
    [{ tiers: [{}] }, 'fallback.tiers[0].value'],
    [{ tiers: [{ value: 1, run: () => 1 }] }, 'fallback.tiers[0].value'],
    [{ tiers: [{ value: 1, timeout: 5 }] }, 'fallback.tiers[0].timeout'],
    [{ tiers: [{ value: 1, maxConcurrent: 5 }] }, 'fallback.tiers[0].maxConcurrent'],
    [{ tiers: [{ run: () => 1, timeout: 'soon' }] }, 'fallback.tiers[0].timeout'],
    [{ tiers: [{ value: 1, when: 'rejection' }] }, 'fallback.tiers[0].when'],
    [{ tiers: [{ value: 1 }, { value: 1, nmae: 'x' }] }, 'fallback.tiers[1].nmae'],
    [{ tiers: [{ value: 1 }], value: 2 }, 'fallback.value'],
    [{ tiers: [{ value: 1 }], when: 'failure' }, 'fallback.when'],
    [{ value: 1, timeout: 5 }, 'fallback.timeout'],
  ])('%j is refused at %s (G9)', (options, path) => {
    try {
      fallback(options as never);
      expect.unreachable();
    } catch (problem) {
      expect((problem as OptionsError).path).toBe(path);
    }
  });
});

describe('what a fallback answers is no success (b11)', () => {
  test.each([
    ['a value', { value: 'spare' }],
    ['a function', { run: () => 'spare' }],
  ])('%s: a circuit around it counts neither', async (_, options) => {
    const breaker = circuitBreaker({ window: { calls: 10 }, minCalls: 10, failureRate: 1 });
    const { run } = arrange([breaker, fallback(options)]);
    for (let i = 0; i < 10; i++) expect(await run(failing)).toBe('spare');
    expect(breaker.snapshot()).toMatchObject({ calls: 0, failures: 0 });
    await run(() => 1);
    expect(breaker.snapshot()).toMatchObject({ calls: 1, failures: 0 });
  });
});
