import Bottleneck from 'bottleneck';
import { beforeEach, describe, expect, test } from 'vitest';
import { pipeline } from '../../src/core/pipeline.ts';
import { BulkheadFullError, OptionsError, type TimeoutError } from '../../src/core/errors.ts';
import { fromBottleneckOptions } from '../../src/interop/bottleneck/native.ts';
import type { Bulkhead } from '../../src/policies/bulkhead.ts';
import { gateContract } from '../../src/testing/gate-contract.ts';
import { policyContract } from '../../src/testing/policy-contract.ts';
import { VirtualClock } from '../../src/testing/virtual-clock.ts';
import { hop } from '../../src/testing/hop.ts';

const marked = (options: Options, job: JobOptions = {}) => fromBottleneckOptions(options, job)[0] as Bulkhead;
const laws = { describe, it: test, refuses: () => marked({ maxConcurrent: 0, highWater: 1 }) };

policyContract(() => marked({ maxConcurrent: 300, highWater: 10 }), {
  ...laws,
  waits: () => marked({ maxConcurrent: 1, highWater: 10_000 }),
  name: 'a bulkhead that leaks',
});
policyContract(() => marked({ maxConcurrent: 300, highWater: 10, strategy: 3 }), {
  ...laws,
  waits: () => marked({ maxConcurrent: 1, highWater: 10_000, strategy: 3 }, { weight: 1, priority: 5 }),
  name: 'a bulkhead that blocks',
});
gateContract(() => marked({ maxConcurrent: 300, highWater: 10 }), { ...laws, name: 'a bulkhead that leaks' });

type Options = Parameters<typeof fromBottleneckOptions>[0];
type JobOptions = Parameters<typeof fromBottleneckOptions>[1];

const kinds = (options: Options, job: JobOptions = {}) => fromBottleneckOptions(options, job).map(({ kind }) => kind);
const described = (options: Options, job: JobOptions = {}) => fromBottleneckOptions(options, job).map((policy) => policy.describe());

function problemOf(options: unknown, job?: unknown): string {
  try {
    fromBottleneckOptions(options as Options, job as JobOptions);
  } catch (error) {
    if (error instanceof OptionsError) return error.message;
    throw error;
  }
  throw new Error('the options were accepted');
}

