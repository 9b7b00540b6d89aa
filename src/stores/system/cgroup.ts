/**
 * What a container may use: the limits of Linux control groups, version 1 (`cpu.cfs_quota_us`, `memory.limit_in_bytes`) and version 2 (`cpu.max`, `memory.max`). A group is bound by
 * its own limit and those of all groups around it, so the least counts. Inside a container the groups are usually mounted as if its own were the root; then the paths that the
 * process is told do not exist, and what is found at the root is meant.
 */

/** The text of a file, or `undefined` if it cannot be read. */
export type ReadText = (path: string) => string | undefined;

/** `Infinity` where there is no limit. */
export interface CgroupLimits {
  /** How many processors' time, fractions included. */
  readonly cpus: number;
  /** Bytes. */
  readonly memory: number;
}

const MOUNT = '/sys/fs/cgroup';

/** No group lies deeper; whoever says so is not believed. */
const DEEPEST = 64;

/** From here on a number of bytes (version 1) means that there is no limit: a multiple of pages just under 2^63. */
const NO_LIMIT = 2 ** 60;

/** Names under which version 1 mounts what limits processors. */
const cpuMounts = ['cpu', 'cpu,cpuacct', 'cpuacct,cpu'];

/** The limits that this process is under, as far as they can be read. */
export function cgroupLimits(read: ReadText): CgroupLimits {
  const groups = groupsOf(read('/proc/self/cgroup') ?? '');
  let cpus = Infinity;
  let memory = Infinity;
  for (const group of upwards(groups.get('') ?? '/')) {
    cpus = Math.min(cpus, cpuMax(read(`${MOUNT}${group}/cpu.max`)));
    memory = Math.min(memory, bytes(read(`${MOUNT}${group}/memory.max`)));
  }
  for (const group of upwards(groups.get('cpu') ?? '/')) {
    for (const mount of cpuMounts) {
      const place = `${MOUNT}/${mount}${group}`;
      cpus = Math.min(cpus, share(read(`${place}/cpu.cfs_quota_us`), read(`${place}/cpu.cfs_period_us`)));
    }
  }
  for (const group of upwards(groups.get('memory') ?? '/'))
    memory = Math.min(memory, bytes(read(`${MOUNT}/memory${group}/memory.limit_in_bytes`)));
  return { cpus, memory };
}

/** The group for each controller; version 2 has one for all, under the empty name. Lines read `number:controllers:path`. */
function groupsOf(text: string): ReadonlyMap<string, string> {
  const groups = new Map<string, string>();
  for (const line of text.split('\n')) {
    const [number, controllers, ...path] = line.trim().split(':');
    if (number === undefined || controllers === undefined || !path[0]?.startsWith('/')) continue;
    for (const controller of controllers.split(',')) groups.set(controller, path.join(':'));
  }
  return groups;
}

/** The group and all around it, up to the root, which is the empty path. A path that leads out of what is mounted here means the root. */
function upwards(path: string): readonly string[] {
  const steps = path.split('/').filter((step) => step !== '');
  if (steps.length > DEEPEST || steps.some((step) => step === '..' || step === '.')) return [''];
  return ['', ...steps.map((_, i) => `/${steps.slice(0, i + 1).join('/')}`)];
}

/** `quota period` or `max period`. */
function cpuMax(text: string | undefined): number {
  const [quota, period] = text?.trim().split(/\s+/) ?? [];
  return share(quota, period ?? '100000');
}

/** A quota of -1, or `max`, is none. */
function share(quota: string | undefined, period: string | undefined): number {
  const cpus = whole(quota) / whole(period);
  return cpus > 0 && cpus < Infinity ? cpus : Infinity;
}

function bytes(text: string | undefined): number {
  const limit = whole(text);
  return limit > 0 && limit < NO_LIMIT ? limit : Infinity;
}

function whole(text: string | undefined): number {
  const trimmed = text?.trim() ?? '';
  return /^\d{1,20}$/.test(trimmed) ? Number(trimmed) : NaN;
}
