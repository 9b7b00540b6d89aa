import { describe, expect, test } from 'vitest';
import { retry } from 'breakwater';
import { VirtualClock, arrange, work } from 'breakwater/testing';

const bare = (): Pick<ReturnType<typeof arrange>, 'clock' | 'run'> => arrange([]);

describe('scripted work', () => {
  test('takes one step a run, and the last one repeats', async () => {
    const { run } = bare();
    const scripted = work({ value: 1 }, { value: 2 }, 'ok');
    const results: unknown[] = [];
    for (let i = 0; i < 5; i++) results.push(await run(scripted));
    expect(results).toEqual([1, 2, 'ok', 'ok', 'ok']);
    expect(scripted.calls).toBe(5);
  });

  test('without steps is ok for ever', async () => {
    expect(await bare().run(work())).toBe('ok');
  });

  test("'fail' rejects and 'throw' throws at once, each with a new error that says which run it was", async () => {
    const { run } = bare();
    const scripted = work('fail', 'throw');
    await expect(run(scripted)).rejects.toThrow('the work failed (run 1)');
    await expect(run(scripted)).rejects.toThrow('the work failed (run 2)');
    expect(scripted.runs[0]?.error).not.toBe(scripted.runs[1]?.error);
    expect(() => scripted({ scope: { clock: new VirtualClock() } } as never)).toThrow('run 3');
  });

  test('settles with the very value or error it is given, after the time it is given', async () => {
    const { run, clock } = bare();
    const value = {};
    for (const error of [new Error('x'), 'text', undefined]) {
      const failed = run(work({ after: '1s', error })).then(
        () => 'resolved',
        (thrown: unknown) => [thrown],
      );
      expect(await clock.until(failed)).toEqual([error]);
    }
    expect(clock.now()).toBe(3000);
    expect(await clock.until(run(work({ after: 5, value })))).toBe(value);
    expect(await run(work({ after: 0, value }))).toBe(value);
    expect(await run(work({ value: undefined }))).toBe(undefined);
    expect(clock.now()).toBe(3005);
  });

  test('may take longer than one timer can', async () => {
    const { run, clock } = bare();
    const slow = run(work({ after: '1000h', value: 1 }));
    await clock.advance('999h');
    expect(clock.pending).toBe(1);
    expect(await clock.until(slow)).toBe(1);
    expect(clock.now()).toBe(3_600_000_000);
  });

  test("'hang' never settles; 'hang-until-abort' rejects with the reason of its signal", async () => {
    const { run, clock } = bare();
    const [deaf, polite] = [work('hang'), work('hang-until-abort')];
    const caller = new AbortController();
    const reason = { why: 'enough' };
    const calls = [run(deaf, { signal: caller.signal }), run(polite, { signal: caller.signal })];
    caller.abort(reason);
    for (const call of calls) await expect(call).rejects.toBe(reason);
    await clock.advance(0);
    expect([deaf.runs[0]?.endedAt, polite.runs[0]?.endedAt]).toEqual([undefined, 0]);
    expect(polite.runs[0]?.error).toBe(reason);
  });

  test('keeps a record of each run', async () => {
    const { run, clock } = arrange(retry({ maxAttempts: 2, backoff: { delay: '1s', jitter: 'none' } }));
    const scripted = work({ after: 50, error: 'no' }, { after: 10, value: 7 });
    await clock.until(run(scripted));
    expect(scripted.runs).toMatchObject([
      { step: { after: 50, error: 'no' }, attempt: 1, at: 0, endedAt: 50, error: 'no' },
      { step: { after: 10, value: 7 }, attempt: 2, at: 1050, endedAt: 1060 },
    ]);
  });

  test('refuses a step that is none', () => {
    for (const wrong of [
      'okay',
      5,
      null,
      undefined,
      {},
      { after: 5 },
      { value: 1, error: 2 },
      { after: 'soon', value: 1 },
      { after: Infinity, value: 1 },
    ])
      expect(() => work(wrong as never)).toThrow('work: expected one of ok, fail, throw, hang, hang-until-abort, { after, value } or');
  });
});
