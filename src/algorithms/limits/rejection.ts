/**
 * The share of newcomers to turn away, 0 to 1, from how long the queue is: none below `threshold`, all from `max` on, and linearly more between the two.
 * Turning some away early tells callers of the overload before the queue is full (after failsafe-go; random early detection, Floyd and Jacobson, 1993).
 */
export function rejectionShare(queued: number, threshold: number, max: number): number {
  if (queued < threshold) return 0;
  if (queued >= max) return 1;
  return (queued - threshold) / (max - threshold);
}
