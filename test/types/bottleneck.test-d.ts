/** What the compiler knows about limiters of bottleneck. Nothing here runs. */

import Bottleneck from 'bottleneck';
import { type GatePolicy, perKey, pipeline } from 'breakwater';
import { type BottleneckLike, type BottleneckOptions, type BottleneckStopOptions, bottleneckLimiter } from 'breakwater/bottleneck';
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
