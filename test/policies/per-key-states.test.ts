/** Limits per key of which only the states are kept: nobody can tell. */

import { describe, expect, test } from 'vitest';
import { type Admission, type AnyEvent, type Call, type CallOptions, type GatePolicy, definePolicy, pipeline, refuse } from 'breakwater';
import { VirtualClock, arrange } from 'breakwater/testing';
import { circuitBreaker } from '../../src/policies/circuit-breaker.ts';
import { fixedWindow } from '../../src/policies/fixed-window.ts';
import { leakyBucket } from '../../src/policies/leaky-bucket.ts';
import { type PerKeyOptions, perKey } from '../../src/policies/per-key.ts';
import { slidingLog } from '../../src/policies/sliding-log.ts';
import { slidingWindow } from '../../src/policies/sliding-window.ts';
import { type TokenBucket, type TokenBucketOptions, tokenBucket } from '../../src/policies/token-bucket.ts';

const perMinute = (burst: number, more: Partial<TokenBucketOptions> = {}): TokenBucket =>
  tokenBucket({ rate: burst, per: '1m', burst, ...more });

function limited(make: (key: string) => TokenBucket, options?: PerKeyOptions) {
  const arranged = arrange(perKey(make, options));
  const take = (options: CallOptions) => arranged.pipeline.tryAcquire(options);
  const ask = (key: string): boolean => {
    const answer = take({ key });
    if (answer.admitted) answer.success();
    return answer.admitted;
  };
  return { ...arranged, keys: arranged.policy, ask, take };
}

describe('the policy of a key', () => {
  test('has what the key has left, counts on, and stays the same one', async () => {
    const { ask, keys, clock } = limited(() => perMinute(3));
    ['a', 'a', 'b'].forEach(ask);
    const a = keys.get('a');
    expect([a?.available, keys.get('b')?.available]).toEqual([1, 2]);
    expect([ask('a'), ask('a'), a?.available, keys.get('a')]).toEqual([true, false, 0, a]);
    await clock.advance('20s');
    expect(a?.available).toBe(1);
    expect([ask('a'), ask('a'), keys.keys()]).toEqual([true, false, ['a', 'b']]);
  });

  test('can be changed, for its key alone', () => {
    const { ask, keys } = limited(() => perMinute(1));
    ['a', 'b'].forEach(ask);
    keys.get('a')?.update({ burst: 5 });
    expect([keys.get('a')?.snapshot()['burst'], keys.get('b')?.snapshot()['burst']]).toEqual([5, 1]);
  });

  test('is let go with its key, and the next one has nothing of it', async () => {
    const { ask, keys, clock } = limited(() => perMinute(2), { max: 1 });
    ask('a');
    const a = keys.get('a');
    await clock.advance('1m');
    ask('b');
    expect([keys.keys(), keys.get('b')?.available]).toEqual([['b'], 1]);
    expect(keys.get('b')).not.toBe(a);
  });

  test('gets back what a call took that began before somebody asked for it', () => {
    const { keys, take } = limited(() => perMinute(2, { refundOnAbort: true }));
    const early = take({ key: 'a' });
    const a = keys.get('a');
    const late = take({ key: 'a' });
    expect(a?.available).toBe(0);
    if (early.admitted) early.ignore();
    expect(a?.available).toBe(1);
    if (late.admitted) late.ignore();
    expect(a?.available).toBe(2);
  });

  test('is none if the factory makes something else by now', () => {
    let other = false;
    const { ask, keys } = limited(() => (other ? (circuitBreaker() as never) : perMinute(2)));
    ask('a');
    other = true;
    expect(keys.get('a')).toBeUndefined();
    expect([ask('a'), ask('a')]).toEqual([true, false]);
  });
});

