/**
 * How long to wait before trying again. Pure: chance comes in as numbers in [0, 1). Delays never overflow, whatever the attempt, and
 * the cap holds after jitter.
 */

/** How the delay grows with the number of retries. */
export type Growth = 'constant' | 'linear' | 'exponential';

/**
 * How chance spreads delays, so that clients that failed together do not return together: `none`; `full` U[0, d); `equal` d/2 + U[0, d/2);
 * `decorrelated` U[base, 3 · previous) (these three: Brooker, "Exponential Backoff and Jitter", AWS 2015); `proportional` d · (1 ± spread);
 * `decorrelated-v2`, smooth and never below what was (de Polevoy's formula in Polly: t = n + U, f = 2^t · tanh √(4t), d = Δf · base / 1.4).
 */
export type Jitter = 'none' | 'full' | 'equal' | 'proportional' | 'decorrelated' | 'decorrelated-v2';

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
  /** Half the width of proportional jitter, 0..1. */
  readonly spread: number;
}

/** Where a schedule without a cap ends, ms: growth stays a number that chance can be multiplied with. */
const LONGEST = Number.MAX_SAFE_INTEGER;

/** The delay before retry `n` (from 1) without jitter, capped. */
export function plainDelay({ kind, delay, factor, maxDelay }: BackoffSettings, n: number): number {
  if (delay === 0) return 0;
  if (kind === 'constant') return Math.min(delay, maxDelay, LONGEST);
  const grown = kind === 'linear' ? delay * n : delay * factor ** (n - 1);
  return Math.min(grown, maxDelay, LONGEST);
}

/** The delays of one call, one after the other; some kinds of jitter go on from the delay before. */
export class Backoff {
  readonly #settings: BackoffSettings;
  #retries = 0;
  /** Decorrelated: the delay before. Version 2: the value of the curve up to it. */
  #previous: number;

  constructor(settings: BackoffSettings) {
    this.#settings = settings;
    this.#previous = settings.jitter === 'decorrelated' ? settings.delay : 0;
  }

  /** The next delay, ms; `u` is chance in [0, 1). */
  next(u: number): number {
    const n = ++this.#retries;
    const { jitter, delay, spread } = this.#settings;
    const maxDelay = Math.min(this.#settings.maxDelay, LONGEST);
    switch (jitter) {
      case 'none':
        return plainDelay(this.#settings, n);
      case 'full':
        return u * plainDelay(this.#settings, n);
      case 'equal':
        return ((1 + u) * plainDelay(this.#settings, n)) / 2;
      case 'proportional':
        return Math.min(plainDelay(this.#settings, n) * (1 + spread * (2 * u - 1)), maxDelay);
      case 'decorrelated':
        return (this.#previous = Math.min(delay + u * Math.max(3 * this.#previous - delay, 0), maxDelay));
      case 'decorrelated-v2': {
        const before = this.#previous;
        this.#previous = curve(n - 1 + u);
        // Beyond the largest number the curve has no differences left; every delay there is above the cap.
        return this.#previous === Infinity ? (delay === 0 ? 0 : maxDelay) : Math.min(((this.#previous - before) * delay) / 1.4, maxDelay);
      }
    }
  }
}

function curve(t: number): number {
  return 2 ** t * Math.tanh(Math.sqrt(4 * t));
}

/** An upper bound for the sum of the delays before `retries` retries. */
export function longestBackoff(settings: BackoffSettings, retries: number): number {
  const { delay, jitter, maxDelay, spread } = settings;
  if (retries === 0 || delay === 0) return 0;
  if (retries === Infinity) return Infinity;
  const [times, base] = jitter === 'proportional' ? [1 + spread, 1] : jitter === 'decorrelated-v2' ? [1, 2.8] : [1, 1];
  let sum = 0;
  for (let n = 1; n <= retries; n++) {
    const grown =
      jitter === 'decorrelated'
        ? delay * 3 ** n
        : jitter === 'decorrelated-v2'
          ? delay * base * 2 ** (n - 1)
          : plainDelay(settings, n) * times;
    if (grown >= maxDelay || n > 1000) return sum + (retries - n + 1) * maxDelay;
    sum += grown;
  }
  return sum;
}
