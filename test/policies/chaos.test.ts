import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { afterEach, describe, expect, test, vi } from 'vitest';
import fc from 'fast-check';
import {
  type ChaosOptions,
  OptionsError,
  RateLimitedError,
  TimeoutError,
  bulkhead,
  chaos,
  circuitBreaker,
  definePolicy,
  fallback,
  pipeline,
  retry,
  timeout,
} from 'breakwater';
import { VirtualClock, arrange, policyContract, seededRandom, work } from 'breakwater/testing';

const boom = new Error('boom');
const given = { describe, it: test };

const second = (): ((call: unknown) => boolean) => {
  let calls = 0;
  return () => ++calls > 1;
};
policyContract(() => chaos({ rate: 0, fault: boom }), {
  ...given,
  waits: () => chaos({ rate: 1, latency: '2m', only: second() }),
  refuses: () => chaos({ rate: 1, reject: 'overloaded', maxPerMinute: Infinity }),
  factory: { create: chaos, options: { rate: 0.5, latency: '1s' } },
});
policyContract(() => chaos({ rate: 1, behaviour: () => undefined }), { ...given, name: 'chaos that does no harm' });
policyContract(() => chaos({ rate: 1, latency: 0 }), { ...given, name: 'chaos without delay' });
policyContract(() => chaos({ rate: 1, fault: boom, mode: 'shadow' }), { ...given, name: 'chaos in shadow' });

const failureOf = async (done: Promise<unknown>): Promise<unknown> =>
  done.then(
    () => expect.fail('should have been rejected'),
    (error: unknown) => error,
  );
const injected = (events: readonly { readonly type: string }[]): readonly unknown[] =>
  events.filter(({ type }) => type === 'chaos.injected').map((event) => (event as unknown as { injection: unknown }).injection);

describe('an injected fault', () => {
  test('fails the call with the very error, and the work does not run', async () => {
    const scripted = work('ok');
    const { run, events, policy } = arrange(chaos({ rate: 1, fault: boom }));
    expect(await failureOf(run(scripted))).toBe(boom);
    expect(scripted.calls).toBe(0);
    expect(events[0]).toMatchObject({ type: 'chaos.injected', level: 'info', injection: 'fault', error: boom });
    expect(policy.snapshot()).toEqual({ injected: { fault: 1 }, shown: 0, capped: 0 });
  });

  test('counts like a real one: a circuit opens, a retry tries again, a fallback covers it', async () => {
    const circuit = circuitBreaker({ consecutiveFailures: 2 });
    const opened = arrange([circuit, chaos({ rate: 1, fault: boom })]);
    for (let i = 0; i < 2; i++) await failureOf(opened.run(() => 1));
    expect(circuit.state).toBe('open');

    const once = second();
    const retried = arrange([retry({ backoff: { jitter: 'none' } }), chaos({ rate: 1, fault: boom, only: (call) => !once(call) })]);
    expect(await retried.clock.until(retried.run(() => 'second'))).toBe('second');

    const covered = arrange([fallback({ value: 'plan b' }), chaos({ rate: 1, fault: boom })]);
    expect(await covered.run(() => 'plan a')).toBe('plan b');
  });

  test('that is a timeout or a refusal counts as one', async () => {
    const limited = new RateLimitedError('later', { retryAfter: 500 });
    const seen: string[] = [];
    const on = ({ type, outcome }: { type: string; outcome?: unknown }): void => {
      if (type === 'pipeline.settled') seen.push(String(outcome));
    };
    for (const fault of [new TimeoutError('slow', { after: 1 }), limited])
      await pipeline([chaos({ rate: 1, fault })], { on }).executeOutcome(() => 1);
    expect(seen).toEqual(['timeout', 'refused']);
  });

  test('is made for the call and by chance; undefined leaves the call alone', async () => {
    const fault = vi.fn((call: { key?: string | undefined }, u: number) =>
      call.key === 'ada' ? new Error(`u is below ${Math.ceil(u)}`) : undefined,
    );
    const { run, events } = arrange(chaos({ rate: 1, fault }));
    expect(await failureOf(run(() => 1, { key: 'ada' }))).toEqual(new Error('u is below 1'));
    expect(await run(() => 'fine', { key: 'bob' })).toBe('fine');
    expect(injected(events)).toEqual(['fault']);
  });
});

