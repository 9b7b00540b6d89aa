import Bottleneck from 'bottleneck';
import { pipeline } from 'breakwater';
import { bottleneckLimiter } from 'breakwater/bottleneck';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { hop } from '../../src/testing/hop.ts';
import { pass, useTurns } from '../interop/bottleneck-turns.ts';

useTurns();

const unhandled: unknown[] = [];
const note = (error: unknown): void => void unhandled.push(error);
beforeEach(() => {
  unhandled.length = 0;
  process.on('unhandledRejection', note);
});
afterEach(async () => {
  await pass(1000);
  await hop();
  process.off('unhandledRejection', note);
  expect(unhandled).toEqual([]);
});

const fail = (): Promise<never> => Promise.reject(new Error('down'));

describe('an id that calls have one after the other', () => {
  test.each([0, 1, 2, 3, 4, 5, 8])(
    'is free again when the one before it is answered, also if it failed (asked %i turns later)',
    async (turns) => {
      const limiter = bottleneckLimiter({ maxConcurrent: 5 }, { id: () => 'job-7' });
      const api = pipeline([limiter]);
      for (let i = 0; i < 10; i++) {
        const work = i % 3 === 0 ? (): number => i : fail;
        const outcome = await api.executeOutcome<number>(work);
        expect(outcome).toMatchObject(i % 3 === 0 ? { ok: true, value: i } : { ok: false, error: { message: 'down' } });
        for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setTimeout(resolve, 0));
      }
      await hop();
      expect(limiter.snapshot()).toMatchObject({ active: 0, queued: 0, refused: 0 });
      await limiter.stop();
    },
  );

  test('with an expiration, too', async () => {
    const limiter = bottleneckLimiter({ maxConcurrent: 5 }, { id: () => 'job-7', expiration: 10 });
    const api = pipeline([limiter]);
    for (let i = 0; i < 5; i++) {
      const outcome = api.executeOutcome(() => new Promise<never>(() => undefined));
      await pass(10);
      expect(await outcome).toMatchObject({ ok: false, error: { code: 'ERR_TIMEOUT' } });
      expect(await api.execute(() => i)).toBe(i);
    }
    expect(limiter.snapshot()).toMatchObject({ refused: 0, expired: 5 });
  });

  test('in limiters that share one behind them', async () => {
    const shared = new Bottleneck({ maxConcurrent: 5 });
    const [one, other] = [0, 1].map(() => pipeline([bottleneckLimiter(new Bottleneck().chain(shared), { id: () => 'job-7' })]));
    for (let i = 0; i < 5; i++)
      for (const api of [one, other]) expect(await api?.executeOutcome(fail)).toMatchObject({ error: { message: 'down' } });
  });

  test('where a listener asks for more runs', async () => {
    const yours = new Bottleneck();
    yours.on('failed', (_error, { retryCount }) => (retryCount < 2 ? 5 : null));
    const api = pipeline([bottleneckLimiter(yours, { id: () => 'job-7' })]);
    for (let i = 0; i < 3; i++) {
      const outcome = api.executeOutcome(fail);
      await pass(5);
      expect(await api.executeOutcome(fail)).toMatchObject({ error: { code: 'ERR_REJECTED' } });
      await pass(5);
      expect(await outcome).toMatchObject({ error: { message: 'down' } });
    }
  });
});

describe('an id that calls have at the same time', () => {
  test('is refused to the second one, and its status is that of the first', async () => {
    const limiter = bottleneckLimiter({}, { id: () => 'job-7' });
    const api = pipeline([limiter]);
    let end = (): void => undefined;
    const first = api.execute(() => new Promise<void>((resolve) => (end = resolve)));
    await hop();
    expect(limiter.limiter.jobStatus('job-7')).toBe('EXECUTING');
    const refused = { ok: false, error: { code: 'ERR_REJECTED', cause: { message: 'A job with the same id already exists (id=job-7)' } } };
    expect(await api.executeOutcome(() => 2)).toMatchObject(refused);
    end();
    await first;
    const next = [3, 4].map((n) => api.executeOutcome(() => n));
    expect(await Promise.all(next)).toMatchObject([{ ok: true, value: 3 }, refused]);
  });

  test('a call that waits for its id and is cut lets the next one have it', async () => {
    const api = pipeline([bottleneckLimiter({}, { id: () => 'job-7' })]);
    const controller = new AbortController();
    await api.executeOutcome(fail);
    const waiting = api.executeOutcome(() => 2, { signal: controller.signal });
    controller.abort();
    expect(await waiting).toMatchObject({ ok: false });
    expect(await api.execute(() => 3)).toBe(3);
  });
});

describe('ids that bottleneck cannot hold', () => {
  test.each(['__proto__', 'constructor', 'toString', ''])('%j is an id like any other', async (key) => {
    const limiter = bottleneckLimiter({ maxConcurrent: 1 }, { id: (call) => call.key });
    const api = pipeline([limiter]);
    expect(await api.execute(() => limiter.limiter.jobStatus(key), { key })).toBe('EXECUTING');
    expect(await api.executeOutcome(fail, { key })).toMatchObject({ error: { message: 'down' } });
    await hop();
    expect(limiter).toMatchObject({ active: 0, queued: 0 });
    await limiter.stop();
  });

  test('also in the limiter behind', async () => {
    const api = pipeline([bottleneckLimiter(new Bottleneck().chain(new Bottleneck()), { id: () => '__proto__' })]);
    expect(await api.execute(() => 1)).toBe(1);
  });

  test.each([Symbol('x'), 7, {}, true])('%s is no id', async (id) => {
    const limiter = bottleneckLimiter({}, { id: () => id as never });
    const outcome = await pipeline([limiter]).executeOutcome(() => 1);
    expect(outcome).toMatchObject({ ok: false, error: { name: 'RangeError' } });
    expect(String((outcome as { error?: unknown }).error)).toContain(
      'bottleneckLimiter.id: expected a function that answers with a string',
    );
    expect(limiter).toMatchObject({ active: 0, queued: 0 });
  });

  test('the name that bottleneck has for none is none', async () => {
    const api = pipeline([bottleneckLimiter({}, { id: () => '<no-id>' })]);
    expect(await Promise.all([1, 2].map((n) => api.execute(() => n)))).toEqual([1, 2]);
  });
});
