import { describe, expect, test } from 'vitest';
import { CircuitOpenError, OptionsError, TimeoutError, chaos, fallback, pipeline, presets } from 'breakwater';
import { VirtualClock, seededRandom, work } from 'breakwater/testing';

const namesOf = (policies: readonly { readonly name?: string | undefined }[]): readonly unknown[] => policies.map(({ name }) => name);
const everyPart = ['total-timeout', 'retry', 'circuit-breaker', 'bulkhead', 'attempt-timeout'];
const origin = { key: 'https://api.example', idempotent: true } as const;

describe('presets.http', () => {
  test('names its parts and stands in the recommended order; lint has nothing to say', () => {
    expect(namesOf(presets.http())).toEqual(everyPart);
    expect(namesOf(presets.http({ rateLimit: { rate: 10, per: '1s' } }))).toEqual(['total-timeout', 'rate-limit', ...everyPart.slice(1)]);
    expect(pipeline(presets.http({ rateLimit: { rate: 10, per: '1s' } })).lint()).toEqual([]);
  });

  test('leaves parts out and sets others up otherwise', () => {
    const [total, circuits, ...others] = presets.http({ retry: false, bulkhead: false, timeout: { after: '20s' } });
    expect([total.describe()['after'], circuits.kind, namesOf(others)]).toEqual([20_000, 'per-key', ['attempt-timeout']]);
  });

  test('is an array of its own each time, to be edited', () => {
    const mine = presets.http();
    mine.pop();
    expect(presets.http()).toHaveLength(5);
    const edited = pipeline([fallback({ value: null }), ...presets.http(), chaos()]);
    expect(edited.lint()).toEqual([]);
    expect(namesOf(presets.http().filter(({ name }) => name !== 'retry'))).toEqual(everyPart.filter((name) => name !== 'retry'));
  });

  test('tries again what may be repeated, and only that', async () => {
    const clock = new VirtualClock();
    const api = pipeline(presets.http(), { clock, random: seededRandom(1) });
    const reset = Object.assign(new Error('reset'), { code: 'ECONNRESET' });
    const read = work({ error: reset }, 'ok');
    expect(await clock.until(api.execute(read, origin))).toBe('ok');
    const write = work({ error: reset }, 'ok');
    await expect(clock.until(api.execute(write, { key: origin.key }))).rejects.toBe(reset);
    const unsent = work({ error: Object.assign(new Error('refused'), { code: 'ECONNREFUSED' }) }, 'ok');
    expect(await clock.until(api.execute(unsent, { key: origin.key }))).toBe('ok');
    expect([read.calls, write.calls, unsent.calls]).toEqual([2, 1, 2]);
  });

  test('keeps a circuit for each origin', async () => {
    const clock = new VirtualClock();
    const api = pipeline(presets.http({ retry: false, circuitBreaker: { consecutiveFailures: 2 } }), { clock });
    for (let i = 0; i < 2; i++) await api.executeOutcome(work('fail'), { key: 'bad' });
    await expect(api.execute(() => 1, { key: 'bad' })).rejects.toBeInstanceOf(CircuitOpenError);
    expect(await api.execute(() => 1, { key: 'good' })).toBe(1);
  });

  test('ends an attempt after 10 s and the whole after 30 s', async () => {
    const clock = new VirtualClock();
    const api = pipeline(presets.http({ retry: { maxAttempts: 10, budget: false } }), { clock, random: seededRandom(1) });
    const stuck = work('hang');
    await expect(clock.until(api.execute(stuck, origin))).rejects.toBeInstanceOf(TimeoutError);
    expect([clock.now() <= 30_000, stuck.calls]).toEqual([true, 3]);
  });
});

describe('presets.hedgedHttp', () => {
  test('has a hedge where the other has a retry; lint has nothing to say', () => {
    const policies = presets.hedgedHttp({ rateLimit: { rate: 10, per: '1s' } });
    expect(namesOf(policies)).toEqual(['total-timeout', 'rate-limit', 'hedge', 'circuit-breaker', 'bulkhead', 'attempt-timeout']);
    expect(pipeline(policies).lint()).toEqual([]);
    expect(namesOf(presets.hedgedHttp({ hedge: false, attemptTimeout: false }))).toEqual(['total-timeout', 'circuit-breaker', 'bulkhead']);
  });

  test('begins a slow call again, after 2 s as long as it knows nothing, if it may be repeated', async () => {
    const clock = new VirtualClock();
    const lookup = pipeline(presets.hedgedHttp(), { clock });
    const slow = work('hang-until-abort', 'ok');
    expect(await clock.until(lookup.execute(slow, origin))).toBe('ok');
    expect([clock.now(), slow.calls]).toEqual([2000, 2]);
  });
});

test.each([
  [() => presets.http({ retrys: false } as never), 'presets.http.retrys'],
  [() => presets.http({ retry: true as never }), 'presets.http.retry'],
  [() => presets.hedgedHttp({ hedge: 5 as never }), 'presets.hedgedHttp.hedge'],
  [() => presets.http({ timeout: { after: 'soon' as never } }), 'timeout.after'],
  [() => presets.http({ circuitBreaker: { failureRate: 2 } }), 'circuit-breaker.failureRate'],
])('what cannot be is refused where it stands (%#)', (make, path) => {
  expect(make).toThrow(expect.objectContaining({ path }) as Error);
  expect(make).toThrow(OptionsError);
});

describe('presets.server', () => {
  test('names its parts and stands in the recommended order; lint has nothing to say', () => {
    expect(namesOf(presets.server())).toEqual(['total-timeout', 'system-guard', 'adaptive-limiter']);
    const all = presets.server({ authority: { deny: ['mallory'] }, rateLimit: { rate: 10 } });
    expect(namesOf(all)).toEqual(['total-timeout', 'authority', 'system-guard', 'rate-limit', 'adaptive-limiter']);
    expect(pipeline(all).lint()).toEqual([]);
  });

  test('bounds each key and is made of gates alone', () => {
    const incoming = pipeline(presets.server({ timeout: false, rateLimit: { rate: 1, per: '1h' } }), { clock: new VirtualClock() });
    const admitted = ['ada', 'ada', 'bob'].map((key) => incoming.tryAcquire({ key }).admitted);
    expect(admitted).toEqual([true, false, true]);
  });

  test('says which part is wrong', () => {
    expect(() => presets.server({ rateLimits: {} } as never)).toThrow(/did you mean rateLimit\?/);
    expect(() => presets.server({ adaptiveLimiter: { min: -1 } })).toThrow(/adaptiveLimiter\.min/);
  });
});
