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

/** Two histograms that are emptied in turn: the older one has always seen the latest two stretches. Node's timer behind them keeps nothing alive and is no timer of the event loop's. */
class LoopDelays implements DelayMeter {
  #older: hooks.IntervalHistogram | undefined = undefined;
  #newer: hooks.IntervalHistogram | undefined = undefined;

  start(): void {
    this.#older ??= hooks.monitorEventLoopDelay({ resolution: RESOLUTION });
    this.#newer ??= hooks.monitorEventLoopDelay({ resolution: RESOLUTION });
    for (const histogram of [this.#older, this.#newer]) {
      histogram.reset();
      histogram.enable();
    }
  }

  stop(): void {
    this.#older?.disable();
    this.#newer?.disable();
  }

  turn(): number {
    const histogram = this.#older;
    if (histogram === undefined) return 0;
    // What is noted is how long a turn took, the wait that was asked for included.
    const late = histogram.count === 0 ? 0 : histogram.percentile(99) / 1e6 - RESOLUTION;
    histogram.reset();
    this.#older = this.#newer;
    this.#newer = histogram;
    return Math.max(0, late);
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
