/** How much a call matters when not all can be served, from most to least. After the criticality of requests in Google's "Site Reliability Engineering", chapter 21. */
export type Priority = 'critical-plus' | 'critical' | 'sheddable-plus' | 'sheddable' | 'best-effort';

/** All classes, from most to least. */
export const priorities: readonly Priority[] = Object.freeze(['critical-plus', 'critical', 'sheddable-plus', 'sheddable', 'best-effort']);

/** Levels within a class: 0 to 99. */
export const LEVELS = 100;

/** The level of calls whose callers do not say. */
export const MIDDLE: number = LEVELS / 2;

/** So many ranks there are. */
export const RANKS: number = priorities.length * LEVELS;

const places: ReadonlyMap<unknown, number> = new Map(priorities.map((name, i) => [name, (priorities.length - 1 - i) * LEVELS]));

/** Whether this is the name of a class. */
export function isPriority(value: unknown): value is Priority {
  return places.has(value);
}

/** Class and level as one number, 0 to 499; of two calls the one of higher rank matters more. */
export function rankOf(priority: Priority, level = 0): number {
  return (places.get(priority) as number) + level;
}

/** The same for a call whose level is drawn where nobody says: it tells a share of the calls of a class from the rest. */
export function drawnRankOf({ priority, priorityLevel }: { readonly priority: Priority; readonly priorityLevel: number }): number {
  return rankOf(priority, priorityLevel);
}

/** Levels that were drawn, by call. */
const drawn = new WeakMap<object, number>();

/** A level drawn by chance, the same each time for one call. */
export function drawnLevel(call: object, random: () => number): number {
  const level = drawn.get(call) ?? Math.floor(random() * LEVELS);
  drawn.set(call, level);
  return level;
}
