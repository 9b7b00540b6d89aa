/** The process, watched while somebody wants to know. */

import { Alarm } from '../../core/alarm.ts';
import type { Clock } from '../../core/clock.ts';
import { type CgroupLimits, type ReadText, cgroupLimits } from './cgroup.ts';
import { type SystemMonitor, type SystemReading, type SystemReadings, calm } from './readings.ts';

/** Busy and idle time of the event loop since it began, ms. */
export interface LoopTimes {
  readonly active: number;
  readonly idle: number;
}

/** Notes how late the event loop's turns come, from `start` to `stop`. */
export interface DelayMeter {
  start(now: number): void;
  stop(): void;
  /** The 99th percentile (ms) of what was noted since the one before the latest `turn`: two stretches between readings. */
  turn(now: number): number;
}

/** Where the process monitor reads from. */
export interface SystemSources {
  readonly delays: DelayMeter;
  loop(): LoopTimes;
  /** Processor time of all threads, ms. */
  cpu(): number;
  /** Processors that the process may run on. */
  readonly parallelism: () => number;
  heap(): { readonly used: number; readonly limit: number };
  /** Bytes that the process occupies. */
  rss(): number;
  /** Bytes that the machine has. */
  readonly machineMemory: () => number;
  activeHandles(): number;
  readonly readText: ReadText;
}

/** Nothing is read anew within this time, ms; two of them are the second that delay and utilisation are looked at. */
export const SAMPLE_EVERY = 500;

/** Weight of what was before in the average of processor use, for each {@link SAMPLE_EVERY}. */
const INERTIA = 0.95;

/** Limits of a container can be changed while it runs; they are read again after this time, ms. */
const LIMITS_EVERY = 60_000;

/** Who has not asked for this time (ms) does not want to know any more. */
const LOSES_INTEREST = 10_000;

/** What is known of the process at one time. */
interface Mark {
  readonly at: number;
  readonly loop: LoopTimes;
  readonly cpu: number;
}

/**
 * The monitor of this process. It begins with the first question, answers from memory for {@link SAMPLE_EVERY} ms, and ends when nobody has asked for ten seconds; what it
 * needs meanwhile never keeps the process alive.
 */
export class ProcessMonitor implements SystemMonitor {
  readonly #sources: SystemSources;
  readonly #clock: Clock;
  readonly #alarm: Alarm;
  #readings: SystemReadings = calm;
  /** The latest two; none while it does not watch. */
  #marks: readonly Mark[] = [];
  #asked = -Infinity;
  #limits: CgroupLimits | undefined = undefined;
  #limitsUntil = -Infinity;
  #wantsHandles = false;

  constructor(sources: SystemSources, clock: Clock) {
    this.#sources = sources;
    this.#clock = clock;
    this.#alarm = new Alarm(clock, (now) => this.#rest(now), true);
  }

  /** Whether it watches now. */
  get watching(): boolean {
    return this.#marks.length > 0;
  }

  read(wanted: ReadonlySet<SystemReading>): SystemReadings {
    const now = this.#clock.now();
    const latest = this.#marks.at(-1);
    this.#asked = now;
    this.#wantsHandles ||= wanted.has('activeHandles');
    if (latest === undefined) this.#begin(now);
    else if (now - latest.at >= SAMPLE_EVERY) this.#sample(latest, now);
    return this.#readings;
  }

  #begin(now: number): void {
    this.#sources.delays.start(now);
    this.#marks = [this.#mark(now)];
    this.#readings = { ...calm, ...this.#memory(now) };
    this.#alarm.set(now + LOSES_INTEREST, now);
  }

  #sample(latest: Mark, now: number): void {
    const mark = this.#mark(now);
    const [before = latest] = this.#marks;
    const inertia = INERTIA ** ((now - latest.at) / SAMPLE_EVERY);
    const use = Math.max(0, mark.cpu - latest.cpu) / (now - latest.at) / this.#cpus(now);
    const active = mark.loop.active - before.loop.active;
    const whole = active + mark.loop.idle - before.loop.idle;
    this.#marks = [latest, mark];
    this.#readings = {
      eventLoopDelay: this.#sources.delays.turn(now),
      eventLoopUtilization: whole > 0 ? Math.min(1, Math.max(0, active / whole)) : 0,
      cpu: inertia * this.#readings.cpu + (1 - inertia) * use,
      ...this.#memory(now),
    };
  }

  #mark(now: number): Mark {
    return { at: now, loop: this.#sources.loop(), cpu: this.#sources.cpu() };
  }

  #memory(now: number): Pick<SystemReadings, 'heapUsed' | 'memory' | 'rss' | 'activeHandles'> {
    const { used, limit } = this.#sources.heap();
    const rss = this.#sources.rss();
    return {
      heapUsed: used / limit,
      memory: rss / this.#limitsAt(now).memory,
      rss,
      activeHandles: this.#wantsHandles ? this.#sources.activeHandles() : 0,
    };
  }

  #cpus(now: number): number {
    return this.#limitsAt(now).cpus;
  }

  #limitsAt(now: number): CgroupLimits {
    if (this.#limits === undefined || now >= this.#limitsUntil) {
      const { cpus, memory } = cgroupLimits(this.#sources.readText);
      const { machineMemory, parallelism } = this.#sources;
      this.#limits = { cpus: Math.min(cpus, Math.max(1, parallelism())), memory: Math.min(memory, machineMemory()) };
      this.#limitsUntil = now + LIMITS_EVERY;
    }
    return this.#limits;
  }

  /** Stops watching if nobody has asked for long. */
  #rest(now: number): void {
    const until = this.#asked + LOSES_INTEREST;
    if (now < until) {
      this.#alarm.set(until, now);
      return;
    }
    this.#sources.delays.stop();
    this.#marks = [];
    this.#readings = calm;
    this.#wantsHandles = false;
    this.#limits = undefined;
  }
}
