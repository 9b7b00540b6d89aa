/**
 * System guard: refuses calls while the process itself is overloaded, the least important first.
 *
 * @example
 * ```ts
 * import { pipeline, systemGuard } from 'breakwater';
 *
 * const guard = systemGuard({ inFlight: 2, monitor: { read: () => ({ eventLoopDelay: 20 }) } });
 * const api = pipeline([guard]);
 * const outcomes = await Promise.all([1, 2, 3].map(() => api.executeOutcome(async () => 'served')));
 * console.log(outcomes.map(({ ok }) => ok), guard.load); // => [true, true, false] 0.1
 * ```
 *
 * @module
 */

import type { BbrSettings } from '../algorithms/bbr.ts';
import type { OptionProblem } from '../core/errors.ts';
import { type CommonSettings, type Mode, type PolicyOptions, commonFields } from '../core/mode.ts';
import { type Duration, Field, type Fields, count, duration, field, group, numeric, readOptions } from '../core/options.ts';
import { type GatePolicy, type Handler, type PlainData, mountAlone } from '../core/policy.ts';
import type { Scope } from '../core/scope.ts';
import type { Gate } from '../core/stage.ts';
import type { SystemMonitor } from '../stores/system/readings.ts';
import { monitorFor } from '../stores/system/shared-monitor.ts';
import { type GuardReading, type Thresholds, thresholdFields } from './system-guard/conditions.ts';
import { type GuardAtWork, SystemGuardGate } from './system-guard/gate.ts';
import { type CheckSettings, Pressure } from './system-guard/pressure.ts';
import { Stages, type SystemGuardActions, type SystemGuardLevel, actionFields } from './system-guard/stages.ts';
import { Watch } from './system-guard/watch.ts';

/** Thresholds of {@link systemGuard}; `false` switches one off. One that is reached is enough. */
export interface SystemGuardThresholds {
  /** How late the event loop's turns may come: the 99th percentile of a second. @defaultValue `'200ms'` */
  readonly eventLoopDelay?: Duration | false;
  /** The share of a second that the event loop may be busy. @defaultValue `0.98` */
  readonly eventLoopUtilization?: number | false;
  /** The share of the processors' time that the process may use, of what its container allows; averaged over some ten seconds. @defaultValue `0.9` */
  readonly cpu?: number | false;
  /** The share of the heap limit (`--max-old-space-size`) that may be in use. @defaultValue `false` */
  readonly heapUsed?: number | false;
  /** The share of the container's memory, or without one the machine's, that the process may occupy. @defaultValue `false` */
  readonly memory?: number | false;
  /** Bytes that the process may occupy. @defaultValue `false` */
  readonly rss?: number | false;
  /** Handles and requests that may keep the event loop alive. @defaultValue `false` */
  readonly activeHandles?: number | false;
  /** Calls that may be under way in this guard. @defaultValue `false` */
  readonly inFlight?: number | false;
  /** Calls that may be let in within any second. @defaultValue `false` */
  readonly qps?: number | false;
  /** How long the calls of the last second may have taken on average. @defaultValue `false` */
  readonly averageTime?: Duration | false;
}

/** When the load of a busy server matters, see {@link SystemGuardOptions.bbr}. */
export interface SystemGuardCheck {
  /** The most calls finished are looked for in this time. @defaultValue `'5s'` */
  readonly window?: Duration;
  /** It has so many parts. @defaultValue `50` */
  readonly buckets?: number;
  /** The least time calls take is remembered so long. @defaultValue `'5m'` */
  readonly memory?: Duration;
  /** A load that was at its threshold counts so much longer. @defaultValue `'1s'` */
  readonly coolOff?: Duration;
  /** From this load on, calls under way are not asked: 3 is three times the threshold. @defaultValue `3` */
  readonly upTo?: number;
}

