/** How much a call matters when not all can be served, from most to least. After the criticality of requests in Google's "Site Reliability Engineering", chapter 21. */
export type Priority = 'critical-plus' | 'critical' | 'sheddable-plus' | 'sheddable' | 'best-effort';

/** All classes, from most to least. */
export const priorities: readonly Priority[] = Object.freeze(['critical-plus', 'critical', 'sheddable-plus', 'sheddable', 'best-effort']);

/** Levels within a class: 0 to 99. */
export const LEVELS = 100;

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
