import type { EventEmitter } from 'node:events';
import type { Call } from '../../core/call.ts';
import type { BreakerState, CacheTransport } from './options.ts';

/** What is asked of a breaker of opossum. */
export interface OpossumLike {
  readonly name: string;
  readonly group: string;
  readonly enabled: boolean;
  readonly closed: boolean;
  readonly opened: boolean;
  readonly halfOpen: boolean;
  readonly isShutdown: boolean;
  readonly warmUp: boolean;
  readonly volumeThreshold: number;
  readonly status: object;
  fire(...args: never[]): Promise<unknown>;
  call(context: unknown, ...args: never[]): Promise<unknown>;
  open(): void;
  close(): void;
  enable(): void;
  disable(): void;
  shutdown(): void;
  on(event: string, listener: (...args: unknown[]) => void): unknown;
}

/** What opossum has counted in its window. */
export interface BreakerCounts {
  readonly fires: number;
  readonly successes: number;
  readonly failures: number;
  readonly timeouts: number;
  readonly rejects: number;
  readonly fallbacks: number;
  readonly semaphoreRejections: number;
  readonly cacheHits: number;
  readonly cacheMisses: number;
  readonly coalesceCacheHits: number;
  readonly coalesceCacheMisses: number;
}

/** The same, and how long calls took, ms. */
export interface BreakerStats extends BreakerCounts {
  readonly latencyMean: number;
  readonly latencyTimes: readonly number[];
  readonly percentiles: Readonly<Record<string, number>>;
}

/** A breaker of opossum that was made here. Its `fire` takes the function to call, and shares state and counts with the pipelines. */
export interface Opossum extends EventEmitter, Omit<OpossumLike, 'on' | 'fire' | 'call'> {
  readonly pendingClose: boolean;
  readonly stats: BreakerStats;
  readonly status: EventEmitter & { readonly stats: BreakerStats; readonly window: readonly BreakerCounts[] };
  fire<Result>(work: () => Result | PromiseLike<Result>): Promise<Result>;
  call<Result>(context: unknown, work: () => Result | PromiseLike<Result>): Promise<Result>;
  /** What answers in place of calls that fail or are refused; or another breaker. */
  fallback(answer: ((call: Call, error: unknown) => unknown) | object): this;
  /** Opens the circuit when `check` rejects. It is asked at once and every `interval` ms (5000). */
  healthCheck(check: () => Promise<unknown>, interval?: number): void;
  clearCache(): void;
  getSignal(): AbortSignal | undefined;
  toJSON(): { readonly state: BreakerState; readonly status: BreakerStats };
}

/** What opossum's own methods find in its options, beside what users give. */
export interface InnerOptions {
  readonly name?: string;
  readonly timeout: number | false;
  readonly resetTimeout: number;
  readonly errorThresholdPercentage: number;
  readonly capacity: number;
  readonly cache?: boolean;
  readonly coalesce?: boolean;
  readonly errorFilter: (error: unknown, call: Call) => unknown;
  readonly cacheGetKey: (...args: unknown[]) => unknown;
  readonly cacheTransport?: CacheTransport;
  readonly coalesceCache?: { get(key: unknown): unknown; delete(key: unknown): void };
}

/** A breaker as it is inside. */
export interface Inside extends Omit<OpossumLike, 'call' | 'status'> {
  readonly pendingClose: boolean;
  readonly options: InnerOptions;
  readonly action: (...args: never[]) => unknown;
  readonly semaphore: { readonly count: number };
  readonly status: EventEmitter & { readonly window: readonly BreakerCounts[]; readonly stats: BreakerStats; rotateBucket(): void };
  call(context: unknown, ...args: unknown[]): unknown;
  emit(event: string | symbol, ...args: unknown[]): boolean;
}

/** Makes breakers: opossum's class. */
export type OpossumClass = new (action: (...args: never[]) => unknown, options: object) => OpossumLike;

/** Whether something is a breaker of opossum, whichever copy of it made it. */
export function isBreaker(value: unknown): value is OpossumLike {
  const { fire, call, open, close, status, on } = Object(value) as Partial<Record<keyof OpossumLike, unknown>>;
  return (
    [fire, call, open, close, on].every((method) => typeof method === 'function') && typeof status === 'object' && typeof value === 'object'
  );
}

/** A field that opossum keeps to itself, by what its symbol is called; `undefined` if there is none. */
export function fieldOf(breaker: object, description: string): symbol | undefined {
  return Object.getOwnPropertySymbols(breaker).find((symbol) => symbol.description === description);
}
