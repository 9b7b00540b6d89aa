/** Listening to limiters: one set of listeners for each, however many policies and pipelines there are. */

import { Audience } from '../../core/audience.ts';
import { type BottleneckLike, chainOf, mendIds } from './instances.ts';

/** What a job of ours wants to hear. */
export interface Watched {
  /** It was put into the queue. */
  queued(limiter: BottleneckLike): void;
  /** It was thrown out of it. */
  dropped(limiter: BottleneckLike): void;
  /** Its run failed, or its time was up. */
  failed(limiter: BottleneckLike, error: unknown): void;
  /** It is over, and will not be run again. */
  done(limiter: BottleneckLike): void;
}

/** What bottleneck tells of a job. */
interface JobInfo {
  readonly args: readonly unknown[];
}

/** Jobs of ours, by what they are run with. */
const jobs = new WeakMap<object, Watched>();

/** Makes events of jobs that are run with `argument` known to `job`. */
export function follow(argument: object, job: Watched): void {
  jobs.set(argument, job);
}

const audiences = new WeakMap<object, Audience>();

/** The pipelines that a limiter or a group stands in. */
export function audienceOf(source: object): Audience {
  let audience = audiences.get(source);
  if (audience === undefined) audiences.set(source, (audience = new Audience()));
  return audience;
}

const watches = new WeakMap<BottleneckLike, Set<Audience>>();

/** Listens to a limiter and those chained to it, once; what happens to the limiter is told to the audience. */
export function watch(limiter: BottleneckLike, audience: Audience): void {
  for (const one of chainOf(limiter)) {
    const known = watches.get(one) ?? listen(one);
    if (one === limiter) known.add(audience);
  }
}

/** So many listeners for an event of a limiter are ours. */
export const OURS = 1;

function listen(limiter: BottleneckLike): Set<Audience> {
  const told = new Set<Audience>();
  watches.set(limiter, told);
  mendIds(limiter);
  const emit = (type: string, level: 'debug' | 'warn' | 'error', fields: object): void => {
    for (const audience of told) audience.emit(type, level, undefined, fields);
  };
  limiter.on('queued', (info: JobInfo) => jobOf(info)?.queued(limiter));
  limiter.on('dropped', (info: JobInfo) => jobOf(info)?.dropped(limiter));
  // What a listener to this one answers with is how long to wait before the job is run again: nothing may come back from here.
  limiter.on('failed', (error: unknown, info: JobInfo) => jobOf(info)?.failed(limiter, error));
  limiter.on('done', (info: JobInfo) => jobOf(info)?.done(limiter));
  limiter.on('depleted', (empty: boolean) => emit('bottleneck.depleted', 'warn', { empty }));
  limiter.on('empty', () => emit('bottleneck.emptied', 'debug', {}));
  limiter.on('idle', () => emit('bottleneck.idled', 'debug', {}));
  limiter.on('error', (error: unknown) => emit('bottleneck.failed', 'error', { error }));
  return told;
}

function jobOf(info: JobInfo): Watched | undefined {
  const [argument] = info.args;
  return typeof argument === 'object' && argument !== null ? jobs.get(argument) : undefined;
}
