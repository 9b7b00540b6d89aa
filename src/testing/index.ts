/** Tools for testing pipelines, your own policies, and code that uses them. */

export { VirtualClock, type VirtualClockOptions } from './virtual-clock.ts';
export { seededRandom } from './random.ts';
