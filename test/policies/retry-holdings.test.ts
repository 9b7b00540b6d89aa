import { describe, expect, test } from 'vitest';
import { type AnyPolicy, bulkhead, hedge, pipeline, retry, retryBudget, timeout } from 'breakwater';
import { VirtualClock, arrange, work } from 'breakwater/testing';

const plain = { kind: 'constant', delay: 5, jitter: 'none' } as const;

/** Work of a call whose attempts fail after 100 ms whatever their signal says: when each began, and how many ran at once. */
async function attemptsThrough(...inside: readonly AnyPolicy[]): Promise<{ begun: number[]; most: number; error: unknown }> {
  const clock = new VirtualClock();
  const built = pipeline<readonly AnyPolicy[]>([retry({ backoff: plain }), ...inside] as const, { clock });
  const begun: number[] = [];
  let [running, most] = [0, 0];
  const failed = built
    .execute(async () => {
      begun.push(clock.now());
      most = Math.max(most, ++running);
      await new Promise<void>((resolve) => void clock.setTimeout(resolve, 100));
      running--;
      throw new Error('down');
    })
    .catch((error: unknown) => error);
  await clock.advance('1m');
  return { begun, most, error: await failed };
}

describe('an attempt begins when the one before it has given back what it held (R8)', () => {
  test('one slot is enough for all of them, without a wait too', async () => {
    expect(await attemptsThrough(bulkhead({ maxConcurrent: 1 }))).toMatchObject({ begun: [0, 105, 210], most: 1 });
    const slot = bulkhead({ maxConcurrent: 1 });
    let attempts = 0;
    const eager = pipeline([retry({ maxAttempts: 5, backoff: { delay: 0 } }), slot]);
    await eager.executeOutcome(() => {
      attempts++;
      expect(slot.active).toBe(1);
      throw new Error('down');
    });
    expect([attempts, slot.active]).toEqual([5, 0]);
  });

  test('work that a timeout left behind keeps its slot, and the next attempt finds none', async () => {
    const left = await attemptsThrough(timeout({ after: 10 }), bulkhead({ maxConcurrent: 1 }));
    expect(left).toMatchObject({ begun: [0], most: 1, error: { code: 'ERR_TIMEOUT' } });
  });

  test('or takes another one, but never more than there are', async () => {
    const left = await attemptsThrough(timeout({ after: 10 }), bulkhead({ maxConcurrent: 2 }));
    expect(left).toMatchObject({ begun: [0, 15], most: 2, error: { code: 'ERR_TIMEOUT' } });
  });

  test('or waits in the queue until that work has ended', async () => {
    const patient = await attemptsThrough(bulkhead({ maxConcurrent: 1, maxQueue: 1, maxWait: '1s' }), timeout({ after: 10 }));
    expect(patient).toMatchObject({ begun: [0, 100, 200], most: 1 });
  });

  test('unless it is told otherwise', async () => {
    const overlapping = await attemptsThrough(timeout({ after: 10 }), bulkhead({ maxConcurrent: 1, releaseOn: 'timeout' }));
    expect(overlapping).toMatchObject({ begun: [0, 15, 30], most: 3 });
  });

  test('a timeout that waits for the work keeps attempts apart', async () => {
    const apart = await attemptsThrough(timeout({ after: 10, strategy: 'cooperative' }));
    expect(apart).toMatchObject({ begun: [0, 105, 210], most: 1 });
  });
});

describe('a budget that a retry and a hedge share (C1)', () => {
  const slow = (clock: VirtualClock) => (): Promise<never> =>
    new Promise((_, reject) => void clock.setTimeout(() => reject(new Error('down')), 30));

  test.each([
    ['in one pipeline', true],
    ['in two', false],
  ])('%s: extra attempts of both together never exceed it', async (_where, together) => {
    const clock = new VirtualClock();
    const budget = retryBudget({ ratio: 0.25, minPerSecond: 1, ttl: '10s' });
    const again = retry({ maxAttempts: 4, backoff: plain, budget });
    const twice = hedge({ maxHedges: 2, delay: 10, idempotent: true, budget });
    const through = together ? [pipeline([again, twice], { clock })] : [pipeline([again], { clock }), pipeline([twice], { clock })];
    const calls = 200;
    let attempts = 0;
    const done = Array.from({ length: calls }, async (_, i) => {
      await new Promise<void>((resolve) => void clock.setTimeout(resolve, i));
      return (through[i % through.length] as (typeof through)[number]).executeOutcome(() => {
        attempts++;
        return slow(clock)();
      });
    });
    await clock.until(Promise.all(done));
    const { retries, hedges } = { ...again.snapshot(), ...twice.snapshot() } as unknown as Record<'retries' | 'hedges', number>;
    expect(retries + hedges).toBeLessThanOrEqual(0.25 * calls + 10);
    expect(Math.min(retries, hedges)).toBeGreaterThan(0);
    expect(attempts).toBe(calls + retries + hedges);
    expect(budget.denied).toBeGreaterThan(0);
  });

  test('in shadow neither is charged', async () => {
    const budget = retryBudget({ ratio: 0, minPerSecond: 1 });
    const shadowed = [
      retry({ backoff: plain, budget, mode: 'shadow' }),
      hedge({ delay: 10, idempotent: true, budget, mode: 'shadow' }),
    ] as const;
    const { run, clock } = arrange(shadowed);
    const script = work({ after: 30, error: new Error('down') });
    for (let i = 0; i < 5; i++) await clock.until(run(script).catch(() => undefined));
    expect([script.calls, budget.balance, budget.denied]).toEqual([5, 10, 0]);
  });

  test('the one that finds it empty leaves what the other runs alone', async () => {
    const budget = retryBudget({ ratio: 0, minPerSecond: 0.1 });
    const { run, clock } = arrange([retry({ backoff: plain, budget }), hedge({ delay: 10, idempotent: true, budget })]);
    const script = work({ after: 30, error: new Error('first') }, { after: 50, value: 'hedge' });
    expect(await clock.until(run(script))).toBe('hedge');
    expect([script.calls, budget.balance]).toEqual([2, 0]);
  });
});
