import { EventEmitter } from 'node:events';
import { describe, expect, test, vi } from 'vitest';
import { type PipelineEvent, pipeline } from 'breakwater';
import { type OpossumOptions, fromOpossumOptions } from 'breakwater/opossum';
import { systemClock } from '../../src/core/clock.ts';
import { useProcessTime } from '../support/process-clock.ts';
import { type DifferenceName, differences } from './opossum-differences.ts';
import { type Bare, BareSide, Opossum, type PipelineSide, Traffic, type Work, doing, nativeSide } from './opossum-sides.ts';

useProcessTime();

/** What is seen on both sides. */
interface Both {
  readonly opossum: unknown;
  readonly native: unknown;
}

interface Pair extends AsyncDisposable {
  readonly bare: Bare;
  readonly side: PipelineSide;
  readonly traffic: Traffic;
  readonly states: Both;
}

/** A bare breaker and native policies of the same options. */
function pair(options: OpossumOptions): Pair {
  const bare = new BareSide(options);
  const side = nativeSide(options);
  const traffic = new Traffic(bare, side);
  return {
    bare: bare.breaker,
    side,
    traffic,
    get states() {
      return { opossum: bare.state, native: side.state };
    },
    [Symbol.asyncDispose]: () => Promise.resolve(traffic.end()),
  };
}

const good = doing('answers');
const bad = doing('fails');
const hung = doing('hangs');

async function both(traffic: Traffic, work: Work, takes = 0): Promise<Both> {
  const [opossum, native] = await traffic.one(work, takes);
  return { opossum, native };
}

/** Work that takes so long, whatever its signal says; `most` is how much of it ran at once. */
function stubborn(takes: number): { readonly work: Work; readonly most: () => number } {
  let running = 0;
  let most = 0;
  const work: Work = () => {
    most = Math.max(most, ++running);
    return new Promise((resolve) => setTimeout(resolve, takes)).finally(() => running--);
  };
  return { work, most: () => most };
}

/** Errors that nobody handled, in place of what the test runner does about them. */
async function unhandled(during: () => Promise<void>): Promise<unknown[]> {
  const found: unknown[] = [];
  const listeners = process.listeners('unhandledRejection');
  process.removeAllListeners('unhandledRejection');
  process.on('unhandledRejection', (error) => found.push(error));
  try {
    await during();
    vi.useRealTimers();
    await new Promise((resolve) => setImmediate(resolve));
  } finally {
    process.removeAllListeners('unhandledRejection');
    for (const listener of listeners) process.on('unhandledRejection', listener);
  }
  return found;
}

