/**
 * Circuit breaker: stops calling what keeps failing, and tries it out again after a while with a few probes.
 *
 * @example
 * ```ts
 * import { circuitBreaker, pipeline } from 'breakwater';
 *
 * const breaker = circuitBreaker({ consecutiveFailures: 2, openFor: '5s' });
 * const guarded = pipeline([breaker]);
 * for (let i = 0; i < 2; i++) await guarded.executeOutcome(() => Promise.reject(new Error('down')));
 * const refused = await guarded.execute(() => 'never runs').catch((error) => error.code);
 * console.log(breaker.state, refused); // => 'open' 'ERR_CIRCUIT_OPEN'
 * ```
 *
 * @module
 */

import type { CircuitChange, CircuitSnapshot, CircuitState, SlowSettings, WarmUpSettings } from '../algorithms/circuit-state.ts';
import type { OpenTimeSettings } from '../algorithms/openings.ts';
import type { Pass } from '../algorithms/pass.ts';
import type { RampSettings } from '../algorithms/ramp.ts';
import {
  type CallEwmaSettings,
  type CountWindowSettings,
  type TimeEwmaSettings,
  type TimeWindowSettings,
  lengthOf,
} from '../algorithms/windows.ts';
import type { Call } from '../core/call.ts';
import { type Classifier, classify } from '../core/classification.ts';
import { wallTime } from '../core/clock.ts';
import { CircuitIsolatedError, CircuitOpenError } from '../core/errors.ts';
import { made } from '../core/made.ts';
import { type FailureTest, judge } from '../core/judgement.ts';
import { type CommonSettings, type PolicyOptions, commonFields } from '../core/mode.ts';
import { type Duration, type Fields, count, duration, field, flag, fn, oneOf, readOptions } from '../core/options.ts';
import { Failure, type Outcome, refuse } from '../core/outcome.ts';
import { type GatePolicy, type PlainData, type Policy, mountAlone } from '../core/policy.ts';
import type { Scope } from '../core/scope.ts';
import type { Gate } from '../core/stage.ts';
import {
  halfOpenField,
  openForField,
  rampUpField,
  recoverField,
  share,
  slowCallField,
  warmUpField,
  windowField,
} from './circuit-breaker/fields.ts';
import type { HalfOpenSettings, Refuse } from '../stores/circuit/line.ts';
import { type CircuitBreakerSettings, completed, described, rules } from './circuit-breaker/rules.ts';
import type { OpenFor, TripTest } from '../stores/circuit/questions.ts';
import type { RecoverySettings } from '../stores/circuit/recovery.ts';
import type { CircuitControls } from '../stores/circuit/controls.ts';
import { SharedCircuit } from '../stores/circuit/shared-circuit.ts';

/** Options of {@link circuitBreaker}. Rates are 0 to 1. Any one condition opens; the failure rate is one unless another is given without it. */
export interface CircuitBreakerOptions<Sees = unknown> extends PolicyOptions {
  /**
   * What is judged: the calls of the last so many ms, the last so many calls, or averages in which calls count the less the longer ago they were
   * (`halfLife`) or the more came after them (`halfLifeCalls`). @defaultValue `'30s'`
   */
  readonly window?:
    | Duration
    | (Pick<TimeWindowSettings<Duration>, 'duration'> & Partial<TimeWindowSettings<Duration>>)
    | CountWindowSettings
    | TimeEwmaSettings<Duration>
    | CallEwmaSettings;
  /** Share of failed calls that opens. @defaultValue `0.5` */
  readonly failureRate?: number;
  /** A call that takes longer is slow: a time, or so many times what is usual. @defaultValue none */
  readonly slowCall?: Duration | (Pick<SlowSettings<Duration>, 'quantile'> & Partial<SlowSettings<Duration>>);
  /** Share of slow calls that opens, if `slowCall` is given; with `badRate` it must be given to count. @defaultValue `0.5` */
  readonly slowRate?: number;
  /** Whether a call counts as slow from when it is, though it has not ended, so that a dependency that hangs opens too. @defaultValue `true` */
  readonly slowInFlight?: boolean;
  /** Share of calls that opens if they failed or were slow; one that did both counts once. @defaultValue none */
  readonly badRate?: number;
  /** Whether a rate opens when it is reached, or only above. @defaultValue `'at-least'` */
  readonly comparison?: 'at-least' | 'above';
  /** So many failures in a row open, whatever the window holds. Throttled calls (429) are none of them. @defaultValue none */
  readonly consecutiveFailures?: number;
  /** So many failures in the window open, however many calls there were. @defaultValue none */
  readonly failures?: number;
  /** A condition of your own, asked after each judged call, whatever `minCalls` says. @defaultValue none */
  readonly tripWhen?: TripTest;
  /** Judged calls that must be in the window before a rate counts. With a smaller count window: its size. @defaultValue `20` */
  readonly minCalls?: number;
  /** For so long or so many judged calls from its making it records and does not open; given both, until both are over. */
  readonly warmUp?: Duration | Partial<WarmUpSettings<Duration>>;
  /** How long to stay open: always the same time, one that grows while it keeps opening, or a function of how often it did, its numbers and the failure. */
  readonly openFor?: Duration | Partial<OpenTimeSettings<Duration>> | OpenFor;
  /** A wait that a failure asks for (`Retry-After`) makes the open time as long, up to this; `0`: it does not. @defaultValue `'300s'` */
  readonly maxRetryAfter?: Duration;
  /** Whether a failure that asks for a wait opens at once. @defaultValue `false` */
  readonly tripOnRetryAfter?: boolean;
  /** How it is tried out. */
  readonly halfOpen?: Partial<HalfOpenSettings<Duration>>;
  /** How traffic comes back once it has closed: after a time, or along a curve. @defaultValue none: all at once */
  readonly rampUp?: Duration | (Pick<RampSettings<Duration>, 'duration'> & Partial<RampSettings<Duration>>);
  /** How it recovers though nobody calls. */
  readonly recover?: Partial<RecoverySettings<Duration>>;
  /** What `snapshot()` said of a circuit, also of another process: this one goes on from there. @defaultValue none: closed */
  readonly initialState?: object;
  /** What outcomes mean here; asked before the pipeline's own. @defaultValue what is known of errors and HTTP responses */
  readonly classify?: Classifier<Sees>;
  /** Judges results and errors instead; refusals and aborts are always ignored. @defaultValue what `classify` says */
  readonly isFailure?: FailureTest<Sees>;
}

