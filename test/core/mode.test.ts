import { describe, expect, test } from 'vitest';
import {
  BulkheadFullError,
  Failure,
  type GatePolicy,
  type Mode,
  type Pipeline,
  type PipelineEvent,
  bulkhead,
  circuitBreaker,
  definePolicy,
  fallback,
  perKey,
  pipeline,
  refuse,
  retry,
  timeout,
  tokenBucket,
} from 'breakwater';
import { VirtualClock, work } from 'breakwater/testing';

/** A pipeline on its own clock, and what it tells. */
function watched(
  policies: Parameters<typeof pipeline>[0],
  random: () => number = () => 0.5,
): { p: Pipeline; clock: VirtualClock; events: PipelineEvent[] } {
  const clock = new VirtualClock();
  const events: PipelineEvent[] = [];
  const on = (event: PipelineEvent): void => {
    if (event.type !== 'pipeline.settled') events.push(event);
  };
  return { p: pipeline(policies as [], { clock, random, on }), clock, events };
}

const types = (events: readonly PipelineEvent[]): string[] => events.map(({ type }) => type);

describe('a policy in shadow', () => {
  test('lets pass what it would refuse, and tells of it', async () => {
    const limiter = tokenBucket({ rate: 1, per: '1m', mode: 'shadow' });
    const { p, events } = watched([limiter]);
    expect([await p.execute(() => 1), await p.execute(() => 2)]).toEqual([1, 2]);
    expect(events).toMatchObject([
      { type: 'gate.would-refuse', policy: 'token-bucket', shadow: true, retryAfter: 60_000, error: { code: 'ERR_RATE_LIMITED' } },
    ]);
  });

  test('keeps its books as always: what passes is counted, what it would refuse is not', async () => {
    const slots = bulkhead({ maxConcurrent: 2, mode: 'shadow' });
    const { p, clock } = watched([slots]);
    const running = [1, 2, 3].map(() => p.execute(work({ after: 100, value: 'done' })));
    expect([slots.active, slots.snapshot().refused]).toEqual([2, 1]);
    await clock.advance(100);
    expect(await Promise.all(running)).toEqual(['done', 'done', 'done']);
    expect(slots.active).toBe(0);
  });

  test('does not delay: a call that would have waited goes on at once and stands in the queue as a shadow', async () => {
    const slots = bulkhead({ maxConcurrent: 1, maxQueue: 5, maxWait: '1s', mode: 'shadow' });
    const { p, clock, events } = watched([slots]);
    const [first, second] = [p.execute(work({ after: 100, value: 1 })), p.execute(work({ after: 50, value: 2 }))];
    expect([slots.active, slots.queued]).toEqual([1, 1]);
    await clock.advance(50);
    expect(await second).toBe(2);
    expect([slots.active, slots.queued]).toEqual([1, 0]);
    await clock.advance(50);
    expect(await first).toBe(1);
    expect([slots.active, clock.pending]).toEqual([0, 0]);
    expect(types(events)).toEqual(['bulkhead.queued', 'gate.would-wait']);
  });

  test('gives back the slot that its shadow was handed in the queue', async () => {
    const slots = bulkhead({ maxConcurrent: 1, maxQueue: 5, maxWait: '1s', mode: 'shadow' });
    const { p, clock } = watched([slots]);
    const all = [p.execute(work({ after: 10, value: 1 })), p.execute(work({ after: 100, value: 2 }))];
    await clock.advance(20);
    expect([slots.active, slots.queued]).toEqual([1, 0]);
    await clock.advance(100);
    await Promise.all(all);
    expect(slots.active).toBe(0);
  });

  test('tells of a queue that would have been waited in for too long', async () => {
    const { p, clock, events } = watched([bulkhead({ maxConcurrent: 1, maxQueue: 5, maxWait: 30, mode: 'shadow' })]);
    const all = [p.execute(work({ after: 100, value: 1 })), p.execute(work({ after: 100, value: 2 }))];
    await clock.advance(100);
    expect(await Promise.all(all)).toEqual([1, 2]);
    expect(events).toContainEqual(
      expect.objectContaining({ type: 'gate.would-refuse', error: expect.objectContaining({ code: 'ERR_QUEUE_TIMEOUT' }) as unknown }),
    );
  });

  test('does not cut calls short that take longer than its timeout', async () => {
    const { p, clock, events } = watched([timeout({ after: 50, mode: 'shadow' })]);
    const done = p.execute(work({ after: 100, value: 'slow' }));
    await clock.advance(100);
    expect(await done).toBe('slow');
    expect(events).toMatchObject([{ type: 'timeout.expired', shadow: true, after: 50 }]);
    expect(clock.pending).toBe(0);
  });

  test('opens its circuit and goes on letting calls through', async () => {
    const breaker = circuitBreaker({ consecutiveFailures: 2, mode: 'shadow' });
    const { p, events } = watched([breaker]);
    for (let i = 0; i < 2; i++) await p.executeOutcome(work('fail'));
    expect(breaker.state).toBe('open');
    expect(await p.execute(() => 'through')).toBe('through');
    expect(types(events)).toEqual(['circuit-breaker.opened', 'gate.would-refuse']);
  });

  test('does not keep the next policy from deciding (envoy PR 46390)', async () => {
    const { p } = watched([tokenBucket({ rate: 1, per: '1m', mode: 'shadow' }), tokenBucket({ rate: 1, per: '1m', name: 'enforced' })]);
    await p.execute(() => 1);
    expect(await p.executeOutcome(() => 2)).toMatchObject({ ok: false, error: { policy: 'enforced' } });
  });

  test('does not retry and does not fall back, and says that it would have', async () => {
    const { p, events } = watched([
      fallback({ value: 'lesser', mode: 'shadow' }),
      retry({ maxAttempts: 3, mode: 'shadow', budget: false }),
    ]);
    const task = work('fail', 'ok');
    expect(await p.executeOutcome(task)).toMatchObject({ ok: false });
    expect(events.filter(({ type }) => type === 'reaction.would-act').map(({ policy }) => policy)).toEqual(['retry', 'fallback']);
  });

  test('leaves an abort by the caller what it is', async () => {
    const slots = bulkhead({ maxConcurrent: 1, maxQueue: 1, maxWait: '1s', mode: 'shadow' });
    const { p, clock } = watched([slots]);
    const control = new AbortController();
    const all = [1, 2].map(() => p.executeOutcome(work('hang'), { signal: control.signal }));
    control.abort('enough');
    expect(await Promise.all(all)).toEqual([
      { ok: false, error: 'enough' },
      { ok: false, error: 'enough' },
    ]);
    expect([slots.queued, clock.pending]).toEqual([0, 0]);
  });

  test('also under keys', async () => {
    const { p, events } = watched([perKey(() => tokenBucket({ rate: 1, per: '1m', mode: 'shadow' }))]);
    for (const key of ['ada', 'ada', 'bob']) expect(await p.execute(() => key, { key })).toBe(key);
    expect(events).toMatchObject([{ type: 'gate.would-refuse', key: 'ada', policy: 'per-key (token-bucket)' }]);
  });
});

