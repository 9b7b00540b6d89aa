import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { type Admission, pipeline } from 'breakwater';
import { VirtualClock } from 'breakwater/testing';
import { type CircuitBreakerOptions, circuitBreaker } from '../../src/policies/circuit-breaker.ts';
import { replay } from './replay.mjs';

/** The configurations of both files. */
interface Config {
  readonly trip?: { readonly kind: string; readonly moreThan: number; readonly minRequests: number; readonly atLeast: number };
  readonly halfOpenMax: number;
  readonly intervalMs: number;
  readonly bucketMs?: number;
  readonly window: { readonly kind: string; readonly size: number; readonly ms: number };
  readonly minCalls: number;
  readonly failureRate: number;
  readonly slowMs: number;
  readonly slowRate: number;
  readonly halfOpenCalls: number;
  readonly halfOpenMaxMs: number;
  readonly openMs: number | { readonly base: number; readonly multiplier: number };
}

interface Step {
  readonly at: number;
  readonly op: string;
  readonly ms?: number;
  readonly as?: string;
  readonly ref?: string;
  readonly result?: string;
  readonly to?: string;
  readonly forMs?: number;
  readonly times?: number;
  readonly sequence?: readonly string[];
  readonly wallShiftMs?: number;
}

const names = {
  closed: 'closed',
  open: 'open',
  'half-open': 'halfOpen',
  isolated: 'forcedOpen',
  disabled: 'disabled',
  'metrics-only': 'metricsOnly',
};

function optionsOf(config: Config): CircuitBreakerOptions {
  const { trip, openMs, halfOpenMax, intervalMs, bucketMs } = config;
  const openFor =
    typeof openMs === 'number' ? openMs : { initial: openMs.base, factor: openMs.multiplier, max: Infinity, jitter: 'none' as const };
  if (trip !== undefined) {
    const conditions =
      trip.kind === 'ratio' ? { failureRate: trip.atLeast, minCalls: trip.minRequests } : { consecutiveFailures: trip.moreThan + 1 };
    const window = intervalMs === 0 ? Infinity : { duration: intervalMs, buckets: bucketMs === undefined ? 1 : intervalMs / bucketMs };
    return { ...conditions, window, openFor, halfOpen: { calls: halfOpenMax, concurrency: halfOpenMax } };
  }
  const { window, minCalls, slowMs, halfOpenCalls, halfOpenMaxMs } = config;
  const rate = config.failureRate / 100;
  return {
    window: window.kind === 'count' ? { calls: window.size } : window.ms,
    minCalls,
    failureRate: rate,
    slowCall: slowMs,
    slowRate: config.slowRate / 100,
    openFor,
    halfOpen: {
      calls: halfOpenCalls,
      concurrency: halfOpenCalls,
      successRate: 1 - rate + 1e-6, // it closes below the failure rate, not at it
      decide: 'all',
      probeTimeout: Infinity,
      maxDuration: halfOpenMaxMs === 0 ? Infinity : halfOpenMaxMs,
    },
  };
}

/** Feeds one circuit through the public surface and compares what it shows. */
class Replayed {
  readonly clock = new VirtualClock();
  readonly breaker: ReturnType<typeof circuitBreaker>;
  readonly guarded: ReturnType<typeof pipeline>;
  readonly held = new Map<string, Admission>();
  transitions = 0;
  wall = 0;

  constructor(options: CircuitBreakerOptions) {
    this.breaker = circuitBreaker(options);
    const breaker = this.breaker;
    this.guarded = pipeline([breaker], { clock: this.clock });
    for (const type of ['opened', 'half-opened', 'closed', 'isolated', 'disabled', 'disarmed'] as const)
      this.guarded.on(`circuit-breaker.${type}`, () => this.transitions++);
  }

  async step(step: Step): Promise<object> {
    await this.clock.advance(step.at - this.clock.now());
    this.clock.shiftWall((step.wallShiftMs ?? this.wall) - this.wall);
    this.wall = step.wallShiftMs ?? this.wall;
    const result = await this.act(step.op, step);
    expect(this.clock.pending, 'timers that are set').toBe(0);
    return result;
  }

  async act(op: string, step: Step): Promise<object> {
    switch (op) {
      case 'success':
      case 'failure':
      case 'excluded':
      case 'ignored':
        expect(step.ms ?? 0).toBe(0);
        return this.whole(op);
      case 'throwSync':
        return await this.guarded.executeOutcome(() => {
          throw new Error('thrown at once');
        });
      case 'repeat':
        for (let i = 0; i < (step.times ?? 0); i++) for (const each of step.sequence ?? []) this.whole(each);
        return {};
      case 'begin':
      case 'tryAcquire':
        return { ok: this.enter(step.as ?? `held ${this.held.size}`) !== undefined };
      case 'end':
        this.end(this.held.get(step.ref ?? '') as Admission, step.result ?? '');
        return {};
      case 'release':
        [...this.held.values()].at(-1)?.ignore();
        return {};
      case 'transition':
        return this.command(step.to ?? '', step.forMs);
      case 'reset':
        this.breaker.reset();
        return {};
      case 'events':
        return { transitions: this.transitions };
      case 'state':
        return this.state();
      default:
        throw new Error(`not known: ${op}`);
    }
  }

  enter(name: string): Admission | undefined {
    const answer = this.guarded.tryAcquire();
    if (answer.admitted) this.held.set(name, answer);
    return answer.admitted ? answer : undefined;
  }

  whole(result: string): { ok: boolean } {
    const admission = this.enter('whole');
    if (admission !== undefined) this.end(admission, result);
    return { ok: admission !== undefined };
  }

  end(admission: Admission, result: string): void {
    if (result === 'success') admission.success();
    else if (result === 'failure') admission.failure();
    else admission.ignore();
  }

  command(to: string, forMs?: number): object {
    const { breaker } = this;
    if (to === 'open') breaker.open(forMs);
    else if (to === 'openFor') breaker.open(forMs);
    else if (to === 'halfOpen') breaker.halfOpen();
    else if (to === 'closed') breaker.close();
    else if (to === 'disabled') breaker.disable();
    else if (to === 'metricsOnly') breaker.metricsOnly();
    else if (to === 'forcedOpen') breaker.isolate();
    else throw new Error(`not known: ${to}`);
    return {};
  }

  state(): object {
    const { state, rejected, failureRate, calls, successes, failures, slow, ignored, consecutiveSuccesses, consecutiveFailures } =
      this.breaker.snapshot();
    return {
      state: names[state],
      refused: rejected,
      failureRate: failureRate === undefined ? -1 : failureRate * 100,
      calls,
      successes,
      failures,
      slow,
      counts: { requests: calls + ignored, successes, failures, excluded: ignored, consecutiveSuccesses, consecutiveFailures },
    };
  }
}

const adapter = { make: (config: Config) => new Replayed(optionsOf(config)) };

/** A window of one bucket starts anew like gobreaker's interval, but the results of calls begun before still count in the new one. */
const declined = new Set(['breaker.countingInterval']);

test.each([
  ['11-breaker-gobreaker', 8, 1],
  ['12-breaker-resilience4j', 21, 0],
])('third-party vectors %s', async (id, cases, skipped) => {
  const file = JSON.parse(readFileSync(new URL(`${id}.json`, import.meta.url), 'utf8')) as object;
  const result = await replay(file, adapter, { has: (flag) => !declined.has(flag) });
  expect(result.failures).toEqual([]);
  expect(result).toMatchObject({ cases, failedCases: 0 });
  expect(result.skipped).toHaveLength(skipped);
});
