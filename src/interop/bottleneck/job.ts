import type { Call } from '../../core/call.ts';
import type { Audience } from '../../core/audience.ts';
import { Failure, type Outcome } from '../../core/outcome.ts';
import type { Narrowing } from '../../core/stage.ts';
import { IdHold, type Taken } from './ids.ts';
import { type BottleneckLike, chainOf, dropsInSilence, listeners, sameId } from './instances.ts';
import { OURS, type Watched, follow, watch } from './watch.ts';

/** What bottleneck is told of a job. */
export interface JobOptions {
  readonly priority: number;
  readonly weight: number;
  readonly expiration?: number;
  readonly id?: string;
}

/** What a job tells the gate that it was made for. */
export interface JobOwner {
  queued(job: Job): void;
  admitted(job: Job): void;
  /** It will never run: what its call gets. */
  refusal(job: Job, error: unknown): Failure;
  /** Its time is up while it runs: what its call gets. */
  expiry(job: Job, error: unknown): Failure;
  /** Bottleneck runs it again. */
  repeated(job: Job): void;
}

/** Jobs whose turn has come, by the calls that were let in: one for each run. */
const admitted = new WeakMap<Call, Job>();

/** The job of a call that was let in. */
export function jobOf(call: Call): Job | undefined {
  return admitted.get(call);
}

/** How a run that bottleneck waits for ends. */
interface Run {
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/**
 * One call as a job of bottleneck. The work does not run in it: the job begins when its turn comes, which lets the call in, and ends when we say so. It is the pass of the gate, too.
 */
export class Job implements Watched, Narrowing {
  readonly limiter: BottleneckLike;
  readonly options: JobOptions;
  /** The call as it waits; listeners of bottleneck find it as the job's argument. */
  readonly call: Call;
  /** The call as it goes on inward in the present run. */
  inner: Call;
  /** When it was given to bottleneck, ms on the pipeline's clock. */
  readonly since: number;
  /** How often it was begun. */
  runs = 0;
  readonly #owner: JobOwner;
  #answer: ((answer: Job | Failure) => void) | undefined = undefined;
  /** The present run, while bottleneck waits for it. */
  #run: Run | undefined = undefined;
  /** Answers whether there is another run, once a run was told as failed. */
  #decided: ((again: boolean) => void) | undefined = undefined;
  #decision: Promise<boolean> | undefined = undefined;
  /** Nobody is there any more to do the work of another run. */
  #left = false;
  /** Bottleneck will not run it again. */
  #done = false;
  #scheduled = false;
  #hold: IdHold | undefined = undefined;

  constructor(owner: JobOwner, limiter: BottleneckLike, outer: Call, options: JobOptions) {
    this.#owner = owner;
    this.limiter = limiter;
    this.options = options;
    this.call = outer.derive();
    this.inner = this.call;
    this.since = outer.scope.clock.now();
    follow(this.call, this);
  }

  /** Gives the job to bottleneck; resolves to the job itself when its turn comes. */
  submit(audience: Audience): Promise<Job | Failure> {
    watch(this.limiter, audience);
    return new Promise((resolve) => {
      this.#answer = resolve;
      const { limiter, options } = this;
      const taken: Taken | undefined = options.id === undefined ? {} : IdHold.take(limiter, options.id, this);
      if (taken === undefined) {
        this.#rejected(sameId(limiter, options.id));
        return;
      }
      this.#hold = taken.hold;
      if (taken.ready === undefined) this.#schedule();
      else taken.ready.then(() => this.#schedule()).catch((error: unknown) => this.#rejected(error));
    });
  }

  #schedule(): void {
    if (this.call.failure !== undefined) {
      this.#settleWait(this.call.failure);
      this.#hold?.release();
      return;
    }
    this.#scheduled = true;
    const { limiter } = this;
    const schedule = limiter.schedule.bind(limiter) as (options: object, task: () => unknown, argument: Call) => PromiseLike<unknown>;
    schedule({ ...this.options }, this.#begin, this.call).then(
      () => {
        this.#hold?.release();
        this.done(limiter);
      },
      (error: unknown) => this.#rejected(error),
    );
  }

