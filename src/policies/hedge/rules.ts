/** How a hedge decides, in one pipeline: which calls may run twice, when the next attempt begins, which outcome ends the call. */

import type { LearnedDelay, LearnedDelaySettings } from '../../algorithms/hedging.ts';
import type { Call, Work } from '../../core/call.ts';
import { type Classifier, classify } from '../../core/classification.ts';
import type { CommonSettings } from '../../core/mode.ts';
import { show } from '../../core/options.ts';
import { Failure, type Outcome, type Settled, settled } from '../../core/outcome.ts';
import type { AnyPolicy, Handler } from '../../core/policy.ts';
import type { Scope } from '../../core/scope.ts';
import { strainedAmong } from '../../core/strain.ts';
import { ExpiryLine } from '../../stores/expiry-line.ts';
import { type AttemptEnd, type HedgeCause, type HedgeVerdict, Race, type RaceRules } from './race.ts';
import type { RetryBudget } from '../../stores/retry-budget.ts';

/** Why a hedge did not begin. */
export type SuppressionReason = 'strained' | 'budget' | 'deadline';

/** Options of a hedge, as read. */
export interface HedgeSettings extends CommonSettings {
  readonly maxHedges: number;
  readonly delay: number | 'onFailure' | LearnedDelaySettings | ((hedge: number, call: Call) => number);
  readonly accept: ((outcome: Settled<never>, call: Call) => boolean) | undefined;
  readonly classify: Classifier<never> | undefined;
  readonly idempotent: true | ((call: Call) => boolean) | undefined;
  readonly action: ((hedge: number, call: Call) => Work<unknown> | null | undefined) | undefined;
  readonly budget: RetryBudget | false | undefined;
  readonly suppressWhen: ((call: Call, hedge: number) => boolean) | undefined;
}

/** What a hedge keeps, in all its pipelines together. */
export interface HedgeState {
  readonly settings: HedgeSettings;
  /** Set if the delay is learned. */
  readonly learned: LearnedDelay | undefined;
  /** What pays for hedges, if anything has to. */
  readonly budget: RetryBudget | undefined;
  /** By the first attempt's error: the errors of the others, if all failed. */
  readonly fellows: WeakMap<object, readonly unknown[]>;
  /** Hedges begun. */
  hedges: number;
  /** Hedges that answered first. */
  won: number;
  /** Hedges left out. */
  suppressed: number;
}

/** A retry, as far as it concerns a hedge: what it pays from. */
interface Paying {
  readonly budget?: RetryBudget | undefined;
}

/** A hedge in its place in one pipeline. */
export class HedgeRules implements RaceRules {
  readonly next: Handler;
  readonly scope: Scope;
  readonly maxHedges: number;
  readonly #state: HedgeState;
  readonly #settings: HedgeSettings;
  readonly #inside: readonly AnyPolicy[];
  /** Of the calls that wait as the latest does; those with other delays keep theirs. */
  #line: ExpiryLine<Race> | undefined = undefined;
  #wait = -1;

  constructor(state: HedgeState, next: Handler, scope: Scope, inside: readonly AnyPolicy[]) {
    this.next = next;
    this.scope = scope;
    this.maxHedges = state.settings.maxHedges;
    this.#state = state;
    this.#settings = state.settings;
    this.#inside = inside;
    state.budget?.join(scope.clock);
  }

