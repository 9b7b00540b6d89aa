/** A limiter in its place in one pipeline: the gate that lets calls in when bottleneck runs their jobs, and what runs the work again when a listener of bottleneck asks for it. */

import type { Audience } from '../../core/audience.ts';
import type { Call } from '../../core/call.ts';
import type { Level } from '../../core/events.ts';
import { Failure, type Outcome } from '../../core/outcome.ts';
import type { Handler } from '../../core/policy.ts';
import type { Scope } from '../../core/scope.ts';
import type { Gate, Reaction } from '../../core/stage.ts';
import { standstill } from './holders.ts';
import type { BottleneckLike } from './instances.ts';
import { Job, type JobOwner, jobOf } from './job.ts';
import type { JobTerms } from './terms.ts';
import { Refusals, type Tally } from './refusals.ts';

/** What stands behind a gate. */
export interface Source {
  readonly audience: Audience;
  readonly tally: Tally;
  readonly terms: JobTerms;
  /** The limiter for a call, or why there is none. */
  limiterFor(call: Call): BottleneckLike | undefined;
}

/** Lets a call in when its job begins. */
export class BottleneckGate implements Gate<Job>, JobOwner {
  readonly narrows = true;
  readonly timeless = true;
  /** As long as the work runs its job does, also if a timeout or an abort has answered. */
  readonly until = 'work';
  readonly #source: Source;
  readonly #scope: Scope;
  readonly #refusals: Refusals;

  constructor(source: Source, scope: Scope) {
    this.#source = source;
    this.#scope = scope;
    this.#refusals = new Refusals(scope, source.tally);
  }

  enter(call: Call): Failure | Promise<Job | Failure> {
    if (!call.waits) return this.#refusals.atOnce(call);
    const limiter = this.#source.limiterFor(call);
    if (limiter === undefined) return this.#refusals.stopped(call, undefined);
    const options = this.#source.terms.of(call);
    const stuck = standstill(limiter, call, options.weight, jobOf);
    if (stuck !== undefined) return this.#refusals.ofItself(call, stuck, options.weight);
    return new Job(this, limiter, call, options).submit(this.#source.audience);
  }

  settle(job: Job, outcome: Outcome): void {
    job.end(outcome);
  }

  cancel(job: Job): void {
    job.cancel();
  }

  queued({ call, limiter }: Job): void {
    if (!this.#scope.listening) return;
    const { EXECUTING: active, RECEIVED, QUEUED, RUNNING } = limiter.counts();
    this.#tell('bottleneck.queued', 'debug', call, { active, queued: RECEIVED + QUEUED + RUNNING });
  }

  admitted(job: Job): void {
    if (this.#scope.listening) this.#tell('bottleneck.admitted', 'debug', job.call, { waited: this.#waited(job) });
  }

  repeated({ call, inner: { attempt } }: Job): void {
    if (this.#scope.listening) this.#tell('bottleneck.retried', 'info', call, { attempt });
  }

  refusal(job: Job, error: unknown): Failure {
    const { dropped } = this.#source.tally;
    const failure = this.#refusals.of(job, error);
    if (this.#source.tally.dropped > dropped && this.#scope.listening)
      this.#tell('bottleneck.dropped', 'warn', job.call, { waited: this.#waited(job) });
    return failure;
  }

  expiry(job: Job, error: unknown): Failure {
    const after = job.options.expiration ?? 0;
    const { started } = job.inner;
    if (this.#scope.listening) this.#tell('bottleneck.expired', 'warn', job.call, { after, started });
    return this.#refusals.expired(job.call, error, after, started);
  }

  #waited({ since }: Job): number {
    return Math.max(0, this.#scope.clock.now() - since);
  }

  #tell(type: string, level: Level, call: Call, fields: object): void {
    this.#scope.emit(type, level, call, fields);
  }
}

/** Runs the work again when a listener to bottleneck's `failed` has asked for it. It stands right inside the gate: the job, and with it the slot, is the same. */
export class BottleneckReaction implements Reaction {
  handles(outcome: Outcome, call: Call): boolean {
    const job = jobOf(call);
    if (job === undefined) return false;
    if (failed(outcome) && job.mayRepeat) return true;
    job.leave();
    return false;
  }

  async react(outcome: Outcome, call: Call, again: Handler): Promise<Outcome> {
    const job = jobOf(call) as Job;
    let last = outcome;
    while (failed(last) && job.mayRepeat && (await job.repeats(last.error))) {
      const { inner } = job;
      last = await again(inner);
      inner.prevail();
      job.call.release(inner);
    }
    job.leave();
    return job.call.failure ?? last;
  }
}

/** What bottleneck is told of as a failure: not what was refused further in, nor what its caller gave up. */
function failed(outcome: Outcome): outcome is Failure {
  return outcome instanceof Failure && (outcome.kind === 'thrown' || outcome.kind === 'timeout');
}
