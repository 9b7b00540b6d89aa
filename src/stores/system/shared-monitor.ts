/** The one monitor that all guards of a process share. */

import { type Clock, mayArmLater, systemClock } from '../../core/clock.ts';
import { hostSources } from './host-sources.ts';
import { ProcessMonitor } from './process-monitor.ts';
import { type SystemMonitor, calm } from './readings.ts';

const shared = new ProcessMonitor(hostSources, systemClock);

/** Tells of a process that has nothing to do. */
const calmMonitor: SystemMonitor = { read: () => calm };

/**
 * The monitor for a guard that was given none. Where time is moved by hand (the globals are faked, or the clock is one that can be advanced) that is a process that has nothing to
 * do: the load of the machine that tests run on would make them depend on it.
 */
export function monitorFor(clock: Clock): SystemMonitor {
  return mayArmLater(systemClock) && !('advance' in clock) ? shared : calmMonitor;
}