  readonly handle: Handler = (call) => {
    if (this.maxHedges === 0 || !this.#mayRunTwice(call)) return this.next(call);
    const { budget } = this.#state;
    const books = budget !== undefined && (call.retrier as Paying | undefined)?.budget !== budget;
    if (books) budget.started(call.at);
    return new Race(this, call, books).run();
  };

  lineFor(wait: number): ExpiryLine<Race> {
    if (this.#line === undefined || wait !== this.#wait) {
      this.#wait = wait;
      this.#line = new ExpiryLine(this.scope.clock, (race, now) => race.wake?.(now));
    }
    return this.#line;
  }

  delay(hedge: number, call: Call, now: number): number {
    const { delay } = this.#settings;
    if (typeof delay === 'number') return delay;
    if (delay === 'onFailure') return Infinity;
    if (typeof delay === 'object') return (this.#state.learned as LearnedDelay).at(now);
    return this.scope.ask<number>('delay', Infinity, () => {
      const ms: unknown = delay(hedge, call);
      if (typeof ms === 'number' && ms >= 0) return ms;
      throw new RangeError(`hedge.delay: expected a function that answers with ms, got ${String(ms)}`);
    });
  }

  admit(hedge: number, call: Call, now: number, cause: HedgeCause): Work<unknown> | undefined {
    const by = this.#strainedBy(call, hedge);
    if (by !== undefined) {
      this.#suppress(call, hedge, 'strained', by);
      return undefined;
    }
    const work = this.#workOf(hedge, call);
    if (work === null) return undefined;
    const { scope } = this;
    const { budget } = this.#state;
    if (budget?.withdraw(now, 'hedge', hedge - 1) === false) {
      this.#suppress(call, hedge, 'budget');
      budget.tellExhausted(scope, call);
      return undefined;
    }
    if (scope.shadow) budget?.refund(now, 'hedge');
    else this.#state.hedges++;
    if (scope.listening)
      scope.emit(scope.shadow ? 'hedge.would-start' : 'hedge.started', 'info', call, { hedge, cause, after: now - call.at });
    return scope.shadow ? undefined : work;
  }

  hopeless(hedge: number, call: Call): void {
    this.#suppress(call, hedge, 'deadline');
  }

  judge(outcome: Outcome, call: Call): HedgeVerdict {
    // What was turned away further in ends nothing while another attempt runs, and nothing more is to be sent there.
    if (outcome instanceof Failure && outcome.kind === 'refused') return { final: false, end: 'ignored', pushback: Infinity };
    const { verdict, retryable, retryAfter } = classify(outcome, call, this.scope, this.#settings.classify);
    const { accept } = this.#settings;
    const usual = verdict !== 'failure' || !retryable;
    const final = accept === undefined ? usual : this.scope.ask('accept', usual, () => accept(settled(outcome) as Settled<never>, call));
    // Who only looks on does not wait for a hedge that will not begin.
    const pushback = this.scope.shadow ? undefined : retryAfter;
    return { final, end: final ? (verdict === 'failure' ? 'ignored' : verdict) : 'failure', pushback };
  }

  ended(attempt: number, end: AttemptEnd, ms: number, now: number, books: boolean): void {
    const { learned, budget } = this.#state;
    if (books || attempt > 0) budget?.attempted(end === 'cut' ? 'ignored' : end, attempt === 0 ? undefined : 'hedge');
    if (end === 'success') learned?.latencies.record(ms, now);
    else if (end !== 'ignored') learned?.latencies.recordCensored(ms, now);
  }

  over(books: boolean): void {
    if (books) this.#state.budget?.ended();
  }

  decided(attempt: number, call: Call, ok: boolean): void {
    if (!ok) return;
    if (attempt > 0) this.#state.won++;
    if (this.scope.listening) this.scope.emit('hedge.won', 'info', call, { hedge: attempt });
  }

  failed([first, ...others]: readonly Outcome[], call: Call): void {
    const errors = others.filter((outcome) => outcome instanceof Failure).map(({ error }) => error);
    if (first instanceof Failure && typeof first.error === 'object' && first.error !== null) this.#state.fellows.set(first.error, errors);
    if (this.scope.listening) this.scope.emit('hedge.failed', 'warn', call, { errors });
  }

  #mayRunTwice(call: Call): boolean {
    const { idempotent } = this.#settings;
    if (idempotent === undefined || call.idempotent === false) return call.idempotent === true;
    if (idempotent === true) return true;
    return this.scope.ask('idempotent', false, () => (idempotent(call) as unknown) === true);
  }

  /** Who says that no hedge should begin now. */
  #strainedBy(call: Call, hedge: number): string | undefined {
    const { suppressWhen } = this.#settings;
    return this.scope.ask('suppressWhen', undefined, () => {
      if (suppressWhen !== undefined) return suppressWhen(call, hedge) ? 'suppressWhen' : undefined;
      const policy = strainedAmong([...this.#inside, ...around(call)], call);
      return policy && (policy.name ?? policy.kind);
    });
  }

  #workOf(hedge: number, call: Call): Work<unknown> | null {
    return this.scope.ask<Work<unknown> | null>('action', null, () => {
      const given: unknown = this.#settings.action?.(hedge, call);
      if (given === undefined) return call.work;
      if (given === null || typeof given === 'function') return given as Work<unknown> | null;
      throw new TypeError(`hedge.action: expected a function that answers with a function, null or undefined, got ${show(given)}`);
    });
  }

  #suppress(call: Call, hedge: number, reason: SuppressionReason, by?: string): void {
    this.#state.suppressed++;
    if (this.scope.listening) this.scope.emit('hedge.suppressed', 'info', call, { hedge, reason, by });
  }
}

/** A policy around the call that answers for all that is repeated inside it, such as a guard that spares the process. */
function around({ retrier }: Call): readonly AnyPolicy[] {
  return typeof (retrier as Partial<AnyPolicy> | undefined)?.kind === 'string' ? [retrier as AnyPolicy] : [];
}
