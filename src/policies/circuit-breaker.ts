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

import type { CircuitChange, CircuitSnapshot } from '../algorithms/circuit-state.ts';
import type { OpenTimeSettings } from '../algorithms/openings.ts';
import type { Pass, ProbeSettings } from '../algorithms/probes.ts';
import type { CountWindowSettings, TimeWindowSettings, WindowSettings } from '../algorithms/windows.ts';
import type { Call } from '../core/call.ts';
import { CircuitIsolatedError, CircuitOpenError, made } from '../core/errors.ts';
import { type FailureTest, judge } from '../core/judgement.ts';
import { type Duration, Field, type Fields, type Rule, count, duration, field } from '../core/options.ts';
import { fn, group, numeric, oneOf, ratio, readOptions, show, text } from '../core/options.ts';
import { Failure, refuse } from '../core/outcome.ts';
import { type GatePolicy, type PlainData, type Policy, mountAlone } from '../core/policy.ts';
import type { Scope } from '../core/scope.ts';
import type { Gate } from '../core/stage.ts';
import { type CircuitControls, SharedCircuit } from '../stores/shared-circuit.ts';

/** Options of {@link circuitBreaker}. Rates are 0 to 1, and a condition is met when its value is reached. */
export interface CircuitBreakerOptions<Sees = unknown> {
  /** What is judged: the calls of the last so many ms, or the last so many calls. @defaultValue `'30s'` */
  readonly window?:
    Duration | (Pick<TimeWindowSettings<Duration>, 'duration'> & Partial<TimeWindowSettings<Duration>>) | CountWindowSettings;
  /** Share of failed calls that opens. With `consecutiveFailures` it must be given to count. @defaultValue `0.5` */
  readonly failureRate?: number;
  /** A call that takes longer is slow. @defaultValue none */
  readonly slowCall?: Duration;
  /** Share of slow calls that opens, if `slowCall` is given. @defaultValue `0.5` */
  readonly slowRate?: number;
  /** So many failures in a row open, whatever the window holds. @defaultValue none */
  readonly consecutiveFailures?: number;
  /** Judged calls that must be in the window before a rate counts. With a smaller count window: its size. @defaultValue `20` */
  readonly minCalls?: number;
  /** How long to stay open before probing: always the same time, a time that grows while it keeps opening, or a function of how often it did. */
  readonly openFor?: Duration | Partial<OpenTimeSettings<Duration>> | ((openCount: number) => number);
  /** How it is tried out. */
  readonly halfOpen?: Partial<ProbeSettings<Duration>>;
  /** Judges results and errors; refusals and aborts are always ignored. @defaultValue errors and timeouts are failures */
  readonly isFailure?: FailureTest<Sees>;
  /** @defaultValue the kind */
  readonly name?: string;
}

declare module '../core/events.ts' {
  interface EventFields {
    'circuit-breaker.opened': CircuitChange & {
      readonly openCount: number;
      readonly openFor: number;
      readonly calls?: number;
      readonly failures?: number;
      readonly slow?: number;
      readonly error?: unknown;
    };
    'circuit-breaker.half-opened': CircuitChange;
    'circuit-breaker.closed': CircuitChange;
    'circuit-breaker.isolated': CircuitChange & { readonly why?: string | undefined };
    'circuit-breaker.disabled': CircuitChange;
    'circuit-breaker.disarmed': CircuitChange;
    'circuit-breaker.probe-expired': { readonly after: number; readonly probes: number };
    'circuit-breaker.starved': { readonly ignored: number };
    'circuit-breaker.late': { readonly ok: boolean; readonly age: number };
  }
}

/** A circuit breaker; pipelines that it is mounted in share its circuit. */
export interface CircuitBreaker<Sees = unknown> extends Policy<Sees>, Pick<GatePolicy, 'gate'>, CircuitControls {
  readonly kind: 'circuit-breaker';
  snapshot(): CircuitSnapshot;
}

/** Options as read. */
export interface CircuitBreakerSettings {
  readonly window: WindowSettings;
  readonly failureRate: number;
  readonly slowCall: number | undefined;
  readonly slowRate: number;
  readonly consecutiveFailures: number | undefined;
  readonly minCalls: number;
  readonly openFor: OpenTimeSettings | ((openCount: number) => number);
  readonly halfOpen: ProbeSettings;
  readonly isFailure: FailureTest<never> | undefined;
  readonly name: string | undefined;
}

const span: Field<number> = duration({ min: 1, infinite: true });

/** Places in a window, each of which costs some bytes. */
const places: Field<number> = field('a whole number from 1 to 1000000', (value) =>
  Number.isInteger(value) && (value as number) >= 1 && (value as number) <= 1_000_000 ? (value as number) : undefined,
);

/** A field whose plain duration stands for an object with that and some other values. */
function orDuration<T>(whole: Field<T>, name: string, others?: object): Field<T> {
  const lift = (value: unknown): unknown => (typeof value === 'object' ? value : { [name]: value, ...others });
  return new Field(
    `a duration, or ${whole.expected}`,
    (value, path, problems) => whole.read(lift(value), path, problems),
    undefined,
    true,
    whole.nested,
  );
}

const calls = group<CountWindowSettings>({ calls: places });
const time = orDuration(group<TimeWindowSettings>({ duration: span, buckets: places.or(10) }), 'duration');

