import { describe, expect, test } from 'vitest';
import { VirtualClock, arrange } from 'breakwater/testing';
import { systemGuard } from '../../src/policies/system-guard.ts';
import { ProcessMonitor, type SystemSources } from '../../src/stores/system/process-monitor.ts';

/** A machine of 64 processors and 256 GB, in which a process uses `cpus` of them all the time and occupies `rss` bytes. */
function machine(cpus: number, rss: number, files: Readonly<Record<string, string>>, clock: VirtualClock): SystemSources {
  return {
    delays: { start: () => undefined, stop: () => undefined, turn: () => 0 },
    loop: () => ({ active: 0, idle: clock.now() }),
    cpu: () => cpus * clock.now(),
    parallelism: () => 64,
    heap: () => ({ used: 1, limit: 100 }),
    rss: () => rss,
    machineMemory: () => 2 ** 38,
    activeHandles: () => 0,
    readText: (path) => files[path],
  };
}

async function loadAfterAMinute(files: Readonly<Record<string, string>>): Promise<{ load: number; code: unknown }> {
  const clock = new VirtualClock();
  const monitor = new ProcessMonitor(machine(2, 950 * 2 ** 20, files, clock), clock);
  const { run, policy } = arrange(systemGuard({ memory: 0.9, bbr: false, monitor }), { clock });
  let code: unknown;
  for (let i = 0; i < 120; i++) {
    code = await run(() => 'served').catch((error: unknown) => (error as { code: unknown }).code);
    await clock.advance(500);
  }
  return { load: policy.load, code };
}

// Sentinel #1146, #2165: the load of the host was compared with the processors of the host, so a container that had used up its own share looked idle.
describe('a container that has used up what it may use is overloaded, however idle the machine is', () => {
  test('without limits: 2 processors of 64', async () => {
    const { load, code } = await loadAfterAMinute({});
    expect(code).toBe('served');
    expect(load).toBeLessThan(0.05);
  });

  test('2 processors of 2, version 2', async () => {
    const { load, code } = await loadAfterAMinute({ '/proc/self/cgroup': '0::/\n', '/sys/fs/cgroup/cpu.max': '200000 100000' });
    expect(code).toBe('ERR_OVERLOADED');
    expect(load).toBeGreaterThan(1);
  });

  test('2 processors of 2, version 1, within a pod that is told its path outside', async () => {
    const { code } = await loadAfterAMinute({
      '/proc/self/cgroup': '4:cpu,cpuacct:/kubepods/pod1/abc\n',
      '/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us': '200000',
      '/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us': '100000',
    });
    expect(code).toBe('ERR_OVERLOADED');
  });

  test('950 MB of 1 GB', async () => {
    const { load, code } = await loadAfterAMinute({ '/sys/fs/cgroup/memory.max': String(2 ** 30) });
    expect(code).toBe('ERR_OVERLOADED');
    expect(load).toBeCloseTo(950 / 1024 / 0.9, 6);
  });
});
