/**
 * Calls that go through a bottleneck: the limiter you have, or one made with the options you have, as a policy. It is the package itself that decides when a call may go on; your
 * listeners, settings and chained limiters stay what they are.
 *
 * @example
 * ```ts
 * import Bottleneck from 'bottleneck';
 * import { pipeline } from 'breakwater';
 * import { bottleneckLimiter } from 'breakwater/bottleneck';
 *
 * const yours = new Bottleneck({ maxConcurrent: 2, minTime: 1 });
 * const api = pipeline([bottleneckLimiter(yours, { weight: ({ tags }) => Number(tags['pages'] ?? 1) })]);
 * console.log(await Promise.all([1, 2, 3].map((n) => api.execute(() => n * n)))); // => [1, 4, 9]
 * ```
 *
 * @module
 */

import Package from 'bottleneck';
import type { Audience } from '../core/audience.ts';
import { OptionsError } from '../core/errors.ts';
import type { Mode, PolicyOptions } from '../core/mode.ts';
import { readOptions, show } from '../core/options.ts';
import { type GatePolicy, type Handler, type PlainData, type StagedPolicy, mountAlone } from '../core/policy.ts';
import type { Scope } from '../core/scope.ts';
import type { Gate, Stage } from '../core/stage.ts';
import {
  type BottleneckGroupOptions,
  type BottleneckGroupSettings,
  type BottleneckJobOptions,
  type BottleneckJobSettings,
  type BottleneckLimiterOptions,
  type BottleneckSettings,
  bottleneckFields,
  bottleneckGroupFields,
  bottleneckJobFields,
} from './bottleneck/fields.ts';
import { BottleneckGate, BottleneckReaction, type Source } from './bottleneck/gate.ts';
import { type BottleneckGroupLike, type BottleneckLike, type BottleneckStopOptions, isGroup, isLimiter } from './bottleneck/instances.ts';
import { GroupLimiters, type Limiters, OneLimiter, type Reading } from './bottleneck/limiters.ts';
import { checkGiven, checkNoKeys, checkTimeout } from './bottleneck/mistaken.ts';
import { describeOwn, disconnectAfter, disconnectNever, ownOptions } from './bottleneck/own.ts';
import type { Tally } from './bottleneck/refusals.ts';
import { restOf } from './bottleneck/rest.ts';
import { JobTerms } from './bottleneck/terms.ts';
import { audienceOf } from './bottleneck/watch.ts';

export type { BottleneckGroupOptions, BottleneckJobOptions, BottleneckLimiterOptions } from './bottleneck/fields.ts';
export type { BottleneckCounts, BottleneckGroupLike, BottleneckLike, BottleneckStopOptions } from './bottleneck/instances.ts';
export { fromBottleneckOptions } from './bottleneck/native.ts';
export type { BottleneckNative, NativeBottleneck } from './bottleneck/native-tuple.ts';
export { bottleneckFields };

/** Options of {@link bottleneckLimiter}: those of `new Bottleneck(…)`. */
export interface BottleneckOptions extends BottleneckLimiterOptions, PolicyOptions {}

declare module '../core/events.ts' {
  interface EventFields {
    /** It stands in bottleneck's queue, as every call does at least for some turns of the event loop. */
    'bottleneck.queued': { readonly active: number; readonly queued: number };
    'bottleneck.admitted': { readonly waited: number };
    /** It was thrown out of the queue, or not taken into it (`highWater` and `strategy`). */
    'bottleneck.dropped': { readonly waited: number };
    /** It ran out of the time that `expiration` gives it. */
    'bottleneck.expired': { readonly after: number; readonly started: boolean };
    /** A listener to bottleneck's `failed` asked for another run, and it begins. */
    'bottleneck.retried': { readonly attempt: number };
    /** The reservoir of the limiter is used up. */
    'bottleneck.depleted': { readonly empty: boolean };
    /** Nothing waits in the limiter any more. */
    'bottleneck.emptied': object;
    /** Nothing waits in the limiter, and nothing runs. */
    'bottleneck.idled': object;
    /** The limiter told of an error: of its store, or of a listener. */
    'bottleneck.failed': { readonly error: unknown };
  }
}

/** Calls that run and wait, the limits that stand, what is left of the reservoir, keys of a group, and calls turned away. */
export type BottleneckSnapshot = PlainData & Reading & Tally & { readonly keys?: number };

/** A limiter of bottleneck, or a group of them, as a policy. */
export interface BottleneckLimiter<Instance = BottleneckLike> extends GatePolicy, StagedPolicy {
  readonly kind: 'bottleneck';
  /** The real one, yours or the one that was made, for all that bottleneck can do: `updateSettings`, `incrementReservoir`, `on`. */
  readonly limiter: Instance;
  /** Jobs that run now: calls, and what else is given to the limiter. */
  readonly active: number;
  /** Jobs that wait now, those of calls that were cut short included. */
  readonly queued: number;
  /** Takes no more calls; those that wait are refused, or with `dropWaitingJobs: false` run first. Resolves when nothing runs any more. */
  stop(options?: BottleneckStopOptions): Promise<void>;
  /** Lets go of Redis, and of the timer that fills the reservoir. Calls that wait for a reservoir then wait for good: call `stop` first. */
  disconnect(flush?: boolean): Promise<void>;
  snapshot(): BottleneckSnapshot;
}

