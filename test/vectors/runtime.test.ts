import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import {
  type AnyPolicy,
  type Clock,
  type Pipeline,
  type TimerHandle,
  bulkhead,
  circuitBreaker,
  hedge,
  perKey,
  pipeline,
  retry,
  timeout,
  tokenBucket,
} from 'breakwater';
import { replay } from './replay.mjs';
import { type Driven, scenarioAdapter } from './scenarios.mjs';

/** The scenarios run on real timers; this clock is the real one, and counts. */
class CountingClock implements Clock {
  readonly #set = new Set<TimerHandle>();

  get timers(): number {
    return this.#set.size;
  }

  now(): number {
    return performance.now();
  }

  setTimeout(run: () => void, ms: number): TimerHandle {
    const handle: TimerHandle = setTimeout(() => {
      this.#set.delete(handle);
      run();
    }, ms);
    this.#set.add(handle);
    return handle;
  }

  clearTimeout(handle: TimerHandle): void {
    this.#set.delete(handle);
    clearTimeout(handle as NodeJS.Timeout);
  }
}

type Config = Readonly<Record<string, never>>;

/** Names and units of the scenarios in ours, nothing else. */
function build(kind: string, config: Config, clock?: Clock): Driven {
  const mount = (policy: AnyPolicy): Pipeline => pipeline<readonly AnyPolicy[]>([policy] as never, clock === undefined ? {} : { clock });
  const runs = (through: Pipeline): Pick<Driven, 'run'> => ({
    run: (work, signal) => through.execute(work as () => never, signal === undefined ? {} : { signal }),
  });
  switch (kind) {
    case 'timeout':
      return runs(mount(timeout({ after: config['ms'] as never })));
    case 'retry':
      return runs(
        mount(
          retry({
            maxAttempts: config['attempts'] as never,
            backoff: { kind: 'constant', delay: config['delayMs'] as never, maxDelay: Infinity, jitter: 'none' },
          }),
        ),
      );
    case 'bulkhead': {
      const { limit, queue, queueTimeoutMs } = config;
      const policy = bulkhead({
        maxConcurrent: limit as never,
        maxQueue: queue as never,
        maxWait: 'queueTimeoutMs' in config ? (queueTimeoutMs as never) : Infinity,
      });
      return {
        ...runs(mount(policy)),
        get running() {
          return policy.active;
        },
        get queued() {
          return policy.queued;
        },
      };
    }
    case 'hedge':
      return runs(mount(hedge({ delay: config['delayMs'] as never, idempotent: true })));
    case 'breaker': {
      const policy = circuitBreaker({ consecutiveFailures: config['threshold'] as never, openFor: config['openMs'] as never });
      return {
        ...runs(mount(policy)),
        get state() {
          return policy.state;
        },
      };
    }
    case 'limiter': {
      const { limit, windowMs, maxKeys } = config;
      const make = (): ReturnType<typeof tokenBucket> =>
        tokenBucket({ rate: limit as never, per: windowMs as never, burst: limit as never });
      const policy = perKey(make, 'maxKeys' in config ? { max: maxKeys as never } : {});
      const through = mount(policy);
      return {
        ...runs(through),
        hit: (key) => {
          const answer = through.tryAcquire({ key });
          if (answer.admitted) answer.success();
          return answer.admitted;
        },
        get size() {
          return policy.size;
        },
      };
    }
    default:
      throw new Error(`there is no policy for ${kind}`);
  }
}

interface Scenario {
  readonly name: string;
  readonly in: { readonly fn: string; readonly policy?: string; readonly kind?: string };
}

const file = JSON.parse(readFileSync(new URL('32-runtime-scenarios.json', import.meta.url), 'utf8')) as {
  readonly cases: readonly Scenario[];
};

/** Policies that the library does not have; their scenarios come with them. */
const declined: readonly string[] = ['cache'];
const about = ({ in: { fn, policy, kind } }: Scenario): string => (fn === 'oneLoader' ? 'cache' : (policy ?? kind ?? fn));

describe('what a library must get right at run time, on real timers (G1, G2, G3, G4, G7, G9, T6)', () => {
  test('the scenarios of all policies there are, replayed', async () => {
    const clock = new CountingClock();
    const adapter = scenarioAdapter({
      build: (kind, config) => build(kind, config, clock),
      timers: () => clock.timers,
      key: JSON.stringify,
    });
    const cases = file.cases.filter((scenario) => !declined.includes(about(scenario)));
    const skipped = file.cases.length - cases.length;
    console.log(`runtime scenarios: ${cases.length} replayed, ${skipped} declined (${declined.join(', ')}: not there yet)`);
    const replayed = await replay({ ...file, cases }, adapter, { limitMs: 5000 });
    expect(replayed.failures).toEqual([]);
    expect(replayed.skipped).toEqual([]);
    expect([replayed.cases, skipped]).toEqual([65, 10]);
    expect(clock.timers).toBe(0);
  });

  test('each scenario can fail: with every expectation spoiled, every one does', async () => {
    const clock = new CountingClock();
    const adapter = scenarioAdapter({
      build: (kind, config) => build(kind, config, clock),
      timers: () => clock.timers,
      key: JSON.stringify,
    });
    const spoil = (value: unknown): unknown => (typeof value === 'number' ? value + 1 : typeof value === 'boolean' ? !value : 'spoiled');
    const cases = file.cases
      .filter((scenario) => !declined.includes(about(scenario)))
      .map((scenario) => {
        const { expect: wanted } = scenario as unknown as { expect: Readonly<Record<string, unknown>> };
        return { ...scenario, expect: Object.fromEntries(Object.entries(wanted).map(([name, value]) => [name, spoil(value)])) };
      });
    const replayed = await replay({ ...file, cases }, adapter, { limitMs: 5000 });
    expect(replayed.failedCases).toBe(replayed.cases);
  });

  test('answers that were received while the event loop was blocked are no timeouts (T5)', async () => {
    const adapter = scenarioAdapter({ build, timers: () => 0, key: JSON.stringify });
    expect(await adapter.fn({ fn: 'loopStall', ms: 1000, stallMs: 1500, calls: 6 })).toEqual({ timedOut: 0 });
  });
});
