/** What a bottleneck is made with, and what its jobs are given: the options of the package, under their own names. */

import type { Call } from '../../core/call.ts';
import type { OptionProblem } from '../../core/errors.ts';
import { type CommonSettings, type PolicyOptions, commonFields } from '../../core/mode.ts';
import { type Duration, Field, type Fields, anything, count, duration, field, flag, fn, oneOf, text } from '../../core/options.ts';

/** Options of `new Bottleneck(…)`. All of them may be `null`, which stands for the default. Times are ms, or durations such as `'250ms'`. */
export interface BottleneckLimiterOptions {
  /** How much weight may run at once. @defaultValue no bound */
  readonly maxConcurrent?: number | null;
  /** Time from one start to the next. @defaultValue `0` */
  readonly minTime?: Duration | null;
  /** How many jobs may wait; `0` for none. @defaultValue no bound, and with it a queue that may grow without end */
  readonly highWater?: number | null;
  /**
   * What happens at the high-water mark: `Bottleneck.strategy.LEAK` (`1`: the oldest waiting job of the lowest priority goes), `.OVERFLOW` (`2`: the new one goes), `.OVERFLOW_PRIORITY`
   * (`4`: as LEAK, if it has a lower priority than the new one) or `.BLOCK` (`3`: all go, and none is taken for the time of the `penalty`). @defaultValue `1`
   */
  readonly strategy?: unknown;
  /** How long a blocked limiter must be left alone until it takes jobs again. @defaultValue 15 times `minTime`, or 5 s */
  readonly penalty?: Duration | null;
  /** How much weight may start until the reservoir is filled again. @defaultValue no bound */
  readonly reservoir?: number | null;
  /** The reservoir is set to `reservoirRefreshAmount` so often; looked at every `heartbeatInterval`. @defaultValue never */
  readonly reservoirRefreshInterval?: Duration | null;
  /** What the reservoir is set to. @defaultValue none */
  readonly reservoirRefreshAmount?: number | null;
  /** `reservoirIncreaseAmount` is added to the reservoir so often; looked at every `heartbeatInterval`. @defaultValue never */
  readonly reservoirIncreaseInterval?: Duration | null;
  /** What is added to the reservoir. @defaultValue none */
  readonly reservoirIncreaseAmount?: number | null;
  /** The reservoir is not increased beyond this. @defaultValue no bound */
  readonly reservoirIncreaseMaximum?: number | null;
  /** `false`: bottleneck never settles the promises of dropped jobs. Calls are refused all the same. @defaultValue `true` */
  readonly rejectOnDrop?: boolean | null;
  /** Keeps the ids of jobs that are done, for `counts()` and `jobStatus()`, and never forgets one. @defaultValue `false` */
  readonly trackDoneStatus?: boolean | null;
  /** How often the reservoir is looked at; with Redis, how often this process says that it lives. @defaultValue 250 ms, with Redis 5 s */
  readonly heartbeatInterval?: Duration | null;
  /** Name of the limiter; with Redis, all limiters of one name share their state. @defaultValue `'<no-id>'` */
  readonly id?: string | null;
  /** What bottleneck makes its promises with. @defaultValue the language's own */
  readonly Promise?: unknown;
  /** Where the state is: here, or in Redis by way of the package `redis` (2 or 3) or `ioredis`. @defaultValue `'local'` */
  readonly datastore?: string | null;
  /** Redis: wipes the state that is there, at the start. @defaultValue `false` */
  readonly clearDatastore?: boolean | null;
  /** Redis: what the client is made with. @defaultValue none */
  readonly clientOptions?: unknown;
  /** Redis: nodes of a cluster (ioredis only). @defaultValue none */
  readonly clusterNodes?: unknown;
  /** Redis: a state not used this long is removed. @defaultValue never */
  readonly timeout?: Duration | null;
  /** Redis: a `Bottleneck.RedisConnection` or `.IORedisConnection` of yours. @defaultValue one is made */
  readonly connection?: unknown;
  /** Redis: a client not heard of for this long counts as gone. @defaultValue 10 s */
  readonly clientTimeout?: Duration | null;
  /** Redis: the client library itself. @defaultValue what `require` finds */
  readonly Redis?: unknown;
}

/** What each job is given, the same for all or asked of the call, and what every policy takes. */
export interface BottleneckJobOptions extends PolicyOptions {
  /** 0 to 9, a whole number; lower goes first. @defaultValue by the priority of the call: `critical-plus` 3, `critical` 5, `sheddable-plus` 6, `sheddable` 7, `best-effort` 9 */
  readonly priority?: number | null | ((call: Call) => number | null | undefined);
  /** How much of `maxConcurrent` and `reservoir` it takes, a whole number. @defaultValue the call's `cost` */
  readonly weight?: number | null | ((call: Call) => number | null | undefined);
  /** How long the work may run once it was started; then the call gets a TimeoutError and the work's signal aborts. @defaultValue no limit */
  readonly expiration?: Duration | null | ((call: Call) => number | null | undefined);
  /** Name of the job, for bottleneck's own events and `jobStatus()`; a string; one that another job has is refused. @defaultValue a random one */
  readonly id?: (call: Call) => string | null | undefined;
}

