import type { Expiring } from '../../algorithms/deadlines.ts';
import { Hedging } from '../../algorithms/hedging.ts';
import type { Call, Work } from '../../core/call.ts';
import { discard } from '../../core/disposal.ts';
import { HedgeLostError } from '../../core/errors.ts';
import { made } from '../../core/made.ts';
import { Failure, type Outcome, thrown } from '../../core/outcome.ts';
import type { Handler } from '../../core/policy.ts';
import type { Scope } from '../../core/scope.ts';
import type { ExpiryLine } from '../../stores/expiry-line.ts';

/** Why a hedge begins: its delay is over, or an attempt before it failed. */
export type HedgeCause = 'delay' | 'failure';

/** How an attempt ended: with an answer, with a failure that another may not have, cut short, or in a way that says nothing. */
export type AttemptEnd = 'success' | 'failure' | 'cut' | 'ignored';

/** What an attempt's outcome means. */
export interface HedgeVerdict {
  /** It answers the call. */
  readonly final: boolean;
  readonly end: AttemptEnd;
  /** The wait the service asked for, ms; negative or endless: no more hedges. */
  readonly pushback: number | undefined;
}

/** What a race asks and tells its policy. */
export interface RaceRules {
  readonly next: Handler;
  readonly scope: Scope;
  readonly maxHedges: number;
  /** Where those stand that wait for so long. */
  lineFor(wait: number): ExpiryLine<Race>;
  /** How long after the attempt before it this hedge begins, ms; `Infinity`: not by time. */
  delay(hedge: number, call: Call, now: number): number;
  /** What the hedge runs; `undefined` if it must not begin. */
  admit(hedge: number, call: Call, now: number, cause: HedgeCause): Work<unknown> | undefined;
  /** A pushback asks for a wait that is longer than the call has time. */
  hopeless(hedge: number, call: Call): void;
  judge(outcome: Outcome, call: Call): HedgeVerdict;
  /** An attempt ended after `ms`. */
  ended(attempt: number, end: AttemptEnd, ms: number, now: number, books: boolean): void;
  /** Of several attempts this one decided, well or badly. */
  decided(attempt: number, call: Call, ok: boolean): void;
  /** All of several attempts failed. */
  failed(outcomes: readonly Outcome[], call: Call): void;
  /** The call is over, however it ended. */
  over(books: boolean): void;
}

/** One run of the work among others. */
class Attempt {
  readonly call: Call;
  readonly number: number;
  readonly since: number;
  running = true;
  /** True once it was told how it ended. */
  told = false;
  outcome: Outcome = undefined;
  released = false;

  constructor(call: Call, number: number, since: number) {
    this.call = call;
    this.number = number;
    this.since = since;
  }

  /** Its value, if it is one, is nobody's; unless it is the very one that the caller gets. */
  release(outcome: Outcome, given: Outcome): void {
    if (this.released || outcome === given || outcome instanceof Failure) return;
    this.released = true;
    discard(outcome);
  }
}

/**
 * The attempts at one call, side by side: the first whose outcome is final answers, the others are cut short. The promise of the first attempt is
 * the promise of the call, which costs a call that needs no hedge nothing more and keeps the async stack.
 */
export class Race implements Expiring {
  readonly rules: RaceRules;
  readonly call: Call;
  /** Whether its policy keeps the books on the call; else a retry around it, which pays from the same budget, does. */
  readonly books: boolean;
  readonly plan: Hedging;
  readonly attempts: Attempt[] = [];
  due = 0;
  before: Expiring | undefined = undefined;
  after: Expiring | undefined = undefined;
  listed = false;
  line: ExpiryLine<Race> | undefined = undefined;
  /** Called when the next hedge is due. */
  wake: ((now: number) => void) | undefined = undefined;
  decided = false;
  outcome: Outcome = undefined;
  /** What an attempt that did not decide it answers with. */
  ending: Promise<Outcome> | undefined = undefined;
  settle: ((outcome: Outcome) => void) | undefined = undefined;

  constructor(rules: RaceRules, call: Call, books: boolean) {
    this.rules = rules;
    this.call = call;
    this.books = books;
    this.plan = new Hedging(rules.maxHedges);
  }

  /** Begins the first attempt. */
  run(): Promise<Outcome> {
    return this.begin(this.call.at, this.call.work);
  }

  begin(now: number, work: Work<unknown>): Promise<Outcome> {
    const { next, maxHedges } = this.rules;
    const number = this.plan.begun;
    const delay = number < maxHedges ? this.rules.delay(number + 1, this.call, now) : Infinity;
    this.plan.begin(now, delay);
    const inner = this.call.derive(undefined, undefined, work);
    if (number > 0) inner.hedge = number;
    inner.at = now;
    const attempt = new Attempt(inner, number, now);
    this.attempts.push(attempt);
    const answer = next(inner).then(
      (outcome) => this.ended(attempt, outcome),
      (error: unknown) => this.ended(attempt, thrown(error)),
    );
    this.arm(now, delay);
    return answer;
  }

