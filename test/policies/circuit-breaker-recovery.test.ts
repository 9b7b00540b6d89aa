import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type CircuitBreakerOptions, CircuitOpenError, type PipelineEvent, circuitBreaker } from 'breakwater';
import { type Arranged, VirtualClock, arrange, seededRandom, work } from 'breakwater/testing';
import { rampShare } from '../../src/algorithms/ramp.ts';

type Guarded = Arranged<readonly [ReturnType<typeof circuitBreaker>]>;

const names = (events: readonly PipelineEvent[]): string[] =>
  events.flatMap(({ type }) => (type.startsWith('circuit-breaker.') ? [type.slice('circuit-breaker.'.length)] : []));

/** A circuit that is about to be tried out. */
async function tried(options: CircuitBreakerOptions): Promise<Guarded> {
  const guarded = arrange(circuitBreaker({ openFor: '5s', ...options }));
  guarded.policy.open();
  await guarded.clock.advance('5s');
  return guarded;
}

describe('calls without a place in a half-open circuit', () => {
  const halfOpen = { calls: 1, overflow: 'wait', maxWait: '2s', maxWaiting: 2 } as const;

  test('wait for the decision, and are let in, in order', async () => {
    const { run, clock, policy } = await tried({ halfOpen });
    const probe = run(work({ after: '1s', value: 'probe' }));
    const order: string[] = [];
    const waiting = ['a', 'b'].map((name) => run(() => order.push(name)));
    expect(policy.snapshot().probes).toMatchObject({ admitted: 1, inFlight: 1 });
    await clock.advance('1s');
    expect(await probe).toBe('probe');
    await Promise.all(waiting);
    expect(order).toEqual(['a', 'b']);
    expect(policy.state).toBe('closed');
    expect(clock.pending).toBe(0);
  });

  test('are refused when it opens again, with the time until it is tried anew', async () => {
    const { run, clock } = await tried({ halfOpen });
    const probe = run(work({ after: '1s', error: new Error('still down') })).catch(() => 'failed');
    const waiting = run(() => 'never').catch((error: unknown) => error);
    await clock.advance('1s');
    expect(await probe).toBe('failed');
    expect(await waiting).toMatchObject({ code: 'ERR_CIRCUIT_OPEN', reason: 'open', state: 'open', retryAfter: 5000 });
    expect(clock.pending).toBe(0);
  });

  test('get the place of a probe that came back without a verdict, before newcomers', async () => {
    const { run, pipeline, policy } = await tried({ halfOpen });
    const controller = new AbortController();
    const probe = pipeline.executeOutcome(() => new Promise(() => undefined), { signal: controller.signal });
    const waiting = run(() => 'in its place');
    controller.abort();
    expect(await waiting).toBe('in its place');
    await probe;
    expect(policy.state).toBe('closed');
  });

  test('wait no longer than maxWait, and no more of them than maxWaiting', async () => {
    const { run, clock, policy } = await tried({ halfOpen });
    void run(() => new Promise(() => undefined));
    const waiting = [1, 2].map(() => run(() => 'never').catch((error: unknown) => error));
    await expect(run(() => 'never')).rejects.toMatchObject({ reason: 'half-open', state: 'half-open' });
    await clock.advance('2s');
    for (const error of await Promise.all(waiting)) {
      expect(error).toBeInstanceOf(CircuitOpenError);
      expect(error).toMatchObject({
        reason: 'waited',
        state: 'half-open',
        message: expect.stringContaining('also after 2000 ms') as string,
      });
    }
    expect(policy.snapshot().rejected).toBe(3);
    expect(clock.pending).toBe(0);
  });

  test('leave in the same tick when their caller gives up, and leave nothing behind', async () => {
    const { run, pipeline, clock } = await tried({ halfOpen });
    void run(() => new Promise(() => undefined));
    const controller = new AbortController();
    const waiting = pipeline.executeOutcome(() => 'never', { signal: controller.signal });
    expect(clock.pending).toBe(1);
    controller.abort('enough');
    expect(clock.pending).toBe(0);
    expect(await waiting).toEqual({ ok: false, error: 'enough' });
  });

  test('are decided on by the lease of a probe that hangs, though nobody else calls', async () => {
    const { run, clock } = await tried({ halfOpen: { ...halfOpen, probeTimeout: '1s' } });
    void run(() => new Promise(() => undefined));
    const waiting = run(() => 'never').catch((error: unknown) => error);
    await clock.advance('1s');
    expect(await waiting).toMatchObject({ reason: 'open' });
  });

  test.each(['isolate', 'open', 'close', 'disable', 'reset'] as const)('are answered by %s()', async (command) => {
    const { run, clock, policy } = await tried({ halfOpen });
    void run(() => new Promise(() => undefined));
    const waiting = run(() => 'in').catch((error: unknown) => (error as { code: string }).code);
    policy[command]();
    const refused = { isolate: 'ERR_CIRCUIT_ISOLATED', open: 'ERR_CIRCUIT_OPEN' } as Partial<Record<string, string>>;
    expect(await waiting).toBe(refused[command] ?? 'in');
    expect(clock.pending).toBe(0);
  });

  test('that cannot wait are refused at once', async () => {
    const { run, pipeline } = await tried({ halfOpen });
    void run(() => new Promise(() => undefined));
    expect(pipeline.tryAcquire()).toMatchObject({ admitted: false });
  });

  test('a round that ends without a decision can close it', async () => {
    const { run, clock, policy } = await tried({ halfOpen: { calls: 1, maxDuration: '3s', onExpire: 'close' } });
    void run(() => new Promise(() => undefined));
    await clock.advance('3s');
    expect(policy.state).toBe('closed');
  });
});

