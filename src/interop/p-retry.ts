/**
 * p-retry in a pipeline: its options, its waits and its decisions, and our aborts, events and outcomes.
 *
 * @example
 * ```ts
 * import { pipeline } from 'breakwater';
 * import { pRetryPolicy } from 'breakwater/p-retry';
 *
 * const steady = pipeline([pRetryPolicy({ retries: 3, minTimeout: 1 })]);
 * const attempts = await steady.execute(({ attempt }) => {
 *   if (attempt < 3) throw new Error('not yet');
 *   return attempt;
 * });
 * console.log(attempts); // => 3
 * ```
 *
 * @module
 */

import pRetry, { AbortError } from 'p-retry';
import type { Mode } from '../core/mode.ts';
import type { Verdict } from '../core/outcome.ts';
import { type PlainData, type ReactionPolicy, mountAlone } from '../core/policy.ts';
import type { Scope } from '../core/scope.ts';
import type { Reaction } from '../core/stage.ts';
import type { PRetryEnd, RepeatCounts } from './p-retry/news.ts';
import { type RepeatOptions, type RepeatSettings, longestWaits, readRepeatOptions } from './p-retry/options.ts';
import { RepeatReaction } from './p-retry/reaction.ts';
import type { PRetryLike } from './p-retry/run.ts';

export { fromPRetryOptions } from './p-retry/native.ts';
export type { NativeRetry } from './p-retry/native.ts';
export type { PRetryEnd } from './p-retry/news.ts';
export { pRetryFields } from './p-retry/options.ts';
export type { PRetryContext, RepeatSettings as PRetrySettings } from './p-retry/options.ts';

/** Options of {@link pRetryPolicy}: those of p-retry. Its functions also get the call, as a second argument. */
export type PRetryOptions = RepeatOptions;

declare module '../core/events.ts' {
  interface EventFields {
    /** An attempt ended, the first and the last included. */
    'p-retry.attempt': { readonly attempt: number; readonly duration: number; readonly verdict: Verdict };
    /** The wait before a further attempt begins. With `randomize` on p-retry 7 it is this long at least. */
    'p-retry.scheduled': { readonly attempt: number; readonly delay: number; readonly reason: string; readonly error?: unknown };
    /** That attempt begins. */
    'p-retry.started': { readonly attempt: number; readonly reason: string };
    /** A call failed and there is no further attempt. */
    'p-retry.gave-up': { readonly attempts: number; readonly reason: PRetryEnd; readonly error?: unknown };
  }
}

/** A p-retry. */
export interface PRetry extends ReactionPolicy {
  readonly kind: 'p-retry';
}

const installed: PRetryLike = { run: pRetry as PRetryLike['run'], AbortError };

/**
 * Runs what lies inside again when it failed, by p-retry, which decides whether and when. The caller gets the very error of the last attempt, or that inside an AbortError. An
 * abort, a deadline or a timeout around it ends a wait at once. Refusals by policies further in end it too, and inside another retry it makes one attempt.
 *
 * Waits and their chance are p-retry's own: they are those of the process, whatever clock the pipeline has.
 *
 * @throws OptionsError if an option is wrong, or a `signal` is among them
 */
export function pRetryPolicy(options: PRetryOptions = {}): PRetry {
  return new PackagedRetry(readRepeatOptions('pRetryPolicy', options));
}

class PackagedRetry implements PRetry {
  readonly kind = 'p-retry';
  readonly name: string | undefined;
  readonly mode: Mode;
  readonly #settings: RepeatSettings;
  readonly #counts: RepeatCounts = { retries: 0, gaveUp: 0 };

  constructor(settings: RepeatSettings) {
    this.#settings = settings;
    this.name = settings.name;
    this.mode = settings.mode;
  }

  reaction(scope: Scope): Reaction {
    return new RepeatReaction(installed, this.#settings, this.#counts, scope);
  }

  mount: PRetry['mount'] = (next, scope) => mountAlone(this, next, scope);

  snapshot(): PlainData {
    return { ...this.#counts };
  }

  describe(): PlainData {
    const { onFailedAttempt, shouldRetry, shouldConsumeRetry, ...numbers } = this.#settings;
    return {
      ...numbers,
      name: undefined,
      mode: undefined,
      maxAttempts: numbers.retries + 1,
      longestBackoff: longestWaits(this.#settings),
      nested: 'suppress',
      onFailedAttempt: onFailedAttempt && 'chosen',
      shouldRetry: shouldRetry && 'chosen',
      shouldConsumeRetry: shouldConsumeRetry && 'chosen',
    };
  }
}