describe('injected latency', () => {
  test('lets the work begin later, by a second where nothing is said', async () => {
    const { run, clock, events } = arrange(chaos({ rate: 1 }));
    const scripted = work({ after: 0, value: 7 });
    expect(await clock.until(run(scripted))).toBe(7);
    expect(scripted.runs[0]?.at).toBe(1000);
    expect(events[0]).toMatchObject({ injection: 'latency', delay: 1000 });
  });

  test('lies between two durations, or is what a function says', async () => {
    const delays = async (latency: NonNullable<ChaosOptions['latency']>): Promise<number[]> => {
      const { run, clock, events } = arrange(chaos({ rate: 1, latency, seed: 3 }));
      for (let i = 0; i < 50; i++) await clock.until(run(() => 1));
      return events.flatMap((event) => (event.type === 'chaos.injected' ? [(event as unknown as { delay: number }).delay] : []));
    };
    const spread = await delays(['100ms', '200ms']);
    expect(Math.min(...spread)).toBeGreaterThanOrEqual(100);
    expect(Math.max(...spread)).toBeLessThanOrEqual(200);
    expect(Math.max(...spread) - Math.min(...spread)).toBeGreaterThan(70);
    expect(new Set(await delays((_, u) => (u < 0.5 ? 1 : 2)))).toEqual(new Set([1, 2]));
  });

  test('ends in the same tick when the caller gives up or a timeout strikes, and the work never runs', async () => {
    const scripted = work('ok');
    const { run, clock } = arrange(chaos({ rate: 1, latency: '30s' }));
    const caller = new AbortController();
    const aborted = failureOf(run(scripted, { signal: caller.signal }));
    await clock.advance('1s');
    caller.abort('enough');
    expect(await aborted).toBe('enough');
    expect(clock.pending).toBe(0);

    const timed = arrange([timeout({ after: '1s' }), chaos({ rate: 1, latency: Infinity })]);
    expect(await timed.clock.until(failureOf(timed.run(scripted)))).toBeInstanceOf(TimeoutError);
    expect([scripted.calls, timed.clock.pending]).toEqual([0, 0]);
  });

  test('that no time can be is reported, and the call left alone', async () => {
    const { run, events } = arrange(chaos({ rate: 1, latency: () => -1 }));
    expect(await run(() => 'fine')).toBe('fine');
    expect(events.map(({ type }) => type)).toEqual(['pipeline.callback-failed', 'pipeline.settled']);
  });
});

describe('an injected outcome', () => {
  test('answers in place of the work, as a success that is not degraded', async () => {
    const scripted = work('ok');
    const { pipeline: drill } = arrange(chaos({ rate: 1, outcome: null }));
    expect(await drill.executeOutcome(scripted)).toEqual({ ok: true, value: null });
    expect(scripted.calls).toBe(0);
    const found = arrange(chaos({ rate: 1, outcome: (call) => Promise.resolve(`stale ${call.key}`) }));
    expect(await found.run(() => 'fresh', { key: 'k' })).toBe('stale k');
  });

  test('counts like a real one: gates outside hear of a success', async () => {
    const settle = vi.fn();
    const cancel = vi.fn();
    const gate = definePolicy({ kind: 'door', gate: { enter: () => 'pass', settle, cancel } });
    await arrange([gate, chaos({ rate: 1, outcome: 'other' })]).run(() => 'work');
    expect(settle).toHaveBeenCalledWith('pass', 'other', 0);
    expect(cancel).not.toHaveBeenCalled();
  });

  test('that cannot be found is reported, and the work runs', async () => {
    const { run, events } = arrange(chaos({ rate: 1, outcome: () => Promise.reject(boom) }));
    expect(await run(() => 'fine')).toBe('fine');
    expect(events[0]).toMatchObject({ type: 'pipeline.callback-failed', callback: 'outcome', error: boom });
  });

  test('that is long in coming does not hold up an abort', async () => {
    const { run, clock } = arrange([timeout({ after: '1s' }), chaos({ rate: 1, outcome: () => new Promise<never>(() => undefined) })]);
    expect(await clock.until(failureOf(run(() => 1)))).toBeInstanceOf(TimeoutError);
  });
});

