import { describe, expect, test } from 'vitest';
import { type CircuitBreaker, bulkhead, circuitBreaker, hedge, leakyBucket, perKey, pipeline, tokenBucket } from 'breakwater';
import { VirtualClock, arrange, work } from 'breakwater/testing';

describe('traffic that comes back (C9)', () => {
  /** The share of calls that should be let in, by the formula of the documentation: max(min, (t / duration)^(1 / aggression)). */
  const formula = (t: number, min: number, aggression: number): number => Math.max(min, (t / 10_000) ** (1 / aggression));

  test.each([
    [0.1, 1],
    [0.02, 0.5],
    [0.2, 3],
  ])('is let in as the formula says, within 3 standard deviations over 20 seeds: min %d, aggression %d', async (min, aggression) => {
    let [admitted, expected, variance] = [0, 0, 0];
    const refusals = new Set<unknown>();
    for (let seed = 1; seed <= 20; seed++) {
      const breaker = circuitBreaker({ openFor: '5s', halfOpen: { calls: 1 }, rampUp: { duration: '10s', min, aggression } });
      const { pipeline: guarded, run, clock } = arrange(breaker, { seed });
      breaker.open();
      await clock.advance('5s');
      await run(() => 'a good probe');
      for (let t = 250; t < 10_000; t += 250) {
        await clock.advance(250);
        const share = formula(t, min, aggression);
        for (let i = 0; i < 50; i++) {
          const answer = guarded.tryAcquire();
          if (answer.admitted) answer.success();
          else refusals.add((answer.error as { reason?: string }).reason);
          admitted += answer.admitted ? 1 : 0;
          expected += share;
          variance += share * (1 - share);
        }
      }
      expect(breaker.state).toBe('closed');
    }
    expect(Math.abs(admitted - expected) / Math.sqrt(variance)).toBeLessThan(3);
    expect([...refusals]).toEqual(['ramp']);
  });
});

describe('no hedge begins while what is further in has trouble (H4)', () => {
  const answer = { after: 50, value: 'slow' } as const;
  const reached = async (breaker: CircuitBreaker, prepare: (clock: VirtualClock) => Promise<void> | void): Promise<number> => {
    const { run, clock } = arrange([hedge({ delay: 10, idempotent: true, budget: false }), breaker]);
    await prepare(clock);
    const script = work(answer);
    await clock.until(run(script).catch(() => undefined));
    return script.calls;
  };

  test('a closed circuit is none', async () => {
    expect(await reached(circuitBreaker(), () => undefined)).toBe(2);
  });

  test('while the circuit is half-open or lets traffic back only little by little', async () => {
    const halfOpen = circuitBreaker({ openFor: '1s', halfOpen: { calls: 5, concurrency: 5 } });
    expect(
      await reached(halfOpen, async (clock) => {
        halfOpen.open();
        await clock.advance('1s');
      }),
    ).toBe(1);
    const ramping = circuitBreaker({ openFor: '1s', halfOpen: { calls: 1 }, rampUp: { duration: '10s', min: 0.99 } });
    expect(
      await reached(ramping, async (clock) => {
        ramping.open();
        await clock.advance('1s');
        await pipeline([ramping], { clock }).execute(() => 'a good probe');
      }),
    ).toBe(1);
  });

  test('once it has opened while the first attempt ran', async () => {
    const breaker = circuitBreaker();
    const { run, clock, events } = arrange([hedge({ delay: 10, idempotent: true, budget: false }), breaker]);
    const script = work(answer);
    const done = run(script);
    await clock.advance(5);
    breaker.open();
    expect(await clock.until(done)).toBe('slow');
    expect(script.calls).toBe(1);
    expect(events.filter(({ type }) => type === 'hedge.suppressed')).toMatchObject([{ reason: 'strained', by: 'circuit-breaker' }]);
  });

  test('while the circuit of this key is open, those of others being closed', async () => {
    const circuits = perKey(() => circuitBreaker({ consecutiveFailures: 1, halfOpen: { calls: 5, concurrency: 5 }, openFor: '1s' }));
    const { run, clock } = arrange([hedge({ delay: 10, idempotent: true, budget: false }), pipeline([circuits])]);
    await clock.until(
      run(work({ error: Object.assign(new Error('bad request'), { status: 503 }) }), { key: 'bad' }).catch(() => undefined),
    );
    await clock.advance('1s');
    const [bad, good] = [work(answer), work(answer)];
    await clock.until(run(bad, { key: 'bad' }));
    await clock.until(run(good, { key: 'good' }));
    expect([bad.calls, good.calls]).toEqual([1, 2]);
  });

  test.each([
    ['token bucket', () => tokenBucket({ rate: 1, per: '1m', burst: 10 }), 6],
    ['leaky bucket', () => leakyBucket({ rate: 1, per: '1m', burst: 10, delay: Infinity }), 6],
    ['bulkhead', () => bulkhead({ maxConcurrent: 10 }), 7],
  ] as const)('while a %s has no more than a fifth left, also deep inside', async (_kind, make, more) => {
    const limit = make();
    const clock = new VirtualClock();
    const direct = pipeline([limit], { clock });
    const hedged = pipeline([hedge({ delay: 10, idempotent: true, budget: false }), pipeline([pipeline([limit])])], { clock });
    const [before, then] = [work(answer), work(answer)];
    await clock.until(hedged.execute(before));
    const taken = Array.from({ length: more }, () => direct.tryAcquire().admitted);
    await clock.until(hedged.execute(then));
    expect([before.calls, taken.every(Boolean), then.calls]).toEqual([2, true, 1]);
  });
});

describe('a circuit breaker in shadow', () => {
  test('goes through all its states and lets every call in; whoever asks it sees them', async () => {
    const breaker = circuitBreaker({ consecutiveFailures: 2, openFor: '1s', halfOpen: { calls: 1 }, mode: 'shadow' });
    const { run, clock, events } = arrange(breaker);
    const script = work('fail', 'fail', 'ok', 'ok', 'ok');
    const states: string[] = [];
    for (let i = 0; i < 5; i++) {
      await run(script).catch(() => undefined);
      states.push(breaker.state);
      if (i === 2) await clock.advance('1s');
    }
    expect(script.calls).toBe(5);
    expect(states).toEqual(['closed', 'open', 'open', 'closed', 'closed']);
    expect(events.filter(({ type }) => type === 'gate.would-refuse')).toMatchObject([
      { shadow: true, error: { code: 'ERR_CIRCUIT_OPEN' } },
    ]);
    expect(events.filter(({ type }) => type.startsWith('circuit-breaker.')).map(({ type }) => type)).toEqual([
      'circuit-breaker.opened',
      'circuit-breaker.half-opened',
      'circuit-breaker.closed',
    ]);
  });

  test('is asked before a hedge begins only if it is enforced', async () => {
    const breaker = circuitBreaker({ mode: 'shadow' });
    const { run, clock } = arrange([hedge({ delay: 10, idempotent: true, budget: false }), breaker]);
    breaker.open();
    const script = work({ after: 50, value: 1 });
    await clock.until(run(script));
    expect(script.calls).toBe(2);
  });
});
