/** Limiters that are made here and not given: what they are made with, what is told of that, and their end. */

import { commonFields } from '../../core/mode.ts';
import type { PlainData } from '../../core/policy.ts';
import type { BottleneckSettings } from './fields.ts';
import type { BottleneckLike } from './instances.ts';

/** What `new Bottleneck(…)` gets: what was given, in an object of its own. Bottleneck changes the one it gets in some cases. */
export function ownOptions(settings: BottleneckSettings): Record<string, unknown> {
  const given = Object.entries(settings).filter(([name, value]) => value !== undefined && !Object.hasOwn(commonFields, name));
  return Object.fromEntries(given.map(([name, value]) => [name, name === 'clientOptions' ? copied(value) : value]));
}

function copied(value: unknown): unknown {
  return typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype ? { ...value } : value;
}

const objects: ReadonlySet<string> = new Set(['clientOptions', 'clusterNodes', 'connection', 'Redis', 'Promise']);

/** Settings as plain data, in bottleneck's words and in ours. What a client is made with holds passwords and is left out. */
export function describeOwn(settings: BottleneckSettings): PlainData {
  const shown = Object.entries(ownOptions(settings)).map(([name, value]) => [name, objects.has(name) ? 'given' : value] as const);
  return { ...Object.fromEntries(shown), maxQueue: settings.highWater ?? Infinity };
}

const endings = new FinalizationRegistry<BottleneckLike>((limiter) => void limiter.disconnect().catch(() => undefined));

/** Disconnects the limiter once nobody has the policy any more: the timer that fills its reservoir would keep it for ever. */
export function disconnectAfter(policy: object, limiter: BottleneckLike): void {
  endings.register(policy, limiter, policy);
}

/** Somebody may have the limiter without its policy. */
export function disconnectNever(policy: object): void {
  endings.unregister(policy);
}