/** Options of {@link systemGuard}. */
export interface SystemGuardOptions extends SystemGuardThresholds, PolicyOptions {
  /**
   * Whether a late or busy event loop and busy processors only count while more calls are under way than the process was seen to carry without a queue; a
   * busy server that keeps up then refuses nobody. Or the settings of that check. @defaultValue `true`
   */
  readonly bbr?: boolean | SystemGuardCheck;
  /** From which load on something is done: 1 is at a threshold, `false` never. At 1 calls are refused, whatever stands here. */
  readonly actions?: Partial<SystemGuardActions>;
  /** The share of its remaining time that a call keeps when the load is at a threshold; less is taken off before. @defaultValue `0.5` */
  readonly tightenTo?: number;
  /** How far above a threshold critical-plus calls are still let in, as a share of it. @defaultValue `0.05` */
  readonly reserve?: number;
  /** When callers are told to come back. @defaultValue `'10s'` */
  readonly retryAfter?: Duration;
  /** The monitor is asked so often, at most: when a call comes. @defaultValue `'500ms'` */
  readonly sampleInterval?: Duration;
  /** Where readings come from: an object with `read(wanted)`. @defaultValue one monitor of the process, shared by all guards */
  readonly monitor?: SystemMonitor;
}

declare module '../core/events.ts' {
  interface EventFields {
    'system-guard.level-changed': {
      readonly from: SystemGuardLevel;
      readonly to: SystemGuardLevel;
      readonly load: number;
      readonly reason?: GuardReading | undefined;
    };
    'system-guard.tightened': { readonly from: number; readonly to: number };
  }
}

/** The state of a guard: load and level, every reading, calls under way and how many the process was seen to carry. */
export type SystemGuardSnapshot = PlainData &
  Readonly<Record<GuardReading | 'load' | 'refused', number>> & { readonly level: SystemGuardLevel; readonly carries?: number | undefined };

/** A system guard. Several pipelines that hold the same one share its counts. */
export interface SystemGuard extends GatePolicy {
  readonly kind: 'system-guard';
  /** How near the process is to its nearest threshold: 0 and up, 1 is at it. */
  readonly load: number;
  /** What is done about it. It rises at once and falls when the monitor is next asked; `'closing'` asks a server to close the connections it answers on. */
  readonly level: SystemGuardLevel;
  /**
   * Changes thresholds; what is not given stays, and so do the counts.
   *
   * @throws OptionsError if a value is wrong
   */
  update(change: SystemGuardThresholds): void;
  /** Whether the process is at the level where hedges and other extra work should be left undone. */
  strained(): boolean;
  /** Whether nothing is under way, nothing was lately, and no threshold was changed. */
  atRest(now: number): boolean;
  snapshot(): SystemGuardSnapshot;
}

/** Options as read. */
export interface SystemGuardSettings extends Thresholds, CommonSettings {
  readonly bbr: CheckSettings | false;
  readonly actions: SystemGuardActions;
  readonly tightenTo: number;
  readonly reserve: number;
  readonly retryAfter: number;
  readonly sampleInterval: number;
  readonly monitor: SystemMonitor | undefined;
}

const checkFields: Fields<CheckSettings & BbrSettings> = {
  window: duration({ min: 100 }).or('5s'),
  buckets: count({ min: 2 }).or(50),
  memory: duration({ min: 100 }).or('5m'),
  coolOff: duration().or('1s'),
  upTo: numeric({ min: 1 }).or(3),
};

const check = group(checkFields, (value) => (value === true ? {} : value));

/** The option table. */
export const systemGuardFields: Fields<SystemGuardSettings> = {
  ...thresholdFields,
  bbr: new Field<CheckSettings | false>(
    `true, false, or ${check.expected}`,
    (value, path, problems) => (value === false ? value : check.read(value, path, problems)),
    true,
    false,
    checkFields,
  ),
  actions: group(actionFields).or({}),
  tightenTo: numeric({ above: 0, max: 1 }).or(0.5),
  reserve: numeric({ min: 0, max: 1 }).or(0.05),
  retryAfter: duration().or('10s'),
  sampleInterval: duration({ min: 1 }).or('500ms'),
  monitor: field<SystemMonitor>('an object with read()', (value) =>
    typeof (value as Partial<SystemMonitor> | null)?.read === 'function' ? (value as SystemMonitor) : undefined,
  ).optional(),
  ...commonFields,
};

