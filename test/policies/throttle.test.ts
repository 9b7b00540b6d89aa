import { describe, expect, test } from 'vitest';
import { type Priority, ThrottledError, bulkhead, circuitBreaker, fallback, pipeline, timeout } from 'breakwater';
import { type Arranged, VirtualClock, arrange, gateContract, policyContract, work } from 'breakwater/testing';
import { type Throttle, throttle } from '../../src/policies/throttle.ts';
import { problemsOf } from '../support/answers.ts';

const given = { describe, it: test };
const options = { k: 1.5, window: '30s', minRequests: 5 } as const;
/** One that has been turned away so often that it lets one call in two thousand through, and none for an hour to see. */
const refuses = (): Throttle => {
  const shut = throttle({ minRequests: 1, maxRejection: 1, probeInterval: '1h', accepts: () => false });
  const spent = pipeline([shut], { clock: new VirtualClock() });
  for (let i = 0; i < 2000; i++) {
    const admission = spent.tryAcquire();
    if (admission.admitted) admission.failure(new Error('no'));
  }
  return shut;
};
policyContract(() => throttle({ minRequests: 400 }), { ...given, refuses, factory: { create: throttle, options } });
gateContract(() => throttle({ minRequests: 400 }), { ...given, refuses });

const busy = (): Promise<never> => Promise.reject(Object.assign(new Error('busy'), { status: 503 }));
const wrong = (): Promise<never> => Promise.reject(new Error('wrong'));
const fine = (): string => 'fine';
type Outside = Arranged<readonly [Throttle]>;

/** Many calls one after the other; answers with how many of them were turned away here. */
async function times(n: number, { run }: Pick<Outside, 'run'>, each: () => unknown, how = {}): Promise<number> {
  let refused = 0;
  for (let i = 0; i < n; i++)
    await run(each, how).catch((error: unknown) => {
      if (error instanceof ThrottledError) refused++;
    });
  return refused;
}

/** Chance that turns nobody away, so that probabilities can be read off. */
const lenient = { random: () => 1 - 2 ** -32 };
/** Chance that turns away whoever may be. */
const strict = { random: () => 0 };

describe('the probability', () => {
  test('is max(0, (requests - k * accepts) / (requests + 1))', async () => {
    const it = arrange(throttle({ maxRejection: 1 }), lenient);
    await times(60, it, fine);
    await times(60, it, busy);
    expect(it.policy.rejectionProbability).toBe(0);
    await times(1, it, busy);
    expect(it.policy.rejectionProbability).toBe(1 / 122);
    await times(79, it, busy);
    expect(it.policy.rejectionProbability).toBe(80 / 201);
    expect(it.policy.snapshot()).toMatchObject({ requests: 200, accepts: 60, pending: 0, rejectionProbability: 80 / 201 });
  });

  test('is 0 until there are `minRequests`, and at most `maxRejection`', async () => {
    const it = arrange(throttle({ minRequests: 30, maxRejection: 0.8 }), lenient);
    await times(29, it, busy);
    expect(it.policy.rejectionProbability).toBe(0);
    await times(1, it, busy);
    expect(it.policy.rejectionProbability).toBe(0.8);
  });

  test('goes by a success target as by its reciprocal', async () => {
    const it = arrange(throttle({ successTarget: 0.9 }), lenient);
    await times(90, it, fine);
    await times(30, it, busy);
    expect(it.policy.rejectionProbability).toBeCloseTo((120 - 90 / 0.9) / 121, 12);
    expect(it.policy.describe()).toMatchObject({ k: 1 / 0.9 });
  });

  test('is raised by aggression', async () => {
    const it = arrange(throttle({ aggression: 2 }), lenient);
    await times(120, it, busy);
    await times(40, it, fine);
    expect(it.policy.rejectionProbability).toBeCloseTo(Math.sqrt((160 - 80) / 161), 12);
  });

  test('is 0 when idle: nothing is left once the window is over, however long nothing happened (A4)', async () => {
    const it = arrange(throttle({ window: '10s' }), lenient);
    await times(50, it, busy);
    expect(it.policy.rejectionProbability).toBe(0.9);
    await it.clock.advance('10s');
    expect(it.policy.rejectionProbability).toBe(0);
    await it.clock.advance('1000h');
    expect(it.policy.snapshot()).toEqual({ requests: 0, accepts: 0, pending: 0, rejectionProbability: 0, classes: {} });
  });

  test('moves on bucket by bucket', async () => {
    const it = arrange(throttle({ window: '10s', buckets: 5 }), lenient);
    for (let second = 0; second < 10; second++) {
      await times(10, it, fine);
      await it.clock.advance('1s');
    }
    expect(it.policy.snapshot().requests).toBe(80);
    await it.clock.advance('1999ms');
    expect(it.policy.snapshot().requests).toBe(80);
    await it.clock.advance('1ms');
    expect(it.policy.snapshot().requests).toBe(60);
  });
});

