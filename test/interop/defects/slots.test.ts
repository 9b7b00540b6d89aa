/** Bulkheads and queues; see ../defects.ts. */

import { AsyncLocalStorage } from 'node:async_hooks';
import { getEventListeners } from 'node:events';
import Bottleneck from 'bottleneck';
import * as cockatiel from 'cockatiel';
import pLimit from 'p-limit';
import PQueue from 'p-queue';
import pTimeout from 'p-timeout';
import { expect } from 'vitest';
import { BulkheadFullError, ShutdownError, bulkhead, pipeline, timeout } from 'breakwater';
import { useProcessTime } from '../../support/process-clock.ts';
import { Fate, HOUR, Held, demonstrate, errorWithin, fails, hangs, pass, succeeds, within } from './demonstration.ts';
import CircuitBreaker from './opossum.mjs';

useProcessTime();

type Work = () => Promise<unknown>;
/** Runs work through something with one slot. */
type Run = (work: Work) => Promise<unknown>;

/** How many works ran at the same time, where four calls with a time limit of 100 ms were made one after the other. */
async function overlap(run: Run): Promise<number> {
  const held = new Held();
  for (let i = 0; i < 4; i++) {
    void run(held.work).catch(() => undefined);
    await pass(200);
  }
  return held.most;
}

const storage = new AsyncLocalStorage<number>();

/** Of ten callers, each in a context of its own, those whose work ran in the context of another. */
async function misled(run: Run): Promise<number> {
  let wrong = 0;
  const calls = Array.from({ length: 10 }, (_, caller) =>
    storage.run(caller, () =>
      run(async () => {
        if (storage.getStore() !== caller) wrong++;
        await new Promise((resolve) => setTimeout(resolve, 10));
      }),
    ),
  );
  await within(1000, Promise.all(calls));
  return wrong;
}

/** What becomes of a call made in the work of another. */
async function inside(run: Run): Promise<Fate> {
  let inner: Fate | undefined;
  const outer = new Fate(
    run(() => {
      const within = run(succeeds);
      inner = new Fate(within);
      return within;
    }),
  );
  await pass(HOUR);
  expect([outer.state, inner?.got]).toEqual([inner?.state, outer.got]);
  return outer;
}

const stuck = async (run: Run): Promise<void> => expect((await inside(run)).state).toBe('pending');

const bottlenecks = (): Run => {
  const limiter = new Bottleneck({ maxConcurrent: 1 });
  return (work) => limiter.schedule(work);
};
const cockatiels = (queue = 100): Run => {
  const slots = cockatiel.bulkhead(1, queue);
  return (work) => slots.execute(work);
};
const pLimits = (): Run => {
  const limit = pLimit(1);
  return (work) => limit(work);
};
const pQueues = (): Run => {
  const queue = new PQueue({ concurrency: 1 });
  return (work) => queue.add(work);
};
const ours = (): Run => {
  const guarded = pipeline([bulkhead({ maxConcurrent: 1, maxQueue: 100 })]);
  return (work) => guarded.execute(work);
};

