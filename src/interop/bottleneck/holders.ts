/** Who holds something of a limiter: a call that could only be let in once its own work has ended is told so, and does not wait for itself. */

import type { Call } from '../../core/call.ts';
import { makersOf } from '../../core/context.ts';
import { type BottleneckLike, chainOf, standing } from './instances.ts';

/** A job that lets a call in. */
interface Holding {
  readonly limiter: BottleneckLike;
  readonly options: { readonly weight: number };
  /** Its run is under way, and its weight with it. */
  readonly holds: boolean;
}

/** A limiter that a call would wait in for as long as it waits. */
export interface Standstill {
  /** What may run in it at once. */
  readonly most: number;
  /** What the call, and the work that makes it, hold of that. */
  readonly held: number;
}

/** Where a call that weighs so much would wait for itself: in the limiter or in one that it is chained to. */
export function standstill(
  limiter: BottleneckLike,
  call: Call,
  weight: number,
  jobOf: (call: Call) => Holding | undefined,
): Standstill | undefined {
  const holding = holdingFor(call, jobOf);
  if (holding.size === 0) return undefined;
  for (const one of chainOf(limiter)) {
    const most = standing(one).maxConcurrent ?? Infinity;
    let held = 0;
    for (const job of holding) if (chainOf(job.limiter).includes(one)) held += job.options.weight;
    if (held > 0 && held + weight > most) return { most, held };
  }
  return undefined;
}

/** Jobs of the call itself, of those that it derives from, and of those in whose work it is made. */
function holdingFor(call: Call, jobOf: (call: Call) => Holding | undefined): ReadonlySet<Holding> {
  const jobs = new Set<Holding>();
  const look = (at: Call): void => {
    const job = jobOf(at);
    if (job?.holds === true) jobs.add(job);
  };
  for (let one: Call | undefined = call; one !== undefined; one = one.parent) look(one);
  for (const maker of makersOf(call)) look(maker);
  return jobs;
}