describe('traffic that comes back', () => {
  const one = { calls: 1 } as const;

  test('is let in as the ramp says, refused otherwise with a reason, and all of it in the end (C9)', async () => {
    let u = 0;
    const guarded = arrange(circuitBreaker({ openFor: '5s', halfOpen: one, rampUp: '10s' }), { random: () => u });
    const { run, clock, policy } = guarded;
    policy.open();
    await clock.advance('5s');
    await run(() => 1);
    expect(policy.snapshot()).toMatchObject({ state: 'closed', ramp: 0.1 });
    u = 0.11;
    await expect(run(() => 1)).rejects.toMatchObject({
      code: 'ERR_CIRCUIT_OPEN',
      reason: 'ramp',
      state: 'closed',
      message: 'test: circuit-breaker is closed again and lets 10 % of the calls in',
    });
    await clock.advance('5s');
    expect(policy.snapshot()).toMatchObject({ ramp: 0.5, rejected: 1 });
    expect(await run(() => 'half')).toBe('half');
    u = 0.999;
    await expect(run(() => 1)).rejects.toMatchObject({ reason: 'ramp' });
    await clock.advance('5s');
    expect(await run(() => 'all')).toBe('all');
    expect(policy.snapshot().ramp).toBeUndefined();
    expect(clock.pending).toBe(0);
  });

  test('trips on fewer calls while there are fewer', async () => {
    const { run, policy } = await tried({ halfOpen: one, rampUp: { duration: '10s', min: 0.2 }, minCalls: 10 });
    await run(() => 1);
    for (let i = 0; i < 40; i++) await run(() => Promise.reject(new Error('down'))).catch(() => undefined);
    expect(policy.snapshot()).toMatchObject({ state: 'open', openCount: 2 });
  });

  test('comes back at once if an operator closes it', async () => {
    const { policy, run } = await tried({ halfOpen: one, rampUp: '10s' });
    await run(() => 1);
    expect(policy.snapshot().ramp).toBe(0.1);
    policy.close();
    expect(policy.snapshot().ramp).toBeUndefined();
    policy.open();
    policy.close();
    expect(policy.snapshot().ramp).toBeUndefined();
  });

  test('follows the formula within three sigma, for any shape and seed', () => {
    fc.assert(
      fc.property(
        fc.integer(),
        fc.record({
          duration: fc.constant(1000),
          min: fc.double({ min: 0.01, max: 0.5, noNaN: true }),
          aggression: fc.double({ min: 0.2, max: 5, noNaN: true }),
        }),
        fc.integer({ min: 0, max: 999 }),
        (seed, rampUp, at) => {
          const breaker = circuitBreaker({ halfOpen: one, rampUp, openFor: 1 });
          const { clock, pipeline } = arrange(breaker, { random: seededRandom(seed) });
          breaker.open(1);
          clock.jump(1);
          const probe = pipeline.tryAcquire();
          if (probe.admitted) probe.success();
          clock.jump(at);
          let admitted = 0;
          const calls = 400;
          for (let i = 0; i < calls; i++) if (pipeline.tryAcquire().admitted) admitted++;
          const p = rampShare(rampUp, at);
          expect(p).toBeCloseTo(Math.max(rampUp.min, (at / 1000) ** (1 / rampUp.aggression)), 12);
          expect(Math.abs(admitted - calls * p)).toBeLessThanOrEqual(4.5 * Math.sqrt(calls * p * (1 - p)) + 1e-9);
        },
      ),
      { numRuns: 100 },
    );
    // Over many seeds together three sigma hold.
    let admitted = 0;
    const draws = 40_000;
    const random = seededRandom(7);
    for (let i = 0; i < draws; i++) if (random() < rampShare({ duration: 100, min: 0.1, aggression: 2 }, 25)) admitted++;
    expect(Math.abs(admitted - draws / 2)).toBeLessThanOrEqual(3 * Math.sqrt(draws / 4));
  });
});

