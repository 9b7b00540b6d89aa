/** The attempts of one call after its first. */

import type { ExtraCause } from '../../algorithms/retry-budget.ts';
import type { Call } from '../../core/call.ts';
import { discard } from '../../core/disposal.ts';
import { RetryExhaustedError } from '../../core/errors.ts';
import { made } from '../../core/made.ts';
import { responseIn } from '../../core/http-outcome.ts';
import { Failure, type Outcome } from '../../core/outcome.ts';
import type { Handler } from '../../core/policy.ts';
import type { Scope } from '../../core/scope.ts';
import { pause } from '../../core/wait.ts';
import { type RetryNews, asItIs, rememberAttempts } from './news.ts';
import { type GiveUpReason, type Judgement, type RetryRules, causeOf, countsAs, isFailed, reasonOf, whyNot } from './rules.ts';

/** No more errors than this are kept for wrapping. */
const MOST_ERRORS = 100;

/** A call that is being retried. */
export class RetryRun {
  readonly #rules: RetryRules;
  readonly #news: RetryNews;
  readonly #scope: Scope;
  readonly #call: Call;
  readonly #errors: unknown[] = [];
  #attempt = 1;
  /** Attempts that were not turned away. */
  #ran = 0;
  #since: number;
  /** What the latest attempt was paid for. */
  #cause: ExtraCause | undefined = undefined;
  /** The latest outcome of an attempt that ran. */
  #real: Outcome | undefined = undefined;
  #hasReal = false;
  /** Whether that was a result, and has been released. */
  #released = false;

  constructor(rules: RetryRules, news: RetryNews, scope: Scope, call: Call) {
    this.#rules = rules;
    this.#news = news;
    this.#scope = scope;
    this.#call = call;
    this.#since = call.begun;
  }

