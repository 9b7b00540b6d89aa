import { describe, expect, test } from 'vitest';
import { retry, retryBudget, timeout } from 'breakwater';
import { arrange } from 'breakwater/testing';

/** A predicate that is asked and takes its time, for ever if need be. */
function slowWhen(): { readonly when: () => Promise<boolean>; readonly answer: (wanted: boolean) => void } {
  let answer!: (wanted: boolean) => void;
  const asked = new Promise<boolean>((resolve) => (answer = resolve));
  return { when: () => asked, answer };
}

// A retry waited for it whatever became of the call: neither an abort nor a timeout ended that wait (law 5).
describe('a call that is cut short does not wait for an asynchronous `when`', () => {
  test('an abort by the caller', async () => {
    const budget = retryBudget({ kind: 'concurrent' });
    const { when, answer } = slowWhen();
    const { pipeline, clock } = arrange([retry({ when, budget, backoff: { delay: 0 } })]);
    const controller = new AbortController();
    let runs = 0;
    const outcome = pipeline.executeOutcome(
      () => {
        runs++;
        throw new Error('no');
      },
      { signal: controller.signal },
    );
    await clock.advance(10);
    controller.abort('enough');
    expect(await outcome).toEqual({ ok: false, error: 'enough' });
    answer(true);
    await clock.advance('1m');
    expect([runs, pipeline.snapshot().active, clock.pending, budget.usage]).toEqual([1, 0, 0, 0]);
  });

  test('a timeout around it, and the result that was to be judged is released', async () => {
    const { when } = slowWhen();
    const { pipeline, clock } = arrange([timeout({ after: 100 }), retry({ when })]);
    let disposed = 0;
    const outcome = pipeline.executeOutcome(() => ({ [Symbol.dispose]: (): unknown => disposed++ }));
    await clock.advance(100);
    expect(await outcome).toMatchObject({ ok: false, error: { code: 'ERR_TIMEOUT' } });
    expect([disposed, clock.pending]).toEqual([1, 0]);
  });

  test('the deadline, and a late answer ends no other wait', async () => {
    const { when, answer } = slowWhen();
    const { pipeline, clock } = arrange([
      retry({ name: 'outer', maxAttempts: 2, nested: 'allow', backoff: { delay: 50, jitter: 'none' } }),
      timeout({ after: 20 }),
      retry({ name: 'inner', when, nested: 'allow' }),
    ]);
    let runs = 0;
    const outcome = pipeline.executeOutcome(({ attempt }) => {
      runs++;
      if (attempt === 1) throw new Error('no');
      return 'served';
    });
    await clock.advance(30);
    answer(false);
    await clock.advance(10);
    expect(runs).toBe(1);
    await clock.advance(60);
    expect(await outcome).toEqual({ ok: true, value: 'served' });
  });
});
