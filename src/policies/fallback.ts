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
import { type OptionProblem, OptionsError } from '../core/errors.ts';
import { type CommonSettings, type Mode, type PolicyOptions, commonFields } from '../core/mode.ts';
import { type Duration, Field, type Fields, group, oneOf, readOptions, show, text } from '../core/options.ts';
import { Failure, type Outcome, type Settled, errorIn } from '../core/outcome.ts';
import { type PlainData, type ReactionPolicy, mountAlone } from '../core/policy.ts';
import type { Scope } from '../core/scope.ts';
import type { Reaction } from '../core/stage.ts';
import { type CoverSettings, type Covered, CoveringTier, type When } from './fallback/covering-tier.ts';
import { causedBy, tierFields } from '../stores/tier.ts';

/** One way to answer: either `value` or `run`. */
export interface FallbackTier<Sees = unknown, Adds = unknown> {
  /** What to answer with. */
  readonly value?: Adds;
  /** Or a function that finds an answer; it gets the error and the call, and may be asynchronous. */
  readonly run?: (error: unknown, call: Call) => Adds | PromiseLike<Adds>;
  /** Which outcomes to cover: a word, or a function that says so. @defaultValue every failure and every refusal; a caller's own abort never */
  readonly when?: Covered | { covers(outcome: Settled<Sees>, call: Call): boolean }['covers'];
  /** How long `run` may take before the next tier is tried. @defaultValue `Infinity` */
  readonly timeout?: Duration;
  /** How many answers of `run` may be waited for at once; a full tier is passed over. @defaultValue `10` */
  readonly maxConcurrent?: number;
  /** What events and snapshots call it. @defaultValue `tier-1` and so on */
  readonly name?: string;
}

/** Options of {@link fallback}: one of `value`, `run` and `tiers`. */
export interface FallbackOptions<Sees, Adds> extends Omit<FallbackTier<Sees, Adds>, 'name' | 'when'>, PolicyOptions {
  /** Which outcomes to cover: a word, or a function that says so. @defaultValue every failure and every refusal; a caller's own abort never */
  readonly when?: Covered | ((outcome: Settled<Sees>, call: Call) => boolean);
  /** Or several answers, each with options of its own, tried in this order: one that does not cover, fails, is full or too slow makes way for the next. */
  readonly tiers?: readonly FallbackTier<never, Adds>[];
}

declare module '../core/events.ts' {
  interface EventFields {
    'fallback.used': { readonly tier: string; readonly error?: unknown };
    'fallback.failed': { readonly tier: string; readonly error: unknown };
    'fallback.skipped': { readonly tier: string; readonly running: number };
  }
}

/** A fallback. */
export interface Fallback<Sees, Adds> extends ReactionPolicy<Sees, Adds> {
  readonly kind: 'fallback';
}

interface NamedTier extends CoverSettings {
  readonly name: string | undefined;
}

/** Options as read. */
export interface FallbackSettings extends CommonSettings, CoverSettings {
  readonly tiers: readonly NamedTier[] | undefined;
}

const when = oneOf('refusal', 'failure', 'timeout').orFunction<Exclude<When, string>>('(outcome, call) => boolean').optional();
const tier = group<NamedTier>({ ...tierFields, when, name: text().optional() });

const tiers = new Field<readonly NamedTier[]>('an array of tiers, best answer first', (value, path, problems) => {
  if (Array.isArray(value) && value.length > 0)
    return value.map((each: unknown, i) => {
      problems.push(...oddities(each, `${path}[${i}]`));
      return tier.read(each, `${path}[${i}]`, problems);
    });
  problems.push({ path, expected: 'an array of tiers, best answer first', got: Array.isArray(value) ? 'an empty one' : show(value) });
  return [];
});

/** The option table. */
export const fallbackFields: Fields<FallbackSettings> = { ...tierFields, when, tiers: tiers.optional(), ...commonFields };

/** Values whose literal types are kept; without this, `value: 'none'` would come out as any string. */
type Literal = string | number | bigint | boolean | symbol | object | null | undefined;

/** What a tier may answer with. */
type AnswerOf<T> = T extends { readonly run: (...args: never[]) => infer R }
  ? Awaited<R>
  : T extends { readonly value: infer V }
    ? V
    : never;

/** What the predicates of all tiers can look at. */
type LooksAt<T> = (
  T extends { readonly when: (outcome: Settled<infer S>, ...rest: never[]) => boolean } ? (value: S) => void : never
) extends (value: infer Sees) => void
  ? Sees
  : unknown;

/**
 * Covers failures and refusals of what lies inside with a value or the result of a function; the result is flagged `degraded`. A
 * caller's own abort is never covered, nor a value that is degraded already. Once the time around it is up (an outer timeout, the deadline) only
 * a `value` can answer, since a function might take its time. If all that was tried fails too, the last error is what the caller sees,
 * with the first one as its `cause` where it has none.
 *
 * @throws OptionsError if an option is wrong, or not exactly one of `value`, `run` and `tiers` is given
 */
