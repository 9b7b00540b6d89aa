import { afterEach, beforeEach, vi } from 'vitest';
import { systemClock } from '../../src/core/clock.ts';
import { parseDuration } from '../../src/core/options.ts';
import { hop } from '../../src/testing/hop.ts';
import type { LawClock } from '../../src/testing/contract.ts';

/** Whoever has seen so many timers run waits for something that never comes. */
const ENDLESS = 5000;

/** Fake timers in place of the process's own, for the tests of this file: for policies that stand on packages which take their time from the process. */
export function useProcessTime(): void {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });
}

/** Moves the process's fake timers as a `VirtualClock` moves its own. */
export class ProcessClock implements LawClock {
  /** Timers that were set before, such as the intervals of a breaker. */
  readonly #before = vi.getTimerCount();
  #back = 0;

  now(): number {
    return systemClock.now() - this.#back;
  }

  setTimeout(run: () => void, ms: number): unknown {
    return systemClock.setTimeout(run, ms);
  }

  clearTimeout(handle: unknown): void {
    systemClock.clearTimeout(handle);
  }

  /** Timers that are set now and were not when the clock was made. */
  get pending(): number {
    return Math.max(0, vi.getTimerCount() - this.#before);
  }

  async advance(time: Parameters<LawClock['advance']>[0]): Promise<void> {
    await hop();
    await vi.advanceTimersByTimeAsync(parseDuration(time) as number);
    await hop();
  }

  rewind(time: Parameters<LawClock['rewind']>[0]): void {
    this.#back += parseDuration(time) as number;
  }

  async until<T>(promise: PromiseLike<T>): Promise<T> {
    const state = { settled: false };
    const note = (): void => void (state.settled = true);
    promise.then(note, note);
    await hop();
    for (let ran = 0; !state.settled && ran < ENDLESS; ran++) {
      if (vi.getTimerCount() > 0) await vi.advanceTimersToNextTimerAsync();
      await hop();
    }
    if (!state.settled) throw new Error(`ProcessClock.until: the promise has not settled, and ${this.pending} timers are set`);
    return promise;
  }
}
