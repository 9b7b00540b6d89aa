import { AsyncLocalStorage } from 'node:async_hooks';
import { describe, expect, test } from 'vitest';
import {
  type AnyPolicy,
  type CallOptions,
  bulkhead,
  circuitBreaker,
  definePolicy,
  degrade,
  fallback,
  fromMiddleware,
  leakyBucket,
  perKey,
  pipeline,
  retry,
  switchboard,
  timeout,
  tokenBucket,
} from 'breakwater';
import { VirtualClock } from 'breakwater/testing';

const policies: Readonly<Record<string, () => readonly AnyPolicy[]>> = {
  'no policy': () => [],
  timeout: () => [timeout({ after: '1h' })],
  'timeout computed for each call': () => [timeout({ after: () => 1000 })],
  retry: () => [retry({ maxAttempts: 3, backoff: { delay: 0 } })],
  'retry that waits': () => [retry({ maxAttempts: 3 })],
  fallback: () => [fallback({ value: 1, when: () => false })],
  'fallback that rethrows': () => [
    fallback({
      run: (error) => {
        throw error;
      },
    }),
  ],
  'degrade that refuses': () => [degrade({ feature: 'refusing', board: switchboard() })],
  'degrade that answers': () => [degrade({ feature: 'answering', board: switchboard(), levels: ['full', { name: 'off', value: 1 }] })],
  'circuit breaker': () => [circuitBreaker()],
  bulkhead: () => [bulkhead({ maxConcurrent: 1, maxQueue: 10 })],
  'token bucket': () => [tokenBucket({ rate: 100 })],
  'leaky bucket': () => [leakyBucket({ rate: 100 })],
  'policy per key': () => [perKey(() => bulkhead({ maxConcurrent: 10 }))],
  'gate of your own': () => [
    definePolicy({ kind: 'own-gate', gate: { enter: () => 'pass', settle: () => undefined, cancel: () => undefined } }),
  ],
  'driver of your own': () => [definePolicy({ kind: 'own-driver', mount: (next) => (call) => next(call) })],
  'async driver of your own': () => [definePolicy({ kind: 'own-async-driver', mount: (next) => async (call) => await next(call) })],
  middleware: () => [fromMiddleware(async (_call, next) => await next())],
  'pipeline inside': () => [pipeline([timeout({ after: '1h' }), retry({ backoff: { delay: 0 } })], { name: 'inner' })],
  'six policies': () => [
    fallback({ value: 1, when: () => false }),
    timeout({ after: '3s' }),
    retry({ maxAttempts: 3, backoff: { delay: '100ms' } }),
    circuitBreaker(),
    bulkhead({ maxConcurrent: 20, maxQueue: 50, maxWait: '200ms' }),
    tokenBucket({ rate: 100, per: '1s', burst: 20 }),
    timeout({ after: '1s' }),
  ],
};

/** What a caller may add to a call; each makes the kernel go another way. */
const manners: Readonly<Record<string, () => CallOptions | undefined>> = {
  plain: () => undefined,
  'with a signal': () => ({ signal: new AbortController().signal }),
  'with a deadline': () => ({ deadline: '1h' }),
  'with a key': () => ({ key: 'k' }),
};

const cases = Object.entries(policies).flatMap(([name, make]) =>
  Object.entries(manners).map(([how, options]) => ({ name, how, make, options })),
);

function built(make: () => readonly AnyPolicy[]): { clock: VirtualClock; guarded: ReturnType<typeof pipeline> } {
  const clock = new VirtualClock();
  return { clock, guarded: pipeline<readonly AnyPolicy[]>(make(), { clock }) };
}

async function theWork(): Promise<never> {
  await Promise.resolve();
  throw new Error('deep inside');
}

describe('law 9: an error thrown after an await in the work keeps the frames of its async callers', () => {
  test.each(cases)('$name, $how', async ({ make, options }) => {
    const { clock, guarded } = built(make);
    async function theHandler(): Promise<unknown> {
      return await guarded.execute(theWork, options());
    }
    async function theServer(): Promise<unknown> {
      return await theHandler();
    }
    const error = await clock.until(theServer().catch((thrown: unknown) => thrown));
    const { stack } = error as Error;
    for (const frame of ['theWork', 'theHandler', 'theServer']) expect(stack).toContain(frame);
  });

  test.each(cases)('$name, $how, through wrap and executeOutcome', async ({ make, options }) => {
    const { clock, guarded } = built(make);
    const wrapped = guarded.wrap(theWork, options() as never);
    async function theHandler(): Promise<unknown> {
      return await wrapped();
    }
    const error = await clock.until(theHandler().catch((thrown: unknown) => thrown));
    expect((error as Error).stack).toContain('theHandler');
    async function theOtherHandler(): Promise<unknown> {
      const outcome = await guarded.executeOutcome(theWork, options());
      return outcome.ok ? undefined : outcome.error;
    }
    expect(((await clock.until(theOtherHandler())) as Error).stack).toContain('theOtherHandler');
  });

  test('a call that waited in a queue keeps them too', async () => {
    const { clock, guarded } = built(() => [bulkhead({ maxConcurrent: 1, maxQueue: 1 })]);
    let end: (value: unknown) => void = () => undefined;
    const first = guarded.execute(() => new Promise<never>((resolve) => (end = resolve as never)));
    async function theHandler(): Promise<unknown> {
      return await guarded.execute(theWork);
    }
    const second = theHandler().catch((thrown: unknown) => thrown);
    await clock.advance(0);
    end(1);
    await first;
    expect(((await second) as Error).stack).toContain('theHandler');
  });
});