const shown: Readonly<Record<DifferenceName, () => Promise<void>>> = {
  async straggler() {
    for (const [late, opossum] of [
      [doing('answers', 150), 'closed'],
      [doing('fails', 150), 'open'],
    ] as const) {
      await using seen = pair({ timeout: false, errorThresholdPercentage: 10, resetTimeout: 100 });
      seen.traffic.send(late);
      await both(seen.traffic, bad);
      await seen.traffic.wait(100);
      expect(seen.states).toEqual({ opossum: 'half-open', native: 'half-open' });
      await seen.traffic.wait(50);
      expect(seen.states).toEqual({ opossum, native: 'half-open' });
    }
  },

  async 'kept-window'() {
    await using seen = pair({ volumeThreshold: 3, resetTimeout: 100 });
    for (let i = 0; i < 3; i++) await both(seen.traffic, bad);
    await seen.traffic.wait(100);
    expect(await both(seen.traffic, good)).toEqual({ opossum: 'answered', native: 'answered' });
    expect(seen.states).toEqual({ opossum: 'closed', native: 'closed' });
    await both(seen.traffic, bad);
    expect(seen.states).toEqual({ opossum: 'open', native: 'closed' });
  },

  async 'share-of'() {
    {
      await using seen = pair({ resetTimeout: 100 });
      await both(seen.traffic, bad);
      for (let i = 0; i < 10; i++) expect(await both(seen.traffic, good)).toEqual({ opossum: 'open', native: 'open' });
      await seen.traffic.wait(100);
      await both(seen.traffic, good);
      for (let i = 0; i < 3; i++) await both(seen.traffic, bad);
      expect(seen.states).toEqual({ opossum: 'closed', native: 'open' });
    }
    await using seen = pair({});
    seen.traffic.send(hung, hung, hung);
    await both(seen.traffic, bad);
    expect(seen.states).toEqual({ opossum: 'closed', native: 'open' });
  },

  async 'opens-on-success'() {
    await using seen = pair({ volumeThreshold: 5 });
    for (let i = 0; i < 3; i++) await both(seen.traffic, bad);
    await both(seen.traffic, good);
    expect(seen.states).toEqual({ opossum: 'closed', native: 'closed' });
    await both(seen.traffic, good);
    expect(seen.states).toEqual({ opossum: 'closed', native: 'open' });
    await both(seen.traffic, bad);
    expect(seen.states).toEqual({ opossum: 'open', native: 'open' });
  },

  async locked() {
    await using seen = pair({ capacity: 1 });
    seen.traffic.send(hung);
    expect(await both(seen.traffic, good)).toEqual({ opossum: 'full', native: 'full' });
    expect(await both(seen.traffic, good)).toEqual({ opossum: 'full', native: 'full' });
    expect(await both(seen.traffic, good)).toEqual({ opossum: 'open', native: 'full' });
    expect(seen.states).toEqual({ opossum: 'open', native: 'closed' });
  },

  async slots() {
    const most: number[] = [];
    for (const side of [0, 1]) {
      await using seen = pair({ capacity: 1, timeout: 50, errorThresholdPercentage: 100 });
      const { work, most: atOnce } = stubborn(1000);
      const traffic = new Traffic(...seen.traffic.sides.slice(side, side + 1));
      for (let i = 0; i < 4; i++) await traffic.one(work, 60);
      most.push(atOnce());
      await traffic.wait(1000);
      expect(await traffic.one(good)).toEqual(['answered']);
    }
    expect(most).toEqual([4, 1]);
  },

  async 'hung-probe'() {
    await using seen = pair({ timeout: false, resetTimeout: 100 });
    await both(seen.traffic, bad);
    await seen.traffic.wait(100);
    seen.traffic.send(hung);
    await seen.traffic.wait(3_600_000);
    expect(await both(seen.traffic, good)).toEqual({ opossum: 'open', native: 'answered' });
    expect(seen.states).toEqual({ opossum: 'half-open', native: 'closed' });
  },

  async 'warm-probe'() {
    const options = { allowWarmUp: true, resetTimeout: 100 };
    const bare = new BareSide(options);
    const policies = fromOpossumOptions(options);
    const traffic = new Traffic(bare, nativeSide(options));
    const native = pipeline(policies);
    bare.breaker.open();
    policies[0].open();
    await traffic.wait(100);
    await bare.fire(bad);
    await native.executeOutcome(() => bad());
    expect([bare.state, policies[0].state]).toEqual(['half-open', 'open']);
    await traffic.wait(20_000);
    expect(await bare.fire(good)).toBe('open');
    expect(await native.execute(() => good())).toBe('answer');
    expect([bare.state, policies[0].state]).toEqual(['half-open', 'closed']);
    traffic.end();
  },

  async rounding() {
    for (const percentage of [7, 14, 28, 55, 56]) {
      await using seen = pair({ errorThresholdPercentage: percentage, volumeThreshold: 100 });
      for (let i = 0; i < 100; i++) await both(seen.traffic, i < 100 - percentage ? good : bad);
      expect(seen.states).toEqual({ opossum: 'open', native: 'closed' });
    }
  },

  async turn() {
    await vi.advanceTimersByTimeAsync(1000 - (systemClock.now() % 1000) + 500);
    await using seen = pair({ volumeThreshold: 2 });
    await both(seen.traffic, bad);
    await seen.traffic.wait(9700);
    await both(seen.traffic, bad);
    expect(seen.states).toEqual({ opossum: 'open', native: 'closed' });
  },

  async rotated() {
    await using seen = pair({ volumeThreshold: 2, rotateBucketController: new EventEmitter() });
    await both(seen.traffic, bad);
    await seen.traffic.wait(3_600_000);
    await both(seen.traffic, bad);
    expect(seen.states).toEqual({ opossum: 'open', native: 'closed' });
  },

  async timers() {
    const before = vi.getTimerCount();
    const side = nativeSide({});
    await side.fire(good);
    const native = vi.getTimerCount() - before;
    const bare = new BareSide({});
    await bare.fire(good);
    expect({ opossum: vi.getTimerCount() - before - native, native }).toEqual({ opossum: 2, native: 0 });
    bare.end();
  },

  async 'half-opens'() {
    await using seen = pair({ resetTimeout: 100 });
    const told: string[] = [];
    seen.bare.on('halfOpen', () => told.push('opossum'));
    seen.side.pipeline.on('circuit-breaker.half-opened', () => told.push('native'));
    await both(seen.traffic, bad);
    await seen.traffic.wait(10_000);
    expect(told).toEqual(['opossum']);
    await both(seen.traffic, good);
    expect(told).toEqual(['opossum', 'native']);
  },

  async tie() {
    await using seen = pair({ timeout: 50 });
    await seen.traffic.one(good);
    seen.traffic.send(doing('hangs'));
    await seen.traffic.wait(1);
    expect(await both(seen.traffic, doing('answers', 50), 100)).toEqual({ opossum: 'timed out', native: 'answered' });
  },

  async 'filter-throws'() {
    const mistake = new Error('filter');
    const rejections = await unhandled(async () => {
      const seen = pair({
        errorFilter: () => {
          throw mistake;
        },
      });
      const reported: PipelineEvent[] = [];
      seen.side.pipeline.on('pipeline.callback-failed', (event) => reported.push(event));
      seen.traffic.send(bad);
      await seen.traffic.wait(60_000);
      expect(seen.traffic.seen.map(({ log }) => log[0]?.[1])).toEqual([undefined, 'failed']);
      expect(reported).toMatchObject([{ callback: 'isFailure', error: mistake }]);
      expect(seen.states).toEqual({ opossum: 'closed', native: 'closed' });
      seen.traffic.end();
    });
    expect(rejections).toEqual([mistake]);
  },

  async 'filter-sees'() {
    const codes: unknown[] = [];
    const errorFilter = (error: unknown): boolean => {
      codes.push((error as { readonly code?: unknown }).code);
      return true;
    };
    for (const [make, expected] of [
      [(options: OpossumOptions) => new BareSide(options), ['ESEMLOCKED', 'ETIMEDOUT']],
      [nativeSide, ['ERR_TIMEOUT']],
    ] as const) {
      const traffic = new Traffic(make({ capacity: 1, timeout: 50, errorFilter }));
      traffic.send(hung, good);
      await traffic.wait(50);
      expect(codes.splice(0)).toEqual(expected);
      traffic.end();
    }
  },

  async 'answers-at-once'() {
    await using seen = pair({});
    expect(await both(seen.traffic, () => undefined)).toEqual({ opossum: 'failed', native: 'answered' });
    expect(seen.states).toEqual({ opossum: 'open', native: 'closed' });
  },

  async listener() {
    await using seen = pair({});
    const throwing = (): never => {
      throw new Error('listener');
    };
    const warned = vi.spyOn(process, 'emitWarning').mockImplementation(() => undefined);
    seen.bare.on('success', throwing);
    seen.side.pipeline.on('pipeline.settled', throwing);
    expect(await both(seen.traffic, good)).toEqual({ opossum: 'failed', native: 'answered' });
    expect(seen.states).toEqual({ opossum: 'open', native: 'closed' });
    expect(warned).toHaveBeenCalledOnce();
    warned.mockRestore();
  },

  async aborted() {
    await using seen = pair({});
    const given = new AbortController();
    const heeding = (): Promise<never> =>
      new Promise((_, reject) => given.signal.addEventListener('abort', () => reject(given.signal.reason as Error)));
    const fired = seen.bare.fire(heeding).catch(String);
    const executed = seen.side.pipeline.execute(heeding, { signal: given.signal }).catch(String);
    given.abort(new Error('gone'));
    expect(await Promise.all([fired, executed])).toEqual(['Error: gone', 'Error: gone']);
    expect(seen.states).toEqual({ opossum: 'open', native: 'closed' });
  },

  async 'switched-off'() {
    const flags = { enabled: true };
    const bare = new BareSide({ timeout: 50 });
    const native = fromOpossumOptions({ timeout: 50 });
    const switched = nativeSide({ timeout: 50, mode: () => (flags.enabled ? 'enforce' : 'off') });
    const traffic = new Traffic(bare, nativeSide({ timeout: 50 }), switched);
    bare.breaker.disable();
    native[0].disable();
    flags.enabled = false;
    const disabled = pipeline(native).executeOutcome(() => doing('answers', 100)());
    expect(await traffic.one(doing('answers', 100), 100)).toEqual(['answered', 'timed out', 'answered']);
    expect(await disabled).toMatchObject({ ok: false, error: { code: 'ERR_TIMEOUT' } });
    traffic.end();
  },

  async 'throws-when-off'() {
    await using seen = pair({ enabled: false });
    const throwing = (): never => {
      throw new Error('at once');
    };
    expect(() => seen.bare.fire(throwing)).toThrow('at once');
    await expect(seen.side.pipeline.execute(throwing)).rejects.toThrow('at once');
  },

  async 'restored-window'() {
    await using seen = pair({ rollingCountTimeout: 60_000, volumeThreshold: 2, status: { failures: 1, fires: 1 } });
    await seen.traffic.wait(20_000);
    await both(seen.traffic, bad);
    expect(seen.states).toEqual({ opossum: 'closed', native: 'open' });
  },

  async statistics() {
    await using seen = pair({ rollingPercentilesEnabled: true, enableSnapshots: true });
    await both(seen.traffic, doing('answers', 20), 20);
    const state = seen.side.first.snapshot();
    expect(seen.bare.stats).toMatchObject({ successes: 1, latencyMean: 20, percentiles: { 0.99: 20 } });
    expect(state).toMatchObject({ successes: 1, averageMs: 20 });
    expect(state).not.toHaveProperty('percentiles');
  },

  options() {
    const forOpossum = { errorThresholdPercentage: 25 };
    const forNative = { errorThresholdPercentage: 25 } as const;
    new Opossum(() => undefined, forOpossum).shutdown();
    fromOpossumOptions(forNative);
    expect(Object.keys(forOpossum)).toContain('rollingCountBuckets');
    expect(Object.keys(forNative)).toEqual(['errorThresholdPercentage']);
    return Promise.resolve();
  },
};

describe('fromOpossumOptions differs from opossum on purpose', () => {
  test.each(Object.keys(differences) as DifferenceName[])('%s', async (name) => shown[name]());
});