  /** Waits until the next hedge is due. */
  arm(now: number, wait: number): void {
    const { due } = this.plan;
    this.leave();
    if (this.decided || due === Infinity || due >= this.call.deadline) return;
    if (due <= now) {
      this.startHedge(now, 'delay');
      return;
    }
    // One timer serves all calls; the promise brings each back into its own caller's async context (law 10).
    const woken = new Promise<number>((resolve) => (this.wake = resolve));
    void woken.then((late) => this.ring(late));
    this.due = due;
    this.line = this.rules.lineFor(wait);
    this.line.add(this, now);
  }

  leave(): void {
    this.line?.remove(this);
    this.line = undefined;
  }

  ring(now: number): void {
    if (this.decided || this.plan.due > now) return;
    if (!this.startHedge(now, 'delay') && this.plan.running === 0) this.decide(this.giveUp(), undefined, now);
  }

  /** Begins a hedge, if it may; else there will be none any more. */
  startHedge(now: number, cause: HedgeCause): boolean {
    const work = this.plan.open && this.call.failure === undefined ? this.rules.admit(this.plan.begun, this.call, now, cause) : undefined;
    if (work === undefined) {
      this.plan.close();
      this.leave();
      return false;
    }
    this.call.waiter = undefined;
    this.ending ??= new Promise((resolve) => (this.settle = resolve));
    void this.begin(now, work).then(this.settle);
    return true;
  }

  ended(attempt: Attempt, outcome: Outcome): Outcome | Promise<Outcome> {
    const { call } = attempt;
    attempt.running = false;
    this.call.release(call);
    const now = call.scope.clock.now();
    if (this.decided) {
      this.tell(attempt, 'cut', now);
      attempt.release(outcome, this.outcome);
      return this.outcome;
    }
    if (outcome instanceof Failure && outcome === this.call.failure) {
      this.tell(attempt, 'cut', now);
      return this.decide(outcome, undefined, now);
    }
    const { final, end, pushback } = this.rules.judge(outcome, call);
    this.tell(attempt, end, now);
    if (final) return this.decide(outcome, attempt, now);
    attempt.outcome = outcome;
    return this.failed(attempt, now, pushback);
  }

  tell(attempt: Attempt, end: AttemptEnd, now: number): void {
    if (attempt.told) return;
    attempt.told = true;
    this.rules.ended(attempt.number, end, now - attempt.since, now, this.books);
  }

  /** An attempt failed in a way that another may not. */
  failed(attempt: Attempt, now: number, pushback: number | undefined): Outcome | Promise<Outcome> {
    const plan = this.plan;
    if (this.call.failure !== undefined) plan.close();
    const then = plan.failed(now, pushback);
    if (then === 'begin') this.startHedge(now, 'failure');
    else if (plan.due !== Infinity && plan.due >= this.call.deadline) {
      this.rules.hopeless(plan.begun, this.call);
      plan.close();
    }
    if (plan.running === 0 && plan.due === Infinity) return this.decide(this.giveUp(), undefined, now);
    if (then !== 'begin') this.arm(now, pushback ?? 0);
    this.ending ??= new Promise((resolve) => (this.settle = resolve));
    // Nothing runs that an abort could reach.
    if (plan.running === 0) this.call.waiter = (failure) => void this.decide(failure, undefined, now);
    // A hedge's promise leads to `ending`; if it also waited for it, V8 would walk in a circle for ever when it looks for an error's async callers.
    return attempt.number === 0 ? this.ending : new Promise(() => undefined);
  }

  /** All attempts have failed: the first one's failure is the call's. */
  giveUp(): Outcome {
    const outcomes = this.attempts.map(({ outcome }) => outcome);
    if (outcomes.length > 1) this.rules.failed(outcomes, this.call);
    return outcomes[0];
  }

  decide(outcome: Outcome, winner: Attempt | undefined, now: number): Outcome {
    this.decided = true;
    this.outcome = outcome;
    this.leave();
    this.rules.over(this.books);
    const attempts = this.attempts;
    if (attempts.length > 1 || winner === undefined) {
      this.call.waiter = undefined;
      winner?.call.prevail();
      if (winner !== undefined) this.rules.decided(winner.number, winner.call, !(outcome instanceof Failure));
      this.dismiss(outcome, now);
      this.settle?.(outcome);
    }
    return outcome;
  }

  /** Cuts the attempts that lost, and releases what failed ones had answered with. */
  dismiss(outcome: Outcome, now: number): void {
    let lost: Failure | undefined;
    for (const attempt of this.attempts) {
      const { call } = attempt;
      if (!attempt.running) {
        attempt.release(attempt.outcome, outcome);
        continue;
      }
      if (call.failure !== undefined) continue;
      const { pipeline, policy, stack } = this.rules.scope;
      lost ??= new Failure(
        made(HedgeLostError, `${pipeline}: another attempt answered first`, { pipeline, policy, key: call.key }, stack),
        'aborted',
      );
      this.tell(attempt, 'cut', now);
      call.onLate = (late) => attempt.release(late, outcome);
      call.cut(lost);
    }
  }
}