describe('injected behaviour', () => {
  test('runs before the work, which waits for it; what it throws changes nothing', async () => {
    const log: string[] = [];
    const behaviour = async (): Promise<void> => {
      await Promise.resolve();
      log.push('behaviour');
      throw boom;
    };
    const { run, events } = arrange(chaos({ rate: 1, behaviour }));
    expect(await run(() => log.push('work'))).toBe(2);
    expect(log).toEqual(['behaviour', 'work']);
    expect(events.map(({ type }) => type)).toEqual(['chaos.injected', 'pipeline.callback-failed', 'pipeline.settled']);
  });
});

describe('an injected refusal', () => {
  test.each(['circuit-open', 'bulkhead-full', 'rate-limited', 'throttled', 'overloaded', 'deadline'] as const)(
    '%s comes with the code of the real one, and counts as not run',
    async (reject) => {
      const slots = bulkhead({ maxConcurrent: 1 });
      const { run, events } = arrange([slots, chaos({ rate: 1, reject, name: 'drill' })]);
      const error = await failureOf(run(() => 1, { key: 'k' }));
      expect(error).toMatchObject({ message: `test: drill plays ${reject}`, pipeline: 'test', policy: 'drill', key: 'k' });
      expect((error as { code: string }).code).toMatch(/^ERR_/);
      expect(events.at(-1)).toMatchObject({ type: 'pipeline.settled', outcome: 'refused' });
      expect(slots.active).toBe(0);
    },
  );

  test('may be made by a function', async () => {
    const limited = new RateLimitedError('later', { retryAfter: 500 });
    const { run } = arrange(chaos({ rate: 1, reject: () => limited }));
    expect(await failureOf(run(() => 1))).toBe(limited);
  });
});

const bytes = (...chunks: string[]): ReadableStream<Uint8Array> => {
  const encoder = new TextEncoder();
  return new ReadableStream({
    start(controller) {
      for (const chunk of chunks) controller.enqueue(encoder.encode(chunk));
      controller.close();
    },
  });
};
const readAll = async (stream: ReadableStream<Uint8Array> | null): Promise<{ readonly read: string; readonly error?: unknown }> => {
  let read = '';
  const decoder = new TextDecoder();
  try {
    for await (const chunk of stream as ReadableStream<Uint8Array>) read += decoder.decode(chunk);
    return { read };
  } catch (error) {
    return { read, error };
  }
};