describe('a policy that is off', () => {
  test.each<[string, GatePolicy]>([
    ['bulkhead', bulkhead({ maxConcurrent: 0, mode: 'off' })],
    ['token bucket', tokenBucket({ rate: 1, burst: 1, initial: 0, mode: 'off' })],
    ['circuit breaker', circuitBreaker({ consecutiveFailures: 1, mode: 'off' })],
  ])('is as if it were not there: %s', async (_, policy) => {
    const { p, events } = watched([policy]);
    await p.executeOutcome(work('fail'));
    expect(await p.execute(() => 1)).toBe(1);
    expect(events).toEqual([]);
  });

  test('runs no reaction', async () => {
    const { p } = watched([fallback({ value: 'lesser', mode: 'off' })]);
    expect(await p.executeOutcome(work('fail'))).toMatchObject({ ok: false });
  });
});

describe('a mode', () => {
  test('may be the share of calls that it is enforced for; the others are shadowed', async () => {
    let u = 0;
    const { p } = watched([bulkhead({ maxConcurrent: 0, mode: 0.3 })], () => u);
    const answers: boolean[] = [];
    for (u of [0, 0.29, 0.3, 0.99]) answers.push((await p.executeOutcome(() => 1)).ok);
    expect(answers).toEqual([false, false, true, true]);
  });

  test('may be a function of the call: switched while it runs, or for some tenants only', async () => {
    let mode: Mode = 'off';
    const { p } = watched([bulkhead({ maxConcurrent: 0, mode: (call) => (call.key === 'beta' ? 'enforce' : (mode as 'off')) })]);
    expect((await p.executeOutcome(() => 1)).ok).toBe(true);
    expect((await p.executeOutcome(() => 1, { key: 'beta' })).ok).toBe(false);
    mode = 'enforce';
    expect((await p.executeOutcome(() => 1)).ok).toBe(false);
  });

  test('that a function may not answer is reported, and the policy enforces', async () => {
    const { p, events } = watched([bulkhead({ maxConcurrent: 0, mode: () => 'perhaps' as 'off' })]);
    expect((await p.executeOutcome(() => 1)).ok).toBe(false);
    expect(events[0]).toMatchObject({ type: 'pipeline.callback-failed', callback: 'mode' });
  });

  test.each(['shadows', 2, -0.1, Number.NaN, {}, null])('%j is none', (mode) => {
    expect(() => bulkhead({ maxConcurrent: 1, mode: mode as 'off' })).toThrow(/bulkhead\.mode: expected 'enforce', 'shadow', 'off'/);
  });

  test('works for gates of your own', async () => {
    const no = definePolicy({
      kind: 'no',
      mode: 'shadow',
      gate: { enter: () => refuse(new BulkheadFullError('no')), settle() {}, cancel() {} },
    });
    const { p, events } = watched([no]);
    expect(await p.execute(() => 'yes')).toBe('yes');
    expect(types(events)).toEqual(['gate.would-refuse']);
  });

  test('works for drivers of your own, which see in their scope that they are shadowed', async () => {
    const told: boolean[] = [];
    const driver = (mode: Mode): ReturnType<typeof definePolicy> =>
      definePolicy({
        kind: 'drive',
        mode,
        mount: (next, scope) => (call) => {
          told.push(scope.shadow);
          return scope.shadow ? next(call) : Promise.resolve(new Failure(new Error('driven'), 'thrown'));
        },
      });
    const outcomes = await Promise.all(
      (['enforce', 'shadow', 'off'] as const).map((mode) => watched([driver(mode)]).p.executeOutcome(() => 1)),
    );
    expect(outcomes.map(({ ok }) => ok)).toEqual([false, true, true]);
    expect(told).toEqual([false, true]);
  });

  test('is known to admissions without a function', () => {
    const { p } = watched([bulkhead({ maxConcurrent: 0, mode: 'shadow' })]);
    const admission = p.tryAcquire();
    expect(admission.admitted).toBe(true);
    if (admission.admitted) admission.success();
  });

  test('shows in the description of a pipeline, and lint passes over what is off', () => {
    const layers = [
      circuitBreaker({ mode: 'off' }),
      retry({ mode: () => 'shadow' }),
      timeout({ after: 1, mode: 0.5 }),
      fallback({ value: 1 }),
    ];
    const p = pipeline(layers as Parameters<typeof pipeline>[0] as []);
    expect((p as unknown as Pipeline).describe().layers.map(({ mode }) => mode)).toEqual(['off', 'computed', 0.5, undefined]);
    expect(
      pipeline([circuitBreaker(), retry()])
        .lint()
        .map(({ rule }) => rule),
    ).toContain('breaker-outside-retry');
    expect(pipeline([circuitBreaker({ mode: 'off' }), retry()]).lint()).toEqual([]);
  });
});