  /** Nobody but bottleneck has to do with it any more, and that not for long. A job of a call that was cut before its turn is not: it stands in the queue. */
  get leaving(): boolean {
    if (!this.#scheduled) return this.call.failure !== undefined;
    return this.runs > 0 && this.#run === undefined && (this.#done || !this.mayRepeat);
  }

  /** Whether bottleneck waits for the end of a run: so long, what it weighs is taken. */
  get holds(): boolean {
    return this.#run !== undefined;
  }

  /** Whether anybody may have bottleneck run it again: somebody listens for failures, and there is a call to run. */
  get mayRepeat(): boolean {
    if (this.call.failure !== undefined || this.#left) return false;
    return chainOf(this.limiter).some((limiter) => listeners(limiter, 'failed') > OURS);
  }

  /** From now on nobody would do the work of another run. */
  leave(): void {
    this.#left = true;
  }

  /** Tells bottleneck that the run failed, and waits for what it says: true if the job was begun again. The call being cut ends the wait. */
  async repeats(error: unknown): Promise<boolean> {
    if (this.#decision === undefined) this.#fail(error);
    this.call.waiter = () => {
      this.leave();
      this.#decide(false);
    };
    const again = await this.#decision;
    this.call.waiter = undefined;
    this.#decision = undefined;
    return again === true;
  }

  /** The call is over. */
  end(outcome: Outcome): void {
    this.leave();
    if (outcome instanceof Failure && (outcome.kind === 'thrown' || outcome.kind === 'timeout')) this.#fail(outcome.error);
    else this.#succeed();
    this.call.parent?.release(this.call);
  }

  /** The work did not run. */
  cancel(): void {
    this.leave();
    this.#succeed();
    this.call.parent?.release(this.call);
  }

  queued(limiter: BottleneckLike): void {
    if (limiter === this.limiter) this.#owner.queued(this);
  }

  dropped(limiter: BottleneckLike): void {
    if (limiter === this.limiter) this.#hold?.release();
    // What it was dropped for comes with the rejection of its promise, if that is ever rejected.
    if (limiter === this.limiter || dropsInSilence(limiter)) void Promise.resolve().then(() => this.#rejected(undefined));
  }

  failed(_limiter: BottleneckLike, error: unknown): void {
    // Not told by us: its time is up.
    if (this.#run !== undefined) this.#expire(error);
  }

  done(limiter: BottleneckLike): void {
    if (limiter !== this.limiter) return;
    this.#done = true;
    this.#decide(false);
  }

  /** Its turn has come, the first time or once more. A call that is gone is not run: the job ends at once. */
  readonly #begin = (): unknown => {
    if (this.#left || this.call.failure !== undefined) {
      this.#settleWait(this.call.failure ?? new Failure(undefined, 'aborted'));
      this.#decide(false);
      return undefined;
    }
    const { call, options, runs } = this;
    this.runs++;
    const now = call.scope.clock.now();
    const deadline = options.expiration === undefined ? Infinity : now + options.expiration;
    this.inner = call.derive(call.attempt + runs, deadline);
    // What lies inside counts from here, and not from when the call began to wait.
    this.inner.at = now;
    const ended = new Promise<void>((resolve, reject) => (this.#run = { resolve, reject }));
    admitted.set(this.inner, this);
    if (this.#answer !== undefined) {
      this.#owner.admitted(this);
      this.#settleWait(this);
    } else {
      this.#owner.repeated(this);
      this.#decide(true);
    }
    return ended;
  };

  /** The promise of the job was rejected, or never will be settled: refused, or at the end of its runs. */
  #rejected(error: unknown): void {
    this.#hold?.release();
    if (this.#answer !== undefined) {
      this.leave();
      this.#settleWait(this.call.failure ?? this.#owner.refusal(this, error));
      this.call.parent?.release(this.call);
    } else if (this.#run !== undefined && error !== undefined) this.#expire(error);
    this.#decide(false);
  }

  #settleWait(answer: Job | Failure): void {
    const resolve = this.#answer;
    this.#answer = undefined;
    resolve?.(answer);
  }

  #expire(error: unknown): void {
    this.#run = undefined;
    this.#undecided();
    this.inner.cut(this.#owner.expiry(this, error));
  }

  #fail(error: unknown): void {
    const run = this.#run;
    if (run === undefined) return;
    this.#run = undefined;
    this.#undecided();
    run.reject(error);
  }

  #succeed(): void {
    const run = this.#run;
    this.#run = undefined;
    run?.resolve();
  }

  #undecided(): void {
    this.#decision = new Promise((resolve) => (this.#decided = resolve));
  }

  #decide(again: boolean): void {
    const decided = this.#decided;
    this.#decided = undefined;
    decided?.(again);
  }
}
