/** Time, and the only place where the globals of time and chance are touched. */

/** Handle of a pending timer; whatever the clock returns. */
export type TimerHandle = unknown;

/**
 * Where a pipeline takes its time from. `now()` only serves differences: monotonic milliseconds, fractions allowed.
 * Timers that a caller waits on are expected to keep the process alive.
 */
export interface Clock {
  now(): number;
  setTimeout(run: () => void, ms: number): TimerHandle;
  clearTimeout(handle: TimerHandle): void;
  /** Epoch milliseconds, for values shown to people or sent to others. Default: `Date.now()`. */
  wall?(): number;
}

/** A source of chance: numbers in [0, 1). */
export type Random = () => number;

/** `setTimeout` takes 32 bits; longer waits are chained. */
export const LONGEST_TIMER: number = 2 ** 31 - 1;

const host = { Date: globalThis.Date, setTimeout: globalThis.setTimeout as unknown, performance: globalThis.performance };

/** Whether a `Date` is a stand-in: fake-timer tools mark theirs. */
function isFake(date: object): boolean {
  return 'isFake' in date || 'isMock' in date;
}

/** Whether the globals were the host's own when this module was loaded: fakes give themselves away by a mark or by their name. */
const loadedUnderHostTime =
  !isFake(host.Date) && !('clock' in (host.setTimeout as object)) && (host.setTimeout as { name: string }).name === 'setTimeout';

/** Whether time is the host's own: nobody has put fakes in place of the globals. (All fake-timer tools replace one of these two.) */
function isHostTime(): boolean {
  return loadedUnderHostTime && globalThis.setTimeout === host.setTimeout && globalThis.Date === host.Date;
}

/**
 * The process clock. It looks the globals up at the moment of each call, so vitest, jest and sinon fake timers and `node:test` mock timers drive
 * it without a `clock` option; as long as nobody has replaced them it reads the host's own `performance` directly, which is a quarter faster.
 * Where a tool fakes `Date` and not `performance`, it reads `Date`.
 */
export const systemClock: Clock = {
  now(): number {
    if (isHostTime()) return host.performance.now();
    const { Date, performance } = globalThis;
    const onlyDate = (isFake(Date) || Date !== host.Date) && !Object.hasOwn(performance, 'now');
    return onlyDate ? Date.now() : performance.now();
  },
  setTimeout(run: () => void, ms: number): TimerHandle {
    return globalThis.setTimeout(run, ms);
  },
  clearTimeout(handle: TimerHandle): void {
    globalThis.clearTimeout(handle as ReturnType<typeof globalThis.setTimeout>);
  },
  wall(): number {
    return globalThis.Date.now();
  },
};

/** The process's source of chance, looked up at each call. */
export const systemRandom: Random = () => globalThis.Math.random();

/**
 * Whether a timer of this clock may be armed a little later than asked, once the microtask queue is empty: nobody can tell on real
 * timers, and a call that answers before then needs no timer at all. Faked timers are moved by hand, so there it must be at once.
 *
 * @internal
 */
export function mayArmLater(clock: Clock): boolean {
  return clock === systemClock && isHostTime();
}

/**
 * Runs `run` once the microtask queue is empty.
 *
 * @internal
 */
export function afterMicrotasks(run: () => void): void {
  globalThis.process.nextTick(run);
}

/**
 * Runs `run` after one turn of the event loop, so that answers already received are seen first.
 *
 * @internal
 */
export function afterPoll(run: () => void): void {
  globalThis.setImmediate(run);
}

/** An identifier that nothing else has: a random UUID, from the pipeline's own source of chance if it has one. */
export function uniqueId(random: Random): string {
  if (random === systemRandom) return globalThis.crypto.randomUUID();
  const digits = Array.from({ length: 32 }, () => Math.floor(random() * 16).toString(16));
  digits[12] = '4';
  digits[16] = '89ab'[Math.floor(random() * 4)] as string;
  return [0, 8, 12, 16, 20].map((from, i, all) => digits.slice(from, all[i + 1]).join('')).join('-');
}

/** Epoch milliseconds, as this clock tells them. */
export function wallTime(clock: Clock): number {
  return clock.wall === undefined ? globalThis.Date.now() : clock.wall();
}

/** Whether a value has what a clock must have. */
export function isClock(value: unknown): value is Clock {
  const clock = value as Partial<Clock> | null;
  return (
    typeof clock === 'object' &&
    typeof clock?.now === 'function' &&
    typeof clock.setTimeout === 'function' &&
    typeof clock.clearTimeout === 'function'
  );
}

/** Milliseconds from one reading to another, to be shown: without the last digits that sums of fractions leave behind. */
export function span(from: number, to: number): number {
  return Math.round((to - from) * 1e6) / 1e6;
}
