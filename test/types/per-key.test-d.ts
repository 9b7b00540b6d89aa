/** What the compiler knows about a policy per key. Nothing here runs: `npm run types` compiles it. */

import { type GatePolicy, type PerKeyOptions, type TokenBucket, bulkhead, perKey, tokenBucket } from 'breakwater';
import { LRUCache } from 'lru-cache';
import { typed } from './equal.ts';

const bucket = (): TokenBucket => tokenBucket({ rate: 1 });

export function theStoreHoldsThePoliciesThatTheFactoryMakes(): void {
  const inPlace = perKey(() => tokenBucket({ rate: 1 }), { store: new LRUCache({ max: 1000 }) });
  typed(inPlace.get('ada')).is<TokenBucket | undefined>();
  const store = new LRUCache<string, TokenBucket>({ max: 1000, dispose: (policy) => typed(policy.available).is<number>() });
  typed(perKey(bucket, { store }).get('ada')).is<TokenBucket | undefined>();
  typed(perKey((key) => tokenBucket({ rate: key.length }), { store, max: 10 }).get('ada')).is<TokenBucket | undefined>();
  typed(perKey<GatePolicy>(bucket, { store: new LRUCache<string, GatePolicy>({ max: 10 }) }).get('ada')).is<GatePolicy | undefined>();
}

export function aStoreForSomethingElseIsAnError(): void {
  // @ts-expect-error it holds token buckets
  perKey(() => bulkhead(), { store: new LRUCache<string, TokenBucket>({ max: 10 }) });
  // @ts-expect-error keys are texts
  perKey(bucket, { store: new LRUCache<number, TokenBucket>({ max: 10 }) });
  // @ts-expect-error what others keep there is no policy
  perKey(bucket, { store: new LRUCache<string, TokenBucket | Date>({ max: 10 }) });
  // @ts-expect-error a Map knows no order of use
  perKey(bucket, { store: new Map<string, TokenBucket>() });
}

export function optionsMayBeNamedByThemselves(plain: PerKeyOptions, given: PerKeyOptions<TokenBucket>): void {
  typed(perKey(bucket, plain).get('ada')).is<TokenBucket | undefined>();
  typed(perKey(bucket, given).get('ada')).is<TokenBucket | undefined>();
}
