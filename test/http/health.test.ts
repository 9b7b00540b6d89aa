import { bulkhead, circuitBreaker, perKey, pipeline, tokenBucket } from 'breakwater';
import { bottleneckLimiter } from 'breakwater/bottleneck';
import { opossumBreaker } from 'breakwater/opossum';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { type ReadinessOptions, liveness, readiness } from '../../src/http/health/health.ts';
import { lifecycle } from '../../src/http/lifecycle/lifecycle.ts';
import { ask, latch, serve } from './serving.ts';

afterEach(() => vi.useRealTimers());

const fakes = { toFake: ['setTimeout', 'clearTimeout', 'Date', 'performance'] } satisfies Parameters<typeof vi.useFakeTimers>[0];

/** A check that is answered by hand. */
function questions(): { check: (signal: AbortSignal) => Promise<unknown>; signals: AbortSignal[]; answer: (value: unknown) => void } {
  const signals: AbortSignal[] = [];
  let current = latch<unknown>();
  return {
    check: (signal) => {
      signals.push(signal);
      current = latch<unknown>();
      return current.opened;
    },
    signals,
    answer: (value) => current.open(value),
  };
}

describe('readiness', () => {
  test('follows the lifecycle: starting, ready, draining, closed', async () => {
    const life = lifecycle({ ready: false, delay: 0 });
    const ready = readiness({ lifecycle: life, details: true });
    const states: unknown[] = [];
    const look = async (): Promise<void> => {
      const { status, body } = await ready.report();
      states.push([body.state, status]);
    };
    await look();
    life.ready();
    await look();
    const drained = life.drain();
    await look();
    await drained;
    await look();
    expect(states).toEqual([
      ['starting', 503],
      ['ready', 200],
      ['draining', 503],
      ['closed', 503],
    ]);
  });

  test('turns while requests are still served: who sends them hears of it first', async () => {
    const life = lifecycle({ delay: '5s' });
    const ready = readiness({ lifecycle: life });
    const { port } = await serve((req, res) => {
      if (req.url === '/ready') ready(req, res);
      else life.middleware(req, res, () => res.end('served'));
    });
    vi.useFakeTimers(fakes);
    const drained = life.drain();
    expect((await ask(port, { path: '/ready' })).status).toBe(503);
    expect((await ask(port)).body).toBe('served');
    await vi.advanceTimersByTimeAsync(5000);
    expect((await ask(port)).status).toBe(503);
    await drained;
  });

  test.each<[string, NonNullable<ReadinessOptions['checks']>[string], number]>([
    ['passes if it answers true', () => true, 200],
    ['passes if it answers with something else, such as rows', () => Promise.resolve([{ one: 1 }]), 200],
    ['fails if it answers false', () => Promise.resolve(false), 503],
    ['fails if it rejects', () => Promise.reject(new Error('password=secret')), 503],
    [
      'fails if it throws',
      () => {
        throw new Error('password=secret');
      },
      503,
    ],
  ])('a check %s', async (_, check, status) => {
    const report = await readiness({ checks: { database: check }, details: true }).report();
    expect(report.status).toBe(status);
    expect(report.body.checks).toEqual({ database: [{ status: status === 200 ? 'pass' : 'fail' }] });
    expect(JSON.stringify(report)).not.toContain('secret');
  });

  test('a check is run once for probes that come together, and not again within the interval', async () => {
    vi.useFakeTimers(fakes);
    const { check, signals, answer } = questions();
    const ready = readiness({ checks: { database: check }, interval: '2s' });
    const together = [ready.report(), ready.report(), ready.report()];
    answer(true);
    expect((await Promise.all(together)).map(({ status }) => status)).toEqual([200, 200, 200]);
    vi.advanceTimersByTime(1999);
    await ready.report();
    expect(signals).toHaveLength(1);
    vi.advanceTimersByTime(1);
    const again = ready.report();
    answer(false);
    expect((await again).status).toBe(503);
    expect(signals).toHaveLength(2);
  });

  test('a check that hangs has failed at its time limit, is told to stop, and is not joined by others', async () => {
    vi.useFakeTimers(fakes);
    const { check, signals, answer } = questions();
    const ready = readiness({ checks: { database: check }, timeout: '1s', interval: '1s' });
    const first = ready.report();
    await vi.advanceTimersByTimeAsync(1000);
    expect((await first).status).toBe(503);
    expect(signals[0]?.aborted).toBe(true);
    for (let probes = 0; probes < 5; probes++) {
      await vi.advanceTimersByTimeAsync(10_000);
      expect((await ready.report()).status).toBe(503);
    }
    expect(signals).toHaveLength(1);
    answer(true);
    await vi.advanceTimersByTimeAsync(1);
    const recovered = ready.report();
    answer(true);
    expect((await recovered).status).toBe(200);
    expect(vi.getTimerCount()).toBe(0);
  });

  test('an open circuit is shown and does not take the instance out: all instances would go for one dependency', async () => {
    const circuit = circuitBreaker({ consecutiveFailures: 1 });
    const inventory = pipeline([circuit, bulkhead({ maxConcurrent: 2 }), perKey(() => tokenBucket({ rate: 1 }))], { name: 'inventory' });
    const shop = pipeline([inventory], { name: 'shop' });
    await shop.execute(() => Promise.reject(new Error('token=secret')), { key: 'customer' }).catch(() => undefined);
    expect(circuit.state).toBe('open');
    const report = await readiness({ pipelines: [shop], details: true }).report();
    expect(report).toMatchObject({ status: 200, body: { status: 'pass' } });
    expect(report.body.checks).toEqual({
      'shop/inventory/circuit-breaker': [{ status: 'warn', componentType: 'circuit-breaker', observedValue: 'open' }],
      'shop/inventory/bulkhead': [{ status: 'pass', componentType: 'bulkhead', observedValue: '0 of 2' }],
      'shop/inventory/per-key': [{ status: 'pass', componentType: 'per-key', observedValue: '1 of 10000' }],
    });
    expect(JSON.stringify(report)).not.toMatch(/secret|customer/);
  });

  test('circuits and slots of other packages are shown like the native ones', async () => {
    const circuit = opossumBreaker();
    circuit.open();
    const limiter = bottleneckLimiter({ maxConcurrent: 3 });
    const stock = pipeline([circuit, limiter], { name: 'stock' });
    const ready = readiness({ pipelines: [stock], details: true });
    expect((await ready.report()).body.checks).toEqual({
      'stock/opossum': [{ status: 'warn', componentType: 'opossum', observedValue: 'open' }],
      'stock/bottleneck': [{ status: 'pass', componentType: 'bottleneck', observedValue: '0 of 3' }],
    });
    circuit.breaker.shutdown();
    expect((await ready.report()).body.checks?.['stock/opossum']).toMatchObject([{ status: 'warn', observedValue: 'shutdown' }]);
  });

  test('says nothing of the inside unless it is asked to, and never much', async () => {
    const pipelines = Array.from({ length: 150 }, (_, i) => pipeline([bulkhead({ maxConcurrent: 1 })], { name: `p${i}` }));
    const checks = { ['x'.repeat(1000)]: () => true };
    expect((await readiness({ pipelines, checks }).report()).body).toEqual({ status: 'pass' });
    const { body } = await readiness({ pipelines, checks, details: true }).report();
    expect(Object.keys(body.checks ?? {})).toHaveLength(100);
    expect(JSON.stringify(body).length).toBeLessThan(10_000);
  });

  test('wrong options are refused', () => {
    expect(() => readiness({ checks: { database: true as never }, timeout: 0 })).toThrow(/readiness.checks[\s\S]*readiness.timeout/);
    expect(() => readiness({ pipelines: [{} as never] })).toThrow(/readiness.pipelines: expected a list of pipelines/);
  });
});

