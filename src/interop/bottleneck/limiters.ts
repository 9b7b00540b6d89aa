/** Which limiter a call goes through: the one there is, or in a group that of its key. */

import { createHash } from 'node:crypto';
import { hashOf } from '../../algorithms/places.ts';
import { systemRandom } from '../../core/clock.ts';
import {
  type BottleneckGroupLike,
  type BottleneckLike,
  type BottleneckStopOptions,
  type StandingSettings,
  hasKey,
  isStopped,
  mendKeys,
  nextStart,
  settingsOf,
  standing,
} from './instances.ts';

/** So many limiters of a group, and no more than it may have in all, are shared by keys for which there is no room. */
const MOST_SHARED = 256;

/** Longer keys are not kept as they are. */
const LONGEST_KEY = 256;

/** What jobs and settings came to; the limits of a group are those that each key has. */
export type Reading = Readonly<Record<'active' | 'queued' | 'maxConcurrent' | 'maxQueue', number>> & {
  /** What is left of the reservoir, if there is one, and it is kept in this process. */
  readonly reservoir?: number;
};

/** The limits that stand; for a group, those that each key has. `Infinity`: none. */
export type Limits = Readonly<Record<'maxConcurrent' | 'minTime' | 'maxQueue', number>>;

/** Limiters for calls. */
export interface Limiters {
  for(key: string | undefined): BottleneckLike | undefined;
  limits(): Limits;
  read(): Reading;
  stop(options: BottleneckStopOptions | undefined): Promise<void>;
  disconnect(flush: boolean | undefined): Promise<void>;
}

/** One for all calls. */
export class OneLimiter implements Limiters {
  readonly #limiter: BottleneckLike;
  #end: Promise<void> | undefined = undefined;

  constructor(limiter: BottleneckLike) {
    this.#limiter = limiter;
  }

  for(): BottleneckLike {
    return this.#limiter;
  }

  limits(): Limits {
    return limitsIn(standing(this.#limiter));
  }

  read(): Reading {
    const { reservoir } = standing(this.#limiter);
    const { maxConcurrent, maxQueue } = this.limits();
    return {
      ...jobsOf(this.#limiter),
      maxConcurrent,
      maxQueue,
      ...(typeof reservoir === 'number' && nextStart(this.#limiter) !== undefined && { reservoir }),
    };
  }

  /** The package itself refuses to be stopped twice. */
  stop(options: BottleneckStopOptions | undefined): Promise<void> {
    this.#end ??= isStopped(this.#limiter) ? Promise.resolve() : this.#limiter.stop(options);
    return this.#end;
  }

  async disconnect(flush: boolean | undefined): Promise<void> {
    await this.#limiter.disconnect(flush);
  }
}

/** One for each key, in a group. */
export class GroupLimiters implements Limiters {
  readonly #group: BottleneckGroupLike;
  readonly #max: number;
  readonly #seed: number = Math.floor(systemRandom() * 2 ** 32);
  #end: Promise<void> | undefined = undefined;

  constructor(group: BottleneckGroupLike, max: number) {
    this.#group = group;
    this.#max = max;
    mendKeys(group);
  }

  /** Calls without a key share the limiter of the empty one, as in bottleneck. */
  for(key = ''): BottleneckLike | undefined {
    if (this.#end !== undefined) return undefined;
    const id = keyIn(key);
    return this.#group.key(hasKey(this.#group, id) || this.#group.keys().length < this.#max ? id : this.#shared(id));
  }

  limits(): Limits {
    return limitsIn(settingsOf(this.#group));
  }

  read(): Reading {
    let [active, queued] = [0, 0];
    for (const { limiter } of this.#group.limiters()) {
      const jobs = jobsOf(limiter);
      active += jobs.active;
      queued += jobs.queued;
    }
    const { maxConcurrent, maxQueue } = this.limits();
    return { active, queued, maxConcurrent, maxQueue };
  }

  stop(options: BottleneckStopOptions | undefined): Promise<void> {
    this.#end ??= this.#stopAll(options);
    return this.#end;
  }

  async disconnect(flush: boolean | undefined): Promise<void> {
    await Promise.all(this.#group.limiters().map(({ limiter }) => limiter.disconnect(flush)));
    await this.#group.disconnect(flush);
  }

  async #stopAll(options: BottleneckStopOptions | undefined): Promise<void> {
    const all = this.#group.limiters().filter(({ limiter }) => !isStopped(limiter));
    await Promise.all(all.map(({ limiter }) => limiter.stop(options)));
  }

  /** A limiter that keys share: which ones do, nobody can predict. */
  #shared(id: string): string {
    return `shared:${hashOf(id, this.#seed) % Math.min(this.#max, MOST_SHARED)}`;
  }
}

/** A key that could be taken for the hash of a long one, for what keys share, or for what stands for such a key. */
const lookalike = /^(?:(sha256:)+[0-9a-f]{32}|(shared:)+\d{1,3})$/;

/** What the limiter of a key is kept under: the key; of a long one its hash; one that looks like what is no key has a mark more. No two keys have the same. */
function keyIn(key: string): string {
  if (key.length > LONGEST_KEY) return `sha256:${createHash('sha256').update(key, 'utf16le').digest('hex').slice(0, 32)}`;
  const [, hashed, shared] = lookalike.exec(key) ?? [];
  return (hashed ?? shared ?? '') + key;
}

function limitsIn({ maxConcurrent, minTime, highWater }: StandingSettings): Limits {
  return { maxConcurrent: maxConcurrent ?? Infinity, minTime: minTime ?? 0, maxQueue: highWater ?? Infinity };
}

/** Calls whose work runs, and calls that wait. */
export function jobsOf(limiter: BottleneckLike): { readonly active: number; readonly queued: number } {
  const { RECEIVED, QUEUED, RUNNING, EXECUTING } = limiter.counts();
  return { active: EXECUTING, queued: RECEIVED + QUEUED + RUNNING };
}
