/** What is used of a Bottleneck and of a Group of them, and what can be read of their insides, where nothing public tells. */

/** How many jobs are in which state. */
export interface BottleneckCounts {
  readonly RECEIVED: number;
  readonly QUEUED: number;
  readonly RUNNING: number;
  readonly EXECUTING: number;
  readonly DONE?: number;
}

/** Options of `stop`, as bottleneck has them. */
export interface BottleneckStopOptions {
  /** Refuse what waits, or let it run first. @defaultValue `true` */
  readonly dropWaitingJobs?: boolean;
  readonly dropErrorMessage?: string;
  readonly enqueueErrorMessage?: string;
}

/** What is used of a Bottleneck. */
export interface BottleneckLike {
  schedule(...args: never[]): PromiseLike<unknown>;
  on(event: string, listener: (...args: never[]) => unknown): unknown;
  counts(): BottleneckCounts;
  stop(options?: BottleneckStopOptions): Promise<void>;
  disconnect(flush?: boolean): Promise<void>;
  updateSettings(options?: object): unknown;
  incrementReservoir(increment: number): Promise<number>;
  currentReservoir(): Promise<number | null>;
}

/** What is used of a `Bottleneck.Group`. */
export interface BottleneckGroupLike {
  key(key: string): BottleneckLike;
  keys(): string[];
  limiters(): readonly { readonly key: string; readonly limiter: BottleneckLike }[];
  on(event: string, listener: (...args: never[]) => unknown): unknown;
  disconnect(flush?: boolean): Promise<void>;
}

/** The settings that stand now; bottleneck has no public word for them. */
export interface StandingSettings {
  readonly maxConcurrent?: number | null;
  readonly minTime?: number | null;
  readonly highWater?: number | null;
  readonly reservoir?: number | null;
  readonly reservoirRefreshInterval?: number | null;
  readonly reservoirIncreaseInterval?: number | null;
}

interface Insides {
  readonly _store?: {
    readonly storeOptions?: StandingSettings;
    readonly _nextRequest?: number;
    readonly _lastReservoirRefresh?: number;
    readonly _lastReservoirIncrease?: number;
  };
  readonly _limiter?: BottleneckLike | null;
  readonly Events?: { listenerCount?(event: string): number };
  readonly rejectOnDrop?: boolean;
  readonly BottleneckError?: unknown;
}

/** Whether it is a limiter. */
export function isLimiter(value: unknown): value is BottleneckLike {
  const limiter = value as Partial<BottleneckLike> | null | undefined;
  return typeof limiter?.schedule === 'function' && typeof limiter.counts === 'function';
}

/** Whether it is a group of limiters. */
export function isGroup(value: unknown): value is BottleneckGroupLike {
  const group = value as Partial<BottleneckGroupLike> | null | undefined;
  return typeof group?.key === 'function' && typeof group.limiters === 'function';
}

/** The settings that stand now. */
export function standing(limiter: BottleneckLike): StandingSettings {
  return (limiter as Insides)._store?.storeOptions ?? {};
}

/** What else of a limiter can be set anew. */
export function switches(limiter: BottleneckLike): Readonly<Record<'rejectOnDrop' | 'trackDoneStatus', unknown>> {
  const { rejectOnDrop, trackDoneStatus } = limiter as { readonly rejectOnDrop?: unknown; readonly trackDoneStatus?: unknown };
  return { rejectOnDrop, trackDoneStatus };
}

/** The settings that new limiters of a group are made with. */
export function settingsOf(group: BottleneckGroupLike): StandingSettings {
  return (group as { readonly limiterOptions?: StandingSettings }).limiterOptions ?? {};
}

/** After how long without a start the group lets a limiter go, ms; `Infinity` if that cannot be told. */
export function timeoutOf(group: BottleneckGroupLike): number {
  const { timeout } = group as { readonly timeout?: unknown };
  return typeof timeout === 'number' ? timeout : Infinity;
}

/** When the next job may start, epoch ms; `undefined` if that is not kept here but in Redis. */
export function nextStart(limiter: BottleneckLike): number | undefined {
  return (limiter as Insides)._store?._nextRequest;
}

/** How long it is from `now` (epoch ms) until the reservoir is filled again, as far as the limiter itself knows. */
export function refillIn(limiter: BottleneckLike, now: number): number | undefined {
  const { _lastReservoirRefresh: refreshed = NaN, _lastReservoirIncrease: increased = NaN } = (limiter as Insides)._store ?? {};
  const { reservoirRefreshInterval, reservoirIncreaseInterval } = standing(limiter);
  const times = [refreshed + (reservoirRefreshInterval ?? NaN), increased + (reservoirIncreaseInterval ?? NaN)].filter((time) => time >= 0);
  return times.length === 0 ? undefined : Math.max(0, Math.min(...times) - now);
}

/** The limiter, and those that its jobs go through after it (`chain`). */
export function chainOf(limiter: BottleneckLike): readonly BottleneckLike[] {
  const chain: BottleneckLike[] = [];
  let one: BottleneckLike | undefined = limiter;
  while (one !== undefined && !chain.includes(one)) {
    chain.push(one);
    one = (one as Insides)._limiter ?? undefined;
  }
  return chain;
}

/** How many listen for an event; one too many where that cannot be told. */
export function listeners(limiter: BottleneckLike, event: string): number {
  return (limiter as Insides).Events?.listenerCount?.(event) ?? Infinity;
}

/** Whether `stop()` was called: bottleneck then puts another one in its place. */
export function isStopped(limiter: BottleneckLike): boolean {
  return Object.hasOwn(limiter, 'stop');
}

/** Whether promises of dropped jobs never settle. */
export function dropsInSilence(limiter: BottleneckLike): boolean {
  return (limiter as Insides).rejectOnDrop === false;
}

/** Whether an error is one of the limiter's own, and not one of its store. */
export function isOwnError(limiter: BottleneckLike, error: unknown): error is Error {
  const { BottleneckError } = limiter as Insides;
  return typeof BottleneckError === 'function' && error instanceof BottleneckError;
}

/** What bottleneck says of a job whose id is there already. */
export function sameId(limiter: BottleneckLike, id = ''): Error {
  const { BottleneckError } = limiter as { readonly BottleneckError?: unknown };
  const Type = typeof BottleneckError === 'function' ? (BottleneckError as ErrorConstructor) : Error;
  return new Type(`A job with the same id already exists (id=${id})`);
}

/** Makes any string an id of a job like any other: bottleneck keeps them in a plain object, too. */
export function mendIds(limiter: BottleneckLike): void {
  const { _states } = limiter as { readonly _states?: { readonly _jobs?: unknown } };
  withoutPrototype(_states?._jobs);
}

function withoutPrototype(table: unknown): void {
  if (typeof table === 'object' && table !== null && Object.getPrototypeOf(table) === Object.prototype) Object.setPrototypeOf(table, null);
}

/**
 * Makes any string a key of a group like any other. Bottleneck keeps its limiters in a plain object, where `constructor` and `__proto__` are there before anybody put them in; in one
 * without a prototype they are not.
 */
export function mendKeys(group: BottleneckGroupLike): void {
  withoutPrototype((group as { readonly instances?: unknown }).instances);
}

/** Whether the group has a limiter for this key now. */
export function hasKey(group: BottleneckGroupLike, key: string): boolean {
  const { instances } = group as { readonly instances?: object };
  return instances === undefined ? group.keys().includes(key) : Object.hasOwn(instances, key);
}