describe('a body that breaks off', () => {
  test('delivers the chunks before, and then fails: a response keeps its status, headers and class', async () => {
    const { run } = arrange(chaos({ rate: 1, abortMidStream: {} }));
    const response = await run(() => new Response(bytes('one', 'two'), { status: 201, headers: { etag: 'x' } }));
    expect([response.status, response.headers.get('etag'), response instanceof Response]).toEqual([201, 'x', true]);
    expect(await readAll(response.body)).toMatchObject({ read: 'one', error: { code: 'ECONNRESET' } });
  });

  test('is cut within a chunk if bytes are counted, with an error of choice, and its source is let go', async () => {
    const cancelled = vi.fn();
    const endless = new ReadableStream<Uint8Array>({
      pull: (controller) => controller.enqueue(new TextEncoder().encode('abcd')),
      cancel: cancelled,
    });
    const { run } = arrange(chaos({ rate: 1, abortMidStream: { bytes: 6, error: boom } }));
    expect(await readAll(await run(() => endless))).toEqual({ read: 'abcdab', error: boom });
    expect(cancelled).toHaveBeenCalledWith(boom);
  });

  test("may be a stream of Node's, which still knows what it knew", async () => {
    const destroyed = vi.fn();
    const source = Object.assign(Readable.from(['one', 'two', 'three']), { statusCode: 206 }).on('close', destroyed);
    const { run } = arrange(chaos({ rate: 1, abortMidStream: { chunks: 2 } }));
    const broken = await run(() => source);
    expect([broken.statusCode, broken instanceof Readable]).toEqual([206, true]);
    let read = '';
    await expect(
      (async () => {
        for await (const chunk of broken) read += String(chunk);
      })(),
    ).rejects.toMatchObject({ code: 'ECONNRESET' });
    expect(read).toBe('onetwo');
    expect(destroyed).toHaveBeenCalledOnce();
  });

  test('that ends before is whole; an answer without a body is left alone', async () => {
    const { run, policy } = arrange(chaos({ rate: 1, abortMidStream: { bytes: 100 } }));
    expect(await readAll(await run(() => bytes('short')))).toEqual({ read: 'short' });
    expect(await text(await run(() => Readable.from(['also ', 'short'], { objectMode: false })))).toBe('also short');
    const plain = { body: 'no stream' };
    expect(await run(() => plain)).toBe(plain);
    expect((await run(() => new Response(null, { status: 204 }))).status).toBe(204);
    expect(policy.snapshot()).toMatchObject({ injected: { abortMidStream: 2 } });
  });

  test('whose reader leaves lets its source go', async () => {
    const cancelled = vi.fn();
    const { run } = arrange(chaos({ rate: 1, abortMidStream: { chunks: 5 } }));
    const stream = await run(() => new ReadableStream({ cancel: cancelled }));
    await stream.cancel('enough');
    expect(cancelled).toHaveBeenCalledWith('enough');
  });

  test('that is being read already is left alone', async () => {
    const { run, events } = arrange(chaos({ rate: 1, abortMidStream: {} }));
    const response = new Response(bytes('x'));
    response.body?.getReader();
    expect(await run(() => response)).toBe(response);
    expect(injected(events)).toEqual([]);
  });
});

describe('a slow body', () => {
  test('holds each chunk back', async () => {
    const { run, clock } = arrange(chaos({ rate: 1, slowBody: '2s' }));
    const { body } = await run(() => new Response(bytes('one', 'two')));
    expect(await clock.until(readAll(body))).toEqual({ read: 'onetwo' });
    expect([clock.now(), clock.pending]).toEqual([4000, 0]);
  });

  test('leaves no timer behind when nobody reads on', async () => {
    const { run, clock } = arrange(chaos({ rate: 1, slowBody: '2s' }));
    const reader = (await run(() => bytes('one', 'two'))).getReader();
    const first = reader.read();
    await clock.advance('1s');
    await reader.cancel('enough');
    expect([clock.pending, (await first).done]).toEqual([0, true]);
  });
});

describe('a blocked event loop', () => {
  test('lets time pass before the work, and nothing else', async () => {
    let now = 0;
    const clock = { now: () => (now += 0.25), setTimeout: () => 0, clearTimeout: () => undefined };
    const delays: unknown[] = [];
    const on = (event: object): void => {
      if ('delay' in event) delays.push(event.delay);
    };
    const drill = pipeline([chaos({ rate: 1, blockEventLoop: 50 })], { clock, on });
    const before = now;
    await drill.execute(() => expect(now - before).toBeGreaterThanOrEqual(50));
    expect(delays).toEqual([50]);
  });

  test('is none on a clock that stands still: a virtual one is not waited for', async () => {
    const { run, events, clock } = arrange(chaos({ rate: 1, blockEventLoop: '1s' }));
    expect(await run(() => 'at once')).toBe('at once');
    expect(events[0]).toMatchObject({ injection: 'blockEventLoop', delay: 0 });
    expect(clock.now()).toBe(0);
  });
});

