import { describe, expect, test } from 'vitest';
import { type CircuitBreakerOptions, OptionsError, circuitBreaker } from 'breakwater';
import { type Arranged, VirtualClock, arrange } from 'breakwater/testing';

type Guarded = Arranged<readonly [ReturnType<typeof circuitBreaker>]>;

const options: CircuitBreakerOptions = { window: '30s', minCalls: 10, openFor: '10s', halfOpen: { calls: 1 } };

async function run({ run: execute }: Guarded, letters: string): Promise<void> {
  for (const letter of letters) await execute(() => (letter === 'S' ? 1 : Promise.reject(new Error('down')))).catch(() => undefined);
}

/** What another process finds, so many ms later. */
async function later(guarded: Guarded, ms: number, others: CircuitBreakerOptions = {}): Promise<Guarded> {
  const initialState = JSON.parse(JSON.stringify(guarded.policy.snapshot())) as object;
  const clock = new VirtualClock({ start: 777_777 });
  clock.shiftWall(guarded.clock.wall() + ms - clock.wall());
  return arrange(circuitBreaker({ ...options, ...others, initialState }), { clock });
}

describe('a circuit that goes on from a snapshot (criterion 8)', () => {
  test('closed: with what its window held, less what has become too old since', async () => {
    const before = arrange(circuitBreaker(options));
    await run(before, 'SFF');
    await before.clock.advance('10s');
    await run(before, 'F');
    const soon = await later(before, 1000);
    expect(soon.policy.snapshot()).toMatchObject({ state: 'closed', calls: 4, failures: 3, consecutiveFailures: 3 });
    expect((await later(before, 25_000)).policy.snapshot()).toMatchObject({ calls: 1, failures: 1 });
    await run(soon, 'FFFFFF');
    expect(soon.policy.state).toBe('open');
  });

  test('open: for what is left of its time', async () => {
    const before = arrange(circuitBreaker(options));
    await run(before, 'FFFFFFFFFF');
    await before.clock.advance('4s');
    const after = await later(before, 1000);
    expect(after.policy.snapshot()).toMatchObject({ state: 'open', remaining: 5000, openCount: 1, lastFailure: 'Error: down' });
    expect(after.policy.snapshot().since).toBe(after.clock.now() - 5000);
    expect(after.events).toMatchObject([
      { type: 'circuit-breaker.opened', reason: 'restored' },
      { type: 'circuit-breaker.restored', elapsed: 1000, window: 'kept' },
    ]);
    await after.clock.advance('5s');
    expect(after.policy.state).toBe('half-open');
    expect((await later(before, 3_600_000)).policy.state).toBe('half-open');
  });

  test('half-open: open, and may be tried at once', async () => {
    const before = arrange(circuitBreaker(options));
    before.policy.open();
    before.policy.halfOpen();
    const after = await later(before, 0);
    expect(after.policy.state).toBe('half-open');
    await run(after, 'S');
    expect(after.policy.state).toBe('closed');
  });

  test('by hand: as it was, until a command; open without an end likewise (K8)', async () => {
    const before = arrange(circuitBreaker(options));
    before.policy.isolate('database moves');
    const after = await later(before, 5000);
    expect(after.policy.snapshot()).toMatchObject({ state: 'isolated', why: 'database moves' });
    after.policy.reset();
    expect(after.policy.state).toBe('closed');
    for (const command of ['disable', 'metricsOnly'] as const) {
      before.policy.reset();
      before.policy[command]();
      expect((await later(before, 5)).policy.state).toBe(before.policy.state);
    }
    before.policy.reset();
    before.policy.open(Infinity);
    expect((await later(before, 1e9)).policy.snapshot()).toMatchObject({ state: 'open', remaining: undefined });
  });

  test('of another configuration keeps its state and drops its window', async () => {
    const before = arrange(circuitBreaker(options));
    await run(before, 'FF');
    const other = arrange(circuitBreaker({ ...options, window: '60s' }));
    expect(other.policy.restore(before.policy.snapshot())).toBe(false);
    expect(other.policy.snapshot()).toMatchObject({ calls: 0, consecutiveFailures: 2 });
    const same = arrange(circuitBreaker({ ...options, openFor: '1s' }));
    expect(same.policy.restore(before.policy.snapshot())).toBe(true);
    expect(same.policy.snapshot()).toMatchObject({ calls: 2, failures: 2 });
  });

  test('counts results of calls that began before as late', async () => {
    const guarded = arrange(circuitBreaker({ ...options, consecutiveFailures: 1 }));
    const admission = guarded.pipeline.tryAcquire();
    guarded.policy.restore(guarded.policy.snapshot());
    if (admission.admitted) admission.failure();
    expect(guarded.policy.snapshot()).toMatchObject({ state: 'closed', failures: 0, late: 1 });
  });

  test.each<[unknown]>([
    [{}],
    [[]],
    [null],
    ['open'],
    [{ takenAt: 1, config: 'x', memory: 5 }],
    [{ takenAt: 'now', config: 'x', memory: {} }],
  ])('garbage is refused, and nothing is lost: %j', async (garbage) => {
    const guarded = arrange(circuitBreaker(options));
    await run(guarded, 'FF');
    expect(() => guarded.policy.restore(garbage as object)).toThrow(OptionsError);
    const { memory, ...others } = guarded.policy.snapshot();
    const bad = { ...others, memory: { ...memory, window: [[1, 2, 3]] } };
    expect(() => guarded.policy.restore(bad)).toThrow(OptionsError);
    expect(() => circuitBreaker({ ...options, initialState: bad })).toThrow(OptionsError);
    expect(guarded.policy.snapshot()).toMatchObject({ state: 'closed', calls: 2, failures: 2, consecutiveFailures: 2 });
  });

  test('a wall clock set back since then takes nothing off', async () => {
    const before = arrange(circuitBreaker(options));
    before.policy.open();
    expect((await later(before, -3_600_000)).policy.snapshot()).toMatchObject({ state: 'open', remaining: 10_000 });
  });
});
