/**
 * How long to wait before trying again. Pure: chance comes in as numbers in [0, 1). Delays never overflow, whatever the attempt, and
 * the cap holds after jitter.
 */

/** How the delay grows with the number of retries. */
export type Growth = 'constant' | 'linear' | 'exponential';

/**
 * How chance spreads delays, so that clients that failed together do not return together: `none`, `full` U[0, d), `equal` d/2 + U[0, d/2)
 * and `decorrelated` U[base, 3 · previous), after Brooker, "Exponential Backoff and Jitter", AWS 2015.
 */
export type Jitter = 'none' | 'full' | 'equal' | 'decorrelated';

/** Settings of a schedule; times in ms. */
export interface BackoffSettings {
  readonly kind: Growth;
  /** Before the first retry. */
  readonly delay: number;
  /** What each delay is multiplied by to get the next; exponential only. */
  readonly factor: number;
  /** No delay is longer. */
  readonly maxDelay: number;
  readonly jitter: Jitter;
}

/** The delay before retry `n` (from 1) without jitter, capped. */
export function plainDelay({ kind, delay, factor, maxDelay }: BackoffSettings, n: number): number {
  if (delay === 0) return 0;
  if (kind === 'constant') return Math.min(delay, maxDelay);
  const grown = kind === 'linear' ? delay * n : delay * factor ** (n - 1);
  return Math.min(grown, maxDelay);
}

/**
 * The delay before retry `n` (from 1).
 *
 * @param previous - the delay before the retry before (decorrelated jitter goes on from it); before the first: anything
 * @param u - chance, in [0, 1)
 */
export function backoffDelay(settings: BackoffSettings, n: number, previous: number, u: number): number {
  const { jitter, delay, maxDelay } = settings;
  if (jitter === 'decorrelated') {
    const from = n === 1 ? delay : Math.max(previous, delay);
    return Math.min(delay + u * (3 * from - delay), maxDelay);
  }
  const plain = plainDelay(settings, n);
  if (jitter === 'full') return u * plain;
  return jitter === 'equal' ? plain / 2 + (u * plain) / 2 : plain;
}

/** The sum of the longest delays before `retries` retries. */
export function longestBackoff(settings: BackoffSettings, retries: number): number {
  let sum = 0;
  for (let n = 1; n <= retries; n++) {
    const longest = settings.jitter === 'decorrelated' ? Math.min(settings.delay * 3 ** n, settings.maxDelay) : plainDelay(settings, n);
    if (longest >= settings.maxDelay || settings.kind === 'constant') return sum + (retries - n + 1) * longest;
    sum += longest;
  }
  return sum;
}
