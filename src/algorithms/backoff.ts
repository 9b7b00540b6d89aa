/**
 * How long to wait before trying again. Pure: chance comes in as numbers in [0, 1). Delays never overflow, whatever the attempt, and
 * the cap holds after jitter.
 */

/** How the delay grows with the number of retries: by nothing, by `delay`, by a factor, or as 1, 1, 2, 3, 5, 8 times `delay`. */
export type Growth = 'constant' | 'linear' | 'exponential' | 'fibonacci';

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
  /** The delays themselves, the last one again and again; then `kind`, `delay` and `factor` say nothing. */
  readonly delays: readonly number[] | undefined;
  /** What each delay is multiplied by to get the next; exponential only. */
  readonly factor: number;
  /** No delay is longer. */
  readonly maxDelay: number;
  readonly jitter: Jitter;
  /** Half the width of proportional jitter, 0..1. */
  readonly spread: number;
  /** The first retry does not wait; the schedule begins with the second. */
  readonly firstRetryFast: boolean;
}

/** Where a schedule without a cap ends, ms: growth stays a number that chance can be multiplied with. */
const LONGEST = Number.MAX_SAFE_INTEGER;

/** The delay before retry `n` (from 1) without jitter, capped. */
export function plainDelay({ kind, delay, delays, factor, maxDelay }: BackoffSettings, n: number): number {
  if (delays !== undefined) return Math.min(delays[Math.min(n, delays.length) - 1] as number, maxDelay, LONGEST);
  return delay === 0 ? 0 : Math.min(delay * growth(kind, factor, n), maxDelay, LONGEST);
}

function growth(kind: Growth, factor: number, n: number): number {
  switch (kind) {
    case 'constant':
      return 1;
    case 'linear':
      return n;
    case 'exponential':
      return factor ** (n - 1);
    case 'fibonacci':
      return fibonacci(n);
  }
}

function fibonacci(n: number): number {
  let [before, now] = [0, 1];
  for (let i = 1; i < n && now < Infinity; i++) [before, now] = [now, before + now];
  return now;
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
    const { jitter, delay, spread, firstRetryFast } = this.#settings;
    const n = ++this.#retries - (firstRetryFast ? 1 : 0);
    if (n === 0) return 0;
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
  const waits = Math.max(0, retries - (settings.firstRetryFast ? 1 : 0));
  let sum = 0;
  for (let n = 1; n <= waits; n++) {
    const most = longestDelay(settings, n);
    // From here on they are all the same, or so many that it does not matter.
    if (n > settled(settings) || n > 1000) return most === 0 ? sum : sum + (waits - n + 1) * (n > 1000 ? settings.maxDelay : most);
    sum += most;
  }
  return sum;
}

/** After how many delays nothing grows any more, at the least. */
function settled({ delays, kind, jitter, delay }: BackoffSettings): number {
  if (delays !== undefined) return delays.length;
  return delay === 0 || (kind === 'constant' && !jitter.startsWith('decorrelated')) ? 0 : Infinity;
}

/** The longest delay that chance may make of the one before retry `n`. */
function longestDelay(settings: BackoffSettings, n: number): number {
  const { delay, jitter, maxDelay, spread } = settings;
  const most = {
    none: () => plainDelay(settings, n),
    full: () => plainDelay(settings, n),
    equal: () => plainDelay(settings, n),
    proportional: () => plainDelay(settings, n) * (1 + spread),
    decorrelated: () => delay * 3 ** n,
    'decorrelated-v2': () => delay * 2.8 * 2 ** (n - 1),
  }[jitter]();
  return Math.min(most, maxDelay);
}
