/** Circuit breakers that open, close and count as they should not; see ../defects.ts. */

import { EventEmitter } from 'node:events';
import * as cockatiel from 'cockatiel';
import { expect, vi } from 'vitest';
import { type CircuitBreakerOptions, ShutdownError, bulkhead, circuitBreaker, fromMiddleware, pipeline } from 'breakwater';
import { useProcessTime } from '../../support/process-clock.ts';
import { Fate, HOUR, Held, demonstrate, errorWithin, fails, hangs, pass, succeeds, within } from './demonstration.ts';
import CircuitBreaker from './opossum.mjs';

useProcessTime();

type Work = () => unknown;

/** opossum around whatever work it is fired with. */
function opossum(options: object) {
  return new CircuitBreaker((work: Work) => work(), { timeout: false, resetTimeout: 1000, errorThresholdPercentage: 10, ...options });
}

/** One of cockatiel's that opens at the first failure. */
function cockatiels(breaker: cockatiel.IBreaker = new cockatiel.ConsecutiveBreaker(1)) {
  return cockatiel.circuitBreaker(cockatiel.handleAll, { halfOpenAfter: 1000, breaker });
}

function ours(options: CircuitBreakerOptions) {
  const breaker = circuitBreaker({ openFor: '1s', ...options });
  const guarded = pipeline([breaker]);
  return { breaker, run: (work: Work) => guarded.execute(work).catch((error: unknown) => error), guarded };
}