describe('which calls are hit', () => {
  const hits = async (options: ChaosOptions, calls = 1000, seed = 1): Promise<number[]> => {
    const { run } = arrange(chaos({ fault: boom, maxPerMinute: Infinity, ...options }), { seed });
    const found: number[] = [];
    for (let i = 0; i < calls; i++) await run(() => 1).catch(() => found.push(i));
    return found;
  };

  test('is a share: none, all, or within four standard deviations of what was asked', async () => {
    expect(await hits({ rate: 0 }, 100)).toHaveLength(0);
    expect(await hits({ rate: 1 }, 100)).toHaveLength(100);
    const { length } = await hits({ rate: 0.2 }, 5000);
    expect(Math.abs(length - 1000)).toBeLessThan(4 * Math.sqrt(5000 * 0.2 * 0.8));
  });

  test('is the same with the same seed, whatever else the pipeline draws, and a higher rate hits the same ones and more', async () => {
    const low = await hits({ rate: 0.1, seed: 7 }, 500, 1);
    expect(await hits({ rate: 0.1, seed: 7 }, 500, 99)).toEqual(low);
    expect(await hits({ rate: 0.1, seed: 8 }, 500)).not.toEqual(low);
    expect(await hits({ rate: 0.3, seed: 7 }, 500)).toEqual(expect.arrayContaining(low));
  });

  test('can be told by the call: a rate for each, a filter, a switch, also asked for asynchronously', async () => {
    const keyed = arrange(chaos({ fault: boom, rate: (call) => (call.key === 'ada' ? 1 : 0) }));
    expect(await failureOf(keyed.run(() => 1, { key: 'ada' }))).toBe(boom);
    expect(await keyed.run(() => 1, { key: 'bob' })).toBe(1);

    const filtered = arrange(chaos({ fault: boom, rate: 1, only: ({ tags }) => tags['tenant'] === 'test' }));
    expect(await failureOf(filtered.run(() => 1, { tags: { tenant: 'test' } }))).toBe(boom);
    expect(await filtered.run(() => 1)).toBe(1);

    let on = false;
    const switched = arrange(chaos({ fault: boom, rate: 1, enabled: () => on }));
    expect(await switched.run(() => 1)).toBe(1);
    on = true;
    expect(await failureOf(switched.run(() => 1))).toBe(boom);

    const asked = arrange(chaos({ fault: boom, rate: () => Promise.resolve(1), enabled: () => Promise.resolve(on) }));
    expect(await failureOf(asked.run(() => 1))).toBe(boom);
    on = false;
    expect(await asked.run(() => 1)).toBe(1);
  });

  test.each([
    ['rate', { rate: () => NaN }],
    [
      'enabled',
      {
        rate: 1,
        enabled: () => {
          throw boom;
        },
      },
    ],
    ['rate', { rate: () => Promise.resolve(2) }],
    ['rate', { rate: 1, enabled: () => Promise.reject(boom) }],
    [
      'only',
      {
        rate: 1,
        only: () => {
          throw boom;
        },
      },
    ],
  ] as const)('a %s that cannot be told is reported, and the call left alone', async (callback, options) => {
    const { run, events } = arrange(chaos({ fault: boom, ...options }));
    expect(await run(() => 'fine')).toBe('fine');
    expect(events[0]).toMatchObject({ type: 'pipeline.callback-failed', callback });
  });

  test('a slow answer about the rate does not hold up an abort', async () => {
    const { run, clock } = arrange([timeout({ after: '1s' }), chaos({ rate: () => new Promise<number>(() => undefined) })]);
    expect(await clock.until(failureOf(run(() => 1)))).toBeInstanceOf(TimeoutError);
  });

  test('several injections are drawn by weight, one for each call', async () => {
    const { run, policy } = arrange(
      chaos({
        rate: 1,
        seed: 1,
        fault: boom,
        outcome: 'other',
        reject: 'overloaded',
        weights: { outcome: 3, reject: 0 },
        maxPerMinute: Infinity,
      }),
    );
    for (let i = 0; i < 2000; i++) await run(() => 1).catch(() => 0);
    const { injected: counts } = policy.snapshot() as unknown as { injected: Record<string, number> };
    expect(Object.keys(counts).sort()).toEqual(['fault', 'outcome']);
    expect(Math.abs((counts['outcome'] ?? 0) - 1500)).toBeLessThan(4 * Math.sqrt(2000 * 0.75 * 0.25));
  });
});

