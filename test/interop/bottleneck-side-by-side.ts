/** The same jobs, at the same moments, through a bottleneck of the package and through the native policies for its options. */

import Bottleneck from 'bottleneck';
import { vi } from 'vitest';
import { RejectedError, TimeoutError } from '../../src/core/errors.ts';
import { pipeline } from '../../src/core/pipeline.ts';
import { fromBottleneckOptions } from '../../src/interop/bottleneck/native.ts';
import { hop } from '../../src/testing/hop.ts';

export type Options = Bottleneck.ConstructorOptions & Parameters<typeof fromBottleneckOptions>[0];

/** One job: when it comes, and how long its work takes. Times in ms. */
export interface Job {
  readonly at: number;
  readonly takes: number;
  readonly priority?: number;
  readonly weight?: number;
  readonly expiration?: number;
}

/** What became of a job. `started`: when its work began. */
export interface Fate {
  started?: number;
  ended?: number;
  answer?: 'done' | 'refused' | 'expired' | 'error';
}

/** What became of all, and in which order their works began. */
export interface Course {
  readonly fates: readonly Fate[];
  readonly order: readonly number[];
  /** The most weight that worked at once. */
  readonly peak: number;
}

/** Lets time pass, one timer after the other, with everything that follows from each. */
export async function pass(ms: number): Promise<void> {
  await hop();
  const state = { over: ms < 1 };
  if (ms >= 1) setTimeout(() => (state.over = true), ms);
  while (!state.over) {
    vi.advanceTimersToNextTimer();
    await hop();
  }
  vi.advanceTimersByTime(0);
  await hop();
}

/** Takes part in a race: gives the job to a limiter, and answers like it. */
type Runner = (work: (signal?: AbortSignal) => Promise<void>, job: Job) => Promise<'done' | 'refused' | 'expired' | 'error'>;

/** The bottleneck itself, with nothing around it. */
export function bare(limiter: Bottleneck): Runner {
  return async (work, { priority = 5, weight = 1, expiration = null }) => {
    try {
      await limiter.schedule({ priority, weight, expiration }, () => work());
      return 'done';
    } catch (error) {
      if (!(error instanceof Bottleneck.BottleneckError)) return 'error';
      return error.message.startsWith('This job timed out') ? 'expired' : 'refused';
    }
  };
}

/** A pipeline, whatever it is made of. */
export function piped(policies: Parameters<typeof pipeline>[0]): Runner {
  const limited = pipeline(policies as ReturnType<typeof fromBottleneckOptions>);
  return async (work, job) => {
    const outcome = await limited.executeOutcome((call) => work(call.signal), { tags: { ...job }, cost: job.weight ?? 1 });
    if (outcome.ok) return 'done';
    if (outcome.error instanceof RejectedError) return 'refused';
    return outcome.error instanceof TimeoutError ? 'expired' : 'error';
  };
}

/** What jobs say of themselves, for policies. */
export const jobOptions = {
  priority: ({ tags }: { readonly tags: Readonly<Record<string, unknown>> }) => tags['priority'] as number | undefined,
  expiration: ({ tags }: { readonly tags: Readonly<Record<string, unknown>> }) => tags['expiration'] as number | undefined,
} as const;

/** The native policies for these options. */
export function native(options: Options): Runner {
  return piped(fromBottleneckOptions(options, jobOptions));
}

/** Sends the jobs through all runners side by side, and waits until each has answered all; `heedless` work goes on after its signal has aborted. */
export async function courses(
  runners: readonly Runner[],
  jobs: readonly Job[],
  { heedless = false, patience = 60_000 } = {},
): Promise<Course[]> {
  const begun = Date.now();
  const all = runners.map((run) => new Watcher(run, begun, heedless));
  const inTurn = jobs.map((job, i) => ({ job, i })).sort((a, b) => a.job.at - b.job.at);
  let now = 0;
  for (const { job, i } of inTurn) {
    await pass(job.at - now);
    now = job.at;
    for (const each of all) each.send(job, i);
  }
  for (let waited = 0; waited < patience && all.some((each) => each.open > 0); waited += 250) await pass(250);
  return all;
}

class Watcher implements Course {
  readonly fates: Fate[] = [];
  readonly order: number[] = [];
  peak = 0;
  open = 0;
  #working = 0;
  readonly #run: Runner;
  readonly #begun: number;
  readonly #heedless: boolean;

  constructor(run: Runner, begun: number, heedless: boolean) {
    this.#run = run;
    this.#begun = begun;
    this.#heedless = heedless;
  }

  get #now(): number {
    return Date.now() - this.#begun;
  }

  send(job: Job, i: number): void {
    const fate: Fate = {};
    this.fates[i] = fate;
    this.open++;
    const work = (signal?: AbortSignal): Promise<void> => {
      fate.started = this.#now;
      this.order.push(i);
      const { weight = 1 } = job;
      this.#working += weight;
      this.peak = Math.max(this.peak, this.#working);
      return new Promise<void>((resolve, reject) => {
        setTimeout(resolve, job.takes);
        if (!this.#heedless) signal?.addEventListener('abort', () => reject(signal.reason as Error));
      }).finally(() => (this.#working -= weight));
    };
    void this.#run(work, job).then((answer) => {
      fate.answer = answer;
      fate.ended = this.#now;
      this.open--;
    });
  }
}

/** Decisions alone: for comparing. */
export function decisions({ fates, order }: Course): Pick<Course, 'fates' | 'order'> {
  return { fates, order };
}
