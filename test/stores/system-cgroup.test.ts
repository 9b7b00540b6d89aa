import { describe, expect, test } from 'vitest';
import fc from 'fast-check';
import { cgroupLimits } from '../../src/stores/system/cgroup.ts';
import '../support/properties.ts';

const limits = (files: Readonly<Record<string, string>>): ReturnType<typeof cgroupLimits> =>
  cgroupLimits((path) => (Object.hasOwn(files, path) ? files[path] : undefined));
const none = { cpus: Infinity, memory: Infinity };

describe('limits of a control group, version 2', () => {
  test('a container whose group is mounted as the root', () => {
    const files = {
      '/proc/self/cgroup': '0::/\n',
      '/sys/fs/cgroup/cpu.max': '150000 100000\n',
      '/sys/fs/cgroup/memory.max': '536870912\n',
    };
    expect(limits(files)).toEqual({ cpus: 1.5, memory: 512 * 2 ** 20 });
  });

  test('max is no limit, and a quota alone is of the usual 100 ms', () => {
    const files = { '/proc/self/cgroup': '0::/\n', '/sys/fs/cgroup/cpu.max': 'max 100000\n', '/sys/fs/cgroup/memory.max': 'max\n' };
    expect(limits(files)).toEqual(none);
    expect(limits({ '/sys/fs/cgroup/cpu.max': '50000' })).toEqual({ ...none, cpus: 0.5 });
  });

  test('of groups within groups the least counts, the outer ones too', () => {
    const files = {
      '/proc/self/cgroup': '0::/kubepods/burstable/pod1/abc\n',
      '/sys/fs/cgroup/kubepods/cpu.max': '800000 100000',
      '/sys/fs/cgroup/kubepods/burstable/pod1/cpu.max': '200000 100000',
      '/sys/fs/cgroup/kubepods/burstable/pod1/abc/cpu.max': 'max 100000',
      '/sys/fs/cgroup/kubepods/burstable/pod1/abc/memory.max': '1000000',
      '/sys/fs/cgroup/kubepods/memory.max': '900000',
      '/sys/fs/cgroup/kubepods/burstable/pod2/cpu.max': '10000 100000',
    };
    expect(limits(files)).toEqual({ cpus: 2, memory: 900_000 });
  });

  test('a path that leads out of what is mounted, or is endless, means the root', () => {
    for (const path of ['/../../system.slice', '/a/./b', `/${'a/'.repeat(100)}`])
      expect(limits({ '/proc/self/cgroup': `0::${path}\n`, '/sys/fs/cgroup/cpu.max': '100000 100000' })).toEqual({ ...none, cpus: 1 });
  });
});

describe('limits of a control group, version 1', () => {
  const groups = '12:memory:/docker/abc\n4:cpu,cpuacct:/docker/abc\n1:name=systemd:/docker/abc\n';

  test('a container whose own groups are mounted as the roots, though it is told the paths outside', () => {
    const files = {
      '/proc/self/cgroup': groups,
      '/sys/fs/cgroup/cpu/cpu.cfs_quota_us': '250000\n',
      '/sys/fs/cgroup/cpu/cpu.cfs_period_us': '100000\n',
      '/sys/fs/cgroup/memory/memory.limit_in_bytes': '268435456\n',
    };
    expect(limits(files)).toEqual({ cpus: 2.5, memory: 256 * 2 ** 20 });
  });

  test('a group under its path, with the controllers mounted by their full name', () => {
    const place = '/sys/fs/cgroup/cpu,cpuacct/docker/abc';
    const files = {
      '/proc/self/cgroup': groups,
      [`${place}/cpu.cfs_quota_us`]: '50000',
      [`${place}/cpu.cfs_period_us`]: '100000',
      '/sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes': '1024',
      '/sys/fs/cgroup/memory/memory.limit_in_bytes': '9223372036854771712',
    };
    expect(limits(files)).toEqual({ cpus: 0.5, memory: 1024 });
  });

  test('a quota of -1 and a memory of nearly 2^63 are no limits', () => {
    const files = {
      '/proc/self/cgroup': groups,
      '/sys/fs/cgroup/cpu/cpu.cfs_quota_us': '-1',
      '/sys/fs/cgroup/cpu/cpu.cfs_period_us': '100000',
      '/sys/fs/cgroup/memory/memory.limit_in_bytes': '9223372036854771712',
    };
    expect(limits(files)).toEqual(none);
  });

  test('both versions at once: the least of all counts', () => {
    const files = {
      '/proc/self/cgroup': `${groups}0::/docker/abc\n`,
      '/sys/fs/cgroup/docker/abc/memory.max': '4096',
      '/sys/fs/cgroup/cpu/docker/abc/cpu.cfs_quota_us': '300000',
      '/sys/fs/cgroup/cpu/docker/abc/cpu.cfs_period_us': '100000',
    };
    expect(limits(files)).toEqual({ cpus: 3, memory: 4096 });
  });
});

describe('where nothing can be read, or nothing made of it', () => {
  test('there is no limit', () => {
    expect(limits({})).toEqual(none);
    for (const text of ['', '\n', 'garbage', ':::', '0::', '0', 'x'.repeat(10_000), '0::relative\n'])
      expect(limits({ '/proc/self/cgroup': text, '/sys/fs/cgroup/cpu.max': text, '/sys/fs/cgroup/memory.max': text })).toEqual(none);
  });

  test('numbers that make no sense are none', () => {
    for (const [quota, memory] of [
      ['0 100000', '0'],
      ['100000 0', '-5'],
      ['1e9 1', '1e3'],
      ['NaN NaN', 'Infinity'],
      ['0x10 100', '0x10'],
      ['-100000 100000', '12abc'],
    ])
      expect(limits({ '/sys/fs/cgroup/cpu.max': quota as string, '/sys/fs/cgroup/memory.max': memory as string })).toEqual(none);
  });

  test('whatever stands in the files, limits are numbers above 0', () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), fc.string(), (groups, cpu, memory) => {
        const found = cgroupLimits((path) => (path === '/proc/self/cgroup' ? groups : path.includes('cpu') ? cpu : memory));
        expect(found.cpus).toBeGreaterThan(0);
        expect(found.memory).toBeGreaterThan(0);
      }),
    );
  });
});
