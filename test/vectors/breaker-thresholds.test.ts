import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { pipeline } from 'breakwater';
import { VirtualClock } from 'breakwater/testing';
import type { Health } from '../../src/algorithms/health.ts';
import { type CircuitBreakerOptions, circuitBreaker } from '../../src/policies/circuit-breaker.ts';
import type { SharedCircuit } from '../../src/stores/circuit/shared-circuit.ts';
import { replay } from './replay.mjs';

interface Share {
  readonly n: number;
  readonly of: number;
}

interface Config {
  readonly kind?: 'consecutive' | 'count' | 'time' | 'emaTime' | 'emaRequests' | 'sentinel';
  readonly start?: 'closed' | 'halfOpen';
  readonly failure: Share;
  readonly success?: Share;
  readonly n: number;
  readonly size: number;
  readonly minCalls: number;
  readonly minRps: number;
  readonly threshold: number;
  readonly strict?: boolean;
  readonly ms: number;
  readonly buckets: number;
  readonly window: number;
  readonly minRate: number;
  readonly windowMs: number;
  readonly minRequests: number;
  readonly retryMs: number;
  readonly maxRtMs: number;
}

interface Step {
  readonly at: number;
  readonly op: 'success' | 'failure' | 'state' | 'reset';
  readonly ms?: number;
}

function optionsOf(config: Config): CircuitBreakerOptions {
  const { threshold: rate, windowMs } = config;
  const comparison = config.strict === true || config.kind === 'sentinel' ? 'above' : 'at-least';
  switch (config.kind) {
    case 'consecutive':
      return { consecutiveFailures: config.n };
    case 'count':
      return { window: { calls: config.size }, minCalls: config.minCalls, failureRate: rate, comparison };
    case 'time': {
      const window = { duration: config.ms, buckets: config.buckets };
      return { window, minCalls: (config.minRps * config.ms) / 1000, failureRate: rate, comparison };
    }
    // Their windows are the times in which a weight falls to 1/e.
    case 'emaTime':
      return { window: { halfLife: windowMs * Math.LN2 }, minCalls: 1, failureRate: 1 - config.minRate };
    case 'emaRequests':
      return { window: { halfLifeCalls: config.window * Math.LN2 }, minCalls: config.window, failureRate: 1 - config.minRate };
    case 'sentinel':
      return {
        window: { duration: windowMs, buckets: 1 },
        minCalls: config.minRequests,
        slowCall: config.maxRtMs,
        slowRate: rate,
        comparison,
        openFor: config.retryMs,
        halfOpen: { calls: 1 },
      };
    default:
      return shares(config);
  }
}

/** So many of the last calls: while closed failures that open; while half-open successes that close, or failures both ways. */
function shares({ failure, success }: Config): CircuitBreakerOptions {
  const { n, of } = success ?? { n: failure.of - failure.n + 1, of: failure.of };
  return { window: { calls: failure.of }, failures: failure.n, halfOpen: { calls: of, concurrency: of, successRate: n / of } };
}

const names: Readonly<Record<string, string>> = { closed: 'closed', open: 'open', 'half-open': 'halfOpen' };

/** A condition by itself, which is asked again after it was met: no circuit opens meanwhile. */
class Condition {
  readonly health: Health;

  constructor(options: CircuitBreakerOptions) {
    this.health = (circuitBreaker(options) as unknown as SharedCircuit).circuit.health;
  }

  step({ at, op }: Step): object {
    if (op === 'reset') {
      this.health.clear();
      return {};
    }
    this.health.extend(op === 'failure', false);
    this.health.record(op === 'failure', false, 0, at);
    return { trip: this.health.symptom(1, { throttled: false, retryAfter: undefined }) !== undefined };
  }
}

const adapter = {
  make(config: Config) {
    if (config.kind !== undefined && config.kind !== 'sentinel') return new Condition(optionsOf(config));
    const clock = new VirtualClock();
    const breaker = circuitBreaker(optionsOf(config));
    const guarded = pipeline([breaker], { clock });
    if (config.start === 'halfOpen') {
      breaker.open();
      breaker.halfOpen();
    }
    return {
      async step({ at, op, ms = 0 }: Step): Promise<object> {
        await clock.advance(at - clock.now());
        if (op === 'state') return { state: names[breaker.state] };
        if (op === 'reset') {
          breaker.reset();
          return {};
        }
        // The call ends at this time; it began before.
        clock.rewind(ms);
        const answer = guarded.tryAcquire();
        clock.jump(ms);
        if (answer.admitted) answer[op]();
        expect(clock.pending, 'timers that are set').toBe(0);
        return { ok: answer.admitted };
      },
    };
  },
};

test('third-party vectors 14: thresholds of failsafe-go, cockatiel, Finagle and Sentinel', async () => {
  const file = JSON.parse(readFileSync(new URL('14-breaker-thresholds.json', import.meta.url), 'utf8')) as {
    readonly cases: readonly object[];
  };
  const result = await replay(file, adapter, { has: () => true });
  expect(result.failures).toEqual([]);
  expect(result.skipped).toEqual([]);
  expect(result.cases).toBe(file.cases.length);
  expect(result.checks).toBeGreaterThan(150);
});
