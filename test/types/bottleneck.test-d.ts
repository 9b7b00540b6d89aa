/** What the compiler knows about limiters of bottleneck. Nothing here runs. */

import Bottleneck from 'bottleneck';
import {
  type Bulkhead,
  type FixedWindow,
  type GatePolicy,
  type LeakyBucket,
  type RacingTimeout,
  type TokenBucket,
  perKey,
  pipeline,
} from 'breakwater';
import {
  type BottleneckJobOptions,
  type BottleneckLimiterOptions,
  type BottleneckLike,
  type BottleneckNative,
  type BottleneckOptions,
  type BottleneckStopOptions,
  type NativeBottleneck,
  bottleneckLimiter,
  fromBottleneckOptions,
} from 'breakwater/bottleneck';
import { typed } from './equal.ts';

interface Item {
  readonly id: number;
}

declare const item: Item;

export async function theLimiterIsTheOneThatWasGiven(): Promise<void> {
  class Own extends Bottleneck {
    readonly owner = 'me';
  }
  typed(bottleneckLimiter(new Bottleneck()).limiter).is<Bottleneck>();
  typed(bottleneckLimiter(new Own(), { weight: 2 }).limiter).is<Own>();
  typed(bottleneckLimiter(new Bottleneck.Group()).limiter).is<Bottleneck.Group>();
  typed(bottleneckLimiter({ maxConcurrent: 1 }).limiter).is<Bottleneck>();
  const reservoir: number | null = await bottleneckLimiter({}).limiter.currentReservoir();
  typed(reservoir).is<number | null>();
}

export function optionsOfThePackageAreOptionsHere(): void {
  const yours = { maxConcurrent: 1, strategy: Bottleneck.strategy.LEAK, penalty: null, rejectOnDrop: true } as const;
  bottleneckLimiter(yours);
  bottleneckLimiter({ minTime: '250ms', reservoirRefreshInterval: '1m', name: 'mails', mode: 'shadow' });
  const options: BottleneckOptions = { connection: new Bottleneck.IORedisConnection({}), clientTimeout: 1000 };
  bottleneckLimiter(options);
  // @ts-expect-error an unknown option
  bottleneckLimiter({ maxConcurent: 1 });
  // @ts-expect-error an unknown unit
  bottleneckLimiter({ minTime: '1d' });
}

export function jobsAreAskedOfTheCall(): void {
  bottleneckLimiter(
    {},
    {
      priority: ({ priority }) => (priority === 'critical' ? 1 : 9),
      weight: ({ cost }) => cost,
      expiration: ({ key }) => (key === undefined ? undefined : 100),
      id: ({ idempotencyKey }) => idempotencyKey,
    },
  );
  bottleneckLimiter(new Bottleneck(), { priority: 3, weight: 2, expiration: '1s', name: 'mails', mode: 0.5 });
  bottleneckLimiter(new Bottleneck.Group(), { maxKeys: 100 });
  // @ts-expect-error one id for all jobs would let only one of them in
  bottleneckLimiter({}, { id: 'job' });
  // @ts-expect-error only a group has keys
  bottleneckLimiter({}, { maxKeys: 100 });
}

export async function itAddsNothingToAnswersAndIsAGate(): Promise<void> {
  const limiter = bottleneckLimiter({});
  typed(await pipeline([limiter]).execute(() => item)).is<Item>();
  const gate: GatePolicy = limiter;
  perKey(() => bottleneckLimiter({}));
  (await pipeline([gate]).acquire()).success();
  const stopping: BottleneckStopOptions = { dropWaitingJobs: false };
  await limiter.stop(stopping);
  const like: BottleneckLike = new Bottleneck();
  bottleneckLimiter(like);
}

export function eventsHaveTheirFields(): void {
  const api = pipeline([bottleneckLimiter({})]);
  api.on('bottleneck.queued', ({ active, queued }) => typed(active + queued).is<number>());
  api.on('bottleneck.expired', ({ after, started }) => typed([after, started] as const).is<readonly [number, boolean]>());
  api.on('bottleneck.failed', ({ error }) => typed(error).is<unknown>());
  // @ts-expect-error it has no such field
  api.on('bottleneck.dropped', ({ error }) => typed(error));
}

export function nativePoliciesAreAsManyAsTheOptionsSay(): void {
  const [slots] = fromBottleneckOptions({ maxConcurrent: 1 });
  typed(slots.active).is<number>();
  perKey(() => fromBottleneckOptions({ maxConcurrent: 1 })[0]);
  perKey(() => fromBottleneckOptions({ minTime: '20ms' })[0]);
  typed(fromBottleneckOptions()).is<[]>();
  typed(fromBottleneckOptions({ maxConcurrent: null, minTime: 0 })).is<[]>();
  typed(fromBottleneckOptions({ maxConcurrent: 1, minTime: 20 }, { expiration: '1s' })).is<[Bulkhead, LeakyBucket, RacingTimeout]>();
  typed(fromBottleneckOptions({}, { expiration: ({ key }) => (key === 'ada' ? 10 : null) })).is<[RacingTimeout]>();
  const refresh = { reservoir: 10, reservoirRefreshInterval: '1m', reservoirRefreshAmount: 10 } as const;
  typed(fromBottleneckOptions({ ...refresh, minTime: 5 })).is<[FixedWindow, LeakyBucket]>();
  const increase = { reservoir: 10, reservoirIncreaseInterval: 1000, reservoirIncreaseAmount: 1 } as const;
  typed(fromBottleneckOptions(increase, { weight: ({ cost }) => cost })).is<[FixedWindow | TokenBucket]>();
  typed(fromBottleneckOptions({ maxConcurrent: 1, ...increase }, { weight: 0 })).is<[]>();
  pipeline([...fromBottleneckOptions({ maxConcurrent: 1, minTime: 20 })]);
}

export function whatTheCompilerDoesNotKnowMayBeThereOrNot(given: { maxConcurrent: number; minTime: number }): void {
  const known: [Bulkhead] | [Bulkhead, LeakyBucket] = fromBottleneckOptions(given);
  known[0].resize(2);
  typed(fromBottleneckOptions({ maxConcurrent: given.maxConcurrent > 1 ? given.maxConcurrent : null })).is<[] | [Bulkhead]>();
  pipeline([...fromBottleneckOptions(given)]);
  const some: BottleneckLimiterOptions = {};
  typed(fromBottleneckOptions(some)).is<NativeBottleneck[]>();
  typed(fromBottleneckOptions({}, {} as BottleneckJobOptions)).is<NativeBottleneck[]>();
  fromBottleneckOptions({ maxConcurrent: 1, mode: ({ key }) => (key === 'ada' ? 'shadow' : 'enforce') })[0].resize(2);
  typed(fromBottleneckOptions({ maxConcurrent: 2 })).is<BottleneckNative<{ maxConcurrent: 2 }>>();
  pipeline(fromBottleneckOptions(some));
  // @ts-expect-error an unknown option
  fromBottleneckOptions({ maxConcurrent: 1, minTimes: 1 });
  // @ts-expect-error an unknown option of jobs
  fromBottleneckOptions({ maxConcurrent: 1 }, { weight: 1, wait: 1 });
  // @ts-expect-error a wrong unit
  fromBottleneckOptions({ minTime: '1d' });
}
