import type { Bucket } from '../algorithms/token-bucket.ts';
import { Turn, WaitingLine } from '../algorithms/waiting-line.ts';
import { Alarm } from '../core/alarm.ts';
import type { Call } from '../core/call.ts';
import type { Clock } from '../core/clock.ts';
import type { Failure } from '../core/outcome.ts';
import type { Scope } from '../core/scope.ts';

/** A bucket that is kept in this process for any number of pipelines: which clock it is read by, and who waits for its tokens. */
export class SharedBucket<Kind extends Bucket> {
  readonly bucket: Kind;
  #line: WaitingLine | undefined = undefined;
  #clock: Clock | undefined = undefined;
  /** Whether calls have come. */
  #used = false;

  constructor(bucket: Kind) {
    this.bucket = bucket;
  }

  /** Calls that wait. */
  get waiting(): number {
    return this.#line?.size ?? 0;
  }

  /** The present, by its clock. */
  protected get now(): number {
    return this.#clock === undefined ? this.bucket.at : this.#clock.now();
  }

  /** A pipeline mounts it. Time begins with the first one or, if the first call comes by another clock, then. */
  join({ clock }: Scope): void {
    if (this.#clock === undefined) this.#begin(clock, clock.now());
  }

  /** A call has come at `now`: time begins, turns that are due are granted. */
  arrive({ clock }: Scope, now: number): void {
    if (!this.#used) {
      this.#used = true;
      this.#begin(clock, now);
    }
    this.#line?.advance(now);
  }

  /** Puts back what was taken and not used after all. */
  giveBack(tokens: number, now: number): void {
    this.bucket.giveBack(tokens, now);
    this.#line?.advance(now);
  }

  /** The limit has changed. */
  protected review(): void {
    this.#line?.review(this.now);
  }

  /** Waits on behalf of a call, until its turn has come or (by `until`, ms) it is in vain; then `refuse` says what the call gets. */
  wait(call: Call, tokens: number, until: number, now: number, refuse: () => Failure): Promise<number | Failure> {
    const { clock } = call.scope;
    const line = (this.#line ??= new WaitingLine(this.bucket, (ring) => new Alarm(clock, ring)));
    return new Promise((resolve) => {
      const turn = new Turn(tokens, until, (granted) => {
        call.waiter = undefined;
        resolve(granted ? tokens : refuse());
      });
      call.waiter = (failure) => {
        line.leave(turn, clock.now());
        resolve(failure);
      };
      line.join(turn, now);
    });
  }

  #begin(clock: Clock, now: number): void {
    if (clock !== this.#clock) this.bucket.at = now;
    this.#clock = clock;
  }
}