describe('over HTTP', () => {
  test('is not to be kept by caches, and HEAD has all but the body', async () => {
    const { port } = await serve(readiness({ checks: { database: () => false } }));
    const got = await ask(port);
    expect(got.status).toBe(503);
    expect(got.headers).toMatchObject({ 'content-type': 'application/health+json', 'cache-control': 'no-store', 'content-length': '17' });
    expect(got.body).toBe('{"status":"fail"}');
    const head = await ask(port, { method: 'HEAD' });
    expect([head.status, head.headers['content-length'], head.body]).toEqual([503, '17', '']);
  });

  test('a probe that leaves before the check has answered harms nothing', async () => {
    const { check, signals, answer } = questions();
    const come = latch();
    const { port } = await serve((req, res) => {
      res.once('close', () => come.open());
      readiness({ checks: { database: check } })(req, res);
    });
    const probe = ask(port);
    while (signals.length === 0) await new Promise(setImmediate);
    probe.leave();
    await come.opened;
    answer(true);
    await expect(probe).rejects.toThrow();
  });

  test('liveness answers while dependencies are down and the process is on its way out', async () => {
    const { port } = await serve(liveness());
    expect(await ask(port)).toMatchObject({ status: 200, body: '{"status":"pass"}', headers: { 'cache-control': 'no-store' } });
  });
});
