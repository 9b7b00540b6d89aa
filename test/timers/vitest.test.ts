import { afterEach, describe, expect, it, vi } from 'vitest';
import * as library from 'breakwater';
import { type Tool, fakeTimerSuite } from './suite.mjs';

type Faked = NonNullable<NonNullable<Parameters<typeof vi.useFakeTimers>[0]>['toFake']>;

/** vitest's fake timers; with `toFake` only what it names is faked. */
function tool(name: string, toFake?: Faked): Tool {
  const moves = toFake === undefined || toFake.includes('performance') || toFake.includes('Date');
  return {
    name,
    install: () => vi.useFakeTimers(toFake === undefined ? {} : { toFake }),
    uninstall: () => vi.useRealTimers(),
    tick: (ms) => vi.advanceTimersByTimeAsync(ms),
    pending: () => vi.getTimerCount(),
    movesTime: moves,
  };
}

afterEach(() => void vi.useRealTimers());

const timers: Faked = ['setTimeout', 'clearTimeout'];
const variants: readonly Tool[] = [
  tool('vitest'),
  tool('vitest, timers alone', timers),
  tool('vitest, timers and Date', [...timers, 'Date']),
  tool('vitest, timers and performance', [...timers, 'performance']),
  tool('vitest, everything it can', [
    ...timers,
    'setInterval',
    'clearInterval',
    'setImmediate',
    'clearImmediate',
    'Date',
    'performance',
    'queueMicrotask',
  ]),
  { ...tool('vitest, ticked synchronously'), tick: (ms) => void vi.advanceTimersByTime(ms) },
];

for (const each of variants) fakeTimerSuite({ describe, it }, each, library);

describe.each(variants)('a library that is loaded under $name', (faked) => {
  it('sets its timers at once and goes by the faked time', async () => {
    faked.install();
    vi.resetModules();
    const fresh = await import('breakwater');
    expect(fresh.pipeline).not.toBe(library.pipeline);
    const call = fresh.pipeline([fresh.timeout({ after: 100 })]).executeOutcome(() => new Promise(() => undefined));
    expect(vi.getTimerCount()).toBe(1);
    await faked.tick(100);
    expect(await call).toMatchObject({ ok: false, error: { code: 'ERR_TIMEOUT' } });
  });
});
