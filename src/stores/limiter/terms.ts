import type { Call } from '../../core/call.ts';
import { type CommonSettings, type PolicyOptions, commonFields } from '../../core/mode.ts';
import { type Duration, type Fields, count, duration, field, flag, fn, group, numeric, oneOf } from '../../core/options.ts';
import type { Settled } from '../../core/outcome.ts';
import type { PlainData } from '../../core/policy.ts';
import { type Priority, isPriority, priorities } from '../../core/priority.ts';

/** Says something about the outcome of a call that was let in. */
export type OutcomeTest = (outcome: Settled<unknown>, call: Call) => boolean;

/** Calls that may wait where others are refused. */
export interface BorrowOptions {
  /** Calls of this class or a higher one may. @defaultValue `'critical-plus'` */
  readonly priority?: Priority;
  /** How long they may wait for what comes in next. @defaultValue `'500ms'` */
  readonly maxWait?: Duration;
}

/** Options that rate limiters share. */
export interface LimiterOptions extends PolicyOptions {
  /** What a call takes of the limit, or a function of the call that says so (`0`: this one is free). @defaultValue what the call says (its option `cost`), which is 1 if it says nothing */
  readonly cost?: number | ((call: Call) => number);
  /** How long a call may wait for its turn; one that would have to wait longer, or beyond its deadline, is refused at once. @defaultValue `0` */
  readonly maxWait?: Duration;
  /** How many calls may wait. @defaultValue `10_000` */
  readonly maxQueue?: number;
  /** Calls that matter more may wait for the next window or tokens where others are refused. @defaultValue none */
  readonly borrow?: BorrowOptions;
  /** Whether a call that its caller aborts while the work runs gets back what it took; one that is aborted before always does. @defaultValue `false` */
  readonly refundOnAbort?: boolean;
  /** Whether a call with this outcome gets back what it took: so that only failures count, say. @defaultValue none does */
  readonly refundIf?: OutcomeTest;
  /** Outcomes after which nothing is left of the limit until time has passed: `'overload'` (the service said that it has too much to do), or a function. @defaultValue none */
  readonly drainOn?: 'overload' | OutcomeTest;
}

/** The same, as read. */
export interface LimiterTerms extends CommonSettings {
  /** `undefined`: what the call says. */
  readonly cost: number | ((call: Call) => number) | undefined;
  readonly maxWait: number;
  readonly maxQueue: number;
  readonly borrow: { readonly priority: Priority; readonly maxWait: number } | undefined;
  readonly refundOnAbort: boolean;
  readonly refundIf: OutcomeTest | undefined;
  readonly drainOn: 'overload' | OutcomeTest | undefined;
}

/** Their fields but for the wait, which has a name and default of its own in some. */
export const chargeFields: Fields<Omit<LimiterTerms, 'maxWait'>> = {
  cost: numeric({ above: 0 }).orFunction<(call: Call) => number>('(call) => number').optional(),
  maxQueue: count({ infinite: true }).or(10_000),
  borrow: group<NonNullable<LimiterTerms['borrow']>>({
    priority: field(priorities.join(', '), (value) => (isPriority(value) ? value : undefined)).or('critical-plus'),
    maxWait: duration().or('500ms'),
  }).optional(),
  refundOnAbort: flag().or(false),
  refundIf: fn<OutcomeTest>('(outcome, call) => boolean').optional(),
  drainOn: oneOf('overload').orFunction<OutcomeTest>('(outcome, call) => boolean').optional(),
  ...commonFields,
};

/** Their fields, for each limiter's table. */
export const limiterFields: Fields<LimiterTerms> = { maxWait: duration({ infinite: true }).or(0), ...chargeFields };

/** The terms as plain data, for `describe()`. */
export function described(terms: LimiterTerms): PlainData {
  const { cost, maxWait, maxQueue, borrow, refundOnAbort, refundIf, drainOn } = terms;
  return {
    cost: typeof cost === 'function' ? 'computed' : (cost ?? 'of the call'),
    maxWait,
    maxQueue,
    ...(borrow === undefined ? {} : { borrow }),
    ...(refundOnAbort ? { refundOnAbort } : {}),
    ...(refundIf === undefined ? {} : { refundIf: 'chosen' }),
    ...(drainOn === undefined ? {} : { drainOn: typeof drainOn === 'string' ? drainOn : 'chosen' }),
  };
}
