/**
 * p-timeout in a pipeline: its options, its timer and its answers, and our signal, events and errors.
 *
 * @example
 * ```ts
 * import { pipeline } from 'breakwater';
 * import { pTimeoutPolicy } from 'breakwater/p-timeout';
 *
 * const quick = pipeline([pTimeoutPolicy({ milliseconds: 10, fallback: () => 'too late' })]);
 * console.log(await quick.execute(() => 'in time')); // => 'in time'
 * console.log(await quick.execute(() => new Promise<string>(() => {}))); // => 'too late'
 * ```
 *
 * @module
 */

import pTimeout from 'p-timeout';
import { Frame } from '../core/frame.ts';
import type { Mode } from '../core/mode.ts';
import { type GatePolicy, type PlainData, type Policy, type StagedPolicy, mountAlone } from '../core/policy.ts';
import type { Scope } from '../core/scope.ts';
import { ModedGate } from '../core/shadowing.ts';
import type { Gate } from '../core/stage.ts';
import { Answers } from './p-timeout/answers.ts';
import { type LimitOptions, type LimitSettings, answers, readLimitOptions } from './p-timeout/options.ts';
import { type LimitCounts, type PTimeoutLike, TimeLimit, effective } from './p-timeout/time-limit.ts';

export { fromPTimeoutOptions } from './p-timeout/native.ts';
export type { NativeTimeout } from './p-timeout/native.ts';
export { pTimeoutFields } from './p-timeout/options.ts';
export type { LimitSettings as PTimeoutSettings, TimersLike } from './p-timeout/options.ts';

/** Options of {@link pTimeoutPolicy}: those of p-timeout. `Answer` is what `fallback` may answer with. */
export type PTimeoutOptions<Answer = unknown> = LimitOptions<Answer>;

declare module '../core/events.ts' {
  interface EventFields {
    'p-timeout.expired': { readonly after: number; readonly started: boolean; readonly loopStalled: boolean };
    /** The caller got what `fallback` found, or `undefined` as `message: false` says. */
    'p-timeout.fallback-used': { readonly error: unknown };
    /** `fallback` threw, and the caller got that. */
    'p-timeout.fallback-failed': { readonly error: unknown };
  }
}

/** A p-timeout; it has no state beyond the calls under way. `Answer` is what it may answer with in place of the work. */
export interface PTimeout<Answer = never> extends Policy<unknown, Answer> {
  readonly kind: 'p-timeout';
  /** Calls that are under this timeout now. */
  readonly pending: number;
  /** The limit, ms; `Infinity` if there is none. */
  readonly limit: number;
}

/** A p-timeout that answers with nothing in place of the work: a gate, also for `acquire`, `perKey` and guards. */
export interface PTimeoutGate extends PTimeout, GatePolicy {
  readonly kind: 'p-timeout';
}

/** Without a fallback, and throwing. */
interface Throwing {
  readonly fallback?: undefined;
  readonly message?: string | Error | undefined;
}

/** With a fallback, which then decides alone. */
interface Falling<Answer> {
  readonly fallback: () => Answer | PromiseLike<Answer>;
  readonly message?: Throwing['message'];
}

/**
 * Limits how long what lies inside may take, by p-timeout. When the time is up the caller gets a {@link TimeoutError} with the package's own error as its `cause`, or what
 * `message` and `fallback` say, and the work's signal aborts. Work that goes on regardless holds what it took from bulkheads further in until it really ends; what it then answers
 * is swallowed.
 *
 * @throws OptionsError if an option is wrong, or a `signal` is among them
 */
export function pTimeoutPolicy(options: Omit<PTimeoutOptions, keyof Throwing> & Throwing): PTimeoutGate;
export function pTimeoutPolicy<Answer>(options: Omit<PTimeoutOptions, keyof Throwing> & Falling<Answer>): PTimeout<Answer>;
export function pTimeoutPolicy<Answer = never>(options: PTimeoutOptions<Answer>): PTimeout<Answer | undefined>;
export function pTimeoutPolicy(options: PTimeoutOptions): PTimeout<unknown> {
  return new PackagedTimeout(readLimitOptions('pTimeoutPolicy', options), pTimeout as unknown as PTimeoutLike);
}

class PackagedTimeout implements PTimeout<unknown>, LimitCounts {
  readonly kind = 'p-timeout';
  readonly name: string | undefined;
  readonly mode: Mode;
  /** Only one that answers with nothing of its own is a gate: in a gate alone such an answer would have no say. */
  readonly gate: ((scope: Scope) => Gate) | undefined;
  readonly stages: StagedPolicy['stages'];
  readonly limit: number;
  readonly #settings: LimitSettings;
  readonly #limit: PTimeoutLike;
  pending = 0;
  expired = 0;

  constructor(settings: LimitSettings, limit: PTimeoutLike) {
    this.#settings = settings;
    this.#limit = limit;
    this.name = settings.name;
    this.mode = settings.mode;
    this.limit = effective(settings.milliseconds);
    this.gate = answers(settings) ? undefined : (scope) => this.#gateIn(scope);
    this.stages = (scope) => {
      const gate = this.#gateIn(scope);
      return [
        { reaction: new Answers(gate, settings.fallback !== undefined), scope },
        { gate, scope },
      ];
    };
  }

  /** Around what lies inside by itself: so it stands where a mode other than `'enforce'` is chosen for one with answers. */
  mount: PTimeout<unknown>['mount'] = (next, scope) => {
    if (this.gate !== undefined) return mountAlone(this, next, scope);
    if (!scope.shadow) return new Frame(this.stages(scope), next).handle;
    return new Frame([{ gate: new ModedGate('shadow', (own) => this.#gateIn(own), scope), scope }], next).handle;
  };

  snapshot(): PlainData {
    return { pending: this.pending, expired: this.expired };
  }

  describe(): PlainData {
    const { milliseconds, fallback, message, customTimers } = this.#settings;
    return {
      after: this.limit,
      milliseconds,
      fallback: fallback === undefined ? undefined : 'chosen',
      message: message instanceof Error ? 'chosen' : message,
      customTimers: customTimers === undefined ? undefined : 'chosen',
    };
  }

  #gateIn(scope: Scope): TimeLimit {
    return new TimeLimit(this.#limit, this.#settings, this, scope);
  }
}