/** The option table. */
export const circuitBreakerFields: Fields<CircuitBreakerSettings> = {
  window: new Field<WindowSettings>(
    `${time.expected}, or ${calls.expected}`,
    (value, path, problems) => (Object.hasOwn(Object(value) as object, 'calls') ? calls : time).read(value, path, problems),
    '30s',
    false,
    { ...calls.nested, ...time.nested },
  ),
  failureRate: ratio({ above: true }).or(0.5),
  slowCall: span.optional(),
  slowRate: ratio({ above: true }).or(0.5),
  consecutiveFailures: count({ min: 1 }).optional(),
  minCalls: count({ min: 1 }).or(20),
  openFor: orDuration(
    group<OpenTimeSettings>({
      initial: span.or('5s'),
      factor: numeric({ min: 1, max: 1000 }).or(2),
      max: span.or('300s'),
      jitter: oneOf('none', 'equal', 'full').or('equal'),
      resetAfter: span.optional(),
    }),
    'initial',
    { factor: 1, max: Infinity, jitter: 'none' },
  )
    .orFunction<(openCount: number) => number>('(openCount) => ms')
    .or({}),
  halfOpen: group<ProbeSettings>({
    calls: count({ min: 1 }).or(3),
    concurrency: count({ min: 1 }).or(3),
    successRate: ratio({ above: true }).or(1),
    probeTimeout: span.or('30s'),
    maxDuration: span.or(Infinity),
    decide: oneOf('early', 'all').or('early'),
  }).or({}),
  isFailure: fn<FailureTest<never>>("(outcome, call) => true, false or 'ignored'").optional(),
  name: text().optional(),
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
  const settings = readOptions('circuit-breaker', circuitBreakerFields, options, ...rules(given));
  const { window } = settings;
  const failureRate = given.consecutiveFailures === undefined || given.failureRate !== undefined ? settings.failureRate : Infinity;
  const minCalls = given.minCalls === undefined && 'calls' in window ? Math.min(settings.minCalls, window.calls) : settings.minCalls;
  return new CircuitBreakerPolicy<Sees>({ ...settings, failureRate, minCalls });
}

/** What spans several options; some of it asks what was given and what is only a default. */
function rules(given: CircuitBreakerOptions<never>): readonly Rule<CircuitBreakerSettings>[] {
  return [
    ({ window, minCalls }) =>
      'calls' in window && given.minCalls !== undefined && minCalls > window.calls
        ? { path: 'minCalls', expected: `at most window.calls (${window.calls}), or it would never be reached`, got: show(minCalls) }
        : undefined,
    ({ slowCall }) =>
      slowCall === undefined && given.slowRate !== undefined
        ? { path: 'slowRate', expected: 'slowCall beside it, which says what is slow', got: show(given.slowRate) }
        : undefined,
    ({ openFor }) =>
      typeof openFor === 'object' && openFor.initial > openFor.max
        ? { path: 'openFor.max', expected: `at least openFor.initial (${openFor.initial} ms)`, got: `${openFor.max} ms` }
        : undefined,
  ];
}

class CircuitBreakerPolicy<Sees> extends SharedCircuit implements CircuitBreaker<Sees> {
  readonly kind = 'circuit-breaker';
  readonly name: string | undefined;
  readonly #settings: CircuitBreakerSettings;

  constructor(settings: CircuitBreakerSettings) {
    const { window, openFor, slowCall = Infinity, consecutiveFailures = Infinity, halfOpen: probes } = settings;
    const length = 'calls' in window || window.duration === Infinity ? 30_000 : window.duration;
    const resetAfter = typeof openFor === 'function' ? length : (openFor.resetAfter ?? length);
    super({ ...settings, slowCall, consecutiveFailures, resetAfter, probes });
    this.#settings = settings;
    this.name = settings.name;
  }

  gate(scope: Scope): Gate<Pass> {
    this.join(scope);
    const { isFailure } = this.#settings;
    return {
      enter: (call, now) => this.admit(call, now) ?? this.#refuse(call, now, scope),
      settle: (pass, outcome, now) => {
        const call = pass.subject as Call;
        const verdict = judge(isFailure, outcome, call, scope);
        const counted = this.settle(pass, verdict, outcome instanceof Failure ? outcome.error : outcome, now);
        if (!counted && scope.listening)
          scope.emit('circuit-breaker.late', 'info', call, { ok: verdict === 'success', age: now - pass.at });
      },
      cancel: (pass, now) => this.release(pass, now),
    };
  }

  mount: CircuitBreaker['mount'] = (next, scope) => mountAlone(this, next, scope);

  describe(): PlainData {
    const { openFor, isFailure, ...others } = this.#settings;
    return {
      ...others,
      openFor: typeof openFor === 'function' ? 'computed' : openFor,
      isFailure: isFailure === undefined ? 'errors and timeouts' : 'chosen',
    };
  }

  #refuse({ key }: Call, now: number, { pipeline, policy, stack }: Scope): Failure {
    const { state, isolationReason, lastFailure } = this.circuit;
    const from = `${pipeline}: ${policy ?? 'circuit-breaker'} is`;
    if (state === 'isolated') {
      const why = isolationReason === undefined ? '' : `: ${isolationReason}`;
      return refuse(made(CircuitIsolatedError, `${from} isolated${why}`, { pipeline, policy, key }, stack));
    }
    const left = Math.ceil(this.circuit.remaining(now));
    const retryAfter = state === 'open' && left !== Infinity ? left : undefined;
    const message = state === 'open' ? `${from} open for another ${left} ms` : `${from} half-open and all its probes are taken`;
    return refuse(made(CircuitOpenError, message, { pipeline, policy, key, retryAfter, cause: lastFailure }, stack));
  }
}
