import { Wheel } from './wheel.ts';

/** Columns of a bucket. */
const requests = 0;
const accepts = 1;
const columns = 2;

/** Requests and how many of them were accepted, over the last `duration` ms, in equal buckets. */
export class RequestWindow extends Wheel {
  requests = 0;
  accepts = 0;
  readonly #counts: Uint32Array;

  constructor(duration: number, buckets: number) {
    super(duration / buckets, buckets);
    this.#counts = new Uint32Array(buckets * columns);
  }

  /** Counts a request at `now`; answers with the number of its bucket. */
  request(now: number): number {
    this.expire(now);
    (this.#counts[this.slot * columns + requests] as number)++;
    this.requests++;
    return this.newest;
  }

  /** Takes a request back that was counted in this bucket, if that has not left. */
  unrequest(bucket: number): void {
    const place = this.placeOf(bucket);
    if (place === undefined || this.#counts[place * columns + requests] === 0) return;
    (this.#counts[place * columns + requests] as number)--;
    this.requests--;
  }

  /** Counts that one was accepted at `now`. */
  accept(now: number): void {
    this.expire(now);
    (this.#counts[this.slot * columns + accepts] as number)++;
    this.accepts++;
  }

  clear(): void {
    this.#counts.fill(0);
    this.requests = this.accepts = 0;
  }

  protected empty(slot: number): void {
    const at = slot * columns;
    this.requests -= this.#counts[at + requests] as number;
    this.accepts -= this.#counts[at + accepts] as number;
    this.#counts[at + requests] = this.#counts[at + accepts] = 0;
  }
}