declare module '../core/events.ts' {
  interface EventFields {
    'circuit-breaker.opened': CircuitChange & {
      readonly openCount: number;
      readonly openFor: number;
      readonly calls?: number;
      readonly failures?: number;
      readonly slow?: number;
      /** Calls under way that were slow already. */
      readonly slowInFlight?: number;
      readonly error?: unknown;
    };
    'circuit-breaker.half-opened': CircuitChange;
    'circuit-breaker.closed': CircuitChange;
    'circuit-breaker.isolated': CircuitChange & { readonly why?: string | undefined };
    'circuit-breaker.disabled': CircuitChange;
    'circuit-breaker.disarmed': CircuitChange;
    'circuit-breaker.probe-expired': { readonly after: number; readonly probes: number };
    'circuit-breaker.starved': { readonly ignored: number };
    'circuit-breaker.recovery-probed': { readonly ok: boolean; readonly took: number; readonly error?: unknown };
    'circuit-breaker.restored': { readonly state: CircuitState; readonly elapsed: number; readonly window: 'kept' | 'dropped' };
    'circuit-breaker.late': { readonly ok: boolean; readonly age: number };
  }
}

/** A circuit breaker; pipelines that it is mounted in share its circuit. */
export interface CircuitBreaker<Sees = unknown> extends Policy<Sees>, Pick<GatePolicy, 'gate'>, CircuitControls {
  readonly kind: 'circuit-breaker';
  snapshot(): CircuitSnapshot;
}

/** The option table. */
export const circuitBreakerFields: Fields<CircuitBreakerSettings> = {
  window: windowField,
  failureRate: share.or(0.5),
  slowCall: slowCallField.optional(),
  slowRate: share.or(0.5),
  slowInFlight: flag().or(true),
  badRate: share.optional(),
  comparison: oneOf('at-least', 'above').or('at-least'),
  consecutiveFailures: count({ min: 1 }).optional(),
  failures: count({ min: 1 }).optional(),
  tripWhen: fn<TripTest>('(circuit) => true or false').optional(),
  minCalls: count({ min: 1 }).or(20),
  warmUp: warmUpField.or({}),
  openFor: openForField.or({}),
  maxRetryAfter: duration().or('300s'),
  tripOnRetryAfter: flag().or(false),
  halfOpen: halfOpenField.or({}),
  rampUp: rampUpField.optional(),
  recover: recoverField.or({}),
  initialState: field('what snapshot() answered with', (value) =>
    typeof value === 'object' && value !== null ? value : undefined,
  ).optional(),
  classify: fn<Classifier<never>>('(outcome, call) => verdict, flags or undefined').optional(),
  isFailure: fn<FailureTest<never>>("(outcome, call) => true, false or 'ignored'").optional(),
  ...commonFields,
};

