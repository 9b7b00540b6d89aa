/**
 * Circuit breakers of opossum in a pipeline: bring the options or the instances that you have, keep what they do, and put other policies around them.
 *
 * @example
 * ```ts
 * import { pipeline } from 'breakwater';
 * import { opossumBreaker } from 'breakwater/opossum';
 *
 * const breaker = opossumBreaker({ timeout: 3000, errorThresholdPercentage: 50, resetTimeout: 30_000 });
 * const users = pipeline([breaker], { name: 'users' });
 * await users.executeOutcome(() => Promise.reject(new Error('down')));
 * const refused = await users.execute(() => 'never runs').catch((error) => error.code);
 * console.log(breaker.state, refused); // => 'open' 'ERR_CIRCUIT_OPEN'
 * ```
 *
 * @module
 */

import CircuitBreaker from 'opossum';
import { Frame } from '../core/frame.ts';
import { type Mode, type PolicyOptions, commonFields } from '../core/mode.ts';
import { readOptions } from '../core/options.ts';
import { type GatePolicy, type Handler, type PlainData, type Policy, type StagedPolicy, stagesOf } from '../core/policy.ts';
import type { Scope } from '../core/scope.ts';
import type { Gate, Stage } from '../core/stage.ts';
import { Answers } from './opossum/answers.ts';
import type { Opossum, OpossumLike } from './opossum/breaker.ts';
import { type KeyOf, OpossumGate } from './opossum/gate.ts';
import { keyFunction } from './opossum/keys.ts';
import { type Given, breakerOf, described, settingsOf } from './opossum/made.ts';
import type { BreakerOptions } from './opossum/options.ts';
import type { OpossumReason, OpossumSnapshot, OpossumState, SharedBreaker } from './opossum/shared.ts';

export type { BreakerCounts, BreakerStats, Opossum, OpossumLike } from './opossum/breaker.ts';
export { opossumFields } from './opossum/fields.ts';
export type { OpossumSettings } from './opossum/fields.ts';
export { fromOpossumOptions } from './opossum/native.ts';
export type { OpossumNative } from './opossum/native.ts';
export type { AbortControllerLike, BreakerState, CacheTransport, CoalesceReset } from './opossum/options.ts';
export type { OpossumReason, OpossumSnapshot, OpossumState } from './opossum/shared.ts';

/** Options of opossum, by its names and with its defaults. */
export type OpossumOptions = BreakerOptions;

/** What has changed: where it stood, and why it does no more. */
interface Change {
  readonly from: 'closed' | 'open' | 'half-open';
  readonly reason: OpossumReason;
}

declare module '../core/events.ts' {
  interface EventFields {
    'opossum.opened': Change & { readonly openFor: number; readonly calls: number; readonly failures: number; readonly error?: unknown };
    'opossum.half-opened': Change;
    'opossum.closed': Change;
    /** Its own timeout ended a call. */
    'opossum.timed-out': { readonly after: number; readonly started: boolean };
    /** A fallback of the breaker's answered. */
    'opossum.fallback-used': { readonly error?: unknown };
    'opossum.fallback-failed': { readonly error: unknown };
    /** The answer was one kept from an earlier call. */
    'opossum.cache-used': object;
    /** The answer was that of a call under way. */
    'opossum.coalesce-used': object;
    'opossum.health-check-failed': { readonly error: unknown };
    'opossum.shut-down': object;
  }
}

/** A breaker of opossum as a policy; pipelines that it stands in share it. `Adds` is what its fallback may answer with. */
export interface OpossumBreaker<Adds = never, Breaker extends OpossumLike = Opossum>
  extends Policy<unknown, Adds>, Pick<GatePolicy, 'gate'> {
  readonly kind: 'opossum';
  readonly state: OpossumState;
  /** The breaker itself, for all that is not here: its events and stats, `fallback`, `healthCheck`, `shutdown`, `toJSON`, `fire`. */
  readonly breaker: Breaker;
  /** Opens the circuit, for `resetTimeout`. */
  open(): void;
  /** Closes the circuit. */
  close(): void;
  /** Puts the breaker into force again. */
  enable(): void;
  /** Lets all calls pass, until `enable()`. */
  disable(): void;
  snapshot(): OpossumSnapshot;
}

