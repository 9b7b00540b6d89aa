/**
 * Fallback: answers with something lesser when the call could not be served.
 *
 * @example
 * ```ts
 * import { fallback, pipeline } from 'breakwater';
 *
 * const prices = pipeline([fallback({ value: [] })]);
 * console.log(await prices.execute(() => Promise.reject(new Error('down')))); // => []
 * ```
 *
 * @module
 */

import type { Call } from '../core/call.ts';
import { OptionsError } from '../core/errors.ts';
import { type Fields, anything, fn, readOptions, text } from '../core/options.ts';
import { Failure, type Outcome, type Settled, settled } from '../core/outcome.ts';
import { type PlainData, type ReactionPolicy, mountAlone } from '../core/policy.ts';
import { follow } from '../core/run.ts';
import type { Scope } from '../core/scope.ts';
import type { Reaction } from '../core/stage.ts';
import { Frame } from '../core/frame.ts';

/** Options of {@link fallback}: either `value` or `run`. */
export interface FallbackOptions<Sees, Adds> {
  /** What to answer with. */
  readonly value?: Adds;
  /** Or a function that finds an answer; it gets the error and the call, and may be asynchronous. */
  readonly run?: (error: unknown, call: Call) => Adds | PromiseLike<Adds>;
  /** Which outcomes to cover. @defaultValue every failure and every refusal; a caller's own abort never */
  readonly when?: (outcome: Settled<Sees>, call: Call) => boolean;
  /** @defaultValue the kind */
  readonly name?: string;
}

declare module '../core/events.ts' {
  interface EventFields {
    'fallback.used': { readonly error?: unknown };
    'fallback.failed': { readonly error: unknown };
  }
}

/** A fallback. */
export interface Fallback<Sees, Adds> extends ReactionPolicy<Sees, Adds> {
  readonly kind: 'fallback';
}

/** Options as read. */
export interface FallbackSettings {
  readonly value: unknown;
  readonly run: ((error: unknown, call: Call) => unknown) | undefined;
  readonly when: ((outcome: Settled<never>, call: Call) => boolean) | undefined;
  readonly name: string | undefined;
}

/** The option table. */
export const fallbackFields: Fields<FallbackSettings> = {
  value: anything().optional(),
  run: fn<(error: unknown, call: Call) => unknown>('(error, call) => value').optional(),
  when: fn<(outcome: Settled<never>, call: Call) => boolean>('(outcome, call) => boolean').optional(),
  name: text().optional(),
};

/**
 * Covers failures and refusals of what lies inside with a value or the result of a function; the result is flagged `degraded`. A
 * caller's own abort is never covered. Once the time around it is up (an outer timeout, the deadline) only a `value` can answer, since a function
 * might take its time. If `run` fails too, its error is what the caller sees, with the first one as its `cause` where it has none.
 *
 * @throws OptionsError if neither or both of `value` and `run` are given
 */
export function fallback<const Adds, Sees = unknown>(options: FallbackOptions<Sees, Adds>): Fallback<Sees, Adds> {
  const settings = readOptions('fallback', fallbackFields, options);
  const given = (['value', 'run'] as const).filter(
    (name) => Object.hasOwn(options, name) && (name === 'value' || options.run !== undefined),
  );
  if (given.length !== 1) {
    throw new OptionsError([{ path: 'fallback.value', expected: 'either value or run', got: given.length === 0 ? 'neither' : 'both' }]);
  }
  return new FallbackPolicy<Sees, Adds>(settings);
}

class FallbackPolicy<Sees, Adds> implements Fallback<Sees, Adds> {
  readonly kind = 'fallback';
  readonly name: string | undefined;
  readonly #settings: FallbackSettings;
  #used = 0;

  constructor(settings: FallbackSettings) {
    this.#settings = settings;
    this.name = settings.name;
  }

  reaction(scope: Scope): Reaction {
    return {
      handles: (outcome, call) => this.#covers(outcome, call, scope),
      react: (outcome, call) => this.#cover(outcome, call, scope),
    };
  }

  mount: Fallback<Sees, Adds>['mount'] = (next, scope) => mountAlone(this, next, scope);

  snapshot(): PlainData {
    return { used: this.#used };
  }

  describe(): PlainData {
    const { run, when } = this.#settings;
    return { answer: run === undefined ? 'value' : 'computed', when: when === undefined ? 'failures and refusals' : 'chosen' };
  }

  #covers(outcome: Outcome, call: Call, scope: Scope): boolean {
    const { when } = this.#settings;
    const failed = outcome instanceof Failure;
    if (failed && (outcome.kind === 'aborted' || (call.failure !== undefined && this.#settings.run !== undefined))) return false;
    if (when === undefined) return failed;
    try {
      return when(settled(outcome) as Settled<never>, call);
    } catch (error) {
      scope.report('when', error);
      return false;
    }
  }

  #cover(outcome: Outcome, call: Call, scope: Scope): Outcome | Promise<Outcome> {
    const { run, value } = this.#settings;
    const error = outcome instanceof Failure ? outcome.error : undefined;
    this.#used++;
    if (scope.listening) scope.emit('fallback.used', 'warn', call, { error });
    if (run === undefined) {
      call.markDegraded();
      return value;
    }
    const find = new Frame([], (own) => follow(own, () => run(error, own)));
    return find.handle(call.derive()).then((found) => {
      if (!(found instanceof Failure)) call.markDegraded();
      else if (found.kind !== 'aborted') this.#failed(found, error, call, scope);
      return found;
    });
  }

  #failed({ error }: Failure, first: unknown, call: Call, scope: Scope): void {
    if (error instanceof Error && error.cause === undefined && error !== first && Object.isExtensible(error)) error.cause = first;
    if (scope.listening) scope.emit('fallback.failed', 'error', call, { error });
  }
}