describe('a script', () => {
  test('runs from the first call on: each stretch has its own rate and injections, and between them nothing happens', async () => {
    const { run, clock, events } = arrange(
      chaos({
        fault: boom,
        outcome: 'other',
        rate: 1,
        schedule: [
          { to: '10s', inject: 'outcome' },
          { from: '20s', to: '30s', rate: 0 },
          { from: '25s', to: '40s', inject: ['fault'] },
        ],
      }),
    );
    await clock.advance('1h');
    const seen: unknown[] = [];
    for (const step of [0, 9_999, 1, 15_000, 10_000, 10_000]) {
      await clock.advance(step);
      const before = injected(events).length;
      await run(() => 1).catch(() => 0);
      seen.push(injected(events)[before]);
    }
    // At 0 s, 9.999 s, 10 s, 25 s (the stretch that began first), 35 s, 45 s.
    expect(seen).toEqual(['outcome', 'outcome', undefined, undefined, 'fault', undefined]);
  });
});

describe('the cap', () => {
  test('holds in any minute, and what it prevented is counted', async () => {
    const { run, clock, policy } = arrange(chaos({ rate: 1, fault: boom, maxPerMinute: 2 }));
    const outcome = (): Promise<number> => run(() => 1).catch(() => 0);
    expect([await outcome(), await outcome(), await outcome()]).toEqual([0, 0, 1]);
    await clock.advance('59s');
    expect(await outcome()).toBe(1);
    await clock.advance('1s');
    expect([await outcome(), await outcome(), await outcome()]).toEqual([0, 0, 1]);
    expect(policy.snapshot()).toMatchObject({ injected: { fault: 4 }, capped: 3 });
  });

  test('is never exceeded in any minute, whenever calls come', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 5 }),
        fc.array(fc.integer({ min: 0, max: 40_000 }), { maxLength: 60 }),
        async (most, gaps) => {
          const { run, clock } = arrange(chaos({ rate: 1, fault: boom, maxPerMinute: most }));
          const times: number[] = [];
          for (const gap of gaps) {
            await clock.advance(gap);
            await run(() => 1).catch(() => times.push(clock.now()));
          }
          for (const [i, time] of times.entries()) expect(times[i + most] ?? Infinity).toBeGreaterThanOrEqual(time + 60_000);
        },
      ),
      { numRuns: 30 },
    );
  });
});

describe('modes', () => {
  test('a shadow tells what it would inject, and injects nothing', async () => {
    const { run, events, policy } = arrange(chaos({ rate: 1, fault: boom, mode: 'shadow' }));
    expect(await run(() => 'fine')).toBe('fine');
    expect(events[0]).toMatchObject({ type: 'chaos.would-inject', level: 'info', injection: 'fault', shadow: true });
    expect(policy.snapshot()).toEqual({ injected: {}, shown: 1, capped: 0 });
  });

  test('off is as if it were not there', async () => {
    const { run, events, policy } = arrange(chaos({ rate: 1, fault: boom, mode: 'off' }));
    expect(await run(() => 'fine')).toBe('fine');
    expect(events.map(({ type }) => type)).toEqual(['pipeline.settled']);
    expect(policy.snapshot()).toEqual({ injected: {}, shown: 0, capped: 0 });
  });
});

