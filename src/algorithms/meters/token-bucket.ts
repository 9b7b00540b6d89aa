import { Lows } from './lows.ts';
import { type CountedMeter, type Portable, ROUNDING, leeway } from './meter.ts';

/** What a bucket allows: so many tokens come back in each `per` ms, until `burst` are there. */
export interface Limit {
  readonly rate: number;
  readonly per: number;
  readonly burst: number;
}

/** Tokens that were taken, and when. */
export class Charge {
  readonly cost: number;
  readonly at: number;

  constructor(cost: number, at: number) {
    this.cost = cost;
    this.at = at;
  }
}

/**
 * The token bucket: `rate` tokens come back in each `per` until `burst` are there, and whoever comes takes what it costs. Two numbers of state,
 * looked at only when somebody asks, so nothing drifts and nothing runs between calls. Tokens of the future may be taken: then there is less than none. Time that
 * goes back counts as no time at all.
 *
 * After Turner, "New Directions in Communications", IEEE Communications Magazine 24(10), 1986; reservations as in Go's `x/time/rate`.
 */
export class Bucket implements CountedMeter<Charge>, Portable {
  limit: Limit;
  /** Tokens at the time `at`. */
  tokens: number;
  at: number;
  /** How few tokens were missing, at the times when some were taken; not known for a state that was loaded. */
  #lows: Lows | undefined = undefined;
  #loaded = false;

  constructor(limit: Limit, tokens: number, now: number) {
    this.limit = limit;
    this.tokens = tokens;
    this.at = now;
  }

  get capacity(): number {
    return this.limit.burst;
  }

  get period(): number {
    const { rate, per, burst } = this.limit;
    return rate > 0 ? (burst * per) / rate : per;
  }

  /** Tokens at `now`. */
  available(now: number): number {
    const { rate, per, burst } = this.limit;
    const elapsed = now - this.at;
    return Math.min(burst, elapsed > 0 ? this.tokens + (elapsed * rate) / per : this.tokens);
  }

  /** Milliseconds until `level` tokens are there; 0 if they are. */
  reach(level: number, now: number): number {
    const { rate, per, burst } = this.limit;
    const missing = level - this.available(now);
    if (missing <= 0) return 0;
    const slack = (leeway(now) * rate) / per + Math.max(burst, Math.abs(level)) * ROUNDING;
    return missing <= slack ? 0 : (missing * per) / rate;
  }

  wait(cost: number, now: number): number {
    return cost > this.limit.burst ? Infinity : this.reach(cost, now);
  }

  /** Takes tokens, those of the future if need be. */
  take(cost: number, now: number): Charge {
    const available = this.available(now);
    if (!this.#loaded) (this.#lows ??= new Lows()).note(this.limit.burst - available, now);
    this.tokens = available - cost;
    this.at = now;
    return new Charge(cost, now);
  }

  /**
   * Puts tokens back that were not used after all, as if they had never been taken: what would have come in since and found no room without them is not there. Where that is not known
   * any more, all that has come in since is taken for it.
   */
  giveBack({ cost, at }: Charge, now: number): void {
    const lows = this.#lows;
    const { rate, per, burst } = this.limit;
    const missed = lows === undefined ? cost - (Math.max(0, now - at) * rate) / per : lows.since(at);
    const lasting = Math.min(cost, missed, burst - this.available(now));
    if (lasting <= 0) return;
    lows?.lower(lasting, at);
    this.#put(lasting, now);
  }

  /** Nothing is left, and what was taken before does not come back. */
  drain(now: number): void {
    this.stand(Math.min(0, this.available(now)), now);
  }

  isFresh(now: number): boolean {
    return this.reach(this.limit.burst, now) === 0;
  }

  begin(now: number): void {
    this.at = now;
  }

  copy(): Bucket {
    return new Bucket(this.limit, this.tokens, this.at);
  }

  get width(): number {
    return 2;
  }

  save(to: Float64Array, at: number): void {
    to[at] = this.tokens;
    to[at + 1] = this.at;
  }

  load(from: Float64Array, at: number): void {
    this.tokens = from[at] as number;
    this.at = from[at + 1] as number;
    this.#loaded = true;
    this.#lows = undefined;
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
    this.#put(Math.max(0, cost - later), now);
  }

  /** Changes the limit and keeps the tokens: raising it makes no gift, lowering it takes what no longer fits. */
  change(limit: Limit, now: number): void {
    const tokens = this.available(now);
    this.limit = limit;
    this.stand(Math.min(limit.burst, tokens), now);
  }

  /** So many tokens are there from now on; whatever was taken before stays taken. */
  protected stand(tokens: number, now: number): void {
    this.tokens = tokens;
    this.at = now;
    this.#lows?.note(0, now);
  }

  #put(tokens: number, now: number): void {
    this.tokens = Math.min(this.limit.burst, this.available(now) + tokens);
    this.at = now;
  }
}
