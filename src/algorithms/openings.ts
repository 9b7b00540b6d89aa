/** How long a circuit stays open. `Time` is what a length of time is given as: ms, once read. */
export interface OpenTimeSettings<Time = number> {
  /** How long the first time; jitter is taken off it. @defaultValue `'5s'` */
  readonly initial: Time;
  /** What the time is multiplied by with each opening that follows another. @defaultValue `2` */
  readonly factor: number;
  /** No opening is longer. @defaultValue `'300s'` */
  readonly max: Time;
  /**
   * How chance shortens the time d, so that clients that opened together do not probe together: `none`, `equal` d/2 + U[0, d/2), `full` U[0, d).
   * @defaultValue `'equal'`
   */
  readonly jitter: 'none' | 'equal' | 'full';
  /** After so long closed, openings are counted anew. @defaultValue the length of the window, or 30 s if it has none */
  readonly resetAfter: Time | undefined;
}

/** How long the `n`-th opening in a row lasts; `u` is chance, in [0, 1). */
export function openTime({ initial, factor, max, jitter }: OpenTimeSettings, n: number, u: number): number {
  const plain = Math.min(initial * factor ** (n - 1), max);
  if (jitter === 'full') return u * plain;
  return jitter === 'equal' ? ((1 + u) * plain) / 2 : plain;
}

/**
 * How often a circuit opened in a row, and for how long. Openings are counted until it has stayed closed for a while, not just until it
 * closed: one that flaps stays open longer each time (Envoy's outlier detection counts ejections down only while a host is healthy).
 */
export class Openings {
  /** Openings in a row. */
  count = 0;
  /** When the latest one began, and how long it lasts, ms. */
  at = 0;
  ms = 0;
  /** When it ends. */
  until = 0;
  /** Until when failures asked to be left alone. */
  asked: number = -Infinity;

  /** One more that begins at `now`, number `count` in a row. */
  add(count: number, now: number, ms: number): void {
    this.count = count;
    this.at = now;
    this.last(now, ms);
  }

  /** A failure asks for a wait of `ms`. */
  ask(now: number, ms: number): void {
    this.asked = Math.max(this.asked, now + ms);
  }

  /** The present one lasts for `ms` from `now`. */
  last(now: number, ms: number): void {
    this.ms = ms;
    this.until = now + ms;
  }
}
