/** The kinds of windows there are. */

import { CountWindow } from './count-window.ts';
import { EwmaWindow } from './ewma.ts';
import { TimeWindow } from './time-window.ts';
import type { Window } from './window.ts';

/** A window of time, in equal buckets. `Time` is what a length of time is given as: ms, once read. */
export interface TimeWindowSettings<Time = number> {
  /** How long an outcome counts. `Infinity`: until the state changes. */
  readonly duration: Time;
  /** Parts of the window; the oldest leaves whole. One bucket makes a window that starts anew each time it is over. @defaultValue `10` */
  readonly buckets: number;
}

/** A window of the last calls, whenever they were. */
export interface CountWindowSettings {
  /** How many judged calls count. */
  readonly calls: number;
}

/** Averages in which an outcome counts less the longer ago it was. `Time` is what a length of time is given as: ms, once read. */
export interface TimeEwmaSettings<Time = number> {
  /** After so long an outcome counts half. */
  readonly halfLife: Time;
}

/** Averages in which an outcome counts less the more calls came after it. */
export interface CallEwmaSettings {
  /** After so many calls an outcome counts half. */
  readonly halfLifeCalls: number;
}

export type WindowSettings = TimeWindowSettings | CountWindowSettings | TimeEwmaSettings | CallEwmaSettings;

/** Makes a window. In an endless one (`duration: Infinity`) the first bucket never ends. */
export function windowOf(settings: WindowSettings): Window {
  if ('duration' in settings) return new TimeWindow(settings.duration, settings.buckets);
  if ('calls' in settings) return new CountWindow(settings.calls);
  return 'halfLife' in settings ? new EwmaWindow(settings.halfLife, 'time') : new EwmaWindow(settings.halfLifeCalls, 'calls');
}

/** Time after which nothing is left of an outcome, or half of it; `undefined` if time does not matter. */
export function lengthOf(settings: WindowSettings): number | undefined {
  if ('halfLife' in settings) return settings.halfLife;
  return 'duration' in settings && settings.duration !== Infinity ? settings.duration : undefined;
}
