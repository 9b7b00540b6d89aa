import { Alarm } from '../core/alarm.ts';
import type { Call } from '../core/call.ts';
import { type Duration, parseDuration, show } from '../core/options.ts';

/**
 * What one run of scripted work does:
 * - `'ok'`: resolves to `'ok'`; `'fail'`: rejects with a new `Error`; `'throw'`: throws one, without a promise
 * - `'hang'`: never settles, whatever happens to its signal; `'hang-until-abort'`: rejects with the signal's reason when that aborts
 * - `{ value }` or `{ error }`, with `after`: settles so, that much later on the pipeline's clock, whatever happens to its signal
 */
export type WorkStep =
  | 'ok'
  | 'fail'
  | 'throw'
  | 'hang'
  | 'hang-until-abort'
  | { readonly after?: Duration; readonly value: unknown }
  | { readonly after?: Duration; readonly error: unknown };

/** What scripted work of these steps resolves to. */
export type WorkResult<Step> = Step extends 'ok' ? 'ok' : Step extends { readonly value: infer Value } ? Value : never;

/** One run of scripted work. */
export interface WorkRun {
  readonly step: WorkStep;
  readonly call: Call;
  readonly attempt: number;
  /** When it began, ms on the pipeline's clock. */
  readonly at: number;
  /** What it threw or rejected with, once it has. */
  readonly error?: unknown;
  /** When it settled, ms on the pipeline's clock; absent while it runs. */
  readonly endedAt?: number;
}

/** Work that follows a script, for `execute`. */
export interface ScriptedWork<T> {
  (call: Call): Promise<T>;
  /** How often it has been run. */
  readonly calls: number;
  /** Each run, in order. */
  readonly runs: readonly WorkRun[];
}

type Ending = Pick<WorkRun, 'error' | 'endedAt'>;

const words: readonly unknown[] = ['ok', 'fail', 'throw', 'hang', 'hang-until-abort'];

/**
 * Scripts work: each run takes the next step, and the last one repeats. Without steps it is `'ok'` for ever.
 *
 * @throws RangeError if a step is none
 *
 * @example
 * ```ts
 * import { pipeline, retry } from 'breakwater';
 * import { VirtualClock, work } from 'breakwater/testing';
 *
 * const clock = new VirtualClock();
 * const flaky = work('fail', { after: '50ms', value: 7 });
 * const steady = pipeline([retry({ backoff: { delay: '100ms', jitter: 'none' } })], { clock });
 * console.log(await clock.until(steady.execute(flaky)), flaky.calls, clock.now()); // => 7 2 150
 * ```
 */
export function work<const Steps extends readonly WorkStep[]>(
  ...steps: Steps
): ScriptedWork<Steps extends readonly [] ? 'ok' : WorkResult<Steps[number]>> {
  for (const step of steps) check(step);
  const runs: (WorkRun & { error?: unknown; endedAt?: number })[] = [];
  const scripted = (call: Call): unknown => {
    const step = steps[Math.min(runs.length, steps.length - 1)] ?? 'ok';
    const { clock } = call.scope;
    const run: WorkRun & Ending = { step, call, attempt: call.attempt, at: clock.now() };
    runs.push(run);
    const end = (ending: Ending): void => void Object.assign(run, ending, { endedAt: clock.now() });
    return follow(step, call, runs.length, end);
  };
  Object.defineProperties(scripted, { calls: { get: () => runs.length }, runs: { value: runs } });
  return scripted as ReturnType<typeof work<Steps>>;
}

function follow(step: WorkStep, call: Call, run: number, end: (ending: Ending) => void): unknown {
  if (step === 'hang') return new Promise(() => undefined);
  if (step === 'hang-until-abort') return untilAbort(call.signal, end);
  if (step === 'throw' || step === 'fail') {
    const error = new Error(`the work failed (run ${run})`);
    end({ error });
    if (step === 'throw') throw error;
    return Promise.reject(error);
  }
  if (step === 'ok') {
    end({});
    return Promise.resolve('ok');
  }
  const settle = (): unknown => {
    end('error' in step ? { error: step.error } : {});
    return 'error' in step ? Promise.reject(step.error) : step.value;
  };
  const wait = parseDuration(step.after ?? 0) as number;
  return wait === 0 ? Promise.resolve(settle()) : later(call, wait).then(settle);
}

function later(call: Call, ms: number): Promise<void> {
  const { clock } = call.scope;
  return new Promise((resolve) => new Alarm(clock, () => resolve()).set(clock.now() + ms, clock.now()));
}

function untilAbort(signal: AbortSignal, end: (ending: Ending) => void): Promise<never> {
  return new Promise((_, reject) => {
    const stop = (): void => {
      end({ error: signal.reason });
      reject(signal.reason);
    };
    if (signal.aborted) stop();
    else signal.addEventListener('abort', stop, { once: true });
  });
}

function check(step: WorkStep): void {
  if (words.includes(step)) return;
  const { after } = Object(step) as { readonly after?: unknown };
  const settles = typeof step === 'object' && (step as unknown) !== null && 'value' in step !== 'error' in step;
  if (!settles || (after !== undefined && !((parseDuration(after) ?? Infinity) < Infinity)))
    throw new RangeError(`work: expected one of ${words.join(', ')}, { after, value } or { after, error }, got ${show(step)}`);
}
