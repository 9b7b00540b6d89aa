import { afterEach, describe, expect, test, vi } from 'vitest';
import { VirtualClock } from 'breakwater/testing';
import { systemClock } from '../../src/core/clock.ts';
import { hostSources } from '../../src/stores/system/host-sources.ts';
import { ProcessMonitor, type SystemSources } from '../../src/stores/system/process-monitor.ts';
import { type SystemReading, calm } from '../../src/stores/system/readings.ts';
import { monitorFor } from '../../src/stores/system/shared-monitor.ts';

const nothing: ReadonlySet<SystemReading> = new Set();

/** A process that does as it is told: `busy` of the loop, `cpus` processors' worth of time. */
class Process {
  readonly clock = new VirtualClock();
  readonly files: Record<string, string> = {};
  busy = 0;
  cpus = 0;
  delay = 0;
  rss = 100;
  reads = 0;
  handleReads = 0;
  delays = 'off';
  #at = 0;
  #active = 0;
  #cpu = 0;
  readonly monitor = new ProcessMonitor(this.#sources(), this.clock);

  async run(ms: number): Promise<void> {
    await this.clock.advance(ms);
    this.#live();
  }

  read(wanted = nothing): ReturnType<ProcessMonitor['read']> {
    this.#live();
    return this.monitor.read(wanted);
  }

  #live(): void {
    const now = this.clock.now();
    this.#active += this.busy * (now - this.#at);
    this.#cpu += this.cpus * (now - this.#at);
    this.#at = now;
  }