/**
 * Makes a policy of a circuit breaker of opossum: your own, or one made of options for it. It is asked for admission and told how calls end; the work itself runs in the pipeline, with
 * its signal, its stack and its context. Refusals are a CircuitOpenError, a BulkheadFullError (`capacity`) or, once it is shut down, a ShutdownError; when its `timeout` is over
 * the work's signal aborts and the caller gets a TimeoutError. What opossum made is the `cause`.
 *
 * It counts as it always does, with what else uses it: your own `fire`, other pipelines. Callers' aborts and refusals of policies further in count as nothing.
 *
 * A fallback, a cache and coalescing answer in pipelines that run work. Where there is none (`acquire`, guards, `perKey`) and with a `mode` a fallback has no say, and there is no gate for
 * a breaker that has `cache` or `coalesce`.
 *
 * @throws OptionsError if an option is wrong
 */
export function opossumBreaker<Adds = never, Breaker extends OpossumLike = OpossumLike>(
  breaker: Breaker & Pick<OpossumLike, 'fire' | 'open'>,
  options?: PolicyOptions,
): OpossumBreaker<Adds, Breaker>;
export function opossumBreaker<Adds = never>(options?: OpossumOptions, more?: PolicyOptions): OpossumBreaker<Adds>;
export function opossumBreaker(given: object = {}, more: PolicyOptions = {}): OpossumBreaker {
  const settings = settingsOf(given);
  const common = readOptions('opossumBreaker', { name: commonFields.name, mode: commonFields.mode.optional() }, more);
  const found = breakerOf(CircuitBreaker, given, settings);
  return new OpossumPolicy(found, common.name ?? settings?.name, common.mode ?? settings?.mode ?? 'enforce');
}

class OpossumPolicy implements OpossumBreaker, StagedPolicy {
  readonly kind = 'opossum';
  readonly name: string | undefined;
  readonly mode: Mode;
  readonly breaker: Opossum;
  /** There is none where it gives answers of other calls: those who only ask for admission could not get them. */
  readonly gate: (scope: Scope) => Gate;
  readonly #shared: SharedBreaker;
  readonly #given: Given;
  readonly #keyOf: KeyOf | undefined;

  constructor(given: Given, name: string | undefined, mode: Mode) {
    const { real } = given.shared;
    this.name = name;
    this.mode = mode;
    this.breaker = real as unknown as Opossum;
    this.#shared = given.shared;
    this.#given = given;
    this.#keyOf = keyFunction(real, given.settings);
    const admits = this.#keyOf === undefined || mode !== 'enforce';
    this.gate = admits ? (scope) => this.#gate(scope) : (undefined as never);
  }

  stages(scope: Scope): readonly Stage[] {
    const answers = new Answers(this.#shared, scope);
    return [
      { reaction: answers, scope },
      { gate: this.#gate(scope, answers), scope },
    ];
  }

  mount(next: Handler, scope: Scope): Handler {
    return new Frame(stagesOf(this, scope), next).handle;
  }

  get state(): OpossumState {
    return this.#shared.state;
  }

  open(): void {
    this.#shared.command(() => this.breaker.open());
  }

  close(): void {
    this.#shared.command(() => this.breaker.close());
  }

  enable(): void {
    this.breaker.enable();
  }

  disable(): void {
    this.breaker.disable();
  }

  /** Whether it refuses calls, or may soon. */
  strained(): boolean {
    return this.state !== 'closed' && this.state !== 'disabled';
  }

  /** Whether it is as good as new (see `perKey`). */
  atRest(): boolean {
    const { state, calls, failures, active } = this.snapshot();
    return state === 'closed' && calls + failures + active === 0;
  }

  snapshot(): OpossumSnapshot {
    return this.#shared.snapshot();
  }

  describe(): PlainData {
    return described(this.#given);
  }

  #gate(scope: Scope, answers?: Answers): Gate {
    this.#shared.audience.add(scope);
    return new OpossumGate(this.#shared, scope, answers, this.#keyOf);
  }
}
