/** Where a sign of trouble is bad enough to do less, and where it is good enough to do more again. Between the two nothing moves. */
export interface Band {
  /** From here on it goes down a level. */
  readonly enterAt: number;
  /** From here down it comes up again. */
  readonly leaveAt: number;
}

/** A sign of trouble as it reads now. */
export interface Sign extends Band {
  readonly name: string;
  /** `undefined` if too little is known. */
  readonly reading: number | undefined;
  /** The deepest level it can lead to. */
  readonly reach: number;
}

export interface DegradationSettings {
  /** The deepest level there is, from 0. */
  readonly deepest: number;
  /** A lesser level is kept at least so long, ms. */
  readonly minDwell: number;
}

/** After relapses a level is kept longer, up to so many times. */
const MOST_PATIENT = 8;

/**
 * Goes down a level when a sign is bad, and up again when all are good: one level at a time, with a band between the two, and never faster than
 * `minDwell` except for the first step down from full. A feature that falls back soon after it was full again stays down twice as long as the
 * time before. What is not known does not keep a level: the better one is tried out.
 */
export class Degradation {
  /** 0 is full. */
  level = 0;
  /** Since when it stands there, ms. */
  since: number = -Infinity;
  readonly #settings: DegradationSettings;
  #dwell: number;

  constructor(settings: DegradationSettings) {
    this.#settings = settings;
    this.#dwell = settings.minDwell;
  }

  /** When the next step up, or further down, may come, ms. */
  get restsUntil(): number {
    return this.since + this.#dwell;
  }

  /** Looks at the signs; answers with the name of the one that leads down, `'recovered'` for a step up, or `undefined` if nothing moves. */
  step(signs: readonly Sign[], now: number): string | undefined {
    const rested = now >= this.restsUntil;
    if (this.level > 0 && !rested) return undefined;
    const bad = signs.find(({ reading, enterAt, reach }) => reading !== undefined && reading >= enterAt && this.#leads(reach));
    if (bad !== undefined) {
      if (this.level === 0) this.#dwell = this.#patience(rested);
      this.#move(1, now);
      return bad.name;
    }
    if (this.level === 0 || !signs.every(({ reading, leaveAt }) => reading === undefined || reading <= leaveAt)) return undefined;
    this.#move(-1, now);
    return 'recovered';
  }

  #leads(reach: number): boolean {
    return this.level < Math.min(reach, this.#settings.deepest);
  }

  #patience(rested: boolean): number {
    const { minDwell } = this.#settings;
    return rested ? minDwell : Math.min(this.#dwell * 2, minDwell * MOST_PATIENT);
  }

  #move(by: number, now: number): void {
    this.level += by;
    this.since = now;
  }
}
