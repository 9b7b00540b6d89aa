/** What a bucket allows: so many tokens come back in each `per` ms, until `burst` are there. */
export interface Limit {
  readonly rate: number;
  readonly per: number;
  readonly burst: number;
}

/** A timer that fires up to this much late (ms) is no news; later, it was held up by a blocked event loop. */
export const LATENESS = 20;
/** Whoever comes early by this much (ms) is let in: it is less than clocks can tell, and it stays on the books. */
const NANOSECOND = 1e-6;
/** Four times the spacing of the numbers next to 1: what a few roundings may add up to. */
const ROUNDING = 2 ** -50;

/** How exactly time is told around `now`, ms. */
export function leeway(now: number): number {
  return NANOSECOND + Math.abs(now) * ROUNDING;
}

/** Whether a wait is longer than the caller's patience, both in ms; one without end is, whatever the patience. */
export function exceeds(wait: number, patience: number, now: number): boolean {
  return wait === Infinity || wait - patience > leeway(now);
}

/**
 * The token bucket: `rate` tokens come back in each `per` until `burst` are there, and whoever comes takes what it costs. Two numbers of state,
 * looked at only when somebody asks, so nothing drifts and nothing runs between calls. Tokens may be owed to those who wait: then
 * `tokens` is what is left beyond that debt, and may be negative. Time that goes back counts as no time at all.
 *
 * After Turner, "New Directions in Communications", IEEE Communications Magazine 24(10), 1986; reservations as in Go's `x/time/rate`.
 */
export class Bucket {
  limit: Limit;
  /** Tokens at the time `at`, less what is owed. */
  tokens: number;
  at: number;
  /** Tokens that are there or will be, and are for those who wait. */
  owed = 0;

  constructor(limit: Limit, tokens: number, now: number) {
    this.limit = limit;
    this.tokens = tokens;
    this.at = now;
  }

  /** Tokens at `now` beyond the owed ones. */
  available(now: number): number {
    const { rate, per } = this.limit;
    const elapsed = now - this.at;
    return Math.min(this.#room(), elapsed > 0 ? this.tokens + (elapsed * rate) / per : this.tokens);
  }

  /** Milliseconds until `level` tokens are there beyond the owed ones; 0 if they are. */
  reach(level: number, now: number): number {
    const { rate, per, burst } = this.limit;
    const missing = level - this.available(now);
    if (missing <= 0) return 0;
    const slack = (leeway(now) * rate) / per + Math.max(burst, Math.abs(level)) * ROUNDING;
    return missing <= slack ? 0 : (missing * per) / rate;
  }

  /** Milliseconds until `cost` can be taken if nobody else comes; `Infinity` for more than the bucket can hold. */
  wait(cost: number, now: number): number {
    return cost > this.limit.burst ? Infinity : this.reach(cost, now);
  }

  /** Takes tokens, those of the future if need be, and answers with how many. */
  take(cost: number, now: number): number {
    this.tokens = this.available(now) - cost;
    this.at = now;
    return cost;
  }

  /** Puts tokens back that were not used after all, as far as there is room for them. */
  giveBack(cost: number, now: number): void {
    this.tokens = Math.min(this.#room(), this.available(now) + cost);
    this.at = now;
  }

  /**
   * Gives a reservation back where whoever reserved later was told its time and keeps it: what those depend on stays taken, and from
   * its own time on nothing comes back. (A line that can move up gives back everything instead.)
   */
  cancel(cost: number, actAt: number, now: number): void {
    if (actAt < now) return;
    const { rate, per } = this.limit;
    const last = this.at - (this.tokens * per) / rate;
    const later = Math.max(0, ((last - actAt) * rate) / per);
    this.giveBack(Math.max(0, cost - later), now);
  }

  /** Changes the limit and keeps the tokens: raising it makes no gift, lowering it takes what no longer fits. */
  change(limit: Limit, now: number): void {
    this.tokens = this.available(now);
    this.at = now;
    this.limit = limit;
    this.tokens = Math.min(this.#room(), this.tokens);
  }

  /**
   * Tokens that there is room for beyond the owed ones: a full bucket does not fill up further, whomever its tokens are for. Only what
   * comes in while a timer is late is kept for those who wait for it, or they would be slower than the rate.
   */
  #room(): number {
    const { rate, per, burst } = this.limit;
    return this.owed > 0 ? burst - this.owed + (LATENESS * rate) / per : burst;
  }
}
