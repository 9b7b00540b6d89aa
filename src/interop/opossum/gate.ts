import type { Call } from '../../core/call.ts';
import { BulkheadFullError, CircuitOpenError, ShutdownError } from '../../core/errors.ts';
import { made } from '../../core/made.ts';
import { Failure, type Outcome, refuse } from '../../core/outcome.ts';
import type { Scope } from '../../core/scope.ts';
import type { Gate } from '../../core/stage.ts';
import { type Answers, elsewhere, hasFallback } from './answers.ts';
import type { BreakerCounts } from './breaker.ts';
import { Entry } from './entry.ts';
import type { SharedBreaker } from './shared.ts';
import { View } from './view.ts';

/** What names the calls that get the same answer. */
export type KeyOf = (call: Call) => string | undefined;

/** A breaker of opossum in one pipeline: asks it for admission, and tells it how the work ended. */
export class OpossumGate implements Gate<Entry> {
  readonly narrows = true;
  readonly until = 'answer';
  readonly timeless = true;
  readonly #shared: SharedBreaker;
  readonly #scope: Scope;
  readonly #keyOf: KeyOf | undefined;
  readonly #answers: Answers | undefined;
  readonly #view: View;
  /** The same for calls whose answer is kept or shared. */
  readonly #caching: View;

  /** `answers` gives answers in place of the work; without it there are none. `keyOf` says which of them may be kept or shared. */
  constructor(shared: SharedBreaker, scope: Scope, answers?: Answers, keyOf?: KeyOf) {
    this.#shared = shared;
    this.#scope = scope;
    this.#keyOf = answers === undefined ? undefined : keyOf;
    this.#answers = answers;
    this.#view = new View(shared, scope, answers !== undefined, false);
    this.#caching = this.#keyOf === undefined ? this.#view : new View(shared, scope, true, true);
  }

  enter(call: Call, now: number): Entry | Failure {
    const { real, rounds } = this.#shared;
    if (real.isShutdown) return refuse(this.#shutDown(call));
    const key = this.#key(call);
    const { enabled, options } = real;
    const entry = new Entry(call, key, enabled && real.halfOpen ? rounds : undefined, this.#scope, enabled && options.timeout);
    const answer = (entry.answer = this.#viewOf(entry).ask(entry));
    if (key !== undefined && entry.hit === undefined) this.#shared.leaders.set(Object(answer) as object, entry);
    if (entry.told === undefined) return this.#turnedAway(entry);
    quiet(answer, entry.told);
    entry.begin(real, now);
    return entry;
  }

  settle(entry: Entry, outcome: Outcome): void {
    const failed = outcome instanceof Failure;
    if (!entry.expired) {
      if (failed && (outcome.kind === 'aborted' || outcome.kind === 'refused')) this.#ignore(entry, outcome.error);
      else this.#viewOf(entry).tell(entry, (told) => (failed ? told.break(outcome.error) : told.keep(outcome)));
    }
    this.#leave(entry);
    if (failed && !entry.ignored) this.#cover(entry, entry.expired ? entry.error : outcome.error);
  }

  cancel(entry: Entry): void {
    if (!entry.expired) this.#ignore(entry, unknownError);
    this.#leave(entry);
    if (entry.expired) this.#cover(entry, entry.error);
  }

  #viewOf({ key }: Entry): View {
    return key === undefined ? this.#view : this.#caching;
  }

  #leave(entry: Entry): void {
    entry.call.release(entry.inner);
    this.#viewOf(entry).leave(entry);
  }

  /**
   * It counts as nothing. Opossum knows only successes and failures: it is told of an error that is none, and what it has made of the call so far is taken back.
   */
  #ignore(entry: Entry, error: unknown): void {
    const { real, rounds } = this.#shared;
    entry.ignored = true;
    this.#viewOf(entry).tell(entry, (told) => told.break(error));
    if (entry.counted !== undefined) (entry.counted as { -readonly [Name in keyof BreakerCounts]: number }).fires--;
    this.#shared.forget(entry);
    if (entry.probeOf === rounds && real.halfOpen && !real.pendingClose) this.#shared.tryAgain();
  }

  #key(call: Call): string | undefined {
    const keyOf = this.#keyOf;
    if (keyOf === undefined || !this.#shared.real.enabled) return undefined;
    return this.#scope.ask<string | undefined>('cacheGetKey', undefined, () => {
      const key: unknown = keyOf(call);
      if (key === undefined || typeof key === 'string') return key;
      throw new TypeError(`cacheGetKey: expected a string as its answer, or undefined, got ${typeof key}`);
    });
  }

  /** What becomes of a call that opossum did not let in. */
  #turnedAway(entry: Entry): Failure {
    const { call, error, hit, answer } = entry;
    quiet(answer);
    if (error !== undefined) {
      this.#cover(entry, error);
      return refuse(this.#refusal(call, error));
    }
    this.#answers?.hit(call, answer, hit ?? 'cache');
    return elsewhere;
  }

  /** A fallback may answer in its place: opossum knows whether one does. */
  #cover(entry: Entry, error: unknown): void {
    if (entry.answer !== entry.told && hasFallback(this.#shared.real)) this.#answers?.cover(entry, error);
  }

  #refusal({ key }: Call, cause: unknown): CircuitOpenError | BulkheadFullError {
    const { pipeline, policy, stack } = this.#scope;
    const { remaining, openedAt, real } = this.#shared;
    const common = { pipeline, policy, key, cause };
    if ((cause as { readonly code?: unknown }).code === 'ESEMLOCKED')
      return made(BulkheadFullError, `${pipeline}: ${policy} has all its ${real.options.capacity} places taken`, common, stack);
    const halfOpen = real.halfOpen;
    const state = halfOpen ? 'half-open' : 'open';
    const left = remaining === undefined ? 'open' : `open for another ${remaining} ms`;
    const message = `${pipeline}: ${policy} is ${halfOpen ? 'half-open and its probe is under way' : left}`;
    return made(CircuitOpenError, message, { ...common, retryAfter: remaining, openedAt, state, reason: state }, stack);
  }

  #shutDown({ key }: Call): ShutdownError {
    const { pipeline, policy, stack } = this.#scope;
    // Opossum would reject with this one, a turn later.
    const cause = made(ShutCause, 'The circuit has been shutdown.', undefined, false);
    return made(ShutdownError, `${pipeline}: ${policy} has been shut down`, { pipeline, policy, key, cause }, stack);
  }
}

/** Opossum's own word for it. */
class ShutCause extends Error {
  readonly code = 'ESHUTDOWN';
}

/** What opossum is told of work that never ran. */
const unknownError = new Error('the call was taken back before its work ran');

/** Nobody waits for opossum's own promise: what it rejects with has been told. */
function quiet(answer: unknown, told?: unknown): void {
  if (answer instanceof Promise && answer !== told) answer.catch(nothing);
}

function nothing(): void {}