describe("law 10: work runs in its own caller's AsyncLocalStorage context, also after a wait (G7)", () => {
  const context = new AsyncLocalStorage<number>();

  test.each(cases)('$name, $how', async ({ make, options }) => {
    const { clock, guarded } = built(make);
    const seen: [caller: number, inside: unknown, later: unknown, after: unknown][] = [];
    const call = async (caller: number): Promise<void> => {
      let inside: unknown;
      let later: unknown;
      let runs = 0;
      await guarded.executeOutcome(async () => {
        inside = context.getStore();
        await Promise.resolve();
        later = context.getStore();
        if (++runs < 3 && caller % 2 === 0) throw new Error('again');
      }, options());
      seen.push([caller, inside, later, context.getStore()]);
    };
    await clock.until(Promise.all([1, 2, 3, 4].map((caller) => context.run(caller, call, caller))));
    expect(seen.sort(([a], [b]) => a - b)).toEqual([1, 2, 3, 4].map((caller) => [caller, caller, caller, caller]));
  });

  const waits: Readonly<Record<string, () => readonly AnyPolicy[]>> = {
    'the queue of a bulkhead': () => [bulkhead({ maxConcurrent: 1, maxQueue: 10 })],
    'the line of a token bucket': () => [tokenBucket({ rate: 1, per: '1s', burst: 1, maxWait: '1h' })],
    'the spacing of a leaky bucket': () => [leakyBucket({ rate: 1, per: '1s', maxQueueTime: '1h' })],
    'the queue of one key': () => [perKey(() => bulkhead({ maxConcurrent: 1, maxQueue: 10 }))],
    'a backoff': () => [retry({ maxAttempts: 5, backoff: { delay: '1s' } })],
    'several waits': () => [
      retry({ maxAttempts: 5, backoff: { delay: '1s' } }),
      timeout({ after: '1h' }),
      bulkhead({ maxConcurrent: 1, maxQueue: 10 }),
      tokenBucket({ rate: 1, per: '1s', burst: 1, maxWait: '1h' }),
    ],
  };

  test.each(Object.entries(waits))('eight calls that wait in %s each see their own context', async (_, make) => {
    const { clock, guarded } = built(make);
    const seen: unknown[] = [];
    const call = async (caller: number): Promise<void> => {
      let runs = 0;
      await guarded.executeOutcome(
        async () => {
          seen.push([caller, context.getStore()]);
          await new Promise<void>((resolve) => clock.setTimeout(resolve, 10));
          seen.push([caller, context.getStore()]);
          if (++runs < 2) throw new Error('again');
        },
        { key: 'k' },
      );
      seen.push([caller, context.getStore()]);
    };
    const calls = Array.from({ length: 8 }, (_unused, caller) => context.run(caller, call, caller));
    await context.run(-1, () => clock.until(Promise.all(calls)));
    expect(seen.length).toBeGreaterThanOrEqual(24);
    expect(seen.filter((pair) => (pair as unknown[])[0] !== (pair as unknown[])[1])).toEqual([]);
  });

  test("callbacks run in their caller's context: when, delayFor, isFailure, a computed cost, a fallback, onLate", async () => {
    const seen: unknown[] = [];
    const note = <T>(answer: T): T => {
      seen.push(context.getStore());
      return answer;
    };
    const { clock, guarded } = built(() => [
      fallback({ run: () => note(1), when: ({ ok }) => note(!ok) }),
      retry({ maxAttempts: 2, when: ({ ok }) => note(!ok), delayFor: () => note(5) }),
      circuitBreaker({ isFailure: ({ ok }) => note(!ok) }),
      tokenBucket({ rate: 100, cost: () => note(1) }),
      timeout({ after: () => note(100) }),
    ]);
    const fail = (): Promise<never> => Promise.reject(new Error('no'));
    await context.run(7, () => clock.until(Promise.all([guarded.execute(fail), guarded.execute(fail)])));
    expect(seen.length).toBeGreaterThan(12);
    expect(new Set(seen)).toEqual(new Set([7]));
  });
});
