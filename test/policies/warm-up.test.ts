import { AsyncLocalStorage } from 'node:async_hooks';
import { describe, expect, test } from 'vitest';
import { OptionsError, RateLimitedError, bulkhead, perKey, pipeline } from 'breakwater';
import { VirtualClock, arrange, gateContract, policyContract, work } from 'breakwater/testing';
import { type WarmUpOptions, warmUp } from '../../src/policies/warm-up.ts';
import { problemsOf, reasonOf } from '../support/answers.ts';

const shut = { rate: 1, per: '1000h', warmUpPeriod: 0 } as const;
const contract = {
  waits: () => warmUp({ rate: 1, per: '2m', pacing: true, maxWait: '10h' }),
  refuses: () => {
    const used = warmUp({ ...shut, pacing: true, maxWait: 0 });
    pipeline([used]).tryAcquire();
    return used;
  },
  factory: {
    create: warmUp,
    options: { rate: 900, per: '1m', warmUpPeriod: '10s', coldFactor: 3, pacing: false, maxWait: '1s', cost: 1, name: 'starting' },
  },
  describe,
  it: test,
};
policyContract(() => warmUp({ rate: 900, per: '1h' }), { ...contract, name: 'warmUp' });
gateContract(() => warmUp({ rate: 900, per: '1h', maxWait: Infinity }), { ...contract, name: 'warmUp' });

/** How many calls are let in each second, when there are always more than that. */
async function eachSecond(options: WarmUpOptions, seconds: number): Promise<number[]> {
  const { pipeline: p, clock } = arrange(warmUp(options));
  const counts: number[] = [];
  for (let second = 0; second < seconds; second++) {
    let count = 0;
    for (let ms = 0; ms < 1000; ms += 10) {
      while (p.tryAcquire().admitted) count++;
      await clock.advance(10);
    }
    counts.push(count);
  }
  return counts;
}