export function fallback<Tiers extends readonly FallbackTier[]>(
  options: { readonly tiers: Tiers } & PolicyOptions,
): Fallback<LooksAt<Tiers[number]>, AnswerOf<Tiers[number]>>;
export function fallback<Adds extends Literal, Sees = unknown>(options: FallbackOptions<Sees, Adds>): Fallback<Sees, Adds>;
export function fallback<Adds, Sees = unknown>(options: FallbackOptions<Sees, Adds>): Fallback<Sees, Adds>;
export function fallback(options: object): Fallback<never, unknown> {
  const settings = readOptions('fallback', fallbackFields, options);
  const [problem, ...more] = settings.tiers === undefined ? oddities(options, 'fallback', 'value, run and tiers') : beside(options);
  if (problem !== undefined) throw new OptionsError([problem, ...more]);
  return new FallbackPolicy(settings);
}

/** What is wrong with the way one answer is given. */
function oddities(given: unknown, path: string, ways = 'value and run'): OptionProblem[] {
  const { value, run, timeout, maxConcurrent } = Object(given) as FallbackTier;
  const count = Number(Object.hasOwn(Object(given) as object, 'value')) + Number(run !== undefined);
  if (count !== 1) return [{ path: `${path}.value`, expected: `one of ${ways}`, got: count === 0 ? 'none' : 'both' }];
  if (run !== undefined || (timeout ?? maxConcurrent) === undefined) return [];
  return [
    { path: `${path}.${timeout === undefined ? 'maxConcurrent' : 'timeout'}`, expected: 'run beside it', got: `a value (${show(value)})` },
  ];
}

/** Options that belong to a tier. */
function beside(given: object): OptionProblem[] {
  const own = Object.keys(given).filter((name) => Object.hasOwn(tierFields, name) || name === 'when');
  return own.map((name) => ({ path: `fallback.${name}`, expected: 'tiers to have it, each its own', got: 'both' }));
}

class FallbackPolicy implements Fallback<never, unknown> {
  readonly kind = 'fallback';
  readonly name: string | undefined;
  readonly mode: Mode;
  readonly #tiers: readonly CoveringTier[];
  readonly #several: boolean;

  constructor(settings: FallbackSettings) {
    this.name = settings.name;
    this.mode = settings.mode;
    this.#several = settings.tiers !== undefined;
    const single = settings.run === undefined ? 'value' : 'run';
    this.#tiers = settings.tiers?.map((each, i) => new CoveringTier(each.name ?? `tier-${i + 1}`, each)) ?? [
      new CoveringTier(single, settings),
    ];
  }

  reaction(scope: Scope): Reaction {
    return new Cover(this.#tiers, scope);
  }

  mount: Fallback<never, unknown>['mount'] = (next, scope) => mountAlone(this, next, scope);

  snapshot(): PlainData {
    const used = this.#tiers.reduce((sum, each) => sum + each.used, 0);
    return { used, tiers: this.#tiers.map((each) => each.snapshot()) };
  }

  describe(): PlainData {
    const all = this.#tiers.map((each) => each.describe());
    return this.#several ? { tiers: all } : { ...all[0], name: undefined };
  }
}

/** The tiers of a fallback in one pipeline. */
class Cover implements Reaction {
  readonly #tiers: readonly CoveringTier[];
  readonly #scope: Scope;
  /** The first tier that covers the outcome last asked about: `react` follows at once, and a predicate is asked only once. */
  #first = 0;

  constructor(tiers: readonly CoveringTier[], scope: Scope) {
    this.#tiers = tiers;
    this.#scope = scope;
  }

  handles(outcome: Outcome, call: Call): boolean {
    this.#first = this.#next(0, outcome, call);
    return this.#first < this.#tiers.length;
  }

  react(outcome: Outcome, call: Call): Outcome | Promise<Outcome> {
    return this.#from(this.#first, outcome, outcome, call);
  }

  #next(from: number, outcome: Outcome, call: Call): number {
    let place = from;
    while (place < this.#tiers.length && !(this.#tiers[place] as CoveringTier).covers(outcome, call, this.#scope)) place++;
    return place;
  }

  /** Tries the tiers from this one on; `last` is what the caller gets if there is none. */
  #from(start: number, outcome: Outcome, last: Outcome, call: Call): Outcome | Promise<Outcome> {
    for (let place = start; place < this.#tiers.length; place = this.#next(place + 1, outcome, call)) {
      const tier = this.#tiers[place] as CoveringTier;
      if (!tier.runs) return this.#used(tier, tier.settings.value, outcome, call);
      if (!tier.full) return this.#run(place, tier, outcome, call);
      tier.skipped++;
      if (this.#scope.listening) this.#scope.emit('fallback.skipped', 'warn', call, { tier: tier.name, running: tier.running });
    }
    return last;
  }

  async #run(place: number, tier: CoveringTier, outcome: Outcome, call: Call): Promise<Outcome> {
    const first = errorIn(outcome);
    const found = await tier.find(first, call, this.#scope);
    if (!(found instanceof Failure)) return this.#used(tier, found, outcome, call);
    if (found.kind === 'aborted') return found;
    if (found !== call.failure) {
      tier.failed++;
      causedBy(found.error, first);
      if (this.#scope.listening) this.#scope.emit('fallback.failed', 'error', call, { tier: tier.name, error: found.error });
    }
    return this.#from(this.#next(place + 1, outcome, call), outcome, found, call);
  }

  #used(tier: CoveringTier, answer: unknown, outcome: Outcome, call: Call): unknown {
    tier.used++;
    call.markDegraded();
    if (this.#scope.listening) this.#scope.emit('fallback.used', 'warn', call, { tier: tier.name, error: errorIn(outcome) });
    return answer;
  }
}