describe('recovery without calls (C12)', () => {
  test('auto: a timer makes it half-open, and none is left at rest', async () => {
    const { clock, policy, events } = arrange(circuitBreaker({ openFor: '5s', recover: { auto: true } }));
    expect(clock.pending).toBe(0);
    policy.open();
    expect(clock.pending).toBe(1);
    await clock.advance('5s');
    expect(names(events)).toEqual(['opened', 'half-opened']);
    expect(events.at(-1)).toMatchObject({ reason: 'elapsed', at: 5000 });
    expect(clock.pending).toBe(0);
  });

  test.each(['close', 'reset', 'disable', 'metricsOnly', 'isolate', 'halfOpen'] as const)('%s() leaves no timer', (command) => {
    const { clock, policy } = arrange(circuitBreaker({ recover: { auto: true, probe: () => true } }));
    policy.open();
    expect(clock.pending).toBe(2);
    policy[command]();
    expect(clock.pending).toBe(0);
  });

  test('an isolation stops it, and it goes on afterwards', async () => {
    const { clock, policy } = arrange(circuitBreaker({ openFor: '5s', recover: { auto: true } }));
    policy.open();
    const isolation = policy.isolate();
    await clock.advance('1s');
    isolation.release();
    await clock.advance('4s');
    expect(policy.state).toBe('half-open');
  });

  test('a longer or shorter time by command moves the timer', async () => {
    const { clock, policy } = arrange(circuitBreaker({ openFor: '5s', recover: { auto: true } }));
    policy.open();
    policy.open('20s');
    await clock.advance('19s');
    expect(policy.state).toBe('open');
    await clock.advance('1s');
    expect(policy.state).toBe('half-open');
    policy.open('1m');
    policy.open('1s');
    await clock.advance('1s');
    expect(clock.pending).toBe(0);
  });

  test('dispose stops it for good', async () => {
    const { clock, policy } = arrange(circuitBreaker({ openFor: '5s', recover: { auto: true, probe: () => true } }));
    policy.open();
    policy[Symbol.dispose]();
    expect(clock.pending).toBe(0);
    policy.close();
    policy.open();
    arrange(policy, { clock });
    expect(clock.pending).toBe(0);
  });

  test('a probe is asked again and again while it is open, until it says yes', async () => {
    const asked: number[] = [];
    const clock = new VirtualClock();
    const probe = (): boolean => asked.push(clock.now()) === 3;
    const { policy, events } = arrange(circuitBreaker({ openFor: '1h', recover: { probe, interval: '2s' } }), { clock });
    policy.open();
    await clock.advance('6s');
    expect(asked).toEqual([2000, 4000, 6000]);
    expect(policy.state).toBe('half-open');
    expect(events.at(-1)).toMatchObject({ type: 'circuit-breaker.half-opened', reason: 'recovery-probe' });
    expect(names(events)).toEqual(['opened', 'recovery-probed', 'recovery-probed', 'recovery-probed', 'half-opened']);
    expect(clock.pending).toBe(0);
  });

  test('with closes it closes at once', async () => {
    const { clock, policy } = arrange(circuitBreaker({ openFor: '1h', recover: { probe: async () => true, closes: true } }));
    policy.open();
    await clock.advance('5s');
    expect(policy.state).toBe('closed');
    expect(clock.pending).toBe(0);
  });

  test('one that hangs is aborted after its timeout, and asked anew; what it says later counts for nothing', async () => {
    const signals: AbortSignal[] = [];
    const answers: ((ok: boolean) => void)[] = [];
    const probe = (signal: AbortSignal): Promise<boolean> => {
      signals.push(signal);
      return new Promise((resolve) => answers.push(resolve));
    };
    const { clock, policy, events } = arrange(circuitBreaker({ openFor: '1h', recover: { probe, interval: '2s', timeout: '1s' } }));
    policy.open();
    await clock.advance('3s');
    expect(signals[0]?.aborted).toBe(true);
    expect(signals[0]?.reason).toMatchObject({ code: 'ERR_TIMEOUT' });
    expect(events.at(-1)).toMatchObject({ type: 'circuit-breaker.recovery-probed', ok: false, took: 1000, error: { code: 'ERR_TIMEOUT' } });
    answers[0]?.(true);
    await clock.advance('1s');
    expect(policy.state).toBe('open');
    await clock.advance('1s');
    expect(signals).toHaveLength(2);
  });

  test.each<[string, () => boolean]>([
    ['throws', () => expect.fail('broken')],
    ['rejects', () => Promise.reject(new Error('still down')) as unknown as boolean],
    ['answers with nothing', () => undefined as unknown as boolean],
  ])('one that %s has failed, and is asked again', async (_, probe) => {
    const { clock, policy, events } = arrange(circuitBreaker({ openFor: '1h', recover: { probe, interval: '1s' } }));
    policy.open();
    await clock.advance('2s');
    expect(policy.state).toBe('open');
    expect(events.filter(({ type }) => type === 'circuit-breaker.recovery-probed')).toMatchObject([
      { ok: false, level: 'warn', error: expect.any(Error) as Error },
      { ok: false },
    ]);
  });

  test('one of an earlier opening is told that nobody waits for it, and changes nothing', async () => {
    let answer: (ok: boolean) => void = () => undefined;
    const signals: AbortSignal[] = [];
    const probe = (signal: AbortSignal): Promise<boolean> => (signals.push(signal), new Promise((resolve) => (answer = resolve)));
    const { clock, policy } = arrange(circuitBreaker({ openFor: '1h', recover: { probe, interval: '1s', timeout: '10s' } }));
    policy.open();
    await clock.advance('1s');
    policy.close();
    policy.open();
    expect(signals[0]?.aborted).toBe(true);
    answer(true);
    await clock.advance(1);
    expect(policy.state).toBe('open');
  });

  test('a listener that gives a command when it hears of a good probe has the last word', async () => {
    const { clock, policy, pipeline } = arrange(circuitBreaker({ openFor: '1h', recover: { probe: () => true, closes: true } }));
    pipeline.on('circuit-breaker.recovery-probed', () => policy.disable());
    policy.open();
    await clock.advance('5s');
    expect(policy.state).toBe('disabled');
  });

  test('keeps no process alive (criterion 35)', async () => {
    const script = `import { circuitBreaker, pipeline } from 'breakwater';
      const breaker = circuitBreaker({ openFor: '1h', recover: { auto: true, probe: () => false } });
      pipeline([breaker]);
      breaker.open();`;
    const begun = performance.now();
    await promisify(execFile)(process.execPath, [
      '--import',
      'tsx',
      '--input-type=module',
      '-e',
      script.replace("'breakwater'", JSON.stringify(new URL('../../src/index.ts', import.meta.url).href)),
    ]);
    expect(performance.now() - begun).toBeLessThan(60_000);
  }, 90_000);
});