describe('a warm-up', () => {
  test('lets a third of its rate pass at first and all of it after ten seconds', async () => {
    const counts = await eachSecond({ rate: 30 }, 14);
    expect(counts[0]).toBeLessThan(22); // what is saved up at the start, and a second at 10
    expect(counts.slice(1, 9)).toEqual(counts.slice(1, 9).toSorted((a, b) => a - b));
    expect(counts[1]).toBeLessThan(14);
    expect(counts.slice(10)).toEqual([30, 30, 30, 30]);
  });

  test('with pacing calls leave one by one, closer and closer together', async () => {
    const { run, clock } = arrange(warmUp({ rate: 2, warmUpPeriod: '4s', pacing: true, maxWait: Infinity }));
    const calls = Array.from({ length: 8 }, () => run(() => clock.now()));
    const left = await clock.until(Promise.all(calls));
    const gaps = left.slice(1).map((at, i) => at - (left[i] as number));
    expect(gaps.map((gap) => Math.round(gap / 5) * 5)).toEqual([1375, 1125, 875, 625, 500, 500, 500]);
    expect(clock.pending).toBe(0);
  });

  test('without pacing those of a whole period may pass at once, once it is warm', async () => {
    const { pipeline: p, clock, policy } = arrange(warmUp({ rate: 10, warmUpPeriod: '2s' }));
    const burst = (): number => {
      let count = 0;
      while (p.tryAcquire().admitted) count++;
      return count;
    };
    expect(burst()).toBe(4);
    for (let ms = 0; ms < 5000; ms += 100) {
      p.tryAcquire();
      await clock.advance(100);
    }
    expect([policy.pace, policy.coldness]).toEqual([10, 0]);
    await clock.advance(900);
    expect(burst()).toBe(10);
    await clock.advance(10_000);
    expect([policy.pace, policy.coldness, burst()]).toEqual([10 / 3, 1, 4]);
  });

  test('says when to come back, to the millisecond (L4), and a refusal changes nothing (L3)', async () => {
    const { run, pipeline: p, clock, policy } = arrange(warmUp({ rate: 5, pacing: true, maxWait: 0 }), { name: 'api' });
    await run(() => 1);
    await clock.advance(100);
    const before = policy.snapshot();
    const reason = (await reasonOf(run(() => 1, { key: 'k' }))) as RateLimitedError;
    expect(reason).toMatchObject({
      message: 'api: warm-up allows 5 per 1000 ms once it is warm, and 1.71 now',
      code: 'ERR_RATE_LIMITED',
      policy: 'warm-up',
      key: 'k',
    });
    for (let i = 0; i < 1000; i++) p.tryAcquire();
    expect(policy.snapshot()).toEqual(before);
    await clock.advance((reason.retryAfter as number) - 1);
    expect(p.tryAcquire().admitted).toBe(false);
    await clock.advance(1);
    expect(p.tryAcquire().admitted).toBe(true);
  });

  test('a call that costs much passes like any other, and the next one waits for it', async () => {
    const { run, clock } = arrange(
      warmUp({ rate: 10, warmUpPeriod: 0, pacing: true, maxWait: Infinity, cost: ({ tags }) => Number(tags['cost'] ?? 1) }),
    );
    const calls = [run(() => clock.now(), { tags: { cost: 20 } }), run(() => clock.now()), run(() => clock.now())];
    expect(await clock.until(Promise.all(calls))).toEqual([0, 2000, 2100]);
  });

  test('holds paced calls for half a second at most unless told otherwise, and others not at all', async () => {
    const paced = arrange(warmUp({ rate: 10, warmUpPeriod: 0, pacing: true }));
    const calls = Array.from({ length: 20 }, () => paced.run(() => paced.clock.now()).catch(() => 'refused'));
    expect((await paced.clock.until(Promise.all(calls))).filter((left) => left !== 'refused')).toEqual([0, 100, 200, 300, 400, 500]);
    const counted = arrange(warmUp({ rate: 1, warmUpPeriod: 0 }));
    await counted.run(() => 1);
    expect(await reasonOf(counted.run(() => 1))).toMatchObject({ retryAfter: 1000 });
  });

  test('an abort ends the wait in the same tick with its reason, and those behind move up (L6)', async () => {
    const { run, clock, policy } = arrange(warmUp({ rate: 10, warmUpPeriod: 0, pacing: true }));
    await run(() => 1);
    const caller = new AbortController();
    const first = reasonOf(run(() => 1, { signal: caller.signal }));
    const second = run(() => clock.now());
    caller.abort('gone');
    expect(policy.waiting).toBe(1);
    expect(await first).toBe('gone');
    expect(await clock.until(second)).toBe(100);
  });

  test('a call that never ran leaves no trace, and one that is given back only what it has not used up yet (L6)', async () => {
    const limit = warmUp({ rate: 1, warmUpPeriod: '10s' });
    const { pipeline: p } = arrange([limit, bulkhead({ maxConcurrent: 0 })]);
    const before = limit.snapshot();
    for (let i = 0; i < 50; i++) expect(p.tryAcquire().admitted).toBe(false);
    expect(limit.snapshot()).toEqual(before);
    const { run, clock, policy } = arrange(warmUp({ rate: 1, warmUpPeriod: 0, pacing: true, refundIf: ({ ok }) => !ok }));
    await reasonOf(clock.until(run(work({ after: 400, error: new Error('no') }))));
    expect(policy.available).toBe(1);
    await reasonOf(clock.until(run(work({ after: 1500, error: new Error('no') }))));
    await run(() => 1);
    expect(policy.available).toBe(0);
  });

  test('several pipelines share one warm-up', async () => {
    const clock = new VirtualClock();
    const limit = warmUp({ rate: 10, warmUpPeriod: 0, pacing: true });
    const [a, b] = [pipeline([limit], { clock, name: 'a' }), pipeline([limit], { clock, name: 'b' })];
    const calls = [a, b, a, b].map((p) => p.execute(() => clock.now()));
    expect(await clock.until(Promise.all(calls))).toEqual([0, 100, 200, 300]);
  });

  test('keys never affect each other: each is let in as if it were alone (L5)', async () => {
    const make = () => warmUp({ rate: 10, warmUpPeriod: '1s' });
    const together = arrange(perKey(make, { max: 100 }));
    const apart = new Map(['a', 'b', '__proto__'].map((key) => [key, arrange(make())]));
    for (let i = 0; i < 200; i++) {
      const key = ['a', 'b', '__proto__'][(i * i) % 3] as string;
      const alone = apart.get(key) as ReturnType<typeof arrange>;
      expect(together.pipeline.tryAcquire({ key }).admitted).toBe(alone.pipeline.tryAcquire().admitted);
      for (const { clock } of [together, ...apart.values()]) await clock.advance((i * 37) % 120);
    }
  });

  test('the work runs in the async context of its caller, after a wait too (G7)', async () => {
    const { run, clock } = arrange(warmUp({ rate: 10, warmUpPeriod: 0, pacing: true }));
    const context = new AsyncLocalStorage<number>();
    const calls = [1, 2, 3].map((n) => context.run(n, () => run(() => context.getStore())));
    expect(await clock.until(Promise.all(calls))).toEqual([1, 2, 3]);
  });

  test('changes for those who wait too, and stays as cold as it was (L8)', async () => {
    const { run, clock, policy } = arrange(warmUp({ rate: 1, warmUpPeriod: '10s', coldFactor: 2, pacing: true, maxWait: '1h' }));
    const calls = [1, 2, 3, 4].map(() => run(() => clock.now()));
    policy.update({ rate: 10 });
    const left = await clock.until(Promise.all(calls));
    expect(left[1]).toBeGreaterThan(1900); // what the first was charged
    expect((left[3] as number) - (left[1] as number)).toBeLessThan(400);
    const cold = policy.coldness;
    policy.update({ rate: 40, per: '2s', warmUpPeriod: '1m', coldFactor: 4 });
    expect(policy.coldness).toBe(cold);
    expect(policy.snapshot()).toMatchObject({ rate: 40, per: 2000, warmUpPeriod: 60_000, coldFactor: 4 });
    expect(() => policy.update({ rate: 0 })).toThrow(OptionsError);
    expect(() => policy.update({ coldFactor: 0.5 })).toThrow(OptionsError);
  });

  test('shows its state and its options as plain data', () => {
    const { pipeline: p, policy, events } = arrange(warmUp({ rate: 60, per: '1m', coldFactor: 2, pacing: true, maxWait: '10s' }));
    for (let i = 0; i < 3; i++) void p.execute(() => 1);
    expect(p.snapshot()['policies']).toMatchObject([
      { kind: 'warm-up', available: 0, waiting: 2, rate: 60, per: 60_000, warmUpPeriod: 10_000, coldFactor: 2 },
    ]);
    expect(policy.pace).toBeLessThan(36);
    expect(p.describe()).toMatchObject({
      layers: [
        { options: { rate: 60, per: 60_000, warmUpPeriod: 10_000, coldFactor: 2, pacing: true, maxWait: 10_000, cost: 'of the call' } },
      ],
    });
    expect(events.find(({ type }) => type === 'warm-up.delayed')).toMatchObject({ level: 'debug', cost: 1 });
  });

  test('is at rest when it is cold again, and counts as strained when little is left', async () => {
    const { run, pipeline: p, clock, policy } = arrange(warmUp({ rate: 10, warmUpPeriod: '1s' }));
    expect(policy.atRest(0)).toBe(true);
    await run(() => 1);
    expect([policy.atRest(0), policy.atRest(150), policy.atRest(1500)]).toEqual([false, false, true]);
    const strained = (policy as unknown as { strained(): boolean }).strained.bind(policy);
    expect(strained()).toBe(false);
    while (p.tryAcquire().admitted);
    expect(strained()).toBe(true);
    await clock.advance('1m');
    policy.update({ rate: 11 });
    expect(policy.atRest(1_000_000)).toBe(false);
  });
});

test.each([
  [{}, 'rate'],
  [{ rate: 0 }, 'rate'],
  [{ rate: Infinity }, 'rate'],
  [{ rate: NaN }, 'rate'],
  [{ rate: 1, per: 0 }, 'per'],
  [{ rate: 1, warmUpPeriod: -1 }, 'warmUpPeriod'],
  [{ rate: 1, warmUpPeriod: Infinity }, 'warmUpPeriod'],
  [{ rate: 1, coldFactor: 0.9 }, 'coldFactor'],
  [{ rate: 1, coldFactor: Infinity }, 'coldFactor'],
  [{ rate: 1, pacing: 'yes' }, 'pacing'],
  [{ rate: 1, cost: 0 }, 'cost'],
  [{ rate: 1, cost: -1 }, 'cost'],
  [{ rate: 1, burst: 1 }, 'burst'],
])('the options %j are refused (G9)', (options, path) => {
  expect(problemsOf(warmUp, options)).toEqual([`warmUp.${path}`]);
});