/** The same for a group of limiters. */
export interface BottleneckGroupOptions extends BottleneckJobOptions {
  /** How many keys may have a limiter of their own at once; others share some. Bottleneck itself has no bound. @defaultValue `10_000` */
  readonly maxKeys?: number;
}

/** The package's numbers for what happens at the high-water mark. */
export type Strategy = 1 | 2 | 3 | 4;

/** Options as read; `undefined` where nothing was given, or `null`, and the package decides. */
export interface BottleneckSettings extends CommonSettings {
  readonly maxConcurrent: number | undefined;
  readonly minTime: number;
  readonly highWater: number | undefined;
  readonly strategy: Strategy;
  readonly penalty: number | undefined;
  readonly reservoir: number | undefined;
  readonly reservoirRefreshInterval: number | undefined;
  readonly reservoirRefreshAmount: number | undefined;
  readonly reservoirIncreaseInterval: number | undefined;
  readonly reservoirIncreaseAmount: number | undefined;
  readonly reservoirIncreaseMaximum: number | undefined;
  readonly rejectOnDrop: boolean;
  readonly trackDoneStatus: boolean;
  readonly heartbeatInterval: number | undefined;
  readonly id: string | undefined;
  readonly Promise: unknown;
  readonly datastore: 'local' | 'redis' | 'ioredis';
  readonly clearDatastore: boolean;
  readonly clientOptions: unknown;
  readonly clusterNodes: unknown;
  readonly timeout: number | undefined;
  readonly connection: unknown;
  readonly clientTimeout: number | undefined;
  readonly Redis: unknown;
}

/** Options of jobs as read. */
export interface BottleneckJobSettings extends CommonSettings {
  readonly priority: number | undefined | ((call: Call) => number | null | undefined);
  readonly weight: number | undefined | ((call: Call) => number | null | undefined);
  readonly expiration: number | undefined | ((call: Call) => number | null | undefined);
  readonly id: undefined | ((call: Call) => string | null | undefined);
}

/** Options for groups as read. */
export interface BottleneckGroupSettings extends BottleneckJobSettings {
  readonly maxKeys: number;
}

const ms = duration();
const amount = count({ infinite: true });
const strategies: ReadonlySet<unknown> = new Set<Strategy>([1, 2, 3, 4]);
const strategy = field<Strategy>('one of Bottleneck.strategy: LEAK (1), OVERFLOW (2), BLOCK (3), OVERFLOW_PRIORITY (4)', (value) =>
  strategies.has(value) ? (value as Strategy) : undefined,
);
const priority = field<number>('a whole number from 0 to 9', (value) =>
  typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= 9 ? value : undefined,
);

/** The option table of limiters. */
export const bottleneckFields: Fields<BottleneckSettings> = {
  maxConcurrent: nullable(amount),
  minTime: nullable(ms, 0),
  highWater: nullable(amount),
  strategy: nullable(strategy, 1),
  penalty: nullable(ms),
  reservoir: nullable(amount),
  reservoirRefreshInterval: nullable(duration({ min: 1 })),
  reservoirRefreshAmount: nullable(amount),
  reservoirIncreaseInterval: nullable(duration({ min: 1 })),
  reservoirIncreaseAmount: nullable(amount),
  reservoirIncreaseMaximum: nullable(amount),
  rejectOnDrop: nullable(flag(), true),
  trackDoneStatus: nullable(flag(), false),
  heartbeatInterval: nullable(duration({ min: 1 })),
  id: nullable(text()),
  Promise: nullable(fn<unknown>('that makes promises')),
  datastore: nullable(oneOf('local', 'redis', 'ioredis'), 'local'),
  clearDatastore: nullable(flag(), false),
  clientOptions: nullable(anything()),
  clusterNodes: nullable(anything()),
  timeout: nullable(ms),
  connection: nullable(anything('a RedisConnection or IORedisConnection of bottleneck')),
  clientTimeout: nullable(ms),
  Redis: nullable(anything('a client library')),
  ...commonFields,
};

/** The option table of jobs. */
export const bottleneckJobFields: Fields<BottleneckJobSettings> = {
  priority: nullable(priority).orFunction('(call) => number'),
  weight: nullable(count()).orFunction('(call) => number'),
  expiration: nullable(ms).orFunction('(call) => ms'),
  id: fn<(call: Call) => string | null | undefined>('(call) => id').optional(),
  ...commonFields,
};

/** The option table of groups. */
export const bottleneckGroupFields: Fields<BottleneckGroupSettings> = {
  ...bottleneckJobFields,
  maxKeys: count({ min: 1 }).or(10_000),
};

/** The same field, and `null` stands for its default, as everywhere in bottleneck. */
function nullable<T>(inner: Field<T>, fallback: T): Field<T>;
function nullable<T>(inner: Field<T>): Field<T | undefined>;
function nullable<T>(inner: Field<T>, fallback?: T): Field<T | undefined> {
  const read = (value: unknown, path: string, problems: OptionProblem[]): T | undefined =>
    value === null ? fallback : inner.read(value, path, problems);
  return new Field<T | undefined>(inner.expected, read, fallback, false);
}
