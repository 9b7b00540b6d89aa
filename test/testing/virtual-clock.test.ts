import { AsyncLocalStorage } from 'node:async_hooks';
import fc from 'fast-check';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { VirtualClock } from 'breakwater/testing';

afterEach(() => void vi.useRealTimers());

describe('time', () => {
  test('stands still until it is moved, and starts where it is told to', async () => {
    const clock = new VirtualClock({ start: 500, wall: 1000 });
    expect([clock.now(), clock.wall()]).toEqual([500, 1000]);
    await clock.advance('1.5s');
    await clock.advance(0.25);
    expect([clock.now(), clock.wall()]).toEqual([2000.25, 2500.25]);
  });

  test('begins at 0 and in the year 2000', () => {
    const clock = new VirtualClock();
    expect([clock.now(), new Date(clock.wall()).toISOString()]).toEqual([0, '2000-01-01T00:00:00.000Z']);
  });

  test('calls of advance that are not awaited follow one another', async () => {
    const clock = new VirtualClock();
    const seen: number[] = [];
    clock.setTimeout(() => seen.push(clock.now()), 150);
    void clock.advance(100);
    await clock.advance(100);
    expect([seen, clock.now()]).toEqual([[150], 200]);
  });

  test('may be moved by code that a timer started', async () => {
    const clock = new VirtualClock();
    let inner: Promise<void> | undefined;
    clock.setTimeout(() => void (inner = clock.advance(5)), 10);
    await clock.advance(10);
    await inner;
    expect(clock.now()).toBe(15);
  });

  test('refuses what is no time', async () => {
    const clock = new VirtualClock();
    for (const wrong of [-1, Number.NaN, Infinity, 'soon', undefined])
      expect(() => clock.advance(wrong as never)).toThrow('VirtualClock.advance: expected ms or a number with its unit');
    for (const move of ['stall', 'jump', 'rewind'] as const)
      expect(() => void clock[move](-1)).toThrow(`VirtualClock.${move}: expected ms or a number with its unit`);
    expect(() => clock.shiftWall(Number.NaN)).toThrow(RangeError);
    expect(() => new VirtualClock({ start: Infinity })).toThrow('VirtualClock.start: expected a finite number of ms, got Infinity');
    expect(() => new VirtualClock({ wall: Number.NaN })).toThrow('VirtualClock.wall');
    await clock.advance(0);
    expect(clock.now()).toBe(0);
  });
});

