import type { SlowSettings, WarmUpSettings } from '../../algorithms/circuit-state.ts';
import type { OpenTimeSettings } from '../../algorithms/openings.ts';
import type { RampSettings } from '../../algorithms/ramp.ts';
import type { WindowSettings } from '../../algorithms/windows.ts';
import type { Classifier } from '../../core/classification.ts';
import type { OptionProblem } from '../../core/errors.ts';
import type { FailureTest } from '../../core/judgement.ts';
import type { CommonSettings } from '../../core/mode.ts';
import { type Rule, show } from '../../core/options.ts';
import type { PlainData } from '../../core/policy.ts';
import type { HalfOpenSettings } from '../../stores/circuit/line.ts';
import type { OpenFor, TripTest } from '../../stores/circuit/questions.ts';
import type { RecoverySettings } from '../../stores/circuit/recovery.ts';

/** Options of a circuit breaker as read. */
export interface CircuitBreakerSettings extends CommonSettings {
  readonly window: WindowSettings;
  readonly failureRate: number;
  readonly slowCall: number | SlowSettings | undefined;
  readonly slowRate: number;
  readonly slowInFlight: boolean;
  readonly badRate: number | undefined;
  readonly comparison: 'at-least' | 'above';
  readonly consecutiveFailures: number | undefined;
  readonly failures: number | undefined;
  readonly tripWhen: TripTest | undefined;
  readonly minCalls: number;
  readonly warmUp: WarmUpSettings;
  readonly openFor: OpenTimeSettings | OpenFor;
  readonly maxRetryAfter: number;
  readonly tripOnRetryAfter: boolean;
  readonly halfOpen: HalfOpenSettings;
  readonly rampUp: RampSettings | undefined;
  readonly recover: RecoverySettings;
  readonly initialState: object | undefined;
  readonly classify: Classifier<never> | undefined;
  readonly isFailure: FailureTest<never> | undefined;
}

/** What was given, to tell it from what is only a default. */
type Given = Partial<Record<keyof CircuitBreakerSettings, unknown>>;

/** What goes for defaults that depend on what else was given. */
export function completed(settings: CircuitBreakerSettings, given: Given): CircuitBreakerSettings {
  const { window } = settings;
  const others = [given.consecutiveFailures, given.failures, given.badRate, given.tripWhen];
  const alone = others.every((condition) => condition === undefined);
  return {
    ...settings,
    failureRate: given.failureRate !== undefined || alone ? settings.failureRate : Infinity,
    slowRate: given.slowRate !== undefined || given.badRate === undefined ? settings.slowRate : Infinity,
    minCalls: given.minCalls === undefined && 'calls' in window ? Math.min(settings.minCalls, window.calls) : settings.minCalls,
  };
}

/** The same as plain data: of functions only whether they were given. */
export function described(settings: CircuitBreakerSettings): PlainData {
  const { openFor, tripWhen, recover, classify, isFailure, ...others } = settings;
  const plain: Record<string, unknown> = {
    ...others,
    openFor: typeof openFor === 'function' ? 'computed' : openFor,
    tripWhen: tripWhen === undefined ? undefined : 'chosen',
    recover: { ...recover, probe: recover.probe === undefined ? undefined : 'chosen' },
    isFailure: isFailure === undefined && classify === undefined ? 'errors, timeouts and bad responses' : 'chosen',
  };
  for (const name of ['name', 'mode', 'initialState']) Reflect.deleteProperty(plain, name);
  return plain;
}

/** What spans several options. */
export function rules(given: Given): readonly Rule<CircuitBreakerSettings>[] {
  const asked = Object(given.halfOpen) as Partial<Record<keyof HalfOpenSettings, unknown>>;
  return [
    ({ window, minCalls }) =>
      'calls' in window && given.minCalls !== undefined && minCalls > window.calls
        ? { path: 'minCalls', expected: `at most window.calls (${window.calls}), or it would never be reached`, got: show(minCalls) }
        : undefined,
    ...(['slowRate', 'badRate', 'slowInFlight'] as const).map(
      (name): Rule<CircuitBreakerSettings> =>
        (settings) =>
          settings.slowCall === undefined && given[name] !== undefined
            ? { path: name, expected: 'slowCall beside it, which says what is slow', got: show(given[name]) }
            : undefined,
    ),
    ...(['failureRate', 'slowRate', 'badRate'] as const).map(
      (name): Rule<CircuitBreakerSettings> =>
        (settings) =>
          settings.comparison === 'above' && settings[name] === 1 ? never(name) : undefined,
    ),
    ({ openFor }) =>
      typeof openFor === 'object' && openFor.initial > openFor.max
        ? { path: 'openFor.max', expected: `at least openFor.initial (${openFor.initial} ms)`, got: `${openFor.max} ms` }
        : undefined,
    ...(['maxWait', 'maxWaiting'] as const).map(
      (name): Rule<CircuitBreakerSettings> =>
        ({ halfOpen }) =>
          halfOpen.overflow !== 'wait' && asked[name] !== undefined
            ? { path: `halfOpen.${name}`, expected: "overflow: 'wait' beside it", got: show(asked[name]) }
            : undefined,
    ),
  ];
}

function never(name: string): OptionProblem {
  return { path: name, expected: "less than 1 with comparison: 'above', or it would never be met", got: '1' };
}
