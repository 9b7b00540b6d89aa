/** Timeouts; see ../defects.ts. */

import { queryObjects } from 'node:v8';
import { MessageChannel } from 'node:worker_threads';
import * as cockatiel from 'cockatiel';
import pTimeout, { TimeoutError as PTimeoutError } from 'p-timeout';
import { expect, vi } from 'vitest';
import { TimeoutError, pipeline, timeout } from 'breakwater';
import { useProcessTime } from '../../support/process-clock.ts';
import { Fate, HOUR, Held, demonstrate, errorWithin, hangs, pass, succeeds, within } from './demonstration.ts';
import CircuitBreaker from './opossum.mjs';

useProcessTime();

type Work = () => Promise<unknown>;

const LONG = 2 ** 31;

function opossum(options: object) {
  return new CircuitBreaker((work: Work) => work(), { errorThresholdPercentage: 100, ...options });
}

/** What has become of work that hangs after so many ms. */
async function stateAfter(ms: number, run: (work: Work) => Promise<unknown>): Promise<string> {
  const call = new Fate(run(hangs));
  await pass(ms);
  return call.state;
}

/**
 * On real timers: ten calls have their answer in the mailbox, and the event loop is held up until long after their limit. Says how many got their answer.
 * All begin in the phase of the loop after which timers come first, and then what has come in.
 */
async function answeredAfterStall(limit: number, run: (work: Work) => Promise<unknown>): Promise<number> {
  vi.useRealTimers();
  await new Promise((resolve) => setImmediate(resolve));
  const channels = Array.from({ length: 10 }, () => new MessageChannel());
  const calls = channels.map(({ port1, port2 }) => {
    const call = run(() => new Promise((resolve) => port2.once('message', resolve)));
    port1.postMessage('answer');
    return call;
  });
  await Promise.resolve();
  const until = performance.now() + 3 * limit;
  while (performance.now() < until);
  const settled = await Promise.allSettled(calls);
  for (const { port1 } of channels) port1.close();
  return settled.filter(({ status }) => status === 'fulfilled').length;
}

/** Objects of a class that are alive. */
function alive(type: abstract new (...args: never[]) => object): number {
  return queryObjects(type) as number;
}