describe('timers', () => {
  test('run in the order of their time, and of their setting where that is equal, each at its own time', async () => {
    const clock = new VirtualClock();
    const seen: string[] = [];
    for (const [name, ms] of [
      ['c', 20],
      ['a', 10],
      ['d', 20],
      ['b', 10.5],
      ['never', 31],
    ] as const)
      clock.setTimeout(() => seen.push(`${name}@${clock.now()}`), ms);
    await clock.advance(30);
    expect(seen).toEqual(['a@10', 'b@10.5', 'c@20', 'd@20']);
    expect([clock.now(), clock.pending]).toEqual([30, 1]);
  });

  test('that are cleared never run, and clearing what has run or never was does no harm', async () => {
    const clock = new VirtualClock();
    const run = vi.fn();
    const cleared = clock.setTimeout(run, 1);
    const kept = clock.setTimeout(run, 2);
    clock.clearTimeout(cleared);
    clock.clearTimeout(cleared);
    clock.clearTimeout(undefined);
    clock.clearTimeout(null);
    expect(clock.pending).toBe(1);
    await clock.advance(5);
    clock.clearTimeout(kept);
    expect([run.mock.calls.length, clock.pending]).toEqual([1, 0]);
  });

  test('may clear and set one another while time passes', async () => {
    const clock = new VirtualClock();
    const seen: number[] = [];
    const victim = clock.setTimeout(() => seen.push(-1), 20);
    clock.setTimeout(() => {
      clock.clearTimeout(victim);
      clock.setTimeout(() => seen.push(clock.now()), 5);
      clock.setTimeout(() => seen.push(clock.now()), 0);
    }, 10);
    await clock.advance(30);
    expect(seen).toEqual([10, 15]);
  });

  test('let all promise jobs be done between them, however long the chains and whatever they set', async () => {
    const clock = new VirtualClock();
    const seen: string[] = [];
    const chain = async (name: string): Promise<void> => {
      for (let i = 0; i < 5000; i++) await Promise.resolve();
      seen.push(`${name}@${clock.now()}`);
      if (name === 'a') clock.setTimeout(() => seen.push(`b@${clock.now()}`), 1);
    };
    clock.setTimeout(() => void chain('a'), 10);
    clock.setTimeout(() => void chain('c'), 12);
    void chain('start');
    await clock.advance(12);
    expect(seen).toEqual(['start@0', 'a@10', 'b@11', 'c@12']);
  });

  test('drain just the same while fake timers are installed', async () => {
    vi.useFakeTimers({
      toFake: ['setTimeout', 'clearTimeout', 'setImmediate', 'clearImmediate', 'Date', 'performance', 'queueMicrotask'],
    });
    const clock = new VirtualClock();
    let done = false;
    clock.setTimeout(() => void Promise.resolve().then(() => (done = true)), 5);
    await clock.advance(5);
    expect(done).toBe(true);
  });

  test('keep the context of whoever set them', async () => {
    const context = new AsyncLocalStorage<string>();
    const clock = new VirtualClock();
    const seen: unknown[] = [];
    context.run('one', () => clock.setTimeout(() => seen.push(context.getStore()), 1));
    context.run('two', () => clock.setTimeout(() => seen.push(context.getStore()), 2));
    await context.run('mover', () => clock.advance(5));
    expect(seen).toEqual(['one', 'two']);
  });

  test('longer than 2^31 - 1 ms are refused, since real ones would run at once', () => {
    const clock = new VirtualClock();
    expect(() => clock.setTimeout(() => undefined, 2 ** 31)).toThrow('a real timer would run at once');
    clock.setTimeout(() => undefined, 2 ** 31 - 1);
    expect(clock.pending).toBe(1);
  });

  test('of no, a negative or an impossible delay are due now', async () => {
    const clock = new VirtualClock();
    const run = vi.fn();
    for (const ms of [0, -5, Number.NaN]) clock.setTimeout(run, ms);
    await clock.advance(0);
    expect(run).toHaveBeenCalledTimes(3);
  });

  test('that throw reject the move, and the rest stay set', async () => {
    const clock = new VirtualClock();
    const error = new Error('from a timer');
    clock.setTimeout(() => {
      throw error;
    }, 5);
    clock.setTimeout(() => undefined, 6);
    await expect(clock.advance(10)).rejects.toBe(error);
    expect([clock.pending, clock.now()]).toEqual([1, 5]);
    await clock.advance(5);
    expect([clock.pending, clock.now()]).toEqual([0, 10]);
  });

  test('come due in order, as a sorted list of those that were not cleared would have them', async () => {
    const timer = fc.record({
      ms: fc.integer({ min: 0, max: 20 }),
      cleared: fc.boolean(),
      then: fc.option(fc.integer({ min: 0, max: 20 })),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(timer, { maxLength: 200 }), async (timers) => {
        const clock = new VirtualClock();
        const seen: number[] = [];
        const expected: number[] = [];
        const handles = timers.map(({ ms, then }) =>
          clock.setTimeout(() => {
            seen.push(clock.now());
            if (then !== null) clock.setTimeout(() => seen.push(clock.now()), then);
          }, ms),
        );
        timers.forEach(({ ms, cleared, then }, i) => {
          if (cleared) clock.clearTimeout(handles[i]);
          else expected.push(ms, ...(then === null ? [] : [ms + then]));
        });
        expect(clock.pending).toBe(timers.filter(({ cleared }) => !cleared).length);
        await clock.runAll();
        expect(seen).toEqual(expected.sort((a, b) => a - b));
        expect(clock.pending).toBe(0);
      }),
      { numRuns: 50 },
    );
  });
});

