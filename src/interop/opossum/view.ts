import type { Call } from '../../core/call.ts';
import type { Scope } from '../../core/scope.ts';
import { type Inside, fieldOf } from './breaker.ts';
import type { Entry } from './entry.ts';
import type { CacheTransport } from './options.ts';
import type { SharedBreaker } from './shared.ts';
import { Told } from './told.ts';

/**
 * A breaker as calls of one pipeline meet it: everything is that of the real one, but for the action, which is theirs, and for functions of the user's, which may throw here without
 * harm. State, counts and listeners are shared with whoever else uses the breaker.
 */
export class View {
  readonly #shared: SharedBreaker;
  readonly #real: Inside;
  readonly #scope: Scope;
  readonly #breaker: Inside;
  /** Entries whose time runs, by the call that opossum knows them by. */
  readonly #entries = new Map<Call, Entry>();
  /** Whose affair it is that opossum is about. */
  #current: Entry | undefined = undefined;
  /** The one whose time was up last. */
  #expired: Entry | undefined = undefined;

  /** `answers`: whether it may answer in place of the work, from its cache, with what another call gets, or by a fallback. */
  constructor(shared: SharedBreaker, scope: Scope, answers: boolean, caches: boolean) {
    const { real } = shared;
    this.#shared = shared;
    this.#real = real;
    this.#scope = scope;
    const parts = new Map<string | symbol, unknown>([
      ['action', admit],
      ['emit', this.#emit],
      ['options', this.#options(caches)],
      ['call', callOf(real)],
      ['constructor', real.constructor],
    ]);
    const fallback = fieldOf(real, 'fallback');
    if (!answers && fallback !== undefined) parts.set(fallback, null);
    this.#breaker = new Proxy(real, {
      get: (target, name): unknown => {
        if (parts.has(name)) return parts.get(name);
        const part: unknown = Reflect.get(target, name);
        if (typeof part !== 'function') return part;
        // Methods get the real one as their `this`: those of a subclass may have secrets that a view has not.
        const method = (...args: unknown[]): unknown =>
          this.#shared.about((this.#current ?? this.#expired)?.call, () => Reflect.apply(part, target, args) as unknown);
        if (!Object.hasOwn(target, name)) parts.set(name, method);
        return method;
      },
      set: (target, name, value) => Reflect.set(target, name, value),
    });
  }

  /** Asks the breaker for admission. What it answers with is what `fire` would have. */
  ask(entry: Entry): unknown {
    const answer = this.#during(entry, () => this.#breaker.call(entry, entry.call));
    if (entry.told !== undefined) this.#entries.set(entry.call, entry);
    return answer;
  }

  /** Tells the breaker how the work ended. */
  tell(entry: Entry, tell: (told: Told) => void): void {
    const { told } = entry;
    if (told !== undefined) this.#during(entry, () => tell(told));
  }

  /** The entry is over. */
  leave(entry: Entry): void {
    this.#entries.delete(entry.call);
    if (this.#expired === entry) this.#expired = undefined;
  }

  #during<T>(entry: Entry, run: () => T): T {
    const before = this.#current;
    this.#current = entry;
    try {
      return run();
    } finally {
      this.#current = before;
    }
  }

  readonly #emit = (event: string | symbol, ...args: unknown[]): boolean => {
    const entry = this.#current;
    // What is nobody's failure is no success either.
    if (event === 'success' && entry?.ignored === true) return true;
    if (event === 'fallback') this.#answered(args[1]);
    else entry?.note(event, args[0]);
    let told = true;
    try {
      told = this.#shared.about((entry ?? this.#expired)?.call, () => this.#real.emit(event, ...args));
    } catch (error) {
      this.#scope.report(`listener to '${String(event)}'`, error);
    }
    if (event === 'timeout') this.#expire(args[0], (args[2] as readonly [Call])[0]);
    return told;
  };

  #expire(error: unknown, call: Call): void {
    const entry = this.#entries.get(call);
    if (entry === undefined) return;
    this.#expired = entry;
    entry.expire(error);
  }

  #answered(error: unknown): void {
    const expired = this.#expired;
    const entry = expired !== undefined && expired.error === error ? expired : this.#current;
    if (entry !== undefined) entry.substituted = true;
  }

  #options(caches: boolean): Inside['options'] {
    const { options } = this.#real;
    const filter = (error: unknown, call: Call): unknown => {
      if (this.#current?.ignored === true) return true;
      return this.#scope.ask<unknown>('errorFilter', false, () => options.errorFilter(error, call));
    };
    const own: Record<string, unknown> = { errorFilter: filter };
    if (!caches) Object.assign(own, { cache: false, coalesce: false });
    else own['cacheGetKey'] = () => this.#current?.key;
    if (caches && options.cacheTransport !== undefined) own['cacheTransport'] = this.#transport(options.cacheTransport);
    return Object.assign(Object.create(options) as typeof options, own);
  }

  /** A cache whose faults are reported and not taken for those of the work. */
  #transport(real: CacheTransport): CacheTransport {
    const scope = this.#scope;
    return {
      get: (key) => scope.ask<unknown>('cacheTransport.get', undefined, () => real.get(key)),
      set: (key, told, expiresAt) => {
        const kept = told instanceof Told ? new Promise((resolve) => resolve(told)) : told;
        scope.ask('cacheTransport.set', undefined, () => real.set(key, kept, expiresAt));
      },
      flush: () => real.flush(),
    };
  }
}

/** Opossum's own `call`, whatever a subclass has made of it: it is run with a view as its `this`. */
function callOf(real: Inside): unknown {
  let call: unknown;
  for (let prototype: unknown = real; typeof prototype === 'object' && prototype !== null; prototype = Object.getPrototypeOf(prototype))
    if (Object.hasOwn(prototype, 'call')) ({ call } = prototype as { readonly call?: unknown });
  return call;
}

/** What opossum takes for the action: called with the entry as `this`, it says that the call is let in. */
function admit(this: Entry): Told {
  return (this.told = new Told());
}