/**
 * Refuses calls with an {@link OverloadedError} while one of its thresholds is reached, and does less before: it sheds sheddable calls, shortens deadlines, and keeps retries
 * inside from retrying. A late or busy event loop and busy processors refuse only what is more than the process was seen to carry (`bbr`).
 *
 * The process is looked at when calls come, every half second at most, by one monitor for all guards, which knows the limits of containers (cgroup versions 1 and 2). After
 * Sentinel's system rules, the BBR limiters of Kratos and go-zero, and Envoy's overload manager.
 *
 * @throws OptionsError if an option is wrong
 */
export function systemGuard(options?: SystemGuardOptions): SystemGuard {
  return new SystemGuardPolicy(readOptions('systemGuard', systemGuardFields, options, memoryCoversWindow));
}

function memoryCoversWindow({ bbr }: SystemGuardSettings): OptionProblem | undefined {
  if (bbr === false || bbr.memory >= bbr.window) return undefined;
  return { path: 'bbr.memory', expected: `at least bbr.window (${bbr.window} ms)`, got: `${bbr.memory} ms` };
}

const names = Object.keys(thresholdFields) as (keyof Thresholds)[];

function thresholdsOf(settings: Thresholds): Thresholds {
  return Object.fromEntries(names.map((name) => [name, settings[name]])) as unknown as Thresholds;
}

class SystemGuardPolicy implements SystemGuard, GuardAtWork {
  readonly kind = 'system-guard';
  readonly name: string | undefined;
  readonly mode: Mode;
  readonly pressure: Pressure;
  readonly stages: Stages;
  readonly watch: Watch;
  readonly retryAfter: number;
  refused = 0;
  readonly #settings: SystemGuardSettings;
  readonly #thresholds: Thresholds;

  constructor(settings: SystemGuardSettings) {
    const { name, mode, bbr, actions, tightenTo, reserve, retryAfter, sampleInterval, monitor } = settings;
    this.name = name;
    this.mode = mode;
    this.retryAfter = retryAfter;
    this.#settings = settings;
    this.#thresholds = thresholdsOf(settings);
    this.pressure = new Pressure(this.#thresholds, bbr === false ? undefined : bbr);
    this.stages = new Stages(actions, tightenTo, reserve);
    this.watch = new Watch(this.pressure, this.stages, sampleInterval, monitor === undefined ? monitorFor : () => monitor);
  }

  get load(): number {
    return this.watch.load;
  }

  get level(): SystemGuardLevel {
    return this.watch.level;
  }

  gate(scope: Scope): Gate {
    this.watch.audience.add(scope);
    return new SystemGuardGate(this, scope);
  }

  mount(next: Handler, scope: Scope): Handler {
    return mountAlone(this, next, scope);
  }

  update(change: SystemGuardThresholds): void {
    const { limits } = this.pressure;
    const fields = Object.fromEntries(names.map((name) => [name, thresholdFields[name].or(limits[name])]));
    this.pressure.limits = readOptions('systemGuard.update', fields, change) as unknown as Thresholds;
  }

  strained(): boolean {
    return this.load >= this.stages.strained;
  }

  atRest(now: number): boolean {
    return this.pressure.limits === this.#thresholds && this.pressure.isIdle(this.watch.now ?? now);
  }

  snapshot(): SystemGuardSnapshot {
    const { load, level, refused, pressure } = this;
    const now = this.watch.now ?? 0;
    return { load, level, refused, ...pressure.readings, ...pressure.own(now), carries: pressure.carries(now) };
  }

  describe(): PlainData {
    const { bbr, actions, tightenTo, reserve, retryAfter, sampleInterval } = this.#settings;
    return { ...this.pressure.limits, bbr, actions, tightenTo, reserve, retryAfter, sampleInterval };
  }
}