describe('runAll and until', () => {
  test('runAll runs timers and those they set, and stops at the last', async () => {
    const clock = new VirtualClock();
    clock.setTimeout(() => clock.setTimeout(() => undefined, 1000), 500);
    await clock.runAll();
    expect([clock.now(), clock.pending]).toEqual([1500, 0]);
  });

  test('runAll gives up on timers that never end', async () => {
    const clock = new VirtualClock();
    const again = (): unknown => clock.setTimeout(again, 1);
    again();
    await expect(clock.runAll(50)).rejects.toThrow('50 timers have run and 1 are still set');
    expect(clock.now()).toBe(50);
  });

  test('until moves the clock just as far as a promise takes', async () => {
    const clock = new VirtualClock();
    clock.setTimeout(() => undefined, 5000);
    const promise = new Promise((resolve) => clock.setTimeout(() => resolve('done'), 300));
    expect(await clock.until(promise)).toBe('done');
    expect([clock.now(), clock.pending]).toEqual([300, 1]);
    await expect(clock.until(Promise.reject(new Error('no')))).rejects.toThrow('no');
    expect(clock.now()).toBe(300);
  });

  test('until gives up on a promise that nothing will settle', async () => {
    await expect(new VirtualClock().until(new Promise(() => undefined))).rejects.toThrow(
      'the promise has not settled, and 0 timers are set',
    );
  });
});

describe('clocks that misbehave', () => {
  test('stall: time passes, and what is overdue runs late, in order', async () => {
    const clock = new VirtualClock();
    const seen: string[] = [];
    clock.setTimeout(() => seen.push(`b@${clock.now()}`), 20);
    clock.setTimeout(() => seen.push(`a@${clock.now()}`), 10);
    clock.setTimeout(() => seen.push(`c@${clock.now()}`), 1600);
    await clock.stall('1.5s');
    expect(seen).toEqual(['a@1500', 'b@1500']);
    await clock.advance(100);
    expect(seen.at(-1)).toBe('c@1600');
  });

  test('jump: as stall, but nothing runs before the clock is moved', async () => {
    const clock = new VirtualClock();
    const seen: number[] = [];
    clock.setTimeout(() => seen.push(clock.now()), 10);
    clock.jump(100);
    expect([seen, clock.now(), clock.pending]).toEqual([[], 100, 1]);
    await clock.advance(0);
    expect(seen).toEqual([100]);
  });

  test('rewind: now goes back, timers still run after the time they were set for, the wall clock does not care', async () => {
    const clock = new VirtualClock({ wall: 0 });
    await clock.advance(1000);
    const seen: number[] = [];
    clock.setTimeout(() => seen.push(clock.now()), 50);
    clock.rewind(400);
    expect([clock.now(), clock.wall()]).toEqual([600, 1000]);
    await clock.advance(49);
    expect(seen).toEqual([]);
    await clock.advance(1);
    expect(seen).toEqual([650]);
  });

  test('shiftWall: people change the time of day, and nothing else notices', async () => {
    const clock = new VirtualClock({ wall: 0 });
    clock.shiftWall(3_600_000);
    clock.shiftWall(-600_000);
    await clock.advance(5);
    expect([clock.now(), clock.wall()]).toEqual([5, 3_000_005]);
  });
});

test('a hundred thousand timers that are set and cleared leave nothing to sort through', () => {
  const clock = new VirtualClock();
  const kept = Array.from({ length: 10 }, (_, i) => clock.setTimeout(() => undefined, i));
  for (let i = 0; i < 100_000; i++) clock.clearTimeout(clock.setTimeout(() => undefined, 60_000));
  expect(clock.pending).toBe(kept.length);
});