describe('what is given back late', () => {
  test('goes to the key that it was taken from, which is not let go before (L6)', async () => {
    const { ask, keys, take, clock } = limited(() => perMinute(2, { refundOnAbort: true }), { max: 1 });
    const held = take({ key: 'a' });
    await clock.advance('1m');
    ask('b');
    expect(keys.keys()).toEqual(['a']);
    if (held.admitted) held.ignore();
    expect(keys.get('a')?.available).toBe(2);
    expect([ask('b'), keys.keys()]).toEqual([true, ['a']]); // it shares, until its shared limit is at rest
    await clock.advance('1m');
    expect([ask('b'), ask('b'), ask('b'), keys.keys()]).toEqual([true, true, false, ['b']]);
  });

  test('when something further in refuses, all comes back, and to no other key', () => {
    const shut = definePolicy({
      kind: 'shut',
      gate: { enter: ({ key }) => (key === 'a' ? refuse(new Error('shut')) : 'pass'), settle() {}, cancel() {} },
    });
    const keys = perKey(() => perMinute(2));
    const { pipeline: p } = arrange([keys, shut]);
    for (let i = 0; i < 10; i++) for (const key of ['a', 'b']) p.tryAcquire({ key });
    expect([keys.get('a')?.available, keys.get('b')?.available]).toEqual([2, 0]);
  });
});

describe('a function of the user that the limit asks', () => {
  test('may make calls for other keys, and for the same', () => {
    let depth = 0;
    const cost = ({ key }: Call): number => {
      if (key === 'a' && depth++ === 0) expect([ask('b'), ask('c'), ask('a')]).toEqual([true, true, true]);
      return 1;
    };
    const { ask, keys } = limited(() => perMinute(3, { cost }));
    expect(ask('a')).toBe(true);
    expect(['a', 'b', 'c'].map((key) => keys.get(key)?.available)).toEqual([1, 2, 2]);
  });

  test('may look at the limit of the key', () => {
    const seen: unknown[] = [];
    const cost = ({ key = '' }: Call): number => {
      seen.push(keys.get(key)?.available);
      return 1;
    };
    const { ask, keys } = limited(() => perMinute(3, { cost }));
    expect([ask('a'), ask('a'), ask('a'), ask('a')]).toEqual([true, true, true, false]);
    expect(seen).toEqual([3, 2, 1, 0]);
  });

  test('may throw: the call gets that, and nothing is left of it', async () => {
    const cost = (): number => -1;
    const { run, keys, clock } = limited(() => perMinute(3, { cost }), { max: 1 });
    for (const key of ['a', 'b', 'a']) await expect(run(() => 1, { key })).rejects.toBeInstanceOf(RangeError);
    await clock.advance(1);
    expect(keys.keys()).toEqual(['a']);
    expect(keys.get('a')?.available).toBe(3);
  });

  test('may make calls that need its place: the key is not let go while its call is on the way in', () => {
    let once = true;
    const cost = (): number => {
      if (once) {
        once = false;
        expect([ask('b'), keys.keys()]).toEqual([true, ['a']]);
      }
      return 1;
    };
    const { ask, keys } = limited(() => perMinute(1, { cost }), { max: 1 });
    expect([ask('a'), ask('a'), keys.keys()]).toEqual([true, false, ['a']]);
  });
});

describe('limits that are not alike', () => {
  test('a factory whose options have changed: keys that come later have the new limit', () => {
    let burst = 1;
    const { ask } = limited(() => perMinute(burst));
    ask('a');
    burst = 2;
    expect(['b', 'b', 'b', 'a'].map(ask)).toEqual([true, true, false, false]);
  });

  test('a factory that takes its key without saying so', () => {
    const { ask } = limited((...[key]) => perMinute(key === 'gold' ? 2 : 1));
    expect(['tin', 'gold', 'tin', 'gold', 'gold'].map(ask)).toEqual([true, true, false, true, false]);
  });

  test('another kind of limiter: calls that leave at a rate', () => {
    const paced = arrange(perKey(() => leakyBucket({ rate: 1, burst: 1, delay: 1, maxQueueTime: 0 })));
    const answers = ['a', 'a', 'a', 'b', 'b', 'b'].map((key) => paced.pipeline.tryAcquire({ key }).admitted);
    expect(answers).toEqual([true, true, false, true, true, false]);
    expect(paced.policy.get('b')?.excess).toBe(2);
  });

  test('windows: what was counted, when they close, what is refused', async () => {
    const makers: (() => GatePolicy)[] = [
      () => fixedWindow({ limit: 2, window: '1m' }),
      () => fixedWindow({ limit: 2, window: '1m', aligned: true }),
      () => fixedWindow({ limit: 2, window: '1m', refused: 'count' }),
      () => slidingWindow({ limit: 2, window: '1m' }),
      () => slidingLog({ limit: 2, window: '1m' }),
    ];
    for (const make of makers) {
      const { pipeline: states, clock } = arrange(perKey(make, { max: 3, idle: '5m' }));
      const policies = pipeline([perKey((_key) => make(), { max: 3, idle: '5m' })], { clock });
      const [answers, expected]: [unknown[], unknown[]] = [[], []];
      for (let i = 0; i < 300; i++) {
        const key = 'aabacab'[(i * i) % 7] as string;
        const [one, other] = [states.tryAcquire({ key }), policies.tryAcquire({ key })];
        answers.push([i, one.admitted, 'retryAfter' in one && one.retryAfter]);
        expected.push([i, other.admitted, 'retryAfter' in other && other.retryAfter]);
        for (const answer of [one, other]) if (answer.admitted) answer.success();
        await clock.advance((i % 11) * 1500);
      }
      expect(answers).toEqual(expected);
    }
  });

  test('one that only shadows refuses nobody', () => {
    const { ask, keys } = limited(() => perMinute(1, { mode: 'shadow' }));
    expect([ask('a'), ask('a'), keys.get('a')?.available]).toEqual([true, true, 0]);
  });
});