demonstrate('slots', {
  'A timeout frees the slot of work that goes on': {
    there: {
      bottleneck: async () => {
        const limiter = new Bottleneck({ maxConcurrent: 1 });
        expect(await overlap((work) => limiter.schedule({ expiration: 100 }, work))).toBe(4);
      },
      cockatiel: async () => {
        const guarded = cockatiel.wrap(cockatiel.bulkhead(1), cockatiel.timeout(100, cockatiel.TimeoutStrategy.Aggressive));
        expect(await overlap((work) => guarded.execute(work))).toBe(4);
      },
      opossum: async () => {
        const breaker = new CircuitBreaker((work: Work) => work(), { capacity: 1, timeout: 100, errorThresholdPercentage: 100 });
        expect(await overlap((work) => breaker.fire(work))).toBe(4);
      },
      'p-limit': async () => {
        const limit = pLimit(1);
        expect(await overlap((work) => limit(() => pTimeout(work(), { milliseconds: 100 })))).toBe(4);
      },
      'p-queue': async () => {
        const queue = new PQueue({ concurrency: 1, timeout: 100 });
        expect(await overlap((work) => queue.add(work))).toBe(4);
      },
    },
    here: async () => {
      const guarded = pipeline([bulkhead({ maxConcurrent: 1 }), timeout({ after: 100 })]);
      expect(await overlap((work) => guarded.execute(work))).toBe(1);
    },
  },

  'The async context is lost': {
    there: {
      bottleneck: async () => expect(await misled(bottlenecks())).toBeGreaterThan(5),
      cockatiel: async () => expect(await misled(cockatiels())).toBeGreaterThan(5),
      'p-queue': async () => expect(await misled(pQueues())).toBeGreaterThan(5),
    },
    here: async () => expect(await misled(ours())).toBe(0),
  },

  'A limit inside itself': {
    there: {
      bottleneck: () => stuck(bottlenecks()),
      cockatiel: () => stuck(cockatiels()),
      'p-limit': () => stuck(pLimits()),
      'p-queue': () => stuck(pQueues()),
    },
    here: async () => {
      const { state, got } = await inside(ours());
      expect(state).toBe('error');
      expect(got).toBeInstanceOf(BulkheadFullError);
    },
  },

  'An aborted call stays in the queue': {
    there: {
      cockatiel: async () => {
        const slots = cockatiel.bulkhead(1, 1);
        void slots.execute(hangs);
        const caller = new AbortController();
        const waiting = new Fate(slots.execute(succeeds, caller.signal));
        caller.abort();
        await pass(HOUR);
        expect(waiting.state).toBe('pending');
        expect(await errorWithin(0, slots.execute(succeeds))).toBeInstanceOf(cockatiel.BulkheadRejectedError);
      },
    },
    here: async () => {
      const slots = bulkhead({ maxConcurrent: 1, maxQueue: 1 });
      const guarded = pipeline([slots]);
      void guarded.execute(hangs);
      const caller = new AbortController();
      const reason = new Error('no longer needed');
      const waiting = guarded.execute(succeeds, { signal: caller.signal });
      caller.abort(reason);
      expect(await errorWithin(0, waiting)).toBe(reason);
      const next = new Fate(guarded.execute(succeeds));
      await pass(0);
      expect([slots.queued, next.state]).toEqual([1, 'pending']);
    },
  },

  'The queue is overtaken': {
    there: {
      cockatiel: async () => {
        expect(await handOver(cockatiels(1))).toEqual({ began: ['newcomer', 'another'], waiting: cockatiel.BulkheadRejectedError });
        expect(await handOver(cockatiels(2))).toEqual({ began: ['newcomer', 'another', 'waiting'], waiting: undefined });
      },
    },
    here: async () => {
      const guarded = pipeline([bulkhead({ maxConcurrent: 1, maxQueue: 1 })]);
      expect(await handOver((work) => guarded.execute(work))).toEqual({ began: ['waiting', 'newcomer'], waiting: undefined });
    },
  },

  'Events that never come': {
    there: {
      cockatiel: async () => {
        const slots = cockatiel.bulkhead(1);
        const told: string[] = [];
        slots.onSuccess(() => told.push('success'));
        slots.onFailure(() => told.push('failure'));
        await within(0, slots.execute(succeeds));
        await errorWithin(0, slots.execute(fails));
        expect(told).toEqual([]);
      },
    },
    here: async () => {
      const guarded = pipeline([bulkhead({ maxConcurrent: 1 })]);
      const told: unknown[] = [];
      guarded.on('pipeline.settled', ({ outcome }) => told.push(outcome));
      await within(0, guarded.execute(succeeds));
      await errorWithin(0, guarded.execute(fails));
      expect(told).toEqual(['success', 'thrown']);
    },
  },

  'A cleared queue leaves its callers waiting': {
    there: {
      'p-limit': async () => {
        const limit = pLimit(1);
        const held = new Held();
        const running = limit(held.work);
        const waiting = new Fate(limit(succeeds));
        await pass(0);
        limit.clearQueue();
        await held.end();
        await running;
        await pass(HOUR);
        expect([limit.activeCount, limit.pendingCount, waiting.state]).toEqual([0, 0, 'pending']);
      },
    },
    here: async () => {
      const guarded = pipeline([bulkhead({ maxConcurrent: 1, maxQueue: 1 })]);
      void guarded.execute(hangs).catch(() => undefined);
      const waiting = guarded.execute(succeeds);
      void guarded.close();
      expect(await errorWithin(30_000, waiting)).toBeInstanceOf(ShutdownError);
    },
  },

  'Listeners on a shared signal': {
    there: {
      'p-queue': () => {
        const queue = new PQueue({ concurrency: 1 });
        const { signal } = new AbortController();
        for (let i = 0; i < 100; i++) void queue.add(hangs, { signal });
        expect(getEventListeners(signal, 'abort')).toHaveLength(100);
      },
    },
    here: async () => {
      const guarded = pipeline([bulkhead({ maxConcurrent: 1, maxQueue: 100 })]);
      const { signal } = new AbortController();
      for (let i = 0; i < 100; i++) void guarded.execute(hangs, { signal });
      await pass(0);
      expect(getEventListeners(signal, 'abort').length).toBeLessThanOrEqual(1);
    },
  },
});

/** One call runs and one waits; as the first ends, two more come. Says who began, in order, and what the waiting one failed with. */
async function handOver(run: Run): Promise<{ began: string[]; waiting: unknown }> {
  const began: string[] = [];
  const named = (name: string): Fate =>
    new Fate(
      run(async () => {
        began.push(name);
        await new Promise((resolve) => setTimeout(resolve, 10));
      }),
    );
  let end = (): void => undefined;
  const promise = new Promise<void>((resolve) => (end = resolve));
  void run(() => promise);
  await pass(0);
  const waiting = named('waiting');
  await pass(0);
  void promise.then(() => {
    named('newcomer');
    named('another');
  });
  end();
  await pass(1000);
  return { began, waiting: (waiting.got as Error | undefined)?.constructor };
}
