import { Bucket, type Limit } from './token-bucket.ts';

/** What a leaky bucket allows: so many calls leave in each `per` ms. */
export interface Leak {
  readonly rate: number;
  readonly per: number;
  /** How many calls ahead of the rate it bears before it refuses. */
  readonly burst: number;
  /** How many of those pass at once; the others are held. */
  readonly delay: number;
}

/**
 * The leaky bucket as a queue: calls leave at a constant rate. How far calls are ahead of it is the excess; up to `delay` they pass at once,
 * up to `burst` they are held until the rate has caught up, and beyond that they are refused.
 *
 * It is a token bucket seen from the other side: the excess is what is missing from a bucket that holds the next call and `delay` more,
 * and a call that is held is one that takes a token of the future. After Turner (1986) and nginx's `limit_req`.
 */
export class PacedBucket extends Bucket {
  leak: Leak;
  /** No call is held longer, ms. */
  longest: number;

  constructor(leak: Leak, now: number) {
    const limit = seen(leak);
    super(limit, limit.burst, now);
    this.leak = leak;
    this.longest = longestOf(leak);
  }

  /** A call is held until there is room for the first of the places it takes; the next one pays for the others. */
  override wait(_cost: number, now: number): number {
    return this.reach(1, now);
  }

  override copy(): PacedBucket {
    const copy = new PacedBucket(this.leak, this.at);
    copy.tokens = this.tokens;
    return copy;
  }

  /** How many calls ahead of the rate a call at `now` would come. */
  excess(now: number): number {
    return Math.max(0, this.limit.burst - this.available(now));
  }

  /** Changes what is allowed and keeps the excess. */
  reshape(leak: Leak, now: number): void {
    const limit = seen(leak);
    const excess = this.excess(now);
    this.limit = limit;
    this.stand(limit.burst - excess, now);
    this.leak = leak;
    this.longest = longestOf(leak);
  }
}

/** The leak as the limit of a token bucket. */
function seen({ rate, per, burst, delay }: Leak): Limit {
  return { rate, per, burst: 1 + Math.min(delay, burst) };
}

function longestOf({ rate, per, burst, delay }: Leak): number {
  return burst > delay ? ((burst - delay) * per) / rate : 0;
}
