/**
 * What attempts beyond the first may cost a service. Four ways to keep the books; all are pure, all are told the same: that calls start, that extra attempts are asked
 * for, how attempts end.
 */

import { Tally } from './tally.ts';

/** Why an attempt is extra: a retry after a failure, a timeout or a refusal by a limit of the service, or a hedge. */
export type ExtraCause = 'failure' | 'timeout' | 'throttled' | 'hedge';

/** The books of one kind of budget. */
export interface Ledger {
  /** A call starts: its first attempt is free. */
  started(now: number): void;
  /** Takes for one extra attempt; false if there is not enough. */
  withdraw(now: number, cause: ExtraCause): boolean;
  /** The extra attempt did not take place. */
  refund(now: number, cause: ExtraCause): void;
  /** An attempt ended, one that was paid for if `cause` is given. */
  attempted(verdict: 'success' | 'failure' | 'ignored', cause: ExtraCause | undefined): void;
  /** A call is over. */
  ended(): void;
  /** What is left: extra attempts, or tokens for kinds that have them. */
  balance(now: number): number;
  /** The share of what is allowed that is in use, 0..1. */
  usage(now: number): number;
}

/** Sums of shares come out a little under what they should be. */
const ROUNDING = 1e-9;

export interface RatioSettings {
  readonly ratio: number;
  readonly minPerSecond: number;
  readonly ttl: number;
}

/**
 * Extra attempts up to a share of the calls in the last `ttl` ms, and a reserve of so many per second. In any window of that length there are never more than
 * `ratio` · calls + `minPerSecond` · seconds. After Finagle's RetryBudget.
 */
export class RatioLedger implements Ledger {
  readonly #ratio: number;
  readonly #reserve: number;
  readonly #calls: Tally;
  readonly #extras: Tally;

  constructor({ ratio, minPerSecond, ttl }: RatioSettings) {
    this.#ratio = ratio;
    this.#reserve = (minPerSecond * ttl) / 1000;
    this.#calls = new Tally(ttl, 'early');
    this.#extras = new Tally(ttl, 'late');
  }

  started(now: number): void {
    this.#calls.add(now);
  }

  withdraw(now: number): boolean {
    if (this.balance(now) < 1) return false;
    this.#extras.add(now);
    return true;
  }

  refund(): void {
    this.#extras.remove();
  }

  attempted(): void {}

  ended(): void {}

