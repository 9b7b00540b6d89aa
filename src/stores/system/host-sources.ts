/** What this process tells about itself. The one place that asks Node's performance hooks: they are read, and nothing is timed by them. */

import { readFileSync } from 'node:fs';
import { availableParallelism, totalmem } from 'node:os';
import * as hooks from 'node:perf_hooks';
import { getHeapStatistics } from 'node:v8';
import type { DelayMeter, LoopTimes, SystemSources } from './process-monitor.ts';

/** The event loop is looked at so often, ms. */
const RESOLUTION = 10;

/** Fakes may take its place on the shared object later; the host's own goes on telling the truth. */
const utilization = hooks.performance.eventLoopUtilization.bind(hooks.performance);

/** What was noted since it was last emptied. */
class Stretch {
  since = 0;
  readonly #histogram = hooks.monitorEventLoopDelay({ resolution: RESOLUTION });

  begin(now: number): void {
    this.since = now;
    this.#histogram.reset();
    this.#histogram.enable();
  }

  end(): void {
    this.#histogram.disable();
  }

  /** Whether a turn of the event loop has been noted; the first one after a beginning only starts the watch. */
  get seen(): boolean {
    return this.#histogram.count > 0;
  }

  /**
   * How late turns came, ms. What is noted is how long they took, the wait that was asked for included. If none was noted, one is under way that takes at least half of the
   * stretch: readings are taken in the middle of turns, and of a turn that goes on for seconds nothing is noted before it ends.
   */
  late(now: number): number {
    return this.seen ? Math.max(0, this.#histogram.percentile(99) / 1e6 - RESOLUTION) : Math.max(0, (now - this.since) / 2 - RESOLUTION);
  }
}

/** Two stretches that are emptied in turn: the older one has always seen what came since the reading before the latest. Node's timer behind them keeps nothing alive. */
class LoopDelays implements DelayMeter {
  #older: Stretch | undefined = undefined;
  #newer: Stretch | undefined = undefined;

  start(now: number): void {
    this.#older ??= new Stretch();
    this.#newer ??= new Stretch();
    this.#older.begin(now);
    this.#newer.begin(now);
  }

  stop(): void {
    this.#older?.end();
    this.#newer?.end();
  }

  turn(now: number): number {
    const older = this.#older;
    const newer = this.#newer;
    if (older === undefined || newer === undefined) return 0;
    const late = newer.seen ? older.late(now) : Math.max(older.late(now), newer.late(now));
    // Emptied in the middle of a turn, a stretch would not note that turn.
    if (newer.seen) {
      older.begin(now);
      this.#older = newer;
      this.#newer = older;
    }
    return late;
  }
}

/** The host, read by Node's own means. */
export const hostSources: SystemSources = {
  delays: new LoopDelays(),
  loop: (): LoopTimes => utilization(),
  cpu: () => {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1000;
  },
  parallelism: () => availableParallelism(),
  heap: () => {
    const { used_heap_size: used, heap_size_limit: limit } = getHeapStatistics();
    return { used, limit };
  },
  rss: () => process.memoryUsage.rss(),
  machineMemory: () => totalmem(),
  activeHandles: () => process.getActiveResourcesInfo().length,
  readText: (path) => {
    try {
      return readFileSync(path, 'utf8');
    } catch {
      return undefined;
    }
  },
};
