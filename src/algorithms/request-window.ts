/** Columns of a bucket. */
const requests = 0;
const accepts = 1;
const columns = 2;

/**
 * Requests and how many of them were accepted, over the last `duration` ms, in equal buckets aligned to time 0; the oldest bucket leaves whole. Every expired
 * bucket is cleared before anything is written or read, however long nothing happened. A clock that steps back loses nothing: what comes meanwhile is
 * counted in the newest bucket.
 */
export class RequestWindow {
  requests = 0;
  accepts = 0;
  /** Length of a bucket, ms. */
  readonly width: number;
  readonly #buckets: number;
  readonly #counts: Uint32Array;
  /** Number of the newest bucket since time 0, and when it ends. */
  #newest = -Infinity;
  #end = -Infinity;

  constructor(duration: number, buckets: number) {
    this.#buckets = buckets;
    this.width = duration / buckets;
    this.#counts = new Uint32Array(buckets * columns);
  }

  /** Counts a request at `now`; answers with the number of its bucket. */
  request(now: number): number {
    this.expire(now);
    (this.#counts[this.#at(this.#newest) + requests] as number)++;
    this.requests++;
    return this.#newest;
  }

  /** Takes a request back that was counted in this bucket, if that has not left. */
  unrequest(bucket: number): void {
    const at = this.#at(bucket) + requests;
    if (bucket <= this.#newest - this.#buckets || this.#counts[at] === 0) return;
    (this.#counts[at] as number)--;
    this.requests--;
  }

  /** Counts that one was accepted at `now`. */
  accept(now: number): void {
    this.expire(now);
    (this.#counts[this.#at(this.#newest) + accepts] as number)++;
    this.accepts++;
  }

  /** Forgets what is too old at `now`. To be called before reading; writing does it by itself. */
  expire(now: number): void {
    if (now < this.#end) return;
    const number = Math.floor(now / this.width);
    if (number - this.#newest >= this.#buckets) {
      this.#counts.fill(0);
      this.requests = this.accepts = 0;
    } else {
      for (let bucket = this.#newest + 1; bucket <= number; bucket++) this.#clear(this.#at(bucket));
    }
    this.#newest = number;
    this.#end = (number + 1) * this.width;
  }

  #clear(at: number): void {
    this.requests -= this.#counts[at + requests] as number;
    this.accepts -= this.#counts[at + accepts] as number;
    this.#counts[at + requests] = this.#counts[at + accepts] = 0;
  }

  /** Where a bucket begins. Time may be negative, the place may not. */
  #at(bucket: number): number {
    return (((bucket % this.#buckets) + this.#buckets) % this.#buckets) * columns;
  }
}
