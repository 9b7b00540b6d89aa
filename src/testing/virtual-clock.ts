import { AsyncResource } from 'node:async_hooks';
import { type Clock, LONGEST_TIMER, type TimerHandle } from '../core/clock.ts';
import { type Duration, parseDuration } from '../core/options.ts';
import { hop } from './hop.ts';
import { TimerQueue, type VirtualTimer } from './timer-queue.ts';

/** Options of {@link VirtualClock}. */
export interface VirtualClockOptions {
  /** What `now()` says at first, ms. @defaultValue `0` */
  readonly start?: number;
  /** What `wall()` says at first, epoch ms. @defaultValue `946684800000`, the first second of 2000 (UTC) */
  readonly wall?: number;
}

const NEW_YEAR_2000 = 946_684_800_000;

/** Whoever has seen so many timers run waits for something that never comes. */
const ENDLESS = 100_000;

/** Turns of the event loop given to a promise that waits for something other than this clock. */
const PATIENCE = 1000;

/**
 * A clock for tests that moves only when told to. Give it to a pipeline as its `clock`; nothing is patched, so tests may run side by side.
 *
 * Moving it is asynchronous: before the first timer and after each one, all promise jobs are done (a real turn of the event loop, so chains
 * of any length), and what they schedule takes its place in the order. Calls of `advance` that are not awaited follow one another.
 *
 * @example
 * ```ts
 * import { pipeline, timeout } from 'breakwater';
 * import { VirtualClock } from 'breakwater/testing';
 *
 * const clock = new VirtualClock();
 * const quick = pipeline([timeout({ after: '1s' })], { clock });
 * const call = quick.executeOutcome(() => new Promise(() => {}));
 * await clock.advance('1s');
 * console.log((await call).ok, clock.now(), clock.pending); // => false 1000 0
 * ```
 */
export class VirtualClock implements Clock {
  /** Steady time since the clock was made, ms; only ever grows. */
  #elapsed = 0;
  /** What `now()` and `wall()` stand off it. */
  #now: number;
  #wall: number;
  #sequence = 0;
  readonly #timers = new TimerQueue();
  #turn: Promise<void> = Promise.resolve();

  /** @throws RangeError if `start` or `wall` is no finite number */
  constructor({ start = 0, wall = NEW_YEAR_2000 }: VirtualClockOptions = {}) {
    this.#now = finite('start', start);
    this.#wall = finite('wall', wall);
  }

  /** The time, ms. */
  now(): number {
    return this.#elapsed + this.#now;
  }

  /** The time as people tell it, epoch ms. */
  wall(): number {
    return this.#elapsed + this.#wall;
  }

  /** Timers that are set and have not run. */
  get pending(): number {
    return this.#timers.size;
  }

  /**
   * Runs `run` once, `ms` from now. Like the real one it keeps the caller's AsyncLocalStorage context.
   *
   * @throws RangeError if `ms` is above 2^31 - 1: real timers run at once then
   */
  setTimeout(run: () => void, ms: number): TimerHandle {
    if (ms > LONGEST_TIMER)
      throw new RangeError(`VirtualClock.setTimeout: expected up to ${LONGEST_TIMER} ms (a real timer would run at once), got ${ms}`);
    const resource = new AsyncResource('VirtualTimer');
    const timer: VirtualTimer = {
      due: this.#elapsed + (ms > 0 ? ms : 0),
      sequence: this.#sequence++,
      run: () => resource.runInAsyncScope(run),
      live: true,
    };
    this.#timers.add(timer);
    return timer;
  }

  /** Forgets a timer; harmless if it has run. */
  clearTimeout(handle: TimerHandle): void {
    if (handle !== undefined && handle !== null) this.#timers.remove(handle as VirtualTimer);
  }

  /**
   * Lets time pass: runs what comes due, in order, each at its own time. Rejects with what a timer throws; the rest stay set.
   *
   * @throws RangeError if the time is no finite duration
   */
  advance(time: Duration): Promise<void> {
    const ms = span('advance', time);
    return this.#enqueue(() => this.#runUntil(this.#elapsed + ms));
  }

  /**
   * Runs timers, and those they set, until none is left; time ends at the last of them.
   *
   * @throws Error after `limit` timers (default: 100 000), which is what a timer that always sets another one comes to
   */
  runAll(limit: number = ENDLESS): Promise<void> {
    return this.#enqueue(async () => {
      await hop();
      for (let ran = 0; this.#timers.size > 0; ran++) {
        if (ran >= limit) throw new Error(`VirtualClock.runAll: ${limit} timers have run and ${this.pending} are still set`);
        await this.#runNext();
      }
    });
  }

  /**
   * Runs timers, in order, only until `promise` has settled, and settles with it.
   *
   * @throws Error if no timer is left (or 100 000 have run) and it still has not
   */
  async until<T>(promise: PromiseLike<T>): Promise<T> {
    let settled = false;
    const note = (): void => void (settled = true);
    promise.then(note, note);
    await this.#enqueue(async () => {
      await hop();
      for (let ran = 0, idle = 0; !settled && ran < ENDLESS && idle < PATIENCE;) {
        if (this.#timers.size === 0) {
          idle++;
          await hop();
        } else {
          ran++;
          await this.#runNext();
        }
      }
      if (!settled) throw new Error(`VirtualClock.until: the promise has not settled, and ${this.pending} timers are set`);
    });
    return await promise;
  }

  /** The event loop is blocked: time passes at once, no timer runs before it is over, then what is overdue runs late. */
  stall(time: Duration): Promise<void> {
    const ms = span('stall', time);
    return this.#enqueue(() => {
      this.#elapsed += ms;
      return this.#runUntil(this.#elapsed);
    });
  }

  /** As {@link stall}, but returns at once and runs nothing: what is overdue runs when the clock is moved next. */
  jump(time: Duration): void {
    this.#elapsed += span('jump', time);
  }

  /** `now()` goes back, as clocks do that fake timers restart. Timers still run after the time they were set for. */
  rewind(time: Duration): void {
    this.#now -= span('rewind', time);
  }

  /** Somebody sets the wall clock: `wall()` moves by `ms`, which may be negative; `now()` and timers do not care. */
  shiftWall(ms: number): void {
    this.#wall += finite('shiftWall', ms);
  }

  #enqueue(move: () => Promise<void>): Promise<void> {
    const turn = this.#turn.then(move);
    this.#turn = turn.catch(() => undefined);
    return turn;
  }

  async #runUntil(end: number): Promise<void> {
    await hop();
    for (let timer = this.#timers.first(); timer !== undefined && timer.due <= end; timer = this.#timers.first()) await this.#runNext();
    this.#elapsed = Math.max(this.#elapsed, end);
  }

  async #runNext(): Promise<void> {
    const timer = this.#timers.shift() as VirtualTimer;
    this.#elapsed = Math.max(this.#elapsed, timer.due);
    timer.run();
    await hop();
  }
}

function span(method: string, time: Duration): number {
  const ms = parseDuration(time);
  if (ms === undefined || ms === Infinity)
    throw new RangeError(`VirtualClock.${method}: expected ms or a number with its unit such as '250ms', '2s', '1m', got ${String(time)}`);
  return ms;
}

function finite(what: string, value: number): number {
  if (!Number.isFinite(value)) throw new RangeError(`VirtualClock.${what}: expected a finite number of ms, got ${String(value)}`);
  return value;
}