describe('a throttle', () => {
  test('counts the calls it turns away as requests', async () => {
    const it = arrange(throttle({ probeInterval: Infinity }), strict);
    expect(await times(100, it, busy)).toBe(80);
    expect(it.policy.snapshot()).toMatchObject({ requests: 100, accepts: 0 });
  });

  test('does not count them if told so', async () => {
    const it = arrange(throttle({ localRejections: false, probeInterval: Infinity }), strict);
    await times(100, it, busy);
    expect(it.policy.snapshot()).toMatchObject({ requests: 20, rejectionProbability: 0.9 });
  });

  test('lets one call through each second whatever the probability, and says when the next one is due', async () => {
    const it = arrange(throttle({ maxRejection: 1 }), strict);
    await times(20, it, busy);
    await it.clock.advance(300);
    const error = await it.run(fine).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(ThrottledError);
    expect(error).toMatchObject({ code: 'ERR_THROTTLED', pipeline: 'test', policy: 'throttle', retryAfter: 700 });
    expect((error as Error).message).toBe('test: throttle holds back 95 % of the critical calls, as the service turns too many away');
    await it.clock.advance(699);
    expect(await times(1, it, fine)).toBe(1);
    await it.clock.advance(1);
    expect(await times(3, it, busy)).toBe(2);
    await it.clock.advance('1s');
    expect(await times(3, it, busy)).toBe(2);
  });

  test('lets another call try it out if the one that was to is turned away further in', async () => {
    const inner = bulkhead({ maxConcurrent: 0 });
    const { pipeline: both, clock } = arrange([throttle({ maxRejection: 1 }), inner], strict);
    inner.resize(1);
    for (let i = 0; i < 20; i++) await both.executeOutcome(busy);
    await clock.advance('1s');
    inner.resize(0);
    expect((await both.executeOutcome(fine)) as object).toMatchObject({ error: { code: 'ERR_BULKHEAD_FULL' } });
    inner.resize(1);
    expect(await both.executeOutcome(fine)).toMatchObject({ ok: true });
    expect(await both.executeOutcome(fine)).toMatchObject({ error: { code: 'ERR_THROTTLED' } });
  });

  test('is shared by the pipelines that hold it', async () => {
    const one = throttle();
    const clock = new VirtualClock();
    const [here, there] = [arrange(one, { clock, ...lenient }), arrange(one, { clock, ...strict })];
    await times(30, here, busy);
    expect(await times(10, there, fine)).toBe(10);
  });

  test('tells when a class begins to be turned away, and when it is no more', async () => {
    const it = arrange(throttle({ window: '20s' }), lenient);
    await times(30, it, busy);
    await times(40, it, fine);
    await times(5, it, busy);
    await it.clock.advance('20s');
    await times(5, it, fine);
    const told = it.events.filter(({ type }) => type.startsWith('throttle.'));
    expect(told).toMatchObject([
      { type: 'throttle.engaged', level: 'warn', priority: 'critical', rejectionProbability: 0.9, at: 0, policy: 'throttle' },
      { type: 'throttle.released', level: 'info', priority: 'critical', at: 20_000 },
    ]);
  });

  test('is strained while it turns calls away, and when nearly so, for the class of the call', async () => {
    const it = arrange(throttle(), lenient);
    const strained = async (priority?: Priority): Promise<boolean> => {
      let answer = false;
      const ask = pipeline([], { clock: it.clock });
      await ask.execute(
        (call) => {
          answer = (it.policy as unknown as { strained(call: unknown): boolean }).strained(call);
        },
        priority === undefined ? {} : { priority },
      );
      return answer;
    };
    expect(await strained()).toBe(false);
    await times(20, it, fine);
    await times(5, it, busy);
    expect(await strained()).toBe(false);
    await times(10, it, busy);
    expect(it.policy.rejectionProbability).toBe(0);
    expect(await strained()).toBe(true);
    expect(await strained('best-effort')).toBe(false);
  });

  test('is at rest when nothing is under way and the window is empty', async () => {
    const it = arrange(throttle({ window: '10s' }));
    const atRest = (): boolean => (it.policy as unknown as { atRest(now: number): boolean }).atRest(it.clock.now());
    expect(atRest()).toBe(true);
    const running = it.run(work({ after: '30s', value: 1 }));
    expect(atRest()).toBe(false);
    await it.clock.until(running);
    expect(atRest()).toBe(false);
    await it.clock.advance('10s');
    expect(atRest()).toBe(true);
  });

  test('in shadow tells whom it would turn away, and turns away nobody', async () => {
    const it = arrange(throttle({ mode: 'shadow' }), strict);
    expect(await times(50, it, busy)).toBe(0);
    const told = it.events.filter(({ type }) => type === 'gate.would-refuse');
    expect(told.length).toBe(30);
    expect(told[0]).toMatchObject({ error: { code: 'ERR_THROTTLED' }, retryAfter: 1000 });
  });
});