  balance(now: number): number {
    this.#extras.expire(now);
    return Math.max(0, Math.floor(this.#allowed(now) - this.#extras.total + ROUNDING));
  }

  usage(now: number): number {
    this.#extras.expire(now);
    return shareOf(this.#extras.total, this.#allowed(now));
  }

  #allowed(now: number): number {
    this.#calls.expire(now);
    return this.#ratio * this.#calls.total + this.#reserve;
  }
}

export interface ConcurrentSettings {
  readonly ratio: number;
  readonly minConcurrent: number;
}

/**
 * Extra attempts at the same time: another may begin while at most `ratio` of the calls under way have one, or fewer than `minConcurrent` do; the larger limit counts. Calls
 * that wait to be retried are under way, and so is the attempt they wait for. After Envoy and failsafe-go.
 */
export class ConcurrentLedger implements Ledger {
  readonly #settings: ConcurrentSettings;
  #calls = 0;
  #extras = 0;

  constructor(settings: ConcurrentSettings) {
    this.#settings = settings;
  }

  started(): void {
    this.#calls++;
  }

  withdraw(): boolean {
    if (this.#extras >= this.#allowed()) return false;
    this.#extras++;
    return true;
  }

  refund(): void {
    this.#extras = Math.max(0, this.#extras - 1);
  }

  attempted(_verdict: string, cause: ExtraCause | undefined): void {
    if (cause !== undefined) this.refund();
  }

  ended(): void {
    this.#calls = Math.max(0, this.#calls - 1);
  }

  balance(): number {
    return Math.max(0, this.#allowed() - this.#extras);
  }

  usage(): number {
    return shareOf(this.#extras, this.#allowed());
  }

  #allowed(): number {
    const { ratio, minConcurrent } = this.#settings;
    return ratio === 0 ? minConcurrent : Math.max(minConcurrent, Math.floor(ratio * this.#calls + ROUNDING) + 1);
  }
}

export interface TokenSettings {
  readonly max: number;
  readonly cost: number;
  readonly timeoutCost: number;
  readonly throttledCost: number;
  readonly successRefill: number;
  readonly startRefill: number;
  readonly refundOnRetrySuccess: boolean;
  readonly refillPerSecond: number;
}

/**
 * A bucket of tokens. Extra attempts cost, successes at the first attempt bring a little in, a retry that succeeds gets its price back, and time fills the bucket up so that
 * nobody stays without for ever. After the AWS SDKs; with `startRefill` after Brooker, "Fixing retries with token buckets and circuit breakers", 2022.
 */
export class TokenLedger implements Ledger {
  readonly #settings: TokenSettings;
  readonly #costs: Readonly<Record<ExtraCause, number>>;
  #tokens: number;
  #at: number | undefined = undefined;

  constructor(settings: TokenSettings) {
    const { cost, timeoutCost, throttledCost, max } = settings;
    this.#settings = settings;
    this.#costs = { failure: cost, hedge: cost, timeout: timeoutCost, throttled: throttledCost };
    this.#tokens = max;
  }

  started(now: number): void {
    this.#at ??= now;
    this.#add(this.#settings.startRefill);
  }

  withdraw(now: number, cause: ExtraCause): boolean {
    const cost = this.#costs[cause];
    if (this.balance(now) + ROUNDING < cost) return false;
    this.#tokens = Math.max(0, this.#tokens - cost);
    return true;
  }

  refund(_now: number, cause: ExtraCause): void {
    this.#add(this.#costs[cause]);
  }

  attempted(verdict: 'success' | 'failure' | 'ignored', cause: ExtraCause | undefined): void {
    if (verdict !== 'success') return;
    if (cause === undefined) this.#add(this.#settings.successRefill);
    else if (this.#settings.refundOnRetrySuccess) this.#add(this.#costs[cause]);
  }

  ended(): void {}

  balance(now: number): number {
    const elapsed = now - (this.#at ?? now);
    if (elapsed > 0) this.#add((elapsed * this.#settings.refillPerSecond) / 1000);
    this.#at = now;
    return this.#tokens;
  }

  usage(now: number): number {
    return shareOf(this.#settings.max - this.balance(now), this.#settings.max);
  }

  #add(tokens: number): void {
    this.#tokens = Math.min(this.#settings.max, this.#tokens + tokens);
  }
}

export interface GrpcSettings {
  readonly maxTokens: number;
  readonly tokenRatio: number;
}

/**
 * gRPC's retry throttling (proposal A6): each failed attempt costs a token, each successful one brings `tokenRatio` in, of which three decimals count; extra attempts only
 * while more than half of the tokens are there.
 */
export class GrpcLedger implements Ledger {
  /** In thousandths, so that they add up. */
  readonly #max: number;
  readonly #gain: number;
  #tokens: number;

  constructor({ maxTokens, tokenRatio }: GrpcSettings) {
    this.#max = this.#tokens = maxTokens * 1000;
    this.#gain = Math.floor(tokenRatio * 1000 + ROUNDING);
  }

  started(): void {}

  withdraw(): boolean {
    return this.#tokens > this.#max / 2;
  }

  refund(): void {}

  attempted(verdict: 'success' | 'failure' | 'ignored'): void {
    if (verdict === 'success') this.#tokens = Math.min(this.#max, this.#tokens + this.#gain);
    else if (verdict === 'failure') this.#tokens = Math.max(0, this.#tokens - 1000);
  }

  ended(): void {}

  balance(): number {
    return this.#tokens / 1000;
  }

  usage(): number {
    return shareOf(this.#max - this.#tokens, this.#max);
  }
}

function shareOf(used: number, allowed: number): number {
  return allowed > 0 ? Math.min(1, used / allowed) : 1;
}
