/** What a monitor of the process tells. */

/** How the process is, lately. */
export interface SystemReadings {
  /** How late the event loop's turns come, ms: the 99th percentile of the last second. */
  readonly eventLoopDelay: number;
  /** The share of the last second that the event loop was busy, 0 to 1. */
  readonly eventLoopUtilization: number;
  /** The share of the processors it may use that the process uses, 0 to 1 (more, if it uses more than its share); a slow average. */
  readonly cpu: number;
  /** The share of the heap limit that is in use, 0 to 1. */
  readonly heapUsed: number;
  /** The share of the memory it may use that the process occupies, 0 to 1. */
  readonly memory: number;
  /** Memory that the process occupies, bytes. */
  readonly rss: number;
  /** Handles and requests that keep the event loop alive. */
  readonly activeHandles: number;
}

/** One of them. */
export type SystemReading = keyof SystemReadings;

/**
 * Where readings come from. `read` is asked when calls come, at most once in each sampling interval of a guard, and answers at once, with what it knows last;
 * `wanted` names what there are thresholds for. What it leaves out, and what is no number of at least 0, counts as nothing to worry about.
 */
export interface SystemMonitor {
  read(wanted: ReadonlySet<SystemReading>): Partial<SystemReadings>;
}

/** What a process shows that does nothing. */
export const calm: SystemReadings = Object.freeze({
  eventLoopDelay: 0,
  eventLoopUtilization: 0,
  cpu: 0,
  heapUsed: 0,
  memory: 0,
  rss: 0,
  activeHandles: 0,
});