describe('options of bottleneck become native policies', () => {
  test('each is there only if its option is, and the order is that in which bottleneck asks', () => {
    expect(kinds({})).toEqual([]);
    expect(kinds({ maxConcurrent: 2 })).toEqual(['bulkhead']);
    expect(kinds({ minTime: '20ms' })).toEqual(['leaky-bucket']);
    expect(kinds({}, { expiration: 100 })).toEqual(['timeout']);
    const refresh = { reservoir: 10, reservoirRefreshInterval: '1m', reservoirRefreshAmount: 10 } as const;
    expect(kinds({ minTime: 20, maxConcurrent: 2, ...refresh }, { expiration: '1s' })).toEqual([
      'bulkhead',
      'fixed-window',
      'leaky-bucket',
      'timeout',
    ]);
  });

  test('null stands for no option, as everywhere in bottleneck, and Infinity for no bound', async () => {
    expect(kinds({ maxConcurrent: null, minTime: null, highWater: null, reservoir: null })).toEqual([]);
    expect(kinds({ highWater: Infinity, reservoir: Infinity })).toEqual([]);
    const [slots] = fromBottleneckOptions({ maxConcurrent: Infinity, highWater: 0, strategy: 2 });
    const api = pipeline([slots]);
    for (let i = 0; i < 1000; i++) void api.execute(() => new Promise(() => undefined));
    await hop();
    expect([slots.active, slots.queued]).toEqual([1000, 0]);
  });

  test('calls wait without bound unless there is a high-water mark', () => {
    expect(described({ maxConcurrent: 2, minTime: 10 })).toMatchObject([
      { maxConcurrent: 2, maxQueue: Number.MAX_SAFE_INTEGER, maxWait: Infinity, aging: Infinity },
      { rate: 1, per: 10, delay: 0, maxQueueTime: Infinity, maxQueue: Infinity },
    ]);
    expect(described({ maxConcurrent: 2, highWater: 5, strategy: 2 })).toMatchObject([{ maxQueue: 5, whenFull: 'refuse' }]);
    expect(described({ maxConcurrent: 2, highWater: 5, strategy: 4 })).toMatchObject([{ maxQueue: 5, whenFull: 'evict-lowest' }]);
    expect(described({ maxConcurrent: 2, highWater: 5 })).toMatchObject([{ maxQueue: 5, whenFull: 'evict-oldest' }]);
    expect(described({ maxConcurrent: 2, highWater: 5, strategy: 3, minTime: 10 })).toMatchObject([
      { maxQueue: 5, whenFull: 'block', penalty: 150 },
      {},
    ]);
    expect(described({ maxConcurrent: 2, highWater: 0, minTime: 10 })).toMatchObject([{ maxQueue: 0 }, { maxQueueTime: 0 }]);
  });

  test('a reservoir that is refreshed is a window from now on, one that is increased a bucket', () => {
    const [refreshed] = fromBottleneckOptions({ reservoir: 4, reservoirRefreshInterval: '1s', reservoirRefreshAmount: 10 });
    expect(refreshed).toMatchObject({ kind: 'fixed-window', used: 6 });
    expect(
      described({ reservoir: 4, reservoirIncreaseInterval: '1s', reservoirIncreaseAmount: 2, reservoirIncreaseMaximum: 8 }),
    ).toMatchObject([{ rate: 2, per: 1000, burst: 8, maxWait: Infinity }]);
    const [increased] = fromBottleneckOptions({ reservoir: 4, reservoirIncreaseInterval: '1s', reservoirIncreaseAmount: 2 });
    expect(increased).toMatchObject({ kind: 'token-bucket', available: 4 });
    // An increase that always fills it to the brim is a refresh.
    expect(kinds({ reservoir: 4, reservoirIncreaseInterval: '1s', reservoirIncreaseAmount: 8, reservoirIncreaseMaximum: 8 })).toEqual([
      'fixed-window',
    ]);
  });

  test('a first reservoir of less than what it is refreshed to is used up that much sooner, once', async () => {
    const clock = new VirtualClock();
    const calls = pipeline(
      fromBottleneckOptions({ highWater: 0, reservoir: 1, reservoirRefreshInterval: 60_000, reservoirRefreshAmount: 3 }),
      { clock },
    );
    const admitted = () => Array.from({ length: 5 }, () => calls.tryAcquire().admitted).filter(Boolean).length;
    expect(admitted()).toBe(1);
    await clock.advance('1m');
    expect(admitted()).toBe(3);
  });

  test('weight nothing: such jobs take neither places nor anything of the reservoir', () => {
    expect(kinds({ maxConcurrent: 2, reservoir: 1, reservoirRefreshInterval: 1000, reservoirRefreshAmount: 1 }, { weight: 0 })).toEqual([]);
  });

  test('they carry the name and the mode that the policy had', () => {
    const all = fromBottleneckOptions({ maxConcurrent: 2, minTime: 5 }, { name: 'mails', mode: 'shadow', expiration: 10 });
    expect(all.map(({ name }) => name)).toEqual(['mails-slots', 'mails-spacing', 'mails-expiration']);
    expect(all.map(({ mode }) => mode)).toEqual(['shadow', 'shadow', 'shadow']);
    expect(fromBottleneckOptions({ maxConcurrent: 2, id: 'mails' })[0].name).toBe('mails-slots');
    expect(fromBottleneckOptions({ maxConcurrent: 2, mode: 'off' })[0]).toMatchObject({ name: undefined, mode: 'off' });
  });

  test('the options are left as they were, and two translations of them share nothing', () => {
    const options = Object.freeze({ maxConcurrent: 1, highWater: 0 });
    const [first, second] = [pipeline(fromBottleneckOptions(options)), pipeline(fromBottleneckOptions(options))];
    expect([first, first, second].map((each) => each.tryAcquire().admitted)).toEqual([true, false, true]);
  });

  test('nothing that the linter would object to comes out', () => {
    const all = fromBottleneckOptions(
      { maxConcurrent: 2, minTime: 5, reservoir: 1, reservoirRefreshInterval: 1000, reservoirRefreshAmount: 1 },
      { expiration: 50 },
    );
    expect(pipeline(all).lint()).toEqual([]);
  });
});

