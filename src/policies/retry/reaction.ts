/** A retry in its place in one pipeline. */

import type { Call } from '../../core/call.ts';
import { classify } from '../../core/classification.ts';
import { Failure, type Outcome } from '../../core/outcome.ts';
import type { Handler } from '../../core/policy.ts';
import type { Scope } from '../../core/scope.ts';
import type { Reaction } from '../../core/stage.ts';
import { type RetryCounts, RetryNews } from './news.ts';
import { type Judgement, RetryRules, type RetrySettings, countsAs, isFailed, whyNot } from './rules.ts';
import { RetryRun } from './run.ts';

/** The reaction of a retry. */
export class RetryReaction implements Reaction {
  readonly #scope: Scope;
  readonly #rules: RetryRules;
  readonly #news: RetryNews;
  readonly #settings: RetrySettings;
  /** What the outcome last asked about means: `react` follows at once, and predicates are asked only once. */
  #judged: Judgement | undefined = undefined;

  constructor(settings: RetrySettings, counts: RetryCounts, scope: Scope) {
    this.#settings = settings;
    this.#scope = scope;
    this.#rules = new RetryRules(settings, scope);
    this.#news = new RetryNews(scope, counts);
    settings.budget?.join(scope.clock);
  }

  /** What its attempts are paid from: a hedge further in that pays from the same leaves the books to it. */
  get budget(): RetrySettings['budget'] {
    return this.#settings.budget;
  }

  begin(call: Call): void {
    const { budget, idempotencyKey, maxAttempts } = this.#settings;
    budget?.started(call.at);
    if (this.#scope.shadow) return;
    if (call.retrier === undefined && maxAttempts > 1) call.retrier = this;
    if (idempotencyKey !== undefined && !Object.hasOwn(call.headers, idempotencyKey))
      call.headers = { ...call.headers, [idempotencyKey]: call.idempotencyKey };
  }

  handles(outcome: Outcome, call: Call): boolean {
    const { when, classify: own } = this.#settings;
    if (when === undefined && !(outcome instanceof Failure)) {
      const { verdict } = classify(outcome, call, this.#scope, own);
      if (verdict !== 'failure') {
        if (this.#scope.listening) this.#news.ended(call, 1, call.begun, verdict);
        this.#over(call, verdict);
        return false;
      }
    }
    const judged = this.#rules.judge(outcome, { call, attempt: 1 });
    this.#judged = judged;
    if (judged.wanted !== false) return true;
    this.passOver(outcome, call);
    if (isFailed(outcome, judged.classification.verdict))
      this.#news.gaveUp(outcome, call, outcome instanceof Failure && outcome.kind === 'refused' ? 0 : 1, whyNot(outcome, call));
    return false;
  }

  passOver(_outcome: Outcome, call: Call): void {
    const judged = this.#judged as Judgement;
    this.#news.ended(call, 1, call.begun, judged.classification.verdict);
    this.#over(call, countsAs(judged, judged.wanted !== false));
  }

  async react(outcome: Outcome, call: Call, again: Handler): Promise<Outcome> {
    const run = new RetryRun(this.#rules, this.#news, this.#scope, call);
    const judged = this.#judged as Judgement;
    try {
      return await run.run(outcome, judged, again, this.#isNested(call));
    } finally {
      this.#close(call);
    }
  }

  /** The call is over with its first attempt. */
  #over(call: Call, verdict: 'success' | 'failure' | 'ignored'): void {
    this.#settings.budget?.attempted(verdict);
    this.#close(call);
  }

  #close(call: Call): void {
    this.#settings.budget?.ended();
    if (call.retrier === this) call.retrier = undefined;
  }

  /** Whether a retry further out, or around the work in which the call was made, will do it. */
  #isNested(call: Call): boolean {
    return call.retrier !== undefined && (call.retrier !== this || call.root.madeIn?.retrier === this);
  }
}
