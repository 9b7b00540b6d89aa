import type { EventEmitter } from 'node:events';
import type { Call } from '../../core/call.ts';
import type { PolicyOptions } from '../../core/mode.ts';
import type { Duration } from '../../core/options.ts';

/** Where answers are kept that are to be given again; it answers at once, not with promises. */
export interface CacheTransport {
  get(key: string): unknown;
  /** `expiresAt`: epoch ms, `0` for never. */
  set(key: string, value: unknown, expiresAt: number): void;
  flush(): void;
}

/** What aborts when a call has timed out. */
export interface AbortControllerLike {
  readonly signal: AbortSignal;
  abort(reason?: unknown): void;
}

/** What `toJSON().state` of a breaker says. */
export interface BreakerState {
  /** What the breaker was called; of no consequence here. */
  readonly name?: string;
  readonly enabled?: boolean;
  readonly closed?: boolean;
  readonly open?: boolean;
  readonly halfOpen?: boolean;
  readonly warmUp?: boolean;
  readonly shutdown?: boolean;
  /** Epoch ms. */
  readonly lastTimerAt?: number;
}

/** What ends the time for which the same answer is shared. */
export type CoalesceReset = 'error' | 'success' | 'timeout';

/**
 * Options of opossum, by its names and with its defaults, and our `name` and `mode`. What opossum calls with the arguments of the function that it guards is called with the
 * Breakwater call.
 */
export interface BreakerOptions extends Pick<PolicyOptions, 'mode'> {
  /** What events, errors and snapshots call it, and what opossum calls its breaker. @defaultValue the kind */
  readonly name?: string | undefined;
  /** How long what lies inside may take; `false` or `0`: as long as it likes. @defaultValue `10000` */
  readonly timeout?: Duration | false | undefined;
  /** How long the circuit stays open before one call tries it out. @defaultValue `30000` */
  readonly resetTimeout?: Duration | undefined;
  /** Share of failures among the calls of the window, in percent, above which the circuit opens. @defaultValue `50` */
  readonly errorThresholdPercentage?: number | undefined;
  /** How long the window is. @defaultValue `10000` */
  readonly rollingCountTimeout?: Duration | undefined;
  /** How many parts the window has; it moves on by one at a time. @defaultValue `10` */
  readonly rollingCountBuckets?: number | undefined;
  /** Whether the window keeps how long calls took, for `breaker.stats`. @defaultValue `true` */
  readonly rollingPercentilesEnabled?: boolean | undefined;
  /** Calls that may run at once; the rest is refused, and counts as failed. @defaultValue `Infinity` */
  readonly capacity?: number | undefined;
  /** Calls that must be in the window before the circuit opens. @defaultValue `0` */
  readonly volumeThreshold?: number | undefined;
  /** Whether failures do not open the circuit while its first window lasts. @defaultValue `false` */
  readonly allowWarmUp?: boolean | undefined;
  /** Whether it is in force; a breaker that is not lets all calls through. @defaultValue `true` */
  readonly enabled?: boolean | undefined;
  /** Whether an error counts as a success. It is passed on all the same. @defaultValue none: all errors are failures */
  readonly errorFilter?: { filters(error: unknown, call: Call): unknown }['filters'] | undefined;
  /** The name of a group of breakers, for metrics. @defaultValue the name */
  readonly group?: string | undefined;
  /** Whether the answer to the first successful call of a key is given to all that follow. @defaultValue `false` */
  readonly cache?: boolean | undefined;
  /** How long an answer is kept; `0`: for good. @defaultValue `0` */
  readonly cacheTTL?: Duration | undefined;
  /** How many answers are kept, if opossum keeps them. @defaultValue `16777215` */
  readonly cacheSize?: number | undefined;
  /** Which calls are given the same answer, cached or shared; `undefined`: not this one. @defaultValue the call's `key`; calls without one share nothing */
  readonly cacheGetKey?: { keys(call: Call): string | undefined }['keys'] | undefined;
  /** Keeps answers in place of opossum. @defaultValue opossum does */
  readonly cacheTransport?: CacheTransport | undefined;
  /** Whether calls of one key that come while one is under way get its answer. @defaultValue `false` */
  readonly coalesce?: boolean | undefined;
  /** How long an answer is shared, also if it was an error; `0`: for good. @defaultValue as `timeout` */
  readonly coalesceTTL?: Duration | undefined;
  /** How many answers are shared at once. @defaultValue `16777215` */
  readonly coalesceSize?: number | undefined;
  /** What ends that time at once: `'error'`, `'success'`, `'timeout'`. @defaultValue none: it lasts */
  readonly coalesceResetOn?: readonly CoalesceReset[] | undefined;
  /** Is aborted when a call has timed out, and with it all others that use its signal. The signal of the call is there for each by itself. @defaultValue none */
  readonly abortController?: AbortControllerLike | undefined;
  /** Whether a new one is made when the circuit half-opens or closes. @defaultValue `false` */
  readonly autoRenewAbortController?: boolean | undefined;
  /** Whether `breaker.status` emits a `snapshot` for each part of the window, on a timer of its own. @defaultValue `true` */
  readonly enableSnapshots?: boolean | undefined;
  /** Moves the window on when it emits `rotate`, in place of a timer. @defaultValue none: a timer */
  readonly rotateBucketController?: EventEmitter | undefined;
  /** Counts to begin with: a Status, or what `toJSON().status` of a breaker said. @defaultValue none */
  readonly status?: object | undefined;
  /** The state to begin with: what `toJSON().state` of a breaker said. @defaultValue none: closed */
  readonly state?: BreakerState | undefined;
}