  /** From the first outcome to the last. */
  async run(first: Outcome, judged: Judgement, again: Handler, nested: boolean): Promise<Outcome> {
    const schedule = this.#rules.schedule();
    for (let outcome = first, judgement = judged; ;) {
      const answer = typeof judgement.wanted === 'boolean' ? judgement.wanted : await this.#rules.answer(judgement.wanted, this.#call);
      const wanted = answer === true;
      this.#note(outcome, judgement, wanted);
      if (answer instanceof Failure) return this.#cut(outcome, answer);
      const { classification } = judgement;
      if (!wanted) return isFailed(outcome, classification.verdict) ? this.#end(outcome, whyNot(outcome, this.#call)) : outcome;
      if (nested && this.#yields()) return this.#end(outcome, 'nested');
      const delay = this.#rules.next(outcome, classification, { call: this.#call, attempt: this.#attempt }, schedule);
      if (typeof delay === 'string') return this.#end(outcome, delay);
      const cause = causeOf(classification);
      if (!this.#pay(cause)) return this.#end(outcome, 'budget');
      const reason = reasonOf(outcome, classification);
      this.#discard(outcome);
      const cut = await this.#wait(delay, cause, reason, outcome);
      if (cut !== undefined) return this.#end(cut, whyNot(cut, this.#call));
      outcome = await this.#tryAgain(cause, reason, again);
      judgement = this.#rules.judge(outcome, { call: this.#call, attempt: this.#attempt });
    }
  }

  /** Puts an attempt on the books. */
  #note(outcome: Outcome, judgement: Judgement, wanted: boolean): void {
    const { budget, onExhausted } = this.#rules.settings;
    this.#news.ended(this.#call, this.#attempt, this.#since, judgement.classification.verdict);
    budget?.attempted(countsAs(judgement, wanted), this.#cause);
    if (outcome instanceof Failure && outcome.kind === 'refused') return;
    this.#ran++;
    this.#forget(outcome);
    this.#real = outcome;
    this.#hasReal = true;
    this.#released = false;
    if (onExhausted !== 'wrap' || !(outcome instanceof Failure)) return;
    this.#errors.push(outcome.error);
    if (this.#errors.length > MOST_ERRORS) this.#errors.shift();
  }

  /** The call was cut before it was known whether to try again: its result is nobody's. */
  #cut(outcome: Outcome, cut: Failure): Outcome {
    this.#discard(outcome);
    return this.#end(cut, whyNot(cut, this.#call));
  }

  /** Another attempt has run: what the one before it threw will not be thrown any more. A response that was thrown holds its connection until then. */
  #forget(outcome: Outcome): void {
    const before = this.#real;
    if (!(before instanceof Failure) || this.#rules.settings.onExhausted === 'wrap') return;
    if (!(outcome instanceof Failure) || outcome.error !== before.error) discard(before.error);
  }

  /** Whether the retry further out is left to do it. */
  #yields(): boolean {
    const { nested } = this.#rules.settings;
    if (nested === 'warn' && this.#attempt === 1) this.#news.nested(this.#call);
    return nested === 'suppress';
  }

  #pay(cause: ExtraCause): boolean {
    const { budget } = this.#rules.settings;
    if (budget === undefined || budget.withdraw(this.#scope.clock.now(), cause, this.#attempt - 1)) return true;
    budget.tellExhausted(this.#scope, this.#call);
    return false;
  }

  #discard(outcome: Outcome): void {
    if (outcome instanceof Failure) return;
    discard(outcome);
    this.#released = true;
  }

  /** Waits before the next attempt; a call that is cut meanwhile gets back what it paid. */
  async #wait(delay: number, cause: ExtraCause, reason: string, outcome: Outcome): Promise<Failure | undefined> {
    this.#news.scheduled(this.#call, this.#attempt + 1, delay, reason, outcome);
    const cut = await pause(this.#call, delay);
    if (cut !== undefined) this.#rules.settings.budget?.refund(this.#scope.clock.now(), cause);
    return cut;
  }

  async #tryAgain(cause: ExtraCause, reason: string, again: Handler): Promise<Outcome> {
    const call = this.#call;
    this.#attempt++;
    this.#cause = cause;
    const next = call.derive(this.#attempt);
    next.at = this.#since = this.#scope.clock.now();
    const { attemptHeader } = this.#rules.settings;
    if (attemptHeader !== undefined) next.headers = { ...call.headers, [attemptHeader]: String(this.#attempt), 'x-retry-reason': reason };
    this.#news.started(call, this.#attempt, reason);
    const outcome = await again(next);
    next.prevail();
    call.release(next);
    return outcome;
  }

  /** What the caller gets. A refusal does not stand for attempts that ran: it would say that the work never started. */
  #end(outcome: Outcome, reason: GiveUpReason): Outcome {
    const { onExhausted } = this.#rules.settings;
    const refusal = outcome instanceof Failure && outcome.kind === 'refused' && this.#call.failure === undefined ? outcome : undefined;
    const last = refusal !== undefined && this.#hasReal ? this.#real : outcome;
    this.#news.gaveUp(last, this.#call, this.#ran, reason);
    if (last === refusal || asItIs.has(reason) || onExhausted === 'last' || this.#call.failure !== undefined) return last;
    if (last instanceof Failure) return onExhausted === 'wrap' ? this.#exhausted(reason, last.error, undefined) : last;
    // A response whose body has been released is of no use to the caller.
    if (!this.#released && responseIn(last) !== undefined) return last;
    return this.#exhausted(reason, refusal?.error, last);
  }

  #exhausted(reason: GiveUpReason, cause: unknown, value: unknown): Failure {
    const { pipeline, policy, stack } = this.#scope;
    const attempts = this.#ran;
    const message = `${pipeline}: no success in ${attempts} attempt${attempts === 1 ? '' : 's'} (${reason})`;
    const details = { pipeline, policy, key: this.#call.key, cause, attempts, value, errors: this.#errors };
    const error = made(RetryExhaustedError, message, details, stack);
    rememberAttempts(error, attempts);
    return new Failure(error, 'thrown');
  }
}