describe('what has no native equal is refused, with what to do', () => {
  const reservoir = { reservoir: 1, reservoirRefreshInterval: 1000, reservoirRefreshAmount: 1 };
  test.each([
    ['clustering', { datastore: 'redis' }, 'Keep bottleneckLimiter until there is a store'],
    ['a connection', { connection: {} }, 'Keep bottleneckLimiter until there is a store'],
    ['wiping a store', { clearDatastore: true }, 'fromBottleneckOptions.clearDatastore'],
    ['the age of a state', { timeout: 1000 }, 'perKey(() => policy, { idle })'],
    ['ids of jobs that are done', { trackDoneStatus: true }, "pipeline.on('*'"],
    ['promises of another kind', { Promise }, 'fromBottleneckOptions.Promise'],
    ['a reservoir that nothing refills', { reservoir: 5 }, 'refilled by hand alone'],
    ['half a refresh', { reservoir: 5, reservoirRefreshInterval: 1000 }, 'reservoirRefreshAmount'],
    ['half an increase', { reservoir: 5, reservoirIncreaseAmount: 2 }, 'reservoirIncreaseInterval'],
    ['a refresh to nothing', { ...reservoir, reservoir: 0, reservoirRefreshAmount: 0 }, 'above 0'],
    ['a refill of no reservoir', { ...reservoir, reservoir: null }, 'a number to begin with'],
    [
      'a refresh and an increase',
      { ...reservoir, reservoirIncreaseInterval: 1000, reservoirIncreaseAmount: 1 },
      'no native limiter does both',
    ],
    ['a reservoir above its refresh', { ...reservoir, reservoir: 2 }, 'at most 1 (reservoirRefreshAmount)'],
    [
      'a reservoir above its maximum',
      { reservoir: 9, reservoirIncreaseInterval: 1000, reservoirIncreaseAmount: 1, reservoirIncreaseMaximum: 8 },
      'at most 8 (reservoirIncreaseMaximum)',
    ],
    ['places lost in the wait for a reservoir', { ...reservoir, highWater: 3 }, 'OVERFLOW (2) where there is no maxConcurrent'],
    ['a block without places', { minTime: 10, highWater: 3, strategy: 3 }, 'BLOCK (3) with maxConcurrent'],
    ['a block for what is not a full queue', { maxConcurrent: 1, minTime: 10, highWater: 0, strategy: 3 }, 'a highWater of 1 or more'],
    ['a Batcher', { maxTime: 1000, maxSize: 10 }, 'Keep the Batcher'],
    ['a breaker', { fire: () => 1, state: {}, stats: {} }, 'got a circuit breaker: opossumBreaker() of breakwater/opossum takes it'],
    ['a limiter', new Bottleneck(), 'got a Bottleneck: give its options, or bottleneckLimiter() the limiter'],
    ['a group', new Bottleneck.Group(), 'got a Bottleneck.Group: give its options, or bottleneckLimiter() the group'],
    [
      'what is said of jobs',
      { maxConcurrent: 1, expiration: 100 },
      'it is said of jobs, in the second argument: (options, { expiration })',
    ],
    ['a name that is none', { maxConcurent: 3 }, 'did you mean maxConcurrent?'],
    ['a number that is none', { maxConcurrent: NaN }, 'fromBottleneckOptions.maxConcurrent'],
    ['a thing that is no object', 'fast', 'fromBottleneckOptions'],
  ] as const)('%s', (_, options, told) => {
    expect(problemOf(options)).toContain(told);
  });

  test('ids of jobs, and wrong options of jobs', () => {
    expect(problemOf({}, { id: () => 'a' })).toContain('fromBottleneckOptions.job.id');
    expect(problemOf({}, { priority: 10 })).toContain('fromBottleneckOptions.job.priority');
    expect(problemOf({}, { maxKeys: 10 })).toContain('fromBottleneckOptions.job.maxKeys: expected none here: it is of a Group only');
    expect(problemOf({}, { wait: 10 })).toContain('fromBottleneckOptions.job.wait');
  });
});

