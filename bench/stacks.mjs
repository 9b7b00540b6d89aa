/** The stacks that are compared, with like options: nothing expires, nothing is refused, nothing fails. */

import { bulkhead, circuitBreaker, fallback, pipeline, retry, timeout, tokenBucket } from 'breakwater';
import Bottleneck from 'bottleneck';
import * as cockatiel from 'cockatiel';
import CircuitBreaker from 'opossum';
import pRetry from 'p-retry';
import pTimeout from 'p-timeout';

/** The window, ms, of every breaker here. */
export const WINDOW = 30_000;
/** The time limit, ms, of every timeout here: none expires while thousands of calls are held, however slow the machine. */
export const LIMIT = 600_000;
/** A rate that nobody reaches, per second. */
export const AMPLE = 1e9;

export function ourBreaker() {
  return circuitBreaker({ window: WINDOW, failureRate: 0.5 });
}

export function ampleBucket() {
  return tokenBucket({ rate: AMPLE, per: '1s', burst: AMPLE });
}

/** Six of our policies. */
export function ourStack(slots) {
  return pipeline([
    fallback({ value: 0 }),
    retry({ maxAttempts: 3 }),
    ourBreaker(),
    bulkhead({ maxConcurrent: slots, maxQueue: 1000, maxWait: '1m' }),
    ampleBucket(),
    timeout({ after: LIMIT }),
  ]);
}

export function cockatielBreaker() {
  const breaker = new cockatiel.SamplingBreaker({ threshold: 0.5, duration: WINDOW });
  return cockatiel.circuitBreaker(cockatiel.handleAll, { halfOpenAfter: WINDOW, breaker });
}

export function cockatielRetry() {
  return cockatiel.retry(cockatiel.handleAll, { maxAttempts: 2, backoff: new cockatiel.ExponentialBackoff() });
}

/** The same of cockatiel, which has no rate limiter: five policies. */
export function cockatielStack(slots) {
  return cockatiel.wrap(
    cockatiel.fallback(cockatiel.handleAll, 0),
    cockatielRetry(),
    cockatielBreaker(),
    cockatiel.bulkhead(slots, 1000),
    cockatiel.timeout(LIMIT, cockatiel.TimeoutStrategy.Aggressive),
  );
}

/** opossum(p-retry(p-timeout(bottleneck))). */
export function fourPackages(slots, work) {
  const limiter = new Bottleneck({ maxConcurrent: slots });
  const limited = () => pTimeout(limiter.schedule(work), { milliseconds: LIMIT });
  const breaker = opossumAround(() => pRetry(limited, { retries: 2 }), { timeout: false });
  return {
    call: () => breaker.fire(),
    close: async () => {
      breaker.shutdown();
      await limiter.disconnect();
    },
  };
}

export function opossumAround(action, options) {
  return new CircuitBreaker(action, { rollingCountTimeout: WINDOW, errorThresholdPercentage: 50, resetTimeout: 2 ** 30, ...options });
}
