/** What chaos does to a call: one function for each way to break it. */

import type { Call } from '../../core/call.ts';
import type { Clock } from '../../core/clock.ts';
import {
  BulkheadFullError,
  CircuitOpenError,
  DeadlineExceededError,
  OverloadedError,
  RateLimitedError,
  RejectedError,
  ThrottledError,
} from '../../core/errors.ts';
import { made } from '../../core/made.ts';
import { show } from '../../core/options.ts';
import { Failure, type Outcome, refuse, thrown } from '../../core/outcome.ts';
import type { Handler } from '../../core/policy.ts';
import type { Scope } from '../../core/scope.ts';
import { isThenable } from '../../core/thenable.ts';
import { pause } from '../../core/wait.ts';
import { type BodyFate, breakBody } from './broken-body.ts';

/** What may be done to a call. */
export const injectionNames = [
  'fault',
  'latency',
  'outcome',
  'behaviour',
  'reject',
  'abortMidStream',
  'slowBody',
  'blockEventLoop',
] as const;

/** One way to break a call. */
export type InjectionName = (typeof injectionNames)[number];

/** Refusals by word. */
export const refusals: Readonly<Record<RefusalName, typeof RejectedError>> = {
  'circuit-open': CircuitOpenError,
  'bulkhead-full': BulkheadFullError,
  'rate-limited': RateLimitedError,
  throttled: ThrottledError,
  overloaded: OverloadedError,
  deadline: DeadlineExceededError,
};

/** A refusal that can be simulated. */
export type RefusalName = 'circuit-open' | 'bulkhead-full' | 'rate-limited' | 'throttled' | 'overloaded' | 'deadline';

/** Finds something for a call; `u` in [0, 1) is the chance to do it with. */
export type Chosen<T> = (call: Call, u: number) => T;

/** What is injected, as read. */
export interface InjectionSettings {
  readonly fault: unknown;
  readonly latency: number | readonly [number, number] | Chosen<number> | undefined;
  readonly outcome: unknown;
  readonly behaviour: ((call: Call) => unknown) | undefined;
  readonly reject: RefusalName | Chosen<unknown> | undefined;
  readonly abortMidStream: { readonly chunks: number | undefined; readonly bytes: number | undefined; readonly error: unknown } | undefined;
  readonly slowBody: number | undefined;
  readonly blockEventLoop: number | undefined;
}

/** A call that is about to be broken, and who wants to hear of it. */
export interface Victim {
  readonly call: Call;
  readonly next: Handler;
  readonly scope: Scope;
  readonly settings: InjectionSettings;
  readonly u: number;
  /** Tells that it was done. */
  readonly done: (fields?: object) => void;
}

type Inject = (victim: Victim) => Outcome | Promise<Outcome>;

/** How each of them is done. What a user's function throws is reported, and the call left alone. */
export const injections: Readonly<Record<InjectionName, Inject>> = {
  fault: (victim) => fail(victim, 'fault', victim.settings.fault, thrown),
  reject: (victim) => {
    const { reject } = victim.settings;
    return fail(victim, 'reject', typeof reject === 'string' ? () => refusal(reject, victim) : reject, refuse);
  },
  latency(victim) {
    const { call, next, scope, settings, u, done } = victim;
    const { latency = DEFAULT_LATENCY } = settings;
    let delay: number;
    try {
      delay = typeof latency === 'object' ? latency[0] + u * (latency[1] - latency[0]) : number(latency, call, u);
      if (!(delay >= 0)) throw new RangeError(`chaos.latency: expected a function that answers with ms, got ${show(delay)}`);
    } catch (error) {
      scope.report('latency', error);
      return next(call);
    }
    done({ delay });
    if (delay === 0) return next(call);
    // A hang that is injected looks like one of the work.
    call.markStarted();
    return later(victim, delay);
  },
  async outcome(victim) {
    const { call, next, scope, settings, u, done } = victim;
    let value = settings.outcome;
    if (typeof value === 'function') {
      const found = await attend(call, () => (value as Chosen<unknown>)(call, u));
      if (found.cut !== undefined) return found.cut;
      if ('error' in found) {
        scope.report('outcome', found.error);
        return await next(call);
      }
      value = found.value;
    }
    call.markStarted();
    done();
    return value;
  },
  behaviour(victim) {
    const { call, next, settings, done } = victim;
    done();
    let behaving: unknown;
    try {
      behaving = settings.behaviour?.(call);
    } catch (error) {
      victim.scope.report('behaviour', error);
    }
    if (isThenable(behaving)) return behave(victim, behaving);
    return next(call);
  },
  blockEventLoop(victim) {
    const delay = block(victim.scope.clock, victim.settings.blockEventLoop ?? 0);
    victim.done({ delay });
    return goOn(victim);
  },
  abortMidStream(victim) {
    const { chunks, bytes, error } = victim.settings.abortMidStream ?? { chunks: 1, bytes: undefined, error: undefined };
    return spoil(victim, {
      chunks: chunks ?? (bytes === undefined ? 1 : Infinity),
      bytes: bytes ?? Infinity,
      delay: 0,
      error: () => brokenOff(victim, error),
    });
  },
  slowBody: (victim) => spoil(victim, { chunks: Infinity, bytes: Infinity, delay: victim.settings.slowBody ?? 0, error: () => undefined }),
};

