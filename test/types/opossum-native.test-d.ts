/** What the compiler knows about options of opossum as native policies. Nothing here runs: `npm run types` compiles it. */

import { type Bulkhead, type CircuitBreaker, type RacingTimeout, fallback, pipeline } from 'breakwater';
import { type OpossumOptions, fromOpossumOptions } from 'breakwater/opossum';
import { typed } from './equal.ts';

export async function theyAreATupleOfThosePoliciesThatTheOptionsAskFor(wide: OpossumOptions, ms: number): Promise<void> {
  typed(fromOpossumOptions()).is<[CircuitBreaker, RacingTimeout]>();
  typed(fromOpossumOptions({ resetTimeout: '5s' })).is<[CircuitBreaker, RacingTimeout]>();
  typed(fromOpossumOptions({ capacity: 3, timeout: '3s' })).is<[CircuitBreaker, Bulkhead, RacingTimeout]>();
  typed(fromOpossumOptions({ capacity: 3, timeout: false })).is<[CircuitBreaker, Bulkhead]>();
  typed(fromOpossumOptions({ timeout: 0 })).is<[CircuitBreaker, RacingTimeout]>();
  typed(fromOpossumOptions({ timeout: ms })).is<[CircuitBreaker, RacingTimeout]>();
  typed(fromOpossumOptions({ timeout: wide.timeout ?? false })).is<[CircuitBreaker] | [CircuitBreaker, RacingTimeout]>();
  typed(fromOpossumOptions(wide)[0]).is<CircuitBreaker>();
  typed(await pipeline([fallback({ value: null }), ...fromOpossumOptions({ capacity: 3 })]).execute(() => 7)).is<number | null>();
  typed(await pipeline(fromOpossumOptions(wide)).execute(() => 7)).is<number>();
  // @ts-expect-error there is no such option
  fromOpossumOptions({ retries: 3 });
  // @ts-expect-error a share in percent is a number
  fromOpossumOptions({ errorThresholdPercentage: '50%' });
}
