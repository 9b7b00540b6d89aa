/** Ids of jobs: one that a call had is free again when bottleneck has done with its job, which is some turns of the event loop after the call was answered. */

import { type BottleneckLike, chainOf } from './instances.ts';

/** A job that has an id. */
interface Named {
  /** Its call is answered, and bottleneck will be done with it soon. */
  readonly leaving: boolean;
}

const held = new WeakMap<BottleneckLike, Map<string, IdHold>>();

/** What came of asking for an id. */
export interface Taken {
  readonly hold?: IdHold;
  /** What to wait for first: a job that is about to leave has the id still. */
  readonly ready?: Promise<unknown>;
}

/** An id that is held in a limiter and those chained to it. */
export class IdHold {
  /** Resolves when the id is free again. */
  readonly over: Promise<void>;
  readonly #id: string;
  readonly #job: Named;
  readonly #places: readonly Map<string, IdHold>[];
  #end: () => void = () => undefined;

  private constructor(id: string, job: Named, places: readonly Map<string, IdHold>[]) {
    this.#id = id;
    this.#job = job;
    this.#places = places;
    this.over = new Promise((resolve) => (this.#end = resolve));
    for (const place of places) place.set(id, this);
  }

  /** Holds an id for a job; `undefined` if another has it, and is not about to leave. */
  static take(limiter: BottleneckLike, id: string, job: Named): Taken | undefined {
    const places = chainOf(limiter).map(placeOf);
    const before = new Set(places.flatMap((place) => place.get(id) ?? []));
    for (const one of before) if (!one.#job.leaving) return undefined;
    const hold = new IdHold(id, job, places);
    return before.size === 0 ? { hold } : { hold, ready: Promise.all(Array.from(before, ({ over }) => over)) };
  }

  release(): void {
    for (const place of this.#places) if (place.get(this.#id) === this) place.delete(this.#id);
    this.#end();
  }
}

function placeOf(limiter: BottleneckLike): Map<string, IdHold> {
  let place = held.get(limiter);
  if (place === undefined) held.set(limiter, (place = new Map<string, IdHold>()));
  return place;
}
