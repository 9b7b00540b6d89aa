import { type Meter, exceeds } from '../../algorithms/meters/meter.ts';
import type { Call } from '../../core/call.ts';
import { classify } from '../../core/classification.ts';
import { RateLimitedError } from '../../core/errors.ts';
import { made } from '../../core/made.ts';
import { Failure, type Outcome, refuse, settled } from '../../core/outcome.ts';
import type { Scope } from '../../core/scope.ts';
import type { Gate } from '../../core/stage.ts';
import type { LimiterTerms, OutcomeTest } from './terms.ts';

/**
 * Who came and who waits. It has one shape for limiters of every kind, so that the engine's inline caches hold where a call finds what it needs, however many kinds there are in a process
 * (measured with nine: a quarter of what a token bucket cost).
 */
export class Door {
  line: { readonly size: number } | undefined = undefined;
  /** Whether calls have come, and when the latest did. */
  used = false;
  latest: number = -Infinity;
}

/** What the gate asks of a limiter. Times in ms. */
export interface Limiting<Cost, Receipt> {
  readonly kind: string;
  readonly terms: LimiterTerms;
  /** What it allows, for people: `10 per 1000 ms and 2 at once`. */
  readonly law: string;
  /** Calls that wait. */
  readonly waiting: number;
  readonly meter: Meter<Cost, Receipt>;
  readonly door: Door;
  /** What every call takes, if that is the same for all and `arrive` and `wait` do nothing of their own. */
  readonly fixedPrice: Cost | undefined;
  /** Whether a call takes its own `cost`, and again `arrive` and `wait` do nothing of their own. */
  readonly takesWhatCallsSay: boolean;
  /** What a call takes. @throws RangeError if the user's function answers with no such number */
  priceOf(call: Call): Cost;
  /** Whether that is nothing at all: such a call passes, whatever the state. */
  isFree(cost: Cost): boolean;
  /** A call has come, by a reading of its clock: time begins, turns that are due are granted. Answers with the present. */
  arrive(scope: Scope, read: number): number;
  /** How long until `cost` fits behind all who wait; `Infinity` if it never will. */
  wait(cost: Cost, now: number): number;
  /** How long until the first of those who wait has its turn. */
  next(now: number): number;
  /** How long a call may be kept waiting; `undefined`: any that is nothing special. */
  patience(call: Call | undefined): number;
  /** Puts back what was taken and not used after all. */
  giveBack(receipt: Receipt, now: number): void;
  /** Nothing is left until time has passed. */
  drain(now: number): void;
  /** Waits on behalf of a call, until its turn has come or (by `until`) it is in vain; then `refuse` says what the call gets. */
  queue(call: Call, cost: Cost, until: number, now: number, refuse: () => Failure): Promise<Receipt | Failure>;
}

/** What was taken for a call, where its outcome has a say in that. */
class Judged<Receipt> {
  readonly receipt: Receipt;
  readonly call: Call;

  constructor(receipt: Receipt, call: Call) {
    this.receipt = receipt;
    this.call = call;
  }
}

/** A limiter as one pipeline sees it. A pass is what gives back what the call took. */
export class LimiterGate<Cost, Receipt> implements Gate {
  readonly timeless = true;
  readonly #limiter: Limiting<Cost, Receipt>;
  readonly #scope: Scope;
  readonly #meter: Meter<Cost, Receipt>;
  readonly #door: Door;
  readonly #price: Cost | undefined;
  readonly #asksCall: boolean;
  /** Whether outcomes matter to it. */
  readonly #judges: boolean;

  constructor(limiter: Limiting<Cost, Receipt>, scope: Scope) {
    this.#limiter = limiter;
    this.#scope = scope;
    this.#meter = limiter.meter;
    this.#door = limiter.door;
    this.#price = limiter.fixedPrice;
    this.#asksCall = limiter.takesWhatCallsSay;
    const { refundOnAbort, refundIf, drainOn } = limiter.terms;
    this.#judges = refundOnAbort || refundIf !== undefined || drainOn !== undefined;
  }