/**
 * Lets calls through as bottleneck says: a call becomes a job, and goes on when its job begins. Takes the options of `new Bottleneck(…)`, a limiter of yours, or a `Bottleneck.Group`,
 * where each `call.key` has a limiter of its own. The second argument says what jobs are given: `priority`, `weight`, `expiration` and `id`, each also as a function of the call.
 *
 * A dropped call gets a {@link BulkheadFullError}, or a {@link RateLimitedError} where the reservoir is used up, one that came after `stop()` a {@link ShutdownError}, and one whose `expiration` is over a {@link TimeoutError}, while its work's signal
 * aborts; the package's own error is their `cause`. Where a listener to `failed` answers with a delay, the work is run again.
 *
 * @throws OptionsError if an option is wrong, or a group lets its limiters go before their reservoirs are filled again
 */
export function bottleneckLimiter<Instance extends BottleneckGroupLike>(
  group: Instance,
  options?: BottleneckGroupOptions,
): BottleneckLimiter<Instance>;
export function bottleneckLimiter<Instance extends BottleneckLike>(
  limiter: Instance,
  options?: BottleneckJobOptions,
): BottleneckLimiter<Instance>;
export function bottleneckLimiter(options: BottleneckOptions, job?: BottleneckJobOptions): BottleneckLimiter<Package>;
export function bottleneckLimiter(
  given: BottleneckOptions | BottleneckLike | BottleneckGroupLike,
  more: BottleneckGroupOptions = {},
): BottleneckLimiter<unknown> {
  if (isGroup(given)) {
    checkTimeout('bottleneckLimiter', given);
    const settings = readOptions('bottleneckLimiter', bottleneckGroupFields, more);
    return new BottleneckPolicy(given, new GroupLimiters(given, settings.maxKeys), settings);
  }
  checkNoKeys('bottleneckLimiter', more);
  if (isLimiter(given))
    return new BottleneckPolicy(given, new OneLimiter(given), readOptions('bottleneckLimiter', bottleneckJobFields, more));
  checkGiven('bottleneckLimiter', given);
  const job = readOptions('bottleneckLimiter', bottleneckJobFields, more);
  const settings = readOptions('bottleneckLimiter', bottleneckFields, given);
  const limiter = made(settings);
  const common = { name: job.name ?? settings.name, mode: more.mode === undefined ? settings.mode : job.mode };
  return new BottleneckPolicy(limiter, new OneLimiter(limiter), { ...job, ...common }, settings);
}

function made(settings: BottleneckSettings): BottleneckLike {
  try {
    return new Package(ownOptions(settings));
  } catch (error) {
    const got = error instanceof Error ? error.message : show(error);
    throw new OptionsError([{ path: 'bottleneckLimiter', expected: 'options that bottleneck takes', got }]);
  }
}

class BottleneckPolicy<Instance extends BottleneckLike | BottleneckGroupLike> implements BottleneckLimiter<Instance>, Source {
  readonly kind = 'bottleneck';
  readonly name: string | undefined;
  readonly mode: Mode;
  readonly terms: JobTerms;
  readonly tally: Tally = { dropped: 0, refused: 0, expired: 0 };
  readonly audience: Audience;
  /** Nothing ends the wait of a call for a place that its own work holds. */
  readonly tracks: boolean;
  readonly limiterFor: Source['limiterFor'];
  /** Whether it is as good as new. What a limiter of somebody else's has seen, nobody knows. */
  readonly atRest: (() => boolean) | undefined;
  readonly #instance: Instance;
  readonly #limiters: Limiters;
  readonly #job: BottleneckJobSettings | BottleneckGroupSettings;
  readonly #own: BottleneckSettings | undefined;

  constructor(instance: Instance, limiters: Limiters, job: BottleneckJobSettings | BottleneckGroupSettings, own?: BottleneckSettings) {
    this.name = job.name;
    this.mode = job.mode;
    this.terms = new JobTerms(job);
    this.audience = audienceOf(instance);
    this.tracks = limiters.limits().maxConcurrent < Infinity && typeof job.expiration !== 'number';
    this.limiterFor = ({ key }) => limiters.for(key);
    this.#instance = instance;
    this.#limiters = limiters;
    this.#job = job;
    this.#own = own;
    this.atRest = own === undefined ? undefined : restOf(instance as BottleneckLike, own);
    if (own !== undefined) disconnectAfter(this, instance as BottleneckLike);
  }

  get limiter(): Instance {
    disconnectNever(this);
    return this.#instance;
  }

  get active(): number {
    return this.#limiters.read().active;
  }

  get queued(): number {
    return this.#limiters.read().queued;
  }

  gate(scope: Scope): Gate {
    this.audience.add(scope);
    return new BottleneckGate(this, scope);
  }

  stages(scope: Scope): readonly Stage[] {
    return [
      { gate: this.gate(scope), scope },
      { reaction: new BottleneckReaction(), scope },
    ];
  }

  mount(next: Handler, scope: Scope): Handler {
    return mountAlone(this, next, scope);
  }

  stop(options?: BottleneckStopOptions): Promise<void> {
    return this.#limiters.stop(options);
  }

  disconnect(flush?: boolean): Promise<void> {
    return this.#limiters.disconnect(flush);
  }

  snapshot(): BottleneckSnapshot {
    const keys = isGroup(this.#instance) ? { keys: this.#instance.keys().length } : {};
    return { ...this.#limiters.read(), ...keys, ...this.tally };
  }

  describe(): PlainData {
    const terms = this.terms.describe();
    if (this.#own !== undefined) return { ...describeOwn(this.#own), ...terms, id: this.#own.id };
    const limits = { ...this.#limiters.limits(), ...terms };
    return isGroup(this.#instance) ? { group: true, maxKeys: (this.#job as BottleneckGroupSettings).maxKeys, ...limits } : limits;
  }
}
