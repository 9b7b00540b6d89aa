import type { Call } from '../../core/call.ts';
import {
  BulkheadFullError,
  RateLimitedError,
  type RefusalDetails,
  RejectedError,
  ShutdownError,
  StoreError,
  TimeoutError,
} from '../../core/errors.ts';
import { systemClock, wallTime } from '../../core/clock.ts';
import { made } from '../../core/made.ts';
import { Failure, refuse, thrown } from '../../core/outcome.ts';
import type { Scope } from '../../core/scope.ts';
import type { Standstill } from './holders.ts';
import { isOwnError, isStopped, refillIn, standing } from './instances.ts';
import type { Job } from './job.ts';

/** How many calls a policy has turned away, and how. */
export interface Tally {
  /** Thrown out of the queue, or not taken into it (`highWater`). */
  dropped: number;
  /** For another reason: stopped, too heavy, an id that was there already, a store that failed. */
  refused: number;
  /** Ran out of the time that `expiration` gave them. */
  expired: number;
}

/** What bottleneck says of jobs that it does not take, apart from those that it drops. */
const sayings = {
  tooHeavy: /^Impossible to add a job having a weight of/,
  sameId: /^A job with the same id already exists/,
  timedOut: /^This job timed out after/,
} as const;

/** What calls get that are turned away, in our words; the package's own error is the `cause`. */
export class Refusals {
  readonly #scope: Scope;
  readonly #tally: Tally;

  constructor(scope: Scope, tally: Tally) {
    this.#scope = scope;
    this.#tally = tally;
  }

  /** A job that never ran. */
  of(job: Job, cause: unknown): Failure {
    const { limiter, call, options } = job;
    if (isStopped(limiter)) return this.stopped(call, cause);
    if (cause !== undefined && !isOwnError(limiter, cause)) return this.#store(call, cause);
    const { message = '' } = (cause ?? {}) as Partial<Error>;
    if (sayings.timedOut.test(message)) return this.expired(call, cause, options.expiration ?? 0, false);
    if (sayings.tooHeavy.test(message))
      return this.#refused(
        BulkheadFullError,
        call,
        `lets less run at once (maxConcurrent) than the call weighs (${options.weight})`,
        cause,
      );
    if (sayings.sameId.test(message))
      return this.#refused(RejectedError, call, `has a job with the id ${JSON.stringify(options.id)} already`, cause);
    this.#tally.dropped++;
    const why = 'dropped the call because its queue is full (highWater), so the work never ran';
    if ((standing(limiter).reservoir ?? Infinity) >= options.weight) return this.#error(BulkheadFullError, call, why, { cause });
    const retryAfter = refillIn(limiter, wallTime(systemClock));
    return this.#error(RateLimitedError, call, `has used up its reservoir and ${why}`, { cause, retryAfter });
  }

  stopped(call: Call, cause: unknown): Failure {
    return this.#refused(ShutdownError, call, 'was stopped', cause);
  }

  /** It would wait for itself. */
  ofItself(call: Call, { most, held }: Standstill, weight: number): Failure {
    const holds = `the call, or work that it comes from, holds ${held} of ${most} (maxConcurrent)`;
    const why = `would let the call in only when it is over: ${holds} and it takes ${weight} more; give inner calls a limiter of their own`;
    return this.#refused(BulkheadFullError, call, why, undefined);
  }

  /** Bottleneck never answers in the same tick. */
  atOnce(call: Call): Failure {
    return this.#refused(
      RejectedError,
      call,
      'makes every call wait for a turn of the event loop, so it cannot say at once: use acquire',
      undefined,
    );
  }

  expired(call: Call, cause: unknown, after: number, started: boolean): Failure {
    const { pipeline, policy, stack } = this.#scope;
    this.#tally.expired++;
    const message = `${pipeline}: ${policy} timed out after ${after} ms (expiration)${started ? '' : ', before the work had started'}`;
    return new Failure(made(TimeoutError, message, { pipeline, policy, key: call.key, after, started, cause }, stack), 'timeout');
  }

  #store({ key }: Call, cause: unknown): Failure {
    const { pipeline, policy, stack } = this.#scope;
    this.#tally.refused++;
    return thrown(made(StoreError, `${pipeline}: the store of ${policy} failed`, { pipeline, policy, key, cause }, stack));
  }

  #refused(Type: typeof RejectedError, call: Call, why: string, cause: unknown): Failure {
    this.#tally.refused++;
    return this.#error(Type, call, why, { cause });
  }

  #error(Type: typeof RejectedError, { key }: Call, why: string, details: RefusalDetails): Failure {
    const { pipeline, policy, stack } = this.#scope;
    return refuse(made(Type, `${pipeline}: ${policy} ${why}`, { pipeline, policy, key, ...details }, stack));
  }
}
