/** Calls that meet a limiter of which their own work holds something. */

import Bottleneck from 'bottleneck';
import { type Settled, perKey, pipeline, retry } from 'breakwater';
import { type BottleneckJobOptions, bottleneckLimiter } from 'breakwater/bottleneck';
import { describe, expect, test } from 'vitest';
import { hop } from '../../src/testing/hop.ts';
import { pass, useTurns } from './bottleneck-turns.ts';

useTurns();

const refused = { ok: false, error: { code: 'ERR_BULKHEAD_FULL' } };

/** What a call came to that must not need any time. */
async function atOnce<T>(call: Promise<Settled<T>>): Promise<Settled<T> | 'it waits'> {
  let answer: Settled<T> | 'it waits' = 'it waits';
  void call.then((outcome) => (answer = outcome));
  for (let i = 0; i < 5; i++) {
    await hop();
    await pass(1);
  }
  return answer;
}

describe('a call that would wait for itself is refused at once', () => {
  test('the same limiter twice around one call, which by itself hangs for ever', async () => {
    const policy = bottleneckLimiter(new Bottleneck({ maxConcurrent: 1 }));
    const api = pipeline([policy, policy], { name: 'api' });
    const outcome = await atOnce(api.executeOutcome(() => 1));
    expect(outcome).toMatchObject(refused);
    expect(outcome).toMatchObject({
      error: {
        message:
          'api: bottleneck-2 would let the call in only when it is over: the call, or work that it comes from, holds 1 of 1 (maxConcurrent) and it takes 1 more; give inner calls a limiter of their own',
      },
    });
    expect(policy.snapshot()).toMatchObject({ active: 0, queued: 0, refused: 1, dropped: 0 });
    expect(await atOnce(pipeline([policy]).executeOutcome(() => 'free again'))).toEqual({ ok: true, value: 'free again' });
  });

  test('two policies on one limiter, and a pipeline in a pipeline', async () => {
    const yours = new Bottleneck({ maxConcurrent: 1 });
    const [outer, inner] = [pipeline([bottleneckLimiter(yours)], { name: 'outer' }), pipeline([bottleneckLimiter(yours)])];
    expect(await atOnce(outer.executeOutcome(() => inner.execute(() => 1)))).toMatchObject(refused);
    expect(await atOnce(pipeline([outer, inner]).executeOutcome(() => 1))).toMatchObject(refused);
  });

  test('work that calls through its own limiter, also after it has waited for something', async () => {
    const api = pipeline([bottleneckLimiter({ maxConcurrent: 1 })]);
    expect(await atOnce(api.executeOutcome(() => api.execute(() => 1)))).toMatchObject(refused);
    const later = api.executeOutcome(async () => {
      await hop();
      return api.execute(() => 1);
    });
    expect(await atOnce(later)).toMatchObject(refused);
  });

  test('the work of a second run, which a listener to failed has asked for', async () => {
    const yours = new Bottleneck({ maxConcurrent: 1 });
    yours.on('failed', (_error, { retryCount }) => (retryCount === 0 ? 0 : null));
    const api = pipeline([bottleneckLimiter(yours)]);
    let runs = 0;
    const call = api.executeOutcome(() => {
      if (++runs === 1) throw new Error('no');
      return api.execute(() => 1);
    });
    expect(await atOnce(call)).toMatchObject(refused);
    expect(runs).toBe(2);
  });

  test('a limiter further along a chain counts, whichever of the two comes first', async () => {
    const inFront = new Bottleneck({ maxConcurrent: 5 });
    const behind = new Bottleneck({ maxConcurrent: 1 });
    inFront.chain(behind);
    const [both, one] = [pipeline([bottleneckLimiter(inFront)]), pipeline([bottleneckLimiter(behind)])];
    expect(await atOnce(both.executeOutcome(() => one.execute(() => 1)))).toMatchObject(refused);
    expect(await atOnce(one.executeOutcome(() => both.execute(() => 1)))).toMatchObject(refused);
  });

  test('the limiter of the same key, in a group and in perKey', async () => {
    const group = bottleneckLimiter(new Bottleneck.Group({ maxConcurrent: 1 }));
    for (const policy of [group, perKey(() => bottleneckLimiter({ maxConcurrent: 1 }))]) {
      const api = pipeline([policy]);
      const within = (key: string) => api.executeOutcome(async () => (await hop(), api.execute(() => key, { key })), { key: 'ada' });
      expect(await atOnce(within('ada'))).toMatchObject(refused);
      expect(await atOnce(within('bob'))).toEqual({ ok: true, value: 'bob' });
    }
  });
});

describe('a call is let in', () => {
  const nested = (maxConcurrent: number | null, job: BottleneckJobOptions, [outer, inner]: readonly [number, number]) => {
    const api = pipeline([bottleneckLimiter(new Bottleneck({ maxConcurrent }), job)]);
    return atOnce(api.executeOutcome(() => api.execute(() => 'inner', { cost: inner }), { cost: outer }));
  };

  test('where what its own work holds leaves enough', async () => {
    const through = { ok: true, value: 'inner' };
    expect(await nested(2, {}, [1, 1])).toEqual(through);
    expect(await nested(3, {}, [2, 1])).toEqual(through);
    expect(await nested(3, {}, [2, 2])).toMatchObject(refused);
    expect(await nested(1, { weight: 0 }, [1, 1])).toEqual(through);
    expect(await nested(null, {}, [1, 1])).toEqual(through);
  });

  test('after an earlier attempt of its own, whose place is about to come free', async () => {
    const api = pipeline([
      retry({ maxAttempts: 2, backoff: { kind: 'constant', delay: 0, jitter: 'none' } }),
      bottleneckLimiter({ maxConcurrent: 1 }),
    ]);
    let runs = 0;
    const call = api.executeOutcome(() => {
      if (++runs === 1) throw new Error('no');
      return runs;
    });
    expect(await atOnce(call)).toEqual({ ok: true, value: 2 });
  });

  test('once the expiration has freed the place of the work that makes it, and from what a call that is over left behind', async () => {
    const api = pipeline([bottleneckLimiter({ maxConcurrent: 1 }, { expiration: 100 })], { track: true });
    let late: Promise<Settled<string>> | undefined;
    const call = api.executeOutcome(async () => {
      await new Promise((resolve) => setTimeout(resolve, 200));
      return (late = api.executeOutcome(() => 'late'));
    });
    await pass(150);
    expect(await call).toMatchObject({
      ok: false,
      error: { code: 'ERR_TIMEOUT', message: expect.stringContaining('timed out after 100 ms (expiration)') as unknown },
    });
    await pass(500);
    expect(await late).toEqual({ ok: true, value: 'late' });
  });
});
