/**
 * How much a request matters, as a field: a class, or a class and a level within it.
 * So `critical`, or `sheddable;42`.
 */

import { LEVELS, type Priority, isPriority } from '../core/priority.ts';
import { digitsAt } from './bounds.ts';

/** Breakwater's own field for it. */
export const PRIORITY_FIELD = 'x-request-priority';

/** What such a field says. */
export interface StatedPriority {
  readonly priority: Priority;
  /** 0 to 99; not there if the field does not say. */
  readonly priorityLevel?: number;
}

/** Digits of the greatest level. */
const LEVEL_DIGITS = String(LEVELS - 1).length;

/** Reads `critical`, or with a level `sheddable;42`; `undefined` if it is neither. */
export function parsePriority(value: string): StatedPriority | undefined {
  const at = value.indexOf(';');
  const priority = at < 0 ? value : value.slice(0, at);
  if (!isPriority(priority)) return undefined;
  if (at < 0) return { priority };
  const priorityLevel = digitsAt(value, at + 1, value.length, LEVEL_DIGITS);
  return priorityLevel < 0 ? undefined : { priority, priorityLevel };
}

/** The value that says so. A level that is none (not a whole number from 0 to 99) is left out. */
export function writePriority(priority: Priority, priorityLevel?: number): string {
  const stated = priorityLevel !== undefined && Number.isInteger(priorityLevel) && priorityLevel >= 0 && priorityLevel < LEVELS;
  return stated ? `${priority};${priorityLevel}` : priority;
}