describe('what counts as accepted', () => {
  const cases = [
    ['an answer', fine, true],
    ['an error of the service', wrong, true],
    ['a 404', () => Promise.reject(Object.assign(new Error('no'), { status: 404 })), true],
    ['a 500', () => Promise.reject(Object.assign(new Error('no'), { status: 500 })), true],
    ['a 503', busy, false],
    ['a 429', () => Promise.reject(Object.assign(new Error('no'), { status: 429 })), false],
    ['a 504', () => Promise.reject(Object.assign(new Error('no'), { status: 504 })), false],
    ['a response of 503 as a result', () => ({ status: 503, headers: new Headers() }), false],
    ['RESOURCE_EXHAUSTED of gRPC', () => Promise.reject(Object.assign(new Error('no'), { code: 8, details: '', metadata: {} })), false],
    ['a connection that timed out', () => Promise.reject(Object.assign(new Error('no'), { code: 'ETIMEDOUT' })), false],
    ['a service that nobody reached', () => Promise.reject(Object.assign(new Error('no'), { code: 'ECONNREFUSED' })), undefined],
    ['a mistake of the caller', () => Promise.reject(new ReferenceError('no')), undefined],
  ] as const;

  test.each(cases)('%s', async (_what, each, accepted) => {
    const it = arrange(throttle());
    await times(1, it, each);
    const { requests, accepts } = it.policy.snapshot();
    expect([requests, accepts]).toEqual(accepted === undefined ? [0, 0] : [1, Number(accepted)]);
  });

  test('a timeout further in does not, once the work has begun', async () => {
    const { pipeline: both, policy, clock } = arrange([throttle(), timeout({ after: '1s' })]);
    await clock.until(both.executeOutcome(work('hang')));
    expect(policy.snapshot()).toMatchObject({ requests: 1, accepts: 0, pending: 0 });
  });

  test('a caller who gives up says nothing about the service', async () => {
    const it = arrange(throttle());
    for (let i = 0; i < 100; i++) {
      const caller = new AbortController();
      const call = it.run(work('hang-until-abort'), { signal: caller.signal });
      await Promise.resolve();
      caller.abort('enough');
      await expect(call).rejects.toBe('enough');
    }
    expect(it.policy.snapshot()).toMatchObject({ requests: 0, accepts: 0, pending: 0 });
  });

  test('neither does what a policy further in turns away', async () => {
    const circuit = circuitBreaker();
    const { pipeline: both, policy } = arrange([throttle(), circuit]);
    circuit.isolate();
    expect(await both.executeOutcome(fine)).toMatchObject({ error: { code: 'ERR_CIRCUIT_ISOLATED' } });
    expect(policy.snapshot()).toMatchObject({ requests: 0, accepts: 0, pending: 0 });
  });

  test('nor what a pipeline that the work calls turns away', async () => {
    const shut = pipeline([bulkhead({ maxConcurrent: 0 })]);
    const it = arrange(throttle());
    await times(5, it, () => shut.execute(fine));
    expect(it.policy.snapshot()).toMatchObject({ requests: 0, accepts: 0, pending: 0 });
  });

  test('nor time that ran out before the work could begin', async () => {
    const { pipeline: both, policy, clock } = arrange([throttle(), timeout({ after: '1s' }), bulkhead({ maxConcurrent: 0, maxQueue: 1 })]);
    expect(await clock.until(both.executeOutcome(fine))).toMatchObject({ error: { code: 'ERR_TIMEOUT', started: false } });
    expect(policy.snapshot()).toMatchObject({ requests: 0, accepts: 0, pending: 0 });
  });

  test('nor an answer that a fallback gave in its stead', async () => {
    const { run, policy } = arrange([throttle(), fallback({ value: 'lesser' })]);
    expect(await run(busy)).toBe('lesser');
    expect(policy.snapshot()).toMatchObject({ requests: 0, accepts: 0, pending: 0 });
  });

  test("by accepts: 'failure' no failure does", async () => {
    const it = arrange(throttle({ accepts: 'failure' }));
    await times(5, it, wrong);
    await times(5, it, fine);
    expect(it.policy.snapshot()).toMatchObject({ requests: 10, accepts: 5 });
  });

  test('a function of yours says so; if it throws, the call counts as nothing', async () => {
    const it = arrange(
      throttle({
        accepts: (outcome) => {
          if (outcome.ok) return outcome.value !== 'poor';
          if ((outcome.error as Error).message === 'wrong') return 'ignored';
          throw new Error('no idea');
        },
      }),
    );
    await times(1, it, fine);
    await times(1, it, () => 'poor');
    await times(1, it, wrong);
    await times(1, it, busy);
    expect(it.policy.snapshot()).toMatchObject({ requests: 2, accepts: 1, pending: 0 });
    expect(it.events.filter(({ type }) => type === 'pipeline.callback-failed')).toMatchObject([{ callback: 'accepts' }]);
  });

  test('a classifier of yours says what is a sign of overload', async () => {
    const it = arrange(throttle({ classify: ({ ok }) => (ok ? { overload: true } : undefined) }));
    await times(3, it, fine);
    expect(it.policy.snapshot()).toMatchObject({ requests: 3, accepts: 0 });
  });
});

