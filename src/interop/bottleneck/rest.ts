/** Whether a limiter that was made here is as good as new: nothing runs or waits, what was taken is given back, and nobody has changed it by hand. */

import { systemClock, wallTime } from '../../core/clock.ts';
import type { BottleneckSettings } from './fields.ts';
import { type BottleneckLike, chainOf, isStopped, nextStart, standing, switches } from './instances.ts';
import { jobsOf } from './limiters.ts';

/** Answers whether the limiter, which is new now, is as good as that. */
export function restOf(limiter: BottleneckLike, made: BottleneckSettings): () => boolean {
  const first = settingsOf(limiter);
  return () => {
    const { active, queued } = jobsOf(limiter);
    if (active + queued > 0 || isStopped(limiter) || chainOf(limiter).length > 1 || !isSame(first, settingsOf(limiter))) return false;
    const next = nextStart(limiter);
    if (next === undefined) return true;
    return next <= wallTime(systemClock) && isFull(standing(limiter).reservoir ?? undefined, made);
  };
}

type Settings = Readonly<Record<string, unknown>>;

/** Those that nothing but a word of somebody's changes. */
function settingsOf(limiter: BottleneckLike): Settings {
  return { ...standing(limiter), reservoir: undefined, ...switches(limiter) };
}

function isSame(one: Settings, other: Settings): boolean {
  return Object.keys({ ...one, ...other }).every((name) => Object.is(one[name], other[name]));
}

/** Whether there is as much as in the beginning. More than the limiter itself would ever put there, somebody gave. */
function isFull(left: number | undefined, made: BottleneckSettings): boolean {
  if (made.reservoir === undefined || left === undefined) return made.reservoir === left;
  const increased = made.reservoirIncreaseInterval === undefined ? 0 : (made.reservoirIncreaseMaximum ?? Infinity);
  const refreshed = made.reservoirRefreshInterval === undefined ? 0 : (made.reservoirRefreshAmount ?? 0);
  return left >= made.reservoir && left <= Math.max(made.reservoir, increased, refreshed);
}