test('pipelines with clocks of their own share the limits of all keys, each as its first caller tells the time', async () => {
  const clocks = [new VirtualClock(), new VirtualClock({ start: 1e9 })] as const;
  const keys = perKey(() => perMinute(2));
  const [a, b] = clocks.map((clock) => pipeline([keys], { clock }));
  const ask = (p: typeof a, key: string): boolean | undefined => p?.tryAcquire({ key }).admitted;
  expect([ask(a, 'x'), ask(b, 'y'), ask(a, 'x'), ask(b, 'y'), ask(a, 'x'), ask(b, 'y')]).toEqual([true, true, true, true, false, false]);
  await clocks[1].advance('30s');
  expect([ask(a, 'x'), ask(b, 'y'), ask(b, 'y')]).toEqual([false, true, false]);
  expect([keys.get('x')?.available, keys.get('y')?.available]).toEqual([0, 0]);
  await clocks[1].advance('30s');
  expect([keys.get('x')?.available, keys.get('y')?.available]).toEqual([0, 1]);
});

test('a limit of a key that is nearly used up is a reason to leave extra work undone', () => {
  const { ask, keys } = limited(() => perMinute(10));
  const strained = (key: string): boolean => (keys as unknown as { strained(call: { key: string }): boolean }).strained({ key });
  for (let i = 0; i < 9; i++) ask('a');
  ask('b');
  expect([strained('a'), strained('b'), strained('nobody')]).toEqual([true, false, false]);
});

test('a key for which there was no room is named', () => {
  const { ask, events } = limited(() => perMinute(2), { max: 1 });
  ['one', 'two'].forEach(ask);
  expect(events.filter(({ type }) => type === 'per-key.shared')).toMatchObject([{ level: 'warn', key: 'two', size: 1 }]);
});

describe('keys that are let go', () => {
  test('are told of in all pipelines so that what else is kept for them can go too', async () => {
    const clock = new VirtualClock();
    const keys = perKey(() => perMinute(2), { max: 2 });
    const events: unknown[] = [];
    const names = ['a', 'b'];
    const on = (event: AnyEvent): unknown => event.type === 'per-key.dropped' && events.push(event);
    const [a] = names.map((name) => pipeline([keys], { clock, name, on: (event) => void on(event) }));
    const ask = (key: string): void => (a?.tryAcquire({ key }) as Admission).success();
    ['k'.repeat(1000), 'two'].forEach(ask);
    const [, hash] = keys.keys();
    await clock.advance('1m');
    ['three', 'four'].forEach(ask);
    const each = (key: unknown, size: number): unknown[] => names.map((name) => ({ pipeline: name, level: 'debug', key, size }));
    expect(events).toMatchObject([...each(hash, 1), ...each('two', 1)]);
  });

  test('go while only known keys come, too, and a listener may make calls', async () => {
    const { ask, keys, clock, pipeline: p } = limited(() => perMinute(1), { max: 2000, idle: '10m' });
    for (let i = 0; i < 1000; i++) ask(`made up ${i}`);
    p.on('per-key.dropped', ({ key }) => key === 'made up 7' && ask('called meanwhile'));
    await clock.advance('15m');
    for (let i = 0; i < 300; i++) ask('known');
    expect(keys.keys()).toEqual(['known', 'called meanwhile']);
  });
});
