/**
 * Retry budget: what the retries and hedges of any number of pipelines may add to the load of a service, together.
 *
 * @example
 * ```ts
 * import { pipeline, retry, retryBudget } from 'breakwater';
 *
 * const budget = retryBudget({ ratio: 0.1, minPerSecond: 1 });
 * const prices = pipeline([retry({ budget, backoff: { delay: 0 } })]);
 * const stock = pipeline([retry({ budget, backoff: { delay: 0 } })]);
 *
 * await prices.execute(({ attempt }) => {
 *   if (attempt === 1) throw new Error('once');
 * });
 * console.log(budget.balance, budget.denied); // => 9 0
 * await stock.execute(() => 'in stock');
 * ```
 *
 * @module
 */

import type { ExtraCause, Ledger } from '../algorithms/retry-budget.ts';
import type { Call } from '../core/call.ts';
import type { Clock } from '../core/clock.ts';
import type { PlainData } from '../core/policy.ts';
import type { Scope } from '../core/scope.ts';
import { type BudgetKind, type BudgetSettings, type RetryBudgetOptions, openBooks } from './budget-kinds.ts';

declare module '../core/events.ts' {
  interface EventFields {
    /** An extra attempt was not paid for. */
    'retry-budget.exhausted': { readonly budget: string; readonly balance: number; readonly denied: number };
  }
}

/**
 * A retry budget. Give the same one to all retries and hedges that burden the same service.
 *
 * A policy that draws on it says so in this order: `join` when it is mounted; for each call `started`, then for each attempt beyond the first `withdraw` (before any wait
 * for it) and, if it does not take place after all, `refund`; `attempted` for each attempt that ended; and `ended`, exactly once for each `started`.
 */
export interface RetryBudget {
  readonly kind: BudgetKind;
  readonly name: string;
  /** What is left: whole extra attempts (`ratio`, `concurrent`) or tokens. */
  readonly balance: number;
  /** The share of what is allowed that is in use, 0..1. */
  readonly usage: number;
  /** Extra attempts that were not paid for so far. */
  readonly denied: number;
  /** The live state, as plain data. */
  snapshot(): PlainData;
  /** The resolved options, as plain data. */
  describe(): PlainData;
  /** A policy that draws on it is mounted: `balance` and `usage` go by the clock of the first. */
  join(clock: Clock): void;
  /** A call starts at `now` (ms). Its first attempt is never charged. */
  started(now: number): void;
  /** Takes for one extra attempt of a call that has had `taken` of them; false if it is not allowed. Counts what it denies. */
  withdraw(now: number, cause?: ExtraCause, taken?: number): boolean;
  /** Gives back what was taken, for the same cause, for an attempt that did not take place. */
  refund(now: number, cause?: ExtraCause): void;
  /**
   * An attempt ended. `failure`: one that may be tried again, or that the service asks not to try again; what says nothing about its health is `ignored`. `cause`: what it
   * was paid for, nothing for a first attempt.
   */
  attempted(verdict: 'success' | 'failure' | 'ignored', cause?: ExtraCause): void;
  /** A call is over. */
  ended(): void;
  /** Tells the listeners of `scope` that an extra attempt was denied. */
  tellExhausted(scope: Scope, call: Call): void;
}

/**
 * A budget that bounds what retries and hedges add to the load of a service: a share of its calls, and a little more where there are few. One for each service, shared by all
 * that call it; without one each retry keeps its own.
 *
 * @throws OptionsError if an option is wrong
 */
export function retryBudget(options: RetryBudgetOptions = {}): RetryBudget {
  const { settings, ledger } = openBooks(options);
  return new SharedBudget(settings, ledger);
}

/** Whether a value is a budget, of whichever copy of the package. */
export function isRetryBudget(value: unknown): value is RetryBudget {
  const { started, withdraw, refund, attempted, ended } = Object(value) as Partial<RetryBudget>;
  return [started, withdraw, refund, attempted, ended].every((part) => typeof part === 'function');
}

class SharedBudget implements RetryBudget {
  readonly kind: BudgetKind;
  readonly name: string;
  denied = 0;
  readonly #settings: BudgetSettings;
  readonly #ledger: Ledger;
  #clock: Clock | undefined = undefined;
  /** The latest time it was told of. */
  #at = 0;

  constructor(settings: BudgetSettings, ledger: Ledger) {
    this.kind = settings.kind;
    this.name = settings.name;
    this.#settings = settings;
    this.#ledger = ledger;
  }

  get balance(): number {
    return this.#ledger.balance(this.#now);
  }

  get usage(): number {
    return this.#ledger.usage(this.#now);
  }

  snapshot(): PlainData {
    return { kind: this.kind, name: this.name, balance: this.balance, usage: this.usage, denied: this.denied };
  }

  describe(): PlainData {
    return { ...this.#settings };
  }

  join(clock: Clock): void {
    this.#clock ??= clock;
  }

  started(now: number): void {
    this.#at = now;
    this.#ledger.started(now);
  }

  withdraw(now: number, cause: ExtraCause = 'hedge', taken = 0): boolean {
    this.#at = now;
    if (taken < this.#settings.perCall && this.#ledger.withdraw(now, cause)) return true;
    this.denied++;
    return false;
  }

  refund(now: number, cause: ExtraCause = 'hedge'): void {
    this.#ledger.refund(now, cause);
  }

  attempted(verdict: 'success' | 'failure' | 'ignored', cause?: ExtraCause): void {
    this.#ledger.attempted(verdict, cause);
  }

  ended(): void {
    this.#ledger.ended();
  }

  tellExhausted(scope: Scope, call: Call): void {
    if (scope.listening)
      scope.emit('retry-budget.exhausted', 'warn', call, { budget: this.name, balance: this.balance, denied: this.denied });
  }

  get #now(): number {
    return this.#clock === undefined ? this.#at : this.#clock.now();
  }
}