/** What stands where no other injection is given. */
const DEFAULT_LATENCY = 1000;

function number(given: number | Chosen<number>, call: Call, u: number): number {
  return typeof given === 'function' ? given(call, u) : given;
}

async function later(victim: Victim, delay: number): Promise<Outcome> {
  return (await pause(victim.call, delay)) ?? (await goOn(victim));
}

async function behave(victim: Victim, behaving: PromiseLike<unknown>): Promise<Outcome> {
  const found = await attend(victim.call, () => behaving);
  if (found.cut !== undefined) return found.cut;
  if ('error' in found) victim.scope.report('behaviour', found.error);
  return await goOn(victim);
}

/** The call goes on, later than it came. */
function goOn({ call, next, scope }: Victim): Promise<Outcome> {
  call.at = scope.clock.now();
  return next(call);
}

function fail(
  { call, next, scope, u, done }: Victim,
  what: string,
  given: unknown,
  failure: (error: unknown) => Failure,
): Outcome | Promise<Outcome> {
  let error = given;
  try {
    if (typeof given === 'function') error = (given as Chosen<unknown>)(call, u);
  } catch (thrownInstead) {
    scope.report(what, thrownInstead);
    return next(call);
  }
  if (error === undefined) return next(call);
  const outcome = failure(error);
  if (outcome.kind !== 'refused') call.markStarted();
  done({ error });
  return outcome;
}

function refusal(name: RefusalName, { call: { key }, scope: { pipeline, policy, stack } }: Victim): RejectedError {
  return made(refusals[name], `${pipeline}: ${policy} plays ${name}`, { pipeline, policy, key }, stack);
}

async function spoil({ call, next, scope, done }: Victim, fate: BodyFate): Promise<Outcome> {
  const outcome = await next(call);
  if (outcome instanceof Failure) return outcome;
  try {
    const spoilt = breakBody(outcome, fate, scope.clock);
    if (spoilt === undefined) return outcome;
    done();
    return spoilt;
  } catch (error) {
    scope.report('body', error);
    return outcome;
  }
}

function brokenOff({ call, scope, u }: Victim, given: unknown): unknown {
  if (given === undefined) return Object.assign(new Error(`${scope.pipeline}: ${scope.policy} broke the body off`), { code: 'ECONNRESET' });
  return typeof given === 'function' ? (given as Chosen<unknown>)(call, u) : given;
}

interface Found {
  readonly cut?: Failure;
  readonly value?: unknown;
  readonly error?: unknown;
}

/** Runs a user's function and waits for what it promises; a cut of the call ends the wait at once. */
export async function attend(call: Call, run: () => unknown): Promise<Found> {
  try {
    const value = run();
    if (!isThenable(value)) return call.failure === undefined ? { value } : { cut: call.failure };
    return await new Promise((resolve) => {
      const cut = (failure: Failure): void => resolve({ cut: failure });
      if (call.failure !== undefined) cut(call.failure);
      else call.waiter = cut;
      const end = (found: Found): void => {
        if (call.waiter === cut) call.waiter = undefined;
        resolve(found);
      };
      value.then(
        (late) => end({ value: late }),
        (error: unknown) => end({ error }),
      );
    });
  } catch (error) {
    return { error };
  }
}

/** A clock that shows the same time so often stands still. */
const FROZEN = 1_000_000;

/** Keeps the event loop busy and answers how long, ms. A clock that stands still, as virtual ones do, is not waited for. */
function block(clock: Clock, ms: number): number {
  const begun = clock.now();
  let now = begun;
  for (let still = 0; still < FROZEN && now - begun < ms; still++) {
    const latest = clock.now();
    if (latest > now) still = 0;
    now = latest;
  }
  return Math.max(0, now - begun);
}
