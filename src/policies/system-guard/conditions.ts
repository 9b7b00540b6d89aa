/** What a guard looks at, and how near that is to its threshold. */

import { Field, type Fields, count, duration, numeric } from '../../core/options.ts';
import type { SystemReading, SystemReadings } from '../../stores/system/readings.ts';

/** What is counted in the guard itself, from the calls that come through it. */
export type OwnReading = 'inFlight' | 'qps' | 'averageTime';

/** Anything that can have a threshold. */
export type GuardReading = SystemReading | OwnReading;

/** Thresholds; `false` for what is not looked at. */
export type Thresholds = Readonly<Record<GuardReading, number | false>>;

/** A threshold, or `false`. */
function threshold(number: Field<number>): Field<number | false> {
  const expected = `${number.expected}, or false`;
  return new Field<number | false>(expected, (value, path, problems) => (value === false ? false : number.read(value, path, problems)));
}

/** The table of all thresholds. */
export const thresholdFields: Fields<Thresholds> = {
  eventLoopDelay: threshold(duration({ min: 1 })).or('200ms'),
  eventLoopUtilization: threshold(numeric({ above: 0, max: 1 })).or(0.98),
  cpu: threshold(numeric({ above: 0, max: 1 })).or(0.9),
  heapUsed: threshold(numeric({ above: 0, max: 1 })).or(false),
  memory: threshold(numeric({ above: 0, max: 1 })).or(false),
  rss: threshold(count({ min: 1 })).or(false),
  activeHandles: threshold(count({ min: 1 })).or(false),
  inFlight: threshold(count({ min: 1 })).or(false),
  qps: threshold(count({ min: 1 })).or(false),
  averageTime: threshold(duration({ min: 0.001 })).or(false),
};

/** What is high while a server does all it can, whether it keeps up or not. */
export const ambiguous: readonly SystemReading[] = ['eventLoopDelay', 'eventLoopUtilization', 'cpu'];

/** What tells by itself that it is too much. */
export const plain: readonly SystemReading[] = ['heapUsed', 'memory', 'rss', 'activeHandles'];

/** No load is shown as more than this. */
const MOST = 100;

/** How a reading stands to its threshold: 1 is at it. What is off, or no number of at least 0, is nothing. */
export function loadOf(reading: unknown, limit: number | false): number {
  return limit !== false && typeof reading === 'number' && reading > 0 ? Math.min(MOST, reading / limit) : 0;
}

/** The one of these readings that is nearest to its threshold, or furthest beyond it. */
export function heaviest<Name extends GuardReading>(
  names: readonly Name[],
  readings: Partial<Readonly<Record<Name, number>>>,
  limits: Thresholds,
): { readonly name: Name | undefined; readonly load: number } {
  let name: Name | undefined;
  let load = 0;
  for (const each of names) {
    const one = loadOf(readings[each], limits[each]);
    if (one <= load) continue;
    name = each;
    load = one;
  }
  return { name, load };
}

/** Which readings of the process there are thresholds for: derived from all of them together, so that none can switch others off. */
export function wantedOf(limits: Thresholds): ReadonlySet<SystemReading> {
  return new Set([...ambiguous, ...plain].filter((name) => limits[name] !== false));
}

const units: Readonly<Partial<Record<GuardReading, string>>> = {
  eventLoopDelay: ' ms',
  averageTime: ' ms',
  rss: ' bytes',
  qps: ' calls per second',
};

/** Tells a reading and its threshold in words. */
export function tell(name: GuardReading, reading: number, limits: Thresholds): string {
  const unit = units[name] ?? '';
  return `${name} is ${Math.round(reading * 1000) / 1000}${unit}, the threshold ${limits[name]}${unit}`;
}

/** All readings of the process, numbers or 0. */
export function whole(readings: Partial<SystemReadings>): SystemReadings {
  const sound = (name: SystemReading): number => {
    const value: unknown = readings[name];
    return typeof value === 'number' && value >= 0 && value < Infinity ? value : 0;
  };
  const { eventLoopDelay, eventLoopUtilization, cpu, heapUsed, memory, rss, activeHandles } = Object.fromEntries(
    [...ambiguous, ...plain].map((name) => [name, sound(name)]),
  ) as Record<SystemReading, number>;
  return { eventLoopDelay, eventLoopUtilization, cpu, heapUsed, memory, rss, activeHandles };
}
