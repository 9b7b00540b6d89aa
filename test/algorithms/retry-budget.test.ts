import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ConcurrentLedger, GrpcLedger, RatioLedger, TokenLedger } from '../../src/algorithms/retry-budget.ts';
import { Tally } from '../../src/algorithms/tally.ts';
import '../support/properties.ts';

const aws = {
  max: 500,
  cost: 5,
  timeoutCost: 10,
  throttledCost: 5,
  successRefill: 1,
  startRefill: 0,
  refundOnRetrySuccess: true,
  refillPerSecond: 0,
};

describe('a tally', () => {
  test('counts what happened within its length, to a tenth of it', () => {
    const tally = new Tally(1000, 'early');
    for (const at of [0, 50, 100, 500]) tally.add(at);
    const totals = [999, 1000, 1099, 1100, 1499, 1500].map((now) => {
      tally.expire(now);
      return tally.total;
    });
    expect(totals).toEqual([4, 2, 2, 1, 1, 0]);
  });

  test('is exact about the last event of a bucket where that matters', () => {
    const tally = new Tally(1000, 'late');
    for (const at of [0, 99]) tally.add(at);
    tally.expire(1098);
    expect(tally.total).toBe(2);
    tally.expire(1099);
    expect(tally.total).toBe(0);
  });

  test('never counts more (early) or fewer (late) than there were, whatever the times', () => {
    const gaps = fc.array(fc.integer({ min: 0, max: 400 }), { maxLength: 200 });
    fc.assert(
      fc.property(gaps, (waits) => {
        const early = new Tally(1000, 'early');
        const late = new Tally(1000, 'late');
        const times: number[] = [];
        let now = 0;
        for (const wait of waits) {
          now += wait;
          times.push(now);
          early.add(now);
          late.add(now);
          early.expire(now);
          late.expire(now);
          const exact = times.filter((at) => now - at < 1000).length;
          expect(early.total).toBeLessThanOrEqual(exact);
          expect(late.total).toBeGreaterThanOrEqual(exact);
          expect(late.total).toBeLessThanOrEqual(times.filter((at) => now - at < 1101).length);
        }
      }),
    );
  });

  test('keeps what comes while a clock steps back', () => {
    const tally = new Tally(1000, 'late');
    tally.add(5000);
    tally.add(100);
    tally.expire(5500);
    expect(tally.total).toBe(2);
    tally.expire(6000);
    expect(tally.total).toBe(0);
  });

  test('takes events back, never below nothing', () => {
    const tally = new Tally(1000, 'late');
    tally.remove();
    tally.add(0);
    tally.add(300);
    tally.remove();
    expect(tally.total).toBe(1);
    tally.expire(1000);
    expect(tally.total).toBe(1);
    tally.remove();
    tally.remove();
    expect(tally.total).toBe(0);
    tally.add(2000);
    expect(tally.total).toBe(1);
  });
});

describe('a ratio of calls', () => {
  test('allows its reserve at once, and what calls add (Finagle: 100 retries at rest, the 101st is refused)', () => {
    const ledger = new RatioLedger({ ratio: 0.2, minPerSecond: 10, ttl: 10_000 });
    let allowed = 0;
    while (ledger.withdraw(0)) allowed++;
    expect(allowed).toBe(100);
    for (let i = 0; i < 4; i++) ledger.started(1);
    expect(ledger.withdraw(1)).toBe(false);
    ledger.started(1);
    expect(ledger.balance(1)).toBe(1);
    expect(ledger.withdraw(1)).toBe(true);
    expect(ledger.usage(1)).toBe(1);
  });

  test('recovers when its extra attempts are as old as its window', () => {
    const ledger = new RatioLedger({ ratio: 0, minPerSecond: 1, ttl: 1000 });
    expect([0, 0, 999, 1000, 1000].map((now) => ledger.withdraw(now))).toEqual([true, false, false, true, false]);
  });

  test('gives back what was not used', () => {
    const ledger = new RatioLedger({ ratio: 0, minPerSecond: 1, ttl: 1000 });
    ledger.withdraw(0);
    ledger.refund();
    expect(ledger.withdraw(500)).toBe(true);
  });

  test('is never exceeded in any window (R3)', () => {
    const steps = fc.array(
      fc.record({ wait: fc.integer({ min: 0, max: 300 }), calls: fc.integer({ min: 0, max: 5 }), asks: fc.integer({ min: 0, max: 8 }) }),
      {
        maxLength: 150,
      },
    );
    fc.assert(
      fc.property(steps, fc.double({ min: 0, max: 1, noNaN: true }), fc.integer({ min: 0, max: 5 }), (script, ratio, minPerSecond) => {
        const ledger = new RatioLedger({ ratio, minPerSecond, ttl: 1000 });
        const calls: number[] = [];
        const extras: number[] = [];
        let now = 0;
        for (const { wait, calls: n, asks } of script) {
          now += wait;
          for (let i = 0; i < n; i++) {
            ledger.started(now);
            calls.push(now);
          }
          for (let i = 0; i < asks; i++) if (ledger.withdraw(now)) extras.push(now);
          const within = (all: number[]): number => all.filter((at) => now - at < 1000).length;
          expect(within(extras)).toBeLessThanOrEqual(ratio * within(calls) + minPerSecond + 1e-6);
        }
      }),
    );
  });
});