/**
 * Guards a dependency: when too many of its calls fail (or are slow), calls are refused at once for a while, then a few probes decide whether it works
 * again. Refused calls get a {@link CircuitOpenError} that says when to come back, or a {@link CircuitIsolatedError}.
 *
 * Only calls that ran and were judged count: refusals of policies further in and aborts by the caller are ignored, timeouts are failures. A result that
 * arrives after the state has changed counts nowhere and is told as `circuit-breaker.late`. There is no timer: the open time is compared when
 * somebody looks.
 *
 * After Nygard, "Release It!", 2007; conditions and windows as in resilience4j and Polly, generations as in sony/gobreaker.
 *
 * @throws OptionsError if an option is wrong
 */
export function circuitBreaker<Sees = unknown>(options: CircuitBreakerOptions<Sees> = {}): CircuitBreaker<Sees> {
  const given = Object(options) as CircuitBreakerOptions<never>;
  return new CircuitBreakerPolicy<Sees>(completed(readOptions('circuit-breaker', circuitBreakerFields, options, ...rules(given)), given));
}

class CircuitBreakerPolicy<Sees> extends SharedCircuit implements CircuitBreaker<Sees> {
  readonly kind = 'circuit-breaker';
  readonly name: string | undefined;
  readonly mode: CommonSettings['mode'];
  readonly #settings: CircuitBreakerSettings;

  constructor(settings: CircuitBreakerSettings) {
    const { window, openFor, halfOpen: probes } = settings;
    const { badRate = Infinity, slowCall = Infinity, consecutiveFailures = Infinity, failures = Infinity } = settings;
    const resetAfter = (typeof openFor === 'function' ? undefined : openFor.resetAfter) ?? lengthOf(window) ?? 30_000;
    const slowInFlight = settings.slowInFlight && slowCall !== Infinity;
    super({ ...settings, badRate, slowCall, slowInFlight, consecutiveFailures, failures, resetAfter, probes });
    this.#settings = settings;
    this.name = settings.name;
    this.mode = settings.mode;
  }

  gate(scope: Scope): Gate<Pass> {
    this.join(scope);
    const { isFailure, classify: own } = this.#settings;
    const turnAway: Refuse = (call, now, waited) => this.#refuse(call, now, scope, waited);
    return {
      enter: (call, now) => this.admit(call, now, turnAway),
      settle: (pass, outcome, now) => {
        const call = pass.subject as Call;
        const meaning = isFailure === undefined ? classify(outcome, call, scope, own) : undefined;
        const verdict = meaning === undefined ? judge(isFailure, outcome, call, scope) : meaning.verdict;
        const hint = meaning ?? (verdict === 'failure' ? classify(outcome, call, scope, own) : undefined);
        const counted = this.settle(pass, verdict, failureIn(outcome), now, hint);
        if (!counted && scope.listening)
          scope.emit('circuit-breaker.late', 'info', call, { ok: verdict === 'success', age: now - pass.at });
      },
      cancel: (pass, now) => this.release(pass, now),
    };
  }

  mount: CircuitBreaker['mount'] = (next, scope) => mountAlone(this, next, scope);

  describe(): PlainData {
    return described(this.#settings);
  }

  #refuse({ key }: Call, now: number, { pipeline, policy, stack, clock }: Scope, waited = false): Failure {
    const { state, isolations, lastFailure: cause, openings } = this.circuit;
    const from = `${pipeline}: ${policy ?? 'circuit-breaker'} is`;
    if (state === 'isolated') {
      const why = isolations.reason === undefined ? '' : `: ${isolations.reason}`;
      return refuse(made(CircuitIsolatedError, `${from} isolated${why}`, { pipeline, policy, key }, stack));
    }
    const left = Math.ceil(this.circuit.remaining(now));
    const retryAfter = state === 'open' && left !== Infinity ? left : undefined;
    const openedAt = openings.count === 0 ? undefined : Math.round(wallTime(clock) - (now - openings.at));
    const [reason, what] = this.#reason(now, left, waited);
    const where = state === 'open' || state === 'half-open' ? state : 'closed';
    const details = { pipeline, policy, key, retryAfter, cause, openedAt, state: where, reason } as const;
    return refuse(made(CircuitOpenError, `${from} ${what}`, details, stack));
  }

  /** What a call meets that is not let in, and how that is told. */
  #reason(now: number, left: number, waited: boolean): readonly [CircuitOpenError['reason'], string] {
    const { state } = this.circuit;
    if (state === 'open') return ['open', `open for another ${left} ms`];
    if (state !== 'half-open') return ['ramp', `closed again and lets ${Math.round(100 * this.circuit.share(now))} % of the calls in`];
    const taken = 'half-open and all its probes are taken';
    return waited ? ['waited', `${taken}, also after ${this.#settings.halfOpen.maxWait} ms`] : ['half-open', taken];
  }
}

function failureIn(outcome: Outcome): unknown {
  return outcome instanceof Failure ? outcome.error : outcome;
}
