import { describe, expect, test } from 'vitest';
import { VirtualClock } from 'breakwater/testing';
import { Alarm } from '../../src/core/alarm.ts';
import type { Clock } from '../../src/core/clock.ts';
import { systemClock } from '../../src/core/clock.ts';

const armed = (clock: VirtualClock): { alarm: Alarm; rings: number[] } => {
  const rings: number[] = [];
  return { alarm: new Alarm(clock, (now) => rings.push(now)), rings };
};

describe('an alarm', () => {
  test('rings once, when its time has come', async () => {
    const clock = new VirtualClock();
    const { alarm, rings } = armed(clock);
    alarm.set(100, 0);
    await clock.advance(99);
    expect(rings).toEqual([]);
    await clock.advance(1000);
    expect(rings).toEqual([100]);
    expect(clock.pending).toBe(0);
  });

  test('moves forward when set earlier, and stays when set later', async () => {
    const clock = new VirtualClock();
    const { alarm, rings } = armed(clock);
    alarm.set(100, 0);
    alarm.set(50, 0);
    alarm.set(80, 0);
    expect(clock.pending).toBe(1);
    await clock.advance(200);
    expect(rings).toEqual([50]);
  });

  test('leaves no timer when cleared, and can be set again', async () => {
    const clock = new VirtualClock();
    const { alarm, rings } = armed(clock);
    alarm.set(10, 0);
    alarm.clear();
    expect(clock.pending).toBe(0);
    await clock.advance(20);
    alarm.set(30, 20);
    await clock.advance(10);
    expect(rings).toEqual([30]);
  });

  test('never rings for Infinity and rings at once for what is past', async () => {
    const clock = new VirtualClock({ start: 100 });
    const { alarm, rings } = armed(clock);
    alarm.set(Infinity, 100);
    expect(clock.pending).toBe(0);
    alarm.set(50, 100);
    await clock.advance(0);
    expect(rings).toEqual([100]);
  });

  test('can be set anew from inside its ring', async () => {
    const clock = new VirtualClock();
    const rings: number[] = [];
    const alarm: Alarm = new Alarm(clock, (now) => {
      rings.push(now);
      if (now < 30) alarm.set(now + 10, now);
    });
    alarm.set(10, 0);
    await clock.advance(100);
    expect(rings).toEqual([10, 20, 30]);
  });

  test('says whether a blocked event loop held it up: by more than 20 ms', async () => {
    const clock = new VirtualClock();
    const rings: [number, boolean][] = [];
    const alarm = new Alarm(clock, (now, stalled) => rings.push([now, stalled]));
    alarm.set(100, 0);
    await clock.stall(120);
    alarm.set(200, 120);
    await clock.stall(101);
    expect(rings).toEqual([
      [120, false],
      [221, true],
    ]);
  });

  test('trusts the timer over a clock that fake timers do not move', () => {
    let fire: (() => void) | undefined;
    const frozen: Clock = { now: () => 5, setTimeout: (run) => ((fire = run), 1), clearTimeout: () => undefined };
    const rings: number[] = [];
    new Alarm(frozen, (now) => rings.push(now)).set(1005, 5);
    fire?.();
    expect(rings).toEqual([1005]);
  });

  test('on real timers, one that was held up by a blocked event loop lets answers already received be seen first (T5)', async () => {
    const seen: string[] = [];
    await new Promise<void>((resolve) => {
      const alarm = new Alarm(systemClock, () => {
        seen.push('alarm');
        resolve();
      });
      alarm.set(systemClock.now() + 1, systemClock.now());
      setTimeout(() => {
        const end = performance.now() + 60;
        while (performance.now() < end);
        setImmediate(() => seen.push('answer'));
      }, 0);
    });
    expect(seen).toEqual(['answer', 'alarm']);
  });

  test('that lets go does not keep the process alive, on clocks whose handles can say so', () => {
    const unreffed: number[] = [];
    const handles = [{ unref: () => unreffed.push(1) }, 5, undefined];
    for (const handle of handles) {
      const clock: Clock = { now: () => 0, setTimeout: () => handle, clearTimeout: () => undefined };
      new Alarm(clock, () => undefined, true).set(10, 0);
      new Alarm(clock, () => undefined).set(10, 0);
    }
    expect(unreffed).toEqual([1]);
  });
});