describe('a share of what is under way', () => {
  const begun = (calls: number, settings = { ratio: 0.2, minConcurrent: 3 }): ConcurrentLedger => {
    const ledger = new ConcurrentLedger(settings);
    for (let i = 0; i < calls; i++) ledger.started();
    return ledger;
  };

  test('is never below its minimum (regression: a minimum that was ignored)', () => {
    const ledger = begun(1);
    expect([1, 2, 3, 4].map(() => ledger.withdraw())).toEqual([true, true, true, false]);
    ledger.attempted('failure', 'failure');
    expect(ledger.withdraw()).toBe(true);
  });

  test('grows with the calls under way: the larger limit counts', () => {
    const ledger = begun(100);
    expect(ledger.balance()).toBe(21);
    for (let i = 0; i < 90; i++) ledger.ended();
    expect(ledger.balance()).toBe(3);
  });

  test('of zero allows the minimum and nothing else', () => {
    expect(begun(100, { ratio: 0, minConcurrent: 0 }).withdraw()).toBe(false);
    expect(begun(100, { ratio: 0, minConcurrent: 1 }).balance()).toBe(1);
  });

  test('is told of too many ends without harm', () => {
    const ledger = begun(0);
    ledger.ended();
    ledger.refund();
    expect(ledger.balance()).toBe(3);
    expect(ledger.usage()).toBe(0);
  });
});

describe('tokens', () => {
  test('pay for 100 retries from full, 50 after timeouts, then for as many as successes bring in (AWS)', () => {
    const paid = (cause: 'failure' | 'timeout'): number => {
      const ledger = new TokenLedger(aws);
      let n = 0;
      while (ledger.withdraw(0, cause)) n++;
      return n;
    };
    expect([paid('failure'), paid('timeout')]).toEqual([100, 50]);
    const ledger = new TokenLedger(aws);
    for (let i = 0; i < 100; i++) ledger.withdraw(0, 'failure');
    for (let i = 0; i < 4; i++) ledger.attempted('success', undefined);
    expect(ledger.withdraw(0, 'failure')).toBe(false);
    ledger.attempted('success', undefined);
    expect(ledger.withdraw(0, 'failure')).toBe(true);
  });

  test('are given back to a retry that succeeds, at the price it paid', () => {
    const ledger = new TokenLedger(aws);
    ledger.withdraw(0, 'timeout');
    ledger.attempted('success', 'timeout');
    expect(ledger.balance(0)).toBe(500);
    const kept = new TokenLedger({ ...aws, refundOnRetrySuccess: false });
    kept.withdraw(0, 'timeout');
    kept.attempted('success', 'timeout');
    expect(kept.balance(0)).toBe(490);
  });

  test('come back with time (regression: a client that was out of tokens for ever)', () => {
    const ledger = new TokenLedger({ ...aws, max: 5, refillPerSecond: 1 });
    ledger.started(100);
    expect(ledger.withdraw(100, 'failure')).toBe(true);
    expect(ledger.withdraw(5099, 'failure')).toBe(false);
    expect(ledger.withdraw(5100, 'failure')).toBe(true);
    expect(ledger.usage(100_000)).toBe(0);
  });
});

describe('gRPC throttling', () => {
  test('stops at half of its tokens and goes on above (A6)', () => {
    const ledger = new GrpcLedger({ maxTokens: 10, tokenRatio: 0.1 });
    for (let i = 0; i < 5; i++) ledger.attempted('failure');
    expect([ledger.balance(), ledger.withdraw()]).toEqual([5, false]);
    ledger.attempted('success');
    expect([ledger.balance(), ledger.withdraw()]).toEqual([5.1, true]);
    ledger.attempted('ignored');
    expect(ledger.balance()).toBe(5.1);
    expect(ledger.usage()).toBe(0.49);
  });
});

describe('Brooker’s comparison of 2022, at 10 calls/s of 100 clients for a minute', () => {
  /** Success and load of `clients` that share nothing, with failures of a given probability. */
  const simulate = (p: number, clients: number, callsEach: number): { success: number; load: number } => {
    let seed = 42;
    const random = (): number => {
      seed = (seed * 1_664_525 + 1_013_904_223) % 2 ** 32;
      return seed / 2 ** 32;
    };
    let successes = 0;
    let attempts = 0;
    for (let client = 0; client < clients; client++) {
      const ledger = new TokenLedger({
        ...aws,
        max: 5,
        cost: 1,
        timeoutCost: 1,
        throttledCost: 1,
        successRefill: 0,
        startRefill: 0.1,
        refundOnRetrySuccess: false,
      });
      for (let call = 0; call < callsEach; call++) {
        ledger.started(0);
        for (let attempt = 1; ; attempt++) {
          attempts++;
          if (random() >= p) {
            successes++;
            break;
          }
          if (attempt === 4 || !ledger.withdraw(0, 'failure')) break;
        }
      }
    }
    return { success: successes / (clients * callsEach), load: attempts / (clients * callsEach) };
  };

  test.each([
    [0.02, 1, 1.021],
    [0.05, 0.9998, 1.052],
    [0.1, 0.985, 1.095],
    [0.2, 0.885, 1.106],
    [0.5, 0.555, 1.107],
  ])('a bucket of tokens caps the load at 1.1: failures of %d', (p, success, load) => {
    const found = simulate(p, 100, 600);
    expect(Math.abs(found.success - success)).toBeLessThan(0.006);
    expect(Math.abs(found.load - load)).toBeLessThan(0.006);
  });

  test('more clients with fewer calls each make the cap looser: their buckets never drain', () => {
    const [ten, hundred, thousand] = [10, 100, 1000].map((clients) => simulate(0.2, clients, 6000 / clients).load) as [
      number,
      number,
      number,
    ];
    expect(Math.abs(ten - 1.106)).toBeLessThan(0.02);
    expect(Math.abs(hundred - 1.155)).toBeLessThan(0.02);
    expect(Math.abs(thousand - 1.245)).toBeLessThan(0.03);
  });
});