  enter(call: Call, read: number): unknown {
    const price = this.#asksCall ? (call.cost as Cost) : this.#price;
    const door = this.#door;
    if (price !== undefined && price !== 0 && door.used && read >= door.latest && (door.line === undefined || door.line.size === 0)) {
      // Nobody waits, and time goes on as it should: most calls.
      door.latest = read;
      const wait = this.#meter.wait(price, read);
      return wait === 0 ? this.#pass(call, this.#meter.take(price, read)) : this.#late(call, price, wait, read);
    }
    const limiter = this.#limiter;
    const cost = price ?? limiter.priceOf(call);
    if (limiter.isFree(cost)) return free;
    const now = limiter.arrive(this.#scope, read);
    const wait = limiter.wait(cost, now);
    return wait === 0 ? this.#pass(call, this.#meter.take(cost, now)) : this.#late(call, cost, wait, now);
  }

  /** A call that does not fit now. */
  #late(call: Call, cost: Cost, wait: number, now: number): Failure | Promise<unknown> {
    const limiter = this.#limiter;
    const patience = call.waits ? Math.min(limiter.patience(call), call.deadline - now) : 0;
    const next = limiter.waiting >= limiter.terms.maxQueue ? limiter.next(now) : 0;
    // Where there is no place to wait in before somebody's turn has come, there is no chance before that either.
    if (exceeds(wait, patience, now) || now + wait >= call.deadline) return this.#refuse(call, cost, wait, Math.min(patience, wait - next));
    if (limiter.waiting >= limiter.terms.maxQueue) return this.#refuse(call, cost, next, 0);
    return this.#wait(call, cost, wait, now);
  }

  settle(pass: unknown, outcome: Outcome): void {
    if (!(pass instanceof Judged)) return; // the call ran: what it took is spent
    const { receipt, call } = pass as Judged<Receipt>;
    const { refundOnAbort, refundIf, drainOn } = this.#limiter.terms;
    const aborted = outcome instanceof Failure && outcome.kind === 'aborted';
    const { clock } = this.#scope;
    if (aborted ? refundOnAbort : refundIf !== undefined && this.#asks('refundIf', refundIf, outcome, call))
      this.#limiter.giveBack(receipt, clock.now());
    if (!aborted && drainOn !== undefined && this.#drains(drainOn, outcome, call)) this.#limiter.drain(clock.now());
  }

  cancel(pass: unknown): void {
    if (pass === free) return;
    this.#limiter.giveBack(pass instanceof Judged ? (pass.receipt as Receipt) : (pass as Receipt), this.#scope.clock.now());
  }

  #pass(call: Call, receipt: Receipt): Receipt | Judged<Receipt> {
    return this.#judges ? new Judged(receipt, call) : receipt;
  }

  #wait(call: Call, cost: Cost, wait: number, now: number): Promise<unknown> {
    const limiter = this.#limiter;
    const scope = this.#scope;
    const inVain = (): Failure => this.#refuse(call, cost, limiter.wait(cost, scope.clock.now()), 0);
    const waiting = limiter.queue(call, cost, now + limiter.patience(call), now, inVain);
    if (scope.listening) scope.emit(`${limiter.kind}.delayed`, 'debug', call, { wait, cost });
    return this.#judges ? waiting.then((receipt) => (receipt instanceof Failure ? receipt : new Judged(receipt, call))) : waiting;
  }

  /** `wait` is how long the call would have had to wait, and `patience` how long it may: it has a chance when only that much is left. */
  #refuse(call: Call, cost: Cost, wait: number, patience: number): Failure {
    const { pipeline, policy, stack } = this.#scope;
    const limit = `${pipeline}: ${policy} allows ${this.#limiter.law}`;
    const never = wait === Infinity;
    const message = never ? `${limit}; a call that costs ${String(cost)} can never pass` : limit;
    const retryAfter = never ? Infinity : wait - patience;
    return refuse(made(RateLimitedError, message, { pipeline, policy, key: call.key, retryAfter }, stack));
  }

  #drains(drainOn: 'overload' | OutcomeTest, outcome: Outcome, call: Call): boolean {
    if (drainOn !== 'overload') return this.#asks('drainOn', drainOn, outcome, call);
    const { overload, dispatched } = classify(outcome, call, this.#scope);
    return overload && dispatched;
  }

  #asks(name: string, test: OutcomeTest, outcome: Outcome, call: Call): boolean {
    return this.#scope.ask(name, false, () => test(settled(outcome), call));
  }
}

/** The pass of a call that took nothing. */
const free = 'free';
