/** What the compiler makes of options as the types that there are for opossum (by others) write them: each may be `undefined`. Nothing here runs. */

import type { EventEmitter } from 'node:events';
import { type Bulkhead, type CircuitBreaker, type RacingTimeout, pipeline } from 'breakwater';
import { fromOpossumOptions, opossumBreaker } from 'breakwater/opossum';
import { typed } from './equal.ts';

/** Their shape, with what differs from ours: options that may be `undefined`, and one that opossum takes no notice of. */
interface ForeignOptions<Args extends unknown[] = unknown[]> {
  status?: (EventEmitter & { stats: object; window: object[] }) | undefined;
  timeout?: number | false | undefined;
  maxFailures?: number | undefined;
  resetTimeout?: number | undefined;
  rollingCountTimeout?: number | undefined;
  rollingCountBuckets?: number | undefined;
  name?: string | undefined;
  group?: string | undefined;
  rollingPercentilesEnabled?: boolean | undefined;
  capacity?: number | undefined;
  errorThresholdPercentage?: number | undefined;
  enabled?: boolean | undefined;
  allowWarmUp?: boolean | undefined;
  volumeThreshold?: number | undefined;
  errorFilter?: ((error: Error) => boolean) | undefined;
  cache?: boolean | undefined;
  cacheTTL?: number;
  cacheGetKey?: ((...args: Args) => string) | undefined;
  cacheTransport?: { get(key: string): unknown; set(key: string, value: unknown, ttl: number): void; flush(): void } | undefined;
  abortController?: AbortController | undefined;
  autoRenewAbortController?: boolean | undefined;
  enableSnapshots?: boolean | undefined;
  rotateBucketController?: EventEmitter | undefined;
}

export async function theyAreTakenAsTheyAre(options: ForeignOptions): Promise<void> {
  const breaker = opossumBreaker(options);
  typed(await pipeline([breaker]).execute(() => 7)).is<number>();
  opossumBreaker(options, { name: 'users' });
  const native = fromOpossumOptions(options);
  typed(native).is<
    [CircuitBreaker] | [CircuitBreaker, RacingTimeout] | [CircuitBreaker, Bulkhead] | [CircuitBreaker, Bulkhead, RacingTimeout]
  >();
  typed(await pipeline(native).execute(() => 7)).is<number>();
}

export function whatIsUndefinedIsNotGiven(): void {
  opossumBreaker({ timeout: undefined, name: undefined, errorFilter: undefined });
  typed(fromOpossumOptions({ timeout: undefined, capacity: undefined })).is<[CircuitBreaker, RacingTimeout]>();
}

export function functionsOfTheArgumentsAreNotForTheCall(options: ForeignOptions<[id: number]>): void {
  // @ts-expect-error its cacheGetKey would be called with the call
  opossumBreaker(options);
  // @ts-expect-error the function goes to execute()
  opossumBreaker((id: number) => Promise.resolve(id), { timeout: 3000 });
}
