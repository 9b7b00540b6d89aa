import { beforeEach, vi } from 'vitest';
import { useProcessTime } from '../support/process-clock.ts';

/**
 * Fake timers, except that timers of no length do not wait for the clock to be moved: they run when nothing else is left to do, as they do for a process that is not busy. Bottleneck
 * sets three of them for each job before it begins and one after it.
 */
export function useTurns(): void {
  useProcessTime();
  beforeEach(() => {
    const { setTimeout, clearTimeout } = globalThis;
    const turns = new WeakSet<object>();
    globalThis.setTimeout = ((run: (...args: unknown[]) => void, ms = 0, ...args: unknown[]): unknown => {
      if (ms > 0) return setTimeout(run, ms, ...args);
      const turn = { unref: () => turn };
      turns.add(turn);
      process.nextTick(() => {
        if (turns.delete(turn)) run(...args);
      });
      return turn;
    }) as typeof globalThis.setTimeout;
    globalThis.clearTimeout = (handle: unknown): void => {
      if (typeof handle !== 'object' || handle === null || !turns.delete(handle)) clearTimeout(handle as number);
    };
  });
}

/** Lets so much time pass. */
export async function pass(ms: number): Promise<void> {
  await vi.advanceTimersByTimeAsync(ms);
}