describe('in production', () => {
  afterEach(() => {
    vi.unstubAllEnvs();
  });

  test('it is not made, unless it is allowed, off, or only shows what it would do', () => {
    vi.stubEnv('NODE_ENV', 'production');
    expect(() => chaos()).toThrow(
      'chaos.allowInProduction: expected true where NODE_ENV is production, as chaos breaks calls on purpose, got false',
    );
    expect(() => chaos({ mode: 0.5 })).toThrow(OptionsError);
    expect(chaos({ allowInProduction: true }).kind).toBe('chaos');
    expect(chaos({ mode: 'shadow' }).kind).toBe('chaos');
    expect(chaos({ mode: 'off' }).kind).toBe('chaos');
  });

  test('elsewhere it is', () => {
    vi.stubEnv('NODE_ENV', 'staging');
    expect(chaos().describe()).toMatchObject({ injects: ['latency'], rate: 0.001, maxPerMinute: 1000 });
  });
});

describe('options', () => {
  test.each([
    [{ rate: 2 }, 'chaos.rate'],
    [{ fault: 'a word' }, 'chaos.fault'],
    [{ latency: ['2s', '1s'] }, 'chaos.latency'],
    [{ latency: ['2s'] }, 'chaos.latency'],
    [{ latency: ['2s', 'soon'] }, 'chaos.latency[1]'],
    [{ reject: 'toString' }, 'chaos.reject'],
    [{ blockEventLoop: '11s' }, 'chaos.blockEventLoop'],
    [{ weights: { latency: -1 } }, 'chaos.weights'],
    [{ weights: { noise: 1 } }, 'chaos.weights'],
    [{ weights: { fault: 1 } }, 'chaos.weights.fault'],
    [{ seed: 0.5 }, 'chaos.seed'],
    [{ schedule: {} }, 'chaos.schedule'],
    [{ schedule: [{ to: '1s' }, { inject: 'noise' }] }, 'chaos.schedule[1].inject'],
    [{ schedule: [{ inject: 'fault' }] }, 'chaos.schedule[0].inject'],
    [{ schedule: [{ from: '2s', to: '1s' }] }, 'chaos.schedule[0].to'],
    [{ maxPerMinute: -1 }, 'chaos.maxPerMinute'],
    [{ abortMidStream: { chunks: 1, pieces: 2 } }, 'chaos.abortMidStream.pieces'],
  ])('%j are refused at %s', (options, path) => {
    expect(() => chaos(options as never)).toThrow(expect.objectContaining({ code: 'ERR_OPTIONS', path }) as Error);
  });

  test('are described as data', () => {
    const described = chaos({
      fault: boom,
      outcome: 1,
      rate: () => 1,
      only: () => true,
      schedule: [{ to: '1s', rate: 0.5 }],
      seed: 4,
    }).describe();
    expect(described).toMatchObject({ injects: ['fault', 'outcome'], rate: 'computed', only: 'chosen', seed: 4 });
    expect(JSON.stringify(described['schedule'])).toBe('[{"from":0,"to":1000,"rate":0.5}]');
  });
});

test('nothing is left behind by random chaos under random calls', async () => {
  const unhandled: unknown[] = [];
  const note = (error: unknown): void => void unhandled.push(error);
  process.on('unhandledRejection', note);
  const clock = new VirtualClock();
  const chance = seededRandom(5);
  const drill = pipeline(
    [
      timeout({ after: '1s' }),
      retry({ maxAttempts: 2 }),
      chaos({
        rate: 0.8,
        fault: () => boom,
        latency: [0, '2s'],
        outcome: 'other',
        behaviour: () => (chance() < 0.5 ? Promise.reject(boom) : undefined),
        reject: 'throttled',
        maxPerMinute: Infinity,
      }),
    ],
    { clock, random: chance, on: () => undefined },
  );
  const { signal } = new AbortController();
  const calls = Array.from({ length: 2000 }, () => drill.executeOutcome(work(chance() < 0.5 ? 'ok' : 'hang-until-abort'), { signal }));
  await clock.runAll();
  const outcomes = await Promise.all(calls);
  process.off('unhandledRejection', note);
  expect(outcomes.filter(({ ok }) => ok).length).toBeGreaterThan(100);
  expect([clock.pending, drill.snapshot().active, unhandled.length]).toEqual([0, 0, 0]);
});
