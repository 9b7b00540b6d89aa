/** What kinds of retry budgets there are: their options, their tables, their books. */

import {
  ConcurrentLedger,
  type ConcurrentSettings,
  GrpcLedger,
  type GrpcSettings,
  type Ledger,
  RatioLedger,
  type RatioSettings,
  TokenLedger,
  type TokenSettings,
} from '../algorithms/retry-budget.ts';
import type { OptionProblem } from '../core/errors.ts';
import { type Duration, type Field, type Fields, count, duration, flag, numeric, oneOf, readOptions, text } from '../core/options.ts';

interface CommonBudgetOptions {
  /** Extra attempts that one call may have, whoever asks for them. @defaultValue `Infinity` */
  readonly perCall?: number;
  /** What events and snapshots call it. @defaultValue `'retry-budget'` */
  readonly name?: string;
}

/** A share of the calls of the last seconds. */
export interface RatioBudgetOptions extends CommonBudgetOptions {
  readonly kind?: 'ratio';
  /** Extra attempts for each call. @defaultValue `0.2` */
  readonly ratio?: number;
  /** So many more are allowed each second, or nobody could retry where little happens. @defaultValue `10` */
  readonly minPerSecond?: number;
  /** How long calls and extra attempts count, from 1 s to 60 s. @defaultValue `'10s'` */
  readonly ttl?: Duration;
}

/** A share of the calls under way. */
export interface ConcurrentBudgetOptions extends CommonBudgetOptions {
  readonly kind: 'concurrent';
  /** Extra attempts at the same time for each call under way, those that wait to be retried included. @defaultValue `0.2` */
  readonly ratio?: number;
  /** So many are allowed at any time. @defaultValue `3` */
  readonly minConcurrent?: number;
}

/** A bucket of tokens. */
export interface TokenBudgetOptions extends CommonBudgetOptions {
  readonly kind: 'tokens';
  /** Tokens at the beginning, and at most. @defaultValue `500` */
  readonly max?: number;
  /** What an extra attempt costs. @defaultValue `5` */
  readonly cost?: number;
  /** What one costs after a timeout. @defaultValue `10` */
  readonly timeoutCost?: number;
  /** What one costs after the service said that it is asked too often. @defaultValue `5` */
  readonly throttledCost?: number;
  /** What a success at the first attempt brings in. @defaultValue `1` */
  readonly successRefill?: number;
  /** What each call brings in when it starts. @defaultValue `0` */
  readonly startRefill?: number;
  /** Whether an extra attempt that succeeds gets its price back. @defaultValue `true` */
  readonly refundOnRetrySuccess?: boolean;
  /** What time brings in. @defaultValue `1` */
  readonly refillPerSecond?: number;
}

/** The retry throttling of gRPC. */
export interface GrpcBudgetOptions extends CommonBudgetOptions {
  readonly kind: 'grpc';
  /** Tokens at the beginning, and at most. No extra attempts at half of them or less. @defaultValue `10` */
  readonly maxTokens?: number;
  /** What a success brings in, three decimals of it; a failure costs 1. @defaultValue `0.1` */
  readonly tokenRatio?: number;
}

/** Options of {@link retryBudget}. */
export type RetryBudgetOptions = RatioBudgetOptions | ConcurrentBudgetOptions | TokenBudgetOptions | GrpcBudgetOptions;

/** Options as read. */
export interface BudgetSettings {
  readonly kind: BudgetKind;
  readonly perCall: number;
  readonly name: string;
}

/** The kinds there are. */
export type BudgetKind = 'ratio' | 'concurrent' | 'tokens' | 'grpc';

interface OneKind<Kind extends BudgetKind> extends BudgetSettings {
  readonly kind: Kind;
}

const common = { perCall: count({ infinite: true }).or(Infinity), name: text().or('retry-budget') };
const share = numeric({ min: 0, max: 1000 });
const tokens = numeric({ min: 0, max: 1e9 });

/** Tells of a kind that there is not. */
const anyKind = oneOf('ratio', 'concurrent', 'tokens', 'grpc').or('ratio');

const ratioFields: Fields<OneKind<'ratio'> & RatioSettings> = {
  kind: anyKind as Field<'ratio'>,
  ratio: share.or(0.2),
  minPerSecond: numeric({ min: 0, max: 1e6 }).or(10),
  ttl: duration({ min: 1000 }).or('10s'),
  ...common,
};

const concurrentFields: Fields<OneKind<'concurrent'> & ConcurrentSettings> = {
  kind: oneOf('concurrent'),
  ratio: share.or(0.2),
  minConcurrent: count().or(3),
  ...common,
};

const tokenFields: Fields<OneKind<'tokens'> & TokenSettings> = {
  kind: oneOf('tokens'),
  max: tokens.or(500),
  cost: tokens.or(5),
  timeoutCost: tokens.or(10),
  throttledCost: tokens.or(5),
  successRefill: tokens.or(1),
  startRefill: tokens.or(0),
  refundOnRetrySuccess: flag().or(true),
  refillPerSecond: tokens.or(1),
  ...common,
};

const grpcFields: Fields<OneKind<'grpc'> & GrpcSettings> = {
  kind: oneOf('grpc'),
  maxTokens: numeric({ above: 0, max: 1000 }).or(10),
  tokenRatio: numeric({ above: 0, max: 1000 }).or(0.1),
  ...common,
};

/** Longer would save up for a storm. */
const LONGEST_TTL = 60_000;

function boundTtl({ ttl }: OneKind<'ratio'> & RatioSettings): OptionProblem | undefined {
  return ttl <= LONGEST_TTL ? undefined : { path: 'ttl', expected: `at most ${LONGEST_TTL} ms`, got: `${ttl} ms` };
}

/** Reads the options of a budget, and opens its books. @throws OptionsError */
export function openBooks(given: unknown): { readonly settings: BudgetSettings; readonly ledger: Ledger } {
  const { kind } = Object(given) as { readonly kind?: unknown };
  switch (anyKind.read(kind, '', [])) {
    case 'concurrent': {
      const settings = readOptions('retryBudget', concurrentFields, given);
      return { settings, ledger: new ConcurrentLedger(settings) };
    }
    case 'tokens': {
      const settings = readOptions('retryBudget', tokenFields, given);
      return { settings, ledger: new TokenLedger(settings) };
    }
    case 'grpc': {
      const settings = readOptions('retryBudget', grpcFields, given);
      return { settings, ledger: new GrpcLedger(settings) };
    }
    default: {
      const settings = readOptions('retryBudget', ratioFields, given, boundTtl);
      return { settings, ledger: new RatioLedger(settings) };
    }
  }
}
