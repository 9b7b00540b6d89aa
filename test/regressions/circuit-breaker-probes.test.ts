/** Half-open circuits that got stuck, closed for no reason, or were overrun. */

import { describe, expect, test } from 'vitest';
import { type CallOptions, bulkhead, circuitBreaker, definePolicy, refuse, retry } from 'breakwater';
import { type Arranged, arrange, work } from 'breakwater/testing';

type Guarded = Arranged<readonly [ReturnType<typeof circuitBreaker>]>;

/** A circuit that is about to be tried out. */
async function tried(options: Parameters<typeof circuitBreaker>[0] = {}): Promise<Guarded> {
  const guarded = arrange(circuitBreaker({ openFor: '5s', ...options }));
  guarded.policy.open();
  await guarded.clock.advance('5s');
  return guarded;
}

const quietly = async (run: Guarded['run'], what: 'ok' | 'fail', options?: CallOptions): Promise<void> => {
  await run(work(what), options).catch(() => undefined);
};

describe('a probe without a verdict', () => {
  test('that is aborted gives its place back: the circuit neither sticks half-open nor closes (K7; Polly 1979, 311 and 717)', async () => {
    const { run, policy, pipeline } = await tried({ halfOpen: { calls: 1 } });
    const controller = new AbortController();
    const probe = pipeline.executeOutcome(() => new Promise(() => undefined), { signal: controller.signal });
    expect(policy.snapshot().probes.inFlight).toBe(1);
    controller.abort();
    await probe;
    expect(policy.snapshot()).toMatchObject({ state: 'half-open', failures: 0, probes: { inFlight: 0, succeeded: 0 } });
    await quietly(run, 'ok');
    expect(policy.state).toBe('closed');
  });

  test('that is judged ignored gives its place back (resilience4j 544, opossum 276)', async () => {
    const { run, policy } = await tried({ halfOpen: { calls: 1 }, isFailure: ({ ok }) => (ok ? false : 'ignored') });
    for (let i = 0; i < 5; i++) await quietly(run, 'fail');
    expect(policy.state).toBe('half-open');
    await quietly(run, 'ok');
    expect(policy.state).toBe('closed');
  });

  test('that a policy further in turned away gives its place back and is no failure (Sentinel 1638, 2136, 3363)', async () => {
    let shut = true;
    const door = definePolicy({ kind: 'door', gate: { enter: () => (shut ? refuse(new Error('shut')) : 1), settle() {}, cancel() {} } });
    const breaker = circuitBreaker({ openFor: '5s', halfOpen: { calls: 1 } });
    const { run, clock } = arrange([breaker, door]);
    breaker.open();
    await clock.advance('5s');
    await expect(run(work('ok'))).rejects.toThrow('shut');
    expect(breaker.snapshot()).toMatchObject({ state: 'half-open', openCount: 1, probes: { inFlight: 0 } });
    shut = false;
    await run(work('ok'));
    expect(breaker.state).toBe('closed');
  });

  test('with a classifier that throws gives its place back', async () => {
    const { run, policy } = await tried({ halfOpen: { calls: 1 }, isFailure: () => expect.fail('broken') });
    for (let i = 0; i < 3; i++) await quietly(run, 'ok');
    expect(policy.snapshot()).toMatchObject({ state: 'half-open', probes: { inFlight: 0 } });
  });

  test('starves the round if it is the only kind there is, and that is told (erpc PR 1118)', async () => {
    const { run, events, policy } = await tried({ halfOpen: { calls: 2 }, isFailure: () => 'ignored' });
    for (let i = 0; i < 50; i++) await quietly(run, 'ok');
    expect(policy.state).toBe('half-open');
    expect(events.filter(({ type }) => type === 'circuit-breaker.starved')).toMatchObject([{ level: 'warn', ignored: 20 }]);
  });
});

describe('a probe that hangs', () => {
  test('loses its place after its lease and counts as failed; what comes of it is late (K4; resilience4j 903, 935, 1389)', async () => {
    const { run, clock, policy, events } = await tried({ halfOpen: { calls: 1, probeTimeout: '10s' } });
    const hung = run(work({ after: '25s', value: 'finally' }));
    await clock.advance('12s');
    expect(policy.snapshot()).toMatchObject({ state: 'open', openCount: 2, remaining: 3000 });
    expect(events.find(({ type }) => type === 'circuit-breaker.probe-expired')).toMatchObject({ level: 'warn', after: 10_000, probes: 1 });
    await clock.advance('3s');
    const next = run(work({ after: '20s', value: 'probe' })).catch(() => undefined);
    await clock.advance('10s');
    expect(await hung).toBe('finally');
    expect(policy.snapshot()).toMatchObject({ late: 1 });
    await clock.until(next);
  });

  test('never brings more than its number to the dependency while others wait (safe-client-gateway PR 3442)', async () => {
    const { run, clock, policy } = await tried({ halfOpen: { calls: 3, probeTimeout: '30s' } });
    let started = 0;
    for (let second = 0; second < 29; second++) {
      for (let i = 0; i < 20; i++) void run(() => (started++, new Promise<never>(() => undefined))).catch(() => undefined);
      await clock.advance('1s');
    }
    expect(started).toBe(3);
    expect(policy.snapshot()).toMatchObject({ state: 'half-open', rejected: 29 * 20 - 3 });
  });
});

describe('a burst at the end of the open time', () => {
  test('gets exactly as many probes in as a round has, counted at the door (K1; resilience4j 1432, opossum 819)', async () => {
    const { run, policy } = await tried({ halfOpen: { calls: 5, concurrency: 2 } });
    let out = 0;
    let most = 0;
    let ran = 0;
    const slow = async (): Promise<void> => {
      ran++;
      most = Math.max(most, ++out);
      await Promise.resolve();
      await Promise.resolve();
      out--;
    };
    await Promise.all(Array.from({ length: 100 }, () => run(slow).catch(() => undefined)));
    expect([most, ran]).toEqual([2, 2]);
    await Promise.all(Array.from({ length: 100 }, () => run(slow).catch(() => undefined)));
    expect([most, ran, policy.state]).toEqual([2, 4, 'half-open']);
    await run(slow);
    expect(policy.state).toBe('closed');
  });

  test('one bad probe ends the round for those that are still out', async () => {
    const { run, clock, policy, events } = await tried();
    const slow = [run(work({ after: 100, value: 1 })), run(work({ after: 100, value: 1 }))];
    await quietly(run, 'fail');
    expect(policy.state).toBe('open');
    await clock.until(Promise.all(slow));
    expect(policy.snapshot()).toMatchObject({ state: 'open', openCount: 2, late: 2 });
    expect(events.filter(({ type }) => type === 'circuit-breaker.opened')).toHaveLength(2);
  });
});

test('retries inside a half-open circuit are one probe, outside one each', async () => {
  const inside = arrange([
    circuitBreaker({ halfOpen: { calls: 1 } }),
    retry({ maxAttempts: 3, backoff: { delay: 0 } }),
    bulkhead({ maxConcurrent: 1 }),
  ]);
  const breaker = inside.policy;
  breaker.open(10);
  await inside.clock.advance(10);
  expect(await inside.clock.until(inside.run(work('fail', 'fail', 'ok')))).toBe('ok');
  expect(breaker.state).toBe('closed');
});
