/**
 * How many calls a server can have under way without a queue, learned from what it has carried: the most calls it finished in any moment times the least time they took,
 * which is Little's law at its best point. The idea is that of the BBR congestion control (Cardwell et al., ACM Queue 14(5), 2016), and its use as a check on overloaded servers
 * that of Sentinel's system rules, Kratos and go-zero: a processor that is busy is no reason to refuse what it carries with ease.
 *
 * They look for the least time in the same few seconds as for the throughput. When a queue has stood for that long, every time in the window contains it, the estimate
 * grows with the queue, and the queue is let stand for ever. Here the least time is remembered for minutes, and bounds what the few seconds say. What is remembered are
 * means of many calls, and a little is added: the least of many small samples is mostly luck, and an estimate under the truth would shrink with each look at its own effect.
 */

import { LoadBuckets } from './load-buckets.ts';

/** How far back to look. */
export interface BbrSettings {
  /** Throughput is looked for in so many ms, in so many buckets. */
  readonly window: number;
  readonly buckets: number;
  /** The least time is looked for in so many ms. */
  readonly memory: number;
}

/** Parts of the memory; the oldest leaves whole. */
const PARTS = 30;

/** A mean is remembered when so many calls have ended, or in quiet times at least so many in a whole part. */
const MANY = 200;
const SOME = 10;

/** A remembered least time is exceeded by this factor before it counts, as by the buffer that Envoy's gradient controller adds to its own. */
const BUFFER = 1.25;

/** Weight of what was before in the average of calls under way. */
const INERTIA = 0.9;

/** What a server has carried, and what it carries now. */
export class Bbr {
  /** Calls under way. */
  inFlight = 0;
  /** The same, averaged over the latest beginnings and ends of calls. */
  average = 0;
  readonly #buckets: LoadBuckets;
  readonly #perSecond: number;
  /** Least mean times by parts of the memory, and to which part each belongs. */
  readonly #least: Float64Array = new Float64Array(PARTS).fill(Infinity);
  readonly #parts: Float64Array = new Float64Array(PARTS).fill(-Infinity);
  readonly #partWidth: number;
  /** Calls on the way to the next mean, their time together, and when the first bucket of them ended. */
  #some = 0;
  #ms = 0;
  #since = 0;
  /** The limit as last worked out, and until when it holds. */
  #limit = 1;
  #limitUntil = -Infinity;
  /** The most calls that ended in a bucket, as it stands in the limit. */
  #most = 1;
  /** Calls that began in this bucket, and when it ends. */
  #begun = 0;
  #begunUntil = -Infinity;

  constructor({ window, buckets, memory }: BbrSettings) {
    const width = window / buckets;
    this.#perSecond = 1000 / width;
    this.#partWidth = memory / PARTS;
    this.#buckets = new LoadBuckets(width, buckets, (timed, ms, end) => this.#gather(timed, ms, end));
  }

  /** A call begins. */
  begin(now: number): void {
    this.inFlight++;
    if (now >= this.#begunUntil) {
      this.#buckets.expire(now);
      this.#begunUntil = this.#buckets.end;
      this.#begun = 0;
    }
    this.#begun++;
    this.#weigh();
  }

  /** A call is over that was not carried: it was cut short, or refused further in. */
  drop(): void {
    this.inFlight--;
    this.#weigh();
  }

  /** A call was carried to its end; `ms` if how long it took says what a call takes. */
  end(ms: number | undefined, now: number): void {
    this.drop();
    this.#buckets.add(now);
    if (ms !== undefined) this.#buckets.time(ms, now);
  }

  /** So many calls it carries without a queue, at least 1. */
  limit(now: number): number {
    if (now < this.#limitUntil) return this.#limit;
    this.#most = Math.max(1, this.#buckets.most(now));
    this.#limit = Math.max(1, (this.#most * this.#perSecond * this.leastTime(now)) / 1000);
    this.#limitUntil = this.#buckets.end;
    return this.#limit;
  }

  /** The least time that calls took, as the mean of a bucket, but not much more than what is remembered, ms; at least 1. */
  leastTime(now: number): number {
    let least = this.#buckets.quickest(now);
    const oldest = Math.floor(now / this.#partWidth) - PARTS;
    for (let i = 0; i < PARTS; i++) if ((this.#parts[i] as number) > oldest) least = Math.min(least, BUFFER * (this.#least[i] as number));
    return least === Infinity ? 1 : Math.max(1, least);
  }

  /** Whether more is under way than this share of what it carries, now and on average. */
  isExceeded(now: number, share = 1): boolean {
    const limit = this.limit(now) * share;
    return this.inFlight > limit && this.average > limit;
  }

  /** Whether in this bucket as many calls have begun as this share of the most that it finished in one; the first of each may always begin. */
  isOutrun(now: number, share: number): boolean {
    this.limit(now);
    return now < this.#begunUntil && this.#begun >= Math.max(1, this.#most * share);
  }

  /** Whether nothing is under way and nothing was, within the window. */
  isIdle(now: number): boolean {
    this.#buckets.expire(now);
    return this.inFlight === 0 && this.#buckets.count === 0;
  }

  #weigh(): void {
    this.average += (1 - INERTIA) * (this.inFlight - this.average);
  }

  #gather(timed: number, ms: number, end: number): void {
    if (this.#some === 0) this.#since = end;
    this.#some += timed;
    this.#ms += ms;
    if (this.#some < MANY && (this.#some < SOME || end - this.#since < this.#partWidth)) return;
    this.#remember(this.#ms / this.#some, Math.floor(end / this.#partWidth));
    this.#some = this.#ms = 0;
  }

  #remember(mean: number, part: number): void {
    const place = ((part % PARTS) + PARTS) % PARTS;
    if (this.#parts[place] !== part) {
      this.#parts[place] = part;
      this.#least[place] = Infinity;
    }
    this.#least[place] = Math.min(this.#least[place] as number, mean);
  }
}
