/** Slowly growing functions of a limit, by which steps and thresholds keep in proportion to it. */

/** The number of digits after the first: 1 below 100, 2 below 1000, and so on; never below 1. */
export function log10Root(limit: number): number {
  return Math.max(1, Math.floor(Math.log10(Math.max(1, limit))));
}

/** The whole part of the square root, at least `floor`. */
export function sqrtRoot(limit: number, floor = 1): number {
  return Math.max(floor, Math.floor(Math.sqrt(Math.max(0, limit))));
}