describe('calls under way', () => {
  test('are in doubt: not counted, and not counted against', async () => {
    const it = arrange(throttle());
    const calls = Array.from({ length: 500 }, () => it.run(work({ after: '1s', value: 1 })));
    expect(it.policy.snapshot()).toMatchObject({ requests: 0, pending: 500, rejectionProbability: 0 });
    await it.clock.until(Promise.all(calls));
    expect(it.policy.snapshot()).toMatchObject({ requests: 500, accepts: 500, pending: 0, rejectionProbability: 0 });
  });

  test('with overdueAfter: 0 are requests from their start on, as in the book', async () => {
    const it = arrange(throttle({ overdueAfter: 0, maxRejection: 1 }), lenient);
    const calls = Array.from({ length: 30 }, () => it.run(work({ after: '1s', value: 1 })));
    expect(it.policy.snapshot()).toMatchObject({ requests: 30, accepts: 0, pending: 30, rejectionProbability: 30 / 31 });
    await it.clock.until(Promise.all(calls));
    expect(it.policy.snapshot()).toMatchObject({ requests: 30, accepts: 30, pending: 0, rejectionProbability: 0 });
  });

  test('that were counted and end without a word about the service are taken back', async () => {
    const it = arrange(throttle({ overdueAfter: '1s', window: '10s' }), lenient);
    const caller = new AbortController();
    const calls = Array.from({ length: 30 }, () => it.run(work('hang-until-abort'), { signal: caller.signal }).catch(() => undefined));
    await it.clock.advance('1s');
    expect(it.policy.snapshot()).toMatchObject({ requests: 30, pending: 30 });
    caller.abort();
    await Promise.all(calls);
    expect(it.policy.snapshot()).toMatchObject({ requests: 0, pending: 0 });
  });
});

describe('options', () => {
  test.each([
    [{ k: 0.9 }, ['throttle.k']],
    [{ successTarget: 0 }, ['throttle.successTarget']],
    [{ successTarget: 1.1 }, ['throttle.successTarget']],
    [{ k: 2, successTarget: 0.9 }, ['throttle.successTarget']],
    [{ window: 0 }, ['throttle.window']],
    [{ buckets: 0, maxRejection: 2, aggression: 0.5 }, ['throttle.buckets', 'throttle.maxRejection', 'throttle.aggression']],
    [{ accepts: 'all' }, ['throttle.accepts']],
    [{ probeInterval: 0 }, ['throttle.probeInterval']],
    [{ succesTarget: 0.5 }, ['throttle.succesTarget']],
  ])('%j is refused', (wanted, paths) => expect(problemsOf(throttle, wanted)).toEqual(paths));

  test('are described as they were read', () => {
    expect(throttle({ window: '1m', accepts: () => true }).describe()).toEqual({
      k: 2,
      window: 60_000,
      buckets: 20,
      minRequests: 20,
      maxRejection: 0.9,
      aggression: 1,
      accepts: 'computed',
      localRejections: true,
      probeInterval: 1000,
      overdueAfter: 3000,
    });
  });
});