demonstrate('timeouts', {
  'One signal for all': {
    there: {
      opossum: async () => {
        const abortController = new AbortController();
        const breaker = opossum({ timeout: 100, abortController, autoRenewAbortController: true });
        void breaker.fire(hangs).catch(() => undefined);
        await pass(90);
        const other = breaker.getSignal();
        const neighbour = new Fate(breaker.fire(hangs));
        await pass(10);
        expect([neighbour.state, other.aborted]).toEqual(['pending', true]);
        expect([breaker.closed, breaker.getSignal().aborted], 'for whoever comes next').toEqual([true, true]);
      },
    },
    here: async () => {
      const guarded = pipeline([timeout({ after: 100 })]);
      const signals: AbortSignal[] = [];
      const call = (): Promise<unknown> => guarded.execute(({ signal }) => (signals.push(signal), hangs())).catch(() => undefined);
      void call();
      await pass(90);
      void call();
      await pass(10);
      void call();
      expect(signals.map(({ aborted }) => aborted)).toEqual([true, false, false]);
    },
  },

  'An abort is a timeout': {
    there: {
      cockatiel: async () => {
        const policy = cockatiel.timeout(5000, cockatiel.TimeoutStrategy.Aggressive);
        const told = vi.fn();
        policy.onTimeout(told);
        const caller = new AbortController();
        const call = policy.execute(hangs, caller.signal);
        await pass(10);
        caller.abort(new Error('no longer needed'));
        expect(await errorWithin(0, call)).toMatchObject({ message: 'Operation timed out after 5000ms' });
        expect(told).toHaveBeenCalledTimes(1);
      },
    },
    here: async () => {
      const guarded = pipeline([timeout({ after: 5000 })]);
      const told: string[] = [];
      guarded.on('*', ({ type }) => told.push(type));
      const caller = new AbortController();
      const reason = new Error('no longer needed');
      const call = guarded.execute(hangs, { signal: caller.signal });
      await pass(10);
      caller.abort(reason);
      expect(await errorWithin(0, call)).toBe(reason);
      expect(told.filter((type) => type.startsWith('timeout.'))).toEqual([]);
    },
  },

  'A success aborts': {
    there: {
      cockatiel: async () => {
        let given: AbortSignal | undefined;
        const policy = cockatiel.timeout(5000, cockatiel.TimeoutStrategy.Cooperative);
        expect(
          await within(
            0,
            policy.execute(({ signal }) => ((given = signal), succeeds())),
          ),
        ).toBe(1);
        expect(given?.aborted).toBe(true);
      },
    },
    here: async () => {
      let given: AbortSignal | undefined;
      const guarded = pipeline([timeout({ after: 5000 })]);
      expect(
        await within(
          0,
          guarded.execute(({ signal }) => ((given = signal), succeeds())),
        ),
      ).toBe(1);
      await pass(HOUR);
      expect(given?.aborted).toBe(false);
    },
  },

  'The work goes on': {
    there: {
      opossum: async () => {
        const work = vi.fn<(...given: unknown[]) => Promise<unknown>>(hangs);
        const breaker = new CircuitBreaker(work, { timeout: 100, errorThresholdPercentage: 100 });
        expect(await errorWithin(100, breaker.fire())).toMatchObject({ code: 'ETIMEDOUT' });
        expect(work.mock.calls, 'nothing that could tell it').toEqual([[]]);
        expect(breaker.getSignal()).toBe(undefined);
      },
      'p-timeout': async () => {
        const held = new Held();
        const ended = held.work();
        const limited = pTimeout(ended, { milliseconds: 100 });
        expect(await errorWithin(100, limited)).toBeInstanceOf(PTimeoutError);
        await pass(HOUR);
        expect(held.running).toBe(1);
      },
    },
    here: async () => {
      let given: AbortSignal | undefined;
      const call = pipeline([timeout({ after: 100 })]).execute(({ signal }) => ((given = signal), hangs()));
      const error = await errorWithin(100, call);
      expect(error).toBeInstanceOf(TimeoutError);
      expect([given?.aborted, given?.reason]).toEqual([true, error]);
    },
  },

  'A month is over at once': {
    there: {
      cockatiel: async () => {
        const policy = cockatiel.timeout(LONG, cockatiel.TimeoutStrategy.Aggressive);
        expect(await stateAfter(1, (work) => policy.execute(work))).toBe('error');
      },
      opossum: async () => expect(await stateAfter(1, (work) => opossum({ timeout: LONG }).fire(work))).toBe('error'),
      'p-timeout': async () => expect(await stateAfter(1, (work) => pTimeout(work(), { milliseconds: LONG }))).toBe('error'),
    },
    mended: {
      'p-timeout': async () => expect(await stateAfter(HOUR, (work) => pTimeout(work(), { milliseconds: LONG }))).toBe('pending'),
    },
    here: async () => {
      const guarded = pipeline([timeout({ after: LONG })]);
      const call = new Fate(guarded.execute(hangs));
      await pass(LONG - 1);
      expect(call.state).toBe('pending');
      await pass(1);
      expect(call.got).toBeInstanceOf(TimeoutError);
    },
  },

  'An error and a timer for each call': {
    there: {
      'p-timeout': async () => {
        const before = alive(PTimeoutError);
        const calls = Array.from({ length: 100 }, () => pTimeout(hangs(), { milliseconds: 5000 }));
        await pass(0);
        expect([alive(PTimeoutError) - before, vi.getTimerCount(), calls.length]).toEqual([100, 100, 100]);
      },
    },
    here: async () => {
      const guarded = pipeline([timeout({ after: 5000 })]);
      const before = alive(TimeoutError);
      const calls = Array.from({ length: 100 }, () => guarded.execute(hangs));
      await pass(0);
      expect([alive(TimeoutError) - before, vi.getTimerCount(), calls.length]).toEqual([0, 1, 100]);
    },
  },

  'Answers that were there in time': {
    there: {
      cockatiel: async () => {
        const policy = cockatiel.timeout(20, cockatiel.TimeoutStrategy.Aggressive);
        expect(await answeredAfterStall(20, (work) => policy.execute(work))).toBe(0);
      },
      opossum: async () => {
        vi.useRealTimers();
        const breaker = opossum({ timeout: 20 });
        expect(await answeredAfterStall(20, (work) => breaker.fire(work))).toBe(0);
        breaker.shutdown();
      },
      'p-timeout': async () => expect(await answeredAfterStall(20, (work) => pTimeout(work(), { milliseconds: 20 }))).toBe(0),
    },
    here: async () => {
      const guarded = pipeline([timeout({ after: 20 })]);
      expect(await answeredAfterStall(20, (work) => guarded.execute(work))).toBe(10);
    },
  },
});
