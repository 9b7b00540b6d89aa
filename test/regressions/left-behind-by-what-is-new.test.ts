import { describe, expect, test } from 'vitest';
import { bulkhead, circuitBreaker, hedge, perKey, pipeline, timeout } from 'breakwater';
import { VirtualClock, arrange } from 'breakwater/testing';

// A shadowed bulkhead for each key forgot work that a timeout had abandoned; one that enforces counts it until it ends (law 6).
test('work that a timeout abandoned still counts in a shadowed bulkhead of its key', async () => {
  const slots = perKey(() => bulkhead({ maxConcurrent: 1 }), { mode: 'shadow' });
  const { pipeline: guarded, clock } = arrange([timeout({ after: 10 }), slots]);
  const outcome = guarded.executeOutcome(() => new Promise<void>((resolve) => void clock.setTimeout(resolve, 100)), { key: 'ada' });
  await clock.advance(20);
  expect([(await outcome).ok, slots.get('ada')?.active]).toEqual([false, 1]);
  await clock.advance(100);
  expect(slots.get('ada')?.active).toBe(0);
});

// All attempts answered with one and the same connection: when the first had won, the others' was closed, which was the caller's.
test('of attempts that answer with one object, the losers do not release it', async () => {
  const { pipeline: guarded, clock } = arrange([hedge({ idempotent: true, delay: 5, maxHedges: 2 })]);
  let closed = 0;
  const connection = { [Symbol.dispose]: (): unknown => closed++ };
  const outcome = guarded.execute(async () => {
    await new Promise<void>((resolve) => void clock.setTimeout(resolve, 20));
    return connection;
  });
  expect(await clock.until(outcome)).toBe(connection);
  await clock.advance(100);
  expect(closed).toBe(0);
});

describe('calls that wait for a half-open circuit', () => {
  // It went over to the other clock, and who waited by the first one waited for ever.
  test('are refused when the circuit changes to a clock of its own', async () => {
    const circuit = circuitBreaker({ consecutiveFailures: 1, halfOpen: { calls: 1, concurrency: 1, overflow: 'wait' } });
    const live = pipeline([circuit]);
    circuit.open();
    circuit.halfOpen();
    let end!: (value: string) => void;
    const probe = live.execute(() => new Promise<string>((resolve) => (end = resolve)));
    const waiting = live.executeOutcome(() => 'in');
    const { pipeline: tested } = arrange([circuit], { clock: new VirtualClock({ start: 5000 }) });
    expect(await waiting).toMatchObject({ ok: false, error: { code: 'ERR_CIRCUIT_OPEN' } });
    end('healthy');
    expect([await probe, tested.snapshot().active, circuit.state]).toEqual(['healthy', 0, 'closed']);
  });
});
