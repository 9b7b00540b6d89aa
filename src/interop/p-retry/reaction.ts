/** A p-retry in its place in one pipeline. */

import type { Call } from '../../core/call.ts';
import { Failure, type Outcome } from '../../core/outcome.ts';
import type { Handler } from '../../core/policy.ts';
import type { Scope } from '../../core/scope.ts';
import type { Reaction } from '../../core/stage.ts';
import { isAbortError, isWorthIt } from './errors.ts';
import { type RepeatCounts, RepeatNews, endsAtOnce } from './news.ts';
import type { RepeatSettings } from './options.ts';
import { type PRetryLike, RepeatRun } from './run.ts';

/** The reaction: the package is asked once an attempt has failed, and until then costs nothing. */
export class RepeatReaction implements Reaction {
  readonly #package: PRetryLike;
  readonly #settings: RepeatSettings;
  readonly #scope: Scope;
  readonly #news: RepeatNews;
  /** When calls came by, ms: kept if it matters. */
  readonly #begun = new WeakMap<Call, number>();

  constructor(from: PRetryLike, settings: RepeatSettings, counts: RepeatCounts, scope: Scope) {
    this.#package = from;
    this.#settings = settings;
    this.#scope = scope;
    this.#news = new RepeatNews(scope, counts);
  }

  begin(call: Call): void {
    const { retries, maxRetryTime } = this.#settings;
    if (this.#scope.shadow) return;
    if (call.retrier === undefined && retries > 0) call.retrier = this;
    if (maxRetryTime !== Infinity) this.#begun.set(call, call.at);
  }

  handles(outcome: Outcome, call: Call): boolean {
    const failed = outcome instanceof Failure;
    const reason = failed ? endsAtOnce(outcome, call) : undefined;
    if (failed && reason === undefined && !(this.#scope.shadow && !this.#wouldTry(outcome.error))) return true;
    this.passOver(outcome, call);
    if (failed) this.#news.gaveUp(outcome, call, outcome.kind === 'refused' ? 0 : 1, reason ?? 'not-retryable');
    return false;
  }

  passOver(outcome: Outcome, call: Call): void {
    this.#news.ended(call, 1, call.begun, outcome);
    this.#close(call);
  }

  async react(outcome: Outcome, call: Call, again: Handler): Promise<Outcome> {
    const run = new RepeatRun(this.#package, this.#settings, this.#news, this.#scope, call, this.#begun.get(call) ?? call.begun, again);
    this.#news.ended(call, 1, call.begun, outcome);
    try {
      const last = await run.run(outcome as Failure, this.#isNested(call));
      if (run.end !== undefined) this.#news.gaveUp(last, call, run.ran, run.end);
      return last;
    } finally {
      this.#close(call);
    }
  }

  /** What a shadow can tell without asking the user's functions. */
  #wouldTry(error: unknown): boolean {
    return this.#settings.retries > 0 && isWorthIt(error) && !isAbortError(error);
  }

  #close(call: Call): void {
    if (call.retrier === this) call.retrier = undefined;
  }

  /** Whether a retry further out, or around the work in which the call was made, will do it. */
  #isNested(call: Call): boolean {
    return call.retrier !== undefined && (call.retrier !== this || call.root.madeIn?.retrier === this);
  }
}