describe('a bulkhead at its high-water mark', () => {
  let clock = new VirtualClock();

  beforeEach(() => {
    clock = new VirtualClock();
  });

  function crowd(options: Options, job: JobOptions = {}) {
    const guarded = pipeline(fromBottleneckOptions(options, job), { clock, name: 'crowd' });
    const log: string[] = [];
    const seen: string[] = [];
    guarded.on('*', ({ type }) => seen.push(type));
    const errors = new Map<string, Error>();
    const come = (name: string, ms = 100, tags: Readonly<Record<string, unknown>> = {}) => {
      const work = () => {
        log.push(name);
        return new Promise<void>((resolve) => void clock.setTimeout(resolve, ms));
      };
      void guarded.executeOutcome(work, { tags, operation: name }).then((outcome) => {
        if (outcome.ok) return;
        log.push(`-${name}`);
        errors.set(name, outcome.error as Error);
      });
      return hop();
    };
    return { guarded, log, seen, errors, come };
  }

  test('LEAK lets the one go that waits longest, in favour of the newcomer, and tells', async () => {
    const { log, come, errors, guarded, seen } = crowd({ maxConcurrent: 1, highWater: 2 });
    for (const name of ['a', 'b', 'c', 'd', 'e']) await come(name);
    expect(log).toEqual(['a', '-b', '-c']);
    expect(errors.get('b')).toBeInstanceOf(BulkheadFullError);
    expect(errors.get('b')?.message).toBe(
      'crowd: bulkhead gave the place of the call that waited longest to a newcomer (LEAK), so the work never ran',
    );
    expect(guarded.snapshot().policies).toMatchObject([{ maxConcurrent: 1, maxQueue: 2, active: 1, queued: 2, evicted: 2, refused: 0 }]);
    expect(seen.filter((type) => type === 'bulkhead.evicted')).toHaveLength(2);
    await clock.advance(300);
    expect(log).toEqual(['a', '-b', '-c', 'd', 'e']);
  });

  test('LEAK takes from the lowest first, the oldest among them, and never from those above the newcomer', async () => {
    const priority: JobOptions = { priority: ({ tags }) => tags['priority'] as number };
    const { log, come, errors } = crowd({ maxConcurrent: 1, highWater: 3 }, priority);
    await come('a');
    await come('low', 100, { priority: 8 });
    await come('lower', 100, { priority: 9 });
    await come('lower too', 100, { priority: 9 });
    await come('high', 100, { priority: 1 });
    expect(log).toEqual(['a', '-lower']);
    await come('high too', 100, { priority: 1 });
    await come('higher', 100, { priority: 0 });
    await come('middle', 100, { priority: 5 });
    expect(log).toEqual(['a', '-lower', '-lower too', '-low', '-middle']);
    expect(errors.get('middle')?.message).toBe(
      'crowd: bulkhead has 1 of 1 slots taken and its queue of 3 is full of calls that rank higher',
    );
    await clock.advance(1000);
    expect(log.slice(5)).toEqual(['higher', 'high', 'high too']);
  });

  test('LEAK within one tick: who came first goes first', async () => {
    const { log, come } = crowd({ maxConcurrent: 1, highWater: 3 }, { priority: () => 5 });
    await Promise.all(['a', 'b', 'c', 'd', 'e', 'f'].map((name) => come(name)));
    expect(log).toEqual(['a', '-b', '-c']);
    await clock.advance(1000);
    expect(log).toEqual(['a', '-b', '-c', 'd', 'e', 'f']);
  });

  test('BLOCK lets all go who wait, and nobody in until it was left alone for the penalty', async () => {
    const { log, come, errors, guarded } = crowd({ maxConcurrent: 1, highWater: 2, strategy: 3, penalty: '1s' });
    for (const name of ['a', 'b', 'c', 'd']) await come(name);
    expect(new Set(log)).toEqual(new Set(['a', '-b', '-c', '-d']));
    expect(errors.get('b')?.message).toContain('let everybody go who waited');
    expect(errors.get('d')?.message).toContain('lets nobody in until no call has come for 1000 ms (BLOCK)');
    await clock.advance(900);
    await come('e'); // the slot is free, and it is refused all the same
    expect(errors.get('e')).toBeInstanceOf(BulkheadFullError);
    await clock.advance(1000);
    await come('f');
    expect(errors.has('f')).toBe(true); // at the very end, as in bottleneck
    await clock.advance(1001);
    await come('g');
    expect(log.at(-1)).toBe('g');
    expect(guarded.snapshot().policies).toMatchObject([{ refused: 3, evicted: 2, active: 1 }]);
  });

  test('BLOCK lets light ones go too that waited behind a heavy one', async () => {
    const { log, come } = crowd({ maxConcurrent: 2, highWater: 2, strategy: 3 }, { weight: ({ tags }) => tags['weight'] as number });
    await come('a', 100, { weight: 1 });
    await come('heavy', 100, { weight: 2 });
    await come('light', 100, { weight: 1 });
    await come('one too many', 100, { weight: 1 });
    expect([...log].sort()).toEqual(['-heavy', '-light', '-one too many', 'a']); // and 'light' did not run
  });

  test('whoever is let go can still be told apart from one whose caller left, and leaves nothing behind', async () => {
    const { come, guarded } = crowd({ maxConcurrent: 1, highWater: 1 });
    await come('a');
    const left = new AbortController();
    const gone = guarded.executeOutcome(() => 'ran', { signal: left.signal });
    await hop();
    left.abort('left');
    expect(await gone).toMatchObject({ ok: false, error: 'left' });
    await come('b');
    await come('c');
    await clock.advance(1000);
    expect(guarded.snapshot().policies).toMatchObject([{ active: 0, queued: 0, evicted: 1 }]);
    expect(clock.pending).toBe(0);
  });

  test('pipelines that hold the same one share its queue, and each hears of its own calls', async () => {
    const all = fromBottleneckOptions({ maxConcurrent: 1, highWater: 2 }, { priority: ({ tags }) => tags['priority'] as number });
    const [one, other] = [pipeline(all, { clock, name: 'one' }), pipeline(all, { clock, name: 'other' })];
    const told: string[] = [];
    for (const each of [one, other]) each.on('bulkhead.evicted', ({ pipeline: by, operation }) => told.push(`${by} ${operation}`));
    const forever = () => new Promise<void>(() => undefined);
    const come = (by: typeof one, operation: string) => by.executeOutcome(forever, { operation, tags: { priority: 5 } });
    void come(one, 'runs');
    const calls = [come(other, 'first'), come(one, 'second'), come(other, 'third'), come(one, 'fourth')];
    await hop();
    expect(told).toEqual(['other first', 'one second']);
    expect(await Promise.all(calls.slice(0, 2))).toMatchObject([{ ok: false }, { ok: false }]);
  });

  test('it can be resized, and tells its settings', async () => {
    const [slots] = fromBottleneckOptions({ maxConcurrent: 1, highWater: 1, strategy: 3, penalty: 10 });
    const guarded = pipeline([slots], { clock });
    const types: string[] = [];
    guarded.on('bulkhead.resized', ({ from, to }) => types.push(`${from} to ${to}`));
    slots.resize(2);
    expect([1, 2].map(() => guarded.tryAcquire().admitted)).toEqual([true, true]);
    expect(slots.active).toBe(2);
    expect(types).toEqual(['1 to 2']);
    expect(() => slots.resize(-1)).toThrow(OptionsError);
    expect(JSON.parse(JSON.stringify(guarded.snapshot().policies))).toMatchObject([{ maxConcurrent: 2, maxQueue: 1 }]);
  });
});

