/** One call on p-retry: its attempts after the first. */

import type { Call } from '../../core/call.ts';
import { afterPoll } from '../../core/clock.ts';
import { isGentle } from '../../core/gentle.ts';
import type { CommonSettings } from '../../core/mode.ts';
import { Failure, type Outcome, thrown } from '../../core/outcome.ts';
import type { Handler } from '../../core/policy.ts';
import type { Scope } from '../../core/scope.ts';
import { isThenable } from '../../core/thenable.ts';
import { isAbortError, isWorthIt } from './errors.ts';
import { type PRetryEnd, type RepeatNews, endsAtOnce } from './news.ts';
import { type PRetryContext, type RepeatSettings, longestWait, plannedWait } from './options.ts';

/** What p-retry is given. */
export interface PackageOptions extends Omit<
  RepeatSettings,
  keyof CommonSettings | 'onFailedAttempt' | 'shouldRetry' | 'shouldConsumeRetry'
> {
  readonly signal: AbortSignal;
  readonly onFailedAttempt: (context: PRetryContext) => unknown;
  readonly shouldRetry: (context: PRetryContext) => unknown;
  readonly shouldConsumeRetry: (context: PRetryContext) => unknown;
}

/** The package. */
export interface PRetryLike {
  readonly run: (input: (attempt: number) => unknown, options: PackageOptions) => Promise<unknown>;
  readonly AbortError: new (error: Error) => Error;
}

/** After so many attempts without a wait between them, the event loop gets its turn: nothing could end them otherwise. */
const BREATH = 100;

/** Ends what the package has under way, and never leaves here. */
const ended = new Error('ended');

/**
 * A call whose first attempt has failed. The package runs all attempts, and meets that failure as its first; what the caller gets is never what came out of the package, but the outcome
 * that went in.
 */
export class RepeatRun {
  /** Why there was no further attempt; nothing if the last one answered. */
  end: PRetryEnd | undefined = undefined;
  /** Attempts that were not turned away. */
  ran = 0;
  readonly #package: PRetryLike;
  readonly #settings: RepeatSettings;
  readonly #news: RepeatNews;
  readonly #scope: Scope;
  readonly #call: Call;
  readonly #begun: number;
  readonly #again: Handler;
  readonly #stop = new AbortController();
  #nested = false;
  #answer: (outcome: Outcome) => void = () => undefined;
  /** The latest outcome of an attempt that ran. */
  #last: Outcome;
  /** Set when the end does not come from the package. */
  #final: { readonly outcome: Outcome } | undefined = undefined;
  #running = false;
  #consumes = true;
  #asked: boolean | undefined = undefined;
  #left = Infinity;
  #unwaited = 0;

  constructor(from: PRetryLike, settings: RepeatSettings, news: RepeatNews, scope: Scope, call: Call, begun: number, again: Handler) {
    this.#package = from;
    this.#settings = settings;
    this.#news = news;
    this.#scope = scope;
    this.#call = call;
    this.#begun = begun;
    this.#again = again;
    this.#last = undefined;
  }

