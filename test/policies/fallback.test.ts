import { describe, expect, test, vi } from 'vitest';
import {
  type PipelineEvent,
  OptionsError,
  RejectedError,
  TimeoutError,
  definePolicy,
  fallback,
  pipeline,
  refuse,
  timeout,
} from 'breakwater';
import { VirtualClock, policyContract } from 'breakwater/testing';

policyContract(() => fallback({ value: 'covered', when: () => false }), { describe, it: test, name: 'fallback' });

const error = new Error('down');
const failing = (): Promise<never> => Promise.reject(error);
const never = (): Promise<never> => new Promise(() => undefined);

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
  expect(() => fallback({})).toThrow('fallback.value: expected either value or run, got neither');
  expect(() => fallback({ value: 1, run: () => 1 })).toThrow('got both');
  for (const wrong of [{ run: 5 }, { value: 1, when: 'x' }, { valeu: 1 }, null])
    expect(() => fallback(wrong as never)).toThrow(OptionsError);
});