describe('jobs', () => {
  test('the expiration may be asked of the call, and null is none', async () => {
    const clock = new VirtualClock();
    const limited = pipeline(fromBottleneckOptions({}, { expiration: ({ tags }) => tags['expiration'] as number | null }), { clock });
    const forever = () => new Promise<void>((resolve) => void clock.setTimeout(resolve, 1000));
    const cut = limited.executeOutcome(forever, { tags: { expiration: 50 } });
    const whole = limited.executeOutcome(forever, { tags: { expiration: null } });
    await clock.advance(1000);
    expect(await cut).toMatchObject({ ok: false, error: expect.objectContaining({ code: 'ERR_TIMEOUT', after: 50 }) as TimeoutError });
    expect(await whole).toMatchObject({ ok: true });
  });

  test('a call weighs what it costs, and takes one slot at least', () => {
    const limited = pipeline(fromBottleneckOptions({ maxConcurrent: 3, highWater: 0 }));
    const admits = (cost: number) => limited.tryAcquire({ cost }).admitted;
    expect([admits(2), admits(2), admits(0), admits(1)]).toEqual([true, false, true, false]);
  });

  test('weights that a function says count for the slots and for the reservoir, not for the spacing', () => {
    const all = fromBottleneckOptions(
      { maxConcurrent: 10, minTime: 10, reservoir: 5, reservoirRefreshInterval: 1000, reservoirRefreshAmount: 5 },
      { weight: () => 3 },
    );
    const limited = pipeline(all, { clock: new VirtualClock() });
    limited.tryAcquire();
    expect(all.map((policy) => policy.snapshot())).toMatchObject([{ active: 1, taken: 3 }, { available: 2 }, { excess: 1 }]);
  });

  test('whose priority is a number are all alike; without one, what the calls say counts', () => {
    expect(described({ maxConcurrent: 1 }, { priority: 3 })).toMatchObject([{ priority: false }]);
    expect(described({ maxConcurrent: 1 })).toMatchObject([{ priority: true }]);
    // Nobody can be of a higher rank than all others where all are alike.
    expect(described({ maxConcurrent: 1, highWater: 1, strategy: 4 }, { priority: 3 })).toMatchObject([{ priority: false, maxQueue: 1 }]);
  });
});