  #sources(): SystemSources {
    return {
      delays: { start: () => (this.delays = 'on'), stop: () => (this.delays = 'off'), turn: () => this.delay },
      loop: () => ({ active: this.#active, idle: this.#at - this.#active }),
      cpu: () => this.#cpu,
      parallelism: () => 4,
      heap: () => ({ used: 30, limit: 100 }),
      rss: () => {
        this.reads++;
        return this.rss;
      },
      machineMemory: () => 1000,
      activeHandles: () => ++this.handleReads,
      readText: (path) => this.files[path],
    };
  }
}

describe('the monitor of the process', () => {
  test('answers from memory within half a second, and whoever asks: one sample for all', async () => {
    const process = new Process();
    const first = process.read();
    await process.run(499);
    expect(process.read()).toBe(first);
    expect(process.reads).toBe(1);
    await process.run(1);
    expect(process.read()).not.toBe(first);
    expect(process.reads).toBe(2);
  });

  test('looks at the last second of the event loop, not at all since it began (criterion 32)', async () => {
    const process = new Process();
    for (let i = 0; i < 20; i++) {
      process.read();
      await process.run(500);
    }
    process.busy = 1;
    expect(process.read().eventLoopUtilization).toBe(0);
    await process.run(500);
    expect(process.read().eventLoopUtilization).toBe(0.5);
    await process.run(500);
    expect(process.read().eventLoopUtilization).toBe(1);
    process.busy = 0;
    await process.run(500);
    process.read();
    await process.run(500);
    expect(process.read().eventLoopUtilization).toBe(0);
  });

  test('averages processor use with .95 every half second, whenever it is asked', async () => {
    const use = async (every: number): Promise<number> => {
      const process = new Process();
      process.cpus = 4;
      process.read();
      for (let ms = 0; ms < 6000; ms += every) {
        await process.run(every);
        process.read();
      }
      return process.read().cpu;
    };
    expect(await use(500)).toBeCloseTo(1 - 0.95 ** 12, 9);
    expect(await use(3000)).toBeCloseTo(1 - 0.95 ** 12, 9);
  });

  test('counts processors as the container does: half a processor that is used up is full use', async () => {
    const use = async (cpus: number, max?: string): Promise<number> => {
      const process = new Process();
      if (max !== undefined) process.files['/sys/fs/cgroup/cpu.max'] = max;
      process.cpus = cpus;
      process.read();
      for (let i = 0; i < 18; i++) {
        await process.run(500);
        process.read();
      }
      return process.read().cpu / (1 - 0.95 ** 18);
    };
    expect(await use(0.5)).toBeCloseTo(0.125, 6);
    expect(await use(0.5, '50000 100000')).toBeCloseTo(1, 6);
    expect(await use(2, '800000 100000')).toBeCloseTo(0.5, 6);
  });

  test('a limit that is changed while it runs is seen within a minute', async () => {
    const process = new Process();
    expect(process.read().memory).toBe(0.1);
    process.files['/sys/fs/cgroup/memory.max'] = '200';
    for (let i = 0; i < 61; i++) {
      await process.run(1000);
      process.read();
    }
    expect(process.read()).toMatchObject({ memory: 0.5, rss: 100, heapUsed: 0.3 });
  });

  test('counts handles only if somebody wants to know', async () => {
    const process = new Process();
    process.read();
    await process.run(500);
    expect(process.read().activeHandles).toBe(0);
    expect(process.handleReads).toBe(0);
    await process.run(500);
    expect(process.read(new Set(['activeHandles'])).activeHandles).toBe(1);
  });

  test('begins with the first question, ends ten seconds after the last, and leaves no timer', async () => {
    const process = new Process();
    expect([process.monitor.watching, process.clock.pending]).toEqual([false, 0]);
    process.busy = 1;
    process.read();
    expect([process.monitor.watching, process.delays, process.clock.pending]).toEqual([true, 'on', 1]);
    await process.run(9000);
    process.read();
    await process.run(9000);
    expect(process.monitor.watching).toBe(true);
    await process.run(1000);
    expect([process.monitor.watching, process.delays, process.clock.pending]).toEqual([false, 'off', 0]);
    await process.run(60_000);
    expect(process.read().eventLoopUtilization).toBe(0);
    expect(process.monitor.watching).toBe(true);
  });

  test('a clock that stands still or goes back makes no readings of nonsense', async () => {
    const process = new Process();
    process.cpus = 4;
    process.read();
    process.clock.rewind(5000);
    expect(process.read()).toMatchObject({ cpu: 0 });
    await process.run(6000);
    const { cpu, eventLoopUtilization } = process.read();
    expect(cpu).toBeGreaterThanOrEqual(0);
    expect(eventLoopUtilization).toBe(0);
  });
});

describe('this very process', () => {
  afterEach(() => {
    vi.useRealTimers();
  });

  test('tells numbers that can be true', () => {
    const { active, idle } = hostSources.loop();
    expect(active + idle).toBeGreaterThan(0);
    expect(hostSources.cpu()).toBeGreaterThan(0);
    expect(hostSources.parallelism()).toBeGreaterThanOrEqual(1);
    const { used, limit } = hostSources.heap();
    expect(used / limit).toBeGreaterThan(0);
    expect(used / limit).toBeLessThan(1);
    expect(hostSources.rss()).toBeGreaterThan(used);
    expect(hostSources.machineMemory()).toBeGreaterThan(hostSources.rss());
    expect(hostSources.activeHandles()).toBeGreaterThanOrEqual(0);
    expect(hostSources.readText('/no/such/file')).toBeUndefined();
  });

  test('notes that its event loop was held up', async () => {
    const { delays } = hostSources;
    delays.start(0);
    const turn = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 15));
    await turn();
    await turn();
    const until = performance.now() + 80;
    while (performance.now() < until);
    await turn();
    expect(delays.turn(500)).toBeGreaterThan(40);
    delays.stop();
  });

  test('notes a turn of its event loop that goes on and on, though it is read in the middle of it again and again', () => {
    const { delays } = hostSources;
    delays.start(0);
    expect([500, 1000, 1500, 3000].map((now) => delays.turn(now))).toEqual([240, 490, 740, 1490]);
    delays.stop();
  });

  test('is looked at with faked timers no more than on a clock moved by hand: tests do not depend on the machine they run on', () => {
    expect(monitorFor(new VirtualClock()).read(nothing)).toBe(calm);
    expect(monitorFor({ now: () => 0, setTimeout, clearTimeout }).read(nothing).rss).toBeGreaterThan(0);
    vi.useFakeTimers();
    expect(monitorFor(systemClock).read(nothing)).toBe(calm);
    expect(vi.getTimerCount()).toBe(0);
    vi.useRealTimers();
    expect(monitorFor(systemClock).read(nothing).rss).toBeGreaterThan(0);
  });
});