  /** From the first outcome to the last. With `nested` there is no second attempt, since a retry further out makes those. */
  run(first: Failure, nested: boolean): Promise<Outcome> {
    this.#nested = nested;
    return new Promise((resolve, reject) => {
      this.#answer = resolve;
      this.#call.waiter = this.#cut;
      this.#drive(first).then(resolve, reject);
    }).finally(() => {
      if (this.#call.waiter === this.#cut) this.#call.waiter = undefined;
    });
  }

  async #drive(first: Failure): Promise<Outcome> {
    const { retries, factor, minTimeout, maxRetryTime, randomize, unref } = this.#settings;
    const spent = this.#scope.clock.now() - this.#begun;
    try {
      await this.#package.run((attempt) => this.#attempt(attempt, first), {
        retries: this.#nested ? 0 : retries,
        factor,
        minTimeout,
        maxTimeout: longestWait(this.#settings),
        maxRetryTime: maxRetryTime === Infinity ? Infinity : Math.max(0, maxRetryTime - spent),
        randomize,
        unref,
        signal: this.#stop.signal,
        onFailedAttempt: (context) => this.#onFailedAttempt(context),
        shouldRetry: (context) => this.#shouldRetry(context),
        shouldConsumeRetry: (context) => this.#shouldConsumeRetry(context),
      });
      return this.#last;
    } catch (error) {
      return this.#final === undefined ? this.#verdict(error) : this.#final.outcome;
    }
  }

  /** What the package runs. Throws what went wrong, as it expects, and keeps the outcome. */
  async #attempt(attempt: number, first: Failure): Promise<void> {
    const outcome = attempt === 1 ? first : await this.#tryAgain(attempt);
    if (!(outcome instanceof Failure)) {
      this.#last = outcome;
      return;
    }
    const reason = endsAtOnce(outcome, this.#call);
    if (reason !== undefined) {
      if (this.#final === undefined && reason !== 'refused') this.ran++;
      // A refusal does not stand for attempts that ran: it would say that the work never started.
      this.#finish(reason === 'refused' ? this.#last : outcome, reason);
      throw new this.#package.AbortError(ended);
    }
    this.ran++;
    this.#last = outcome;
    const { error } = outcome;
    throw isAbortError(error) ? new this.#package.AbortError(error.originalError) : error;
  }

  async #tryAgain(attempt: number): Promise<Outcome> {
    const call = this.#call;
    const next = call.derive(attempt);
    this.#running = true;
    if (this.#unwaited > 0 && this.#unwaited % BREATH === 0) await new Promise<void>((resolve) => afterPoll(resolve));
    const cut = next.failure;
    const since = (next.at = this.#scope.clock.now());
    if (cut === undefined) this.#news.started(call, attempt, this.#last);
    const outcome = cut ?? (await this.#again(next));
    next.prevail();
    call.release(next);
    this.#running = false;
    if (cut === undefined) this.#news.ended(call, attempt, since, outcome);
    return outcome;
  }

  #onFailedAttempt(context: PRetryContext): unknown {
    this.#asked = undefined;
    this.#left = context.retriesLeft;
    return this.#ask(this.#settings.onFailedAttempt, context);
  }

  /** p-retry 7 takes no answer for a no, and would try for ever. */
  async #shouldConsumeRetry(context: PRetryContext): Promise<boolean> {
    const answer = this.#settings.shouldConsumeRetry === undefined ? true : await this.#ask(this.#settings.shouldConsumeRetry, context);
    this.#consumes = Boolean(answer ?? true);
    return this.#consumes;
  }

  async #shouldRetry(context: PRetryContext): Promise<boolean> {
    const answer = this.#settings.shouldRetry === undefined ? true : await this.#ask(this.#settings.shouldRetry, context);
    this.#asked = Boolean(answer);
    if (this.#final !== undefined) throw ended;
    if (this.#asked) this.#schedule(context);
    return this.#asked;
  }

  #schedule({ attemptNumber, retriesConsumed, retryDelay = plannedWait(this.#settings, retriesConsumed) }: PRetryContext): void {
    const left = this.#settings.maxRetryTime - (this.#scope.clock.now() - this.#begun);
    const delay = this.#consumes ? Math.max(0, Math.min(retryDelay, left)) : 0;
    this.#unwaited = delay > 0 ? 0 : this.#unwaited + 1;
    this.#news.scheduled(this.#call, attemptNumber + 1, delay, this.#last);
  }

  /** What a function of the user's answers. Once the call is over none is asked any more; what one throws is the end. */
  #ask(hook: RepeatSettings['shouldRetry'], context: PRetryContext): unknown {
    if (this.#final !== undefined) throw ended;
    if (hook === undefined) return undefined;
    try {
      const answer = hook(context, this.#call);
      return isThenable(answer) ? Promise.resolve(answer).catch((error: unknown) => this.#stopped(error)) : answer;
    } catch (error) {
      return this.#stopped(error);
    }
  }

  #stopped(error: unknown): never {
    this.#finish(thrown(error), 'stopped');
    throw error;
  }

  /** What the package's rejection means. Only the error inside an AbortError is something else than what the last attempt threw. */
  #verdict(error: unknown): Outcome {
    const last = this.#last as Failure;
    const unwrapped = isAbortError(last.error);
    this.end = this.#nested ? 'nested' : unwrapped ? 'not-retryable' : this.#whyNot(last.error);
    return unwrapped ? thrown(error) : last;
  }

  #whyNot(error: unknown): PRetryEnd {
    if (this.#asked === false || !isWorthIt(error)) return 'not-retryable';
    return this.#left <= 0 ? 'exhausted' : 'duration';
  }

  #finish(outcome: Outcome, reason: PRetryEnd): void {
    if (this.#final !== undefined) return;
    this.#final = { outcome };
    this.end = reason;
  }

  /** The call was cut short: it ends at once, and so does what the package has under way. */
  readonly #cut = (failure: Failure): void => {
    if (this.#running && isGentle(failure)) {
      this.#call.waiter = this.#cut;
      return;
    }
    if (this.#running) this.ran++;
    this.#finish(failure, endsAtOnce(failure, this.#call) ?? 'deadline');
    this.#stop.abort(ended);
    this.#answer(failure);
  };
}