demonstrate('circuits', {
  'Stragglers count': {
    there: {
      cockatiel: async () => {
        const breaker = cockatiels();
        const straggler = new Held();
        const late = new Fate(breaker.execute(straggler.work));
        await breaker.execute(fails).catch(() => undefined);
        await pass(1000);
        const probe = new Held();
        const probing = breaker.execute(probe.work);
        expect(breaker.state).toBe(cockatiel.CircuitState.HalfOpen);
        await straggler.fail();
        expect([late.state, breaker.state]).toEqual(['error', cockatiel.CircuitState.Open]);
        await probe.end('fine');
        await probing;
        expect(breaker.state, 'the probe says that all is well, and nobody listens').toBe(cockatiel.CircuitState.Open);
      },
      opossum: async () => {
        for (const [end, state] of [
          ['end', 'closed'],
          ['fail', 'opened'],
        ] as const) {
          const breaker = opossum({});
          const straggler = new Held();
          void breaker.fire(straggler.work).catch(() => undefined);
          await breaker.fire(fails).catch(() => undefined);
          expect(breaker.opened).toBe(true);
          await pass(1000);
          expect(breaker.halfOpen).toBe(true);
          await straggler[end]();
          expect(breaker[state]).toBe(true);
        }
      },
    },
    here: async () => {
      for (const end of ['end', 'fail'] as const) {
        const { breaker, guarded, run } = ours({ consecutiveFailures: 1 });
        const told: string[] = [];
        guarded.on('*', ({ type }) => told.push(type));
        const straggler = new Held();
        void run(straggler.work);
        await run(fails);
        await pass(1000);
        expect(breaker.state).toBe('half-open');
        await straggler[end]();
        expect(breaker.state).toBe('half-open');
        expect(breaker.snapshot()).toMatchObject({ late: 1, calls: 0 });
        expect(told).toContain('circuit-breaker.late');
      }
    },
  },

  'A probe that hangs': {
    there: {
      cockatiel: async () => {
        const breaker = cockatiels();
        await breaker.execute(fails).catch(() => undefined);
        await pass(1000);
        void breaker.execute(hangs);
        const later = Array.from({ length: 100 }, () => new Fate(breaker.execute(succeeds)));
        await pass(HOUR);
        expect(later.filter(({ state }) => state === 'pending')).toHaveLength(100);
      },
      opossum: async () => {
        const breaker = opossum({});
        await breaker.fire(fails).catch(() => undefined);
        await pass(1000);
        void breaker.fire(hangs);
        await pass(HOUR);
        expect(await errorWithin(0, breaker.fire(succeeds))).toMatchObject({ code: 'EOPENBREAKER' });
        expect(breaker.halfOpen).toBe(true);
      },
    },
    here: async () => {
      const { breaker, run } = ours({ consecutiveFailures: 1, halfOpen: { calls: 1, probeTimeout: '30s' } });
      await run(fails);
      await pass(1000);
      void run(hangs);
      await pass(30_000);
      expect(breaker.state).toBe('open');
      await pass(1000);
      expect(await within(0, run(succeeds))).toBe(1);
      expect(breaker.state).toBe('closed');
    },
  },

  'Refusals open the circuit': {
    there: {
      cockatiel: async () => {
        const breaker = cockatiels(new cockatiel.ConsecutiveBreaker(2));
        const guarded = cockatiel.wrap(breaker, cockatiel.bulkhead(1, 0));
        void guarded.execute(hangs);
        for (let i = 0; i < 2; i++) expect(await errorWithin(0, guarded.execute(succeeds))).toBeInstanceOf(cockatiel.BulkheadRejectedError);
        expect(breaker.state).toBe(cockatiel.CircuitState.Open);
      },
      opossum: async () => {
        const breaker = opossum({ capacity: 1, errorThresholdPercentage: 50 });
        void breaker.fire(hangs);
        for (let i = 0; i < 2; i++) expect(await errorWithin(0, breaker.fire(succeeds))).toMatchObject({ code: 'ESEMLOCKED' });
        expect([breaker.opened, breaker.stats.failures]).toEqual([true, 2]);
      },
    },
    here: async () => {
      const breaker = circuitBreaker({ consecutiveFailures: 1 });
      const guarded = pipeline([breaker, bulkhead({ maxConcurrent: 1 })]);
      void guarded.execute(hangs);
      for (let i = 0; i < 2; i++) expect(await errorWithin(0, guarded.execute(succeeds))).toMatchObject({ code: 'ERR_BULKHEAD_FULL' });
      expect(breaker.snapshot()).toMatchObject({ state: 'closed', calls: 0, failures: 0 });
    },
  },

  'Cache hits dilute the rate': {
    there: {
      opossum: async () => {
        const work = vi.fn((key: number) => (key === 0 ? succeeds() : fails()));
        const breaker = new CircuitBreaker(work, { timeout: false, cache: true, errorThresholdPercentage: 50 });
        for (let i = 0; i < 21; i++) await within(0, breaker.fire(0));
        for (let i = 1; i <= 10; i++) await errorWithin(0, breaker.fire(i));
        expect(work).toHaveBeenCalledTimes(11);
        expect([breaker.closed, breaker.stats.fires, breaker.stats.failures]).toEqual([true, 31, 10]);
      },
    },
    here: async () => {
      const breaker = circuitBreaker({ failureRate: 0.5, minCalls: 11 });
      const known = new Map<string | undefined, unknown>();
      const cache = fromMiddleware(async (call, next) => {
        if (!known.has(call.key)) known.set(call.key, await next());
        return known.get(call.key);
      });
      const guarded = pipeline([cache, breaker]);
      for (let i = 0; i < 21; i++) await within(0, guarded.execute(succeeds, { key: '0' }));
      for (let i = 1; i <= 10; i++) await errorWithin(0, guarded.execute(fails, { key: String(i) }));
      expect(breaker.state).toBe('open');
    },
  },

  'Calls under way dilute the rate': {
    there: {
      opossum: async () => {
        const breaker = opossum({ errorThresholdPercentage: 50 });
        for (let i = 0; i < 10; i++) void breaker.fire(hangs);
        for (let i = 0; i < 10; i++) await errorWithin(0, breaker.fire(fails));
        expect([breaker.closed, breaker.stats.successes, breaker.stats.failures]).toEqual([true, 0, 10]);
      },
    },
    here: async () => {
      const { breaker, run } = ours({ failureRate: 0.5, minCalls: 10 });
      for (let i = 0; i < 10; i++) void run(hangs);
      for (let i = 0; i < 10; i++) await run(fails);
      expect(breaker.state).toBe('open');

      const patient = ours({ slowCall: '2s', badRate: 0.5, minCalls: 10 });
      for (let i = 0; i < 10; i++) void patient.run(hangs);
      await pass(3000);
      expect(patient.breaker.state).toBe('open');
    },
  },

  'An idle hour keeps the window': {
    there: {
      cockatiel: async () => {
        const sampling = new cockatiel.SamplingBreaker({ threshold: 0.5, duration: 10_000, minimumRps: 0.5 });
        const breaker = cockatiels(sampling);
        for (let i = 0; i < 4; i++) await breaker.execute(fails).catch(() => undefined);
        expect(breaker.state).toBe(cockatiel.CircuitState.Closed);
        await pass(HOUR);
        await breaker.execute(fails).catch(() => undefined);
        expect(breaker.state).toBe(cockatiel.CircuitState.Open);
      },
    },
    here: async () => {
      const { breaker, run } = ours({ window: '10s', failureRate: 0.5, minCalls: 5 });
      for (let i = 0; i < 4; i++) await run(fails);
      await pass(HOUR);
      await run(fails);
      expect(breaker.snapshot()).toMatchObject({ state: 'closed', calls: 1 });
    },
  },

  'A restored circuit is half-open at once': {
    there: {
      opossum: async () => {
        const before = opossum({ resetTimeout: 30_000 });
        await pass(29_000);
        before.open();
        const { state } = before.toJSON();
        await pass(1500);
        const after = opossum({ resetTimeout: 30_000, state });
        expect([before.opened, after.halfOpen]).toEqual([true, true]);
      },
    },
    here: async () => {
      const before = circuitBreaker({ openFor: '30s' });
      await pass(29_000);
      before.open();
      const initialState = JSON.parse(JSON.stringify(before.snapshot())) as ReturnType<typeof before.snapshot>;
      await pass(1500);
      const after = circuitBreaker({ openFor: '30s', initialState });
      expect(after.snapshot()).toMatchObject({ state: 'open', remaining: 28_500 });
    },
  },

  'Shutdown is not the end': {
    there: {
      opossum: async () => {
        const breaker = opossum({});
        let health: () => Promise<unknown> = succeeds;
        breaker.healthCheck(() => health(), 1000);
        breaker.shutdown();
        expect(await errorWithin(0, breaker.fire(succeeds))).toMatchObject({ code: 'ESHUTDOWN' });
        health = fails;
        await pass(1000);
        expect(breaker.isShutdown).toBe(false);
        expect(await within(0, breaker.fire(succeeds))).toBe(1);
      },
    },
    here: async () => {
      const probe = vi.fn(async () => false);
      const { breaker, guarded, run } = ours({ recover: { probe, interval: '1s' } });
      breaker.open();
      const work = vi.fn(succeeds);
      await guarded.close();
      probe.mockResolvedValue(true);
      await pass(1000);
      expect(breaker.state).toBe('half-open');
      expect(await run(work)).toBeInstanceOf(ShutdownError);
      expect(work).not.toHaveBeenCalled();
      breaker.open();
      breaker[Symbol.dispose]();
      probe.mockClear();
      await pass(HOUR);
      expect(probe).not.toHaveBeenCalled();
    },
  },

  'Failures cost more the more traffic there is': {
    there: {
      opossum: async () => {
        const breaker = opossum({ errorThresholdPercentage: 100 });
        const sort = vi.spyOn(Array.prototype, 'sort');
        const sorted: number[] = [];
        for (const calls of [999, 4000]) {
          for (let i = 0; i < calls; i++) await breaker.fire(succeeds);
          sort.mockClear();
          await breaker.fire(fails).catch(() => undefined);
          sorted.push(...sort.mock.contexts.map((each) => (each as unknown[]).length));
        }
        sort.mockRestore();
        expect(sorted).toEqual([1000, 5001]);
      },
    },
    here: async () => {
      const { breaker, run } = ours({ failureRate: 1 });
      for (let i = 0; i < 5000; i++) await run(succeeds);
      const spies = (['sort', 'concat', 'slice', 'map', 'reduce'] as const).map((name) => vi.spyOn(Array.prototype, name));
      await run(fails);
      const copied = spies.flatMap(({ mock }) => mock.contexts.map((each) => (each as unknown[]).length));
      for (const spy of spies) spy.mockRestore();
      expect(copied.filter((length) => length > 100)).toEqual([]);
      expect(breaker.snapshot()).toMatchObject({ calls: 5001, failures: 1 });
    },
  },

  'A failure is shared': {
    there: {
      opossum: async () => {
        const work = vi.fn<Work>(fails);
        const breaker = new CircuitBreaker(work, { coalesce: true, errorThresholdPercentage: 100 });
        await errorWithin(0, breaker.fire('a'));
        work.mockImplementation(succeeds);
        await pass(9000);
        await errorWithin(0, breaker.fire('a'));
        expect(work).toHaveBeenCalledTimes(1);
        await pass(2000);
        expect(await within(0, breaker.fire('a'))).toBe(1);
      },
    },
    here: async () => {
      const { guarded } = ours({});
      await errorWithin(0, guarded.execute(fails, { key: 'a' }));
      expect(await within(0, guarded.execute(succeeds, { key: 'a' }))).toBe(1);
    },
  },

  'Timers and listeners at rest': {
    there: {
      opossum: () => {
        for (let i = 0; i < 10; i++) opossum({});
        expect(vi.getTimerCount()).toBe(20);

        const warn = vi.spyOn(process, 'emitWarning').mockReturnValue();
        const rotateBucketController = new EventEmitter();
        const make = (): unknown => opossum({ rotateBucketController, enableSnapshots: false });
        for (let i = 0; i < 10; i++) make();
        expect(warn).not.toHaveBeenCalled();
        make();
        expect(warn.mock.calls.map(([warning]) => (warning as Error).name)).toEqual(['MaxListenersExceededWarning']);
        expect(rotateBucketController.listenerCount('rotate')).toBe(11);
        warn.mockRestore();
      },
    },
    here: async () => {
      for (let i = 0; i < 10; i++) await ours({}).run(succeeds);
      expect(vi.getTimerCount()).toBe(0);
    },
  },

  'The first failure opens': {
    there: {
      opossum: async () => {
        const breaker = new CircuitBreaker((work: Work) => work());
        await errorWithin(0, breaker.fire(fails));
        expect(breaker.opened).toBe(true);
        await pass(29_999);
        expect(breaker.opened).toBe(true);
      },
    },
    here: async () => {
      const breaker = circuitBreaker();
      const guarded = pipeline([breaker]);
      for (let i = 0; i < 19; i++) await errorWithin(0, guarded.execute(fails));
      expect(breaker.state).toBe('closed');
      await errorWithin(0, guarded.execute(fails));
      expect(breaker.state).toBe('open');
    },
  },

  'Work that answers with nothing': {
    there: {
      opossum: async () => {
        const breaker = opossum({});
        expect(
          await errorWithin(
            0,
            breaker.fire(() => undefined),
          ),
        ).toBeInstanceOf(TypeError);
        expect(breaker.opened).toBe(true);
      },
    },
    here: async () => {
      const { breaker, guarded } = ours({ consecutiveFailures: 1 });
      expect(
        await within(
          0,
          guarded.execute(() => undefined),
        ),
      ).toBe(undefined);
      expect(breaker.snapshot()).toMatchObject({ state: 'closed', calls: 1, failures: 0 });
    },
  },

  'A listener changes the answer': {
    there: {
      opossum: async () => {
        const breaker = opossum({});
        const mistake = new Error('a mistake of the listener');
        breaker.on('success', () => {
          throw mistake;
        });
        expect(await errorWithin(0, breaker.fire(succeeds))).toBe(mistake);
        expect([breaker.opened, breaker.stats.failures]).toEqual([true, 1]);
      },
    },
    here: async () => {
      const { breaker, guarded } = ours({ consecutiveFailures: 1 });
      const mistake = new Error('a mistake of the listener');
      const warn = vi.spyOn(process, 'emitWarning').mockReturnValue();
      guarded.on('*', () => {
        throw mistake;
      });
      expect(await within(0, guarded.execute(succeeds))).toBe(1);
      expect(breaker.snapshot()).toMatchObject({ state: 'closed', failures: 0 });
      expect(warn).toHaveBeenCalled();
      warn.mockRestore();
    },
  },

  'An isolation ends in a closed circuit': {
    there: {
      cockatiel: async () => {
        const breaker = cockatiels();
        await breaker.execute(fails).catch(() => undefined);
        expect(breaker.state).toBe(cockatiel.CircuitState.Open);
        breaker.isolate().dispose();
        expect(breaker.state).toBe(cockatiel.CircuitState.Closed);
      },
    },
    here: async () => {
      const { breaker, run } = ours({ consecutiveFailures: 1 });
      await run(fails);
      await pass(400);
      breaker.isolate('maintenance').release();
      expect(breaker.snapshot()).toMatchObject({ state: 'open', remaining: 600 });
    },
  },

  'The wall clock is set': {
    there: {
      cockatiel: async () => {
        const ahead = cockatiels();
        await ahead.execute(fails).catch(() => undefined);
        vi.setSystemTime(Date.now() + HOUR);
        expect(await within(0, ahead.execute(succeeds))).toBe(1);

        const behind = cockatiels();
        await behind.execute(fails).catch(() => undefined);
        vi.setSystemTime(Date.now() - HOUR);
        await pass(HOUR);
        expect(await errorWithin(0, behind.execute(succeeds))).toBeInstanceOf(cockatiel.BrokenCircuitError);
      },
    },
    here: async () => {
      for (const step of [HOUR, -HOUR]) {
        const { breaker, run } = ours({ consecutiveFailures: 1 });
        await run(fails);
        vi.setSystemTime(Date.now() + step);
        expect(breaker.snapshot()).toMatchObject({ state: 'open', remaining: 1000 });
        await pass(1000);
        expect(await within(0, run(succeeds))).toBe(1);
      }
    },
  },
});
